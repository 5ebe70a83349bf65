//! The functions of the contract.

use std::{collections::BTreeSet, time::Duration};

use rescue::{Guarantee, QueueState, Receipt, RescueError};
use tokio::task::JoinSet;

use crate::fixture::{DEADLINE, Fixture, LONG, batch, number, numbers, push_numbers};

pub(crate) async fn a_batch_comes_back_as_it_was_pushed(fixture: Fixture) {
    let queue = fixture.ready().await;
    let mut batches = vec![batch(0, 0), batch(1, 300_000), batch(2, 4 << 20)];
    batches[0].body = Vec::new().into();
    batches[1].routing_key = "syslog.ü_1".to_owned();
    for batch in &batches {
        assert_eq!(queue.push(batch).await.unwrap(), Guarantee::Synced);
    }
    assert_eq!(*queue.state().borrow(), QueueState::Ready(Guarantee::Synced));
    let claimed = queue.claim(10, LONG).await.unwrap();
    let contents: Vec<_> = claimed
        .iter()
        .map(|claimed| claimed.content.clone().unwrap())
        .collect();
    assert_eq!(contents, batches);
    for (claimed, batch) in claimed.iter().zip(&batches) {
        assert_eq!(claimed.receipt.size(), batch.size());
    }
}

pub(crate) async fn the_oldest_are_claimed_first(fixture: Fixture) {
    let queue = fixture.ready().await;
    push_numbers(&queue, 0..10).await;
    assert_eq!(numbers(&queue.claim(3, LONG).await.unwrap()), [0, 1, 2]);
    assert_eq!(
        numbers(&queue.claim(100, LONG).await.unwrap()),
        [3, 4, 5, 6, 7, 8, 9]
    );
    assert!(queue.claim(100, LONG).await.unwrap().is_empty());
    push_numbers(&queue, 10..11).await;
    assert_eq!(numbers(&queue.claim(100, LONG).await.unwrap()), [10]);
}

pub(crate) async fn a_claimed_batch_is_nobody_elses(fixture: Fixture) {
    let (one, other) = (fixture.ready().await, fixture.ready().await);
    push_numbers(&one, 0..4).await;
    assert_eq!(numbers(&one.claim(2, LONG).await.unwrap()), [0, 1]);
    assert_eq!(numbers(&other.claim(10, LONG).await.unwrap()), [2, 3]);
    assert!(one.claim(10, LONG).await.unwrap().is_empty());
}

pub(crate) async fn a_claim_ends_by_itself(fixture: Fixture) {
    const SHORT: Duration = Duration::from_millis(50);
    let (dead, other) = (fixture.ready().await, fixture.ready().await);
    push_numbers(&dead, 0..2).await;
    assert_eq!(numbers(&dead.claim(1, SHORT).await.unwrap()), [0]);
    drop(dead);
    let claimed = testkit::eventually(DEADLINE, || async {
        let claimed = other.claim(1, SHORT).await.unwrap();
        let is_first = claimed.first().is_some_and(|claimed| number(claimed) == 0);
        is_first.then_some(claimed)
    })
    .await;
    assert_eq!(other.remove(&[claimed[0].receipt.clone()]).await.unwrap(), 1);
}

pub(crate) async fn a_released_batch_is_claimed_again_at_once(fixture: Fixture) {
    let (one, other) = (fixture.ready().await, fixture.ready().await);
    push_numbers(&one, 0..3).await;
    let claimed = one.claim(2, LONG).await.unwrap();
    one.release(&[claimed[0].receipt.clone()]).await.unwrap();
    assert_eq!(numbers(&other.claim(10, LONG).await.unwrap()), [0, 2]);
    one.release(&[]).await.unwrap();
}

