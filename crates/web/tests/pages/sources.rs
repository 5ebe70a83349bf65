//! Sources: listed, judged, and each on a page of its own.

use serde_json::json;
use testkit::eventually;

use crate::{
    accounts::{first, invited, post, signed_in},
    api::{check, description, schema},
    browser::{DEADLINE, Pages},
    data::{event, put, put_every},
};

#[tokio::test]
async fn who_sends_is_listed_and_names_are_no_markup() {
    let pages = Pages::start().await;
    let empty = pages.get("/sources").await;
    assert!(
        empty.status == 200 && empty.body.contains("Nobody has sent anything yet"),
        "{}",
        empty.body
    );
    put(
        &pages.store,
        vec![event("web01", 6, "one"), event("<b>evil", 3, "two")],
    )
    .await;
    let all = pages.get("/api/v1/sources").await.json();
    assert_eq!(
        (&all["n"], &all["complete"]),
        (&2.into(), &true.into()),
        "{all:#}"
    );
    let web = all["sources"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["hostname"] == "web01").cloned())
        .expect("is listed");
    assert_eq!(web["state"][0], "ok");
    assert!(web["usual_gap_ms"].is_null(), "a minute is no rhythm: {web:#}");
    assert_eq!(web["via"][0]["peer_addr"], "192.0.2.7");
    let page = pages.get("/sources").await;
    assert!(
        page.body.contains("&lt;b&gt;evil") && !page.body.contains("<b>evil"),
        "{}",
        page.body
    );
    assert!(page.body.contains("Learning for "), "{}", page.body);
    let silent = pages.get("/api/v1/sources?state=silent").await.json();
    assert_eq!(silent["n"], 0);
    assert_eq!(pages.get("/api/v1/sources?state=sleepy").await.status, 400);
    let one = pages.get("/api/v1/sources/web01").await.json();
    assert_eq!(
        (&one["skew_ms"], &one["defect_share"]),
        (&0.into(), &0.0.into()),
        "{one:#}"
    );
    let page = pages.get("/sources/web01").await;
    assert!(
        page.status == 200 && page.body.contains("Last lines") && page.body.contains("one"),
        "{}",
        page.body
    );
    assert_eq!(pages.get("/sources/nobody").await.status, 404);
    assert_eq!(pages.get("/sources/%3Cb%3Eevil").await.status, 200);
    pages.stop().await;
}

#[tokio::test]
async fn who_is_expected_and_never_spoke_is_silent() {
    let pages = Pages::start().await;
    // The last of them a quarter of an hour ago; too few for a rhythm of its own.
    put_every(&pages.store, 900_000_000, vec![event("web01", 6, "one")]).await;
    let csrf = pages.get("/sources").await.csrf().to_owned();
    let headers = [("Content-Type", "application/json"), ("X-Lf-Csrf", &*csrf)];
    let put_list = async |list: serde_json::Value| {
        let body = json!({ "expected": list }).to_string();
        pages
            .ask("PUT", "/api/v1/sources/expected", &headers, &body)
            .await
    };
    assert_eq!(
        pages.get("/api/v1/sources/web01").await.json()["state"][0],
        "unknown"
    );
    let kept = put_list(json!([{ "name": "web*", "every_s": 600 }, { "name": "<b>new" }])).await;
    let description = description();
    let described = |method| {
        schema(
            &description,
            "/api/v1/sources/expected",
            method,
            "200",
            "application/json",
        )
    };
    check(&described("put"), &kept.json());
    check(
        &described("get"),
        &pages.get("/api/v1/sources/expected").await.json(),
    );
    let web = pages.get("/api/v1/sources/web01").await.json();
    assert_eq!(web["state"][0], "silent");
    assert_eq!(web["why"], "quiet for 15 min, expected at least every 10m");
    let all = pages.get("/api/v1/sources").await.json();
    check(
        &schema(&description, "/api/v1/sources", "get", "200", "application/json"),
        &all,
    );
    assert_eq!((&all["n"], &all["silent"]), (&json!(2), &json!(1)));
    let new = &all["sources"][1];
    assert_eq!(
        (&new["hostname"], &new["last_seen"]),
        (&json!("<b>new"), &json!(null))
    );
    assert_eq!(new["state"][0], "unknown", "it has an hour to speak");
    let page = pages.get("/sources").await;
    assert!(
        page.body.contains("&lt;b&gt;new") && page.body.contains("never seen; expected at least every 1h"),
        "{}",
        page.body
    );
    assert_eq!(pages.get("/api/v1/sources?q=web").await.json()["n"], 1);
    assert_eq!(pages.get("/api/v1/sources?q=NEW").await.json()["n"], 1);
    for list in [
        json!([{ "name": "" }]),
        json!([{ "name": "a", "every_s": 1 }]),
        json!([{ "name": "a\u{0}" }]),
    ] {
        assert_eq!(put_list(list.clone()).await.status, 422, "{list}");
    }
    let form = format!("csrf={csrf}&expected=db01+5m%0D%0A");
    assert_eq!(pages.post("/sources/expected", &[], &form).await.status, 303);
    let list = pages.get("/sources/expected").await;
    assert!(
        list.body.contains("db01 5m") && !list.body.contains("web*"),
        "{}",
        list.body
    );
    let refused = pages
        .post(
            "/sources/expected",
            &[],
            &format!("csrf={csrf}&expected=db01+often"),
        )
        .await;
    assert!(
        refused.status == 422 && refused.body.contains("db01 often"),
        "what was typed stays: {}",
        refused.body
    );
    pages.stop().await;
}

