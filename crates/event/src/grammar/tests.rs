//! Table tests of the grammar: what each line says, written out by [`describe`].

use super::*;
use crate::{FrameDefects, Timestamp, Value};

/// 2026-11-21T12:00:00Z.
const RECEIVED_AT: i64 = 1_795_262_400_000_000;

fn parse<'a>(grammar: &Grammar, line: &'a [u8]) -> Event<'a> {
    let frame = Frame {
        position: 0,
        received_at: Timestamp::from_micros(RECEIVED_AT),
        peer_addr: "192.0.2.1:40000",
        tls_peer: None,
        defects: FrameDefects::empty(),
        bytes: line,
    };
    let event = grammar.parse(&frame, BatchId::from_uuid(uuid::Uuid::nil()), "tcp");
    assert_eq!(event.raw.as_deref(), Some(line));
    event
}

/// What is present, one `name=value` after the other, in a fixed order.
fn describe(event: &Event<'_>) -> String {
    let mut parts = Vec::new();
    if let (Some(facility), Some(severity)) = (event.facility, event.severity) {
        parts.push(format!("{facility}.{severity}"));
    }
    parts.extend(event.timestamp.map(|time| time.to_string()));
    let texts = [
        ("host", &event.hostname),
        ("app", &event.app_name),
        ("procid", &event.procid),
        ("msgid", &event.msgid),
    ];
    for (name, text) in texts {
        parts.extend(text.as_ref().map(|text| format!("{name}={text}")));
    }
    for element in &event.structured_data {
        let params = element
            .params
            .iter()
            .map(|param| format!(" {}={:?}", param.name, param.value));
        parts.push(format!("[{}{}]", element.id, params.collect::<String>()));
    }
    if event.has_bom {
        parts.push("BOM".to_owned());
    }
    parts.extend(event.message.as_ref().map(|message| format!("msg={message:?}")));
    parts.extend(event.tags.iter().map(|tag| format!("#{tag}")));
    parts.extend(
        event
            .fields
            .iter()
            .map(|(name, value)| format!("{name}:{}", show(value))),
    );
    parts.extend(event.defects.words().map(|word| format!("!{word}")));
    parts.join(" ")
}

fn show(value: &Value<'_>) -> String {
    let list = |parts: Vec<String>| parts.join(",");
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Unsigned(value) => format!("{value}u"),
        Value::Float(value) => format!("{value:?}"),
        Value::String(value) => format!("{value:?}"),
        Value::Array(items) => format!("[{}]", list(items.iter().map(show).collect())),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{name}:{}", show(value)));
            format!("{{{}}}", list(members.collect()))
        }
    }
}

#[track_caller]
fn check(line: impl AsRef<[u8]>, expected: &str) {
    check_in("UTC", line, expected);
}

#[track_caller]
fn check_in(time_zone: &str, line: impl AsRef<[u8]>, expected: &str) {
    let time_zone = TimeZone::get(time_zone).unwrap();
    let grammar = Grammar::new(GrammarOptions { time_zone });
    assert_eq!(describe(&parse(&grammar, line.as_ref())), expected);
}

#[test]
fn rfc_5424_examples() {
    check(
        "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8",
        r#"auth.crit 2003-10-11T22:14:15.003Z host=mymachine.example.com app=su msgid=ID47 BOM msg="'su root' failed for lonvick on /dev/pts/8""#,
    );
    check(
        "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
        r#"local4.notice 2003-08-24T05:14:15.000003-07:00 host=192.0.2.1 app=myproc procid=8710 msg="%% It's time to make the do-nuts.""#,
    );
    check(
        "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"] \u{feff}An application event log entry...",
        r#"local4.notice 2003-10-11T22:14:15.003Z host=mymachine.example.com app=evntslog msgid=ID47 [exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"] BOM msg="An application event log entry...""#,
    );
    check(
        "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"][examplePriority@32473 class=\"high\"]",
        r#"local4.notice 2003-10-11T22:14:15.003Z host=mymachine.example.com app=evntslog msgid=ID47 [exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"] [examplePriority@32473 class="high"]"#,
    );
}

#[test]
fn rfc_5424_nil_and_empty() {
    check("<0>1 - - - - - -", "kern.emerg");
    check("<191>1 - - - - - - ", "local7.debug");
    check("<13>1 - - - - - -  two spaces", "user.notice msg=\" two spaces\"");
    check("<13>1 - - - - - - \u{feff}", "user.notice BOM");
    check(
        "<13>1 - h a p m [x]",
        "user.notice host=h app=a procid=p msgid=m [x]",
    );
    check(
        r#"<13>1 - - - - - [x a="" a="1" a="1"][x] m"#,
        r#"user.notice [x a="" a="1" a="1"] [x] msg="m""#,
    );
}

