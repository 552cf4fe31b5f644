//! Round-trip times and the retransmission timeout (RFC 6298).

use crate::config::RtoConfig;
use crate::{Duration, Instant};

/// The estimator of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RoundTrip {
    smoothed: Option<Duration>,
    variation: Duration,
    /// RTO without back-off.
    timeout: Duration,
    /// The least sample of the last [`MIN_WINDOW`], and when it was taken.
    minimum: Option<(Duration, Instant)>,
}

/// How long a minimum counts: long enough to see an empty queue, short enough to notice that the
/// path has become longer (RFC 8985 §6.2 step 1 asks for a windowed filter).
const MIN_WINDOW: Duration = Duration::from_secs(300);

/// RFC 6298 §5.7: the timeout for data after a SYN had to be repeated.
const AFTER_LOST_SYN: Duration = Duration::from_secs(3);

impl RoundTrip {
    /// RFC 6298 §2.1: the initial timeout holds until a round trip has been measured.
    pub(crate) fn new(config: &RtoConfig) -> Self {
        Self { smoothed: None, variation: Duration::ZERO, timeout: config.initial, minimum: None }
    }

    /// Takes a sample (RFC 6298 §2.2, §2.3). `samples_per_round_trip` keeps the history as long as
    /// with one sample a round trip, however many there are (RFC 7323 §4.2, appendix G).
    pub(crate) fn sample(
        &mut self,
        now: Instant,
        sample: Duration,
        samples_per_round_trip: u32,
        config: &RtoConfig,
    ) {
        let count = u64::from(samples_per_round_trip.max(1));
        let smoothed = match self.smoothed {
            None => {
                self.variation = sample / 2;
                sample
            }
            Some(smoothed) => {
                let deviation = if smoothed > sample { smoothed - sample } else { sample - smoothed };
                // The variation first, with the old smoothed value (RFC 6298 §2.3).
                self.variation = toward(self.variation, deviation, 4 * count);
                toward(smoothed, sample, 8 * count)
            }
        };
        self.smoothed = Some(smoothed);
        let variance_term = (self.variation * 4).max(config.granularity);
        self.timeout = (smoothed + variance_term).max(config.min).min(config.max);
        self.update_minimum(now, sample);
    }

    fn update_minimum(&mut self, now: Instant, sample: Duration) {
        let replace = match self.minimum {
            None => true,
            Some((minimum, taken)) => sample <= minimum || now - taken > MIN_WINDOW,
        };
        if replace {
            self.minimum = Some((sample, now));
        }
    }

    /// The SYN had to be repeated, and nothing has been measured (RFC 6298 §5.7).
    pub(crate) fn syn_was_lost(&mut self, config: &RtoConfig) {
        if self.smoothed.is_none() && self.timeout < AFTER_LOST_SYN {
            self.timeout = AFTER_LOST_SYN.min(config.max);
        }
    }

    /// RTO without back-off.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    pub(crate) fn variation(&self) -> Duration {
        self.variation
    }

    pub(crate) fn minimum(&self) -> Option<Duration> {
        self.minimum.map(|(minimum, _)| minimum)
    }
}

