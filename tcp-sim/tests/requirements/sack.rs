//! Selective acknowledgements, given and taken (RFC 2018, RFC 2883).

use tcp_core::wire::Segment;
use tcp_core::{ConnConfig, Duration, SendReason, State};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn config() -> ConnConfig {
    let mut config = plain_config();
    config.sack = true;
    config
}

fn established(numbers: Numbers) -> Scripted {
    Scripted::established_with(config(), numbers, ",sackOK")
}

// Giving.

// req: 2018-2
#[test]
fn the_permission_stands_on_syns_only() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(config(), numbers);
        test.expect("[S] seq 100 <mss 1000,sackOK>");
        test.inject("[S.] seq 5000 ack 101 <mss 1000,sackOK>");
        test.write_len(5_000);
        test.inject("[.] seq 5101 ack 101 len 100");
        test.shutdown_write();
        test.advance(ms(3_000));
        test.abort();
        for sent in test.take_sent() {
            assert!(!sent.line.contains("sackOK"), "{}", sent.line);
        }
        let mut test = Scripted::listening(config(), numbers);
        test.inject("[S] seq 5000 <mss 1000,sackOK>");
        test.expect("[S.] seq 100 ack 5001 <mss 1000,sackOK>");
    });
}

// req: 2018-2, 2018-4a
#[test]
fn a_permission_that_comes_late_is_ignored() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(config(), numbers);
        test.inject("[.] seq 5001 ack 101 <raw,sackOK,nop,nop> len 100");
        test.inject("[.] seq 5201 ack 101 len 100");
        for sent in test.take_sent() {
            assert!(!sent.line.contains("sack"), "{}", sent.line);
        }
        assert!(!test.stats().sack);
    });
}

// req: 2018-4a
#[test]
fn without_permission_a_duplicate_ack_is_plain() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(config(), numbers);
        test.inject("[.] seq 5101 ack 101 len 100");
        assert_eq!(test.expect("[.] seq 101 ack 5001").line, "[.] seq 101 ack 5001 win 10000");
        let mut test = Scripted::listening(config(), numbers);
        test.inject("[S] seq 5000 <mss 1000>");
        test.expect("[S.] seq 100 ack 5001 <mss 1000>");
        test.inject("[.] seq 5001 ack 101");
        test.inject("[.] seq 5101 ack 101 len 100");
        assert_eq!(test.expect("[.]").line, "[.] seq 101 ack 5001 win 10000");
    });
}

// req: 2018-4b
// trap: 44
#[test]
fn every_segment_reports_while_there_are_holes() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.inject("[.] seq 5101 ack 101 len 100");
        test.expect("[.] seq 101 ack 5001 <sack 5101:5201>");
        // On data, whose payload makes room for it; on its retransmission; on a FIN.
        test.write_len(1_500);
        test.expect("[.] seq 101:1089 ack 5001 <sack 5101:5201> len 988");
        test.expect("[P.] seq 1089:1601 ack 5001 <sack 5101:5201>");
        test.advance(ms(200));
        test.expect("[.] seq 101:1089 ack 5001 <sack 5101:5201> len 988");
        test.inject("[.] seq 5001 ack 1601");
        test.shutdown_write();
        test.expect("[F.] seq 1601 ack 5001 <sack 5101:5201>");
        // The hole is filled: nothing to report.
        test.inject("[.] seq 5001 ack 1602 len 100");
        assert_eq!(test.expect("[.] seq 1602 ack 5201").line, "[.] seq 1602 ack 5201 win 9800");
    });
}

// req: 2018-4b
#[test]
fn each_segment_out_of_order_is_answered() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        for (seq, end) in [(5_101, 5_201), (5_201, 5_301), (5_301, 5_401)] {
            test.inject(&format!("[.] seq {seq} ack 101 len 100"));
            let sent = test.expect(&format!("[.] seq 101 ack 5001 <sack 5101:{end}>"));
            assert_eq!(sent.reason, SendReason::DuplicateAck);
            test.expect_none();
        }
    });
}

// req: 2018-4b
#[test]
fn a_batch_out_of_order_is_answered_once_with_sack_and_each_time_without() {
    every_wrap(|numbers| {
        let lines =
            ["[.] seq 5101 ack 101 len 100", "[.] seq 5201 ack 101 len 100", "[.] seq 5301 ack 101 len 100"];
        let mut test = established(numbers);
        test.inject_all(&lines);
        test.expect("[.] ack 5001 <sack 5101:5401>");
        test.expect_none();
        let mut test = Scripted::established(config(), numbers);
        test.inject_all(&lines);
        assert_eq!(test.take_sent().len(), 3);
    });
}

