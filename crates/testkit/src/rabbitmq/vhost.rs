//! Vhosts: what a test has of a RabbitMQ that it shares with others.

use std::time::{Duration, Instant};

use anyhow::Context;
use parking_lot::Mutex;

use super::RabbitMq;
use crate::server::or_fail;
use crate::shared::Shared;
use crate::{env, http};

/// How long a vhost that no test uses is left alone. A quorum queue that dead-letters at least once and is deleted
/// in the moment after it was declared crashes a supervisor of RabbitMQ 3.10, and with it the server of all tests.
const REST: Duration = Duration::from_secs(2);

/// A vhost that only this test uses; deleted, with its queues and connections, on drop. One on the shared server is
/// deleted when this process makes or drops another one after that; the last ones end with the server.
#[derive(Debug)]
pub struct RabbitVhost {
    url: String,
    name: String,
    api: u16,
    is_shared: bool,
}

/// A vhost on the shared server that is to be deleted.
#[derive(Debug)]
struct Dropped {
    name: String,
    api: u16,
    at: Instant,
}

/// The oldest first.
static DROPPED: Mutex<Vec<Dropped>> = Mutex::new(Vec::new());

impl RabbitVhost {
    pub(super) fn create(base_url: &str, api: u16) -> anyhow::Result<Self> {
        let name = format!("test-{}", uuid::Uuid::new_v4().simple());
        http::request(api, "PUT", &format!("/api/vhosts/{name}"), "{}")?;
        http::request(
            api,
            "PUT",
            &format!("/api/permissions/{name}/guest"),
            r#"{"configure":".*","write":".*","read":".*"}"#,
        )?;
        Ok(Self {
            url: format!("{base_url}/{name}"),
            name,
            api,
            is_shared: false,
        })
    }

    /// The AMQP address, with user and vhost.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of the server's management API, with a user.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://guest:guest@127.0.0.1:{}", self.api)
    }

    /// Takes one message off a queue for good: its properties and its body, as the management API
    /// tells them in JSON. `None` if the queue is empty.
    ///
    /// # Panics
    /// If the server does not answer, or has no such queue.
    #[must_use]
    pub fn take(&self, queue: &str) -> Option<String> {
        let request = r#"{"count":1,"ackmode":"ack_requeue_false","encoding":"auto"}"#;
        let path = format!("/api/queues/{}/{queue}/get", self.name);
        let answer = or_fail(http::request(self.api, "POST", &path, request));
        (answer.trim() != "[]").then_some(answer)
    }

    /// The vhost's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for RabbitVhost {
    fn drop(&mut self) {
        if !self.is_shared {
            delete(self.api, &self.name);
            return;
        }
        DROPPED.lock().push(Dropped {
            name: std::mem::take(&mut self.name),
            api: self.api,
            at: Instant::now(),
        });
        delete_rested();
    }
}

fn delete_rested() {
    let rested: Vec<Dropped> = {
        let mut dropped = DROPPED.lock();
        let count = dropped.partition_point(|vhost| vhost.at.elapsed() >= REST);
        dropped.drain(..count).collect()
    };
    for Dropped { name, api, .. } in rested {
        delete(api, &name);
    }
}

fn delete(api: u16, vhost: &str) {
    // A test may have killed its server; then there is nothing to delete.
    http::request(api, "DELETE", &format!("/api/vhosts/{vhost}"), "").ok();
}

pub(crate) fn shared_vhost() -> anyhow::Result<RabbitVhost> {
    static SHARED: Shared<(String, u16), RabbitMq> = Shared::new();
    let (base_url, api) = SHARED.address(given, || {
        let server = RabbitMq::launch()?;
        Ok(((server.base_url(), server.ports.api), server))
    })?;
    delete_rested();
    let mut vhost = RabbitVhost::create(base_url, *api)?;
    vhost.is_shared = true;
    Ok(vhost)
}

/// The base URL and the port of the management API.
fn given() -> anyhow::Result<Option<(String, u16)>> {
    let (Ok(base_url), Ok(api)) = (std::env::var(env::RABBITMQ_URL), std::env::var(env::RABBITMQ_API)) else {
        return Ok(None);
    };
    let (_, port) = api
        .rsplit_once(':')
        .context("find the port of the management API")?;
    Ok(Some((base_url, port.parse()?)))
}