pub(crate) async fn a_removed_batch_is_gone(fixture: Fixture) {
    let (one, other) = (fixture.ready().await, fixture.ready().await);
    push_numbers(&one, 0..3).await;
    let claimed = one.claim(2, LONG).await.unwrap();
    let receipts: Vec<Receipt> = claimed.into_iter().map(|claimed| claimed.receipt).collect();
    // The claim is over, and somebody else has the same batches.
    assert_eq!(numbers(&other.claim(2, Duration::ZERO).await.unwrap()), [0, 1]);
    assert_eq!(one.remove(&receipts).await.unwrap(), 2);
    assert_eq!(other.remove(&receipts).await.unwrap(), 0);
    assert_eq!(one.remove(&[]).await.unwrap(), 0);
    let left = other.claim(10, Duration::ZERO).await.unwrap();
    assert_eq!(numbers(&left), [2]);
    assert_eq!(other.depth().await.unwrap().batches, 1);
}

pub(crate) async fn a_full_queue_refuses_and_takes_again(mut fixture: Fixture) {
    let one_batch = batch(0, 10_000).size();
    fixture.settings.file.bytes_max = one_batch * 3;
    if let Some(redis) = &mut fixture.settings.redis {
        redis.bytes_max = one_batch * 3;
    }
    let queue = fixture.ready().await;
    for number in 0..3 {
        queue.push(&batch(number, 10_000)).await.unwrap();
    }
    let error = queue.push(&batch(3, 10_000)).await.unwrap_err();
    let RescueError::Full {
        key,
        bytes,
        bytes_max,
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((*bytes, *bytes_max), (one_batch * 3, one_batch * 3));
    assert!(key.ends_with("_bytes_max"), "{key}");
    assert_eq!(*queue.state().borrow(), QueueState::Full);
    let claimed = queue.claim(1, LONG).await.unwrap();
    // A claim makes no room: its batch may come back.
    queue.push(&batch(3, 10_000)).await.unwrap_err();
    queue.remove(&[claimed[0].receipt.clone()]).await.unwrap();
    queue.push(&batch(3, 10_000)).await.unwrap();
    assert!(queue.state().borrow().is_ready());
    assert_eq!(numbers(&queue.claim(10, LONG).await.unwrap()), [1, 2, 3]);
}

pub(crate) async fn a_batch_larger_than_the_bound_is_refused(mut fixture: Fixture) {
    fixture.settings.file.bytes_max = 65_536;
    if let Some(redis) = &mut fixture.settings.redis {
        redis.bytes_max = 65_536;
    }
    let queue = fixture.ready().await;
    let error = queue.push(&batch(0, 70_000)).await.unwrap_err();
    assert!(matches!(error, RescueError::Full { bytes: 0, .. }), "{error}");
    queue.push(&batch(1, 60_000)).await.unwrap();
}

pub(crate) async fn what_waits_is_counted(fixture: Fixture) {
    let queue = fixture.ready().await;
    assert_eq!(queue.depth().await.unwrap(), rescue::Depth::default());
    let batches = [batch(0, 100), batch(1, 20_000)];
    for batch in &batches {
        queue.push(batch).await.unwrap();
    }
    // Claimed ones wait too.
    let claimed = queue.claim(1, LONG).await.unwrap();
    let depth = queue.depth().await.unwrap();
    assert_eq!(depth.batches, 2);
    assert_eq!(depth.bytes, batches[0].size() + batches[1].size());
    testkit::eventually(DEADLINE, || async {
        queue.depth().await.unwrap().oldest >= Duration::from_millis(30)
    })
    .await;
    queue.remove(&[claimed[0].receipt.clone()]).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().bytes, batches[1].size());
}

pub(crate) async fn many_pushes_at_the_same_time_are_all_kept(fixture: Fixture) {
    const COUNT: usize = 500;
    let queues = [fixture.ready().await, fixture.ready().await];
    let mut pushes = JoinSet::new();
    for number in 0..COUNT {
        let queue = queues[number % 2].clone();
        pushes.spawn(async move { queue.push(&batch(number, 2000)).await });
    }
    for pushed in pushes.join_all().await {
        pushed.unwrap();
    }
    assert_eq!(queues[0].depth().await.unwrap().batches, COUNT as u64);
    let claimed = queues[1].claim(COUNT * 2, LONG).await.unwrap();
    let all: BTreeSet<_> = numbers(&claimed).into_iter().collect();
    assert_eq!((claimed.len(), all.len()), (COUNT, COUNT));
    let receipts: Vec<_> = claimed.into_iter().map(|claimed| claimed.receipt).collect();
    assert_eq!(queues[0].remove(&receipts).await.unwrap(), COUNT);
    assert_eq!(queues[0].depth().await.unwrap(), rescue::Depth::default());
}