// req: 2018-4c
// trap: 44
#[test]
fn the_first_block_holds_what_came_last() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.inject("[.] seq 5301 ack 101 len 100");
        test.expect("[.] ack 5001 <sack 5301:5401>");
        test.inject("[.] seq 5501 ack 101 len 100");
        test.expect("[.] ack 5001 <sack 5501:5601 5301:5401>");
        test.inject("[.] seq 5101 ack 101 len 100");
        test.expect("[.] ack 5001 <sack 5101:5201 5501:5601 5301:5401>");
        // What joins two blocks brings their union to the front.
        test.inject("[.] seq 5401 ack 101 len 100");
        test.expect("[.] ack 5001 <sack 5301:5601 5101:5201>");
    });
}

// req: 2018-4d, 2018-4e
#[test]
fn as_many_blocks_as_fit_the_most_recent_first() {
    every_wrap(|numbers| {
        for (timestamps, most) in [(false, 4), (true, 3)] {
            let mut config = config();
            config.timestamps = timestamps;
            let options = if timestamps { ",sackOK,TS 7 1000000" } else { ",sackOK" };
            let stamp = if timestamps { "<TS 8 1000000> " } else { "" };
            let mut test = Scripted::established_with(config, numbers, options);
            let mut reported = std::collections::HashMap::new();
            for island in 0..6u32 {
                let seq = 5_101 + 200 * island;
                test.inject(&format!("[.] seq {seq} ack 101 {stamp}len 100"));
                let sent = test.take_sent();
                assert_eq!(sent.len(), 1);
                let segment = Segment::parse(&sent[0].bytes).unwrap();
                assert!(segment.header_len() <= 60);
                let blocks: Vec<u32> =
                    segment.options.sack.iter().map(|block| (block.start - numbers.remote).0).collect();
                let expected: Vec<u32> =
                    (0..=island).rev().take(most).map(|island| 5_101 + 200 * island).collect();
                assert_eq!(blocks, expected);
                blocks.iter().for_each(|block| *reported.entry(*block).or_insert(0) += 1);
            }
            // Three losses of ACKs in a row still leave each block reported (RFC 2018 §4).
            assert!((0..3).all(|island| reported[&(5_101 + 200 * island)] >= 3));
        }
    });
}

// req: 2018-4f
// trap: 44
#[test]
fn blocks_are_apart_above_the_ack_and_held() {
    let mut random = 7u64;
    let mut next = move |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for numbers in [Numbers::default(), Numbers::wrap_after(3_000), Numbers::wrap_after(9_000)] {
        for _ in 0..20 {
            let mut test = established(numbers);
            let mut held = [false; 10_000];
            for _ in 0..150 {
                let (start, length) = (next(9_000) as usize, 1 + next(900) as usize);
                test.inject(&format!("[.] seq {} ack 101 len {length}", 5_001 + start));
                held[start..start + length].fill(true);
                for sent in test.take_sent() {
                    check_blocks(&sent.bytes, numbers, &held);
                }
            }
        }
    }
}

fn check_blocks(bytes: &[u8], numbers: Numbers, held: &[bool]) {
    let segment = Segment::parse(bytes).expect("what we send can be parsed");
    let at = |seq: tcp_core::SeqNumber| (seq - numbers.remote).0 as usize - 5_001;
    let ack = at(segment.ack);
    assert!(held[..ack].iter().all(|held| *held));
    let blocks: Vec<(usize, usize)> =
        segment.options.sack.iter().map(|block| (at(block.start), at(block.end))).collect();
    for (start, end) in &blocks {
        assert!(start < end && held[*start..*end].iter().all(|held| *held), "{segment}");
    }
    let enclosed = blocks.len() > 1 && blocks[1].0 <= blocks[0].0 && blocks[0].1 <= blocks[1].1;
    let dsack = blocks.first().is_some_and(|block| block.1 <= ack) || enclosed;
    let blocks = &blocks[usize::from(dsack)..];
    for (index, (start, end)) in blocks.iter().enumerate() {
        assert!(*start > ack && !held[*start - 1] && held.get(*end) != Some(&true), "{segment}");
        assert!(blocks[..index].iter().all(|other| other.1 < *start || other.0 > *end), "{segment}");
    }
}

