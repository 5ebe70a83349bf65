//! RFC 5424.

use super::*;

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
