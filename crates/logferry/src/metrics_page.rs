//! `docs/metrics.md`, written from what the services register. `cargo run -p logferry --example metrics` puts it in its
//! place; a test compares it, and another one with what a running process answers.

use std::{collections::BTreeMap, fmt::Write as _};

use broker::BrokerCollector;
use service::Metrics;

const HEAD: &str = "\
# Metrics

Every process answers `/metrics` on its `http_addr` with OpenMetrics text; [operations.md](operations.md) has the ports.
[`deploy/prometheus`](../deploy/prometheus) has scrape settings and alert rules, [`deploy/grafana`](../deploy/grafana) a
dashboard.

A counter begins at 0 with each start of its process, and is worth something as a rate. A histogram `x` is scraped as
`x_bucket`, `x_sum` and `x_count`. In a quiet moment `received = sent + dropped + dead-lettered` holds for each stage.

| label | its values |
|---|---|
| `stage` | the service; `logferry run` has several in one process |
| `reason` | a word of ours, or the reason of a rule's `drop`; beyond 100 of one stage, `other` |
| `listener`, `folder`, `destination`, `program` | a name of the settings |
| `queue` | a queue of the broker, or `redis` or `file` for a rescue queue |
| `route` | a route that a rule names; `other` for one that it worked out |
| `durability` | who takes custody of what intake answers for: `quorum`, `embedded`, `rescue-redis`, `rescue-file`, `refusing` |

This page is written from the code by `cargo run -p logferry --example metrics`.
";

/// Headings, and how the names below them begin.
const GROUPS: [(&str, &[&str]); 10] = [
    (
        "Every process",
        &["logferry_build_", "logferry_settings_", "process_"],
    ),
    (
        "Every stage",
        &[
            "logferry_events_",
            "logferry_retries_",
            "logferry_batches_",
            "logferry_oldest_",
        ],
    ),
    ("The connection to the broker", &["logferry_broker_"]),
    ("`syslog-server`", &["logferry_intake_", "logferry_durability"]),
    ("`harvest`", &["logferry_harvest_"]),
    ("`collector`", &["logferry_rescue_"]),
    ("`parser`", &["logferry_parser_", "logferry_parked_"]),
    ("The queues, as `parser` sees them", &["logferry_queue_"]),
    ("`shipper-pgsql`", &["logferry_store_"]),
    ("`shipper-fs`", &["logferry_files_"]),
];

/// One metric, as it is scraped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Its name, with the `_total` of counters.
    pub name: String,
    /// Such as `counter`.
    pub kind: String,
    /// What it tells.
    pub help: String,
    /// The names of its labels, `le` of histograms left out. Empty while there is no sample.
    pub labels: Vec<String>,
}

impl Family {
    /// The names under which queries find it.
    #[must_use]
    pub fn sample_names(&self) -> Vec<String> {
        match self.kind.as_str() {
            "histogram" => ["bucket", "sum", "count"]
                .map(|part| format!("{}_{part}", self.name))
                .to_vec(),
            _ => vec![self.name.clone()],
        }
    }

    fn unit(&self) -> &'static str {
        const COUNTED: [(&str, &str); 20] = [
            ("events", "events"),
            ("frames", "frames"),
            ("batches", "batches"),
            ("messages", "messages"),
            ("deliveries", "deliveries"),
            ("connections", "connections"),
            ("sessions", "sessions"),
            ("rows", "rows"),
            ("transactions", "transactions"),
            ("lines", "lines"),
            ("files", "files"),
            ("partitions", "partitions"),
            ("reconnects", "connections"),
            ("retries", "retries"),
            ("syncs", "syncs"),
            ("drops", "datagrams"),
            ("routed", "events"),
            ("defects", "events"),
            ("failures", "events"),
            ("aborts", "events"),
        ];
        let name = self.name.strip_suffix("_total").unwrap_or(&self.name);
        if name.ends_with("_seconds") {
            return "seconds";
        }
        if name.contains("bytes") {
            return "bytes";
        }
        if matches!(
            name,
            "logferry_broker_ready"
                | "logferry_files_writable"
                | "logferry_durability"
                | "logferry_build_info"
                | "logferry_settings_reload_successful"
        ) {
            return "0 or 1";
        }
        // The last word that is a thing: `files_syncs` counts syncs.
        name.rsplit('_')
            .find_map(|word| COUNTED.into_iter().find(|(counted, _)| *counted == word))
            .map_or("times", |(_, unit)| unit)
    }
}

