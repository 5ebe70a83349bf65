use proptest::prelude::*;

use super::*;

/// 2026-11-21T10:02:11Z.
const NOW: i64 = 1_795_255_331_000_000;

fn options() -> Options {
    Options {
        fields: FieldNames::new(["status", "src_ip", "user", "http.code"]),
        zone: TimeZone::UTC,
        now: Timestamp::from_micros(NOW),
    }
}

#[track_caller]
fn check(text: &str, reading: &str) -> Parsed {
    let parsed = parse(text, &options()).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
    assert_eq!(parsed.query.reading(), reading, "{text}");
    for written in [parsed.query.canonical(), parsed.query.reading()] {
        let again = parse(&written, &options()).unwrap_or_else(|problem| panic!("{written}: {problem:?}"));
        assert_eq!(again.query, parsed.query, "{text} became {written}");
    }
    parsed
}

#[test]
fn the_examples_of_the_help_are_read() {
    for (text, reading) in [
        ("", ""),
        ("error", "error"),
        (
            "\"connection refused\" -app:cron",
            "\"connection refused\" AND NOT app_name:cron",
        ),
        (
            "host:web* severity>=warning",
            "hostname:web* AND severity>=warning",
        ),
        (
            "severity:(err, crit) -\"health check\"",
            "severity:(crit, err) AND NOT \"health check\"",
        ),
        (
            "app:nginx status>=500 -src_ip:10.0.0.1",
            "app_name:nginx AND fields.status>=500 AND NOT fields.src_ip:10.0.0.1",
        ),
        ("status:400..499", "fields.status:400..499"),
        ("/timeout after \\d{4,} ms/", "/timeout after \\d{4,} ms/"),
        (
            "message:/Failed (password|publickey)/i user:root",
            "message:/Failed (password|publickey)/i AND fields.user:root",
        ),
        (
            "tag:auth (user:alice OR user:bob)",
            "tags:auth AND (fields.user:alice OR fields.user:bob)",
        ),
        ("-app:*", "NOT app_name:*"),
        ("lag>1h", "lag>1h"),
        (
            "time:10:00..10:15 host:db07",
            "timestamp:2026-11-21T10:00Z..2026-11-21T10:15Z AND hostname:db07",
        ),
        ("received>=-15m time<-1d", "received_at>=-15m AND timestamp<-1d"),
        ("peer:10.2.0.0/16", "peer_addr:10.2.0.0/16"),
        (
            "sd.\"origin@32473\".ip:10.0.0.1",
            "sd.\"origin@32473\".ip:10.0.0.1",
        ),
        ("CORP\\alice 22:52:12", "\"CORP\\\\alice\" AND \"22:52:12\""),
    ] {
        check(text, reading);
    }
}

#[test]
fn operators_bind_as_written() {
    check("a b OR c", "(a AND b) OR c");
    check("a (b OR c)", "a AND (b OR c)");
    check("a AND b AND (c d)", "a AND b AND c AND d");
    check("-(a b)", "NOT (a AND b)");
    check("NOT a OR b", "NOT a OR b");
    check("NOT NOT a", "a");
    check("(a) OR (b OR (c))", "a OR b OR c");
    check("a OR b -c", "a OR (b AND NOT c)");
}

