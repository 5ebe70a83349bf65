//! The contract of transient messages.

use std::time::Duration;

use broker::{Backlog, BindingKey, Broker, Exchange, Heard, Listening, PublishError, QueueName, Topology};
use tokio::time::timeout;

use crate::fixture::{DEADLINE, Fixture, files, message, store, topology};

const BACKLOG: Backlog = Backlog {
    messages: 1000,
    bytes: 16 << 20,
};

async fn live(listening: Listening) -> Listening {
    let mut live = listening.live();
    timeout(DEADLINE, live.wait_for(|live| *live))
        .await
        .expect("it listens")
        .expect("the broker is open");
    listening
}

async fn next(listening: &mut Listening) -> Heard {
    timeout(DEADLINE, listening.next())
        .await
        .expect("a message was due")
        .expect("the broker is open")
}

fn announce(broker: &Broker, key: &str, body: &'static str) {
    broker.announce(key, body);
}

async fn publish(broker: &Broker, route: &str, body: String) -> Result<(), PublishError> {
    let sent = message(Exchange::Parsed, route, body);
    broker.publisher(4).publish(&sent).await.unwrap().await
}

pub(crate) async fn status_is_heard_by_all_who_listen_and_kept_for_nobody(fixture: Fixture) {
    let broker = fixture.open().await;
    announce(&broker, "parser.one", "nobody hears this");
    let mut first = live(broker.listen_to_status(BACKLOG)).await;
    let mut second = live(broker.listen_to_status(BACKLOG)).await;
    announce(&broker, "parser.one", "1");
    announce(&broker, "harvest.two", "2");
    for listening in [&mut first, &mut second] {
        for (key, body) in [("parser.one", "1"), ("harvest.two", "2")] {
            let heard = next(listening).await;
            assert_eq!(
                (heard.routing_key.as_str(), &heard.body[..]),
                (key, body.as_bytes())
            );
            assert_eq!(heard.missed, 0);
        }
    }
    // It is no message of a queue, and does not touch those who count.
    assert_eq!(broker.counters().published, 0);
    broker.close().await;
    assert!(first.next().await.is_none() && second.next().await.is_none());
}

pub(crate) async fn parsed_batches_are_heard_once_and_stay_in_their_queues(fixture: Fixture) {
    let broker = fixture.open().await;
    let mut listening = live(broker.listen_to_parsed(&topology(), BACKLOG)).await;
    // `default` goes to two queues.
    for route in ["default", "audit.login"] {
        publish(&broker, route, route.to_owned()).await.unwrap();
    }
    let ours = message(Exchange::Parsed, "default", "by its name");
    let confirm = broker.publisher(4).publish_to(&files(), &ours).await.unwrap();
    confirm.await.unwrap();
    let last = message(Exchange::Parsed, "default", "last");
    broker.publisher(4).publish(&last).await.unwrap().await.unwrap();
    for route in ["default", "audit.login"] {
        let heard = next(&mut listening).await;
        assert_eq!(
            (heard.routing_key.as_str(), &heard.body[..]),
            (route, route.as_bytes())
        );
    }
    let heard = next(&mut listening).await;
    assert_eq!((heard.id, &heard.body[..]), (Some(last.id), &b"last"[..]));
    assert_eq!(broker.fill(&store()).await.unwrap().ready, 3);
    broker.close().await;
}

/// Whoever listens must not make a batch look safe that no shipper takes.
pub(crate) async fn listening_makes_nothing_routable(fixture: Fixture) {
    let broker = fixture.open().await;
    // A queue that these settings know and that is not there.
    let ghost = (
        QueueName::new("ghost").unwrap(),
        vec![BindingKey::new("nobody").unwrap()],
    );
    let topology = Topology::new([(store(), vec![BindingKey::new("audit.#").unwrap()]), ghost]);
    let _listening = live(broker.listen_to_parsed(&topology, BACKLOG)).await;
    let verdict = publish(&broker, "nobody", "x".to_owned()).await;
    assert!(
        matches!(verdict, Err(PublishError::Unroutable { .. })),
        "{verdict:?}"
    );
    assert_eq!(publish(&broker, "audit.login", "x".to_owned()).await, Ok(()));
    broker.close().await;
}

pub(crate) async fn a_slow_listener_misses_the_oldest_and_holds_up_nobody(fixture: Fixture) {
    const SENT: u64 = 50;
    let broker = fixture.open().await;
    let backlog = Backlog {
        messages: 4,
        bytes: 1 << 20,
    };
    let mut listening = live(broker.listen_to_parsed(&topology(), backlog)).await;
    for number in 1..=SENT {
        publish(&broker, "default", number.to_string()).await.unwrap();
    }
    let (mut heard, mut missed, mut last) = (0, 0, 0);
    while last < SENT {
        let next = next(&mut listening).await;
        let number: u64 = std::str::from_utf8(&next.body).unwrap().parse().unwrap();
        heard += 1;
        missed += next.missed;
        assert_eq!(number, heard + missed, "in order, and nothing uncounted");
        last = number;
    }
    assert!(heard >= 1);
    assert_eq!(broker.fill(&store()).await.unwrap().ready, SENT);
    broker.close().await;
}

pub(crate) async fn listening_comes_back_after_a_lost_connection(fixture: Fixture) {
    let broker = fixture.open().await;
    let mut listening = live(broker.listen_to_status(BACKLOG)).await;
    // The embedded broker is lost with its process.
    if let Some(server) = fixture.server() {
        let mut is_live = listening.live();
        server.close_connections().await;
        timeout(DEADLINE, is_live.wait_for(|live| !*live))
            .await
            .unwrap()
            .unwrap();
        timeout(DEADLINE, is_live.wait_for(|live| *live))
            .await
            .unwrap()
            .unwrap();
        broker.wait_ready(DEADLINE).await.unwrap();
    }
    // What is announced while the publisher's channel is being made again may be lost.
    let heard = eventually_heard(&broker, &mut listening).await;
    assert_eq!(&heard.body[..], b"here again");
    broker.close().await;
    assert!(loop {
        if listening.next().await.is_none() {
            break true;
        }
    });
}

/// Announced until it is heard.
async fn eventually_heard(broker: &Broker, listening: &mut Listening) -> Heard {
    let heard = async {
        loop {
            announce(broker, "parser.one", "here again");
            if let Ok(Some(heard)) = timeout(Duration::from_millis(200), listening.next()).await {
                return heard;
            }
        }
    };
    timeout(DEADLINE, heard).await.expect("it is heard again")
}
