//! The arrows between crates point one way. Each row of the tables says what may be, and why; a new crate
//! or a new arrow needs a row here, so that it is a decision and not an accident.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Libraries, and which of our libraries each may use.
const LIBRARIES: &[(&str, &[&str], &str)] = &[
    (
        "event",
        &[],
        "words and encodings only, so that everything may use it",
    ),
    ("framing", &["event"], "cuts bytes into frames; knows no sockets"),
    (
        "settings",
        &[],
        "values only; what they start is the services' matter",
    ),
    (
        "transport",
        &["event", "framing", "settings"],
        "sockets; never knows where frames go",
    ),
    (
        "service",
        &["settings"],
        "the life of a process, whatever it does",
    ),
    ("broker", &["settings"], "messages are bytes to it"),
    (
        "dead",
        &["broker", "event", "service", "settings"],
        "what people do with dead letters, by command or page",
    ),
    (
        "rescue",
        &["settings"],
        "keeps batches while the broker is away; never knows who publishes them",
    ),
    (
        "query",
        &["event"],
        "the search language; never knows what is searched",
    ),
    (
        "store",
        &["event", "query", "settings"],
        "keeps events; never knows where they come from",
    ),
    (
        "rules",
        &["event", "settings"],
        "changes events; never knows where they go",
    ),
    (
        "testkit",
        &[],
        "servers and tools for tests; must not drag what is under test into every test",
    ),
];

/// Services: each may use any library, and no other service.
const SERVICES: &[&str] = &[
    "syslog-server",
    "harvest",
    "collector",
    "parser",
    "shipper-pgsql",
    "shipper-fs",
    "web",
];

/// May use everything: the command that people type runs all services in one process.
const TOP: &str = "logferry";

/// Programs for those who work on the product, which are not shipped: they use the testkit, and of ours what
/// stands here.
const TOOLS: &[(&str, &[&str], &str)] = &[
    (
        "bench",
        &["broker", "event", "query", "settings", "store"],
        "measures the grammar and searching, and reads queues to see that every frame is there",
    ),
    ("torture", &[], "sees what a user sees"),
];

/// Uses only what users have: started programs and their network interfaces.
const OUTSIDE: &str = "system-tests";

/// Crates that only some of ours may name, also in their tests.
const OWNED: &[(&str, &[&str], &str)] = &[
    (
        "lapin",
        &["broker", "bench"],
        "publish, confirm and settle have one home; bench measures RabbitMQ with nothing of ours before it",
    ),
    ("fred", &["rescue"], "Redis is the rescue queue and nothing else"),
    (
        "tokio-postgres",
        &["store", OUTSIDE, "bench", "torture"],
        "SQL has one home; system tests, bench and torture look from outside",
    ),
    ("deadpool-postgres", &["store"], "SQL has one home"),
    (
        "postgres-protocol",
        &["store"],
        "the COPY encoding goes with the SQL",
    ),
    ("tokio-postgres-rustls", &["store"], "SQL has one home"),
    (
        "rusqlite",
        &["broker", "collector", "harvest", "rescue", "store"],
        "the embedded broker, the rescue file, the embedded store, and the progress of files; collector's tests damage a rescue file",
    ),
    (
        "axum",
        &["web"],
        "one HTTP application; metrics and health are plain hyper",
    ),
    (
        "hyper",
        &["broker", "service", "web"],
        "one HTTP server for metrics and health; the pages bound how long a request's head may take; RabbitMQ's management API is HTTP",
    ),
    ("askama", &["web"], "HTML has one home"),
    ("argon2", &["web"], "passwords have one home"),
    ("vrl", &["rules"], "the rule language has one home"),
    (
        "rules",
        &["parser", TOP],
        "events are changed in one stage; `check` compiles rules too",
    ),
    (
        "transport",
        &["syslog-server", TOP],
        "intake listens; `send`, `listen` and `bench` talk",
    ),
    (
        "tokio-rustls",
        &["broker", "transport"],
        "TLS of intake has one home; RabbitMQ's management API may be behind TLS",
    ),
];

/// Crates of ours that do no IO, and what would give it away.
const NO_IO: &[&str] = &["event", "framing", "query", "rules", "settings"];
const IO: &[&str] = &[
    "tokio",
    "tokio-util",
    "mio",
    "nix",
    "socket2",
    "hyper",
    "reqwest",
    "rustls",
];

/// Crates for tests and measurements, which must not get into a binary.
const ONLY_DEV: &[&str] = &[
    "testkit",
    "criterion",
    "proptest",
    "jsonschema",
    "rcgen",
    "syslog_loose",
    "cargo_metadata",
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path("../Cargo.toml")
        .no_deps()
        .exec()
        .unwrap()
}

fn name(package: &Package) -> &str {
    &package.name
}

