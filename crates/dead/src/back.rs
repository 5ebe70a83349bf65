//! Letters on their way back: to where they came from, as they are, or through the rules of today.

use std::time::Duration;

use broker::{Broker, Confirm, Letter, PublishError, Publisher, QueueName};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    error::WorkError,
    record::Record,
    reparse::{Again, NoReparse, again},
    selection::Selection,
    work::{End, GROUP, Replies, Reply, Walk, tell},
};

/// How long letters are put back slowly at most. RabbitMQ holds all letters for whoever goes through them, and ends what
/// holds them for half an hour.
pub const HOLD_MAX: Duration = Duration::from_secs(20 * 60);

/// How letters are put back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct How {
    /// Which way.
    pub mode: Mode,
    /// No faster than this; `None` for as fast as it goes.
    pub per_second: Option<PerSecond>,
}

/// Which way letters go back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// To the queue or exchange that they came from, with their ids.
    #[default]
    AsIs,
    /// To the parser, as the lines that they came from.
    Reparse,
}

/// Letters a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct PerSecond(u32);

/// A number of letters a second that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("per_second must be a whole number from 1 to {max}: so many letters a second at most", max = PerSecond::MAX)]
pub struct NoRate;

impl PerSecond {
    /// More than any queue takes.
    pub const MAX: u32 = 10_000;

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// How long so many letters take at least.
    #[must_use]
    pub fn time_of(self, letters: usize) -> Duration {
        let letters = u32::try_from(letters).unwrap_or(u32::MAX);
        Duration::from_secs_f64(f64::from(letters) / f64::from(self.0))
    }

    /// Letters that go together, four times a second or letter by letter.
    fn group(self) -> usize {
        usize::try_from(self.0.div_ceil(4)).map_or(GROUP, |group| group.min(GROUP))
    }
}

impl TryFrom<u32> for PerSecond {
    type Error = NoRate;

    fn try_from(number: u32) -> Result<Self, NoRate> {
        match number {
            1..=Self::MAX => Ok(Self(number)),
            _ => Err(NoRate),
        }
    }
}

impl From<PerSecond> for u32 {
    fn from(rate: PerSecond) -> Self {
        rate.0
    }
}

impl std::str::FromStr for PerSecond {
    type Err = NoRate;

    fn from_str(text: &str) -> Result<Self, NoRate> {
        let number: u32 = text.parse().map_err(|_no_number| NoRate)?;
        number.try_into()
    }
}

/// Publishes, waits for the confirm, and only then takes the letter out: killed in between, it goes back twice,
/// with the same id both times.
pub(crate) async fn requeue(
    broker: &Broker,
    selection: &Selection,
    how: How,
    replies: &Replies,
) -> Result<End, WorkError> {
    let publisher = broker.publisher(GROUP);
    let until = how.per_second.map(|_| Instant::now() + HOLD_MAX);
    let group_max = how.per_second.map_or(GROUP, PerSecond::group);
    let mut walk = Walk::begin(broker, selection, replies).await?;
    let mut end = End::default();
    let mut is_over = false;
    while !is_over {
        let started = Instant::now();
        let mut group = Vec::new();
        while group.len() < group_max {
            let Some((place, letter)) = walk.next().await? else {
                is_over = true;
                break;
            };
            let publish = publish(&publisher, &letter, how.mode).await;
            group.push((place, Record::of(&letter, false), publish));
        }
        let mut safe = Vec::new();
        for (place, record, publish) in group {
            match confirmed(publish).await {
                Ok(()) => safe.push(place),
                Err(refusal) => {
                    end.failed += 1;
                    // The next ones would fare no better.
                    is_over |= refusal.is_general();
                    tell(replies, refusal.problem(&record)).await?;
                }
            }
        }
        walk.browser.remove(&safe).await?;
        end.done += safe.len() as u64;
        let (done, failed) = (end.done, end.failed);
        tell(replies, Reply::Done { done, failed }).await?;
        if let Some(rate) = how.per_second
            && !is_over
        {
            tokio::select! {
                () = tokio::time::sleep_until(started + rate.time_of(safe.len())) => {}
                () = replies.closed() => return Err(WorkError::Gone),
            }
            end.ran_out = until.is_some_and(|until| Instant::now() >= until);
            is_over = end.ran_out;
        }
    }
    if (end.failed > 0 || end.ran_out) && walk.browser.seen() < walk.browser.total() {
        // What was not tried is not held by anybody.
        let end = End {
            missing: 0,
            ..walk.end(end).await?
        };
        return Ok(end);
    }
    walk.end(end).await
}

