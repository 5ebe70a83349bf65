//! What docs/operations.md says of backups and of lost servers: done, and what comes of it is whole.

use std::fs;
use std::path::Path;

use testkit::{Database, Pace, Pipeline, RabbitMq, RelpLoad, Service, eventually};

use crate::support::{PATIENCE, Rows, System, assert_counts, each_once, lines, search};

const LINES: usize = 20_000;
/// Lines a second: the load goes on for ten seconds, while the dump is taken.
const PER_SECOND: u32 = 2000;

#[tokio::test]
async fn a_database_is_restored_and_its_queue_goes_on() {
    let system = System::start().await;
    let pace = Pace {
        per_second: PER_SECOND,
        ..Pace::default()
    };
    let load = lines("saved", LINES).into_iter().map(String::into_bytes);
    let load = RelpLoad::start_at(system.pipeline.relp(), load.collect(), pace);
    system.rows.await_total(LINES / 10).await;
    let under_load = system.database.backed_up().await;
    assert!(load.acked() < LINES, "the load was over before the dump");
    assert_whole(&under_load).await;

    // The database is lost: what was not shipped before the last dump waits in the queue.
    system.pipeline.kill(Service::ShipperPgsql).await;
    let restored = system.database.backed_up().await;
    assert_eq!(load.finish().await, vec![1; LINES]);
    let before = Rows::connect(restored.url()).await.total().await;
    assert!(before < LINES, "everything was shipped before the dump");
    let rebuilt = Pipeline::over(system.vhost.url(), restored.url())
        .services(&[Service::ShipperPgsql])
        .start()
        .await;
    let rows = Rows::connect(restored.url()).await;
    rows.await_total(LINES).await;
    assert!(rebuilt.terminate(Service::ShipperPgsql).await.success());
    assert_counts(&rows.counts().await, &each_once("saved", LINES));
    assert_whole(&restored).await;
}

/// Rows, rollups and the ids of batches are of one moment.
async fn assert_whole(database: &Database) {
    let rows = Rows::connect(database.url()).await;
    let counts = rows.counts().await;
    assert!(!counts.is_empty());
    assert!(counts.values().all(|count| *count == 1), "a line is there twice");
    let sums = "SELECT sum(emerg + alert + crit + err + warning + notice + info + debug + none)::text FROM";
    let total = vec![counts.len().to_string()];
    assert_eq!(rows.column(&format!("{sums} rollup_minute")).await, total);
    assert_eq!(rows.column(&format!("{sums} rollup_hour")).await, total);
    let sources = rows
        .column("SELECT DISTINCT hostname FROM sources ORDER BY 1")
        .await;
    let senders = rows
        .column("SELECT DISTINCT hostname FROM events ORDER BY 1")
        .await;
    assert_eq!(sources, senders);
}

#[tokio::test]
async fn a_data_folder_is_copied_and_goes_on() {
    let pipeline = Pipeline::embedded().start().await;
    let first = RelpLoad::start(pipeline.relp(), lines("first", LINES / 10));
    assert_eq!(first.finish().await, vec![1; LINES / 10]);
    assert!(pipeline.terminate(Service::Run).await.success());
    let data = pipeline.dir().join("data");
    let saved = pipeline.dir().join("saved");
    copy(&data, &saved);

    // The folder is lost, and the copy takes its place.
    fs::remove_dir_all(&data).unwrap();
    fs::rename(&saved, &data).unwrap();
    pipeline.start(Service::Run).await;
    let second = RelpLoad::start(pipeline.relp(), lines("second", LINES / 10));
    assert_eq!(second.finish().await, vec![1; LINES / 10]);
    let mut expected = each_once("first", LINES / 10);
    expected.extend(each_once("second", LINES / 10));
    eventually(PATIENCE, || async { search(&pipeline).len() == expected.len() }).await;
    assert!(pipeline.terminate(Service::Run).await.success());
    assert_counts(&search(&pipeline), &expected);
}

/// A folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_broker_is_lost_with_its_disk_and_built_anew() {
    let (broker, database) = (RabbitMq::start_private().await, testkit::postgres());
    let vhost = broker.vhost();
    let pipeline = Pipeline::over(vhost.url(), database.url())
        .settings("[rescue]\norder = [\"file\"]\npatience = \"100ms\"")
        .start()
        .await;
    let rows = Rows::connect(database.url()).await;
    let send = async |name, count| {
        let load = RelpLoad::start(pipeline.relp(), lines(name, count));
        // What was under way when the broker went is answered by another queue, sent once or again.
        assert!(load.finish().await.iter().all(|sends| *sends > 0));
    };
    send("before", LINES / 10).await;
    rows.await_total(LINES / 10).await;

    broker.ctl(&["delete_vhost", vhost.name()]).await;
    send("without", LINES / 10).await;
    broker.ctl(&["add_vhost", vhost.name()]).await;
    let anything = ".*";
    let permissions = [
        "set_permissions",
        "-p",
        vhost.name(),
        "guest",
        anything,
        anything,
        anything,
    ];
    broker.ctl(&permissions).await;
    let init = pipeline.logferry(&["init"]);
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));

    let mut expected = each_once("before", LINES / 10);
    expected.extend(each_once("without", LINES / 10));
    eventually(PATIENCE, || async { rows.counts().await.len() == expected.len() }).await;
    assert_counts(&rows.counts().await, &expected);
    for service in Service::ALL {
        assert!(pipeline.terminate(service).await.success());
    }
}
