//! A way to ask a running process of this machine for something and hear what came of it, which a signal has not: an
//! abstract socket named after the process. It answers its own user and root, and needs neither folder nor port.

use std::{
    collections::BTreeSet,
    fs, io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener as StdListener, UnixStream as StdStream},
    },
    process,
    sync::Arc,
    time::Duration,
};

use nix::unistd::geteuid;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use crate::{
    context::Context,
    manager::Manager,
    reload::{ReloadReport, Reloader, Wish},
};

/// How the names of sockets begin.
const NAME: &str = "logferry/";
/// One wish or one report.
const LINE_BYTES_MAX: u64 = 256 * 1024;
/// For a wish to come once somebody has connected, and for a report to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// For a report: rules may take a while to compile on a busy machine.
const REPORT_PATIENCE: Duration = Duration::from_secs(60);

/// The socket of this process.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
}

impl Control {
    pub(crate) fn bind() -> io::Result<Self> {
        let listener = StdListener::bind_addr(&addr(process::id())?)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        Ok(Self { listener })
    }

    /// Answers one after the other. It never ends.
    pub(crate) async fn serve(
        self,
        service: &str,
        reloader: Arc<Reloader>,
        ctx: Context,
        manager: Option<Arc<Manager>>,
    ) {
        loop {
            let answered = async {
                let (stream, _) = self.listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                if uid != 0 && uid != geteuid().as_raw() {
                    return Err(io::Error::from(io::ErrorKind::PermissionDenied));
                }
                let mut stream = BufReader::new(stream);
                let wish = timeout(PATIENCE, receive(&mut stream)).await??;
                let outcome = reloader.grant(wish, &ctx, manager.as_deref()).await;
                let report = reloader.report(service, outcome);
                timeout(PATIENCE, send(&mut stream, &report)).await?
            };
            if let Err(error) = answered.await {
                tracing::debug!(%error, "a wish was not heard");
                // Where nothing can be accepted, trying again at once only burns the processor.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// The processes of this machine that can be asked, of whatever user.
///
/// # Errors
/// The system does not list its sockets.
pub fn running() -> io::Result<Vec<u32>> {
    Ok(pids(&fs::read_to_string("/proc/net/unix")?))
}

fn pids(sockets: &str) -> Vec<u32> {
    let names = sockets.lines().filter_map(|line| line.rsplit_once(' '));
    let names = names.filter_map(|(_, name)| name.strip_prefix('@')?.strip_prefix(NAME)?.parse().ok());
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Asks the process `pid`, and waits for what it says.
///
/// # Errors
/// Nobody answers there, or not to this user.
pub async fn ask(pid: u32, wish: Wish) -> io::Result<ReloadReport> {
    let stream = StdStream::connect_addr(&addr(pid)?)?;
    stream.set_nonblocking(true)?;
    let stream = UnixStream::from_std(stream)?;
    // Any user can take a name that is free.
    if stream.peer_cred()?.pid() != i32::try_from(pid).ok() {
        return Err(io::Error::other("it is another process than its name says"));
    }
    let mut stream = BufReader::new(stream);
    send(&mut stream, &wish).await?;
    timeout(REPORT_PATIENCE, receive(&mut stream)).await?
}

fn addr(pid: u32) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("{NAME}{pid}"))
}

async fn send(stream: &mut BufReader<UnixStream>, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.flush().await
}

async fn receive<T: DeserializeOwned>(stream: &mut BufReader<UnixStream>) -> io::Result<T> {
    let mut line = Vec::new();
    stream.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_found_by_their_sockets() {
        let sockets = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 16163 @logferry/4711\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 16164 @logferry/4711\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 16165 @logferry/12\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 16166 @logferry/x\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 16167 /run/logferry/99\n\
            0000000000000000: 00000002 00000000 00000000 0002 01 16168\n";
        assert_eq!(pids(sockets), [12, 4711]);
    }

    #[tokio::test]
    async fn nobody_answers_for_a_process_that_is_not_there() {
        let error = ask(u32::MAX, Wish::Who).await.expect_err("is not there");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
