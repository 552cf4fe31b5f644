use super::*;

use alloc::vec;
use alloc::vec::Vec;

use crate::buffer::pool::{CHUNK, CHUNK_CHARGE};

mod model;

const PLENTY: u64 = 1 << 24;

fn start(offset: u64) -> (Pool, ReceiveBuffer) {
    (Pool::new(PLENTY, 16), ReceiveBuffer::new(offset))
}

/// Bytes that differ from place to place, also a chunk apart.
fn pattern(offset: u64, length: usize) -> Vec<u8> {
    (offset..).take(length).map(|n| (n ^ (n >> 8) ^ (n >> 13)) as u8).collect()
}

fn put(pool: &mut Pool, buffer: &mut ReceiveBuffer, range: Range<u64>) -> Inserted {
    buffer.insert(pool, range.start, &pattern(range.start, (range.end - range.start) as usize))
}

fn take(pool: &mut Pool, buffer: &mut ReceiveBuffer, length: usize) -> Vec<u8> {
    let mut into = vec![0; length];
    let read = buffer.read(pool, &mut into);
    into.truncate(read);
    into
}

fn recent(buffer: &ReceiveBuffer) -> Vec<Range<u64>> {
    buffer.recent_blocks().collect()
}

fn out_of_order(buffer: &ReceiveBuffer) -> Vec<Range<u64>> {
    buffer.out_of_order_ranges().collect()
}

#[test]
fn it_is_small_and_owns_nothing_when_all_is_read() {
    assert!(size_of::<ReceiveBuffer>() <= 24);
    let (mut pool, mut buffer) = start(5);
    assert_eq!(buffer.insert(&mut pool, 5, &[]), Inserted::default());
    assert!(buffer.assembly.is_none());
    let inserted = buffer.insert(&mut pool, 5, b"abc");
    assert_eq!(inserted, Inserted { advanced: 3, new_bytes: 3, ..Inserted::default() });
    assert_eq!((buffer.next(), buffer.readable(), buffer.memory()), (8, 3, CHUNK_CHARGE));
    assert_eq!(take(&mut pool, &mut buffer, 10), b"abc");
    assert!(buffer.assembly.is_none());
    assert_eq!((buffer.read_position(), pool.charged(), pool.spare_chunks()), (8, 0, 1));
}

// req: SHLD-31
#[test]
fn out_of_order_segments_are_held_until_the_hole_is_filled() {
    let (mut pool, mut buffer) = start(0);
    assert_eq!(put(&mut pool, &mut buffer, 2000..3000).block, Some(2000..3000));
    assert_eq!(put(&mut pool, &mut buffer, 1000..2000).block, Some(1000..3000));
    assert_eq!((buffer.readable(), buffer.out_of_order_bytes()), (0, 2000));
    let inserted = put(&mut pool, &mut buffer, 0..1000);
    assert_eq!(inserted, Inserted { advanced: 3000, new_bytes: 1000, ..Inserted::default() });
    assert!(!buffer.has_out_of_order());
    assert_eq!(take(&mut pool, &mut buffer, 9999), pattern(0, 3000));
}

// trap: 63
#[test]
fn the_first_copy_of_a_byte_wins() {
    let (mut pool, mut buffer) = start(0);
    buffer.insert(&mut pool, 4, b"4567");
    buffer.insert(&mut pool, 2, b"xxxxxxxx");
    buffer.insert(&mut pool, 2, b"yyyyyyyyyyyy");
    buffer.insert(&mut pool, 0, b"01zz");
    assert_eq!(take(&mut pool, &mut buffer, 1), b"0");
    let inserted = buffer.insert(&mut pool, 0, b"??????????????!");
    assert_eq!((inserted.duplicate, inserted.advanced), (Some(0..14), 1));
    assert_eq!(take(&mut pool, &mut buffer, 99), b"1xx4567xxyyyy!");
}

// req: 2883-1, 2883-3, 2883-4
#[test]
fn the_duplicate_part_of_a_segment_is_told() {
    let (mut pool, mut buffer) = start(5001);
    put(&mut pool, &mut buffer, 5001..6001);
    let whole = put(&mut pool, &mut buffer, 5001..6001);
    assert_eq!(whole, Inserted { duplicate: Some(5001..6001), ..Inserted::default() });
    let part = put(&mut pool, &mut buffer, 5501..7001);
    assert_eq!((part.duplicate, part.advanced, part.block), (Some(5501..6001), 1000, None));

    put(&mut pool, &mut buffer, 8001..10_001);
    let inside = put(&mut pool, &mut buffer, 8001..9001);
    assert_eq!((inside.duplicate, inside.block, inside.new_bytes), (Some(8001..9001), Some(8001..10_001), 0));
    let across = put(&mut pool, &mut buffer, 7501..12_001);
    assert_eq!((across.duplicate, across.block), (Some(8001..10_001), Some(7501..12_001)));
    assert_eq!(across.new_bytes, 2500);
    assert_eq!(put(&mut pool, &mut buffer, 7001..7501).duplicate, None);
    assert_eq!(buffer.next(), 12_001);
}

