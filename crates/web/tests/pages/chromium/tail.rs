//! The live tail as people watch it.

use crate::{
    browser::Pages,
    chromium::{Chromium, ENTER},
    data::{event, put},
    tail::publish,
};

#[tokio::test]
async fn rows_come_wait_while_paused_and_go_on() {
    let pages = Pages::start().await;
    put(&pages.store, vec![event("web01", 6, "stored before")]).await;
    let browser = Chromium::start(&pages).await;
    browser.open("/tail").await;
    browser
        .until("document.querySelector('#tail-state').innerText.includes('/s arrive')")
        .await;
    assert!(browser.text("#tail-rows").await.contains("stored before"));
    publish(&pages, vec![event("web01", 3, "<b>live one</b>")]).await;
    browser
        .until("document.querySelector('#tail-rows').innerText.includes('<b>live one</b>')")
        .await;
    assert_eq!(browser.count("#tail-rows b:not(.cc)").await, 0);
    // Space pauses; what comes waits, counted.
    browser.run("document.activeElement.blur()").await;
    browser.press(" ").await;
    browser
        .until("document.querySelector('#tail-pause').ariaPressed === 'true'")
        .await;
    publish(
        &pages,
        vec![
            event("web01", 6, "while paused"),
            event("web01", 6, "and another"),
        ],
    )
    .await;
    browser
        .until("document.querySelector('#tail-follow').innerText.includes('2 new')")
        .await;
    assert!(!browser.text("#tail-rows").await.contains("while paused"));
    browser.click("#tail-follow").await;
    browser
        .until("document.querySelector('#tail-rows').innerText.includes('and another')")
        .await;
    browser
        .until("document.querySelector('#tail-follow').hidden")
        .await;
    browser.run("document.activeElement.blur()").await;
    browser.press("m").await;
    browser
        .until("document.querySelectorAll('.tail-mark').length === 1")
        .await;
    // A new filter keeps what is there.
    browser.fill("#q", "host:db01").await;
    browser.press(ENTER).await;
    browser
        .until("document.querySelectorAll('.tail-mark').length === 2")
        .await;
    assert_eq!(browser.here().await, "/tail?q=host%3Adb01");
    browser
        .until("document.querySelector('#tail-state').innerText.includes('/s arrive')")
        .await;
    publish(
        &pages,
        vec![event("web01", 6, "not wanted"), event("db01", 6, "wanted")],
    )
    .await;
    browser
        .until("document.querySelector('#tail-rows').lastElementChild.innerText.includes('wanted')")
        .await;
    assert!(!browser.text("#tail-rows").await.contains("not wanted"));
    // A bad one does not run, and the old one goes on.
    browser.fill("#q", "severity:wrn").await;
    browser.press(ENTER).await;
    browser
        .until("document.querySelector('#tail-problem').innerText.includes('wrn is not a severity')")
        .await;
    publish(&pages, vec![event("db01", 6, "still wanted")]).await;
    browser
        .until("document.querySelector('#tail-rows').innerText.includes('still wanted')")
        .await;
    // An event that is not stored yet says so, and opening it pauses.
    browser.click("#tail-rows tr[id]:last-child a").await;
    browser
        .until("document.querySelector('.details')?.innerText.includes('not stored yet')")
        .await;
    assert_eq!(browser.text("#tail-pause").await, "▶ Follow");
    let complaints = browser.complaints().await;
    assert!(
        complaints.len() == 1 && complaints[0].contains("404"),
        "{complaints:?}"
    );
    browser.click("#tail-clear").await;
    assert_eq!(browser.count("#tail-rows tr").await, 0);
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn what_is_too_fast_is_a_line_that_leads_to_it() {
    let pages = Pages::start().await;
    let browser = Chromium::start(&pages).await;
    browser.open("/tail").await;
    browser
        .until("document.querySelector('#tail-state').innerText.includes('/s arrive')")
        .await;
    let events = (0..2000).map(|number| event("web01", 6, format!("line {number}")));
    publish(&pages, events.collect()).await;
    browser.until("document.querySelector('.tail-gap')").await;
    let gap = browser.text(".tail-gap").await;
    assert!(gap.contains("not shown here (too fast"), "{gap}");
    let end = "document.querySelector('#tail-log')";
    browser
        .until(&format!(
            "{end}.scrollTop + {end}.clientHeight >= {end}.scrollHeight - 2"
        ))
        .await;
    // Scrolling up pauses.
    browser
        .run("document.querySelector('#tail-log').scrollTop = 0")
        .await;
    browser
        .until("document.querySelector('#tail-pause').ariaPressed === 'true'")
        .await;
    browser.press("G").await;
    browser
        .until("document.querySelector('#tail-pause').ariaPressed === 'false'")
        .await;
    browser.click(".tail-gap a").await;
    browser
        .until("location.pathname === '/search' && location.search.includes('from=')")
        .await;
    browser.close().await;
    pages.stop().await;
}
