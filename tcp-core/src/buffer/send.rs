//! What waits to be sent, and what was sent and is not acknowledged yet.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, Bytes};

use super::pool::{CHUNK, CHUNK_CHARGE, Chunk, Pool, to_index};

/// What is handed over as `Bytes` and is shorter than this is copied: a few bytes may be all that is left of a
/// large allocation, and would keep it alive.
pub const SHORTEST_KEPT: usize = 1024;

/// What finding a handed-over piece again costs, in the unit of the count.
const PIECE_CHARGE: u64 = 64;

/// Pieces for which an emptied rope keeps its memory.
const PIECES_KEPT: usize = 64;

/// The bytes of a stream from the first unacknowledged one to the last one written, addressed by stream offset.
///
/// It is a rope: bytes that were written by copy stand in chunks of the [`Pool`], and `Bytes` that were handed over
/// are kept as they are. The content at an offset never changes once it was written, so that a retransmission
/// carries what the first transmission did; only [`truncate_to`](Self::truncate_to) frees offsets for other bytes,
/// and it is for bytes that never were sent.
///
/// It has no limit of its own but the pool's: the caller says how much it wants to hold. An empty buffer owns no
/// memory. Before a buffer is dropped, [`clear`](Self::clear) gives what it holds back to its pool.
#[derive(Clone)]
pub struct SendBuffer {
    base: u64,
    end: u64,
    rope: Option<Box<Rope>>,
}

/// The pieces of a buffer that holds something.
#[derive(Clone, Default)]
pub(super) struct Rope {
    /// In order and without gaps; none is empty.
    pieces: VecDeque<Piece>,
    hint: Hint,
}

#[derive(Clone)]
struct Piece {
    start: u64,
    end: u64,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Copied(Chunk),
    Kept(Bytes),
}

/// The index of the piece that was asked for last: segments are mostly cut one after the other. It is atomic only
/// so that a shared buffer can be read from anywhere; a stale value costs a search.
#[derive(Default)]
struct Hint(AtomicUsize);

impl Hint {
    #[inline]
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    fn set(&self, index: usize) {
        self.0.store(index, Ordering::Relaxed);
    }
}

impl Clone for Hint {
    fn clone(&self) -> Self {
        Self(AtomicUsize::new(self.get()))
    }
}

impl Piece {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::Copied(chunk) => chunk.bytes(),
            Content::Kept(bytes) => bytes,
        }
    }

    #[inline]
    const fn holds(&self, offset: u64) -> bool {
        self.start <= offset && offset < self.end
    }

    /// The bytes from `offset` on.
    #[inline]
    fn bytes_from(&self, offset: u64) -> Option<&[u8]> {
        self.bytes().get(to_index(offset.checked_sub(self.start)?)..)
    }

    fn charge(&self) -> u64 {
        match &self.content {
            Content::Copied(_) => CHUNK_CHARGE,
            Content::Kept(bytes) => bytes.len() as u64 + PIECE_CHARGE,
        }
    }

    #[inline]
    fn give_back(self, pool: &mut Pool) {
        match self.content {
            Content::Copied(chunk) => pool.give_back(chunk),
            Content::Kept(bytes) => pool.discharge(bytes.len() as u64 + PIECE_CHARGE),
        }
    }
}

impl Rope {
    /// The index of the piece that holds `offset`, which must be held.
    #[inline]
    fn find(&self, offset: u64) -> usize {
        let hint = self.hint.get();
        if self.pieces.get(hint).is_some_and(|piece| piece.holds(offset)) {
            return hint;
        }
        let next = hint.saturating_add(1);
        let found = if self.pieces.get(next).is_some_and(|piece| piece.holds(offset)) {
            next
        } else {
            self.pieces.partition_point(|piece| piece.end <= offset)
        };
        self.hint.set(found);
        found
    }
}

impl SendBuffer {
    /// An empty buffer whose first byte will have the offset `base`.
    #[must_use]
    pub const fn new(base: u64) -> Self {
        Self { base, end: base, rope: None }
    }

