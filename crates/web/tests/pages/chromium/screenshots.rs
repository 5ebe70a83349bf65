//! Pictures of all pages for somebody to look at: `make screenshots`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use broker::{Consumer, QueueName};
use service::{Context, Custody, Pulse, StageCounters};
use testkit::eventually;
use tokio::time::interval;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    accounts,
    browser::{DEADLINE, Pages},
    chromium::Chromium,
    data::{day, event, put, put_every},
    dead::bury,
    dead_back::bury_event,
};

const SIZES: [(u32, u32); 3] = [(1440, 900), (1024, 768), (390, 844)];
const DAY_MICROS: i64 = 86_400_000_000;

#[tokio::test]
#[ignore = "draws pictures and checks nothing"]
async fn of_every_page() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
    std::fs::create_dir_all(&folder).expect("makes a folder");
    let pages = Pages::start().await;
    let events = day(20_000);
    let step = DAY_MICROS / 20_000;
    put_every(&pages.store, step, events).await;
    let _beats = all_is_well(&pages).await;
    let browser = Chromium::start(&pages).await;
    browser.resize(1280, 800).await;
    for theme in ["light", "dark"] {
        browser.prefer(&[("prefers-color-scheme", theme)]).await;
        browser.open("/search?q=-app%3Acron").await;
        browser.picture(&file(&folder, "readme", theme, 1280)).await;
    }
    let mut wide = event("web01", 6, "a login with many fields");
    wide.fields = (0..300)
        .map(|number| (format!("f{number}").into(), ::event::Value::Integer(number)))
        .collect();
    let ids = put(
        &pages.store,
        vec![
            event(
                "web01",
                3,
                "\u{202e}right to left\u{202c} <b>markup</b> \0 \u{1b}[31mred\u{1b}[0m 🚀",
            ),
            event("web02", 6, "x".repeat(200_000)),
            wide,
        ],
    )
    .await;
    for number in 0..3 {
        bury(
            &pages,
            "parser",
            &format!("byte {number} is bad"),
            b"<190>Nov 21 07:12:01 web01 \x00\xff",
        )
        .await;
    }
    let letter = bury(&pages, "shipper-pgsql", "the value is too long", b"other").await;
    written_down(&pages, &letter.to_string()).await;
    let paths = [
        ("search", "/search".to_owned()),
        (
            "search-hits",
            "/search?q=refused+OR+%22timed+out%22&range=6h".to_owned(),
        ),
        ("search-open", format!("/search?at={}", ids[0])),
        (
            "search-wide",
            format!("/search?at={}&cols=procid,fields.f7", ids[2]),
        ),
        (
            "search-empty",
            "/search?q=absent+host%3Aweb01&range=5m".to_owned(),
        ),
        ("search-mistake", "/search?q=severity%3Awrn".to_owned()),
        ("patterns", "/search/patterns".to_owned()),
        ("saved", "/saved".to_owned()),
        ("event", format!("/event/{}", ids[1])),
        ("context", format!("/event/{}/context", ids[0])),
        ("tail", "/tail".to_owned()),
        ("pipeline", "/pipeline".to_owned()),
        ("pipeline-table", "/pipeline?view=table".to_owned()),
        ("pipeline-open", "/pipeline?open=parser".to_owned()),
        ("dead", "/dead-letters?stage=parser".to_owned()),
        ("letter", format!("/dead-letters/{letter}")),
        ("audit", "/dead-letters/audit".to_owned()),
        ("sources", "/sources".to_owned()),
        ("expected", "/sources/expected".to_owned()),
        ("source", "/sources/web01".to_owned()),
        ("no-token", "/settings/tokens".to_owned()),
        ("no-user", "/settings/users".to_owned()),
        ("nowhere", "/nowhere".to_owned()),
    ];
    draw(&folder, &browser, &paths).await;
    browser.resize(1440, 900).await;
    browser
        .prefer(&[("forced-colors", "active"), ("prefers-color-scheme", "dark")])
        .await;
    browser.open("/search").await;
    browser.picture(&file(&folder, "search", "forced", 1440)).await;
    with_accounts(&folder, &pages, &browser).await;
    pages.stop().await;
    lone(&folder, browser).await;
}

