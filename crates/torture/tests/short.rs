//! A short torture with fixed seeds, as part of every test run; `make torture` does longer ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Stdio};

/// With what a user of `make torture` starts it.
fn torture(seed: u32) {
    // Brings the programs up to date, with their crash points.
    let programs = testkit::binaries::folder(testkit::binaries::Profile::Dev);
    let out = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_torture"))
        .args([
            "--rounds",
            "2",
            "--faults",
            "25",
            "--rate",
            "200",
            "--seed",
            &seed.to_string(),
        ])
        .arg("--programs")
        .arg(programs)
        .arg("--out")
        .arg(out.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}", output.status);
    let report = std::fs::read_to_string(out.path().join(format!("report-{seed}.md"))).unwrap();
    for line in [
        "| verdict | passed |",
        "| lost in PostgreSQL | 0 |",
        "| duplicate rows | 0 |",
    ] {
        assert!(report.contains(line), "{line} is not in\n{report}");
    }
    // What a report says of programs without them.
    assert!(!report.contains("`crash-points`"), "{report}");
}

#[test]
fn nothing_is_lost_in_a_short_torture() {
    torture(4);
}
