//! Sources: listed, judged, and each on a page of its own.

use crate::{
    browser::Pages,
    data::{event, put},
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
