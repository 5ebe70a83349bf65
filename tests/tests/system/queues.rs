//! Raw batches spread over several queues: the lines of each sender stay in order, and a change of their number loses
//! nothing.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};

use testkit::{Pipeline, Service, eventually};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{PATIENCE, System, assert_counts, await_events, each_once, events, file_counts, lines};

const SENDERS: u8 = 24;
const LINES: usize = 200;

/// A connection from an address of its own.
async fn connect_from(host: u8, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((IpAddr::from([127, 0, 0, host]), 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

/// Every sender sends its lines, a few at a time, all by turns.
async fn send(server: SocketAddr, round: &str) {
    let mut senders = Vec::new();
    for host in 1..=SENDERS {
        let lines = lines(&format!("{round}-{host:03}"), LINES);
        senders.push((connect_from(host, server).await, lines.into_iter()));
    }
    for _ in 0..LINES / 10 {
        for (stream, lines) in &mut senders {
            let some: String = lines.take(10).map(|line| line + "\n").collect();
            stream.write_all(some.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
        }
    }
    for (mut stream, _) in senders {
        stream.shutdown().await.unwrap();
    }
}

/// Puts the number of queues into the settings.
fn write_queues(pipeline: &Pipeline, before: &str, now: &str) {
    let file = pipeline.dir().join("logferry.toml");
    let text = fs::read_to_string(&file).unwrap();
    let (old, new) = (format!("[parser]\n{before}"), format!("[parser]\n{now}"));
    assert!(text.contains(&old), "{text}");
    fs::write(file, text.replacen(&old, &new, 1)).unwrap();
}

#[tokio::test]
async fn senders_stay_in_order_and_another_number_of_queues_loses_nothing() {
    let system = System::start().await;
    let pipeline = &system.pipeline;
    let total = usize::from(SENDERS) * LINES;
    write_queues(pipeline, "", "queues = 4\n");
    let init = pipeline.logferry(&["init"]);
    assert!(init.status.success(), "{init:?}");
    for service in [Service::Parser, Service::SyslogServer] {
        pipeline.terminate(service).await;
        pipeline.start(service).await;
    }
    send(pipeline.tcp(), "four").await;
    system.rows.await_total(total).await;
    await_events(&pipeline.events_file(), total).await;
    // Files are written in the order of the queues; the numbers in the keys of a sender only rise.
    let mut last = BTreeMap::new();
    for event in events(&pipeline.events_file()) {
        let message = event["message"].as_str().unwrap();
        let key = message.split_whitespace().next_back().unwrap();
        let (sender, number) = key.rsplit_once('-').unwrap();
        let before = last.insert(sender.to_owned(), number.to_owned());
        assert!(before.is_none_or(|before| *before < *number), "{key}");
    }
    let metrics = pipeline.metrics(Service::Parser).await;
    for queue in ["parser", "parser-2", "parser-3", "parser-4"] {
        let fill = format!("logferry_queue_messages{{queue=\"{queue}\"}}");
        assert!(metrics.contains(&fill), "{fill} is not in {metrics}");
    }

    // Fewer queues while there is something in all of them.
    pipeline.terminate(Service::Parser).await;
    send(pipeline.tcp(), "left").await;
    let sent = ["logferry_events_sent_total", "syslog-server"];
    eventually(PATIENCE, || async {
        let sent = pipeline.metric(Service::SyslogServer, &sent).await;
        sent >= f64::from(u32::try_from(2 * total).unwrap())
    })
    .await;
    pipeline.terminate(Service::SyslogServer).await;
    write_queues(pipeline, "queues = 4\n", "");
    pipeline.start(Service::SyslogServer).await;
    pipeline.start(Service::Parser).await;
    send(pipeline.tcp(), "one").await;
    system.rows.await_total(3 * total).await;
    await_events(&pipeline.events_file(), 3 * total).await;
    let log = pipeline.log(Service::Parser);
    assert!(log.contains("consuming queue=\"parser-4\""), "{log}");
    system.drain().await;

    let rounds = ["four", "left", "one"];
    let names = rounds
        .iter()
        .flat_map(|round| (1..=SENDERS).map(move |host| format!("{round}-{host:03}")));
    let expected = names.flat_map(|name| each_once(&name, LINES)).collect();
    assert_counts(&system.rows.counts().await, &expected);
    assert_counts(&file_counts(&pipeline.events_file()), &expected);
}
