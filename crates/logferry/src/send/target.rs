//! Where `send` and `bench` send to, and how.

use std::{fmt, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use transport::{Connection, RelpClient, TlsClient, TlsClientOptions, TlsRefusal};

/// Arguments that say where messages go.
#[derive(Debug, Clone, Args)]
pub(crate) struct TargetArgs {
    /// Host and port [default: 127.0.0.1:2514 for relp, 127.0.0.1:5514 for tcp and udp]
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    to: Option<String>,
    /// relp is answered for each message; tcp and udp say nothing about what arrived
    #[arg(short, long, value_enum, default_value_t = Protocol::Relp)]
    protocol: Protocol,
    /// How messages are told apart over tcp
    #[arg(long, value_enum, default_value_t = Framing::OctetCounted)]
    framing: Framing,
    /// Over TLS (relp and tcp)
    #[arg(long)]
    tls: bool,
    /// Trust this CA instead of the system's (PEM)
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca: Option<PathBuf>,
    /// Show this certificate (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["tls", "key"])]
    cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The name that the server's certificate must have [default: the host]
    #[arg(long, value_name = "NAME", requires = "tls")]
    server_name: Option<String>,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    Relp,
    Tcp,
    Udp,
}

/// How messages are told apart over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Framing {
    OctetCounted,
    Lf,
}

impl Framing {
    pub(crate) fn write(self, out: &mut Vec<u8>, frame: &[u8]) {
        match self {
            Self::OctetCounted => framing::write_octet_counted(out, frame),
            Self::Lf => framing::write_line(out, frame),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relp => "relp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Where messages go, checked.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) to: String,
    pub(crate) protocol: Protocol,
    pub(crate) framing: Framing,
    tls: Option<TlsClient>,
}

impl TargetArgs {
    /// Checks what the parts say together.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        (self.tls && self.protocol == Protocol::Udp).then_some("there is no TLS over udp")
    }

    pub(crate) const fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(crate) const fn framing(&self) -> Framing {
        self.framing
    }

    /// Reads the TLS files.
    pub(crate) fn target(&self) -> anyhow::Result<Target> {
        let default = match self.protocol {
            Protocol::Relp => "127.0.0.1:2514",
            Protocol::Tcp | Protocol::Udp => "127.0.0.1:5514",
        };
        let certificate = self.cert.clone().zip(self.key.clone());
        let tls = self.tls.then(|| {
            TlsClient::new(&TlsClientOptions {
                ca_file: self.ca.clone(),
                certificate,
                server_name: self.server_name.clone(),
            })
        });
        Ok(Target {
            to: self.to.clone().unwrap_or_else(|| default.to_owned()),
            protocol: self.protocol,
            framing: self.framing,
            tls: tls.transpose().context("set up TLS")?,
        })
    }
}

impl Target {
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        Ok(Connection::connect(&self.to, self.tls.as_ref()).await?)
    }

    pub(crate) async fn open_relp(&self) -> anyhow::Result<RelpClient<Connection>> {
        let connection = self.connect().await?;
        let client = RelpClient::open(connection).await;
        client.with_context(|| format!("open a RELP session with {}", self.to))
    }

    /// A UDP socket that sends there.
    pub(crate) async fn open_udp(&self) -> anyhow::Result<tokio::net::UdpSocket> {
        let mut addrs = tokio::net::lookup_host(&self.to)
            .await
            .with_context(|| format!("look up {}", self.to))?;
        let addr = addrs
            .next()
            .with_context(|| format!("{} has no address", self.to))?;
        let any: std::net::IpAddr = if addr.is_ipv4() {
            std::net::Ipv4Addr::UNSPECIFIED.into()
        } else {
            std::net::Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = tokio::net::UdpSocket::bind((any, 0))
            .await
            .context("open a UDP socket")?;
        socket
            .connect(addr)
            .await
            .with_context(|| format!("send to {addr}"))?;
        Ok(socket)
    }
}

/// Which argument mends an error, if one does.
pub(crate) fn advice(error: &anyhow::Error) -> &'static str {
    match TlsRefusal::find(error.as_ref()) {
        Some(TlsRefusal::UntrustedServer) => " (--ca names the CA to trust)",
        Some(TlsRefusal::CertificateWanted) => " (--cert and --key name the certificate to show)",
        None => "",
    }
}

fn host_and_port(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Ok(text.to_owned())
        }
        _ => Err("a host and a port with a colon between them are needed, such as 127.0.0.1:514".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_need_ports() {
        for good in ["127.0.0.1:514", "[::1]:514", "log.example:6514"] {
            assert_eq!(host_and_port(good), Ok(good.to_owned()));
        }
        for bad in [
            "127.0.0.1",
            ":514",
            "log.example:",
            "log.example:0",
            "log.example:70000",
            "log.example:x",
        ] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }
}
