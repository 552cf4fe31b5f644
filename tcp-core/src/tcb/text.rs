//! The sixth to eighth step: urgent pointer, text, FIN (RFC 9293 §3.10.7.4).

use super::acknowledge::Decision;
use super::input::{Answer, Merged, Rejected};
use super::rcv::UrgentByte;
use super::transitions::Trigger;
use super::{Cx, Tcb};
use crate::wire::{Flags, Segment};
use crate::{CloseReason, DropReason, Event, SendReason, SeqNumber, SeqRange, State, TimerKind};

impl Tcb {
    /// Sixth: URG. The pointer names the byte after the last urgent one (MUST-62), and only moves
    /// forward.
    pub(super) fn check_urgent(&mut self, segment: &Segment<'_>) {
        if !segment.flags.contains(Flags::URG) || segment.urgent == 0 || !self.state.can_receive() {
            return;
        }
        let Some(end) = self.receive_offset(segment.seq + u32::from(segment.urgent)) else { return };
        // What was read already is urgent no more.
        let read = self.receive.read_position();
        let known = self.rcv.urgent_to.map_or(read, |known| known.max(read));
        if end > known {
            self.rcv.urgent_to = Some(end);
            // The last byte of the mark before this one stays in the stream, as in Linux.
            self.rcv.urgent_byte = match self.config.urgent_inline {
                true => UrgentByte::Done,
                // The mark may come later than the byte.
                false => self.receive.byte_at(end - 1).map_or(UrgentByte::Awaited, UrgentByte::Here),
            };
            self.raise(Event::URGENT);
        }
    }

    /// Seventh and eighth: the text, and the FIN behind it.
    pub(super) fn take_text_and_fin(
        &mut self,
        cx: &mut Cx<'_>,
        segment: &Segment<'_>,
        merged: Merged,
    ) -> Result<(), Rejected> {
        if segment.payload.is_empty() && !segment.flags.fin() {
            return Ok(());
        }
        if !self.state.can_receive() {
            // The peer has said FIN: nothing can follow it.
            self.ack.duplicate(false);
            return Err(Rejected::silently(DropReason::AfterFin));
        }
        let text_end = segment.seq + segment.payload.len() as u32;
        if self.application.released && !segment.payload.is_empty() && text_end.after(self.rcv.nxt) {
            // Nobody will read it (RFC 9293 §3.6.1, SHLD-3; RFC 2525 §2.16).
            self.end(cx, Trigger::Abort, CloseReason::Aborted);
            return Err(Rejected { reason: DropReason::Released, answer: Answer::Reset });
        }
        self.ack.on_data(cx.now, self.recovery.rto(&self.config.rto), &self.config.ack);
        if text_end.after(self.rcv.edge) {
            // What lies beyond the window is trimmed away; the sender must send it again (trap 13).
            self.acknowledge_at_once(SendReason::Ack);
        }
        if self.take_text_of(cx, segment, merged) == Room::None {
            return Err(Rejected::silently(DropReason::NoRoom));
        }
        let has_text = !segment.payload.is_empty();
        if self.rcv.fin == Some(self.rcv.nxt) {
            // RFC 5681 §4.2: the hole before a FIN that came too early is filled.
            self.acknowledge_at_once(SendReason::Ack);
        }
        if segment.flags.fin() {
            self.note_fin(text_end, has_text);
        }
        self.take_fin_in_order(cx, has_text);
        Ok(())
    }

    /// Text that came with a SYN-ACK.
    pub(super) fn take_text(&mut self, cx: &mut Cx<'_>, segment: &Segment<'_>) {
        self.take_text_of(cx, segment, Merged(1));
    }

    fn take_text_of(&mut self, cx: &mut Cx<'_>, segment: &Segment<'_>, merged: Merged) -> Room {
        let Some((offset, text)) = self.trim(segment) else { return Room::Enough };
        let holes_before = self.receive.has_out_of_order();
        let inserted = self.receive.insert(cx.pool, offset, text);
        self.take_urgent_byte();
        if let Some(duplicate) = inserted.duplicate {
            self.report_duplicate(duplicate.start, duplicate.end);
        }
        if inserted.refused.is_some() {
            let refused = (text.len() as u64).saturating_sub(inserted.new_bytes);
            self.totals.pruned = self.totals.pruned.saturating_add(refused);
        }
        if inserted.advanced > 0 {
            // The window bounds what is taken at once to 30 bits.
            self.rcv.nxt += inserted.advanced as u32;
            self.totals.bytes_received += inserted.advanced;
            self.deliver(cx);
            if holes_before {
                // RFC 5681 §4.2: at once when a hole is filled, wholly or in part.
                self.acknowledge_at_once(SendReason::Ack);
            }
            let decision = self.ack.in_order(merged.0);
            self.schedule_ack(cx, decision);
        } else {
            // Out of order, nothing new, or no room: the peer hears at once.
            if inserted.block.is_some() {
                self.totals.out_of_order = self.totals.out_of_order.saturating_add(1);
            }
            self.ack.duplicate(!self.rcv.sack);
        }
        if inserted.refused.is_some() && inserted.new_bytes == 0 { Room::None } else { Room::Enough }
    }

