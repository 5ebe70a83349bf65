//! Which queues the settings ask for.

use broker::{BindingKey, NameError, QueueName, Topology};
use settings::{Settings, WhenFull};

/// The queues of all stages that have something to do: a queue that nobody takes from only fills up.
pub(crate) fn of(settings: &Settings) -> Result<Topology, NameError> {
    let pgsql = &settings.shipper_pgsql;
    let mut shippers = vec![queue(&pgsql.queue, &pgsql.binding_keys)?];
    let mut parking = vec![(&pgsql.queue, pgsql.when_full)];
    let fs = &settings.shipper_fs;
    if !fs.destinations.is_empty() {
        shippers.push(queue(&fs.queue, &fs.binding_keys)?);
        parking.push((&fs.queue, fs.when_full));
    }
    let mut topology = Topology::new(shippers);
    for (name, when_full) in parking {
        // The parser publishes to it alone, to know whether it is this queue that refuses.
        if when_full == WhenFull::Park {
            topology = topology.direct(&QueueName::new(name)?);
        }
    }
    Ok(topology)
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
        let topology = of(&settings).expect("settings check names");
        topology
            .queues()
            .iter()
            .map(|queue| queue.name.to_string())
            .collect()
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