/// `from` moved by one `weight`th of the way to `to`.
fn toward(from: Duration, to: Duration, weight: u64) -> Duration {
    if to > from { from + (to - from) / weight } else { from - (from - to) / weight }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConnConfig;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn rfc() -> RtoConfig {
        RtoConfig { min: Duration::ZERO, ..ConnConfig::rfc().rto }
    }

    fn sampled(samples: &[u64], config: &RtoConfig) -> RoundTrip {
        let mut round_trip = RoundTrip::new(config);
        for sample in samples {
            round_trip.sample(Instant::ZERO, MS(*sample), 1, config);
        }
        round_trip
    }

    // req: 6298-2.1, 8961-1, 2525-7
    #[test]
    fn one_second_until_the_first_sample() {
        assert_eq!(RoundTrip::new(&ConnConfig::default().rto).timeout(), MS(1_000));
        assert_eq!(RoundTrip::new(&ConnConfig::rfc().rto).timeout(), MS(1_000));
    }

    // req: 6298-2.2
    #[test]
    fn the_first_sample_gives_three_times_itself() {
        let round_trip = sampled(&[100], &rfc());
        assert_eq!(round_trip.smoothed(), Some(MS(100)));
        assert_eq!(round_trip.variation(), MS(50));
        assert_eq!(round_trip.timeout(), MS(300));
    }

    // req: 6298-2.3
    #[test]
    fn the_variation_is_updated_before_the_smoothed_value() {
        let round_trip = sampled(&[100, 200], &rfc());
        assert_eq!(round_trip.variation(), Duration::from_micros(62_500));
        assert_eq!(round_trip.smoothed(), Some(Duration::from_micros(112_500)));
    }

    // req: 6298-2.3b, MUST-18
    #[test]
    fn twenty_samples_agree_with_the_formula() {
        let samples =
            [100u64, 120, 90, 300, 80, 100, 100, 100, 250, 60, 70, 400, 100, 90, 90, 110, 500, 100, 100, 100];
        let (mut smoothed, mut variation) = (samples[0] as f64, samples[0] as f64 / 2.0);
        for sample in &samples[1..] {
            variation = 0.75 * variation + 0.25 * (smoothed - *sample as f64).abs();
            smoothed = 0.875 * smoothed + 0.125 * *sample as f64;
        }
        let expected = ((smoothed + 4.0 * variation) * 1e6) as u64;
        let timeout = sampled(&samples, &rfc()).timeout().as_nanos();
        assert!(timeout.abs_diff(expected) < 1_000, "{timeout} is not {expected}");
    }

    // req: 6298-4
    #[test]
    fn without_variation_the_granularity_is_added() {
        let config = rfc();
        let round_trip = sampled(&[100; 1_000], &config);
        assert!(round_trip.timeout() >= MS(100) + config.granularity);
        assert!(round_trip.timeout() < MS(102));
    }

    // req: 6298-2.4, LNX-RTO-1
    #[test]
    fn the_floor_is_one_second_by_the_rfc_and_200_ms_above_the_round_trip_as_in_linux() {
        assert_eq!(sampled(&[1], &ConnConfig::rfc().rto).timeout(), MS(1_000));
        assert_eq!(sampled(&[1], &ConnConfig::linux().rto).timeout(), MS(201));
    }

    // req: 7323-RTT3
    #[test]
    fn many_samples_a_round_trip_weigh_as_much_as_one() {
        let config = rfc();
        let mut one = sampled(&[100], &config);
        let mut many = one.clone();
        one.sample(Instant::ZERO, MS(200), 1, &config);
        (0..50).for_each(|_| many.sample(Instant::ZERO, MS(200), 50, &config));
        let (one, many) = (one.smoothed().unwrap().as_millis(), many.smoothed().unwrap().as_millis());
        assert!(one.abs_diff(many) <= 2, "{one} ms against {many} ms");
    }

    // req: 6298-5.7
    #[test]
    fn three_seconds_after_a_lost_syn_unless_something_was_measured() {
        let config = rfc();
        let mut unmeasured = RoundTrip::new(&config);
        unmeasured.syn_was_lost(&config);
        assert_eq!(unmeasured.timeout(), MS(3_000));
        let mut measured = sampled(&[100], &config);
        measured.syn_was_lost(&config);
        assert_eq!(measured.timeout(), MS(300));
    }

    // req: 8985-S1
    #[test]
    fn the_minimum_follows_a_path_that_became_longer() {
        let config = rfc();
        let mut round_trip = sampled(&[10], &config);
        round_trip.sample(Instant::from_secs(200), MS(50), 1, &config);
        assert_eq!(round_trip.minimum(), Some(MS(10)));
        round_trip.sample(Instant::from_secs(301), MS(50), 1, &config);
        assert_eq!(round_trip.minimum(), Some(MS(50)));
    }
}
