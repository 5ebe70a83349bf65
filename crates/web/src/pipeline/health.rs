//! The pipeline in a few words, for the head of every page.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::{
    durability::{Input, inputs},
    fills::Answers,
    picture::{Kind, Level, Picture, Rabbit},
    stages::DEAD_QUEUE,
    window::Window,
    words,
};
use crate::state::State;

/// No page waits longer for it; the queues are unknown then.
const PATIENCE: Duration = Duration::from_millis(50);
/// Characters of what is wrong; the page of the pipeline has all.
const CHARS_MAX: usize = 60;

/// The worst of stages, queues and durability.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    pub(crate) sign: &'static str,
    pub(crate) class: &'static str,
    pub(crate) text: String,
    /// What acks mean.
    pub(crate) acks: String,
    /// Dead letters; `None` while unknown.
    pub(crate) dead: Option<u64>,
}

impl Health {
    pub(crate) async fn of(state: &State) -> Self {
        let now = Instant::now();
        let fills = timeout(PATIENCE, state.fills.get()).await;
        let known = state.hub.all();
        let picture = Picture::new(
            &state.all,
            &known,
            &fills.unwrap_or_else(|_late| Answers::default()),
            Window::Now,
            now,
        )
        .with_rabbit(&state.all, &state.managed.told());
        Self::new(&picture, &inputs(&state.all, &known, now))
    }

    fn new(picture: &Picture, inputs: &[Input]) -> Self {
        let worst = picture.nodes.iter().max_by_key(|node| node.level());
        let (mut level, mut text) = match worst {
            Some(node) if node.level() > Level::Unknown => {
                let state = words::state(node);
                let is_dead = node.kind == Kind::Queue && node.name == DEAD_QUEUE;
                let text = if is_dead {
                    state
                } else {
                    format!("{}: {state}", node.name)
                };
                (node.level(), text)
            }
            Some(node) if node.level() == Level::Unknown => (Level::Unknown, "not all is known".to_owned()),
            Some(_) | None => (Level::Ok, "ok".to_owned()),
        };
        let rabbit = picture.rabbit.as_ref().and_then(Rabbit::worst);
        if let Some(problem) = rabbit.filter(|problem| problem.level > level) {
            level = problem.level;
            text = match level {
                Level::Unknown => "not all is known".to_owned(),
                Level::Ok | Level::Caution | Level::Bad => format!("RabbitMQ: {}", problem.text),
            };
        }
        // All inputs of a process go the same way.
        let processes = inputs.first().into_iter().flat_map(|input| &input.processes);
        let acks = match processes.min_by_key(|process| process.is_as_configured) {
            None => "unknown".to_owned(),
            Some(process) => {
                // Nothing is known of one that is silent.
                let is_weaker = !process.is_as_configured && process.since.is_some();
                if is_weaker && level < Level::Caution {
                    level = Level::Caution;
                    text = "weaker than configured".to_owned();
                }
                process.in_force.clone()
            }
        };
        if let Some((end, _)) = text.char_indices().nth(CHARS_MAX) {
            text.truncate(end);
            text.push('…');
        }
        Self {
            sign: level.sign(),
            class: level.class(),
            text,
            acks,
            dead: picture.dead_letters,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use broker::Fill;
    use settings::Settings;

    use super::*;
    use crate::hub::{Hub, tests::beat};

    fn health(hub: &Hub, dead: u64) -> Health {
        let fill = |ready, consumers| {
            Ok(Fill {
                ready,
                bytes: None,
                consumers,
            })
        };
        let fills: Answers = Arc::new(BTreeMap::from([
            ("parser".to_owned(), fill(0, 1)),
            ("shipper-pgsql".to_owned(), fill(0, 1)),
            ("dead".to_owned(), fill(dead, 0)),
        ]));
        let (settings, now) = (Settings::default(), Instant::now());
        let picture = Picture::new(&settings, &hub.all(), &fills, Window::Now, now);
        Health::new(&picture, &inputs(&settings, &hub.all(), now))
    }

    #[test]
    fn the_worst_is_told_and_unknown_is_not_well() {
        let hub = Hub::default();
        let unheard = health(&hub, 0);
        assert_eq!((unheard.sign, &*unheard.acks), ("?", "unknown"));
        for service in ["syslog-server", "parser", "shipper-pgsql"] {
            let mut beat = beat(service, "a", 1, 0);
            beat.durability = Some(service::heartbeat::InForce {
                in_force: "embedded".to_owned(),
                weaker: None,
                since: jiff::Timestamp::UNIX_EPOCH,
                why: "it is".to_owned(),
            });
            hub.hear(beat, Instant::now());
        }
        let well = health(&hub, 0);
        assert_eq!((well.sign, &*well.text, &*well.acks), ("✓", "ok", "embedded"));
        let letters = health(&hub, 3);
        assert_eq!((letters.sign, letters.dead), ("▲", Some(3)));
        assert!(letters.text.contains("3 dead letters"), "{}", letters.text);
    }
}
