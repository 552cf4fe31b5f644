//! The send sequence variables (RFC 9293 §3.3.1).

use crate::{Instant, SeqNumber};

/// What we know of the sending direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Snd {
    /// ISS: our initial sequence number.
    pub(crate) iss: SeqNumber,
    /// SND.UNA: the oldest sequence number that is not acknowledged.
    pub(crate) una: SeqNumber,
    /// SND.NXT: the next sequence number that was never sent. Retransmission never turns it back,
    /// so an ACK of anything ever sent is at most this (traps 6 and 19).
    pub(crate) nxt: SeqNumber,
    /// SND.WND: the peer's window, scaled.
    pub(crate) wnd: u32,
    /// SND.WL1: SEG.SEQ of the last window update.
    pub(crate) wl1: SeqNumber,
    /// SND.WL2: SEG.ACK of the last window update.
    pub(crate) wl2: SeqNumber,
    /// Max(SND.WND): the largest window ever seen (RFC 9293 §3.8.6.2.1, RFC 5961 §5.2).
    pub(crate) max_wnd: u32,
    /// Snd.Wind.Shift; zero without window scaling (RFC 7323 §2.3).
    pub(crate) shift: u8,
    /// What a segment may carry, options included: Eff.snd.MSS of RFC 9293 §3.7.1 before options
    /// are taken off.
    pub(crate) mss: u16,
    /// SND.UP as a stream offset: the byte after the last urgent one.
    pub(crate) urgent_to: Option<u64>,
    pub(crate) fin: Fin,
    /// The end of the last segment sent that was not full (Minshall's SND.SML, RFC 9293 §A.3).
    pub(crate) small_to: SeqNumber,
    /// The last time anything was sent that takes sequence numbers.
    pub(crate) last_sent: Instant,
}

/// Our FIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fin {
    /// The application has not closed.
    Open,
    /// It follows the last byte written.
    Queued,
    /// It was sent with this sequence number.
    Sent(SeqNumber),
}

impl Snd {
    pub(crate) fn new(iss: SeqNumber, now: Instant) -> Self {
        Self {
            iss,
            una: iss,
            nxt: iss,
            wnd: 0,
            wl1: SeqNumber(0),
            wl2: SeqNumber(0),
            max_wnd: 0,
            shift: 0,
            mss: 0,
            urgent_to: None,
            fin: Fin::Open,
            small_to: iss,
            last_sent: now,
        }
    }

    /// The sequence number of the byte at `offset` of the stream. It wraps with the stream.
    pub(crate) fn seq_at(&self, offset: u64) -> SeqNumber {
        // Sequence numbers are the low 32 bits of the offset, by definition.
        self.iss + 1 + (offset as u32)
    }

    /// The right edge of the peer's window.
    pub(crate) fn window_edge(&self) -> SeqNumber {
        self.una + self.wnd
    }

    /// How much new the peer's window still takes; zero if it has shrunk below what was sent
    /// (RFC 9293 §3.8.6, MUST-34).
    pub(crate) fn usable_window(&self) -> u32 {
        u32::try_from(self.window_edge().distance(self.nxt)).unwrap_or(0)
    }

    /// RFC 9293 §3.10.7.4: take the window from a segment that is newer than the last, and not
    /// from one that overtook it.
    ///
    /// A segment that acknowledges more than any before it is newer, though it repeat old data:
    /// were its window not taken, SND.UNA would move without SND.WND, and with it the right edge
    /// beyond what the peer ever offered (as Linux's `tcp_may_update_window`).
    pub(crate) fn may_update_window(&self, seq: SeqNumber, ack: SeqNumber) -> bool {
        self.wl2.before(ack) || self.wl1.before(seq) || (self.wl1 == seq && self.wl2 == ack)
    }

    pub(crate) fn update_window(&mut self, window: u32, seq: SeqNumber, ack: SeqNumber) {
        self.wnd = window;
        self.wl1 = seq;
        self.wl2 = ack;
        self.max_wnd = self.max_wnd.max(window);
    }

    /// Whether our FIN was sent and `ack` covers it.
    pub(crate) fn acknowledges_fin(&self, ack: SeqNumber) -> bool {
        match self.fin {
            Fin::Sent(seq) => ack.after(seq),
            Fin::Open | Fin::Queued => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // req: MUST-34, SHLD-15
    // trap: 9
    #[test]
    fn a_window_that_shrank_below_what_was_sent_takes_nothing_new() {
        let mut snd = Snd::new(SeqNumber(100), Instant::ZERO);
        (snd.una, snd.nxt, snd.wnd) = (SeqNumber(101), SeqNumber(8_101), 2_000);
        assert_eq!(snd.usable_window(), 0);
        snd.wnd = 9_000;
        assert_eq!(snd.usable_window(), 1_000);
    }

    // req: 9293-EV-19
    // trap: 8
    #[test]
    fn only_newer_segments_update_the_window() {
        let mut snd = Snd::new(SeqNumber(100), Instant::ZERO);
        snd.update_window(1_000, SeqNumber(5_001), SeqNumber(101));
        assert!(snd.may_update_window(SeqNumber(5_001), SeqNumber(101)), "the same numbers, another window");
        assert!(snd.may_update_window(SeqNumber(5_002), SeqNumber(50)));
        assert!(!snd.may_update_window(SeqNumber(5_001), SeqNumber(100)));
        assert!(!snd.may_update_window(SeqNumber(5_000), SeqNumber(101)));
        assert!(snd.may_update_window(SeqNumber(4_001), SeqNumber(102)), "a retransmission with news");
    }
}
