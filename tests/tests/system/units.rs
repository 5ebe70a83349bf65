//! The units for systemd that are shipped: systemd reads them without a complaint, and what services may do is little.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::binaries;

/// In tenths, by `systemd-analyze security`, whose scale ends at 10; below 2 it calls a service OK.
const EXPOSURE_MAX: &str = "18";

#[test]
fn systemd_takes_the_units_and_finds_them_contained() {
    let dir = tempfile::tempdir().unwrap();
    let units = installed(dir.path());
    let (services, others): (Vec<_>, Vec<_>) = units.iter().partition(|unit| unit.ends_with(".service"));
    assert!(services.len() >= 9 && others.len() >= 2, "{units:?}");
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]).current_dir(dir.path());
    verify.args(units.iter().map(|unit| format!("./{unit}")));
    let told = run(&mut verify);
    assert_eq!(told, "", "systemd complains of the units");
    for service in services {
        let mut security = Command::new("systemd-analyze");
        security
            .args([
                "security",
                "--offline=true",
                "--no-pager",
                "--threshold",
                EXPOSURE_MAX,
            ])
            .arg(format!("./{service}"))
            .current_dir(dir.path());
        run(&mut security);
    }
}

/// What systemd reads after a unit replaces what the unit says.
#[test]
fn no_unit_says_what_is_said_again_for_all() {
    let folder = binaries::project().join("deploy/systemd");
    let keys = |path: &Path| -> BTreeSet<String> {
        let text = fs::read_to_string(path).unwrap();
        let keys = text.lines().filter_map(|line| line.split_once('='));
        keys.map(|(key, _)| key.to_owned())
            .filter(|key| !key.starts_with('#'))
            .collect()
    };
    let common = keys(&folder.join("logferry-.service.d/10-logferry.conf"));
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "service") {
            let twice: Vec<_> = keys(&path).intersection(&common).cloned().collect();
            assert_eq!(twice, Vec::<String>::new(), "{}", path.display());
        }
    }
}

/// The units as a package installs them, but for programs that are there.
fn installed(dir: &Path) -> Vec<String> {
    let from = binaries::project().join("deploy/systemd");
    let mut names = Vec::new();
    for entry in fs::read_dir(&from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            for folder in [name.as_str(), "logferry.service.d"] {
                fs::create_dir(dir.join(folder)).unwrap();
                for entry in fs::read_dir(&path).unwrap() {
                    let entry = entry.unwrap();
                    fs::copy(entry.path(), dir.join(folder).join(entry.file_name())).unwrap();
                }
            }
            continue;
        }
        let lines = fs::read_to_string(&path).unwrap();
        let lines = lines.lines().map(|line| {
            let program = line
                .strip_prefix("ExecStart=")
                .or_else(|| line.strip_prefix("ExecReload="))
                .map(|command| command.split(' ').next().unwrap());
            program.map_or(line.to_owned(), |program| line.replacen(program, "/bin/true", 1))
        });
        // A template is looked at as an instance.
        let name = name.replace("@.", "@1.");
        fs::write(dir.join(&name), lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
        names.push(name);
    }
    names.sort();
    names
}

/// What it says; it must succeed.
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .expect("systemd-analyze is installed (package systemd): make deps");
    let told =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
    told
}
