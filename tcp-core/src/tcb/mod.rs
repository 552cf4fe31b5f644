//! One connection's state machine, without I/O, clock or randomness (RFC 9293 §3.10).
//!
//! The way of a segment in, one function a step, in the RFC's order:
//!
//! * `input.rs`: SEGMENT ARRIVES, from the first check to the eighth;
//! * `handshake.rs`: the states before ESTABLISHED;
//! * `ack.rs`: the fifth check, and what an acknowledgement sets free;
//! * `text.rs`: urgent pointer, text and FIN.
//!
//! The way of a segment out: `output.rs` decides what is sent next (`plan`, which changes nothing),
//! `encode.rs` writes it, and `output.rs` moves the state on (`commit`).
//!
//! Beside these: `commands.rs` is what the application does, `close.rs` how a connection ends,
//! `timeout.rs` what each timer does; `half_open.rs` and `time_wait.rs` are the small values that
//! stand for a connection before it is one and after it was one.

mod ack;
mod acknowledge;
mod challenge;
mod close;
mod commands;
mod encode;
mod half_open;
mod handshake;
mod icmp;
mod input;
mod output;
mod rcv;
mod reset;
mod snapshot;
mod snd;
mod text;
mod time_wait;
mod timeout;
mod timers;
mod transitions;

use alloc::sync::Arc;

use crate::buffer::{Pool, ReceiveBuffer, SendBuffer};
use crate::congestion::AnyController;
use crate::recovery::{Recovery, SpareRings};
use crate::wire::{IcmpKind, Options, Timestamps};
use crate::{
    CloseReason, ConnConfig, ConnStats, Duration, Event, FourTuple, Instant, Observer, Record, SendReason,
    SeqNumber, SoftError, State, TimerKind, Totals,
};

pub(crate) use commands::More;
pub use encode::{Framing, TxCaps, TxChecksum};
pub(crate) use encode::{PacketFields, write_packet};
pub(crate) use half_open::{HalfOpen, Timeout as HalfOpenTimeout, Verdict as HalfOpenVerdict};
pub(crate) use input::{Merged, Outcome};
pub(crate) use reset::Reset;
pub(crate) use time_wait::{TimeWait, Verdict as TimeWaitVerdict};

use acknowledge::Acknowledge;
use challenge::ChallengeLimit;
use handshake::Offer;
use rcv::Rcv;
use snd::{Fin, Snd};
use timers::Timers;
use transitions::{Trigger, next_state};

/// What a call brings along: built once per batch.
pub(crate) struct Cx<'a> {
    pub(crate) now: Instant,
    pub(crate) pool: &'a mut Pool,
    pub(crate) rings: &'a mut SpareRings,
    /// None if nobody watches.
    pub(crate) observer: Option<&'a mut dyn Observer>,
}

impl Cx<'_> {
    pub(crate) fn record(&mut self, record: &Record) {
        if let Some(observer) = self.observer.as_deref_mut() {
            observer.observe(self.now, record);
        }
    }
}

/// One connection: the transmission control block of RFC 9293 §3.3.1.
#[derive(Clone, Debug)]
pub(crate) struct Tcb {
    config: Arc<ConnConfig>,
    tuple: FourTuple,
    state: State,
    opening: Opening,
    handshake: Handshake,
    offer: Offer,
    snd: Snd,
    rcv: Rcv,
    clock: Clock,
    /// What was written and is not acknowledged.
    send: SendBuffer,
    /// What arrived and was not read.
    receive: ReceiveBuffer,
    recovery: Recovery,
    congestion: AnyController,
    timers: Timers,
    ack: Acknowledge,
    challenges: ChallengeLimit,
    application: Application,
    /// Retransmissions by timer, or unanswered probes, since the last progress.
    retries: u8,
    keepalive_probes: u8,
    /// How often the persist timer has fired since the window was last open.
    persist_backoff: u8,
    /// A probe to send with the next output.
    probe: Option<Probe>,
    /// Send what the window takes, however little: the persist timer has overridden silly-window
    /// avoidance (RFC 9293 §3.8.6.2.1).
    override_silly_window: bool,
    /// Data below this stream offset waits for no more (`TCP_CORK`, `MSG_MORE`).
    push_to: u64,
    totals: Totals,
    meter: Meter,
}

/// How the connection was opened (RFC 9293 MUST-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Opening {
    Active,
    Passive,
}

/// The SYN or SYN-ACK that is not acknowledged yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Handshake {
    /// It must be sent with the next output.
    send_due: bool,
    /// When it was sent first.
    sent_at: Option<Instant>,
    retransmissions: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Probe {
    /// Of a closed window.
    Window,
    /// Of an idle peer.
    Keepalive,
}

