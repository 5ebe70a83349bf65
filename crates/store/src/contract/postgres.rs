//! What only PostgreSQL has to do: share, migrate, partition, and survive lost connections.

use std::{future::Future, time::Duration};

use event::BatchId;
use settings::{Secret, StoreSettings};
use testkit::eventually;

use super::fixture::{DAY, Fixture, NOON, append, batch, event, messages, postgres_at};
use crate::{Appended, SchemaFound, SearchRequest, Store, StoreError, Written};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn migrating_twice_and_two_at_once_changes_nothing() {
    let database = testkit::postgres();
    let settings = StoreSettings::Postgres(postgres_at(database.url()));
    let store = Store::connect(&settings).unwrap();
    let missing = store.check().await.unwrap_err();
    assert!(
        matches!(
            missing,
            StoreError::Schema {
                found: SchemaFound::Missing,
                expected: 5
            }
        ),
        "{missing:?}"
    );
    let others: Vec<_> = (0..4).map(|_| Store::connect(&settings).unwrap()).collect();
    let (a, b, c, d) = tokio::join!(
        others[0].migrate(),
        others[1].migrate(),
        others[2].migrate(),
        others[3].migrate()
    );
    for result in [a, b, c, d] {
        result.unwrap();
    }
    store.migrate().await.unwrap();
    assert!(store.check().await.unwrap().contains("schema version 5"));
    assert_eq!(
        append(&store, [batch(BatchId::mint(), &[event(NOON, "x")])])
            .await
            .rows,
        1
    );
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    let fixture = Fixture::postgres().await;
    fixture
        .sql("INSERT INTO logferry_schema (version) VALUES (99)")
        .await;
    for error in [
        fixture.store.migrate().await.unwrap_err(),
        fixture.store.check().await.unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                StoreError::Schema {
                    found: SchemaFound::Version(99),
                    ..
                }
            ),
            "{error:?}"
        );
    }
    fixture.close().await;
}

#[tokio::test]
async fn a_role_that_may_not_create_databases_can_do_everything() {
    let fixture = Fixture::postgres().await;
    let role = role_of(&fixture, "NOSUPERUSER NOCREATEDB NOCREATEROLE").await;
    let store = as_role(&fixture, &role);
    // It may not make tables yet: since PostgreSQL 15 only the owner of the database may.
    fixture
        .sql("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
        .await;
    fixture
        .sql(&format!("GRANT USAGE ON SCHEMA public TO {role}"))
        .await;
    let error = store.migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
    assert!(
        chain(&error).contains("permission denied for schema public"),
        "{}",
        chain(&error)
    );
    fixture
        .sql(&format!("GRANT CREATE ON SCHEMA public TO {role}"))
        .await;
    store.migrate().await.unwrap();
    let payload = batch(
        BatchId::mint(),
        &[event(NOON, "by a plain role"), event(NOON - 40 * DAY, "older")],
    );
    assert_eq!(append(&store, [payload]).await.rows, 2);
    assert_eq!(store.page(SearchRequest::default()).await.unwrap().rows.len(), 2);
    store.close().await;
    fixture
        .sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
    fixture.close().await;
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_database_are_told() {
    let fixture = Fixture::postgres().await;
    let StoreSettings::Postgres(settings) = &fixture.settings else {
        panic!("PostgreSQL");
    };
    let nowhere = format!("{}_not", settings.url.expose());
    let store = Store::connect(&StoreSettings::Postgres(postgres_at(&nowhere))).unwrap();
    let error = store.check().await.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)), "{error:?}");
    assert!(chain(&error).contains("does not exist"), "{}", chain(&error));
    let port = testkit::free_port();
    let store = Store::connect(&StoreSettings::Postgres(postgres_at(&format!(
        "postgres://x@127.0.0.1:{port}/x"
    ))))
    .unwrap();
    let error = store.check().await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let wrong = Store::connect(&StoreSettings::Postgres(postgres_at("mysql://x")));
    assert!(wrong.is_err());
    fixture.close().await;
}

#[tokio::test]
async fn partitions_are_made_ahead_and_on_demand() {
    let fixture = Fixture::postgres().await;
    let count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass";
    // The two at the edges of the calendar, today, and two ahead.
    assert_eq!(fixture.sql(count).await, ["5"]);
    fixture.put(&[event(NOON - 400 * DAY, "old")]).await;
    assert_eq!(fixture.sql(count).await, ["6"]);
    fixture.put(&[event(0, "a clock that was not set")]).await;
    assert_eq!(fixture.sql(count).await, ["6"]);
    assert_eq!(
        fixture.sql("SELECT message FROM events_before").await,
        ["a clock that was not set"]
    );
    fixture.close().await;
}

