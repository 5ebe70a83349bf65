//! A private PostgreSQL and databases on it.
//!
//! Durability is as PostgreSQL ships it (`fsync`, `synchronous_commit` and `full_page_writes` on).

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use nix::unistd::{User, chown, geteuid};
use parking_lot::Mutex;

use crate::programs::Program;
use crate::server::{self, Server, blocking, or_fail};
use crate::shared::Shared;
use crate::{env, free_port};

const FOLDERS: &[&str] = &[
    "/usr/lib/postgresql/*/bin", // Debian, Ubuntu
    "/usr/pgsql-*/bin",          // packages of the PostgreSQL project for Red Hat's systems
    "/usr/libexec/postgresql*",  // Alpine
];
const INITDB: Program = Program {
    names: &["initdb"],
    folders: FOLDERS,
    package: "postgresql",
};
const POSTGRES: Program = Program {
    names: &["postgres"],
    folders: FOLDERS,
    package: "postgresql",
};
const PG_ISREADY: Program = Program {
    names: &["pg_isready"],
    folders: FOLDERS,
    package: "postgresql",
};
const PSQL: Program = Program {
    names: &["psql"],
    folders: FOLDERS,
    package: "postgresql",
};
const PG_DUMP: Program = Program {
    names: &["pg_dump"],
    folders: FOLDERS,
    package: "postgresql",
};
const PG_RESTORE: Program = Program {
    names: &["pg_restore"],
    folders: FOLDERS,
    package: "postgresql",
};

/// A PostgreSQL of the test's own, to stop and kill at will. Cheap to clone; ends with the last clone.
#[derive(Debug, Clone)]
pub struct Postgres {
    inner: Arc<Mutex<Inner>>,
    port: u16,
}

#[derive(Debug)]
struct Inner {
    server: Server,
    port: u16,
    user: Option<User>,
    settings: Vec<String>,
}

impl Postgres {
    /// Starts a PostgreSQL that nobody else uses.
    ///
    /// # Panics
    /// If PostgreSQL is not installed or does not start.
    pub async fn start_private() -> Self {
        or_fail(blocking(Self::launch).await)
    }

    /// [`Postgres::start_private`] for code that is not async.
    ///
    /// # Errors
    /// If PostgreSQL is not installed or does not start.
    pub fn launch() -> anyhow::Result<Self> {
        Self::launch_on(None, &[])
    }

    /// A PostgreSQL to measure with: its data below `base`, which should be on a disk, and with
    /// `settings` such as `max_wal_size=4GB`.
    ///
    /// # Errors
    /// If PostgreSQL is not installed or does not start.
    pub fn launch_in(base: &Path, settings: &[&str]) -> anyhow::Result<Self> {
        Self::launch_on(Some(base), settings)
    }

    fn launch_on(base: Option<&Path>, settings: &[&str]) -> anyhow::Result<Self> {
        server::with_retries(|| {
            let port = free_port();
            // SIGQUIT ends it at once, but lets it remove its shared memory, which SIGKILL does not.
            let server = Server::new(base, "postgres", Signal::SIGQUIT)?;
            let mut inner = Inner {
                server,
                port,
                user: unprivileged_user()?,
                settings: settings.iter().map(ToString::to_string).collect(),
            };
            inner.init()?;
            inner.start()?;
            Ok(Self {
                inner: Arc::new(Mutex::new(inner)),
                port,
            })
        })
    }

    /// The address without a database, as superuser.
    #[must_use]
    pub fn base_url(&self) -> String {
        base_url(self.port)
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A fresh database on this server.
    ///
    /// # Panics
    /// If the server does not create it.
    #[must_use]
    pub fn database(&self) -> Database {
        or_fail(Database::create(&self.base_url()))
    }

    /// The process that starts one for each connection.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.inner.lock().server.main()
    }

    /// Stops the server in order, disconnecting clients; [`Postgres::start`] brings it back.
    pub async fn stop(&self) {
        // In its "fast" mode, which does not wait for clients to leave.
        self.step(|inner| {
            inner.server.stop(Signal::SIGINT, None);
            Ok(())
        })
        .await;
    }

    /// Ends the server as a crash would (SIGKILL); [`Postgres::start`] brings it back, recovered.
    pub async fn kill(&self) {
        self.step(|inner| {
            inner.server.kill();
            Ok(())
        })
        .await;
    }

    /// Starts the stopped server again, on the same address with the same data.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(&self) {
        self.step(Inner::start).await;
    }

    /// Stops the server for a while (SIGSTOP); it keeps its connections and says nothing.
    pub fn pause(&self) {
        self.inner.lock().server.signal(Signal::SIGSTOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.inner.lock().server.signal(Signal::SIGCONT);
    }

    async fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Inner) -> anyhow::Result<T> + Send + 'static,
    ) -> T {
        let inner = Arc::clone(&self.inner);
        or_fail(blocking(move || step(&mut inner.lock())).await)
    }
}

