//! How soon a real browser paints the search page.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::guard::Guard;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Loads; the first ones fill the browser's own caches.
const LOADS: usize = 7;
const WARM_UP: usize = 2;
const START_MAX: Duration = Duration::from_secs(60);

/// When the browser painted something of the page, and when it had its first byte; null before.
const PAINTED: &str = "const entries = performance.getEntriesByName('first-contentful-paint');
    const page = performance.getEntriesByType('navigation')[0];
    return entries.length ? [entries[0].startTime, page.responseStart] : null";

/// A page that costs nothing but the browser's own time.
const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 30\r\nConnection: close\r\n\r\n\
                     <!doctype html><p>empty page\r\n";

/// Milliseconds from the click.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    /// To the first text on the screen.
    pub(super) painted: f64,
    /// To the first byte, which is our part of it.
    pub(super) first_byte: f64,
    /// To the first text of a page that has nothing else.
    pub(super) empty: f64,
}

/// Medians of several loads; `None` without a browser.
pub(super) async fn first(web: SocketAddr) -> anyhow::Result<Option<Paint>> {
    let driver = SocketAddr::from((Ipv4Addr::LOCALHOST, testkit::free_port()));
    let mut guard = Guard::new("paint", Signal::SIGTERM)?;
    let mut command = Command::new("chromedriver");
    command
        .arg(format!("--port={}", driver.port()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if guard.spawn(&mut command).is_err() {
        return Ok(None);
    }
    testkit::eventually(START_MAX, || TcpStream::connect(driver)).await;
    let flags = [
        "--headless=new".to_owned(),
        "--no-sandbox".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--no-first-run".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        format!("--user-data-dir={}/profile", guard.dir().display()),
    ];
    let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": flags } } } });
    let begun = ask(driver, "/session", &wanted).await?;
    let session = begun.get("sessionId").and_then(Value::as_str);
    let session = session.context("a session has an id")?;
    let search = format!("http://{web}/search");
    let (empty, serving) = serve_empty().await?;
    let (mut searches, mut empties) = (Vec::new(), Vec::new());
    // The browser starts a process for each change of site, which is no part of a page: both are of one site.
    for _ in 0..LOADS {
        searches.push(load(driver, session, &search).await?);
        empties.push(load(driver, session, &empty).await?);
    }
    drop(serving);
    let (painted, first_byte) = median(searches);
    Ok(Some(Paint {
        painted,
        first_byte,
        empty: median(empties).0,
    }))
}

/// The address of a page that is empty, for as long as the second value lives.
async fn serve_empty() -> anyhow::Result<(String, JoinSet<()>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = format!("http://{}/", listener.local_addr()?);
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        // The browser opens connections in advance, over which nothing comes.
        let mut answering = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            answering.spawn(answer(BufStream::new(stream)));
        }
    });
    Ok((address, serving))
}

async fn answer(mut stream: BufStream<TcpStream>) {
    let mut line = String::new();
    // A request ends with an empty line.
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 2) {
        line.clear();
    }
    // A browser that is gone is noticed when the page does not paint.
    stream.write_all(EMPTY.as_bytes()).await.ok();
    stream.flush().await.ok();
}

fn median(times: Vec<(f64, f64)>) -> (f64, f64) {
    let mut times: Vec<_> = times.into_iter().skip(WARM_UP).collect();
    times.sort_by(|one, other| one.0.total_cmp(&other.0));
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Opens the address and waits for its paint, which comes with the next frame: when it came, and when the first byte.
async fn load(driver: SocketAddr, session: &str, url: &str) -> anyhow::Result<(f64, f64)> {
    ask(driver, &format!("/session/{session}/url"), &json!({ "url": url })).await?;
    let script = json!({ "script": PAINTED, "args": [] });
    let path = format!("/session/{session}/execute/sync");
    let at = testkit::eventually(START_MAX, || async {
        let told = ask(driver, &path, &script).await.ok()?;
        Some((told.get(0)?.as_f64()?, told.get(1)?.as_f64()?))
    });
    Ok(at.await)
}

/// One question to the driver, which keeps connections open whatever it is told.
async fn ask(driver: SocketAddr, path: &str, body: &Value) -> anyhow::Result<Value> {
    let body = body.to_string();
    let mut stream = BufStream::new(TcpStream::connect(driver).await?);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {driver}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.flush().await?;
    let (mut status, mut length) = (String::new(), 0);
    stream.read_line(&mut status).await?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    let mut answer: Value = serde_json::from_slice(&answer)?;
    ensure!(status.contains(" 200 "), "{path}: {answer}");
    Ok(answer.get_mut("value").map(Value::take).unwrap_or_default())
}