#[test]
fn a_duplicate_in_two_parts_is_told_by_its_first() {
    let (mut pool, mut buffer) = start(0);
    put(&mut pool, &mut buffer, 0..10);
    put(&mut pool, &mut buffer, 20..30);
    let inserted = put(&mut pool, &mut buffer, 5..40);
    assert_eq!(
        inserted,
        Inserted { advanced: 30, new_bytes: 20, duplicate: Some(5..10), ..Inserted::default() }
    );
}

// req: 2018-4c, 2018-4e, 2018-4f
#[test]
fn blocks_come_in_the_order_in_which_segments_touched_them() {
    let (mut pool, mut buffer) = start(1);
    for range in [7001..8001, 1001..2001, 4001..5001, 2001..3001] {
        put(&mut pool, &mut buffer, range);
    }
    assert_eq!(recent(&buffer), [1001..3001, 4001..5001, 7001..8001]);
    put(&mut pool, &mut buffer, 7001..7501);
    assert_eq!(recent(&buffer), [7001..8001, 1001..3001, 4001..5001]);
    let inserted = put(&mut pool, &mut buffer, 1..6001);
    assert_eq!((inserted.advanced, inserted.duplicate), (6000, Some(1001..3001)));
    assert_eq!(recent(&buffer), vec![7001..8001; 1]);
}

// trap: 63
// req: LNX-BUF-3
#[test]
fn ten_thousand_one_byte_holes_are_bounded() {
    let (mut pool, mut buffer) = start(0);
    let data = pattern(0, 20_001);
    let mut refused = 0;
    for offset in (1..20_001).step_by(2) {
        let inserted = buffer.insert(&mut pool, offset as u64, &data[offset..=offset]);
        refused += usize::from(inserted.refused == Some(Refusal::Ranges));
        assert_eq!(inserted.refused.is_some(), inserted.block.is_none());
    }
    assert_eq!((refused, recent(&buffer).len()), (10_000 - OUT_OF_ORDER_RANGES, OUT_OF_ORDER_RANGES));
    assert_eq!(pool.charged(), CHUNK_CHARGE + OUT_OF_ORDER_RANGES as u64 * RANGE_CHARGE);
    assert_eq!(buffer.memory(), pool.charged());
    let inserted = buffer.insert(&mut pool, 2, &data[2..7000]);
    assert_eq!((inserted.block, inserted.refused), (Some(1..7000), None));
    let inserted = buffer.insert(&mut pool, 0, &data);
    assert_eq!((inserted.advanced, inserted.refused), (20_001, None));
    assert_eq!(take(&mut pool, &mut buffer, 30_000), data);
    assert_eq!((pool.charged(), buffer.memory()), (0, 0));
}

#[test]
fn small_segments_take_no_more_memory_than_their_bytes() {
    let (mut pool, mut buffer) = start(0);
    for offset in (0..CHUNK as u64).rev() {
        put(&mut pool, &mut buffer, offset..offset + 1);
    }
    assert_eq!((buffer.readable(), pool.charged()), (CHUNK as u64, CHUNK_CHARGE));
    assert_eq!(take(&mut pool, &mut buffer, CHUNK), pattern(0, CHUNK));
}