#[tokio::test]
async fn a_partition_that_was_dropped_is_made_again() {
    let fixture = Fixture::postgres().await;
    let payload = batch(BatchId::mint(), &[event(NOON - 400 * DAY, "old")]);
    fixture.append([payload]).await;
    let partition = fixture
        .sql("SELECT tableoid::regclass FROM events")
        .await
        .remove(0);
    fixture.sql(&format!("DROP TABLE {partition}")).await;
    let again = batch(BatchId::mint(), &[event(NOON - 400 * DAY, "old again")]);
    assert_eq!(fixture.append([again]).await.rows, 1);
    let batches = fixture
        .sql("SELECT DISTINCT tableoid::regclass FROM batches")
        .await
        .remove(0);
    fixture.sql(&format!("DROP TABLE {batches}")).await;
    fixture.put(&[event(NOON - 400 * DAY, "and again")]).await;
    assert_eq!(fixture.messages("").await.len(), 2);
    fixture.close().await;
}

#[tokio::test]
async fn the_period_of_partitions_can_change() {
    let fixture = Fixture::postgres().await;
    fixture.put(&[event(NOON, "by day")]).await;
    let StoreSettings::Postgres(mut settings) = fixture.settings.clone() else {
        panic!("PostgreSQL");
    };
    settings.partition = Duration::from_secs(3600);
    let hourly = Store::connect(&StoreSettings::Postgres(settings)).unwrap();
    hourly.maintain().await.unwrap();
    let payload = batch(
        BatchId::mint(),
        &[event(NOON, "same day"), event(NOON + 3 * DAY, "by hour")],
    );
    assert_eq!(append(&hourly, [payload]).await.rows, 2);
    // And back: the day around that hour has two gaps, and the row falls into the second.
    fixture.store.maintain().await.unwrap();
    fixture
        .put(&[event(NOON + 3 * DAY + 7_200_000_000, "by day again")])
        .await;
    assert_eq!(fixture.messages("").await.len(), 4);
    hourly.close().await;
    fixture.close().await;
}

#[tokio::test]
async fn old_batch_ids_and_sources_are_dropped() {
    let fixture = Fixture::postgres().await;
    fixture.put(&[event(NOON, "x")]).await;
    fixture.sql("CREATE TABLE batches_20200101 PARTITION OF batches FOR VALUES FROM ('2020-01-01') TO ('2020-01-02')").await;
    fixture
        .sql("INSERT INTO sources SELECT 'h' || n, '', '', now(), now() - n * interval '1 s' FROM generate_series(0, 200001) n")
        .await;
    fixture.store.maintain().await.unwrap();
    assert_eq!(
        fixture
            .sql("SELECT count(*) FROM pg_class WHERE relname = 'batches_20200101'")
            .await,
        ["0"]
    );
    assert_eq!(fixture.sql("SELECT count(*) <= 200001 FROM sources").await, ["t"]);
    fixture.close().await;
}

#[tokio::test]
async fn the_catalogue_and_the_rollups_count_every_row_once() {
    let fixture = Fixture::postgres().await;
    let at = |micros, host: &'static str, severity| {
        let mut event = event(micros, "x");
        event.hostname = Some(host.into());
        event.severity = event::Severity::new(severity);
        event
    };
    let payload = batch(
        BatchId::mint(),
        &[
            at(NOON, "a", 3),
            at(NOON + 1, "a", 3),
            at(NOON + 2, "b", 9),
            at(NOON + DAY, "a", 3),
        ],
    );
    for _ in 0..3 {
        fixture.append([payload.clone()]).await;
    }
    // Earlier than known, which is news to the catalogue; and a little later, which is not.
    fixture.put(&[at(NOON - 5, "a", 3)]).await;
    fixture.put(&[at(NOON + DAY + 1_000_000, "a", 3)]).await;
    let minutes = "SELECT concat_ws(' ', err, none) FROM rollup_minute ORDER BY minute";
    assert_eq!(fixture.sql(minutes).await, ["3 1", "2 0"]);
    let hours = "SELECT concat_ws(' ', hostname, err, none) FROM rollup_hour ORDER BY hour, hostname";
    assert_eq!(fixture.sql(hours).await, ["a 3 0", "b 0 1", "a 2 0"]);
    assert_eq!(
        fixture
            .sql(
                "SELECT concat_ws(' ', hostname, peer, last_seen - first_seen) FROM sources ORDER BY hostname"
            )
            .await,
        ["a 192.0.2.1 1 day 00:00:00.000005", "b 192.0.2.1 00:00:00"]
    );
    fixture.close().await;
}