// req: 2883-1, 2883-2, 2883-6
// trap: 44
#[test]
fn a_duplicate_is_reported_once() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.inject_all(&["[.] seq 5001 ack 101 len 500", "[.] seq 5501 ack 101 len 500"]);
        test.expect("[.] ack 6001");
        test.inject("[.] seq 5001 ack 101 len 500");
        test.expect("[.] ack 6001 <sack 5001:5501>");
        test.inject("[.] seq 6101 ack 101 len 100");
        test.expect("[.] ack 6001 <sack 6101:6201>");
        test.expect_none();
        assert_eq!(test.stats().totals.dsacks_sent, 1);
    });
}

// req: 2883-3
#[test]
fn a_duplicate_out_of_order_is_reported_before_the_block_that_holds_it() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.inject("[.] seq 5401 ack 101 len 100");
        test.inject("[.] seq 7001 ack 101 len 1000");
        test.inject("[.] seq 8001 ack 101 len 1000");
        test.take_sent();
        test.inject("[.] seq 7001 ack 101 len 1000");
        test.expect("[.] ack 5001 <sack 7001:8001 7001:9001 5401:5501>");
    });
}

// req: 2883-4
#[test]
fn only_the_part_that_was_here_is_reported() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.inject_all(&["[.] seq 5001 ack 101 len 500", "[.] seq 5501 ack 101 len 500"]);
        test.expect("[.] ack 6001");
        test.inject("[.] seq 5001 ack 101 len 2000");
        test.expect("[.] ack 7001 <sack 5001:6001>");
        test.expect_data(5_001, 7_001);
    });
}

// trap: 44
#[test]
fn several_duplicates_in_one_segment() {
    // The numbers of packetdrill's dsack_mult: 1001:3001, 4001:5001 and 7001:8001 are here, and
    // 1:6001 comes.
    every_wrap(|numbers| {
        let mut test = established(numbers);
        for (seq, len) in [(6_001, 1_000), (7_001, 1_000), (9_001, 1_000), (12_001, 1_000)] {
            test.inject(&format!("[.] seq {seq} ack 101 len {len}"));
        }
        test.take_sent();
        test.inject("[.] seq 5001 ack 101 len 6000");
        test.expect("[.] ack 11001 <sack 6001:8001 12001:13001>");
        test.expect_none();
    });
}

// req: 2883-8
#[test]
fn a_duplicate_with_an_old_stamp_is_answered_without_a_report() {
    every_wrap(|numbers| {
        let mut config = config();
        config.timestamps = true;
        let mut test = Scripted::established_with(config, numbers, ",sackOK,TS 7000 1000000");
        test.inject_all(&[
            "[.] seq 5001 ack 101 <TS 7001 1000000> len 500",
            "[.] seq 5501 ack 101 <TS 7001 1000000> len 500",
        ]);
        test.take_sent();
        test.inject("[.] seq 5001 ack 101 <TS 6999 1000000> len 500");
        test.expect("[.] ack 6001 <TS 1000000 7001>");
    });
}

// req: 2018-8a
#[test]
fn what_is_dropped_for_want_of_room_is_not_reported_any_more() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        // Beyond the window: trimmed, and the block ends where the window does.
        test.inject("[.] seq 14501 ack 101 len 1000");
        test.expect("[.] ack 5001 <sack 14501:15001>");
        test.inject("[.] seq 5201 ack 101 len 100");
        test.expect("[.] ack 5001 <sack 5201:5301 14501:15001>");
    });
}

// Taking.

// req: 2018-5a, 2018-5.1
#[test]
fn blocks_need_not_match_segments_and_one_is_no_loss() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.write_len(5_000);
        assert_eq!(test.take_sent().len(), 5);
        test.inject("[.] seq 5001 ack 101 <sack 1601:2601>");
        assert_eq!((test.stats().sacked, test.stats().lost), (1_000, 0));
        test.expect_none();
        assert!(!test.stats().in_recovery);
        // The hole is filled late: it was reordered.
        test.inject("[.] seq 5001 ack 2601");
        assert_eq!((test.stats().sacked, test.stats().unacknowledged), (0, 2_500));
        assert_eq!(test.stats().totals.segments_retransmitted, 0);
    });
}

