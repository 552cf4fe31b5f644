//! What has been sent and not been acknowledged yet: in order of sequence, with its fate.
//!
//! Sums are kept, never recounted. What an ACK newly says is marked once; blocks that it repeats are
//! walked over again.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::{Instant, SeqNumber, SeqRange};

/// A range sent at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sent {
    pub(crate) range: SeqRange,
    /// The time of the last transmission.
    pub(crate) sent_at: Instant,
    pub(crate) fate: Fate,
    /// It was sent more than once: an ACK of it says nothing about the round trip (Karn).
    pub(crate) retransmitted: bool,
}

/// What is known of a range that is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    /// Taken to be in the network.
    InFlight,
    /// Selectively acknowledged.
    Sacked,
    /// Taken for lost, and not sent again since.
    Lost,
}

/// What a cumulative acknowledgement removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) bytes: u32,
    /// When the oldest range was sent that this ACK is the first to acknowledge; none if one of
    /// the ranges was sent more than once.
    pub(crate) first_sent: Option<Instant>,
    /// Whether one of the ranges had been sent more than once.
    pub(crate) retransmitted: bool,
}

/// The ranges in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Scoreboard {
    ranges: VecDeque<Sent>,
    sacked: u32,
    lost: u32,
    /// No range that ends at or before this is lost, so that the search for one starts here.
    lost_from: SeqNumber,
    /// All ranges below have been judged by [`mark_lost_below_sacked`](Self::mark_lost_below_sacked).
    judged_to: SeqNumber,
    highest_sacked: SeqNumber,
}

/// The memory of scoreboards that have nothing in flight, so that a connection that sends now and
/// then does not ask the allocator each time.
#[derive(Debug, Default)]
pub(crate) struct SpareRings(Vec<VecDeque<Sent>>);

impl SpareRings {
    /// So many rings are kept,
    const COUNT: usize = 16;
    /// and none with more places than this.
    const PLACES: usize = 1_024;

    fn keep(&mut self, ring: VecDeque<Sent>) {
        let useful = (1..=Self::PLACES).contains(&ring.capacity());
        if useful && self.0.len() < Self::COUNT {
            self.0.push(ring);
        }
    }
}

/// With so many ranges, SACK blocks cut no further: only ranges that lie wholly within a block are
/// marked. A peer that reports single bytes would make the scoreboard as large as the window, and
/// every ACK as expensive (CVE-2019-11478).
const MOST_CUT: usize = 8_192;

impl Scoreboard {
    /// Bytes sent and not acknowledged.
    pub(crate) fn outstanding(&self) -> u32 {
        match (self.ranges.front(), self.ranges.back()) {
            (Some(first), Some(last)) => last.range.end - first.range.start,
            _ => 0,
        }
    }

    /// RFC 6675's pipe: outstanding, less what has left the network.
    pub(crate) fn in_flight(&self) -> u32 {
        self.outstanding() - self.sacked - self.lost
    }

    pub(crate) fn sacked(&self) -> u32 {
        self.sacked
    }

    pub(crate) fn lost(&self) -> u32 {
        self.lost
    }

    pub(crate) fn first(&self) -> Option<&Sent> {
        self.ranges.front()
    }

    #[cfg(test)]
    pub(crate) fn ranges(&self) -> impl Iterator<Item = &Sent> {
        self.ranges.iter()
    }

    /// New data is sent. `range` follows the last.
    pub(crate) fn push(&mut self, range: SeqRange, now: Instant) {
        if self.ranges.is_empty() {
            self.lost_from = range.start;
            self.judged_to = range.start;
            self.highest_sacked = range.start;
        }
        self.ranges.push_back(Sent { range, sent_at: now, fate: Fate::InFlight, retransmitted: false });
    }

    /// Everything before `ack` is acknowledged.
    pub(crate) fn acknowledge(&mut self, ack: SeqNumber) -> Removed {
        let mut removed = Removed::default();
        while let Some(first) = self.ranges.front_mut() {
            if first.range.start.after_eq(ack) {
                break;
            }
            let end = first.range.end.min(ack);
            let bytes = end - first.range.start;
            removed.bytes += bytes;
            match first.fate {
                Fate::InFlight => {
                    if removed.first_sent.is_none() {
                        removed.first_sent = Some(first.sent_at);
                    }
                }
                // It was delivered before this ACK, so this ACK measures nothing.
                Fate::Sacked => self.sacked -= bytes,
                Fate::Lost => self.lost -= bytes,
            }
            removed.retransmitted |= first.retransmitted;
            if end == first.range.end {
                self.ranges.pop_front();
            } else {
                first.range.start = end;
            }
        }
        if removed.retransmitted {
            removed.first_sent = None;
        }
        // The marks come along, lest they seem to lie ahead after 2³¹ bytes.
        self.lost_from = self.lost_from.max(ack);
        self.judged_to = self.judged_to.max(ack);
        self.highest_sacked = self.highest_sacked.max(ack);
        removed
    }

