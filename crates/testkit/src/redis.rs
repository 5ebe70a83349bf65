//! A private Redis and key prefixes on it.
//!
//! It appends to its file and syncs at every write: what is confirmed is durable.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use parking_lot::Mutex;

use crate::certificates::Issued;
use crate::programs::Program;
use crate::server::{self, Server, blocking, or_fail};
use crate::shared::Shared;
use crate::{env, free_port};

const REDIS: Program = Program {
    names: &["redis-server"],
    folders: &[],
    package: "redis-server (redis)",
};

/// A Redis of the test's own, to stop and kill at will. Cheap to clone; ends with the last clone.
#[derive(Debug, Clone)]
pub struct Redis {
    inner: Arc<Mutex<Inner>>,
    port: u16,
    tls_port: Option<u16>,
}

#[derive(Debug)]
struct Inner {
    server: Server,
    port: u16,
    tls: Option<(u16, Issued)>,
}

impl Redis {
    /// Starts a Redis that nobody else uses.
    ///
    /// # Panics
    /// If Redis is not installed or does not start.
    pub async fn start_private() -> Self {
        or_fail(blocking(Self::launch).await)
    }

    /// The same, with a second port that speaks TLS and shows `certificate`.
    ///
    /// # Panics
    /// If Redis is not installed or does not start.
    pub async fn start_private_tls(certificate: Issued) -> Self {
        or_fail(blocking(move || Self::launch_with(None, Some(certificate))).await)
    }

    /// [`Redis::start_private`] for code that is not async.
    ///
    /// # Errors
    /// If Redis is not installed or does not start.
    pub fn launch() -> anyhow::Result<Self> {
        Self::launch_with(None, None)
    }

    /// A Redis to measure with: its data below `base`, which should be on a disk.
    ///
    /// # Errors
    /// If Redis is not installed or does not start.
    pub fn launch_in(base: &Path) -> anyhow::Result<Self> {
        Self::launch_with(Some(base), None)
    }

    fn launch_with(base: Option<&Path>, certificate: Option<Issued>) -> anyhow::Result<Self> {
        server::with_retries(|| {
            let port = free_port();
            let tls = certificate.clone().map(|certificate| (free_port(), certificate));
            let tls_port = tls.as_ref().map(|(port, _)| *port);
            let mut inner = Inner {
                server: Server::new(base, "redis", Signal::SIGKILL)?,
                port,
                tls,
            };
            inner.start()?;
            Ok(Self {
                inner: Arc::new(Mutex::new(inner)),
                port,
                tls_port,
            })
        })
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The TLS address on `host`, if the server has a certificate.
    #[must_use]
    pub fn tls_url(&self, host: &str) -> Option<String> {
        Some(format!("rediss://{host}:{}", self.tls_port?))
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes a setting of the running server (`CONFIG SET`), until it is started again.
    ///
    /// # Errors
    /// If it does not answer, or refuses.
    pub fn configure(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let answer = call(self.port, &["CONFIG", "SET", name, value])?;
        if !answer.starts_with("+OK") {
            bail!("CONFIG SET {name} {value}: {answer}");
        }
        Ok(())
    }

    /// Stops the server in order (SIGTERM); [`Redis::start`] brings it back with its data.
    pub async fn stop(&self) {
        self.step(|inner| {
            inner.server.stop(Signal::SIGTERM, None);
            Ok(())
        })
        .await;
    }

    /// Ends the server as a crash would (SIGKILL); [`Redis::start`] brings it back with its data.
    pub async fn kill(&self) {
        self.step(|inner| {
            inner.server.kill();
            Ok(())
        })
        .await;
    }

    /// Starts the stopped server again, on the same address with the same data.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(&self) {
        self.step(Inner::start).await;
    }

    /// Stops the server for a while (SIGSTOP); it keeps its connections and says nothing.
    pub fn pause(&self) {
        self.inner.lock().server.signal(Signal::SIGSTOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.inner.lock().server.signal(Signal::SIGCONT);
    }

    async fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Inner) -> anyhow::Result<T> + Send + 'static,
    ) -> T {
        let inner = Arc::clone(&self.inner);
        or_fail(blocking(move || step(&mut inner.lock())).await)
    }
}

impl Inner {
    fn start(&mut self) -> anyhow::Result<()> {
        let port = self.port;
        let mut command = Command::new(REDIS.find()?);
        command
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"])
            .arg(self.server.dir())
            .args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
        if let Some((port, Issued { cert_file, key_file })) = &self.tls {
            command.args(["--tls-auth-clients", "no", "--tls-port", &port.to_string()]);
            command.arg("--tls-cert-file").arg(cert_file);
            command.arg("--tls-key-file").arg(key_file);
            // It insists on one, though it asks clients for nothing.
            command.arg("--tls-ca-cert-file").arg(cert_file);
        }
        self.server.start(&mut command, || {
            call(port, &["PING"]).is_ok_and(|answer| answer.starts_with("+PONG"))
        })
    }
}

/// A key prefix that only this test uses; its keys are deleted on drop.
#[derive(Debug)]
pub struct KeyPrefix {
    url: String,
    prefix: String,
}

impl KeyPrefix {
    fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            prefix: format!("test:{}:", uuid::Uuid::new_v4().simple()),
        }
    }

    /// The server's address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the name of every key of this test begins with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl Drop for KeyPrefix {
    fn drop(&mut self) {
        const DELETE: &str =
            "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end";
        if let Ok(port) = port_of(&self.url) {
            // A test may have killed its server; then there is nothing to delete.
            call(port, &["EVAL", DELETE, "0", &format!("{}*", self.prefix)]).ok();
        }
    }
}

/// One command, one answer that fits into one read.
fn call(port: u16, words: &[&str]) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(request.as_bytes())?;
    let mut answer = [0; 512];
    let length = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).into_owned())
}

fn port_of(url: &str) -> anyhow::Result<u16> {
    let (_, port) = url.rsplit_once(':').context("find the port of Redis")?;
    Ok(port.trim_end_matches('/').parse()?)
}

pub(crate) fn shared_prefix() -> anyhow::Result<KeyPrefix> {
    static SHARED: Shared<String, Redis> = Shared::new();
    let url = SHARED.address(
        || Ok(std::env::var(env::REDIS_URL).ok()),
        || {
            let server = Redis::launch()?;
            Ok((server.url(), server))
        },
    )?;
    Ok(KeyPrefix::new(url))
}
