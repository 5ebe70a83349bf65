//! The two kinds of queue behind one set of handles.

use std::time::Duration;

use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::{Builder, CustomCommand, Value, config::Config},
};
use rescue::{Batch, Claimed, Queue, Rescue};
use settings::{
    RescueDurability, RescueFileSettings, RescueKind, RescueRedisSettings, RescueSettings, Secret,
};
use testkit::{KeyPrefix, Redis};
use uuid::Uuid;

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A claim that does not end during a test.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

pub(crate) struct Fixture {
    pub(crate) settings: RescueSettings,
    place: Place,
}

enum Place {
    File(#[expect(dead_code, reason = "it goes with the fixture")] tempfile::TempDir),
    Shared(#[expect(dead_code, reason = "it goes with the fixture")] KeyPrefix),
    Private(Redis),
}

impl Fixture {
    pub(crate) fn file() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(RescueKind::File, None, "");
        settings.file.dir = dir.path().join("made/when/needed");
        Self {
            settings,
            place: Place::File(dir),
        }
    }

    pub(crate) async fn redis() -> Self {
        let keys = tokio::task::spawn_blocking(testkit::redis).await.unwrap();
        let settings = settings(RescueKind::Redis, Some(keys.url()), keys.prefix());
        Self {
            settings,
            place: Place::Shared(keys),
        }
    }

    /// With a Redis that only this test uses.
    pub(crate) async fn private_redis() -> Self {
        let redis = Redis::start_private().await;
        let settings = settings(RescueKind::Redis, Some(&redis.url()), "");
        Self {
            settings,
            place: Place::Private(redis),
        }
    }

    pub(crate) fn server(&self) -> &Redis {
        match &self.place {
            Place::Private(server) => server,
            Place::File(_) | Place::Shared(_) => panic!("this test needs a Redis of its own"),
        }
    }

    /// A handle with a connection of its own, as another process has.
    pub(crate) fn open(&self) -> Queue {
        let rescue = Rescue::open(&self.settings).unwrap();
        rescue.queues().first().unwrap().clone()
    }

    /// As [`open`](Self::open), once it takes batches.
    pub(crate) async fn ready(&self) -> Queue {
        let queue = self.open();
        until_ready(&queue).await;
        queue
    }

    /// Makes a crash of whatever keeps the batches, as far as there is one for this kind.
    pub(crate) async fn crash(&self) {
        match &self.place {
            Place::Private(server) => {
                server.kill().await;
                server.start().await;
            }
            Place::File(_) | Place::Shared(_) => {}
        }
    }

    /// Changes the body of the oldest entry behind the queue's back.
    pub(crate) async fn damage_the_oldest(&self) {
        match &self.place {
            Place::File(_) => {
                let path = self.settings.file.dir.join("rescue.sqlite");
                let file = rusqlite::Connection::open(path).unwrap();
                file.busy_timeout(DEADLINE).unwrap();
                let changed = file.execute(
                    "UPDATE body SET body = x'6261640a' WHERE seq = (SELECT min(seq) FROM body)",
                    [],
                );
                assert_eq!(changed.unwrap(), 1);
            }
            Place::Shared(_) | Place::Private(_) => {
                let client = self.client().await;
                let key = &self.key();
                let first = command(&client, "XRANGE", &[key, "-", "+", "COUNT", "1"]).await;
                let entry = first.into_array().remove(0).into_array();
                let id = entry[0].as_string().unwrap();
                command(&client, "XDEL", &[key, &id]).await;
                // An entry cannot be changed, and ids only grow: so all the others move behind the damaged one.
                let others = command(&client, "XRANGE", &[key, "-", "+"]).await.into_array();
                let mut damaged = entry[1].clone().into_array();
                let body = damaged.len() - 1;
                damaged[body] = "bad\n".into();
                add(&client, key, damaged).await;
                for other in others {
                    let mut parts = other.into_array();
                    let fields = parts.remove(1).into_array();
                    command(&client, "XDEL", &[key, &parts[0].as_string().unwrap()]).await;
                    add(&client, key, fields).await;
                }
                client.quit().await.unwrap();
            }
        }
    }

    pub(crate) fn key(&self) -> String {
        self.settings.redis.as_ref().unwrap().key.clone()
    }

    /// A connection behind the queue's back.
    pub(crate) async fn client(&self) -> Client {
        let redis = self.settings.redis.as_ref().unwrap();
        let config = Config::from_url(redis.url.expose()).unwrap();
        let client = Builder::from_config(config).build().unwrap();
        client.init().await.unwrap();
        client
    }
}

async fn add(client: &Client, key: &str, fields: Vec<Value>) {
    let mut arguments = vec![Value::from(key), "*".into()];
    arguments.extend(fields);
    let command = CustomCommand::new_static("XADD", None, false);
    client.custom::<Value, _>(command, arguments).await.unwrap();
}

pub(crate) async fn command(client: &Client, name: &'static str, words: &[&str]) -> Value {
    let command = CustomCommand::new_static(name, None, false);
    let words: Vec<Value> = words.iter().map(|word| Value::from(*word)).collect();
    client.custom(command, words).await.unwrap()
}

pub(crate) fn settings(kind: RescueKind, url: Option<&str>, prefix: &str) -> RescueSettings {
    RescueSettings {
        order: vec![kind],
        patience: Duration::ZERO,
        timeout: DEADLINE,
        redis: url.map(|url| RescueRedisSettings {
            url: Secret::new(url.to_owned()),
            tls_ca_file: None,
            key: format!("{prefix}rescue"),
            bytes_max: 64 << 20,
            durability: RescueDurability::Synced,
        }),
        file: RescueFileSettings {
            dir: "/nowhere".into(),
            bytes_max: 64 << 20,
        },
    }
}

pub(crate) async fn until_ready(queue: &Queue) {
    let mut state = queue.state();
    let ready = state.wait_for(rescue::QueueState::is_ready);
    tokio::time::timeout(DEADLINE, ready).await.unwrap().unwrap();
}

pub(crate) fn batch(number: usize, bytes: usize) -> Batch {
    let mut body = format!("{number}\n").into_bytes();
    body.resize(bytes.max(body.len()), b'\xff');
    Batch {
        id: Uuid::now_v7(),
        routing_key: "syslog.tcp".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        body: body.into(),
    }
}

pub(crate) async fn push_numbers(queue: &Queue, numbers: std::ops::Range<usize>) {
    for number in numbers {
        queue.push(&batch(number, 0)).await.unwrap();
    }
}

pub(crate) fn number(claimed: &Claimed) -> usize {
    let body = &claimed.content.as_ref().unwrap().body;
    let line = body.split(|byte| *byte == b'\n').next().unwrap();
    std::str::from_utf8(line).unwrap().parse().unwrap()
}

pub(crate) fn numbers(claimed: &[Claimed]) -> Vec<usize> {
    claimed.iter().map(number).collect()
}
