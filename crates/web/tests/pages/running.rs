//! Searches that run: who sees them, and who may end them.

use crate::{
    accounts::{first, signed_in, token},
    api::{check, description, schema},
    browser::Pages,
    data::{event, put_every},
    stream::Stream,
};

/// More than fits between a writer and a reader that does not read.
async fn much(pages: &Pages) {
    let events = (0..12_000).map(|_| event("web01", 6, "x".repeat(2000)));
    put_every(&pages.store, 1000, events.collect()).await;
}

/// A file that is asked for and not read, so that it goes on for as long as the test wants.
async fn file(pages: &Pages, headers: &[(&str, &str)]) -> Stream {
    let stream = pages
        .open_with("/api/v1/export?range=1h&format=text", headers)
        .await;
    assert!(stream.is_ok());
    stream
}

#[tokio::test]
async fn a_search_is_listed_and_can_be_ended() {
    let pages = Pages::start().await;
    much(&pages).await;
    assert_eq!(
        pages.get("/api/v1/searches").await.json()["searches"],
        serde_json::json!([])
    );
    let mut export = file(&pages, &[]).await;
    let list = pages.get("/api/v1/searches").await.json();
    check(
        &schema(
            &description(),
            "/api/v1/searches",
            "get",
            "200",
            "application/json",
        ),
        &list,
    );
    let running = &list["searches"][0];
    assert_eq!(
        (running["kind"].as_str(), running["who"].as_str()),
        (Some("export"), Some("somebody on this machine")),
        "{list}"
    );
    assert!(
        running["from"].is_string() && running["since"].is_string(),
        "{list}"
    );
    let address = format!("/api/v1/searches/{}", running["id"].as_str().expect("has an id"));
    let csrf = pages.get("/search").await.csrf().to_owned();
    let end = async || {
        let headers = [("X-Lf-Csrf", &*csrf)];
        pages.ask("DELETE", &address, &headers, "").await.status
    };
    assert_eq!(end().await, 204);
    let text = export.until_text("ended this search.\n").await;
    assert!(text.contains("events, not complete: somebody on this machine ended"));
    testkit::eventually(crate::browser::DEADLINE, || async {
        let list = pages.get("/api/v1/searches").await.json();
        list["searches"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
    assert_eq!(end().await, 404);
    pages.stop().await;
}

#[tokio::test]
async fn one_sees_ones_own_searches_and_an_administrator_all() {
    let pages = Pages::start().await;
    much(&pages).await;
    let admin = first(&pages).await;
    let form = |name: &str| format!("name={name}&scope=search:read&days=7");
    let (mine, others) = (
        token(&pages, &admin, &form("mine")).await,
        token(&pages, &admin, &form("others")).await,
    );
    let as_mine = [("Authorization", &*mine)];
    let as_others = [("Authorization", &*others)];
    let mut export = file(&pages, &as_mine).await;
    let list = pages.ask("GET", "/api/v1/searches", &as_mine, "").await.json();
    let id = list["searches"][0]["id"].as_str().expect("has an id").to_owned();
    let address = format!("/api/v1/searches/{id}");
    let list = pages.ask("GET", "/api/v1/searches", &as_others, "").await.json();
    assert_eq!(list["searches"], serde_json::json!([]));
    assert_eq!(pages.ask("DELETE", &address, &as_others, "").await.status, 404);
    let all = signed_in(&pages, &admin, "/api/v1/searches").await.json();
    assert_eq!(
        (
            all["searches"][0]["id"].as_str(),
            all["searches"][0]["who"].as_str()
        ),
        (Some(&*id), Some("token mine"))
    );
    let csrf = signed_in(&pages, &admin, "/search").await.csrf().to_owned();
    let headers = [("Cookie", &*admin), ("X-Lf-Csrf", &*csrf)];
    assert_eq!(pages.ask("DELETE", &address, &headers, "").await.status, 204);
    let text = export.until_text("ended this search.\n").await;
    assert!(text.contains("ana ended"), "{}", &text[text.len() - 200..]);
    pages.stop().await;
}
