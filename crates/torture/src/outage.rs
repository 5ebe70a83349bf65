//! Taking a server away and giving it back, the same for all of them.

use std::time::Duration;

use testkit::{Postgres, RabbitMq, Redis};
use tokio::time::sleep;

/// A server that can be away.
pub(crate) trait Outage {
    /// Ends it as a crash would.
    async fn kill(&self);
    /// Asks it to end.
    async fn stop(&self);
    /// Starts it again, with its data.
    async fn start(&self);
    /// It keeps its connections and says nothing.
    fn pause(&self);
    /// It goes on.
    fn resume(&self);

    async fn killed(&self, lasts: Duration) {
        self.kill().await;
        sleep(lasts).await;
        self.start().await;
    }

    async fn terminated(&self, lasts: Duration) {
        self.stop().await;
        sleep(lasts).await;
        self.start().await;
    }

    async fn frozen(&self, lasts: Duration) {
        self.pause();
        sleep(lasts).await;
        self.resume();
    }
}

macro_rules! outage {
    ($($server:ty),*) => {$(
        impl Outage for $server {
            async fn kill(&self) {
                self.kill().await;
            }

            async fn stop(&self) {
                self.stop().await;
            }

            async fn start(&self) {
                self.start().await;
            }

            fn pause(&self) {
                self.pause();
            }

            fn resume(&self) {
                self.resume();
            }
        }
    )*};
}

outage!(RabbitMq, Postgres, Redis);