#[test]
fn rfc_5424_escapes() {
    check(
        r#"<13>1 - - - - - [x a="\"\\\]" b="\n\\" c="]"] m"#,
        r#"user.notice [x a="\"\\]" b="\\n\\" c="]"] msg="m""#,
    );
}

#[test]
fn rfc_5424_timestamps() {
    check(
        "<13>1 1985-04-12T23:20:50.52Z - - - - -",
        "user.notice 1985-04-12T23:20:50.52Z",
    );
    check(
        "<13>1 1985-04-12T19:20:50.52-04:00 - - - - -",
        "user.notice 1985-04-12T19:20:50.52-04:00",
    );
    check(
        "<13>1 2026-11-21T10:00:00+00:00 - - - - -",
        "user.notice 2026-11-21T10:00:00+00:00",
    );
    check(
        "<13>1 2026-11-21T10:00:00.000000Z - - - - -",
        "user.notice 2026-11-21T10:00:00.000000Z",
    );
    // Digits past the sixth are below our clock's unit; the first nine are what most nanosecond clocks write.
    check(
        "<13>1 2026-11-21T10:00:00.123456789Z - - - - -",
        "user.notice 2026-11-21T10:00:00.123456Z",
    );
    check(
        "<13>1 2016-12-31T23:59:60Z - - - - -",
        "user.notice 2017-01-01T00:00:00Z",
    );
    check(
        "<13>1 2024-02-29T00:00:00Z - - - - -",
        "user.notice 2024-02-29T00:00:00Z",
    );
    check(
        "<13>1 0000-01-01T00:00:00+23:59 - - - - -",
        "user.notice 0000-01-01T00:00:00+23:59",
    );
    for bad in [
        "2023-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-11-00T00:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T00:60:00Z",
        "2026-11-21T00:00:61Z",
        "2026-11-21T00:00:00.Z",
        "2026-11-21T00:00:00+24:00",
        "2026-11-21T00:00:00ZZ",
        "2026-11-21",
        "2026-11-21T00:00:0\u{e9}Z",
    ] {
        check(
            format!("<13>1 {bad} h a - - - m"),
            r#"user.notice host=h app=a msg="m" !bad_timestamp"#,
        );
    }
}

#[test]
fn rfc_5424_broken() {
    check("<13>1 - h a", "user.notice host=h app=a !bad_header");
    check(
        "<13>1 - h a p m ",
        "user.notice host=h app=a procid=p msgid=m !bad_header",
    );
    check(
        "<13>1 - h  a p m - x",
        r#"user.notice host=h msg=" a p m - x" !bad_header"#,
    );
    check(
        "<13>1 - - - - - [] x",
        r#"user.notice msg="[] x" !bad_structured_data"#,
    );
    check(
        "<13>1 - - - - - -x",
        r#"user.notice msg="-x" !bad_structured_data"#,
    );
    check(
        "<13>1 - - - - - x y",
        r#"user.notice msg="x y" !bad_structured_data"#,
    );
    check(
        r#"<13>1 - - - - - [a b="c"][d e="f] x"#,
        r#"user.notice [a b="c"] msg="[d e=\"f] x" !bad_structured_data"#,
    );
    check(
        r#"<13>1 - - - - - [a b="c"]x y"#,
        r#"user.notice [a b="c"] msg="x y" !bad_structured_data"#,
    );
    check(
        r#"<13>1 - - - - - [a b="\"#,
        r#"user.notice msg="[a b=\"\\" !bad_structured_data"#,
    );
    let long = "h".repeat(300);
    check(
        format!("<13>1 - {long} a - - - m"),
        &format!(
            "user.notice host={} app=a msg=\"m\" !field_too_long",
            "h".repeat(255)
        ),
    );
}

#[test]
fn structured_data_has_a_bound() {
    let line = format!("<13>1 - - - - - {}[b] m", "[a]".repeat(1024));
    let grammar = Grammar::new(GrammarOptions::default());
    let event = parse(&grammar, line.as_bytes());
    assert_eq!(event.structured_data.len(), 1024);
    assert_eq!(event.message.as_deref(), Some("[b] m"));
    assert_eq!(event.defects, Defects::TOO_COMPLEX);
}