    /// Takes memory that another scoreboard has used before, if nothing is in flight.
    pub(super) fn adopt(&mut self, spare: &mut SpareRings) {
        if self.ranges.capacity() == 0 {
            self.ranges = spare.0.pop().unwrap_or_default();
        }
    }

    /// The connection is over: nothing is in flight any more.
    pub(super) fn clear(&mut self, spare: &mut SpareRings) {
        let mut ranges = core::mem::take(self).ranges;
        ranges.clear();
        spare.keep(ranges);
    }

    /// Gives its memory back: nothing is held while nothing is in flight.
    pub(super) fn release(&mut self, spare: &mut SpareRings) {
        if self.ranges.is_empty() {
            spare.keep(core::mem::take(&mut self.ranges));
        }
    }

    /// The receiver holds `block`. Gives the bytes that were not known to be held.
    pub(crate) fn sack(&mut self, block: SeqRange) -> u32 {
        let mut newly = 0;
        let mut index = if self.ranges.len() < MOST_CUT {
            let Some(index) = self.split_at(block.start) else { return 0 };
            self.split_at(block.end);
            index
        } else {
            self.ranges.partition_point(|sent| sent.range.start.before(block.start))
        };
        while let Some(sent) = self.ranges.get_mut(index) {
            if sent.range.end.after(block.end) {
                break;
            }
            match sent.fate {
                Fate::Sacked => {}
                Fate::InFlight | Fate::Lost => {
                    if sent.fate == Fate::Lost {
                        self.lost -= sent.range.len();
                    }
                    sent.fate = Fate::Sacked;
                    self.sacked += sent.range.len();
                    newly += sent.range.len();
                    self.highest_sacked = self.highest_sacked.max(sent.range.end);
                }
            }
            index += 1;
        }
        newly
    }

    /// The index of the range that starts at `seq`, which is made if `seq` lies inside of one.
    /// None if `seq` lies outside of all, or at the end.
    fn split_at(&mut self, seq: SeqNumber) -> Option<usize> {
        let index = self.ranges.partition_point(|sent| sent.range.end.before_eq(seq));
        let sent = self.ranges.get_mut(index)?;
        if sent.range.start.after(seq) {
            return None;
        }
        if sent.range.start == seq {
            return Some(index);
        }
        let mut tail = *sent;
        sent.range.end = seq;
        tail.range.start = seq;
        self.ranges.insert(index + 1, tail);
        Some(index + 1)
    }

    /// Takes for lost what RFC 6675 §4 (IsLost) does: everything never sent again below which more
    /// than `limit` bytes, or `count` separate ranges, are SACKed. Gives the first such range.
    pub(crate) fn mark_lost_below_sacked(&mut self, limit: u32, count: u32) -> Option<SeqRange> {
        let threshold = self.lost_threshold(limit, count)?;
        let mut first = None;
        let from = self.ranges.partition_point(|sent| sent.range.end.before_eq(self.judged_to));
        for index in from..self.ranges.len() {
            let Some(sent) = self.ranges.get_mut(index) else { break };
            if sent.range.start.after_eq(threshold) {
                break;
            }
            if sent.fate == Fate::InFlight && !sent.retransmitted {
                sent.fate = Fate::Lost;
                self.lost += sent.range.len();
                self.lost_from = self.lost_from.min(sent.range.start);
                first = first.or(Some(sent.range));
            }
        }
        self.judged_to = self.judged_to.max(threshold);
        first
    }

    /// The sequence number below which everything un-SACKed is lost.
    fn lost_threshold(&self, limit: u32, count: u32) -> Option<SeqNumber> {
        if self.sacked == 0 {
            return None;
        }
        let top = self.ranges.partition_point(|sent| sent.range.start.before(self.highest_sacked));
        let (mut bytes, mut islands) = (0u32, 0u32);
        let mut island_start: Option<SeqNumber> = None;
        for sent in self.ranges.iter().take(top).rev() {
            if sent.fate != Fate::Sacked {
                island_start = None;
                continue;
            }
            if island_start != Some(sent.range.end) {
                islands += 1;
            }
            island_start = Some(sent.range.start);
            bytes += sent.range.len();
            if bytes > limit || islands >= count {
                return Some(sent.range.start);
            }
        }
        None
    }

