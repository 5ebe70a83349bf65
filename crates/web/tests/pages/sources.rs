//! Sources: listed, judged, and each on a page of its own.

use serde_json::json;

use crate::{
    accounts::{first, invited, post, signed_in},
    api::{check, description, schema},
    browser::Pages,
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