// req: 2018-5a
#[test]
fn exactly_what_is_missing_is_sent_again() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.write_len(10_000);
        assert_eq!(test.take_sent().len(), 10);
        // 4, 6 and 8 of ten are lost.
        test.inject("[.] seq 5001 ack 3101");
        test.inject("[.] seq 5001 ack 3101 <sack 4101:5101>");
        test.inject("[.] seq 5001 ack 3101 <sack 6101:7101 4101:5101>");
        test.inject("[.] seq 5001 ack 3101 <sack 8101:9101 6101:7101 4101:5101>");
        test.inject("[.] seq 5001 ack 3101 <sack 8101:10101 6101:7101 4101:5101>");
        let mut again: Vec<String> = test.take_sent().into_iter().map(|sent| sent.line).collect();
        test.inject("[.] seq 5001 ack 5101 <sack 8101:10101 6101:7101>");
        again.extend(test.take_sent().into_iter().map(|sent| sent.line));
        test.inject("[.] seq 5001 ack 7101 <sack 8101:10101>");
        again.extend(test.take_sent().into_iter().map(|sent| sent.line));
        let starts: Vec<&str> = again.iter().map(|line| line.split_whitespace().nth(2).unwrap()).collect();
        assert_eq!(starts, ["3101:4101", "5101:6101", "7101:8101"]);
        test.inject("[.] seq 5001 ack 10101");
        assert_eq!(test.stats().totals.fast_recoveries, 1);
        assert_eq!(test.stats().totals.timeouts, 0);
    });
}

// req: 2018-5b, 2018-5c, 2018-5d, 2018-R
// trap: 45
#[test]
fn d10_a_receiver_that_takes_back_what_it_reported_gets_it_again() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.write_len(5_000);
        let first: Vec<Vec<u8>> = test.take_sent().into_iter().map(|sent| payload(&sent.bytes)).collect();
        // All but the first is reported; then it is dropped again, and the first arrives.
        test.inject("[.] seq 5001 ack 101 <sack 1101:5101>");
        assert_eq!(test.stats().sacked, 4_000);
        test.advance(test.stats().rto);
        test.expect("[.] seq 101:1101");
        test.inject("[.] seq 5001 ack 1101");
        // The left edge is sent again although it is reported, and so is all the rest.
        let mut seq = 1_101;
        for round in 0..20 {
            test.advance(test.stats().rto);
            for sent in test.take_sent() {
                let segment = Segment::parse(&sent.bytes).unwrap();
                let start = (segment.seq - numbers.local).0;
                assert_eq!(payload(&sent.bytes), first[(start as usize - 101) / 1_000], "{}", sent.line);
                if start == seq {
                    seq += 1_000;
                }
            }
            test.inject(&format!("[.] seq 5001 ack {seq}"));
            if seq == 5_101 {
                assert!(round < 5);
                break;
            }
        }
        assert_eq!(test.stats().unacknowledged, 0);
        assert_eq!(test.stats().totals.reneged, 1);
    });
}

fn payload(bytes: &[u8]) -> Vec<u8> {
    Segment::parse(bytes).expect("what we send can be parsed").payload.to_vec()
}

// req: 2018-5d
// trap: 45
#[test]
fn what_is_reported_is_kept_until_it_is_acknowledged() {
    let mut test = established(Numbers::default());
    test.write_len(8_000);
    let memory = test.connection.memory();
    test.inject("[.] seq 5001 ack 101 <sack 1101:8101>");
    assert_eq!(test.connection.memory(), memory);
    assert_eq!(test.stats().unacknowledged, 8_000);
    test.inject("[.] seq 5001 ack 8101");
    assert!(test.connection.memory() < memory);
}

// req: 2018-V
// trap: 46
#[test]
fn blocks_that_cannot_be_true_are_ignored() {
    let blocks = [
        "2101:1101",             // backwards
        "1101:1101",             // empty
        "1101:5102",             // beyond what was sent
        "6000:7000",             // beyond what was sent
        "50:90",                 // before the stream
        "4294960000:101",        // long before
        "90:1101",               // across SND.UNA
        "2147483800:2147484800", // half the space away
    ];
    for block in blocks {
        every_wrap(|numbers| {
            let mut test = established(numbers);
            test.write_len(5_000);
            test.take_sent();
            for _ in 0..10 {
                test.inject(&format!("[.] seq 5001 ack 101 <sack {block}>"));
            }
            assert_eq!((test.stats().sacked, test.stats().lost), (0, 0), "{block}");
            assert!(!test.stats().in_recovery, "{block}");
            test.expect_none();
        });
    }
}

