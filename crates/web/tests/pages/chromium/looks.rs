//! Narrow, dark, with other colours: every page, in every form in which it can be.

use crate::{
    browser::Pages,
    chromium::Chromium,
    data::{event, put},
    dead::bury,
};

/// Pages with something in them; the event that the paths name.
async fn filled() -> (Pages, Vec<String>) {
    let pages = Pages::start().await;
    let mut long = event(
        "build-runner-eu-central-17.internal.example.net",
        3,
        "x".repeat(200_000),
    );
    long.fields = (0..300)
        .map(|number| (format!("f{number}").into(), ::event::Value::Integer(number)))
        .collect();
    let ids = put(
        &pages.store,
        vec![
            event("web01", 2, "\u{202e}<b>hostile</b>\0 \u{1b}[31mred\u{1b}[0m"),
            event("web02", 4, "warned"),
            long,
        ],
    )
    .await;
    let letter = bury(
        &pages,
        "parser",
        "byte 12 is bad",
        b"<script>alert(1)</script>\x00\xff",
    )
    .await;
    let csrf = pages.get("/saved").await.csrf().to_owned();
    let long = "a+phrase+that+is+long+OR+".repeat(10);
    let form = format!(
        "csrf={csrf}&q={long}x&name=A+name+of+some+length&shared=1&from=2026-11-20T00%3A00%3A00Z&to=2026-11-21T00%3A00%3A00Z"
    );
    assert_eq!(pages.post("/saved", &[], &form).await.status, 303);
    let paths = [
        "/search".to_owned(),
        format!("/search?q=x&at={}", ids[2]),
        "/search?q=absent+host%3Aweb01&range=5m".to_owned(),
        "/search?q=severity%3Awrn".to_owned(),
        format!("/event/{}", ids[2]),
        format!("/event/{}/context", ids[0]),
        "/search/patterns".to_owned(),
        "/search/fields".to_owned(),
        "/tail".to_owned(),
        "/pipeline".to_owned(),
        "/pipeline?open=queue%3Aparser".to_owned(),
        "/pipeline/clients".to_owned(),
        "/dead-letters".to_owned(),
        "/dead-letters?stage=parser".to_owned(),
        format!("/dead-letters/{letter}"),
        "/sources".to_owned(),
        "/sources/web01".to_owned(),
        "/sources/expected".to_owned(),
        "/dead-letters/audit".to_owned(),
        "/saved".to_owned(),
        "/settings/tokens".to_owned(),
        "/settings/password".to_owned(),
        "/settings/sessions".to_owned(),
        "/settings/users".to_owned(),
        "/sign-in".to_owned(),
        "/nowhere".to_owned(),
    ];
    (pages, paths.to_vec())
}

/// The console tells of answers that are meant to be errors; nothing else may be there.
async fn expect_quiet(browser: &Chromium, path: &str) {
    let complaints = browser.complaints().await;
    let unexpected: Vec<_> = complaints
        .iter()
        .filter(|line| !line.contains("Failed to load resource: the server responded with a status of 4"))
        .collect();
    assert!(unexpected.is_empty(), "{path}: {unexpected:?}");
}

/// How wide the page is, if it is wider than the screen, and the innermost element without which it is not. Charts follow
/// a change in the next frame.
const WIDER: &str = "
    for (let frame = 0; frame < 3; frame++) await new Promise((next) => requestAnimationFrame(next));
    const root = document.documentElement;
    const all = root.scrollWidth;
    if (all <= root.clientWidth) return [];
    const isCured = (e) => {
      const display = e.style.display;
      e.style.display = 'none';
      const is = root.scrollWidth <= root.clientWidth;
      e.style.display = display;
      return is;
    };
    let e = document.body;
    for (let inner = e; inner; inner = [...e.children].find(isCured)) e = inner;
    return [all, e.outerHTML.slice(0, 200)];";

