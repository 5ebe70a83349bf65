//! What all pages have in common.

use crate::browser::Pages;

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_foreign_things_out() {
    let pages = Pages::start().await;
    for path in [
        "/settings/tokens",
        "/nowhere",
        "/assets/app.css",
        "/api/v1/nowhere",
    ] {
        let answer = pages.get(path).await;
        let policy = answer.header("content-security-policy").expect("has a policy");
        assert!(
            policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{path}");
        assert!(
            !answer.body.contains(" style=") && !answer.body.contains("<style"),
            "{path}"
        );
        assert!(
            !answer.body.contains(" onclick") && !answer.body.contains("<script>"),
            "{path}"
        );
    }
    pages.stop().await;
}

#[tokio::test]
async fn errors_are_pages_for_people_and_problems_for_programs() {
    let pages = Pages::start().await;
    let page = pages.get("/%3Cscript%3Ealert(1)?x=%22%3Cb%3E").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (404, Some("text/html; charset=utf-8"))
    );
    assert!(
        !page.body.contains("<script>") && !page.body.contains("<b>"),
        "{}",
        page.body
    );
    let problem = pages.get("/api/v1/nowhere").await;
    assert_eq!(
        (problem.status, problem.header("content-type")),
        (404, Some("application/problem+json"))
    );
    let problem = problem.json();
    assert_eq!(
        (&problem["status"], &problem["code"]),
        (&404.into(), &"not_found".into())
    );
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("/api/v1/nowhere"))
    );
    assert_eq!(
        pages
            .ask("DELETE", "/settings/tokens", &[("X-Lf-Csrf", "x")], "")
            .await
            .status,
        403
    );
    pages.stop().await;
}

#[tokio::test]
async fn files_are_sent_once() {
    let pages = Pages::start().await;
    let first = pages.get("/assets/core.js").await;
    assert_eq!(
        (first.status, first.header("content-type")),
        (200, Some("text/javascript; charset=utf-8"))
    );
    let tag = first.header("etag").expect("has a tag");
    let second = pages
        .ask("GET", "/assets/core.js", &[("If-None-Match", tag)], "")
        .await;
    assert_eq!((second.status, &*second.body), (304, ""));
    for path in [
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/Cargo.toml",
        "/assets/",
        "/assets/nothing",
    ] {
        assert_eq!(pages.get(path).await.status, 404, "{path}");
    }
    pages.stop().await;
}

#[tokio::test]
async fn appearance_is_kept_in_a_cookie() {
    let pages = Pages::start().await;
    let page = pages.get("/settings/sessions").await;
    assert!(page.body.contains("data-theme=\"auto\""), "{}", page.body);
    let form = format!(
        "csrf={}&theme=dark&text=125&zone=Europe/Berlin&back=//evil.example",
        page.csrf()
    );
    let kept = pages.post("/preferences", &[], &form).await;
    assert_eq!((kept.status, kept.header("location")), (303, Some("/")));
    let page = pages
        .ask("GET", "/settings/sessions", &[("Cookie", kept.cookie())], "")
        .await;
    assert!(
        page.body.contains("data-theme=\"dark\"")
            && page.body.contains("data-text=\"125\"")
            && page.body.contains("Europe/Berlin"),
        "{}",
        page.body
    );
    let form = format!("csrf={}&zone=Middle/Earth", page.csrf());
    assert_eq!(pages.post("/preferences", &[], &form).await.status, 400);
    pages.stop().await;
}

#[tokio::test]
async fn nothing_is_changed_by_a_page_of_another_site() {
    let pages = Pages::start().await;
    let csrf = pages.get("/settings/users").await.csrf().to_owned();
    let form = format!("csrf={csrf}&role=admin");
    let invited = pages.post("/settings/users", &[], &form).await;
    assert!(
        invited.status == 200 && invited.body.contains("/set-up/"),
        "{invited:?}"
    );
    for (headers, form) in [
        (&[][..], "role=admin".to_owned()),
        (&[], "csrf=guess&role=admin".to_owned()),
        (&[("Origin", "https://evil.example")], form.clone()),
        (&[("Origin", "null")], form.clone()),
        (&[("Sec-Fetch-Site", "cross-site")], form.clone()),
        (&[("Sec-Fetch-Site", "same-site")], form.clone()),
    ] {
        let answer = pages.post("/settings/users", headers, &form).await;
        assert_eq!(answer.status, 403, "{headers:?} {form}");
        assert!(!answer.body.contains("/set-up/"));
    }
    let json = [("Content-Type", "application/json"), ("X-Lf-Csrf", &csrf)];
    let wanted = r#"{"name":"x","scopes":["search:read"]}"#;
    let answer = pages.ask("POST", "/api/v1/tokens", &json, wanted).await;
    assert_eq!(answer.status, 422, "only because there is no user: {answer:?}");
    assert_eq!(
        pages
            .ask("POST", "/api/v1/tokens", &json[..1], wanted)
            .await
            .status,
        403
    );
    pages.stop().await;
}

#[tokio::test]
async fn without_accounts_only_this_machine_is_answered() {
    let pages = Pages::start().await;
    for (headers, status) in [
        (&[("Host", "localhost:8080")][..], 200),
        (&[("Host", "evil.example")], 403),
        (&[("Host", "127.0.0.1.evil.example:80")], 403),
        (&[("Host", "127.0.0.1"), ("X-Forwarded-For", "192.0.2.1")], 403),
    ] {
        let answer = pages.ask("GET", "/settings/tokens", headers, "").await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
    pages.stop().await;
}

#[tokio::test]
async fn nonsense_on_the_socket_hurts_nobody() {
    let pages = Pages::with(|settings| settings.connections_max = 8).await;
    for request in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /%00%ff%fe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"POST /preferences HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 99999999999\r\n\r\n",
    ] {
        use tokio::io::AsyncWriteExt as _;
        let mut stream = tokio::net::TcpStream::connect(pages.addr).await.expect("connects");
        stream.write_all(request).await.expect("sends");
        drop(stream);
    }
    let large = "x".repeat((1 << 20) + 1);
    assert_eq!(pages.post("/preferences", &[], &large).await.status, 413);
    assert_eq!(pages.get("/settings/tokens").await.status, 200);
    pages.stop().await;
}
