//! `main` of a service.

use std::{env, future::Future, process::ExitCode};

use clap::{Args, Command, FromArgMatches, error::ErrorKind};
use settings::{BrokerSettings, Settings};

use crate::{
    args::{Loaded, ProcessArgs},
    context::Context,
    exit,
    reload::Reloader,
    supervise::supervise,
};

/// What makes one service different from another before it runs.
#[derive(Debug, Clone, Copy)]
pub struct ServiceSpec {
    /// The name of the service, its crate and its binary, such as `shipper-fs`.
    pub name: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// Commands with a line each on what they do, for `--help`.
    pub examples: &'static str,
    /// `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// Checks what the settings cannot know, such as whether rules compile. Its errors are mistakes in the
    /// settings. `|_| Ok(())` when there is nothing.
    pub check: fn(&Settings) -> anyhow::Result<()>,
    /// How the paths of the keys begin that it reads, `parser.` or `syslog_server.listener[].time_zone`. Those of
    /// `[service]`, `[broker]` and `data_dir` need not be named. A change of others is no matter of a reload.
    pub reads: &'static [&'static str],
}

#[derive(Debug, Args)]
struct ServiceArgs {
    #[command(flatten)]
    process: ProcessArgs,
    /// Check the settings, tell every mistake, and exit
    #[arg(long)]
    check: bool,
}

/// The whole life of a service: arguments, settings, tracing, the endpoint, `body`, signals, drain, exit code.
///
/// `body` binds and connects, calls [`Context::started`], and returns after `stop` was cancelled and all that it
/// held is settled. An error before `started` is a failed start, a later one a failure while running.
pub fn run_main<F, Fut>(spec: ServiceSpec, body: F) -> ExitCode
where
    F: FnOnce(Settings, Context) -> Fut,
    Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let section = spec.name.replace('-', "_");
    let http_key = format!("{section}.http_addr");
    let args = match arguments(&spec) {
        Ok(args) => args,
        Err(error) => return exit::after_arguments(&error),
    };
    let (process, key) = (args.process, http_key.clone());
    let read = move || {
        let loaded = process.load(&key, Vec::new())?;
        check(&spec, &loaded.settings)?;
        Ok(loaded)
    };
    let loaded: Loaded = match read() {
        Ok(loaded) => loaded,
        Err(error) => return bad_settings(&error),
    };
    if args.check {
        return exit::say(&good(&loaded));
    }
    let reloader = Reloader::new(&loaded, &[spec.reads, &["broker."]].concat(), read);
    let Loaded { settings, file, .. } = loaded;
    let http_addr = settings.service.http_addrs.get(spec.name).copied().flatten();
    let http = (http_addr, http_key.as_str());
    supervise(spec.name, settings, http, reloader, |settings, ctx| {
        let file = file.map(|file| file.display().to_string());
        tracing::info!(
            service = spec.name,
            version = spec.version,
            settings = file,
            "starting"
        );
        body(settings, ctx)
    })
}

impl ServiceSpec {
    /// The arguments, for manuals and completions, too.
    #[must_use]
    pub fn command(&self) -> Command {
        // Described after the arguments, whose own types have descriptions too.
        ServiceArgs::augment_args(Command::new(self.name))
            .about(self.about)
            .long_about(None::<&str>)
            .version(self.version)
            .after_help(format!("Examples:\n{}", self.examples.trim_end()))
    }
}

fn arguments(spec: &ServiceSpec) -> Result<ServiceArgs, clap::Error> {
    let matches = spec.command().try_get_matches_from(env::args_os())?;
    ServiceArgs::from_arg_matches(&matches).map_err(|error| {
        // Cannot happen: the same type described the arguments.
        clap::Error::raw(ErrorKind::InvalidValue, error)
    })
}

fn check(spec: &ServiceSpec, settings: &Settings) -> anyhow::Result<()> {
    if matches!(settings.broker, BrokerSettings::Embedded { .. }) {
        anyhow::bail!(
            "broker.url is \"embedded\", which has no way from one process to another: set it to amqp://… (LOGFERRY_BROKER__URL), or use `logferry run`"
        );
    }
    (spec.check)(settings)
}

fn good(loaded: &Loaded) -> String {
    match &loaded.file {
        Some(file) => format!("settings are good: {}", file.display()),
        None => "settings are good: no file, so defaults and environment".to_owned(),
    }
}

fn bad_settings(problems: &anyhow::Error) -> ExitCode {
    exit::complain(&format!("{problems:#}"));
    ExitCode::from(exit::SETTINGS)
}
