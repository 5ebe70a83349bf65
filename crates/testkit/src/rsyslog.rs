//! A real rsyslogd with a configuration of its own, as the sender that users have.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::free_port;
use crate::programs::{self, Program};
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
        Self::launch_on(None, |_, input| {
            format!(
                "module(load=\"imptcp\")\n{settings}\n\
                 ruleset(name=\"forward\") {{\n{actions}\n}}\n\
                 input(type=\"imptcp\" address=\"127.0.0.1\" port=\"{input}\" ruleset=\"forward\")\n"
            )
        })
    }

    /// Starts rsyslogd on a whole configuration, to measure it: `config` is given its folder, which is
    /// below `base` and should be on a disk, and the TCP port of the input to configure.
    ///
    /// # Errors
    /// If rsyslog is not installed or does not start.
    pub fn launch_in(base: &Path, config: impl FnOnce(&Path, u16) -> String) -> anyhow::Result<Self> {
        Self::launch_on(Some(base), config)
    }

    fn launch_on(base: Option<&Path>, config: impl FnOnce(&Path, u16) -> String) -> anyhow::Result<Self> {
        let mut server = Server::new(base, "rsyslog", Signal::SIGTERM)?;
        let input = free_port();
        let dir = server.dir().to_owned();
        let file = dir.join("rsyslog.conf");
        let work = dir.display();
        let global = format!("global(workDirectory=\"{work}\" maxMessageSize=\"64k\")");
        fs::write(&file, format!("{global}\n{}", config(&dir, input)))?;
        let mut command = Command::new(RSYSLOGD.find()?);
        command
            .args(["-n", "-i", "NONE", "-f"])
            .arg(&file)
            .current_dir(&dir);
        server.start(&mut command, || server::accepts(input))?;
        Ok(Self { server, input })
    }

    /// Whether rsyslogd can be started here.
    #[must_use]
    pub fn is_installed() -> bool {
        RSYSLOGD.find().is_ok()
    }

    /// Whether a loadable module of rsyslog is installed, such as `ompgsql`.
    #[must_use]
    pub fn has_module(name: &str) -> bool {
        let mut folders = programs::expand("/usr/lib/*/rsyslog");
        folders.extend(["/usr/lib/rsyslog", "/usr/lib64/rsyslog"].map(PathBuf::from));
        folders
            .iter()
            .any(|folder| folder.join(format!("{name}.so")).is_file())
    }

    /// Where the input listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.input).into()
    }

    /// Its folder, which is also its current one.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.server.dir()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.main()
    }

    /// Gives rsyslogd one frame a line.
    ///
    /// # Panics
    /// If it does not take them.
    pub async fn feed(&self, lines: &[String]) {
        or_fail(self.try_feed(lines).await);
    }

    async fn try_feed(&self, lines: &[String]) -> anyhow::Result<()> {
        let mut stream = TcpStream::connect(self.addr()).await?;
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

    /// All that rsyslogd itself has said so far.
    #[must_use]
    pub fn whole_log(&self) -> String {
        self.server.whole_log()
    }

    /// Stops rsyslogd in order, which lets it send what it holds.
    pub async fn stop(mut self) {
        blocking(move || self.server.stop(Signal::SIGTERM, None)).await;
    }
}