// req: LNX-BUF-3, 2018-8a
#[test]
fn pruning_drops_the_highest_and_never_what_is_in_order() {
    let (mut pool, mut buffer) = start(0);
    let chunk = CHUNK as u64;
    put(&mut pool, &mut buffer, 0..100);
    put(&mut pool, &mut buffer, chunk + 10..chunk + 20);
    put(&mut pool, &mut buffer, 2 * chunk - 100..3 * chunk + 5);
    put(&mut pool, &mut buffer, 200..300);
    put(&mut pool, &mut buffer, 5 * chunk..5 * chunk + 1);
    assert_eq!(buffer.memory(), 5 * chunk + 4 * RANGE_CHARGE);
    assert_eq!(buffer.prune(&mut pool, 5 * chunk), 1);
    assert_eq!(buffer.prune(&mut pool, 3 * chunk + 3 * RANGE_CHARGE), 5);
    assert_eq!(out_of_order(&buffer), [200..300, chunk + 10..chunk + 20, 2 * chunk - 100..3 * chunk]);
    assert_eq!(recent(&buffer), [200..300, 2 * chunk - 100..3 * chunk, chunk + 10..chunk + 20]);
    assert_eq!(buffer.discard_out_of_order(&mut pool), chunk + 100 + 10 + 100);
    assert_eq!((buffer.readable(), pool.charged()), (100, chunk));

    put(&mut pool, &mut buffer, 100..3 * chunk);
    assert_eq!(take(&mut pool, &mut buffer, 4 * CHUNK), pattern(0, 3 * CHUNK));
    assert_eq!(pool.charged(), 0);
}

#[test]
fn a_full_pool_is_told_and_nothing_is_lost() {
    let mut pool = Pool::new(2 * CHUNK_CHARGE, 4);
    let mut buffer = ReceiveBuffer::new(0);
    let chunk = CHUNK as u64;
    let inserted = put(&mut pool, &mut buffer, 0..3 * chunk);
    assert_eq!((inserted.advanced, inserted.refused), (2 * chunk, Some(Refusal::Memory)));
    let inserted = put(&mut pool, &mut buffer, 2 * chunk..2 * chunk + 1);
    assert_eq!(inserted, Inserted { refused: Some(Refusal::Memory), ..Inserted::default() });
    let inserted = put(&mut pool, &mut buffer, 3 * chunk..3 * chunk + 1);
    assert_eq!(inserted, Inserted { refused: Some(Refusal::Memory), ..Inserted::default() });
    assert_eq!(take(&mut pool, &mut buffer, CHUNK), pattern(0, CHUNK));

    // The chunk took all the room there was, so that the range costs a little more than the limit.
    let inserted = put(&mut pool, &mut buffer, 3 * chunk - 5..4 * chunk);
    assert_eq!((inserted.new_bytes, inserted.block), (5, Some(3 * chunk - 5..3 * chunk)));
    assert_eq!((inserted.refused, pool.room()), (Some(Refusal::Memory), 0));
    let inserted = put(&mut pool, &mut buffer, 3 * chunk - 10..3 * chunk - 8);
    assert_eq!((inserted.new_bytes, inserted.refused), (0, Some(Refusal::Memory)));
    buffer.discard_out_of_order(&mut pool);
    put(&mut pool, &mut buffer, 2 * chunk..3 * chunk);
    assert_eq!(take(&mut pool, &mut buffer, 9 * CHUNK), pattern(chunk, 2 * CHUNK));
    assert_eq!(pool.charged(), 0);

    pool.set_limit(CHUNK_CHARGE - 1);
    let inserted = put(&mut pool, &mut buffer, 3 * chunk..3 * chunk + 1);
    assert_eq!((inserted.advanced, inserted.refused), (0, Some(Refusal::Memory)));
    assert!(buffer.assembly.is_none());
}

#[test]
fn bytes_are_read_without_a_copy_and_leave_the_count() {
    let (mut pool, mut buffer) = start(0);
    put(&mut pool, &mut buffer, 0..3 * CHUNK as u64 / 2);
    let mut into = [0; 4];
    assert_eq!(buffer.peek(&mut into), 4);
    let first = buffer.read_bytes(&mut pool, 3000).unwrap();
    let second = buffer.read_bytes(&mut pool, usize::MAX).unwrap();
    assert_eq!((first.len(), second.len()), (3000, CHUNK - 3000));
    assert_eq!(first.as_ptr() as usize + 3000, second.as_ptr() as usize);
    assert_eq!(pool.charged(), CHUNK_CHARGE);
    let third = buffer.read_bytes(&mut pool, usize::MAX).unwrap();
    assert_eq!([&first[..], &second, &third].concat(), pattern(0, 3 * CHUNK / 2));
    assert_eq!((pool.charged(), buffer.read_bytes(&mut pool, 1)), (0, None));

    // The chunks can be filled again only when the application has dropped its parts.
    put(&mut pool, &mut buffer, 3 * CHUNK as u64 / 2..5 * CHUNK as u64);
    assert_eq!([&first[..], &second, &third].concat(), pattern(0, 3 * CHUNK / 2));
}

