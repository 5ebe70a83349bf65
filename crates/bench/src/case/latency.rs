//! How long a message takes from its sender to its committed row, at a rate that is kept up with.
//!
//! The sender writes its time into the message, and PostgreSQL keeps the time of each commit.

use serde_json::json;

use super::throughput::send;
use super::{Case, Outcome, median, series};
use crate::check;
use crate::database::{Looker, PERCENTILES};
use crate::line::{Line, Target};
use crate::load::Shape;
use crate::place::{Place, Side};
use crate::route::{Route, Way};
use crate::series::Run;

/// Milliseconds that the percentiles may be.
const MOST: [Option<f64>; PERCENTILES.len()] = [Some(40.0), None, Some(250.0), None];

pub(super) async fn measure(place: &Place, side: &Side) -> anyhow::Result<Outcome> {
    let ours = series(place, "ms", async || once(place, side).await).await?;
    let mut lines = Vec::new();
    for (at, (percentile, most)) in PERCENTILES.iter().zip(MOST).enumerate() {
        let what = format!(
            "sent → row committed at {} /s, p{}",
            place.measuring.rate,
            percentile * 100.0
        );
        let milliseconds = median(ours.detail(&format!("/milliseconds/{at}")))?;
        let line = Line::alone(what, "ms", milliseconds);
        lines.push(match most {
            Some(most) => line.reaching(Target::AtMost(most)),
            None => line,
        });
    }
    Ok(Outcome::of(Case::Latency, &ours, lines))
}

pub(super) async fn once(place: &Place, side: &Side) -> anyhow::Result<Run> {
    let way = Way::open(Route::Rows, place, side).await?;
    let rate = place.measuring.rate;
    let shape = Shape {
        rate: Some(rate),
        ..Shape::tcp(rate * place.measuring.seconds)
    };
    let mut run = send(&way, place, shape).await?;
    check::arrived(&way, shape.count).await?;
    let milliseconds = Looker::connect(way.database()?.url()).await?.latencies().await?;
    // By its own median a run is the middle one.
    run.value = milliseconds.first().copied().unwrap_or_default();
    run.details = json!({
        "sent": run.details, "percentiles": PERCENTILES.to_vec(), "milliseconds": milliseconds,
    });
    Ok(run)
}
