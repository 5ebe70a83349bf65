//! What rules cost for each event. `cargo bench -p rules`; the first line is the cost of the event itself.

use std::{borrow::Cow, hint::black_box};

use criterion::{Criterion, criterion_group, criterion_main};
use event::{BatchId, Event, EventId, Facility, Severity, Timestamp};
use rules::{ProgramSource, RuleChain};

const PROGRAMS: [(&str, &[&str]); 9] = [
    ("none", &[]),
    ("untouched", &["true"]),
    ("set_constant", &[r#".fields.site = "north""#]),
    (
        "drop_by_severity",
        &[r#"if .severity == "debug" { drop("debug") }"#],
    ),
    (
        "set_and_drop",
        &[".fields.user = .hostname\nif .severity == \"debug\" { drop(\"debug\") }"],
    ),
    ("route_and_tag", &[r#"route("audit"); tag("seen")"#]),
    (
        "search_message",
        &[r#"if contains(string!(.message), "Failed password") { tag("login") }"#],
    ),
    ("whole_event", &[".fields = {\"n\": length(.)}"]),
    (
        "four_programs",
        &[
            r#"if .app_name == "sshd" { .fields.service = "login" }"#,
            r#"if .severity == "err" { route("errors") }"#,
            ".fields.site = \"north\"",
            r#"if .hostname == "web1" { tag("web") }"#,
        ],
    ),
];

/// The 200-byte message of the benches, parsed.
fn event() -> Event<'static> {
    let received_at = Timestamp::from_micros(1_700_000_000_000_000);
    let id = EventId::derive(BatchId::mint(), 3, received_at);
    let text = |text| Some(Cow::Borrowed(text));
    Event {
        facility: Facility::new(4),
        severity: Severity::new(6),
        hostname: text("web1"),
        app_name: text("sshd"),
        procid: text("4711"),
        message: text(
            "Accepted publickey for deploy from 192.0.2.17 port 50122 ssh2: ED25519 SHA256:0123456789abcdefghij",
        ),
        ..Event::received(id, 3, received_at, "192.0.2.9:40000", "tcp")
    }
}

fn apply(criterion: &mut Criterion) {
    let event = event();
    criterion.bench_function("event", |bencher| bencher.iter(|| black_box(event.clone())));
    for (name, programs) in PROGRAMS {
        let sources: Vec<_> = programs
            .iter()
            .map(|source| ProgramSource {
                name,
                origin: name,
                source,
            })
            .collect();
        let chain = RuleChain::compile(&sources).expect("the programs above compile");
        let mut runner = chain.runner();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut event = event.clone();
                black_box(runner.apply(&mut event));
                black_box(event);
            });
        });
    }
}

criterion_group!(benches, apply);
criterion_main!(benches);
