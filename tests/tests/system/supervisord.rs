//! The configuration for supervisord that is shipped, under a real supervisord: every program dies in mid-load and
//! comes back, all stop in order, and nothing that was answered is missing.

use std::fs;
use std::path::Path;

use testkit::{Pace, Pipeline, RelpLoad, Supervisord, binaries, eventually};

use crate::support::{Counts, PATIENCE, Rows, assert_counts, each_once, key, lines};

const LINES: usize = 4000;
/// Where in its load a program dies: what is left takes three seconds.
const KILL_AT: usize = LINES / 4;
const PER_SECOND: u32 = 1000;

/// In the order of the flow.
const PROGRAMS: [&str; 8] = [
    "intake:syslog-server",
    "intake:harvest",
    "intake:collector",
    "parsers:parser-1",
    "parsers:parser-2",
    "shippers:shipper-pgsql",
    "shippers:shipper-fs",
    "pages:web",
];

const FOLDER: &str = "
[[harvest.folder]]
name = \"up\"
path = \"up\"
poll_interval = \"200ms\"
";

/// What is shipped, with the programs under test, the settings `settings`, and everything written below `dir`.
fn shipped(settings: &Path, dir: &Path) -> String {
    let folder = binaries::project().join("deploy/supervisord");
    let text = fs::read_to_string(folder.join("logferry.conf")).unwrap();
    let changes = [
        ("/usr/lib/logferry/tell-fatal", folder.join("tell-fatal")),
        (
            "/usr/lib/logferry",
            binaries::folder(binaries::Profile::Dev).to_owned(),
        ),
        ("/etc/logferry/logferry.toml", settings.to_owned()),
        ("/var/lib/logferry", dir.to_owned()),
        ("/var/log/logferry", dir.to_owned()),
        // Tests run as one user, and side by side.
        ("user=logferry\n", "".into()),
        ("127.0.0.1:962%(process_num)d", "127.0.0.1:0".into()),
    ];
    changes.iter().fold(text, |text, (shipped, ours)| {
        assert!(text.contains(shipped), "{shipped} is not in what is shipped");
        text.replace(shipped, &ours.display().to_string())
    })
}

async fn start(pipeline: &Pipeline) -> Supervisord {
    let programs = shipped(&pipeline.dir().join("logferry.toml"), pipeline.dir());
    let supervisord = Supervisord::start(&programs, &[("LOGFERRY_WEB__HTTP_ADDR", "off")]).await;
    for program in PROGRAMS {
        await_state(&supervisord, program, "RUNNING").await;
    }
    supervisord
}

async fn await_state(supervisord: &Supervisord, program: &str, state: &str) {
    eventually(PATIENCE, || async {
        supervisord.states().await.get(program).map(String::as_str) == Some(state)
    })
    .await;
}

fn load(pipeline: &Pipeline, name: &str) -> RelpLoad {
    let lines = lines(name, LINES).into_iter().map(String::into_bytes);
    let pace = Pace {
        per_second: PER_SECOND,
        ..Pace::default()
    };
    RelpLoad::start_at(pipeline.relp(), lines.collect(), pace)
}

/// A line that was sent once is there once; one that was sent again, unanswered, may be there each time.
fn check(found: &Counts, name: &str, sends: &[u32]) {
    for (n, sends) in sends.iter().enumerate() {
        let times = found.get(&key(name, n)).copied().unwrap_or_default();
        assert!(
            (1..=*sends).contains(&times),
            "{}: sent {sends} times, there {times} times",
            key(name, n)
        );
    }
}

