//! Writes `deploy/logferry.toml` and `docs/settings.md` from the key table.

use std::{fs, io, path::Path};

use settings::reference;

fn main() -> io::Result<()> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::write(top.join("deploy/logferry.toml"), reference::sample())?;
    fs::write(top.join("docs/settings.md"), reference::markdown())
}
