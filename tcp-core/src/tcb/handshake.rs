//! The states before ESTABLISHED (RFC 9293 §3.5, §3.10.7.3).

use super::input::{Answer, Rejected};
use super::negotiate::{Negotiated, Offer, ip_header_len};
use super::transitions::Trigger;
use super::{Cx, Opening, Tcb};
use crate::congestion::{AnyController, initial_window};
use crate::wire::{Options, Segment, Timestamps};
use crate::{CloseReason, DropReason, Duration, Event, Instant, SendReason, State, TimerKind};

impl Tcb {
    /// SYN-SENT (RFC 9293 §3.10.7.3).
    pub(super) fn in_syn_sent(&mut self, cx: &mut Cx<'_>, segment: &Segment<'_>) -> Result<(), Rejected> {
        // First: the ACK. With nothing but a SYN sent, only ISS + 1 is acceptable.
        let acceptable =
            segment.flags.ack() && segment.ack.after(self.snd.iss) && segment.ack.before_eq(self.snd.nxt);
        if segment.flags.ack() && !acceptable {
            return Err(Rejected { reason: DropReason::AckOfUnsent, answer: Answer::Reset });
        }
        // Second: RST, which counts only with that ACK (RFC 5961 §3.2).
        if segment.flags.rst() {
            if !acceptable {
                return Err(Rejected::silently(DropReason::ResetOutOfWindow));
            }
            self.end(cx, Trigger::Reset, CloseReason::Refused);
            return Ok(());
        }
        // Fourth: SYN. What has neither SYN nor RST is dropped, a FIN too.
        if !segment.flags.syn() {
            return Err(Rejected::silently(DropReason::NotSyn));
        }
        if segment.flags.fin() {
            return Err(Rejected::silently(DropReason::SynWithFin));
        }
        self.take_syn(cx.now, segment);
        if acceptable {
            self.move_to(cx, Trigger::SynAck);
            self.establish(cx, segment);
            self.close_if_queued(cx);
            self.acknowledge_at_once(SendReason::Ack);
            self.after_syn_ack(cx, segment);
        } else {
            // Simultaneous open (RFC 9293 §3.5, figure 7).
            self.move_to(cx, Trigger::Syn);
            self.handshake.send_due = true;
            self.snd.update_window(u32::from(segment.window), segment.seq, segment.ack);
        }
        Ok(())
    }

    /// The peer's initial sequence number and options are known.
    fn take_syn(&mut self, now: Instant, segment: &Segment<'_>) {
        self.rcv.synchronize(segment.seq);
        self.rcv.edge = self.rcv.nxt + u32::from(self.offer.window);
        let ip_header_len = ip_header_len(&self.tuple);
        let negotiated = Negotiated::from_syn(&segment.options, ip_header_len, &self.offer, &self.config);
        self.apply(now, &negotiated);
    }

    /// A SYN-ACK may carry data (RFC 9293 §3.10.7.3: "continue at the sixth step").
    fn after_syn_ack(&mut self, cx: &mut Cx<'_>, segment: &Segment<'_>) {
        let rest = Segment { seq: segment.seq + 1, ..*segment };
        if rest.payload.is_empty() {
            return;
        }
        self.check_urgent(&rest);
        self.take_text(cx, &rest);
        self.acknowledge_at_once(SendReason::Ack);
    }

    /// The peer knows our SYN. Its window counts from now on.
    pub(super) fn establish(&mut self, cx: &mut Cx<'_>, segment: &Segment<'_>) {
        self.snd.una = self.snd.iss + 1;
        // The window of a SYN-ACK is never scaled (RFC 7323 §2.2).
        let shift = if segment.flags.syn() { 0 } else { self.snd.shift };
        self.snd.update_window(u32::from(segment.window) << shift, segment.seq, segment.ack);
        let round_trip = self.handshake_round_trip(cx.now, segment);
        let repeated = self.handshake.retransmissions;
        self.recovery.on_established(cx.now, round_trip, repeated > 0, &self.config.rto);
        self.handshake.send_due = false;
        self.retries = 0;
        self.note_recovery();
        self.timers.disarm(TimerKind::Retransmission);
        self.timers.disarm(TimerKind::UserTimeout);
        self.start_congestion_control(repeated);
        self.raise(Event::CONNECTED);
        self.wake_writer();
        self.rcv.last_heard = cx.now;
        self.arm_keepalive(cx.now);
    }

    /// RFC 6298 §3: from a SYN that was sent once by our clock, from one that was repeated only by
    /// its timestamp.
    fn handshake_round_trip(&self, now: Instant, segment: &Segment<'_>) -> Option<Duration> {
        if self.handshake.retransmissions == 0 {
            return self.handshake.sent_at.map(|sent| now - sent);
        }
        self.timestamp_round_trip(now, segment)
    }

