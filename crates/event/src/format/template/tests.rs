//! Templates: what is read, what is refused, what is written.

use super::{
    super::tests::{bare, sample},
    *,
};

#[track_caller]
fn check(template: &str, expected: &str) {
    let mut out = Vec::new();
    Template::new(template).unwrap().write(&sample(), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), expected, "{template}");
}

#[test]
fn every_allowed_name_is_known_and_has_a_value() {
    for name in Name::ALLOWED.split(", ") {
        let name = name
            .replace("structured_data.ID.NAME", "structured_data.exampleSDID@32473.iut")
            .replace("NAME", "user");
        let template = Template::new(&format!("{{{name}}}")).unwrap();
        let [Part::Placeholder(placeholder)] = template.parts() else {
            panic!("{template:?}");
        };
        let mut out = Vec::new();
        assert!(placeholder.write(&sample(), &mut out), "{name}");
        assert!(!out.is_empty(), "{name}");
    }
}

#[test]
fn values_stand_in_the_text() {
    check("", "");
    check("plain ä", "plain ä");
    check(
        "{timestamp} {hostname} {fields.user}",
        "2003-10-11T22:14:15.003Z mymachine.example.com ann#015",
    );
    check("{received_at:%Y/%m/%d}.log", "2003/10/11.log");
    check("{timestamp:%H:%M:%S.%3f}", "22:14:15.003");
    check("{{{msgid}}}", "{ID47}");
    check("{facility}.{severity} {priority}", "local4.notice 165");
    check("{peer_addr} {peer_host}", "192.0.2.1:40000 192.0.2.1");
    check(
        "{fields.geo.lat} {fields.list}",
        "52.5 [-1,18446744073709551615,true]",
    );
    check("{fields.geo} {fields.geo.n}", r#"{"lat":52.5,"n":null} null"#);
    check("{structured_data.exampleSDID@32473.ip}", "::1");
    check(
        "{syslogtag} {tags} {defects}",
        "evntslog[231]: login,a \"b\" truncated",
    );
    check("{message}", "An application#012event log entry\t…");
}

#[test]
fn what_is_absent_is_a_dash_in_a_line() {
    let mut out = Vec::new();
    let template =
        "{timestamp} {hostname} {syslogtag} {fields.a.b} {structured_data.a.b} {tags} {raw} {facility_code}";
    Template::new(template).unwrap().write(&bare(), &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "2003-10-11T22:14:16.000042Z - - - - - - -"
    );
}

#[test]
fn names_of_fields_may_hold_dots() {
    use crate::Value;
    let mut event = bare();
    event.fields = vec![
        ("a.b".into(), Value::Object(vec![("c".into(), Value::Integer(1))])),
        ("a".into(), Value::Object(vec![("d".into(), Value::Integer(2))])),
        ("x.y".into(), Value::Integer(3)),
    ];
    let mut out = Vec::new();
    let template = "{fields.a.b.c} {fields.a.d} {fields.x.y} {fields.x}";
    Template::new(template).unwrap().write(&event, &mut out);
    assert_eq!(out, b"1 2 3 -");
}

#[track_caller]
fn refused(template: &str, expected: &str) {
    let message = Template::new(template).unwrap_err().to_string();
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn mistakes_say_what_is_allowed() {
    refused(
        "{hostnam}",
        "unknown name {hostnam}; allowed are app_name, defects, ",
    );
    refused("{}", "unknown name {}; allowed");
    refused("{fields.}", "unknown name {fields.}");
    refused("{structured_data.x}", "unknown name {structured_data.x}");
    refused("a{hostname", "the brace at byte 1 is not closed");
    refused("ä}", "the brace at byte 2 closes nothing");
    refused("{hostname:%Y}", "{hostname} is no time");
    refused(
        "{received_at:%Q}",
        "unknown \"%Q\" in the form of {received_at}; allowed are %Y ",
    );
}