    /// Takes the first `length` bytes for lost, if they are in flight. Gives what was marked.
    pub(crate) fn mark_first_lost(&mut self, length: u32) -> Option<SeqRange> {
        let start = self.first()?.range.start;
        self.split_at(start + length);
        let first = self.ranges.front_mut()?;
        if first.fate != Fate::InFlight {
            return None;
        }
        first.fate = Fate::Lost;
        let range = first.range;
        self.lost += range.len();
        self.lost_from = range.start;
        Some(range)
    }

    /// Takes everything for lost that is not SACKed (RFC 6298 §5.4: what is sent again starts from
    /// the front). Gives the range that spans it.
    pub(crate) fn mark_all_lost(&mut self) -> Option<SeqRange> {
        let span = SeqRange::new(self.first()?.range.start, self.ranges.back()?.range.end);
        for sent in &mut self.ranges {
            if sent.fate == Fate::InFlight {
                sent.fate = Fate::Lost;
                self.lost += sent.range.len();
            }
        }
        self.lost_from = span.start;
        Some(span)
    }

    /// Takes for lost what is longer than `length` and not SACKed. Gives the first such range.
    pub(crate) fn mark_lost_longer_than(&mut self, length: u32) -> Option<SeqRange> {
        let mut first = None;
        for sent in &mut self.ranges {
            if sent.fate == Fate::InFlight && sent.range.len() > length {
                sent.fate = Fate::Lost;
                self.lost += sent.range.len();
                self.lost_from = self.lost_from.min(sent.range.start);
                first = first.or(Some(sent.range));
            }
        }
        first
    }

    /// Forgets all selective acknowledgements (RFC 2018 §8: the receiver took data back).
    pub(crate) fn forget_sacks(&mut self) {
        for sent in &mut self.ranges {
            if sent.fate == Fate::Sacked {
                sent.fate = Fate::InFlight;
            }
        }
        self.sacked = 0;
        if let Some(first) = self.ranges.front() {
            self.judged_to = first.range.start;
            self.highest_sacked = first.range.start;
        }
    }

    /// The first lost range, as long as neighbours are lost too, up to `length` bytes.
    pub(crate) fn next_lost(&self, length: u32) -> Option<SeqRange> {
        if self.lost == 0 {
            return None;
        }
        let from = self.ranges.partition_point(|sent| sent.range.end.before_eq(self.lost_from));
        let mut lost = self.ranges.iter().skip(from).skip_while(|sent| sent.fate != Fate::Lost);
        let mut range = lost.next()?.range;
        for sent in lost {
            if range.len() >= length || sent.fate != Fate::Lost {
                break;
            }
            range.end = sent.range.end;
        }
        range.end = range.start + range.len().min(length);
        Some(range)
    }

