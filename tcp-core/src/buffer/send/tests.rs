use super::*;

use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

const PLENTY: u64 = 1 << 24;

fn pool() -> Pool {
    Pool::new(PLENTY, 16)
}

/// Bytes that differ from place to place, also a chunk apart.
fn pattern(offset: u64, length: usize) -> Vec<u8> {
    (offset..).take(length).map(|n| (n ^ (n >> 8) ^ (n >> 13)) as u8).collect()
}

fn held(buffer: &SendBuffer, offset: u64, length: usize) -> Vec<u8> {
    let mut into = vec![0; length];
    let copied = buffer.copy_out(offset, &mut into);
    into.truncate(copied);
    into
}

#[test]
fn it_is_small_and_owns_nothing_when_empty() {
    assert!(size_of::<SendBuffer>() <= 24);
    let mut pool = pool();
    let mut buffer = SendBuffer::new(7);
    assert_eq!(buffer.write(&mut pool, &[]), 0);
    assert!(buffer.rope.is_none());
    buffer.write(&mut pool, b"abc");
    assert_eq!((buffer.base(), buffer.end(), buffer.len(), buffer.memory()), (7, 10, 3, CHUNK_CHARGE));
    buffer.release_to(&mut pool, 10);
    assert!(buffer.rope.is_none() && buffer.is_empty());
    assert_eq!((buffer.base(), pool.charged(), pool.spare_chunks()), (10, 0, 1));
}

#[test]
fn segments_are_cut_across_pieces_and_short_only_at_the_end() {
    let mut pool = pool();
    let mut buffer = SendBuffer::new(0);
    let data = pattern(0, 3 * CHUNK);
    assert_eq!(buffer.write(&mut pool, &data[..CHUNK - 1]), CHUNK - 1);
    assert_eq!(buffer.write(&mut pool, &data[CHUNK - 1..CHUNK + 1]), 2);
    let mut handed = Bytes::copy_from_slice(&data[CHUNK + 1..]);
    assert_eq!(buffer.write_bytes(&mut pool, &mut handed, usize::MAX), 2 * CHUNK - 1);
    assert!(handed.is_empty());
    assert_eq!(held(&buffer, 5, 3 * CHUNK), data[5..]);
    assert_eq!(held(&buffer, CHUNK as u64 - 2, 5), data[CHUNK - 2..CHUNK + 3]);
    assert_eq!(buffer.slices(CHUNK as u64 - 2, 5).map(<[u8]>::len).collect::<Vec<_>>(), [2, 1, 2]);
    assert_eq!(held(&buffer, 3 * CHUNK as u64, 1), []);
    buffer.release_to(&mut pool, 4);
    assert_eq!(held(&buffer, 3, 1), []);
    assert_eq!(held(&buffer, 4, 1), data[4..5]);
    let before = buffer.memory();
    buffer.release_to(&mut pool, CHUNK as u64 - 1);
    assert_eq!(buffer.memory(), before);
    buffer.release_to(&mut pool, CHUNK as u64);
    assert_eq!((buffer.memory(), pool.charged()), (before - CHUNK_CHARGE, before - CHUNK_CHARGE));
}

#[test]
fn what_is_handed_over_is_not_copied_unless_it_is_short() {
    let mut pool = pool();
    let mut buffer = SendBuffer::new(0);
    let mut large = Bytes::from(pattern(0, 5000));
    let address = large.as_ptr();
    assert_eq!(buffer.write_bytes(&mut pool, &mut large, 4000), 4000);
    assert_eq!((large.len(), buffer.slices(0, 10).next().unwrap().as_ptr()), (1000, address));
    let address = large.as_ptr();
    assert_eq!(buffer.write_bytes(&mut pool, &mut large, usize::MAX), 1000);
    assert_ne!(buffer.slices(4000, 10).next().unwrap().as_ptr(), address);
    assert_eq!(held(&buffer, 0, 5000), pattern(0, 5000));
    assert_eq!(pool.charged(), 4000 + PIECE_CHARGE + CHUNK_CHARGE);
    assert_eq!(pool.charged(), buffer.memory());
}

#[test]
fn a_short_part_of_a_large_allocation_does_not_keep_it() {
    let mut pool = pool();
    let mut buffer = SendBuffer::new(0);
    let owner = Bytes::from(vec![1; 1 << 20]);
    let mut part = owner.slice(..SHORTEST_KEPT - 1);
    assert_eq!(buffer.write_bytes(&mut pool, &mut part, usize::MAX), SHORTEST_KEPT - 1);
    assert!(owner.is_unique());
}

#[test]
fn a_full_pool_is_told_by_a_short_count() {
    let mut pool = Pool::new(CHUNK_CHARGE + 2000, 4);
    let mut buffer = SendBuffer::new(0);
    let data = pattern(0, 2 * CHUNK);
    assert_eq!(buffer.write(&mut pool, &data[..1]), 1);
    let mut handed = Bytes::copy_from_slice(&data[1..]);
    assert_eq!(buffer.write_bytes(&mut pool, &mut handed, usize::MAX), 2000 - PIECE_CHARGE as usize);
    assert_eq!(pool.room(), 0);
    assert_eq!(buffer.write_bytes(&mut pool, &mut handed, usize::MAX), 0);
    assert_eq!(buffer.write(&mut pool, &handed), 0);
    assert_eq!(held(&buffer, 0, data.len()), data[..buffer.len() as usize]);
    buffer.clear(&mut pool);
    assert_eq!(buffer.write(&mut pool, &data), CHUNK);
    buffer.clear(&mut pool);
    pool.set_limit(10);
    assert_eq!(buffer.write(&mut pool, &data), 0);
    assert!(buffer.rope.is_none());
}

