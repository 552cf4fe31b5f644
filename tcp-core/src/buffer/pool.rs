//! Where buffer memory comes from: chunks of one size, and a count of what is in use.
//!
//! This is the mechanism only. Who may use how much, and who gives up what when memory is short, is decided by
//! whoever owns the pool: it sets the limit and reads the count.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use bytes::{Buf, Bytes, BytesMut};

use super::recv::Assembly;
use super::send::Rope;

/// The length of every chunk: large enough that its bookkeeping vanishes beside it, small enough that a connection
/// with one byte waiting does not weigh much.
pub const CHUNK: usize = 8 * 1024;

/// What a chunk is charged, in the unit of the count.
pub(super) const CHUNK_CHARGE: u64 = CHUNK as u64;

/// One piece of memory of [`CHUNK`] bytes, filled from its start.
///
/// It is boxed since it is moved right after it was filled or emptied: to move the four words of a `BytesMut`
/// then, the processor has to wait for the writes, which was half of what a small message cost.
pub(super) struct Chunk(Box<BytesMut>);

impl Chunk {
    fn new() -> Self {
        Self(Box::new(BytesMut::with_capacity(CHUNK)))
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[inline]
    pub(super) fn append(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
    }

    /// Writes `data` at `index`, which may be inside what is filled, at its end or beyond it.
    pub(super) fn write(&mut self, index: usize, data: &[u8]) {
        if index > self.0.len() {
            self.0.resize(index, 0);
        }
        let (over, after) = data.split_at(data.len().min(self.0.len() - index));
        self.0[index..index + over.len()].copy_from_slice(over);
        self.0.extend_from_slice(after);
    }

    pub(super) fn drop_back_to(&mut self, length: usize) {
        self.0.truncate(length);
    }

    /// Drops the first `skipped` bytes and takes the `length` bytes after them out, without a copy. The chunk can
    /// be filled again in full only after all that was taken out has been dropped.
    pub(super) fn take_front(&mut self, skipped: usize, length: usize) -> Bytes {
        self.0.advance(skipped);
        self.0.split_to(length).freeze()
    }

    /// Whether a part was taken out.
    pub(super) fn is_lent(&self) -> bool {
        self.0.capacity() < CHUNK
    }

    /// Empties the chunk. Says whether all its memory is available again: it is not while somebody holds a part.
    fn reset(&mut self) -> bool {
        self.0.clear();
        !self.is_lent() || self.0.try_reclaim(CHUNK)
    }
}

impl Clone for Chunk {
    fn clone(&self) -> Self {
        // Not `BytesMut::clone`, which leaves no room behind the last byte.
        let mut copy = Self::new();
        copy.append(&self.0);
        copy
    }
}

/// Empty containers kept for the next buffer that needs one, so that a connection which is idle between any two
/// messages owns nothing and yet does not allocate for each of them.
pub(super) struct Spares<T> {
    kept: Vec<Box<T>>,
    bound: usize,
}

impl<T: Default> Spares<T> {
    const fn new(bound: usize) -> Self {
        Self { kept: Vec::new(), bound }
    }

    #[inline]
    pub(super) fn take(&mut self) -> Box<T> {
        self.kept.pop().unwrap_or_default()
    }

