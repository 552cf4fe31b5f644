//! What was lost, and what is sent again: NewReno (RFC 6582), and SACK as in RFC 6675.
//!
//! The `Tcb` reports what it sends and what ACKs say; it asks [`Recovery::allowance`] and
//! [`Recovery::next_retransmission`]. `docs/decisions/recovery-and-congestion.md` fixes this interface.
//! Next: `rtt.rs` measures, `scoreboard.rs` remembers.

mod rtt;
mod scoreboard;

use crate::config::{MIN_SEGMENT_SIZE, RtoConfig};
use crate::congestion::{Congestion, Controller, Delivered};
use crate::{Duration, Instant, LossReason, SendReason, SeqNumber, SeqRange};

pub(crate) use rtt::RoundTrip;
pub(crate) use scoreboard::SpareRings;
use scoreboard::{Fate, Scoreboard};

/// RFC 5681 §3.2: the third duplicate ACK.
const DUPLICATE_THRESHOLD: u32 = 3;

/// Loss recovery of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Recovery {
    round_trip: RoundTrip,
    board: Scoreboard,
    phase: Phase,
    /// RFC 6582 §3.2: duplicate ACKs that do not cover more than this are about retransmissions.
    recover: SeqNumber,
    duplicate_acks: u32,
    /// What fast recovery without SACK adds to the window (RFC 5681 §3.2 steps 3 to 6); negative
    /// while partial ACKs deflate it (RFC 6582 §3.2 step 3).
    inflation: i64,
    /// How many more duplicate ACKs what is in flight can cause.
    duplicates_expected: u32,
    /// Bytes sent beyond the window on the first two duplicate ACKs (RFC 3042); no part of
    /// FlightSize.
    limited_transmit: u32,
    /// What was sent before this was sent with the window as the limit.
    limited_to: SeqNumber,
    backoff: u8,
    segment_size: u32,
    sack: bool,
}

/// Whether anything is being repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Nothing is wrong.
    Open,
    /// Losses found by ACKs are repaired until this is acknowledged.
    Recovery { until: SeqNumber, partial_ack_seen: bool, retransmitted: bool },
    /// Everything is sent again after a timeout until this is acknowledged; whether anything was
    /// since the last expiry.
    Loss { until: SeqNumber, advanced: bool },
}

/// What an ACK says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack<'a> {
    pub(crate) now: Instant,
    /// SEG.ACK; not after `next`.
    pub(crate) ack: SeqNumber,
    /// SND.NXT.
    pub(crate) next: SeqNumber,
    /// Sound SACK blocks between SND.UNA and SND.NXT, the D-SACK apart.
    pub(crate) sack: &'a [SeqRange],
    /// A duplicate ACK by RFC 5681 §2; only looked at without SACK.
    pub(crate) duplicate: bool,
    /// The round trip told by the echoed timestamp.
    pub(crate) timestamp_round_trip: Option<Duration>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acked {
    /// Bytes newly acknowledged, cumulatively.
    pub(crate) bytes: u32,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) lost: Option<(LossReason, SeqRange)>,
    pub(crate) entered_recovery: bool,
    /// RFC 6582 §3.2 step 3: a partial ACK that is not the first leaves the timer alone.
    pub(crate) keep_timer: bool,
}

impl Recovery {
    /// Nothing sent yet.
    pub(crate) fn new(initial_sequence: SeqNumber, config: &RtoConfig) -> Self {
        Self {
            round_trip: RoundTrip::new(config),
            board: Scoreboard::default(),
            phase: Phase::Open,
            // RFC 6582 §3.2 step 1.
            recover: initial_sequence,
            duplicate_acks: 0,
            inflation: 0,
            duplicates_expected: 0,
            limited_transmit: 0,
            limited_to: initial_sequence,
            backoff: 0,
            segment_size: u32::from(MIN_SEGMENT_SIZE),
            sack: false,
        }
    }

    /// The handshake has settled these.
    pub(crate) fn negotiated(&mut self, segment_size: u16, sack: bool) {
        self.segment_size = u32::from(segment_size.max(1));
        self.sack = sack;
    }

    /// A range is sent for the first time.
    pub(crate) fn on_sent(
        &mut self,
        now: Instant,
        range: SeqRange,
        controller: &dyn Controller,
        spare: &mut SpareRings,
    ) {
        self.board.adopt(spare);
        self.board.push(range, now);
        if self.is_limited_transmit() {
            // What goes beyond the window; with SACK the pipe has made room for it.
            let beyond = self.board.outstanding().saturating_sub(controller.window());
            self.limited_transmit = beyond.min(self.limited_transmit.saturating_add(range.len()));
        }
    }

