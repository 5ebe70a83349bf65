use std::borrow::Cow;

use event::{BatchId, EventId, EventTime, Facility, SdElement, SdParam, Severity};
use jiff::tz::TimeZone;

use super::*;
use crate::{FieldNames, Options, parse};

/// 2026-11-21T10:02:11Z.
const NOW: Timestamp = Timestamp::from_micros(1_795_255_331_000_000);

fn event() -> Event<'static> {
    let received_at = Timestamp::from_micros(NOW.as_micros() - 60_000_000);
    let id = EventId::derive(BatchId::mint(), 0, received_at);
    let sent = Timestamp::from_micros(received_at.as_micros() - 2_500_000);
    let text = |text: &'static str| Cow::Borrowed(text);
    Event {
        severity: Severity::new(3),
        facility: Facility::new(4),
        timestamp: Some(EventTime::utc(sent)),
        hostname: Some(text("Web-01")),
        app_name: Some(text("sshd")),
        message: Some(text("Failed password for ÉVE from 10.0.0.7\nagain")),
        structured_data: vec![SdElement {
            id: text("origin@32473"),
            params: vec![SdParam {
                name: text("ip"),
                value: text("10.0.0.1"),
            }],
        }],
        tags: vec![text("auth"), text("Login")],
        fields: vec![
            (text("status"), Value::Integer(500)),
            (text("name"), Value::String(text("Alice"))),
            (text("none"), Value::Null),
            (
                text("list"),
                Value::Array(vec![Value::Integer(7), Value::String(text("x"))]),
            ),
            (text("http"), Value::Object(vec![(text("ok"), Value::Bool(true))])),
            (text("ratio"), Value::Float(0.5)),
        ],
        ..Event::received(id, 0, received_at, "10.2.3.4:514", "relp")
    }
}

#[track_caller]
fn check(yes: &[&str], no: &[&str]) {
    let options = Options {
        fields: FieldNames::new(["status", "name", "list", "http.ok"]),
        zone: TimeZone::UTC,
        now: NOW,
    };
    let event = event();
    for (queries, expected) in [(yes, true), (no, false)] {
        for text in queries {
            let query = parse(text, &options)
                .unwrap_or_else(|problem| panic!("{text}: {problem:?}"))
                .query;
            assert_eq!(query.matcher(NOW).matches(&event), expected, "{text}");
            let complement = Query::new(query.expr().clone().negated());
            assert_eq!(complement.matcher(NOW).matches(&event), !expected, "-({text})");
        }
    }
}

#[test]
fn text_is_found_in_the_line_as_shown() {
    check(
        &[
            "",
            "failed",
            "PASSWORD",
            "web-0",
            "ssh",
            "\"éve from\"",
            "fail*éve",
            "fa?led",
            "password*again",
            "/Failed p/",
        ],
        &["alice", "\"failed  password\"", "/failed p/", "fai?led", "relp"],
    );
    check(
        &[
            "message:password",
            "message:(x, failed)",
            "message:/7$/i OR failed",
        ],
        &["message:sshd", "message:web-01"],
    );
}

#[test]
fn fields_are_compared_as_a_whole() {
    check(
        &[
            "host:web-01",
            "host:web*",
            "host:(a, WEB-01)",
            "host:/^Web/",
            "app:*",
            "-procid:*",
            "listener:relp",
        ],
        &[
            "host:web",
            "host:/^web/",
            "procid:*",
            "procid:1",
            "app:ss",
            "host:\"\"",
        ],
    );
    check(
        &["tag:auth", "tag:login", "tags:*", "tag:(x, auth)"],
        &["tag:aut", "tag:x"],
    );
    check(
        &[
            "sd.\"origin@32473\".ip:10.0.0.1",
            "sd.\"origin@32473\":*",
            "sd.\"origin@32473\".ip:*",
        ],
        &[
            "sd.\"origin@32473\".ip:10.0.0.2",
            "sd.x.ip:*",
            "sd.\"origin@32473\".x:*",
        ],
    );
}