#[test]
fn text_that_is_none() {
    check(
        b"<13>1 - h - - - - caf\xe9\0!",
        "user.notice host=h msg=\"caf\u{fffd}\u{2400}!\" !invalid_utf8 !nul",
    );
    check("<13>1 - h - - - - x\0\r\n", r#"user.notice host=h msg="x""#);
    check("<13>1 - h - - - - a\nb\n", r#"user.notice host=h msg="a\nb""#);
}

#[test]
fn rfc_3164_examples() {
    check(
        "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
        r#"auth.crit 2026-10-11T22:14:15Z host=mymachine app=su msg="'su root' failed for lonvick on /dev/pts/8""#,
    );
    check("Use the BFG!", r#"msg="Use the BFG!" !no_priority !not_syslog"#);
    check(
        "<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!",
        r#"user.notice 2027-02-05T17:32:18Z host=10.0.0.99 msg="Use the BFG!""#,
    );
    check(
        "<165>Aug 24 05:34:00 CST 1987 mymachine myproc[10]: %% It's time to make the do-nuts.  %%  Ingredients: Mix=OK, Jelly=OK # Devices: Mixer=OK",
        r#"local4.notice 1987-08-24T05:34:00-06:00 host=mymachine app=myproc procid=10 msg="%% It's time to make the do-nuts.  %%  Ingredients: Mix=OK, Jelly=OK # Devices: Mixer=OK""#,
    );
    check(
        "<0>1990 Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org 10.1.2.3 sched[0]: That's All Folks!",
        r#"kern.emerg 1990-10-22T10:52:01-06:00 host=scapegoat.dmz.example.org msg="10.1.2.3 sched[0]: That's All Folks!""#,
    );
}

#[test]
fn priorities_that_are_none_are_text() {
    for text in [
        "<00>x", "<192>x", "<1a>x", "<>x", "<", "<13", "<999>x", "<013>x", "<-1>x",
    ] {
        check(text, &format!("msg={text:?} !no_priority !not_syslog"));
    }
    check("<13>", "user.notice");
    check("", "!no_priority !not_syslog");
    check("<13>x", r#"user.notice msg="x""#);
}

#[test]
fn rfc_3164_timestamps() {
    for (written, read) in [
        ("Nov 21 10:00:00", "2026-11-21T10:00:00Z"),
        ("Nov  1 10:00:00", "2026-11-01T10:00:00Z"),
        ("Nov 1 10:00:00", "2026-11-01T10:00:00Z"),
        ("Nov 01 10:00:00", "2026-11-01T10:00:00Z"),
        ("nov 21 10:00:00", "2026-11-21T10:00:00Z"),
        ("Nov 21 10:00:00.123", "2026-11-21T10:00:00.123Z"),
        ("Nov 21 10:00:00.123456789", "2026-11-21T10:00:00.123456Z"),
        ("Nov 21 10:00:00,5", "2026-11-21T10:00:00.5Z"),
        ("Nov 21 2025 10:00:00", "2025-11-21T10:00:00Z"),
        ("2025 Nov 21 10:00:00", "2025-11-21T10:00:00Z"),
        ("2025 Nov  1 10:00:00.25", "2025-11-01T10:00:00.25Z"),
        ("Nov 21 10:00:00 2025", "2025-11-21T10:00:00Z"),
        ("Sat Nov 21 10:00:00 2026", "2026-11-21T10:00:00Z"),
        ("Sat Nov 21 10:00:00 CET 2026", "2026-11-21T10:00:00+01:00"),
        ("Nov 21 10:00:00 UTC", "2026-11-21T10:00:00Z"),
        ("Nov 21 10:00:00 PST", "2026-11-21T10:00:00-08:00"),
        ("Nov 21 10:00:00 +0530", "2026-11-21T10:00:00+05:30"),
        ("Nov 21 10:00:00 -03:00", "2026-11-21T10:00:00-03:00"),
        ("Nov 21 10:00:00+01:00", "2026-11-21T10:00:00+01:00"),
        ("Nov 21 10:00:00 UTC+2", "2026-11-21T10:00:00+02:00"),
        ("Nov 21 10:00:00 GMT-11", "2026-11-21T10:00:00-11:00"),
        ("Nov 21 10:00:00 UTC+05:45", "2026-11-21T10:00:00+05:45"),
        ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"),
        (
            "2026-11-21T10:00:00.123456+01:00",
            "2026-11-21T10:00:00.123456+01:00",
        ),
        ("2026-11-21T10:00:00+0100", "2026-11-21T10:00:00+01:00"),
        ("2026-11-21T10:00:00", "2026-11-21T10:00:00Z"),
        ("2026-11-21 10:00:00,123", "2026-11-21T10:00:00.123Z"),
        ("2026-11-21 10:00:00 EST", "2026-11-21T10:00:00-05:00"),
        ("*Nov 21 10:00:00.123", "2026-11-21T10:00:00.123Z"),
        (".Nov 21 10:00:00.123", "2026-11-21T10:00:00.123Z"),
    ] {
        check(
            format!("<13>{written} web-1 app[7]: text"),
            &format!(r#"user.notice {read} host=web-1 app=app procid=7 msg="text""#),
        );
    }
}

#[test]
fn a_missing_year_is_the_nearest() {
    // Received on 2026-11-21T12:00:00Z.
    check("<13>Nov 22 10:00:00 h", "user.notice 2026-11-22T10:00:00Z host=h");
    check("<13>May 23 10:00:00 h", "user.notice 2026-05-23T10:00:00Z host=h");
    check("<13>May 22 11:00:00 h", "user.notice 2027-05-22T11:00:00Z host=h");
    check("<13>Jan  1 00:00:00 h", "user.notice 2027-01-01T00:00:00Z host=h");
    check("<13>Dec 31 23:59:59 h", "user.notice 2026-12-31T23:59:59Z host=h");
    check("<13>Feb 29 00:00:00 h", "user.notice 2028-02-29T00:00:00Z host=h");
}

#[test]
fn timestamps_without_a_zone_are_the_listener_s() {
    check_in(
        "Europe/Berlin",
        "<13>Nov 21 10:00:00 h",
        "user.notice 2026-11-21T10:00:00+01:00 host=h",
    );
    check_in(
        "Europe/Berlin",
        "<13>Jul 21 10:00:00 h",
        "user.notice 2026-07-21T10:00:00+02:00 host=h",
    );
    check_in(
        "Asia/Kolkata",
        "<13>Jul 21 10:00:00 IST h",
        "user.notice 2026-07-21T10:00:00+05:30 host=h",
    );
    check_in(
        "America/New_York",
        "<13>2026-07-21T10:00:00 h",
        "user.notice 2026-07-21T10:00:00-04:00 host=h",
    );
    check_in(
        "America/New_York",
        "<13>Jul 21 10:00:00 UTC h",
        "user.notice 2026-07-21T10:00:00Z host=h",
    );
    check_in(
        "America/New_York",
        "<13>1 2026-07-21T10:00:00 h a - - -",
        "user.notice 2026-07-21T10:00:00-04:00 host=h app=a",
    );
}

#[test]
fn timestamps_that_name_no_time() {
    for written in [
        "Nov 31 10:00:00",
        "Nov 00 10:00:00",
        "Nov 21 25:00:00",
        "2026-13-01T10:00:00Z",
        "2026-02-30 10:00:00",
    ] {
        check(
            format!("<13>{written} h a: text"),
            r#"user.notice host=h app=a msg="text" !bad_timestamp"#,
        );
    }
    // These have no shape of a timestamp, so they are text.
    for text in [
        "Nov 2110:00:00",
        "Nov 21 10:00",
        "Nov",
        "2026-11-21",
        "Now 21 10:00:00 h",
        "Nov 21 10:00:000 h",
    ] {
        check(format!("<13>{text}"), &format!("user.notice msg={text:?}"));
    }
}

#[test]
fn rfc_3164_hosts() {
    let header = "<13>Nov 21 10:00:00";
    let time = "user.notice 2026-11-21T10:00:00Z";
    for host in [
        "web-1",
        "web_1.example.com",
        "10.0.0.1",
        "2001:db8::1",
        "fe80::1%eth0",
        "10.0.0.1/10.0.0.2",
        "src@relay",
        "h\u{f6}st",
        "LabSZ",
        "PC",
    ] {
        check(
            format!("{header} {host} a: text"),
            &format!(r#"{time} host={host} app=a msg="text""#),
        );
        check(
            format!("{header} {host} plain text"),
            &format!(r#"{time} host={host} msg="plain text""#),
        );
        check(format!("{header} {host}"), &format!("{time} host={host}"));
    }
    // Without a host name.
    check(
        format!("{header} sshd[12]: text"),
        &format!(r#"{time} app=sshd procid=12 msg="text""#),
    );
    check(
        format!("{header} su: text"),
        &format!(r#"{time} app=su msg="text""#),
    );
    check(format!("{header} su:"), &format!("{time} app=su"));
    check(
        format!("{header} CRON: text"),
        &format!(r#"{time} app=CRON msg="text""#),
    );
    check(
        format!("{header} \"quoted\" text"),
        &format!(r#"{time} msg="\"quoted\" text""#),
    );
    check(format!("{header} --- text"), &format!(r#"{time} msg="--- text""#));
    check(header, time);
    check(format!("{header} "), time);
}

#[test]
fn rfc_3164_tags() {
    let header = "<13>Nov 21 10:00:00 h";
    let time = "user.notice 2026-11-21T10:00:00Z host=h";
    for (content, expected) in [
        ("sshd[123]: text", r#"app=sshd procid=123 msg="text""#),
        ("sshd[123]:text", r#"app=sshd procid=123 msg="text""#),
        ("sshd[123]:  text", r#"app=sshd procid=123 msg=" text""#),
        (
            "sshd(pam_unix)[19939]: text",
            r#"app=sshd(pam_unix) procid=19939 msg="text""#,
        ),
        (
            "postfix/smtpd[7]: text",
            r#"app=postfix/smtpd procid=7 msg="text""#,
        ),
        ("/usr/bin/a.out: text", r#"app=/usr/bin/a.out msg="text""#),
        ("App::Model[1]: text", r#"app=App::Model procid=1 msg="text""#),
        (
            "com.example.launchd[1] (com.example.job[2]): text",
            r#"app=com.example.launchd procid=1 msg="(com.example.job[2]): text""#,
        ),
        ("app[worker-3]: text", r#"app=app procid=worker-3 msg="text""#),
        ("app[]: text", r#"msg="app[]: text""#),
        ("list[a] text", r#"msg="list[a] text""#),
        ("http://example.com text", r#"msg="http://example.com text""#),
        ("two words: text", r#"msg="two words: text""#),
        (
            "last message repeated 3 times",
            r#"msg="last message repeated 3 times""#,
        ),
        (": text", r#"msg=": text""#),
        ("app: ", "app=app"),
    ] {
        check(format!("{header} {content}"), &format!("{time} {expected}"));
    }
    check(
        "<13>Nov 21 10:00:00 last message repeated 3 times",
        r#"user.notice 2026-11-21T10:00:00Z msg="last message repeated 3 times""#,
    );
    let long = "t".repeat(129);
    check(
        format!("{header} {long}: text"),
        &format!(r#"{time} msg="{long}: text""#),
    );
    // Without a timestamp.
    check(
        "<13>sshd[123]: text",
        r#"user.notice app=sshd procid=123 msg="text""#,
    );
    check("<13>1 apple: text", r#"user.notice msg="1 apple: text""#);
}

#[test]
fn no_priority() {
    check(
        "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure",
        r#"2026-06-14T15:16:01Z host=combo app=sshd(pam_unix) procid=19939 msg="authentication failure" !no_priority"#,
    );
    check(
        "2026-11-21T10:00:00.123456+01:00 web-1 app[7]: text",
        r#"2026-11-21T10:00:00.123456+01:00 host=web-1 app=app procid=7 msg="text" !no_priority"#,
    );
    // Log files of applications name no host.
    check(
        "2026-11-21 10:00:00,123 INFO started",
        r#"2026-11-21T10:00:00.123Z msg="INFO started" !no_priority"#,
    );
    check(
        "1 2003-10-11T22:14:15.003Z h su - ID47 - text",
        r#"2003-10-11T22:14:15.003Z host=h app=su msgid=ID47 msg="text" !no_priority"#,
    );
    check("error: text", r#"msg="error: text" !no_priority !not_syslog"#);
}

#[test]
fn kernel_lines() {
    check(
        "<4>Nov 21 10:00:00 h kernel: [12345.678901] usb 1-1: new device",
        r#"kern.warning 2026-11-21T10:00:00Z host=h app=kernel msg="usb 1-1: new device" uptime_s:12345.678901"#,
    );
    check(
        "<4>kernel: [    1.000000] text",
        r#"kern.warning app=kernel msg="text" uptime_s:1.0"#,
    );
    check(
        "<4>[    1.000000] text",
        r#"kern.warning app=kernel msg="text" uptime_s:1.0"#,
    );
    check(
        "[    1.000000] text",
        r#"app=kernel msg="text" uptime_s:1.0 !no_priority"#,
    );
    check(
        "<4>Nov 21 10:00:00 h kernel: text",
        r#"kern.warning 2026-11-21T10:00:00Z host=h app=kernel msg="text""#,
    );
    check("<4>[1.2.3] text", r#"kern.warning msg="[1.2.3] text""#);
    check("[error] text", r#"msg="[error] text" !no_priority !not_syslog"#);
}

#[test]
fn cisco_lines() {
    let config = r#"app=SYS msgid=SYS-5-CONFIG_I msg="Configured from console""#;
    for (line, expected) in [
        ("<189>123: *Nov 21 10:00:00.123 UTC: %SYS-5-CONFIG_I: Configured from console", format!("local7.notice 2026-11-21T10:00:00.123Z {config} sequence:123")),
        ("<189>123: router1: *Nov 21 10:00:00.123: %SYS-5-CONFIG_I: Configured from console", format!("local7.notice 2026-11-21T10:00:00.123Z host=router1 {config} sequence:123")),
        ("<189>123: router1: 000456: .Nov 21 10:00:00: %SYS-5-CONFIG_I: Configured from console", format!("local7.notice 2026-11-21T10:00:00Z host=router1 {config} sequence:456")),
        ("<189>123: %SYS-5-CONFIG_I: Configured from console", format!("local7.notice {config} sequence:123")),
        ("<189>%SYS-5-CONFIG_I: Configured from console", format!("local7.notice {config}")),
        ("<189>: 2026 Nov 21 10:00:00 UTC: %SYS-5-CONFIG_I: Configured from console", format!("local7.notice 2026-11-21T10:00:00Z {config}")),
        ("<189>45: Nov 21 10:00:00.123 SAST: %SYS-5-CONFIG_I: Configured from console", format!("local7.notice 2026-11-21T10:00:00.123Z {config} sequence:45")),
        ("<189>Nov 21 10:00:00 10.0.0.1 45: *Mar  1 00:01:09.123: %SYS-5-CONFIG_I: Configured from console", format!("local7.notice 2026-11-21T10:00:00Z host=10.0.0.1 {config} sequence:45")),
        ("*Nov 21 10:00:00.123 UTC: %SYS-5-CONFIG_I: Configured from console", format!("2026-11-21T10:00:00.123Z {config} !no_priority")),
        ("<189>123: RP/0/RSP0/CPU0:Nov 21 10:00:00.123 : config[65841]: %MGBL-SYS-5-CONFIG_I : Configured from console", r#"local7.notice 2026-11-21T10:00:00.123Z host=RP/0/RSP0/CPU0 app=config procid=65841 msgid=MGBL-SYS-5-CONFIG_I msg="Configured from console" sequence:123"#.to_owned()),
    ] {
        check(line, &expected);
    }
    let asa = r#"app=ASA msgid=ASA-6-302013 msg="Built inbound TCP""#;
    for header in [
        "<166>",
        "<166>Nov 21 2026 10:00:00: ",
        "<166>:Nov 21 10:00:00 UTC: ",
        "<166>Nov 21 2026 10:00:00 fw01 : ",
        "<166>Nov 21 2026 10:00:00 fw01: ",
        "<166>Nov 21 10:00:00 fw01 ",
    ] {
        let mut expected = "local4.info".to_owned();
        expected += if header.contains("Nov") {
            " 2026-11-21T10:00:00Z"
        } else {
            ""
        };
        expected += if header.contains("fw01") { " host=fw01" } else { "" };
        check(
            format!("{header}%ASA-6-302013: Built inbound TCP"),
            &format!("{expected} {asa}"),
        );
    }
    // Severity without a priority; the facility stays unknown.
    let grammar = Grammar::new(GrammarOptions::default());
    let event = parse(&grammar, b"%ASA-3-710003: text");
    assert_eq!(event.severity.map(|severity| severity.code()), Some(3));
    for text in [
        "%% no",
        "%SYS: no",
        "%SYS-9-X: no",
        "%-1-X: no",
        "123: no",
        "50% of 1-2-3: no",
        "*: no",
    ] {
        check(format!("<13>{text}"), &format!("user.notice msg={text:?}"));
    }
}

#[test]
fn json_objects() {
    check(
        r#"{"timestamp":"2026-11-21T10:00:00.5+01:00","facility":"local0","severity":"err","hostname":"h","app_name":"a","procid":"p","msgid":"m","message":"text","tags":["x","y"],"structured_data":{"s@1":{"k":"v","l":["1","2"]}},"fields":{"n":1},"other":true}"#,
        r##"local0.err 2026-11-21T10:00:00.5+01:00 host=h app=a procid=p msgid=m [s@1 k="v" l="1" l="2"] msg="text" #x #y n:1 other:true"##,
    );
    check(r#"<13>{"message":"text"}"#, r#"user.notice msg="text""#);
    check(r#"  { "message" : "text" }  "#, r#"msg="text""#);
    check("\u{feff}{}\n", "");
    // Of what senders must not set, nothing is set.
    check(
        r#"{"id":"x","received_at":"y","peer_addr":"z","listener":"l","raw":"r","defects":["nul"]}"#,
        r#"id:"x" received_at:"y" peer_addr:"z" listener:"l" raw:"r" defects:["nul"]"#,
    );
}

#[test]
fn json_aliases() {
    for (line, expected) in [
        // bunyan, pino, zap, Elastic Common Schema, GELF, journald, Docker, rsyslog
        (
            r#"{"name":"n","hostname":"h","pid":123,"level":30,"msg":"text","time":"2026-11-21T10:00:00.000Z","v":0}"#,
            r#"2026-11-21T10:00:00.000Z host=h procid=123 msg="text" name:"n" v:0"#,
        ),
        (
            r#"{"level":50,"time":1795255200123,"pid":1,"hostname":"h","msg":"text"}"#,
            r#"2026-11-21T10:00:00.123Z host=h procid=1 msg="text""#,
        ),
        (
            r#"{"level":"warn","ts":1795255200.25,"caller":"a.go:1","msg":"text"}"#,
            r#"2026-11-21T10:00:00.250000Z msg="text" caller:"a.go:1""#,
        ),
        (
            r#"{"@timestamp":"2026-11-21T10:00:00Z","log.level":"INFO","host":{"name":"h"},"service.name":"s","message":"text"}"#,
            r#"2026-11-21T10:00:00Z app=s msg="text" host:{name:"h"}"#,
        ),
        (
            r#"{"version":"1.1","host":"h","short_message":"text","timestamp":1795255200,"level":3,"_x":1}"#,
            r#"2026-11-21T10:00:00Z host=h msg="text" version:"1.1" _x:1"#,
        ),
        (
            r#"{"MESSAGE":"text","PRIORITY":"6","SYSLOG_FACILITY":"3","_HOSTNAME":"h","SYSLOG_IDENTIFIER":"a","_PID":"1","__REALTIME_TIMESTAMP":"1795255200000001"}"#,
            r#"daemon.info 2026-11-21T10:00:00.000001Z host=h app=a procid=1 msg="text""#,
        ),
        (
            r#"{"log":"text\n","stream":"stdout","time":"2026-11-21T10:00:00.123456789Z"}"#,
            r#"2026-11-21T10:00:00.123456Z msg="text" stream:"stdout""#,
        ),
        (
            r#"{"msg":"text","pri":34,"programname":"a"}"#,
            r#"auth.crit app=a msg="text""#,
        ),
    ] {
        check(line, expected);
    }
    let grammar = Grammar::new(GrammarOptions::default());
    for (level, code) in [
        ("\"warn\"", 4),
        ("\"Information\"", 6),
        ("\"3\"", 3),
        ("7", 7),
        ("10", 7),
        ("30", 6),
        ("60", 2),
    ] {
        let line = format!(r#"{{"level":{level}}}"#);
        assert_eq!(
            parse(&grammar, line.as_bytes())
                .severity
                .map(|severity| severity.code()),
            Some(code)
        );
    }
    // Our own names go first, then the order of coming; what is left over stays visible.
    check(r#"{"msg":"a","message":"b"}"#, r#"msg="b" msg:"a""#);
    check(r#"{"msg":"a","log":"b"}"#, r#"msg="a" log:"b""#);
    // Values of another kind stay visible, absent ones are absent.
    check(
        r#"{"message":1,"hostname":["h"],"severity":"odd","facility":99,"timestamp":"soon","time":12.5,"tags":[1],"fields":[],"structured_data":{"a b":{}},"level":25}"#,
        r#"message:1 hostname:["h"] severity:"odd" facility:99 timestamp:"soon" time:12.5 tags:[1] fields:[] structured_data:{a b:{}} level:25"#,
    );
    check(
        r#"{"message":"","hostname":null,"app_name":"-","msg":"-"}"#,
        r#"msg="-""#,
    );
}

#[test]
fn json_values() {
    check(
        r#"{"a":0,"b":-1,"c":9223372036854775807,"d":18446744073709551615,"e":-9223372036854775808,"f":18446744073709551616,"g":1.5,"h":1e3,"i":1e999,"j":null,"k":[],"l":{},"m":[1,[2]]}"#,
        r#"a:0 b:-1 c:9223372036854775807 d:18446744073709551615u e:-9223372036854775808 f:"18446744073709551616" g:1.5 h:1000.0 i:"1e999" j:null k:[] l:{} m:[1,[2]]"#,
    );
    check(r#"{"a":1,"b":2,"a":3}"#, "b:2 a:3");
    check(r#"{"a":{"x":1,"x":2},"msg":"1","msg":"2"}"#, r#"msg="2" a:{x:2}"#);
    check(
        r#"{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00","\u0062":""}"#,
        "a:\"\\\"\\\\/\\u{8}\\u{c}\\n\\r\\t\u{e9}\u{1f600}\" b:\"\"",
    );
    check(r#"{"a":"\u0000"}"#, "a:\"\u{2400}\" !nul");
    check(r#"{"a":"\ud83dx"}"#, "a:\"\u{fffd}x\" !invalid_utf8");
    check(r#"{"a":"\ud83d\u0041"}"#, "a:\"\u{fffd}A\" !invalid_utf8");
    check(b"{\"a\":\"\xff\"}", "a:\"\u{fffd}\" !invalid_utf8");
    check("{\"a\":\"tab\there\"}", r#"a:"tab\there""#);
}

#[test]
fn json_of_many_members_keeps_the_last_of_equal_names() {
    let members = (0..100).map(|number| format!(r#""k{}":{number}"#, number % 50));
    let line = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    let expected = (50..100).map(|number| format!("k{}:{number}", number - 50));
    check(line, &expected.collect::<Vec<_>>().join(" "));
}

#[test]
fn json_that_is_none() {
    for line in [
        "{",
        "{}x",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":-}",
        "{\"a\":1e}",
        "{\"a\":nul}",
        "{\"a\":\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u00g0\"}",
        "{\"a\":\"\\u00",
        "{\"a\":[1 2]}",
        "{\"a\":[1,]}",
        "{\"a\":\"\\",
        "{\"a\":NaN}",
        "{}{}",
    ] {
        check(line, &format!("msg={line:?} !bad_json"));
    }
}

#[test]
fn json_bounds() {
    let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let grammar = Grammar::new(GrammarOptions::default());
    assert!(
        parse(&grammar, nested(Value::DEPTH_MAX).as_bytes())
            .defects
            .is_empty()
    );
    for line in [
        nested(Value::DEPTH_MAX + 1),
        nested(100_000),
        format!(r#"{{"a":[0{}]}}"#, ",0".repeat(20_000)),
    ] {
        let event = parse(&grammar, line.as_bytes());
        assert_eq!(event.defects, Defects::TOO_COMPLEX);
        assert_eq!(event.message.as_deref(), Some(line.as_str()));
        assert!(event.fields.is_empty());
    }
}

#[test]
fn cee_cookie() {
    check(
        r#"<13>Nov 21 10:00:00 h a[1]: @cee: {"msg":"text","host":"other","n":1}"#,
        r#"user.notice 2026-11-21T10:00:00Z host=h app=a procid=1 msg="text" host:"other" n:1"#,
    );
    check(r#"@cee:{"msg":"text"}"#, r#"msg="text""#);
    check(
        r#"<13>1 - h a - - - @cee:{"msg":"text"}"#,
        r#"user.notice host=h app=a msg="text""#,
    );
    check(
        r#"<13>Nov 21 10:00:00 h a: @cee: no"#,
        r#"user.notice 2026-11-21T10:00:00Z host=h app=a msg="@cee: no" !bad_json"#,
    );
}

#[test]
fn frame_defects_stay() {
    let frame = Frame {
        position: 7,
        received_at: Timestamp::from_micros(RECEIVED_AT),
        peer_addr: "192.0.2.1:40000",
        tls_peer: Some("client.example.com"),
        defects: FrameDefects::TRUNCATED,
        bytes: b"<13>1 - - - - - - x\xff",
    };
    let source = BatchId::mint();
    let event = Grammar::new(GrammarOptions::default()).parse(&frame, source, "tls");
    assert_eq!(event.defects, Defects::TRUNCATED | Defects::INVALID_UTF8);
    assert_eq!(event.tls_peer.as_deref(), Some("client.example.com"));
    assert_eq!(event.id, EventId::derive(source, 7, frame.received_at));
}

#[test]
fn broken_clocks_of_ours_stop_nothing() {
    for micros in [
        i64::MIN,
        i64::MIN + 1,
        -62_167_219_200_000_001,
        0,
        i64::MAX - 1,
        i64::MAX,
    ] {
        let grammar = Grammar::new(GrammarOptions {
            time_zone: TimeZone::get("Europe/Berlin").unwrap(),
        });
        for line in [
            "<13>Nov 21 10:00:00 h",
            "<13>Feb 29 10:00:00 h",
            "<13>Dec 31 23:59:59 h",
        ] {
            let frame = Frame {
                position: 0,
                received_at: Timestamp::from_micros(micros),
                peer_addr: "",
                tls_peer: None,
                defects: FrameDefects::empty(),
                bytes: line.as_bytes(),
            };
            let event = grammar.parse(&frame, BatchId::mint(), "tcp");
            assert_eq!(event.hostname.as_deref(), Some("h"), "{micros}");
        }
    }
}

#[test]
fn without_a_grammar_the_line_is_the_message() {
    let grammar = Grammar::none();
    let event = parse(
        &grammar,
        b"<34>1 2003-10-11T22:14:15.003Z host su - ID47 - text\r",
    );
    let message = "<34>1 2003-10-11T22:14:15.003Z host su - ID47 - text";
    assert_eq!(event.message.as_deref(), Some(message));
    assert_eq!(
        (event.facility, event.hostname, event.defects),
        (None, None, Defects::empty())
    );
    let defects = parse(&grammar, b"a\0\xff").defects;
    assert_eq!(defects, Defects::NUL | Defects::INVALID_UTF8);
}
