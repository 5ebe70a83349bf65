//! Programs that fail or abort.

use super::*;

#[test]
fn a_failure_leaves_the_event_as_it_was() {
    fails(
        r#".hostname = "x"; tag("t"); route("r"); .fields.n = to_int!("no")"#,
        "to_int",
    );
    fails(
        ".fields.http.status = 1; .severity = 8 + (to_int(.msgid) ?? 0)",
        "a severity",
    );
    fails("assert!(false, message: s'never')", "never");
    fails(
        ".hostname = .fields.big",
        "`.hostname` was set to a value that is not a string",
    );
    fails(".timestamp = .fields.user", "a timestamp");
    fails(".raw = .hostname", "deleted and not be replaced");
    fails(
        ".structured_data.origin = .fields.user",
        "an object of objects of strings",
    );
    fails(".fields = .fields.user", "an object");
    fails(r#". = merge(., {"colour": "red"})"#, "no such field");
    fails(r#". = merge(., {"id": "1"})"#, "`.id` cannot be changed");
    fails(". = .fields.user", "not an object");
    fails(".fields.x = to_float!(s'1e400')", "");
}

#[test]
fn an_abort_leaves_the_event_as_it_was_and_is_no_defect() {
    let mut runner = chain(&[r#".hostname = "x"; route("r"); if .severity == "info" { abort }"#]).runner();
    let applied = apply(&mut runner, sample());
    assert_eq!(applied.event, sample());
    assert_eq!(applied.verdict, Verdict::Keep { route: DEFAULT_ROUTE });
    assert_eq!((runner.failures[0].failed, runner.failures[0].aborted), (0, 1));
}

#[test]
fn a_failure_undoes_its_own_program_only() {
    let programs = [
        r#".hostname = "one"; .fields.http.status = 1; tag("one"); route("one")"#,
        r#".hostname = "two"; .fields.http.status = 2; .app_name = "two"; tag("two"); route("two"); x = to_int!("no")"#,
        r#".fields.seen = .hostname; .fields.defects = .defects"#,
    ];
    let mut runner = chain(&programs).runner();
    let applied = apply(&mut runner, sample());
    let mut expected = sample();
    expected.hostname = Some(Cow::Borrowed("one"));
    expected.tags.push(Cow::Borrowed("one"));
    expected.fields[2].1 = FieldValue::Object(vec![field("status", FieldValue::Integer(1))]);
    expected.defects |= Defects::RULE_FAILED;
    expected.fields.push(field("seen", string("one")));
    expected
        .fields
        .push(field("defects", FieldValue::Array(vec![string("rule_failed")])));
    expected.fields.sort_by(|a, b| a.0.cmp(&b.0));
    let mut event = applied.event;
    event.fields.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(event, expected);
    assert_eq!(applied.verdict, Verdict::Keep { route: "one" });
}
