//! The clock of our timestamps (RFC 7323 §5.4).

use crate::{Duration, Instant};

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

    /// The flow label of the connection's IPv6 packets: one value, hard to guess (RFC 6437 §3), and
    /// the same from the SYN-ACK to TIME-WAIT.
    pub(crate) fn flow_label(&self) -> u32 {
        // Not the offset itself, which anybody can read off a timestamp.
        (self.offset ^ self.offset.rotate_left(13)) & 0xf_ffff
    }

    /// The round trip that an echoed value tells; none for a value we cannot have sent
    /// (requirement 7323-RTT4).
    pub(crate) fn round_trip(&self, now: Instant, echo: u32) -> Option<Duration> {
        let age = self.value(now).wrapping_sub(echo) as i32;
        let lifetime = self.value(now).wrapping_sub(self.first);
        let ticks = u32::try_from(age).ok().filter(|ticks| echo != 0 && *ticks <= lifetime)?;
        // Less than a tick is at least not nothing (RFC 6298 §4).
        Some(Duration::from_millis(u64::from(ticks.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // req: IP6-14
    #[test]
    fn flow_labels_are_spread_over_their_twenty_bits() {
        let label = |seed: u32| Clock::new(Instant::ZERO, seed.wrapping_mul(0x9e37_79b9)).flow_label();
        let ones: u32 = (1..=1_000).map(|seed| label(seed).count_ones()).sum();
        assert!((9_500..10_500).contains(&ones), "{ones} of 20000 bits are set");
        assert!((1..=1_000).all(|seed| label(seed) < 1 << 20));
    }

    // req: 7323-RTT4
    #[test]
    fn only_values_that_can_have_been_sent_measure_a_round_trip() {
        let start = Instant::from_secs(100);
        let clock = Clock::new(start, 5);
        let now = start + Duration::from_millis(500);
        let value = clock.value(now);
        assert_eq!(clock.round_trip(now, value.wrapping_sub(40)), Some(Duration::from_millis(40)));
        assert_eq!(clock.round_trip(now, value), Some(Duration::from_millis(1)), "at least a tick");
        assert_eq!(clock.round_trip(now, value.wrapping_sub(500)), Some(Duration::from_millis(500)));
        assert_eq!(clock.round_trip(now, value.wrapping_sub(501)), None, "before the connection began");
        assert_eq!(clock.round_trip(now, value.wrapping_add(1)), None, "from the future");
        assert_eq!(clock.round_trip(now, 0), None);
    }
}
