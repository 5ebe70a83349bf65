//! A RabbitMQ that is there at the start and then goes away.

use std::net::SocketAddr;

use testkit::RabbitVhost;
use testkit::proxy::{Condition, Proxy};

const HOST: &str = "127.0.0.1:";

pub(crate) struct Broker {
    vhost: RabbitVhost,
    proxy: Proxy,
}

impl Broker {
    pub(crate) async fn new() -> Self {
        let vhost = testkit::rabbitmq();
        let (_, after) = vhost.url().split_once(HOST).unwrap();
        let (port, _) = after.split_once('/').unwrap();
        let addr: SocketAddr = format!("{HOST}{port}").parse().unwrap();
        let proxy = Proxy::start(addr).await.unwrap();
        Self { vhost, proxy }
    }

    /// The way to it that ends.
    pub(crate) fn url(&self) -> String {
        let (before, after) = self.vhost.url().split_once(HOST).unwrap();
        let (_, vhost) = after.split_once('/').unwrap();
        format!("{before}{}/{vhost}", self.proxy.addr())
    }

    /// From here on nobody gets there.
    pub(crate) fn leave(&self) {
        self.proxy.set(Condition::Refuse);
        self.proxy.cut();
    }
}