    /// Keeps a container, which must be empty.
    #[inline]
    pub(super) fn give_back(&mut self, container: Box<T>) {
        if self.kept.len() < self.bound {
            self.kept.push(container);
        }
    }
}

/// Chunks for buffers, and the count of what all buffers on this pool hold.
///
/// The count charges nominal lengths: [`CHUNK`] for each chunk however much of it is filled, the length of what
/// was handed over as `Bytes`, and a constant for what is needed to find it. It never looks at capacities, so that
/// it is the same on every machine.
///
/// A bounded number of chunks that are not in use are kept. With them, what is held does not go beyond the limit:
/// near the limit fewer are kept. A chunk that was read as `Bytes` leaves the count, since it is the application's;
/// when the application has dropped it in time, its memory is used again.
///
/// A buffer is emptied with its `clear` before it is dropped: it does not know its pool, so what a dropped buffer
/// held would stay in the count. A clone of a pool has the same count, for clones of the same buffers, and no spare
/// chunks.
pub struct Pool {
    limit: u64,
    charged: u64,
    /// Chunks that can be filled at once.
    free: Vec<Chunk>,
    /// Chunks of which the application may still hold a part, oldest first.
    lent: VecDeque<Chunk>,
    spare_chunks: usize,
    pub(super) assemblies: Spares<Assembly>,
    pub(super) ropes: Spares<Rope>,
}

impl Pool {
    /// A pool that lets its buffers hold `limit` bytes, and keeps up to `spare_chunks` chunks for the next use.
    /// It allocates nothing yet.
    #[must_use]
    pub const fn new(limit: u64, spare_chunks: usize) -> Self {
        Self {
            limit,
            charged: 0,
            free: Vec::new(),
            lent: VecDeque::new(),
            spare_chunks,
            assemblies: Spares::new(spare_chunks),
            ropes: Spares::new(spare_chunks),
        }
    }

    /// How many bytes the buffers may hold.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Changes the limit. What is held stays held, also if that is more than `limit` now.
    ///
    /// This is cheap, so that the owner can give one connection a reserve: it raises the limit for a call on behalf
    /// of a connection that holds less than its reserve, and lowers it again.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
        self.trim();
    }

    /// How many bytes the buffers hold.
    #[inline]
    #[must_use]
    pub const fn charged(&self) -> u64 {
        self.charged
    }

    /// How many bytes more the buffers may hold.
    #[inline]
    #[must_use]
    pub const fn room(&self) -> u64 {
        self.limit.saturating_sub(self.charged)
    }

    /// How many chunks are kept for the next use, those included that the application may still hold.
    #[must_use]
    pub fn spare_chunks(&self) -> usize {
        self.free.len() + self.lent.len()
    }

    /// Counts `bytes` as held, if the limit allows it.
    #[must_use]
    pub fn try_charge(&mut self, bytes: u64) -> bool {
        let allowed = bytes <= self.room();
        if allowed {
            self.charged += bytes;
            self.trim();
        }
        allowed
    }

    /// Counts `bytes` as held, whatever the limit: for the few that what was allowed brings with it.
    pub(super) fn charge(&mut self, bytes: u64) {
        self.charged += bytes;
        self.trim();
    }

    /// Counts `bytes` that were charged as no longer held.
    #[inline]
    pub const fn discharge(&mut self, bytes: u64) {
        self.charged = self.charged.saturating_sub(bytes);
    }

    /// An empty chunk, if the limit allows it.
    #[inline]
    pub(super) fn try_take(&mut self) -> Option<Chunk> {
        if self.room() < CHUNK_CHARGE {
            return None;
        }
        self.charged += CHUNK_CHARGE;
        // One from the free list leaves what is held in all as it is.
        Some(self.free.pop().unwrap_or_else(|| self.reclaim_or_allocate()))
    }

    #[cold]
    fn reclaim_or_allocate(&mut self) -> Chunk {
        if let Some(mut chunk) = self.lent.pop_front() {
            if chunk.reset() {
                return chunk;
            }
            self.lent.push_back(chunk);
        }
        self.trim();
        Chunk::new()
    }

    /// Takes a chunk back, whatever it holds.
    #[inline]
    pub(super) fn give_back(&mut self, mut chunk: Chunk) {
        self.discharge(CHUNK_CHARGE);
        if chunk.reset() {
            self.free.push(chunk);
        } else {
            self.lent.push_back(chunk);
        }
        self.trim();
    }

    #[inline]
    fn trim(&mut self) {
        if self.has_too_many_spares() {
            self.drop_spares();
        }
    }

    /// Whether spare chunks are too many, or bring what is held in all beyond the limit.
    #[inline]
    fn has_too_many_spares(&self) -> bool {
        let spare = self.spare_chunks();
        spare > self.spare_chunks || spare as u64 * CHUNK_CHARGE > self.room()
    }

    /// Drops first the spare chunks that the application may hold, since they may be of no use.
    #[cold]
    fn drop_spares(&mut self) {
        while self.has_too_many_spares() && (self.lent.pop_front().is_some() || self.free.pop().is_some()) {}
    }
}

