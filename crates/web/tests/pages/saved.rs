//! Saved searches and short links.

use serde_json::{Value, json};
use testkit::eventually;

use crate::{
    accounts::{first, invited, post, signed_in, token},
    api::{check, description, schema},
    browser::{Answer, DEADLINE, Pages},
    data::{event, put, put_every},
};

/// A question of a program that is on this machine.
async fn call(pages: &Pages, method: &str, path: &str, body: &Value) -> Answer {
    let csrf = pages.get("/saved").await.csrf().to_owned();
    let headers = [("Content-Type", "application/json"), ("X-Lf-Csrf", &*csrf)];
    pages.ask(method, path, &headers, &body.to_string()).await
}

#[tokio::test]
async fn a_search_is_saved_listed_changed_and_removed() {
    let pages = Pages::start().await;
    let page = pages
        .get("/search?q=host%3Aweb01+OR+a&range=1h&cols=procid")
        .await;
    assert!(page.body.contains("action=\"/saved\""), "{}", page.body);
    let form = format!(
        "csrf={}&q=host%3Aweb01+OR+a&range=1h&from=&to=&by=&sort=&cols=procid&at=&name=%3Cb%3Emine",
        page.csrf()
    );
    let kept = pages.post("/saved", &[], &form).await;
    assert_eq!((kept.status, kept.header("location")), (303, Some("/saved")));
    let list = pages.get("/saved").await;
    assert!(
        list.body.contains("b&#62;mine") && !list.body.contains("<b>mine"),
        "{}",
        list.body
    );
    assert!(
        list.body
            .replace("&#38;", "&")
            .contains("href=\"/search?q=host%3Aweb01+OR+a&range=1h&cols=procid\""),
        "{}",
        list.body
    );
    let description = description();
    let all = pages.get("/api/v1/saved").await.json();
    let described = |method, path, status| schema(&description, path, method, status, "application/json");
    check(&described("get", "/api/v1/saved", "200"), &all);
    let path = format!("/api/v1/saved/{}", all[0]["id"].as_str().expect("has an id"));
    let changed = call(
        &pages,
        "PATCH",
        &path,
        &json!({ "name": "ours", "shared": true, "q": "b" }),
    )
    .await;
    check(&described("patch", "/api/v1/saved/{id}", "200"), &changed.json());
    assert_eq!(changed.json()["href"], "/search?q=b&range=1h&cols=procid");
    assert_eq!(call(&pages, "DELETE", &path, &json!({})).await.status, 204);
    assert_eq!(call(&pages, "DELETE", &path, &json!({})).await.status, 404);
    assert!(pages.get("/saved").await.body.contains("None yet"));
    pages.stop().await;
}

#[tokio::test]
async fn what_cannot_run_or_has_no_name_is_not_kept() {
    let pages = Pages::start().await;
    for (body, status, code) in [
        (json!({ "name": " ", "q": "a" }), 422, "bad_name"),
        (json!({ "name": "x".repeat(81), "q": "a" }), 422, "bad_name"),
        (json!({ "name": "x", "q": "severity:wrn" }), 422, "query"),
        (json!({ "name": "x", "range": "yesterday" }), 400, "bad_parameter"),
    ] {
        let refused = call(&pages, "POST", "/api/v1/saved", &body).await;
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (status, &json!(code)),
            "{body}"
        );
    }
    let csrf = pages.get("/saved").await.csrf().to_owned();
    let refused = pages
        .post("/saved", &[], &format!("csrf={csrf}&q=(&name=x"))
        .await;
    assert!(
        refused.status == 422 && refused.body.contains("role=\"alert\""),
        "{}",
        refused.body
    );
    for id in ["x", "%00", "00000000-0000-0000-0000-000000000000"] {
        let path = format!("/api/v1/saved/{id}");
        assert_eq!(
            call(&pages, "DELETE", &path, &json!({})).await.status,
            404,
            "{id}"
        );
    }
    pages.stop().await;
}