    /// The part of the text that is within the window and before a FIN; with its stream offset. What
    /// lies before RCV.NXT stays, so that it can be reported.
    fn trim<'a>(&self, segment: &Segment<'a>) -> Option<(u64, &'a [u8])> {
        let mut end = self.rcv.edge;
        if let Some(fin) = self.rcv.fin {
            end = end.min(fin);
        }
        let room = usize::try_from(end.distance(segment.seq)).ok()?;
        let text = &segment.payload[..segment.payload.len().min(room)];
        // What stands before the stream's first byte is an old duplicate of the SYN's.
        let offset = i128::from(self.receive.next()) + i128::from(segment.seq.distance(self.rcv.nxt));
        let before_stream = usize::try_from((-offset).max(0)).ok()?;
        let text = text.get(before_stream..)?;
        let offset = u64::try_from(offset.max(0)).ok()?;
        (!text.is_empty()).then_some((offset, text))
    }

    /// The stream offset of a sequence number the peer used, as long as it may send; none before the
    /// stream's start.
    pub(super) fn receive_offset(&self, seq: SeqNumber) -> Option<u64> {
        self.receive.next().checked_add_signed(i64::from(seq.distance(self.rcv.nxt)))
    }

    /// The sequence number of a stream offset.
    pub(super) fn receive_seq(&self, offset: u64) -> SeqNumber {
        // Sequence numbers are the low 32 bits of the offset, by definition.
        self.rcv.irs + 1 + (offset as u32)
    }

    /// RFC 2883 §4: a duplicate is reported by the ACK that it causes.
    fn report_duplicate(&mut self, start: u64, end: u64) {
        self.totals.duplicates = self.totals.duplicates.saturating_add(1);
        if self.rcv.sack {
            let range = SeqRange::new(self.receive_seq(start), self.receive_seq(end));
            self.ack.report_duplicate(range);
            self.ack.duplicate(false);
        }
    }

    /// Data has become readable, or is dropped because nobody reads any more.
    fn deliver(&mut self, cx: &mut Cx<'_>) {
        if self.application.read_shut {
            let readable = self.receive.readable();
            self.receive.skip(cx.pool, readable);
        } else if self.reading_is_worthwhile() {
            self.wake_reader();
        }
    }

    /// Whether as much can be read as the application waits for, or as much as there is room for:
    /// with the window all but closed no more will come (`SO_RCVLOWAT`).
    pub(super) fn reading_is_worthwhile(&self) -> bool {
        let readable = self.receive.readable();
        let window_is_small = self.rcv.window() <= u32::from(self.rcv.mss);
        readable >= u64::from(self.config.receive_low_water) || (readable > 0 && window_is_small)
    }

    /// The last urgent byte, kept for `read_urgent`, once: in order or not, and not from what is
    /// sent again.
    fn take_urgent_byte(&mut self) {
        if self.rcv.urgent_byte != UrgentByte::Awaited {
            return;
        }
        let last = self.rcv.urgent_to.and_then(|end| end.checked_sub(1));
        if let Some(byte) = last.and_then(|last| self.receive.byte_at(last)) {
            self.rcv.urgent_byte = UrgentByte::Here(byte);
            self.raise(Event::URGENT);
        }
    }

    /// Eighth: FIN. It waits for the bytes before it (scenario E10); the first one counts.
    fn note_fin(&mut self, seq: SeqNumber, has_text: bool) {
        // What lies beyond the window was trimmed away, the FIN too; at its very edge it needs no
        // room and is taken (trap 14).
        let within = seq.after_eq(self.rcv.nxt) && seq.before_eq(self.rcv.edge);
        if !within {
            return;
        }
        self.rcv.fin.get_or_insert(seq);
        // Text out of order has asked for its duplicate ACK: there is one for each segment.
        if seq != self.rcv.nxt && !has_text {
            self.ack.duplicate(!self.rcv.sack);
        }
    }

    /// The peer's FIN is in order: the end of the stream.
    fn take_fin_in_order(&mut self, cx: &mut Cx<'_>, has_text: bool) {
        if self.rcv.fin != Some(self.rcv.nxt) {
            return;
        }
        self.rcv.nxt += 1;
        self.rcv.edge = self.rcv.edge.max(self.rcv.nxt);
        // What arrived ahead of its place, beyond the FIN, belongs to no stream.
        self.receive.discard_out_of_order(cx.pool);
        self.wake_reader();
        let decision = self.ack.fin_in_order(has_text);
        match self.state {
            State::Established => {
                self.move_to(cx, Trigger::Fin);
                self.schedule_ack(cx, decision);
            }
            State::FinWait1 => {
                self.move_to(cx, Trigger::Fin);
                // We have nothing more to say that the ACK could ride on.
                self.acknowledge_at_once(SendReason::Ack);
            }
            State::FinWait2 => self.enter_time_wait(cx, Trigger::Fin),
            _ => {}
        }
    }

    fn schedule_ack(&mut self, cx: &Cx<'_>, decision: Decision) {
        if let Decision::After(delay) = decision {
            if !self.timers.is_armed(TimerKind::DelayedAck) {
                self.timers.arm(TimerKind::DelayedAck, cx.now + delay);
            }
        }
    }
}

/// Whether any of a segment's text found room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Enough,
    None,
}
