//! What nobody sends who means well, and what happens while others are away.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    accounts::{join, link},
    browser::Pages,
    chromium::Chromium,
    data::{event, put},
};

/// As a part of an address.
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn every_query_has_an_answer() {
    let pages = Pages::start().await;
    put(&pages.store, vec![event("web01", 6, "one")]).await;
    let mut queries: Vec<String> = [
        "'",
        "\"",
        "\\",
        "(",
        ")))",
        "((((((((((((((((((((((((((((((((((((((((a",
        "-",
        "--",
        "NOT NOT NOT",
        "a OR",
        ":",
        "host:",
        "severity>=",
        "/(((((a*)*)*)*)*)*$/",
        "/[/",
        "/a{1000000}/",
        "*",
        "%",
        "_",
        "%00",
        "\0",
        "\u{202e}",
        "'; DROP TABLE events; --",
        "host:'||(select 1)||'",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "fields.\0:x",
        "sd.\"\".x:1",
        "id:00000000-0000-0000-0000-000000000000",
        "timestamp:99999-99-99",
        "received_at>=-99999999999999d",
        "lag>1e309",
        "severity:999",
        "peer:999.1.1.1/64",
        "🚀",
        "a\u{0}b",
        "ſ",
        "İ",
        "ß*ß",
    ]
    .map(str::to_owned)
    .to_vec();
    queries.push("a ".repeat(2048));
    queries.push("x".repeat(4096));
    queries.push("x".repeat(4097));
    queries.push("(".repeat(2000));
    queries.push("-a OR ".repeat(600));
    for query in &queries {
        for path in [
            "/search?range=1h&q=",
            "/api/v1/events?range=1h&q=",
            "/api/v1/suggest?q=",
            "/tail?q=",
        ] {
            let answer = pages.get(&format!("{path}{}", encoded(query))).await;
            assert!(
                matches!(answer.status, 200 | 400 | 422),
                "{path} {query:?}: {} {}",
                answer.status,
                answer.body
            );
        }
    }
    pages.stop().await;
}

#[tokio::test]
async fn requests_that_are_none_are_refused_and_the_next_one_is_answered() {
    let pages = Pages::start().await;
    for path in [
        "/../../etc/passwd",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/assets//etc/passwd",
        "/assets/app.css%00.js",
        "/event/..%2f..%2fsettings%2fusers",
        "/event/%00",
        "/sources/..%2f..%2f",
        "/dead-letters/..%2f..%2f",
        "//evil.example/",
        "/search/../settings/users",
        "/search;x=1",
        "/API/v1/events",
        "/%ff%fe",
    ] {
        let answer = pages.get(path).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert!(
            !answer.body.contains("root:") && !answer.body.contains("[package]"),
            "{path}"
        );
    }
    for next in [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
    ] {
        let answer = pages.get(&format!("/sign-in?next={}", encoded(next))).await;
        // Nobody has to sign in here, so that everybody is sent on.
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, Some("/")),
            "{next}"
        );
    }
    let long = "x".repeat(1 << 20);
    for bytes in [
        "\0\0\0\0\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {}\r\nCookie: {long}\r\n\r\n", pages.addr),
        format!(
            "POST /preferences HTTP/1.1\r\nHost: {}\r\nContent-Length: 99999999999999999999\r\n\r\n",
            pages.addr
        ),
        format!(
            "POST /preferences HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nzz\r\n",
            pages.addr
        ),
    ] {
        let mut stream = tokio::net::TcpStream::connect(pages.addr)
            .await
            .expect("connects");
        // It may be refused, and the connection closed, before all of it is sent.
        let _is_sent = stream.write_all(bytes.as_bytes()).await;
        let _is_ended = stream.shutdown().await;
        let mut answer = Vec::new();
        let _is_read = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.starts_with("HTTP/1.1 2"), "{:.60}: {answer:.200}", bytes);
    }
    assert_eq!(pages.get("/search").await.status, 200);
    pages.stop().await;
}

#[tokio::test]
async fn forged_ids_cookies_and_tokens_open_nothing() {
    let pages = Pages::start().await;
    let ids = put(&pages.store, vec![event("web01", 6, "secret of ana")]).await;
    let csrf = pages.get("/settings/users").await.csrf().to_owned();
    let invited = pages
        .post("/settings/users", &[], &format!("csrf={csrf}&role=admin"))
        .await;
    let session = join(&pages, link(&invited), "ana").await;
    let cut = &session[..session.len() - 1];
    let forged = [
        "lf_session=".to_owned(),
        "lf_session=x".to_owned(),
        format!("lf_session={}", "A".repeat(43)),
        format!("lf_session={}", "A".repeat(100_000 >> 2)),
        "lf_session='; DROP TABLE sessions; --".to_owned(),
        format!("__Host-{session}"),
        cut.to_owned(),
        format!("{session}A"),
        format!("lf_session=x; {cut}"),
    ];
    let paths = [
        "/search".to_owned(),
        format!("/event/{}", ids[0]),
        "/api/v1/events".to_owned(),
        "/settings/users".to_owned(),
    ];
    for path in &paths {
        for cookie in &forged {
            let answer = pages.ask("GET", path, &[("Cookie", cookie)], "").await;
            assert!(
                matches!(answer.status, 303 | 401 | 431),
                "{path} {cookie:.60}: {}",
                answer.status
            );
            assert!(!answer.body.contains("secret of ana"), "{path} {cookie:.60}");
        }
        for token in [
            "Bearer",
            "Bearer ",
            "Bearer lf_",
            "Bearer lf_\u{fffd}",
            "Basic YW5hOg==",
            "lf_x",
            "Bearer lf_ x",
        ] {
            let answer = pages.ask("GET", path, &[("Authorization", token)], "").await;
            assert!(
                matches!(answer.status, 303 | 401),
                "{path} {token}: {}",
                answer.status
            );
        }
        let answer = pages.ask("GET", path, &[("Cookie", &session)], "").await;
        assert_eq!(answer.status, 200, "the real one: {path}");
    }
    for id in [
        "0",
        "00000000-0000-0000-0000-000000000000",
        "x' OR '1'='1",
        &"f".repeat(10_000),
        "%00",
        "-1",
    ] {
        for path in [
            "/event/ID",
            "/event/ID/context",
            "/api/v1/events/ID",
            "/dead-letters/ID",
            "/search?at=ID",
            "/search?cursor=ID",
        ] {
            let path = path.replace("ID", &encoded(id));
            let answer = pages.ask("GET", &path, &[("Cookie", &session)], "").await;
            assert!(
                matches!(answer.status, 200 | 400 | 404),
                "{path:.80}: {}",
                answer.status
            );
        }
    }
    pages.stop().await;
}

