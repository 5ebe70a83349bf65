//! What only the file can do wrong.

use rescue::QueueState;
use settings::RescueKind;

use crate::fixture::{DEADLINE, Fixture, batch};

async fn problem(fixture: &Fixture) -> String {
    let queue = fixture.open();
    let error = queue.push(&batch(0, 0)).await.unwrap_err();
    assert_eq!(*queue.state().borrow(), QueueState::Unusable(error.to_string()));
    error.to_string()
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_told_and_tried_again() {
    let mut fixture = Fixture::file();
    let parent = tempfile::tempdir().unwrap();
    let in_the_way = parent.path().join("file");
    std::fs::write(&in_the_way, "in the way").unwrap();
    fixture.settings.file.dir = in_the_way.join("rescue");
    let told = problem(&fixture).await;
    assert!(
        told.contains("rescue.sqlite") && told.contains("data_dir"),
        "{told}"
    );

    let queue = fixture.open();
    queue.push(&batch(0, 0)).await.unwrap_err();
    std::fs::remove_file(&in_the_way).unwrap();
    queue.push(&batch(0, 0)).await.unwrap();
    assert!(queue.state().borrow().is_ready());
}

#[tokio::test]
async fn somebody_elses_file_is_left_alone() {
    let fixture = Fixture::file();
    let dir = &fixture.settings.file.dir;
    std::fs::create_dir_all(dir).unwrap();
    let path = dir.join("rescue.sqlite");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (a)").unwrap();
    drop(other);
    assert!(problem(&fixture).await.contains("another program wrote it"));

    std::fs::write(
        &path,
        "no database at all, but long enough to be looked at as one",
    )
    .unwrap();
    let told = problem(&fixture).await;
    assert!(told.contains("is not a rescue file"), "{told}");
    assert!(std::fs::read(&path).unwrap().starts_with(b"no database at all"));
}

#[tokio::test]
async fn the_file_shrinks_when_it_has_been_emptied() {
    let mut fixture = Fixture::file();
    fixture.settings.file.bytes_max = 1 << 30;
    let queue = fixture.ready().await;
    for number in 0..64 {
        queue.push(&batch(number, 1 << 20)).await.unwrap();
    }
    let path = fixture.settings.file.dir.join("rescue.sqlite");
    let length = || std::fs::metadata(&path).unwrap().len();
    loop {
        let claimed = queue.claim(4, DEADLINE).await.unwrap();
        if claimed.is_empty() {
            break;
        }
        let receipts: Vec<_> = claimed.into_iter().map(|claimed| claimed.receipt).collect();
        queue.remove(&receipts).await.unwrap();
    }
    drop(queue);
    // The last connection copies the log to the file.
    testkit::eventually(DEADLINE, || async { length() < 40 << 20 }).await;
}

#[tokio::test]
async fn what_is_checked_is_not_made() {
    let fixture = Fixture::file();
    let told = rescue::check(&fixture.settings).await.unwrap();
    assert!(told.contains("is made when it is needed"), "{told}");
    assert!(!fixture.settings.file.dir.try_exists().unwrap());
    fixture.ready().await.push(&batch(0, 0)).await.unwrap();
    let told = rescue::check(&fixture.settings).await.unwrap();
    assert!(told.contains(", 1 batches"), "{told}");
}

#[tokio::test]
async fn without_any_queue_nothing_is_taken() {
    let mut fixture = Fixture::file();
    fixture.settings.order.clear();
    let rescue = rescue::Rescue::open(&fixture.settings).unwrap();
    let refused = rescue.push(&batch(0, 0)).await.unwrap_err();
    assert!(refused.to_string().contains("rescue.order"), "{refused}");
    assert!(rescue::check(&fixture.settings).await.unwrap().contains("none"));
}

#[tokio::test]
async fn a_file_that_is_there_is_emptied_even_when_it_is_not_used_any_more() {
    let mut fixture = Fixture::file();
    fixture.ready().await.push(&batch(0, 0)).await.unwrap();
    fixture.settings.order.clear();
    let all = rescue::Rescue::open_all(&fixture.settings).unwrap();
    let kinds: Vec<_> = all.queues().iter().map(rescue::Queue::kind).collect();
    assert_eq!(kinds, [RescueKind::File]);
    let queue = &all.queues()[0];
    assert_eq!(queue.claim(1, DEADLINE).await.unwrap().len(), 1);
    all.close().await;
}
