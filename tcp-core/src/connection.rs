//! One connection for an embedder that brings its segments: a `Tcb`, its memory, and the drains.
//!
//! Next: `connection/input.rs` for the way in, `connection/output.rs` for the way out, `tcb/mod.rs`
//! for the machine that this shell drives.

mod input;
mod output;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::net::SocketAddr;

use bytes::Bytes;

use crate::buffer::Pool;
use crate::recovery::SpareRings;
use crate::tcb::{Cx, HalfOpen, More, Tcb, TimeWait};
use crate::wire::{IcmpKind, Segment};
use crate::{
    CloseReason, ConfigError, ConnConfig, ConnStats, ConnectError, DropCounters, FourTuple, Instant,
    Observer, ReadError, Seed, SendReason, SoftError, State, TimerKind, WriteError, is_usable_peer,
};

pub use output::Transmit;

/// One TCP connection: segments and time go in, segments and events come out.
///
/// There are four kinds of methods:
///
/// * **inputs** `handle_*`: a segment has arrived, time has passed. They never fail.
/// * **commands**, which are verbs: what the application wants.
/// * **outputs** `poll_*`: drain them after inputs and commands.
/// * **getters**.
///
/// The efficient order is: inputs, drain [`poll_event`](Self::poll_event) (the application acts),
/// drain [`poll_transmit`](Self::poll_transmit), arm one timer from
/// [`poll_timeout`](Self::poll_timeout). Any other order is slower, never wrong.
///
/// A value that was closed goes on until [`poll_timeout`](Self::poll_timeout) has nothing more:
/// keep driving it, or drop it and let the peer find out.
#[derive(Clone, Debug)]
pub struct Connection<O = ()> {
    phase: Phase,
    config: Arc<ConnConfig>,
    seed: Seed,
    memory: Memory,
    replies: VecDeque<Reply>,
    drops: DropCounters,
    observer: O,
    now: Instant,
    clock_regressions: u32,
    /// A write was refused because there is no peer yet.
    write_awaits_peer: bool,
}

/// What a connection's parts borrow and give back.
#[derive(Debug)]
struct Memory {
    pool: Pool,
    rings: SpareRings,
}

/// Without what is spare.
impl Clone for Memory {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), rings: SpareRings::default() }
    }
}

/// What the connection is at present.
#[derive(Clone, Debug)]
enum Phase {
    /// LISTEN, for one peer.
    Listen { local: SocketAddr },
    /// A SYN has come, and the SYN-ACK is out.
    HalfOpen { local: SocketAddr, tuple: FourTuple, half_open: HalfOpen },
    /// From SYN-SENT or ESTABLISHED on, to the end; then what arrived stays readable.
    Open { tuple: FourTuple, tcb: Box<Tcb>, time_wait: Option<TimeWait> },
    /// Closed before there was a peer.
    Closed { local: SocketAddr },
}

/// A segment without data that is no part of a connection's stream.
#[derive(Clone, Debug)]
struct Reply {
    tuple: FourTuple,
    segment: Segment<'static>,
    reason: SendReason,
}

/// Replies that may wait; what comes while so many do is not answered.
const MAX_REPLIES: usize = 16;
/// Chunks kept for reuse.
const SPARE_CHUNKS: usize = 16;

impl Connection {
    /// Opens a connection to `remote`: the SYN is the first thing to transmit.
    ///
    /// # Errors
    /// If no such connection can be: see [`ConnectError`].
    pub fn connect(
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        config: ConnConfig,
        seed: &Seed,
    ) -> Result<Self, ConnectError> {
        config.check()?;
        if local.is_ipv4() != remote.is_ipv4() {
            return Err(ConnectError::AddressFamily);
        }
        if !is_usable_peer(remote.ip()) {
            return Err(ConnectError::InvalidRemoteAddress);
        }
        check_local(local)?;
        if remote.port() == 0 {
            return Err(ConnectError::PortZero);
        }
        let tuple = FourTuple::new(local, remote);
        let mut connection = Self::new(now, Phase::Closed { local }, config, seed);
        let (iss, clock) = connection.secrets(&tuple);
        let mut nobody = ();
        let mut cx = context(now, &mut connection.memory, &mut nobody);
        let tcb = Box::new(Tcb::connect(&mut cx, tuple, Arc::clone(&connection.config), iss, clock));
        connection.phase = Phase::Open { tuple, tcb, time_wait: None };
        Ok(connection)
    }

