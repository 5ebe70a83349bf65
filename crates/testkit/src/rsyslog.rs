//! A real rsyslogd with a configuration of its own, as the sender that users have.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::free_port;
use crate::programs::Program;
use crate::server::{self, Server, blocking, or_fail};

const RSYSLOGD: Program = Program {
    names: &["rsyslogd"],
    folders: &[],
    package: "rsyslog (with rsyslog-relp and rsyslog-gnutls)",
};

/// A private rsyslogd that forwards every line it is given to where its actions say.
#[derive(Debug)]
pub struct Rsyslog {
    server: Server,
    input: u16,
}

impl Rsyslog {
    /// Starts rsyslogd. `settings` go on top (modules, `global(...)`), `actions` into the rule set that
    /// gets all lines, both in its RainerScript.
    ///
    /// # Panics
    /// If rsyslog is not installed or does not start.
    pub async fn start(settings: &str, actions: &str) -> Self {
        let (settings, actions) = (settings.to_owned(), actions.to_owned());
        or_fail(blocking(move || Self::launch(&settings, &actions)).await)
    }

    fn launch(settings: &str, actions: &str) -> anyhow::Result<Self> {
        let mut server = Server::new("rsyslog", Signal::SIGTERM)?;
        let input = free_port();
        let dir = server.dir().to_owned();
        let config = dir.join("rsyslog.conf");
        fs::write(
            &config,
            format!(
                "global(workDirectory=\"{}\" maxMessageSize=\"64k\")\n\
                 module(load=\"imptcp\")\n{settings}\n\
                 ruleset(name=\"forward\") {{\n{actions}\n}}\n\
                 input(type=\"imptcp\" address=\"127.0.0.1\" port=\"{input}\" ruleset=\"forward\")\n",
                dir.display()
            ),
        )?;
        let mut command = Command::new(RSYSLOGD.find()?);
        command
            .args(["-n", "-i", "NONE", "-f"])
            .arg(&config)
            .current_dir(&dir);
        server.start(&mut command, || server::accepts(input))?;
        Ok(Self { server, input })
    }

    /// Gives rsyslogd one frame a line.
    ///
    /// # Panics
    /// If it does not take them.
    pub async fn feed(&self, lines: &[String]) {
        or_fail(self.try_feed(lines).await);
    }

    async fn try_feed(&self, lines: &[String]) -> anyhow::Result<()> {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, self.input));
        let mut stream = TcpStream::connect(addr).await?;
        let mut text = lines.join("\n");
        text.push('\n');
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await?;
        Ok(())
    }

    /// What rsyslogd itself has to say, for the message of a failed test.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log_tail()
    }

    /// Stops rsyslogd in order, which lets it send what it holds.
    pub async fn stop(mut self) {
        blocking(move || self.server.stop(Signal::SIGTERM, None)).await;
    }
}
