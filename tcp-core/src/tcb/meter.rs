//! How long there was something to send, and what held it up: what `TCP_INFO` calls busy time.

use crate::{Duration, Instant};

/// How long there was something to send, and what held it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Meter {
    limit: Limit,
    since: Instant,
    busy: Duration,
    window_limited: Duration,
}

impl Meter {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { limit: Limit::Application, since: now, busy: Duration::ZERO, window_limited: Duration::ZERO }
    }

    /// The time busy, and of that the time limited by the peer's window, up to now.
    pub(crate) fn up_to(&self, now: Instant) -> (Duration, Duration) {
        let mut meter = *self;
        meter.change(now, self.limit);
        (meter.busy, meter.window_limited)
    }

    pub(crate) fn change(&mut self, now: Instant, limit: Limit) {
        let since = now - self.since;
        match self.limit {
            Limit::Application => {}
            Limit::Congestion => self.busy += since,
            Limit::Window => {
                self.busy += since;
                self.window_limited += since;
            }
        }
        (self.limit, self.since) = (limit, now);
    }
}

/// What keeps output from sending more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    /// There is nothing to send.
    Application,
    /// The peer's window.
    Window,
    /// The congestion window, or Nagle's rule, which wait for ACKs alike.
    Congestion,
}
