//! Writing at a steady rate: alone, beside searches, and while a partition is sealed.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use store::Store;
use tokio::task::JoinSet;

use super::asking::Asking;
use super::kept::{self, Kept};
use super::{FALL_SEALING_MAX, FALL_SEARCHING_MAX, Figures};
use crate::corpus::DAY_MICROS;
use crate::line::Target;
use crate::place::Place;
use crate::route::to_f64;

/// Rows a second that are offered.
const RATE: u64 = 50_000;
/// Batches of one transaction: about a tenth of a second's rows.
const TRANSACTION_BATCHES: usize = 8;
/// Searches at the same time.
const SEARCHERS: u64 = 5;
/// At least so long must a partition take to be sealed to say something about writing meanwhile.
const SEALING_MIN: Duration = Duration::from_secs(3);

pub(super) async fn measure(kept: &Kept, place: &Place, figures: &mut Figures) -> anyhow::Result<()> {
    let seconds = place.measuring.seconds;
    // Today, behind the week that is searched.
    let batches = |seed| -> Vec<Bytes> {
        let corpus = kept
            .corpus
            .further(seed, RATE * seconds, kept.end(), DAY_MICROS / 2);
        corpus.batches().collect()
    };
    let alone = write(&kept.store, &batches(1)).await?;
    figures.add("rows written of 50,000 a second", "/s", alone, None);

    let mut searchers = JoinSet::new();
    for seed in 0..SEARCHERS {
        let asking = Asking::seeded(kept, seed);
        searchers.spawn(asking.ask_on());
    }
    let beside = {
        let (batches, mut searching) = (batches(2), pin!(searchers.join_next()));
        tokio::select! {
            written = write(&kept.store, &batches) => written?,
            // They search on until they are dropped, but for an error.
            Some(ended) = &mut searching => match ended?? {},
        }
    };
    searchers.shutdown().await;
    let mut lost = |what: &'static str, rate: f64, most: f64| {
        let fall = (1.0 - rate / alone) * 100.0;
        figures.add(what, "%", fall, Some(Target::AtMost(most)));
    };
    lost("write rate lost to 5 searches", beside, FALL_SEARCHING_MAX);

    let batches = batches(3);
    let (mut sealing, mut written) = (pin!(kept.seal_the_newest()), pin!(write(&kept.store, &batches)));
    let began = Instant::now();
    // The rate counts only while both go on.
    let meanwhile = tokio::select! {
        sealed = &mut sealing => {
            sealed?;
            None
        }
        written = &mut written => Some(written?),
    };
    match meanwhile {
        Some(meanwhile) => {
            sealing.await?;
            lost("write rate lost to sealing", meanwhile, FALL_SEALING_MAX);
        }
        None if began.elapsed() < SEALING_MIN => {
            eprintln!("    sealing was over too soon to say how it slows writing: name a larger --count");
        }
        None => {
            // Sealing ended first: what was offered meanwhile is written late by what was lost to it.
            let meanwhile = written.await?;
            lost("write rate lost to sealing", meanwhile, FALL_SEALING_MAX);
        }
    }
    Ok(())
}

/// Rows a second that were written of [`RATE`].
async fn write(store: &Store, batches: &[Bytes]) -> anyhow::Result<f64> {
    let (began, mut group, mut rows) = (Instant::now(), store.group(16 << 20), 0);
    for some in batches.chunks(TRANSACTION_BATCHES) {
        for batch in some {
            group.push(batch.clone())?;
        }
        // The next transaction begins when its last row has come.
        let due = began + Duration::from_secs_f64(to_f64(rows + group.rows() as u64) / to_f64(RATE));
        tokio::time::sleep_until(due.into()).await;
        rows += kept::append(store, &mut group).await? as u64;
    }
    Ok(to_f64(rows) / began.elapsed().as_secs_f64())
}
