//! With the keyboard alone.

use crate::{
    browser::Pages,
    chromium::{Chromium, DOWN, ENTER, ESCAPE, TAB},
    data::{event, put},
};

#[tokio::test]
async fn rows_are_reached_opened_and_left_by_keys() {
    let pages = Pages::start().await;
    let events = (0..40).map(|number| {
        let severity = match number {
            10 => 3,
            20 => 4,
            _ => 6,
        };
        event("web01", severity, format!("line {number:02}"))
    });
    put(&pages.store, events.collect()).await;
    let browser = Chromium::start(&pages).await;
    browser.open("/search").await;
    browser.until("document.title.startsWith('40 events')").await;
    let focused =
        "return document.activeElement.closest('tr')?.cells[4].innerText ?? document.activeElement.id";
    for (keys, at) in [
        ("/", "q"),
        ("line", "q"),
        (ENTER, "q"),
        (ESCAPE, ""),
        ("j", "line 39"),
        ("j", "line 38"),
        ("k", "line 39"),
        ("w", "line 20"),
        ("e", "line 10"),
        ("W", "line 20"),
        ("n", "line 19"),
        ("N", "line 20"),
    ] {
        browser.press(keys).await;
        browser.until("!document.querySelector('[aria-busy]')").await;
        let found = browser.run(focused).await;
        let found = found.as_str().unwrap_or_default();
        assert!(found == at || at.is_empty() && found != "q", "{keys}: {found}");
    }
    browser.press(ENTER).await;
    browser.until("document.querySelector('tr.details')").await;
    browser.press("?").await;
    browser.until("document.querySelector('#keys').open").await;
    browser.press(ESCAPE).await;
    browser.until("!document.querySelector('#keys').open").await;
    browser.press(".").await;
    browser.until("document.querySelector('#facets').hidden").await;
    browser.press(".").await;
    browser.press("x").await;
    browser
        .until("location.pathname + location.search === '/search'")
        .await;
    browser.until("!document.querySelector('[aria-busy]')").await;
    browser.press("j").await;
    browser.press("z").await;
    browser.until("location.search.includes('from=')").await;
    browser.until("!document.querySelector('[aria-busy]')").await;
    let minute = browser.here().await;
    browser.press("[").await;
    browser
        .until(&format!("location.pathname + location.search !== {minute:?}"))
        .await;
    browser.until("!document.querySelector('[aria-busy]')").await;
    browser.press("]").await;
    browser
        .until(&format!("location.pathname + location.search === {minute:?}"))
        .await;
    browser.until("!document.querySelector('[aria-busy]')").await;
    browser.press("j").await;
    browser.press("c").await;
    browser.until("location.pathname.endsWith('/context')").await;
    browser.run("history.back()").await;
    browser
        .until("location.pathname === '/search' && document.readyState === 'complete'")
        .await;
    browser.press("gp").await;
    browser.until("location.pathname === '/pipeline'").await;
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn the_focus_is_seen_and_goes_in_the_order_of_the_page() {
    let pages = Pages::start().await;
    put(&pages.store, vec![event("web01", 6, "one")]).await;
    let browser = Chromium::start(&pages).await;
    browser.open("/search").await;
    // The shape and the values come last, in either order, and the chart takes the place of its drawing.
    browser
        .until("document.querySelector('#chart button.key') && document.querySelector('#facets')")
        .await;
    let mut seen = Vec::new();
    for _ in 0..40 {
        browser.press(TAB).await;
        let focused = browser
            .run(
                "const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
                 const place = e.closest('.skip, header, form, .tools, .chips, .chart, .result, .facets');
                 const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
                 return [place?.className || place?.tagName, ring && box.width > 0, e.outerHTML.slice(0, 80)]",
            )
            .await;
        assert_eq!(focused[1], true, "no ring: {focused}");
        let place = focused[0].as_str().unwrap_or_default().to_owned();
        if seen.last() != Some(&place) {
            seen.push(place);
        }
        if seen.last().is_some_and(|place| place == "facets") {
            break;
        }
    }
    let order: Vec<_> = seen.iter().map(String::as_str).collect();
    assert_eq!(
        order,
        [
            "skip", "bar", "query", "tools", "chips", "result", "chart", "facets"
        ]
    );
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn single_keys_can_be_switched_off() {
    let pages = Pages::start().await;
    put(&pages.store, vec![event("web01", 6, "one")]).await;
    let browser = Chromium::start(&pages).await;
    browser.open("/search").await;
    browser.click("header .menu summary").await;
    browser
        .run("document.querySelector('[name=keys]').value = 'off'")
        .await;
    browser.click("header .menu form button").await;
    browser
        .until("document.documentElement.dataset.keys === 'off'")
        .await;
    browser.until("document.title.startsWith('1 event ')").await;
    browser.press("?/x").await;
    assert_eq!(browser.count("#keys").await, 0);
    assert_ne!(browser.run("return document.activeElement.id").await, "q");
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn keys_narrow_to_the_value_that_has_the_focus() {
    let pages = Pages::start().await;
    put(
        &pages.store,
        vec![event("web01", 6, "one"), event("web02", 6, "two")],
    )
    .await;
    let browser = Chromium::start(&pages).await;
    for (key, query, rows) in [
        ("f", "hostname:web01", "1 event"),
        ("F", "-hostname:web01", "1 event"),
    ] {
        browser.open("/search").await;
        browser.until("document.title.startsWith('2 events')").await;
        browser
            .run("[...document.querySelectorAll('.facets li a')].find((a) => a.textContent === 'web01').focus()")
            .await;
        browser.press(key).await;
        browser
            .until(&format!(
                "new URL(location.href).searchParams.get('q') === {query:?}"
            ))
            .await;
        browser
            .until(&format!("document.title.startsWith({rows:?})"))
            .await;
    }
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn sources_are_walked_by_keys() {
    let pages = Pages::start().await;
    put(
        &pages.store,
        vec![event("db07", 6, "one"), event("web01", 6, "two")],
    )
    .await;
    let browser = Chromium::start(&pages).await;
    browser.open("/sources").await;
    browser.press("jj").await;
    browser.press(ENTER).await;
    browser.until("location.pathname === '/sources/web01'").await;
    browser.until("document.readyState === 'complete'").await;
    browser.press("m").await;
    assert_eq!(browser.run("return document.activeElement.name").await, "for");
    browser.open("/sources").await;
    browser.press("s").await;
    browser
        .until("location.search === '?q=&state=silent&sort='")
        .await;
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn arrows_follow_the_flow_of_the_pipeline() {
    let pages = Pages::start().await;
    let browser = Chromium::start(&pages).await;
    browser.open("/pipeline").await;
    browser.run("document.querySelector('.map a').focus()").await;
    let focused = "return document.activeElement.querySelector('.name')?.textContent ?? ''";
    let mut names = Vec::new();
    for _ in 0..2 {
        browser.press(DOWN).await;
        let name = browser.run(focused).await;
        names.push(name.as_str().unwrap_or_default().to_owned());
    }
    // From intake to its queue, and from that to who takes from it.
    assert_eq!(names, ["parser", "parser"]);
    browser.press(ENTER).await;
    browser.until("location.search === '?open=parser'").await;
    browser.press("c").await;
    browser.until("location.pathname === '/pipeline/clients'").await;
    browser.close().await;
    pages.stop().await;
}