#[test]
fn truncation_frees_offsets_for_other_bytes() {
    let mut pool = pool();
    let mut buffer = SendBuffer::new(0);
    let mut handed = Bytes::from(pattern(0, 2000));
    buffer.write_bytes(&mut pool, &mut handed, usize::MAX);
    buffer.write(&mut pool, b"tail");
    buffer.truncate_to(&mut pool, 2002);
    buffer.write(&mut pool, b"xy");
    assert_eq!(held(&buffer, 2000, 10), b"taxy");
    buffer.truncate_to(&mut pool, 1500);
    assert_eq!((buffer.end(), pool.charged()), (1500, 1500 + PIECE_CHARGE));
    buffer.release_to(&mut pool, 100);
    buffer.truncate_to(&mut pool, 50);
    assert_eq!((buffer.base(), buffer.end(), pool.charged()), (100, 100, 0));
}

#[test]
fn a_clone_lives_on_its_own() {
    let mut pool = pool();
    let mut buffer = SendBuffer::new(0);
    buffer.write(&mut pool, b"shared ");
    let (mut other_pool, mut other) = (pool.clone(), buffer.clone());
    buffer.write(&mut pool, b"first");
    other.write(&mut other_pool, b"second");
    assert_eq!(held(&buffer, 0, 20), b"shared first");
    assert_eq!(held(&other, 0, 20), b"shared second");
    other.clear(&mut other_pool);
    assert_eq!((other_pool.charged(), pool.charged()), (0, CHUNK_CHARGE));
    let text = alloc::format!("{buffer:?}");
    assert_eq!(text, "SendBuffer { base: 0, end: 12, pieces: 1 }");
}

#[derive(Clone, Debug)]
enum Op {
    Write(usize),
    WriteBytes(usize, usize),
    CopyOut(usize, usize),
    Release(usize),
    Truncate(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let length = || prop_oneof![0..40_usize, 900..1500_usize, 0..3 * CHUNK];
    prop_oneof![
        3 => length().prop_map(Op::Write),
        3 => (length(), length()).prop_map(|(length, max)| Op::WriteBytes(length, max)),
        6 => (any::<prop::sample::Index>(), length()).prop_map(|(at, length)| Op::CopyOut(at.index(1 << 20), length)),
        3 => length().prop_map(Op::Release),
        1 => length().prop_map(Op::Truncate),
    ]
}

proptest! {
    // req: 2525-4
    #[test]
    fn every_copy_of_an_offset_is_the_same(
        ops in prop::collection::vec(op(), 1..60),
        base in 0..10_000_u64,
        limit in prop_oneof![Just(PLENTY), 0..100_000_u64],
    ) {
        let mut pool = Pool::new(limit, 4);
        let mut buffer = SendBuffer::new(base);
        let mut model: Vec<u8> = Vec::new();
        let mut first = base;
        for (turn, op) in (0_u64..).zip(ops) {
            match op {
                Op::Write(length) => {
                    let data = pattern(turn * 77, length);
                    let taken = buffer.write(&mut pool, &data);
                    prop_assert!(taken == length || pool.room() < CHUNK_CHARGE);
                    model.extend_from_slice(&data[..taken]);
                }
                Op::WriteBytes(length, max) => {
                    let data = pattern(turn * 77, length);
                    let mut rest = Bytes::copy_from_slice(&data);
                    let taken = buffer.write_bytes(&mut pool, &mut rest, max);
                    prop_assert!(taken == length.min(max) || pool.room() < CHUNK_CHARGE);
                    prop_assert_eq!(&rest[..], &data[taken..]);
                    model.extend_from_slice(&data[..taken]);
                }
                Op::CopyOut(at, length) => {
                    let at = at % (model.len() + 1);
                    let expected = &model[at..model.len().min(at + length)];
                    prop_assert_eq!(held(&buffer, first + at as u64, length), expected);
                }
                Op::Release(length) => {
                    let length = length.min(model.len());
                    buffer.release_to(&mut pool, first + length as u64);
                    model.drain(..length);
                    first += length as u64;
                }
                Op::Truncate(length) => {
                    model.truncate(length);
                    buffer.truncate_to(&mut pool, first + length as u64);
                }
            }
            prop_assert_eq!((buffer.base(), buffer.end()), (first, first + model.len() as u64));
            prop_assert_eq!(pool.charged(), buffer.memory());
            prop_assert!(pool.charged() <= limit);
            prop_assert_eq!(buffer.rope.is_none(), model.is_empty());
        }
        prop_assert_eq!(held(&buffer, first, model.len() + 1), model);
        buffer.clear(&mut pool);
        prop_assert_eq!((pool.charged(), buffer.memory(), buffer.rope.is_none()), (0, 0, true));
    }
}
