//! One connection for an embedder that brings its segments: a `Tcb`, its memory, and the drains.
//!
//! Next: `tcb/mod.rs`, which this shell drives.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::buffer::Pool;
use crate::tcb::{
    Clock, Cx, HalfOpen, HalfOpenTimeout, HalfOpenVerdict, Merged, More, PacketFields, Reset, Tcb, TimeWait,
    TimeWaitVerdict, TxCaps, ip_header_len, write_packet,
};
use crate::wire::{
    Ecn, IcmpError, IpPacket, Malformed, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, Segment, checksum,
};
use crate::{
    CloseReason, ConnConfig, ConnStats, ConnectError, Disposition, DropCounters, DropReason, Event,
    FourTuple, Instant, Observer, ReadError, Record, Rx, RxChecksum, RxMeta, Seed, SendReason, SoftError,
    State, TimerKind, WriteError, is_usable_peer, isn,
};

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
    pool: Pool,
    replies: VecDeque<Reply>,
    drops: DropCounters,
    observer: O,
    now: Instant,
    clock_regressions: u32,
    /// A write was refused because there is no peer yet.
    write_awaits_peer: bool,
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

/// A segment for the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// How many bytes of the buffer it takes.
    pub len: usize,
    /// The sender's address.
    pub src: IpAddr,
    /// The receiver's address.
    pub dst: IpAddr,
    /// If it is a super-segment: how much payload each segment but the last carries.
    pub segment_size: Option<u16>,
    /// How many segments of the wire it is.
    pub segments: u16,
    /// The differentiated services code point.
    pub dscp: u8,
    /// The TTL or hop limit.
    pub hop_limit: u8,
    /// The congestion bits.
    pub ecn: Ecn,
    /// Why it is sent.
    pub reason: SendReason,
}

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
        let mut cx = Cx { now, pool: &mut connection.pool, observer: None };
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
            pool: Pool::new(2 * buffers + (256 << 10), SPARE_CHUNKS),
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
            pool,
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
            pool,
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

/// Inputs.
impl<O: Observer> Connection<O> {
    /// Takes an IPv4 or IPv6 packet: TCP, or an ICMP error about a segment of ours.
    pub fn handle_packet<'a, P: Into<Rx<'a>>>(&mut self, now: Instant, packet: P) -> Disposition {
        let rx = packet.into();
        let now = self.advance(now);
        let result = IpPacket::parse(rx.bytes).map_err(DropReason::from).and_then(|packet| {
            match packet.header.protocol {
                PROTOCOL_ICMP | PROTOCOL_ICMPV6 => self.take_icmp(now, &packet),
                _ => {
                    let bytes = packet.whole_payload(PROTOCOL_TCP)?;
                    let meta = RxMeta { src: packet.header.src, dst: packet.header.dst };
                    self.take_bytes(now, &meta, &Rx { bytes, ..rx })
                }
            }
        });
        self.count(now, result)
    }

    /// Takes a TCP segment that comes without an IP header.
    pub fn handle_segment<'a, S: Into<Rx<'a>>>(
        &mut self,
        now: Instant,
        meta: &RxMeta,
        segment: S,
    ) -> Disposition {
        let now = self.advance(now);
        let result = self.take_bytes(now, meta, &segment.into());
        self.count(now, result)
    }

