//! The chunks of a receive buffer, and the ranges that wait behind a hole.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use crate::buffer::pool::{CHUNK, CHUNK_CHARGE, Chunk, Pool, to_index};
use crate::buffer::ranges::RangeSet;

/// The most ranges that may wait behind a hole.
///
/// A segment that would open one more is not taken, so that a peer that sends every second byte costs what this
/// says and no more; the lower ranges, which came first and are read first, stay.
pub const OUT_OF_ORDER_RANGES: usize = 1024;

/// What a range costs, in the unit of the pool's count: both lists of it, at their largest beside their content.
pub const RANGE_CHARGE: u64 = 48;

/// Places and ranges for which an emptied assembly keeps its memory.
const PLACES_KEPT: usize = 64;
const RANGES_KEPT: usize = 64;

/// What a receive buffer owns while it holds something.
#[derive(Clone)]
pub(in crate::buffer) struct Assembly {
    /// Where the stream is cut into places of one chunk's length. It stays while the assembly is in use; a message
    /// that fits into a chunk, and arrives when all before it was read, stands in one piece.
    origin: u64,
    /// The places that have a chunk, lowest first.
    places: VecDeque<Place>,
    ranges: RangeSet,
    /// The start of each range, in the order in which segments last touched the ranges; the last one is the newest.
    touched: Vec<u64>,
}

/// A chunk, and where in the stream it stands. Bytes that are neither in order nor in a range are without meaning.
#[derive(Clone)]
struct Place {
    /// The offset of the chunk's first byte: where the place begins, or later if the application took bytes out.
    start: u64,
    /// The offset at which the next place begins.
    end: u64,
    chunk: Chunk,
}

/// What [`Assembly::fill`] has written.
pub(super) struct Filled {
    /// Up to here, everything is held.
    pub(super) end: u64,
    /// How many bytes were not held before.
    pub(super) new_bytes: u64,
}

impl Default for Assembly {
    fn default() -> Self {
        Self {
            origin: 0,
            places: VecDeque::new(),
            ranges: RangeSet::new(OUT_OF_ORDER_RANGES),
            touched: Vec::new(),
        }
    }
}

impl Assembly {
    #[inline]
    pub(super) fn from_pool(pool: &mut Pool, origin: u64) -> Box<Self> {
        let mut assembly = pool.assemblies.take();
        assembly.origin = origin;
        assembly
    }

    /// Gives all memory back, whatever it holds.
    #[inline]
    pub(super) fn give_back(mut self: Box<Self>, pool: &mut Pool) {
        while let Some(place) = self.places.pop_front() {
            pool.give_back(place.chunk);
        }
        if self.places.capacity() > PLACES_KEPT {
            self.places = VecDeque::new();
        }
        if !self.ranges.is_empty() {
            pool.discharge(self.ranges.len() as u64 * RANGE_CHARGE);
            self.ranges.clear();
        }
        self.touched.clear();
        if self.touched.capacity() > RANGES_KEPT {
            self.touched = Vec::new();
        }
        pool.assemblies.give_back(self);
    }

    pub(super) fn memory(&self) -> u64 {
        self.places.len() as u64 * CHUNK_CHARGE + self.ranges.len() as u64 * RANGE_CHARGE
    }

    #[inline]
    pub(super) const fn ranges(&self) -> &RangeSet {
        &self.ranges
    }

    /// The byte at `offset`, which is without meaning if it was never written.
    pub(super) fn byte_at(&self, offset: u64) -> Option<u8> {
        let index = self.places.partition_point(|place| place.end <= offset);
        let place = self.places.get(index)?;
        place.chunk.bytes().get(to_index(offset.checked_sub(place.start)?)).copied()
    }

    /// The ranges, newest first.
    pub(super) fn recent(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.touched.iter().rev().filter_map(|start| self.ranges.range_at(*start))
    }

    /// Appends `data` at `offset` to the last chunk, if it ends there and has room for all of it.
    #[inline]
    pub(super) fn append(&mut self, offset: u64, data: &[u8]) -> bool {
        let Some(last) = self.places.back_mut() else { return false };
        let fits = last.start + last.chunk.len() as u64 == offset && data.len() as u64 <= last.end - offset;
        if fits {
            last.chunk.append(data);
        }
        fits
    }

    /// Writes `data` at `offset`, over what stands there; says how many bytes: fewer if the pool has no chunk.
    pub(super) fn store(&mut self, pool: &mut Pool, offset: u64, data: &[u8]) -> usize {
        let mut rest = data;
        let mut position = offset;
        let mut index = self.places.partition_point(|place| place.end <= position);
        while !rest.is_empty() {
            if self.places.get(index).is_none_or(|place| place.start > position) {
                let Some(chunk) = pool.try_take() else { break };
                self.places.insert(index, self.place_for(position, chunk));
            }
            let Some(place) = self.places.get_mut(index) else { break };
            let (now, later) = rest.split_at(rest.len().min(to_index(place.end - position)));
            place.chunk.write(to_index(position - place.start), now);
            position += now.len() as u64;
            rest = later;
            index += 1;
        }
        data.len() - rest.len()
    }

    fn place_for(&self, offset: u64, chunk: Chunk) -> Place {
        let length = CHUNK as u64;
        let start = offset - (offset - self.origin) % length;
        Place { start, end: start.saturating_add(length), chunk }
    }

