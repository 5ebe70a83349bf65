//! The search page without JavaScript: forms, links, text.

use crate::{
    browser::{Answer, Pages},
    data::{event, put, put_every, with_field},
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

#[tokio::test]
async fn nothing_found_says_what_may_help() {
    let pages = Pages::start().await;
    put(&pages.store, vec![event("web01", 6, "hello")]).await;
    let page = pages.get("/search?q=hello+absent&range=5m").await;
    assert!(page.body.contains("No event matches"), "{}", page.body);
    assert_eq!(
        rows(&pages.get(&href(&page, "without <code>absent</code>")).await),
        ["[hello]"]
    );
    assert!(href(&page, "All time").contains("range=all"));
    assert_eq!(
        pages
            .get("/event/0191d4b0-0000-7000-8000-000000000000")
            .await
            .status,
        404
    );
    assert_eq!(pages.get("/event/%2e%2e%2fetc").await.status, 404);
    pages.stop().await;
}

#[tokio::test]
async fn nothing_that_was_logged_runs_or_hides() {
    let pages = Pages::start().await;
    let hostile = "<script>alert(1)</script><img src=x onerror=alert(1)> \u{202e}txt \u{1b}[31mred\u{1b}[0m \0 \u{200b}' \" onload=\"x";
    let mut bad = event("<b>evil</b>", 3, hostile);
    bad.app_name = Some("\"><svg/onload=alert(1)>".into());
    bad.fields.push((
        "<i>\"x".into(),
        event::Value::String("javascript:alert(1)".into()),
    ));
    bad.tags.push("</title><script>".into());
    bad.raw = Some(b"<script>\xff".as_slice().into());
    let long = event("web01", 6, "y".repeat(200_000));
    let mut wide = event("web01", 6, "wide");
    wide.fields = (0..300)
        .map(|number| (format!("f{number}").into(), event::Value::Integer(number)))
        .collect();
    let ids = put(&pages.store, vec![bad, long, wide]).await;
    let mut seen = vec![pages.get("/search").await];
    for id in &ids {
        for path in [
            "/event/ID",
            "/event/ID/context",
            "/event/ID?fragment=1",
            "/search?at=ID",
        ] {
            seen.push(pages.get(&path.replace("ID", &id.to_string())).await);
        }
    }
    for page in &seen {
        assert_eq!(page.status, 200, "{}", page.head);
        for forbidden in [
            "<script>",
            "<img",
            "<b>evil",
            "<svg/",
            "onerror=alert(1)>",
            "\u{202e}",
            "\u{1b}",
            "\0",
            "\u{200b}",
            "href=\"javascript",
        ] {
            assert!(!page.body.contains(forbidden), "{forbidden:?} in {}", page.body);
        }
    }
    assert!(seen[0].body.contains("‹U+202E›") && seen[0].body.contains("cut at 2 kB of 195 kB"));
    assert!(
        seen[0].body.len() < 60_000,
        "a long line does not swell the page: {}",
        seen[0].body.len()
    );
    assert!(
        pages
            .get(&format!("/event/{}", ids[1]))
            .await
            .body
            .contains(&"y".repeat(200_000))
    );
    assert!(
        pages
            .get(&format!("/event/{}", ids[2]))
            .await
            .body
            .contains("fields.f299")
    );
    let query = "%3Cscript%3Ealert(1)%3C/script%3E%22%3E";
    let page = pages.get(&format!("/search?q={query}")).await;
    assert!(!page.body.contains("<script>alert"), "{}", page.body);
    pages.stop().await;
}

#[tokio::test]
async fn a_search_has_a_shape_and_an_export() {
    let pages = Pages::start().await;
    let lines = (0..30).map(|number| {
        event(
            "web01",
            if number % 10 == 0 { 2 } else { 6 },
            format!("a,\"{number}"),
        )
    });
    put(&pages.store, lines.collect()).await;
    let page = pages.get("/search?range=1h").await;
    assert!(
        page.body.contains("<svg") && page.body.contains("b-crit"),
        "{}",
        page.body
    );
    assert!(
        page.body.contains("crit+ 3") && page.body.contains("other 27"),
        "{}",
        page.body
    );
    let csv = pages.get("/export?range=1h&format=csv").await;
    assert_eq!(
        csv.header("content-disposition"),
        Some("attachment; filename=\"logferry.csv\"")
    );
    assert!(
        csv.body.contains("\"a,\"\"29\"") && csv.body.ends_with("# 30 events, complete\n"),
        "{}",
        csv.body
    );
    let lines = pages
        .get("/export?range=1h&format=ndjson&q=severity%3Acrit")
        .await;
    let lines: Vec<serde_json::Value> = lines
        .body
        .lines()
        .map(|line| serde_json::from_str(line).expect("is JSON"))
        .collect();
    assert_eq!((lines.len(), &lines[3]["end"]["complete"]), (4, &true.into()));
    assert_eq!(pages.get("/export?format=exe").await.status, 400);
    pages.stop().await;
}

#[tokio::test]
async fn messages_that_differ_in_values_are_one_pattern() {
    let pages = Pages::start().await;
    let mut events: Vec<_> = (0..30)
        .map(|number| event("web01", 6, format!("timeout after {number} ms <b>waiting</b>")))
        .collect();
    events.push(event("db01", 3, "disk full"));
    put(&pages.store, events).await;
    let page = pages.get("/search/patterns?range=1h").await;
    assert_eq!(page.status, 200);
    assert!(
        page.body.contains("timeout after * ms &lt;b&gt;waiting")
            && page.body.contains("Of all 31 matches: 2 patterns"),
        "{}",
        page.body
    );
    let found = pages.get("/api/v1/patterns?range=1h").await.json();
    assert_eq!(
        (&found["sample"], &found["patterns"][0]["n"]),
        (&31.into(), &30.into())
    );
    // Its query finds them again, and its negation all others.
    let query = found["patterns"][0]["query"].as_str().expect("has a query");
    for (query, count) in [(query.to_owned(), 30), (format!("-({query})"), 1)] {
        let params = form_urlencoded::Serializer::new(String::new())
            .append_pair("q", &query)
            .append_pair("range", "1h")
            .append_pair("exact", "1")
            .finish();
        let counted = pages.get(&format!("/api/v1/count?{params}")).await.json();
        assert_eq!(counted["exact"], count, "{query}");
    }
    assert_eq!(pages.get("/search/patterns?q=severity%3Awrn").await.status, 422);
    let none = pages.get("/search/patterns?q=absent").await;
    assert!(none.body.contains("No event matches"), "{}", none.body);
    pages.stop().await;
}

#[tokio::test]
async fn fields_tell_who_has_them_and_what_stands_there() {
    let pages = Pages::start().await;
    let mut events: Vec<_> = (0..9).map(|_| event("web01", 6, "one")).collect();
    events.push(with_field(event("db01", 3, "two"), "user", "<b>ana"));
    put(&pages.store, events).await;
    let moved = pages.get("/search?q=one+OR+two&range=1h&view=fields").await;
    let path = moved.header("location").expect("is elsewhere").to_owned();
    assert_eq!(
        (moved.status, &*path),
        (303, "/search/fields?q=one+OR+two&range=1h")
    );
    let page = pages.get(&path).await;
    assert!(page.body.contains("Of all 10 matches"), "{}", page.body);
    let row = |name: &str| {
        let rows = page.body.split("<tr>");
        let found = rows
            .into_iter()
            .find(|row| row.contains(&format!(">{name}</a></th>")));
        found
            .unwrap_or_else(|| panic!("no {name}: {}", page.body))
            .to_owned()
    };
    let user = row("fields.user");
    for part in ["<td>text</td>", ">10 %</td>", "&lt;b&gt;ana", "cols=fields.user"] {
        assert!(user.contains(part), "{part}: {user}");
    }
    assert!(
        row("hostname").contains(">100 %</td><td class=\"num\">2</td>"),
        "{}",
        row("hostname")
    );
    // The links narrow the same search.
    let only = href(&page, "only");
    let narrowed = pages.get(&only).await;
    assert!(
        only.starts_with("/search?q=%28one+OR+two%29+") && narrowed.status == 200,
        "{only}"
    );
    assert_eq!(pages.get("/search/fields?q=severity%3Awrn").await.status, 422);
    let none = pages.get("/search/fields?q=absent").await;
    assert!(none.body.contains("No event matches"), "{}", none.body);
    pages.stop().await;
}

#[tokio::test]
async fn nothing_found_says_what_would_help() {
    let pages = Pages::start().await;
    // An hour apart, the last now; and one whose sender's clock is a year behind.
    let events = ["gone", "other", "now"].map(|text| event("web01", 6, text));
    put_every(&pages.store, 3_600_000_000, events.to_vec()).await;
    let empty = pages
        .get("/search?q=gone+host%3Aweb01+-app%3Acron&range=90m")
        .await;
    assert!(empty.body.contains("No event matches"), "{}", empty.body);
    let (_, after) = empty.body.split_once("Or without").expect("offers something");
    assert!(
        after.contains("</code></a>: 1</li>") && !after.contains("without <code>not"),
        "only what keeps something out: {after}"
    );
    let before = empty
        .body
        .split_once("The last one before it: <a href=\"")
        .expect("knows it")
        .1;
    let before = before.split('"').next().expect("ends").replace("&#38;", "&");
    assert_eq!(rows(&pages.get(&before).await), ["[gone]"]);
    pages.stop().await;
}

#[tokio::test]
async fn before_a_large_file_its_size_is_told() {
    let pages = Pages::start().await;
    let events = (0..100_001).map(|number| event("web01", 6, format!("line {number:06}")));
    put_every(&pages.store, 1000, events.collect()).await;
    let small = pages
        .get("/search/export?range=1h&format=csv&q=%22line%20000001%22")
        .await;
    assert_eq!(
        (small.status, small.header("location")),
        (303, Some("/export?q=%22line+000001%22&range=1h&format=csv")),
        "{small:?}"
    );
    let large = pages.get("/search/export?range=1h&format=text").await;
    assert_eq!(large.status, 200);
    assert!(
        large.body.contains("100\u{2009}001 events match") && large.body.contains("Export about 4 MB"),
        "{}",
        large.body
    );
    assert!(
        large.body.contains("href=\"/export?range=1h&#38;format=text\""),
        "{}",
        large.body
    );
    assert_eq!(pages.get("/search/export?format=exe").await.status, 400);
    pages.stop().await;
}
