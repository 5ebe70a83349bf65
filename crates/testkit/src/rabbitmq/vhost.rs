//! Vhosts: what a test has of a RabbitMQ that it shares with others.

use anyhow::Context;

use super::RabbitMq;
use crate::server::or_fail;
use crate::shared::Shared;
use crate::{env, http};

/// A vhost that only this test uses; deleted, with its queues and connections, on drop.
#[derive(Debug)]
pub struct RabbitVhost {
    url: String,
    name: String,
    api: u16,
}

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
        })
    }

    /// The AMQP address, with user and vhost.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
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
        // A test may have killed its server; then there is nothing to delete.
        http::request(self.api, "DELETE", &format!("/api/vhosts/{}", self.name), "").ok();
    }
}

pub(crate) fn shared_vhost() -> anyhow::Result<RabbitVhost> {
    static SHARED: Shared<(String, u16), RabbitMq> = Shared::new();
    let (base_url, api) = SHARED.address(given, || {
        let server = RabbitMq::launch()?;
        Ok(((server.base_url(), server.ports.api), server))
    })?;
    RabbitVhost::create(base_url, *api)
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
