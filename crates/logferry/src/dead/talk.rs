//! A request to whoever has the dead letters: a running `logferry run`, or the broker itself.

use anyhow::{Context, bail};
use broker::Broker;
use dead::{CHANNEL, Input, Reply, Request};
use indicatif::{ProgressBar, ProgressStyle};
use service::DataDir;
use settings::{BrokerSettings, Settings};
use tokio::{sync::mpsc, task::JoinHandle};

use super::socket;
use crate::command;

/// A request under way.
pub(super) struct Talk {
    replies: mpsc::Receiver<Reply>,
    /// `None` when there is no more to say to it.
    pub(super) inputs: Option<mpsc::Sender<Input>>,
    pub(super) progress: ProgressBar,
    work: JoinHandle<()>,
    // Kept while the work needs it.
    _data_dir: Option<DataDir>,
}

impl Talk {
    pub(super) async fn begin(settings: &Settings, request: Request) -> anyhow::Result<Self> {
        let (inputs, inputs_out) = mpsc::channel(CHANNEL);
        let (replies_in, replies) = mpsc::channel(CHANNEL);
        let mut data_dir = None;
        let work = match &settings.broker {
            BrokerSettings::Embedded { dir, .. } => {
                command::expect_data(settings, dir)?;
                match socket::reach(&settings.data_dir).await {
                    Some(stream) => tokio::spawn(socket::ask(stream, request, inputs_out, replies_in)),
                    None => {
                        let opened = DataDir::open(&settings.data_dir);
                        data_dir = Some(opened.context(
                            "no `logferry run` answers on the socket in the data folder, and it cannot be opened without one",
                        )?);
                        let broker = connect(settings).await?;
                        here(broker, request, inputs_out, replies_in, settings)
                    }
                }
            }
            BrokerSettings::Amqp(amqp) => {
                let broker = connect(settings).await?;
                broker
                    .wait_ready(amqp.connect_timeout)
                    .await
                    .context("connect to the broker (broker.url)")?;
                here(broker, request, inputs_out, replies_in, settings)
            }
        };
        let style = ProgressStyle::with_template(
            "{bar:30} {human_pos} of {human_len} letters, {per_sec}, {eta} left",
        )
        .expect("the template is good");
        Ok(Self {
            replies,
            inputs: Some(inputs),
            progress: ProgressBar::no_length().with_style(style),
            work,
            _data_dir: data_dir,
        })
    }

    /// The next reply that is not only about progress; `Err` when it could not be done.
    pub(super) async fn next(&mut self) -> anyhow::Result<Reply> {
        loop {
            match self.replies.recv().await {
                Some(Reply::Total(total)) => self.progress.set_length(total),
                Some(Reply::Seen(seen)) => self.progress.set_position(seen),
                Some(Reply::Failed(text)) => {
                    self.progress.finish_and_clear();
                    bail!(text)
                }
                Some(reply) => {
                    if matches!(reply, Reply::End(_)) {
                        self.progress.finish_and_clear();
                    }
                    return Ok(reply);
                }
                None => bail!("the work ended without an answer"),
            }
        }
    }

    /// Waits until all is closed in good order.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        self.inputs = None;
        self.work.await.context("end the work")
    }
}

async fn connect(settings: &Settings) -> anyhow::Result<Broker> {
    Broker::connect(&settings.broker, "logferry dead")
        .await
        .context("connect to the broker (broker.url)")
}

fn here(
    broker: Broker,
    request: Request,
    inputs: mpsc::Receiver<Input>,
    replies: mpsc::Sender<Reply>,
    settings: &Settings,
) -> JoinHandle<()> {
    let data_dir = settings.data_dir.clone();
    tokio::spawn(async move {
        dead::serve(request, inputs, replies, &broker, &data_dir).await;
        broker.close().await;
    })
}
