//! The pipeline: its views, and what changes while somebody looks.

use service::{Pulse, StageCounters};

use crate::{browser::Pages, chromium::Chromium};

const PARSER: Pulse = Pulse {
    service: "parser",
    version: "1.0.0",
    measures: &[],
};
const MAP_IS_SEEN: &str = "return document.querySelector('.map')?.getBoundingClientRect().width > 0";
const TABLE_IS_SEEN: &str = "return document.querySelector('#table').getBoundingClientRect().width > 0";

#[tokio::test]
async fn map_and_table_are_views_without_scripts_and_narrow_screens_have_the_table() {
    let pages = Pages::start().await;
    let browser = Chromium::start(&pages).await;
    browser.without_scripts().await;
    let seen = async || [browser.run(MAP_IS_SEEN).await, browser.run(TABLE_IS_SEEN).await];
    browser.open("/pipeline?window=5m").await;
    assert_eq!(seen().await, [true, false]);
    browser.click(".map-tabs a").await;
    browser.until("location.search === '?view=table&window=5m'").await;
    assert_eq!(seen().await, [false, true]);
    browser.resize(390, 844).await;
    browser.open("/pipeline").await;
    assert_eq!(seen().await, [false, true]);
    let tabs = "return document.querySelector('.map-tabs').getBoundingClientRect().width";
    assert_eq!(browser.run(tabs).await, 0, "there is nothing to choose");
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn boxes_ages_and_states_change_in_place() {
    let pages = Pages::start().await;
    let browser = Chromium::start(&pages).await;
    browser.open("/pipeline?open=parser").await;
    let hollow = "document.querySelector('.map [data-f=\"parser/box\"]').classList.contains('hollow')";
    browser.until(hollow).await;
    let counters = StageCounters::new(&pages.ctx.metrics, "parser");
    counters.taken(1);
    let begun = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(2);
    let _held = counters.hold(begun.as_microsecond());
    let speaker = pages.broker.clone();
    let _pulse = PARSER.start(&pages.ctx, move |key, beat| speaker.announce(key, beat));
    browser
        .until("document.querySelector('.map [data-f=\"parser/extra\"]').textContent === 'oldest 2 h'")
        .await;
    browser.until(&format!("!{hollow}")).await;
    browser
        .until("document.querySelector('td[data-f=\"parser/oldest\"]').textContent === '2 h'")
        .await;
    // The trend begins with the first steps that are over.
    browser
        .until("document.querySelector('.map [data-f=\"parser/curve\"]').getAttribute('d').startsWith('M')")
        .await;
    pages.ctx.health.component("parser").not_ready("<i>out of order");
    browser
        .until("document.querySelector('#live').textContent.includes('parser: parser is not ready: <i>out of order')")
        .await;
    browser
        .until("document.querySelector('[data-f=summary]').textContent.includes('<i>out of order')")
        .await;
    browser.close().await;
    pages.stop().await;
}
