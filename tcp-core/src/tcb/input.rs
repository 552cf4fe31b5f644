//! SEGMENT ARRIVES (RFC 9293 §3.10.7.4): the checks in the RFC's order, each a function.

use super::{Cx, Reset, Tcb};
use crate::config::MissingTimestamp;
use crate::wire::{Flags, Segment};
use crate::{CloseReason, DropReason, Record, SendReason, SeqRange, State};

/// A segment that stops at one of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) reason: DropReason,
    pub(super) answer: Answer,
}

/// What the sender of a rejected segment hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing.
    Silence,
    /// An ACK of what we know.
    Ack,
    /// The same, limited as RFC 5961 §7 asks.
    Challenge,
    /// A RST.
    Reset,
}

impl Rejected {
    pub(super) const fn silently(reason: DropReason) -> Self {
        Self { reason, answer: Answer::Silence }
    }
}

/// What became of a segment, and the RST it earns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Why it stopped at a check, if it did.
    pub(crate) rejected: Option<DropReason>,
    pub(crate) reset: Option<Reset>,
}

/// How many segments the network merged into this one, for counting (RFC 9293 §3.8.6.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merged(pub(crate) u16);

impl Tcb {
    /// Takes one segment of this connection's peer, whose checksum is right.
    pub(crate) fn on_segment(&mut self, cx: &mut Cx<'_>, segment: &Segment<'_>, merged: Merged) -> Outcome {
        self.totals.segments_received += u64::from(merged.0);
        if !segment.payload.is_empty() {
            self.totals.data_segments_received += u64::from(merged.0);
        }
        let result = match self.state {
            State::SynSent => self.in_syn_sent(cx, segment),
            _ => self.in_synchronized(cx, segment, merged),
        };
        match result {
            Ok(()) => Outcome { rejected: None, reset: None },
            Err(rejected) => self.reject(cx, segment, rejected),
        }
    }

    fn in_synchronized(
        &mut self,
        cx: &mut Cx<'_>,
        segment: &Segment<'_>,
        merged: Merged,
    ) -> Result<(), Rejected> {
        if self.state == State::SynReceived && self.in_syn_received(cx, segment)? {
            return Ok(());
        }
        self.check_timestamp(cx, segment)?;
        let text = self.check_sequence(cx, segment)?;
        self.heard(cx.now);
        if self.check_reset(cx, segment)? == Ended::Yes {
            return Ok(());
        }
        // Third, security and compartment: labels of RFC 791 that no network uses.
        self.check_syn(segment)?;
        if self.check_ack(cx, segment)? == Ended::Yes {
            return Ok(());
        }
        if let Some(timestamps) = segment.options.timestamps.filter(|_| self.rcv.timestamps) {
            self.rcv.take_timestamp(cx.now, timestamps.value, segment.seq);
        }
        self.check_urgent(segment);
        match text {
            Text::Acceptable => self.take_text_and_fin(cx, segment, merged),
            Text::WindowClosed => {
                // The probe of a sender that waits for room (RFC 9293 §3.8.6.1).
                self.acknowledge_at_once(SendReason::Ack);
                Err(Rejected::silently(DropReason::OutOfWindow))
            }
        }
    }

    /// PAWS, before everything else (RFC 7323 §5.3 R1). A RST is never subjected to it (§5.2).
    fn check_timestamp(&mut self, cx: &Cx<'_>, segment: &Segment<'_>) -> Result<(), Rejected> {
        if !self.rcv.timestamps || segment.flags.rst() {
            return Ok(());
        }
        match segment.options.timestamps {
            Some(timestamps) if self.rcv.is_old_timestamp(timestamps.value, cx.now) => {
                self.totals.old_timestamps = self.totals.old_timestamps.saturating_add(1);
                Err(Rejected { reason: DropReason::OldTimestamp, answer: Answer::Ack })
            }
            Some(_) => Ok(()),
            // The SYN of a rebooted peer comes without what was agreed on before; it is judged as
            // a SYN.
            None if self.config.missing_timestamp == MissingTimestamp::Drop && !segment.flags.syn() => {
                Err(Rejected::silently(DropReason::NoTimestamp))
            }
            None => Ok(()),
        }
    }

    /// First: the sequence number (RFC 9293 §3.4, table 6).
    fn check_sequence(&mut self, cx: &mut Cx<'_>, segment: &Segment<'_>) -> Result<Text, Rejected> {
        let (start, length) = (segment.seq, segment.len());
        let window = SeqRange::new(self.rcv.nxt, self.rcv.edge);
        let acceptable = if window.is_empty() {
            length == 0 && start == self.rcv.nxt
        } else if length == 0 {
            window.contains(start)
        } else {
            // The last byte in the window, or the first; or the segment spans the window, which
            // the RFC's test misses although it holds all that is wanted (trap 1).
            window.contains(start)
                || window.contains(start + (length - 1))
                || SeqRange::new(start, start + length).contains(window.start)
        };
        if acceptable {
            return Ok(Text::Acceptable);
        }
        if start == self.rcv.nxt && !segment.flags.syn() {
            // The window is closed. ACK, RST and URG count all the same (MUST-66), and a FIN
            // without data needs no room (trap 14).
            let bare_fin = segment.flags.fin() && segment.payload.is_empty();
            return Ok(if bare_fin { Text::Acceptable } else { Text::WindowClosed });
        }
        Err(self.unacceptable(cx, segment))
    }

