//! `cargo bench -p event --bench format`: events to bytes, in every format, one event at a time into a kept buffer.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use event::{
    BatchId, Event, Frame, FrameDefects, Grammar, GrammarOptions, Timestamp,
    format::{Format, Template},
};
use jiff::tz::TimeZone;

/// 200 bytes, as the load generator sends them.
const PLAIN: &[u8] = b"<134>1 2026-11-21T10:00:00.123456+01:00 web-17.example.com nginx 28471 access - GET /api/v1/orders/8231 HTTP/1.1 200 5312 0.048 upstream=10.0.3.17:8080 request_id=9f1c2d7e4b5a68079f1c2d7e ua=curl/8.5";
const WITH_DATA: &[u8] = b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"][examplePriority@32473 class=\"high\"] An application event log entry...";

fn event(line: &'static [u8]) -> Event<'static> {
    let grammar = Grammar::new(GrammarOptions {
        time_zone: TimeZone::UTC,
    });
    let frame = Frame {
        position: 0,
        received_at: Timestamp::from_micros(1_795_251_601_000_000),
        peer_addr: "192.0.2.1:40000",
        tls_peer: None,
        defects: FrameDefects::empty(),
        bytes: line,
    };
    let mut event = grammar.parse(&frame, BatchId::mint(), "tcp");
    // As the parser leaves it by default.
    event.raw = None;
    event
}

fn formats() -> [(&'static str, Format); 7] {
    let template = Template::new("{timestamp} {hostname} {syslogtag} {message}");
    [
        ("json", Format::Json),
        ("msgpack", Format::Msgpack),
        ("ecs", Format::Ecs),
        ("rfc5424", Format::Rfc5424),
        ("rfc3164", Format::Rfc3164),
        ("rsyslog", Format::Rsyslog),
        (
            "template",
            Format::Template(template.expect("all names are known")),
        ),
    ]
}

fn format(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("format");
    group.throughput(Throughput::Elements(1));
    for (kind, line) in [("plain", PLAIN), ("structured_data", WITH_DATA)] {
        let event = event(line);
        for (name, format) in formats() {
            let mut out = Vec::with_capacity(4096);
            group.bench_function(format!("{name}/{kind}"), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    format.write(black_box(&event), &mut out);
                    out.len()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, format);
criterion_main!(benches);