#[tokio::test]
async fn two_thousand_streams_are_bounded_and_the_pages_live() {
    const STREAMS: usize = 2000;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("is told");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(8192.min(hard)), hard).expect("is within the hard limit");
    let pages = Pages::with(|settings| settings.connections_max = STREAMS + 50).await;
    let request = format!(
        "GET /api/v1/tail?backfill=0 HTTP/1.1\r\nHost: {}\r\n\r\n",
        pages.addr
    );
    let mut open = Vec::with_capacity(STREAMS);
    for _ in 0..STREAMS {
        let mut stream = tokio::net::TcpStream::connect(pages.addr)
            .await
            .expect("connects");
        stream.write_all(request.as_bytes()).await.expect("sends");
        open.push(stream);
    }
    let (mut taken, mut refused) = (0, 0);
    for stream in &mut open {
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.expect("answers");
        match &start {
            b"HTTP/1.1 200" => taken += 1,
            b"HTTP/1.1 429" => refused += 1,
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    }
    assert_eq!((taken, refused), (200, STREAMS - 200), "web.tails_max is 200");
    assert_eq!(pages.get("/search").await.status, 200);
    let page = pages.get("/tail").await;
    assert!(page.status == 200, "{}", page.status);
    drop(open);
    pages.stop().await;
}

#[tokio::test]
async fn beyond_the_connections_that_are_allowed_others_are_closed() {
    let pages = Pages::with(|settings| settings.connections_max = 5).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(pages.open("/api/v1/tail?backfill=0").await);
    }
    let mut sixth = tokio::net::TcpStream::connect(pages.addr)
        .await
        .expect("connects");
    let mut answer = Vec::new();
    // Closed or reset, but not left waiting.
    let _is_read = sixth.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    drop(open);
    let answered = || async {
        let mut stream = tokio::net::TcpStream::connect(pages.addr).await.ok()?;
        let request = format!(
            "GET /search HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            pages.addr
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        answer.starts_with(b"HTTP/1.1 200").then_some(())
    };
    testkit::eventually(crate::browser::DEADLINE, answered).await;
    pages.stop().await;
}

#[tokio::test]
async fn without_the_store_the_pages_live_and_say_so() {
    let pages = Pages::without_store().await;
    for path in [
        "/search",
        "/search?q=x",
        "/tail",
        "/pipeline",
        "/dead-letters",
        "/sources",
    ] {
        let page = pages.get(path).await;
        assert!(
            page.status == 200 || page.status == 503,
            "{path}: {} {}",
            page.status,
            page.body
        );
        assert!(
            page.body.contains("<header") && page.body.contains("/pipeline"),
            "{path}: {}",
            page.body
        );
        assert!(!page.body.contains("panicked"), "{path}");
    }
    let search = pages.get("/api/v1/events").await;
    assert!(search.body.contains("store"), "{}", search.body);
    let browser = Chromium::start(&pages).await;
    browser.open("/search").await;
    let shown = browser.text("body").await;
    assert!(shown.contains("store"), "{shown}");
    pages.stop().await;
}

#[tokio::test]
async fn when_the_store_goes_away_who_looks_goes_on() {
    let pages = Pages::start().await;
    assert_eq!(pages.get("/pipeline").await.status, 200);
    pages.store.clone().close().await;
    for path in ["/pipeline", "/dead-letters", "/search", "/tail", "/sources"] {
        let page = pages.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
    }
    pages.stop().await;
}

#[tokio::test]
async fn without_the_broker_the_pages_live_and_say_so() {
    let pages = Pages::start().await;
    put(&pages.store, vec![event("web01", 6, "stored before")]).await;
    pages.broker.clone().close().await;
    for path in ["/search", "/sources", "/pipeline", "/tail"] {
        let page = pages.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
    }
    assert!(pages.get("/search").await.body.contains("stored before"));
    let pipeline = pages.get("/pipeline").await;
    assert!(pipeline.body.contains("unknown"), "{}", pipeline.body);
    assert!(
        pipeline.body.contains("dead letters unknown"),
        "{}",
        pipeline.body
    );
    let letters = pages.get("/dead-letters").await;
    assert!(
        letters.body.contains("role=\"alert\""),
        "{}: {}",
        letters.status,
        letters.body
    );
    let mut tail = pages.open("/api/v1/tail?backfill=0").await;
    tail.until("\"mode\":\"store\"").await;
    drop(tail);
    pages.stop().await;
}
