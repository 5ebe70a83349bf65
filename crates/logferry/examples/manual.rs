//! Writes the manual pages and the completions of the shells, from the arguments as they are: `manual FOLDER`.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;

/// Where the pages of commands stand, and those of programs that only managers start.
const COMMANDS: &str = "1";
const SERVICES: &str = "8";

fn main() -> anyhow::Result<()> {
    let folder: PathBuf = env::args_os().nth(1).context("usage: manual FOLDER")?.into();
    for name in ["man1", "man8", "bash", "zsh", "fish"] {
        fs::create_dir_all(folder.join(name)).context("make the folders")?;
    }
    let mut command = logferry::command();
    command.build();
    page(&folder, "logferry", COMMANDS, &command)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        pages_of(&folder, "logferry", sub)?;
    }
    for spec in [
        syslog_server::SPEC,
        harvest::SPEC,
        parser::SPEC,
        shipper_pgsql::SPEC,
        shipper_fs::SPEC,
        collector::SPEC,
        web::SPEC,
    ] {
        page(
            &folder,
            &format!("logferry-{}", spec.name),
            SERVICES,
            &spec.command(),
        )?;
    }
    completions(&folder, &mut logferry::command())
}

/// The page of a sub-command, and those of the ones below it.
fn pages_of(folder: &Path, above: &str, command: &Command) -> anyhow::Result<()> {
    let name = format!("{above}-{}", command.get_name());
    page(folder, &name, COMMANDS, command)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        pages_of(folder, &name, sub)?;
    }
    Ok(())
}

fn page(folder: &Path, name: &str, section: &str, command: &Command) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name)
        .section(section)
        .manual("Logferry")
        .render(&mut text)
        .with_context(|| format!("write the page {name}"))?;
    let path = folder.join(format!("man{section}/{name}.{section}"));
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}

fn completions(folder: &Path, command: &mut Command) -> anyhow::Result<()> {
    for (shell, name) in [
        (Shell::Bash, "bash/logferry"),
        (Shell::Zsh, "zsh/_logferry"),
        (Shell::Fish, "fish/logferry.fish"),
    ] {
        let mut text = Vec::new();
        clap_complete::generate(shell, command, "logferry", &mut text);
        let path = folder.join(name);
        let mut file = fs::File::create(&path).with_context(|| format!("make {}", path.display()))?;
        file.write_all(&text)
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
