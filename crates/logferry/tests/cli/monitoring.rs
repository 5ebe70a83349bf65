//! What a running process answers is what the page of metrics says, and queries of the alert rules and the dashboard
//! name nothing else.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use logferry::metrics_page::{Family, all, families};
use nix::sys::signal::Signal;
use serde_json::Value;
use testkit::eventually;

use crate::{
    fixture::{Fixture, PATIENCE},
    run::{Run, found, get},
};

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy")
        .join(path)
}

#[tokio::test]
async fn a_scrape_has_what_the_page_says() {
    let fixture = Fixture::new();
    fixture.settings(
        "[[shipper_fs.destination]]\nname = \"all\"\ndir = \"files\"\n\
         [[harvest.folder]]\nname = \"up\"\npath = \"up\"\n\
         [[parser.program]]\nname = \"noise\"\nsource = 'if .severity == \"debug\" { drop(\"debug\") }'\n",
    );
    fs::create_dir(fixture.path("up")).expect("is made");
    let run = Run::start(&fixture).await;
    run.send("<13>1 - web01 app - - - measured\n<15>1 - web01 app - - - noise\n");
    found(&fixture, "measured", 1).await;
    let counted = [
        "logferry_build_info{service=\"logferry\",version=",
        "logferry_events_dropped_total{stage=\"parser\",reason=\"debug\"} 1",
        // The row is there a moment before its delivery is settled.
        "logferry_oldest_unsettled_seconds{stage=\"shipper-pgsql\"} 0.0",
        "logferry_intake_batch_frames_count{listener=\"tcp\"} ",
    ];
    let answer = eventually(PATIENCE, || async {
        let answer = get(run.addr("http://"), "/metrics");
        counted.iter().all(|line| answer.contains(line)).then_some(answer)
    })
    .await;
    let (_, text) = answer.split_once("\r\n\r\n").expect("has a body");
    let scraped = families(text);
    let known = all();
    for family in &scraped {
        let page = known.iter().find(|known| known.name == family.name);
        let page = page.unwrap_or_else(|| panic!("{} is not on the page", family.name));
        assert_eq!((&page.kind, &page.help), (&family.kind, &family.help));
        // A family without samples shows no labels.
        assert!(
            family.labels.is_empty() || page.labels == family.labels,
            "{family:?} {page:?}"
        );
    }
    // One with labels shows only what came up, and `collector` has nothing to do on embedded queues.
    let missing: Vec<_> = known
        .iter()
        .filter(|page| page.labels.is_empty())
        .filter(|page| !scraped.iter().any(|family| family.name == page.name))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    run.stop(Signal::SIGTERM);
}

/// The names in a query that are ours.
fn names(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("logferry_") || word.starts_with("process_"))
}

fn check(queries: &[String]) {
    let known: BTreeSet<String> = all().iter().flat_map(Family::sample_names).collect();
    for query in queries {
        for name in names(query) {
            assert!(known.contains(name), "there is no {name}: {query}");
        }
    }
}

#[test]
fn alert_rules_name_metrics_that_there_are() {
    let text = fs::read_to_string(deploy("prometheus/alerts.yml")).expect("is there");
    let rules: Value = serde_yaml_ng::from_str(&text).expect("is YAML");
    let groups = rules["groups"].as_array().expect("has groups");
    let rules: Vec<_> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("has rules"))
        .collect();
    let text_of = |rule: &Value, key: &str| rule[key].as_str().unwrap_or_default().to_owned();
    let queries: Vec<_> = rules.iter().map(|rule| text_of(rule, "expr")).collect();
    check(&queries);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    let page = fs::read_to_string(page).expect("is there");
    for rule in rules {
        let alert = text_of(rule, "alert");
        assert!(
            page.contains(&format!("`{alert}`")),
            "{alert} is not in docs/operations.md"
        );
        assert!(rule["annotations"]["summary"].is_string(), "{alert} says nothing");
    }
}

#[test]
fn each_alert_rule_is_tried_firing_and_silent() {
    let read = |name| {
        let text = fs::read_to_string(deploy(name)).expect("is there");
        serde_yaml_ng::from_str::<Value>(&text).expect("is YAML")
    };
    let list = |value: &Value| value.as_array().expect("is a list").clone();
    let name_of = |value: &Value, key: &str| value[key].as_str().expect("has a name").to_owned();
    let groups = list(&read("prometheus/alerts.yml")["groups"]);
    let alerts: BTreeSet<_> = groups
        .iter()
        .flat_map(|group| list(&group["rules"]))
        .map(|rule| name_of(&rule, "alert"))
        .collect();
    let tests = list(&read("prometheus/alerts_test.yml")["tests"]);
    let (silent, firing): (Vec<_>, Vec<_>) = tests
        .iter()
        .flat_map(|test| list(&test["alert_rule_test"]))
        .partition(|case| list(&case["exp_alerts"]).is_empty());
    for cases in [silent, firing] {
        let tried: BTreeSet<_> = cases.iter().map(|case| name_of(case, "alertname")).collect();
        assert_eq!(tried, alerts);
    }
    promtool(&["test", "rules"], "prometheus/alerts_test.yml");
}

/// Where it is installed (package prometheus), Prometheus itself has a look.
fn promtool(arguments: &[&str], file: &str) {
    if let Ok(checked) = Command::new("promtool")
        .args(arguments)
        .arg(deploy(file))
        .output()
    {
        assert!(checked.status.success(), "{checked:?}");
    }
}

#[test]
fn scrape_settings_name_the_ports_of_the_services() {
    let text = fs::read_to_string(deploy("prometheus/prometheus.yml")).expect("is there");
    let config: Value = serde_yaml_ng::from_str(&text).expect("is YAML");
    let targets = config["scrape_configs"][0]["static_configs"][0]["targets"].as_array();
    let targets: BTreeSet<_> = targets
        .expect("has targets")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let settings = settings::Settings::default();
    let addrs = settings.service.http_addrs.values().flatten();
    assert_eq!(targets, addrs.map(ToString::to_string).collect());
    // With the rules.
    promtool(&["check", "config"], "prometheus/prometheus.yml");
}

#[test]
fn the_dashboard_names_metrics_that_there_are() {
    let text = fs::read_to_string(deploy("grafana/logferry.json")).expect("is there");
    let dashboard: Value = serde_json::from_str(&text).expect("is JSON");
    let panels = dashboard["panels"].as_array().expect("has panels");
    let mut queries: Vec<_> = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
        .map(|target| target["expr"].as_str().expect("is a query").to_owned())
        .collect();
    assert!(queries.len() > 20, "{queries:#?}");
    let variables = dashboard["templating"]["list"].as_array().expect("has variables");
    queries.extend(
        variables
            .iter()
            .filter_map(|variable| variable["definition"].as_str().map(str::to_owned)),
    );
    check(&queries);
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has a number of its own");
}
