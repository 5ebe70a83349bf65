mod bounds;
mod failures;
mod fields;

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
fn local_variables_do_not_outlive_the_program() {
    let mut runner = chain(&[
        "if .severity == \"info\" { x = 1 }\n.fields.x = 1",
        "y = 2\n.fields.y = y",
    ])
    .runner();
    apply(&mut runner, sample());
    assert!(runner.runtime.is_empty());
}
