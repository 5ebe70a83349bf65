//! Many connections that say little, beside one that says as much as all of them.

use serde_json::{Value, json};

use super::{Case, Outcome, median, series};
use crate::check;
use crate::line::{Line, Spread, Target};
use crate::load::{Load, Protocol, Shape};
use crate::place::{Place, Side};
use crate::route::{Route, Way, to_f64, used};
use crate::series::Run;

const MANY: u32 = 2000;
/// Messages a second of each.
const RATE: u64 = 50;
const WINDOW: u32 = 1000;

/// The part of the one connection's total that the many are to reach: all of it, but for what a generator that sends
/// in bursts of 100 ms leaves open.
const RATIO: f64 = 0.98;
/// Megabytes that intake may take with the many.
const MEMORY_MAX: f64 = 400.0;

const PROTOCOLS: [(&str, Protocol); 2] = [("TCP", Protocol::Tcp), ("RELP", Protocol::Relp)];

pub(super) async fn measure(place: &Place, side: &Side) -> anyhow::Result<Outcome> {
    let ours = series(place, "/s", async || once(place, side).await).await?;
    let mut lines = Vec::new();
    for (name, _) in PROTOCOLS {
        let many = ours.detail(&format!("/{name}/many"));
        let one = ours.detail(&format!("/{name}/one"));
        let ratios = many.iter().zip(&one).map(|(many, one)| many / one);
        lines.push(Line {
            ratio: Spread::of(ratios.collect()),
            reference: Some(median(one)?),
            ..Line::alone(
                format!("{name}, {MANY} connections of {RATE} /s | 1 of the same total"),
                "/s",
                median(many)?,
            )
            .reaching(Target::Ratio(RATIO))
        });
    }
    let peak = ours.usage().map(|used| used.peak()).fold(0.0, f64::max);
    let what = format!("memory with {MANY} connections: syslog-server");
    lines.push(Line::alone(what, "MB", peak).reaching(Target::AtMost(MEMORY_MAX)));
    Ok(Outcome::of(Case::Connections, &ours, lines))
}

pub(super) async fn once(place: &Place, side: &Side) -> anyhow::Result<Run> {
    let mut run = Run {
        value: 0.0,
        usage: Vec::new(),
        details: json!({}),
    };
    for (name, protocol) in PROTOCOLS {
        let mut rates = json!({});
        for (of, connections) in [("one", 1), ("many", MANY)] {
            let rate = u64::from(MANY) * RATE;
            let shape = Shape {
                protocol,
                connections,
                window: WINDOW,
                count: rate * place.measuring.seconds,
                rate: Some(rate),
            };
            let way = Way::open(Route::Broker, place, side).await?;
            let watched = way.watch();
            let load = Load::start(place, way.entrance(protocol), shape)?;
            let (_, passed) = tokio::try_join!(load.finish(), way.pass(shape.count))?;
            // From the first one seen: connecting is not what is measured.
            let per_second = (to_f64(shape.count) - passed.at_first) / passed.since_first().as_secs_f64();
            set(&mut rates, of, json!(per_second));
            check::arrived(&way, shape.count).await?;
            if connections == MANY {
                run.value = per_second;
                run.usage
                    .extend(used(&watched).into_iter().filter(|used| used.name != "rabbitmq"));
            }
        }
        set(&mut run.details, name, rates);
    }
    Ok(run)
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}
