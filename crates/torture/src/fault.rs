//! The faults, and which of them come next: decided by the seed alone.

use std::fmt;
use std::time::Duration;

use testkit::proxy::Condition;

use crate::random::Random;

/// Where a process can be made to die, with its program: between "done" and "acknowledged" of each hop.
pub(crate) const CRASH_POINTS: [(&str, &str); 9] = [
    ("syslog-server", "intake:confirmed"),
    ("syslog-server", "intake:rescued"),
    ("harvest", "harvest:confirmed"),
    ("collector", "collector:confirmed"),
    ("parser", "parser:confirmed"),
    ("shipper-pgsql", "rows:committed"),
    ("shipper-fs", "files:begun"),
    ("shipper-fs", "files:appended"),
    ("shipper-fs", "files:committed"),
];

/// Programs that keep something in files: events, or the rescue queue.
const WRITERS_OF_FILES: [&str; 3] = ["shipper-fs", "syslog-server", "collector"];

/// How far a clock jumps, in seconds: an hour, past the partitions made ahead, and back.
const CLOCK_JUMPS: [i64; 4] = [3_600, 10 * 86_400, -3_600, -2 * 86_400];

/// A server that the pipeline stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    RabbitMq,
    Postgres,
    Redis,
}

/// What is done to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerFault {
    Kill,
    Terminate,
    Freeze,
    /// RabbitMQ blocks publishers.
    MemoryAlarm,
    DiskAlarm,
    /// Each queue of RabbitMQ takes so many messages.
    QueueLength(u32),
    CloseConnections,
    /// Somebody takes all connections of PostgreSQL.
    Storm,
    /// Somebody locks the table of events.
    LockTable,
    /// PostgreSQL ends the sessions of all clients.
    TerminateBackends,
}

/// One fault. Members and lines are numbers into the world's lists.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    Kill(usize),
    Terminate(usize),
    Freeze(usize, Duration),
    /// Killed, and not started again before this is over.
    Away(usize, Duration),
    /// Dies at the numbered crash point when it passes it for this many times.
    Crash(usize, usize, u32),
    /// Its files may not grow.
    DiskFull(usize, Duration),
    /// Its clock jumps by so many seconds.
    Clock(usize, i64, Duration),
    Cut(usize),
    Reset(usize),
    Line(usize, Condition, Duration),
    Server(Server, ServerFault, Duration),
}

/// What there is to be broken.
#[derive(Debug)]
pub(crate) struct Targets {
    /// The program of each member.
    pub(crate) members: Vec<&'static str>,
    /// The name of each line.
    pub(crate) lines: Vec<String>,
    pub(crate) has_faketime: bool,
    pub(crate) has_prlimit: bool,
    pub(crate) has_crash_points: bool,
}

/// A round's faults, and when each begins after the one before.
pub(crate) fn schedule(
    random: &mut Random,
    targets: &Targets,
    count: u32,
    is_intake_spared: bool,
) -> Vec<(Duration, Fault)> {
    // A restart of RabbitMQ takes many seconds in which nothing else can be seen.
    let mut slow_left = 1 + count / 40;
    let mut schedule = Vec::new();
    while schedule.len() < usize::try_from(count).unwrap_or(usize::MAX) {
        let fault = choose(random, targets);
        if is_intake_spared && fault.harms_plain_tcp(targets) {
            continue;
        }
        if fault.is_slow() {
            if slow_left == 0 {
                continue;
            }
            slow_left -= 1;
        }
        schedule.push((random.millis(50, 900), fault));
    }
    schedule
}

