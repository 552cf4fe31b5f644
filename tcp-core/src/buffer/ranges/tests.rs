use super::*;

use alloc::vec::Vec;
use proptest::prelude::*;

fn set(ranges: &[Range<u64>]) -> RangeSet {
    let mut set = RangeSet::new(8);
    for range in ranges {
        set.insert(range.clone()).unwrap();
    }
    set
}

#[test]
fn touching_ranges_become_one() {
    let mut ranges = set(&[10..20, 30..40, 50..60]);
    let merged = ranges.insert(20..30).unwrap();
    assert_eq!(merged, Merged { block: 10..40, absorbed: 2, duplicate: None });
    assert_eq!(ranges.iter().collect::<Vec<_>>(), [10..40, 50..60]);
}

#[test]
fn the_first_duplicate_part_is_told() {
    let mut ranges = set(&[10..20, 30..40]);
    let merged = ranges.insert(5..35).unwrap();
    assert_eq!(merged, Merged { block: 5..40, absorbed: 2, duplicate: Some(10..20) });
    assert_eq!((ranges.len(), ranges.covered()), (1, 35));
}

#[test]
fn a_full_set_refuses_a_new_range_and_takes_one_that_touches() {
    let mut ranges = RangeSet::new(2);
    ranges.insert(10..20).unwrap();
    ranges.insert(30..40).unwrap();
    assert_eq!(ranges.insert(50..60), Err(Full));
    assert_eq!(ranges.insert(21..22), Err(Full));
    assert_eq!(ranges.iter().collect::<Vec<_>>(), [10..20, 30..40]);
    assert_eq!(ranges.insert(20..25).unwrap().block, 10..25);
    assert_eq!(ranges.insert(28..30).unwrap().block, 28..40);
}

#[test]
fn an_empty_range_changes_nothing() {
    let mut ranges = set(&[10..15, 15..20]);
    assert_eq!(ranges.insert(50..50).unwrap().absorbed, 0);
    assert_eq!((ranges.len(), ranges.first()), (1, Some(10..20)));
}

#[test]
fn an_emptied_set_keeps_little_memory_and_a_cleared_one_none() {
    let mut ranges = RangeSet::new(1024);
    (0..100).for_each(|n| drop(ranges.insert(2 * n..2 * n + 1)));
    ranges.remove_below(1000);
    assert_eq!((ranges.len(), ranges.covered(), ranges.ranges.capacity()), (0, 0, 0));
    ranges.insert(1..2).unwrap();
    ranges.remove_from(0);
    assert!((1..=KEPT_WHEN_EMPTY).contains(&ranges.ranges.capacity()));
    ranges.clear();
    assert_eq!(ranges.ranges.capacity(), 0);
}

const SPACE: u64 = 64;
const BOUND: usize = 12;

#[derive(Clone, Debug)]
enum Op {
    Insert(Range<u64>),
    RemoveBelow(u64),
    RemoveFrom(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0..SPACE, 0..8_u64).prop_map(|(start, length)| Op::Insert(start..(start + length).min(SPACE))),
        1 => (0..SPACE).prop_map(Op::RemoveBelow),
        1 => (0..SPACE).prop_map(Op::RemoveFrom),
    ]
}

fn runs(model: &[bool]) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for (offset, _) in (0..).zip(model).filter(|(_, held)| **held) {
        match runs.last_mut() {
            Some(last) if last.end == offset => last.end += 1,
            _ => runs.push(offset..offset + 1),
        }
    }
    runs
}

fn first_run(of: Range<u64>, picked: impl Fn(u64) -> bool) -> Option<Range<u64>> {
    let start = of.clone().find(|offset| picked(*offset))?;
    let end = (start..of.end).find(|offset| !picked(*offset)).unwrap_or(of.end);
    Some(start..end)
}

proptest! {
    #[test]
    fn a_set_is_what_a_table_of_flags_is(ops in prop::collection::vec(op(), 1..60)) {
        let mut ranges = RangeSet::new(BOUND);
        let mut model = [false; SPACE as usize];
        for op in ops {
            let flag = |offset: u64| model[offset as usize];
            match op {
                Op::Insert(range) => {
                    prop_assert_eq!(ranges.first_overlap(&range), first_run(range.clone(), flag));
                    prop_assert_eq!(ranges.first_gap(&range), first_run(range.clone(), |offset| !flag(offset)));
                    let duplicate = first_run(range.clone(), flag);
                    let before = runs(&model);
                    let absorbed = before.iter().filter(|run| run.start <= range.end && run.end >= range.start).count();
                    if absorbed == 0 && before.len() == BOUND && !range.is_empty() {
                        prop_assert_eq!(ranges.insert(range), Err(Full));
                        continue;
                    }
                    model[range.start as usize..range.end as usize].fill(true);
                    let merged = ranges.insert(range.clone()).unwrap();
                    if !range.is_empty() {
                        let block = runs(&model).into_iter().find(|run| run.contains(&range.start)).unwrap();
                        prop_assert_eq!(merged, Merged { block, absorbed, duplicate });
                    }
                }
                Op::RemoveBelow(offset) => {
                    ranges.remove_below(offset);
                    model[..offset as usize].fill(false);
                }
                Op::RemoveFrom(offset) => {
                    ranges.remove_from(offset);
                    model[offset as usize..].fill(false);
                }
            }
            let expected = runs(&model);
            prop_assert_eq!(ranges.iter().collect::<Vec<_>>(), expected.clone());
            prop_assert_eq!((ranges.first(), ranges.last()), (expected.first().cloned(), expected.last().cloned()));
            prop_assert_eq!(ranges.covered(), model.iter().filter(|held| **held).count() as u64);
            for offset in 0..SPACE {
                prop_assert_eq!(ranges.contains(offset), model[offset as usize]);
                let joins = model[offset as usize] || (offset > 0 && model[offset as usize - 1]);
                prop_assert_eq!(ranges.joins(offset), joins);
            }
        }
    }
}