#[test]
fn text_as_it_is_pasted_is_text() {
    for (text, reading) in [
        ("web-01", "web-01"),
        ("pam_unix(sshd:session)", "\"pam_unix(sshd:session)\""),
        ("(a pam_unix(sshd:session))", "a AND \"pam_unix(sshd:session)\""),
        ("GigabitEthernet1/0/6", "\"GigabitEthernet1/0/6\""),
        ("it's", "\"it's\""),
        ("--force", "\"--force\""),
        ("a - b", "a AND \"-\" AND b"),
        ("ee:db:65:0a:11:ff", "\"ee:db:65:0a:11:ff\""),
        ("http://x/?a=1", "\"http://x/\"?a=1"),
        ("status=500", "status=500"),
        ("a=>b", "\"a=>b\""),
        ("/var/log/syslog", "\"/var/log/syslog\""),
        ("C:\\Windows", "\"C:\\\\Windows\""),
        ("\\\\server\\share", "\"\\\\\\\\server\\\\share\""),
        ("a)", "\"a)\""),
        ("host\\:x", "\"host:x\""),
        ("a\\*b", "\"a*b\""),
        ("host://x", "\"host://x\""),
        ("foo:bar", "\"foo:bar\""),
        ("\"say \\\"hi\\\"\"", "\"say \\\"hi\\\"\""),
        ("OR:x", "\"OR:x\""),
    ] {
        if text == "http://x/?a=1" {
            // `?` is a wildcard; the rest is as pasted.
            check(text, "http\\://x/?a=1");
        } else {
            check(text, reading);
        }
    }
}