/// The application's side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Application {
    /// It will call no more: the connection finishes by itself.
    released: bool,
    /// It reads no more.
    read_shut: bool,
    read_blocked: bool,
    write_blocked: bool,
    corked: bool,
    events: Event,
    close_reason: Option<CloseReason>,
    soft_error: Option<SoftError>,
    /// What the network last said of our segments.
    icmp: Option<IcmpKind>,
    /// It was warned of retransmissions, and not told of progress since.
    warned: bool,
    /// How many bytes may wait to be acknowledged.
    send_limit: u32,
}

/// How long there was something to send, and what held it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Meter {
    limit: Limit,
    since: Instant,
    busy: Duration,
    window_limited: Duration,
}

impl Meter {
    fn change(&mut self, now: Instant, limit: Limit) {
        let since = now - self.since;
        match self.limit {
            Limit::Application => {}
            Limit::Congestion => self.busy += since,
            Limit::Window => {
                self.busy += since;
                self.window_limited += since;
            }
        }
        (self.limit, self.since) = (limit, now);
    }
}

/// What keeps output from sending more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Limit {
    /// There is nothing to send.
    Application,
    /// The peer's window.
    Window,
    /// The congestion window, or Nagle's rule, which wait for ACKs alike.
    Congestion,
}

/// What both ends have agreed on, seen from one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Negotiated {
    pub(crate) send_mss: u16,
    pub(crate) receive_mss: u16,
    /// Present if both offered window scaling (RFC 7323 §2.2).
    pub(crate) shifts: Option<Shifts>,
    pub(crate) sack: bool,
    /// TS.Recent, if both offered timestamps.
    pub(crate) timestamp: Option<u32>,
}

/// The shifts of both windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shifts {
    /// Snd.Wind.Shift, as the peer announced it.
    pub(crate) send: u8,
    /// Rcv.Wind.Shift, ours.
    pub(crate) receive: u8,
}

/// RFC 7323 §2.3: a larger shift is taken for this one.
const MAX_SHIFT: u8 = 14;

impl Negotiated {
    /// What follows from the options of the peer's SYN or SYN-ACK and what we offer.
    pub(crate) fn from_syn(
        options: &Options,
        ip_header_len: u16,
        offer: &Offer,
        config: &ConnConfig,
    ) -> Self {
        let Offer { mss, shift, sack, timestamps, .. } = *offer;
        let shifts = options
            .window_scale
            .zip(shift)
            .map(|(theirs, ours)| Shifts { send: theirs.min(MAX_SHIFT), receive: ours });
        Self {
            send_mss: half_open::send_mss(options.mss, ip_header_len, config),
            receive_mss: mss,
            shifts,
            sack: sack && options.sack_permitted,
            timestamp: options.timestamps.filter(|_| timestamps).map(|timestamps| timestamps.value),
        }
    }

    /// The options of a SYN-ACK: only what the SYN offered (RFC 7323 §2.2, §3.2; RFC 2018 §2).
    fn syn_ack_options(&self, timestamps: Option<Timestamps>) -> Options {
        Options {
            mss: Some(self.receive_mss),
            window_scale: self.shifts.map(|shifts| shifts.receive),
            sack_permitted: self.sack,
            timestamps,
            ..Options::NONE
        }
    }

    pub(crate) fn receive_shift(&self) -> u8 {
        self.shifts.map_or(0, |shifts| shifts.receive)
    }
}

/// The timestamp clock: one tick a millisecond (RFC 7323 §5.4), offset per connection (§7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Clock {
    offset: u32,
    /// The first value that can have been sent.
    first: u32,
}

impl Clock {
    pub(crate) fn new(now: Instant, offset: u32) -> Self {
        let mut clock = Self { offset, first: 0 };
        clock.first = clock.value(now);
        clock
    }

    /// TSval.
    pub(crate) fn value(&self, now: Instant) -> u32 {
        // A clock of 32 bits wraps (RFC 7323 §5.4).
        self.offset.wrapping_add((now.as_nanos() / 1_000_000) as u32)
    }

    /// The round trip that an echoed value tells; none for a value we cannot have sent
    /// (requirement 7323-RTT4).
    fn round_trip(&self, now: Instant, echo: u32) -> Option<Duration> {
        let age = self.value(now).wrapping_sub(echo) as i32;
        let lifetime = self.value(now).wrapping_sub(self.first);
        let ticks = u32::try_from(age).ok().filter(|ticks| echo != 0 && *ticks <= lifetime)?;
        // Less than a tick is at least not nothing (RFC 6298 §4).
        Some(Duration::from_millis(u64::from(ticks.max(1))))
    }
}

