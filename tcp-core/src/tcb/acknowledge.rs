//! When an acknowledgement is due (RFC 9293 §3.8.6.3, RFC 5681 §4.2, RFC 2018 §4).
//!
//! Segments report here what they brought; output asks whether an ACK is owed. There is one
//! decision per drain, except for what the peer must count one by one: duplicate ACKs without
//! SACK, and D-SACKs.

use crate::config::AckConfig;
use crate::wire::SackBlocks;
use crate::{Duration, Instant, SendReason, SeqRange};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Acknowledge {
    /// Why an ACK must leave with the next output.
    due: Option<SendReason>,
    /// How many more copies of it.
    repeats: u8,
    /// Segments received in order that no ACK has covered.
    waiting: u16,
    /// Segments that are still acknowledged at once.
    quick: u8,
    pace: Pace,
    /// How long an ACK may wait for company.
    delay: Duration,
    last_data: Option<Instant>,
    /// Duplicates to report, the oldest first (RFC 2883).
    dsacks: SackBlocks,
}

/// How the application talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Pace {
    /// Mostly one way.
    Bulk,
    /// It answers what it receives, so that ACKs can ride on the answers.
    Interactive,
}

/// What the receiver of a data segment should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Acknowledge with the next output.
    Now,
    /// Acknowledge when this time has passed, if nothing carried the ACK before.
    After(Duration),
}

/// RFC 9293 §3.8.6.3 asks for an ACK for every second segment.
const EVERY: u16 = 2;
/// More copies of one ACK than this tell the peer nothing: three cause the retransmission.
const MAX_REPEATS: u8 = 16;

impl Acknowledge {
    pub(crate) fn new(config: &AckConfig) -> Self {
        Self {
            due: None,
            repeats: 0,
            waiting: 0,
            quick: config.quick,
            pace: Pace::Bulk,
            delay: config.min_delay,
            last_data: None,
            dsacks: SackBlocks::EMPTY,
        }
    }

    /// Data arrived, in order or not: adapt the delay to how fast it comes.
    pub(crate) fn on_data(&mut self, now: Instant, rto: Duration, config: &AckConfig) {
        let half_of_least = config.min_delay / 2;
        if let Some(last) = self.last_data {
            let gap = now - last;
            if gap <= half_of_least {
                self.delay = self.delay / 2 + half_of_least;
            } else if gap < self.delay {
                self.delay = self.delay / 2 + gap;
            } else if gap > rto {
                // After idling the peer is in slow start again, and wants ACKs (RFC 5681 §4.1).
                self.quick = config.quick;
                self.pace = Pace::Bulk;
            }
        }
        self.delay = self.delay.max(config.min_delay).min(config.max_delay);
        self.last_data = Some(now);
    }

    /// `segments` arrived in order.
    pub(crate) fn in_order(&mut self, segments: u16) -> Decision {
        self.waiting = self.waiting.saturating_add(segments);
        if self.quick > 0 && self.pace == Pace::Bulk {
            self.quick = self.quick.saturating_sub(u8::try_from(segments).unwrap_or(u8::MAX));
            self.at_once(SendReason::Ack);
        }
        self.decide()
    }

    /// An in-order FIN waits as data does, though never quickly: a prompt close answers it in one
    /// segment (RFC 1122 §4.2.3.2, scenario E2). With text it is one segment, which was counted.
    pub(crate) fn fin_in_order(&mut self, has_text: bool) -> Decision {
        self.waiting = self.waiting.saturating_add(u16::from(!has_text));
        self.decide()
    }

    fn decide(&mut self) -> Decision {
        if self.waiting >= EVERY {
            self.at_once(SendReason::Ack);
        }
        if self.due.is_some() { Decision::Now } else { Decision::After(self.delay) }
    }

    /// An ACK is due with the next output. A duplicate ACK keeps its name: the peer counts it.
    pub(crate) fn at_once(&mut self, reason: SendReason) {
        if self.due != Some(SendReason::DuplicateAck) {
            self.due = Some(reason);
        }
    }

    /// A segment out of order, or one that brought nothing new. Without SACK the peer counts
    /// duplicate ACKs, so each goes out.
    pub(crate) fn duplicate(&mut self, peer_counts: bool) {
        if self.due == Some(SendReason::DuplicateAck) {
            if peer_counts {
                self.repeats = (self.repeats + 1).min(MAX_REPEATS);
            }
        } else {
            self.due = Some(SendReason::DuplicateAck);
        }
    }

    /// A duplicate is to be reported (RFC 2883 §4), by one ACK only.
    pub(crate) fn report_duplicate(&mut self, range: SeqRange) {
        // One that finds no place goes unreported.
        self.dsacks.push(range);
    }

    pub(crate) fn due(&self) -> Option<SendReason> {
        self.due
    }

    /// The D-SACK block of the next segment that leaves.
    pub(crate) fn dsack(&self) -> Option<SeqRange> {
        self.dsacks.as_slice().first().copied()
    }

    pub(crate) fn has_unacknowledged(&self) -> bool {
        self.waiting > 0
    }

    pub(crate) fn delay(&self) -> Duration {
        self.delay
    }

