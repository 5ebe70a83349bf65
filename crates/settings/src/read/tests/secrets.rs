//! Passwords: where they come from, and that nobody is told them.

use std::{collections::BTreeMap, fs};

use super::*;
use crate::model::RescueKind;

#[test]
fn passwords_are_never_told() {
    for text in [
        "[broker]\nurl = \"ampq://user:hunter2@host\"",
        "[broker]\nurl = \"amqp://user:hunter2@host:port/\"",
        "[broker]\nurl = \"amqp://user:hunter2@host,,other/\"",
        "[broker]\nurl = [\"amqp://user:hunter2@host\"]",
        "[broker]\nurl = \"amqp://user:hun ter2@host hunter2\"",
        "[broker]\npassword = \"hunter2\"",
        "[store]\nurl = \"host=a password=hunter2\"",
        "[rescue]\nurl = \"redis://:hunter2/3@host\"",
        "[broker]\nurl = \"amqp://user:hunter2@host",
        "[[broker.url]]\na = \"hunter2\"",
        "broker = \"amqp://user:hunter2@host\"",
    ] {
        let told = told(&file(text)).join("\n");
        assert!(!told.is_empty() && !told.contains("hunter2"), "{text}\n{told}");
    }
    for key in ["broker.url", "store.url", "rescue.url"] {
        let told = told(&Sources {
            overrides: flags(&[(key, "x://a:hunter2@b")]),
            ..Sources::default()
        })
        .join("\n");
        assert!(!told.is_empty() && !told.contains("hunter2"), "{key}\n{told}");
    }
}

/// A folder with secrets in it.
fn secrets() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in [
        ("password", "hunter2/\n"),
        ("url", "amqp://a:hunter2@h/v\n"),
        ("embedded", "embedded\n"),
        ("bad-url", "http://a:hunter2@h/v\n"),
        ("empty", "\n"),
    ] {
        fs::write(dir.path().join(name), text).expect("writes");
    }
    dir
}

/// The address of the broker, with paths in the settings from `dir`.
fn broker_url(dir: &Path, text: &str, variables: &[(&str, &str)], set: &[(&str, &str)]) -> Option<String> {
    let settings = good(&Sources {
        file: Some((dir.join("logferry.toml"), text.to_owned())),
        env: env(variables),
        overrides: flags(set),
    });
    match settings.broker {
        BrokerSettings::Amqp(amqp) => Some(amqp.url.expose().to_owned()),
        BrokerSettings::Embedded { .. } => None,
    }
}

#[test]
fn secrets_come_from_files() {
    let dir = secrets();
    let url = |text: &str| broker_url(dir.path(), &format!("[broker]\n{text}"), &[], &[]);
    let expected = Some("amqp://a:hunter2@h/v".to_owned());
    assert_eq!(url("url_file = \"url\""), expected);
    assert_eq!(url("url_file = \"embedded\""), None);
    let escaped = Some("amqp://a:hunter2%2F@h/v".to_owned());
    let with_user = "url = \"amqp://a@h/v\"\n";
    assert_eq!(url(&format!("{with_user}password_file = \"password\"")), escaped);
    assert_eq!(url(&format!("{with_user}password = \"hunter2/\"")), escaped);
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let set = [
        ("broker.url", "amqp://a@h/v"),
        ("broker.password_file", &path("password")),
        ("store.url", "postgresql://me@h/d?sslmode=require"),
        ("store.password_file", &path("password")),
        ("rescue.url", "redis://h"),
        ("rescue.password_file", &path("password")),
    ];
    let settings = good(&Sources {
        overrides: flags(&set),
        ..Sources::default()
    });
    let StoreSettings::Postgres(store) = settings.store else {
        panic!("PostgreSQL was set");
    };
    assert_eq!(
        store.url.expose(),
        "postgresql://me:hunter2%2F@h/d?sslmode=require"
    );
    let redis = settings.rescue.redis.expect("Redis was set");
    assert_eq!(redis.url.expose(), "redis://:hunter2%2F@h");
    assert_eq!(settings.rescue.order, [RescueKind::Redis, RescueKind::File]);
}

#[test]
fn the_management_api_has_an_address_of_its_own() {
    let dir = secrets();
    fs::write(dir.path().join("management"), "https://m:n@h:15671\n").expect("writes");
    let told = |text: &str, set: &[(&str, &str)]| {
        Settings::from_sources(&Sources {
            file: Some((dir.path().join("logferry.toml"), format!("[broker]\n{text}"))),
            env: BTreeMap::new(),
            overrides: flags(set),
        })
    };
    let url = |text: &str| match told(text, &[]).expect("is good").broker {
        BrokerSettings::Amqp(amqp) => amqp.management_url.map(|url| url.expose().to_owned()),
        BrokerSettings::Embedded { .. } => panic!("RabbitMQ was set"),
    };
    let (amqp, amqps) = ("url = \"amqp://a:b@h/v\"\n", "url = \"amqps://a:b@h/v\"\n");
    assert_eq!(url(amqp), None);
    assert_eq!(url(&format!("{amqp}management_url = \"off\"")), None);
    for good in [
        format!("{amqp}management_url = \"http://h:15672\""),
        format!("{amqps}management_url = \"https://h:15671/prefix\""),
        format!("{amqps}management_url = \"http://127.0.0.1:15672,[::1]:1,localhost\""),
        format!("{amqps}management_url = \"http://m:n@h:15672\""),
    ] {
        assert!(url(&good).is_some_and(|url| good.contains(&url)), "{good}");
    }
    let from_file = format!("{amqps}management_url_file = \"management\"");
    assert_eq!(url(&from_file).as_deref(), Some("https://m:n@h:15671"));
    for (text, expected) in [
        (
            format!("{amqps}management_url = \"http://h:15672\""),
            "would send the password of `url` without TLS",
        ),
        (
            format!("{amqp}management_url = \"http://m@h:15672\""),
            "has a user without a password",
        ),
        (
            "management_url = \"http://h:15672\"".to_owned(),
            "has an effect with RabbitMQ only",
        ),
        (
            format!("{amqp}management_url = \"rabbit\""),
            "must be \"http://…\" or \"https://…\", or \"off\"",
        ),
        (
            format!("{amqp}management_url_file = \"empty\""),
            "what is in it is empty",
        ),
    ] {
        let problems = told(&text, &[]).expect_err("is wrong").to_string();
        assert!(
            problems.contains(expected) && problems.contains("broker.management_url"),
            "{problems}"
        );
    }
    let embedded = [("broker.url", "embedded")];
    told("management_url_file = \"none\"", &embedded).expect("a weaker one does not count");
}