#[test]
fn few_bytes_alone_in_a_chunk_do_not_keep_it() {
    let (mut pool, mut buffer) = start(0);
    put(&mut pool, &mut buffer, 0..10);
    let few = buffer.read_bytes(&mut pool, 99).unwrap();
    let address = few.as_ptr();
    put(&mut pool, &mut buffer, 10..5010);
    let mut stands_at = core::ptr::null();
    buffer.read_with(&mut pool, |slice| {
        stands_at = slice.as_ptr();
        0
    });
    let many = buffer.read_bytes(&mut pool, 4500).unwrap();
    let rest = buffer.read_bytes(&mut pool, usize::MAX).unwrap();
    assert_eq!([&few[..], &many, &rest].concat(), pattern(0, 5010));
    assert_eq!((stands_at, many.as_ptr_range().end), (many.as_ptr(), rest.as_ptr()));
    assert!(!many.as_ptr_range().contains(&address));
    assert_eq!(pool.spare_chunks(), 1);

    put(&mut pool, &mut buffer, 5010..6510);
    buffer.read_with(&mut pool, |slice| {
        stands_at = slice.as_ptr();
        0
    });
    assert_eq!(buffer.read_bytes(&mut pool, usize::MAX).unwrap().as_ptr(), stands_at);
}

#[test]
fn a_reader_sees_the_pieces_and_stops_where_it_likes() {
    let (mut pool, mut buffer) = start(0);
    put(&mut pool, &mut buffer, 0..2 * CHUNK as u64 + 10);
    put(&mut pool, &mut buffer, 2 * CHUNK as u64 + 20..2 * CHUNK as u64 + 30);
    let mut lengths = Vec::new();
    let consumed = buffer.read_with(&mut pool, |slice| {
        lengths.push(slice.len());
        if lengths.len() == 2 { 5 } else { slice.len() }
    });
    assert_eq!((consumed, lengths), (CHUNK as u64 + 5, vec![CHUNK, CHUNK]));
    assert_eq!(buffer.skip(&mut pool, 3), 3);
    assert_eq!(take(&mut pool, &mut buffer, 4), pattern(CHUNK as u64 + 8, 4));
    assert_eq!(buffer.skip(&mut pool, u64::MAX), CHUNK as u64 - 2);
    assert_eq!((buffer.readable(), buffer.out_of_order_bytes()), (0, 10));
    assert_eq!(buffer.read_with(&mut pool, |_| usize::MAX), 0);
}

#[test]
fn a_message_that_fits_into_a_chunk_stands_in_one_piece() {
    let (mut pool, mut buffer) = start(0);
    for message in 0..20 {
        let start = message * 5000;
        put(&mut pool, &mut buffer, start..start + 5000);
        let mut pieces = 0;
        buffer.read_with(&mut pool, |slice| {
            pieces += 1;
            slice.len()
        });
        assert_eq!(pieces, 1);
    }
    assert_eq!(pool.spare_chunks(), 1);
}

#[test]
fn a_clone_lives_on_its_own() {
    let (mut pool, mut buffer) = start(0);
    put(&mut pool, &mut buffer, 0..10);
    put(&mut pool, &mut buffer, 20..30);
    let (mut other_pool, mut other) = (pool.clone(), buffer.clone());
    other.insert(&mut other_pool, 10, b"0123456789");
    put(&mut pool, &mut buffer, 10..20);
    assert_eq!(take(&mut pool, &mut buffer, 99), pattern(0, 30));
    let read = take(&mut other_pool, &mut other, 99);
    assert_eq!([&pattern(0, 10), &b"0123456789"[..], &pattern(20, 10)].concat(), read);
    assert_eq!((pool.charged(), other_pool.charged()), (0, 0));
    let text = alloc::format!("{buffer:?}");
    assert_eq!(text, "ReceiveBuffer { read: 30, next: 30, out_of_order: 0, memory: 0 }");
}

#[test]
fn the_end_of_all_offsets_is_no_trap() {
    let (mut pool, mut buffer) = start(u64::MAX - 10);
    assert_eq!(buffer.insert(&mut pool, u64::MAX - 5, b"abcdefghij").block, Some(u64::MAX - 5..u64::MAX));
    assert_eq!(buffer.insert(&mut pool, u64::MAX, b"k"), Inserted::default());
    assert_eq!(buffer.insert(&mut pool, u64::MAX - 10, b"0123456789abc").advanced, 10);
    assert_eq!(take(&mut pool, &mut buffer, 99), b"01234abcde");
    assert_eq!(buffer.insert(&mut pool, u64::MAX, b"k"), Inserted::default());
    buffer.clear(&mut pool);
    assert_eq!(pool.charged(), 0);
}
