//! What each timer does when it fires.

use super::transitions::Trigger;
use super::{Cx, Probe, Reset, Tcb};
use crate::config::{Keepalive, Retries};
use crate::recovery::Reneged;
use crate::{CloseReason, Event, Instant, LossReason, Record, SendReason, SoftError, State, TimerKind};

/// A window that opens and closes in turn must not put off what already waits.
fn earlier(running: Option<Instant>, at: Instant) -> Instant {
    running.map_or(at, |running| running.min(at))
}

impl Tcb {
    /// Fires every timer that is due, each once; what they arm anew is for the next call.
    pub(crate) fn on_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Reset> {
        let due = self.timers.take_all_due(cx.now);
        for kind in due.into_iter().flatten() {
            if self.state == State::Closed || self.state == State::TimeWait {
                break;
            }
            cx.record(&Record::Timer { kind });
            let reset = match kind {
                TimerKind::Retransmission if self.is_opening() => {
                    self.on_handshake_timeout(cx);
                    None
                }
                TimerKind::Retransmission => {
                    self.on_retransmission_timeout(cx);
                    None
                }
                TimerKind::Persist => self.on_persist_timeout(cx),
                TimerKind::DelayedAck => {
                    self.totals.delayed_acks = self.totals.delayed_acks.saturating_add(1);
                    self.acknowledge_at_once(SendReason::DelayedAck);
                    None
                }
                TimerKind::Keepalive => self.on_keepalive_timeout(cx),
                TimerKind::UserTimeout => {
                    // RFC 9293 §3.10.8: flush, tell the application, CLOSED.
                    self.end(cx, Trigger::Abort, self.timeout_reason());
                    None
                }
                TimerKind::Cork => {
                    self.push_to = self.send.end();
                    None
                }
                TimerKind::Orphan => self.on_orphan_timeout(cx),
                TimerKind::TimeWait => None,
            };
            if reset.is_some() {
                return reset;
            }
        }
        None
    }

    /// RFC 6298 §5.4 to §5.6.
    fn on_retransmission_timeout(&mut self, cx: &mut Cx<'_>) {
        if self.recovery.outstanding() == 0 {
            return;
        }
        if self.retries_exhausted(self.data_retries()) {
            self.end(cx, Trigger::Abort, self.timeout_reason());
            return;
        }
        self.retries = self.retries.saturating_add(1);
        self.totals.timeouts = self.totals.timeouts.saturating_add(1);
        self.warn_after_r1();
        let (lost, reneged) = self.recovery.on_timeout(self.snd.nxt, self.congestion.get_mut());
        if let Some(range) = lost {
            cx.record(&Record::Lost { reason: LossReason::Rto, range });
        }
        if reneged == Reneged::Yes {
            self.totals.reneged = self.totals.reneged.saturating_add(1);
        }
        let thin = self.recovery.outstanding() < 4 * u32::from(self.segment_size());
        if thin && self.retries <= self.config.thin_linear_timeouts {
            self.recovery.forget_back_off();
        }
        self.arm_retransmission(cx.now);
    }

    /// The window is closed: probe it (RFC 9293 §3.8.6.1); or it is open but silly, and what fits
    /// is sent all the same (§3.8.6.2.1).
    fn on_persist_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Reset> {
        if self.recovery.outstanding() == 0 && !self.has_unsent() {
            return None;
        }
        // A peer that answers may keep the window closed for ever (MUST-37), but not when nobody
        // waits any more (RFC 6429 §4).
        let probes_of_orphan = self.config.retries.orphan;
        let probed_enough = probes_of_orphan != Retries::NEVER && self.persist_backoff >= probes_of_orphan;
        if self.application.released && probed_enough {
            return self.abort(cx);
        }
        if self.retries_exhausted(self.data_retries()) {
            self.end(cx, Trigger::Abort, self.timeout_reason());
            return None;
        }
        self.retries = self.retries.saturating_add(1);
        self.warn_after_r1();
        self.persist_backoff = self.persist_backoff.saturating_add(1);
        if self.snd.usable_window() > 0 {
            self.override_silly_window = true;
        } else {
            self.probe = Some(Probe::Window);
        }
        self.arm_persist(cx.now);
        None
    }