impl Inner {
    fn init(&self) -> anyhow::Result<()> {
        let data = self.server.dir().join("data");
        fs::create_dir(&data)?;
        if let Some(user) = &self.user {
            chown(&data, Some(user.uid), Some(user.gid))?;
        }
        let output = self
            .command(&INITDB)?
            .arg("--pgdata")
            .arg(&data)
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
            ])
            // The folder is thrown away with the machine's power, so only the server itself syncs.
            .arg("--no-sync")
            .output()
            .context("run initdb")?;
        if !output.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let port = self.port.to_string();
        let mut command = self.command(&POSTGRES)?;
        command
            .arg("-D")
            .arg(self.server.dir().join("data"))
            .args(["-p", &port]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            // Files in the data folder, which go with it.
            "dynamic_shared_memory_type=mmap",
            "max_connections=300",
            "timezone=UTC",
        ] {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let is_ready = PG_ISREADY.find()?;
        let is_ready = || {
            let mut probe = Command::new(&is_ready);
            probe
                .args(["-q", "-h", "127.0.0.1", "-p", &port])
                .stdin(Stdio::null());
            server::accepts(self.port) && probe.status().is_ok_and(|status| status.success())
        };
        // After a crash the old server's processes may take a moment to see that it is gone, and seconds where the
        // machine is busy.
        server::with_patience(|| self.server.start(&mut command, is_ready))
    }

    /// `program`, run by a user that PostgreSQL accepts: it refuses to be root.
    fn command(&self, program: &Program) -> anyhow::Result<Command> {
        let mut command = Command::new(program.find()?);
        command.current_dir(self.server.dir()).stdin(Stdio::null());
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("PG") {
                command.env_remove(key);
            }
        }
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        Ok(command)
    }
}

/// Whom to run the server as: `None` for "as ourselves".
fn unprivileged_user() -> anyhow::Result<Option<User>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some(user));
        }
    }
    bail!("PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody`")
}

/// A database that only this test uses; dropped, with its connections, on drop.
#[derive(Debug)]
pub struct Database {
    url: String,
    name: String,
    base_url: String,
}

impl Database {
    fn create(base_url: &str) -> anyhow::Result<Self> {
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        psql(
            &format!("{base_url}/postgres"),
            &format!("CREATE DATABASE {name}"),
        )?;
        Ok(Self {
            url: format!("{base_url}/{name}"),
            name,
            base_url: base_url.to_owned(),
        })
    }

    /// The address, as superuser, with the database.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs SQL as superuser, for tests that may not name a database driver; returns the lines of the answer,
    /// columns with `|` between them.
    ///
    /// # Panics
    /// If the server does not answer or refuses.
    pub fn query(&self, sql: &str) -> Vec<String> {
        let answer = or_fail(psql(&self.url, sql));
        answer.lines().map(ToOwned::to_owned).collect()
    }

    /// What a backup brings back: another database on the same server, made by `pg_restore` of what `pg_dump` takes of
    /// this one now, beside whoever writes.
    ///
    /// # Panics
    /// If either fails.
    pub async fn backed_up(&self) -> Self {
        let (url, base_url) = (self.url.clone(), self.base_url.clone());
        or_fail(
            blocking(move || {
                let folder = tempfile::tempdir().context("make a folder for the dump")?;
                let dump = folder.path().join("dump");
                let file = dump.to_str().context("name the dump")?;
                client(&PG_DUMP, &["--format=custom", "--file", file, "--dbname", &url])?;
                let restored = Self::create(&base_url)?;
                client(&PG_RESTORE, &["--exit-on-error", "--dbname", &restored.url, file])?;
                Ok(restored)
            })
            .await,
        )
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A test may have killed its server; then there is nothing to drop.
        psql(
            &format!("{}/postgres", self.base_url),
            &format!("DROP DATABASE {} WITH (FORCE)", self.name),
        )
        .ok();
    }
}

fn base_url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}")
}

fn psql(url: &str, command: &str) -> anyhow::Result<String> {
    let arguments = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"];
    let what = ["--dbname", url, "--command", command];
    client(&PSQL, &[&arguments[..], &what].concat()).with_context(|| command.to_owned())
}

/// What one of PostgreSQL's own clients prints.
fn client(program: &Program, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program.find()?)
        .args(arguments)
        .env("PGCONNECT_TIMEOUT", "20")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {}", program.names.join(" or ")))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout).context("read the answer of PostgreSQL's client")
}

pub(crate) fn shared_database() -> anyhow::Result<Database> {
    static SHARED: Shared<String, Postgres> = Shared::new();
    let base_url = SHARED.address(
        || Ok(std::env::var(env::POSTGRES_URL).ok()),
        || {
            let server = Postgres::launch()?;
            Ok((server.base_url(), server))
        },
    )?;
    Database::create(base_url)
}
