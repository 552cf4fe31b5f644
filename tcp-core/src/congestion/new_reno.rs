//! RFC 5681 with byte counting (RFC 3465): slow start, congestion avoidance, halving.

use super::{Congestion, Controller, Delivered};

/// The classic: one segment more per round trip, half after a loss.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewReno {
    segment_size: u32,
    window: u32,
    slow_start_threshold: u32,
    /// Bytes acknowledged in congestion avoidance that have not made a segment's growth yet.
    counted: u32,
    /// Window and threshold before the last congestion event, for undo.
    before: Option<(u32, u32)>,
}

/// RFC 3465 §2.3: slow start counts at most two segments per ACK.
const SLOW_START_LIMIT: u32 = 2;
/// The largest window that scaling can express: nothing more is ever useful.
const MAX_WINDOW: u32 = 1 << 30;

impl NewReno {
    /// A controller with the given initial values, in bytes.
    #[must_use]
    pub fn new(segment_size: u16, initial_window: u32, initial_ssthresh: Option<u32>) -> Self {
        Self {
            segment_size: u32::from(segment_size.max(1)),
            window: initial_window,
            // RFC 5681 §3.1: arbitrarily high at first.
            slow_start_threshold: initial_ssthresh.unwrap_or(MAX_WINDOW),
            counted: 0,
            before: None,
        }
    }

    /// RFC 5681 equation 4.
    fn half_of(&self, flight: u32) -> u32 {
        (flight / 2).max(2 * self.segment_size)
    }

    fn slow_start(&mut self, delivered: &Delivered) {
        let segments = if delivered.after_timeout { 1 } else { SLOW_START_LIMIT };
        let growth = delivered.acknowledged.min(segments * self.segment_size);
        self.window = self.window.saturating_add(growth).min(MAX_WINDOW);
    }

    /// RFC 3465 §2.1: a segment for each window of bytes acknowledged.
    fn avoid_congestion(&mut self, acknowledged: u32) {
        self.counted = self.counted.saturating_add(acknowledged);
        if self.counted >= self.window {
            // At most one segment per ACK, however much the ACK covers (RFC 5681 §3.1).
            self.counted = (self.counted - self.window).min(self.window);
            self.window = self.window.saturating_add(self.segment_size).min(MAX_WINDOW);
        }
    }
}

impl Controller for NewReno {
    fn window(&self) -> u32 {
        self.window
    }

    fn slow_start_threshold(&self) -> u32 {
        self.slow_start_threshold
    }

    fn on_ack(&mut self, delivered: &Delivered) {
        if !delivered.window_limited {
            return;
        }
        if self.window < self.slow_start_threshold {
            self.slow_start(delivered);
        } else {
            self.avoid_congestion(delivered.acknowledged);
        }
    }

    fn on_congestion(&mut self, congestion: Congestion) {
        match congestion {
            Congestion::Loss { flight } => {
                self.before = Some((self.window, self.slow_start_threshold));
                self.slow_start_threshold = self.half_of(flight);
                self.window = self.slow_start_threshold;
            }
            Congestion::Timeout { flight, first } => {
                if first {
                    self.before = Some((self.window, self.slow_start_threshold));
                    self.slow_start_threshold = self.half_of(flight);
                }
                // RFC 5681 §3.1: the loss window is one segment, whatever the initial window is.
                self.window = self.segment_size;
            }
        }
        self.counted = 0;
    }

    fn on_recovered(&mut self, flight: u32) {
        // RFC 6582 §3.2 step 3, option 1: no burst when little is left in flight.
        self.window = self.slow_start_threshold.min(flight.max(self.segment_size) + self.segment_size);
        self.before = None;
    }

    fn on_spurious(&mut self) {
        if let Some((window, threshold)) = self.before.take() {
            self.window = self.window.max(window);
            self.slow_start_threshold = self.slow_start_threshold.max(threshold);
        }
    }

    fn on_idle(&mut self, restart: u32) {
        self.window = self.window.min(restart);
    }

