//! Settings that are read again while lines come: all go on, and none is lost.

use std::fs;
use std::path::Path;
use std::process::Output;

use testkit::{Pipeline, RelpLoad, Service, eventually};

use crate::support::{PATIENCE, System, assert_counts, each_once, key, lines, send_tcp};

const LINES: usize = 8_000;
const ROUNDS: usize = 4;

/// Has this pipeline's processes read their settings again; what was printed, and the exit code.
fn reload(pipeline: &Pipeline, args: &[&str]) -> (String, Option<i32>) {
    let file = pipeline.dir().join("logferry.toml");
    let file = file.to_str().unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = pipeline.logferry(&[&["reload", "--config", file], args].concat());
    let told = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (told, status.code())
}

/// Puts `new` into the settings file, once, in place of `old`.
fn change(pipeline: &Pipeline, old: &str, new: &str) {
    let file = pipeline.dir().join("logferry.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(old), "{old:?} is not in {text}");
    fs::write(file, text.replacen(old, new, 1)).unwrap();
}

/// A slow start on a busy machine is warned of, and is no matter here.
fn errors(pipeline: &Pipeline) -> Vec<String> {
    let is_error = |line: &String| line.split_whitespace().take(2).any(|word| word == "ERROR");
    pipeline.complaints().into_iter().filter(is_error).collect()
}

fn write_rule(path: &Path, round: usize) {
    fs::write(path, format!(".fields.round = {round}\n")).unwrap();
}

#[tokio::test]
async fn rules_limits_and_level_change_under_load_and_no_line_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let rule = dir.path().join("mark.vrl");
    write_rule(&rule, 0);
    let program = format!("[[parser.program]]\nname = \"mark\"\nfile = {rule:?}\n");
    let system = System::start_with(&program).await;
    let pipeline = &system.pipeline;
    let pids = Service::ALL.map(|service| pipeline.pid(service));
    let load = RelpLoad::start(pipeline.relp(), lines("load", LINES));
    let relp = "name = \"relp\"\nprotocol = \"relp\"\n";
    for round in 1..=ROUNDS {
        eventually(PATIENCE, || async {
            load.acked() >= round * LINES / (ROUNDS + 2)
        })
        .await;
        write_rule(&rule, round);
        let limits = format!("connections_max = {round}\nframe_bytes_max = \"{round}KiB\"\n");
        change(pipeline, relp, &format!("{relp}{limits}"));
        change(
            pipeline,
            "[service]\n",
            "[service]\nlog_level = \"info,parser=debug\"\n",
        );
        let (told, code) = reload(pipeline, &[]);
        assert_eq!(code, Some(0), "{told}");
        for key in [
            "parser.program.mark.file",
            "syslog_server.listener.relp.connections_max",
            "syslog_server.listener.relp.frame_bytes_max",
        ] {
            assert!(told.contains(key), "{key} is not in {told}");
        }
        change(pipeline, &limits, "");
        change(pipeline, "log_level = \"info,parser=debug\"\n", "");
        // Something of the round comes through before the next one begins.
        send_tcp(pipeline.tcp(), &lines(&format!("round{round}"), 1)).await;
        system.rows.await_key(&key(&format!("round{round}"), 0)).await;
    }
    assert_eq!(load.finish().await, vec![1; LINES], "no answer was missing");
    system.rows.await_total(LINES + ROUNDS).await;
    let accepted = ["logferry_intake_connections_accepted_total", "listener=\"relp\""];
    let accepted = pipeline.metric(Service::SyslogServer, &accepted).await;
    assert!((accepted - 1.0).abs() < 0.1, "{accepted} connections");
    assert_eq!(pids, Service::ALL.map(|service| pipeline.pid(service)));
    assert_eq!(errors(pipeline), Vec::<String>::new());
    system.drain().await;

    let mut expected = each_once("load", LINES);
    for round in 1..=ROUNDS {
        expected.extend(each_once(&format!("round{round}"), 1));
    }
    assert_counts(&system.rows.counts().await, &expected);
    // The lines of each round were parsed by its rules.
    for round in 1..=ROUNDS {
        let sql = format!(
            "SELECT fields->>'round' FROM events WHERE message LIKE '% {}'",
            key(&format!("round{round}"), 0)
        );
        assert_eq!(system.rows.column(&sql).await, [round.to_string()]);
    }
}

#[tokio::test]
async fn a_mistake_or_a_key_that_cannot_change_leaves_all_processes_as_they_are() {
    let system =
        System::start_with("[[parser.program]]\nname = \"mark\"\nsource = '.fields.by = \"first\"'\n").await;
    let pipeline = &system.pipeline;
    change(pipeline, "\"first\"", "\"second\"");
    for (old, new, says) in [
        (
            ".fields.by = ",
            ".fields.by = = ",
            &["refused: ", "program \"mark\""][..],
        ),
        (
            "[parser]\n",
            "[parser]\nprefetch = 3\n",
            &["parser[", "refused: parser.prefetch cannot change while running"],
        ),
        (
            "[syslog_server]\n",
            "[syslog_server]\nbatch_age_max = \"7ms\"\n",
            &["syslog-server[", "refused: syslog_server.batch_age_max cannot"],
        ),
        (
            "[service]\n",
            "[service]\nlog_levle = \"debug\"\n",
            &["log_levle", "did you mean `log_level`?"],
        ),
    ] {
        change(pipeline, old, new);
        let (told, code) = reload(pipeline, &[]);
        assert_eq!(code, Some(78), "{told}");
        let is_told = says.iter().all(|part| told.contains(part));
        assert!(is_told && told.contains("Nothing was changed."), "{told}");
        change(pipeline, new, old);
    }
    let (told, code) = reload(pipeline, &["--check"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("would change: parser.program.mark.source"),
        "{told}"
    );
    send_tcp(pipeline.tcp(), &lines("before", 1)).await;
    system.rows.await_key(&key("before", 0)).await;
    let (told, code) = reload(pipeline, &["parser"]);
    assert!(code == Some(0) && told.contains("reloaded: "), "{told}");
    send_tcp(pipeline.tcp(), &lines("after", 1)).await;
    system.rows.await_key(&key("after", 0)).await;
    let by = system
        .rows
        .column("SELECT fields->>'by' FROM events ORDER BY id")
        .await;
    assert_eq!(by, ["first", "second"]);
    assert_eq!(errors(pipeline), Vec::<String>::new());
    system.drain().await;
}
