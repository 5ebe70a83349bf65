//! The load generator: `logferry bench` as a process of its own.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::place::Place;

/// What a sender speaks. Over TCP a line feed ends a message, as most senders do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Relp,
    Tcp,
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) protocol: Protocol,
    pub(crate) connections: u32,
    /// Over RELP: messages of a connection that may await their answer.
    pub(crate) window: u32,
    pub(crate) count: u64,
    /// Messages a second; as fast as they are taken without.
    pub(crate) rate: Option<u64>,
}

impl Shape {
    pub(crate) const fn tcp(count: u64) -> Self {
        Self {
            protocol: Protocol::Tcp,
            connections: 1,
            window: 1,
            count,
            rate: None,
        }
    }

    pub(crate) const fn relp(count: u64, connections: u32, window: u32) -> Self {
        Self {
            protocol: Protocol::Relp,
            connections,
            window,
            count,
            rate: None,
        }
    }
}

/// A load that is being sent.
#[derive(Debug)]
pub(crate) struct Load {
    child: Child,
}

impl Load {
    pub(crate) fn start(place: &Place, to: SocketAddr, shape: Shape) -> anyhow::Result<Self> {
        let mut command = Command::new(&place.generator);
        let protocol: &[&str] = match shape.protocol {
            Protocol::Relp => &["--protocol", "relp"],
            Protocol::Tcp => &["--protocol", "tcp", "--framing", "lf"],
        };
        command
            .args(["bench", "--json", "--to", &to.to_string()])
            .args(protocol)
            .args(["--count", &shape.count.to_string()])
            .args(["--size", &place.measuring.size.to_string()])
            .args(["--connections", &shape.connections.to_string()])
            .args(["--window", &shape.window.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        if let Some(rate) = shape.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        let child = command.spawn().context("start logferry bench")?;
        Ok(Self { child })
    }

    /// Waits until everything was sent and, over RELP, answered; returns what the generator reports.
    pub(crate) async fn finish(self) -> anyhow::Result<Value> {
        let output = self.child.wait_with_output().await;
        let output = output.context("await logferry bench")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout);
            bail!("logferry bench: {} {said}", output.status);
        }
        serde_json::from_slice(&output.stdout).context("read the report of logferry bench")
    }
}
