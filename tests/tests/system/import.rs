//! `logferry harvest FILE` onto a real RabbitMQ: killed and repeated, and without its broker for a while.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use testkit::{Pipeline, RabbitMq, Service, eventually};

use crate::support::{PATIENCE, Rows, System, assert_counts, each_once, lines};

const LINES: usize = 20_000;

/// Writes the file, and gives the command that imports it: in small batches, so that there is a middle.
fn import(pipeline: &Pipeline) -> Command {
    let text = lines("import", LINES).join("\n");
    fs::write(pipeline.dir().join("import.log"), text).unwrap();
    let mut command = pipeline.command("logferry");
    command.args(["harvest", "import.log", "--set", "harvest.batch_frames_max=20"]);
    command.args(["--set", "harvest.unconfirmed_batches_max=2"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Killed when the test ends before it.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    fn kill(mut self) {
        assert!(self.0.try_wait().unwrap().is_none(), "it was not in the middle");
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already when all went well.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

async fn all_there_once(rows: &Rows) {
    rows.await_total(LINES).await;
    assert_counts(&rows.counts().await, &each_once("import", LINES));
}

#[tokio::test]
async fn an_import_is_killed_and_repeated() {
    let system = System::start().await;
    let mut command = import(&system.pipeline);
    for part in 1..4 {
        let running = Running::start(&mut command);
        system.rows.await_total(part * LINES / 8).await;
        running.kill();
    }
    let last = command.output().unwrap();
    let told = String::from_utf8_lossy(&last.stdout);
    assert!(last.status.success(), "{last:?}");
    assert!(told.starts_with("imported 1 file, "), "{told}");
    all_there_once(&system.rows).await;
    let again = command.output().unwrap();
    let told = String::from_utf8_lossy(&again.stdout);
    assert!(told.contains("passed over 1, imported before"), "{told}");
    system.drain().await;
    all_there_once(&system.rows).await;
}

#[tokio::test]
async fn an_import_waits_for_its_broker_and_says_so() {
    let broker = RabbitMq::start_private().await;
    let database = testkit::postgres();
    let pipeline = Pipeline::over(&broker.url(), database.url()).start().await;
    let rows = Rows::connect(database.url()).await;
    let errors = pipeline.dir().join("import.err");
    let mut command = import(&pipeline);
    command.stderr(fs::File::create(&errors).unwrap());
    let mut running = Running::start(&mut command);
    rows.await_total(LINES / 20).await;
    broker.kill().await;
    let told = async |text: &str| {
        eventually(PATIENCE, || async {
            fs::read_to_string(&errors).unwrap().contains(text)
        })
        .await;
    };
    told("waiting for the broker (").await;
    broker.start().await;
    told("the broker is back").await;
    let status = eventually(PATIENCE, || {
        let ended = running.0.try_wait().unwrap();
        std::future::ready(ended)
    })
    .await;
    assert!(status.success(), "{status}");
    all_there_once(&rows).await;
    for service in Service::ALL {
        assert!(pipeline.terminate(service).await.success());
    }
}
