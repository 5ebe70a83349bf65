//! The rescue queue in Redis: a stream with one consumer group.
//!
//! A push is one script, so that the bound and the entry are one step. Entries are claimed by the group, which
//! knows how long each has been held, and removed for good after the confirm.

mod entry;
mod session;
mod supervisor;
mod tls;
mod trust;

use std::{sync::Arc, time::Duration};

use fred::types::Value;
use parking_lot::Mutex;
use settings::{RescueDurability, RescueRedisSettings};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    session::{Session, Target},
    supervisor::Supervisor,
};
use crate::{
    batch::{Batch, Claimed, Place, Receipt},
    error::RescueError,
    queue::{Depth, Guarantee, QueueState},
};

/// The consumer group, and the one consumer in it: who holds a batch does not matter, only for how long.
const GROUP: &str = "collector";

/// What a claim is aged by when it is given back: more than any time-out.
const RELEASED_IDLE_MS: i64 = 1 << 31;

/// `KEYS`: stream, counter. `ARGV`: bound, size, id, routing key, content type, checksum, body. Answers with what
/// waits already when there is no room, and with -1 when the entry is there.
const PUSH: &str = "
local bytes = tonumber(redis.call('GET', KEYS[2]) or '0')
if bytes + tonumber(ARGV[2]) > tonumber(ARGV[1]) then return bytes end
redis.call('XADD', KEYS[1], '*', 'id', ARGV[3], 'routing_key', ARGV[4], 'content_type', ARGV[5],
  'checksum', ARGV[6], 'size', ARGV[2], 'body', ARGV[7])
redis.call('INCRBY', KEYS[2], ARGV[2])
return -1";

/// `KEYS`: stream, counter. `ARGV`: group, then entry and size by turns. Answers with how many were there. The
/// counter begins anew with an empty stream, should somebody else have put in or taken out an entry.
const REMOVE: &str = "
local removed = 0
for i = 2, #ARGV, 2 do
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 then
    removed = removed + 1
    redis.call('DECRBY', KEYS[2], ARGV[i + 1])
  end
end
if redis.call('XLEN', KEYS[1]) == 0 then redis.call('SET', KEYS[2], '0') end
return removed";

/// `KEYS`: stream, counter. Answers with entries, bytes, and milliseconds since the oldest.
const DEPTH: &str = "
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local age = 0
if oldest then
  local now = redis.call('TIME')
  age = now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(string.match(oldest[1], '^%d+'))
end
return {redis.call('XLEN', KEYS[1]), tonumber(redis.call('GET', KEYS[2]) or '0'), age}";

/// A handle to the connection. It is made again whenever it is lost, until the last handle is gone.
#[derive(Debug, Clone)]
pub(crate) struct RedisQueue {
    target: Arc<Target>,
    keys: [Value; 2],
    bytes_max: u64,
    session: watch::Receiver<Link>,
    stop: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
    _last: Arc<DropGuard>,
}

/// The connection, or why there is none.
#[derive(Debug, Clone)]
enum Link {
    Up(Arc<Session>),
    Down(RescueError),
}

/// A line for people about the Redis of the settings.
pub(crate) async fn check(settings: &RescueRedisSettings, timeout: Duration) -> Result<String, RescueError> {
    let target = Target::new(settings, timeout)?;
    let (session, _connections) = Session::open(&target).await?;
    let version = session.version(&target).await;
    let guarantee = session.promise().guarantee;
    session.close().await;
    let version = version.unwrap_or_else(|| "of unknown version".to_owned());
    let address = &target.address;
    match guarantee {
        Guarantee::Synced => Ok(format!(
            "Redis {version} at {address}, each batch is synced to disk"
        )),
        Guarantee::Weaker(problem) if target.durability == RescueDurability::Accepted => Ok(format!(
            "Redis {version} at {address}, with a weaker guarantee, which rescue.durability accepts: {problem}"
        )),
        Guarantee::Weaker(problem) => Err(target.too_weak(&problem)),
    }
}

impl RedisQueue {
    pub(crate) fn open(
        settings: &RescueRedisSettings,
        timeout: Duration,
        state: Arc<watch::Sender<QueueState>>,
    ) -> Result<Self, RescueError> {
        let target = Arc::new(Target::new(settings, timeout)?);
        let (link, session) = watch::channel(Link::Down(target.unreachable("not tried yet")));
        let stop = CancellationToken::new();
        let supervisor = Supervisor {
            target: Arc::clone(&target),
            link,
            state,
            stop: stop.clone(),
        };
        let task = tokio::spawn(supervisor.run());
        Ok(Self {
            target,
            keys: [
                settings.key.as_str().into(),
                format!("{}:bytes", settings.key).into(),
            ],
            bytes_max: settings.bytes_max,
            session,
            _last: Arc::new(stop.clone().drop_guard()),
            stop,
            task: Arc::new(Mutex::new(Some(task))),
        })
    }

    pub(crate) async fn push(&self, batch: &Batch) -> Result<Guarantee, RescueError> {
        let session = self.session()?;
        let promise = session.promise();
        if let Guarantee::Weaker(problem) = &promise.guarantee
            && self.target.durability == RescueDurability::Synced
        {
            return Err(self.target.too_weak(problem));
        }
        let mut arguments = self.script(PUSH);
        arguments.extend([
            integer(self.bytes_max),
            integer(batch.size()),
            batch.id.to_string().into(),
            batch.routing_key.as_str().into(),
            batch.content_type.as_str().into(),
            Value::Integer(batch.checksum().into()),
            Value::Bytes(batch.body.clone()),
        ]);
        let lane = session.lane();
        let answer = session.call(&self.target, lane, "EVAL", arguments).await?;
        match answer.as_i64() {
            Some(-1) => {
                if promise.is_waited_for {
                    session.synced(&self.target, lane).await?;
                }
                Ok(promise.guarantee)
            }
            bytes => Err(RescueError::Full {
                key: "rescue.redis_bytes_max",
                bytes: bytes.unwrap_or_default().max(0).cast_unsigned(),
                bytes_max: self.bytes_max,
            }),
        }
    }

