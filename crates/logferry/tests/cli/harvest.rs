//! `logferry harvest`: files into the embedded store, once.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::Path,
};

use nix::sys::signal::Signal;
use testkit::eventually;

use crate::{
    fixture::{Fixture, Outcome, PATIENCE},
    run::Run,
};

fn lines(word: &str, count: usize) -> String {
    (0..count).map(|n| format!("{word} line {n}\n")).collect()
}

/// What this machine has for it, so that the files are such as people have.
fn gzip(path: &Path) {
    let status = std::process::Command::new("gzip").arg(path).status();
    assert!(status.expect("gzip is installed").success());
}

/// How many events a search finds, and how many different ones.
fn found(fixture: &Fixture, word: &str) -> (usize, usize) {
    let found = fixture.run(&["search", "--limit", "all", word]);
    assert_eq!(found.code, 0, "{found:?}");
    // Tags may stand behind it.
    let number = |line: &str| Some(line.split_once(" line ")?.1.split(' ').next()?.to_owned());
    let all: Vec<_> = found.out.lines().filter_map(number).collect();
    let different: BTreeSet<_> = all.iter().collect();
    (all.len(), different.len())
}

fn assert_told(told: &Outcome, code: i32, out: &str) {
    assert_eq!(told.code, code, "{told:?}");
    assert!(told.out.contains(out), "{told:?}");
}

#[test]
fn files_are_imported_once_however_often_it_is_repeated() {
    let fixture = Fixture::new();
    let write = |name: &str, text: &str| fs::write(fixture.path(name), text).expect("writes");
    write("plain.log", &lines("plain", 500));
    write("packed.log", &lines("packed", 400));
    gzip(&fixture.path("packed.log"));
    write("stdin.txt", &lines("piped", 300));
    let import = || {
        // A pipe, which can be read once.
        let mut cat = std::process::Command::new("cat")
            .arg(fixture.path("stdin.txt"))
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("starts");
        let args = [
            "harvest",
            "plain.log",
            "packed.log.gz",
            "-",
            "--tag",
            "old",
            "--app-name",
            "app",
        ];
        let told = fixture.run_with_stdin(&args, cat.stdout.take().expect("is piped"));
        assert!(cat.wait().expect("ends").success());
        told
    };
    let assert_found = || {
        for (word, count) in [("plain", 500), ("packed", 400), ("piped", 300)] {
            assert_eq!(found(&fixture, word), (count, count), "{word}");
        }
    };
    let told = import();
    assert_told(&told, 0, "imported 3 files, 1,200 lines (");
    assert_eq!(told.err, "");
    assert_found();
    let labelled = fixture.run(&["search", "piped", "--limit", "1", "--json"]).json();
    assert_eq!(
        (&labelled["app_name"], &labelled["tags"][0]),
        (&"app".into(), &"old".into())
    );
    let told = import();
    assert_told(&told, 0, "passed over 3, imported before");
    assert_found();
    // What came since is imported, and nothing else.
    let mut plain = File::options()
        .append(true)
        .open(fixture.path("plain.log"))
        .expect("opens");
    plain.write_all(b"plain line 500\n").expect("writes");
    assert_told(
        &fixture.run(&["harvest", "plain.log"]),
        0,
        "imported 1 file, 1 line (",
    );
    assert_eq!(found(&fixture, "plain"), (501, 501));
    assert_told(&fixture.run(&["harvest", "plain.log", "--again"]), 0, "501 lines");
    assert_eq!(found(&fixture, "plain"), (1002, 501));
}

#[tokio::test]
async fn an_import_that_is_killed_goes_on_when_it_is_repeated() {
    let fixture = Fixture::new();
    let count = 20_000;
    fs::write(fixture.path("long.log"), lines("long", count)).expect("writes");
    // Small batches, each of which is synced, so that there is a middle to be killed in.
    let args = [
        "harvest",
        "long.log",
        "--set",
        "harvest.batch_frames_max=20",
        "--set",
        "harvest.unconfirmed_batches_max=2",
    ];
    let running = fixture.start(&args);
    let store = fixture.path("data/store");
    eventually(PATIENCE, || async {
        running.has_ended() || (store.is_dir() && fixture.run(&["search", "--limit", "1", "long"]).code == 0)
    })
    .await;
    running.signal(Signal::SIGKILL);
    let (code, _, err) = running.end();
    assert_eq!(code, None, "was killed: {err}");
    assert_told(&fixture.run(&args), 0, "imported 1 file");
    assert_eq!(found(&fixture, "long"), (count, count));
}

