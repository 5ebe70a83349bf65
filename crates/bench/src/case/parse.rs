//! Parsing alone, on one core: our grammar beside the crate syslog_loose, which is told the RFC that it will see, its
//! fastest way.

use std::hint::black_box;
use std::time::{Duration, Instant};

use event::{BatchId, Frame, FrameDefects, Grammar, GrammarOptions, Timestamp};
use serde_json::{Map, json};
use syslog_loose::Variant;

use super::{Case, Outcome, tell};
use crate::line::{Line, Target};
use crate::place::Place;
use crate::route::to_f64;
use crate::series::{Run, Series};

/// How long each is measured in a round: both are measured one right after the other.
const SLICE: Duration = Duration::from_millis(400);
/// Passes over the lines between two looks at the clock.
const PASSES: u32 = 200;

/// 2026-11-21T09:00:01Z.
const RECEIVED_AT: Timestamp = Timestamp::from_micros(1_795_251_601_000_000);
const YEAR: i32 = 2026;

const RFC5424: &[&str] = &[
    "<134>1 2026-11-21T10:00:00.123456+01:00 web-17.example.com nginx 28471 access - GET /api/v1/orders/8231 HTTP/1.1 200 5312 0.048 upstream=10.0.3.17:8080 request_id=9f1c2d7e4b5a68079f1c2d7e ua=curl/8.5",
    "<86>1 2026-11-21T09:00:00.5Z vpn-03 sshd 29701 - - Failed password for invalid user backup from 10.0.121.165 port 35085 ssh2",
    "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"] An application event log entry",
    "<28>1 2026-11-21T09:00:00Z db-03 systemd 1 - - logrotate.service: Deactivated successfully.",
];
const RFC3164: &[&str] = &[
    "<38>Nov 21 10:00:00 web-17 sshd[24200]: Failed password for invalid user webmaster from 192.0.2.186 port 38926 ssh2",
    "<13>Nov  1 09:59:59 db-03 postgres[17789]: duration: 1380.836 ms  statement: SELECT * FROM invoices WHERE id = 3667413",
    "<30>Nov 21 10:00:00 vpn-03 dhcpd: DHCPACK on 10.15.238.62 to 52:54:00:ac:e9:cd (mail-03) via eth0",
    "<4>Nov 21 10:00:00 edge-06 kernel: [UFW BLOCK] IN=eth0 OUT= SRC=10.13.218.222 DST=10.3.142.231 LEN=1201 TTL=123",
];

const KINDS: [(&str, &[&str], Variant); 2] = [
    ("RFC 5424", RFC5424, Variant::RFC5424),
    ("RFC 3164", RFC3164, Variant::RFC3164),
];

/// What parsing is to be, beside the crate.
const RATIO: f64 = 2.0;

pub(super) fn measure(place: &Place) -> anyhow::Result<Outcome> {
    let mut lines = Vec::new();
    let mut details = Map::new();
    for (name, texts, variant) in KINDS {
        let (mut ours, mut theirs) = (Series::default(), Series::default());
        for round in 1..=place.measuring.runs {
            ours.push(run(logferry(texts)));
            theirs.push(run(syslog_loose(texts, variant)));
            if let (Some(mine), Some(other)) = (ours.last(), theirs.last()) {
                tell(round, &format!("{name}: logferry"), mine, "/s");
                tell(round, &format!("{name}: syslog_loose"), other, "/s");
            }
        }
        lines.push(Line {
            reference: theirs.spread().map(|spread| spread.median),
            ratio: ours.over(&theirs),
            ..Line::alone(
                format!("parse {name}, one core | crate syslog_loose"),
                "/s",
                super::median(ours.values())?,
            )
            .reaching(Target::Ratio(RATIO))
        });
        details.insert(format!("{name} logferry"), ours.to_json());
        details.insert(format!("{name} syslog_loose"), theirs.to_json());
    }
    Ok(Outcome {
        case: Case::Parse,
        lines,
        usage: Vec::new(),
        details,
    })
}

/// Our grammar on both kinds of line.
pub(super) fn once() -> anyhow::Result<Run> {
    let rates = KINDS.map(|(_, texts, _)| logferry(texts));
    super::median(rates.to_vec()).map(run)
}

fn run(per_second: f64) -> Run {
    Run {
        value: per_second,
        usage: Vec::new(),
        details: json!({}),
    }
}

fn logferry(texts: &[&str]) -> f64 {
    let grammar = Grammar::new(GrammarOptions {
        time_zone: jiff::tz::TimeZone::UTC,
    });
    let source = BatchId::mint();
    per_second(texts, |text| {
        let frame = Frame {
            position: 0,
            received_at: RECEIVED_AT,
            peer_addr: "192.0.2.1:40000",
            tls_peer: None,
            defects: FrameDefects::empty(),
            bytes: text.as_bytes(),
        };
        black_box(grammar.parse(black_box(&frame), source, "tcp"));
    })
}

fn syslog_loose(texts: &[&str], variant: Variant) -> f64 {
    per_second(texts, |text| {
        black_box(syslog_loose::parse_message_with_year(
            black_box(text),
            |_| YEAR,
            variant,
        ));
    })
}

fn per_second(texts: &[&str], mut parse: impl FnMut(&str)) -> f64 {
    let mut pass = || texts.iter().for_each(|text| parse(text));
    // Caches and branch predictors get to know the lines.
    (0..PASSES).for_each(|_| pass());
    let (start, mut passes) = (Instant::now(), 0_u64);
    while start.elapsed() < SLICE {
        (0..PASSES).for_each(|_| pass());
        passes += u64::from(PASSES);
    }
    let lines = passes * u64::try_from(texts.len()).unwrap_or(1);
    to_f64(lines) / start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_understand_every_line() {
        let grammar = Grammar::new(GrammarOptions {
            time_zone: jiff::tz::TimeZone::UTC,
        });
        for (name, texts, variant) in KINDS {
            for text in texts {
                let frame = Frame {
                    position: 0,
                    received_at: RECEIVED_AT,
                    peer_addr: "192.0.2.1:40000",
                    tls_peer: None,
                    defects: FrameDefects::empty(),
                    bytes: text.as_bytes(),
                };
                let ours = grammar.parse(&frame, BatchId::mint(), "tcp");
                let theirs = syslog_loose::parse_message_with_year(text, |_| YEAR, variant);
                assert!(ours.defects.is_empty(), "{name}: {text}");
                assert_eq!(ours.hostname.as_deref(), theirs.hostname, "{text}");
                assert_eq!(ours.app_name.as_deref(), theirs.appname, "{text}");
            }
        }
    }
}