    /// A segment that carried the acknowledgement was sent.
    pub(crate) fn sent(&mut self) {
        self.waiting = 0;
        // One whose segment had no place for it goes unreported: output must come to an end.
        if !self.dsacks.is_empty() {
            self.dsacks = self.dsacks.iter().skip(1).collect();
        }
        if self.repeats > 0 {
            self.repeats -= 1;
        } else if self.dsacks.is_empty() {
            self.due = None;
        }
    }

    /// Data was sent: if it came soon after the peer's, ACKs will ride on the next such answer.
    pub(crate) fn data_sent(&mut self, now: Instant) {
        if self.last_data.is_some_and(|last| now - last < self.delay) {
            self.pace = Pace::Interactive;
        }
    }

    /// `TCP_QUICKACK`: acknowledge at once for a while.
    pub(crate) fn quicken(&mut self, config: &AckConfig) {
        self.pace = Pace::Bulk;
        self.quick = config.quick.max(1);
        if self.waiting > 0 {
            self.at_once(SendReason::Ack);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConnConfig, SeqNumber};

    fn config(quick: u8) -> AckConfig {
        AckConfig { quick, ..ConnConfig::default().ack }
    }

    fn waiting(config: &AckConfig) -> Acknowledge {
        Acknowledge::new(config)
    }

    // req: SHLD-19, 5681-AK3
    // trap: 58
    #[test]
    fn every_second_segment_is_acknowledged_at_once_whatever_its_size() {
        let mut ack = waiting(&config(0));
        for _ in 0..5 {
            assert!(matches!(ack.in_order(1), Decision::After(_)));
            assert_eq!(ack.in_order(1), Decision::Now);
            ack.sent();
        }
    }

    // req: MUST-58
    #[test]
    fn a_batch_is_acknowledged_once() {
        let mut ack = waiting(&config(0));
        for _ in 0..10 {
            ack.in_order(1);
        }
        ack.sent();
        assert_eq!(ack.due(), None);
    }

    // req: LNX-ACK-1
    #[test]
    fn the_first_segments_are_acknowledged_quickly_and_again_after_idling() {
        let config = config(3);
        let mut ack = waiting(&config);
        let rto = Duration::from_millis(300);
        let mut at = Instant::ZERO;
        let mut one = |ack: &mut Acknowledge, gap| {
            at += Duration::from_millis(gap);
            ack.on_data(at, rto, &config);
            let decision = ack.in_order(1);
            ack.sent();
            decision
        };
        (0..3).for_each(|_| assert_eq!(one(&mut ack, 100), Decision::Now));
        assert!(matches!(one(&mut ack, 100), Decision::After(_)));
        assert_eq!(one(&mut ack, 301), Decision::Now);
    }

    #[test]
    fn the_delay_adapts_between_its_bounds() {
        let config = config(0);
        let mut ack = waiting(&config);
        let mut at = Instant::ZERO;
        let mut data = |ack: &mut Acknowledge, gap| {
            at += Duration::from_millis(gap);
            ack.on_data(at, Duration::from_secs(10), &config);
        };
        data(&mut ack, 0);
        assert_eq!(ack.delay(), Duration::from_millis(40));
        (0..20).for_each(|_| data(&mut ack, 39));
        assert!(ack.delay() > Duration::from_millis(70), "{:?}", ack.delay());
        (0..20).for_each(|_| data(&mut ack, 1));
        assert_eq!(ack.delay().as_millis(), 40);
    }

    // req: MUST-40
    #[test]
    fn the_delay_never_passes_its_greatest_value() {
        let config = AckConfig { max_delay: Duration::from_millis(60), ..config(0) };
        let mut ack = waiting(&config);
        for step in 0..100u64 {
            ack.on_data(Instant::from_millis(step * 39), Duration::from_secs(10), &config);
            assert!(ack.delay() <= Duration::from_millis(60));
        }
    }

    #[test]
    fn without_sack_each_duplicate_goes_out_within_a_bound() {
        let mut ack = waiting(&config(0));
        (0..3).for_each(|_| ack.duplicate(true));
        for _ in 0..3 {
            assert_eq!(ack.due(), Some(SendReason::DuplicateAck));
            ack.sent();
        }
        assert_eq!(ack.due(), None);
        (0..1_000).for_each(|_| ack.duplicate(true));
        (0..=MAX_REPEATS).for_each(|_| ack.sent());
        assert_eq!(ack.due(), None);
    }

    // req: 2883-1, 2883-2
    #[test]
    fn each_duplicate_is_reported_by_one_ack() {
        let mut ack = waiting(&config(0));
        let first = SeqRange::new(SeqNumber(1), SeqNumber(2));
        let second = SeqRange::new(SeqNumber(5), SeqNumber(6));
        for range in [first, second] {
            ack.duplicate(false);
            ack.report_duplicate(range);
        }
        for range in [first, second] {
            assert_eq!(ack.dsack(), Some(range));
            assert!(ack.due().is_some());
            ack.sent();
        }
        assert_eq!((ack.dsack(), ack.due()), (None, None));
    }

    // req: LNX-ACK-4
    #[test]
    fn quickening_answers_what_waits() {
        let mut ack = waiting(&config(0));
        assert!(matches!(ack.in_order(1), Decision::After(_)));
        ack.quicken(&config(0));
        assert_eq!(ack.due(), Some(SendReason::Ack));
        ack.sent();
        assert_eq!(ack.in_order(1), Decision::Now);
        ack.sent();
        assert!(matches!(ack.in_order(1), Decision::After(_)));
    }
}
