//! What the machines of a site say: the kinds of line that fill real logs, with numbers, addresses and names by chance.
//!
//! Chance begins at the same place in each run, so that runs compare.

use std::fmt::Write as _;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

const SEED: u64 = 4711;

/// Hosts of the site.
const ROLES: &[&str] = &["web", "db", "mail", "app", "edge", "cache", "build", "vpn"];
const HOSTS_OF_A_ROLE: u32 = 8;

const USERS: &[&str] = &[
    "alice",
    "bob",
    "carol",
    "deploy",
    "backup",
    "root",
    "git",
    "webmaster",
    "postgres",
    "monitor",
    "erin",
    "mallory",
];
const PATHS: &[&str] = &[
    "/api/v1/orders/",
    "/api/v1/customers/",
    "/static/js/",
    "/login?next=",
    "/images/thumb/",
    "/search?q=",
    "/healthz?probe=",
];
const TABLES: &[&str] = &["orders", "customers", "invoices", "sessions", "audit_log"];
const UNITS: &[&str] = &[
    "logrotate",
    "apt-daily",
    "certbot",
    "fstrim",
    "man-db",
    "sysstat-collect",
];

/// Who sends a line.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) priority: u32,
    pub(crate) hostname: String,
    pub(crate) app_name: &'static str,
    pub(crate) procid: u32,
}

/// Facility by application.
const APPS: &[(&str, u32)] = &[
    ("sshd", 10),
    ("nginx", 23),
    ("nginx", 23),
    ("nginx", 23),
    ("kernel", 0),
    ("postfix", 2),
    ("CRON", 9),
    ("postgres", 16),
    ("orders", 17),
    ("orders", 17),
    ("dhcpd", 3),
    ("systemd", 3),
];

/// Most lines are of little weight: warning, notice, debug and mostly info.
const SEVERITIES: &[u32] = &[3, 4, 4, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6, 6, 7, 7];

/// Daemons that run at the site, each with its process id, and clients that come again.
const DAEMONS: usize = 80;
const CLIENTS: usize = 80;

/// Makes up lines.
#[derive(Debug)]
pub(crate) struct Words {
    chance: StdRng,
    daemons: Vec<Daemon>,
    clients: Vec<String>,
}

#[derive(Debug, Clone)]
struct Daemon {
    facility: u32,
    hostname: String,
    app_name: &'static str,
    procid: u32,
}

impl Words {
    pub(crate) fn new() -> Self {
        let mut words = Self {
            chance: StdRng::seed_from_u64(SEED),
            daemons: Vec::new(),
            clients: Vec::new(),
        };
        words.daemons = (0..DAEMONS).map(|_| words.daemon()).collect();
        words.clients = (0..CLIENTS).map(|_| words.client()).collect();
        words
    }

    /// Some application on some host.
    pub(crate) fn source(&mut self) -> Source {
        let severity = SEVERITIES.choose(&mut self.chance).copied().unwrap_or(6);
        let daemon = self.daemons.choose(&mut self.chance).cloned();
        let daemon = daemon.unwrap_or_else(|| self.daemon());
        Source {
            priority: daemon.facility * 8 + severity,
            hostname: daemon.hostname,
            app_name: daemon.app_name,
            procid: daemon.procid,
        }
    }

    /// Appends what this application might say.
    pub(crate) fn say(&mut self, app_name: &str, text: &mut String) {
        let said = match app_name {
            "sshd" => self.sshd(),
            "nginx" => self.nginx(),
            "kernel" => self.kernel(),
            "postfix" => self.postfix(),
            "CRON" => format!(
                "({}) CMD (/usr/lib/{}/run --job {:05})",
                self.user(),
                self.one_of(UNITS),
                self.number(0, 100_000)
            ),
            "postgres" => self.postgres(),
            "dhcpd" => format!(
                "DHCPACK on {} to {} ({}) via eth{}",
                self.address(),
                self.mac(),
                self.host(),
                self.number(0, 4)
            ),
            "systemd" => format!(
                "{}.service: Deactivated successfully. Consumed {}.{:03}s CPU time.",
                self.one_of(UNITS),
                self.number(0, 60),
                self.number(0, 1000)
            ),
            _ => self.orders(),
        };
        text.push_str(&said);
    }

