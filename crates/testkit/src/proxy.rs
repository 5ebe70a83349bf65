//! A TCP proxy that misbehaves on demand: what a network can do to two parts that talk through it.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use testkit::proxy::{Condition, Proxy};
//!
//! let proxy = Proxy::start(([127, 0, 0, 1], 5672).into()).await?;
//! println!("connect to {}", proxy.addr());
//! proxy.set(Condition::HalfOpen);
//! proxy.set(Condition::Clear);
//! proxy.reset();
//! # Ok(())
//! # }
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// What is carried at a time; a reset tears such a piece.
const PIECE_BYTES: usize = 16 << 10;
/// A slow line carries a piece this often.
const SLOW_STEP: Duration = Duration::from_millis(50);
/// How long a connection without traffic waits for a piece that a reset can tear.
const TEAR_PATIENCE: Duration = Duration::from_millis(200);
/// Connections at the same time; more wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 1024;

/// What the line is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// As if there were no proxy.
    #[default]
    Clear,
    /// Each piece arrives this much later.
    Delay(Duration),
    /// So many bytes a second, in each direction.
    Slow(usize),
    /// Nothing is carried, and nobody is told: both ends believe in their connection. When this is over, those
    /// connections are reset.
    HalfOpen,
    /// Connections are closed as soon as they are made.
    Refuse,
}

/// A proxy. Its connections end with it.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    state: watch::Sender<State>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    condition: Condition,
    /// How often all connections were cut.
    cuts: u64,
    /// How often all connections were reset.
    resets: u64,
}

impl Proxy {
    /// Listens on a free port and carries what comes to `target`, which need not be there yet.
    ///
    /// # Errors
    /// If no port can be listened on.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let (state, watched) = watch::channel(State::default());
        let accepting = tokio::spawn(accept(listener, target, watched));
        Ok(Self {
            addr,
            state,
            accepting,
        })
    }

    /// Where to connect to instead of the target.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Makes the line so from now on.
    pub fn set(&self, condition: Condition) {
        self.state.send_modify(|state| state.condition = condition);
    }

    /// Closes every connection in order, with what was read of it delivered.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Resets every connection, in the middle of what is being carried.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: watch::Receiver<State>) {
    let mut carrying = JoinSet::new();
    loop {
        tokio::select! {
            // Both are cancel-safe.
            accepted = listener.accept(), if carrying.len() < CONNECTIONS_MAX => {
                if let Ok((client, _)) = accepted {
                    carrying.spawn(carry(client, target, state.clone()));
                }
            }
            Some(_) = carrying.join_next() => {}
        }
    }
}

/// How a connection ends.
enum End {
    /// Both sides said all they had to say, or one of them broke off.
    Closed,
    /// By us.
    Cut,
    /// By us, so that both ends get an error.
    Reset,
}

async fn carry(mut client: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    let born = *state.borrow_and_update();
    if born.condition == Condition::Refuse {
        reset(&client);
        return;
    }
    let Ok(mut server) = TcpStream::connect(target).await else {
        reset(&client);
        return;
    };
    // A proxy must not hold back what a part has flushed; a socket that ended meanwhile shows at the next read.
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let end = {
        let (mut client_read, mut client_write) = client.split();
        let (mut server_read, mut server_write) = server.split();
        let up = pump(&mut client_read, &mut server_write, state.clone(), born);
        let down = pump(&mut server_read, &mut client_write, state.clone(), born);
        let both = async {
            match tokio::try_join!(up, down) {
                Ok(_) => End::Closed,
                Err(end) => end,
            }
        };
        tokio::pin!(both);
        // Dropping the pumps loses what they hold, which is what a broken line does.
        tokio::select! {
            end = &mut both => end,
            end = fate(&mut state, born) => match end {
                End::Reset => timeout(TEAR_PATIENCE, both).await.unwrap_or(End::Reset),
                end @ (End::Cut | End::Closed) => end,
            },
        }
    };
    if matches!(end, End::Reset) {
        reset(&client);
        reset(&server);
    }
}

/// Until somebody ends this connection.
async fn fate(state: &mut watch::Receiver<State>, born: State) -> End {
    let mut was_half_open = false;
    loop {
        let now = *state.borrow_and_update();
        if now.cuts != born.cuts {
            return End::Cut;
        }
        let is_half_open = now.condition == Condition::HalfOpen;
        if now.resets != born.resets || (was_half_open && !is_half_open) || now.condition == Condition::Refuse
        {
            return End::Reset;
        }
        was_half_open |= is_half_open;
        if state.changed().await.is_err() {
            return End::Cut;
        }
    }
}

/// Carries one direction to its end.
async fn pump(
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    state: watch::Receiver<State>,
    born: State,
) -> Result<(), End> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = from.read(&mut piece).await.map_err(|_error| End::Reset)?;
        if read == 0 {
            // One side may have more to say after the other has ended.
            return to.shutdown().await.map_err(|_error| End::Reset);
        }
        let mut rest = piece.get(..read).unwrap_or_default();
        while !rest.is_empty() {
            let condition = state.borrow().condition;
            let step = match condition {
                Condition::Clear | Condition::Refuse => rest.len(),
                Condition::Delay(delay) => {
                    sleep(delay).await;
                    rest.len()
                }
                Condition::Slow(bytes_per_second) => {
                    sleep(SLOW_STEP).await;
                    let steps_per_second = 1000 / SLOW_STEP.as_millis();
                    let step = bytes_per_second / usize::try_from(steps_per_second).unwrap_or(1);
                    step.clamp(1, rest.len())
                }
                // Nothing of it is carried any more; `fate` ends the connection.
                Condition::HalfOpen => std::future::pending().await,
            };
            let is_torn = state.borrow().resets != born.resets;
            let (now, later) = rest.split_at(if is_torn { step / 2 } else { step });
            to.write_all(now).await.map_err(|_error| End::Reset)?;
            if is_torn {
                return Err(End::Reset);
            }
            rest = later;
        }
    }
}

/// Makes the connection end with a reset when it is dropped.
fn reset(stream: &TcpStream) {
    // It fails for a socket that is gone already.
    stream.set_zero_linger().ok();
}

#[cfg(test)]
mod tests;