    /// Waits at `local` for one peer to connect.
    ///
    /// # Errors
    /// If nobody can connect there: see [`ConnectError`].
    pub fn listen(
        now: Instant,
        local: SocketAddr,
        config: ConnConfig,
        seed: &Seed,
    ) -> Result<Self, ConnectError> {
        config.check()?;
        check_local(local)?;
        Ok(Self::new(now, Phase::Listen { local }, config, seed))
    }

    fn new(now: Instant, phase: Phase, config: ConnConfig, seed: &Seed) -> Self {
        let buffers = u64::from(config.receive_buffer.max) + u64::from(config.send_buffer.max);
        Self {
            phase,
            config: Arc::new(config),
            seed: *seed,
            // The buffers' limits are what holds; the pool has room for what chunks waste.
            memory: Memory {
                pool: Pool::new(2 * buffers + (256 << 10), SPARE_CHUNKS),
                rings: SpareRings::default(),
            },
            replies: VecDeque::new(),
            drops: DropCounters::default(),
            observer: (),
            now,
            clock_regressions: 0,
            write_awaits_peer: false,
        }
    }

    /// The same connection, watched by `observer` from now on.
    #[must_use]
    pub fn with_observer<O: Observer>(self, observer: O) -> Connection<O> {
        let Self {
            phase,
            config,
            seed,
            memory,
            replies,
            drops,
            observer: (),
            now,
            clock_regressions,
            write_awaits_peer,
        } = self;
        Connection {
            phase,
            config,
            seed,
            memory,
            replies,
            drops,
            observer,
            now,
            clock_regressions,
            write_awaits_peer,
        }
    }
}

fn check_local(local: SocketAddr) -> Result<(), ConnectError> {
    if !is_usable_peer(local.ip()) {
        return Err(ConnectError::InvalidLocalAddress);
    }
    if local.port() == 0 {
        return Err(ConnectError::PortZero);
    }
    Ok(())
}

/// Commands.
impl<O: Observer> Connection<O> {
    /// Writes what there is room for, and says how many bytes.
    ///
    /// # Errors
    /// [`WriteError::Blocked`] if there is no room; one WRITABLE event follows. Otherwise why
    /// nothing can be written any more.
    pub fn write(&mut self, now: Instant, data: &[u8]) -> Result<usize, WriteError> {
        self.write_with(now, |tcb, cx| tcb.write(cx, data, More::No))
    }

