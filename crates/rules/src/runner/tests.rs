use std::borrow::Cow;

use event::{
    BatchId, EventBatch, EventBatchBuilder, EventId, EventTime, Facility, SdElement, SdParam, Severity,
    Timestamp, Value as FieldValue,
};

use super::*;
use crate::{ProgramSource, RuleChain};

/// Programs in the order in which they run.
fn chain(programs: &[&str]) -> RuleChain {
    let sources: Vec<_> = programs
        .iter()
        .map(|source| ProgramSource {
            name: "test",
            origin: "test.vrl",
            source,
        })
        .collect();
    RuleChain::compile(&sources).unwrap_or_else(|errors| panic!("{errors}"))
}

fn sample() -> Event<'static> {
    let received_at = Timestamp::from_micros(1_700_000_000_000_000);
    let id = EventId::derive(BatchId::from_uuid(Default::default()), 3, received_at);
    let text = |text| Some(Cow::Borrowed(text));
    let param = |name, value| SdParam {
        name: Cow::Borrowed(name),
        value: Cow::Borrowed(value),
    };
    Event {
        facility: Facility::new(4),
        severity: Severity::new(6),
        timestamp: Some(EventTime {
            at: Timestamp::from_micros(1_065_910_455_003_000),
            offset_minutes: Some(-240),
            fraction_digits: 3,
        }),
        hostname: text("web1"),
        app_name: text("sshd"),
        procid: text("4711"),
        message: text("Accepted publickey for root"),
        raw: Some(Cow::Borrowed(b"<38>raw")),
        structured_data: vec![
            SdElement {
                id: Cow::Borrowed("origin"),
                params: vec![
                    param("ip", "192.0.2.1"),
                    param("ip", "192.0.2.2"),
                    param("enterpriseId", "9"),
                ],
            },
            SdElement {
                id: Cow::Borrowed("meta"),
                params: vec![param("sequenceId", "1")],
            },
        ],
        tags: vec![Cow::Borrowed("old")],
        fields: vec![
            (Cow::Borrowed("user"), FieldValue::String(Cow::Borrowed("root"))),
            (Cow::Borrowed("big"), FieldValue::Unsigned(u64::MAX)),
            (
                Cow::Borrowed("http"),
                FieldValue::Object(vec![(Cow::Borrowed("status"), FieldValue::Integer(200))]),
            ),
        ],
        ..Event::received(id, 3, received_at, "192.0.2.9:40000", "tcp")
    }
}

/// An event after the rules.
struct Applied<'s> {
    event: Event<'s>,
    verdict: Verdict<'s>,
}

fn apply<'s>(runner: &'s mut Runner, mut event: Event<'s>) -> Applied<'s> {
    let verdict = runner.apply(&mut event);
    Applied { event, verdict }
}

