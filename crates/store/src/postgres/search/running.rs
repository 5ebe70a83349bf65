//! A connection that runs statements for somebody who may go away.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use deadpool_postgres::Object;
use tokio_postgres::CancelToken;

use crate::{
    error::StoreError,
    postgres::{Postgres, Tls},
};

/// A connection that runs a search. Dropped before its end, it stops the search and is not used again.
pub(in crate::postgres) struct Running {
    client: Option<Object>,
    is_in_transaction: AtomicBool,
    token: CancelToken,
    tls: Tls,
}

impl Running {
    pub(in crate::postgres) async fn start(store: &Postgres) -> Result<Self, StoreError> {
        let client = store.reader().await?;
        Ok(Self {
            token: client.cancel_token(),
            tls: store.tls.clone(),
            client: Some(client),
            is_in_transaction: AtomicBool::new(false),
        })
    }

    pub(in crate::postgres) fn client(&self) -> &Object {
        self.client.as_ref().expect("taken only by finish and drop")
    }

    /// Begins a transaction whose statements are stopped after `time`, with further settings of our own; one that there
    /// is ends.
    pub(in crate::postgres) async fn begin(
        &self,
        time: Duration,
        settings: &str,
    ) -> Result<(), tokio_postgres::Error> {
        // Compiling takes longer than it saves on a page of rows, and workers beside take the processor from who writes.
        let is_next = self.is_in_transaction.swap(true, Ordering::Relaxed);
        let end = if is_next { "ROLLBACK; " } else { "" };
        let begin = format!(
            "{end}BEGIN READ ONLY; SET LOCAL statement_timeout = {}; SET LOCAL jit = off; \
             SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL plan_cache_mode = force_custom_plan; {settings}",
            time.as_millis().max(1)
        );
        self.client().batch_execute(&begin).await
    }

    /// Gives the connection back.
    pub(in crate::postgres) async fn finish(mut self) {
        // Also after an error, which the transaction does not survive.
        let is_free = !self.is_in_transaction.load(Ordering::Relaxed)
            || self.client().batch_execute("ROLLBACK").await.is_ok();
        if is_free {
            self.client = None;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else {
            return;
        };
        // A request to cancel may hit whatever the connection does next, so there is no next.
        drop(Object::take(client));
        let (token, tls) = (self.token.clone(), self.tls.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = token.cancel_query(tls.0).await {
                    tracing::debug!(%error, "abandoned search not cancelled");
                }
            });
        }
    }
}