/// Each of them, light and dark, in all sizes.
async fn draw(folder: &Path, browser: &Chromium, paths: &[(&str, String)]) {
    for theme in ["light", "dark"] {
        browser.prefer(&[("prefers-color-scheme", theme)]).await;
        for (width, height) in SIZES {
            browser.resize(width, height).await;
            for (name, path) in paths {
                browser.open(path).await;
                browser.picture(&file(folder, name, theme, width)).await;
            }
        }
    }
}

/// What is there once people sign in.
async fn with_accounts(folder: &Path, pages: &Pages, browser: &Chromium) {
    let admin = accounts::first(pages).await;
    accounts::invited(pages, &admin, "operator", "ben").await;
    for form in [
        "name=grafana&scope=search:read&days=90",
        "name=ci-tail&scope=tail:read&days=7&query=app:ci",
    ] {
        accounts::token(pages, &admin, form).await;
    }
    draw(folder, browser, &[("sign-in", "/sign-in".to_owned())]).await;
    browser.fill("[name=name]", "ana").await;
    browser.fill("[name=password]", accounts::PASSWORD).await;
    browser.click("form.card button").await;
    browser.until("location.pathname !== '/sign-in'").await;
    let paths = ["tokens", "sessions", "users", "password"].map(|name| (name, format!("/settings/{name}")));
    draw(folder, browser, &paths).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "draws pictures and checks nothing"]
async fn of_the_pipeline_over_rabbitmq() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
    std::fs::create_dir_all(&folder).expect("makes a folder");
    let certificates = tempfile::tempdir().expect("makes a folder");
    let ca = testkit::Authority::new(certificates.path(), "ca");
    let server = testkit::RabbitMq::start_private_with_statistics(ca.issue("server", "localhost")).await;
    let (url, api) = (server.url(), server.api_url());
    let pages = Pages::over_rabbitmq(&[("url", &url), ("management_url", &api)]).await;
    let _beats = all_is_well(&pages).await;
    let _events = AbortOnDropHandle::new(tokio::spawn(events_go_through(pages.ctx.clone())));
    eventually(DEADLINE, || async {
        let picture = pages.get("/api/v1/pipeline").await.json();
        let trend = picture["nodes"][0]["curve"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let steps = trend.iter().filter(|step| !step.is_null()).count();
        steps > 3 && !picture["rabbit"]["nodes"][0]["disk_free_bytes"].is_null()
    })
    .await;
    let browser = Chromium::start(&pages).await;
    for (theme, width) in [("light", 1440), ("dark", 1440), ("light", 390)] {
        browser.prefer(&[("prefers-color-scheme", theme)]).await;
        browser.resize(width, 1800).await;
        for (name, path) in [
            ("pipeline-rabbitmq", "/pipeline?open=queue%3Aparser"),
            ("pipeline-rabbitmq-table", "/pipeline?view=table&open=parser"),
        ] {
            browser.open(path).await;
            browser.picture(&file(&folder, name, theme, width)).await;
        }
    }
    browser.close().await;
    pages.stop().await;
}