// req: 2018-V
// trap: 46
#[test]
fn overlapping_blocks_count_once() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.write_len(8_000);
        test.take_sent();
        test.inject("[.] seq 5001 ack 101 <sack 1101:3101 2101:4101 1601:2101 1101:3101>");
        assert_eq!(test.stats().sacked, 3_000);
        test.inject("[.] seq 5001 ack 8101");
        assert_eq!((test.stats().sacked, test.stats().unacknowledged), (0, 0));
    });
}

// req: 2883-5
// trap: 46
#[test]
fn a_reordered_ack_is_no_evidence_of_a_duplicate() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.write_len(8_000);
        test.take_sent();
        test.inject("[.] seq 5001 ack 5101");
        // Sent before that: its block lies below SND.UNA now, but above its own ACK.
        test.inject("[.] seq 5001 ack 1101 <sack 2101:3101>");
        assert_eq!(test.stats().totals.dsacks_received, 0);
        assert_eq!(test.stats().sacked, 0);
        test.inject("[.] seq 5001 ack 5101 <sack 2101:3101>");
        assert_eq!(test.stats().totals.dsacks_received, 1);
    });
}

// req: 2883-7
// trap: 46
#[test]
fn reports_of_duplicates_are_no_duplicate_acks() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.write_len(8_000);
        test.take_sent();
        test.inject("[.] seq 5001 ack 3101");
        let window = test.stats().congestion_window;
        for _ in 0..5 {
            test.inject("[.] seq 5001 ack 3101 <sack 1101:2101>");
        }
        assert_eq!((test.stats().duplicate_acks, test.stats().sacked), (0, 0));
        assert_eq!(test.stats().congestion_window, window);
        test.expect_none();
        assert_eq!(test.stats().totals.dsacks_received, 5);
    });
}

// req: 2018-D
#[test]
fn hostile_blocks_cut_the_scoreboard_into_a_bounded_number_of_pieces() {
    let mut config = config();
    config.window_scaling = true;
    config.initial_window = tcp_core::InitialWindow::Segments(1_000);
    let mut test = Scripted::established_with(config, Numbers::default(), ",sackOK,wscale 7");
    test.inject("[.] seq 5001 ack 101 win 60000");
    test.write_len(900_000);
    assert_eq!(test.take_sent().len(), 900);
    let start = std::time::Instant::now();
    let mut seq = 900_099u32;
    for _ in 0..60_000 {
        let blocks: Vec<String> =
            (0..4u32).map(|index| seq - 2 * index).map(|at| format!("{at}:{}", at + 1)).collect();
        test.inject(&format!("[.] seq 5001 ack 101 win 60000 <sack {}>", blocks.join(" ")));
        seq -= 8;
    }
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    // What could not be marked is as if it had not been reported: the stream goes on.
    assert!(test.stats().sacked <= 20_000, "{}", test.stats().sacked);
    test.inject("[.] seq 5001 ack 900101 win 60000");
    assert_eq!(test.stats().unacknowledged, 0);
    assert_eq!(test.state(), State::Established);
}

// req: 2018-D
// trap: 28
#[test]
fn an_mss_of_eight_is_taken_for_48() {
    every_wrap(|numbers| {
        for mss in [0, 8, 47] {
            let mut config = config();
            config.timestamps = true;
            let mut test = Scripted::connecting(config, numbers);
            test.expect("[S]");
            test.inject(&format!("[S.] seq 5000 ack 101 <mss {mss},sackOK,TS 7 1000000>"));
            test.expect("[.]");
            test.write_len(200);
            let sent = test.take_sent();
            assert!(!sent.is_empty() && sent.len() <= 10);
            assert!(sent.iter().all(|sent| sent.line.ends_with("len 36") || sent.line.starts_with("[P.]")));
            // With all blocks there is still room for data, and each segment carries some.
            for island in 0..5 {
                test.inject(&format!("[.] seq {} ack 101 <TS 8 1000000> len 10", 5_101 + 20 * island));
            }
            test.take_sent();
            test.inject("[.] seq 5001 ack 301 <TS 8 1000000>");
            test.write_len(50);
            let lengths: Vec<usize> =
                test.take_sent().iter().map(|sent| payload(&sent.bytes).len()).collect();
            assert_eq!(lengths.iter().sum::<usize>(), 50);
            assert!(lengths.iter().all(|length| (1..=48).contains(length)), "{lengths:?}");
        }
    });
}