pub(crate) async fn claimers_share_the_work(fixture: Fixture) {
    const COUNT: usize = 200;
    let queue = fixture.ready().await;
    push_numbers(&queue, 0..COUNT).await;
    let mut claimers = JoinSet::new();
    for _ in 0..3 {
        let queue = fixture.ready().await;
        claimers.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claimed = queue.claim(7, LONG).await.unwrap();
                if claimed.is_empty() {
                    return mine;
                }
                mine.extend(numbers(&claimed));
                let receipts: Vec<_> = claimed.into_iter().map(|claimed| claimed.receipt).collect();
                assert_eq!(queue.remove(&receipts).await.unwrap(), receipts.len());
            }
        });
    }
    let mut all: Vec<_> = claimers.join_all().await.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (0..COUNT).collect::<Vec<_>>());
    assert_eq!(queue.depth().await.unwrap().batches, 0);
}

pub(crate) async fn a_batch_pushed_twice_has_one_id(fixture: Fixture) {
    let queue = fixture.ready().await;
    let batch = batch(0, 0);
    queue.push(&batch).await.unwrap();
    queue.push(&batch).await.unwrap();
    let claimed = queue.claim(10, LONG).await.unwrap();
    assert_eq!(claimed.len(), 2);
    for claimed in claimed {
        assert_eq!(claimed.content.unwrap().id, batch.id);
    }
}

pub(crate) async fn a_damaged_entry_is_told_and_the_others_pass(fixture: Fixture) {
    let queue = fixture.ready().await;
    let first = batch(0, 1000);
    queue.push(&first).await.unwrap();
    push_numbers(&queue, 1..3).await;
    fixture.damage_the_oldest().await;
    let mut claimed = queue.claim(10, LONG).await.unwrap();
    let damaged = claimed.remove(0);
    let content = damaged.content.unwrap_err();
    assert_eq!((content.id, &content.body[..]), (Some(first.id), &b"bad\n"[..]));
    assert!(content.to_string().contains("checksum"), "{content}");
    assert_eq!(numbers(&claimed), [1, 2]);
    assert_eq!(queue.remove(&[damaged.receipt]).await.unwrap(), 1);
    assert_eq!(queue.depth().await.unwrap().batches, 2);
}

pub(crate) async fn what_was_taken_is_there_after_a_crash(fixture: Fixture) {
    // The file has no server that could crash; the process that wrote it goes without a goodbye.
    let fixture = if fixture.settings.redis.is_some() {
        Fixture::private_redis().await
    } else {
        fixture
    };
    let queue = fixture.ready().await;
    push_numbers(&queue, 0..20).await;
    let claimed = queue.claim(5, LONG).await.unwrap();
    queue.remove(&[claimed[4].receipt.clone()]).await.unwrap();
    drop(queue);
    fixture.crash().await;
    let queue = fixture.ready().await;
    let left = queue.claim(100, Duration::ZERO).await.unwrap();
    let expected: Vec<_> = (0..20).filter(|number| *number != 4).collect();
    assert_eq!(numbers(&left), expected);
    assert_eq!(queue.depth().await.unwrap().batches, 19);
}

pub(crate) async fn a_closed_queue_says_so(fixture: Fixture) {
    let rescue = rescue::Rescue::open(&fixture.settings).unwrap();
    let queue = rescue.queues().first().unwrap().clone();
    crate::fixture::until_ready(&queue).await;
    queue.push(&batch(0, 0)).await.unwrap();
    rescue.close().await;
    assert_eq!(queue.push(&batch(1, 0)).await, Err(RescueError::Closed));
    assert_eq!(queue.claim(1, LONG).await.unwrap_err(), RescueError::Closed);
    let again = fixture.ready().await;
    assert_eq!(numbers(&again.claim(10, LONG).await.unwrap()), [0]);
}