impl Clone for Pool {
    fn clone(&self) -> Self {
        Self { charged: self.charged, ..Self::new(self.limit, self.spare_chunks) }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("limit", &self.limit)
            .field("charged", &self.charged)
            .field("free", &self.free.len())
            .field("lent", &self.lent.len())
            .finish_non_exhaustive()
    }
}

/// As many bytes as an index can count: only an offset difference that no buffer reaches is cut.
#[inline]
pub(super) fn to_index(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_kept_and_the_count_returns_to_zero() {
        let mut pool = Pool::new(2 * CHUNK_CHARGE + 10, 8);
        let first = pool.try_take().unwrap();
        let second = pool.try_take().unwrap();
        assert!(pool.try_take().is_none());
        assert!(!pool.try_charge(11));
        assert!(pool.try_charge(10));
        assert_eq!((pool.charged(), pool.room()), (pool.limit(), 0));
        pool.give_back(first);
        pool.discharge(10);
        pool.give_back(second);
        assert_eq!((pool.charged(), pool.spare_chunks()), (0, 2));
    }

    #[test]
    fn spare_chunks_are_bounded_by_number_and_by_the_limit() {
        let mut pool = Pool::new(4 * CHUNK_CHARGE, 3);
        let chunks: Vec<_> = core::iter::from_fn(|| pool.try_take()).collect();
        assert_eq!(chunks.len(), 4);
        chunks.into_iter().for_each(|chunk| pool.give_back(chunk));
        assert_eq!(pool.spare_chunks(), 3);
        assert!(pool.try_charge(3 * CHUNK_CHARGE));
        assert_eq!(pool.spare_chunks(), 1);
        pool.set_limit(3 * CHUNK_CHARGE);
        assert_eq!(pool.spare_chunks(), 0);
    }

    #[test]
    fn a_chunk_is_used_again_once_the_application_has_dropped_its_part() {
        let mut pool = Pool::new(8 * CHUNK_CHARGE, 8);
        let mut chunk = pool.try_take().unwrap();
        chunk.append(b"lent");
        let lent = chunk.take_front(0, 2);
        let address = lent.as_ptr();
        pool.give_back(chunk);
        assert_eq!((pool.charged(), pool.spare_chunks()), (0, 1));

        let other = pool.try_take().unwrap();
        assert_ne!(other.bytes().as_ptr(), address);
        assert_eq!(pool.spare_chunks(), 1);
        assert_eq!(&lent[..], b"le");
        drop(lent);
        let again = pool.try_take().unwrap();
        assert_eq!((again.bytes().as_ptr(), again.0.capacity() >= CHUNK, again.len()), (address, true, 0));
    }

    #[test]
    fn what_the_application_holds_is_not_kept_beyond_the_limit() {
        let mut pool = Pool::new(2 * CHUNK_CHARGE, 8);
        let mut chunk = pool.try_take().unwrap();
        chunk.append(b"lent");
        let lent = chunk.take_front(0, 4);
        pool.give_back(chunk);
        let _first = pool.try_take().unwrap();
        assert_eq!(pool.spare_chunks(), 1);
        let _second = pool.try_take().unwrap();
        assert_eq!((pool.spare_chunks(), lent.is_unique()), (0, true));
    }

    #[test]
    fn a_clone_has_the_count_and_no_chunks() {
        let mut pool = Pool::new(8 * CHUNK_CHARGE, 8);
        let kept = pool.try_take().unwrap();
        let spare = pool.try_take().unwrap();
        pool.give_back(spare);
        let copy = pool.clone();
        assert_eq!((copy.charged(), copy.limit(), copy.spare_chunks()), (CHUNK_CHARGE, pool.limit(), 0));
        assert_eq!(kept.clone().0.capacity(), CHUNK);
    }

    #[test]
    fn a_chunk_is_written_before_at_and_behind_its_end() {
        let mut chunk = Chunk::new();
        chunk.write(2, b"cd");
        chunk.write(0, b"ab");
        chunk.write(3, b"DE");
        assert_eq!(chunk.bytes(), b"abcDE");
    }
}
