//! RabbitMQ, or the embedded queues.

use super::{
    Section,
    Unset::{Default, Nothing},
    shared::{MIB, PASSWORD, key, ms, number, password_file, secs, size, time, url_file},
};
use crate::kind::Kind;

pub(super) const BROKER: Section = Section {
    path: "broker",
    about: "What carries batches from stage to stage.",
    keys: &[
        key(
            "url",
            Kind::Url {
                schemes: &["amqp", "amqps"],
                word: Some("embedded"),
            },
            Default("embedded"),
            "RabbitMQ with user, password and vhost (`amqp://user:password@host:5672/vhost`), or queues in `data_dir`, which only `logferry run` can use. The nodes of a cluster stand with commas between them (`amqp://user:password@rabbit1,rabbit2:5673,rabbit3/vhost`) or behind one name with several addresses: each attempt to connect tries them in their order.",
            "Needs nothing installed.",
        ),
        url_file("/run/secrets/rabbitmq-url"),
        PASSWORD,
        password_file("/run/secrets/rabbitmq-password"),
        key(
            "tls_ca_file",
            Kind::File,
            Nothing {
                example: "rabbitmq-ca.pem",
            },
            "Trust this CA (PEM) for `amqps://` and `https://` instead of the system's.",
            "The system's trust store.",
        ),
        key(
            "management_url",
            Kind::Url {
                schemes: &["http", "https"],
                word: Some("off"),
            },
            Default("off"),
            "RabbitMQ's management API, such as `https://rabbit.example.net:15671`, from which the pages learn what AMQP does not tell: rates, bytes and members of queues, alarms and free disk of nodes. User and password are those of `url`, unless the address has others; a user with the tag `management` sees the queues, one with `monitoring` the nodes too. Several hosts stand with commas between them.",
            "Not every RabbitMQ has it; and a password goes only to an address that somebody wrote down: whoever may log in to a host can take an unused port there.",
        ),
        key(
            "management_url_file",
            Kind::SecretFile,
            Nothing {
                example: "/run/secrets/rabbitmq-management-url",
            },
            "A file whose text is that address, in place of `management_url`.",
            "For addresses that are a secret as a whole.",
        ),
        key(
            "connect_timeout",
            time(ms(100), secs(300)),
            Default("5s"),
            "How long one attempt to connect may take.",
            "A broker that does not answer within this is not going to soon.",
        ),
        key(
            "heartbeat",
            time(secs(1), secs(3600)),
            Default("10s"),
            "Silence after which the connection counts as dead, in whole seconds.",
            "A broker that vanished is noticed in seconds; RabbitMQ's own 60 s would hold deliveries for as long.",
        ),
        key(
            "reconnect_backoff_max",
            time(ms(100), secs(600)),
            Default("10s"),
            "Longest pause between two attempts to connect.",
            "Soon after the broker is back, everyone is back, without a stampede.",
        ),
        key(
            "confirm_timeout",
            time(secs(1), secs(3600)),
            Default("30s"),
            "How long a publish waits for RabbitMQ's confirm before it counts as failed and is made again, with the same id.",
            "Quorum queues confirm within milliseconds, and within seconds while they elect a leader.",
        ),
        key(
            "queue_bytes_max",
            size(MIB, 1 << 50),
            Default("16GiB"),
            "Bytes in one queue beyond which publishers must wait; nothing is discarded. Choose it below the free disk.",
            "Some 50 million events of 300 bytes, hours of an outage of what comes after.",
        ),
        key(
            "delivery_limit",
            number(1, 1_000_000),
            Default("20"),
            "Deliveries of one batch after which it is dead-lettered as poison.",
            "RabbitMQ's own default since version 4.",
        ),
    ],
};