    /// A range is sent again.
    pub(crate) fn on_retransmitted(&mut self, now: Instant, range: SeqRange) {
        self.board.retransmitted(range, now);
        if let Phase::Recovery { retransmitted, .. } = &mut self.phase {
            *retransmitted = true;
        }
    }

    /// Sending stopped because the congestion window was full.
    pub(crate) fn note_window_limited(&mut self, next: SeqNumber) {
        self.limited_to = next;
    }

    /// An acceptable ACK arrived.
    pub(crate) fn on_ack(
        &mut self,
        ack: &Ack<'_>,
        controller: &mut dyn Controller,
        config: &RtoConfig,
        spare: &mut SpareRings,
    ) -> Acked {
        let flight_before = self.board.in_flight();
        let limited = self.board.first().is_some_and(|first| first.range.start.before(self.limited_to));
        let newly_sacked: u32 = ack.sack.iter().map(|block| self.board.sack(*block)).sum();
        let removed = self.board.acknowledge(ack.ack);
        self.board.release(spare);
        let mut acked = Acked { bytes: removed.bytes, ..Acked::default() };
        // RFC 6675 §2: with SACK, whatever brings new blocks.
        let tells_of_a_duplicate = if self.sack { newly_sacked > 0 } else { ack.duplicate };

        if removed.bytes > 0 {
            // Karn: what was sent again is measured by the timestamp or not at all
            // (RFC 6298 §3); what was sent once, by our own clock, which is finer.
            acked.round_trip = removed.first_sent.map(|sent| ack.now - sent).or(ack.timestamp_round_trip);
            if let Some(sample) = acked.round_trip {
                self.take_sample(ack.now, sample, flight_before, config);
            }
            self.duplicate_acks = 0;
            // The marks come along, lest they seem to lie ahead after 2³¹ bytes. Only more than
            // `recover` counts, so it stays one behind.
            self.recover = self.recover.max(ack.ack - 1);
            self.limited_to = self.limited_to.max(ack.ack);
        } else if tells_of_a_duplicate {
            self.duplicate_acks = self.duplicate_acks.saturating_add(1);
        }

        let delivered = Delivered {
            now: ack.now,
            acknowledged: removed.bytes,
            flight_before,
            window_limited: limited,
            after_timeout: matches!(self.phase, Phase::Loss { .. }),
            round_trip: acked.round_trip,
        };
        match self.phase {
            Phase::Recovery { until, .. } if removed.bytes > 0 && ack.ack.after_eq(until) => {
                self.leave_recovery(controller);
            }
            Phase::Recovery { until, partial_ack_seen, retransmitted } => {
                acked.keep_timer = partial_ack_seen && removed.bytes > 0 && !self.sack;
                let partial_ack_seen = partial_ack_seen || removed.bytes > 0;
                self.phase = Phase::Recovery { until, partial_ack_seen, retransmitted };
                self.repair(ack, &mut acked);
            }
            Phase::Open | Phase::Loss { .. } => {
                if removed.bytes > 0 {
                    self.advance(ack.ack, &delivered, controller);
                }
                self.detect(ack, controller, &mut acked);
            }
        }
        acked
    }

    fn take_sample(&mut self, now: Instant, sample: Duration, flight: u32, config: &RtoConfig) {
        // RFC 7323 §4.2: with an ACK for every second segment, so many samples a round trip.
        let expected = flight.div_ceil(2 * self.segment_size);
        self.round_trip.sample(now, sample, expected, config);
        // RFC 6298 §5: the back-off ends with a valid sample, not before.
        self.backoff = 0;
    }

    /// New data is acknowledged outside of fast recovery.
    fn advance(&mut self, ack: SeqNumber, delivered: &Delivered, controller: &mut dyn Controller) {
        self.limited_transmit = 0;
        controller.on_ack(delivered);
        if let Phase::Loss { until, .. } = self.phase {
            self.phase =
                if ack.after_eq(until) { Phase::Open } else { Phase::Loss { until, advanced: true } };
        }
    }

    /// Looks for the sign of a loss: the third duplicate ACK, or SACKs above (RFC 6675 §5).
    fn detect(&mut self, ack: &Ack<'_>, controller: &mut dyn Controller, acked: &mut Acked) {
        let first_is_lost = match self.sack {
            true => {
                let marked = self.board.mark_lost_below_sacked(
                    (DUPLICATE_THRESHOLD - 1) * self.segment_size,
                    DUPLICATE_THRESHOLD,
                );
                acked.lost = marked.map(|range| (LossReason::Sack, range));
                marked.is_some() || self.duplicate_acks >= DUPLICATE_THRESHOLD
            }
            false => self.duplicate_acks == DUPLICATE_THRESHOLD,
        };
        if first_is_lost && self.may_enter(ack.ack) {
            self.enter_recovery(ack.next, controller, acked);
        }
    }

