//! Dead letters, from the list to where they came from.

use broker::QueueName;

use crate::{
    browser::Pages,
    chromium::Chromium,
    dead::{bury, ready},
};

#[tokio::test]
async fn a_letter_is_looked_at_and_put_back() {
    let pages = Pages::start().await;
    bury(
        &pages,
        "parser",
        "byte 12 is bad",
        b"<script>alert(1)</script>\x00\xff",
    )
    .await;
    let browser = Chromium::start(&pages).await;
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
    browser.click("form[action$='/requeue'] button").await;
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
