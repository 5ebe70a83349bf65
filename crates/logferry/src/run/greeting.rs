//! What somebody who just started it needs to know.

use std::{
    env,
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use settings::{BrokerSettings, Protocol, Settings, StoreSettings};
use syslog_server::Listening;

pub(super) struct Facts<'a> {
    pub(super) settings: &'a Settings,
    pub(super) listening: &'a [Listening],
    pub(super) data_dir: Option<&'a Path>,
    pub(super) file: Option<&'a Path>,
    pub(super) http_addr: Option<SocketAddr>,
    /// The address of the pages.
    pub(super) pages: Option<String>,
}

pub(super) fn text(facts: &Facts<'_>) -> String {
    let mut text = "Logferry runs.\n".to_owned();
    let mut line = |name: &str, value: &str| {
        writeln!(text, "  {name:10}{value}").expect("writing to a string does not fail");
    };
    let listening: Vec<_> = facts.listening.iter().map(listener).collect();
    line(
        "listening",
        &if listening.is_empty() {
            "nowhere (no listener in the settings)".to_owned()
        } else {
            listening.join(", ")
        },
    );
    if let Some(dir) = facts.data_dir {
        line("data", &dir.display().to_string());
    }
    if let BrokerSettings::Amqp(_) = facts.settings.broker {
        line("broker", "RabbitMQ (broker.url)");
    }
    if let StoreSettings::Postgres(_) = facts.settings.store {
        line("store", "PostgreSQL (store.url)");
    }
    if let Some(file) = facts.file {
        line("settings", &file.display().to_string());
    }
    match facts.http_addr {
        Some(addr) => line("metrics", &format!("http://{addr}/metrics")),
        None => line("metrics", "off"),
    }
    line("pages", facts.pages.as_deref().unwrap_or("off"));
    if let Some(send) = facts.listening.iter().find_map(send) {
        write!(
            text,
            "Try it in another terminal:\n  {send}\n  {} search hello{}\n",
            program(),
            where_to_look(facts)
        )
        .expect("writing to a string does not fail");
    }
    text.push_str("Ctrl-C stops it.\n");
    text
}

fn listener(listening: &Listening) -> String {
    let protocol = match listening.protocol {
        Protocol::Relp => "relp",
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    format!(
        "{protocol}{} {}",
        if listening.is_tls { "+tls" } else { "" },
        listening.addr
    )
}

/// A line that sends something, for listeners that `logger` can speak to.
fn send(listening: &Listening) -> Option<String> {
    let protocol = match listening.protocol {
        Protocol::Tcp if !listening.is_tls => "--tcp",
        Protocol::Udp => "--udp",
        Protocol::Relp | Protocol::Tcp => return None,
    };
    let ip = match listening.addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(ip) if ip.is_unspecified() => "::1".to_owned(),
        ip => ip.to_string(),
    };
    Some(format!(
        "logger -n {ip} -P {} {protocol} 'hello from me'",
        listening.addr.port()
    ))
}

/// As it was started: a program that was just built is not on the path.
fn program() -> String {
    env::args()
        .next()
        .filter(|name| !name.is_empty())
        .map_or_else(|| "logferry".to_owned(), |name| quoted(&name))
}

/// What `search` needs to find the same store from another terminal.
fn where_to_look(facts: &Facts<'_>) -> String {
    let is_sqlite = matches!(facts.settings.store, StoreSettings::Sqlite(_));
    match (facts.data_dir, facts.file) {
        (_, Some(file)) => format!(" --config {}", quoted(&file.to_string_lossy())),
        (Some(dir), None) if is_sqlite => format!(" --data {}", quoted(&dir.to_string_lossy())),
        _ => String::new(),
    }
}

/// For a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(protocol: Protocol, addr: &str, is_tls: bool) -> Listening {
        Listening {
            name: "x".into(),
            protocol,
            is_tls,
            addr: addr.parse().expect("is an address"),
        }
    }

    #[test]
    fn says_where_and_how_to_try_it() {
        let settings = Settings::default();
        let facts = Facts {
            settings: &settings,
            listening: &[
                listening(Protocol::Relp, "127.0.0.1:2514", false),
                listening(Protocol::Tcp, "0.0.0.0:6514", true),
                listening(Protocol::Tcp, "0.0.0.0:5514", false),
            ],
            data_dir: Some(Path::new("/home/me/my data")),
            file: None,
            http_addr: settings.service.http_addr,
            pages: Some("http://127.0.0.1:8080".to_owned()),
        };
        let text = text(&facts);
        let (facts, how) = text
            .split_once("Try it in another terminal:\n")
            .expect("has both");
        assert_eq!(
            facts,
            "Logferry runs.\n\
             \x20 listening relp 127.0.0.1:2514, tcp+tls 0.0.0.0:6514, tcp 0.0.0.0:5514\n\
             \x20 data      /home/me/my data\n\
             \x20 metrics   http://127.0.0.1:9600/metrics\n\
             \x20 pages     http://127.0.0.1:8080\n"
        );
        let how: Vec<_> = how.lines().collect();
        assert_eq!(how[0], "  logger -n 127.0.0.1 -P 5514 --tcp 'hello from me'");
        assert!(
            how[1].ends_with(" search hello --data '/home/me/my data'"),
            "{}",
            how[1]
        );
    }
}
