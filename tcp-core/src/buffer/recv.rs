//! What arrived and is not read yet, in order or not.

mod assembly;

use alloc::boxed::Box;
use core::fmt;
use core::ops::Range;

use bytes::Bytes;

pub(super) use assembly::Assembly;
pub use assembly::{OUT_OF_ORDER_RANGES, RANGE_CHARGE};

use super::pool::{Pool, to_index};

/// What is read as `Bytes`, is shorter than this and would be the only content of its chunk, is copied: the
/// application may keep it for long, and it would keep the whole chunk.
const SHORTEST_LENT: usize = 1024;

/// The bytes of a stream from the first unread one on, addressed by stream offset: those in order, up to
/// [`next`](Self::next), and those that arrived ahead of a hole.
///
/// Data is written to its place once, when it arrives, so that many small segments take no more memory than one
/// large one with the same bytes. **The first copy of a byte wins**: what is here already, or was read already, is
/// never overwritten by a segment that brings the same offset again, and what the application reads is what was
/// acknowledged.
///
/// The buffer takes all it is given, as long as the pool has chunks: the caller trims a segment to the window, and
/// to the end of the stream if that is known. Nothing here is ever acknowledged but what [`next`](Self::next) has
/// passed, and that is never dropped; out-of-order data can be, with [`prune`](Self::prune).
///
/// A buffer that is read empty and has no hole owns no memory. Before a buffer is dropped, [`clear`](Self::clear)
/// gives what it holds back to its pool.
#[derive(Clone)]
pub struct ReceiveBuffer {
    read: u64,
    next: u64,
    assembly: Option<Box<Assembly>>,
}

/// What [`ReceiveBuffer::insert`] did with a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// How far `next` moved: the bytes that became readable.
    pub advanced: u64,
    /// How many of the segment's bytes were not here before and are now.
    pub new_bytes: u64,
    /// The first part of the segment that was here before: what a duplicate SACK reports (RFC 2883).
    pub duplicate: Option<Range<u64>>,
    /// The out-of-order range that holds the segment now, if it did not move `next`: the first SACK block
    /// (RFC 2018 section 4).
    pub block: Option<Range<u64>>,
    /// Why bytes at the end of the segment were not taken, if so. They count as never received.
    pub refused: Option<Refusal>,
}

/// Why a buffer did not take all of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The pool has no more memory to give.
    Memory,
    /// There are [`OUT_OF_ORDER_RANGES`] out-of-order ranges, and the segment does not continue one of them. Data
    /// in order is never refused for this reason.
    Ranges,
}

impl ReceiveBuffer {
    /// An empty buffer that waits for the byte at `offset`.
    #[must_use]
    pub const fn new(offset: u64) -> Self {
        Self { read: offset, next: offset, assembly: None }
    }

    /// The offset after the last byte in order: what is acknowledged.
    #[inline]
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// The offset of the next byte the application reads.
    #[inline]
    #[must_use]
    pub const fn read_position(&self) -> u64 {
        self.read
    }

    /// How many bytes can be read.
    #[inline]
    #[must_use]
    pub const fn readable(&self) -> u64 {
        self.next - self.read
    }

