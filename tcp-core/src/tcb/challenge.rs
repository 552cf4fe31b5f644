//! How often a connection answers what it does not accept (RFC 5961 §7).
//!
//! Counted per connection: a counter shared with others would tell an attacker of them
//! (CVE-2016-5696).

use crate::config::RateLimit;
use crate::{Duration, Instant};

#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct ChallengeLimit {
    since: Option<Instant>,
    sent: u32,
    last_invalid: Option<Instant>,
}

impl ChallengeLimit {
    /// Whether a challenge ACK may be sent now; if so, it counts as sent.
    pub(crate) fn allow(&mut self, now: Instant, limit: &RateLimit) -> bool {
        if self.since.is_none_or(|since| now - since >= limit.interval) {
            self.since = Some(now);
            self.sent = 0;
        }
        if self.sent >= limit.count {
            return false;
        }
        self.sent += 1;
        true
    }

    /// Whether a segment without data that is not acceptable may be answered now. Two ends that
    /// each take the other's ACK for unacceptable would otherwise never fall silent.
    pub(crate) fn allow_invalid(&mut self, now: Instant, interval: Duration) -> bool {
        if self.last_invalid.is_some_and(|last| now - last < interval) {
            return false;
        }
        self.last_invalid = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // req: 5961-7a, 5961-7b
    #[test]
    fn so_many_in_each_interval() {
        let limit = RateLimit { count: 3, interval: Duration::from_secs(1) };
        let mut challenges = ChallengeLimit::default();
        let allowed = |challenges: &mut ChallengeLimit, at| {
            (0..10).filter(|_| challenges.allow(Instant::from_millis(at), &limit)).count()
        };
        assert_eq!(allowed(&mut challenges, 0), 3);
        assert_eq!(allowed(&mut challenges, 999), 0);
        assert_eq!(allowed(&mut challenges, 1_000), 3);
        let none = RateLimit { count: 0, interval: Duration::from_secs(1) };
        assert!(!ChallengeLimit::default().allow(Instant::ZERO, &none));
    }
}
