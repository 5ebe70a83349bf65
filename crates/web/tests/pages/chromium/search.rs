//! Searching with scripts: nothing loads the page anew, and the address always tells what is shown.

use crate::{
    browser::Pages,
    chromium::{Chromium, DOWN, ENTER, ESCAPE},
    data::{event, put, put_every, with_field},
};

/// Says whether the page is the one that was marked.
const IS_SAME_PAGE: &str = "window.isMarked === true";

async fn lines(pages: &Pages) {
    let mut events: Vec<_> = (0..150)
        .map(|number| event("web01", 6, format!("line {number:03}")))
        .collect();
    events.push(with_field(
        event("db07", 3, "connection refused by db"),
        "user",
        "ana",
    ));
    events.push(event("web01", 4, "connection refused again"));
    put(&pages.store, events).await;
}

/// A browser that shows `path` of pages with these lines.
async fn opened(path: &str) -> (Pages, Chromium) {
    let pages = Pages::start().await;
    lines(&pages).await;
    let browser = Chromium::start(&pages).await;
    browser.open(path).await;
    (pages, browser)
}

#[tokio::test]
async fn a_query_runs_in_place_and_the_way_back_undoes_it() {
    let (pages, browser) = opened("/search").await;
    browser.until("document.title.startsWith('152 events')").await;
    browser.run("window.isMarked = true").await;
    browser.fill("#q", "refused").await;
    browser.press(ENTER).await;
    browser
        .until("document.title === '2 events – Search – Logferry'")
        .await;
    assert_eq!(browser.here().await, "/search?q=refused");
    assert_eq!(browser.count("#rows tr[id]").await, 2);
    assert_eq!(browser.text("#rows tr[id] mark").await, "refused");
    assert_eq!(browser.text(".chips code").await, "refused");
    // From a value beside the rows to only it, and without it again.
    browser
        .click(".facets a[href*='hostname%3Adb07']:not(.not)")
        .await;
    browser.until("document.title.startsWith('1 event ')").await;
    assert_eq!(browser.count(".chips li:not(.plain)").await, 2);
    browser.click("[aria-label='Remove filter refused']").await;
    browser
        .until("document.querySelector('#q').value === 'hostname:db07'")
        .await;
    browser.run("history.back()").await;
    browser
        .until("document.querySelector('#q').value === 'refused hostname:db07'")
        .await;
    browser.run("history.back()").await;
    browser.until("document.title.startsWith('2 events')").await;
    browser.run("history.back()").await;
    browser.until("document.title.startsWith('152 events')").await;
    assert_eq!(browser.run("return document.querySelector('#q').value").await, "");
    browser.until(IS_SAME_PAGE).await;
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn a_row_opens_below_itself_and_its_values_narrow() {
    let (pages, browser) = opened("/search?q=refused").await;
    browser.until("document.title.startsWith('2 events')").await;
    browser.run("window.isMarked = true").await;
    browser.click("#rows tr[id]:nth-child(2) td:nth-child(5)").await;
    browser.until("document.querySelector('.details .message')").await;
    assert_eq!(
        browser.text(".details .message").await,
        "connection refused by db"
    );
    assert!(browser.here().await.contains("&at="), "{}", browser.here().await);
    // Loaded anew, the same row is open.
    let here = browser.here().await;
    browser.open(&here).await;
    browser
        .until("document.querySelectorAll('.details [data-act=json]').length === 1")
        .await;
    browser.run("window.isMarked = true").await;
    browser.click("#rows tr.open td:nth-child(5)").await;
    browser.until("!document.querySelector('.details')").await;
    assert!(!browser.here().await.contains("at="));
    browser.click("#rows tr[id]:nth-child(2) a").await;
    browser.until("document.querySelector('.details .narrow')").await;
    browser
        .click(".details [aria-label='Not hostname with this value']")
        .await;
    browser.until("document.title.startsWith('1 event ')").await;
    assert_eq!(
        browser.run("return document.querySelector('#q').value").await,
        "refused -hostname:db07"
    );
    assert_eq!(
        browser.text("#rows tr[id] td:nth-child(5)").await,
        "connection refused again"
    );
    browser.until(IS_SAME_PAGE).await;
    browser.click("#rows tr[id] a").await;
    browser
        .until("document.querySelector('.details .acts-bar')")
        .await;
    browser.click(".details a[href*='/context']").await;
    browser.until("location.pathname.endsWith('/context')").await;
    assert_eq!(browser.count(".rows tr.open").await, 1);
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn a_drag_on_the_chart_zooms_and_a_click_goes_into_a_bar() {
    let pages = Pages::start().await;
    let events = (0..600).map(|number| event("web01", if number % 50 == 0 { 3 } else { 6 }, "tick"));
    put_every(&pages.store, 5_000_000, events.collect()).await;
    let browser = Chromium::start(&pages).await;
    browser.open("/search?range=1h").await;
    browser.until("document.querySelector('.u-over')").await;
    browser.run("window.isMarked = true").await;
    browser.drag(".u-over", 0.7, 0.8).await;
    browser
        .until("location.search.includes('from=') && !document.querySelector('[aria-busy]')")
        .await;
    browser
        .until("document.querySelectorAll('#rows tr[id]').length < 100")
        .await;
    let count = browser.text("#status b").await;
    let events: usize = count
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("is counted");
    // A tenth of an hour, at one in five seconds; pixels are no seconds.
    assert!((60..=84).contains(&events), "{count}");
    assert!(!browser.here().await.contains("range="));
    let zoomed = browser.here().await;
    browser.drag(".u-over", 0.5, 0.5).await;
    browser
        .until(&format!("location.pathname + location.search !== {zoomed:?}"))
        .await;
    browser.until("!document.querySelector('[aria-busy]')").await;
    browser.press("Z").await;
    browser
        .until(&format!("location.pathname + location.search === {zoomed:?}"))
        .await;
    browser.press("Z").await;
    browser.until("location.search === '?range=1h'").await;
    browser.until(IS_SAME_PAGE).await;
    // What it shows stands in a table as well.
    browser.until("!document.querySelector('[aria-busy]')").await;
    browser.click(".legend summary").await;
    assert!(browser.text(".legend table").await.contains("crit+"));
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn suggestions_help_and_never_stand_in_the_way() {
    let (pages, browser) = opened("/search").await;
    browser.until("document.title.startsWith('152 events')").await;
    browser.fill("#q", "refused ho").await;
    browser.until("!document.querySelector('#suggest').hidden").await;
    browser.press(DOWN).await;
    let chosen = "document.querySelector('#q').getAttribute('aria-activedescendant') === 'suggest-0'";
    browser.until(chosen).await;
    browser.press(ENTER).await;
    browser
        .until("document.querySelector('#q').value === 'refused hostname:'")
        .await;
    // Its values come at once, and Enter runs what was typed.
    browser
        .until("document.querySelector('#suggest').innerText.includes('hostname:db07')")
        .await;
    browser.press("db07").await;
    browser.press(ENTER).await;
    browser.until("document.title.startsWith('1 event ')").await;
    assert_eq!(
        browser.run("return document.querySelector('#q').value").await,
        "refused hostname:db07"
    );
    browser.until("document.querySelector('#suggest').hidden").await;
    browser.press(" se").await;
    browser.until("!document.querySelector('#suggest').hidden").await;
    browser.press(ESCAPE).await;
    browser
        .until("document.querySelector('#suggest').hidden && document.activeElement.id === 'q'")
        .await;
    browser.press(ESCAPE).await;
    browser.until("document.activeElement.id !== 'q'").await;
    // What ran before is offered below an empty field, in place of all that is typed.
    browser.fill("#q", "").await;
    browser.press(DOWN).await;
    browser.until(chosen).await;
    assert_eq!(browser.text("#suggest-0").await, "refused hostname:db07\nrecent");
    browser.press(ENTER).await;
    browser
        .until("document.querySelector('#q').value === 'refused hostname:db07'")
        .await;
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn a_mistake_keeps_the_rows_and_offers_the_fix() {
    let (pages, browser) = opened("/search?q=refused").await;
    browser.until("document.title.startsWith('2 events')").await;
    browser.fill("#q", "refused severity:wrn").await;
    browser.press(ENTER).await;
    browser.until("document.querySelector('#mistake')").await;
    assert_eq!(browser.text("#mistake u").await, "wrn");
    browser
        .until("document.querySelector('#main').classList.contains('old')")
        .await;
    assert_eq!(browser.count("#rows tr[id]").await, 2);
    // The server says 422, which the console tells; nothing else.
    let complaints = browser.complaints().await;
    assert!(
        complaints.len() == 1 && complaints[0].contains("422"),
        "{complaints:?}"
    );
    browser.click("#mistake a.button").await;
    browser.until("document.title.startsWith('1 event ')").await;
    assert!(
        !browser
            .run("return document.querySelector('#main').className")
            .await
            .to_string()
            .contains("old")
    );
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn a_copied_link_finds_the_same_later() {
    let (pages, browser) = opened("/search?q=refused").await;
    browser.until("document.title.startsWith('2 events')").await;
    // What would be copied.
    browser
        .run("window.copied = ''; navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        .await;
    browser.click("#rows tr[id]:nth-child(2) a").await;
    browser
        .until("document.querySelector('.details [data-act=link]')")
        .await;
    browser.click(".details [data-act=link]").await;
    browser.until("window.copied").await;
    let link = browser.run("return window.copied").await;
    let link = link.as_str().expect("is text").to_owned();
    for part in ["q=refused", "from=", "to=", "at="] {
        assert!(link.contains(part), "{link}");
    }
    browser.click(".details [data-act=json]").await;
    browser.until("window.copied.startsWith('{')").await;
    browser.press("y").await;
    browser
        .until("window.copied.includes('connection refused by db')")
        .await;
    // Now, and not a second ago: the link was made in less.
    put_every(&pages.store, 0, vec![event("web01", 3, "refused later")]).await;
    let path = link.split_once(&pages.addr.to_string()).expect("is ours").1;
    browser.open(path).await;
    browser.until("document.title.startsWith('2 events')").await;
    assert_eq!(
        browser.text(".details .message").await,
        "connection refused by db"
    );
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn an_export_is_a_file() {
    let pages = Pages::start().await;
    lines(&pages).await;
    let browser = Chromium::start(&pages).await;
    let folder = browser.keep_downloads().await;
    browser.open("/search?q=refused").await;
    browser.until("document.title.startsWith('2 events')").await;
    browser.click(".tools .menu:nth-of-type(3) summary").await;
    browser.click("a[href*='format=csv']").await;
    let file = folder.join("logferry.csv");
    let text = testkit::eventually(crate::browser::DEADLINE, || async {
        std::fs::read_to_string(&file)
            .ok()
            .filter(|text| text.contains("complete"))
    })
    .await;
    assert!(text.ends_with("# 2 events, complete\n"), "{text}");
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn everything_is_found_without_scripts() {
    let pages = Pages::start().await;
    lines(&pages).await;
    let browser = Chromium::start(&pages).await;
    browser.without_scripts().await;
    browser.open("/").await;
    browser.fill("#q", "refused").await;
    browser.press(ENTER).await;
    browser.until("location.search.includes('q=refused')").await;
    assert_eq!(browser.count("#rows tr[id]").await, 2);
    // They are seen on a wide screen; the driver thinks that what is in a closed element cannot be.
    let is_seen = "return document.querySelector('.facets .not').getBoundingClientRect().height > 10";
    assert_eq!(browser.run(is_seen).await, true);
    browser
        .run("document.querySelector(\".facets a[href*='hostname%3Adb07']:not(.not)\").click()")
        .await;
    browser
        .until("document.querySelectorAll('#rows tr[id]').length === 1")
        .await;
    browser.click("#rows tr[id] a").await;
    browser.until("location.pathname.startsWith('/event/')").await;
    browser.click(".acts-bar a[href*='/context']").await;
    browser.until("location.pathname.endsWith('/context')").await;
    assert_eq!(
        browser
            .count("[data-copy]:not([hidden]), #tail-pause:not([hidden])")
            .await,
        0
    );
    browser.open("/tail").await;
    assert!(browser.text("#tail-state").await.contains("Refresh"));
    for path in ["/pipeline", "/dead-letters", "/sources", "/settings/tokens"] {
        browser.open(path).await;
        assert!(browser.count("h1").await == 1, "{path}");
    }
    browser.close().await;
    pages.stop().await;
}

/// From now on answers stop after their first piece.
const STALL: &str = "const real = window.fetch;
    window.fetch = async (address, options) => {
      const answer = await real(address, options);
      const { value } = await answer.body.getReader().read();
      const body = new ReadableStream({ start(pieces) {
        pieces.enqueue(value);
        options.signal.addEventListener('abort', () => pieces.error(options.signal.reason));
      } });
      return Object.defineProperty(new Response(body), 'url', { value: answer.url });
    };";

#[tokio::test]
async fn a_search_that_takes_long_says_so_and_can_be_cancelled() {
    let (pages, browser) = opened("/search").await;
    browser.until("document.title.startsWith('152 events')").await;
    browser.run(STALL).await;
    browser.fill("#q", "refused").await;
    browser.press(ENTER).await;
    browser
        .until("document.querySelector('.progress')?.offsetHeight")
        .await;
    assert_eq!(
        browser
            .run("return document.querySelector('#main').getAttribute('aria-busy')")
            .await,
        "true"
    );
    browser.click(".progress button").await;
    browser.until("document.querySelector('#result > .note')").await;
    assert!(browser.text("#result > .note").await.starts_with("Cancelled"));
    browser.until("!document.querySelector('[aria-busy]')").await;
    // Again, and by the key.
    browser.press(ENTER).await;
    browser.fill("#q", "again").await;
    browser.press(ENTER).await;
    browser
        .until("document.querySelector('.progress')?.offsetHeight")
        .await;
    browser.press(ESCAPE).await;
    browser.until("!document.querySelector('[aria-busy]')").await;
    assert_eq!(browser.count("#result > .note").await, 1);
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn columns_are_chosen_and_taken_away() {
    let (pages, browser) = opened("/search?q=refused").await;
    browser.until("document.title.startsWith('2 events')").await;
    browser.run("window.isMarked = true").await;
    browser.click("#rows tr[id]:nth-child(2) a").await;
    browser.until("document.querySelector('.details .pairs')").await;
    browser.click("[aria-label='Column for fields.user']").await;
    browser
        .until("document.querySelectorAll('#rows thead th').length === 6")
        .await;
    browser.until("!document.querySelector('[aria-busy]')").await;
    let cells =
        "return [...document.querySelectorAll('#rows tr[id] td:nth-child(5)')].map((cell) => cell.innerText)";
    assert_eq!(browser.run(cells).await, serde_json::json!(["", "ana"]));
    assert!(
        browser.here().await.contains("cols=fields.user"),
        "{}",
        browser.here().await
    );
    browser.click("[aria-label='Remove column fields.user']").await;
    browser
        .until("document.querySelectorAll('#rows thead th').length === 5")
        .await;
    browser.until(IS_SAME_PAGE).await;
    browser.close().await;
    let csv = pages.get("/export?q=refused&format=csv&cols=fields.user").await;
    assert!(
        csv.body
            .lines()
            .next()
            .is_some_and(|head| head.ends_with(",id,fields.user")),
        "{}",
        csv.body
    );
    assert!(csv.body.contains(",ana\r\n"), "{}", csv.body);
    for cols in [
        "nothing.like:it",
        "host:web01%20OR%20x",
        "procid,procid,procid,procid,procid,procid,procid,procid,procid",
    ] {
        let refused = pages.get(&format!("/search?cols={cols}")).await;
        assert!(matches!(refused.status, 400 | 404), "{cols}: {}", refused.status);
    }
    pages.stop().await;
}

#[tokio::test]
async fn rows_are_seen_in_small_at_the_edge() {
    let (pages, browser) = opened("/search?q=line+OR+refused").await;
    browser.until("document.querySelector('#minimap')").await;
    assert_eq!(browser.count("#minimap .b-err").await, 1);
    // The last of the rows that are there is far below.
    assert_eq!(browser.run("return scrollY").await, 0);
    browser
        .run("const box = document.querySelector('#minimap').getBoundingClientRect();
              document.querySelector('#minimap').dispatchEvent(new MouseEvent('click', { clientY: box.bottom - 1 }))")
        .await;
    browser.until("scrollY > 100").await;
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn an_estimate_gives_way_to_the_count() {
    let (pages, browser) = opened("/search?range=1h").await;
    browser.until("document.title.startsWith('152 events')").await;
    // The store counts so few at once; the page is made to say that it has only an estimate.
    browser
        .run(
            "const real = window.fetch;
             window.fetch = async (address, ...rest) => {
               const answer = await real(address, ...rest);
               if (!String(address).includes('/search')) { window.asked = String(address); return answer; }
               const html = (await answer.text()).replace(/<b>2 events/, '<b data-estimate>few events (estimate)');
               return Object.defineProperty(new Response(html), 'url', { value: answer.url });
             };",
        )
        .await;
    browser.fill("#q", "refused").await;
    browser.press(ENTER).await;
    browser.until("window.asked").await;
    browser
        .until("document.querySelector('#status b:not([data-estimate])').textContent === '2 events'")
        .await;
    let asked = browser.run("return window.asked").await;
    let asked = asked.as_str().unwrap_or_default();
    assert!(
        asked.starts_with("/api/v1/count?q=refused") && asked.contains("exact=1") && asked.contains("from="),
        "{asked}"
    );
    browser.until("document.title.startsWith('2 events')").await;
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn on_a_phone_frequent_values_fold_away() {
    let (pages, browser) = opened("/nowhere").await;
    browser.complaints().await;
    browser.resize(390, 844).await;
    browser.open("/search").await;
    browser.until("document.title.startsWith('152 events')").await;
    let is_shown = "document.querySelector('.facets li')?.checkVisibility({ contentVisibilityAuto: true })";
    browser.until(&format!("!{is_shown}")).await;
    let top = browser
        .run("return document.querySelector('#rows tr[id]').getBoundingClientRect().top")
        .await;
    assert!(
        top.as_f64().is_some_and(|top| top < 600.0),
        "rows are seen at once: {top}"
    );
    // Two lines a row: what and who, and the message below.
    let lines = browser
        .run("const row = document.querySelector('#rows tr[id]'); return [row.cells[0], row.cells[4]].map((c) => c.getBoundingClientRect().top)")
        .await;
    assert!(lines[1].as_f64() > lines[0].as_f64(), "{lines}");
    browser.click(".fold > summary").await;
    browser.until(is_shown).await;
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn a_group_of_the_legend_is_hidden_and_shown() {
    let (pages, browser) = opened("/search").await;
    browser.until("document.querySelector('.legend button')").await;
    let key = ".legend button[data-group=other]";
    let pressed = |is| format!("document.querySelector('{key}').getAttribute('aria-pressed') === '{is}'");
    browser.until(&pressed(true)).await;
    let pixels = "return document.querySelector('.plot canvas').toDataURL()";
    let all = browser.run(pixels).await;
    browser.click(key).await;
    browser.until(&pressed(false)).await;
    assert_ne!(browser.run(pixels).await, all, "the others take the room");
    // What was hidden stays so while one looks further.
    browser.fill("#q", "refused").await;
    browser.press(ENTER).await;
    browser.until("document.title.startsWith('2 events')").await;
    browser.until(&pressed(false)).await;
    browser.click(key).await;
    browser.until(&pressed(true)).await;
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn one_value_is_copied_and_a_search_is_saved_and_linked() {
    let (pages, browser) = opened("/search?q=refused&range=1h").await;
    browser.until("document.title.startsWith('2 events')").await;
    browser.click("#rows tr[id] td:nth-child(5)").await;
    browser.until("document.querySelector('[data-act=value]')").await;
    browser
        .run("Object.defineProperty(navigator, 'clipboard', { value: { writeText: async (text) => { window.copied = text; } } })")
        .await;
    let host = browser
        .run(
            "const dd = [...document.querySelectorAll('.pairs > div')].find((pair) => pair.querySelector('dt').textContent === 'hostname');
             dd.querySelector('[data-act=value]').click();
             return dd.querySelector('dd').firstChild.textContent.trim()",
        )
        .await;
    browser.until("window.copied").await;
    assert_eq!(browser.run("return window.copied").await, host);
    browser.click(".tools .menu:nth-of-type(1) summary").await;
    browser.fill(".tools input[name=name]", "refusals").await;
    browser.click(".tools form[action='/saved'] button").await;
    browser.until("location.pathname === '/saved'").await;
    browser.click("th a[href^='/search']").await;
    browser.until("document.title.startsWith('2 events')").await;
    assert_eq!(browser.here().await, "/search?q=refused&range=1h");
    browser.click("#rows tr[id] td:nth-child(5)").await;
    browser.until("location.search.includes('at=')").await;
    browser.click(".tools .menu:nth-of-type(1) summary").await;
    browser.click(".tools form[action='/links'] button").await;
    browser.until("document.querySelector('#secret')").await;
    let link = browser.text("#secret").await;
    let path = &link[link.find("/s/").expect("is a link")..];
    browser.open(path).await;
    browser.until("document.querySelector('tr.details')").await;
    let here = browser.here().await;
    assert!(
        here.starts_with("/search?q=refused&from=") && here.contains("&at="),
        "the row that was open is: {here}"
    );
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told() {
    let (pages, browser) = opened("/search").await;
    browser.until("document.title.startsWith('152 events')").await;
    assert_eq!(browser.count(".clock").await, 0);
    let wrong = serde_json::json!({ "source": "const now = Date.now; Date.now = () => now() + 7_200_000" });
    browser
        .devtools("Page.addScriptToEvaluateOnNewDocument", &wrong)
        .await;
    browser.open("/search").await;
    browser.until("document.title.startsWith('152 events')").await;
    let told = browser.text(".clock").await;
    assert!(told.contains("120 min ahead of the server's"), "{told}");
    browser.close().await;
    pages.stop().await;
}
