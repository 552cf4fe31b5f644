//! One connection's state machine, without I/O, clock or randomness (RFC 9293 §3.10).
//!
//! The way of a segment in, one function a step, in the RFC's order:
//!
//! * `input.rs`: SEGMENT ARRIVES, from the first check to the eighth;
//! * `handshake.rs`: the states before ESTABLISHED, and `negotiate.rs`: what the SYNs settle;
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
mod clock;
mod close;
mod commands;
mod encode;
mod half_open;
mod handshake;
mod icmp;
mod input;
mod meter;
mod negotiate;
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
use crate::wire::IcmpKind;
use crate::{
    CloseReason, ConnConfig, ConnStats, Event, FourTuple, Instant, Observer, Record, SendReason, SeqNumber,
    SoftError, State, TimerKind, Totals,
};

pub(crate) use clock::Clock;
pub(crate) use commands::More;
pub use encode::{Framing, TxCaps, TxChecksum};
pub(crate) use encode::{PacketFields, write_packet};
pub(crate) use half_open::{HalfOpen, Timeout as HalfOpenTimeout, Verdict as HalfOpenVerdict};
pub(crate) use input::{Merged, Outcome};
pub(crate) use negotiate::ip_header_len;
pub(crate) use reset::Reset;
pub(crate) use time_wait::{TimeWait, Verdict as TimeWaitVerdict};

use acknowledge::Acknowledge;
use challenge::ChallengeLimit;
use meter::Meter;
use negotiate::{Negotiated, Offer};
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

/// What the application has asked for before there was a peer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Early {
    /// A write was refused: WRITABLE is owed.
    pub(crate) write_blocked: bool,
    pub(crate) corked: bool,
    pub(crate) read_shut: bool,
    pub(crate) write_shut: bool,
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
            meter: Meter::new(now),
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
        early: Early,
    ) -> Self {
        let HalfOpen { irs, iss, negotiated, clock, window, sent_at, retransmissions, .. } = *half_open;
        let mut tcb = Self::new(now, tuple, config, iss, clock, Opening::Passive);
        tcb.state = State::SynReceived;
        let Early { write_blocked, corked, read_shut, write_shut } = early;
        tcb.application.write_blocked = write_blocked;
        tcb.application.corked = corked;
        tcb.application.read_shut = read_shut;
        if write_shut {
            tcb.snd.fin = Fin::Queued;
        }
        tcb.handshake = Handshake { send_due: false, sent_at: Some(sent_at), retransmissions };
        tcb.snd.nxt = iss + 1;
        tcb.rcv.synchronize(irs);
        tcb.rcv.edge = tcb.rcv.nxt + u32::from(window);
        tcb.apply(sent_at, &negotiated);
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

    pub(crate) fn clock(&self) -> Clock {
        self.clock
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
        let (busy, window_limited) = self.meter.up_to(now);
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
            busy,
            window_limited,
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
