//! How many rows a second the store takes, with everything that belongs to them: batch ids, catalogue, rollups, index.
//!
//! ```text
//! cargo run --release -p store --example append -- sqlite /var/tmp/events
//! cargo run --release -p store --example append -- postgresql://localhost/bench rows=2000000 writers=2 hosts=200
//! ```
//!
//! The database or folder should be empty, and on the disk that is to be measured. Rows are those of messages of 200
//! bytes in RFC 5424 form; `raw` is not kept.

#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use event::{
    BatchId, Compression, Event, EventBatchBuilder, EventId, EventTime, Facility, Severity, Timestamp,
};
use settings::{PostgresSettings, Secret, SqliteSettings, StoreSettings};
use store::{Appended, Store};

/// Events of one batch: 128 KiB of frames, as intake closes them.
const BATCH_EVENTS: usize = 600;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Debug, Clone, Copy)]
struct Options {
    rows: usize,
    transaction: usize,
    writers: usize,
    hosts: usize,
    apps: usize,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let place = arguments
        .next()
        .ok_or("say where: sqlite DIR or postgresql://…")?;
    let settings = if place == "sqlite" {
        let dir = arguments.next().ok_or("say which folder")?.into();
        StoreSettings::Sqlite(SqliteSettings { dir, searches_max: 8 })
    } else {
        StoreSettings::Postgres(PostgresSettings {
            url: Secret::new(place),
            tls_ca_file: None,
            pool_size: 8,
            connect_timeout: Duration::from_secs(5),
            partition: Duration::from_secs(86_400),
            partitions_ahead: 2,
            searches_max: 8,
        })
    };
    let options = options(arguments)?;
    println!("{options:?}");
    let batches: Arc<Vec<Bytes>> = Arc::new(
        (0..options.rows.div_ceil(BATCH_EVENTS))
            .map(|number| batch(number, &options))
            .collect(),
    );
    let store = Store::connect(&settings)?;
    store.migrate().await?;
    encode(&store, &batches)?;
    let (rows, took) = append(&store, &batches, &options).await?;
    println!(
        "append: {rows} rows in {took:.2?}: {:.0} rows/s",
        per_second(rows, took)
    );
    store.close().await;
    Ok(())
}

fn options(arguments: impl Iterator<Item = String>) -> Result<Options, Failure> {
    let mut options = Options {
        rows: 1_000_000,
        transaction: 16_384,
        writers: 2,
        hosts: 20,
        apps: 20,
    };
    for argument in arguments {
        let (name, value) = argument.split_once('=').ok_or("options are name=number")?;
        let value = value.parse()?;
        match name {
            "rows" => options.rows = value,
            "transaction" => options.transaction = value,
            "writers" => options.writers = value,
            "hosts" => options.hosts = value,
            "apps" => options.apps = value,
            _ => return Err(format!("{name} is no option").into()),
        }
    }
    Ok(options)
}

/// Decoding and encoding alone.
fn encode(store: &Store, batches: &[Bytes]) -> Result<(), Failure> {
    let (started, mut group, mut rows) = (Instant::now(), store.group(1 << 24), 0);
    for payload in batches.iter().take(500) {
        group.push(payload.clone())?;
        if group.rows() > 16_384 {
            rows += group.rows();
            group.clear();
        }
    }
    rows += group.rows();
    let took = started.elapsed();
    println!(
        "encode: {rows} rows in {took:.2?}: {:.0} rows/s on one core",
        per_second(rows, took)
    );
    Ok(())
}

async fn append(
    store: &Store,
    batches: &Arc<Vec<Bytes>>,
    options: &Options,
) -> Result<(usize, Duration), Failure> {
    let started = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..options.writers {
        let (store, batches, next) = (store.clone(), Arc::clone(batches), Arc::clone(&next));
        let transaction = options.transaction;
        writers.spawn(async move {
            let (mut group, mut rows) = (store.group(1 << 24), 0);
            loop {
                let payload = batches.get(next.fetch_add(1, Ordering::Relaxed));
                if let Some(payload) = payload {
                    group.push(payload.clone())?;
                }
                if group.rows() >= transaction || (payload.is_none() && group.rows() > 0) {
                    let (back, appended) = store.append(group).await;
                    match appended? {
                        Appended::Written(written) => rows += written.rows,
                        Appended::Refused(refused) => return Err(format!("{refused:?}").into()),
                    }
                    group = back;
                    group.clear();
                }
                if payload.is_none() {
                    return Ok::<_, Failure>(rows);
                }
            }
        });
    }
    let mut rows = 0;
    while let Some(written) = writers.join_next().await {
        rows += written??;
    }
    Ok((rows, started.elapsed()))
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(rows: usize, took: Duration) -> f64 {
    rows as f64 / took.as_secs_f64()
}

fn batch(number: usize, options: &Options) -> Bytes {
    let source = BatchId::mint();
    let mut builder = EventBatchBuilder::new(source.derive("default"), source, "tcp", "default");
    for place in 0..BATCH_EVENTS {
        let position = u32::try_from(place).unwrap_or(u32::MAX);
        let serial = number * BATCH_EVENTS + place;
        let at = Timestamp::now();
        // Multiplied by a prime, so that hosts do not come in turn.
        let (host, app) = (serial * 7919 % options.hosts, serial * 104_729 / 7 % options.apps);
        let (hostname, app_name) = (format!("web{host:04}.example.net"), format!("app{app:02}"));
        let message = format!(
            "request {serial:>9} from 192.0.2.{} took {} ms and answered 200 with {} bytes for /api/v1/items/{} (cache miss, retry 0)",
            serial % 250,
            serial % 97,
            serial * 31 % 65_536,
            serial * 17 % 100_000
        );
        let id = EventId::derive(source, position, at);
        let mut event = Event::received(id, position, at, "192.0.2.10:40123", "tcp");
        event.facility = Facility::new(16);
        event.severity = Severity::new(u8::try_from(serial % 8).unwrap_or(6));
        event.timestamp = Some(EventTime::utc(at));
        event.hostname = Some(hostname.into());
        event.app_name = Some(app_name.into());
        event.procid = Some("4711".into());
        event.message = Some(message.into());
        builder.push(&event);
    }
    builder.finish(Compression::Lz4).into()
}
