//! Writes `docs/metrics.md` from what the services register.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    fs::write(page, logferry::metrics_page::markdown())
}
