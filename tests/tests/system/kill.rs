//! Each process dies by SIGKILL in mid-load and comes back: nothing that was answered is missing, and no
//! row is there more often than its line was sent.

use testkit::{Pace, Pipeline, Postgres, RabbitMq, RelpLoad, Service, eventually};

use crate::support::{Counts, PATIENCE, Rows, System, file_counts, key, lines};

const LINES: usize = 30_000;
/// Where in the load the process dies.
const KILL_AT: usize = LINES / 5;
/// Lines a second: what is left at the kill takes twelve seconds, however fast the machine is.
const PER_SECOND: u32 = 2000;

#[tokio::test]
async fn intake_dies() {
    dies(Service::SyslogServer).await;
}

#[tokio::test]
async fn parser_dies() {
    dies(Service::Parser).await;
}

#[tokio::test]
async fn shipper_pgsql_dies() {
    dies(Service::ShipperPgsql).await;
}

#[tokio::test]
async fn shipper_fs_dies() {
    dies(Service::ShipperFs).await;
}

async fn dies(service: Service) {
    let system = System::start().await;
    let load = Load::start(&system.pipeline, service.name());
    load.reaches(KILL_AT).await;
    // The flow has reached the end, so the stage that dies holds deliveries.
    system.rows.await_total(1).await;
    system.pipeline.kill(service).await;
    load.assert_unfinished();
    system.pipeline.start(service).await;
    load.arrives(&system.pipeline, &system.rows).await;
    system.drain().await;
}

#[tokio::test]
async fn rabbitmq_dies() {
    let (broker, database) = (RabbitMq::start_private().await, testkit::postgres());
    let pipeline = Pipeline::over(&broker.url(), database.url()).start().await;
    let rows = Rows::connect(database.url()).await;
    let load = Load::start(&pipeline, "rabbitmq");
    load.reaches(KILL_AT).await;
    broker.kill().await;
    load.assert_unfinished();
    broker.start().await;
    load.arrives(&pipeline, &rows).await;
    // The services lived through it, and said so in their own words only.
    let complaints = pipeline.complaints();
    assert!(
        !complaints
            .iter()
            .any(|line| line.contains("ERROR") || line.contains("lapin")),
        "{complaints:#?}"
    );
    for service in Service::ALL {
        let log = pipeline.log(service);
        let lost = log.matches("connection to the broker lost").count();
        // One connection for publishing, one for consuming; which has problems with the first attempts may vary.
        assert!((1..=2).contains(&lost), "{}: {log}", service.name());
        assert!(pipeline.terminate(service).await.success());
    }
}

#[tokio::test]
async fn postgres_dies() {
    let (vhost, server) = (testkit::rabbitmq(), Postgres::start_private().await);
    let database = server.database();
    let pipeline = Pipeline::over(vhost.url(), database.url()).start().await;
    let load = Load::start(&pipeline, "postgres");
    load.reaches(KILL_AT).await;
    Rows::connect(database.url()).await.await_total(1).await;
    server.kill().await;
    load.assert_unfinished();
    server.start().await;
    let rows = Rows::connect(database.url()).await;
    load.arrives(&pipeline, &rows).await;
    for service in Service::ALL {
        assert!(pipeline.terminate(service).await.success());
    }
}

struct Load {
    name: &'static str,
    relp: RelpLoad,
}

impl Load {
    fn start(pipeline: &Pipeline, name: &'static str) -> Self {
        let lines = lines(name, LINES).into_iter().map(String::into_bytes);
        let pace = Pace {
            per_second: PER_SECOND,
            ..Pace::default()
        };
        Self {
            name,
            relp: RelpLoad::start_at(pipeline.relp(), lines.collect(), pace),
        }
    }

    async fn reaches(&self, acked: usize) {
        eventually(PATIENCE, || async { self.relp.acked() >= acked }).await;
    }

    fn assert_unfinished(&self) {
        assert!(self.relp.acked() < LINES, "the load was over before the kill");
    }

    /// Waits until everything is answered and has arrived, and counts.
    async fn arrives(self, pipeline: &Pipeline, rows: &Rows) {
        let sends = self.relp.finish().await;
        let last = format!("{}-last", self.name);
        RelpLoad::start(pipeline.relp(), vec![format!("<134>1 - - - - - - {last}")])
            .finish()
            .await;
        rows.await_key(&last).await;
        eventually(PATIENCE, || async { rows.counts().await.len() == LINES + 1 }).await;
        let file = pipeline.events_file();
        eventually(PATIENCE, || async { file_counts(&file).len() == LINES + 1 }).await;
        check("row", &rows.counts().await, self.name, &sends);
        check("line", &file_counts(&file), self.name, &sends);
    }
}

/// A line that was sent once is there once; one that was sent again, unanswered, may be there each time.
fn check(what: &str, found: &Counts, name: &str, sends: &[u32]) {
    for (n, sends) in sends.iter().enumerate() {
        let times = found.get(&key(name, n)).copied().unwrap_or_default();
        assert!(
            (1..=*sends).contains(&times),
            "{}: sent {sends} times, {what} {times} times",
            key(name, n)
        );
    }
}
