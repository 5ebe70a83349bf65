//! What the answers of each input mean: as configured, in force, and in the last 24 hours.

use std::{fmt::Write as _, time::Instant};

use jiff::Timestamp;
use serde::Serialize;
use service::heartbeat::InForce;
use settings::{BrokerSettings, Protocol, Settings};

use super::map::escape;
use crate::hub::{CUSTODIES_KEPT, Known, Span};

/// The width of a strip, in its own units: six minutes each.
const STRIP_WIDTH: f64 = 240.0;
const STRIP_HEIGHT: f64 = 14.0;
/// What is as configured is drawn as high as this; what is weaker, in full.
const AS_CONFIGURED_HEIGHT: f64 = 6.0;

/// What the answers of one input mean.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) protocol: &'static str,
    pub(super) configured: &'static str,
    /// The weakest of what its processes say; `unknown` when one does not say it.
    in_force: String,
    since: Option<Timestamp>,
    reason: Option<String>,
    /// What each intake process says.
    pub(super) processes: Vec<Process>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Process {
    pub(super) instance: String,
    /// `unknown` when it was not heard of late.
    pub(super) in_force: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weaker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) is_as_configured: bool,
    /// The last 24 hours, the oldest first. What is between two was not heard.
    pub(super) history: Vec<Was>,
}

/// What it was for a time.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Was {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) in_force: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weaker: Option<String>,
    pub(super) reason: String,
    pub(super) is_as_configured: bool,
}

impl Input {
    pub(super) fn has_acks(&self) -> bool {
        self.protocol == "relp"
    }
}

impl Was {
    fn new(span: &Span, configured: &str, now: Timestamp) -> Self {
        let begin = now.checked_sub(CUSTODIES_KEPT).unwrap_or(Timestamp::MIN);
        Self {
            from: span.from.max(begin),
            until: span.until,
            in_force: span.told.in_force.clone(),
            weaker: span.told.weaker.clone(),
            reason: span.told.why.clone(),
            is_as_configured: is_as_configured(&span.told, configured),
        }
    }

    fn seconds(&self) -> i64 {
        self.until.duration_since(self.from).as_secs().max(0)
    }
}

fn is_as_configured(told: &InForce, configured: &str) -> bool {
    told.in_force == configured && told.weaker.is_none()
}

/// What acks mean, for each listener of the settings.
pub(super) fn inputs(settings: &Settings, known: &[Known], now: Instant) -> Vec<Input> {
    let configured = match settings.broker {
        BrokerSettings::Amqp(_) => "quorum",
        BrokerSettings::Embedded { .. } => "embedded",
    };
    let processes: Vec<_> = known
        .iter()
        .filter(|known| known.beat.service == "syslog-server")
        .map(|known| process(known, configured, now))
        .collect();
    // What nobody says is worse than what is as configured, and what is known to be weaker is worse than that.
    let weakest = processes
        .iter()
        .min_by_key(|process| (process.is_as_configured, process.since.is_none()));
    let listeners = settings.syslog_server.listeners.iter();
    listeners
        .map(|listener| Input {
            name: listener.name.clone(),
            protocol: match listener.protocol {
                Protocol::Relp => "relp",
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
            },
            configured,
            in_force: weakest.map_or_else(|| "unknown".to_owned(), |process| process.in_force.clone()),
            since: weakest.and_then(|process| process.since),
            reason: weakest.and_then(|process| process.reason.clone()),
            processes: processes.clone(),
        })
        .collect()
}

fn process(known: &Known, configured: &str, now: Instant) -> Process {
    let instance = known.beat.instance.clone();
    let today = Timestamp::now();
    let spans = known.custodies.spans();
    let history = spans.map(|span| Was::new(span, configured, today)).collect();
    match &known.beat.durability {
        Some(told) if !known.is_silent(now) => Process {
            instance,
            is_as_configured: is_as_configured(told, configured),
            in_force: told.in_force.clone(),
            weaker: told.weaker.clone(),
            since: Some(told.since),
            reason: Some(told.why.clone()),
            history,
        },
        _ => Process {
            instance,
            in_force: "unknown".to_owned(),
            weaker: None,
            since: None,
            reason: None,
            is_as_configured: false,
            history,
        },
    }
}

