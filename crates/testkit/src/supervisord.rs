//! A real supervisord with programs of a test's own.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::Context;
use nix::sys::signal::Signal;

use crate::programs::Program;
use crate::server::{Server, blocking, or_fail};

const SUPERVISORD: Program = Program {
    names: &["supervisord"],
    folders: &[],
    package: "supervisor",
};
const SUPERVISORCTL: Program = Program {
    names: &["supervisorctl"],
    folders: &[],
    package: "supervisor",
};

/// A private supervisord. It ends its programs when it is stopped or dropped.
#[derive(Debug)]
pub struct Supervisord {
    server: Server,
}

impl Supervisord {
    /// Starts supervisord on `programs`, sections of its configuration, with `environment` for all of them, and waits
    /// until it can be talked to.
    ///
    /// # Panics
    /// If supervisord is not installed or does not start.
    pub async fn start(programs: &str, environment: &[(&str, &str)]) -> Self {
        let programs = programs.to_owned();
        let variables = environment
            .iter()
            .map(|(key, value)| format!("{key}=\"{value}\""));
        let environment = variables.collect::<Vec<_>>().join(",");
        or_fail(blocking(move || Self::launch(&programs, &environment)).await)
    }

    fn launch(programs: &str, environment: &str) -> anyhow::Result<Self> {
        let mut server = Server::new(None, "supervisord", Signal::SIGTERM)?;
        let dir = server.dir().display().to_string();
        let config = format!(
            "[supervisord]\nnodaemon=true\nlogfile={dir}/supervisord.log\npidfile={dir}/pid\nchildlogdir={dir}\n\
             environment={environment}\n\
             [unix_http_server]\nfile={dir}/ctl\n\
             [supervisorctl]\nserverurl=unix://{dir}/ctl\n\
             [rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
             [include]\nfiles={dir}/programs.conf\n"
        );
        fs::write(server.dir().join("supervisord.conf"), config)?;
        fs::write(server.dir().join("programs.conf"), programs)?;
        let mut command = Command::new(SUPERVISORD.find()?);
        command.arg("-c").arg(server.dir().join("supervisord.conf"));
        let socket = server.dir().join("ctl");
        server.start(&mut command, || socket.try_exists().unwrap_or(false))?;
        Ok(Self { server })
    }

    /// Each program, as `group:name`, with what supervisord says of it, such as `RUNNING`.
    ///
    /// # Panics
    /// If supervisorctl cannot be run.
    pub async fn states(&self) -> BTreeMap<String, String> {
        let told = self.ctl("status").await;
        let words = |line: &str| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        };
        told.lines().filter_map(words).collect()
    }

    /// The process id of a program; `None` while it does not run.
    ///
    /// # Panics
    /// If supervisorctl cannot be run.
    pub async fn pid(&self, program: &str) -> Option<i32> {
        let told = self.ctl(&format!("pid {program}")).await;
        told.trim().parse().ok().filter(|pid| *pid > 0)
    }

    /// What supervisorctl answers to a command of these words.
    async fn ctl(&self, command: &str) -> String {
        let config = self.server.dir().join("supervisord.conf");
        let words: Vec<_> = command.split(' ').map(str::to_owned).collect();
        let run = move || {
            let mut command = Command::new(SUPERVISORCTL.find()?);
            command.arg("-c").arg(config).args(words);
            command.output().context("run supervisorctl")
        };
        let output = or_fail(blocking(run).await);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What supervisord said of its programs so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.server.dir().join("supervisord.log")).unwrap_or_default()
    }

    /// Asks it to stop its programs and to end, waits for that, and returns its log.
    ///
    /// # Panics
    /// If the waiting is broken off.
    pub async fn stop(self) -> String {
        let mut own = self;
        let stop = move || {
            own.server.stop(Signal::SIGTERM, None);
            own.log()
        };
        blocking(stop).await
    }
}

/// Its programs have process groups of their own, which the guard does not know: it must end them itself.
impl Drop for Supervisord {
    fn drop(&mut self) {
        self.server.stop(Signal::SIGTERM, None);
    }
}
