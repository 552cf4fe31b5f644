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
use crate::config::LEAST_MTU;
use crate::recovery::SpareRings;
use crate::tcb::{Clock, Cx, Early, HalfOpen, More, Tcb, TimeWait};
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
/// A connection that has ended for the application may still have something to say, such as the last
/// ACK: drive it until [`is_over`](Self::is_over), or drop it and let the peer find out.
///
/// # Driving it
///
/// ```no_run
/// use std::net::UdpSocket;
/// use tcp_core::{Connection, Event, Framing, Instant, RxMeta, TxCaps};
///
/// // TCP segments in UDP datagrams, one connection, one thread.
/// fn drive(
///     mut connection: Connection,
///     socket: &UdpSocket,
///     meta: RxMeta,
///     mut application: impl FnMut(&mut Connection, Instant, Event),
/// ) -> std::io::Result<()> {
///     let start = std::time::Instant::now();
///     let now = || Instant::ZERO + start.elapsed().into();
///     let mut caps = TxCaps::default();
///     caps.framing = Framing::Segment;
///     let mut buf = [0; 1500];
///     application(&mut connection, now(), Event::NONE);
///     while !connection.is_over() {
///         while let Some(event) = connection.poll_event() {
///             application(&mut connection, now(), event);
///         }
///         while let Some(sent) = connection.poll_transmit(now(), &caps, &mut buf) {
///             socket.send(&buf[..sent.len])?;
///         }
///         let wait = connection.poll_timeout().map(|due| (due - now()).into());
///         if wait.is_none_or(|wait: std::time::Duration| !wait.is_zero()) {
///             socket.set_read_timeout(wait)?;
///             if let Ok(length) = socket.recv(&mut buf) {
///                 connection.handle_segment(now(), &meta, &buf[..length]);
///             }
///         }
///         connection.handle_timeout(now());
///     }
///     Ok(())
/// }
/// ```
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
    /// What the application has asked for before there was a peer.
    early: Early,
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
    /// Closed before there was a peer; the application is to be told once.
    Closed { local: SocketAddr, reason: CloseReason, told: bool },
}

/// A segment without data that is no part of a connection's stream.
#[derive(Clone, Debug)]
struct Reply {
    tuple: FourTuple,
    /// The clock of the connection it speaks for, if there is one.
    clock: Option<Clock>,
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
        check_mtu(local, &config)?;
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
        let mut connection = Self::new(now, Phase::Listen { local }, config, seed);
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
        check_mtu(local, &config)?;
        check_local(local)?;
        Ok(Self::new(now, Phase::Listen { local }, config, seed))
    }

    fn new(now: Instant, phase: Phase, config: ConnConfig, seed: &Seed) -> Self {
        Self {
            phase,
            memory: Memory {
                pool: Pool::new(pool_limit(&config), SPARE_CHUNKS),
                rings: SpareRings::default(),
            },
            config: Arc::new(config),
            seed: *seed,
            replies: VecDeque::new(),
            drops: DropCounters::default(),
            observer: (),
            now,
            clock_regressions: 0,
            early: Early::default(),
        }
    }

    /// The same connection, watched by `observer` from now on.
    #[must_use]
    pub fn with_observer<O: Observer>(self, observer: O) -> Connection<O> {
        let Self { phase, config, seed, memory, replies, drops, observer: (), now, clock_regressions, early } =
            self;
        Connection { phase, config, seed, memory, replies, drops, observer, now, clock_regressions, early }
    }
}

/// The limits of the buffers are what holds; the pool has room for what their chunks waste, so that
/// neither direction starves the other: a byte between two pieces of a kilobyte takes a chunk of its
/// own in the send rope, nine times what it carries.
fn pool_limit(config: &ConnConfig) -> u64 {
    2 * u64::from(config.receive_buffer.max) + 10 * u64::from(config.send_buffer.max) + (256 << 10)
}

/// The header of IPv6 is 20 bytes longer than what the check of the configuration allows for.
fn check_mtu(local: SocketAddr, config: &ConnConfig) -> Result<(), ConnectError> {
    let least = if local.is_ipv6() { LEAST_MTU + 20 } else { LEAST_MTU };
    if config.mtu < least { Err(ConfigError::Mtu.into()) } else { Ok(()) }
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

    /// Sends no more: the peer reads what was written, and then the end of the stream. Before the
    /// connection is established this waits for it.
    pub fn shutdown_write(&mut self, now: Instant) {
        self.early.write_shut = true;
        self.on_tcb(now, (), |tcb, cx| tcb.shutdown_write(cx));
    }

    /// Reads no more. The peer does not learn of it: what it sends is acknowledged and dropped.
    pub fn shutdown_read(&mut self, now: Instant) {
        self.early.read_shut = true;
        self.on_tcb(now, (), |tcb, cx| tcb.shutdown_read(cx));
    }

    /// Lets go of the connection, which finishes by itself: keep driving it until
    /// [`is_over`](Self::is_over). With data unread, or [`Linger::Reset`](crate::Linger::Reset), the
    /// peer gets a RST. From now on reading gives the end of the stream.
    ///
    /// Before the peer has answered, this deletes the connection, and what was written is discarded
    /// (RFC 9293 §3.10.4); [`shutdown_write`](Self::shutdown_write) waits instead.
    pub fn close(&mut self, now: Instant) {
        self.close_early(CloseReason::Finished);
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
        self.close_early(CloseReason::Aborted);
        let reset = self.on_tcb(now, None, |tcb, cx| tcb.abort(cx));
        self.finish(self.now, reset);
    }

    /// Holds back segments that are not full until [`uncork`](Self::uncork), or for the cork limit.
    pub fn cork(&mut self, now: Instant) {
        self.early.corked = true;
        self.on_tcb(now, (), |tcb, _| tcb.set_corked(true));
    }

    /// Lets go what [`cork`](Self::cork) holds back.
    pub fn uncork(&mut self, now: Instant) {
        self.early.corked = false;
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
        let limit = self.memory.pool.limit().max(pool_limit(&self.config));
        self.memory.pool.set_limit(limit);
        self.on_tcb(now, (), |tcb, cx| tcb.set_config(cx.now, config));
        Ok(())
    }

    fn write_with(
        &mut self,
        now: Instant,
        command: impl FnOnce(&mut Tcb, &mut Cx<'_>) -> Result<usize, WriteError>,
    ) -> Result<usize, WriteError> {
        let otherwise = match self.phase {
            Phase::Closed { reason, .. } => WriteError::Closed(reason),
            _ if self.early.write_shut => WriteError::ShutDown,
            _ => WriteError::Blocked,
        };
        self.early.write_blocked |= matches!(self.phase, Phase::Listen { .. } | Phase::HalfOpen { .. });
        self.on_tcb(now, Err(otherwise), command)
    }

    fn read_by<T>(
        &mut self,
        now: Instant,
        command: impl FnOnce(&mut Tcb, &mut Cx<'_>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let otherwise = match self.phase {
            Phase::Closed { reason, .. } => ReadError::Closed(reason),
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
    fn close_early(&mut self, reason: CloseReason) {
        if let Phase::Listen { local } | Phase::HalfOpen { local, .. } = self.phase {
            self.phase = Phase::Closed { local, reason, told: false };
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

    /// Whether nothing is left to do: the connection is closed, nothing waits to be sent, and no timer
    /// runs. Only then may a driver forget it without keeping the peer waiting.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state() == State::Closed && self.replies.is_empty()
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
            Phase::Closed { reason, .. } => Some(*reason),
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
    #[must_use]
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