    /// RFC 6582 §3.2 step 2: duplicates caused by needless retransmissions acknowledge exactly
    /// `recover`. With SACK a needless retransmission brings no new block, so equality is fine
    /// (RFC 6675 §5.1).
    fn may_enter(&self, ack: SeqNumber) -> bool {
        if self.sack { ack.after_eq(self.recover) } else { ack.after(self.recover) }
    }

    fn enter_recovery(&mut self, next: SeqNumber, controller: &mut dyn Controller, acked: &mut Acked) {
        // RFC 5681 §3.2 step 2: limited transmit's bytes do not count.
        let flight = self.board.outstanding() - self.limited_transmit.min(self.board.outstanding());
        controller.on_congestion(Congestion::Loss { flight });
        self.phase = Phase::Recovery { until: next, partial_ack_seen: false, retransmitted: false };
        self.recover = next;
        self.limited_transmit = 0;
        acked.entered_recovery = true;
        let marked = self.board.mark_first_lost(self.segment_size);
        if acked.lost.is_none() {
            acked.lost = marked.map(|range| (LossReason::DuplicateAcks, range));
        }
        if !self.sack {
            self.expect_duplicates();
            // RFC 5681 §3.2 step 3.
            self.inflation = i64::from(DUPLICATE_THRESHOLD * self.segment_size);
        }
    }

    /// An ACK within fast recovery.
    fn repair(&mut self, ack: &Ack<'_>, acked: &mut Acked) {
        let partial = acked.bytes > 0;
        if self.sack {
            let marked = self
                .board
                .mark_lost_below_sacked((DUPLICATE_THRESHOLD - 1) * self.segment_size, DUPLICATE_THRESHOLD);
            acked.lost = marked.map(|range| (LossReason::Sack, range));
            let first_was_never_sent_again =
                self.board.first().is_some_and(|first| first.fate == Fate::InFlight && !first.retransmitted);
            if partial && first_was_never_sent_again {
                self.partial_ack(acked);
            }
            return;
        }
        if partial {
            // RFC 6582 §3.2 step 3: deflate by what was acknowledged, and add one segment back.
            self.inflation -= i64::from(acked.bytes);
            if acked.bytes >= self.segment_size {
                self.inflation += i64::from(self.segment_size);
            }
            self.expect_duplicates();
            self.partial_ack(acked);
        } else if ack.duplicate {
            // RFC 5681 §3.2 step 4; as often as segments were in flight, since further duplicates
            // are forged.
            if self.duplicates_expected > 0 {
                self.duplicates_expected -= 1;
                self.inflation += i64::from(self.segment_size);
            }
        }
    }

    fn expect_duplicates(&mut self) {
        self.duplicates_expected = self.board.outstanding().div_ceil(self.segment_size);
    }

    fn partial_ack(&mut self, acked: &mut Acked) {
        if let Some(range) = self.board.mark_first_lost(self.segment_size) {
            acked.lost = acked.lost.or(Some((LossReason::PartialAck, range)));
        }
    }

    fn leave_recovery(&mut self, controller: &mut dyn Controller) {
        self.phase = Phase::Open;
        self.inflation = 0;
        self.duplicate_acks = 0;
        controller.on_recovered(self.board.in_flight());
    }

    /// The retransmission timer expired: everything is taken for lost, and sent again one segment
    /// first (RFC 6298 §5.4 to §5.6). Gives what was taken for lost, and whether the receiver must
    /// have taken data back.
    pub(crate) fn on_timeout(
        &mut self,
        next: SeqNumber,
        controller: &mut dyn Controller,
    ) -> (Option<SeqRange>, Reneged) {
        // Once for each segment that the timer sends again (RFC 5681 §3.1, equation 4).
        let first = !matches!(self.phase, Phase::Loss { advanced: false, .. });
        controller.on_congestion(Congestion::Timeout { flight: self.board.outstanding(), first });
        // RFC 2018 §8: the first range cannot be SACKed unless the receiver has dropped it since.
        let reneged = match self.board.first() {
            Some(first) if first.fate == Fate::Sacked => {
                self.board.forget_sacks();
                Reneged::Yes
            }
            _ => Reneged::No,
        };
        let lost = self.board.mark_all_lost();
        // What is sent again is limited by the loss window, however little was sent before: it
        // must grow again (RFC 5681 §3.1).
        self.limited_to = next;
        self.phase = Phase::Loss { until: next, advanced: false };
        // RFC 6582 §3.2 step 4.
        self.recover = next;
        self.duplicate_acks = 0;
        self.inflation = 0;
        self.limited_transmit = 0;
        self.back_off();
        (lost, reneged)
    }

    /// RFC 6298 §5.5.
    pub(crate) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// The next timeout is not longer than the last.
    pub(crate) fn forget_back_off(&mut self) {
        self.backoff = 0;
    }