#[tokio::test]
async fn others_see_what_is_shared_and_change_nothing() {
    let pages = Pages::start().await;
    let ana = first(&pages).await;
    let ben = invited(&pages, &ana, "reader", "ben").await;
    let eve = invited(&pages, &ana, "reader", "eve").await;
    for form in ["name=private&q=a", "name=common&q=b&shared=1"] {
        assert_eq!(post(&pages, &ben, "/saved", form).await.status, 303);
    }
    let names = async |cookie: &str| {
        let all = signed_in(&pages, cookie, "/api/v1/saved").await.json();
        let names = all.as_array().expect("is a list").iter();
        names.map(|one| one["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&ben).await, ["common", "private"]);
    assert_eq!(names(&eve).await, ["common"]);
    assert_eq!(names(&ana).await, ["common", "private"], "an administrator");
    let all = signed_in(&pages, &ben, "/api/v1/saved").await.json();
    let [common, private] = [0, 1].map(|at| all[at]["id"].as_str().expect("has an id").to_owned());
    let remove = |id: &str| format!("/saved/{id}/remove");
    assert_eq!(post(&pages, &eve, &remove(&common), "").await.status, 403);
    assert_eq!(
        post(&pages, &eve, &remove(&private), "").await.status,
        404,
        "not hers to know"
    );
    assert_eq!(
        post(&pages, &eve, &format!("/saved/{common}/share"), "")
            .await
            .status,
        403
    );
    assert_eq!(
        post(&pages, &ben, &format!("/saved/{common}/share"), "")
            .await
            .status,
        303
    );
    assert_eq!(names(&eve).await, Vec::<Value>::new());
    assert_eq!(post(&pages, &ana, &remove(&private), "").await.status, 303);
    let bound = token(&pages, &ana, "name=ci&scope=search:read&query=app:ci").await;
    let answer = pages
        .ask("GET", "/api/v1/saved", &[("Authorization", &*bound)], "")
        .await;
    assert_eq!(answer.status, 403, "it sees only its own events");
    pages.stop().await;
}

#[tokio::test]
async fn a_short_link_finds_the_same_later() {
    let pages = Pages::start().await;
    let ids = put(
        &pages.store,
        vec![event("web01", 3, "refused"), event("web02", 6, "other")],
    )
    .await;
    let wanted = json!({ "q": "refused", "range": "1h", "cols": "procid", "at": ids[0].to_string() });
    let made = call(&pages, "POST", "/api/v1/links", &wanted).await;
    let described = schema(&description(), "/api/v1/links", "post", "201", "application/json");
    check(&described, &made.json());
    let path = made.json()["path"].as_str().expect("has a path").to_owned();
    let opened = pages.get(&path).await;
    let target = opened.header("location").expect("leads on").to_owned();
    assert_eq!(opened.status, 303);
    assert_eq!(Some(&*target), made.json()["href"].as_str());
    assert!(
        target.starts_with("/search?q=refused&from=") && target.contains("&to=") && target.contains("&at="),
        "{target}"
    );
    let found = pages.get(&target).await;
    assert!(
        found.body.contains("<mark>refused</mark>") && !found.body.contains("web02</td>"),
        "{}",
        found.body
    );
    let csrf = found.csrf();
    let page = pages
        .post("/links", &[], &format!("csrf={csrf}&q=refused&range=all"))
        .await;
    assert!(
        page.status == 200 && page.body.contains(&format!("http://{}/s/", pages.addr)),
        "{}",
        page.body
    );
    for path in ["/s/aaaaaaaaaa", "/s/x", "/s/%00aaaaaaaaa", "/s/..%2f..%2fetc"] {
        assert_eq!(pages.get(path).await.status, 404, "{path}");
    }
    assert_eq!(
        call(&pages, "POST", "/api/v1/links", &json!({ "q": "(" }))
            .await
            .status,
        422
    );
    pages.stop().await;
}

#[tokio::test]
async fn what_is_saved_and_what_the_catalogue_knows_is_suggested() {
    let pages = Pages::start().await;
    let mut old = event("web01", 6, "long ago");
    old.app_name = Some("nightly-report".into());
    put_every(&pages.store, 7_200_000_000, vec![old, event("web01", 6, "now")]).await;
    for (name, q) in [("Night jobs", "app:nightly-report"), ("Doors", "door OR gate")] {
        let body = json!({ "name": name, "q": q });
        assert_eq!(call(&pages, "POST", "/api/v1/saved", &body).await.status, 201);
    }
    let described = schema(
        &description(),
        "/api/v1/suggest",
        "get",
        "200",
        "application/json",
    );
    for (q, text, kind, replace) in [
        ("x+app:NI", "app_name:nightly-report", "value", None),
        ("night", "app_name:nightly-report", "saved", Some([0, 5])),
        ("OR+g", "door OR gate", "saved", Some([0, 4])),
        ("", "door OR gate", "saved", Some([0, 0])),
    ] {
        // Slow machines find it a little later.
        let found = eventually(DEADLINE, || async {
            let path = format!("/api/v1/suggest?q={q}&range=1h&patient=1");
            let found = pages.get(&path).await.json();
            let is_whole = found["complete"] == true;
            is_whole.then_some(found).ok_or("is not all")
        })
        .await;
        check(&described, &found);
        let items = found["items"].as_array().expect("is a list");
        let item = items.iter().find(|item| item["kind"] == kind);
        let item = item.unwrap_or_else(|| panic!("{q}: {found}"));
        assert_eq!(
            item["text"]
                .as_str()
                .map(|found| found.replace("app:", "app_name:"))
                .as_deref(),
            Some(text),
            "{q}"
        );
        assert_eq!(
            item.get("replace"),
            replace.map(|replace| json!(replace)).as_ref(),
            "{q}"
        );
    }
    pages.stop().await;
}