/// Says which letters could go back so.
pub(crate) async fn try_out(
    broker: &Broker,
    selection: &Selection,
    how: How,
    replies: &Replies,
) -> Result<End, WorkError> {
    let mut walk = Walk::begin(broker, selection, replies).await?;
    let mut end = End::default();
    while let Some((_, letter)) = walk.next().await? {
        match way(&letter, how.mode) {
            Ok(_) => end.done += 1,
            Err(refusal) => {
                end.failed += 1;
                tell(replies, refusal.problem(&Record::of(&letter, false))).await?;
            }
        }
    }
    walk.end(end).await
}

fn way(letter: &Letter, mode: Mode) -> Result<Again, Refusal> {
    match mode {
        Mode::Reparse => again(letter).map_err(Refusal::NoReparse),
        Mode::AsIs if letter.has_way_back() => Ok(Again::AsItIs),
        Mode::AsIs => Err(Refusal::NoWay),
    }
}

async fn publish(publisher: &Publisher, letter: &Letter, mode: Mode) -> Result<Confirm, Refusal> {
    match way(letter, mode)? {
        Again::AsItIs => {
            let publish = publisher.put_back(letter).await.map_err(Refusal::Publish)?;
            publish.ok_or(Refusal::NoWay)
        }
        Again::Lines(message) => {
            let publish = publisher.publish_to(&QueueName::parser(), &message).await;
            publish.map_err(Refusal::Publish)
        }
    }
}

async fn confirmed(publish: Result<Confirm, Refusal>) -> Result<(), Refusal> {
    publish?.await.map_err(Refusal::Publish)
}

/// Why a letter stays where it is.
enum Refusal {
    NoWay,
    NoReparse(NoReparse),
    Publish(PublishError),
}

impl Refusal {
    fn is_general(&self) -> bool {
        match self {
            Self::NoWay | Self::NoReparse(_) => false,
            Self::Publish(error) => error.is_transient() || *error == PublishError::Closed,
        }
    }

    /// Whether the broker may have it. Only these two say for certain that it has not.
    fn is_uncertain(&self) -> bool {
        match self {
            Self::NoWay | Self::NoReparse(_) => false,
            Self::Publish(error) => !matches!(
                error,
                PublishError::Unroutable { .. } | PublishError::TooLarge { .. }
            ),
        }
    }

    fn problem(&self, record: &Record) -> Reply {
        Reply::Problem {
            name: record.name(),
            text: self.text(record),
            is_uncertain: self.is_uncertain(),
        }
    }

    fn text(&self, record: &Record) -> String {
        match (self, &record.death) {
            (Self::Publish(PublishError::Unroutable { exchange: "", .. }), Some(death)) => {
                format!("there is no queue {} any more", death.queue)
            }
            (Self::Publish(PublishError::Nacked), Some(death)) => {
                format!("the queue behind {} is full; try again later", death.exchange)
            }
            (Self::Publish(error), _) => error.to_string(),
            (Self::NoReparse(why), _) => why.to_string(),
            (Self::NoWay, _) => "where it came from is not known; export it, and drop it".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_bounded() {
        for (text, rate) in [
            ("1", Some(1)),
            ("10000", Some(10_000)),
            ("0", None),
            ("10001", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("99999999999", None),
        ] {
            assert_eq!(text.parse::<PerSecond>().ok().map(PerSecond::get), rate, "{text}");
        }
        assert!(serde_json::from_str::<PerSecond>("0").is_err());
        let rate = |number: u32| PerSecond::try_from(number).unwrap();
        assert_eq!(rate(4).time_of(10), Duration::from_millis(2500));
        assert_eq!(
            (rate(1).group(), rate(200).group(), rate(9000).group()),
            (1, 50, GROUP)
        );
    }
}
