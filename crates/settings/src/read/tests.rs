//! What is read from which source, and how every kind of mistake is told.

use std::{collections::BTreeMap, fs, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::keys;
use crate::model::{Done, FileFormat, LinePattern};
use crate::model::{RescueKind, RouteSettings};

fn file(text: &str) -> Sources {
    Sources {
        file: Some(("logferry.toml".into(), text.to_owned())),
        ..Sources::default()
    }
}

fn env(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn flags(flags: &[(&str, &str)]) -> Vec<(String, String)> {
    flags
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn good(sources: &Sources) -> Settings {
    Settings::from_sources(sources).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The problems as lines.
fn told(sources: &Sources) -> Vec<String> {
    match Settings::from_sources(sources) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// `text` has exactly one mistake, told in a line that begins so.
fn check(text: &str, expected: &str) {
    let told = told(&file(text));
    assert!(
        told.len() == 1 && told[0].starts_with(expected),
        "{text}\nexpected: {expected}\ntold: {told:#?}"
    );
}

#[test]
fn defaults() {
    let settings = Settings::default();
    assert_eq!(settings.data_dir, PathBuf::from("./data"));
    let listeners: Vec<_> = settings
        .syslog_server
        .listeners
        .iter()
        .map(|l| (l.name.as_str(), l.protocol, l.address.port()))
        .collect();
    assert_eq!(
        listeners,
        [
            ("relp", Protocol::Relp, 2514),
            ("tcp", Protocol::Tcp, 5514),
            ("udp", Protocol::Udp, 5514)
        ]
    );
    assert_eq!(settings.syslog_server.batch_bytes_max, 128 * 1024);
    assert_eq!(settings.syslog_server.batch_age_max, Duration::from_millis(5));
    assert_eq!(settings.rescue.redis, None);
    assert_eq!(settings.rescue.order, [RescueKind::File]);
    assert_eq!(settings.rescue.file.dir, Path::new("./data/rescue"));
    assert!(
        matches!(&settings.broker, BrokerSettings::Embedded { dir, .. } if dir == Path::new("./data/queues"))
    );
    assert!(
        matches!(&settings.store, StoreSettings::Sqlite(sqlite) if sqlite.dir == Path::new("./data/store"))
    );
    assert_eq!(settings.service.http_addr.map(|addr| addr.port()), Some(9600));
    let ports: Vec<_> = settings
        .service
        .http_addrs
        .values()
        .map(|addr| addr.map(|addr| addr.port()))
        .collect();
    assert_eq!(
        ports,
        [
            Some(9605),
            Some(9607),
            Some(9602),
            Some(9604),
            Some(9603),
            Some(9601),
            Some(9606)
        ],
        "by name"
    );
    assert_eq!(settings.shipper_fs.destinations, []);
    assert_eq!(settings.shipper_pgsql.binding_keys, ["#"]);
}

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
fn values_that_are_not_allowed() {
    for (text, expected) in [
        (
            "[service]\nshutdown_grace = \"5\"",
            "logferry.toml:2: service.shutdown_grace = \"5\": has no unit: write \"5s\" for seconds, \"5ms\" for milliseconds",
        ),
        (
            "[service]\nshutdown_grace = 5",
            "logferry.toml:2: service.shutdown_grace = 5: must be text in quotes, with a unit",
        ),
        (
            "[service]\nshutdown_grace = \"2h\"",
            "logferry.toml:2: service.shutdown_grace = \"2h\": must be from 100ms to 1h",
        ),
        (
            "[service]\nlog_format = \"xml\"",
            "logferry.toml:2: service.log_format = \"xml\": must be \"text\" or \"json\"",
        ),
        (
            "[service]\nlog_level = \"loud\"",
            "logferry.toml:2: service.log_level = \"loud\": \"loud\" is not a filter",
        ),
        (
            "[service]\nlog_level = \"info,broker=loud\"",
            "logferry.toml:2: service.log_level = \"info,broker=loud\": \"broker=loud\" is not a filter",
        ),
        (
            "[service]\nhttp_addr = \"9600\"",
            "logferry.toml:2: service.http_addr = \"9600\": must be an IP address and a port, such as \"127.0.0.1:5514\" or \"[::1]:5514\", or \"off\"",
        ),
        (
            "[service]\nhttp_addr = true",
            "logferry.toml:2: service.http_addr = true: must be text in quotes",
        ),
        (
            "[syslog_server]\nbatch_bytes_max = \"128kb\"",
            "logferry.toml:2: syslog_server.batch_bytes_max = \"128kb\": has an unknown unit \"kb\": did you mean \"KiB\"?",
        ),
    ] {
        check(text, expected);
    }
}

#[test]
fn values_of_the_wrong_type() {
    for (text, expected) in [
        (
            "[parser]\nprefetch = \"64\"",
            "logferry.toml:2: parser.prefetch = \"64\": must be a number without quotes: 64",
        ),
        (
            "[parser]\nprefetch = 1.5",
            "logferry.toml:2: parser.prefetch = 1.5: must be a whole number from 1 to 65535",
        ),
        (
            "[[store.route]]\nname = \"Debug\"\nkeep_days = 7",
            "logferry.toml:2: store.route.Debug.name = \"Debug\": must be up to 64 of `a` to `z`, digits",
        ),
        (
            "[parser]\nthreads = \"all\"",
            "logferry.toml:2: parser.threads = \"all\": must be a whole number from 1 to 1024, or \"auto\"",
        ),
        (
            "[parser]\nprefetch = 99999999999",
            "logferry.toml:2: parser.prefetch = 99999999999: must be from 1 to 65535",
        ),
        (
            "[shipper_pgsql]\nbinding_keys = \"default\"",
            "logferry.toml:2: shipper_pgsql.binding_keys = \"default\": must be a list of texts",
        ),
        (
            "[shipper_pgsql]\nbinding_keys = [1]",
            "logferry.toml:2: shipper_pgsql.binding_keys = [1]: must be a list of texts",
        ),
        (
            "[shipper_pgsql]\nbinding_keys = [\"a b\"]",
            "logferry.toml:2: shipper_pgsql.binding_keys = [\"a b\"]: \"a b\" is not a topic pattern",
        ),
        (
            "[shipper_pgsql]\nbinding_keys = []",
            "logferry.toml:2: shipper_pgsql.binding_keys = []: must name at least one route",
        ),
        (
            "[shipper_pgsql]\nqueue = \"my queue\"",
            "logferry.toml:2: shipper_pgsql.queue = \"my queue\": must be up to 64 letters",
        ),
        (
            "data_dir = [\"a\"]",
            "logferry.toml:1: data_dir = [\"a\"]: must be one text, not a list",
        ),
        (
            "[broker.url]\nhost = \"a\"",
            "logferry.toml:1: broker.url: must be a value, not a section",
        ),
        (
            "broker = \"embedded\"",
            "logferry.toml:1: broker: must be a section",
        ),
        (
            "[syslog_server.listener]\nname = \"tcp\"",
            "logferry.toml:1: syslog_server.listener: may be repeated, so it is written [[syslog_server.listener]]",
        ),
        (
            "[broker]\ntls_ca_file = \"missing.pem\"",
            "logferry.toml:2: broker.tls_ca_file = \"missing.pem\": cannot read missing.pem: No such file",
        ),
        (
            "[broker]\ntls_ca_file = \"src\"",
            "logferry.toml:2: broker.tls_ca_file = \"src\": src is a folder, not a file",
        ),
        ("[broker\nurl = 1", "logferry.toml:1: is not TOML: "),
        (
            "[parser]\nprefetch = 1\nprefetch = 2",
            "logferry.toml:3: is not TOML: duplicate key",
        ),
    ] {
        check(text, expected);
    }
}

#[test]
fn names_that_are_not_known() {
    for (text, expected) in [
        (
            "[broker]\nulr = \"amqp://u:hunter2@h\"",
            "logferry.toml:2: broker.ulr: is not a setting: did you mean `url`?",
        ),
        (
            "[brokers]\nurl = \"embedded\"",
            "logferry.toml:1: brokers: is not a setting: did you mean `broker`?",
        ),
        (
            "[service]\nprefetch = 1",
            "logferry.toml:2: service.prefetch: is not a setting here: it belongs in [parser] or",
        ),
        (
            "broker.tls.ca = \"x\"",
            "logferry.toml:1: broker.tls: is not a setting: here are url",
        ),
    ] {
        check(text, expected);
    }
}

const TCP: &str =
    "[[syslog_server.listener]]\nname = \"a\"\nprotocol = \"tcp\"\naddress = \"127.0.0.1:5514\"\n";
const UDP: &str =
    "[[syslog_server.listener]]\nname = \"b\"\nprotocol = \"udp\"\naddress = \"127.0.0.1:5514\"\n";

#[test]
fn listeners() {
    good(&file(&format!("{TCP}{UDP}")));
    assert_eq!(
        good(&file("syslog_server.listener = []")).syslog_server.listeners,
        []
    );
    for (text, expected) in [
        (
            format!("{TCP}adress = 1"),
            "logferry.toml:5: syslog_server.listener.a.adress: is not a setting: did you mean `address`?",
        ),
        (
            TCP.replace("name = \"a\"", ""),
            "logferry.toml:1: syslog_server.listener[1].name: is missing, such as name = \"tcp\"",
        ),
        (
            TCP.replace("127.0.0.1:5514", "localhost:5514"),
            "logferry.toml:4: syslog_server.listener.a.address = \"localhost:5514\": must be an IP address",
        ),
        (
            TCP.replace("\"tcp\"", "\"tls\""),
            "logferry.toml:3: syslog_server.listener.a.protocol = \"tls\": must be \"relp\" or \"tcp\" or \"udp\"",
        ),
        (
            format!("{TCP}{}", TCP.replace("5514", "5515")),
            "logferry.toml:6: syslog_server.listener.a.name = \"a\": is the name of another one: logferry.toml:2",
        ),
        (
            format!("{TCP}{}", TCP.replace("\"a\"", "\"c\"")),
            "logferry.toml:8: syslog_server.listener.c.address = \"127.0.0.1:5514\": is taken: syslog_server.listener.a.address is 127.0.0.1:5514 (logferry.toml:4)",
        ),
        (
            format!(
                "{TCP}{}",
                TCP.replace("\"a\"", "\"c\"").replace("127.0.0.1", "0.0.0.0")
            ),
            "logferry.toml:8: syslog_server.listener.c.address = \"0.0.0.0:5514\": is taken",
        ),
        (
            format!("{TCP}[service]\nhttp_addr = \"127.0.0.1:5514\""),
            "logferry.toml:4: syslog_server.listener.a.address = \"127.0.0.1:5514\": is taken: service.http_addr is",
        ),
        (
            format!("{UDP}idle_timeout = \"5s\""),
            "logferry.toml:5: syslog_server.listener.b.idle_timeout = \"5s\": has no effect on a udp listener",
        ),
        (
            format!("{TCP}receive_buffer = \"8MiB\""),
            "logferry.toml:5: syslog_server.listener.a.receive_buffer = \"8MiB\": has an effect on udp listeners only",
        ),
        (
            format!("{TCP}frame_bytes_max = \"1MiB\""),
            "logferry.toml:5: syslog_server.listener.a.frame_bytes_max = \"1MiB\": a frame of 1MiB is larger than syslog_server.batch_bytes_max (128KiB)",
        ),
        (
            format!("{TCP}time_zone = \"Mars/Base\""),
            "logferry.toml:5: syslog_server.listener.a.time_zone = \"Mars/Base\": is not a time zone",
        ),
    ] {
        check(&text, expected);
    }
}

#[test]
fn a_smaller_connection_cap_needs_no_smaller_cap_by_peer() {
    let settings = good(&file(&format!("{TCP}connections_max = 10")));
    assert_eq!(settings.syslog_server.listeners[0].connections_per_peer_max, 10);
}

#[test]
fn tls() {
    let dir = tempfile::tempdir().expect("a folder");
    for name in ["cert.pem", "key.pem", "ca.pem"] {
        fs::write(dir.path().join(name), "pem").expect("writes");
    }
    let with = |keys: &str, listener: &str| {
        let text = format!("{listener}[syslog_server.listener.tls]\n{keys}");
        Sources {
            file: Some((dir.path().join("logferry.toml"), text)),
            ..Sources::default()
        }
    };
    let both = "cert_file = \"cert.pem\"\nkey_file = \"key.pem\"\n";
    let settings = good(&with(both, TCP));
    let tls = settings.syslog_server.listeners[0].tls.as_ref().expect("has TLS");
    assert_eq!(
        tls.cert_file,
        dir.path().join("cert.pem"),
        "relative to the settings file"
    );
    for (keys, listener, expected) in [
        (
            both.to_owned(),
            UDP,
            ":3: syslog_server.listener.b.protocol = \"udp\": cannot have TLS",
        ),
        (
            "cert_file = \"cert.pem\"\n".to_owned(),
            TCP,
            ":5: syslog_server.listener.a.tls.key_file: is missing",
        ),
        (
            format!("{both}client_cert = \"required\""),
            TCP,
            ":8: syslog_server.listener.a.tls.client_cert = \"required\": needs client_ca_file",
        ),
        (
            format!("{both}client_ca_file = \"ca.pem\""),
            TCP,
            ":8: syslog_server.listener.a.tls.client_ca_file = \"ca.pem\": has no effect while client_cert is \"off\"",
        ),
        (
            format!("{both}client_ca_file = \"no.pem\"\nclient_cert = \"optional\""),
            TCP,
            ":8: syslog_server.listener.a.tls.client_ca_file = \"no.pem\": cannot read",
        ),
    ] {
        let told = told(&with(&keys, listener));
        assert!(
            told.len() == 1 && told[0].contains(expected),
            "{expected}: {told:#?}"
        );
    }
}

#[test]
fn programs() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("a.vrl"), ".a = 1\n").expect("writes");
    fs::write(dir.path().join("bytes.vrl"), b"\xff").expect("writes");
    let with = |keys: &str| {
        let text = format!("[[parser.program]]\nname = \"a\"\n{keys}");
        Sources {
            file: Some((dir.path().join("logferry.toml"), text)),
            ..Sources::default()
        }
    };
    let program = &good(&with("file = \"a.vrl\"")).parser.programs[0];
    assert_eq!(program.source, ".a = 1\n");
    assert_eq!(Path::new(&program.origin), dir.path().join("a.vrl"));
    for (keys, expected) in [
        ("", ":2: parser.program.a.name = \"a\": needs `file` or `source`"),
        (
            "file = \"a.vrl\"\nsource = \".\"",
            ":4: parser.program.a.source = \".\": stands beside `file`",
        ),
        (
            "file = \"b.vrl\"",
            ":3: parser.program.a.file = \"b.vrl\": cannot read",
        ),
        ("file = \"bytes.vrl\"", "stream did not contain valid UTF-8"),
    ] {
        let told = told(&with(keys));
        assert!(told.len() == 1 && told[0].contains(expected), "{keys}: {told:#?}");
    }
}

#[test]
fn destinations() {
    let with = |keys: &str| format!("[[shipper_fs.destination]]\nname = \"a\"\ndir = \"/tmp\"\n{keys}");
    good(&file(&with("path = \"{hostname}/a.log\"")));
    for (keys, expected) in [
        (
            "path = \"/a.log\"",
            "logferry.toml:4: shipper_fs.destination.a.path = \"/a.log\": must be the path of a file below `dir`",
        ),
        (
            "path = \"../a.log\"",
            "logferry.toml:4: shipper_fs.destination.a.path = \"../a.log\": must be the path of a file below `dir`",
        ),
        (
            "path = \"\"",
            "logferry.toml:4: shipper_fs.destination.a.path = \"\": must be the path of a file below `dir`",
        ),
        (
            "format = \"template\"",
            "logferry.toml:4: shipper_fs.destination.a.format = \"template\": needs `template`",
        ),
        (
            "template = \"x\"",
            "logferry.toml:4: shipper_fs.destination.a.template = \"x\": has no effect unless",
        ),
    ] {
        check(&with(keys), expected);
    }
}

#[test]
fn folders() {
    let folder = |keys: &str| format!("[[harvest.folder]]\nname = \"up\"\npath = \"/spool\"\n{keys}");
    let read = |keys: &str| good(&file(&folder(keys))).harvest.folders.remove(0);
    let up = read("");
    assert_eq!(up.name, "up");
    assert_eq!((up.recursive, up.follow, up.glob.as_str()), (false, false, "*"));
    let dirs = |done: &str, failed: &str| (PathBuf::from(done), PathBuf::from(failed));
    let (done_dir, failed_dir) = dirs("/spool/.done", "/spool/.failed");
    assert_eq!(up.done, Done::Move { done_dir, failed_dir });
    assert!(up.labels.grammar && up.labels.fields.is_empty() && up.multiline.is_none());
    let up = read(
        "recursive = true\nglob = \"**/*.log\"\ndone = \"delete\"\nfailed_dir = \"/bad\"\ngrammar = false\n\
         app_name = \"a b\"\nfacility = \"local0\"\ntags = [\"t\"]\nfields = [\"site=berlin=1\"]\n\
         [harvest.folder.multiline]\ncontinuation = '^\\s'\ntimeout = \"2s\"",
    );
    assert!(up.recursive && !up.labels.grammar);
    assert_eq!(
        up.done,
        Done::Delete {
            failed_dir: "/bad".into()
        }
    );
    assert_eq!(up.labels.app_name.as_deref(), Some("a b"));
    assert_eq!(up.labels.fields, [("site".to_owned(), "berlin=1".to_owned())]);
    let multiline = up.multiline.expect("is set");
    assert_eq!(multiline.pattern, LinePattern::Continuation("^\\s".to_owned()));
    assert_eq!(multiline.timeout, Duration::from_secs(2));
    let in_environment = Sources {
        file: Some(("logferry.toml".into(), folder(""))),
        env: env(&[
            ("LOGFERRY_HARVEST__FOLDER__UP__FOLLOW", "true"),
            ("LOGFERRY_HARVEST__FOLDER__UP__FIELDS", "a=1,b=2"),
        ]),
        ..Sources::default()
    };
    let up = good(&in_environment).harvest.folders.remove(0);
    assert!(up.follow);
    assert_eq!(up.labels.fields.len(), 2);
    for (keys, expected) in [
        (
            "recursive = \"true\"",
            "logferry.toml:4: harvest.folder.up.recursive = \"true\": must be true without quotes",
        ),
        (
            "recursive = 1",
            "logferry.toml:4: harvest.folder.up.recursive = 1: must be true or false",
        ),
        (
            "glob = \"a[\"",
            "logferry.toml:4: harvest.folder.up.glob = \"a[\": is not a pattern",
        ),
        (
            "glob = \"/a\"",
            "logferry.toml:4: harvest.folder.up.glob = \"/a\": must be a pattern for paths below",
        ),
        (
            "encoding = \"klingon\"",
            "logferry.toml:4: harvest.folder.up.encoding = \"klingon\": is not the label",
        ),
        ("fields = [\"site\"]", "logferry.toml:4: harvest.folder.up.fields"),
        (
            "follow = true\nquiet = \"1s\"",
            "logferry.toml:5: harvest.folder.up.quiet = \"1s\": has no effect with follow",
        ),
        (
            "done = \"keep\"\ndone_dir = \"/d\"",
            "logferry.toml:5: harvest.folder.up.done_dir = \"/d\": has an effect with done",
        ),
        (
            "grammar = false\ntime_zone = \"UTC\"",
            "logferry.toml:5: harvest.folder.up.time_zone = \"UTC\": has no effect",
        ),
        (
            "frame_bytes_max = \"1MiB\"",
            "logferry.toml:4: harvest.folder.up.frame_bytes_max = \"1MiB\": a frame of 1MiB is larger than harvest.batch_bytes_max (128KiB)",
        ),
        (
            "[harvest.folder.multiline]\nstart = \"(\"",
            "logferry.toml:5: harvest.folder.up.multiline.start = \"(\": is not a regular expression: unclosed group",
        ),
        (
            "[harvest.folder.multiline]\ntimeout = \"1s\"",
            "logferry.toml:4: harvest.folder.up.multiline.start: is missing",
        ),
        (
            "[harvest.folder.multiline]\nstart = \"a\"\ncontinuation = \"b\"",
            "logferry.toml:6: harvest.folder.up.multiline.continuation",
        ),
        (
            "[[syslog_server.listener]]\nname = \"UP\"\nprotocol = \"tcp\"\naddress = \"127.0.0.1:0\"",
            "logferry.toml:2: harvest.folder.up.name",
        ),
        (
            "[[syslog_server.listener]]\nname = \"u\"\nprotocol = \"udp\"\naddress = \"127.0.0.1:0\"\n[syslog_server.listener.multiline]\nstart = \"a\"",
            "logferry.toml:6: syslog_server.listener.u.protocol",
        ),
    ] {
        check(&folder(keys), expected);
    }
}

#[test]
fn contradictions() {
    for (text, expected) in [
        (
            "[service]\nshutdown_grace = \"1s\"\n[shipper_fs]\nsync_age_max = \"2s\"",
            "logferry.toml:2: service.shutdown_grace = \"1s\": must be more than shipper_fs.sync_age_max (2s)",
        ),
        (
            "[parser]\nthreads = 8\nprefetch = 4",
            "logferry.toml:3: parser.prefetch = 4: must be at least parser.threads (8)",
        ),
        (
            "[shipper_pgsql]\nprefetch = 8",
            "logferry.toml:2: shipper_pgsql.prefetch = 8: 8 batches of 1024 frames (syslog_server.batch_frames_max) never fill a transaction of 16384 rows",
        ),
        (
            "[shipper_pgsql]\nwriters = 9\nprefetch = 8\ntransaction_rows_max = 100",
            "logferry.toml:3: shipper_pgsql.prefetch = 8: must be at least shipper_pgsql.writers (9)",
        ),
        (
            "[store]\nurl = \"postgresql://h/db\"\npool_size = 2",
            "logferry.toml:3: store.pool_size = 2: must be more than shipper_pgsql.writers (2)",
        ),
        (
            "[store]\nkeep_days = 7\n[[store.route]]\nname = \"debug\"\nkeep_days = 7",
            "logferry.toml:5: store.route.debug.keep_days = 7: must be less than store.keep_days (7)",
        ),
        (
            "[[store.route]]\nname = \"a\"\nkeep_days = 7\n[[store.route]]\nname = \"a\"\nkeep_days = 8",
            "logferry.toml:5: store.route.a.name = \"a\": is the name of another one",
        ),
        (
            "[syslog_server]\nbatch_bytes_max = \"8MiB\"\n[parser]\nbatch_bytes_max = \"4MiB\"",
            "logferry.toml:4: parser.batch_bytes_max = \"4MiB\": must be at least syslog_server.batch_bytes_max (8MiB)",
        ),
        (
            "[shipper_fs]\nbatch_bytes_max = \"1MiB\"",
            "logferry.toml:2: shipper_fs.batch_bytes_max = \"1MiB\": must be at least parser.batch_bytes_max (16MiB)",
        ),
        (
            "[shipper_pgsql]\nqueue = \"parser\"",
            "logferry.toml:2: shipper_pgsql.queue = \"parser\": is the name of a queue that Logferry has for something else",
        ),
        (
            "[shipper_pgsql]\nqueue = \"shipper-fs\"",
            "default: shipper_fs.queue: is shipper_pgsql's queue too",
        ),
        (
            "[broker]\nurl = \"amqp://h\"\nheartbeat = \"1500ms\"",
            "logferry.toml:3: broker.heartbeat = \"1500ms\": must be whole seconds",
        ),
        (
            "[parser]\nhttp_addr = \"127.0.0.1:9601\"",
            "logferry.toml:2: parser.http_addr = \"127.0.0.1:9601\": is taken: syslog_server.http_addr is 127.0.0.1:9601 (default)",
        ),
    ] {
        check(text, expected);
    }
}

#[test]
fn services_in_containers_may_have_one_port() {
    let text = "[parser]\nhttp_addr = \"0.0.0.0:9600\"\n[shipper_pgsql]\nhttp_addr = \"0.0.0.0:9600\"\n";
    good(&file(text));
}

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

#[test]
fn the_order_of_rescue_queues_is_read() {
    let order = |text: &str| good(&file(text)).rescue.order;
    let url = "url = \"redis://localhost\"\n";
    assert_eq!(
        order(&format!("[rescue]\n{url}")),
        [RescueKind::Redis, RescueKind::File]
    );
    assert_eq!(
        order(&format!("[rescue]\n{url}order = [\"file\", \"redis\"]")),
        [RescueKind::File, RescueKind::Redis]
    );
    assert_eq!(order("[rescue]\norder = []"), []);
    for (order, says) in [
        ("[\"redis\"]", "needs rescue.url"),
        ("[\"file\", \"file\"]", "stands in it twice"),
        ("[\"disk\"]", "there are \"redis\" and \"file\""),
    ] {
        let told = told(&file(&format!("[rescue]\norder = {order}"))).join("\n");
        assert!(told.contains("rescue.order") && told.contains(says), "{told}");
    }
}

#[test]
fn all_mistakes_at_once_in_the_order_of_the_file() {
    let mut sources = file(
        "[shipper_fs]\nsync_age_max = \"1\"\n[parser]\nprefetch = 0\nspeed = 1\n[broker]\nheartbeat = \"1 fortnight\"\n",
    );
    sources.env = env(&[("LOGFERRY_STORE__POOL_SIZE", "lots"), ("LOGFERRY_SPEED", "1")]);
    sources.overrides = flags(&[("service.log_format", "xml")]);
    let keys: Vec<_> = Settings::from_sources(&sources)
        .expect_err("is wrong")
        .iter()
        .map(|p| p.key.clone())
        .collect();
    assert_eq!(
        keys,
        [
            "shipper_fs.sync_age_max",
            "parser.prefetch",
            "parser.speed",
            "broker.heartbeat",
            "speed",
            "store.pool_size",
            "service.log_format"
        ]
    );
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

/// Text that looks like settings more often than chance would have it.
fn settings_text() -> impl Strategy<Value = String> {
    let names = prop::sample::select(
        keys::SECTIONS
            .iter()
            .flat_map(|section| {
                let header = if section.path.ends_with("[]") {
                    "[[P]]"
                } else {
                    "[P]"
                };
                let header = header.replace('P', &section.path.replace("[]", ""));
                section
                    .keys
                    .iter()
                    .map(|key| format!("{} = ", key.name))
                    .chain([format!("\n{header}\n")])
            })
            .collect::<Vec<_>>(),
    );
    let values = prop_oneof![
        "[ -~]{0,12}",
        any::<i64>().prop_map(|number| number.to_string()),
        "\"[0-9]{0,25}[a-zA-Z]{0,4}\"",
        Just("[[[{a = 1}]]]".to_owned()),
        Just("\"amqp://[::1\"".to_owned()),
    ];
    let line = (names, values).prop_map(|(name, value)| format!("{name}{value}\n"));
    prop::collection::vec(prop_oneof![4 => line, 1 => "\\PC{0,20}\n"], 0..20).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn no_file_text_panics_the_reader(text in prop_oneof![settings_text(), "\\PC{0,200}"]) {
        let problems = Settings::from_sources(&file(&text));
        prop_assert!(problems.map_or_else(|problems| problems.iter().count(), |_| 1) > 0);
    }

    #[test]
    fn no_variable_or_flag_panics_the_reader(name in "[A-Z_]{0,30}", key in "[a-z_.]{0,40}", value in "\\PC{0,40}") {
        let known: Vec<_> = crate::reference::variables();
        let index = name.len() % known.len();
        let sources = Sources {
            file: None,
            env: env(&[(&format!("LOGFERRY_{name}"), &value), (&known[index].0, &value)]),
            overrides: flags(&[(&key, &value), (&known[index].1, &value), ("syslog_server.listener", &value)]),
        };
        let problems = Settings::from_sources(&sources);
        prop_assert!(problems.map_or_else(|problems| problems.iter().count(), |_| 1) > 0);
    }
}
