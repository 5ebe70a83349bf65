//! Parsing alone: what criterion measured in the crate `event`, beside the crate syslog_loose.

use std::fs;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use testkit::binaries::project;

use crate::case::{Case, Line, Outcome};

/// Groups of the benchmark `parse` that have both.
const KINDS: &[(&str, &str)] = &[
    ("rfc5424", "RFC 5424"),
    ("rfc5424_structured_data", "RFC 5424 with structured data"),
    ("rfc3164", "RFC 3164"),
];

pub(crate) fn measure() -> anyhow::Result<Outcome> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "bench",
            "--quiet",
            "--package",
            "event",
            "--bench",
            "parse",
            "--",
            "--noplot",
            "parse/",
        ])
        .current_dir(project())
        .status()
        .context("run cargo bench")?;
    if !status.success() {
        bail!("cargo bench: {status}");
    }
    let mut lines = Vec::new();
    for (kind, name) in KINDS {
        lines.push(Line {
            what: format!("parse {name} (reference: syslog_loose)"),
            unit: "/s",
            logferry: per_second(&format!("{kind}_logferry"))?,
            reference: Some(per_second(&format!("{kind}_syslog_loose"))?),
            is_time: false,
        });
    }
    Ok(Outcome {
        case: Case::Parse,
        lines,
        details: json!({ "by": "criterion, one core" }),
    })
}

/// From criterion's estimate of the median time of one frame, in nanoseconds.
fn per_second(name: &str) -> anyhow::Result<f64> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| project().join("target"), std::path::PathBuf::from);
    let path = target
        .join("criterion/parse")
        .join(name)
        .join("new/estimates.json");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let estimates: Value = serde_json::from_str(&text)?;
    let nanos = estimates
        .pointer("/median/point_estimate")
        .and_then(Value::as_f64);
    Ok(1e9 / nanos.context("find the median in criterion's estimates")?)
}