/// Complaints about every arrow of the workspace for which `complaint` has one.
fn complaints(complaint: impl Fn(&str, &str, DependencyKind) -> Option<String>) -> Vec<String> {
    let metadata = metadata();
    let arrows = metadata.packages.iter().flat_map(|package| {
        package
            .dependencies
            .iter()
            .map(move |dependency| (name(package), dependency))
    });
    arrows
        .filter_map(|(from, dependency)| {
            let why = complaint(from, &dependency.name, dependency.kind)?;
            Some(format!("{from} -> {}: {why}", dependency.name))
        })
        .collect()
}

fn library(name: &str) -> Option<&(&str, &[&str], &str)> {
    LIBRARIES.iter().find(|(library, ..)| *library == name)
}

fn tool(name: &str) -> Option<&(&str, &[&str], &str)> {
    TOOLS.iter().find(|(tool, ..)| *tool == name)
}

fn is_service(name: &str) -> bool {
    SERVICES.contains(&name)
}

const NONE: [String; 0] = [];

#[test]
fn every_crate_has_a_place() {
    let places: BTreeSet<&str> = LIBRARIES
        .iter()
        .map(|(name, ..)| *name)
        .chain(SERVICES.iter().copied())
        .chain(TOOLS.iter().map(|(name, ..)| *name))
        .chain([TOP, OUTSIDE])
        .collect();
    let metadata = metadata();
    let crates: BTreeSet<&str> = metadata.packages.iter().map(name).collect();
    assert_eq!(places, crates);
}

#[test]
fn folder_name_is_crate_name() {
    for package in metadata()
        .packages
        .iter()
        .filter(|package| name(package) != OUTSIDE)
    {
        let folder = package.manifest_path.parent().unwrap();
        assert_eq!(folder.file_name(), Some(name(package)));
        assert_eq!(
            folder.parent().unwrap().file_name(),
            Some("crates"),
            "{folder} is too deep"
        );
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for package in metadata().packages {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{}", package.name);
    }
}

#[test]
fn libraries_use_only_the_libraries_below_them() {
    let wrong = complaints(|from, to, kind| {
        let (_, allowed, why) = library(from)?;
        let is_ours = library(to).is_some() || is_service(to) || to == TOP;
        let is_fine =
            !is_ours || allowed.contains(&to) || (kind == DependencyKind::Development && to == "testkit");
        (!is_fine).then(|| format!("{from}: {why}"))
    });
    assert_eq!(wrong, NONE);
}

#[test]
fn only_the_top_uses_services() {
    let wrong = complaints(|from, to, _| {
        let is_fine = from == TOP || !(is_service(to) || to == TOP);
        (!is_fine).then(|| "services talk through the broker".to_owned())
    });
    assert_eq!(wrong, NONE);
}

#[test]
fn system_tests_and_tools_use_nothing_of_ours_but_the_testkit() {
    let wrong = complaints(|from, to, kind| {
        let is_ours = library(to).is_some() || is_service(to) || to == TOP;
        let is_outside = from == OUTSIDE || tool(from).is_some();
        let is_needed = tool(from).is_some_and(|(_, needed, _)| needed.contains(&to));
        // The fuzz targets run in `make test` as a test of this package: pure functions that take bytes.
        let is_fuzzed = from == OUTSIDE && ["event", "framing", "query"].contains(&to);
        // Only so that builds with tests have the crash points of services.
        let is_feature = from == "torture" && to == "service" && kind == DependencyKind::Development;
        (is_outside && is_ours && to != "testkit" && !is_fuzzed && !is_feature && !is_needed)
            .then(|| "they see what a user sees".to_owned())
    });
    assert_eq!(wrong, NONE);
}

#[test]
fn owned_crates_are_named_by_their_owners_only() {
    let wrong = complaints(|from, to, _| {
        let (_, owners, why) = OWNED.iter().find(|(owned, ..)| *owned == to)?;
        (!owners.contains(&from)).then(|| (*why).to_owned())
    });
    assert_eq!(wrong, NONE);
}

#[test]
fn crates_without_io_have_no_io_to_do() {
    let wrong = complaints(|from, to, kind| {
        let is_wrong = NO_IO.contains(&from) && IO.contains(&to) && kind == DependencyKind::Normal;
        is_wrong.then(|| format!("{from} does no IO"))
    });
    assert_eq!(wrong, NONE);
}

#[test]
fn libraries_have_typed_errors() {
    // `service` runs the body of a main, and testkit is for tests; there an error only has to be shown.
    let wrong = complaints(|from, to, _| {
        let is_exempt = ["service", "testkit"].contains(&from);
        (library(from).is_some() && !is_exempt && to == "anyhow")
            .then(|| "callers match on a library's errors".to_owned())
    });
    assert_eq!(wrong, NONE);
}

#[test]
fn test_tools_are_only_for_tests() {
    let wrong = complaints(|from, to, kind| {
        let is_tool = tool(from).is_some() || from == "testkit";
        (!is_tool && ONLY_DEV.contains(&to) && kind != DependencyKind::Development)
            .then(|| "must be a development dependency".to_owned())
    });
    assert_eq!(wrong, NONE);
}