#[tokio::test]
#[ignore = "draws pictures and checks nothing"]
async fn of_dead_letters() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
    std::fs::create_dir_all(&folder).expect("makes a folder");
    let pages = Pages::start().await;
    let letter = bury_event(&pages, "parser", "parser", "unroutable", Some(b"<13>a raw line")).await;
    bury_event(&pages, "parser", "parser", "unroutable", None).await;
    let browser = Chromium::start(&pages).await;
    let heading = "document.querySelector('dialog[open] h1')";
    for theme in ["light", "dark"] {
        browser.prefer(&[("prefers-color-scheme", theme)]).await;
        for (width, height) in SIZES {
            browser.resize(width, height).await;
            browser.open(&format!("/dead-letters/{letter}")).await;
            browser.press("vvvv").await;
            browser
                .picture(&file(&folder, "letter-headers", theme, width))
                .await;
            browser.open("/dead-letters?stage=parser").await;
            browser.press("r").await;
            browser.until(heading).await;
            browser.picture(&file(&folder, "dead-back", theme, width)).await;
            browser.click("dialog form:last-child button").await;
            browser
                .until(&format!("{heading}.innerText.includes('current rules')"))
                .await;
            browser.picture(&file(&folder, "dead-rules", theme, width)).await;
        }
    }
    browser.click("dialog .primary").await;
    browser
        .until(&format!("{heading}.innerText.includes('sent through')"))
        .await;
    browser.picture(&file(&folder, "dead-sent", "dark", 390)).await;
    browser.close().await;
    pages.stop().await;
}

/// Some events a second, until it is dropped.
async fn events_go_through(ctx: Context) {
    let stages =
        ["syslog-server", "parser", "shipper-pgsql"].map(|stage| StageCounters::new(&ctx.metrics, stage));
    let mut ticks = interval(Duration::from_millis(100));
    for tick in 0_u64.. {
        ticks.tick().await;
        for stage in &stages {
            let events = 80 + tick * 13 % 40;
            stage.received(events);
            stage.sent(events);
        }
    }
}

/// What people do and write down.
async fn written_down(pages: &Pages, letter: &str) {
    let csrf = pages.get("/saved").await.csrf().to_owned();
    for (path, form) in [
        (
            "/saved",
            "name=Gateway+refuses&q=%22refused+by+gateway%22&range=24h&shared=1".to_owned(),
        ),
        (
            "/saved",
            "name=Disks+of+the+databases&q=host%3Adb*+severity%3E%3Derr&range=7d".to_owned(),
        ),
        (
            "/sources/expected",
            "expected=db*+15m%0D%0Abackup01+1d".to_owned(),
        ),
        ("/sources/cache01/mute", "for=8h".to_owned()),
        (
            "/dead-letters/hold",
            format!("id={letter}&why=waits+for+the+wider+column"),
        ),
    ] {
        let done = pages.post(path, &[], &format!("csrf={csrf}&{form}")).await;
        assert_eq!(done.status, 303, "{path}: {}", done.body);
    }
}

/// What would come from services that run.
async fn all_is_well(pages: &Pages) -> (Vec<impl Sized + use<>>, Vec<Consumer>) {
    pages
        .ctx
        .durability
        .set(Custody::Embedded, None, "the broker takes batches");
    let beats = ["syslog-server", "parser", "shipper-pgsql"].map(|service| {
        let pulse = Pulse {
            service,
            version: "1.0.0",
            measures: &[],
        };
        let speaker = pages.broker.clone();
        pulse.start(&pages.ctx, move |key, beat| speaker.announce(key, beat))
    });
    let mut consumers = Vec::new();
    for queue in [
        QueueName::parser(),
        QueueName::new("shipper-pgsql").expect("is a name"),
    ] {
        consumers.push(pages.broker.consume(&queue, 1, "test").await.expect("is there"));
    }
    eventually(DEADLINE, || async {
        let page = pages.get("/search").await;
        page.body.contains("acks = embedded")
    })
    .await;
    (beats.into(), consumers)
}

/// What is shown when nobody answers any more.
async fn lone(folder: &Path, browser: Chromium) {
    browser.prefer(&[("prefers-color-scheme", "light")]).await;
    let pages = Pages::without_store().await;
    let browser = browser.at(&pages);
    for (name, path) in [
        ("search-no-store", "/search"),
        ("sources-no-store", "/sources"),
        ("tail-no-store", "/tail"),
    ] {
        browser.open(path).await;
        browser.picture(&file(folder, name, "light", 1440)).await;
    }
    pages.stop().await;
}

fn file(folder: &Path, name: &str, theme: &str, width: u32) -> PathBuf {
    folder.join(format!("{name}-{width}-{theme}.png"))
}