    /// Time has passed. Early or repeated calls do nothing; a late one catches up.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        match &mut self.phase {
            Phase::Listen { .. } | Phase::Closed { .. } => {}
            Phase::HalfOpen { local, tuple, half_open } => match half_open.on_timeout(now, &self.config) {
                HalfOpenTimeout::NotYet => {}
                HalfOpenTimeout::SynAck => {
                    let segment = half_open.syn_ack(now, tuple, &self.config);
                    let tuple = *tuple;
                    self.reply(tuple, segment, SendReason::SynAck);
                }
                HalfOpenTimeout::Forget => self.phase = Phase::Listen { local: *local },
            },
            Phase::Open { tcb, time_wait: None, .. } => {
                let mut cx = context(now, &mut self.pool, &mut self.observer);
                let reset = tcb.on_timeout(&mut cx);
                self.finish(now, reset);
            }
            Phase::Open { tcb, time_wait, .. } => {
                if time_wait.is_some_and(|value| value.expires <= now) {
                    *time_wait = None;
                    tcb.time_wait_is_over(&mut context(now, &mut self.pool, &mut self.observer));
                }
            }
        }
    }

    fn take_bytes(&mut self, now: Instant, meta: &RxMeta, rx: &Rx<'_>) -> Result<Disposition, DropReason> {
        let RxMeta { src, dst } = *meta;
        let segment = Segment::parse(rx.bytes).map_err(|malformed| {
            // A damaged segment is told by its checksum first: any of its fields may be wrong.
            let damaged = rx.checksum == RxChecksum::Verify && !checksum::tcp_is_valid(src, dst, rx.bytes);
            if damaged && malformed == Malformed::OptionLength {
                DropReason::Checksum
            } else {
                malformed.into()
            }
        })?;
        if rx.checksum == RxChecksum::Verify && !checksum::tcp_is_valid(src, dst, rx.bytes) {
            return Err(DropReason::Checksum);
        }
        if !is_usable_peer(src) || !is_usable_peer(dst) || segment.src_port == 0 || segment.dst_port == 0 {
            return Err(DropReason::InvalidAddress);
        }
        let from = FourTuple {
            local_addr: dst,
            remote_addr: src,
            local_port: segment.dst_port,
            remote_port: segment.src_port,
        };
        let merged = Merged(rx.segments(segment.payload.len()));
        self.take_segment(now, from, &segment, merged)
    }

    fn take_segment(
        &mut self,
        now: Instant,
        from: FourTuple,
        segment: &Segment<'_>,
        merged: Merged,
    ) -> Result<Disposition, DropReason> {
        match &mut self.phase {
            Phase::Listen { local } if from.local() == *local => self.in_listen(now, from, segment),
            Phase::HalfOpen { tuple, .. } if from == *tuple => self.in_half_open(now, from, segment, merged),
            Phase::Open { tuple, time_wait: Some(_), .. } if from == *tuple => {
                self.in_time_wait(now, segment)
            }
            Phase::Open { tuple, tcb, .. } if from == *tuple && tcb.state() != State::Closed => {
                let mut cx = context(now, &mut self.pool, &mut self.observer);
                let outcome = tcb.on_segment(&mut cx, segment, merged);
                self.finish(now, outcome.reset);
                match outcome.disposition {
                    Disposition::Dropped(reason) => Err(reason),
                    other => Ok(other),
                }
            }
            // CLOSED (RFC 9293 §3.10.7.1).
            Phase::Open { tuple, .. } if from == *tuple => self.refuse(from, segment),
            Phase::Closed { local } if from.local() == *local => self.refuse(from, segment),
            _ => Err(DropReason::NotForUs),
        }
    }

    fn refuse(&mut self, tuple: FourTuple, segment: &Segment<'_>) -> Result<Disposition, DropReason> {
        let reset = Reset::answering(segment).ok_or(DropReason::StrayReset)?;
        self.reply(tuple, reset.to_segment(&tuple), reset.reason);
        Ok(Disposition::Reset)
    }

    /// RFC 9293 §3.10.7.2.
    fn in_listen(
        &mut self,
        now: Instant,
        tuple: FourTuple,
        segment: &Segment<'_>,
    ) -> Result<Disposition, DropReason> {
        if segment.flags.rst() {
            return Err(if segment.flags.syn() { DropReason::SynWithFin } else { DropReason::StrayReset });
        }
        if segment.flags.ack() {
            return self.refuse(tuple, segment);
        }
        if !segment.flags.syn() {
            return Err(DropReason::NotSyn);
        }
        if segment.flags.fin() {
            return Err(DropReason::SynWithFin);
        }
        let (iss, clock) = self.secrets(&tuple);
        let half_open = HalfOpen::new(now, segment, iss, clock, ip_header_len(&tuple), &self.config);
        self.reply(tuple, half_open.syn_ack(now, &tuple, &self.config), SendReason::SynAck);
        self.phase = Phase::HalfOpen { local: tuple.local(), tuple, half_open };
        Ok(Disposition::Taken)
    }

    fn in_half_open(
        &mut self,
        now: Instant,
        tuple: FourTuple,
        segment: &Segment<'_>,
        merged: Merged,
    ) -> Result<Disposition, DropReason> {
        let Phase::HalfOpen { half_open, local, .. } = &mut self.phase else {
            return Err(DropReason::NotForUs);
        };
        match half_open.on_segment(segment, &self.config) {
            HalfOpenVerdict::Promote => {
                let config = Arc::clone(&self.config);
                let tcb = Tcb::from_half_open(now, half_open, tuple, config, self.write_awaits_peer);
                self.phase = Phase::Open { tuple, tcb: Box::new(tcb), time_wait: None };
                self.take_segment(now, tuple, segment, merged)
            }
            HalfOpenVerdict::SynAck => {
                let answer = half_open.syn_ack(now, &tuple, &self.config);
                self.reply(tuple, answer, SendReason::SynAck);
                Ok(Disposition::Taken)
            }
            HalfOpenVerdict::Challenge(reason) => {
                let answer = half_open.challenge_ack(now, &tuple, &self.config);
                self.reply(tuple, answer, SendReason::Challenge);
                Err(reason)
            }
            HalfOpenVerdict::Reset(reset) => {
                self.reply(tuple, reset.to_segment(&tuple), reset.reason);
                Ok(Disposition::Reset)
            }
            HalfOpenVerdict::Forget => {
                self.phase = Phase::Listen { local: *local };
                Ok(Disposition::Taken)
            }
            HalfOpenVerdict::Drop(reason) => Err(reason),
        }
    }

    fn in_time_wait(&mut self, now: Instant, segment: &Segment<'_>) -> Result<Disposition, DropReason> {
        let Phase::Open { tuple, tcb, time_wait } = &mut self.phase else { return Err(DropReason::NotForUs) };
        let Some(value) = time_wait else { return Err(DropReason::NotForUs) };
        match value.on_segment(now, segment, &self.config) {
            TimeWaitVerdict::Ignore => Err(DropReason::OutOfWindow),
            // A connection has no listener that could take a new SYN.
            TimeWaitVerdict::Ack | TimeWaitVerdict::Reuse { .. } => {
                let (answer, tuple) = (value.ack(now, tuple), *tuple);
                self.reply(tuple, answer, SendReason::TimeWait);
                Err(DropReason::OutOfWindow)
            }
            TimeWaitVerdict::Close => {
                *time_wait = None;
                tcb.time_wait_is_over(&mut context(now, &mut self.pool, &mut self.observer));
                Ok(Disposition::Taken)
            }
        }
    }

    fn take_icmp(&mut self, now: Instant, packet: &IpPacket<'_>) -> Result<Disposition, DropReason> {
        let error = IcmpError::parse(packet)?.ok_or(DropReason::IcmpIgnored)?;
        match &mut self.phase {
            Phase::Open { tuple, tcb, time_wait: None } if *tuple == error.quoted.tuple => {
                let mut cx = context(now, &mut self.pool, &mut self.observer);
                tcb.on_icmp(&mut cx, error.kind, error.quoted.seq)?;
                Ok(Disposition::Taken)
            }
            _ => Err(DropReason::IcmpIgnored),
        }
    }

    fn count(&mut self, now: Instant, result: Result<Disposition, DropReason>) -> Disposition {
        result.unwrap_or_else(|reason| {
            self.drops.count(reason);
            // What the state machine dropped it has told of itself.
            if self.observer.is_active() && reason.is_before_the_connection() {
                self.observer.observe(now, &Record::Dropped { reason });
            }
            Disposition::Dropped(reason)
        })
    }

    /// Time never runs backwards (RFC 9293 §3.8 assumes as much); if the caller's does, it stands.
    fn advance(&mut self, now: Instant) -> Instant {
        if now < self.now {
            self.clock_regressions = self.clock_regressions.saturating_add(1);
        } else {
            self.now = now;
        }
        self.now
    }

    /// What an input or command has left to do: a RST to send, TIME-WAIT to enter.
    fn finish(&mut self, now: Instant, reset: Option<Reset>) {
        let Phase::Open { tuple, tcb, time_wait } = &mut self.phase else { return };
        let tuple = *tuple;
        if tcb.state() == State::TimeWait && time_wait.is_none() {
            let value = tcb.to_time_wait(now);
            let ack = tcb.owes_ack().then(|| value.ack(now, &tuple));
            *time_wait = Some(value);
            if let Some(ack) = ack {
                self.reply(tuple, ack, SendReason::TimeWait);
            }
        }
        if let Some(reset) = reset {
            self.reply(tuple, reset.to_segment(&tuple), reset.reason);
        }
    }

    fn reply(&mut self, tuple: FourTuple, segment: Segment<'static>, reason: SendReason) {
        if self.replies.len() < MAX_REPLIES {
            self.replies.push_back(Reply { tuple, segment, reason });
        }
    }
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
    pub fn set_config(&mut self, now: Instant, config: ConnConfig) -> Result<(), crate::ConfigError> {
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
            Phase::Open { tcb, .. } => command(tcb, &mut context(now, &mut self.pool, &mut self.observer)),
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

/// Outputs.
impl<O: Observer> Connection<O> {
    /// What has happened since the last call, if anything.
    pub fn poll_event(&mut self) -> Option<Event> {
        match &mut self.phase {
            Phase::Open { tcb, .. } => Some(tcb.take_events()).filter(|events| !events.is_empty()),
            Phase::Listen { .. } | Phase::HalfOpen { .. } | Phase::Closed { .. } => None,
        }
    }

    /// Writes the next segment into `buf`, if there is one to send now. It counts as sent: poll only
    /// when the device has room, or keep the packet.
    ///
    /// `buf` should hold a packet of the MTU, or a super-segment if the device takes such; a shorter
    /// one gets shorter segments, and none if not even a header fits.
    pub fn poll_transmit(&mut self, now: Instant, caps: &TxCaps, buf: &mut [u8]) -> Option<Transmit> {
        let now = self.advance(now);
        if let Some(reply) = self.replies.front() {
            let fields = self.reply_fields();
            let len = write_packet(caps, &reply.tuple, fields, &reply.segment, 0, buf, |_| {})?;
            let Reply { tuple, reason, .. } = self.replies.pop_front()?;
            return Some(transmit(&tuple, fields, len, (None, 1), reason));
        }
        match &mut self.phase {
            Phase::Open { tuple, tcb, .. } => {
                let mut cx = context(now, &mut self.pool, &mut self.observer);
                let sent = tcb.poll_transmit(&mut cx, caps, buf)?;
                let fields = tcb.packet_fields();
                Some(transmit(tuple, fields, sent.len, (sent.segment_size, sent.segments), sent.reason))
            }
            Phase::Listen { .. } | Phase::HalfOpen { .. } | Phase::Closed { .. } => None,
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next. Never late, perhaps early.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::HalfOpen { half_open, .. } => Some(half_open.deadline()),
            Phase::Open { time_wait: Some(time_wait), .. } => Some(time_wait.expires),
            Phase::Open { tcb, .. } => tcb.next_timeout(),
            Phase::Listen { .. } | Phase::Closed { .. } => None,
        }
    }

    fn reply_fields(&self) -> PacketFields {
        let (hop_limit, dscp) = (self.config.hop_limit, self.config.dscp);
        PacketFields { hop_limit, dscp, ecn: Ecn::NotEct, flow_label: 0 }
    }

    fn secrets(&self, tuple: &FourTuple) -> (crate::SeqNumber, Clock) {
        let replay = &self.config.replay;
        let iss =
            replay.initial_sequence.unwrap_or_else(|| isn::initial_sequence(&self.seed, tuple, self.now));
        let offset = replay.timestamp_offset.unwrap_or_else(|| isn::timestamp_offset(&self.seed, tuple));
        (iss, Clock::new(self.now, offset))
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
        self.pool.charged()
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
fn context<'a, O: Observer>(now: Instant, pool: &'a mut Pool, observer: &'a mut O) -> Cx<'a> {
    let observer: Option<&'a mut dyn Observer> = if observer.is_active() { Some(observer) } else { None };
    Cx { now, pool, observer }
}

fn transmit(
    tuple: &FourTuple,
    fields: PacketFields,
    len: usize,
    (segment_size, segments): (Option<u16>, u16),
    reason: SendReason,
) -> Transmit {
    let PacketFields { hop_limit, dscp, ecn, flow_label: _ } = fields;
    let (src, dst) = (tuple.local_addr, tuple.remote_addr);
    Transmit { len, src, dst, segment_size, segments, dscp, hop_limit, ecn, reason }
}
