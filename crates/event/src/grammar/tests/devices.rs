//! Lines of kernels and of Cisco, and those without a priority.

use super::*;

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
