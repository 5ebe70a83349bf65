//! A real Chromium without a window, driven by way of its own driver (W3C WebDriver), and what people do in it.

mod accounts;
mod dead;
mod keyboard;
mod looks;
mod pipeline;
mod screenshots;
mod search;
mod sources;
mod tail;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::{eventually, guard::Guard};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

use crate::browser::Pages;

/// A browser has a dozen processes, which all want a turn on a busy machine.
const DEADLINE: Duration = Duration::from_secs(180);

pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const ESCAPE: &str = "\u{e00c}";
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const DOWN: &str = "\u{e015}";

/// What keeps it from the network and from asking; in containers there is no sandbox to be had.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-prefers-reduced-motion",
];

/// A browser with a folder of its own, which looks at one server.
#[derive(Debug)]
pub(crate) struct Chromium {
    driver: SocketAddr,
    session: String,
    home: String,
    guard: Guard,
}

impl Chromium {
    /// Starts it; 1440 × 900, light.
    pub(crate) async fn start(pages: &Pages) -> Self {
        let port = testkit::free_port();
        let driver = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut guard = Guard::new("chromium", Signal::SIGTERM).expect("has a folder");
        let mut command = Command::new("chromedriver");
        command
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        guard.spawn(&mut command).expect(
            "chromedriver starts: install the packages chromium and chromium-driver (`make test` does)",
        );
        eventually(DEADLINE, || TcpStream::connect(driver)).await;
        let mut flags = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}/profile", guard.dir().display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": 180_000, "pageLoad": 180_000 },
        }}});
        let begun = ask(driver, "POST", "/session", &wanted).await.expect("begins");
        let browser = Self {
            driver,
            session: begun["sessionId"].as_str().expect("has an id").to_owned(),
            home: format!("http://{}", pages.addr),
            guard,
        };
        browser.resize(1440, 900).await;
        browser.prefer(&[("prefers-color-scheme", "light")]).await;
        browser
    }

    /// The same browser, looking at another server.
    pub(crate) fn at(self, pages: &Pages) -> Self {
        Self {
            home: format!("http://{}", pages.addr),
            ..self
        }
    }

    /// Loads one of our pages.
    pub(crate) async fn open(&self, path: &str) {
        let url = format!("{}{path}", self.home);
        self.command("/url", &json!({ "url": url })).await;
    }

    /// The path and query of what is shown.
    pub(crate) async fn here(&self) -> String {
        let here = self.run("return location.pathname + location.search").await;
        here.as_str().expect("is text").to_owned()
    }

    /// What `script` returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.command("/execute/sync", &json!({ "script": script, "args": [] }))
            .await
    }

    /// What the promise that `script` returns comes to.
    pub(crate) async fn run_async(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; (async () => {{ {script} }})().then(done, (error) => done(String(error)));"
        );
        self.command("/execute/async", &json!({ "script": script, "args": [] }))
            .await
    }

    /// Waits until this expression is true.
    #[track_caller]
    pub(crate) fn until(&self, condition: &str) -> impl Future<Output = ()> {
        let body = json!({ "script": format!("return Boolean({condition})"), "args": [] });
        eventually(DEADLINE, move || {
            let body = body.clone();
            async move {
                // Between two pages there is none that could answer.
                let found = self.try_command("/execute/sync", &body).await;
                found == Ok(Value::Bool(true))
            }
        })
    }

    /// The text that is seen in the first `css`.
    pub(crate) async fn text(&self, css: &str) -> String {
        let text = self
            .run(&format!("return document.querySelector({css:?}).innerText"))
            .await;
        text.as_str().expect("is text").to_owned()
    }

    /// How many there are of `css`.
    pub(crate) async fn count(&self, css: &str) -> u64 {
        let count = self
            .run(&format!("return document.querySelectorAll({css:?}).length"))
            .await;
        count.as_u64().expect("is a number")
    }

    /// Clicks the middle of what must be visible there.
    pub(crate) async fn click(&self, css: &str) {
        let element = self.element(css).await;
        self.command(&format!("/element/{element}/click"), &json!({}))
            .await;
    }

    /// Types into a field in place of what is there.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let element = self.element(css).await;
        self.command(&format!("/element/{element}/clear"), &json!({}))
            .await;
        self.command(&format!("/element/{element}/value"), &json!({ "text": text }))
            .await;
    }

    /// Presses keys one after the other, wherever the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let actions: Vec<_> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })))
            .collect();
        self.command(
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }),
        )
        .await;
    }

    /// Drags within the first `css`, between these parts of its width.
    pub(crate) async fn drag(&self, css: &str, from: f64, to: f64) {
        let script = format!(
            "const box = document.querySelector({css:?}).getBoundingClientRect();
             return [box.left + box.width * {from}, box.left + box.width * {to}, box.top + box.height / 2].map(Math.round)"
        );
        let at = self.run(&script).await;
        let step = |x: &Value, ms| json!({ "type": "pointerMove", "duration": ms, "x": x, "y": at[2], "origin": "viewport" });
        let actions = json!([
            step(&at[0], 0),
            { "type": "pointerDown", "button": 0 },
            step(&at[1], 50),
            { "type": "pointerUp", "button": 0 },
        ]);
        self.command(
            "/actions",
            &json!({ "actions": [{ "type": "pointer", "id": "mouse", "actions": actions }] }),
        )
        .await;
    }

    /// Makes the page so large, in CSS pixels.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size).await;
    }

    /// What the machine says that its user prefers.
    pub(crate) async fn prefer(&self, features: &[(&str, &str)]) {
        let features: Vec<_> = features
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }))
            .await;
    }

    /// From now on pages run no scripts.
    pub(crate) async fn without_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": true }))
            .await;
    }

    /// From now on what pages send as a file is kept in the folder that this returns.
    pub(crate) async fn keep_downloads(&self) -> PathBuf {
        let folder = self.guard.dir().join("downloads");
        let how = json!({ "behavior": "allow", "downloadPath": folder });
        self.devtools("Browser.setDownloadBehavior", &how).await;
        folder
    }

    /// What is seen, as a PNG.
    pub(crate) async fn picture(&self, file: &Path) {
        let picture = self
            .devtools("Page.captureScreenshot", &json!({ "format": "png" }))
            .await;
        let bytes = STANDARD.decode(picture["data"].as_str().expect("has data"));
        std::fs::write(file, bytes.expect("is base64")).expect("is written");
    }

    /// A command of the protocol of Chromium's developer tools.
    pub(crate) async fn devtools(&self, command: &str, params: &Value) -> Value {
        self.command("/goog/cdp/execute", &json!({ "cmd": command, "params": params }))
            .await
    }

    /// What the console has had to say since the last time: mistakes of scripts, files that are missing, and what the
    /// content policy forbade.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.command("/se/log", &json!({ "type": "browser" })).await;
        let lines = log.as_array().expect("is a list").iter();
        lines
            .filter(|line| line["level"] == "SEVERE" || line["level"] == "WARNING")
            .map(|line| format!("{} {}", line["level"], line["message"]))
            .collect()
    }

    /// Ends it, after a last look at the console.
    pub(crate) async fn close(self) {
        assert_eq!(self.complaints().await, Vec::<String>::new());
        ask(
            self.driver,
            "DELETE",
            &format!("/session/{}", self.session),
            &Value::Null,
        )
        .await
        .expect("ends");
    }

    /// The reference by which the driver knows the first `css`.
    async fn element(&self, css: &str) -> String {
        let found = self
            .command("/element", &json!({ "using": "css selector", "value": css }))
            .await;
        let reference = found.as_object().and_then(|found| found.values().next());
        reference
            .and_then(Value::as_str)
            .expect("is a reference")
            .to_owned()
    }

    async fn command(&self, path: &str, body: &Value) -> Value {
        let answer = self.try_command(path, body).await;
        answer.unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    async fn try_command(&self, path: &str, body: &Value) -> Result<Value, String> {
        ask(
            self.driver,
            "POST",
            &format!("/session/{}{path}", self.session),
            body,
        )
        .await
    }
}

/// One question to the driver, which keeps connections open whatever it is told.
async fn ask(driver: SocketAddr, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut stream = BufStream::new(TcpStream::connect(driver).await.expect("connects"));
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {driver}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("sends");
    stream.write_all(body.as_bytes()).await.expect("sends");
    stream.flush().await.expect("sends");
    let (mut status, mut length) = (String::new(), 0);
    stream.read_line(&mut status).await.expect("answers");
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("has a head");
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().expect("is a number");
        }
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await.expect("has a body");
    let mut answer: Value = serde_json::from_slice(&answer).expect("is JSON");
    let value = answer["value"].take();
    if status.contains(" 200 ") {
        Ok(value)
    } else {
        Err(format!("{} {}", value["error"], value["message"]))
    }
}
