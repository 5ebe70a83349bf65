//! RFC 3164 and what is sent in its name: priorities, times, hosts, tags.

use super::*;

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