    /// The round trip told by the segment's echo, if timestamps are in use.
    pub(super) fn timestamp_round_trip(&self, now: Instant, segment: &Segment<'_>) -> Option<Duration> {
        let timestamps = segment.options.timestamps.filter(|_| self.rcv.timestamps)?;
        self.clock.round_trip(now, timestamps.echo)
    }

    /// The initial window needs the segment size, so it comes after the options (trap 56).
    fn start_congestion_control(&mut self, syn_retransmissions: u8) {
        let segment_size = self.segment_size();
        let window = initial_window(self.config.initial_window, segment_size, syn_retransmissions);
        self.recovery.negotiated(segment_size, self.rcv.sack);
        self.congestion =
            AnyController::new(self.config.congestion, segment_size, window, self.config.initial_ssthresh);
    }

    /// The options of our SYN: all we offer.
    pub(super) fn syn_options(&self, now: Instant) -> Options {
        let Offer { mss, shift, sack, timestamps, .. } = self.offer;
        Options {
            mss: Some(mss),
            window_scale: shift,
            sack_permitted: sack,
            // Without ACK there is nothing to echo (RFC 7323 §3.2).
            timestamps: timestamps.then(|| Timestamps { value: self.clock.value(now), echo: 0 }),
            ..Options::NONE
        }
    }

    /// The options of our SYN-ACK in a simultaneous open.
    pub(super) fn syn_ack_options(&self, now: Instant) -> Options {
        let offered = self.syn_options(now);
        Options {
            window_scale: offered.window_scale.filter(|_| self.rcv.scaling),
            sack_permitted: self.rcv.sack,
            timestamps: self.timestamps(now),
            ..offered
        }
    }

    /// SYN-RECEIVED of a simultaneous open: what the general steps do not cover (RFC 9293
    /// §3.10.7.4, traps 3 and 21). True if the segment is dealt with.
    pub(super) fn in_syn_received(
        &mut self,
        cx: &mut Cx<'_>,
        segment: &Segment<'_>,
    ) -> Result<bool, Rejected> {
        if !segment.flags.syn() || segment.flags.rst() || segment.seq != self.rcv.irs {
            return Ok(false);
        }
        if !segment.flags.ack() {
            // The peer's SYN again: it has not seen our SYN-ACK.
            self.handshake.send_due = true;
            return Ok(true);
        }
        // The peer's SYN-ACK stands at RCV.NXT - 1 and fails the sequence test; its ACK is what
        // completes the handshake.
        if segment.ack != self.snd.iss + 1 {
            return Err(Rejected { reason: DropReason::AckOfUnsent, answer: Answer::Reset });
        }
        // Our SYN-ACK tells the peer the same, and no ACK need follow it (figure 7); unless both
        // its segments came before ours could leave.
        if self.handshake.send_due {
            self.acknowledge_at_once(SendReason::Ack);
        }
        if let Some(timestamps) = segment.options.timestamps.filter(|_| self.rcv.timestamps) {
            self.rcv.take_timestamp(cx.now, timestamps.value, segment.seq);
        }
        self.move_to(cx, Trigger::AckOfSyn);
        self.establish(cx, segment);
        self.close_if_queued(cx);
        self.after_syn_ack(cx, segment);
        Ok(true)
    }

    /// SYN and SYN-ACK are repeated by the same timer as data (MUST-22).
    pub(super) fn arm_handshake_timer(&mut self, now: Instant) {
        self.timers.arm(TimerKind::Retransmission, now + self.recovery.rto(&self.config.rto));
        if let Some(timeout) = self.config.user_timeout {
            if !self.timers.is_armed(TimerKind::UserTimeout) {
                self.timers.arm(TimerKind::UserTimeout, now + timeout);
            }
        }
    }

    /// The timer of SYN or SYN-ACK has expired.
    pub(super) fn on_handshake_timeout(&mut self, cx: &mut Cx<'_>) {
        let allowed = match self.opening {
            Opening::Active => self.config.retries.syn,
            Opening::Passive => self.config.retries.syn_ack,
        };
        // The user timeout, if there is one, is the only limit (RFC 9293 §3.8.3).
        if self.config.user_timeout.is_none() && self.retries_exhausted(allowed) {
            self.end(cx, Trigger::Abort, self.timeout_reason());
            return;
        }
        self.retries = self.retries.saturating_add(1);
        self.totals.timeouts = self.totals.timeouts.saturating_add(1);
        self.warn_after_r1();
        self.handshake.retransmissions = self.handshake.retransmissions.saturating_add(1);
        self.recovery.back_off();
        self.handshake.send_due = true;
        self.arm_handshake_timer(cx.now);
    }

    pub(super) fn is_opening(&self) -> bool {
        matches!(self.state, State::SynSent | State::SynReceived)
    }
}
