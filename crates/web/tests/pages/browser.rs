//! A server that runs, and the little of a browser that the tests need.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use broker::{Broker, Topology};
use service::Context;
use settings::{
    BrokerSettings, PostgresSettings, Secret, Settings, SqliteSettings, StoreSettings, WebSettings,
};
use store::Store;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

async fn sqlite(folder: &TempDir) -> Store {
    let store = Store::connect(&StoreSettings::Sqlite(SqliteSettings {
        dir: folder.path().join("store"),
        searches_max: 32,
    }))
    .expect("is a store");
    store.migrate().await.expect("migrates");
    store
}

/// The pages, served.
pub(crate) struct Pages {
    pub(crate) addr: SocketAddr,
    pub(crate) store: Store,
    pub(crate) ctx: Context,
    pub(crate) broker: Broker,
    running: JoinHandle<anyhow::Result<()>>,
    folder: TempDir,
}

impl Pages {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings than the usual.
    pub(crate) async fn with(change: impl FnOnce(&mut WebSettings)) -> Self {
        let folder = tempfile::tempdir().expect("makes a folder");
        let store = sqlite(&folder).await;
        Self::on(folder, store, change).await
    }

    /// On a database of PostgreSQL.
    pub(crate) async fn on_postgres(url: &str) -> Self {
        let folder = tempfile::tempdir().expect("makes a folder");
        let store = Store::connect(&StoreSettings::Postgres(postgres(url))).expect("is a store");
        store.migrate().await.expect("migrates");
        Self::on(folder, store, |_| {}).await
    }

    /// On a store that does not answer.
    pub(crate) async fn without_store() -> Self {
        let folder = tempfile::tempdir().expect("makes a folder");
        let port = testkit::free_port();
        let url = format!("postgres://nobody@127.0.0.1:{port}/nothing");
        let store = Store::connect(&StoreSettings::Postgres(postgres(&url))).expect("is a store");
        Self::on(folder, store, |_| {}).await
    }

    async fn on(folder: TempDir, store: Store, change: impl FnOnce(&mut WebSettings)) -> Self {
        let broker = BrokerSettings::Embedded {
            dir: folder.path().join("queues"),
            queue_bytes_max: 1 << 30,
            delivery_limit: 20,
        };
        let broker = Broker::connect(&broker, "test").await.expect("opens the queues");
        let topology = Topology::of(&Settings::default()).expect("is good");
        broker.declare(&topology).await.expect("declares");
        Self::serve(folder, store, broker, change).await
    }

    /// Over a RabbitMQ that answers, with the keys of section `broker`.
    pub(crate) async fn over_rabbitmq(keys: &[(&str, &str)]) -> Self {
        let overrides = keys
            .iter()
            .map(|(key, value)| (format!("broker.{key}"), (*value).to_owned()));
        let settings = Settings::from_sources(&settings::Sources {
            overrides: overrides.collect(),
            ..settings::Sources::default()
        })
        .expect("are good");
        let folder = tempfile::tempdir().expect("makes a folder");
        let store = sqlite(&folder).await;
        let broker = Broker::connect(&settings.broker, "test")
            .await
            .expect("is an address");
        broker.wait_ready(DEADLINE).await.expect("answers");
        let topology = Topology::of(&settings).expect("is good");
        broker.declare(&topology).await.expect("declares");
        Self::serve_with(folder, store, broker, settings).await
    }

    /// Another server on the same store and broker, as a process of its own would be.
    pub(crate) async fn beside(&self) -> Self {
        let folder = tempfile::tempdir().expect("makes a folder");
        Self::serve(folder, self.store.clone(), self.broker.clone(), |_| {}).await
    }

    async fn serve(
        folder: TempDir,
        store: Store,
        broker: Broker,
        change: impl FnOnce(&mut WebSettings),
    ) -> Self {
        let mut settings = Settings::default();
        change(&mut settings.web);
        Self::serve_with(folder, store, broker, settings).await
    }

    async fn serve_with(folder: TempDir, store: Store, broker: Broker, mut settings: Settings) -> Self {
        settings.data_dir = folder.path().join("data");
        settings.web.address = Some(([127, 0, 0, 1], 0).into());
        let server = web::Server::bind(&settings.web).expect("binds").expect("is on");
        let addr = server.addr();
        let ctx = Context::new(Duration::from_secs(5));
        let running = tokio::spawn(server.run(settings, store.clone(), broker.clone(), ctx.clone()));
        ctx.health.until_ready().await;
        Self {
            addr,
            store,
            ctx,
            broker,
            running,
            folder,
        }
    }

    pub(crate) fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Ends it, which must not take long nor fail.
    pub(crate) async fn stop(self) {
        self.ctx.stop.cancel();
        self.running.await.expect("does not panic").expect("ends well");
        self.broker.close().await;
        self.store.close().await;
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    /// A form, as a page of ours sends it.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], form: &str) -> Answer {
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        self.ask("POST", path, &[&[kind], headers].concat(), form).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            write!(request, "Host: {}\r\n", self.addr).expect("writes");
        }
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").expect("writes");
        }
        write!(request, "Content-Length: {}\r\n\r\n{body}", body.len()).expect("writes");
        self.raw(request.as_bytes()).await
    }

    /// Bytes as they are.
    pub(crate) async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.addr).await.expect("connects");
        stream.write_all(request).await.expect("sends");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("reads");
        Answer::new(&bytes)
    }
}

fn postgres(url: &str) -> PostgresSettings {
    PostgresSettings {
        url: Secret::new(url.to_owned()),
        tls_ca_file: None,
        pool_size: 2,
        connect_timeout: Duration::from_secs(2),
        partition: Duration::from_secs(86_400),
        partitions_ahead: 2,
        searches_max: 4,
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn new(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").expect("has a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        Self {
            status: status.expect("has a status"),
            head: head.to_owned(),
            body: if is_chunked {
                unchunked(bytes)
            } else {
                body.to_owned()
            },
        }
    }

    /// The header `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// What a form of this page carries.
    pub(crate) fn csrf(&self) -> &str {
        let (_, after) = self.body.split_once("data-csrf=\"").expect("has a token");
        after.split('"').next().expect("ends")
    }

    /// The cookie that it sets, as it goes back.
    pub(crate) fn cookie(&self) -> &str {
        let cookie = self.header("set-cookie").expect("sets a cookie");
        cookie.split(';').next().expect("has a value")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

fn unchunked(bytes: &[u8]) -> String {
    let start = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("has a head")
        + 4;
    let mut rest = &bytes[start..];
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end])
            .ok()
            .and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(size) = size.filter(|size| *size > 0 && rest.len() >= end + 2 + size) else {
            break;
        };
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    String::from_utf8_lossy(&body).into_owned()
}
