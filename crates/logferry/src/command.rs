//! What the commands that do one thing and end have in common.

use std::{
    io::{self, Write},
    path::{Path, absolute},
    process::ExitCode,
};

use anyhow::bail;
use clap::Args;
use service::{Loaded, SettingsArgs, exit};
use settings::{Problems, Settings};

/// Where settings come from, with the one key that is set most often.
#[derive(Debug, Clone, Args)]
pub(crate) struct DataArgs {
    /// Folder of the embedded queues and store; sets data_dir
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl DataArgs {
    pub(crate) fn load(&self) -> Result<Loaded, Problems> {
        self.load_with(Vec::new())
    }

    /// The same with `stronger` keys over all others.
    pub(crate) fn load_with(&self, mut stronger: Vec<(String, String)>) -> Result<Loaded, Problems> {
        stronger.extend(self.data.iter().map(|dir| ("data_dir".to_owned(), dir.clone())));
        self.settings.load(stronger)
    }
}

/// Loads the settings and runs `body` with them.
pub(crate) fn run_once(args: &DataArgs, body: impl AsyncFnOnce(Settings) -> anyhow::Result<()>) -> ExitCode {
    run_to_code(args, async |settings| body(settings).await.map(|()| exit::CLEAN))
}

/// The same for a `body` that knows how it ended.
pub(crate) fn run_to_code(
    args: &DataArgs,
    body: impl AsyncFnOnce(Settings) -> anyhow::Result<u8>,
) -> ExitCode {
    let settings = match args.load() {
        Ok(loaded) => loaded.settings,
        Err(problems) => return bad_settings(&problems),
    };
    match block_on(body(settings)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => failed(&error),
    }
}

/// Runs a future on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future)
}

/// Tells what went wrong.
pub(crate) fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("logferry: {error:#}");
    ExitCode::from(exit::START_FAILED)
}

/// Tells mistakes in the settings.
pub(crate) fn bad_settings(problems: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{problems}");
    ExitCode::from(exit::SETTINGS)
}

/// Tells mistakes in the arguments that only the command itself can find.
pub(crate) fn usage(command: &str, problem: &str) -> ExitCode {
    eprintln!("logferry {command}: {problem}\n\nFor more information, try 'logferry {command} --help'.");
    ExitCode::from(exit::USAGE)
}

/// Says how to get data when there is none, before somebody gets an answer about an empty store.
pub(crate) fn expect_data(settings: &Settings, dir: &Path) -> anyhow::Result<()> {
    if !dir.try_exists()? {
        let data_dir = absolute(&settings.data_dir)?;
        bail!(
            "there is no data of Logferry in {}: start `logferry run` there, or name its folder with --data DIR or data_dir",
            data_dir.display()
        );
    }
    Ok(())
}

/// Prints to stdout; an end of whoever reads it is no mistake of ours.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