    fn on_keepalive_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Reset> {
        let Keepalive { idle, interval, probes } = self.config.keepalive?;
        if self.recovery.outstanding() > 0 || self.has_unsent() {
            // Retransmission or persist finds out (trap 60).
            self.timers.arm(TimerKind::Keepalive, cx.now + idle);
            return None;
        }
        let silent = cx.now - self.rcv.last_heard;
        if silent < idle {
            self.timers.arm(TimerKind::Keepalive, self.rcv.last_heard + idle);
            return None;
        }
        // The user timeout, if there is one, decides instead of the count (requirement LNX-RTO-3).
        let given_up = match self.config.user_timeout {
            Some(timeout) => self.keepalive_probes > 0 && silent >= timeout,
            None => self.keepalive_probes >= probes,
        };
        if given_up {
            let reset = self.reset_here(cx.now);
            self.end(cx, Trigger::Abort, CloseReason::KeepaliveTimedOut);
            return Some(reset);
        }
        self.keepalive_probes = self.keepalive_probes.saturating_add(1);
        self.probe = Some(Probe::Keepalive);
        self.timers.arm(TimerKind::Keepalive, cx.now + interval);
        None
    }

    /// The peer lives. An answer to a probe starts the count and the idle time again, however the
    /// interval compares with the idle time.
    pub(super) fn heard(&mut self, now: Instant) {
        self.rcv.last_heard = now;
        if self.keepalive_probes > 0 {
            self.arm_keepalive(now);
        }
    }

    /// Lingering is over, or FIN-WAIT-2 has lasted long enough.
    fn on_orphan_timeout(&mut self, cx: &mut Cx<'_>) -> Option<Reset> {
        if self.state == State::FinWait2 {
            self.end(cx, Trigger::Abort, CloseReason::Finished);
            return None;
        }
        self.abort(cx)
    }

    // Arming.

    /// RFC 6298 §5.1, §5.3, §5.6.
    pub(super) fn arm_retransmission(&mut self, now: Instant) {
        self.timers.arm(TimerKind::Retransmission, now + self.recovery.rto(&self.config.rto));
    }

    /// The first probe after one RTO, then twice as long each time (SHLD-29, SHLD-30).
    pub(super) fn arm_persist(&mut self, now: Instant) {
        if self.timers.is_armed(TimerKind::Persist) {
            return;
        }
        let rto = self.recovery.rto(&self.config.rto);
        let wait = rto.doubled(u32::from(self.persist_backoff)).min(self.config.rto.max);
        let running = self.timers.deadline(TimerKind::Retransmission);
        self.timers.arm(TimerKind::Persist, earlier(running, now + wait));
    }

    /// The window is open again over data in flight: retransmission goes on where the probes end.
    pub(super) fn resume_retransmission(&mut self, now: Instant) {
        let running = self.timers.deadline(TimerKind::Persist);
        let at = now + self.recovery.rto(&self.config.rto);
        self.timers.arm(TimerKind::Retransmission, earlier(running, at));
    }

    pub(super) fn arm_keepalive(&mut self, now: Instant) {
        match self.config.keepalive {
            Some(keepalive) if self.state.is_synchronized() && self.state != State::TimeWait => {
                // An old idle connection is not probed many times at once.
                let at = (self.rcv.last_heard + keepalive.idle).max(now);
                self.keepalive_probes = 0;
                self.timers.arm(TimerKind::Keepalive, at);
            }
            _ => self.timers.disarm(TimerKind::Keepalive),
        }
    }

    /// The user timeout runs from the moment that something waits without progress (trap 61).
    pub(super) fn update_user_timeout(&mut self, now: Instant, progress: bool) {
        let Some(timeout) = self.config.user_timeout else { return };
        if self.recovery.outstanding() == 0 && !self.has_unsent() {
            self.timers.disarm(TimerKind::UserTimeout);
        } else if progress || !self.timers.is_armed(TimerKind::UserTimeout) {
            self.timers.arm(TimerKind::UserTimeout, now + timeout);
        }
    }

    // Counting.

    /// R2. The user timeout, if there is one, decides instead of the count (RFC 9293 §3.8.3); but
    /// what nobody holds any more ends by whichever comes first.
    fn data_retries(&self) -> u8 {
        match self.config.user_timeout {
            _ if self.application.released => self.config.retries.orphan,
            Some(_) => Retries::NEVER,
            None => self.config.retries.data,
        }
    }

    pub(super) fn retries_exhausted(&self, allowed: u8) -> bool {
        allowed != Retries::NEVER && self.retries >= allowed
    }

    /// R1 (RFC 9293 §3.8.3): the application hears of the trouble, once.
    pub(super) fn warn_after_r1(&mut self) {
        if self.retries >= self.config.retries.warn
            && !self.application.warned
            && self.config.report_soft_errors
        {
            self.application.warned = true;
            self.application.soft_error.get_or_insert(SoftError::Retransmitting);
            self.raise(Event::WARNING);
        }
    }

    /// What the network said last is a better reason than silence (RFC 9293 SHLD-25).
    pub(super) fn timeout_reason(&self) -> CloseReason {
        match self.application.soft_error {
            Some(SoftError::Unreachable) => CloseReason::Unreachable,
            _ => CloseReason::TimedOut,
        }
    }
}