    fn sshd(&mut self) -> String {
        let how = self.one_of(&["Accepted publickey for", "Failed password for invalid user"]);
        format!(
            "{how} {} from {} port {} ssh2: ED25519 SHA256:{}",
            self.user(),
            self.address(),
            self.number(1024, 65_536),
            self.hex(12)
        )
    }

    fn nginx(&mut self) -> String {
        let method = self.one_of(&["GET", "GET", "GET", "POST", "PUT"]);
        let status = self.one_of(&["200", "200", "200", "304", "404", "502"]);
        format!(
            "{} - {} \"{method} {}{} HTTP/1.1\" {status} {} 0.{:03} {}",
            self.address(),
            self.user(),
            self.one_of(PATHS),
            self.number(1, 1_000_000),
            self.number(100, 90_000),
            self.number(0, 1000),
            self.hex(8)
        )
    }

    fn kernel(&mut self) -> String {
        format!(
            "[{}.{:06}] [UFW BLOCK] IN=eth0 OUT= SRC={} DST={} LEN={} TTL={} ID={} PROTO=TCP SPT={} DPT={}",
            8_520_000 + self.number(0, 1000),
            self.number(0, 1_000_000),
            self.address(),
            self.address(),
            self.number(40, 1500),
            self.number(30, 128),
            self.number(0, 65_536),
            self.number(1024, 65_536),
            self.number(1, 1024)
        )
    }

    fn postfix(&mut self) -> String {
        format!(
            "{}: to=<{}@{}.example.com>, relay={}[{}]:25, delay={}.{:02}, dsn=2.0.0, status=sent",
            self.hex(10),
            self.user(),
            self.host(),
            self.host(),
            self.address(),
            self.number(0, 30),
            self.number(0, 100)
        )
    }

    fn postgres(&mut self) -> String {
        format!(
            "duration: {}.{:03} ms  statement: SELECT * FROM {} WHERE id = {} AND token = '{}'",
            self.number(0, 2000),
            self.number(0, 1000),
            self.one_of(TABLES),
            self.number(1, 10_000_000),
            self.hex(8)
        )
    }

    fn orders(&mut self) -> String {
        let what = self.one_of(&["accepted", "accepted", "paid", "shipped", "refused: out of stock"]);
        format!(
            "order {} of customer {} {what}, total={}.{:02} items={} trace={}",
            self.number(1, 10_000_000),
            self.number(1, 1_000_000),
            self.number(1, 900),
            self.number(0, 100),
            self.number(1, 12),
            self.hex(12)
        )
    }

    fn host(&mut self) -> String {
        format!(
            "{}-{:02}",
            self.one_of(ROLES),
            self.number(1, HOSTS_OF_A_ROLE + 1)
        )
    }

    fn user(&mut self) -> &'static str {
        self.one_of(USERS)
    }

    fn address(&mut self) -> String {
        let client = self.clients.choose(&mut self.chance).cloned();
        client.unwrap_or_else(|| self.client())
    }

    fn daemon(&mut self) -> Daemon {
        let (app_name, facility) = APPS.choose(&mut self.chance).copied().unwrap_or(("app", 1));
        Daemon {
            facility,
            hostname: self.host(),
            app_name,
            procid: self.number(300, 32_768),
        }
    }

    fn client(&mut self) -> String {
        let mut part = || self.number(1, 255);
        format!("10.{}.{}.{}", part() % 16, part(), part())
    }

    fn mac(&mut self) -> String {
        let mut part = || self.number(0, 256);
        format!("52:54:00:{:02x}:{:02x}:{:02x}", part(), part(), part())
    }

    fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits);
        while text.len() < digits {
            // Writing to a string does not fail.
            write!(text, "{:x}", self.number(0, 16)).ok();
        }
        text
    }

    fn one_of(&mut self, of: &[&'static str]) -> &'static str {
        of.choose(&mut self.chance).copied().unwrap_or_default()
    }

    fn number(&mut self, from: u32, below: u32) -> u32 {
        self.chance.random_range(from..below)
    }
}
