//! What a service manager is told of this process: ready, stopping, alive. `sd_notify(3)` describes the words, which
//! systemd understands and others do, too. Without a manager that listens nothing is told.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    process,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// Where a manager listens, and how often it wants to hear that this process lives.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: UnixDatagram,
    watchdog: Option<Duration>,
}

impl Manager {
    /// The manager that `variable` (of the environment) names, if there is one.
    pub(crate) fn find(variable: impl Fn(&str) -> Option<OsString>) -> anyhow::Result<Option<Self>> {
        let Some(name) = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let socket = connect(&name).with_context(|| {
            format!(
                "talk to the service manager at {} (NOTIFY_SOCKET)",
                name.display()
            )
        })?;
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        let is_ours = variable("WATCHDOG_PID").is_none()
            || number("WATCHDOG_PID").is_some_and(|pid| pid == u64::from(process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|micros| *micros > 0 && is_ours);
        Ok(Some(Self {
            socket,
            watchdog: watchdog.map(Duration::from_micros),
        }))
    }

    /// Tells the manager how the process of `ctx` is, until `done`.
    pub(crate) async fn keep_told(self: Arc<Self>, ctx: Context, done: CancellationToken) {
        // Twice in the time after which the manager gives the process up, as its documentation asks.
        let mut beats = self.watchdog.map(|patience| {
            let mut beats = interval((patience / 2).max(Duration::from_millis(1)));
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beats
        });
        let (mut is_ready, mut is_stopping) = (false, false);
        loop {
            let beat = async {
                match &mut beats {
                    Some(beats) => {
                        beats.tick().await;
                    }
                    None => std::future::pending().await,
                }
            };
            // Cancel-safe: tokens, and ticks of an interval, are not lost. The end comes last, so that what is true is told
            // before it.
            tokio::select! {
                biased;
                () = ctx.until_started(), if !is_ready => {
                    is_ready = true;
                    self.tell("READY=1\nSTATUS=running");
                }
                () = ctx.stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    self.tell("STOPPING=1\nSTATUS=draining");
                }
                () = beat => self.tell("WATCHDOG=1"),
                () = done.cancelled() => break,
            }
        }
    }

    /// Says one thing.
    pub(crate) fn tell(&self, words: &str) {
        // Nothing depends on it here. A manager that does not hear what it waits for does something about it.
        if let Err(error) = self.socket.send(words.as_bytes()) {
            tracing::debug!(%error, words, "the service manager could not be told");
        }
    }
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let addr = match name.as_bytes() {
        // Linux: a name that is in no file system.
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&addr)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(variables: &[(&str, &str)]) -> anyhow::Result<Option<Manager>> {
        Manager::find(|wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted)?;
            Some(OsString::from(found.1))
        })
    }

    #[test]
    fn nobody_is_told_without_a_manager() {
        assert!(find(&[]).expect("is fine").is_none());
        assert!(find(&[("NOTIFY_SOCKET", "")]).expect("is fine").is_none());
        let told = format!(
            "{:#}",
            find(&[("NOTIFY_SOCKET", "/nowhere/at/all")]).expect_err("is away")
        );
        assert!(
            told.contains("/nowhere/at/all") && told.contains("NOTIFY_SOCKET"),
            "{told}"
        );
    }

    #[test]
    fn the_watchdog_of_another_process_is_not_ours() {
        let name = format!("logferry-test-{}", process::id());
        let addr = SocketAddr::from_abstract_name(&name).expect("is a name");
        let _manager = UnixDatagram::bind_addr(&addr).expect("binds");
        let name = format!("@{name}");
        let own = process::id().to_string();
        for (pid, expected) in [
            (own.as_str(), Some(Duration::from_millis(1500))),
            ("1", None),
            ("none", None),
        ] {
            let variables = [
                ("NOTIFY_SOCKET", name.as_str()),
                ("WATCHDOG_USEC", "1500000"),
                ("WATCHDOG_PID", pid),
            ];
            let manager = find(&variables).expect("connects").expect("is there");
            assert_eq!(manager.watchdog, expected, "{pid}");
        }
    }
}