/// Runs the programs on [`sample`] and expects what `change` makes of it.
#[track_caller]
fn check(programs: &[&str], change: impl FnOnce(&mut Event<'static>)) {
    let mut expected = sample();
    change(&mut expected);
    let mut runner = chain(programs).runner();
    // Twice: nothing of the first event may stay for the second.
    for _ in 0..2 {
        let applied = apply(&mut runner, sample());
        assert_eq!(applied.verdict, Verdict::Keep { route: DEFAULT_ROUTE });
        assert_eq!(applied.event, expected);
    }
    assert_eq!(runner.take_failures(), []);
}

/// The program fails with `error`, and leaves no trace but the defect.
#[track_caller]
fn fails(program: &str, error: &str) {
    let mut runner = chain(&[program]).runner();
    let applied = apply(&mut runner, sample());
    let mut expected = sample();
    expected.defects |= Defects::RULE_FAILED;
    assert_eq!(applied.event, expected);
    assert_eq!(applied.verdict, Verdict::Keep { route: DEFAULT_ROUTE });
    let failures = &runner.take_failures()[0];
    assert_eq!((failures.failed, failures.aborted), (1, 0));
    let found = failures.last_error.as_deref().unwrap();
    assert!(found.contains(error), "{found}");
}

fn field(name: &'static str, value: FieldValue<'static>) -> (Cow<'static, str>, FieldValue<'static>) {
    (Cow::Borrowed(name), value)
}

fn string(text: &'static str) -> FieldValue<'static> {
    FieldValue::String(Cow::Borrowed(text))
}

#[test]
fn no_programs_change_nothing() {
    check(&[], |_| {});
    check(&["true"], |_| {});
    check(&[""], |_| {});
}

#[test]
fn built_in_fields_are_written() {
    check(&[r#".severity = "ERROR""#], |event| {
        event.severity = Severity::new(3)
    });
    check(&[".severity = 2"], |event| event.severity = Severity::new(2));
    check(&[r#".facility = "local3""#], |event| {
        event.facility = Facility::new(19)
    });
    check(&[r#".hostname = "a" + "b""#], |event| {
        event.hostname = Some(Cow::Borrowed("ab"))
    });
    check(&[r#".app_name = upcase(.app_name) ?? "x""#], |event| {
        event.app_name = Some(Cow::Borrowed("SSHD"))
    });
    check(&[r#".procid = "1"; .msgid = "ID47""#], |event| {
        event.procid = Some(Cow::Borrowed("1"));
        event.msgid = Some(Cow::Borrowed("ID47"));
    });
    check(&[".timestamp = t'2024-01-02T03:04:05Z'"], |event| {
        event.timestamp = Some(EventTime::utc(Timestamp::from_micros(1_704_164_645_000_000)));
    });
    check(&[".message = string!(.message) + s'!'"], |event| {
        event.message = Some(Cow::Borrowed("Accepted publickey for root!"));
    });
}

#[test]
fn a_time_that_stays_keeps_its_form() {
    check(&[".timestamp = .timestamp"], |_| {});
}

#[test]
fn what_is_deleted_null_or_empty_is_absent() {
    check(&["del(.hostname)"], |event| event.hostname = None);
    check(&[".hostname = null"], |event| event.hostname = None);
    check(&[r#".hostname = """#], |event| event.hostname = None);
    check(&["del(.severity); del(.facility); del(.timestamp)"], |event| {
        event.severity = None;
        event.facility = None;
        event.timestamp = None;
    });
    check(&["del(.raw)"], |event| event.raw = None);
    check(&["del(.tags)"], |event| event.tags.clear());
    check(&["del(.structured_data)"], |event| event.structured_data.clear());
    check(&["del(.fields)"], |event| event.fields.clear());
    check(&["del(.msgid)"], |_| {});
    check(&[".msgid = del(.hostname)"], |event| {
        event.msgid = event.hostname.take()
    });
}

#[test]
fn free_fields_are_written_one_by_one() {
    check(&[r#".fields.site = "north""#], |event| {
        event.fields.push(field("site", string("north")))
    });
    check(&[r#".fields.user = "wheel""#], |event| {
        event.fields[0].1 = string("wheel")
    });
    check(&["del(.fields.user)"], |event| drop(event.fields.remove(0)));
    check(&[".fields.http.status = 404; .fields.http.ok = false"], |event| {
        let entries = vec![
            field("ok", FieldValue::Bool(false)),
            field("status", FieldValue::Integer(404)),
        ];
        event.fields[2].1 = FieldValue::Object(entries);
    });
    check(&[".fields.new.a[1] = 1.5"], |event| {
        let list = FieldValue::Array(vec![FieldValue::Null, FieldValue::Float(1.5)]);
        event
            .fields
            .push(field("new", FieldValue::Object(vec![field("a", list)])));
    });
    check(&["del(.fields.http.status, compact: true)"], |event| {
        drop(event.fields.pop())
    });
    check(&["del(.fields.http.status)"], |event| {
        event.fields[2].1 = FieldValue::Object(vec![])
    });
    check(&[r#".fields."a b" = .received_at"#], |event| {
        event.fields.push(field("a b", string("2023-11-14T22:13:20Z")));
    });
}

#[test]
fn free_fields_are_written_as_a_whole() {
    check(&[r#".fields |= {"a": 1, "user": "x"}"#], |event| {
        event.fields[0].1 = string("x");
        event.fields.push(field("a", FieldValue::Integer(1)));
    });
    check(&[r#".fields = {"z": true, "big": .fields.big}"#], |event| {
        event.fields.remove(0);
        event.fields.remove(1);
        event.fields.push(field("z", FieldValue::Bool(true)));
    });
    check(
        &[r#".fields |= object!(parse_json!(s'{"k": [1, null, {"x": "y"}]}'))"#],
        |event| {
            let inner = FieldValue::Object(vec![field("x", string("y"))]);
            let list = FieldValue::Array(vec![FieldValue::Integer(1), FieldValue::Null, inner]);
            event.fields.push(field("k", list));
        },
    );
}

#[test]
fn structured_data_is_an_object_of_objects() {
    check(&[r#".structured_data.origin.software = "x""#], |event| {
        event.structured_data[0].params.push(SdParam {
            name: Cow::Borrowed("software"),
            value: Cow::Borrowed("x"),
        });
    });
    check(&["del(.structured_data.origin)"], |event| {
        drop(event.structured_data.remove(0))
    });
    check(&[r#".structured_data.origin.ip = "::1""#], |event| {
        event.structured_data[0].params.remove(1);
        event.structured_data[0].params[0].value = Cow::Borrowed("::1");
    });
    check(&[".fields.ip = .structured_data.origin.ip[1]"], |event| {
        event.fields.push(field("ip", string("192.0.2.2")));
    });
    check(&[r#".structured_data."a@1" = {}"#], |event| {
        event.structured_data.push(SdElement {
            id: Cow::Borrowed("a@1"),
            params: vec![],
        });
    });
}

#[test]
fn every_field_can_be_read() {
    check(
        &[r#".fields = {
            "a": .id, "b": .received_at, "c": .peer_addr, "d": .tls_peer, "e": .listener, "f": .facility,
            "g": .severity, "h": .timestamp, "i": .hostname, "j": .app_name, "k": .procid, "l": .msgid,
            "m": .message, "n": .raw, "o": .tags, "p": .defects, "q": .structured_data.meta, "r": .fields.big
        }"#],
        |event| {
            let id = event.id.to_string();
            let meta = FieldValue::Object(vec![field("sequenceId", string("1"))]);
            event.fields = vec![
                field("a", FieldValue::String(Cow::Owned(id))),
                field("b", string("2023-11-14T22:13:20Z")),
                field("c", string("192.0.2.9:40000")),
                field("d", FieldValue::Null),
                field("e", string("tcp")),
                field("f", string("auth")),
                field("g", string("info")),
                field("h", string("2003-10-11T22:14:15.003Z")),
                field("i", string("web1")),
                field("j", string("sshd")),
                field("k", string("4711")),
                field("l", FieldValue::Null),
                field("m", string("Accepted publickey for root")),
                field("n", string("<38>raw")),
                field("o", FieldValue::Array(vec![string("old")])),
                field("p", FieldValue::Array(vec![])),
                field("q", meta),
                field("r", FieldValue::Float(18_446_744_073_709_551_615.0)),
            ];
        },
    );
}

#[test]
fn the_whole_event_is_read_and_written() {
    check(&[r#".fields = {"n": length(.)}"#], |event| {
        event.fields = vec![field("n", FieldValue::Integer(16))];
    });
    check(&[". = ."], |_| {});
    check(&[r#". |= {"message": "m"}"#], |event| {
        event.message = Some(Cow::Borrowed("m"))
    });
    check(&[r#". = {"message": "m"}"#], |event| {
        *event = Event {
            message: Some(Cow::Borrowed("m")),
            ..Event::received(event.id, 3, event.received_at, "192.0.2.9:40000", "tcp")
        };
    });
    // A write between two reads of the whole is seen by the second.
    check(
        &[r#"a = .; .hostname = "h2"; b = .; .fields = {"a": a.hostname, "b": b.hostname}"#],
        |event| {
            event.hostname = Some(Cow::Borrowed("h2"));
            event.fields = vec![field("a", string("web1")), field("b", string("h2"))];
        },
    );
    check(&["del(.)"], |event| {
        *event = Event::received(event.id, 3, event.received_at, "192.0.2.9:40000", "tcp");
    });
}

#[test]
fn tags_are_added_once_and_taken_away() {
    check(&[r#"tag("a")"#], |event| event.tags.push(Cow::Borrowed("a")));
    check(&[r#"tag("old"); tag("old")"#], |_| {});
    check(&[r#"tag(["a", "old", "b", "a"])"#], |event| {
        event.tags.extend([Cow::Borrowed("a"), Cow::Borrowed("b")]);
    });
    check(&["tag!(.app_name)"], |event| {
        event.tags.push(Cow::Borrowed("sshd"))
    });
    check(&[r#"untag("old")"#], |event| event.tags.clear());
    check(&[r#"tag("a")"#, r#"untag(["old", "none"])"#], |event| {
        event.tags = vec![Cow::Borrowed("a")]
    });
    check(&[r#"if includes(.tags, "old") { .fields = {} }"#], |event| {
        event.fields.clear()
    });
    check(&[r#".tags = push(.tags, "x")"#], |event| {
        event.tags.push(Cow::Borrowed("x"))
    });
    fails("tag!(.msgid)", "a tag is");
    fails(r#".tags = ["a", 1]"#, "list of strings");
    fails(
        r#"for_each(range!(0, 100)) -> |_, n| { tag!("t" + to_string(n)) }"#,
        "more than 64 tags",
    );
}

#[test]
fn the_last_route_wins() {
    let mut runner = chain(&[
        r#"route("audit")"#,
        r#"if .severity == "info" { route("info.low") }"#,
    ])
    .runner();
    assert_eq!(
        apply(&mut runner, sample()).verdict,
        Verdict::Keep { route: "info.low" }
    );
    let mut runner = chain(&["route!(.app_name)"]).runner();
    assert_eq!(
        apply(&mut runner, sample()).verdict,
        Verdict::Keep { route: "sshd" }
    );
    let other = Event {
        app_name: None,
        ..sample()
    };
    assert_eq!(
        apply(&mut runner, other).verdict,
        Verdict::Keep { route: "default" }
    );
    fails("route!(.message)", "a route is");
}

#[test]
fn a_drop_ends_everything_at_once() {
    for program in [
        r#"if .severity == "info" { drop("noise") }; .fields.x = int!("no")"#,
        r#"x = { drop("noise"); 1 } ?? 2; abort"#,
        r#"x, err = { drop("noise"); to_int("1") }; abort"#,
        r#"for_each(.tags) -> |_, _| { drop("noise") }; abort"#,
    ] {
        let mut runner = match RuleChain::compile(&[ProgramSource {
            name: "drop",
            origin: "drop.vrl",
            source: program,
        }]) {
            Ok(chain) => chain.runner(),
            // VRL sees that what follows cannot be reached, or that nothing can fail.
            Err(_) => continue,
        };
        assert_eq!(
            apply(&mut runner, sample()).verdict,
            Verdict::Drop { reason: "noise" },
            "{program}"
        );
        assert_eq!(runner.failures[0], ProgramFailures::default());
    }
    let mut runner = chain(&[r#"if .severity == "debug" { drop("debug") }"#, "abort"]).runner();
    assert_eq!(
        apply(&mut runner, sample()).verdict,
        Verdict::Keep { route: DEFAULT_ROUTE }
    );
    assert_eq!(runner.failures[1].aborted, 1);
    let debug = Event {
        severity: Severity::new(7),
        ..sample()
    };
    assert_eq!(
        apply(&mut runner, debug).verdict,
        Verdict::Drop { reason: "debug" }
    );
    assert_eq!(runner.failures[1].aborted, 1);
}

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

#[test]
fn local_variables_do_not_outlive_the_program() {
    let mut runner = chain(&[
        "if .severity == \"info\" { x = 1 }\n.fields.x = 1",
        "y = 2\n.fields.y = y",
    ])
    .runner();
    apply(&mut runner, sample());
    assert!(runner.runtime.is_empty());
}

/// How many values of the event were converted for it.
#[track_caller]
fn converts(programs: &[&str], conversions: u64) {
    let mut runner = chain(programs).runner();
    apply(&mut runner, sample());
    assert_eq!(runner.slots.conversions.get(), conversions, "{programs:?}");
}

#[test]
fn only_what_programs_touch_is_converted_and_once() {
    converts(&["true", "1 + 1"], 0);
    converts(&[r#".fields.site = "north""#, r#".hostname = "x""#], 0);
    converts(&[r#"if .severity == "debug" { drop("debug") }"#], 1);
    converts(
        &[
            ".fields.a = .severity",
            ".fields.b = .severity",
            ".fields.c = .fields.a",
        ],
        1,
    );
    converts(&[r#"if .severity == "debug" && .message == "x" { tag("t") }"#], 1);
    converts(&[r#".fields.a = .fields.user"#], 1);
    converts(&[r#".fields |= {"a": 1}"#, r#".fields.b = 2"#], 1);
    converts(&["a = .", "b = .", "c = .message"], 18);
    converts(&[r#"route("x")"#], 0);
    converts(&[r#"tag("x")"#, r#"tag("y")"#, r#"untag("x")"#], 1);
}

#[test]
fn what_a_failed_program_wrote_is_converted_again() {
    converts(
        &[r#".hostname = "x"; y = to_int!("no")"#, ".fields.h = .hostname"],
        1,
    );
}

#[test]
fn the_result_survives_the_batch_encoding() {
    let source = BatchId::mint();
    let mut runner = chain(&[
        r#".fields.deep = {"a": [{"b": [1, 2.5, true, null, "x"]}]}; tag("t"); .fields.bytes = decode_base64!("/w==")"#,
    ])
    .runner();
    let applied = apply(&mut runner, sample());
    let mut builder = EventBatchBuilder::new(source.derive("default"), source, "tcp", "default");
    builder.push(&applied.event);
    let payload = builder.finish(event::Compression::None);
    let mut scratch = Vec::new();
    let mut batch = EventBatch::decode(&payload, &mut scratch, 1 << 20).unwrap();
    let read = batch.next_event().unwrap().unwrap();
    assert_eq!(read.fields, applied.event.fields);
    assert_eq!(read.tags, applied.event.tags);
    let lossy = &read.fields.iter().find(|(name, _)| name == "bytes").unwrap().1;
    assert_eq!(*lossy, string("\u{fffd}"));
}

#[test]
fn values_as_deep_as_batches_allow_pass_and_deeper_ones_fail() {
    let nested = |levels: usize| format!(".fields.x = {}1{}", "[".repeat(levels), "]".repeat(levels));
    let mut runner = chain(&[&nested(FieldValue::DEPTH_MAX - 1)]).runner();
    let applied = apply(&mut runner, sample());
    let source = BatchId::mint();
    let mut builder = EventBatchBuilder::new(source, source, "tcp", "default");
    builder.push(&applied.event);
    let payload = builder.finish(event::Compression::None);
    let mut scratch = Vec::new();
    let mut batch = EventBatch::decode(&payload, &mut scratch, 1 << 20).unwrap();
    assert_eq!(batch.next_event().unwrap().unwrap().fields, applied.event.fields);
    fails(&nested(FieldValue::DEPTH_MAX), "nested too deep");
    let whole = format!(".fields = {{\"x\": {}1{}}}", "[".repeat(32), "]".repeat(32));
    fails(&whole, "nested too deep");
}

#[test]
fn hostile_programs_are_bounded() {
    // Steps, or on a slow machine time.
    fails(
        "for_each(range!(0, 100000)) -> |_, _| { x = 1 }",
        "the program took",
    );
    fails(
        "for_each(range!(0, 1000)) -> |_, _| { for_each(range!(0, 1000)) -> |_, _| { x = 1 } }",
        "the program took",
    );
    // Sizes: each step doubles.
    fails(
        r#"s = "0123456789abcdef"; for_each(range!(0, 17)) -> |_, _| { s = s + s }; .message = s"#,
        "more than 1048576 bytes",
    );
    fails(
        r#"s = "0123456789abcdef"; for_each(range!(0, 17)) -> |_, _| { s = s + s }; .fields.s = [s]"#,
        "more than 1048576 bytes",
    );
    fails(
        "a = range!(0, 100000); .fields.a = [a, a, a, a, a, a, a, a, a, a, a]",
        "more than 1048576 bytes",
    );
    // Depth.
    fails(
        r#"x = {}; for_each(range!(0, 100)) -> |_, _| { x = {"a": x} }; .fields.x = x"#,
        "nested too deep",
    );
}

#[test]
fn a_program_that_copies_more_and_more_is_stopped_by_the_clock() {
    let run = || {
        fails(
            r#"x = {}; for_each(range!(0, 20000)) -> |_, _| { x = {"a": x} }"#,
            "the program took longer than 1s",
        );
    };
    // Dropping what the program built up to then recurses.
    let thread = std::thread::Builder::new().stack_size(crate::STACK_BYTES);
    thread.spawn(run).unwrap().join().unwrap();
}

#[test]
fn set_takes_paths_from_the_event_within_bounds() {
    check(
        &[".fields = set!(.fields, [string!(.app_name), \"n\", 1], true)"],
        |event| {
            let list = FieldValue::Array(vec![FieldValue::Null, FieldValue::Bool(true)]);
            event
                .fields
                .push(field("sshd", FieldValue::Object(vec![field("n", list)])));
        },
    );
    fails(
        ".fields = set!(.fields, [\"a\", 1000000000], 1)",
        "an index is at most 1000",
    );
    fails(
        ".fields = set!(.fields, [\"a\", -1000000000], 1)",
        "an index is at most 1000",
    );
    fails(
        r#".fields = set!(.fields, split("a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a", "."), 1)"#,
        "at most 32 parts",
    );
}
