//! What services take that have nothing to do.

use std::time::Duration;

use serde_json::json;
use testkit::{Pipeline, Service};

use super::{Case, Outcome, tell};
use crate::line::{Line, Target};
use crate::place::{Place, Side};
use crate::route::{Route, Way, arguments};
use crate::series::{Run, Series};
use crate::usage::Watched;

/// Connections are made and pools are filled.
const SETTLING: Duration = Duration::from_secs(10);
/// How long is watched then.
const WATCHED: Duration = Duration::from_secs(30);

/// Megabytes that a service may take at rest, and percent of a core.
const RESIDENT_MAX: f64 = 20.0;
const CPU_MAX: f64 = 0.5;

/// Once: nothing happens that could come out differently.
pub(super) async fn measure(place: &Place, side: &Side) -> anyhow::Result<Outcome> {
    let mut ours = Series::default();
    let run = once(place, side).await?;
    tell(1, "logferry", &run, "MB in all");
    ours.push(run);
    let resident = ours.usage().map(|used| {
        let what = format!("memory at rest: {}", used.name);
        Line::alone(what, "MB", used.resident()).reaching(Target::AtMost(RESIDENT_MAX))
    });
    let cpu = ours.usage().map(|used| {
        let what = format!("CPU at rest: {}", used.name);
        Line::alone(what, "%", used.cpu_percent()).reaching(Target::AtMost(CPU_MAX))
    });
    let lines = resident.chain(cpu).collect();
    Ok(Outcome::of(Case::Idle, &ours, lines))
}

/// All services over RabbitMQ and PostgreSQL, and `logferry run` beside them.
pub(super) async fn once(place: &Place, side: &Side) -> anyhow::Result<Run> {
    let (vhost, database) = (place.vhost().await?, place.database().await?);
    let over = Pipeline::over(vhost.url(), database.url()).measured(&side.programs, place.dir());
    let over = over.arguments(&arguments(side)).try_start().await?;
    let embedded = Way::open(Route::Embedded, place, side).await?;
    tokio::time::sleep(SETTLING).await;
    let services = Service::ALL.iter().map(|service| (&over, *service));
    let watched: Vec<Watched> = services
        .chain([(&embedded.pipeline, Service::Run)])
        .filter_map(|(pipeline, service)| Some(Watched::start(name(service), pipeline.pid(service)?)))
        .collect();
    tokio::time::sleep(WATCHED).await;
    let usage: Vec<_> = watched.iter().map(Watched::used).collect();
    Ok(Run {
        value: usage.iter().map(crate::usage::Used::resident).sum(),
        usage,
        details: json!({ "settling_seconds": SETTLING.as_secs(), "watched_seconds": WATCHED.as_secs() }),
    })
}

fn name(service: Service) -> &'static str {
    match service {
        Service::Run => "logferry run",
        other => other.name(),
    }
}