fn choose(random: &mut Random, targets: &Targets) -> Fault {
    loop {
        let member = random.below(targets.members.len());
        let line = random.below(targets.lines.len());
        let program = targets.members.get(member).copied().unwrap_or_default();
        let short = random.millis(200, 2_500);
        return match random.below(100) {
            0..=11 => Fault::Kill(member),
            12..=17 => Fault::Terminate(member),
            18..=25 => Fault::Freeze(member, short),
            26..=30 => Fault::Away(member, short),
            31..=44 if targets.has_crash_points => {
                let points: Vec<usize> = (0..CRASH_POINTS.len())
                    .filter(|at| CRASH_POINTS.get(*at).is_some_and(|(of, _)| *of == program))
                    .collect();
                let count = 1 + u32::try_from(random.below(8)).unwrap_or_default();
                Fault::Crash(member, *random.choose(&points), count)
            }
            45..=48 if targets.has_prlimit && WRITERS_OF_FILES.contains(&program) => {
                Fault::DiskFull(member, short)
            }
            49..=52 if targets.has_faketime => Fault::Clock(member, *random.choose(&CLOCK_JUMPS), short),
            53..=60 => Fault::Cut(line),
            61..=68 => Fault::Reset(line),
            69..=82 => {
                let condition = match random.below(4) {
                    0 => Condition::Delay(random.millis(10, 300)),
                    1 => Condition::Slow(20_000 + random.below(200_000)),
                    2 => Condition::HalfOpen,
                    _ => Condition::Refuse,
                };
                Fault::Line(line, condition, short)
            }
            83..=91 => {
                let fault = match random.below(7) {
                    0 => ServerFault::Kill,
                    1 => ServerFault::Terminate,
                    2 => ServerFault::Freeze,
                    3 => ServerFault::MemoryAlarm,
                    4 => ServerFault::DiskAlarm,
                    5 => ServerFault::QueueLength(1 + u32::try_from(random.below(20)).unwrap_or_default()),
                    _ => ServerFault::CloseConnections,
                };
                Fault::Server(Server::RabbitMq, fault, short)
            }
            92..=93 => {
                let fault = match random.below(3) {
                    0 => ServerFault::Kill,
                    1 => ServerFault::Terminate,
                    _ => ServerFault::Freeze,
                };
                Fault::Server(Server::Redis, fault, short)
            }
            94..=99 => {
                let fault = match random.below(6) {
                    0 => ServerFault::Kill,
                    1 => ServerFault::Terminate,
                    2 => ServerFault::Freeze,
                    3 => ServerFault::Storm,
                    4 => ServerFault::LockTable,
                    _ => ServerFault::TerminateBackends,
                };
                Fault::Server(Server::Postgres, fault, short)
            }
            // A kind that this machine or this process does not have.
            _ => continue,
        };
    }
}

impl Fault {
    /// Whether what was sent over plain TCP may be lost by it.
    fn harms_plain_tcp(self, targets: &Targets) -> bool {
        match self {
            Self::Kill(member)
            | Self::Terminate(member)
            | Self::Away(member, _)
            | Self::Crash(member, ..)
            | Self::Clock(member, ..) => targets.members.get(member) == Some(&"syslog-server"),
            Self::Cut(line)
            | Self::Reset(line)
            | Self::Line(line, Condition::HalfOpen | Condition::Refuse, _) => targets
                .lines
                .get(line)
                .is_some_and(|name| name == "senders → TCP"),
            Self::Freeze(..) | Self::DiskFull(..) | Self::Line(..) | Self::Server(..) => false,
        }
    }

    fn is_slow(self) -> bool {
        use ServerFault::{DiskAlarm, Kill, MemoryAlarm, Terminate};
        matches!(
            self,
            Self::Server(Server::RabbitMq, Kill | Terminate | MemoryAlarm | DiskAlarm, _)
        )
    }

    /// Whom it is done to: one fault at a time.
    pub(crate) fn victim(self) -> String {
        match self {
            Self::Kill(member)
            | Self::Terminate(member)
            | Self::Freeze(member, _)
            | Self::Away(member, _)
            | Self::Crash(member, ..)
            | Self::DiskFull(member, _)
            | Self::Clock(member, ..) => format!("member {member}"),
            Self::Cut(line) | Self::Reset(line) | Self::Line(line, ..) => format!("line {line}"),
            Self::Server(server, ..) => server.to_string(),
        }
    }

