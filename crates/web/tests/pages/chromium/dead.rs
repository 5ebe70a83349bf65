//! Dead letters, from the list to where they came from.

use broker::QueueName;

use crate::{
    browser::Pages,
    chromium::{Chromium, ESCAPE},
    dead::{bury, bury_line, ready},
    dead_back::bury_event,
};

const IS_ASKED: &str = "document.querySelector('dialog.ask[open] h1')";

/// Waits until a dialog asks, or tells, this.
async fn until_asked(browser: &Chromium, heading: &str) {
    let heading = format!("{IS_ASKED} && {IS_ASKED}.innerText === {heading:?}");
    browser.until(&heading).await;
}

#[tokio::test]
async fn a_letter_is_looked_at_and_put_back_without_scripts() {
    let pages = Pages::start().await;
    bury(
        &pages,
        "parser",
        "byte 12 is bad",
        b"<script>alert(1)</script>\x00\xff",
    )
    .await;
    let browser = Chromium::start(&pages).await;
    browser.without_scripts().await;
    browser.open("/dead-letters").await;
    assert_eq!(browser.text("h1").await, "1 dead letter");
    browser.click(".groups a").await;
    browser.until("document.querySelector('#group')").await;
    browser.click("td a[href^='/dead-letters/']").await;
    browser.until("document.querySelector('.piece')").await;
    assert!(
        browser
            .text(".raw")
            .await
            .contains("<script>alert(1)</script>‹U+0000›")
    );
    browser.click("#acts .primary").await;
    browser
        .until("document.querySelector('h1').innerText.includes('Put 1 dead letter back?')")
        .await;
    assert_eq!(ready(&pages, QueueName::parser()).await, 0);
    browser.click("form[action$='/requeue'] button").await;
    browser
        .until("document.querySelector('h1').innerText === '1 put back'")
        .await;
    assert_eq!(ready(&pages, QueueName::parser()).await, 1);
    browser.open("/dead-letters").await;
    assert!(browser.text("main").await.contains("No dead letters."));
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn letters_are_chosen_and_put_back_by_keys() {
    let pages = Pages::start().await;
    for number in ["1", "2", "3"] {
        bury(&pages, "parser", &format!("byte {number} is bad"), b"x").await;
    }
    let browser = Chromium::start(&pages).await;
    browser.open("/dead-letters?stage=parser").await;
    let says = "document.querySelector('#acts .primary').innerText";
    browser.until(&format!("{says} === 'Put all 3 back…'")).await;
    browser.press("jj ").await;
    browser.until(&format!("{says} === 'Put 1 letter back…'")).await;
    // The question comes in place, and the focus is on what changes nothing.
    browser.press("r").await;
    until_asked(&browser, "Put 1 dead letter back?").await;
    let focus = "return document.activeElement.innerText";
    assert_eq!(browser.run(focus).await, "Leave them there");
    browser.press(ESCAPE).await;
    browser.until("!document.querySelector('dialog[open]')").await;
    assert_eq!(ready(&pages, QueueName::dead()).await, 3);
    browser.press("r").await;
    until_asked(&browser, "Put 1 dead letter back?").await;
    browser.click("dialog .primary").await;
    until_asked(&browser, "1 of 1 put back").await;
    assert_eq!(ready(&pages, QueueName::parser()).await, 1);
    browser.press(ESCAPE).await;
    browser
        .until("document.querySelector('h1').innerText === '2 dead letters'")
        .await;
    // What is held says so, and is passed over.
    browser.open("/dead-letters?stage=parser").await;
    browser.until(&format!("{says} === 'Put all 2 back…'")).await;
    browser.press("j o").await;
    until_asked(&browser, "Hold 1 letter?").await;
    browser.fill("dialog input", "for Ana").await;
    browser.click("dialog form button").await;
    browser.until("document.querySelector('td .caution')").await;
    browser.press("ad").await;
    until_asked(&browser, "Discard 1 dead letter for good?").await;
    assert!(browser.text("dialog").await.contains("1 more are held and stay."));
    browser.fill("dialog [name=why]", "a test").await;
    assert_eq!(
        browser.text("dialog form button:not([type])").await,
        "Discard 1 letter"
    );
    browser.click("dialog form button:not([type])").await;
    until_asked(&browser, "1 of 1 discarded").await;
    assert_eq!(ready(&pages, QueueName::dead()).await, 1);
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn a_line_with_bytes_that_are_no_text_is_mended() {
    let pages = Pages::start().await;
    let id = bury_line(&pages, b"<13>Nov 21 web01 app: wrong \xff\0").await;
    let browser = Chromium::start(&pages).await;
    browser.open(&format!("/dead-letters/{id}")).await;
    browser
        .until("document.querySelector('#acts button[type=button]')")
        .await;
    browser.click("#acts button[type=button]").await;
    until_asked(&browser, "Mend the line and send it again").await;
    assert_eq!(
        browser
            .run("return document.querySelector('dialog textarea').value")
            .await,
        "<13>Nov 21 web01 app: wrong \\xff\\x00"
    );
    browser
        .fill("dialog textarea", "<13>Nov 21 web01 app: right \\xff\\x00")
        .await;
    browser.click("dialog form button").await;
    until_asked(&browser, "Send this line in place of the letter?").await;
    assert_eq!(browser.text("dialog .raw mark").await, "wrong");
    browser.click("dialog .primary").await;
    until_asked(&browser, "The mended line is sent").await;
    assert_eq!(ready(&pages, QueueName::dead()).await, 0);
    let sent = crate::dead::sent(&pages).await;
    assert_eq!(sent, b"<13>Nov 21 web01 app: right \xff\0");
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn a_letter_is_looked_at_part_by_part_and_sent_through_the_rules() {
    let pages = Pages::start().await;
    let id = bury_event(&pages, "parser", "parser", "unroutable", Some(b"<13>a raw line")).await;
    let browser = Chromium::start(&pages).await;
    browser.open(&format!("/dead-letters/{id}")).await;
    browser
        .until("document.querySelector('#acts button[type=button]')")
        .await;
    for part in ["Text", "Parsed", "Hex", "Headers"] {
        browser.press("v").await;
        let open = "[...document.querySelectorAll('[data-view]')].filter((part) => part.open)";
        let is_open = format!("{open}.map((part) => part.dataset.view).join() === {part:?}");
        browser
            .until(if part == "Text" { "true" } else { &is_open })
            .await;
    }
    assert!(browser.text("[data-view=Headers]").await.contains("message_id"));
    browser.press("r").await;
    until_asked(&browser, "Put 1 dead letter back?").await;
    browser.click("dialog form:last-child button").await;
    until_asked(&browser, "Send 1 dead letter through the current rules?").await;
    browser.fill("dialog [name=per_second]", "100").await;
    browser.click("dialog .primary").await;
    until_asked(&browser, "1 of 1 sent through the rules").await;
    assert_eq!(crate::dead::sent(&pages).await, b"<13>a raw line");
    assert_eq!(ready(&pages, QueueName::dead()).await, 0);
    browser.press(ESCAPE).await;
    browser
        .until("document.querySelector('main').innerText.includes('sent through the rules 1 by')")
        .await;
    browser.close().await;
    pages.stop().await;
}
