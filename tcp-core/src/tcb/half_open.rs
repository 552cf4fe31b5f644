//! A passive open between SYN and the third segment: a small value, without buffers.
//!
//! SYN-RECEIVED of a passive open (RFC 9293 §3.10.7.4). The shell that holds listeners asks it
//! what to do with each segment and timeout, and does it.

use super::Clock;
use super::negotiate::{Negotiated, Offer};
use super::rcv::TS_RECENT_LIFETIME;
use super::reset::Reset;
use crate::config::{ConnConfig, MissingTimestamp, Retries};
use crate::wire::{Flags, Options, Segment, Timestamps};
use crate::{DropReason, Duration, FourTuple, Instant, SendReason, SeqNumber};

#[cfg(test)]
mod tests;

/// What is remembered of a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HalfOpen {
    /// IRS.
    pub(crate) irs: SeqNumber,
    /// ISS.
    pub(crate) iss: SeqNumber,
    pub(crate) negotiated: Negotiated,
    pub(crate) clock: Clock,
    /// What the SYN-ACK promises, whatever the configuration says by now: no window is taken back.
    pub(crate) window: u16,
    /// When the SYN-ACK was first sent, for the first round trip.
    pub(crate) sent_at: Instant,
    deadline: Instant,
    pub(crate) retransmissions: u8,
    challenges: u8,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The handshake is complete: make a connection, and give it this segment.
    Promote,
    /// Send the SYN-ACK again.
    SynAck,
    /// Send an ACK of what is known (RFC 5961 §4), and drop the segment.
    Challenge(DropReason),
    /// Send this, and drop the segment.
    Reset(Reset),
    /// The peer takes its SYN back: forget it silently, the listener goes on.
    Forget,
    /// Drop the segment.
    Drop(DropReason),
}

/// What to do when the deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// It has not passed yet.
    NotYet,
    /// Send the SYN-ACK again.
    SynAck,
    /// The client has vanished.
    Forget,
}

