//! The API: what `proto/openapi.yaml` says, and what it must not give away.

use serde_json::{Value, json};

use crate::{
    browser::{Answer, Pages},
    data::{event, put, with_field},
};

pub(crate) fn description() -> Value {
    serde_yaml_ng::from_str(include_str!("../../../../proto/openapi.yaml")).expect("is YAML")
}

/// What an answer of this operation must be.
pub(crate) fn schema(description: &Value, path: &str, method: &str, status: &str, kind: &str) -> Value {
    let schema = &description["paths"][path][method]["responses"][status]["content"][kind]["schema"];
    assert!(schema.is_object(), "{method} {path} {status} {kind} is described");
    json!({ "components": description["components"], "allOf": [schema] })
}

#[track_caller]
pub(crate) fn check(schema: &Value, value: &Value) {
    let validator = jsonschema::validator_for(schema).expect("is a schema");
    if let Err(error) = validator.validate(value) {
        panic!("{error} at {}: {value}", error.instance_path());
    }
}

fn lines(answer: &Answer) -> Vec<Value> {
    answer
        .body
        .lines()
        .map(|line| serde_json::from_str(line).expect("is JSON"))
        .collect()
}

/// What is asked for by GET, with parameters, and answers JSON.
const READS: &[(&str, &str)] = &[
    ("/api/v1/events/{id}", ""),
    ("/api/v1/events/{id}/context", "before=1&after=1"),
    ("/api/v1/histogram", "range=1h&buckets=10"),
    ("/api/v1/count", "range=1h"),
    ("/api/v1/count", "range=1h&exact=1&q=login"),
    ("/api/v1/fields", "range=1h"),
    ("/api/v1/fields/{name}/values", "range=1h&limit=5"),
    ("/api/v1/patterns", "range=1h&sample=100"),
    ("/api/v1/suggest", "q=host&range=1h"),
    ("/api/v1/suggest", "q=fields.user%3Aa&range=1h"),
    ("/api/v1/pipeline", ""),
    ("/api/v1/durability", ""),
    ("/api/v1/clients", ""),
    ("/api/v1/dead-letters", ""),
    ("/api/v1/dead-letters/groups", ""),
    ("/api/v1/sources", ""),
    ("/api/v1/sources/{hostname}", ""),
    ("/api/v1/sources/expected", ""),
    ("/api/v1/dead-letters/audit", ""),
    ("/api/v1/saved", ""),
    ("/api/v1/tokens", ""),
    ("/api/v1/sessions", ""),
    ("/api/v1/searches", ""),
];

/// Described, and checked below or in tests of their own.
const ELSEWHERE: &[&str] = &[
    "/api/v1/events",
    "/api/v1/export",
    "/api/v1/query/check",
    "/api/v1/tokens/{id}",
    // In tests of their own.
    "/api/v1/tail",
    "/api/v1/pipeline/stream",
    "/api/v1/dead-letters/{id}",
    "/api/v1/dead-letters/export",
    "/api/v1/dead-letters/requeue",
    "/api/v1/dead-letters/discard",
    "/api/v1/dead-letters/hold",
    "/api/v1/dead-letters/release",
    "/api/v1/saved/{id}",
    "/api/v1/searches/{id}",
    "/api/v1/links",
    "/api/v1/sources/{hostname}/mute",
];

#[tokio::test]
async fn answers_are_as_described() {
    let pages = Pages::start().await;
    let ids = put(
        &pages.store,
        vec![
            event("web01", 3, "connection refused"),
            with_field(event("db07", 6, "login"), "user", "ana"),
        ],
    )
    .await;
    let description = description();
    let mut seen = Vec::new();
    for &(path, params) in READS {
        let address = path
            .replace("{id}", &ids[0].to_string())
            .replace("{name}", "hostname")
            .replace("{hostname}", "web01");
        let answer = pages.get(&format!("{address}?{params}")).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/json")),
            "{path}: {answer:?}"
        );
        check(
            &schema(&description, path, "get", "200", "application/json"),
            &answer.json(),
        );
        seen.push(path);
    }
    let events = pages.get("/api/v1/events?range=1h&q=connection").await;
    let line = schema(
        &description,
        "/api/v1/events",
        "get",
        "200",
        "application/x-ndjson",
    );
    let found = lines(&events);
    found.iter().for_each(|value| check(&line, value));
    assert_eq!(found[0]["row"]["message"], "connection refused");
    assert_eq!(found.last().expect("ends")["end"]["complete"], true);
    assert_eq!(pages.get("/api/v1/export?range=1h").await.status, 200);

    let csrf = pages.get("/search").await.csrf().to_owned();
    let headers = [("Content-Type", "application/json"), ("X-Lf-Csrf", &*csrf)];
    let checked = schema(
        &description,
        "/api/v1/query/check",
        "post",
        "200",
        "application/json",
    );
    for q in ["host:web* -app:cron", "severity:wrn", "foo:bar", ""] {
        let answer = pages
            .ask(
                "POST",
                "/api/v1/query/check",
                &headers,
                &json!({ "q": q }).to_string(),
            )
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        check(&checked, &answer.json());
    }
    seen.extend(ELSEWHERE);
    let described = description["paths"].as_object().expect("has paths");
    let unseen: Vec<_> = described
        .keys()
        .filter(|path| !seen.contains(&path.as_str()))
        .collect();
    assert!(unseen.is_empty(), "described and not checked here: {unseen:?}");
    pages.stop().await;
}