#[tokio::test]
async fn each_program_dies_and_comes_back_and_all_stop_in_order() {
    let (vhost, database) = (testkit::rabbitmq(), testkit::postgres());
    let pipeline = Pipeline::over(vhost.url(), database.url())
        .settings(FOLDER)
        .services(&[])
        .start()
        .await;
    let rows = Rows::connect(database.url()).await;
    let supervisord = start(&pipeline).await;

    let mut sent = Vec::new();
    for program in PROGRAMS {
        let name = program.replace(':', "-");
        let pid = supervisord.pid(program).await.unwrap();
        let load = load(&pipeline, &name);
        eventually(PATIENCE, || async { load.acked() >= KILL_AT }).await;
        kill(pid);
        assert!(load.acked() < LINES, "the load was over before the kill");
        eventually(PATIENCE, || async {
            supervisord.pid(program).await.is_some_and(|new| new != pid)
        })
        .await;
        await_state(&supervisord, program, "RUNNING").await;
        sent.push((name, load.finish().await));
    }
    // As uploads should be: under a hidden name first.
    let folder = pipeline.dir().join("up");
    fs::create_dir_all(&folder).unwrap();
    let upload = format!("{}\n", lines("upload", LINES).join("\n"));
    fs::write(folder.join(".upload.log"), upload).unwrap();
    fs::rename(folder.join(".upload.log"), folder.join("upload.log")).unwrap();
    let total = (PROGRAMS.len() + 1) * LINES;
    eventually(PATIENCE, || async { rows.counts().await.len() == total }).await;

    let last = load(&pipeline, "last");
    eventually(PATIENCE, || async { last.acked() >= KILL_AT }).await;
    let log = supervisord.stop().await;
    let answered = last.acked();
    drop(last);
    assert_stopped_in_order(&log);
    for program in PROGRAMS {
        let (_, name) = program.split_once(':').unwrap();
        let log = fs::read_to_string(pipeline.dir().join(format!("{name}.log"))).unwrap();
        assert!(log.contains("drained in_flight=0"), "{name}: {log}");
    }

    let _again = start(&pipeline).await;
    eventually(PATIENCE, || async {
        let counts = rows.counts().await;
        (0..answered).all(|n| counts.contains_key(&key("last", n)))
    })
    .await;
    let mut counts = rows.counts().await;
    for (name, sends) in &sent {
        check(&counts, name, sends);
    }
    counts.retain(|key, _| key.starts_with("upload"));
    assert_counts(&counts, &each_once("upload", LINES));
}

fn kill(pid: i32) {
    let killed = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status();
    assert!(killed.unwrap().success());
}

/// Pages, intake, parsers, shippers; each group when the one before it has ended.
fn assert_stopped_in_order(log: &str) {
    let place = |program: &str| {
        let (_, name) = program.split_once(':').unwrap();
        log.rfind(&format!("stopped: {name} (exit status 0)"))
            .unwrap_or_else(|| panic!("{name} did not stop cleanly:\n{log}"))
    };
    let order: [&[&str]; 4] = [&PROGRAMS[7..], &PROGRAMS[..3], &PROGRAMS[3..5], &PROGRAMS[5..7]];
    for (first, second) in order.iter().zip(order.iter().skip(1)) {
        let last_of_first = first.iter().map(|program| place(program)).max();
        let first_of_second = second.iter().map(|program| place(program)).min();
        assert!(
            last_of_first < first_of_second,
            "{first:?} before {second:?}:\n{log}"
        );
    }
}

#[tokio::test]
async fn a_program_that_cannot_start_is_given_up_and_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("logferry.toml");
    fs::write(&settings, "[service]\nlog_level = \"loud\"\n").unwrap();
    let supervisord = Supervisord::start(&shipped(&settings, dir.path()), &[]).await;
    for program in PROGRAMS {
        await_state(&supervisord, program, "FATAL").await;
    }
    let told = dir.path().join("tell-fatal.log");
    eventually(PATIENCE, || async {
        let told = fs::read_to_string(&told).unwrap_or_default();
        PROGRAMS
            .iter()
            .all(|program| told.contains(&format!("{program} does not start and was given up")))
    })
    .await;
    let log = fs::read_to_string(dir.path().join("parser-1.log")).unwrap();
    assert!(log.contains("service.log_level = \"loud\""), "{log}");
}
