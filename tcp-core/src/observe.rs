//! Watching: why each segment is sent, each timer fires, each loss is declared.
//!
//! The same reasons are read by observers, traces, captures and tests.

use core::fmt;

use crate::{DropReason, Duration, Instant, SeqNumber, SeqRange, State};

/// Why a segment is sent. Each segment has exactly one reason, the strongest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum SendReason {
    /// Opening: a SYN.
    Syn,
    /// Opening: a SYN-ACK.
    SynAck,
    /// Data, or a FIN, for the first time.
    Data,
    /// The retransmission timer expired (RFC 6298 §5.4).
    Rto,
    /// The third duplicate ACK (RFC 5681 §3.2), or SACK showed the loss (RFC 6675).
    FastRetransmit,
    /// A partial ACK in fast recovery (RFC 6582 §3.2).
    PartialAck,
    /// The first in flight no longer fits the path and is cut again.
    PathMtu,
    /// The peer's window is closed (RFC 9293 §3.8.6.1).
    WindowProbe,
    /// The peer is idle (RFC 9293 §3.8.4).
    Keepalive,
    /// The delay of an acknowledgement is over.
    DelayedAck,
    /// Two segments, or something that must be acknowledged at once.
    Ack,
    /// A segment out of order or a duplicate: an ACK that repeats the number.
    DuplicateAck,
    /// The receive window opens.
    WindowUpdate,
    /// A segment that is not acceptable (RFC 9293 §3.10.7.4, RFC 5961).
    Challenge,
    /// The connection is aborted.
    Abort,
    /// A segment for which there is no connection (RFC 9293 §3.5.2).
    Refuse,
    /// TIME-WAIT answers.
    TimeWait,
}

/// Which timer fired.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum TimerKind {
    /// Retransmission of SYN, data or FIN (RFC 6298).
    Retransmission,
    /// Probing a closed window (RFC 9293 §3.8.6.1), or sending into a small one.
    Persist,
    /// An acknowledgement has waited long enough.
    DelayedAck,
    /// The peer has been idle, or has not answered a probe.
    Keepalive,
    /// The user timeout (RFC 9293 §3.10.8).
    UserTimeout,
    /// Corked data has waited long enough.
    Cork,
    /// The end of lingering, or of an orphan's FIN-WAIT-2.
    Orphan,
    /// 2 MSL are over.
    TimeWait,
}

/// Why a segment in flight is taken for lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum LossReason {
    /// Three duplicate ACKs (RFC 5681 §3.2).
    DuplicateAcks,
    /// Enough was selectively acknowledged above it (RFC 6675 §4).
    Sack,
    /// A partial ACK (RFC 6582 §3.2).
    PartialAck,
    /// The retransmission timer (RFC 6298 §5.4).
    Rto,
    /// It is larger than what the path takes (RFC 1191).
    PathMtu,
}

/// One thing that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Record {
    /// A segment is sent.
    Sent {
        /// Why.
        reason: SendReason,
        /// The sequence numbers it takes.
        range: SeqRange,
        /// What it acknowledges.
        ack: SeqNumber,
    },
    /// A segment is dropped.
    Dropped {
        /// Why.
        reason: DropReason,
    },
    /// A timer fired.
    Timer {
        /// Which.
        kind: TimerKind,
    },
    /// Something in flight is taken for lost.
    Lost {
        /// Why.
        reason: LossReason,
        /// What.
        range: SeqRange,
    },
    /// The state changes.
    State {
        /// The state before.
        from: State,
        /// The state from now on.
        to: State,
    },
    /// A round trip was measured.
    RoundTrip {
        /// How long it took.
        sample: Duration,
    },
}

impl fmt::Display for SendReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syn => "SYN",
            Self::SynAck => "SYN-ACK",
            Self::Data => "data",
            Self::Rto => "retransmission timeout",
            Self::FastRetransmit => "fast retransmit",
            Self::PartialAck => "partial ACK",
            Self::PathMtu => "path MTU",
            Self::WindowProbe => "window probe",
            Self::Keepalive => "keepalive",
            Self::DelayedAck => "delayed ACK",
            Self::Ack => "ACK",
            Self::DuplicateAck => "duplicate ACK",
            Self::WindowUpdate => "window update",
            Self::Challenge => "challenge ACK",
            Self::Abort => "abort",
            Self::Refuse => "refusal",
            Self::TimeWait => "TIME-WAIT",
        })
    }
}

impl fmt::Display for TimerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retransmission => "retransmission",
            Self::Persist => "persist",
            Self::DelayedAck => "delayed ACK",
            Self::Keepalive => "keepalive",
            Self::UserTimeout => "user timeout",
            Self::Cork => "cork",
            Self::Orphan => "orphan",
            Self::TimeWait => "TIME-WAIT",
        })
    }
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DuplicateAcks => "duplicate ACKs",
            Self::Sack => "SACK",
            Self::PartialAck => "partial ACK",
            Self::Rto => "retransmission timeout",
            Self::PathMtu => "path MTU",
        })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { reason, range, ack } => write!(f, "sent {range} ack {ack}: {reason}"),
            Self::Dropped { reason } => write!(f, "dropped: {reason}"),
            Self::Timer { kind } => write!(f, "timer: {kind}"),
            Self::Lost { reason, range } => write!(f, "lost {range}: {reason}"),
            Self::State { from, to } => write!(f, "state: {from} -> {to}"),
            Self::RoundTrip { sample } => write!(f, "round trip: {sample}"),
        }
    }
}

/// Something that watches a connection.
///
/// ```
/// use tcp_core::{Instant, Observer, Record};
///
/// struct Losses(u32);
/// impl Observer for Losses {
///     fn observe(&mut self, _now: Instant, record: &Record) {
///         self.0 += u32::from(matches!(record, Record::Lost { .. }));
///     }
/// }
/// ```
pub trait Observer {
    /// Whether anything is watched at all; asked once per call, so that not watching is free.
    fn is_active(&self) -> bool {
        true
    }

    /// Something happened.
    fn observe(&mut self, now: Instant, record: &Record);
}

/// Nobody watches.
impl Observer for () {
    fn is_active(&self) -> bool {
        false
    }

    fn observe(&mut self, _now: Instant, _record: &Record) {}
}

impl<F: FnMut(Instant, &Record)> Observer for F {
    fn observe(&mut self, now: Instant, record: &Record) {
        self(now, record);
    }
}