    /// The first offset held: all below it is acknowledged.
    #[inline]
    #[must_use]
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// The offset after the last byte held.
    #[inline]
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// The number of bytes held.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.end - self.base
    }

    /// Whether all that was written is acknowledged.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.end == self.base
    }

    /// How many bytes this buffer has charged to its pool.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.rope.as_ref().map_or(0, |rope| rope.pieces.iter().map(Piece::charge).sum())
    }

    /// Appends a copy of `data`. Takes fewer bytes, and says how many, if the pool has no more chunks to give.
    #[inline]
    pub fn write(&mut self, pool: &mut Pool, data: &[u8]) -> usize {
        let appended = self.append(data);
        if appended == data.len() { appended } else { appended + self.append_chunks(pool, &data[appended..]) }
    }

    /// Appends what fits into the last chunk.
    #[inline]
    fn append(&mut self, data: &[u8]) -> usize {
        let Some(last) = self.rope.as_mut().and_then(|rope| rope.pieces.back_mut()) else { return 0 };
        let Content::Copied(chunk) = &mut last.content else { return 0 };
        let length = data.len().min(CHUNK - chunk.len());
        chunk.append(&data[..length]);
        self.end += length as u64;
        last.end = self.end;
        length
    }

    fn append_chunks(&mut self, pool: &mut Pool, data: &[u8]) -> usize {
        let mut taken = 0;
        for part in data.chunks(CHUNK) {
            let Some(mut chunk) = pool.try_take() else { break };
            chunk.append(part);
            self.push(pool, part.len(), Content::Copied(chunk));
            taken += part.len();
        }
        taken
    }

    #[inline]
    fn push(&mut self, pool: &mut Pool, length: usize, content: Content) {
        let start = self.end;
        self.end += length as u64;
        let rope = self.rope.get_or_insert_with(|| pool.ropes.take());
        rope.pieces.push_back(Piece { start, end: self.end, content });
    }

    /// Appends up to `max` bytes from the front of `data` without copying them, and takes them off `data`. Says how
    /// many: fewer if the pool has no room for more.
    ///
    /// Less than [`SHORTEST_KEPT`] is copied, as by [`write`](Self::write).
    pub fn write_bytes(&mut self, pool: &mut Pool, data: &mut Bytes, max: usize) -> usize {
        let room = to_index(pool.room().saturating_sub(PIECE_CHARGE));
        let wanted = data.len().min(max);
        let length = wanted.min(room);
        if length < SHORTEST_KEPT || !pool.try_charge(length as u64 + PIECE_CHARGE) {
            let taken = self.write(pool, &data[..wanted]);
            if taken == data.len() {
                // An empty rest would still keep the whole allocation.
                *data = Bytes::new();
            } else {
                data.advance(taken);
            }
            return taken;
        }
        self.push(pool, length, Content::Kept(data.split_to(length)));
        length
    }

    /// Copies the bytes from `offset` on into `into`; says how many: fewer only at the end of what is held, none if
    /// `offset` is not held.
    #[inline]
    pub fn copy_out(&self, offset: u64, into: &mut [u8]) -> usize {
        // Most segments are cut out of one piece.
        if let Some(slice) = self.slice_at(offset).and_then(|slice| slice.get(..into.len())) {
            into.copy_from_slice(slice);
            return slice.len();
        }
        let mut copied = 0;
        for slice in self.slices(offset, into.len()) {
            into[copied..copied + slice.len()].copy_from_slice(slice);
            copied += slice.len();
        }
        copied
    }

    /// The bytes from `offset` on that stand in one piece.
    #[inline]
    fn slice_at(&self, offset: u64) -> Option<&[u8]> {
        let rope = self.rope.as_deref().filter(|_| self.base <= offset && offset < self.end)?;
        rope.pieces.get(rope.find(offset))?.bytes_from(offset)
    }

    /// The bytes from `offset` on, `length` of them or as many as there are; none if `offset` is not held.
    #[inline]
    pub fn slices(&self, offset: u64, length: usize) -> impl Iterator<Item = &[u8]> + '_ {
        let held = self.rope.as_deref().filter(|_| self.base <= offset && offset < self.end);
        let mut index = held.map_or(0, |rope| rope.find(offset));
        let mut position = offset;
        let mut left = length.min(to_index(self.end.saturating_sub(offset)));
        core::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let slice = held?.pieces.get(index)?.bytes_from(position)?;
            let slice = &slice[..slice.len().min(left)];
            index += 1;
            left -= slice.len();
            position += slice.len() as u64;
            Some(slice)
        })
    }

    /// Forgets the bytes below `offset`, which are acknowledged. A piece of memory is free when all of it is
    /// acknowledged.
    pub fn release_to(&mut self, pool: &mut Pool, offset: u64) {
        self.base = offset.clamp(self.base, self.end);
        let Some(rope) = &mut self.rope else { return };
        let mut released = 0;
        while rope.pieces.front().is_some_and(|piece| piece.end <= self.base) {
            if let Some(piece) = rope.pieces.pop_front() {
                piece.give_back(pool);
            }
            released += 1;
        }
        rope.hint.set(rope.hint.get().saturating_sub(released));
        self.release_if_empty(pool);
    }

    /// Drops the bytes from `offset` on, none of which may have been sent.
    pub fn truncate_to(&mut self, pool: &mut Pool, offset: u64) {
        self.end = offset.clamp(self.base, self.end);
        let Some(rope) = &mut self.rope else { return };
        while let Some(piece) = rope.pieces.back_mut() {
            if piece.end <= self.end {
                break;
            }
            let kept = to_index(self.end.saturating_sub(piece.start));
            if kept > 0 {
                piece.end = self.end;
                match &mut piece.content {
                    Content::Copied(chunk) => chunk.drop_back_to(kept),
                    Content::Kept(bytes) => {
                        pool.discharge((bytes.len() - kept) as u64);
                        bytes.truncate(kept);
                    }
                }
                break;
            }
            if let Some(piece) = rope.pieces.pop_back() {
                piece.give_back(pool);
            }
        }
        self.release_if_empty(pool);
    }

    /// Forgets all, as if it had been acknowledged.
    pub fn clear(&mut self, pool: &mut Pool) {
        self.release_to(pool, self.end);
    }

    #[inline]
    fn release_if_empty(&mut self, pool: &mut Pool) {
        if !self.is_empty() {
            return;
        }
        let Some(mut rope) = self.rope.take() else { return };
        rope.pieces.drain(..).for_each(|piece| piece.give_back(pool));
        if rope.pieces.capacity() > PIECES_KEPT {
            rope.pieces = VecDeque::new();
        }
        rope.hint.set(0);
        pool.ropes.give_back(rope);
    }
}

impl Default for SendBuffer {
    fn default() -> Self {
        Self::new(0)
    }
}

impl fmt::Debug for SendBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendBuffer")
            .field("base", &self.base)
            .field("end", &self.end)
            .field("pieces", &self.rope.as_ref().map_or(0, |rope| rope.pieces.len()))
            .finish()
    }
}

#[cfg(test)]
mod tests;
