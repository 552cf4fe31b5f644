//! The fifth check: the ACK field, and what it sets free (RFC 9293 §3.10.7.4).

use super::input::{Answer, Ended, Rejected};
use super::transitions::Trigger;
use super::{Cx, Tcb};
use crate::recovery::{Ack, Acked};
use crate::wire::{Flags, SackBlocks, Segment};
use crate::{CloseReason, DropReason, Event, Record, SeqNumber, SeqRange, State, TimerKind};

impl Tcb {
    /// Fifth: the ACK field.
    pub(super) fn check_ack(&mut self, cx: &mut Cx<'_>, segment: &Segment<'_>) -> Result<Ended, Rejected> {
        if !segment.flags.ack() {
            return Err(Rejected::silently(DropReason::NoAck));
        }
        if self.state == State::SynReceived {
            let acceptable = segment.ack.after(self.snd.una) && segment.ack.before_eq(self.snd.nxt);
            if !acceptable {
                return Err(Rejected { reason: DropReason::AckOfUnsent, answer: Answer::Reset });
            }
            self.move_to(cx, Trigger::AckOfSyn);
            self.establish(cx, segment);
            self.close_if_queued(cx);
        }
        if segment.ack.after(self.snd.nxt) {
            return Err(Rejected { reason: DropReason::AckOfUnsent, answer: Answer::Challenge });
        }
        // RFC 5961 §5.2: an ACK older than the largest window was forged, or is very old.
        if segment.ack.before(self.snd.una - self.snd.max_wnd) {
            return Err(Rejected { reason: DropReason::AckTooOld, answer: Answer::Challenge });
        }
        Ok(self.take_ack(cx, segment))
    }

    /// The ACK field of a segment at RCV.NXT - 1, which is not acceptable as a whole.
    pub(super) fn take_late_ack(&mut self, cx: &mut Cx<'_>, segment: &Segment<'_>) {
        let synchronized = self.state.is_synchronized();
        if synchronized && segment.ack.after_eq(self.snd.una) && segment.ack.before_eq(self.snd.nxt) {
            self.take_ack(cx, segment);
        }
    }

    fn take_ack(&mut self, cx: &mut Cx<'_>, segment: &Segment<'_>) -> Ended {
        if self.timers.is_armed(TimerKind::Persist) {
            // An answered probe: the peer lives, and may keep its window closed (MUST-37).
            self.retries = 0;
            self.note_recovery();
        }
        if segment.ack.before(self.snd.una) {
            // An old ACK moves nothing; but the text of the segment counts (trap 7).
            return Ended::No;
        }
        let (blocks, only_dsack) = self.sound_sack_blocks(segment);
        let window = u32::from(segment.window) << self.snd.shift;
        let ack = Ack {
            now: cx.now,
            ack: segment.ack,
            next: self.snd.nxt,
            sack: blocks.as_slice(),
            duplicate: self.is_duplicate_ack(segment, window) && !only_dsack,
            timestamp_round_trip: self.timestamp_round_trip(cx.now, segment),
        };
        let acked = self.recovery.on_ack(&ack, self.congestion.get_mut(), &self.config.rto, cx.rings);
        self.record_ack(cx, &acked);
        let advanced = segment.ack - self.snd.una;
        if advanced > 0 {
            self.release(cx, segment.ack, advanced);
        }
        let was_closed = self.snd.wnd == 0;
        if self.snd.may_update_window(segment.seq, segment.ack) {
            self.snd.update_window(window, segment.seq, segment.ack);
        }
        if self.snd.window_edge().before(self.snd.nxt) && !self.application.released {
            // The window has shrunk below what was sent: what stays unacknowledged beyond it is no
            // sign that the peer is dead, while it speaks (RFC 9293 §3.8.6, SHLD-17). Nobody waits
            // for an orphan (RFC 6429 §4).
            self.retries = 0;
        }
        self.after_ack(cx, advanced > 0, acked.keep_timer, was_closed);
        self.fin_acknowledged(cx)
    }

    /// RFC 5681 §2: a duplicate ACK, as a peer without SACK sends it.
    fn is_duplicate_ack(&self, segment: &Segment<'_>, window: u32) -> bool {
        self.recovery.outstanding() > 0
            && segment.payload.is_empty()
            && !segment.flags.intersects(Flags::SYN.union(Flags::FIN))
            && segment.ack == self.snd.una
            && window == self.snd.wnd
    }

    /// The SACK blocks that can be true, without the D-SACK; and whether there was nothing but a
    /// D-SACK (RFC 2883 §5, requirement 2018-V).
    fn sound_sack_blocks(&mut self, segment: &Segment<'_>) -> (SackBlocks, bool) {
        let mut sound = SackBlocks::EMPTY;
        if !self.rcv.sack || segment.options.sack.is_empty() {
            return (sound, false);
        }
        let blocks = segment.options.sack.as_slice();
        let is_dsack = is_dsack(blocks, segment.ack);
        if is_dsack {
            self.totals.dsacks_received = self.totals.dsacks_received.saturating_add(1);
        }
        for block in blocks.iter().skip(usize::from(is_dsack)) {
            let above = block.start.after_eq(segment.ack) && block.start.after_eq(self.snd.una);
            if above && block.start.before(block.end) && block.end.before_eq(self.snd.nxt) {
                sound.push(*block);
            }
        }
        (sound, is_dsack && sound.is_empty())
    }