#[test]
fn custom_fields_are_texts_numbers_and_lists() {
    check(
        &[
            "status:500",
            "fields.status:\"500\"",
            "status>=500",
            "status:400..500",
            "name:alice",
            "list:x",
            "list:7",
            "list>6",
            "http.ok:true",
            "fields.ratio:0.5",
            "fields.ratio<1",
            "status:5*",
            "http.ok:*",
            "-fields.none:*",
        ],
        &[
            "status:50",
            "status>500",
            "name>1",
            "list:8",
            "list>7",
            "fields.none:*",
            "fields.http:true",
            "fields.a.b:1",
        ],
    );
}

#[test]
fn order_is_by_meaning() {
    check(
        &[
            "severity>=warning",
            "severity:err",
            "severity<=3",
            "severity:warning..crit",
            "fac:auth",
            "fac:(4, mail)",
        ],
        &["severity>err", "severity<err", "fac:mail"],
    );
    check(
        &[
            "lag>2s",
            "lag:2s..3s",
            "time>=-2m",
            "received:-2m..now",
            "time:10:01",
            "received:2026-11-21",
        ],
        &[
            "lag>3s",
            "lag<0s",
            "time>=-10s",
            "time:10:02",
            "received<2026-11-21",
        ],
    );
    check(
        &["peer:10.2.0.0/16", "peer:(1.1.1.1, 10.2.3.4)"],
        &["peer:10.3.0.0/16", "peer:::1"],
    );
}

#[test]
fn what_is_absent_is_in_the_complement() {
    let bare = Event::received(event().id, 0, NOW, "/dev/log", "unix");
    for text in [
        "-host:x",
        "-severity:err",
        "-lag>0s",
        "-status:5",
        "-peer:10.0.0.1",
        "-tag:x",
        "-error",
        "-time<-1d",
    ] {
        let query = parse(
            text,
            &Options {
                fields: FieldNames::new(["status"]),
                ..Options::default()
            },
        )
        .unwrap()
        .query;
        assert!(query.matcher(NOW).matches(&bare), "{text}");
    }
}

/// Lines as machines write them. Pasted as they are, or as one phrase, they find themselves.
const PASTED: &[&str] = &[
    "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure; logname= uid=0 euid=0 tty=NODEVssh",
    "Dec 10 06:55:46 LabSZ sshd[24200]: reverse mapping checking getaddrinfo for ns.marryaldkfaczcz.com [173.234.31.186] failed - POSSIBLE BREAK-IN ATTEMPT!",
    "10.1.2.3 - - [21/Nov/2026:10:00:00 +0000] \"GET /a/b?c=1&d=2 HTTP/1.1\" 200 512 \"-\" \"curl/8.0\"",
    "%LINK-3-UPDOWN: Interface GigabitEthernet1/0/6, changed state to up",
    "[ 0.000000] BIOS-e820: 0000000000000000 - 000000000009f000 (usable)",
    "kernel: usb 1-3: new high-speed USB device number 4 using xhci_hcd",
    "CORP\\alice logged on from C:\\Windows\\System32 (it's fine)",
    "java.lang.IllegalStateException: a->b => c <x> {y} [z]",
    "query took 22:52:12.003 --force key=\"a b\" $HOME ~root #7 100% a|b ^c",
    "{\"level\":\"info\",\"msg\":\"done\",\"n\":[1,2]}",
    "ee:db:65:0a:11:ff http://x/?a=1 std::vector<int> ::1 :) ;-)",
];

#[test]
fn pasted_lines_find_themselves() {
    for line in PASTED {
        let mut event = event();
        event.message = Some(Cow::Borrowed(line));
        for text in [(*line).to_owned(), crate::print::phrase(line)] {
            let query = parse(&text, &Options::default())
                .unwrap_or_else(|problem| panic!("{text}: {problem:?}"))
                .query;
            assert!(query.matcher(NOW).matches(&event), "{text}: {}", query.reading());
        }
    }
}
