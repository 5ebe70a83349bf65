//! `logferry dead` on the queues of a running `logferry run`: embedded, or on RabbitMQ.

use std::{borrow::Cow, collections::BTreeSet, fs, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use event::{
    BatchId, Compression, Event, EventBatchBuilder, EventId, FrameDefects, PayloadKind, RawBatchBuilder,
    Timestamp,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::{
    eventually,
    proxy::{Condition, Proxy},
};

use crate::{
    fixture::{Fixture, Outcome, PATIENCE},
    run::{Run, found},
};

const AT: &str = "2026-11-21T10:00:00Z";

fn letter(id: BatchId, kind: PayloadKind, death: &Value, body: &[u8]) -> String {
    let letter = json!({
        "id": id.to_string(),
        "death": death,
        "routing_key": "test.letter",
        "content_type": kind.content_type(),
        "body_base64": BASE64_STANDARD.encode(body),
    });
    format!("{letter}\n")
}

/// A raw batch with two lines that parser should have taken.
fn raw_letter(reason: &str, word: &str) -> String {
    let id = BatchId::mint();
    let mut batch = RawBatchBuilder::new(id, "tcp");
    for number in 1..=2 {
        let line = format!("<13>1 - web01 app - - - {word} line {number}");
        let defects = FrameDefects::empty();
        batch.push(Timestamp::now(), "127.0.0.1:1", None, defects, line.as_bytes());
    }
    let death = json!({
        "reason": reason, "text": "no good: größe", "stage": "parser", "queue": "parser", "batch": id.to_string(),
        "at": AT, "attempts": 3, "exchange": "logferry.received", "routing_key": "syslog.tcp",
    });
    letter(id, PayloadKind::Raw, &death, &batch.finish(Compression::Lz4))
}

/// One event of a batch that is in the store already, as shipper-pgsql makes it a letter.
fn event_letter(batch: BatchId, source: BatchId, word: &str) -> String {
    let id = batch.derive("dead:5");
    let mut builder = EventBatchBuilder::new(id, source, "tcp", "default");
    let at = Timestamp::now();
    let mut event = Event::received(EventId::derive(source, 5, at), 5, at, "127.0.0.1:1", "tcp");
    event.message = Some(Cow::Owned(format!("{word} alone")));
    builder.push(&event);
    let death = json!({
        "reason": "refused", "text": "a row was refused", "stage": "shipper-pgsql", "queue": "shipper-pgsql",
        "batch": batch.to_string(), "position": 5, "at": AT, "attempts": 1,
        "exchange": "logferry.parsed", "routing_key": "default",
    });
    letter(
        id,
        PayloadKind::Events,
        &death,
        &builder.finish(Compression::None),
    )
}

/// Until nobody else holds letters any more: RabbitMQ takes a moment to take them back.
async fn listed(fixture: &Fixture, args: &[&str], count: usize) -> Vec<Value> {
    eventually(PATIENCE, || async {
        let listed = fixture.run(&[&["dead", "list", "--json"], args].concat());
        let records: Vec<Value> = listed
            .out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect();
        (listed.code == 0 && records.len() == count).then_some(records)
    })
    .await
}

fn good(outcome: &Outcome) -> &str {
    assert_eq!(outcome.code, 0, "{outcome:?}");
    &outcome.out
}

async fn letters_are_seen_put_back_once_taken_along_and_dropped(fixture: &Fixture) {
    let run = Run::start(fixture).await;
    assert_eq!(good(&fixture.run(&["dead", "list"])), "no dead letters\n");

    let (batch, source) = (BatchId::mint(), BatchId::mint());
    let letters = [
        raw_letter("undecodable", "apple"),
        raw_letter("panic", "pear"),
        event_letter(batch, source, "plum"),
    ];
    fs::write(fixture.path("letters"), letters.concat()).expect("writes");
    let imported = fixture.run(&["dead", "import", "letters"]);
    assert_eq!(good(&imported), "3 dead letters imported\n");

    // Looking takes nothing and shows all.
    for _ in 0..2 {
        let all = listed(fixture, &[], 3).await;
        assert_eq!(all[0]["death"]["reason"], "undecodable");
        assert_eq!(all[0]["events"], 2);
        assert_eq!(all[0]["preview"], "<13>1 - web01 app - - - apple line 1");
        assert_eq!(all[2]["death"]["batch"], batch.to_string());
        assert_eq!(all[2]["death"]["position"], 5);
    }
    let refused = listed(fixture, &["--stage", "shipper-pgsql", "--text", "ALONE"], 1).await;
    let id = refused[0]["id"].as_str().expect("has one").to_owned();
    listed(fixture, &["--since", "2026-11-21T10:00:00.5Z"], 0).await;
    let table = fixture.run(&["dead", "list", "--limit", "2"]);
    assert!(
        good(&table).contains("undecodable  2       no good: größe  <13>1 - web01"),
        "{table:?}"
    );
    assert!(table.err.contains("2 of 3 dead letters"), "{table:?}");
    listed(fixture, &[], 3).await;
    let shown = fixture.run(&["dead", "show", id.get(..9).expect("is longer")]);
    for part in [
        "position     5",
        "a row was refused",
        "\"message\":\"plum alone\"",
    ] {
        assert!(good(&shown).contains(part), "{shown:?}");
    }
    assert_eq!(fixture.run(&["dead", "show", "ffff-ffff"]).code, 1);

    // Taken along, put back, and put back again from the file: the store has each line once.
    listed(fixture, &[], 3).await;
    let exported = fixture.run(&["dead", "export", "--all", "--output", "kept.jsonl"]);
    assert!(exported.err.contains("3 dead letters exported"), "{exported:?}");
    listed(fixture, &[], 3).await;
    for _ in 0..2 {
        let back = fixture.run(&[
            "dead",
            "requeue",
            "--reason",
            "undecodable",
            "--reason",
            "refused",
            "--per-second",
            "20",
        ]);
        assert_eq!(good(&back), "2 dead letters put back\n");
        listed(fixture, &[], 1).await;
        found(fixture, "apple", 2).await;
        found(fixture, "plum", 1).await;
        assert_eq!(
            good(&fixture.run(&["dead", "drop", "--all", "--yes"]))
                .lines()
                .count(),
            1
        );
        listed(fixture, &[], 0).await;
        assert_eq!(
            good(&fixture.run(&["dead", "import", "kept.jsonl"])),
            "3 dead letters imported\n"
        );
        listed(fixture, &[], 3).await;
    }
    run.send("<13>1 - web01 app - - - a cherry is the last\n");
    found(fixture, "cherry", 1).await;
    found(fixture, "apple", 2).await;
    found(fixture, "plum", 1).await;

    let drops = fs::read_to_string(fixture.path("data/dead-drops.jsonl")).expect("was made");
    let drops: Vec<Value> = drops
        .lines()
        .map(|line| serde_json::from_str(line).expect("is JSON"))
        .collect();
    assert_eq!(drops.len(), 2);
    assert_eq!(drops[0]["reason"], "panic");
    assert!(
        drops[0]["who"].as_str().is_some_and(|who| who.contains('@')),
        "{drops:?}"
    );
    run.stop(Signal::SIGTERM);
}

#[tokio::test]
async fn dead_letters_on_embedded_queues() {
    let fixture = Fixture::new();
    letters_are_seen_put_back_once_taken_along_and_dropped(&fixture).await;
    // With nothing running the file is there for the command itself.
    listed(&fixture, &[], 3).await;
    let dropped = fixture.run(&["dead", "drop", "--reason", "refused", "--yes"]);
    assert!(
        good(&dropped).starts_with("1 dead letter dropped, recorded in "),
        "{dropped:?}"
    );
    listed(&fixture, &[], 2).await;
    let socket = fixture.path("data/logferry.sock").try_exists();
    assert!(
        !socket.expect("can be looked for"),
        "it went away with the process"
    );
}

#[tokio::test]
async fn dead_letters_on_rabbitmq() {
    let (vhost, database) = (testkit::rabbitmq(), testkit::postgres());
    let fixture = Fixture::new();
    fixture.settings(&format!(
        "[broker]\nurl = {:?}\n[store]\nurl = {:?}\n",
        vhost.url(),
        database.url()
    ));
    letters_are_seen_put_back_once_taken_along_and_dropped(&fixture).await;
    listed(&fixture, &[], 3).await;
}

#[tokio::test]
async fn drop_asks_and_takes_no_for_an_answer() {
    let fixture = Fixture::new();
    let run = Run::start(&fixture).await;
    let letters = [raw_letter("undecodable", "apple"), raw_letter("panic", "pear")];
    fs::write(fixture.path("letters"), letters.concat()).expect("writes");
    good(&fixture.run(&["dead", "import", "letters"]));

    // Into a pipe nobody answers.
    let nobody = fixture.run(&["dead", "drop", "--reason", "panic"]);
    assert_eq!((nobody.code, &*nobody.out), (64, ""), "{nobody:?}");
    assert!(
        nobody.err.contains("there is nobody to ask: add --yes"),
        "{nobody:?}"
    );
    let drop_panics = ["dead", "drop", "--reason", "panic"];
    for answer in ["n\n", "\n", "no\n", "yesterday\n", ""] {
        let asked = fixture.run_on_terminal(&drop_panics, answer);
        let told = good(&asked);
        assert!(told.contains("Drop 1 dead letter for good? [y/N]"), "{asked:?}");
        assert!(told.contains("0 dead letters dropped"), "{answer:?}: {asked:?}");
    }
    listed(&fixture, &[], 2).await;
    let recorded = fs::read_to_string(fixture.path("data/dead-drops.jsonl")).unwrap_or_default();
    assert_eq!(recorded, "", "nothing was dropped");

    let asked = fixture.run_on_terminal(&drop_panics, "y\n");
    assert!(
        good(&asked).contains("1 dead letter dropped, recorded in "),
        "{asked:?}"
    );
    assert_eq!(
        listed(&fixture, &[], 1).await[0]["death"]["reason"],
        "undecodable"
    );
    // Nothing to ask about.
    let none = fixture.run_on_terminal(&drop_panics, "");
    assert!(
        good(&none).contains("0 dead letters dropped") && !none.out.contains("for good?"),
        "{none:?}"
    );
    run.stop(Signal::SIGTERM);
}

/// RabbitMQ shows letters by holding them, in pieces of 4,096. The command that puts them back is killed in their middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_letters_are_put_back_by_a_command_that_is_killed() {
    const LETTERS: usize = 4_500;
    let (vhost, database) = (testkit::rabbitmq(), testkit::postgres());
    let fixture = Fixture::new();
    fixture.settings(&format!(
        "[broker]\nurl = {:?}\n[store]\nurl = {:?}\n",
        vhost.url(),
        database.url()
    ));
    let run = Run::start(&fixture).await;
    let letters: Vec<String> = (0..LETTERS)
        .map(|number| raw_letter("undecodable", &format!("many{number:05}")))
        .collect();
    fs::write(fixture.path("letters"), letters.concat()).expect("writes");
    assert_eq!(
        good(&fixture.run(&["dead", "import", "letters"])),
        "4,500 dead letters imported\n"
    );
    let ids = |records: &[Value]| -> BTreeSet<String> {
        let id = |record: &Value| record["id"].as_str().expect("has one").to_owned();
        records.iter().map(id).collect()
    };
    let all = ids(&listed(&fixture, &[], LETTERS).await);
    assert_eq!(all.len(), LETTERS, "each is seen once");
    listed(&fixture, &["--text", "many04321"], 1).await;

    // A slow way to the broker, so that there is a middle.
    let (before, after) = vhost.url().split_once("127.0.0.1:").expect("is there");
    let (port, after) = after.split_once('/').expect("has a vhost");
    let broker = ([127, 0, 0, 1], port.parse().expect("is a number")).into();
    let proxy = Proxy::start(broker).await.expect("starts");
    let url = format!("broker.url={before}{}/{after}", proxy.addr());
    let slow = ["dead", "requeue", "--all", "--set", &url];
    let rows = || -> usize {
        let count = database.query("SELECT count(*) FROM events").remove(0);
        count.parse().expect("is a number")
    };
    proxy.set(Condition::Delay(Duration::from_millis(30)));
    for part in 1..=2 {
        let running = fixture.start(&slow);
        eventually(PATIENCE, || async { running.has_ended() || rows() >= part * 400 }).await;
        if !running.has_ended() {
            running.signal(Signal::SIGKILL);
        }
        let (code, out, err) = running.end();
        assert_eq!(code, None, "it was not in the middle: {out}{err}");
    }
    proxy.set(Condition::Clear);
    // What was held comes back, nothing else is there, and all the rest goes the same way.
    let left = eventually(PATIENCE, || async {
        let left = fixture.run(&["dead", "list", "--json"]);
        (left.code == 0).then_some(left.out)
    })
    .await;
    let left: Vec<Value> = left
        .lines()
        .map(|line| serde_json::from_str(line).expect("is JSON"))
        .collect();
    assert!(!left.is_empty() && left.len() < LETTERS, "{}", left.len());
    assert!(ids(&left).is_subset(&all));
    good(&fixture.run(&["dead", "requeue", "--all"]));
    listed(&fixture, &[], 0).await;
    eventually(PATIENCE, || async { rows() >= 2 * LETTERS }).await;
    run.send("<13>1 - web01 app - - - a cherry is the last\n");
    found(&fixture, "cherry", 1).await;
    let counted = database.query("SELECT count(*), count(DISTINCT message) FROM events");
    let expected = 2 * LETTERS + 1;
    assert_eq!(counted, [format!("{expected}|{expected}")], "each line once");
    run.stop(Signal::SIGTERM);
}

#[tokio::test]
async fn what_cannot_be_put_back_stays_and_is_told() {
    let fixture = Fixture::new();
    fixture.settings(
        "[shipper_pgsql]\nbinding_keys = [\"default\"]\n[[parser.program]]\nname = \"odd\"\nsource = '''route(\"odd\")'''\n",
    );
    let run = Run::start(&fixture).await;
    run.send("<13>1 - web01 app - - - a quince for nobody\n");
    let letters = listed(&fixture, &["--reason", "unroutable"], 1).await;
    assert_eq!(letters[0]["death"]["queue"], "parser");
    let back = fixture.run(&["dead", "requeue", "--all"]);
    assert_eq!(
        (back.code, back.out.as_str()),
        (1, "0 dead letters put back\n"),
        "{back:?}"
    );
    assert!(back.err.contains("stays: no queue takes messages"), "{back:?}");
    listed(&fixture, &[], 1).await;
    run.stop(Signal::SIGTERM);

    fixture.settings("");
    let run = Run::start(&fixture).await;
    let back = fixture.run(&["dead", "requeue", "--all"]);
    assert_eq!(good(&back), "1 dead letter put back\n");
    found(&fixture, "quince", 1).await;
    listed(&fixture, &[], 0).await;
    run.stop(Signal::SIGTERM);
}

#[test]
fn mistakes_are_told_before_anything_is_done() {
    let fixture = Fixture::new();
    for (args, code, told) in [
        (&["dead", "requeue"][..], 64, "ids or filters, or --all"),
        (&["dead", "requeue", "--all", "--reason", "x"], 64, "either"),
        (
            &["dead", "requeue", "--all", "--per-second", "0"],
            64,
            "per_second must be a whole number from 1 to 10000",
        ),
        (&["dead", "drop", "--all"], 64, "add --yes"),
        (&["dead", "show"], 64, "logferry dead list"),
        (&["dead", "show", "xyz"], 64, "first 4 or more"),
        (&["dead", "list"], 1, "no data of Logferry"),
        (&["dead", "import", "nowhere"], 1, "open nowhere"),
    ] {
        let outcome = fixture.run(args);
        assert_eq!(outcome.code, code, "{args:?} {outcome:?}");
        assert!(outcome.err.contains(told), "{args:?} {outcome:?}");
    }
    assert_eq!(fixture.names(), [""; 0], "nothing was made");
    let help = fixture.run(&["dead", "--help"]);
    assert!(good(&help).contains("dead-drops.jsonl"), "{help:?}");
}