impl HalfOpen {
    /// Answers a SYN (RFC 9293 §3.10.7.2). Data on the SYN is left un-acknowledged, so that the
    /// peer sends it again.
    pub(crate) fn new(
        now: Instant,
        syn: &Segment<'_>,
        iss: SeqNumber,
        clock: Clock,
        ip_header_len: u16,
        config: &ConnConfig,
    ) -> Self {
        let offer = Offer::new(ip_header_len, config);
        Self {
            irs: syn.seq,
            iss,
            negotiated: Negotiated::from_syn(&syn.options, ip_header_len, &offer, config),
            clock,
            window: offer.window,
            sent_at: now,
            deadline: now + config.rto.initial,
            retransmissions: 0,
            challenges: 0,
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Takes a segment of this connection's peer.
    pub(crate) fn on_segment(&mut self, now: Instant, segment: &Segment<'_>, config: &ConnConfig) -> Verdict {
        let next = self.irs + 1;
        let window = u32::from(self.window);
        if segment.flags.rst() {
            // RFC 5961 §3.2: exactly RCV.NXT, and nothing else, resets.
            return match segment.seq.distance(next) {
                0 => Verdict::Forget,
                distance if u32::try_from(distance).is_ok_and(|ahead| ahead < window) => {
                    self.challenge(DropReason::ResetChallenged, config)
                }
                _ => Verdict::Drop(DropReason::ResetOutOfWindow),
            };
        }
        if segment.flags.syn() {
            // The SYN again: the client has not seen our answer, and a pure ACK would not help it
            // (trap 21). Another SYN is challenged as on a live connection (RFC 5961 §4), rather
            // than forgetting the first: its sender may be forged.
            return match segment.seq == self.irs && !segment.flags.ack() {
                true => Verdict::SynAck,
                false => self.challenge(DropReason::SynChallenged, config),
            };
        }
        if !segment.flags.ack() {
            return Verdict::Drop(DropReason::NoAck);
        }
        if self.is_old(now, segment) {
            return self.challenge(DropReason::OldTimestamp, config);
        }
        let missing = self.negotiated.timestamp.is_some() && segment.options.timestamps.is_none();
        if missing && config.missing_timestamp == MissingTimestamp::Drop {
            return Verdict::Drop(DropReason::NoTimestamp);
        }
        if !in_window(segment, next, window) {
            return self.challenge(DropReason::OutOfWindow, config);
        }
        // RFC 9293 §3.10.7.4: SND.UNA < SEG.ACK =< SND.NXT, and only the SYN was sent.
        if segment.ack != self.iss + 1 {
            return match Reset::answering(segment) {
                Some(reset) => Verdict::Reset(reset),
                None => Verdict::Drop(DropReason::AckOfUnsent),
            };
        }
        Verdict::Promote
    }

    /// PAWS (RFC 7323 §5.3 R1).
    fn is_old(&self, now: Instant, segment: &Segment<'_>) -> bool {
        if now - self.sent_at > TS_RECENT_LIFETIME {
            return false;
        }
        match (self.negotiated.timestamp, segment.options.timestamps) {
            (Some(recent), Some(timestamps)) => (timestamps.value.wrapping_sub(recent) as i32) < 0,
            _ => false,
        }
    }

    fn challenge(&mut self, reason: DropReason, config: &ConnConfig) -> Verdict {
        if u32::from(self.challenges) >= config.challenge_acks.count.min(u32::from(u8::MAX)) {
            return Verdict::Drop(reason);
        }
        self.challenges = self.challenges.saturating_add(1);
        Verdict::Challenge(reason)
    }

    /// The deadline may have passed.
    pub(crate) fn on_timeout(&mut self, now: Instant, config: &ConnConfig) -> Timeout {
        if now < self.deadline {
            return Timeout::NotYet;
        }
        let allowed = config.retries.syn_ack;
        if allowed != Retries::NEVER && self.retransmissions >= allowed {
            return Timeout::Forget;
        }
        self.retransmissions = self.retransmissions.saturating_add(1);
        let wait: Duration = config.rto.initial.doubled(u32::from(self.retransmissions)).min(config.rto.max);
        self.deadline = now + wait;
        Timeout::SynAck
    }

    /// `<SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>`.
    pub(crate) fn syn_ack(&self, now: Instant, tuple: &FourTuple) -> Segment<'static> {
        Segment {
            src_port: tuple.local_port,
            dst_port: tuple.remote_port,
            seq: self.iss,
            ack: self.irs + 1,
            flags: Flags::SYN.union(Flags::ACK),
            window: self.window,
            urgent: 0,
            options: self.negotiated.syn_ack_options(self.timestamps(now)),
            payload: &[],
        }
    }

    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`, the challenge.
    pub(crate) fn challenge_ack(&self, now: Instant, tuple: &FourTuple) -> Segment<'static> {
        let shift = self.negotiated.receive_shift();
        Segment {
            seq: self.iss + 1,
            flags: Flags::ACK,
            // Rounded up: rounding down would take back what the SYN-ACK, which is not scaled,
            // has promised (RFC 7323 §2.4).
            window: self.window.div_ceil(1 << shift),
            options: Options { timestamps: self.timestamps(now), ..Options::NONE },
            ..self.syn_ack(now, tuple)
        }
    }

    /// The RST of an abort, where the peer expects it: at SND.NXT.
    pub(crate) fn reset(&self, now: Instant) -> Reset {
        let timestamps = self.timestamps(now);
        Reset { seq: self.iss + 1, ack: Some(self.irs + 1), timestamps, reason: SendReason::Abort }
    }

    fn timestamps(&self, now: Instant) -> Option<Timestamps> {
        let echo = self.negotiated.timestamp?;
        Some(Timestamps { value: self.clock.value(now), echo })
    }
}

/// RFC 9293 §3.10.7.4, table 6, for a window that is open.
fn in_window(segment: &Segment<'_>, next: SeqNumber, window: u32) -> bool {
    let edge = next + window;
    let inside = |seq: SeqNumber| next.before_eq(seq) && seq.before(edge);
    match segment.len() {
        0 => inside(segment.seq),
        length => inside(segment.seq) || inside(segment.seq + (length - 1)),
    }
}