#[test]
fn a_quote_behind_a_dot_does_not_become_a_part_of_a_name() {
    check(r#"sd.sd."* :"#, r#"sd.sd.\"* AND ":""#);
}

#[test]
fn severities_are_ordered_by_meaning_and_numbers_by_the_rfc() {
    check("severity>=err", "severity>=err");
    check("severity<=3", "severity>=err");
    check("severity<4", "severity>=err");
    check("severity>warning", "severity>=err");
    check("severity<notice", "severity<=info");
    check("severity:warning..crit", "severity:warning..crit");
    check("severity:2..4", "severity:warning..crit");
    check("level:Error", "severity:err");
    check("sev:(0, err, 7)", "severity:(emerg, err, debug)");
    check("fac:(local0, 4, console)", "facility:(auth, alert, local0)");
}

#[test]
fn fields_take_lists_patterns_ranges_and_existence() {
    check(
        "host:(web01, \"db 2\" OR mail*)",
        "hostname:(web01, \"db 2\", mail*)",
    );
    check("host:( a , b )", "hostname:(a, b)");
    check("host:(/^a/, b)", "hostname:(/^a/, b)");
    check("host:\"\"", "hostname:\"\"");
    check("fields.a.\"b c\":x", "fields.a.\"b c\":x");
    check("fields.x:a..b", "fields.x:\"a..b\"");
    check("fields.x:1..", "fields.x>=1");
    check("fields.x:..2.5", "fields.x<=2.5");
    check("fields.x>-1", "fields.x>-1");
    check("http.code:5*", "fields.http.code:5*");
    check("lag:-10s..5m", "lag:-10s..5m");
    check("lag<-10s", "lag<-10s");
    check("lag<=1500ms", "lag<=1500ms");
    check("time:2026-11-21", "timestamp:2026-11-21Z..2026-11-21Z");
    check("time:-1h..now", "timestamp:-1h..now");
    check("time>10:00", "timestamp>=2026-11-21T10:01Z");
    check("time<=10:00", "timestamp<2026-11-21T10:01Z");
    check("peer:(::1, 10.0.0.1)", "peer_addr:(::1, 10.0.0.1)");
    check("sd.origin:*", "sd.origin:*");
    check("message:\"a b\"", "message:\"a b\"");
    check("msg:*", "message:*");
    check("host:a)", "hostname:\"a)\"");
}

#[track_caller]
fn refused(text: &str, code: Code, marked: &str) -> Problem {
    let problem = parse(text, &options()).expect_err(text);
    assert_eq!(problem.code, code, "{text}: {problem:?}");
    assert_eq!(
        cut(text, problem.span.start, problem.span.end),
        marked,
        "{text}: {problem:?}"
    );
    problem
}

/// What stands between two offsets of UTF-16.
fn cut(text: &str, start: usize, end: usize) -> String {
    let units: Vec<u16> = text.encode_utf16().collect();
    String::from_utf16(units.get(start..end).expect("the span is inside")).expect("it cuts no character")
}

#[track_caller]
fn mended(text: &str, code: Code, marked: &str, fixed: &str) {
    let problem = refused(text, code, marked);
    let fix = problem.fix.expect("a fix");
    let units: Vec<u16> = text.encode_utf16().collect();
    let written = [
        &units[..fix.start],
        &fix.text.encode_utf16().collect::<Vec<_>>(),
        &units[fix.end..],
    ]
    .concat();
    assert_eq!(String::from_utf16(&written).unwrap(), fixed);
    parse(fixed, &options()).unwrap_or_else(|problem| panic!("{fixed}: {problem:?}"));
}

#[test]
fn problems_have_their_place_and_their_fix() {
    mended("é \"abc", Code::UnclosedQuote, "\"", "é \"abc\"");
    mended("(a b", Code::UnclosedGroup, "(", "(a b)");
    mended("host:(a", Code::UnclosedList, "(", "host:(a)");
    mended("severity:wrn", Code::BadSeverity, "wrn", "severity:warn");
    mended(
        "host:(web01 web02)",
        Code::ListSeparator,
        " ",
        "host:(web01, web02)",
    );
    mended(
        "status:[400 TO 500]",
        Code::LuceneRange,
        "[400 TO 500]",
        "status:400..500",
    );
    mended("host:", Code::MissingValue, "host:", "host:*");
    mended("time:-15m", Code::BadTime, "-15m", "time>=-15m");
    mended("lag:5m", Code::NoOrder, "5m", "lag>5m");
    refused("()", Code::EmptyGroup, "()");
    refused("\"\"", Code::EmptyPhrase, "\"\"");
    refused("host:(a,,b)", Code::EmptyItem, ",");
    refused("//", Code::EmptyRegex, "//");
    refused("a OR", Code::DanglingOperator, "OR");
    refused("AND a", Code::DanglingOperator, "AND");
    refused("a OR OR b", Code::DanglingOperator, "OR");
    refused("(a NOT)", Code::DanglingOperator, "NOT");
    refused("facility:locl0", Code::BadFacility, "locl0");
    refused("time:yesterday", Code::BadTime, "yesterday");
    refused("lag>lots", Code::BadDuration, "lots");
    refused("status>many", Code::BadNumber, "many");
    refused("peer:10.0.0", Code::BadAddress, "10.0.0");
    refused("host>5", Code::NoOrder, "host>");
    refused("time:10:15..10:00", Code::NeverTrue, "time:10:15..10:00");
    refused("severity>emerg", Code::NeverTrue, "severity>emerg");
    refused("severity:er*", Code::WildcardNotHere, "er*");
    refused("severity:/e/", Code::RegexNotHere, "/e/");
    refused("severity:err..", Code::MissingValue, "err..");
    refused("/[/", Code::BadRegex, "[");
    refused("/a\\pLb/", Code::RegexNotSupported, "\\pL");
    refused(&"a".repeat(4097), Code::TooLong, &"a".repeat(4097));
    refused(&"a ".repeat(65), Code::TooManyTerms, "a");
    refused(
        &format!("host:({})", ["a"; 66].join(",")),
        Code::TooManyTerms,
        "a",
    );
    let deep = "(".repeat(33) + "a" + &")".repeat(33);
    assert_eq!(parse(&deep, &options()).unwrap_err().code, Code::TooDeep);
    let deep = "(".repeat(32) + "a" + &")".repeat(32);
    assert!(parse(&deep, &options()).is_ok());
}

#[track_caller]
fn noticed(text: &str, code: Code, marked: &str) {
    let notices = parse(text, &options()).unwrap().notices;
    assert!(
        notices
            .iter()
            .any(|notice| notice.code == code && cut(text, notice.span.start, notice.span.end) == marked),
        "{text}: {notices:?}"
    );
}

#[test]
fn what_may_be_meant_otherwise_is_noticed() {
    noticed("hots:web01", Code::UnknownField, "hots");
    noticed("a or b", Code::LowerCaseOperator, "or");
    noticed("a)", Code::UnmatchedClose, ")");
    noticed("a.b", Code::ShortText, "a.b");
    noticed("/var/", Code::ReadAsRegex, "/var/");
    for quiet in [
        "22:52:12",
        "ee:db:65",
        "http://example.org",
        "std::string",
        "order",
        "a/b/error",
    ] {
        let mut notices = parse(quiet, &options()).unwrap().notices;
        notices.retain(|notice| notice.code != Code::ShortText);
        assert!(notices.is_empty(), "{quiet}: {notices:?}");
    }
    let notices = parse("hots:web01", &options()).unwrap().notices;
    assert_eq!(notices.first().unwrap().hint, "Did you mean host?");
}

#[test]
fn chips_are_the_conditions_that_all_must_hold() {
    let chips = |text: &str| -> Vec<(String, String)> {
        let parsed = parse(text, &options()).unwrap();
        parsed
            .chips
            .into_iter()
            .map(|chip| (cut(text, chip.span.start, chip.span.end), chip.label))
            .collect()
    };
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(text, label)| ((*text).to_owned(), (*label).to_owned()))
            .collect()
    };
    assert_eq!(
        chips("host:host-* -app:cron (a OR b)"),
        pairs(&[
            ("host:host-*", "hostname:host-*"),
            ("-app:cron", "not app_name:cron"),
            ("(a OR b)", "a OR b"),
        ])
    );
    assert_eq!(chips("a OR b"), pairs(&[]));
}