impl Process {
    /// The last 24 hours as a strip, up to `now`.
    pub(super) fn strip(&self, now: Timestamp) -> String {
        let mut svg = format!(
            "<svg class=\"strip\" viewBox=\"0 0 {STRIP_WIDTH} {STRIP_HEIGHT}\" role=\"img\" aria-label=\"{}\"><rect class=\"unknown\" x=\".5\" y=\".5\" width=\"{}\" height=\"{}\"/>",
            escape(&self.of_the_day()),
            STRIP_WIDTH - 1.0,
            STRIP_HEIGHT - 1.0
        );
        let day = CUSTODIES_KEPT.as_secs_f64();
        for was in &self.history {
            let place = |at: Timestamp| {
                let ago = now.duration_since(at).as_secs_f64().clamp(0.0, day);
                STRIP_WIDTH * (1.0 - ago / day)
            };
            // What was weaker is seen, however short it was.
            let (class, height, least) = if was.is_as_configured {
                ("ok", AS_CONFIGURED_HEIGHT, 0.0)
            } else {
                ("caution", STRIP_HEIGHT, 1.0)
            };
            let (left, right) = (place(was.from).min(STRIP_WIDTH - least), place(was.until));
            write!(
                svg,
                "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{}\" width=\"{:.1}\" height=\"{height}\"/>",
                STRIP_HEIGHT - height,
                (right - left).max(least)
            )
            .expect("a string takes all text");
        }
        svg.push_str("</svg>");
        svg
    }

    /// "Last 24 h: 23 h quorum, 12 min rescue-redis, 48 min unknown".
    pub(super) fn of_the_day(&self) -> String {
        let mut sums: Vec<(&str, i64)> = Vec::new();
        for was in &self.history {
            match sums.iter_mut().find(|(level, _)| *level == was.in_force) {
                Some((_, seconds)) => *seconds += was.seconds(),
                None => sums.push((&was.in_force, was.seconds())),
            }
        }
        let known: i64 = sums.iter().map(|(_, seconds)| seconds).sum();
        let unknown = CUSTODIES_KEPT.as_secs() - known;
        // Heartbeats are some seconds apart.
        if unknown >= 60 {
            sums.push(("unknown", unknown));
        }
        let sums: Vec<_> = sums
            .iter()
            .map(|(level, seconds)| format!("{} {level}", crate::time::rough(seconds * 1_000_000)))
            .collect();
        format!("Last 24 h: {}", sums.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hub::{Hub, tests::beat};

    fn heard(hub: &Hub, level: &str, ago_s: i64, weaker: Option<&str>, at: Instant) {
        let mut beat = beat("syslog-server", "a", 1, 0);
        beat.durability = Some(InForce {
            in_force: level.to_owned(),
            weaker: weaker.map(str::to_owned),
            since: Timestamp::now() - jiff::SignedDuration::from_secs(ago_s),
            why: "<b>a reason".to_owned(),
        });
        hub.hear(beat, at);
    }

    #[test]
    fn the_day_is_told_and_what_was_not_heard_is_hollow() {
        let (hub, now) = (Hub::default(), Instant::now());
        heard(&hub, "embedded", 7200, None, now);
        heard(&hub, "refusing", 0, None, now + Duration::from_secs(5));
        let inputs = inputs(&Settings::default(), &hub.all(), now + Duration::from_secs(6));
        let input = &inputs[0];
        assert_eq!((&*input.in_force, input.since.is_some()), ("refusing", true));
        let process = &input.processes[0];
        let levels: Vec<_> = process.history.iter().map(|was| was.is_as_configured).collect();
        assert_eq!(levels, [true, false]);
        let told = process.of_the_day();
        assert!(told.starts_with("Last 24 h: 2 h embedded, "), "{told}");
        assert!(told.ends_with(" unknown"), "{told}");
        let strip = process.strip(Timestamp::now());
        assert!(
            strip.contains("class=\"unknown\"")
                && strip.contains("class=\"ok\" x=\"220.0\" y=\"8\" width=\"20.0\"")
                && strip.contains("class=\"caution\" x=\"239.0\" y=\"0\" width=\"1.0\""),
            "{strip}"
        );
    }

    #[test]
    fn silence_is_unknown_and_a_weaker_promise_is_not_as_configured() {
        let (hub, now) = (Hub::default(), Instant::now());
        heard(&hub, "embedded", 60, Some("the last second"), now);
        let told = inputs(&Settings::default(), &hub.all(), now);
        assert!(!told[0].processes[0].is_as_configured && told[0].in_force == "embedded");
        let later = inputs(&Settings::default(), &hub.all(), now + Duration::from_secs(60));
        assert_eq!((&*later[0].in_force, later[0].since), ("unknown", None));
        assert_eq!(
            later[0].processes[0].history.len(),
            1,
            "what it was is known all the same"
        );
        let nobody = inputs(&Settings::default(), &[], now);
        assert_eq!(nobody[0].in_force, "unknown");
    }
}