    fn unacceptable(&mut self, cx: &mut Cx<'_>, segment: &Segment<'_>) -> Rejected {
        if segment.flags.rst() {
            return Rejected::silently(DropReason::ResetOutOfWindow);
        }
        if segment.flags.syn() {
            return Rejected { reason: DropReason::SynChallenged, answer: Answer::Challenge };
        }
        // The peer lives: it answers keepalives this way, too.
        if segment.flags.ack() && segment.seq.before(self.rcv.nxt) {
            self.heard(cx.now);
        }
        // RCV.NXT - 1 is where probes stand, and FINs that are sent again; their ACK fields must
        // not be lost for ever (RFC 9293 appendix A.2, traps 2 to 4).
        if segment.flags.ack() && segment.seq + 1 == self.rcv.nxt && segment.len() <= 1 {
            self.take_late_ack(cx, segment);
        }
        self.report_old_data(segment);
        Rejected { reason: DropReason::OutOfWindow, answer: Answer::Ack }
    }

    /// A duplicate of what is already acknowledged is reported by D-SACK (RFC 2883 §4).
    fn report_old_data(&mut self, segment: &Segment<'_>) {
        let data = SeqRange::new(segment.seq, segment.seq + segment.payload.len() as u32);
        if data.is_empty() || data.start.after_eq(self.rcv.nxt) {
            return;
        }
        self.totals.duplicates = self.totals.duplicates.saturating_add(1);
        if self.rcv.sack {
            self.ack.report_duplicate(SeqRange::new(data.start, data.end.min(self.rcv.nxt)));
        }
    }

    /// Second: RST (RFC 9293 §3.10.7.4, RFC 5961 §3.2).
    fn check_reset(&mut self, cx: &mut Cx<'_>, segment: &Segment<'_>) -> Result<Ended, Rejected> {
        if !segment.flags.rst() {
            return Ok(Ended::No);
        }
        if segment.seq != self.rcv.nxt {
            // Only its first number counts: data on it does not reach into the window (§3.2).
            let within = SeqRange::new(self.rcv.nxt, self.rcv.edge).contains(segment.seq);
            return Err(match within {
                true => Rejected { reason: DropReason::ResetChallenged, answer: Answer::Challenge },
                false => Rejected::silently(DropReason::ResetOutOfWindow),
            });
        }
        let reason = match self.state {
            State::SynReceived => CloseReason::Refused,
            // Both streams are complete, or will never be asked for: "simply CLOSED".
            State::Closing | State::LastAck | State::TimeWait => CloseReason::Reset,
            State::CloseWait => CloseReason::BrokenPipe,
            _ => CloseReason::Reset,
        };
        self.end_by_reset(cx, reason);
        Ok(Ended::Yes)
    }

    /// Fourth: SYN. On a live connection it is challenged, whatever its number (RFC 5961 §4.2).
    fn check_syn(&self, segment: &Segment<'_>) -> Result<(), Rejected> {
        match segment.flags.syn() {
            true => Err(Rejected { reason: DropReason::SynChallenged, answer: Answer::Challenge }),
            false => Ok(()),
        }
    }

    /// Answers a segment that stopped at a check.
    fn reject(&mut self, cx: &mut Cx<'_>, segment: &Segment<'_>, rejected: Rejected) -> Outcome {
        let Rejected { reason, answer } = rejected;
        cx.record(&Record::Dropped { reason });
        let mut outcome = Outcome { rejected: Some(reason), reset: None };
        match answer {
            Answer::Silence => {}
            Answer::Ack => self.answer_unacceptable(cx, segment),
            Answer::Challenge => self.challenge(cx),
            Answer::Reset => outcome.reset = Reset::answering(segment),
        }
        outcome
    }

    /// The ACK that RFC 9293 §3.10.7.4 asks for. Data is always answered, since that carries news
    /// to loss recovery; what has none is answered now and then, so that no two ends can keep each
    /// other busy (trap 22).
    fn answer_unacceptable(&mut self, cx: &Cx<'_>, segment: &Segment<'_>) {
        let carries_data = !segment.payload.is_empty() || segment.flags.intersects(Flags::FIN);
        if carries_data || self.challenges.allow_invalid(cx.now, self.config.invalid_ack_interval) {
            self.ack.duplicate(false);
        }
    }

    /// RFC 5961 §7.
    fn challenge(&mut self, cx: &Cx<'_>) {
        if self.challenges.allow(cx.now, &self.config.challenge_acks) {
            self.totals.challenge_acks = self.totals.challenge_acks.saturating_add(1);
            self.acknowledge_at_once(SendReason::Challenge);
        } else {
            self.totals.challenge_acks_limited = self.totals.challenge_acks_limited.saturating_add(1);
        }
    }
}

/// Whether the text of a segment may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Acceptable,
    /// There is no room for it; everything else of the segment counts.
    WindowClosed,
}

/// Whether the connection is over, and the remaining checks fall away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Yes,
    No,
}
