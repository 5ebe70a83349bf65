//! A pipeline of ours for one run: which services take part, where messages enter, and who sees them last.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use testkit::{Another, Database, Pipeline, RabbitVhost, Service};
use tokio::time::{MissedTickBehavior, interval};

use crate::load::Protocol;
use crate::place::{Place, Side};
use crate::usage::{Used, Watched};

/// A run that makes no progress for so long is broken.
const STALLED_MAX: Duration = Duration::from_secs(120);

/// How often the last stage is asked how far it is: the error of a run's time.
const ASK_PERIOD: Duration = Duration::from_millis(25);

/// One small rule, as sites have them: it reads the text of every message, and marks some.
const RULE: &str = r#"
[[parser.program]]
name = "logins"
source = 'if contains(string(.message) ?? "", "Failed password") { tag("login_failure") }'
"#;

/// Rules that take time with every message: regular expressions over all of it, a digest, lists of patterns. The last
/// leaves [`HEAVY_MARK`] on each.
const HEAVY_RULES: &str = r#"
[[parser.program]]
name = "shape"
source = '''
text = string(.message) ?? ""
.fields.shape = replace(text, r'[0-9a-f]*\d[0-9a-f]*', "N")
.fields.numbers = length(parse_regex_all(text, r'(?P<number>\d+)') ?? [])
'''

[[parser.program]]
name = "address"
source = '''
found, err = parse_regex(.message, r'(?P<address>\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})')
if err == null { .fields.network = ip_subnet(found.address, "/24") ?? null }
'''

[[parser.program]]
name = "kind"
source = '''
text = downcase(string(.message) ?? "")
if match_any(text, [r'fail(ed|ure)', r'error|fatal|panic', r'denied|refused|reject(ed)?']) { tag("bad") }
if match_any(text, [r'(accepted|opened|started)\b', r'logged (in|on)', r'session \w+ for']) { tag("good") }
'''

[[parser.program]]
name = "digest"
source = '.fields.digest = sha3(string(.message) ?? "", variant: "SHA3-256")'
"#;

/// What [`HEAVY_RULES`] leave in the JSON of every event.
pub(crate) const HEAVY_MARK: &str = "\"digest\":\"";

/// Which way messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Into RabbitMQ.
    Broker,
    /// Through RabbitMQ and a rule into PostgreSQL.
    Rows,
    /// Through RabbitMQ and heavy rules; parsers, and who ships afterwards, are started on the way.
    HeavyRules,
    /// Through RabbitMQ into a file of JSON lines.
    Files,
    /// `logferry run`.
    Embedded,
}

impl Route {
    /// The services that take part, in the order of the way.
    pub(crate) fn services(self) -> &'static [Service] {
        match self {
            Self::Broker | Self::HeavyRules => &[Service::SyslogServer],
            Self::Rows => &[Service::SyslogServer, Service::Parser, Service::ShipperPgsql],
            Self::Files => &[Service::SyslogServer, Service::Parser, Service::ShipperFs],
            Self::Embedded => &[Service::Run],
        }
    }

    /// The one shipper that events go to; `None` where there is none on the way.
    const fn output(self) -> Option<Service> {
        match self {
            Self::Broker => None,
            Self::Rows | Self::Embedded => Some(Service::ShipperPgsql),
            Self::Files | Self::HeavyRules => Some(Service::ShipperFs),
        }
    }

    fn rules(self) -> &'static str {
        match self {
            Self::Rows => RULE,
            Self::HeavyRules => HEAVY_RULES,
            Self::Broker | Self::Files | Self::Embedded => "",
        }
    }

    /// Who sees a message last, and how that stage is called in the metrics.
    fn last(self) -> (Service, &'static str) {
        match self {
            Self::Broker => (Service::SyslogServer, "syslog-server"),
            Self::Rows => (Service::ShipperPgsql, "shipper-pgsql"),
            Self::Files | Self::HeavyRules => (Service::ShipperFs, "shipper-fs"),
            Self::Embedded => (Service::Run, "shipper-pgsql"),
        }
    }
}

/// A pipeline that runs, with what it runs on.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) route: Route,
    pub(crate) pipeline: Pipeline,
    pub(crate) vhost: Option<RabbitVhost>,
    pub(crate) database: Option<Database>,
    rabbitmq: Option<u32>,
}

impl Way {
    pub(crate) async fn open(route: Route, place: &Place, side: &Side) -> anyhow::Result<Self> {
        let (mut vhost, mut database, mut rabbitmq) = (None, None, None);
        let builder = if route == Route::Embedded {
            Pipeline::embedded()
        } else {
            let vhost = vhost.insert(place.vhost().await?);
            rabbitmq = place.rabbitmq().await?.pid();
            let store = match route {
                Route::Rows => database.insert(place.database().await?).url().to_owned(),
                _ => "embedded".to_owned(),
            };
            Pipeline::over(vhost.url(), &store).services(route.services())
        };
        let builder = match route.output() {
            Some(shipper) => builder.output(shipper),
            None => builder,
        };
        let builder = builder
            .measured(&side.programs, place.dir())
            .arguments(&arguments(side))
            .settings(route.rules());
        Ok(Self {
            route,
            pipeline: builder.try_start().await?,
            vhost,
            database,
            rabbitmq,
        })
    }

