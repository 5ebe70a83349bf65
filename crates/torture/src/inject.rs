//! Doing a fault, and undoing it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use testkit::RabbitMq;
use testkit::proxy::Condition;
use tokio::process::Command;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, NoTls};

use crate::fault::{CRASH_POINTS, Fault, Server, ServerFault};
use crate::fleet::{self, Member};
use crate::outage::Outage;
use crate::world::World;

/// How long a process has to come to its crash point before it goes on without.
const CRASH_PATIENCE: Duration = Duration::from_secs(6);
/// A clock jumps so long after the process was started under it.
const BEFORE_JUMP: Duration = Duration::from_millis(700);
/// Sessions of a storm: more than the server allows.
const STORM_SESSIONS: usize = 320;
/// A server that is down is up again, and takes sessions, within this.
const SESSION_PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// How a fault went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It was done.
    Yes,
    /// The process did not come to its crash point in time.
    NotReached,
}

/// Does the fault, waits as long as it lasts, and undoes it.
pub(crate) async fn inject(world: &Arc<World>, fault: Fault) -> anyhow::Result<Done> {
    let victim = world.victim(&fault.victim());
    let _only_one = victim.lock().await;
    let member = |at: usize| world.fleet.members().get(at).context("find the member");
    match fault {
        Fault::Kill(at) => world.fleet.signal(member(at)?, Signal::SIGKILL),
        Fault::Terminate(at) => world.fleet.signal(member(at)?, Signal::SIGTERM),
        Fault::Freeze(at, lasts) => {
            world.fleet.signal(member(at)?, Signal::SIGSTOP);
            sleep(lasts).await;
            world.fleet.signal(member(at)?, Signal::SIGCONT);
        }
        Fault::Away(at, lasts) => {
            world.fleet.want(member(at)?, false);
            world.fleet.signal(member(at)?, Signal::SIGKILL);
            sleep(lasts).await;
            world.fleet.want(member(at)?, true);
        }
        Fault::Crash(at, point, count) => return crash(world, member(at)?, point, count).await,
        Fault::DiskFull(at, lasts) => disk_full(world, member(at)?, lasts).await?,
        Fault::Clock(at, jump, lasts) => clock(world, member(at)?, jump, lasts).await?,
        Fault::Cut(at) => world.lines.get(at).context("find the line")?.proxy.cut(),
        Fault::Reset(at) => world.lines.get(at).context("find the line")?.proxy.reset(),
        Fault::Line(at, condition, lasts) => {
            let line = world.lines.get(at).context("find the line")?;
            line.proxy.set(condition);
            sleep(lasts).await;
            line.proxy.set(Condition::Clear);
        }
        Fault::Server(Server::RabbitMq, fault, lasts) => {
            if !outage(&world.rabbitmq, fault, lasts).await {
                rabbitmq(&world.rabbitmq, fault, lasts).await?;
            }
        }
        Fault::Server(Server::Postgres, fault, lasts) => {
            if !outage(&world.postgres, fault, lasts).await {
                postgres(world, fault, lasts).await?;
            }
        }
        Fault::Server(Server::Redis, fault, lasts) => {
            if !outage(&world.redis, fault, lasts).await {
                bail!("{fault:?} is not for Redis");
            }
        }
    }
    Ok(Done::Yes)
}

async fn crash(world: &World, member: &Member, point: usize, count: u32) -> anyhow::Result<Done> {
    let (_, name) = CRASH_POINTS.get(point).context("find the crash point")?;
    let before = world.fleet.crashes(member);
    world.fleet.restart_to_crash(member, name, count);
    let end = Instant::now() + CRASH_PATIENCE;
    while world.fleet.crashes(member) == before {
        if Instant::now() > end {
            // It must not die later, when nobody expects it.
            world.fleet.restart_with(member, Vec::new());
            return Ok(Done::NotReached);
        }
        sleep(LOOK).await;
    }
    Ok(Done::Yes)
}