    /// Writes those bytes of `data` that are not held, from `start` on, which is not in order yet, until the pool
    /// has no chunk. No range is noted.
    pub(super) fn fill(&mut self, pool: &mut Pool, start: u64, data: &[u8]) -> Filled {
        let end = start + data.len() as u64;
        let mut filled = Filled { end: start, new_bytes: 0 };
        while let Some(gap) = self.ranges.first_gap(&(filled.end..end)) {
            let part = &data[to_index(gap.start - start)..to_index(gap.end - start)];
            let stored = self.store(pool, gap.start, part);
            filled.new_bytes += stored as u64;
            filled.end = gap.start + stored as u64;
            if stored < part.len() {
                return filled;
            }
        }
        filled.end = end;
        filled
    }

    /// Why a segment that starts at `start`, behind a hole, cannot be taken.
    ///
    /// It may have to open a range unless it begins in one or at the end of one: at its end it may join one, but
    /// only if memory lasts until there.
    pub(super) fn refusal_at(&self, pool: &Pool, start: u64) -> Option<super::Refusal> {
        if self.ranges.joins(start) {
            None
        } else if self.ranges.is_full() {
            Some(super::Refusal::Ranges)
        } else if pool.room() < RANGE_CHARGE {
            Some(super::Refusal::Memory)
        } else {
            None
        }
    }

    /// Notes that `range`, behind a hole, was touched by a segment and is held. Returns the range it is in now.
    pub(super) fn note(&mut self, pool: &mut Pool, range: Range<u64>) -> Option<Range<u64>> {
        let before = self.ranges.len();
        let merged = self.ranges.insert(range).ok()?;
        let block = merged.block;
        if merged.absorbed == 0 {
            self.touched.push(block.start);
        } else if merged.absorbed > 1 || self.touched.last() != Some(&block.start) {
            self.touched.retain(|start| !block.contains(start));
            self.touched.push(block.start);
        }
        self.settle(pool, before);
        Some(block)
    }

    /// Takes the ranges that `next` has reached out of the set; returns the offset after the last byte in order.
    pub(super) fn join(&mut self, pool: &mut Pool, next: u64) -> u64 {
        let before = self.ranges.len();
        let mut next = next;
        while let Some(first) = self.ranges.first().filter(|first| first.start <= next) {
            next = next.max(first.end);
            self.ranges.remove_below(first.end);
        }
        if self.ranges.len() < before {
            self.touched.retain(|start| *start > next);
            self.settle(pool, before);
        }
        next
    }

    /// Charges for the ranges that are there, `before` of which are paid for. There was room for one more, but a
    /// chunk may have taken it: so the count may be beyond the limit by one range.
    fn settle(&self, pool: &mut Pool, before: usize) {
        let (before, now) = (before as u64 * RANGE_CHARGE, self.ranges.len() as u64 * RANGE_CHARGE);
        if now > before {
            pool.charge(now - before);
        } else {
            pool.discharge(before - now);
        }
    }

    /// The first chunk's bytes from `read` on. They may go beyond what is in order.
    #[inline]
    pub(super) fn front(&self, read: u64) -> Option<&[u8]> {
        let front = self.places.front()?;
        front.chunk.bytes().get(to_index(read.checked_sub(front.start)?)..)
    }

    /// The chunks' bytes from `read` on. They may go beyond what is in order.
    pub(super) fn slices(&self, read: u64) -> impl Iterator<Item = &[u8]> + '_ {
        self.front(read).into_iter().chain(self.places.iter().skip(1).map(|place| place.chunk.bytes()))
    }

    /// Whether the application has a part of the first chunk.
    pub(super) fn front_is_lent(&self) -> bool {
        self.places.front().is_some_and(|front| front.chunk.is_lent())
    }

    /// Takes `length` bytes from `read` on out of the first chunk.
    pub(super) fn take_front(&mut self, read: u64, length: usize) -> Bytes {
        let Some(front) = self.places.front_mut() else { return Bytes::new() };
        let bytes = front.chunk.take_front(to_index(read - front.start), length);
        front.start = read + length as u64;
        bytes
    }

    /// Notes that all below `read` is read, which is not beyond the first chunk's place.
    #[inline]
    pub(super) fn release_front(&mut self, pool: &mut Pool, read: u64) {
        if self.places.front().is_some_and(|front| front.end == read) {
            if let Some(front) = self.places.pop_front() {
                pool.give_back(front.chunk);
            }
        }
    }

    /// Drops the out-of-order data in the last chunk, and the chunk unless it has data in order, which ends at
    /// `next`.
    pub(super) fn drop_last_chunk(&mut self, pool: &mut Pool, next: u64) {
        let before = self.ranges.len();
        let cut = self.places.back().map_or(next, |last| last.start);
        self.ranges.remove_from(cut);
        self.touched.retain(|start| *start < cut);
        self.settle(pool, before);
        if self.places.back().is_some_and(|last| last.start >= next) {
            if let Some(last) = self.places.pop_back() {
                pool.give_back(last.chunk);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_touch_has_each_range_once() {
        let mut pool = Pool::new(1 << 20, 4);
        let mut assembly = Assembly::from_pool(&mut pool, 0);
        for range in [10..20, 30..40, 50..60, 20..25, 38..52, 70..80] {
            assembly.note(&mut pool, range);
        }
        assert_eq!(assembly.touched, [10, 30, 70]);
        assert_eq!(assembly.join(&mut pool, 30), 60);
        assert_eq!((assembly.touched.as_slice(), pool.charged()), (&[70][..], RANGE_CHARGE));
        assembly.give_back(&mut pool);
        assert_eq!(pool.charged(), 0);
    }
}
