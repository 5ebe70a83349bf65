//! The load generator: `logferry bench` as a process of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::place::Place;

/// What a sender speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Relp,
    Tcp,
}

/// A load that is being sent.
#[derive(Debug)]
pub(crate) struct Load {
    child: Child,
}

impl Load {
    /// Starts to send `count` messages, at `rate` a second or as fast as they are taken.
    pub(crate) fn start(
        place: &Place,
        protocol: Protocol,
        to: SocketAddr,
        count: u64,
        rate: Option<u64>,
    ) -> anyhow::Result<Self> {
        let binaries: &Path = testkit::binaries::folder(testkit::binaries::Profile::Release);
        let mut command = Command::new(binaries.join("logferry"));
        let protocol = match protocol {
            Protocol::Relp => "relp",
            Protocol::Tcp => "tcp",
        };
        command
            .args(["bench", "--json", "--protocol", protocol, "--to", &to.to_string()])
            .args(["--count", &count.to_string(), "--size", &place.size.to_string()])
            .args(["--connections", &place.connections.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        if let Some(rate) = rate {
            command.args(["--rate", &rate.to_string()]);
        }
        let child = command.spawn().context("start logferry bench")?;
        Ok(Self { child })
    }

    /// Waits until everything was sent and, over RELP, answered; returns what the generator reports.
    pub(crate) async fn finish(self) -> anyhow::Result<Value> {
        let output = self
            .child
            .wait_with_output()
            .await
            .context("await logferry bench")?;
        if !output.status.success() {
            bail!("logferry bench: {}", output.status);
        }
        serde_json::from_slice(&output.stdout).context("read the report of logferry bench")
    }
}