/// The length of the IP header without options.
pub(crate) fn ip_header_len(tuple: &FourTuple) -> u16 {
    if tuple.local_addr.is_ipv6() { 40 } else { 20 }
}

impl Tcb {
    fn new(
        now: Instant,
        tuple: FourTuple,
        config: Arc<ConnConfig>,
        iss: SeqNumber,
        clock: Clock,
        opening: Opening,
    ) -> Self {
        Self {
            state: State::Closed,
            opening,
            handshake: Handshake { send_due: false, sent_at: None, retransmissions: 0 },
            offer: Offer::new(ip_header_len(&tuple), &config),
            snd: Snd::new(iss, now),
            rcv: Rcv::new(now, &config.receive_buffer),
            clock,
            send: SendBuffer::new(0),
            receive: ReceiveBuffer::new(0),
            recovery: Recovery::new(iss, &config.rto),
            congestion: AnyController::new(config.congestion, 1, 0, config.initial_ssthresh),
            timers: Timers::new(),
            ack: Acknowledge::new(&config.ack),
            challenges: ChallengeLimit::default(),
            application: Application {
                released: false,
                read_shut: false,
                read_blocked: true,
                write_blocked: false,
                corked: false,
                events: Event::NONE,
                close_reason: None,
                soft_error: None,
                icmp: None,
                warned: false,
                send_limit: config.send_buffer.initial,
            },
            retries: 0,
            keepalive_probes: 0,
            persist_backoff: 0,
            push_to: 0,
            probe: None,
            override_silly_window: false,
            totals: Totals::default(),
            meter: Meter {
                limit: Limit::Application,
                since: now,
                busy: Duration::ZERO,
                window_limited: Duration::ZERO,
            },
            tuple,
            config,
        }
    }

    /// An active OPEN (RFC 9293 §3.10.1): the SYN leaves with the next output.
    pub(crate) fn connect(
        cx: &mut Cx<'_>,
        tuple: FourTuple,
        config: Arc<ConnConfig>,
        iss: SeqNumber,
        clock: Clock,
    ) -> Self {
        let mut tcb = Self::new(cx.now, tuple, config, iss, clock, Opening::Active);
        tcb.rcv.mss = tcb.offer.mss;
        tcb.snd.nxt = iss + 1;
        tcb.handshake.send_due = true;
        tcb.move_to(cx, Trigger::ActiveOpen);
        tcb.arm_handshake_timer(cx.now);
        tcb
    }

    /// A passive OPEN whose third segment has come: SYN-RECEIVED, to be given that segment.
    pub(crate) fn from_half_open(
        now: Instant,
        half_open: &HalfOpen,
        tuple: FourTuple,
        config: Arc<ConnConfig>,
        write_blocked: bool,
    ) -> Self {
        let HalfOpen { irs, iss, negotiated, clock, window, sent_at, retransmissions, .. } = *half_open;
        let mut tcb = Self::new(now, tuple, config, iss, clock, Opening::Passive);
        tcb.state = State::SynReceived;
        tcb.application.write_blocked = write_blocked;
        tcb.handshake = Handshake { send_due: false, sent_at: Some(sent_at), retransmissions };
        tcb.snd.nxt = iss + 1;
        tcb.rcv.synchronize(irs);
        tcb.rcv.edge = tcb.rcv.nxt + u32::from(window);
        tcb.apply(now, &negotiated);
        tcb
    }

    /// The peer's options are known.
    fn apply(&mut self, now: Instant, negotiated: &Negotiated) {
        let Negotiated { send_mss, receive_mss, shifts, sack, timestamp } = *negotiated;
        self.snd.mss = send_mss;
        self.rcv.mss = receive_mss;
        (self.snd.shift, self.rcv.shift) = shifts.map_or((0, 0), |shifts| (shifts.send, shifts.receive));
        self.rcv.scaling = shifts.is_some();
        self.rcv.sack = sack;
        self.rcv.timestamps = timestamp.is_some();
        if let Some(recent) = timestamp {
            self.rcv.ts_recent = recent;
            self.rcv.ts_recent_at = now;
        }
    }

    /// Follows an arrow of the table; the only way to change the state.
    fn move_to(&mut self, cx: &mut Cx<'_>, trigger: Trigger) {
        let from = self.state;
        let Some(to) = next_state(from, trigger) else {
            debug_assert!(false, "no arrow from {from} by {trigger}");
            return;
        };
        self.state = to;
        cx.record(&Record::State { from, to });
    }

    /// The room for data in a segment with these options (RFC 9293 §3.7.1, RFC 6691 §2).
    fn payload_room(&self, options_len: usize) -> u32 {
        u32::from(self.snd.mss).saturating_sub(u32::try_from(options_len).unwrap_or(u32::MAX)).max(1)
    }