    fn record_ack(&mut self, cx: &mut Cx<'_>, acked: &Acked) {
        let Acked { bytes: _, round_trip, lost, entered_recovery, keep_timer: _ } = *acked;
        if let Some(sample) = round_trip {
            cx.record(&Record::RoundTrip { sample });
        }
        if let Some((reason, range)) = lost {
            cx.record(&Record::Lost { reason, range });
        }
        if entered_recovery {
            self.totals.fast_recoveries = self.totals.fast_recoveries.saturating_add(1);
        }
    }

    /// SND.UNA moves: what was written and is acknowledged is forgotten.
    fn release(&mut self, cx: &mut Cx<'_>, ack: SeqNumber, advanced: u32) {
        let fin_was_acknowledged = self.snd.acknowledges_fin(self.snd.una);
        let fin = u32::from(self.snd.acknowledges_fin(ack) && !fin_was_acknowledged);
        let bytes = u64::from(advanced - fin);
        self.snd.una = ack;
        self.send.release_to(cx.pool, self.send.base() + bytes);
        self.totals.bytes_acknowledged += bytes;
        if self.snd.small_to.before(ack) {
            self.snd.small_to = ack;
        }
        self.retries = 0;
        self.note_recovery();
        self.grow_send_buffer();
        self.wake_writer();
    }

    /// The peer is heard again: what was said of it before says nothing any more (RFC 1122
    /// §4.2.3.5, positive advice).
    pub(super) fn note_recovery(&mut self) {
        let warned = core::mem::take(&mut self.application.warned);
        if self.application.soft_error.take().is_some() || warned {
            self.raise(Event::RECOVERED);
        }
    }

    /// The timers that an ACK moves (RFC 6298 §5.2, §5.3).
    fn after_ack(&mut self, cx: &Cx<'_>, progress: bool, keep_timer: bool, was_closed: bool) {
        let now = cx.now;
        // The timer that overrides silly-window avoidance is not put off by what the peer says in the
        // meantime.
        let silly = !was_closed && self.recovery.outstanding() == 0 && self.has_unsent();
        if self.snd.wnd > 0 && !silly && self.timers.is_armed(TimerKind::Persist) {
            // The window is open again (trap 61: only the probes' back-off ends with it).
            if self.recovery.outstanding() > 0 {
                self.resume_retransmission(now);
            } else {
                self.timers.disarm(TimerKind::Persist);
            }
            self.persist_backoff = 0;
        }
        if self.snd.wnd == 0 && (self.recovery.outstanding() > 0 || self.has_unsent()) {
            self.arm_persist(now);
        } else if self.recovery.outstanding() == 0 {
            self.timers.disarm(TimerKind::Retransmission);
        } else if (progress && !keep_timer) || !self.timers.is_armed(TimerKind::Retransmission) {
            self.arm_retransmission(now);
        }
        self.update_user_timeout(now, progress);
    }

    /// The states that wait for the ACK of our FIN.
    fn fin_acknowledged(&mut self, cx: &mut Cx<'_>) -> Ended {
        if !self.snd.acknowledges_fin(self.snd.una) {
            return Ended::No;
        }
        match self.state {
            State::FinWait1 => {
                self.move_to(cx, Trigger::AckOfFin);
                self.raise(Event::FLUSHED);
                self.start_orphan_timer(cx.now);
                Ended::No
            }
            State::Closing => {
                self.raise(Event::FLUSHED);
                self.enter_time_wait(cx, Trigger::AckOfFin);
                Ended::Yes
            }
            State::LastAck => {
                self.raise(Event::FLUSHED);
                self.end(cx, Trigger::AckOfFin, CloseReason::Finished);
                Ended::Yes
            }
            _ => Ended::No,
        }
    }
}

/// RFC 2883 §5: the first block is a D-SACK if it lies below the ACK of the same segment, or within
/// the second block.
fn is_dsack(blocks: &[SeqRange], ack: SeqNumber) -> bool {
    match blocks {
        [first, ..] if first.end.before_eq(ack) && first.start.before(first.end) => true,
        [first, second, ..] => second.start.before_eq(first.start) && first.end.before_eq(second.end),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u32, end: u32) -> SeqRange {
        SeqRange::new(SeqNumber(start), SeqNumber(end))
    }

    // req: 2883-5
    // trap: 46
    #[test]
    fn a_dsack_is_told_by_the_segment_that_carries_it() {
        let ack = SeqNumber(5_001);
        assert!(is_dsack(&[range(4_001, 5_001)], ack));
        assert!(is_dsack(&[range(7_001, 8_001), range(7_001, 9_001)], ack));
        assert!(!is_dsack(&[range(7_001, 8_001), range(9_001, 9_501)], ack));
        assert!(!is_dsack(&[range(5_001, 6_001)], ack), "not below the ACK of the same segment");
        assert!(!is_dsack(&[], ack));
    }
}