#[tokio::test]
async fn nothing_is_wider_than_a_narrow_screen() {
    let (pages, paths) = filled().await;
    let browser = Chromium::start(&pages).await;
    for width in [320, 390, 1024] {
        browser.resize(width, 844).await;
        for path in &paths {
            browser.open(path).await;
            let wider = browser.run_async(WIDER).await;
            assert_eq!(wider, serde_json::json!([]), "{width} px, {path}");
            let is_wider = "[...document.querySelectorAll('.stacked')].some((t) => t.scrollWidth > t.parentElement.clientWidth)";
            assert_eq!(
                browser.run(&format!("return {is_wider}")).await,
                false,
                "{width} px, a table of {path}"
            );
            expect_quiet(&browser, path).await;
        }
    }
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn dark_is_dark_before_any_script() {
    let pages = Pages::start().await;
    put(&pages.store, vec![event("web01", 3, "one")]).await;
    let browser = Chromium::start(&pages).await;
    let background = "return getComputedStyle(document.documentElement).backgroundColor";
    browser.open("/search").await;
    assert_eq!(browser.run(background).await, "rgb(255, 255, 255)");
    browser.prefer(&[("prefers-color-scheme", "dark")]).await;
    assert_eq!(browser.run(background).await, "rgb(15, 19, 23)");
    // What was chosen goes before what the machine prefers.
    browser.click("header .menu summary").await;
    browser
        .run("document.querySelector('[name=theme]').value = 'light'")
        .await;
    browser.click("header .menu form button").await;
    browser
        .until("document.documentElement.dataset.theme === 'light'")
        .await;
    assert_eq!(browser.run(background).await, "rgb(255, 255, 255)");
    browser.close().await;
    pages.stop().await;
}

/// What the rules of WCAG that a program can check find, on every page; of each the first place.
const AXE: &str = include_str!("../../axe-core/axe.min.js");

#[tokio::test]
async fn no_page_has_a_serious_finding_of_accessibility() {
    let (pages, paths) = filled().await;
    let browser = Chromium::start(&pages).await;
    let check = format!(
        "{AXE}; const found = await axe.run(document, {{ resultTypes: ['violations'] }});
         return found.violations.filter((v) => ['serious', 'critical'].includes(v.impact))
           .map((v) => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200), v.nodes[0].failureSummary])"
    );
    let mut findings = Vec::new();
    for (theme, width) in [("light", 1440), ("dark", 1440), ("light", 390)] {
        browser.prefer(&[("prefers-color-scheme", theme)]).await;
        browser.resize(width, 844).await;
        for path in &paths {
            browser.open(path).await;
            let found = browser.run_async(&check).await;
            if found != serde_json::json!([]) {
                findings.push(format!("{theme} {width} px {path}: {found:#}"));
            }
            expect_quiet(&browser, path).await;
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn high_contrast_and_large_text_lose_nothing() {
    let (pages, paths) = filled().await;
    let browser = Chromium::start(&pages).await;
    browser
        .prefer(&[("forced-colors", "active"), ("prefers-color-scheme", "dark")])
        .await;
    browser.open("/search").await;
    browser.until("document.querySelector('#status')").await;
    assert!(
        browser.count(".chart svg rect").await > 0,
        "a canvas would have no colours of the machine"
    );
    let mark = "return getComputedStyle(document.querySelector('#rows tr.s2 td')).borderLeftWidth";
    assert_eq!(
        browser.run(mark).await,
        "4px",
        "severe rows have a mark that no colour can hide"
    );
    browser.prefer(&[("prefers-color-scheme", "light")]).await;
    let large = serde_json::json!({ "fontSizes": { "standard": 32, "fixed": 26 } });
    browser.devtools("Page.setFontSizes", &large).await;
    for path in &paths {
        browser.open(path).await;
        let wider = browser.run_async(WIDER).await;
        assert_eq!(wider, serde_json::json!([]), "{path}");
        expect_quiet(&browser, path).await;
    }
    browser.close().await;
    pages.stop().await;
}
