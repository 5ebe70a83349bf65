//! What only Redis can do wrong.

use rescue::{Guarantee, QueueState, Rescue, RescueError};
use settings::{RescueDurability, RescueKind, Secret};

use crate::fixture::{DEADLINE, Fixture, LONG, batch, command, numbers, push_numbers, until_ready};

fn set_durability(fixture: &mut Fixture, durability: RescueDurability) {
    fixture.settings.redis.as_mut().unwrap().durability = durability;
}

async fn configure(fixture: &Fixture, name: &str, value: &str) {
    let client = fixture.client().await;
    command(&client, "CONFIG", &["SET", name, value]).await;
}

#[tokio::test]
async fn a_weaker_redis_is_refused_or_named() {
    let mut fixture = Fixture::private_redis().await;
    for (name, weak, good) in [
        ("appendfsync", "everysec", "always"),
        ("appendonly", "no", "yes"),
        ("no-appendfsync-on-rewrite", "yes", "no"),
    ] {
        configure(&fixture, name, weak).await;
        set_durability(&mut fixture, RescueDurability::Synced);
        let queue = fixture.open();
        let error = testkit::eventually(DEADLINE, || async {
            let error = queue.push(&batch(0, 0)).await.unwrap_err();
            matches!(error, RescueError::TooWeak { .. }).then_some(error)
        })
        .await;
        let told = error.to_string();
        assert!(
            told.contains(&format!("{name} {weak}")) && told.contains("rescue.durability"),
            "{told}"
        );
        assert_eq!(*queue.state().borrow(), QueueState::Unusable(told));
        let checked = rescue::check(&fixture.settings).await.unwrap_err();
        assert!(matches!(checked, RescueError::TooWeak { .. }), "{checked}");

        set_durability(&mut fixture, RescueDurability::Accepted);
        let queue = fixture.ready().await;
        let Guarantee::Weaker(why) = queue.push(&batch(0, 0)).await.unwrap() else {
            panic!("{name} {weak} is as good as {good}");
        };
        assert!(why.contains(&format!("{name} {weak}")), "{why}");
        let checked = rescue::check(&fixture.settings).await.unwrap();
        assert!(checked.contains("weaker guarantee"), "{checked}");
        configure(&fixture, name, good).await;
    }
    set_durability(&mut fixture, RescueDurability::Synced);
    assert_eq!(
        fixture.ready().await.push(&batch(0, 0)).await.unwrap(),
        Guarantee::Synced
    );
    let checked = rescue::check(&fixture.settings).await.unwrap();
    assert!(checked.contains("each batch is synced"), "{checked}");
}

