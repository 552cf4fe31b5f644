//! One number for all variables of a connection, to tell whether two are alike.

use core::hash::{Hash, Hasher};

use siphasher::sip::SipHasher13;

use super::{HalfOpen, Tcb, TimeWait};

impl Tcb {
    /// Equal for two connections whose variables are all equal. What has no influence on anything
    /// sent or told (statistics, the configuration, where bytes lie in memory) is left out.
    pub(crate) fn digest(&self, time_wait: Option<&TimeWait>) -> u64 {
        let Self {
            config: _,
            tuple,
            state,
            opening,
            handshake,
            offer,
            snd,
            rcv,
            clock,
            send,
            receive,
            recovery,
            congestion,
            timers,
            ack,
            challenges,
            application,
            retries,
            keepalive_probes,
            persist_backoff,
            probe,
            override_silly_window,
            push_to,
            totals: _,
            meter: _,
        } = self;
        let mut hasher = SipHasher13::new();
        (tuple, state, opening, handshake, offer, snd, rcv, clock).hash(&mut hasher);
        (recovery, congestion, timers, ack, challenges, application).hash(&mut hasher);
        (retries, keepalive_probes, persist_backoff, probe, override_silly_window, push_to).hash(&mut hasher);
        (send.base(), send.end(), receive.read_position(), receive.next()).hash(&mut hasher);
        receive.out_of_order_ranges().for_each(|range| range.hash(&mut hasher));
        time_wait.hash(&mut hasher);
        hasher.finish()
    }
}

impl HalfOpen {
    /// Equal for two half-open connections whose variables are all equal.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = SipHasher13::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}