    /// The kind, for the report: what, and to whom.
    pub(crate) fn kind(self, program: impl Fn(usize) -> String, line: impl Fn(usize) -> String) -> String {
        match self {
            Self::Kill(member) => format!("SIGKILL of {}", program(member)),
            Self::Terminate(member) => format!("SIGTERM of {}", program(member)),
            Self::Freeze(member, _) => format!("SIGSTOP of {}", program(member)),
            Self::Away(member, _) => format!("{} down for a while", program(member)),
            Self::Crash(_, point, _) => {
                let name = CRASH_POINTS.get(point).map_or("", |(_, name)| name);
                format!("crash point {name}")
            }
            Self::DiskFull(member, _) => format!("disk full for {}", program(member)),
            Self::Clock(member, ..) => format!("clock jump of {}", program(member)),
            Self::Cut(at) => format!("{}: cut", line(at)),
            Self::Reset(at) => format!("{}: reset in mid-frame", line(at)),
            Self::Line(at, condition, _) => {
                let what = match condition {
                    Condition::Clear => "clear",
                    Condition::Delay(_) => "delay",
                    Condition::Slow(_) => "slow",
                    Condition::HalfOpen => "half-open",
                    Condition::Refuse => "refused",
                };
                format!("{}: {what}", line(at))
            }
            Self::Server(server, fault, _) => fault.describe(server),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RabbitMq => "RabbitMQ",
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Redis",
        })
    }
}

impl ServerFault {
    fn describe(self, server: Server) -> String {
        match self {
            Self::Kill => format!("SIGKILL of {server}"),
            Self::Terminate => format!("SIGTERM of {server}"),
            Self::Freeze => format!("SIGSTOP of {server}"),
            Self::MemoryAlarm => format!("{server}: memory alarm"),
            Self::DiskAlarm => format!("{server}: disk alarm"),
            Self::QueueLength(_) => format!("{server}: queues at max-length"),
            Self::CloseConnections => format!("{server}: all connections closed"),
            Self::Storm => format!("{server}: connection storm"),
            Self::LockTable => format!("{server}: table locked"),
            Self::TerminateBackends => format!("{server}: all sessions ended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Targets {
        Targets {
            members: vec![
                "syslog-server",
                "harvest",
                "collector",
                "parser",
                "shipper-pgsql",
                "shipper-fs",
            ],
            lines: vec!["senders → TCP".to_owned(), "parser-1 → RabbitMQ".to_owned()],
            has_faketime: true,
            has_prlimit: true,
            has_crash_points: true,
        }
    }

    #[test]
    fn a_seed_always_gives_the_same_faults() {
        let of_seed = |seed| schedule(&mut Random::new(seed, &[1]), &targets(), 50, false);
        assert_eq!(of_seed(1), of_seed(1));
        assert_ne!(of_seed(1), of_seed(2));
    }

    #[test]
    fn a_spared_intake_is_not_touched() {
        let targets = targets();
        let spared = schedule(&mut Random::new(3, &[1]), &targets, 500, true);
        assert!(!spared.iter().any(|(_, fault)| fault.harms_plain_tcp(&targets)));
        let other = schedule(&mut Random::new(3, &[1]), &targets, 500, false);
        assert!(other.iter().any(|(_, fault)| fault.harms_plain_tcp(&targets)));
    }

    #[test]
    fn what_the_machine_does_not_have_is_not_chosen() {
        let targets = Targets {
            has_faketime: false,
            has_prlimit: false,
            has_crash_points: false,
            ..targets()
        };
        for (_, fault) in schedule(&mut Random::new(4, &[1]), &targets, 500, false) {
            assert!(!matches!(
                fault,
                Fault::Clock(..) | Fault::DiskFull(..) | Fault::Crash(..)
            ));
        }
    }

    /// The points that are named here are those in the code.
    #[test]
    fn crash_points_are_those_in_the_code() {
        let crates = testkit::binaries::project().join("crates");
        let mut found: Vec<String> = Vec::new();
        for program in [
            "syslog-server",
            "harvest",
            "collector",
            "parser",
            "shipper-pgsql",
            "shipper-fs",
        ] {
            for entry in std::fs::read_dir(crates.join(program).join("src")).unwrap() {
                let text = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
                let calls = text.split("crash_point(\"").skip(1);
                found.extend(calls.filter_map(|call| Some(format!("{program} {}", call.split_once('"')?.0))));
            }
        }
        let mut named = CRASH_POINTS
            .map(|(program, point)| format!("{program} {point}"))
            .to_vec();
        found.sort();
        named.sort();
        assert_eq!(found, named);
    }
}
