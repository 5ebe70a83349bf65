//! Files, environment and flags: which of them counts, and what they may say.

use std::{collections::BTreeMap, fs, time::Duration};

use super::*;
use crate::model::{FileFormat, RouteSettings};

#[test]
fn a_file_is_read() {
    let settings = good(&file(
        r##"
        data_dir = "/var/lib/logferry"
        service = { log_format = "json", shutdown_grace = "1m30s" }
        [broker]
        url = "amqp://logferry:pass@rabbit:5672/logs"
        tls_ca_file = "Cargo.toml"
        [rescue]
        url = "rediss://localhost/1"
        tls_ca_file = "src/lib.rs"
        [store]
        url = "postgresql://logferry:pass@pg1:5432,pg2/logferry?target_session_attrs=read-write"
        partition = "hour"
        keep_days = 90
        keep_bytes = "1TiB"
        [[store.route]]
        name = "audit.debug"
        keep_days = 7
        [[syslog_server.listener]]
        name = "secure"
        protocol = "tcp"
        address = "[::]:6514"
        idle_timeout = "1h"
        [syslog_server.listener.tls]
        cert_file = "Cargo.toml"
        key_file = "Cargo.toml"
        client_cert = "required"
        client_ca_file = "Cargo.toml"
        [parser]
        threads = 3
        raw = "always"
        [[parser.program]]
        name = "a"
        source = "."
        [shipper_pgsql]
        http_addr = "off"
        binding_keys = ["default", "audit.*", "#"]
        [[shipper_fs.destination]]
        name = "archive"
        dir = "archive"
        format = "template"
        template = "{message}"
        compression = "zstd"
        routes = ["audit"]
        "##,
    ));
    assert_eq!(settings.service.shutdown_grace, Duration::from_secs(90));
    let BrokerSettings::Amqp(amqp) = &settings.broker else {
        panic!("{:?}", settings.broker)
    };
    assert_eq!(amqp.url.expose(), "amqp://logferry:pass@rabbit:5672/logs");
    assert!(
        !format!("{settings:?}").contains("pass@"),
        "secrets are not shown"
    );
    let [listener] = settings.syslog_server.listeners.as_slice() else {
        panic!("one listener")
    };
    assert_eq!(listener.idle_timeout, Some(Duration::from_secs(3600)));
    let tls = listener.tls.as_ref().expect("has TLS");
    assert_eq!(tls.client_cert, ClientCert::Required("Cargo.toml".into()));
    assert_eq!(
        (settings.parser.threads, settings.parser.raw),
        (3, RawPolicy::Always)
    );
    let program = ProgramSettings {
        name: "a".into(),
        origin: "logferry.toml, program \"a\"".into(),
        source: ".".into(),
    };
    assert_eq!(settings.parser.programs, [program]);
    assert_eq!(settings.service.http_addrs["shipper-pgsql"], None);
    assert_eq!(settings.shipper_pgsql.binding_keys, ["default", "audit.*", "#"]);
    assert_eq!(
        settings.shipper_fs.destinations[0].format,
        FileFormat::Template("{message}".into())
    );
    let StoreSettings::Postgres(postgres) = &settings.store else {
        panic!("{:?}", settings.store)
    };
    assert_eq!(postgres.partition, Duration::from_secs(3600));
    let upkeep = &settings.shipper_pgsql.upkeep;
    assert_eq!((upkeep.keep_days, upkeep.keep_bytes), (Some(90), Some(1 << 40)));
    let route = RouteSettings {
        name: "audit.debug".into(),
        keep_days: 7,
    };
    assert_eq!(upkeep.routes, [route]);
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let mut sources = Sources::default();
    assert_eq!(good(&sources).parser.prefetch, 64);
    sources.file = file("[parser]\nprefetch = 65").file;
    assert_eq!(good(&sources).parser.prefetch, 65);
    sources.env = env(&[("LOGFERRY_PARSER__PREFETCH", "66"), ("HOME", "/root")]);
    assert_eq!(good(&sources).parser.prefetch, 66);
    sources.overrides = flags(&[("parser.prefetch", "67")]);
    assert_eq!(good(&sources).parser.prefetch, 67);
    sources.overrides = flags(&[("parser.prefetch", "67"), ("parser.prefetch", "68")]);
    assert_eq!(good(&sources).parser.prefetch, 68, "the later flag counts");
}

#[test]
fn lists_and_listeners_in_the_environment() {
    let sources = Sources {
        env: env(&[
            ("LOGFERRY_SHIPPER_PGSQL__BINDING_KEYS", "default, audit.#"),
            ("LOGFERRY_SHIPPER_FS__BINDING_KEYS", "[\"a\", \"b\"]"),
            ("LOGFERRY_SYSLOG_SERVER__LISTENER__TCP__ADDRESS", "0.0.0.0:514"),
            (
                "LOGFERRY_PARSER__PROGRAM",
                "[{ name = \"x\", source = \".a = 1\" }]",
            ),
        ]),
        overrides: flags(&[("syslog_server.listener.relp.address", "127.0.0.1:0")]),
        ..Sources::default()
    };
    let settings = good(&sources);
    assert_eq!(settings.shipper_pgsql.binding_keys, ["default", "audit.#"]);
    assert_eq!(settings.shipper_fs.binding_keys, ["a", "b"]);
    let addrs: Vec<_> = settings
        .syslog_server
        .listeners
        .iter()
        .map(|l| l.address.to_string())
        .collect();
    assert_eq!(addrs, ["127.0.0.1:0", "0.0.0.0:514", "127.0.0.1:5514"]);
    assert_eq!(settings.parser.programs[0].source, ".a = 1");
}