    /// How many bytes this buffer has charged to its pool.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.assembly.as_ref().map_or(0, |assembly| assembly.memory())
    }

    /// Whether there is a hole before data that arrived.
    #[inline]
    #[must_use]
    pub fn has_out_of_order(&self) -> bool {
        self.assembly.as_ref().is_some_and(|assembly| !assembly.ranges().is_empty())
    }

    /// The number of bytes that wait behind a hole.
    #[must_use]
    pub fn out_of_order_bytes(&self) -> u64 {
        self.assembly.as_ref().map_or(0, |assembly| assembly.ranges().covered())
    }

    /// The ranges that wait behind a hole, lowest first.
    pub fn out_of_order_ranges(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.assembly.iter().flat_map(|assembly| assembly.ranges().iter())
    }

    /// The ranges that wait behind a hole, the one that a segment touched last first: the order of SACK blocks
    /// (RFC 2018 section 4). The caller takes as many as fit.
    pub fn recent_blocks(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.assembly.iter().flat_map(|assembly| assembly.recent())
    }

    /// Takes the bytes `data` of a segment, which stand at `offset`.
    ///
    /// With no hole and at the expected offset they are copied behind those before them, and that is all.
    #[inline]
    pub fn insert(&mut self, pool: &mut Pool, offset: u64, data: &[u8]) -> Inserted {
        // The last offset there is ends the stream; no real one gets there.
        let data = &data[..data.len().min(to_index(u64::MAX - offset))];
        let in_order = offset == self.next && !self.has_out_of_order();
        if in_order { self.append(pool, data) } else { self.merge(pool, offset, data) }
    }

    #[inline]
    fn append(&mut self, pool: &mut Pool, data: &[u8]) -> Inserted {
        if data.is_empty() {
            return Inserted::default();
        }
        let (read, next) = (self.read, self.next);
        let assembly = self.assembly.get_or_insert_with(|| Assembly::from_pool(pool, read));
        let stored = if assembly.append(next, data) { data.len() } else { assembly.store(pool, next, data) };
        self.next += stored as u64;
        if stored < data.len() {
            self.release_if_idle(pool);
        }
        Inserted {
            advanced: stored as u64,
            new_bytes: stored as u64,
            duplicate: None,
            block: None,
            refused: (stored < data.len()).then_some(Refusal::Memory),
        }
    }

    fn merge(&mut self, pool: &mut Pool, offset: u64, data: &[u8]) -> Inserted {
        let mut inserted = Inserted::default();
        let end = offset + data.len() as u64;
        let start = offset.max(self.next);
        if data.is_empty() || end <= start {
            inserted.duplicate = (!data.is_empty()).then_some(offset..end);
            return inserted;
        }
        let data = &data[to_index(start - offset)..];
        let read = self.read;
        let assembly = self.assembly.get_or_insert_with(|| Assembly::from_pool(pool, read));
        inserted.duplicate =
            if offset < start { Some(offset..start) } else { assembly.ranges().first_overlap(&(start..end)) };
        let in_order = start == self.next;
        inserted.refused = if in_order { None } else { assembly.refusal_at(pool, start) };
        if inserted.refused.is_none() {
            let filled = assembly.fill(pool, start, data);
            inserted.new_bytes = filled.new_bytes;
            inserted.refused = (filled.end < end).then_some(Refusal::Memory);
            if in_order {
                self.next = assembly.join(pool, filled.end);
                inserted.advanced = self.next - start;
            } else if filled.end > start {
                inserted.block = assembly.note(pool, start..filled.end);
            }
        }
        self.release_if_idle(pool);
        inserted
    }

    /// Reads into `into`; says how many bytes.
    pub fn read(&mut self, pool: &mut Pool, into: &mut [u8]) -> usize {
        let mut copied = 0;
        self.consume(pool, to_index(self.readable()).min(into.len()), |slice| {
            into[copied..copied + slice.len()].copy_from_slice(slice);
            copied += slice.len();
            slice.len()
        });
        copied
    }

    /// Copies into `into` what [`read`](Self::read) would, and leaves it unread; says how many bytes.
    pub fn peek(&self, into: &mut [u8]) -> usize {
        let mut copied = 0;
        let wanted = to_index(self.readable()).min(into.len());
        for slice in self.assembly.iter().flat_map(|assembly| assembly.slices(self.read)) {
            let slice = &slice[..slice.len().min(wanted - copied)];
            into[copied..copied + slice.len()].copy_from_slice(slice);
            copied += slice.len();
            if copied == wanted {
                break;
            }
        }
        copied
    }

    /// The byte at `offset`, in order or not, if it is here.
    #[must_use]
    pub fn byte_at(&self, offset: u64) -> Option<u8> {
        let assembly = self.assembly.as_deref()?;
        let in_order = (self.read..self.next).contains(&offset);
        let is_here = in_order || assembly.ranges().contains(offset);
        assembly.byte_at(offset).filter(|_| is_here)
    }

    /// Hands the readable bytes to `reader`, piece after piece, without a copy. It says how many of a piece it has
    /// consumed, and is done when that is not all of it. Says how many bytes it consumed in all.
    pub fn read_with(&mut self, pool: &mut Pool, reader: impl FnMut(&[u8]) -> usize) -> u64 {
        let before = self.read;
        self.consume(pool, to_index(self.readable()), reader);
        self.read - before
    }

    /// Drops up to `length` readable bytes; says how many.
    pub fn skip(&mut self, pool: &mut Pool, length: u64) -> u64 {
        let before = self.read;
        self.consume(pool, to_index(self.readable().min(length)), <[u8]>::len);
        self.read - before
    }

    #[inline]
    fn consume(&mut self, pool: &mut Pool, length: usize, mut reader: impl FnMut(&[u8]) -> usize) {
        let Some(assembly) = &mut self.assembly else { return };
        let mut left = length;
        while left > 0 {
            let Some(slice) = assembly.front(self.read) else { break };
            let slice = &slice[..slice.len().min(left)];
            let offered = slice.len();
            let consumed = reader(slice).min(offered);
            self.read += consumed as u64;
            assembly.release_front(pool, self.read);
            left -= consumed;
            if consumed < offered {
                break;
            }
        }
        self.release_if_idle(pool);
    }

    /// Reads up to `max` bytes without a copy: as many as stand together. `None` if there is nothing to read, or
    /// nothing wanted.
    ///
    /// The bytes leave the pool's count: they are the application's. So that a few of them do not keep a whole
    /// chunk, what is short and alone in its chunk is copied.
    pub fn read_bytes(&mut self, pool: &mut Pool, max: usize) -> Option<Bytes> {
        let assembly = self.assembly.as_mut()?;
        let front = assembly.front(self.read)?;
        let length = front.len().min(max).min(to_index(self.next - self.read));
        if length == 0 {
            return None;
        }
        let bytes = if length < SHORTEST_LENT && length == front.len() && !assembly.front_is_lent() {
            Bytes::copy_from_slice(front)
        } else {
            assembly.take_front(self.read, length)
        };
        self.read += length as u64;
        assembly.release_front(pool, self.read);
        self.release_if_idle(pool);
        Some(bytes)
    }

    /// Drops out-of-order data until this buffer holds `target` bytes of memory, or until only data in order is
    /// left. The highest offsets go first: they are the ones that will be needed last. Says how many bytes were
    /// dropped; all that is out of order and below them is still here.
    pub fn prune(&mut self, pool: &mut Pool, target: u64) -> u64 {
        let before = self.out_of_order_bytes();
        while let Some(assembly) = self.assembly.as_mut().filter(|assembly| assembly.memory() > target) {
            if assembly.ranges().is_empty() {
                break;
            }
            assembly.drop_last_chunk(pool, self.next);
            self.release_if_idle(pool);
        }
        before - self.out_of_order_bytes()
    }

    /// Drops all out-of-order data; says how many bytes.
    pub fn discard_out_of_order(&mut self, pool: &mut Pool) -> u64 {
        self.prune(pool, 0)
    }

    /// Drops everything, read or not. The next byte expected stays the same.
    pub fn clear(&mut self, pool: &mut Pool) {
        self.read = self.next;
        if let Some(assembly) = self.assembly.take() {
            assembly.give_back(pool);
        }
    }

    #[inline]
    fn release_if_idle(&mut self, pool: &mut Pool) {
        if self.read == self.next && !self.has_out_of_order() {
            self.clear(pool);
        }
    }
}

impl Default for ReceiveBuffer {
    fn default() -> Self {
        Self::new(0)
    }
}

impl fmt::Debug for ReceiveBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveBuffer")
            .field("read", &self.read)
            .field("next", &self.next)
            .field("out_of_order", &self.out_of_order_bytes())
            .field("memory", &self.memory())
            .finish()
    }
}

#[cfg(test)]
mod tests;