    /// A full-sized segment when there is nothing to report: what congestion control counts in.
    fn segment_size(&self) -> u16 {
        let timestamps = if self.rcv.timestamps { 12 } else { 0 };
        self.snd.mss.saturating_sub(timestamps).max(1)
    }

    /// Bytes written and never sent.
    fn unsent(&self) -> u64 {
        self.send.end().saturating_sub(self.next_offset())
    }

    /// The stream offset of the next byte that was never sent.
    fn next_offset(&self) -> u64 {
        // Not by comparing with ISS: a long stream comes by there again.
        let syn_unacknowledged = u32::from(self.is_opening());
        let fin = u32::from(matches!(self.snd.fin, Fin::Sent(_)) && self.snd.una.before_eq(self.fin_seq()));
        let ahead = (self.snd.nxt - self.snd.una).saturating_sub(syn_unacknowledged + fin);
        self.send.base() + u64::from(ahead)
    }

    /// Where our FIN stands, or will.
    fn fin_seq(&self) -> SeqNumber {
        match self.snd.fin {
            Fin::Sent(seq) => seq,
            Fin::Open | Fin::Queued => self.snd.seq_at(self.send.end()),
        }
    }

    fn raise(&mut self, event: Event) {
        self.application.events |= event;
    }

    // Getters.

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.application.close_reason
    }

    pub(crate) fn soft_error(&self) -> Option<SoftError> {
        self.application.soft_error
    }

    pub(crate) fn last_icmp(&self) -> Option<IcmpKind> {
        self.application.icmp
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    pub(crate) fn take_events(&mut self) -> Event {
        core::mem::take(&mut self.application.events)
    }

    /// The small value that goes on when this connection has reached TIME-WAIT.
    pub(crate) fn to_time_wait(&self, now: Instant) -> TimeWait {
        TimeWait {
            snd_nxt: self.snd.nxt,
            rcv_nxt: self.rcv.nxt,
            window: self.rcv.advertise(self.receive.readable()).field,
            ts_recent: self.rcv.timestamps.then_some(self.rcv.ts_recent),
            clock: self.clock,
            expires: now + self.config.time_wait,
            last_answer: None,
        }
    }

    pub(crate) fn stats(&self, now: Instant) -> ConnStats {
        let controller = self.congestion.get();
        let round_trip = self.recovery.round_trip();
        let since = now - self.meter.since;
        let (busy, window_limited) = match self.meter.limit {
            Limit::Application => (Duration::ZERO, Duration::ZERO),
            Limit::Congestion => (since, Duration::ZERO),
            Limit::Window => (since, since),
        };
        ConnStats {
            state: self.state,
            srtt: round_trip.smoothed(),
            rttvar: round_trip.variation(),
            min_rtt: round_trip.minimum(),
            rto: self.recovery.rto(&self.config.rto),
            backoff: self.recovery.backoff(),
            retries: self.retries,
            ack_delay: self.ack.delay(),
            congestion_window: self.recovery.window(controller),
            slow_start_threshold: controller.slow_start_threshold(),
            in_recovery: self.recovery.is_repairing(),
            unacknowledged: self.snd.nxt - self.snd.una,
            sacked: self.recovery.sacked(),
            lost: self.recovery.lost(),
            in_flight: self.recovery.in_flight(),
            duplicate_acks: self.recovery.duplicate_acks(),
            send_mss: self.snd.mss,
            receive_mss: self.rcv.mss,
            send_window: self.snd.wnd,
            receive_window: self.rcv.window(),
            send_window_scale: self.rcv.scaling.then_some(self.snd.shift),
            receive_window_scale: self.rcv.scaling.then_some(self.rcv.shift),
            sack: self.rcv.sack,
            timestamps: self.rcv.timestamps,
            readable: self.receive.readable(),
            unsent: self.unsent(),
            receive_buffer: self.rcv.limit,
            send_buffer: self.application.send_limit,
            totals: self.totals,
            busy: self.meter.busy + busy,
            window_limited: self.meter.window_limited + window_limited,
        }
    }

    /// Whether the timer of this kind is armed, and for when.
    pub(crate) fn timer(&self, kind: TimerKind) -> Option<Instant> {
        self.timers.deadline(kind)
    }

    /// Something arrived that no ACK has covered yet.
    pub(crate) fn owes_ack(&self) -> bool {
        self.ack.due().is_some() || self.ack.has_unacknowledged()
    }

    /// An ACK is due with the next output.
    fn acknowledge_at_once(&mut self, reason: SendReason) {
        self.ack.at_once(reason);
    }
}
