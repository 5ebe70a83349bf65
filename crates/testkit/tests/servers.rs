//! The private servers start, keep tests apart, come back after a crash, and never outlive their owner.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::{Database, Postgres, RabbitMq, Redis, eventually};

const PATIENCE: Duration = Duration::from_secs(30);

fn listens(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn port_of(url: &str) -> u16 {
    let (_, rest) = url.rsplit_once(':').unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

fn query(database: &Database, sql: &str) -> String {
    let output = Command::new("psql")
        .args(["-XAtq", "-d", database.url(), "-c", sql])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn shared_servers_give_each_test_its_own_place() {
    let (one, two) = (testkit::rabbitmq(), testkit::rabbitmq());
    assert_ne!(one.url(), two.url());
    assert_eq!(port_of(one.url()), port_of(two.url()));

    let (one, two) = (testkit::postgres(), testkit::postgres());
    query(&one, "CREATE TABLE t (n int)");
    assert_eq!(
        query(&two, "SELECT count(*) FROM pg_class WHERE relname = 't'"),
        "0"
    );

    let (one, two) = (testkit::redis(), testkit::redis());
    assert_eq!(one.url(), two.url());
    assert_ne!(one.prefix(), two.prefix());
}

#[test]
fn a_dropped_database_is_gone() {
    let (gone, stays) = (testkit::postgres(), testkit::postgres());
    let name = gone.name().to_owned();
    drop(gone);
    let count = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
    assert_eq!(query(&stays, &count), "0");
}

/// A killed server's children hold its socket for a moment longer.
async fn is_silent(port: u16) {
    eventually(PATIENCE, || async { !listens(port) }).await;
}

#[tokio::test]
async fn postgres_keeps_committed_rows_through_a_crash() {
    let server = Postgres::start_private().await;
    let database = server.database();
    query(&database, "CREATE TABLE t AS SELECT 7 AS n");
    server.kill().await;
    is_silent(server.port()).await;
    server.start().await;
    assert_eq!(query(&database, "SELECT n FROM t"), "7");
    server.stop().await;
    is_silent(server.port()).await;
    server.start().await;
    assert_eq!(query(&database, "SELECT n FROM t"), "7");
}

#[tokio::test]
async fn redis_comes_back_on_its_port() {
    let server = Redis::start_private().await;
    for is_crash in [true, false] {
        assert!(listens(server.port()));
        if is_crash {
            server.kill().await
        } else {
            server.stop().await
        }
        is_silent(server.port()).await;
        server.start().await;
    }
    assert!(listens(server.port()));
}

#[tokio::test]
async fn rabbitmq_keeps_its_data_through_a_crash() {
    let server = RabbitMq::start_private().await;
    let vhost = server.vhost();
    server.set_alarm(true).await;
    assert!(server.ctl(&["status"]).await.contains("Memory alarm"));
    server.set_alarm(false).await;
    server.set_disk_alarm(true).await;
    assert!(server.ctl(&["status"]).await.contains("Free disk space alarm"));
    server.set_disk_alarm(false).await;
    server.kill().await;
    is_silent(server.port()).await;
    server.start().await;
    assert!(server.ctl(&["list_vhosts"]).await.contains(vhost.name()));
    server.stop().await;
    is_silent(server.port()).await;
}

/// The whole chain on a killed owner: `testkit run` is what a test process is, too.
#[tokio::test]
async fn a_killed_owner_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let print = "echo $LOGFERRY_TEST_RABBITMQ_URL $LOGFERRY_TEST_POSTGRES_URL $LOGFERRY_TEST_REDIS_URL";
    let mut owner = Command::new(env!("CARGO_BIN_EXE_testkit"))
        .args(["run", "--", "sh", "-c", &format!("{print}; exec sleep 1")])
        .env("LOGFERRY_TEST_DIR", dir.path())
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&out).unwrap())
        .spawn()
        .unwrap();
    let urls = eventually(PATIENCE * 3, || async {
        Some(std::fs::read_to_string(&out).unwrap()).filter(|text| text.ends_with('\n'))
    })
    .await;
    let ports: Vec<u16> = urls.split_whitespace().map(port_of).collect();
    assert_eq!(ports.len(), 3);
    assert!(ports.iter().all(|port| listens(*port)));
    kill(Pid::from_raw(owner.id().cast_signed()), Signal::SIGKILL).unwrap();
    owner.wait().unwrap();
    eventually(PATIENCE, || async { !ports.iter().any(|port| listens(*port)) }).await;
    // Only the file `out` is left.
    eventually(PATIENCE, || async {
        std::fs::read_dir(&dir).unwrap().count() == 1
    })
    .await;
}

#[test]
fn the_command_of_run_decides_the_exit_code() {
    let run = |arguments: &[&str]| {
        let status = Command::new(env!("CARGO_BIN_EXE_testkit"))
            .args(arguments)
            .stderr(Stdio::null())
            .status();
        status.unwrap().code()
    };
    assert_eq!(
        run(&["run", "--with", "redis", "--", "sh", "-c", "exit 7"]),
        Some(7)
    );
    assert_eq!(run(&["run", "--with", "nonsense", "--", "true"]), Some(1));
    assert_eq!(run(&["run", "true"]), Some(64));
}
