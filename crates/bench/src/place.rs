//! Where a measurement happens: programs, folder, and the servers that all cases share.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use testkit::{Database, Postgres, RabbitMq, RabbitVhost};
use tokio::sync::OnceCell;

use crate::arguments::MeasuringArgs;
use crate::case::{Case, SearchedStore};

/// The same for us and for rsyslog: sized as an administrator would for a server that takes logs, and
/// with commit times kept, from which the case `latency` reads.
const POSTGRES_SETTINGS: &[&str] = &[
    "shared_buffers=512MB",
    "max_wal_size=4GB",
    "track_commit_timestamp=on",
];

/// What is kept free beside what cases need.
const DISK_SPARE: u64 = 2 << 30;

/// The programs of one build, with settings of their own.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) programs: PathBuf,
    /// `KEY=VALUE`, as `--set` takes it.
    pub(crate) settings: Vec<String>,
}

impl Side {
    /// What is measured.
    pub(crate) const PROGRAMS: [&str; 7] = [
        "logferry",
        "syslog-server",
        "parser",
        "shipper-pgsql",
        "shipper-fs",
        "collector",
        "web",
    ];

    /// The programs that stand beside this one.
    pub(crate) fn here(settings: &[String]) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        let programs = program.parent().context("find the folder of this program")?;
        Ok(Self {
            name: "logferry".to_owned(),
            programs: programs.to_owned(),
            settings: settings.to_vec(),
        })
    }

    /// Which build, and what is set.
    pub(crate) fn describe(&self) -> String {
        format!("{} {}", self.programs.display(), self.settings.join(" "))
    }

    /// Complains about programs that are not there.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for name in Self::PROGRAMS {
            let program = self.programs.join(name);
            ensure!(
                program.is_file(),
                "{} is not there; `make bench` builds it",
                program.display()
            );
        }
        Ok(())
    }
}

/// Servers start when the first case needs them and live to the end; each run gets a vhost and a
/// database of its own.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) measuring: MeasuringArgs,
    /// Whose load generator sends, whoever is measured.
    pub(crate) generator: PathBuf,
    pub(crate) is_reference_measured: bool,
    dir: PathBuf,
    rabbitmq: OnceCell<RabbitMq>,
    postgres: OnceCell<Postgres>,
}

impl Place {
    pub(crate) fn new(measuring: &MeasuringArgs, is_reference_measured: bool) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&measuring.dir)
            .with_context(|| format!("create {}", measuring.dir.display()))?;
        let dir = measuring.dir.canonicalize().context("find the folder for data")?;
        Ok(Self {
            measuring: measuring.clone(),
            generator: Side::here(&[])?.programs.join("logferry"),
            is_reference_measured,
            dir,
            rabbitmq: OnceCell::new(),
            postgres: OnceCell::new(),
        })
    }

    /// Complains about a disk without room for the largest of these cases.
    pub(crate) fn check_disk(&self, cases: &[Case]) -> anyhow::Result<()> {
        let stat = nix::sys::statvfs::statvfs(&self.dir).context("look at the disk")?;
        let free = stat.blocks_available().saturating_mul(stat.fragment_size());
        for case in cases {
            let needed = case.disk_bytes(&self.measuring) + DISK_SPARE;
            ensure!(
                free >= needed,
                "the case {} needs {} GB of disk in {}, where {} GB are free: \
                 name another folder with --dir, or fewer messages with --count or --backlog",
                case.name(),
                needed / 1_000_000_000,
                self.dir.display(),
                free / 1_000_000_000,
            );
        }
        Ok(())
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) async fn rabbitmq(&self) -> anyhow::Result<&RabbitMq> {
        let start = || async {
            eprintln!("starting RabbitMQ");
            RabbitMq::launch_in(&self.dir, &self.measuring.erlang)
        };
        self.rabbitmq.get_or_try_init(start).await
    }

    pub(crate) async fn vhost(&self) -> anyhow::Result<RabbitVhost> {
        Ok(self.rabbitmq().await?.vhost())
    }

    pub(crate) async fn database(&self) -> anyhow::Result<Database> {
        let start = || async {
            eprintln!("starting PostgreSQL");
            let settings = POSTGRES_SETTINGS.iter().copied();
            let own = self.measuring.postgres.iter().map(String::as_str);
            Postgres::launch_in(&self.dir, &settings.chain(own).collect::<Vec<_>>())
        };
        Ok(self.postgres.get_or_try_init(start).await?.database())
    }

    /// What was chosen, for the file.
    pub(crate) fn to_json(&self) -> Value {
        let measuring = &self.measuring;
        let own = measuring.postgres.iter().map(String::as_str);
        json!({
            "runs": measuring.runs,
            "count": measuring.count,
            "backlog": measuring.backlog,
            "size": measuring.size,
            "rate": measuring.rate,
            "seconds": measuring.seconds,
            "store": measuring.store.map(SearchedStore::name),
            "postgresql": POSTGRES_SETTINGS.iter().copied().chain(own).collect::<Vec<_>>(),
            "erlang": measuring.erlang,
        })
    }
}
