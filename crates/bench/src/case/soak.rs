//! A long run at full speed: whether rate and memory stay as they are.
//!
//! Messages go all the way into rows. The load comes in pieces, so that queues stay short, and rows are removed from
//! time to time, as retention would, so that the disk suffices.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::{Case, Outcome};
use crate::check;
use crate::database::Looker;
use crate::line::{Line, Target, number};
use crate::load::{Load, Protocol, Shape};
use crate::place::{Place, Side};
use crate::route::{Route, Way, to_f64, used};
use crate::series::{Run, Series};
use crate::usage::Used;

/// Messages of one piece; the next begins when no more than half of it is still on the way.
const PIECE: u64 = 2_000_000;
/// Rows that the database holds at most, about.
pub(super) const ROWS_MAX: u64 = 10_000_000;

/// How often rate and memory are noted.
const SAMPLE_PERIOD: Duration = Duration::from_secs(60);
/// The same for a run that is over soon.
const SAMPLE_PERIOD_SHORT: Duration = Duration::from_secs(5);
/// Runs below this are short.
const SHORT: u64 = 30_000_000;
const ASK_PERIOD: Duration = Duration::from_millis(250);
/// A run that makes no progress for so long is broken.
const STALLED_MAX: Duration = Duration::from_secs(120);

/// Percent that the rate may fall from start to end, by the straight line through all samples.
const RATE_LOSS_MAX: f64 = -5.0;
/// Megabytes by which a service may grow.
const GROWTH_MAX: f64 = 10.0;

/// What was seen in one period.
struct Sample {
    seconds: f64,
    rate: f64,
    resident: BTreeMap<String, f64>,
}

pub(super) async fn measure(place: &Place, side: &Side) -> anyhow::Result<Outcome> {
    let mut ours = Series::default();
    ours.push(once(place, side).await?);
    let figure = |pointer: &str| ours.detail(pointer).first().copied();
    let mut lines = vec![Line::alone(
        format!(
            "soak of {}messages",
            number(to_f64(Case::Soak.count(&place.measuring)), "")
        ),
        "/s",
        super::median(ours.values())?,
    )];
    if let Some(change) = figure("/rate_change_percent") {
        lines.push(
            Line::alone("soak: rate from start to end", "%", change).reaching(Target::AtLeast(RATE_LOSS_MAX)),
        );
    }
    for service in Route::Rows.services() {
        let name = service.name();
        if let Some(growth) = figure(&format!("/growth_mb/{name}")) {
            let what = format!("soak: memory from start to end: {name}");
            lines.push(Line::alone(what, "MB", growth).reaching(Target::AtMost(GROWTH_MAX)));
        }
    }
    Ok(Outcome::of(Case::Soak, &ours, lines))
}

pub(super) async fn once(place: &Place, side: &Side) -> anyhow::Result<Run> {
    let count = Case::Soak.count(&place.measuring);
    let way = Way::open(Route::Rows, place, side).await?;
    let start = Instant::now();
    let samples = Soak::new(&way, place, count).await?.run().await?;
    let elapsed = start.elapsed();
    check::beside_rows(&Looker::connect(way.database()?.url()).await?, count).await?;
    ensure!(samples.len() > 2, "too short a run: name a larger --count");
    // The first period has the start in it.
    let steady = samples.get(1..).unwrap_or_default();
    let rates = steady
        .iter()
        .map(|sample| (sample.seconds, sample.rate))
        .collect::<Vec<_>>();
    let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / length(&rates);
    let growth: Map<String, Value> = Route::Rows
        .services()
        .iter()
        .map(|service| {
            let of = |sample: &Sample| Some((sample.seconds, *sample.resident.get(service.name())?));
            (
                service.name().to_owned(),
                json!(rise(&steady.iter().filter_map(of).collect::<Vec<_>>())),
            )
        })
        .collect();
    Ok(Run {
        value: to_f64(count) / elapsed.as_secs_f64(),
        usage: used(&way.watch()),
        details: json!({
            "seconds": elapsed.as_secs_f64(),
            "rate_change_percent": rise(&rates) / mean * 100.0,
            "growth_mb": growth,
            "samples": samples.iter().map(|sample| json!({
                "seconds": sample.seconds, "rate": sample.rate, "resident_mb": sample.resident,
            })).collect::<Vec<_>>(),
        }),
    })
}

