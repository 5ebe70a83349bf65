//! How `logferry dead` reaches the embedded queues of a running `logferry run`, which keeps their file to itself:
//! a socket in its data folder, for whoever may open that folder. JSON lines go in both directions: a request and
//! what follows it, and replies.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use broker::Broker;
use dead::{CHANNEL, Input, Replies, Reply, Request, serve};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

const FILE: &str = "logferry.sock";
/// One letter is one line, in which a body takes a third more than its size.
const LINE_BYTES_MAX: u64 = 512 << 20;
/// Commands at a time.
const CONNECTIONS_MAX: usize = 4;

/// The socket of a running process, which goes away with it.
#[derive(Debug)]
pub(crate) struct DeadSocket {
    listener: UnixListener,
    path: PathBuf,
    data_dir: PathBuf,
}

impl DeadSocket {
    /// Opens the socket in a data folder that this process has locked.
    pub(crate) fn bind(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // Of a process that was killed: the lock says that none lives.
            Ok(()) | Err(_) => {}
        }
        Ok(Self {
            listener: UnixListener::bind(&path)?,
            path,
            data_dir: data_dir.to_owned(),
        })
    }

    /// Serves commands until `stop`.
    pub(crate) async fn serve(self, broker: Broker, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut commands = JoinSet::new();
        while let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await {
            while commands.try_join_next().is_some() {}
            let Ok((stream, _)) = accepted else { continue };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                continue;
            };
            let (broker, data_dir) = (broker.clone(), self.data_dir.clone());
            commands.spawn(async move {
                if let Err(error) = command(stream, &broker, &data_dir).await {
                    tracing::debug!(error = format!("{error:#}"), "a command ended early");
                }
                drop(slot);
            });
        }
    }
}

impl Drop for DeadSocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the socket was gone already");
        }
    }
}

async fn command(stream: UnixStream, broker: &Broker, data_dir: &Path) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let Some(request) = read_line::<Request>(&mut read).await? else {
        return Ok(());
    };
    let (inputs_in, inputs) = mpsc::channel(CHANNEL);
    let (replies, mut answers) = mpsc::channel(CHANNEL);
    let listen = async {
        while let Some(input) = read_line::<Input>(&mut read).await? {
            if inputs_in.send(input).await.is_err() {
                break;
            }
        }
        drop(inputs_in);
        anyhow::Ok(())
    };
    let answer = async {
        while let Some(reply) = answers.recv().await {
            write_line(&mut write, &reply).await?;
        }
        anyhow::Ok(())
    };
    let work = async {
        serve(request, inputs, replies, broker, data_dir).await;
        anyhow::Ok(())
    };
    tokio::try_join!(listen, answer, work).map(drop)
}

/// The running process that has this data folder, if one does.
pub(super) async fn reach(data_dir: &Path) -> Option<UnixStream> {
    UnixStream::connect(data_dir.join(FILE)).await.ok()
}

/// Sends a request and what follows it, and passes on what comes back.
pub(super) async fn ask(
    stream: UnixStream,
    request: Request,
    mut inputs: mpsc::Receiver<Input>,
    replies: Replies,
) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let send = async {
        write_line(&mut write, &request).await?;
        while let Some(input) = inputs.recv().await {
            write_line(&mut write, &input).await?;
        }
        write.shutdown().await.context("end the request")
    };
    let receive = async {
        while let Some(reply) = read_line::<Reply>(&mut read).await? {
            let is_last = matches!(reply, Reply::End(_) | Reply::Failed(_));
            if replies.send(reply).await.is_err() || is_last {
                return anyhow::Ok(());
            }
        }
        bail!("logferry run went away before it was done, or is busy with other commands")
    };
    let done = async {
        let (sent, received) = tokio::join!(send, receive);
        received.and(sent)
    };
    if let Err(error) = done.await {
        // Whoever waits may have had enough.
        drop(replies.send(Reply::Failed(format!("{error:#}"))).await);
    }
}

async fn read_line<T: DeserializeOwned>(from: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<Option<T>> {
    let mut line = Vec::new();
    from.take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut line)
        .await
        .context("read from the socket")?;
    if line.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&line)
        .context("read what came from the socket: is it another version of Logferry?")
        .map(Some)
}

async fn write_line(to: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line).await.context("write to the socket")
}
