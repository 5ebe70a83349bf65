//! `cargo bench -p event`: frames to events, beside the `syslog_loose` crate (told which RFC it will see, which is
//! its fastest way) and `serde_json`; and batches of 1,024 messages of 200 bytes, written and read.

use std::hint::black_box;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use event::{
    BatchId, Compression, Event, EventBatch, EventBatchBuilder, Frame, FrameDefects, Grammar, GrammarOptions,
    RawBatch, RawBatchBuilder, Timestamp,
};
use jiff::tz::TimeZone;
use syslog_loose::Variant;

/// 200 bytes, as the load generator sends them.
const RFC5424: &str = "<134>1 2026-11-21T10:00:00.123456+01:00 web-17.example.com nginx 28471 access - GET /api/v1/orders/8231 HTTP/1.1 200 5312 0.048 upstream=10.0.3.17:8080 request_id=9f1c2d7e4b5a68079f1c2d7e ua=curl/8.5";
const RFC5424_DATA: &str = "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"][examplePriority@32473 class=\"high\"] An application event log entry...";
const RFC3164: &str = "<38>Nov 21 10:00:00 web-17 sshd[24200]: Failed password for invalid user webmaster from 192.0.2.186 port 38926 ssh2";
const JSON: &str = r#"{"@timestamp":"2026-11-21T10:00:00.123Z","level":"info","host":"web-17","app":"orders","pid":28471,"msg":"order accepted","order":{"id":8231,"items":3,"total":53.12},"request_id":"9f1c2d7e4b5a6807"}"#;

/// The time at which all frames here arrive, 2026-11-21T09:00:01Z.
const RECEIVED_AT: Timestamp = Timestamp::from_micros(1_795_251_601_000_000);

const SIZE_MAX: usize = 1 << 20;

fn frame(line: &str) -> Frame<'_> {
    Frame {
        position: 0,
        received_at: RECEIVED_AT,
        peer_addr: "192.0.2.1:40000",
        tls_peer: None,
        defects: FrameDefects::empty(),
        bytes: line.as_bytes(),
    }
}

fn grammar(time_zone: &str) -> Grammar {
    let time_zone = TimeZone::get(time_zone).expect("a zone of the bundled database");
    Grammar::new(GrammarOptions { time_zone })
}

fn bench_grammar(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, grammar: &Grammar, line: &str) {
    let source = BatchId::mint();
    group.bench_function(format!("{name}/logferry"), |bencher| {
        bencher.iter(|| grammar.parse(black_box(&frame(line)), source, "tcp"));
    });
}

fn bench_syslog_loose(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, line: &str, variant: Variant) {
    group.bench_function(format!("{name}/syslog_loose"), |bencher| {
        bencher.iter(|| syslog_loose::parse_message_with_year(black_box(line), |_| 2026, variant));
    });
}

fn parse(criterion: &mut Criterion) {
    let utc = grammar("UTC");
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(1));
    bench_grammar(&mut group, "rfc5424", &utc, RFC5424);
    bench_syslog_loose(&mut group, "rfc5424", RFC5424, Variant::RFC5424);
    bench_grammar(&mut group, "rfc5424_structured_data", &utc, RFC5424_DATA);
    bench_syslog_loose(
        &mut group,
        "rfc5424_structured_data",
        RFC5424_DATA,
        Variant::RFC5424,
    );
    bench_grammar(&mut group, "rfc3164", &utc, RFC3164);
    bench_grammar(
        &mut group,
        "rfc3164_in_berlin",
        &grammar("Europe/Berlin"),
        RFC3164,
    );
    bench_syslog_loose(&mut group, "rfc3164", RFC3164, Variant::RFC3164);
    bench_grammar(&mut group, "json", &utc, JSON);
    group.bench_function("json/serde_json", |bencher| {
        bencher.iter(|| serde_json::from_str::<serde_json::Value>(black_box(JSON)));
    });
    group.finish();
}

fn raw_payload(compression: Compression) -> Vec<u8> {
    let mut builder = RawBatchBuilder::new(BatchId::mint(), "tcp");
    for number in 0..1024 {
        // Lines that are all the same would compress too well.
        let line = RFC5424
            .replace("8231", &format!("{:04}", number * 7))
            .replace("9f1c2d7e", &format!("{:08x}", number * 123_457));
        builder.push(
            RECEIVED_AT,
            "192.0.2.1:40000",
            None,
            FrameDefects::empty(),
            line.as_bytes(),
        );
    }
    builder.finish(compression)
}

fn read_raw(payload: &[u8], scratch: &mut Vec<u8>, mut each: impl FnMut(BatchId, Frame<'_>)) {
    let mut batch = RawBatch::decode(payload, scratch, SIZE_MAX).expect("a whole payload");
    while let Some(frame) = batch.next_frame().expect("a whole payload") {
        each(batch.id(), frame);
    }
}

fn write_events(
    payload: &[u8],
    scratch: &mut Vec<u8>,
    grammar: &Grammar,
    compression: Compression,
    keep_raw: bool,
) -> Vec<u8> {
    let mut builder = EventBatchBuilder::new(BatchId::mint(), BatchId::mint(), "tcp", "default");
    read_raw(payload, scratch, |id, frame| {
        let mut event = grammar.parse(&frame, id, "tcp");
        if !keep_raw {
            event.raw = None;
        }
        builder.push(&event);
    });
    builder.finish(compression)
}

fn batches(criterion: &mut Criterion) {
    let utc = grammar("UTC");
    let mut scratch = Vec::new();
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Elements(1024));
    for (name, compression) in [("plain", Compression::None), ("lz4", Compression::Lz4)] {
        let raw = raw_payload(compression);
        group.bench_function(format!("raw_write/{name}"), |bencher| {
            bencher.iter(|| {
                let mut builder = RawBatchBuilder::new(BatchId::mint(), "tcp");
                read_raw(&raw, &mut scratch, |_, frame| {
                    builder.push(
                        frame.received_at,
                        frame.peer_addr,
                        frame.tls_peer,
                        frame.defects,
                        frame.bytes,
                    );
                });
                builder.finish(compression)
            });
        });
        group.bench_function(format!("raw_read/{name}"), |bencher| {
            bencher.iter(|| {
                read_raw(&raw, &mut scratch, |_, frame| {
                    black_box(frame);
                });
            });
        });
        group.bench_function(format!("raw_to_events/{name}"), |bencher| {
            bencher.iter(|| write_events(&raw, &mut scratch, &utc, compression, false));
        });
        let events = write_events(&raw, &mut scratch, &utc, compression, false);
        group.bench_function(format!("events_read/{name}"), |bencher| {
            bencher.iter(|| {
                let mut batch = EventBatch::decode(&events, &mut scratch, SIZE_MAX).expect("a whole payload");
                while let Some(event) = batch.next_event().expect("a whole payload") {
                    drop::<Event<'_>>(black_box(event));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parse, batches);
criterion_main!(benches);