#[tokio::test]
async fn a_connection_that_dies_in_mid_transaction_doubles_and_loses_nothing() {
    let fixture = Fixture::postgres().await;
    let payload = batch(BatchId::mint(), &[event(NOON, "one"), event(NOON, "two")]);
    // Its rows are copied, its summary waits.
    let holder = hold(&fixture, "rollup_minute").await;
    let (group, result) = {
        let mut group = fixture.store.group(1 << 20);
        group.push(payload.clone()).unwrap();
        tokio::join!(fixture.store.append(group), async {
            let waiting = waiting_backend(&fixture).await;
            fixture
                .sql(&format!("SELECT pg_terminate_backend({waiting})"))
                .await;
        })
        .0
    };
    let error = result.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    drop(holder);
    let (_, again) = fixture.store.append(group).await;
    assert_eq!(
        again.unwrap(),
        Appended::Written(Written { rows: 2, repeated: 0 })
    );
    assert_eq!(fixture.append([payload]).await.repeated, 1);
    assert_eq!(fixture.messages("").await.len(), 2);
    fixture.close().await;
}

#[tokio::test]
async fn a_second_writer_of_a_batch_takes_over_when_the_first_dies() {
    let fixture = Fixture::postgres().await;
    let other = Store::connect(&fixture.settings).unwrap();
    let payload = batch(BatchId::mint(), &[event(NOON, "one")]);
    let holder = hold(&fixture, "rollup_minute").await;
    let mut group = fixture.store.group(1 << 20);
    group.push(payload.clone()).unwrap();
    let (first, second, ()) = tokio::join!(
        fixture.store.append(group),
        async {
            waiting_backend(&fixture).await;
            append(&other, [payload]).await
        },
        async {
            let first = waiting_backend(&fixture).await;
            // Both wait: the first for the table, the second for the first's batch id.
            let both = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            eventually(SOON, || async { fixture.sql(both).await == ["2"] }).await;
            fixture
                .sql(&format!("SELECT pg_terminate_backend({first})"))
                .await;
            drop(holder);
        }
    );
    assert!(first.1.unwrap_err().is_transient());
    assert_eq!(second, Written { rows: 1, repeated: 0 });
    assert_eq!(fixture.messages("").await, ["one"]);
    other.close().await;
    fixture.close().await;
}

#[tokio::test]
async fn an_abandoned_search_is_cancelled() {
    let fixture = Fixture::postgres().await;
    fixture.put(&[event(NOON, "one")]).await;
    let holder = hold(&fixture, "events").await;
    {
        let mut search = fixture.store.search(SearchRequest::default());
        tokio::select! {
            _ = search.next() => panic!("the table is locked"),
            _ = waiting_backend(&fixture) => {}
        }
    }
    let left = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%FROM events%' \
                AND pid <> pg_backend_pid() AND wait_event_type = 'Lock'";
    eventually(SOON, || async { fixture.sql(left).await == ["0"] }).await;
    drop(holder);
    assert_eq!(
        messages(&fixture.search(&SearchRequest::default()).await),
        ["one"]
    );
    fixture.close().await;
}

/// Locks a table until the connection is dropped.
async fn hold(fixture: &Fixture, table: &str) -> tokio_postgres::Client {
    let holder = fixture.client().await;
    holder
        .batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        .await
        .unwrap();
    holder
}

/// The process of the first connection that waits for a lock.
fn waiting_backend(fixture: &Fixture) -> impl Future<Output = String> + '_ {
    eventually(SOON, move || async move {
        let sql = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                   ORDER BY query_start LIMIT 1";
        fixture.sql(sql).await.pop()
    })
}

async fn role_of(fixture: &Fixture, rights: &str) -> String {
    let role = format!("role_{}", uuid::Uuid::new_v4().simple());
    fixture.sql(&format!("CREATE ROLE {role} LOGIN {rights}")).await;
    role
}

fn as_role(fixture: &Fixture, role: &str) -> Store {
    let StoreSettings::Postgres(mut settings) = fixture.settings.clone() else {
        panic!("PostgreSQL");
    };
    settings.url = Secret::new(settings.url.expose().replace("postgres@", &format!("{role}@")));
    Store::connect(&StoreSettings::Postgres(settings)).unwrap()
}

/// The error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
