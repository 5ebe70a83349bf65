//! Files: uploaded while harvest dies, and followed; and lines of connections that belong together.

use std::{fs, io::Write, path::Path};

use testkit::{RelpLoad, Service, eventually};

use crate::support::{PATIENCE, Rows, System, assert_counts, each_once, lines, send_tcp};

const FILES: usize = 50;
const LINES: usize = 1000;

const SETTINGS: &str = "
[[harvest.folder]]
name = \"up\"
path = \"up\"
poll_interval = \"200ms\"
tags = [\"uploaded\"]
fields = [\"site=berlin\"]

[[harvest.folder]]
name = \"living\"
path = \"living\"
glob = \"*.log\"
follow = true
poll_interval = \"200ms\"
app_name = \"billing\"
grammar = false
[harvest.folder.multiline]
continuation = '^ '
timeout = \"200ms\"
";

async fn start(settings: &str) -> System {
    let mut services = Service::ALL.to_vec();
    services.push(Service::Harvest);
    System::start_services(settings, &services).await
}

/// As uploads should be: under a hidden name first.
fn put(dir: &Path, name: &str, bytes: &[u8]) {
    fs::create_dir_all(dir).unwrap();
    let hidden = dir.join(format!(".{name}"));
    fs::write(&hidden, bytes).unwrap();
    fs::rename(hidden, dir.join(name)).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn harvest_dies() {
    let system = start(SETTINGS).await;
    let dir = system.pipeline.dir().join("up");
    let all = lines("file", FILES * LINES);
    for (n, part) in all.chunks(LINES).enumerate() {
        let mut text = part.join("\n").into_bytes();
        text.push(b'\n');
        match n % 3 {
            0 => put(&dir, &format!("{n}.log"), &text),
            1 => put(&dir, &format!("{n}.log.gz"), &gzip(&text)),
            _ => put(
                &dir,
                &format!("{n}.log.zst"),
                &zstd::encode_all(text.as_slice(), 1).unwrap(),
            ),
        }
    }
    for part in 1..4 {
        system.rows.await_total(part * FILES * LINES / 5).await;
        system.pipeline.kill(Service::Harvest).await;
        system.pipeline.start(Service::Harvest).await;
    }
    eventually(PATIENCE, || async {
        fs::read_dir(dir.join(".done")).is_ok_and(|done| done.count() == FILES)
    })
    .await;
    let expected = each_once("file", FILES * LINES);
    eventually(PATIENCE, || async { system.rows.total().await >= expected.len() }).await;
    assert_counts(&system.rows.counts().await, &expected);
    let sql = "SELECT count(*)::text FROM events WHERE listener = 'up' AND 'uploaded' = ANY (tags)";
    assert_eq!(system.rows.column(sql).await, [expected.len().to_string()]);
    assert!(system.pipeline.terminate(Service::Harvest).await.success());
}

#[tokio::test]
async fn what_harvest_does_is_in_its_metrics() {
    let folder = |name: &str, keys: &str| {
        format!("[[harvest.folder]]\nname = {name:?}\npath = {name:?}\npoll_interval = \"200ms\"\n{keys}\n")
    };
    let up = folder("up", "quiet = \"0ms\"");
    let living = folder("living", "follow = true\nframe_bytes_max = \"1KiB\"");
    let system = start(&(up + &living)).await;
    let dir = system.pipeline.dir().join("living");
    let all = lines("metric", 990);
    let mut text = all.join("\n").into_bytes();
    text.extend_from_slice(format!("\n{}\n", "x".repeat(1500)).as_bytes());
    put(&dir, "a.log", &text);
    let up = system.pipeline.dir().join("up");
    put(&up, "b.log.gz", &gzip(all[..9].join("\n").as_bytes()));
    put(&up, "bad.gz", &[&[0x1f, 0x8b, 8, 0][..], &[0xff; 100]].concat());
    eventually(PATIENCE, || async {
        fs::read_dir(up.join(".done")).is_ok_and(|done| done.count() == 1)
            && fs::read_dir(up.join(".failed")).is_ok_and(|failed| failed.count() == 2)
    })
    .await;
    system.rows.await_total(1000).await;
    let metric = async |name: &str, labels: &[&str]| {
        let parts = [&[name], labels].concat();
        system.pipeline.metric(Service::Harvest, &parts).await
    };
    let stage = "stage=\"harvest\"";
    for (name, labels, expected) in [
        ("logferry_events_received_total", &[stage][..], 1000.0),
        ("logferry_events_sent_total", &[stage], 1000.0),
        ("logferry_batches_in_flight", &[stage], 0.0),
        ("logferry_harvest_files_total", &["\"up\"", "\"taken\""], 1.0),
        ("logferry_harvest_files_total", &["\"up\"", "\"failed\""], 1.0),
        ("logferry_harvest_bytes_total", &["\"living\""], text.len() as f64),
        ("logferry_harvest_lines_truncated_total", &["\"living\""], 1.0),
        ("logferry_broker_ready", &[], 1.0),
        ("logferry_broker_messages_unconfirmed", &[], 0.0),
        ("logferry_broker_messages_returned_total", &[], 0.0),
    ] {
        let found = metric(name, labels).await;
        assert!(
            (found - expected).abs() < 0.5,
            "{name}{labels:?} is {found}, not {expected}"
        );
    }
    // It was not there at first.
    assert!(metric("logferry_harvest_scans_failed_total", &["\"up\""]).await >= 1.0);
    let published = metric("logferry_broker_messages_published_total", &[]).await;
    let confirmed = metric("logferry_broker_messages_confirmed_total", &[]).await;
    assert!(
        published >= 2.0 && (published - confirmed).abs() < 0.5,
        "{published} {confirmed}"
    );
}

async fn await_message(rows: &Rows, message: &str) {
    let sql = "SELECT 1 FROM events WHERE message = $1";
    eventually(PATIENCE, || async {
        !rows.client().query(sql, &[&message]).await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test]
async fn living_files_are_followed_and_lines_joined() {
    let system = start(SETTINGS).await;
    let dir = system.pipeline.dir().join("living");
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join("app.log");
    let write = |text: &str| {
        let mut file = fs::File::options().create(true).append(true).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    write("first\n at one\n at two\n");
    await_message(&system.rows, "first\n at one\n at two").await;
    fs::rename(&path, dir.join("app.log.1")).unwrap();
    write("second\n");
    await_message(&system.rows, "second").await;
    fs::copy(&path, dir.join("app.log.2")).unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    eventually(PATIENCE, || async {
        let parts = ["logferry_harvest_files_total", "truncated", "living"];
        system.pipeline.metric(Service::Harvest, &parts).await >= 1.0
    })
    .await;
    write("third\n");
    await_message(&system.rows, "third").await;
    assert_eq!(system.rows.total().await, 3);
    let sql = "SELECT DISTINCT app_name FROM events";
    assert_eq!(system.rows.column(sql).await, ["billing"]);
}

#[tokio::test]
async fn lines_of_connections_are_joined() {
    let (tcp, relp) = (testkit::free_port(), testkit::free_port());
    let listener = |name: &str, protocol: &str, port: u16| {
        format!(
            "[[syslog_server.listener]]\nname = {name:?}\nprotocol = {protocol:?}\naddress = \"127.0.0.1:{port}\"\n\
             [syslog_server.listener.multiline]\nstart = '^<'\ntimeout = \"300ms\"\n"
        )
    };
    let settings = listener("joined-tcp", "tcp", tcp) + &listener("joined-relp", "relp", relp);
    let system = System::start_with(&settings).await;
    let event = |name: &str| {
        [
            format!("<13>1 - - {name} - - - first"),
            " second".into(),
            " third".into(),
        ]
    };
    send_tcp(([127, 0, 0, 1], tcp).into(), &event("tcp")).await;
    RelpLoad::start(([127, 0, 0, 1], relp).into(), event("relp").to_vec())
        .finish()
        .await;
    system.rows.await_total(2).await;
    let sql = "SELECT app_name || '|' || message FROM events ORDER BY 1";
    assert_eq!(
        system.rows.column(sql).await,
        ["relp|first\n second\n third", "tcp|first\n second\n third"]
    );
}