/// No write may make a file longer than one byte, as on a disk that is full; the kernel keeps this for any user.
async fn disk_full(world: &World, member: &Member, lasts: Duration) -> anyhow::Result<()> {
    let Some(pid) = world.fleet.pid(member) else {
        return Ok(());
    };
    let limit = async |bytes: &str| {
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--pid={pid}"))
            .arg(format!("--fsize={bytes}:"));
        // It fails when the process has ended meanwhile, and its successor has no limit.
        command
            .stderr(std::process::Stdio::null())
            .status()
            .await
            .context("run prlimit")
    };
    limit("1").await?;
    sleep(lasts).await;
    limit("unlimited").await?;
    Ok(())
}

/// Restarts the process under libfaketime, makes its clock jump while it works, and back.
async fn clock(world: &World, member: &Member, jump: i64, lasts: Duration) -> anyhow::Result<()> {
    let Some(library) = &world.tools.faketime else {
        return Ok(());
    };
    let file = world.clock_file(member);
    let set = |seconds: i64| {
        let new = file.with_extension("new");
        fs::write(&new, format!("{seconds:+}\n")).and_then(|()| fs::rename(&new, &file))
    };
    set(0)?;
    let env = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
    world.fleet.restart_with(member, env);
    sleep(BEFORE_JUMP).await;
    if let Some(pid) = world.fleet.pid(member) {
        fleet::remove_faketime_memory(pid);
    }
    set(jump)?;
    sleep(lasts).await;
    set(0)?;
    Ok(())
}

/// Does what can be done to any server; `false` for what cannot.
async fn outage(server: &impl Outage, fault: ServerFault, lasts: Duration) -> bool {
    match fault {
        ServerFault::Kill => server.killed(lasts).await,
        ServerFault::Terminate => server.terminated(lasts).await,
        ServerFault::Freeze => server.frozen(lasts).await,
        _ => return false,
    }
    true
}

async fn rabbitmq(server: &RabbitMq, fault: ServerFault, lasts: Duration) -> anyhow::Result<()> {
    match fault {
        ServerFault::MemoryAlarm => {
            server.set_alarm(true).await;
            sleep(lasts).await;
            server.set_alarm(false).await;
        }
        ServerFault::DiskAlarm => {
            server.set_disk_alarm(true).await;
            sleep(lasts).await;
            server.set_disk_alarm(false).await;
        }
        ServerFault::QueueLength(messages) => {
            server.set_queue_length_max(Some(messages)).await;
            sleep(lasts).await;
            server.set_queue_length_max(None).await;
        }
        ServerFault::CloseConnections => server.close_connections().await,
        other => bail!("{other:?} is not for RabbitMQ"),
    }
    Ok(())
}

async fn postgres(world: &World, fault: ServerFault, lasts: Duration) -> anyhow::Result<()> {
    match fault {
        ServerFault::Storm => {
            let mut sessions = Vec::new();
            // The last ones are refused, as those of our processes then are.
            while let (true, Ok(session)) = (sessions.len() < STORM_SESSIONS, session(world).await) {
                sessions.push(session);
            }
            sleep(lasts).await;
        }
        ServerFault::LockTable => {
            let session = session_soon(world).await?;
            session
                .batch_execute("BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
                .await
                .context("lock the table")?;
            sleep(lasts).await;
            session
                .batch_execute("COMMIT")
                .await
                .context("unlock the table")?;
        }
        ServerFault::TerminateBackends => {
            let session = session_soon(world).await?;
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
            session.batch_execute(end).await.context("end sessions")?;
        }
        other => bail!("{other:?} is not for PostgreSQL"),
    }
    Ok(())
}

/// A session of our own, straight to the server.
pub(crate) async fn session(world: &World) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(world.database.url(), NoTls)
        .await
        .context("connect to PostgreSQL")?;
    // Ends with the client; a broken connection shows in the next query.
    tokio::spawn(connection);
    Ok(client)
}

/// [`session`], tried again while a storm may hold all sessions.
pub(crate) async fn session_soon(world: &World) -> anyhow::Result<Client> {
    let end = Instant::now() + SESSION_PATIENCE;
    loop {
        match session(world).await {
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => sleep(LOOK).await,
            connected => return connected,
        }
    }
}