#[test]
fn secrets_come_from_the_environment_and_from_systemd() {
    let dir = secrets();
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let escaped = Some("amqp://a:hunter2%2F@h/v".to_owned());
    let by_variable = [
        ("LOGFERRY_BROKER__URL", "amqp://a@h/v"),
        ("LOGFERRY_BROKER__PASSWORD_FILE", &path("password")),
    ];
    assert_eq!(broker_url(dir.path(), "", &by_variable, &[]), escaped);
    let by_systemd = [
        ("CREDENTIALS_DIRECTORY", dir.path().to_str().expect("text")),
        (
            "LOGFERRY_BROKER__PASSWORD_FILE",
            "${CREDENTIALS_DIRECTORY}/password",
        ),
    ];
    let text = "[broker]\nurl = \"amqp://a@h/v\"";
    assert_eq!(broker_url(Path::new("/"), text, &by_systemd, &[]), escaped);
    check(
        "[broker]\nurl_file = \"${CREDENTIALS_DIRECTORY}/broker\"",
        "logferry.toml:2: broker.url_file = \"${CREDENTIALS_DIRECTORY}/broker\": CREDENTIALS_DIRECTORY is not set: systemd sets it for units with LoadCredential=broker:",
    );
}

#[test]
fn the_stronger_of_two_secrets_counts() {
    let dir = secrets();
    let url = |text: &str, variables: &[(&str, &str)], set: &[(&str, &str)]| {
        broker_url(dir.path(), &format!("[broker]\n{text}"), variables, set)
    };
    // A weaker file need not be there.
    let embedded = [("broker.url", "embedded")];
    assert_eq!(url("url_file = \"none\"", &[], &embedded), None);
    assert_eq!(
        url("url = \"amqp://a@h/v\"\npassword_file = \"none\"", &[], &embedded),
        None
    );
    let variable = [("LOGFERRY_BROKER__URL", "amqp://b:c@i/w")];
    let of_variable = Some("amqp://b:c@i/w".to_owned());
    assert_eq!(url("url_file = \"url\"", &variable, &[]), of_variable);
    assert_eq!(
        url("url = \"amqp://a@h/v\"\npassword_file = \"none\"", &variable, &[]),
        of_variable
    );
    let password = [("LOGFERRY_BROKER__PASSWORD", "new")];
    let replaced = Some("amqp://a:new@h/v".to_owned());
    assert_eq!(url("url_file = \"url\"", &password, &[]), replaced);
    assert_eq!(url("url = \"amqp://a:old@h/v\"", &password, &[]), replaced);
}

#[test]
fn what_is_wrong_with_secrets_is_told_without_them() {
    let dir = secrets();
    for (text, expected) in [
        ("url_file = \"none\"", "broker.url_file = \"none\": cannot read"),
        ("url_file = \".\"", "broker.url_file = \".\": cannot read"),
        (
            "url_file = \"empty\"",
            "broker.url_file = \"empty\": what is in it is empty",
        ),
        (
            "url_file = \"bad-url\"",
            "broker.url_file = \"bad-url\": what is in it must be \"amqp://…\"",
        ),
        (
            "url_file = \"url\"\nurl = \"embedded\"",
            "broker.url_file = \"url\": stands beside `url`: give one of the two",
        ),
        (
            "url = \"amqp://a@h\"\npassword = \"hunter2\"\npassword_file = \"password\"",
            "broker.password_file = \"password\": stands beside `password`",
        ),
        (
            "url = \"amqp://a:b@h\"\npassword = \"hunter2\"",
            "broker.password: stands beside a password in `url`",
        ),
        (
            "url = \"amqp://h\"\npassword = \"hunter2\"",
            "broker.password: needs a user in `url`, such as amqp://logferry@…",
        ),
        (
            "password_file = \"password\"",
            "broker.password_file = \"password\": has no effect without an address",
        ),
        (
            "url = \"amqp://a@h\"\npassword = \"hunter2\\u0000\"",
            "broker.password: must be one line",
        ),
    ] {
        let told = told(&Sources {
            file: Some((dir.path().join("logferry.toml"), format!("[broker]\n{text}"))),
            ..Sources::default()
        });
        assert!(
            told.len() == 1 && told[0].contains(&format!(": {expected}")) && !told[0].contains("hunter2"),
            "{text}\nexpected: {expected}\ntold: {told:#?}"
        );
    }
}