    /// `range` is sent again.
    pub(crate) fn retransmitted(&mut self, range: SeqRange, now: Instant) {
        let Some(mut index) = self.split_at(range.start) else { return };
        self.split_at(range.end);
        while let Some(sent) = self.ranges.get_mut(index) {
            if sent.range.start.after_eq(range.end) {
                break;
            }
            if sent.fate == Fate::Lost {
                sent.fate = Fate::InFlight;
                self.lost -= sent.range.len();
            }
            sent.sent_at = now;
            sent.retransmitted = true;
            index += 1;
        }
        if self.lost_from.before(range.end) {
            self.lost_from = range.end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::ZERO;

    fn range(start: u32, end: u32) -> SeqRange {
        SeqRange::new(SeqNumber(start), SeqNumber(end))
    }

    /// `count` segments of 1000 from 101 on.
    fn board(count: u32) -> Scoreboard {
        let mut board = Scoreboard::default();
        for index in 0..count {
            board.push(
                range(101 + index * 1_000, 1_101 + index * 1_000),
                NOW + crate::Duration::from_millis(index.into()),
            );
        }
        board
    }

    fn check_sums(board: &Scoreboard) {
        let sum =
            |fate| board.ranges().filter(|sent| sent.fate == fate).map(|sent| sent.range.len()).sum::<u32>();
        assert_eq!(board.sacked(), sum(Fate::Sacked));
        assert_eq!(board.lost(), sum(Fate::Lost));
        assert_eq!(board.in_flight(), sum(Fate::InFlight));
        let ranges: Vec<_> = board.ranges().collect();
        assert!(ranges.windows(2).all(|pair| pair[0].range.end == pair[1].range.start));
    }

    // req: 2018-5a, 6675-U
    #[test]
    fn sack_of_half_a_segment_splits_it() {
        let mut board = board(3);
        assert_eq!(board.sack(range(1_601, 2_401)), 800);
        check_sums(&board);
        assert_eq!((board.sacked(), board.in_flight()), (800, 2_200));
        assert_eq!(board.sack(range(1_601, 2_401)), 0, "reported again");
    }

    // req: 6675-L
    #[test]
    fn lost_means_three_islands_or_more_than_two_segments_above() {
        let mut two_islands = board(10);
        two_islands.sack(range(2_101, 3_101));
        two_islands.sack(range(4_101, 5_101));
        assert_eq!(two_islands.mark_lost_below_sacked(2_000, 3), None, "exactly 2 SMSS in two ranges");
        two_islands.sack(range(5_101, 5_102));
        assert_eq!(two_islands.mark_lost_below_sacked(2_000, 3), Some(range(101, 1_101)));
        check_sums(&two_islands);

        let mut three_islands = board(10);
        for start in [2_101, 4_101, 6_101] {
            three_islands.sack(range(start, start + 10));
        }
        assert_eq!(three_islands.mark_lost_below_sacked(2_000, 3), Some(range(101, 1_101)));
        assert_eq!(three_islands.lost(), 2_000, "what lies above the third island may still come");
        check_sums(&three_islands);
    }

    // req: 2018-5.1
    #[test]
    fn a_single_sack_is_no_loss() {
        let mut board = board(5);
        board.sack(range(1_101, 2_101));
        assert_eq!(board.mark_lost_below_sacked(2_000, 3), None);
    }

    // req: 1122-7
    #[test]
    fn neighbours_that_are_lost_go_together() {
        let mut board = Scoreboard::default();
        (0..10).for_each(|index| board.push(range(101 + index * 100, 201 + index * 100), NOW));
        board.mark_all_lost();
        assert_eq!(board.next_lost(1_000), Some(range(101, 1_101)));
        assert_eq!(board.next_lost(250), Some(range(101, 351)));
        board.retransmitted(range(101, 351), NOW);
        check_sums(&board);
        assert_eq!(board.next_lost(1_000), Some(range(351, 1_101)));
    }

    #[test]
    fn sacked_ranges_are_not_sent_again() {
        let mut board = board(4);
        board.sack(range(1_101, 2_101));
        board.mark_all_lost();
        assert_eq!(board.next_lost(9_000), Some(range(101, 1_101)));
        board.retransmitted(range(101, 1_101), NOW);
        assert_eq!(board.next_lost(9_000), Some(range(2_101, 4_101)));
        check_sums(&board);
    }

    // trap: 40
    #[test]
    fn a_retransmitted_or_sacked_range_gives_no_round_trip() {
        let mut retransmitted = board(2);
        retransmitted.mark_first_lost(1_000);
        retransmitted.retransmitted(range(101, 1_101), NOW);
        assert_eq!(retransmitted.acknowledge(SeqNumber(2_101)).first_sent, None);

        let mut sacked = board(2);
        sacked.sack(range(101, 1_101));
        let removed = sacked.acknowledge(SeqNumber(1_101));
        assert_eq!((removed.bytes, removed.first_sent), (1_000, None));

        let removed = board(2).acknowledge(SeqNumber(2_101));
        assert_eq!((removed.bytes, removed.first_sent), (2_000, Some(NOW)));
    }

    // trap: 16
    #[test]
    fn everything_works_across_the_wrap() {
        let start = u32::MAX - 1_499;
        let mut board = Scoreboard::default();
        let at = |offset: u32| SeqNumber(start) + offset;
        (0..4).for_each(|index| board.push(SeqRange::new(at(index * 1_000), at((index + 1) * 1_000)), NOW));
        assert_eq!(board.outstanding(), 4_000);
        assert_eq!(board.sack(SeqRange::new(at(1_000), at(3_500))), 2_500);
        assert_eq!(board.mark_lost_below_sacked(2_000, 3), Some(SeqRange::new(at(0), at(1_000))));
        assert_eq!(board.acknowledge(at(3_500)).bytes, 3_500);
        check_sums(&board);
        assert_eq!(board.outstanding(), 500);
    }
}