/// A run in progress.
struct Soak<'a> {
    way: &'a Way,
    place: &'a Place,
    looker: Looker,
    count: u64,
    sent: u64,
    load: Option<JoinHandle<anyhow::Result<Value>>>,
    start: Instant,
}

impl<'a> Soak<'a> {
    async fn new(way: &'a Way, place: &'a Place, count: u64) -> anyhow::Result<Self> {
        Ok(Self {
            way,
            place,
            looker: Looker::connect(way.database()?.url()).await?,
            count,
            sent: 0,
            load: None,
            start: Instant::now(),
        })
    }

    async fn run(mut self) -> anyhow::Result<Vec<Sample>> {
        let period = if self.count < SHORT {
            SAMPLE_PERIOD_SHORT
        } else {
            SAMPLE_PERIOD
        };
        let mut ticks = interval(ASK_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut samples = Vec::new();
        let (mut sampled, mut sampled_at) = (0.0, self.start);
        let (mut best, mut best_at, mut removed) = (0.0, self.start, 0.0);
        loop {
            ticks.tick().await;
            let passed = self.way.passed().await?;
            let now = Instant::now();
            self.send_more(passed).await?;
            let elapsed = now.duration_since(sampled_at);
            if elapsed >= period {
                samples.push(self.sample(now, (passed - sampled) / elapsed.as_secs_f64()));
                (sampled, sampled_at) = (passed, now);
            }
            if passed >= to_f64(self.count) {
                return Ok(samples);
            }
            if passed - removed >= to_f64(ROWS_MAX) {
                self.looker.run("TRUNCATE events").await?;
                removed = passed;
            }
            if passed > best {
                (best, best_at) = (passed, now);
            } else if now.duration_since(best_at) > STALLED_MAX {
                bail!(
                    "stuck after {passed} of {} messages; {}",
                    self.count,
                    self.way.complaints()
                );
            }
        }
    }

    /// Starts the next piece when the last is sent and mostly through.
    async fn send_more(&mut self, passed: f64) -> anyhow::Result<()> {
        if self.load.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(load) = self.load.take()
        {
            load.await??;
        }
        let on_the_way = to_f64(self.sent) - passed;
        if self.load.is_none() && self.sent < self.count && on_the_way <= to_f64(PIECE / 2) {
            let piece = PIECE.min(self.count - self.sent);
            let load = Load::start(self.place, self.way.entrance(Protocol::Tcp), Shape::tcp(piece))?;
            self.load = Some(tokio::spawn(load.finish()));
            self.sent += piece;
        }
        Ok(())
    }

    fn sample(&self, now: Instant, rate: f64) -> Sample {
        let usage = used(&self.way.watch());
        let resident: BTreeMap<String, f64> = usage
            .iter()
            .map(|used| (used.name.clone(), used.resident()))
            .collect();
        let seconds = now.duration_since(self.start).as_secs_f64();
        let memory = usage
            .iter()
            .map(|used: &Used| format!("{} {:.1}", used.name, used.resident()));
        eprintln!(
            "  {seconds:>5.0} s: {}, MB: {}",
            number(rate, "/s"),
            memory.collect::<Vec<_>>().join(", ")
        );
        Sample {
            seconds,
            rate,
            resident,
        }
    }
}

/// By how much the straight line through these points (least squares) rises from the first to the last.
fn rise(points: &[(f64, f64)]) -> f64 {
    let n = length(points);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return 0.0;
    };
    if variance > 0.0 {
        covariance / variance * (last.0 - first.0)
    } else {
        0.0
    }
}

fn length(points: &[(f64, f64)]) -> f64 {
    f64::from(u32::try_from(points.len()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_through_points_rises_as_they_do() {
        let points: Vec<(f64, f64)> = [0.0, 1.0, 2.0, 3.0].map(|x| (x, 10.0 - 2.0 * x)).to_vec();
        assert!((rise(&points) + 6.0).abs() < 1e-9);
        assert_eq!(rise(&[(1.0, 5.0)]), 0.0);
        assert_eq!(rise(&[]), 0.0);
    }
}
