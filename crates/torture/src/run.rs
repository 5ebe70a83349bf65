//! The rounds of a run: faults while messages flow, then quiet, then counting.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::check::{self, Strange};
use crate::drive::Task;
use crate::fault::{self, Fault, Targets};
use crate::inject::{self, Done};
use crate::ledger::{Duty, Ledger};
use crate::message::{Driver, Fate};
use crate::random::Random;
use crate::report::Report;
use crate::world::World;

/// Far above what settling takes, even on a slow machine with all cores busy.
const SETTLE_PATIENCE: Duration = Duration::from_secs(300);
/// Far above the services' own bound on their drain.
const DRAIN_PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at what arrived.
const LOOK: Duration = Duration::from_millis(500);
/// Examples of lost messages in a report.
const SUSPECTS: usize = 10;

/// What a run is to be.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) command: String,
    pub(crate) seed: u64,
    pub(crate) rounds: u32,
    /// No round begins after this.
    pub(crate) time_max: Option<Duration>,
    /// Faults of one round.
    pub(crate) faults: u32,
    /// Messages a second, of all drivers together.
    pub(crate) rate: u32,
    pub(crate) programs: PathBuf,
    /// Where evidence of a failed run goes.
    pub(crate) out: PathBuf,
}

/// The drivers of a round, with their share of the rate in percent.
const DRIVERS: [(Driver, u32); 6] = [
    (Driver::Relp(0), 30),
    (Driver::Relp(1), 20),
    (Driver::Relp(2), 20),
    (Driver::Files, 10),
    (Driver::TcpLines, 10),
    (Driver::TcpOctets, 10),
];
/// How long one fault keeps a round busy, about; a round's messages last as long as its faults.
const FAULT_PACE: Duration = Duration::from_millis(600);

/// The senders of a round, with how often each message was sent and what becomes of it.
type Senders = JoinSet<anyhow::Result<(Driver, Duty, Vec<(u32, Fate)>)>>;

struct Run {
    plan: Plan,
    world: Arc<World>,
    targets: Targets,
    ledger: Ledger,
    report: Report,
    /// Where the lines of this round begin, in the file.
    file_from: u64,
}

/// Tortures a whole pipeline as planned and tells what came of it.
pub(crate) async fn run(plan: Plan) -> anyhow::Result<Report> {
    let began = Instant::now();
    let world = World::start(&plan.programs).await?;
    let world = Arc::new(world);
    let mut run = Run::new(plan, world);
    let outcome = run.all_rounds(began).await;
    run.report.took = began.elapsed();
    let is_over = outcome.is_ok();
    if let Err(error) = outcome {
        run.report.problems.push(format!("{error:#}"));
        // As it was at the end of each round; dead letters are looked at when all is over.
        run.report.balance = run.ledger.balance(None).without_letters();
    }
    if !run.report.is_good() {
        let suspects = run.ledger.suspects(SUSPECTS, is_over);
        run.report.problems.extend(suspects);
        run.world.keep_evidence(&run.plan.out)?;
    }
    Ok(run.report)
}

impl Run {
    fn new(plan: Plan, world: Arc<World>) -> Self {
        let tools = &world.tools;
        let mut left_out = Vec::new();
        for (has, what) in [
            (
                tools.faketime.is_some(),
                "clock jumps: libfaketime is not installed (package `faketime`)",
            ),
            (
                tools.has_prlimit,
                "full disks: `prlimit` is not installed (package `util-linux`)",
            ),
            (
                tools.has_crash_points,
                "crash points: the programs were built without the feature `crash-points`",
            ),
        ] {
            if !has {
                left_out.push(what.to_owned());
            }
        }
        let targets = Targets {
            members: world
                .fleet
                .members()
                .iter()
                .map(|member| member.program)
                .collect(),
            lines: world.lines.iter().map(|line| line.name.clone()).collect(),
            has_faketime: tools.faketime.is_some(),
            has_prlimit: tools.has_prlimit,
            has_crash_points: tools.has_crash_points,
        };
        let report = Report {
            command: plan.command.clone(),
            seed: plan.seed,
            began: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            left_out,
            ..Report::default()
        };
        Self {
            plan,
            world,
            targets,
            ledger: Ledger::default(),
            report,
            file_from: 0,
        }
    }

