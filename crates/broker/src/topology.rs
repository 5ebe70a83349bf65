//! Which queues there are, and what they take.

use settings::{Settings, WhenFull};

use crate::name::{BindingKey, Exchange, NameError, QueueName};

/// The exchanges and queues of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    queues: Vec<Queue>,
}

/// One queue: durable, bounded, and bound to one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: QueueName,
    /// Where its messages come from.
    pub exchange: Exchange,
    /// Which of them.
    pub binding_keys: Vec<BindingKey>,
    /// Bindings that are taken away, should they be there: those of a queue that became [`Topology::direct`].
    pub unbound_keys: Vec<BindingKey>,
}

impl Topology {
    /// The queues that `settings` ask for, of all stages that have something to do: a queue that nobody takes from only
    /// fills up.
    ///
    /// # Errors
    /// A name of a queue, or a binding key, that is none.
    pub fn of(settings: &Settings) -> Result<Self, NameError> {
        let pgsql = &settings.shipper_pgsql;
        let mut shippers = vec![queue(&pgsql.queue, &pgsql.binding_keys)?];
        let mut parking = vec![(&pgsql.queue, pgsql.when_full)];
        let fs = &settings.shipper_fs;
        if !fs.destinations.is_empty() {
            shippers.push(queue(&fs.queue, &fs.binding_keys)?);
            parking.push((&fs.queue, fs.when_full));
        }
        let mut topology = Self::new(shippers).spread(settings.parser.queues);
        for (name, when_full) in parking {
            // The parser publishes to it alone, to know whether it is this queue that refuses.
            if when_full == WhenFull::Park {
                topology = topology.direct(&QueueName::new(name)?);
            }
        }
        Ok(topology)
    }

    /// The queues `parser` and `dead`, and one queue for each shipper.
    #[must_use]
    pub fn new(shippers: impl IntoIterator<Item = (QueueName, Vec<BindingKey>)>) -> Self {
        let own = [
            (QueueName::parser(), Exchange::Received),
            (QueueName::dead(), Exchange::Dead),
        ];
        let mut queues: Vec<_> = own
            .into_iter()
            .map(|(name, exchange)| Queue {
                name,
                exchange,
                binding_keys: vec![BindingKey::all()],
                unbound_keys: Vec::new(),
            })
            .collect();
        queues.extend(shippers.into_iter().map(|(name, binding_keys)| Queue {
            name,
            exchange: Exchange::Parsed,
            binding_keys,
            unbound_keys: Vec::new(),
        }));
        Self { queues }
    }

    /// The same with raw batches spread over `count` queues. Nothing is bound for the further ones: intake publishes to
    /// them directly.
    #[must_use]
    pub fn spread(mut self, count: usize) -> Self {
        let further = QueueName::of_parser(count).skip(1).map(|name| Queue {
            name,
            exchange: Exchange::Received,
            binding_keys: Vec::new(),
            unbound_keys: Vec::new(),
        });
        self.queues.extend(further);
        self
    }

    /// The same with a queue that gets only what is published to it directly, and nothing from an exchange.
    #[must_use]
    pub fn direct(mut self, name: &QueueName) -> Self {
        if let Some(queue) = self.queues.iter_mut().find(|queue| queue.name == *name) {
            queue.unbound_keys = std::mem::take(&mut queue.binding_keys);
        }
        self
    }

    /// Its queues.
    #[must_use]
    pub fn queues(&self) -> &[Queue] {
        &self.queues
    }
}

fn queue(name: &str, binding_keys: &[String]) -> Result<(QueueName, Vec<BindingKey>), NameError> {
    let binding_keys = binding_keys
        .iter()
        .map(|key| BindingKey::new(key))
        .collect::<Result<_, _>>()?;
    Ok((QueueName::new(name)?, binding_keys))
}

#[cfg(test)]
mod tests {
    use settings::Sources;

    use super::*;

    fn names(file: &str) -> Vec<String> {
        let file = Some(("logferry.toml".into(), file.to_owned()));
        let settings = Settings::from_sources(&Sources {
            file,
            ..Sources::default()
        })
        .expect("is good");
        let topology = Topology::of(&settings).expect("settings check names");
        topology
            .queues()
            .iter()
            .map(|queue| queue.name.to_string())
            .collect()
    }

    #[test]
    fn raw_batches_are_spread_over_as_many_queues_as_wanted() {
        let wanted = ["parser", "dead", "shipper-pgsql", "parser-2", "parser-3"];
        assert_eq!(names("[parser]\nqueues = 3\n"), wanted);
    }

    #[test]
    fn files_have_a_queue_only_when_there_are_destinations() {
        assert_eq!(names(""), ["parser", "dead", "shipper-pgsql"]);
        let destination = "[[shipper_fs.destination]]\nname = \"a\"\ndir = \"/tmp\"";
        assert_eq!(
            names(destination),
            ["parser", "dead", "shipper-pgsql", "shipper-fs"]
        );
    }
}
