//! Sections as a whole, and what in them contradicts each other.

use std::{fs, time::Duration};

use super::*;
use crate::model::{Done, LinePattern, RescueKind};

const TCP: &str =
    "[[syslog_server.listener]]\nname = \"a\"\nprotocol = \"tcp\"\naddress = \"127.0.0.1:5514\"\n";
const UDP: &str =
    "[[syslog_server.listener]]\nname = \"b\"\nprotocol = \"udp\"\naddress = \"127.0.0.1:5514\"\n";

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