    fn on_segment_size(&mut self, segment_size: u16) {
        let new = u32::from(segment_size.max(1));
        if new < self.segment_size {
            // RFC 5681 §3.1: as many segments as before, so that no burst of small ones follows.
            let scaled = u64::from(self.window) * u64::from(new) / u64::from(self.segment_size);
            self.window = u32::try_from(scaled).unwrap_or(self.window).max(new);
        }
        self.segment_size = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instant;

    fn delivered(acknowledged: u32) -> Delivered {
        Delivered {
            now: Instant::ZERO,
            acknowledged,
            flight_before: 0,
            window_limited: true,
            after_timeout: false,
            round_trip: None,
        }
    }

    fn reno(window: u32, ssthresh: u32) -> NewReno {
        NewReno::new(1_000, window, Some(ssthresh))
    }

    // req: 5681-SS3
    #[test]
    fn splitting_acks_gains_nothing_in_slow_start() {
        let mut split = reno(10_000, 100_000);
        (0..1_000).for_each(|_| split.on_ack(&delivered(1)));
        assert_eq!(split.window(), 11_000);
    }

    // req: 3465-1, 3465-2
    #[test]
    fn slow_start_counts_at_most_two_segments_per_ack() {
        let mut reno = reno(10_000, 100_000);
        reno.on_ack(&delivered(2_000));
        assert_eq!(reno.window(), 12_000);
        reno.on_ack(&delivered(10_000));
        assert_eq!(reno.window(), 14_000);
    }

    // req: 3465-3
    #[test]
    fn slow_start_counts_one_segment_per_ack_after_a_timeout() {
        let mut reno = reno(10_000, 100_000);
        reno.on_ack(&Delivered { after_timeout: true, ..delivered(3_000) });
        assert_eq!(reno.window(), 11_000);
    }

    // req: 5681-CA1, 5681-CA2, 2525-6
    #[test]
    fn congestion_avoidance_adds_one_segment_per_round_trip() {
        let mut reno = reno(10_000, 10_000);
        for round in 1..=100 {
            let window = reno.window();
            (0..window / 500).for_each(|_| reno.on_ack(&delivered(500)));
            assert!(reno.window() <= 10_000 + round * 1_000, "round {round}");
        }
        assert!(reno.window() >= 10_000 + 99 * 1_000);
    }

    // req: 5681-SS1
    #[test]
    fn the_first_threshold_is_arbitrarily_high() {
        assert!(NewReno::new(1_460, 14_600, None).slow_start_threshold() >= 1 << 30);
    }

    // req: 5681-RTO1, 5681-RTO2, 5681-RTO3, 6928-4
    #[test]
    fn a_timeout_leaves_one_segment_and_half_of_the_flight() {
        let mut reno = reno(100_000, 1 << 30);
        reno.on_congestion(Congestion::Timeout { flight: 10_000, first: true });
        assert_eq!((reno.window(), reno.slow_start_threshold()), (1_000, 5_000));
        reno.on_congestion(Congestion::Timeout { flight: 10_000, first: false });
        reno.on_congestion(Congestion::Timeout { flight: 1_000, first: false });
        assert_eq!((reno.window(), reno.slow_start_threshold()), (1_000, 5_000));
    }

    // req: 5681-SS2, 5681-LR2
    #[test]
    fn each_episode_of_loss_halves() {
        let mut reno = reno(20_000, 1 << 30);
        reno.on_congestion(Congestion::Loss { flight: 20_000 });
        assert_eq!((reno.window(), reno.slow_start_threshold()), (10_000, 10_000));
        reno.on_congestion(Congestion::Loss { flight: 10_000 });
        assert_eq!((reno.window(), reno.slow_start_threshold()), (5_000, 5_000));
    }

    #[test]
    fn a_spurious_reduction_is_undone_once() {
        let mut reno = reno(20_000, 1 << 30);
        reno.on_congestion(Congestion::Loss { flight: 20_000 });
        reno.on_spurious();
        assert_eq!((reno.window(), reno.slow_start_threshold()), (20_000, 1 << 30));
        reno.on_congestion(Congestion::Timeout { flight: 20_000, first: true });
        reno.on_recovered(0);
        let after = reno.clone();
        reno.on_spurious();
        assert_eq!(reno, after, "nothing is left to undo");
    }

    // req: 5681-ID1, 6928-3
    #[test]
    fn idling_never_raises_the_window() {
        let mut reno = reno(40_000, 1 << 30);
        reno.on_idle(10_000);
        assert_eq!(reno.window(), 10_000);
        reno.on_congestion(Congestion::Loss { flight: 8_000 });
        reno.on_idle(10_000);
        assert_eq!(reno.window(), 4_000);
    }

    // req: 5681-IW4
    #[test]
    fn a_smaller_segment_size_scales_the_window() {
        let mut reno = reno(10_000, 1 << 30);
        reno.on_segment_size(500);
        assert_eq!(reno.window(), 5_000);
    }

    #[test]
    fn a_sender_that_is_not_limited_by_the_window_does_not_grow_it() {
        let mut reno = reno(10_000, 1 << 30);
        reno.on_ack(&Delivered { window_limited: false, ..delivered(10_000) });
        assert_eq!(reno.window(), 10_000);
    }
}
