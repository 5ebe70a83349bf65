use std::{collections::BTreeMap, sync::Arc, time::Instant};

use broker::{Fill, ManagementError, Overview};

use super::*;
use crate::pipeline::{fills::Answers, window::Window};

fn settings() -> Settings {
    let mut sources = settings::Sources::default();
    for (key, value) in [
        ("broker.url", "amqp://a:b@h/v"),
        ("broker.queue_bytes_max", "1MiB"),
    ] {
        sources.overrides.push((key.to_owned(), value.to_owned()));
    }
    Settings::from_sources(&sources).unwrap()
}

fn refused() -> ManagementError {
    ManagementError::Refused {
        address: "the management API at h:1".to_owned(),
        status: 401,
        reason: ": Not monitor user".to_owned(),
    }
}

fn picture(told: &Told) -> Picture {
    let fill = Fill {
        ready: 1,
        bytes: None,
        consumers: 1,
    };
    let fills: Answers = Arc::new(BTreeMap::from([("parser".to_owned(), Ok(fill))]));
    let settings = settings();
    Picture::new(&settings, &[], &fills, Window::Now, Instant::now()).with_rabbit(&settings, told)
}

fn told(queue: QueueReport, nodes: Result<Vec<NodeReport>, ManagementError>) -> Told {
    let report = Report {
        queues: Ok(BTreeMap::from([("parser".to_owned(), queue)])),
        nodes,
        overview: Ok(Overview::default()),
    };
    Told::Report(Timestamp::UNIX_EPOCH, Arc::new(report))
}

fn parser(picture: &Picture) -> &Node {
    picture
        .nodes
        .iter()
        .find(|node| node.id == "queue:parser")
        .unwrap()
}

#[test]
fn members_that_are_away_are_a_problem() {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    for (online, level, text) in [
        (&["a", "b", "c"][..], Level::Ok, ""),
        (&["a", "c"], Level::Caution, "2 of 3 members online: b is away"),
        (
            &["c"],
            Level::Bad,
            "1 of 3 members online, too few to take anything: a, b is away",
        ),
    ] {
        let queue = QueueReport {
            members: names(&["a", "b", "c"]),
            online: names(online),
            ..QueueReport::default()
        };
        let picture = picture(&told(queue, Ok(Vec::new())));
        let node = parser(&picture);
        assert_eq!(node.level(), level, "{online:?}");
        assert_eq!(node.worst().map_or("", |problem| &*problem.text), text);
    }
}

#[test]
fn bytes_fill_a_queue_and_what_is_not_told_is_null() {
    let queue = QueueReport {
        bytes: Some(900 << 10),
        ..QueueReport::default()
    };
    let picture = picture(&told(queue, Ok(Vec::new())));
    let node = parser(&picture);
    assert_eq!(node.worst().unwrap().text, "88 % full");
    let json = serde_json::to_value(node).unwrap();
    assert_eq!(json["bytes"], 900 << 10);
    assert!(json["rabbit"]["publish_s"].is_null() && json["rabbit"]["unacked"].is_null());
}

#[test]
fn alarms_are_bad_and_a_refusal_is_unknown() {
    let node = NodeReport {
        name: "rabbit@a".to_owned(),
        is_running: Some(true),
        has_disk_alarm: Some(true),
        ..NodeReport::default()
    };
    let alarmed = picture(&told(QueueReport::default(), Ok(vec![node])));
    let worst = alarmed.rabbit.as_ref().and_then(Rabbit::worst).unwrap();
    assert_eq!(worst.level, Level::Bad);
    assert_eq!(worst.text, "rabbit@a has a disk alarm: publishers must wait");

    let denied = picture(&told(QueueReport::default(), Err(refused())));
    let rabbit = denied.rabbit.unwrap();
    assert_eq!(rabbit.worst().unwrap().level, Level::Unknown);
    assert!(
        rabbit.unknown[0].contains("Not monitor user"),
        "{:?}",
        rabbit.unknown
    );
    assert!(rabbit.nodes.is_empty());
}

#[test]
fn nobody_who_asks_is_no_problem_and_the_embedded_broker_is_no_rabbit() {
    let off = picture(&Told::Nothing("it is off".to_owned()));
    let rabbit = off.rabbit.as_ref().unwrap();
    assert!(rabbit.worst().is_none() && rabbit.unknown == ["it is off"]);
    assert!(parser(&off).rabbit.is_none());
    let (settings, fills) = (Settings::default(), Answers::default());
    let embedded = Picture::new(&settings, &[], &fills, Window::Now, Instant::now());
    let embedded = embedded.with_rabbit(&settings, &Told::Embedded);
    assert!(embedded.rabbit.is_none() && !embedded.has_rescue);
}