#[tokio::test]
async fn a_muted_source_is_not_silent_until_then() {
    let pages = Pages::start().await;
    put_every(&pages.store, 900_000_000, vec![event("web01", 6, "one")]).await;
    let ana = first(&pages).await;
    let ben = invited(&pages, &ana, "reader", "ben").await;
    let eve = invited(&pages, &ana, "operator", "eve").await;
    let state = async || {
        let web = signed_in(&pages, &ana, "/api/v1/sources/web01").await.json();
        web["state"][0].as_str().expect("is a word").to_owned()
    };
    let page = signed_in(&pages, &ben, "/sources/web01").await;
    assert!(
        !page.body.contains("/mute"),
        "a reader is not offered what it may not do"
    );
    assert_eq!(
        post(&pages, &ben, "/sources/web01/mute", "for=1h").await.status,
        403
    );
    let done = post(&pages, &eve, "/sources/web01/expect", "every=5m").await;
    assert_eq!(
        (done.status, done.header("location")),
        (303, Some("/sources/web01"))
    );
    assert_eq!(state().await, "silent");
    assert_eq!(
        post(&pages, &eve, "/sources/web01/mute", "for=8h").await.status,
        303
    );
    assert_eq!(state().await, "muted");
    let page = signed_in(&pages, &eve, "/sources/web01").await;
    assert!(
        page.body.contains("muted for 7 h more by eve") && page.body.contains("at least every 5m, by eve"),
        "{}",
        page.body
    );
    assert_eq!(
        signed_in(&pages, &ana, "/api/v1/sources").await.json()["silent"],
        0
    );
    assert_eq!(post(&pages, &eve, "/sources/web01/unmute", "").await.status, 303);
    assert_eq!(state().await, "silent");
    assert_eq!(
        post(&pages, &eve, "/sources/web01/unexpect", "").await.status,
        303
    );
    assert_eq!(state().await, "unknown");
    let csrf = signed_in(&pages, &eve, "/sources").await.csrf().to_owned();
    let headers = [
        ("Cookie", &*eve),
        ("Content-Type", "application/json"),
        ("X-Lf-Csrf", &*csrf),
    ];
    for (method, body, status) in [
        ("POST", r#"{"until":"2001-01-01T00:00:00Z"}"#, 400),
        ("POST", r#"{"until":"2199-01-01T00:00:00Z"}"#, 204),
        ("DELETE", "", 204),
        ("DELETE", "", 404),
    ] {
        let answer = pages
            .ask(method, "/api/v1/sources/web01/mute", &headers, body)
            .await;
        assert_eq!(answer.status, status, "{method} {body}");
    }
    pages.stop().await;
}

const HALF_AN_HOUR: i64 = 1_800_000_000;
/// Two events an hour, for five weeks.
const FIVE_WEEKS: usize = 5 * 7 * 48;

/// Two hosts for five weeks: web01 was away for ten hours some days ago, db01 stopped ten hours ago.
async fn weeks(pages: &Pages) {
    let host = |hours_ago: usize, name: &'static str| match (name, hours_ago) {
        ("web01", 80..90) | ("db01", 0..10) => "other",
        (name, _) => name,
    };
    for (name, severity) in [("web01", 6), ("db01", 3)] {
        let events = (0..FIVE_WEEKS).map(|number| {
            let severity = if number % 100 == 0 { 2 } else { severity };
            event(host((FIVE_WEEKS - number) / 2, name), severity, "hello")
        });
        put_every(&pages.store, HALF_AN_HOUR, events.collect()).await;
    }
}

#[tokio::test]
async fn silence_is_judged_by_the_weeks_before() {
    let pages = Pages::start().await;
    weeks(&pages).await;
    let db = pages.get("/api/v1/sources/db01").await.json();
    assert_eq!(db["state"][0], "silent", "{db:#}");
    let why = db["why"].as_str().expect("is text");
    assert!(
        why.starts_with("quiet for 10 h, in which about 20 events are usual")
            || why.starts_with("quiet for 9 h"),
        "{why}"
    );
    assert_eq!(db["usual_gap_ms"], 1_800_000);
    let web = pages.get("/api/v1/sources/web01").await.json();
    assert_eq!(web["state"], json!(["ok"]), "{web:#}");
    check(
        &schema(
            &description(),
            "/api/v1/sources/{hostname}",
            "get",
            "200",
            "application/json",
        ),
        &web,
    );
    let severities = web["severities"].as_object().expect("are there");
    let events: u64 = severities.values().filter_map(serde_json::Value::as_u64).sum();
    assert!((46..=48).contains(&events), "{web:#}");
    assert_eq!(web["top_apps"][0], json!({ "app_name": "app", "n": events }));
    let page = pages.get("/sources/web01").await;
    assert!(
        page.body
            .contains("1 gap of whole hours without an event in the last 7 days, 1 of them unusual"),
        "{}",
        page.body
    );
    assert!(
        page.body.contains("class=\"mix\"") && page.body.contains("class=\"week\""),
        "both are drawn"
    );
    assert!(
        page.body
            .contains("href=\"/search?q=host%3Aweb01+severity%3Ainfo&#38;range=24h\""),
        "{}",
        page.body
    );
    assert!(
        page.body
            .contains("href=\"/search?q=host%3Aweb01+app%3Aapp&#38;range=24h\"")
    );
    let page = pages.get("/sources/db01").await;
    assert!(
        page.body.contains("<td class=\"num\" data-name=\"to\">now</td>"),
        "{}",
        page.body
    );
    pages.stop().await;
}

#[tokio::test]
async fn any_column_sorts_and_pages_go_on_where_they_ended() {
    let pages = Pages::start().await;
    // More than a page of them, each with as many events as its number says.
    let name = |number: usize| -> &'static str { format!("host{number:03}").leak() };
    let events = (0..420).map(|number| event(name(number % 210), 6, "x"));
    let more = (0..5).map(|_| event(name(7), 6, "x"));
    put_every(&pages.store, 1000, events.chain(more).collect()).await;
    let names = async |params: &str| -> (Vec<String>, Option<String>) {
        let all = pages.get(&format!("/api/v1/sources?{params}")).await.json();
        let sources = all["sources"].as_array().unwrap_or_else(|| panic!("{all:#}"));
        let names = sources
            .iter()
            .map(|source| source["hostname"].as_str().expect("is text").to_owned());
        (names.collect(), all["next"].as_str().map(str::to_owned))
    };
    for (params, first, last) in [
        ("", "host000", "host209"),
        ("sort=hostname", "host000", "host209"),
        ("sort=-hostname", "host209", "host000"),
        ("sort=rate", "host007", "host209"),
        ("sort=-rate", "host000", "host007"),
        ("sort=gap", "host000", "host209"),
        ("sort=clock", "host000", "host209"),
        ("sort=-last", "host007", "host000"),
    ] {
        let (mut all, next) = names(params).await;
        assert_eq!((all.len(), &*all[0]), (200, first), "{params}");
        let cursor: String =
            form_urlencoded::byte_serialize(next.expect("there is more").as_bytes()).collect();
        let (rest, end) = names(&format!("{params}&cursor={cursor}")).await;
        assert_eq!((rest.len(), end), (10, None), "{params}");
        assert_eq!(rest[9], last, "{params}");
        all.extend(rest);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 210, "{params}: each once");
    }
    for (params, rate) in [("q=host007", 7), ("q=host008", 2)] {
        let one = pages.get(&format!("/api/v1/sources?{params}")).await.json();
        assert_eq!(one["sources"][0]["rate_5m"], rate, "{one:#}");
    }
    for params in ["sort=size", "cursor=5", "state=sleepy"] {
        assert_eq!(
            pages.get(&format!("/sources?{params}")).await.status,
            400,
            "{params}"
        );
    }
    let page = pages.get("/sources?sort=rate&q=host").await;
    assert!(
        page.body
            .contains("aria-sort=\"descending\"><a href=\"/sources?q=host&#38;sort=-rate\">"),
        "{}",
        page.body
    );
    let part = pages.get("/sources?sort=rate&part=table").await;
    assert!(
        part.body.contains("host007") && !part.body.contains("<html"),
        "{}",
        part.body
    );
    pages.stop().await;
}

