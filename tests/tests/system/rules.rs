//! Rules seen from outside: what they tag, route and drop.

use testkit::{RelpLoad, Service, eventually};

use crate::support::{PATIENCE, System, await_events, events};

#[tokio::test]
async fn rules_tag_route_and_drop() {
    let system = System::start_with(
        r#"
[[parser.program]]
name = "noise"
source = 'if .app_name == "noise" { drop("noise") }'
[[parser.program]]
name = "logins"
source = '''
if .app_name == "sshd" {
    tag("login")
    .fields.checked = true
    route("audit")
}
'''
[[shipper_fs.destination]]
name = "audit"
dir = "audit"
path = "{hostname}.jsonl"
format = "json"
routes = ["audit"]
"#,
    )
    .await;
    let lines = ["noise", "sshd", "other", "noise", "sshd"];
    let lines = lines
        .iter()
        .map(|app| format!("<38>1 2026-03-01T10:00:00Z host-1 {app} 7 - - from {app}"));
    RelpLoad::start(system.pipeline.relp(), lines.collect())
        .finish()
        .await;

    system.rows.await_total(3).await;
    let audit = system.pipeline.dir().join("audit/host-1.jsonl");
    await_events(&audit, 2).await;
    await_events(&system.pipeline.events_file(), 3).await;
    let dropped = ["logferry_events_dropped_total", "reason=\"noise\""];
    eventually(PATIENCE, || async {
        (system.pipeline.metric(Service::Parser, &dropped).await - 2.0).abs() < f64::EPSILON
    })
    .await;
    assert_eq!(system.pipeline.complaints(), Vec::<String>::new());
    system.drain().await;

    assert_eq!(system.rows.total().await, 3);
    for event in events(&audit) {
        assert_eq!(event["app_name"], "sshd");
        assert_eq!(event["tags"], serde_json::json!(["login"]));
        assert_eq!(event["fields"], serde_json::json!({"checked": true}));
    }
    let others = events(&system.pipeline.events_file());
    assert_eq!(
        others.iter().filter(|event| event["app_name"] == "other").count(),
        1
    );
    assert!(others.iter().all(|event| event["app_name"] != "noise"));
}
