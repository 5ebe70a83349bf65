//! A row that the database refuses goes to the queue `dead` with the database's own words; the others
//! are written.

use testkit::{RelpLoad, eventually};

use crate::support::{PATIENCE, System, assert_counts, each_once, lines};

const LINES: usize = 500;

#[tokio::test]
async fn a_refused_row_is_dead_lettered_and_holds_nobody_up() {
    let system = System::start().await;
    system
        .rows
        .client()
        .batch_execute("ALTER TABLE events ADD CONSTRAINT no_poison CHECK (message NOT LIKE '%poison%')")
        .await
        .unwrap();
    let mut load = lines("good", LINES);
    load.insert(
        LINES / 2,
        "<134>1 2026-03-01T10:00:00Z host app - - - this is poison".to_owned(),
    );
    RelpLoad::start(system.pipeline.relp(), load).finish().await;

    system.rows.await_total(LINES).await;
    let dead = eventually(PATIENCE, || async { system.vhost.take("dead") }).await;
    assert!(dead.contains("no_poison"), "{dead}");
    assert!(dead.contains("shipper-pgsql"), "{dead}");
    system.drain().await;
    assert_counts(&system.rows.counts().await, &each_once("good", LINES));
    assert_eq!(system.vhost.take("dead"), None, "one message for one refused row");
}