/// What the language knows, and some that it does not.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        " ",
        " ",
        " ",
        "(",
        ")",
        "\"",
        "'",
        "/",
        "-",
        "*",
        "?",
        "\\",
        ":",
        "<",
        ">",
        ">=",
        "<=",
        ",",
        "..",
        ".",
        "AND",
        "OR",
        "NOT",
        "or",
        "host",
        "app:",
        "severity",
        "err",
        "warning",
        "status",
        "500",
        "lag",
        "5m",
        "time:",
        "10:00",
        "2026-11-21",
        "-15m",
        "now",
        "peer:",
        "10.0.0.0/8",
        "tag:",
        "sd.",
        "fields.x",
        "a",
        "b",
        "é",
        "😀",
        "[",
        "TO",
        "]",
        "i",
        "\\d",
        "+",
        "|",
        "^",
        "\u{202e}",
        "\n",
        "x@y",
        "%",
        "_",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_text_is_read_or_refused_inside_itself(pieces in prop::collection::vec(piece(), 0..24)) {
        let text = pieces.concat();
        let units = text.encode_utf16().count();
        let inside = |problem: &Problem| {
            problem.span.start <= problem.span.end && problem.span.end <= units
                && problem.fix.as_ref().is_none_or(|fix| fix.start <= fix.end && fix.end <= units)
        };
        match parse(&text, &options()) {
            Err(problem) => prop_assert!(inside(&problem), "{problem:?}"),
            Ok(parsed) => {
                prop_assert!(parsed.notices.iter().all(inside), "{:?}", parsed.notices);
                for written in [parsed.query.canonical(), parsed.query.reading()] {
                    let again = parse(&written, &options());
                    prop_assert_eq!(again.map(|again| again.query), Ok(parsed.query.clone()), "{}", written);
                }
            }
        }
    }

    /// The canonical form needs neither the zone nor the custom fields that were known.
    #[test]
    fn canonical_text_means_the_same_elsewhere(pieces in prop::collection::vec(piece(), 0..12)) {
        let text = pieces.concat();
        if let Ok(parsed) = parse(&text, &options()) {
            let elsewhere = Options {
                fields: FieldNames::default(),
                zone: TimeZone::get("Asia/Kolkata").unwrap(),
                ..options()
            };
            let again = parse(&parsed.query.canonical(), &elsewhere).map(|again| again.query);
            prop_assert_eq!(again, Ok(parsed.query));
        }
    }
}