    async fn all_rounds(&mut self, began: Instant) -> anyhow::Result<()> {
        // A first look at a pipeline that nobody harms.
        self.settle(0).await.context("start the pipeline")?;
        for round in 1..=self.plan.rounds {
            if self.plan.time_max.is_some_and(|max| began.elapsed() >= max) {
                break;
            }
            self.round(round)
                .await
                .with_context(|| format!("round {round}"))?;
            self.report.rounds = round;
            let balance = self.ledger.balance(Some(round));
            eprintln!(
                "round {round}: {} faults so far, {} messages in this round, {} obligations, recovered in {:.1} s at most",
                self.report.faults_total(),
                balance.messages,
                balance.obligations,
                self.report.settled_longest.as_secs_f64(),
            );
        }
        self.last_count().await
    }

    async fn round(&mut self, round: u32) -> anyhow::Result<()> {
        // Every other round leaves intake alone, so that plain TCP owes everything too.
        let is_intake_spared = round % 2 == 1;
        let mut random = Random::new(self.plan.seed, &[u64::from(round)]);
        let schedule = fault::schedule(&mut random, &self.targets, self.plan.faults, is_intake_spared);
        let senders = self.start_senders(round, is_intake_spared);
        self.break_everything(schedule).await?;
        self.world.clear_lines();
        let quiet_since = Instant::now();
        self.await_senders(round, senders).await?;
        self.settle(round).await?;
        self.report.settled_longest = self.report.settled_longest.max(quiet_since.elapsed());
        Ok(())
    }

