//! The deadlines of one connection: a small table with a cached minimum.

use crate::{Instant, TimerKind};

/// The timers a connection has; the index into the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Slot {
    /// Retransmission or persist: they exclude each other (RFC 8985 §8), so they share a slot.
    Loss,
    DelayedAck,
    Keepalive,
    UserTimeout,
    Cork,
    Orphan,
}

/// What the shared slot is armed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) enum LossTimer {
    Retransmission,
    Persist,
}

const SLOTS: [Slot; 6] =
    [Slot::Loss, Slot::DelayedAck, Slot::Keepalive, Slot::UserTimeout, Slot::Cork, Slot::Orphan];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Timers {
    deadlines: [Option<Instant>; SLOTS.len()],
    next: Option<Instant>,
    loss: LossTimer,
}

impl Timers {
    pub(crate) const fn new() -> Self {
        Self { deadlines: [None; SLOTS.len()], next: None, loss: LossTimer::Retransmission }
    }

    /// The earliest deadline.
    pub(crate) const fn next(&self) -> Option<Instant> {
        self.next
    }

    pub(crate) fn arm(&mut self, kind: TimerKind, at: Instant) {
        match kind {
            TimerKind::Retransmission => self.loss = LossTimer::Retransmission,
            TimerKind::Persist => self.loss = LossTimer::Persist,
            _ => {}
        }
        self.set(slot(kind), Some(at));
    }

    /// Only the timer of this very kind: a persist timer stays when retransmission is disarmed.
    pub(crate) fn disarm(&mut self, kind: TimerKind) {
        if self.deadline(kind).is_some() {
            self.set(slot(kind), None);
        }
    }

    pub(crate) fn deadline(&self, kind: TimerKind) -> Option<Instant> {
        let shared = match kind {
            TimerKind::Retransmission => self.loss == LossTimer::Retransmission,
            TimerKind::Persist => self.loss == LossTimer::Persist,
            _ => true,
        };
        let slot = slot(kind)?;
        self.deadlines.get(slot as usize).copied().flatten().filter(|_| shared)
    }

    pub(crate) fn is_armed(&self, kind: TimerKind) -> bool {
        self.deadline(kind).is_some()
    }

    /// Takes out a timer that is due at `now`.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<TimerKind> {
        if self.next? > now {
            return None;
        }
        let due = SLOTS.into_iter().find(|slot| {
            self.deadlines.get(*slot as usize).copied().flatten().is_some_and(|deadline| deadline <= now)
        })?;
        self.set(Some(due), None);
        Some(match due {
            Slot::Loss => match self.loss {
                LossTimer::Retransmission => TimerKind::Retransmission,
                LossTimer::Persist => TimerKind::Persist,
            },
            Slot::DelayedAck => TimerKind::DelayedAck,
            Slot::Keepalive => TimerKind::Keepalive,
            Slot::UserTimeout => TimerKind::UserTimeout,
            Slot::Cork => TimerKind::Cork,
            Slot::Orphan => TimerKind::Orphan,
        })
    }

    /// Takes out all timers that are due at `now`, each once: what they arm anew is for the next call.
    pub(crate) fn take_all_due(&mut self, now: Instant) -> [Option<TimerKind>; SLOTS.len()] {
        core::array::from_fn(|_| self.take_due(now))
    }

    /// Nothing is due any more.
    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }

    fn set(&mut self, slot: Option<Slot>, at: Option<Instant>) {
        let Some(deadline) = slot.and_then(|slot| self.deadlines.get_mut(slot as usize)) else { return };
        if *deadline == at {
            return;
        }
        let old = core::mem::replace(deadline, at);
        // The minimum is recounted only if it was this timer's.
        self.next = match (self.next, at) {
            (next, _) if next == old => self.deadlines.iter().copied().flatten().min(),
            (Some(next), Some(at)) => Some(next.min(at)),
            (next, at) => next.or(at),
        };
    }
}

const fn slot(kind: TimerKind) -> Option<Slot> {
    match kind {
        TimerKind::Retransmission | TimerKind::Persist => Some(Slot::Loss),
        TimerKind::DelayedAck => Some(Slot::DelayedAck),
        TimerKind::Keepalive => Some(Slot::Keepalive),
        TimerKind::UserTimeout => Some(Slot::UserTimeout),
        TimerKind::Cork => Some(Slot::Cork),
        TimerKind::Orphan => Some(Slot::Orphan),
        // TIME-WAIT is a value of its own with one deadline.
        TimerKind::TimeWait => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [TimerKind; 7] = [
        TimerKind::Retransmission,
        TimerKind::Persist,
        TimerKind::DelayedAck,
        TimerKind::Keepalive,
        TimerKind::UserTimeout,
        TimerKind::Cork,
        TimerKind::Orphan,
    ];

    // req: 8985-TM, SIO-6
    #[test]
    fn retransmission_and_persist_exclude_each_other() {
        let mut timers = Timers::new();
        timers.arm(TimerKind::Retransmission, Instant::from_secs(1));
        timers.arm(TimerKind::Persist, Instant::from_secs(2));
        assert!(!timers.is_armed(TimerKind::Retransmission));
        timers.disarm(TimerKind::Retransmission);
        assert_eq!(timers.next(), Some(Instant::from_secs(2)));
        assert_eq!(timers.take_due(Instant::from_secs(2)), Some(TimerKind::Persist));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn the_minimum_is_always_the_earliest_deadline() {
        let mut timers = Timers::new();
        let mut state = 1u64;
        for _ in 0..10_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let kind = KINDS[(state >> 33) as usize % KINDS.len()];
            match (state >> 40) % 3 {
                0 => timers.disarm(kind),
                1 => timers.arm(kind, Instant::from_nanos((state >> 45) % 100)),
                _ => drop(timers.take_due(Instant::from_nanos((state >> 45) % 100))),
            }
            let earliest = KINDS.iter().filter_map(|kind| timers.deadline(*kind)).min();
            assert_eq!(timers.next(), earliest);
        }
    }
}