    /// Those that somebody has held for too long, as they are the oldest, and then those that nobody has held.
    pub(crate) async fn claim(
        &self,
        batches_max: usize,
        claim_timeout: Duration,
    ) -> Result<Vec<Claimed>, RescueError> {
        let session = self.session()?;
        let idle_ms = i64::try_from(claim_timeout.as_millis()).unwrap_or(i64::MAX);
        let count = |taken: usize| {
            Value::Integer(i64::try_from(batches_max.saturating_sub(taken)).unwrap_or(i64::MAX))
        };
        let overdue = || {
            let [stream, _] = self.keys.clone();
            let group = [stream, GROUP.into(), GROUP.into(), Value::Integer(idle_ms)];
            let range = ["0-0".into(), "COUNT".into(), count(0)];
            group.into_iter().chain(range).collect()
        };
        let answer = match self.call(&session, "XAUTOCLAIM", overdue()).await {
            Err(RescueError::Refused { problem, .. }) if problem.starts_with("NOGROUP") => {
                self.make_group(&session).await?;
                self.call(&session, "XAUTOCLAIM", overdue()).await?
            }
            answer => answer?,
        };
        let mut claimed = entry::from_autoclaim(answer);
        if claimed.len() < batches_max {
            let [stream, _] = self.keys.clone();
            let arguments = vec![
                "GROUP".into(),
                GROUP.into(),
                GROUP.into(),
                "COUNT".into(),
                count(claimed.len()),
                "STREAMS".into(),
                stream,
                ">".into(),
            ];
            let answer = self.call(&session, "XREADGROUP", arguments).await?;
            claimed.extend(entry::from_read(answer));
        }
        Ok(claimed)
    }

    pub(crate) async fn remove(&self, receipts: &[Receipt]) -> Result<usize, RescueError> {
        let session = self.session()?;
        let mut arguments = self.script(REMOVE);
        arguments.push(GROUP.into());
        for receipt in receipts {
            arguments.extend([receipt.to_string().into(), integer(receipt.size)]);
        }
        let answer = self.call(&session, "EVAL", arguments).await?;
        Ok(answer.as_usize().unwrap_or_default())
    }

    pub(crate) async fn release(&self, receipts: &[Receipt]) -> Result<(), RescueError> {
        let session = self.session()?;
        let [stream, _] = self.keys.clone();
        let mut arguments = vec![stream, GROUP.into(), GROUP.into(), Value::Integer(0)];
        let entries = receipts.iter().filter_map(|receipt| match &receipt.place {
            Place::Stream(id) => Some(id.as_str().into()),
            Place::Row(_) => None,
        });
        arguments.extend(entries);
        arguments.extend(["IDLE".into(), Value::Integer(RELEASED_IDLE_MS), "JUSTID".into()]);
        self.call(&session, "XCLAIM", arguments).await.map(drop)
    }

    pub(crate) async fn depth(&self) -> Result<Depth, RescueError> {
        let session = self.session()?;
        let answer = self.call(&session, "EVAL", self.script(DEPTH)).await?;
        let numbers: Vec<u64> = answer
            .into_array()
            .iter()
            .map(|number| number.as_i64().unwrap_or_default().max(0).cast_unsigned())
            .collect();
        Ok(match numbers[..] {
            [batches, bytes, age_ms] => Depth {
                batches,
                bytes,
                oldest: Duration::from_millis(age_ms),
            },
            _ => Depth::default(),
        })
    }

    pub(crate) async fn close(&self) {
        self.stop.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the task of the connection to Redis ended by a panic");
        }
    }

    fn session(&self) -> Result<Arc<Session>, RescueError> {
        if self.stop.is_cancelled() {
            return Err(RescueError::Closed);
        }
        match &*self.session.borrow() {
            Link::Up(session) => Ok(Arc::clone(session)),
            Link::Down(error) => Err(error.clone()),
        }
    }

    async fn call(
        &self,
        session: &Session,
        name: &'static str,
        arguments: Vec<Value>,
    ) -> Result<Value, RescueError> {
        session.call(&self.target, session.lane(), name, arguments).await
    }

    /// The first arguments of `EVAL`.
    fn script(&self, script: &'static str) -> Vec<Value> {
        let [stream, counter] = self.keys.clone();
        vec![script.into(), Value::Integer(2), stream, counter]
    }

    /// From the first entry on, and with the stream if need be.
    async fn make_group(&self, session: &Session) -> Result<(), RescueError> {
        let [stream, _] = self.keys.clone();
        let arguments = vec![
            "CREATE".into(),
            stream,
            GROUP.into(),
            "0".into(),
            "MKSTREAM".into(),
        ];
        match self.call(session, "XGROUP", arguments).await {
            // Another collector was faster.
            Err(RescueError::Refused { problem, .. }) if problem.starts_with("BUSYGROUP") => Ok(()),
            made => made.map(drop),
        }
    }
}

fn integer(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}
