//! The list of sources as people watch it.

use crate::{
    browser::Pages,
    chromium::Chromium,
    data::{event, put},
};

/// As if so many seconds had gone by.
async fn later(browser: &Chromium, seconds: u32) {
    let script = "if (!('ahead' in window)) {
            const now = Date.now;
            window.ahead = 0;
            Date.now = () => now() + window.ahead;
        }";
    browser.run(script).await;
    browser.run(&format!("window.ahead += {seconds}000")).await;
}

#[tokio::test]
async fn the_list_stays_fresh_without_taking_anything_away() {
    let pages = Pages::start().await;
    put(
        &pages.store,
        vec![event("db07", 6, "one"), event("web01", 6, "two")],
    )
    .await;
    let browser = Chromium::start(&pages).await;
    browser.open("/sources").await;
    browser.press("jj").await;
    let shown = "document.querySelector('tr[data-host=web01] td.count').innerText";
    browser.until(&format!("{shown} === '1'")).await;
    browser
        .run("window.row = document.querySelector('tr[data-host=web01]')")
        .await;
    put(
        &pages.store,
        vec![event("web01", 6, "three"), event("web01", 6, "four")],
    )
    .await;
    // What is kept of the newest events is read anew after a while.
    later(&browser, 11).await;
    browser
        .until(&format!("{shown} === '3' || (window.ahead += 11000, false)"))
        .await;
    assert_eq!(
        browser
            .run("return window.row.isConnected && document.activeElement.pathname")
            .await,
        "/sources/web01",
        "neither the row nor the focus has changed"
    );
    let columns = browser
        .run("return [...window.row.cells].map((cell) => cell.dataset.name ?? cell.className).join()")
        .await;
    assert_eq!(
        columns, ",mono,via,per 5 min,24 h,last seen,usual gap,clock,defects,why,since",
        "each cell is where it was"
    );
    // Another one comes: the table is another, the focus is where it was.
    put(&pages.store, vec![event("app01", 6, "five")]).await;
    later(&browser, 11).await;
    browser
        .until("document.querySelector('tr[data-host=app01]')")
        .await;
    assert_eq!(
        browser.run("return document.activeElement.pathname").await,
        "/sources/web01"
    );
    // What is selected stays.
    browser
        .run("getSelection().selectAllChildren(document.querySelector('tr[data-host=db07] th'))")
        .await;
    put(&pages.store, vec![event("new01", 6, "six")]).await;
    let asked =
        "performance.getEntriesByType('resource').filter((one) => one.name.includes('part=table')).length";
    browser.run(&format!("window.asked = {asked}")).await;
    later(&browser, 11).await;
    browser.until(&format!("{asked} > window.asked")).await;
    assert_eq!(browser.run("return String(getSelection())").await, "db07");
    browser.run("getSelection().removeAllRanges()").await;
    browser
        .until("document.querySelector('tr[data-host=new01]')")
        .await;
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn old_data_are_told_to_be_old_and_nobody_asks_for_a_hidden_page() {
    let pages = Pages::start().await;
    put(&pages.store, vec![event("web01", 6, "one")]).await;
    let browser = Chromium::start(&pages).await;
    browser.open("/sources").await;
    browser.until("document.readyState === 'complete'").await;
    browser
        .run(
            "window.asked = 0; window.fetch = () => { window.asked++; return Promise.reject(new TypeError('away')); };
             window.looked = 0;
             Object.defineProperty(document, 'hidden', { get: () => { window.looked++; return true; }, configurable: true });",
        )
        .await;
    later(&browser, 40).await;
    browser.until("window.looked > 2").await;
    assert_eq!(browser.run("return window.asked").await, 0);
    browser
        .run("Object.defineProperty(document, 'hidden', { value: false, configurable: true })")
        .await;
    browser
        .until("window.asked > 0 && /^Stale: as of \\d+ s ago/.test(document.querySelector('#source-stale').innerText)")
        .await;
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn columns_are_sorted_by_their_heads_without_scripts() {
    let pages = Pages::start().await;
    put(
        &pages.store,
        vec![event("a", 6, "1"), event("b", 6, "2"), event("b", 6, "3")],
    )
    .await;
    let browser = Chromium::start(&pages).await;
    browser.without_scripts().await;
    browser.open("/sources").await;
    for (head, search, first) in [
        (4, "?sort=rate", "b"),
        (4, "?sort=-rate", "a"),
        (2, "?sort=hostname", "a"),
    ] {
        browser.click(&format!("thead th:nth-child({head}) a")).await;
        assert_eq!(browser.here().await, format!("/sources{search}"));
        assert_eq!(browser.text("tbody th").await, first);
        assert_eq!(browser.count("th[aria-sort]").await, 1);
    }
    browser.close().await;
    pages.stop().await;
}
