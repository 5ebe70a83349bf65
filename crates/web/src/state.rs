//! What handlers share.

use std::{net::SocketAddr, sync::Arc};

use broker::{Broker, NameError, Topology};
use service::Context;
use settings::{Settings, WebSettings};
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::Accounts,
    dead::Desk,
    hub::Hub,
    pipeline::{Fills, Managed},
    running::Searches,
    sources,
    tail::Feed,
};

/// Cheap to clone; every clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) settings: Arc<WebSettings>,
    /// Of the whole installation, as this process has them.
    pub(crate) all: Arc<Settings>,
    pub(crate) store: Store,
    pub(crate) broker: Broker,
    pub(crate) accounts: Arc<Accounts>,
    /// What services tell.
    pub(crate) hub: Hub,
    /// How full the queues are.
    pub(crate) fills: Fills,
    /// What RabbitMQ tells of itself.
    pub(crate) managed: Managed,
    /// What the parser publishes.
    pub(crate) feed: Feed,
    pub(crate) desk: Desk,
    /// What is looked for just now.
    pub(crate) searches: Searches,
    /// What was read of sources.
    pub(crate) sources: Arc<sources::Kept>,
    /// Answers without an end must end when this is cancelled.
    pub(crate) stop: CancellationToken,
}

impl State {
    pub(crate) fn new(
        settings: Settings,
        addr: SocketAddr,
        store: Store,
        broker: Broker,
        ctx: &Context,
    ) -> Result<Self, NameError> {
        let accounts = Accounts::new(&settings.web, addr, store.clone());
        let topology = Topology::of(&settings)?;
        Ok(Self {
            settings: Arc::new(settings.web.clone()),
            store,
            accounts: Arc::new(accounts),
            hub: Hub::default(),
            fills: Fills::new(broker.clone(), &topology),
            managed: Managed::new(&settings.broker, &topology),
            feed: Feed::new(broker.clone(), topology, settings.web.tails_max),
            sources: Arc::default(),
            desk: Desk::new(broker.clone(), settings.data_dir.clone()),
            searches: Searches::default(),
            broker,
            all: Arc::new(settings),
            stop: ctx.stop.clone(),
        })
    }

    /// At the start: says what is missing. The pages are there all the same, and tell it to whoever opens them.
    pub(crate) async fn begin(&self) {
        match self.store.check().await {
            Ok(store) => tracing::debug!(store, "the pages can be served"),
            Err(error) => tracing::warn!(%error, "the store does not answer the pages"),
        }
        let broker = self.broker.state().borrow().to_string();
        tracing::debug!(broker, "the broker of the pages");
        self.accounts.begin().await;
    }
}
