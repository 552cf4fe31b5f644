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
