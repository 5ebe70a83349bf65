//! The commands that do one thing and end.

use std::fs;

use testkit::eventually;

use crate::fixture::{EVENTS, Fixture, Outcome, PATIENCE};

#[test]
fn help_and_mistakes_in_arguments() {
    let fixture = Fixture::new();
    for command in ["check", "init", "search", "run"] {
        let Outcome { code, out, .. } = fixture.run(&[command, "--help"]);
        assert_eq!(code, 0, "{command}");
        assert!(
            out.contains("Examples:\n") && out.contains("--config"),
            "{command}: {out}"
        );
    }
    let help = fixture.run(&["--help"]);
    assert!(help.code == 0 && help.out.contains("Exit codes:"), "{help:?}");
    assert_eq!(fixture.run(&[]).code, 64, "no command");
    let told = fixture.run(&["serch"]);
    assert!(told.code == 64 && told.err.contains("'search'"), "{told:?}");
    let told = fixture.run(&["search", "severity:wrn", "x"]);
    assert!(
        told.code == 64 && told.err.contains("\n           ^^^\n") && told.err.contains("severity:warn x"),
        "{told:?}"
    );
}

#[test]
fn check_tells_every_mistake() {
    let fixture = Fixture::new();
    fixture.settings("[parser]\nprefetch = 0\n[brokr]\nurl = \"embedded\"\n");
    let told = fixture.run(&["check"]);
    assert_eq!(told.code, 78);
    assert_eq!(
        told.out,
        "logferry.toml:2: parser.prefetch = 0: must be from 1 to 65535\n\
         logferry.toml:3: brokr: is not a setting: did you mean `broker`?\n"
    );
    let told = fixture.run(&["check", "--json"]);
    assert_eq!(told.code, 78);
    let report = told.json();
    assert_eq!(
        (&report["ok"], &report["problems"][0]["key"]),
        (&false.into(), &"parser.prefetch".into())
    );
    assert_eq!(report["problems"][0]["place"]["file"]["line"], 2);
}

