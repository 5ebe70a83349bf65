//! How `logferry dead` and `logferry status` reach the embedded queues of a running `logferry run`, which keeps their file to itself:
//! a socket in its data folder, for whoever may open that folder. JSON lines go in both directions: a request and
//! what follows it, and replies.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use broker::{Broker, QueueName};
use dead::{CHANNEL, Input, Replies, Reply, Request, serve};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::status::{Told, tell};

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
    queues: Vec<QueueName>,
}

impl DeadSocket {
    /// Opens the socket in a data folder that this process has locked.
    pub(crate) fn bind(data_dir: &Path, queues: Vec<QueueName>) -> io::Result<Self> {
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
            queues,
        })
    }

    /// Serves commands until `stop`.
    pub(crate) async fn serve(self, broker: Broker, stop: CancellationToken) {
        let queues: Arc<[_]> = self.queues.clone().into();
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut commands = JoinSet::new();
        while let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await {
            while commands.try_join_next().is_some() {}
            let Ok((stream, _)) = accepted else { continue };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                continue;
            };
            let (broker, data_dir) = (broker.clone(), self.data_dir.clone());
            let queues = Arc::clone(&queues);
            commands.spawn(async move {
                if let Err(error) = command(stream, &broker, &queues, &data_dir).await {
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

/// What a command may ask for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Asked {
    /// To be told how all is until it goes away.
    Status {
        status: bool,
    },
    Dead(Request),
}

async fn command(
    stream: UnixStream,
    broker: &Broker,
    queues: &[QueueName],
    data_dir: &Path,
) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let request = match read_line(&mut read).await? {
        None => return Ok(()),
        Some(Asked::Status { .. }) => return pass_on(broker, queues, read, write).await,
        Some(Asked::Dead(request)) => request,
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

/// Tells how all is until the other side has enough.
async fn pass_on(
    broker: &Broker,
    queues: &[QueueName],
    mut read: impl AsyncBufRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
) -> anyhow::Result<()> {
    let (told, mut heard) = mpsc::channel(CHANNEL);
    let telling = tell(broker, queues, told);
    let writing = async {
        while let Some(told) = heard.recv().await {
            write_line(&mut write, &told).await?;
        }
        anyhow::Ok(())
    };
    // It says nothing more; its end is the end of its stream.
    let ended = read.fill_buf();
    tokio::select! {
        written = writing => written,
        () = telling => Ok(()),
        _ = ended => Ok(()),
    }
}

/// Asks for how all is, and passes on what comes.
pub(crate) async fn hear(stream: UnixStream, told: mpsc::Sender<Told>) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    write_line(&mut write, &Asked::Status { status: true }).await?;
    let mut read = BufReader::new(read);
    while let Some(heard) = read_line(&mut read).await? {
        if told.send(heard).await.is_err() {
            return Ok(());
        }
    }
    bail!("logferry run went away, or is busy with other commands")
}

/// The running process that has this data folder, if one does.
pub(crate) async fn reach(data_dir: &Path) -> Option<UnixStream> {
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