#[tokio::test]
async fn what_redis_promises_is_asked_again() {
    let fixture = Fixture::private_redis().await;
    let queue = fixture.ready().await;
    queue.push(&batch(0, 0)).await.unwrap();
    configure(&fixture, "appendfsync", "everysec").await;
    let mut state = queue.state();
    let refused = state.wait_for(|state| !state.is_ready());
    tokio::time::timeout(DEADLINE, refused).await.unwrap().unwrap();
    let error = queue.push(&batch(1, 0)).await.unwrap_err();
    assert!(matches!(error, RescueError::TooWeak { .. }), "{error}");
    // What is there already can be returned all the same.
    assert_eq!(numbers(&queue.claim(10, LONG).await.unwrap()), [0]);
    configure(&fixture, "appendfsync", "always").await;
    until_ready(&queue).await;
    queue.push(&batch(1, 0)).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_may_not_tell_counts_as_weaker() {
    let mut fixture = Fixture::private_redis().await;
    let client = fixture.client().await;
    let rules = [
        "SETUSER", "shy", "on", ">hunter2", "~rescue*", "+@all", "-config", "-info",
    ];
    command(&client, "ACL", &rules).await;
    let url = fixture.server().url().replace("redis://", "redis://shy:hunter2@");
    fixture.settings.redis.as_mut().unwrap().url = Secret::new(url);
    let told = rescue::check(&fixture.settings).await.unwrap_err().to_string();
    assert!(
        told.contains("CONFIG GET is not allowed") && !told.contains("hunter2"),
        "{told}"
    );
    set_durability(&mut fixture, RescueDurability::Accepted);
    let queue = fixture.ready().await;
    push_numbers(&queue, 0..2).await;
    assert_eq!(numbers(&queue.claim(10, LONG).await.unwrap()), [0, 1]);
    assert_eq!(queue.depth().await.unwrap().batches, 2);
}

#[tokio::test]
async fn a_redis_that_goes_is_told_and_one_that_comes_back_is_used() {
    let fixture = Fixture::private_redis().await;
    let queue = fixture.ready().await;
    push_numbers(&queue, 0..1).await;
    fixture.server().kill().await;
    let mut state = queue.state();
    let gone = state.wait_for(|state| !state.is_ready());
    tokio::time::timeout(DEADLINE, gone).await.unwrap().unwrap();
    let error = queue.push(&batch(1, 0)).await.unwrap_err();
    assert!(matches!(error, RescueError::Unreachable { .. }), "{error}");
    fixture.server().start().await;
    until_ready(&queue).await;
    push_numbers(&queue, 1..2).await;
    assert_eq!(numbers(&queue.claim(10, LONG).await.unwrap()), [0, 1]);
}

#[tokio::test]
async fn a_push_goes_to_the_next_queue_when_redis_is_away() {
    let mut fixture = Fixture::private_redis().await;
    let dir = tempfile::tempdir().unwrap();
    fixture.settings.file.dir = dir.path().to_owned();
    fixture.settings.order = vec![RescueKind::Redis, RescueKind::File];
    let rescue = Rescue::open(&fixture.settings).unwrap();
    until_ready(&rescue.queues()[0]).await;
    assert_eq!(rescue.push(&batch(0, 0)).await.unwrap().queue, RescueKind::Redis);
    fixture.server().kill().await;
    let rescued = rescue.push(&batch(1, 0)).await.unwrap();
    assert_eq!(
        (rescued.queue, rescued.guarantee),
        (RescueKind::File, Guarantee::Synced)
    );
    fixture.server().start().await;
    until_ready(&rescue.queues()[0]).await;
    assert_eq!(rescue.push(&batch(2, 0)).await.unwrap().queue, RescueKind::Redis);
    rescue.close().await;
}

#[tokio::test]
async fn a_group_that_was_deleted_is_made_again() {
    let fixture = Fixture::redis().await;
    let queue = fixture.ready().await;
    push_numbers(&queue, 0..3).await;
    assert_eq!(numbers(&queue.claim(1, LONG).await.unwrap()), [0]);
    let client = fixture.client().await;
    command(&client, "XGROUP", &["DESTROY", &fixture.key(), "collector"]).await;
    assert_eq!(numbers(&queue.claim(10, LONG).await.unwrap()), [0, 1, 2]);
}

#[tokio::test]
async fn what_somebody_else_put_into_the_stream_comes_as_damaged() {
    let fixture = Fixture::redis().await;
    let queue = fixture.ready().await;
    let client = fixture.client().await;
    command(
        &client,
        "XADD",
        &[&fixture.key(), "*", "colour", "blue", "size", "x"],
    )
    .await;
    push_numbers(&queue, 1..2).await;
    let mut claimed = queue.claim(10, LONG).await.unwrap();
    let stranger = claimed.remove(0);
    let content = stranger.content.unwrap_err();
    assert_eq!(
        (content.id, &content.body[..]),
        (None, &b"colour=blue\nsize=x"[..])
    );
    assert_eq!(numbers(&claimed), [1]);
    let receipts = [stranger.receipt, claimed.remove(0).receipt];
    assert_eq!(queue.remove(&receipts).await.unwrap(), 2);
    assert_eq!(queue.depth().await.unwrap(), rescue::Depth::default());
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_told_without_the_password() {
    let mut fixture = Fixture::redis().await;
    let port = testkit::free_port();
    let url = format!("redis://user:hunter2@127.0.0.1:{port}/1");
    fixture.settings.redis.as_mut().unwrap().url = Secret::new(url);
    let error = rescue::check(&fixture.settings).await.unwrap_err();
    let shown = format!("{error} {error:?} {:?}", fixture.open());
    assert!(shown.contains(&port.to_string()), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn what_is_no_address_is_told_without_the_password() {
    let mut fixture = Fixture::redis().await;
    fixture.settings.redis.as_mut().unwrap().url = Secret::new("redis//user:hunter2@host".to_owned());
    let error = Rescue::open(&fixture.settings).unwrap_err();
    assert!(matches!(error, RescueError::Url { .. }), "{error}");
    assert!(!format!("{error:?} {error}").contains("hunter2"));
}
