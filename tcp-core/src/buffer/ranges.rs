//! A bounded set of offsets, kept as sorted ranges.

use alloc::collections::VecDeque;
use core::fmt;
use core::ops::Range;

/// Ranges for which an empty set keeps its memory, so that a hole now and then does not allocate each time.
const KEPT_WHEN_EMPTY: usize = 8;

/// A set of `u64` offsets: disjoint, non-adjacent, non-empty ranges in ascending order, at most as many as its bound.
///
/// When the set is full, a range that would stand alone is refused and the set stays as it is; one that touches a
/// range of the set is always taken, since it adds none.
///
/// Finding a range takes logarithmic time; adding or removing one moves the ranges on one side of it. A set that
/// becomes empty gives its memory back, but for a few ranges' worth; [`clear`](Self::clear) gives all of it back.
#[derive(Clone)]
pub struct RangeSet {
    ranges: VecDeque<Range<u64>>,
    covered: u64,
    bound: usize,
}

/// What [`RangeSet::insert`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The range of the set that now holds what was inserted.
    pub block: Range<u64>,
    /// How many ranges of the set went into that one; if none, the block is a new range.
    pub absorbed: usize,
    /// The first part of what was inserted that was in the set before.
    pub duplicate: Option<Range<u64>>,
}

/// The set is full, and the range touches none of its ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the set holds as many ranges as it may")
    }
}

impl core::error::Error for Full {}

impl RangeSet {
    /// An empty set of at most `bound` ranges, which owns no memory.
    #[must_use]
    pub const fn new(bound: usize) -> Self {
        Self { ranges: VecDeque::new(), covered: 0, bound }
    }

    /// The number of ranges.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether no offset is in the set.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether there are as many ranges as there may be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.ranges.len() >= self.bound
    }

    /// The number of offsets in the set.
    #[must_use]
    pub const fn covered(&self) -> u64 {
        self.covered
    }

    /// The lowest range.
    #[inline]
    #[must_use]
    pub fn first(&self) -> Option<Range<u64>> {
        self.ranges.front().cloned()
    }

    /// The highest range.
    #[must_use]
    pub fn last(&self) -> Option<Range<u64>> {
        self.ranges.back().cloned()
    }

    /// The ranges, lowest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<u64>> + ExactSizeIterator + '_ {
        self.ranges.iter().cloned()
    }

    /// Whether `offset` is in the set.
    #[must_use]
    pub fn contains(&self, offset: u64) -> bool {
        self.range_at(offset).is_some()
    }

    /// The range that holds `offset`.
    #[must_use]
    pub fn range_at(&self, offset: u64) -> Option<Range<u64>> {
        let index = self.ranges.partition_point(|range| range.end <= offset);
        self.ranges.get(index).filter(|range| range.start <= offset).cloned()
    }

    /// Whether a range of the set holds `offset` or ends there, so that an offset there would join it.
    #[must_use]
    pub fn joins(&self, offset: u64) -> bool {
        let index = self.ranges.partition_point(|range| range.end < offset);
        self.ranges.get(index).is_some_and(|range| range.start <= offset)
    }

    /// The first part of `range` that is in the set.
    #[must_use]
    pub fn first_overlap(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let index = self.ranges.partition_point(|held| held.end <= range.start);
        let held = self.ranges.get(index)?;
        let overlap = held.start.max(range.start)..held.end.min(range.end);
        (!overlap.is_empty()).then_some(overlap)
    }

    /// The first part of `range` that is not in the set.
    #[must_use]
    pub fn first_gap(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let mut index = self.ranges.partition_point(|held| held.end <= range.start);
        let mut start = range.start;
        if let Some(held) = self.ranges.get(index).filter(|held| held.start <= start) {
            start = held.end;
            index += 1;
        }
        let end = self.ranges.get(index).map_or(range.end, |held| held.start.min(range.end));
        (start < end).then_some(start..end)
    }

    /// Adds `range`. An empty one changes nothing, and is its own block.
    ///
    /// # Errors
    ///
    /// [`Full`] if the range would stand alone and the set holds as many ranges as it may; nothing is added then.
    pub fn insert(&mut self, range: Range<u64>) -> Result<Merged, Full> {
        if range.is_empty() {
            return Ok(Merged { block: range, absorbed: 0, duplicate: None });
        }
        let from = self.ranges.partition_point(|held| held.end < range.start);
        let mut block = range.clone();
        let mut duplicate = None;
        let mut absorbed = 0;
        let mut covered_before = 0;
        for held in self.ranges.range(from..).take_while(|held| held.start <= range.end) {
            let overlap = held.start.max(range.start)..held.end.min(range.end);
            if duplicate.is_none() && !overlap.is_empty() {
                duplicate = Some(overlap);
            }
            block = block.start.min(held.start)..block.end.max(held.end);
            covered_before += held.end - held.start;
            absorbed += 1;
        }
        if absorbed == 0 {
            if self.is_full() {
                return Err(Full);
            }
            self.ranges.insert(from, block.clone());
        } else {
            if let Some(held) = self.ranges.get_mut(from) {
                *held = block.clone();
            }
            if absorbed > 1 {
                self.ranges.drain(from + 1..from + absorbed);
            }
        }
        self.covered = self.covered - covered_before + (block.end - block.start);
        Ok(Merged { block, absorbed, duplicate })
    }

    /// Removes all offsets below `offset`.
    pub fn remove_below(&mut self, offset: u64) {
        while let Some(range) = self.ranges.front_mut() {
            if range.end > offset {
                if range.start < offset {
                    self.covered -= offset - range.start;
                    range.start = offset;
                }
                return;
            }
            self.covered -= range.end - range.start;
            self.ranges.pop_front();
        }
        self.release_if_empty();
    }

    /// Removes `offset` and all offsets above it.
    pub fn remove_from(&mut self, offset: u64) {
        while let Some(range) = self.ranges.back_mut() {
            if range.start < offset {
                if range.end > offset {
                    self.covered -= range.end - offset;
                    range.end = offset;
                }
                return;
            }
            self.covered -= range.end - range.start;
            self.ranges.pop_back();
        }
        self.release_if_empty();
    }

    /// Removes all, and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::new(self.bound);
    }

    fn release_if_empty(&mut self) {
        if self.ranges.is_empty() && self.ranges.capacity() > KEPT_WHEN_EMPTY {
            self.clear();
        }
    }
}

impl fmt::Debug for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(&self.ranges).finish()
    }
}

#[cfg(test)]
mod tests;