#[tokio::test]
async fn errors_are_problems_as_described() {
    let pages = Pages::start().await;
    let problem =
        json!({ "components": description()["components"], "$ref": "#/components/schemas/Problem" });
    for (path, status, code) in [
        ("/api/v1/events?q=severity%3Awrn", 422, "query"),
        ("/api/v1/events?limit=9999", 400, "bad_parameter"),
        ("/api/v1/events?budget_ms=0", 400, "bad_parameter"),
        ("/api/v1/histogram?buckets=401", 400, "bad_parameter"),
        ("/api/v1/count?exact=maybe", 400, "bad_parameter"),
        ("/api/v1/patterns?sample=0", 400, "bad_parameter"),
        ("/api/v1/fields/nonsense/values", 404, "not_found"),
        ("/api/v1/events/nonsense", 404, "not_found"),
        (
            "/api/v1/events/0191d4b0-0000-7000-8000-000000000000/context",
            404,
            "not_found",
        ),
        ("/api/v1/events?q=a&q=b", 400, "refused"),
    ] {
        let answer = pages.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/problem+json")),
            "{path}"
        );
        let told = answer.json();
        check(&problem, &told);
        assert_eq!(told["code"], code, "{path}");
    }
    let told = pages.get("/api/v1/events?q=severity%3Awrn").await.json();
    assert_eq!(told["errors"][0]["fix"]["text"], "warn");
    pages.stop().await;
}

#[tokio::test]
async fn a_bound_token_sees_only_what_its_query_selects() {
    let pages = Pages::start().await;
    let ids = put(
        &pages.store,
        vec![event("web01", 6, "mine"), event("db07", 6, "not mine")],
    )
    .await;
    let csrf = pages.get("/settings/users").await.csrf().to_owned();
    let invited = pages
        .post("/settings/users", &[], &format!("csrf={csrf}&role=admin"))
        .await;
    let (_, after) = invited.body.split_once("/set-up/").expect("has a link");
    let link = format!("/set-up/{}", after.split('<').next().expect("ends"));
    let made = pages
        .post(&link, &[], "name=ana&password=correct+horse+battery")
        .await;
    let cookie = ("Cookie", made.cookie().to_owned());
    let csrf = pages
        .ask("GET", "/search", &[(cookie.0, &cookie.1)], "")
        .await
        .csrf()
        .to_owned();
    let headers = [
        (cookie.0, &*cookie.1),
        ("X-Lf-Csrf", &*csrf),
        ("Content-Type", "application/json"),
    ];
    let wanted = json!({ "name": "bound", "scopes": ["search:read"], "query": "host:web01" }).to_string();
    let token = pages.ask("POST", "/api/v1/tokens", &headers, &wanted).await;
    assert_eq!(token.status, 201, "{token:?}");
    let description = description();
    check(
        &schema(&description, "/api/v1/tokens", "post", "201", "application/json"),
        &token.json(),
    );
    let bearer = format!(
        "Bearer {}",
        token.json()["secret"].as_str().expect("has a secret")
    );
    let get = async |path: &str| pages.ask("GET", path, &[("Authorization", &*bearer)], "").await;
    for q in ["", "q=host%3Adb07+OR+mine", "q=not"] {
        let answer = get(&format!("/api/v1/events?{q}")).await;
        assert!(
            answer.status == 200 && !answer.body.contains("not mine"),
            "{q}: {}",
            answer.body
        );
    }
    assert_eq!(get("/api/v1/count?range=1h").await.json()["estimate"], 1);
    assert!(!get("/api/v1/fields/hostname/values").await.body.contains("db07"));
    assert!(!get("/api/v1/patterns").await.body.contains("not mine"));
    assert!(!get("/api/v1/suggest?q=host%3Ad").await.body.contains("db07"));
    assert!(!get("/api/v1/export").await.body.contains("not mine"));
    assert_eq!(get(&format!("/api/v1/events/{}", ids[0])).await.status, 200);
    assert_eq!(get(&format!("/api/v1/events/{}", ids[1])).await.status, 404);
    assert_eq!(
        get(&format!("/api/v1/events/{}/context", ids[1])).await.status,
        404
    );
    assert_eq!(get("/api/v1/tokens").await.status, 403);
    let id = token.json()["id"].as_str().expect("has an id").to_owned();
    assert_eq!(
        pages
            .ask("DELETE", &format!("/api/v1/tokens/{id}"), &headers, "")
            .await
            .status,
        204
    );
    assert_eq!(get("/api/v1/events").await.status, 401);
    pages.stop().await;
}