    pub(crate) fn entrance(&self, protocol: Protocol) -> std::net::SocketAddr {
        match protocol {
            Protocol::Relp => self.pipeline.relp(),
            Protocol::Tcp => self.pipeline.tcp(),
        }
    }

    /// Every process that works here, from now on.
    pub(crate) fn watch(&self) -> Vec<Watched> {
        let services = self.route.services().iter();
        let ours =
            services.filter_map(|service| Some(Watched::start(service.name(), self.pipeline.pid(*service)?)));
        let broker = self.rabbitmq.map(|pid| Watched::start("rabbitmq", pid));
        ours.chain(broker).collect()
    }

    /// How many messages are through: committed, synced or confirmed.
    pub(crate) async fn passed(&self) -> anyhow::Result<f64> {
        let (service, stage) = self.route.last();
        self.sent(service, stage).await
    }

    /// How many messages a service has passed on.
    pub(crate) async fn sent_by(&self, service: Service) -> anyhow::Result<f64> {
        self.sent(service, service.name()).await
    }

    /// How many one more process of a service has passed on.
    pub(crate) async fn sent_by_another(&self, another: &Another) -> anyhow::Result<f64> {
        let parts = ["logferry_events_sent_total{", &of_stage(another.service().name())];
        self.pipeline.try_metric_of(another, &parts).await
    }

    async fn sent(&self, service: Service, stage: &str) -> anyhow::Result<f64> {
        let parts = ["logferry_events_sent_total{", &of_stage(stage)];
        self.pipeline.try_metric(service, &parts).await
    }

    /// Waits until so many are through.
    pub(crate) async fn pass(&self, count: u64) -> anyhow::Result<Passed> {
        self.await_count(to_f64(count), async || self.passed().await)
            .await
    }

    /// Waits until a service has passed on so many.
    pub(crate) async fn pass_stage(&self, service: Service, count: f64) -> anyhow::Result<Passed> {
        self.await_count(count, async || self.sent_by(service).await)
            .await
    }

    /// Waits until whoever is asked counts so many.
    pub(crate) async fn await_count<F>(&self, wanted: f64, ask: F) -> anyhow::Result<Passed>
    where
        F: AsyncFn() -> anyhow::Result<f64>,
    {
        let mut ticks = interval(ASK_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut first = None;
        let (mut best, mut best_at) = (0.0, Instant::now());
        loop {
            ticks.tick().await;
            let passed = ask().await?;
            let now = Instant::now();
            if passed > best {
                (best, best_at) = (passed, now);
                first.get_or_insert((passed, now));
            } else if now.duration_since(best_at) > STALLED_MAX {
                bail!("stuck after {passed} of {wanted} messages; {}", self.complaints());
            }
            if passed >= wanted {
                let (at_first, first) = first.unwrap_or((passed, now));
                return Ok(Passed {
                    at_first,
                    first,
                    end: now,
                });
            }
        }
    }

    /// What the services had to say, for the message of a failed run.
    pub(crate) fn complaints(&self) -> String {
        let complaints = self.pipeline.complaints();
        let last = complaints.len().saturating_sub(5);
        match complaints.get(last..) {
            Some(lines) if !lines.is_empty() => format!("the services say:\n{}", lines.join("\n")),
            _ => "the services have no complaints".to_owned(),
        }
    }

    pub(crate) fn database(&self) -> anyhow::Result<&Database> {
        self.database.as_ref().context("this way has no database")
    }
}

fn of_stage(stage: &str) -> String {
    format!("stage=\"{stage}\"")
}

/// When messages came through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passed {
    /// How many were through when the first were seen.
    pub(crate) at_first: f64,
    first: Instant,
    pub(crate) end: Instant,
}

impl Passed {
    pub(crate) fn since_first(&self) -> Duration {
        self.end.duration_since(self.first)
    }
}

/// A side's settings, as programs take them.
pub(crate) fn arguments(side: &Side) -> Vec<&str> {
    let settings = side.settings.iter().map(String::as_str);
    settings.flat_map(|setting| ["--set", setting]).collect()
}

pub(crate) fn used(watched: &[Watched]) -> Vec<Used> {
    watched.iter().map(Watched::used).collect()
}

/// Counts of messages are far below where floats get coarse.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub(crate) const fn to_f64(count: u64) -> f64 {
    count as f64
}