    fn start_senders(&self, round: u32, is_intake_spared: bool) -> Senders {
        let seconds = FAULT_PACE.as_secs_f64() * f64::from(self.plan.faults);
        let mut senders = JoinSet::new();
        for (driver, share) in DRIVERS {
            let per_second = (self.plan.rate * share / 100).max(1);
            let count = (f64::from(per_second) * seconds).ceil();
            let task = Task {
                seed: self.plan.seed,
                round,
                driver,
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a rate times some minutes"
                )]
                count: count as u32,
                per_second,
            };
            let duty = if driver.is_answered() || is_intake_spared {
                Duty::Owed
            } else {
                Duty::MayBeLost
            };
            let inputs = self.world.inputs();
            senders.spawn(async move { Ok((driver, duty, task.run(inputs).await?)) });
        }
        senders
    }

    async fn await_senders(&mut self, round: u32, mut senders: Senders) -> anyhow::Result<()> {
        let all = async {
            while let Some(sent) = senders.join_next().await {
                let (driver, duty, sends) = sent.context("send")??;
                self.ledger.enter((round, driver), duty, &sends);
            }
            Ok(())
        };
        let waited = tokio::time::timeout(SETTLE_PATIENCE, all).await;
        waited.context("senders wait for answers that do not come")?
    }

    async fn break_everything(&mut self, schedule: Vec<(Duration, Fault)>) -> anyhow::Result<()> {
        let mut breaking = JoinSet::new();
        for (pause, fault) in schedule {
            sleep(pause).await;
            let world = Arc::clone(&self.world);
            breaking.spawn(async move { (fault, inject::inject(&world, fault).await) });
        }
        while let Some(broken) = breaking.join_next().await {
            let (fault, done) = broken.context("break something")?;
            let kind = self.kind(fault);
            let counts = match done.with_context(|| kind.clone())? {
                Done::Yes => &mut self.report.faults,
                Done::NotReached => &mut self.report.not_reached,
            };
            *counts.entry(kind).or_default() += 1;
        }
        Ok(())
    }

    fn kind(&self, fault: Fault) -> String {
        let program = |at: usize| {
            self.targets
                .members
                .get(at)
                .copied()
                .unwrap_or_default()
                .to_owned()
        };
        let line = |at: usize| {
            self.world
                .lines
                .get(at)
                .map_or_else(String::new, |line| line.kind.clone())
        };
        fault.kind(program, line)
    }

    /// Waits until a fresh message, and everything that is owed of the round, is in both outputs.
    async fn settle(&mut self, round: u32) -> anyhow::Result<()> {
        let quiet_since = Instant::now();
        let fresh = Task {
            seed: self.plan.seed,
            round,
            driver: Driver::Fresh,
            count: 1,
            per_second: 1,
        };
        let sends = tokio::time::timeout(SETTLE_PATIENCE, fresh.run(self.world.inputs()))
            .await
            .context("a fresh message is not answered")??;
        self.ledger.enter((round, Driver::Fresh), Duty::Owed, &sends);
        let client = inject::session_soon(&self.world).await?;
        let mut is_fresh_there = false;
        loop {
            let mut strange = check::rows(&client, self.plan.seed, &mut self.ledger, Some(round)).await?;
            strange.add(self.look_at_lines(Some(round))?);
            if !is_fresh_there && self.ledger.is_there(round, Driver::Fresh) {
                is_fresh_there = true;
                self.report.fresh_longest = self.report.fresh_longest.max(quiet_since.elapsed());
            }
            if !strange.is_none() {
                self.report.strange = strange;
                bail!("there are events that should not be there");
            }
            if self.ledger.balance(Some(round)).is_all_there() {
                break;
            }
            if quiet_since.elapsed() > SETTLE_PATIENCE {
                bail!("what is owed is not there after {SETTLE_PATIENCE:?}");
            }
            sleep(LOOK).await;
        }
        self.file_from = file_len(&self.world.events_file());
        Ok(())
    }

    fn look_at_lines(&mut self, round: Option<u32>) -> anyhow::Result<Strange> {
        let from = if round.is_some() { self.file_from } else { 0 };
        let path = self.world.events_file();
        if file_len(&path) == 0 {
            return Ok(Strange::default());
        }
        check::lines(&path, from, self.plan.seed, &mut self.ledger, round)
    }

    /// Waits until no queue holds anything, drains the processes, and counts all rows and lines of the run.
    async fn last_count(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let queues = self.queues().await?;
            let waiting: u64 = queues
                .iter()
                .filter(|(name, _)| name != "dead")
                .map(|(_, count)| count)
                .sum();
            if waiting == 0 {
                break;
            }
            if begun.elapsed() > SETTLE_PATIENCE {
                bail!("queues are not empty after {SETTLE_PATIENCE:?}: {queues:?}");
            }
            sleep(LOOK).await;
        }
        self.report.own_ends = self.world.fleet.own_ends();
        let unclean = self.world.fleet.drain(DRAIN_PATIENCE).await?;
        self.report.problems.extend(unclean);
        self.report.problems.extend(self.world.fleet.panics());
        let client = inject::session_soon(&self.world).await?;
        let mut strange = check::rows(&client, self.plan.seed, &mut self.ledger, None).await?;
        strange.add(self.look_at_lines(None)?);
        self.report.strange = strange;
        let listed = self.world.logferry(&["dead", "list", "--json"])?;
        let shown = if listed.is_empty() {
            String::new()
        } else {
            self.world.logferry(&["dead", "show", "--reason", "unroutable"])?
        };
        self.report.dead_letters = check::letters(&listed, &shown, &mut self.ledger)?;
        self.report.balance = self.ledger.balance(None);
        Ok(())
    }

    async fn queues(&self) -> anyhow::Result<Vec<(String, u64)>> {
        let listing = self
            .world
            .rabbitmq
            .ctl(&["list_queues", "--silent", "name", "messages"])
            .await;
        let queue = |line: &str| {
            let (name, messages) = line.split_once('\t').context("read the list of queues")?;
            Ok((name.to_owned(), messages.trim().parse()?))
        };
        listing
            .lines()
            .filter(|line| !line.is_empty())
            .map(queue)
            .collect()
    }
}

fn file_len(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