    /// As [`write`](Self::write), and says that more follows soon: a segment that is not full waits
    /// for it, at most for the cork limit (`MSG_MORE`).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_more(&mut self, now: Instant, data: &[u8]) -> Result<usize, WriteError> {
        self.write_with(now, |tcb, cx| tcb.write(cx, data, More::Follows))
    }

    /// Writes without a copy: what is taken is taken off `data`, and segments are cut out of it.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_bytes(&mut self, now: Instant, data: &mut Bytes) -> Result<usize, WriteError> {
        self.write_with(now, |tcb, cx| tcb.write_bytes(cx, data))
    }

    /// Writes, and marks the last byte taken as the end of urgent data. New applications should
    /// have no use for it (RFC 6093 §5).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_urgent(&mut self, now: Instant, data: &[u8]) -> Result<usize, WriteError> {
        self.write_with(now, |tcb, cx| tcb.write_urgent(cx, data))
    }

    /// Reads into `buf`, and says how many bytes. `Ok(0)` is the end of the stream. A read never
    /// crosses the urgent mark.
    ///
    /// # Errors
    /// [`ReadError::Blocked`] if there is nothing yet; one READABLE event follows.
    pub fn read(&mut self, now: Instant, buf: &mut [u8]) -> Result<usize, ReadError> {
        self.read_by(now, |tcb, cx| tcb.read(cx, buf))
    }

    /// Reads up to `max` bytes without a copy. Empty is the end of the stream.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_bytes(&mut self, now: Instant, max: usize) -> Result<Bytes, ReadError> {
        self.read_by(now, |tcb, cx| tcb.read_bytes(cx, max))
    }

    /// Hands what can be read to `reader`, piece by piece, until it takes less than it is given;
    /// says how many bytes were taken.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with(&mut self, now: Instant, reader: impl FnMut(&[u8]) -> usize) -> Result<u64, ReadError> {
        self.read_by(now, |tcb, cx| tcb.read_with(cx, reader))
    }

    /// Copies what [`read`](Self::read) would, and leaves it unread.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn peek(&mut self, now: Instant, buf: &mut [u8]) -> Result<usize, ReadError> {
        self.read_by(now, |tcb, cx| tcb.peek(cx, buf))
    }

    /// The last urgent byte, if [`urgent_inline`](ConnConfig::urgent_inline) is off and it has come.
    pub fn read_urgent(&mut self, now: Instant) -> Option<u8> {
        self.on_tcb(now, None, |tcb, _| tcb.read_urgent())
    }

    /// Sends no more: the peer reads what was written, and then the end of the stream.
    pub fn shutdown_write(&mut self, now: Instant) {
        self.close_early();
        self.on_tcb(now, (), |tcb, cx| tcb.shutdown_write(cx));
    }

    /// Reads no more. The peer does not learn of it: what it sends is acknowledged and dropped.
    pub fn shutdown_read(&mut self, now: Instant) {
        self.on_tcb(now, (), |tcb, cx| tcb.shutdown_read(cx));
    }

    /// Lets go of the connection, which finishes by itself. With data unread, or
    /// [`Linger::Reset`](crate::Linger::Reset), the peer gets a RST.
    pub fn close(&mut self, now: Instant) {
        self.close_early();
        let reset = self.on_tcb(now, None, |tcb, cx| tcb.close(cx));
        self.finish(self.now, reset);
    }

    /// Ends the connection at once: the peer gets a RST, and what was not sent is discarded.
    pub fn abort(&mut self, now: Instant) {
        let now = self.advance(now);
        if let Phase::HalfOpen { tuple, half_open, .. } = &self.phase {
            // The peer may take itself for connected (RFC 9293 §3.10.5).
            let (tuple, reset) = (*tuple, half_open.reset(now));
            self.reply(tuple, reset.to_segment(&tuple), reset.reason);
        }
        self.close_early();
        let reset = self.on_tcb(now, None, |tcb, cx| tcb.abort(cx));
        self.finish(self.now, reset);
    }

    /// Holds back segments that are not full until [`uncork`](Self::uncork), or for the cork limit.
    pub fn cork(&mut self, now: Instant) {
        self.on_tcb(now, (), |tcb, _| tcb.set_corked(true));
    }

    /// Lets go what [`cork`](Self::cork) holds back.
    pub fn uncork(&mut self, now: Instant) {
        self.on_tcb(now, (), |tcb, _| tcb.set_corked(false));
    }

    /// Acknowledges at once for a while, and what waits right now (`TCP_QUICKACK`).
    pub fn quick_ack(&mut self, now: Instant) {
        self.on_tcb(now, (), |tcb, _| tcb.quick_ack());
    }

    /// Changes the behaviour from now on; what the handshake has settled stays.
    ///
    /// # Errors
    /// If the configuration cannot work; then nothing is changed.
    pub fn set_config(&mut self, now: Instant, config: ConnConfig) -> Result<(), ConfigError> {
        config.check()?;
        self.config = Arc::new(config);
        let config = Arc::clone(&self.config);
        self.on_tcb(now, (), |tcb, cx| tcb.set_config(cx.now, config));
        Ok(())
    }

    fn write_with(
        &mut self,
        now: Instant,
        command: impl FnOnce(&mut Tcb, &mut Cx<'_>) -> Result<usize, WriteError>,
    ) -> Result<usize, WriteError> {
        let otherwise = match self.phase {
            Phase::Closed { .. } => WriteError::Closed(CloseReason::Finished),
            _ => WriteError::Blocked,
        };
        self.write_awaits_peer |= matches!(self.phase, Phase::Listen { .. } | Phase::HalfOpen { .. });
        self.on_tcb(now, Err(otherwise), command)
    }

    fn read_by<T>(
        &mut self,
        now: Instant,
        command: impl FnOnce(&mut Tcb, &mut Cx<'_>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let otherwise = match self.phase {
            Phase::Closed { .. } => ReadError::Closed(CloseReason::Finished),
            _ => ReadError::Blocked,
        };
        self.on_tcb(now, Err(otherwise), command)
    }

    /// A command for a connection that exists; `otherwise` for one that still waits for its peer.
    fn on_tcb<T>(
        &mut self,
        now: Instant,
        otherwise: T,
        command: impl FnOnce(&mut Tcb, &mut Cx<'_>) -> T,
    ) -> T {
        let now = self.advance(now);
        match &mut self.phase {
            Phase::Open { tcb, .. } => command(tcb, &mut context(now, &mut self.memory, &mut self.observer)),
            Phase::Listen { .. } | Phase::HalfOpen { .. } | Phase::Closed { .. } => otherwise,
        }
    }

    /// CLOSE in LISTEN deletes the record (RFC 9293 §3.10.4).
    fn close_early(&mut self) {
        if let Phase::Listen { local } | Phase::HalfOpen { local, .. } = self.phase {
            self.phase = Phase::Closed { local };
        }
    }
}

/// Getters.
impl<O> Connection<O> {
    /// The state of RFC 9293 §3.3.2.
    #[must_use]
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Listen { .. } => State::Listen,
            Phase::HalfOpen { .. } => State::SynReceived,
            Phase::Open { tcb, .. } => tcb.state(),
            Phase::Closed { .. } => State::Closed,
        }
    }

    /// The addresses and ports of both ends, once there are two.
    #[must_use]
    pub fn tuple(&self) -> Option<FourTuple> {
        match &self.phase {
            Phase::HalfOpen { tuple, .. } | Phase::Open { tuple, .. } => Some(*tuple),
            Phase::Listen { .. } | Phase::Closed { .. } => None,
        }
    }

    /// Why the connection has ended, once it has.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        match &self.phase {
            Phase::Open { tcb, .. } => tcb.close_reason(),
            Phase::Closed { .. } => Some(CloseReason::Finished),
            Phase::Listen { .. } | Phase::HalfOpen { .. } => None,
        }
    }

    /// Trouble that has not ended the connection: what the last WARNING was about.
    #[must_use]
    pub fn soft_error(&self) -> Option<SoftError> {
        self.tcb().and_then(Tcb::soft_error)
    }

    /// What the network last said of our segments, if it was believed: why the connection failed
    /// with [`CloseReason::Unreachable`] or [`CloseReason::Refused`], or what the last WARNING was
    /// about.
    #[must_use]
    pub fn last_icmp(&self) -> Option<IcmpKind> {
        self.tcb().and_then(Tcb::last_icmp)
    }

    /// Whether the next byte to be read is the last urgent one, or the one behind it if it is taken
    /// out of the stream (`SIOCATMARK`).
    #[must_use]
    pub fn at_urgent_mark(&self) -> bool {
        self.tcb().is_some_and(Tcb::at_urgent_mark)
    }

    /// How many bytes of urgent data, and before it, are still to be read.
    #[must_use]
    pub fn urgent_remaining(&self) -> Option<u64> {
        self.tcb().and_then(Tcb::urgent_remaining)
    }

    /// What `TCP_INFO` would show, once there is a connection.
    #[must_use]
    pub fn stats(&self) -> Option<ConnStats> {
        let mut stats = self.tcb()?.stats(self.now);
        stats.totals.clock_regressions = self.clock_regressions;
        Some(stats)
    }

    /// How many segments were dropped, and why.
    #[must_use]
    pub fn drops(&self) -> &DropCounters {
        &self.drops
    }

    /// The behaviour in force.
    #[must_use]
    pub fn config(&self) -> &ConnConfig {
        &self.config
    }

    /// When the timer of this kind fires, if it is armed.
    #[must_use]
    pub fn timer(&self, kind: TimerKind) -> Option<Instant> {
        match (&self.phase, kind) {
            (Phase::Open { time_wait: Some(time_wait), .. }, TimerKind::TimeWait) => Some(time_wait.expires),
            (Phase::HalfOpen { half_open, .. }, TimerKind::Retransmission) => Some(half_open.deadline()),
            (Phase::Open { tcb, .. }, kind) => tcb.timer(kind),
            _ => None,
        }
    }

    /// Bytes of memory that buffers hold.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.memory.pool.charged()
    }

    /// Who watches.
    pub fn observer(&self) -> &O {
        &self.observer
    }

    /// A number that is the same for two connections whose every variable is the same.
    #[must_use]
    pub fn digest(&self) -> u64 {
        match &self.phase {
            Phase::Open { tcb, time_wait, .. } => tcb.digest(time_wait.as_ref()),
            Phase::HalfOpen { half_open, .. } => half_open.digest(),
            Phase::Listen { .. } => 1,
            Phase::Closed { .. } => 2,
        }
    }

    fn tcb(&self) -> Option<&Tcb> {
        match &self.phase {
            Phase::Open { tcb, .. } => Some(tcb),
            Phase::Listen { .. } | Phase::HalfOpen { .. } | Phase::Closed { .. } => None,
        }
    }
}

/// A context for one call.
fn context<'a, O: Observer>(now: Instant, memory: &'a mut Memory, observer: &'a mut O) -> Cx<'a> {
    let observer: Option<&'a mut dyn Observer> = if observer.is_active() { Some(observer) } else { None };
    Cx { now, pool: &mut memory.pool, rings: &mut memory.rings, observer }
}