    /// The handshake is over: its back-off does not apply to data (RFC 6298 §5.7).
    pub(crate) fn on_established(
        &mut self,
        now: Instant,
        round_trip: Option<Duration>,
        syn_retransmitted: bool,
        config: &RtoConfig,
    ) {
        self.backoff = 0;
        if let Some(sample) = round_trip {
            self.round_trip.sample(now, sample, 1, config);
        }
        if syn_retransmitted {
            self.round_trip.syn_was_lost(config);
        }
    }

    /// The path takes less than thought: what is larger in flight is cut and sent again at once
    /// (RFC 1191 §6.5). This is no sign of congestion.
    pub(crate) fn on_smaller_segments(&mut self, segment_size: u16) -> Option<SeqRange> {
        let smaller = u32::from(segment_size.max(1)) < self.segment_size;
        self.segment_size = u32::from(segment_size.max(1));
        if smaller { self.board.mark_lost_longer_than(self.segment_size) } else { None }
    }

    fn is_limited_transmit(&self) -> bool {
        self.phase == Phase::Open && (1..DUPLICATE_THRESHOLD).contains(&self.duplicate_acks)
    }

    /// The congestion window as it is in force now, inflation included.
    pub(crate) fn window(&self, controller: &dyn Controller) -> u32 {
        let inflated = i64::from(controller.window()) + self.inflation;
        u32::try_from(inflated.max(i64::from(self.segment_size))).unwrap_or(u32::MAX)
    }

    /// How many bytes may leave now.
    pub(crate) fn allowance(&self, controller: &dyn Controller) -> u32 {
        let mut window = self.window(controller);
        if self.is_limited_transmit() && !self.sack {
            // RFC 3042: one segment for each of the first two duplicate ACKs; cwnd stays.
            window = window.saturating_add(self.duplicate_acks * self.segment_size);
        }
        window.saturating_sub(self.board.in_flight())
    }

    /// The first range to send again, of at most `length` bytes, if it may leave now.
    pub(crate) fn next_retransmission(&self, controller: &dyn Controller, length: u32) -> Option<SeqRange> {
        let range = self.board.next_lost(length)?;
        // The retransmission that opens an episode leaves whatever the window says (RFC 5681 §3.2
        // step 3, RFC 6675 §5 (4.3)), and so do those that partial ACKs cause (RFC 6582 §3.2).
        let at_once = match self.phase {
            Phase::Recovery { retransmitted, .. } => !self.sack || !retransmitted,
            Phase::Open | Phase::Loss { .. } => false,
        };
        // Otherwise there must be room for a whole segment, however short this one is (RFC 6675 §5
        // (C)): what options have made no room for does not follow as a tail (RFC 2525 §2.14).
        (at_once || self.allowance(controller) >= self.segment_size).then_some(range)
    }

    /// Why what is lost is sent again.
    pub(crate) fn retransmission_reason(&self) -> SendReason {
        match self.phase {
            Phase::Loss { .. } => SendReason::Rto,
            Phase::Recovery { partial_ack_seen: true, .. } if !self.sack => SendReason::PartialAck,
            Phase::Recovery { .. } => SendReason::FastRetransmit,
            Phase::Open => SendReason::PathMtu,
        }
    }

    /// The retransmission timeout in force, back-off included (RFC 6298 §5.5).
    pub(crate) fn rto(&self, config: &RtoConfig) -> Duration {
        self.round_trip.timeout().doubled(u32::from(self.backoff)).min(config.max)
    }

    pub(crate) fn round_trip(&self) -> &RoundTrip {
        &self.round_trip
    }

    pub(crate) fn backoff(&self) -> u8 {
        self.backoff
    }

    pub(crate) fn duplicate_acks(&self) -> u32 {
        self.duplicate_acks
    }

    pub(crate) fn is_repairing(&self) -> bool {
        self.phase != Phase::Open
    }

    /// The first range that is not acknowledged.
    pub(crate) fn first_unacknowledged(&self) -> Option<SeqRange> {
        self.board.first().map(|first| first.range)
    }

    /// Bytes sent and not acknowledged.
    pub(crate) fn outstanding(&self) -> u32 {
        self.board.outstanding()
    }

    /// Bytes taken to be in the network.
    pub(crate) fn in_flight(&self) -> u32 {
        self.board.in_flight()
    }

    pub(crate) fn sacked(&self) -> u32 {
        self.board.sacked()
    }

    pub(crate) fn lost(&self) -> u32 {
        self.board.lost()
    }

    /// The connection is over: nothing is in flight any more.
    pub(crate) fn clear(&mut self, spare: &mut SpareRings) {
        self.board.clear(spare);
        self.phase = Phase::Open;
        self.inflation = 0;
    }
}

/// Whether the receiver took back what it had selectively acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reneged {
    Yes,
    No,
}
