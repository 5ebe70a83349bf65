//! The search page without JavaScript: forms, links, text.

use crate::{
    browser::{Answer, Pages},
    data::{event, put, with_field},
};

/// The messages of the table, in its order.
fn rows(page: &Answer) -> Vec<String> {
    let lines = page.body.split("<tr class=\"s").skip(1);
    let message = |line: &str| {
        let (_, cell) = line.rsplit_once("<td>").expect("has cells");
        cell.split("</td>")
            .next()
            .expect("ends")
            .replace("<mark>", "[")
            .replace("</mark>", "]")
    };
    lines
        .map(|line| message(line.split("</tr>").next().expect("ends")))
        .collect()
}

/// The address of the link with this text.
fn href(page: &Answer, text: &str) -> String {
    let (before, _) = page
        .body
        .split_once(&format!("{text}</a>"))
        .unwrap_or_else(|| panic!("no {text}: {}", page.body));
    let (_, href) = before.rsplit_once("href=\"").expect("is a link");
    href.split('"')
        .next()
        .expect("ends")
        .replace("&#38;", "&")
        .replace("&amp;", "&")
}

#[tokio::test]
async fn rows_are_found_and_paged() {
    let pages = Pages::start().await;
    let lines = (0..250)
        .map(|number| event("web01", 6, format!("line {number:03}")))
        .collect();
    put(&pages.store, lines).await;
    let newest = pages.get("/search").await;
    assert_eq!(newest.status, 200);
    let shown = rows(&newest);
    assert_eq!(
        (shown.len(), &*shown[0], &*shown[99]),
        (100, "line 249", "line 150")
    );
    let second = pages.get(&href(&newest, "After these →")).await;
    let shown = rows(&second);
    assert_eq!(
        (shown.len(), &*shown[0], &*shown[99]),
        (100, "line 149", "line 050")
    );
    let third = pages.get(&href(&second, "After these →")).await;
    assert_eq!(rows(&third).len(), 50);
    assert!(!third.body.contains("After these"), "there is nothing more");
    let back = pages.get(&href(&third, "← Before these")).await;
    assert_eq!(rows(&back), rows(&second));
    let oldest = pages.get("/search?sort=old").await;
    assert_eq!(rows(&oldest)[0], "line 000");
    assert!(newest.body.contains("250 events"), "{}", newest.body);
    pages.stop().await;
}

#[tokio::test]
async fn a_query_is_read_back_marked_and_narrowed() {
    let pages = Pages::start().await;
    let ids = put(
        &pages.store,
        vec![
            event("web01", 3, "connection REFUSED by peer"),
            with_field(event("db07", 6, "connection refused again"), "user", "ana"),
            event("db07", 6, "all is well"),
        ],
    )
    .await;
    let page = pages.get("/search?q=refused+-host%3Adb07&range=1h").await;
    assert_eq!(rows(&page), ["connection [REFUSED] by peer"]);
    assert!(
        page.body.contains("not hostname:db07"),
        "has a chip: {}",
        page.body
    );
    let wider = pages.get("/search?q=refused").await;
    assert_eq!(rows(&wider).len(), 2);
    // Through the row to the event, and from its value back to a search.
    let opened = pages.get(&format!("/event/{}?q=refused", ids[1])).await;
    assert!(
        opened.body.contains("fields.user") && opened.body.contains("ana"),
        "{}",
        opened.body
    );
    let only = href(&opened, "only");
    assert!(only.starts_with("/search?q=refused+"), "{only}");
    let facet = href(&pages.get("/search?q=connection").await, "web01");
    assert_eq!(rows(&pages.get(&facet).await), ["[connection] REFUSED by peer"]);
    let at = pages.get(&format!("/search?q=refused&at={}", ids[1])).await;
    assert!(
        at.body.contains("class=\"details\"") && at.body.contains("fields.user"),
        "{}",
        at.body
    );
    let fragment = pages.get(&format!("/event/{}?fragment=1", ids[1])).await;
    assert!(!fragment.body.contains("<html") && fragment.body.contains("fields.user"));
    pages.stop().await;
}

#[tokio::test]
async fn mistakes_point_at_the_place_and_offer_the_fix() {
    let pages = Pages::start().await;
    let page = pages.get("/search?q=severity%3Awrn+x&range=1h").await;
    assert_eq!(page.status, 422);
    assert!(page.body.contains("severity:<u>wrn</u> x"), "{}", page.body);
    assert!(page.body.contains("wrn is not a severity."));
    assert_eq!(href(&page, "Use warn"), "/search?q=severity%3Awarn+x&range=1h");
    let notice = pages.get("/search?q=a+or+b").await;
    assert!(
        notice.status == 200 && notice.body.contains("class=\"note\""),
        "{}",
        notice.body
    );
    for (params, says) in [
        ("range=soon", "range"),
        ("from=yesterday", "from"),
        ("from=2026-11-21&to=2026-11-20", "after from"),
        ("by=moon", "by"),
        ("sort=up", "sort"),
        ("cursor=x", "cursor"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("q=a&q=b", "duplicate"),
    ] {
        let page = pages.get(&format!("/search?{params}")).await;
        assert!(
            page.status == 400 && page.body.contains(says),
            "{params}: {page:?}"
        );
    }
    pages.stop().await;
}