#[test]
fn a_bad_file_is_told_and_the_others_are_imported() {
    let fixture = Fixture::new();
    fs::write(fixture.path("cut.log"), lines("cut", 20_000)).expect("writes");
    gzip(&fixture.path("cut.log"));
    let packed = fs::read(fixture.path("cut.log.gz")).expect("reads");
    let front = packed.get(..packed.len() / 2).expect("is shorter");
    fs::write(fixture.path("cut.log.gz"), front).expect("writes");
    fs::write(fixture.path("good.log"), lines("good", 10)).expect("writes");
    fs::create_dir(fixture.path("dir")).expect("makes");
    let args = ["harvest", "missing.log", "cut.log.gz", "dir", "good.log"];
    let told = fixture.run(&args);
    assert_told(&told, 1, "not in full: 3");
    for expected in [
        "logferry harvest: missing.log: No such file",
        "logferry harvest: cut.log.gz: it cannot be read to its end: ",
        "what could be read is imported",
        "logferry harvest: dir: it is a folder: name the files in it",
    ] {
        assert!(told.err.contains(expected), "{expected}: {told:?}");
    }
    assert_eq!(found(&fixture, "good"), (10, 10));
    let (cut, _) = found(&fixture, "cut");
    assert!(cut > 1000, "{cut}");
    let again = fixture.run(&args);
    assert_told(&again, 1, "not in full: 3");
    assert!(
        again.err.contains("cut.log.gz: it cannot be read to its end"),
        "{again:?}"
    );
    assert_eq!(found(&fixture, "cut").0, cut);
}

#[test]
fn arguments_that_cannot_be_meant() {
    let fixture = Fixture::new();
    fs::write(fixture.path("a.log"), "a line\n").expect("writes");
    for (args, code, expected) in [
        (&[][..], 64, "<FILE>"),
        (&["-", "-"], 64, "stdin can be read once"),
        (
            &["a.log", "--folder", "up"],
            78,
            "no [[harvest.folder]] of the settings has this name",
        ),
        (&["a.log", "--folder", "up", "--app-name", "a"], 64, "--app-name"),
        (&["a.log", "--encoding", "klingon"], 78, "klingon"),
        (&["a.log", "--start", "("], 78, "is not a regular expression"),
        (
            &[
                "a.log",
                "--app-name",
                "a",
                "--set",
                "broker.url=amqp://127.0.0.1:1",
            ],
            64,
            "--folder",
        ),
    ] {
        let told = fixture.run(&[&["harvest"], args].concat());
        assert_eq!(told.code, code, "{args:?}: {told:?}");
        assert!(told.err.contains(expected), "{args:?}: {told:?}");
    }
    assert_eq!(fixture.names(), ["a.log"], "nothing was made");
}

#[test]
fn a_folder_of_the_settings_says_what_lines_are() {
    let fixture = Fixture::new();
    fixture.settings(
        "[[harvest.folder]]\nname = \"up\"\npath = \"up\"\napp_name = \"billing\"\ngrammar = false\n\
         [harvest.folder.multiline]\ncontinuation = '^ '\n",
    );
    fs::write(
        fixture.path("a.log"),
        "first line 1\n  more of it\nfirst line 2\n",
    )
    .expect("writes");
    let told = fixture.run(&["harvest", "a.log", "--folder", "up"]);
    assert_told(&told, 0, "imported 1 file, 2 lines");
    let event = fixture.run(&["search", "more", "--json"]).json();
    assert_eq!(event["message"], "first line 1\n  more of it");
    assert_eq!(
        (&event["app_name"], &event["listener"]),
        (&"billing".into(), &"up".into())
    );
}

#[tokio::test]
async fn a_folder_in_use_is_refused_with_the_way_out() {
    let fixture = Fixture::new();
    let run = Run::start(&fixture).await;
    fs::write(fixture.path("a.log"), "a line\n").expect("writes");
    let told = fixture.run(&["harvest", "a.log"]);
    assert_eq!((told.code, &*told.out), (1, ""), "{told:?}");
    for expected in [
        "in use by another logferry (process ",
        "[[harvest.folder]]",
        "logferry send --file",
    ] {
        assert!(told.err.contains(expected), "{told:?}");
    }
    run.stop(Signal::SIGTERM);
}
