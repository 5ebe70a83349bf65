//! In and out.

use crate::{browser::Pages, chromium::Chromium};

#[tokio::test]
async fn an_account_is_made_by_a_link_and_signs_in_and_out() {
    let pages = Pages::start().await;
    let browser = Chromium::start(&pages).await;
    browser.open("/settings/users").await;
    browser
        .run("document.querySelector('[name=role]').value = 'admin'")
        .await;
    browser.click("form.stack button.primary").await;
    browser.until("document.querySelector('#secret')").await;
    let link = browser.text("#secret").await;
    let (_, path) = link.split_once(&pages.addr.to_string()).expect("is ours");
    browser.open(path).await;
    browser.fill("[name=name]", "ana").await;
    browser.fill("[name=password]", "correct horse battery").await;
    browser.click("form.card button").await;
    browser
        .until("document.querySelector('header').innerText.includes('ana')")
        .await;
    browser.click("header .menu:last-of-type summary").await;
    browser.click("form[action='/sign-out'] button").await;
    browser.until("location.pathname === '/sign-in'").await;
    // Where somebody wanted to go is kept, and a wrong password says so.
    browser.open("/search?q=hello").await;
    browser.until("location.pathname === '/sign-in'").await;
    browser.fill("[name=name]", "ana").await;
    browser.fill("[name=password]", "wrong").await;
    browser.click("form.card button").await;
    browser
        .until("document.activeElement.getAttribute('role') === 'alert'")
        .await;
    let complaints = browser.complaints().await;
    assert!(
        complaints.len() == 1 && complaints[0].contains("401"),
        "{complaints:?}"
    );
    browser.fill("[name=password]", "correct horse battery").await;
    browser.click("form.card button").await;
    browser
        .until("location.pathname + location.search === '/search?q=hello'")
        .await;
    // A token is shown once.
    browser.open("/settings/tokens").await;
    browser.fill("[name=name]", "grafana").await;
    browser.click("input[value='search:read']").await;
    browser.click("form.stack button.primary").await;
    browser.until("document.querySelector('#secret')").await;
    assert!(browser.text("#secret").await.starts_with("lf_"));
    browser.open("/settings/tokens").await;
    assert_eq!(browser.count("#secret").await, 0);
    assert!(browser.text("table").await.contains("grafana"));
    browser.click("[aria-label='Revoke grafana']").await;
    browser.until("!document.querySelector('table')").await;
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn a_session_that_ended_leads_to_the_form_and_back() {
    let pages = Pages::start().await;
    let browser = Chromium::start(&pages).await;
    let csrf = pages.get("/settings/users").await.csrf().to_owned();
    let invited = pages
        .post("/settings/users", &[], &format!("csrf={csrf}&role=admin"))
        .await;
    let link = crate::accounts::link(&invited).to_owned();
    browser.open("/search").await;
    browser.until("document.querySelector('#status')").await;
    crate::accounts::join(&pages, &link, "ana").await;
    // There is an account now, so that this visitor is nobody any more.
    browser.fill("#q", "late").await;
    browser.press(crate::chromium::ENTER).await;
    browser.until("location.pathname === '/sign-in'").await;
    browser.fill("[name=name]", "ana").await;
    browser.fill("[name=password]", crate::accounts::PASSWORD).await;
    browser.click("form.card button").await;
    browser
        .until("location.pathname === '/search' && location.search.includes('q=late')")
        .await;
    // Suggestions may have been asked for between the two, and were refused.
    let complaints = browser.complaints().await;
    assert!(
        complaints.iter().all(|line| line.contains("/api/v1/suggest")),
        "{complaints:?}"
    );
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_it() {
    let pages = Pages::start().await;
    let csrf = pages.get("/settings/users").await.csrf().to_owned();
    let invited = pages
        .post("/settings/users", &[], &format!("csrf={csrf}&role=admin"))
        .await;
    let elsewhere = crate::accounts::join(&pages, crate::accounts::link(&invited), "ana").await;
    let browser = Chromium::start(&pages).await;
    browser.open("/settings/password").await;
    browser.fill("[name=name]", "ana").await;
    browser.fill("[name=password]", crate::accounts::PASSWORD).await;
    browser.click("form.card button").await;
    browser.until("location.pathname === '/settings/password'").await;
    browser.fill("[name=current]", "a wrong password").await;
    browser.fill("[name=new]", "another horse battery").await;
    browser.click("form.stack button.primary").await;
    browser.until("document.querySelector('[role=alert]')").await;
    assert_eq!(
        browser.text("[role=alert]").await,
        "The current password is wrong."
    );
    let complaints = browser.complaints().await;
    assert!(
        complaints.len() == 1 && complaints[0].contains("401"),
        "{complaints:?}"
    );
    browser.fill("[name=current]", crate::accounts::PASSWORD).await;
    browser.fill("[name=new]", "another horse battery").await;
    browser.click("form.stack button.primary").await;
    browser.until("location.search === '?changed=1'").await;
    assert!(browser.text("main").await.contains("signed out everywhere else"));
    let other = pages.ask("GET", "/search", &[("Cookie", &elsewhere)], "").await;
    assert_eq!(other.status, 303, "the other session is over");
    let entered = pages
        .post(
            "/sign-in",
            &[],
            "name=ana&password=another+horse+battery&next=/search",
        )
        .await;
    assert_eq!(
        (entered.status, entered.header("location")),
        (303, Some("/search"))
    );
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
async fn a_form_outlives_its_session() {
    let pages = Pages::start().await;
    let elsewhere = crate::accounts::first(&pages).await;
    let browser = Chromium::start(&pages).await;
    browser.open("/settings/tokens").await;
    browser.fill("[name=name]", "ana").await;
    browser.fill("[name=password]", crate::accounts::PASSWORD).await;
    browser.click("form.card button").await;
    browser.until("location.pathname === '/settings/tokens'").await;
    browser.fill("[name=name]", "grafana").await;
    browser.click("input[value='search:read']").await;
    // "Sign out everywhere else".
    let csrf = crate::accounts::signed_in(&pages, &elsewhere, "/search")
        .await
        .csrf()
        .to_owned();
    let headers = [("Cookie", &*elsewhere), ("X-Lf-Csrf", &*csrf)];
    let ended = pages.ask("DELETE", "/api/v1/sessions", &headers, "").await;
    assert_eq!(ended.json()["ended"], 1);
    browser.click("form.stack button.primary").await;
    browser.until("document.querySelector('dialog form.card')").await;
    assert_eq!(
        browser
            .run("return document.querySelector('dialog [name=name]').value")
            .await,
        "ana"
    );
    browser.fill("dialog [name=password]", "wrong").await;
    browser.click("dialog form.card button").await;
    browser
        .until("document.querySelector('dialog [role=alert]') === document.activeElement")
        .await;
    browser
        .fill("dialog [name=password]", crate::accounts::PASSWORD)
        .await;
    browser.click("dialog form.card button").await;
    browser.until("document.querySelector('#secret')").await;
    assert!(browser.text("table").await.contains("grafana"));
    let complaints = browser.complaints().await;
    assert!(
        complaints.iter().all(|line| line.contains("401")),
        "{complaints:?}"
    );
    browser.close().await;
    pages.stop().await;
}