/// The metrics in what `/metrics` answers.
#[must_use]
pub fn families(text: &str) -> Vec<Family> {
    let mut helps = BTreeMap::new();
    let mut families: Vec<Family> = Vec::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            helps.insert(name.to_owned(), help.to_owned());
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            families.push(Family {
                name: format!("{name}{suffix}"),
                kind: kind.to_owned(),
                help: helps.remove(name).unwrap_or_default(),
                labels: Vec::new(),
            });
        } else if let Some(family) = families.last_mut()
            && let Some((labels, _)) = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'))
        {
            for label in label_names(labels) {
                if label != "le" && !family.labels.contains(&label) {
                    family.labels.push(label);
                }
            }
        }
    }
    families
}

fn label_names(mut labels: &str) -> Vec<String> {
    let mut names = Vec::new();
    while let Some((name, value)) = labels.split_once("=\"") {
        names.push(name.trim_start_matches(',').to_owned());
        let mut is_escaped = false;
        let end = value.find(|c| {
            let is_end = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        });
        let after = end.and_then(|end| value.split_at_checked(end + 1));
        labels = after.map_or("", |(_, after)| after);
    }
    names
}

/// Every metric that there is.
#[must_use]
pub fn all() -> Vec<Family> {
    let metrics = Metrics::new();
    service::describe_metrics(&metrics);
    metrics.collect(BrokerCollector::default());
    syslog_server::describe_metrics(&metrics);
    harvest::describe_metrics(&metrics);
    collector::describe_metrics(&metrics);
    parser::describe_metrics(&metrics);
    shipper_pgsql::describe_metrics(&metrics);
    shipper_fs::describe_metrics(&metrics);
    families(&metrics.encode())
}

/// `docs/metrics.md`.
///
/// # Panics
///
/// When a metric belongs nowhere on the page.
#[must_use]
pub fn markdown() -> String {
    let families = all();
    let is_of =
        |family: &Family, prefixes: &[&str]| prefixes.iter().any(|prefix| family.name.starts_with(prefix));
    for family in &families {
        let groups = GROUPS.iter().filter(|(_, prefixes)| is_of(family, prefixes));
        assert_eq!(groups.count(), 1, "{} has one place on the page", family.name);
    }
    let mut page = HEAD.to_owned();
    for (heading, prefixes) in GROUPS {
        let mut rows = String::new();
        for family in families.iter().filter(|family| is_of(family, prefixes)) {
            let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            writeln!(
                rows,
                "| `{}` | {} | {} | {} | {} |",
                family.name,
                family.kind,
                family.unit(),
                labels.join(", "),
                family.help.trim_end_matches('.')
            )
            .expect("writing to a string does not fail");
        }
        write!(
            page,
            "\n## {heading}\n\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n{rows}"
        )
        .expect("writing to a string does not fail");
    }
    page
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn the_page_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
        let page = fs::read_to_string(path).expect("is there");
        assert!(
            page == markdown(),
            "run `cargo run -p logferry --example metrics`"
        );
    }

    #[test]
    fn every_metric_has_a_meaning_and_a_sample() {
        for family in all() {
            assert!(family.help.len() > 8, "{family:?}");
            let has_stage = family.labels.iter().any(|label| label == "stage");
            assert_eq!(
                has_stage,
                ["_events_", "_retries_", "_batches_in_flight", "_oldest_"]
                    .iter()
                    .any(|part| family.name.starts_with(&format!("logferry{part}"))),
                "{family:?}"
            );
        }
    }

    #[test]
    fn names_of_labels_are_read_whatever_the_values_are() {
        let text = "# HELP a_b Text.\n# TYPE a_b counter\na_b_total{x=\"1,\\\"2\",y_z=\"{}=\"} 3\n# EOF\n";
        let families = families(text);
        let family = families.first().expect("there is one");
        assert_eq!(
            (family.name.as_str(), family.help.as_str()),
            ("a_b_total", "Text.")
        );
        assert_eq!(family.labels, ["x", "y_z"]);
    }
}
