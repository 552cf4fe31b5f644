//! Random segments, reads and prunes against a table with one entry an offset.

use super::*;

use proptest::prelude::*;

const CHUNK_HERE: u64 = CHUNK as u64;
const SPACE: u64 = 5 * CHUNK_HERE;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A segment, by its distance from the next byte expected, its length and a colour for its bytes.
    Insert(i64, usize, u8),
    Read(usize),
    Peek(usize),
    ReadBytes(usize),
    ReadWith(usize),
    Skip(u64),
    Prune(u64),
    Discard,
    Clone,
}

fn op() -> impl Strategy<Value = Op> {
    let length = || prop_oneof![0..30_usize, 1400..1500_usize, 0..2 * CHUNK];
    let distance = prop_oneof![
        3 => Just(0_i64),
        3 => -40..80_i64,
        3 => -3000..9000_i64,
        1 => -3000..4 * CHUNK as i64,
    ];
    prop_oneof![
        20 => (distance, length(), any::<u8>()).prop_map(|(at, length, colour)| Op::Insert(at, length, colour)),
        2 => length().prop_map(Op::Read),
        1 => length().prop_map(Op::Peek),
        3 => length().prop_map(Op::ReadBytes),
        1 => length().prop_map(Op::ReadWith),
        1 => (0..9000_u64).prop_map(Op::Skip),
        1 => (0..4 * CHUNK_HERE).prop_map(Op::Prune),
        1 => Just(Op::Discard),
        1 => Just(Op::Clone),
    ]
}

struct Model {
    bytes: Vec<Option<u8>>,
    read: usize,
    next: usize,
    /// Offsets that segments touched, oldest first.
    touched: Vec<usize>,
}

impl Model {
    fn new() -> Self {
        Self { bytes: vec![None; SPACE as usize], read: 0, next: 0, touched: Vec::new() }
    }

    fn run_at(&self, offset: usize) -> Range<u64> {
        let start = (0..=offset).rev().take_while(|n| self.bytes[*n].is_some()).last().unwrap_or(offset);
        let end = (offset..self.bytes.len()).find(|n| self.bytes[*n].is_none()).unwrap_or(self.bytes.len());
        start as u64..end as u64
    }

    fn blocks(&self) -> Vec<Range<u64>> {
        let mut blocks = Vec::new();
        for offset in self.touched.iter().rev().filter(|offset| **offset > self.next) {
            let run = self.run_at(*offset);
            if !run.is_empty() && !blocks.contains(&run) {
                blocks.push(run);
            }
        }
        blocks
    }

    /// Takes as much of a segment as the buffer said it had memory for.
    fn insert(&mut self, offset: usize, data: &[u8], told: &Inserted) -> Inserted {
        if data.is_empty() {
            return Inserted::default();
        }
        let mut expected = Inserted { refused: told.refused, ..Inserted::default() };
        let end = offset + data.len();
        let before = self.next;
        let first = (offset..end).find(|n| self.bytes[*n].is_some());
        expected.duplicate = first.map(|first| {
            let after = (first..end).find(|n| self.bytes[*n].is_none()).unwrap_or(end);
            first as u64..after as u64
        });
        for (at, byte) in (offset..).zip(data) {
            if self.bytes[at].is_none() {
                if expected.new_bytes == told.new_bytes && told.refused.is_some() {
                    break;
                }
                self.bytes[at] = Some(*byte);
                expected.new_bytes += 1;
            }
        }
        self.next = self.run_at(self.next).end as usize;
        expected.advanced = (self.next - before) as u64;
        if self.next == before && end > before && told.refused.is_none() {
            self.touched.push(offset.max(before));
            expected.block = Some(self.run_at(offset.max(before)));
        }
        expected
    }

    fn expect(&self, length: usize) -> Vec<u8> {
        self.bytes[self.read..self.next.min(self.read + length)].iter().flatten().copied().collect()
    }

    /// Drops the highest bytes that wait behind a hole.
    fn drop_highest(&mut self, count: u64) {
        // What is left of a block keeps its turn, so turns are kept by the offset that goes last.
        let kept = self.touched.iter().filter(|offset| self.bytes[**offset].is_some());
        self.touched = kept.map(|offset| self.run_at(*offset).start as usize).collect();
        let held: Vec<_> = (self.next..self.bytes.len()).filter(|n| self.bytes[*n].is_some()).collect();
        for offset in held.into_iter().rev().take(count as usize) {
            self.bytes[offset] = None;
        }
    }
}

fn check(pool: &Pool, buffer: &ReceiveBuffer, model: &Model) {
    assert_eq!((buffer.read_position(), buffer.next()), (model.read as u64, model.next as u64));
    let mut blocks = model.blocks();
    assert_eq!(recent(buffer), blocks);
    blocks.sort_by_key(|block| block.start);
    assert_eq!(out_of_order(buffer), blocks);
    assert_eq!(buffer.out_of_order_bytes(), blocks.iter().map(|block| block.end - block.start).sum::<u64>());
    assert_eq!((pool.charged(), buffer.assembly.is_none()), (buffer.memory(), buffer.memory() == 0));
    assert_eq!(buffer.memory() == 0, buffer.readable() == 0 && !buffer.has_out_of_order());
    // No more chunks than the places that hold something, and one that is read but not to its end.
    let used = |place: &u64| {
        let place = (*place * CHUNK_HERE) as usize;
        model.bytes[place.max(model.read)..(place + CHUNK).max(model.read)].iter().any(Option::is_some)
    };
    // The places are counted from where the buffer was empty last, so that one may lie across two of these.
    let most = 2 * (0..SPACE / CHUNK_HERE).filter(used).count() as u64 + 1;
    assert!(buffer.memory() <= most * CHUNK_HERE + blocks.len() as u64 * RANGE_CHARGE);
}

