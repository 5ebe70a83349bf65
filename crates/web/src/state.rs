//! What handlers share.

use std::{net::SocketAddr, sync::Arc};

use broker::Broker;
use service::Context;
use settings::WebSettings;
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;

/// Cheap to clone; every clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) settings: Arc<WebSettings>,
    pub(crate) store: Store,
    pub(crate) broker: Broker,
    pub(crate) accounts: Arc<Accounts>,
    /// Answers without an end must end when this is cancelled.
    pub(crate) stop: CancellationToken,
}

impl State {
    pub(crate) fn new(
        settings: WebSettings,
        addr: SocketAddr,
        store: Store,
        broker: Broker,
        ctx: &Context,
    ) -> Self {
        let accounts = Accounts::new(&settings, addr, store.clone());
        Self {
            settings: Arc::new(settings),
            store,
            broker,
            accounts: Arc::new(accounts),
            stop: ctx.stop.clone(),
        }
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