#[test]
fn check_compiles_the_rules() {
    let fixture = Fixture::new();
    fixture.settings("[[parser.program]]\nname = \"noise\"\nfile = \"noise.vrl\"\n");
    fs::write(
        fixture.path("noise.vrl"),
        "if .severity == \"debug\" { drop(\"debug\") }\n",
    )
    .expect("writes");
    let told = fixture.run(&["check"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.out.contains("1 program compiles"), "{told:?}");
    fs::write(fixture.path("noise.vrl"), ".a = 1\n.b = upcase(5)\n").expect("writes");
    let told = fixture.run(&["check"]);
    assert_eq!(told.code, 78, "{told:?}");
    assert!(told.out.contains("noise.vrl:2:"), "file and line: {}", told.out);
    let report = fixture.run(&["check", "--json"]).json();
    assert_eq!(
        (&report["ok"], &report["checks"][0]["state"]),
        (&false.into(), &"failed".into())
    );
}

#[test]
fn check_reads_templates_of_paths() {
    let fixture = Fixture::new();
    fixture.settings("[[shipper_fs.destination]]\nname = \"a\"\ndir = \"files\"\npath = \"{hostnme}.log\"\n");
    let told = fixture.run(&["check"]);
    assert_eq!(told.code, 78, "{told:?}");
    assert!(
        told.out.contains("files     failed") && told.out.contains("hostnme"),
        "{told:?}"
    );
    assert_eq!(fixture.run(&["run"]).code, 78);
}

#[test]
fn check_connect_leaves_nothing_behind() {
    let fixture = Fixture::new();
    let told = fixture.run(&["check", "--connect"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.out.contains("is made by `logferry run`"), "{told:?}");
    assert_eq!(fixture.names(), Vec::<String>::new());
}

#[test]
fn check_connect_tells_what_does_not_answer() {
    let fixture = Fixture::new();
    let nobody = "store.url=postgresql://logferry:hunter2@127.0.0.1:1/logs";
    let told = fixture.run(&["check", "--connect", "--set", nobody]);
    assert_eq!(told.code, 1, "{told:?}");
    let store = told
        .out
        .lines()
        .find(|line| line.starts_with("store "))
        .expect("has a line");
    assert!(store.contains("failed") && store.contains("store.url"), "{store}");
    assert!(
        !told.out.contains("hunter2") && !told.err.contains("hunter2"),
        "{told:?}"
    );
    let report = fixture
        .run(&["check", "--connect", "--json", "--set", nobody])
        .json();
    let states: Vec<_> = report["checks"]
        .as_array()
        .expect("is a list")
        .iter()
        .map(|check| check["state"].clone())
        .collect();
    assert_eq!(
        states,
        ["ok", "ok", "ok", "failed", "unused"],
        "rules, files, broker, store, rescue"
    );
}

#[test]
fn init_can_be_repeated() {
    let fixture = Fixture::new();
    let first = fixture.run(&["init"]);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(
        first.out.contains("declared queues parser, dead, shipper-pgsql"),
        "{first:?}"
    );
    let second = fixture.run(&["init"]);
    assert_eq!((second.code, second.out), (0, first.out));
}

#[test]
fn init_and_search_on_postgresql() {
    let database = testkit::postgres();
    let fixture = Fixture::new();
    let url = format!("store.url={}", database.url());
    let told = fixture.run(&["search", "--set", &url]);
    assert!(told.code == 1 && told.err.contains("logferry init"), "{told:?}");
    for _ in 0..2 {
        let told = fixture.run(&["init", "--set", &url]);
        assert_eq!(told.code, 0, "{told:?}");
        assert!(told.out.contains("PostgreSQL"), "{told:?}");
    }
    let told = fixture.run(&["check", "--connect", "--set", &url]);
    assert_eq!(told.code, 0, "{told:?}");
    fixture.store(&[&url], EVENTS);
    search_finds(&fixture, &["--set", &url]);
}

#[test]
fn init_on_rabbitmq_refuses_a_queue_that_is_different() {
    let vhost = testkit::rabbitmq();
    let fixture = Fixture::new();
    let url = format!("broker.url={}", vhost.url());
    for _ in 0..2 {
        let told = fixture.run(&["init", "--set", &url]);
        assert_eq!(told.code, 0, "{told:?}");
        assert!(
            told.out.contains("RabbitMQ") && told.out.contains("declared queues parser, dead"),
            "{told:?}"
        );
    }
    let told = fixture.run(&["init", "--set", &url, "--set", "broker.queue_bytes_max=1GiB"]);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(
        told.err.contains("exists with") && told.err.contains("1073741824"),
        "{told:?}"
    );
    assert!(
        told.out.contains("store "),
        "the store is made all the same: {told:?}"
    );
}

#[test]
fn check_connect_tries_every_server() {
    let (vhost, database, keys) = (testkit::rabbitmq(), testkit::postgres(), testkit::redis());
    let fixture = Fixture::new();
    let urls = [
        format!("broker.url={}", vhost.url()),
        format!("store.url={}", database.url()),
        format!("rescue.url={}", keys.url()),
    ];
    let set: Vec<_> = urls.iter().flat_map(|url| ["--set", url]).collect();
    assert_eq!(fixture.run(&[&["init"], &set[..]].concat()).code, 0);
    let told = fixture.run(&[&["check", "--connect"], &set[..]].concat());
    assert_eq!(told.code, 0, "{told:?}");
    for line in [
        "broker    ok",
        "rabbitmq  -       broker.management_url is \"off\"",
        "store     ok",
        "rescue    ok",
        "each batch is synced to disk",
    ] {
        assert!(told.out.contains(line), "{line}: {told:?}");
    }
}

#[test]
fn check_connect_asks_the_management_api() {
    let vhost = testkit::rabbitmq();
    let fixture = Fixture::new();
    let broker = format!("broker.url={}", vhost.url());
    let check = |api: &str| {
        let api = format!("broker.management_url={api}");
        let keys = ["--set", &broker, "--set", &api];
        assert_eq!(fixture.run(&[&["init"], &keys[..]].concat()).code, 0);
        fixture.run(&[&["check", "--connect"], &keys[..]].concat())
    };
    let told = check(&vhost.api_url());
    assert_eq!(told.code, 0, "{told:?}");
    assert!(
        told.out.contains("rabbitmq  ok") && told.out.contains(" tells of 3 of 3 queues and of 1 node"),
        "{told:?}"
    );
    for (api, problem) in [
        ("http://u:hunter2@127.0.0.1:1", "cannot be reached"),
        (
            &*vhost.api_url().replace("guest:guest@", "guest:hunter2@"),
            "answered 401",
        ),
    ] {
        let told = check(api);
        assert_eq!(told.code, 1, "{told:?}");
        let line = told.out.lines().find(|line| line.starts_with("rabbitmq "));
        let line = line.expect("has a line");
        assert!(
            line.contains("failed") && line.contains("broker.management_url") && line.contains(problem),
            "{line}"
        );
        assert!(
            !told.out.contains("hunter2") && !told.err.contains("hunter2"),
            "{told:?}"
        );
    }
}

#[test]
fn a_redis_that_does_not_sync_is_told() {
    let vhost = testkit::rabbitmq();
    let redis = testkit::Redis::launch().expect("a Redis of its own");
    redis
        .configure("appendfsync", "everysec")
        .expect("it can be changed");
    let fixture = Fixture::new();
    let (broker, rescue) = (
        format!("broker.url={}", vhost.url()),
        format!("rescue.url={}", redis.url()),
    );
    let with = |words: &[&str], more: &[&str]| {
        let set = ["--set", &broker, "--set", &rescue];
        fixture.run(&[words, &set[..], more].concat())
    };
    let told = with(&["init"], &[]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(
        told.out.contains("rescue  not usable") && told.out.contains("everysec"),
        "{told:?}"
    );
    let told = with(&["check", "--connect"], &[]);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(
        told.out.contains("rescue    failed") && told.out.contains("everysec"),
        "{told:?}"
    );
    let accepted = ["--set", "rescue.durability=accepted"];
    let told = with(&["check", "--connect"], &accepted);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(
        told.out.contains("weaker guarantee") && told.out.contains("everysec"),
        "{told:?}"
    );
}

#[test]
fn search_on_sqlite() {
    let fixture = Fixture::new();
    fixture.store(&[], EVENTS);
    search_finds(&fixture, &[]);
}

fn search_finds(fixture: &Fixture, settings: &[&str]) {
    let search = |args: &[&str]| {
        let found = fixture.run(&[&["search"], args, settings].concat());
        assert_eq!(found.code, 0, "{args:?}: {found:?}");
        found.out
    };
    let messages = |args: &[&str]| -> Vec<String> {
        let found = search(&[args, &["--json"]].concat());
        let message = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).expect("is JSON");
            event["message"].as_str().expect("has a message").to_owned()
        };
        found.lines().map(message).collect()
    };
    let all = [
        "connection refused by peer",
        "disk \u{1b}[31mfull\u{1b}[0m",
        "ready to serve",
    ];
    assert_eq!(messages(&["--oldest-first"]), all);
    assert_eq!(messages(&[]), [all[2], all[1], all[0]], "newest first");
    assert_eq!(messages(&["--limit", "1"]), [all[2]]);
    assert_eq!(messages(&["--limit", "all"]).len(), 3);
    assert_eq!(messages(&["Connection Refused"]), [all[0]]);
    assert_eq!(messages(&["refused", "ready"]), Vec::<String>::new(), "all words");
    assert_eq!(messages(&["\"refused by\""]), [all[0]]);
    assert_eq!(messages(&["refused", "OR", "ready"]), [all[2], all[0]]);
    assert_eq!(messages(&["app:nginx -refused"]), [all[2]]);
    assert_eq!(messages(&["/f[u]ll/", "host:web*"]), [all[1]]);
    assert_eq!(messages(&["hostname:web02"]), [all[1]]);
    assert_eq!(
        messages(&["--severity", "err"]),
        [all[1], all[0]],
        "err and worse"
    );
    assert_eq!(messages(&["severity:crit"]), [all[1]]);
    assert_eq!(
        messages(&["--from", "2026-11-21T10:00:01Z", "--to", "2026-11-21T10:00:02Z"]),
        [all[1]]
    );
    assert_eq!(messages(&["--from", "now"]), Vec::<String>::new());

    let noted = fixture.run(&[&["search", "hostnme:x"], settings].concat());
    assert!(noted.code == 0 && noted.err.contains("hostname"), "{noted:?}");
    let partial = fixture.run(&[&["search", "nowhere", "--timeout", "0s"], settings].concat());
    assert!(
        partial.code == 75 && partial.err.contains("the time was up"),
        "{partial:?}"
    );

    let lines = search(&["--oldest-first"]);
    assert!(!lines.contains('\u{1b}'), "{lines:?}");
    assert_eq!(
        lines,
        "2026-11-21 10:00:00.000 err     web01 nginx[17] connection refused by peer\n\
         2026-11-21 10:00:01.000 crit    web02 kernel    disk \\x1b[31mfull\\x1b[0m\n\
         2026-11-21 10:00:02.000 info    web01 nginx[17] ready to serve\n"
    );
    assert!(search(&["--color", "always"]).contains("\u{1b}[31m"));
}

#[test]
fn search_without_data_says_how_to_get_some() {
    let fixture = Fixture::new();
    let told = fixture.run(&["search", "x"]);
    assert!(
        told.code == 1 && told.err.contains("logferry run") && told.err.contains("--data DIR"),
        "{told:?}"
    );
    assert_eq!(fixture.names(), Vec::<String>::new());
}

#[tokio::test]
async fn follow_shows_what_comes_in_once() {
    let fixture = Fixture::new();
    fixture.store(&[], &EVENTS[..1]);
    let following = fixture.start(&["search", "--follow", "--limit", "1", "--json"]);
    eventually(PATIENCE, || async { following.out().lines().count() == 1 }).await;
    fixture.store_now(&["a", "b"]);
    eventually(PATIENCE, || async { following.out().lines().count() == 3 }).await;
    fixture.store_now(&["c"]);
    eventually(PATIENCE, || async {
        following.out().contains("\"message\":\"c\"")
    })
    .await;
    let count = |message: &str| {
        following
            .out()
            .matches(&format!("\"message\":\"{message}\""))
            .count()
    };
    assert_eq!((count("a"), count("b"), count("c")), (1, 1, 1));
    assert_eq!(following.err(), "");
}