fn apply(
    pool: &mut Pool,
    buffer: &mut ReceiveBuffer,
    model: &mut Model,
    lent: &mut Vec<(Bytes, Vec<u8>)>,
    op: Op,
) {
    match op {
        Op::Insert(distance, length, colour) => {
            let offset = (model.next as i64 + distance).clamp(0, SPACE as i64 - 1) as usize;
            let length = length.min(SPACE as usize - 1 - offset);
            let data: Vec<u8> = (0..length).map(|n| colour.wrapping_add(n as u8)).collect();
            let ranges = out_of_order(buffer).len() as u64;
            let told = buffer.insert(pool, offset as u64, &data);
            let expected = model.insert(offset, &data, &told);
            if let (Some(_), Some(block)) = (told.refused, &told.block) {
                // What was taken touched a block as well; how much was taken only the buffer knows.
                model.touched.push(offset.max(model.next));
                assert_eq!(*block, model.run_at(offset.max(model.next)));
                assert_eq!(told, Inserted { block: told.block.clone(), ..expected });
            } else {
                assert_eq!(told, expected);
            }
            // What ranges that were joined had cost is free only afterwards.
            assert!(told.refused.is_none() || pool.room() < CHUNK_HERE + ranges * RANGE_CHARGE);
        }
        Op::Read(length) => {
            let expected = model.expect(length);
            assert_eq!(take(pool, buffer, length), expected);
            model.read += expected.len();
        }
        Op::Peek(length) => {
            let mut into = vec![0; length];
            let peeked = buffer.peek(&mut into);
            assert_eq!(into[..peeked], model.expect(length));
        }
        Op::ReadBytes(max) => {
            let expected = model.expect(max);
            match buffer.read_bytes(pool, max) {
                Some(bytes) => {
                    assert_eq!(bytes, expected[..bytes.len()]);
                    assert!(!bytes.is_empty());
                    model.read += bytes.len();
                    if max % 3 > 0 {
                        lent.push((bytes.clone(), bytes.to_vec()));
                    }
                }
                None => assert_eq!(expected, []),
            }
        }
        Op::ReadWith(length) => {
            let (expected, mut seen) = (model.expect(length), Vec::new());
            let consumed = buffer.read_with(pool, |slice| {
                let wanted = slice.len().min(length - seen.len());
                seen.extend_from_slice(&slice[..wanted]);
                wanted
            });
            assert_eq!((consumed, seen), (expected.len() as u64, expected));
            model.read += consumed as usize;
        }
        Op::Skip(length) => {
            let skipped = buffer.skip(pool, length);
            assert_eq!(skipped, model.expect(length as usize).len() as u64);
            model.read += skipped as usize;
        }
        Op::Prune(target) => {
            let dropped = buffer.prune(pool, target);
            model.drop_highest(dropped);
            assert!(buffer.memory() <= target || !buffer.has_out_of_order());
        }
        Op::Discard => {
            let dropped = buffer.discard_out_of_order(pool);
            model.drop_highest(dropped);
            assert!(!buffer.has_out_of_order());
        }
        Op::Clone => {
            let mut other_pool = pool.clone();
            let mut other = buffer.clone();
            assert_eq!(take(&mut other_pool, &mut other, SPACE as usize), model.expect(SPACE as usize));
            other.clear(&mut other_pool);
            assert_eq!(other_pool.charged(), 0);
        }
    }
}

proptest! {
    // trap: 63
    // req: LNX-BUF-3
    #[test]
    fn the_buffer_is_what_a_table_of_bytes_is(
        ops in prop::collection::vec(op(), 1..80),
        limit in prop_oneof![3 => Just(PLENTY), 1 => 0..6 * CHUNK_HERE],
    ) {
        let mut pool = Pool::new(limit, 4);
        let mut buffer = ReceiveBuffer::new(0);
        let mut model = Model::new();
        let mut lent = Vec::new();
        for op in ops {
            apply(&mut pool, &mut buffer, &mut model, &mut lent, op);
            check(&pool, &buffer, &model);
            prop_assert!(pool.charged() <= limit + RANGE_CHARGE);
        }
        for (bytes, copy) in lent {
            prop_assert_eq!(&bytes[..], &copy[..]);
        }
        prop_assert_eq!(take(&mut pool, &mut buffer, SPACE as usize), model.expect(SPACE as usize));
        buffer.discard_out_of_order(&mut pool);
        prop_assert_eq!((pool.charged(), buffer.assembly.is_none()), (0, true));
    }
}
