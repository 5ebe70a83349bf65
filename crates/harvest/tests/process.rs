//! The real process, and folders that it may not use: it says what to do, and goes on with the others.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio, time::Duration};

use testkit::{Process, eventually};

const SOON: Duration = Duration::from_secs(60);

/// Root may do everything, unless it gives that up.
const SCRIPT: &str = "if [ \"$(id -u)\" = 0 ]; then \
     exec setpriv --bounding-set=-dac_override,-dac_read_search \"$0\" \"$@\"; \
     fi; exec \"$0\" \"$@\"";

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn folder(name: &str) -> String {
    format!(
        "[[harvest.folder]]\nname = {name:?}\npath = {name:?}\nquiet = \"0ms\"\npoll_interval = \"100ms\"\n"
    )
}

#[tokio::test]
async fn a_folder_that_is_denied_is_told_with_the_setting_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["open", "denied", "stuck"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("file"), "").unwrap();
    let config = dir.path().join("logferry.toml");
    let folders = ["open", "denied", "file", "stuck"].map(folder).concat();
    let settings = format!("data_dir = \"data\"\n[harvest]\nhttp_addr = \"off\"\n{folders}");
    fs::write(&config, settings).unwrap();
    fs::write(dir.path().join("denied/a.log"), "one\n").unwrap();
    fs::write(dir.path().join("stuck/b.log"), "two\n").unwrap();
    set_mode(&dir.path().join("denied"), 0o000);
    // It can be read, and nothing in it can be moved.
    set_mode(&dir.path().join("stuck"), 0o500);

    let mut command = Process::command_by(SCRIPT, env!("CARGO_BIN_EXE_harvest"), &config);
    let vhost = testkit::rabbitmq();
    command.env("LOGFERRY_BROKER__URL", vhost.url());
    let mut process = Process::start(command.stderr(Stdio::piped()));
    let mut log = process.log();
    let mut missing = vec![
        ["/denied", "Permission denied", "harvest.folder.path"],
        ["/file", "Not a directory", "harvest.folder.path"],
        ["/stuck/b.log", "Permission denied", "done_dir"],
    ];
    let told = async {
        let mut said = String::new();
        while !missing.is_empty() {
            let line = log.next_line().await.unwrap();
            let line = line.unwrap_or_else(|| panic!("the process ended: {said}"));
            missing.retain(|words| !words.iter().all(|word| line.contains(word)));
            said = said + &line + "\n";
        }
    };
    let told = tokio::time::timeout(SOON, told).await;
    assert!(told.is_ok(), "not told: {missing:?}");

    fs::write(dir.path().join("open/c.log"), "three\n").unwrap();
    let taken = |path: &str| {
        let path = dir.path().join(path);
        async move { eventually(SOON, || async { fs::metadata(&path).is_ok() }).await }
    };
    taken("open/.done/c.log").await;
    // Mended, it is used without a restart.
    set_mode(&dir.path().join("denied"), 0o700);
    taken("denied/.done/a.log").await;
    set_mode(&dir.path().join("stuck"), 0o700);
    process.stop().await;
}