#[tokio::test]
async fn clocks_and_drops_are_told_of_each_source() {
    let pages = Pages::start().await;
    put(
        &pages.store,
        vec![event("web01", 6, "one"), event("<b>", 6, "two")],
    )
    .await;
    let beat = |drops: u64| {
        let beat = json!({
            "service": "syslog-server", "instance": "a", "host": "h", "version": "1",
            "since": "2026-01-01T00:00:00Z", "at": jiff::Timestamp::now().to_string(), "period_ms": 5000,
            "counters": { "received": 1, "sent": 1, "in_flight": 0 },
            "measures": { "logferry_intake_kernel_drops_total{listener=\"tcp\"}": drops },
            "clients": [{
                "peer_addr": "192.0.2.7:40000", "listener": "tcp", "protocol": "tcp", "tls_name": "<i>web01",
                "since": "2026-01-01T00:00:00Z", "frames": 1, "bytes": 1
            }],
            "clients_total": 1,
        });
        pages.broker.announce("syslog-server.a", beat.to_string());
    };
    beat(10);
    eventually(DEADLINE, || async {
        pages.get("/api/v1/clients").await.json()["total"] == 1
    })
    .await;
    beat(15);
    eventually(DEADLINE, || async {
        pages.get("/api/v1/sources").await.json()["dropping"] == 2
    })
    .await;
    let all = pages.get("/api/v1/sources?state=dropping").await.json();
    check(
        &schema(
            &description(),
            "/api/v1/sources",
            "get",
            "200",
            "application/json",
        ),
        &all,
    );
    let web = &all["sources"][1];
    assert_eq!(web["state"], json!(["ok", "dropping"]), "{all:#}");
    assert!(web["kernel_drops_min"].as_f64().is_some_and(|drops| drops > 0.0));
    assert_eq!((&web["skew_ms"], &web["defect_share"]), (&json!(0), &json!(0.0)));
    assert_eq!(
        web["via"][0],
        json!({ "peer_addr": "192.0.2.7", "input": "tcp", "tls_name": "<i>web01", "is_connected": true })
    );
    assert_eq!(all["kernel_drops"][0]["n"], 15.0);
    let page = pages.get("/sources").await;
    assert!(
        page.body.contains("2 dropping")
            && page.body.contains("▲ drops")
            && page.body.contains("CN=&lt;i&gt;web01"),
        "{}",
        page.body
    );
    let page = pages.get("/sources/web01").await;
    assert!(
        page.body.contains("connected to tcp as &lt;i&gt;web01")
            && page.body.contains("datagrams per minute"),
        "{}",
        page.body
    );
    pages.stop().await;
}
