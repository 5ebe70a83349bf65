//! `logferry status` on embedded queues, on RabbitMQ, and where there is nothing.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{fixture::Fixture, run::Run};

fn services(picture: &Value) -> Vec<&str> {
    let processes = picture["processes"].as_array().expect("is a list");
    processes
        .iter()
        .map(|process| process["service"].as_str().expect("has a name"))
        .collect()
}

/// The state of the queue, once its first look is there.
fn queue<'a>(picture: &'a Value, name: &str) -> &'a Value {
    let queues = picture["queues"].as_array().expect("is a list");
    let found = queues.iter().find(|queue| queue["queue"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {picture}"))
}

#[tokio::test]
async fn all_stages_of_a_run_are_shown() {
    let fixture = Fixture::new();
    let run = Run::start(&fixture).await;
    // Two heartbeats, so that there are rates.
    let shown = fixture.run(&["status", "--json", "--wait", "12s"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    let picture = shown.json();
    assert_eq!(
        services(&picture),
        ["parser", "shipper-pgsql", "syslog-server", "web"]
    );
    assert_eq!(picture["ok"], true);
    let intake = &picture["processes"][2];
    assert_eq!(intake["durability"]["in_force"], "embedded");
    assert_eq!(intake["rates"]["received"], 0.0, "{intake}");
    assert_eq!(queue(&picture, "parser")["messages"], 0);
    assert_eq!(queue(&picture, "parser")["consumers"], 1);

    let shown = fixture.run(&["status"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    for word in [
        "SERVICE",
        "syslog-server",
        "ok, embedded",
        "QUEUE",
        "shipper-pgsql",
    ] {
        assert!(shown.out.contains(word), "{word} is not in\n{}", shown.out);
    }
    run.stop(Signal::SIGTERM);
    let gone = fixture.run(&["status"]);
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(
        gone.err.contains("no `logferry run` answers") && gone.err.contains("--data DIR"),
        "{gone:?}"
    );
}

#[tokio::test]
async fn processes_on_rabbitmq_are_shown() {
    let vhost = testkit::rabbitmq();
    let fixture = Fixture::new();
    fixture.settings(&format!("[broker]\nurl = {:?}\n", vhost.url()));
    // Queues that are not there yet, and nobody to hear.
    let empty = fixture.run(&["status", "--wait", "2s"]);
    assert_eq!(empty.code, 69, "{empty:?}");
    assert!(
        empty.out.contains("no process was heard within 2s") && empty.out.contains("logferry init"),
        "{empty:?}"
    );
    let run = Run::start(&fixture).await;
    let shown = fixture.run(&["status", "--json", "--wait", "7s"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    let picture = shown.json();
    assert!(services(&picture).contains(&"collector"), "{picture}");
    assert_eq!(picture["processes"][3]["durability"]["in_force"], "quorum");
    run.stop(Signal::SIGTERM);
}

#[test]
fn a_broker_that_is_away_is_told() {
    let fixture = Fixture::new();
    let told = fixture.run(&[
        "status",
        "--set",
        "broker.url=amqp://me:hunter2@127.0.0.1:1,127.0.0.1:2/logs",
        "--set",
        "broker.connect_timeout=10s",
    ]);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(
        told.err.contains("connect to the broker (broker.url)")
            && told.err.contains("127.0.0.1:1 or 127.0.0.1:2")
            && !told.err.contains("hunter2"),
        "{told:?}"
    );
    let none = fixture.run(&["status"]);
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.err.contains("there is no data of Logferry"), "{none:?}");
}