#[test]
fn listeners_of_the_file_are_named_in_the_environment_as_shells_allow() {
    let text =
        "[[syslog_server.listener]]\nname = \"DMZ-tcp\"\nprotocol = \"tcp\"\naddress = \"127.0.0.1:1\"";
    let mut sources = file(text);
    sources.env = env(&[(
        "LOGFERRY_SYSLOG_SERVER__LISTENER__DMZ_TCP__FRAME_BYTES_MAX",
        "8KiB",
    )]);
    assert_eq!(good(&sources).syslog_server.listeners[0].frame_bytes_max, 8192);
}

#[test]
fn unknown_variables_are_mistakes_but_for_those_of_others() {
    let others = [
        ("LOGFERRY_CONFIG", "x"),
        ("LOGFERRY_TEST_RABBITMQ", "x"),
        ("LOGFERRY_SERVICE_HOST", "10.0.0.1"),
        ("LOGFERRY_SERVICE_PORT", "514"),
        ("LOGFERRY_PORT", "tcp://10.0.0.1:514"),
        ("LOGFERRY_PORT_514_TCP_ADDR", "10.0.0.1"),
        ("LOGFERRY_PARSER_SERVICE_HOST", "10.0.0.2"),
        ("LOGFERRY_PARSER_PORT_9602_TCP", "tcp://10.0.0.2:9602"),
        ("LOGFERRYX", "x"),
    ];
    good(&Sources {
        env: env(&others),
        ..Sources::default()
    });
    for (name, value, expected) in [
        (
            "LOGFERRY_BROKER_URL",
            "x",
            "environment LOGFERRY_BROKER_URL: broker_url: is not a setting: did you mean LOGFERRY_BROKER__URL?",
        ),
        (
            "LOGFERRY_HOUSE",
            "x",
            "environment LOGFERRY_HOUSE: house: is not a setting: a variable is LOGFERRY_ and the key",
        ),
        (
            "LOGFERRY_BROKER__ULR",
            "x",
            "environment LOGFERRY_BROKER__ULR: broker.ulr: is not a setting: did you mean LOGFERRY_BROKER__URL?",
        ),
        (
            "LOGFERRY_BROKER",
            "x",
            "environment LOGFERRY_BROKER: broker: is a section: name one of its keys",
        ),
        (
            "LOGFERRY_BROKER__URL__HOST",
            "x",
            "environment LOGFERRY_BROKER__URL__HOST: broker.url.host: has no parts",
        ),
        (
            "LOGFERRY_STORE__URL",
            "",
            "environment LOGFERRY_STORE__URL: store.url: is empty",
        ),
        (
            "LOGFERRY_SYSLOG_SERVER__LISTENER__TLS__ADDRESS",
            "x",
            "environment LOGFERRY_SYSLOG_SERVER__LISTENER__TLS__ADDRESS: syslog_server.listener.tls.address: nothing is named \"tls\" here: there are relp, tcp, udp",
        ),
        (
            "LOGFERRY_SYSLOG_SERVER__LISTENER",
            "tcp",
            "environment LOGFERRY_SYSLOG_SERVER__LISTENER: syslog_server.listener: must be a TOML list of sections",
        ),
        ("LOGFERRY_", "x", "environment LOGFERRY_: is not a setting"),
    ] {
        let told = told(&Sources {
            env: env(&[(name, value)]),
            ..Sources::default()
        });
        assert!(
            told.len() == 1 && told[0].starts_with(expected),
            "{name}: {told:#?}"
        );
    }
}

#[test]
fn mistakes_of_the_command_line() {
    for (key, value, expected) in [
        (
            "parser.prefetch",
            "many",
            "command line: parser.prefetch = \"many\": must be a whole number from 1 to 65535",
        ),
        (
            "parser.speed",
            "1",
            "command line: parser.speed: is not a setting: here are http_addr, threads",
        ),
        (
            "syslog_server.listener.tcp",
            "x",
            "command line: syslog_server.listener.tcp: is a section",
        ),
    ] {
        let told = told(&Sources {
            overrides: flags(&[(key, value)]),
            ..Sources::default()
        });
        assert!(
            told.len() == 1 && told[0].starts_with(expected),
            "{key}: {told:#?}"
        );
    }
}

#[test]
fn the_settings_file_is_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name);
    let (first, second) = (path("first.toml"), path("second.toml"));
    let places = [first.to_str().expect("text"), second.to_str().expect("text")];
    let load = |config: Option<&Path>, env: BTreeMap<String, String>| {
        Sources::load(config, &places, env, Vec::new()).map(|sources| sources.file.map(|(path, _)| path))
    };
    assert_eq!(load(None, BTreeMap::new()), Ok(None));
    fs::write(&second, "").expect("writes");
    assert_eq!(load(None, BTreeMap::new()), Ok(Some(second.clone())));
    fs::write(&first, "").expect("writes");
    assert_eq!(load(None, BTreeMap::new()), Ok(Some(first.clone())));
    let named = env(&[("LOGFERRY_CONFIG", places[1])]);
    assert_eq!(load(None, named.clone()), Ok(Some(second.clone())));
    assert_eq!(load(Some(&first), named), Ok(Some(first.clone())));
    let told = load(Some(&path("none.toml")), BTreeMap::new())
        .expect_err("is not there")
        .to_string();
    assert!(told.contains("none.toml: No such file"), "{told}");
    let told = load(Some(dir.path()), BTreeMap::new())
        .expect_err("is a folder")
        .to_string();
    assert!(told.contains("cannot read the settings file"), "{told}");
}
