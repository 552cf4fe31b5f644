//! Scenarios C: receiving, acknowledging, and urgent data. Windows and sending: `scenarios_c_window.rs`.

use tcp_core::{
    CloseReason, ConnConfig, Disposition, DropReason, Duration, Event, ReadError, SendReason, State,
};
use tcp_sim::pair::{End, Pair};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, peer_bytes, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn with_sack(numbers: Numbers) -> Scripted {
    let mut config = plain_config();
    config.sack = true;
    Scripted::established_with(config, numbers, ",sackOK")
}

#[test]
fn c1_sack_blocks_stand_newest_first_and_duplicates_are_reported() {
    every_wrap(|numbers| {
        let mut test = with_sack(numbers);
        test.inject("[.] seq 6001 ack 101 len 1000");
        test.expect("[.] seq 101 ack 5001 win 10000 <sack 6001:7001>");
        test.inject("[.] seq 8001 ack 101 len 1000");
        test.expect("[.] ack 5001 <sack 8001:9001 6001:7001>");
        test.inject("[.] seq 10001 ack 101 len 1000");
        test.expect("[.] ack 5001 <sack 10001:11001 8001:9001 6001:7001>");
        // The same again: a D-SACK, and the block that holds it (RFC 2883 §4.1.2).
        test.inject("[.] seq 8001 ack 101 len 1000");
        test.expect("[.] ack 5001 <sack 8001:9001 8001:9001 10001:11001 6001:7001>");
        // Overlapping on both sides.
        test.inject("[.] seq 6501 ack 101 len 2000");
        test.expect("[.] ack 5001 <sack 6501:7001 6001:9001 10001:11001>");
        assert_eq!(test.read(1), Err(ReadError::Blocked), "nothing is in order");
        // In order, overlapping what is there.
        test.inject("[.] seq 5001 ack 101 len 1500");
        test.expect("[.] ack 9001 <sack 6001:6501 10001:11001>");
        test.inject("[.] seq 9001 ack 101 len 1000");
        test.expect("[.] seq 101 ack 11001 win 4000");
        // All of it is old.
        test.inject("[.] seq 6001 ack 101 len 500");
        test.expect("[.] ack 11001 <sack 6001:6501>");
        test.expect_none();
        test.expect_data(5_001, 11_001);
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        assert_eq!(test.stats().totals.bytes_received, 6_000);
    });
}

#[test]
fn c1_any_mix_of_segments_gives_the_stream_once_and_in_order() {
    let mut state = 1u64;
    let mut random = move |below: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as u32) % below
    };
    for round in 0..300u32 {
        let mut test = with_sack(Numbers::wrap_after(random(9_000)));
        let length = 1 + random(9_000);
        let mut read = Vec::new();
        for step in 0..10_000 {
            // Random pieces; now and then the first that is missing.
            let next = 5_001 + test.stats().totals.bytes_received as u32;
            let start = if step % 8 == 7 { next } else { 5_001 + random(length) };
            let end = (start + 1 + random(1_500)).min(5_001 + length);
            if start < end {
                test.inject(&format!("[.] seq {start} ack 101 len {}", end - start));
            }
            if let Ok(piece) = test.read(random(3_000) as usize) {
                read.extend(piece);
            }
            if read.len() == length as usize {
                break;
            }
        }
        assert_eq!(read, peer_bytes(5_001, 5_001 + length), "round {round}");
        test.advance(Duration::from_secs(1));
        let last = test.take_sent().pop().unwrap();
        assert!(last.line.contains(&format!("ack {} ", 5_001 + length)), "{}", last.line);
        assert_eq!(test.stats().totals.bytes_received, u64::from(length));
    }
}

#[test]
fn c3_one_segment_is_acknowledged_after_the_delay() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[P.] seq 5001 ack 101 len 100");
        test.advance(MS(39));
        test.expect_none();
        test.advance(MS(1));
        assert_eq!(test.expect_at(40, "[.] seq 101 ack 5101").reason, SendReason::DelayedAck);
        test.advance(Duration::from_secs(10));
        test.expect_none();
    });
}

#[test]
fn c3_data_that_is_sent_before_carries_the_acknowledgement() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[P.] seq 5001 ack 101 len 100");
        test.advance(MS(39));
        test.write(b"answer");
        test.expect("[P.] seq 101:107 ack 5101 len 6");
        test.inject("[.] seq 5101 ack 107");
        test.advance(Duration::from_secs(10));
        test.expect_none();
    });
}

#[test]
fn c3_the_delay_follows_the_peer_up_to_200_ms() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        let mut next = 5_001;
        for _ in 0..20 {
            test.inject(&format!("[P.] seq {next} ack 101 len 10"));
            next += 10;
            let delay = test.stats().ack_delay;
            assert!(delay >= MS(40) && delay <= MS(200), "{delay}");
            test.advance(delay - MS(1));
        }
        assert_eq!(test.stats().ack_delay, MS(200));
        test.advance(Duration::from_secs(1));
        test.take_sent();
        let before = test.elapsed();
        test.inject(&format!("[P.] seq {next} ack 101 len 10"));
        test.advance(Duration::from_secs(1));
        test.expect_at(before + 200, &format!("[.] seq 101 ack {}", next + 10));
        test.expect_none();
    });
}

#[test]
fn c4_the_second_full_segment_is_acknowledged_at_once() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        for start in [5_001, 7_001, 9_001] {
            test.inject(&format!("[.] seq {start} ack 101 len 1000"));
            test.expect_none();
            test.inject(&format!("[.] seq {} ack 101 len 1000", start + 1_000));
            test.expect(&format!("[.] seq 101 ack {}", start + 2_000));
            test.expect_data(start, start + 2_000);
            test.take_sent();
        }
    });
}

#[test]
fn c4_disorder_and_the_filling_of_a_hole_are_acknowledged_at_once() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        for start in [6_001, 7_001, 9_001] {
            test.inject(&format!("[.] seq {start} ack 101 len 1000"));
            test.expect("[.] seq 101 ack 5001 win 10000");
        }
        // One of the two holes is filled; in part; then the other.
        test.inject("[.] seq 5001 ack 101 len 500");
        test.expect("[.] ack 5501");
        test.inject("[.] seq 5501 ack 101 len 500");
        test.expect("[.] ack 8001");
        test.inject("[.] seq 8001 ack 101 len 1000");
        test.expect("[.] ack 10001");
        test.expect_none();
        test.expect_data(5_001, 10_001);
    });
}

#[test]
fn c5_the_first_segments_are_acknowledged_quickly_and_later_ones_wait() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.ack = ConnConfig::default().ack;
        let mut test = Scripted::established(config, numbers);
        let mut next = 5_001;
        let mut one = |test: &mut Scripted| {
            test.inject(&format!("[P.] seq {next} ack 101 len 10"));
            next += 10;
            next
        };
        for _ in 0..16 {
            let next = one(&mut test);
            test.expect(&format!("[.] ack {next}"));
            test.advance(MS(100));
        }
        let next = one(&mut test);
        test.expect_none();
        test.advance(MS(200));
        test.expect(&format!("[.] ack {next}"));
        // After idling the peer begins slowly again.
        test.advance(Duration::from_secs(10));
        let next = one(&mut test);
        test.expect(&format!("[.] ack {next}"));
    });
}

#[test]
fn c10_urgent_data_is_marked_behind_its_last_byte() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        assert_eq!(test.connection.write_urgent(test.now, b"stop!"), Ok(5));
        test.drain();
        test.expect("[PU.] seq 101:106 ack 5001 urg 5 len 5");
        test.write(b"more");
        test.inject("[.] seq 5001 ack 106");
        test.expect("[P.] seq 106:110 len 4");
    });
}

#[test]
fn c10_the_reader_sees_the_mark_in_the_stream() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        test.inject("[PU.] seq 5001 ack 101 urg 5 len 10");
        assert_eq!(test.take_events(), Event::URGENT | Event::READABLE);
        assert_eq!(test.connection.urgent_remaining(), Some(5));
        // A read stops before the last urgent byte, where sockets have their mark.
        assert_eq!(test.read(100), Ok(peer_bytes(5_001, 5_005)));
        assert_eq!(test.connection.urgent_remaining(), Some(1));
        assert_eq!(test.read(100), Ok(peer_bytes(5_005, 5_011)));
        assert_eq!(test.connection.urgent_remaining(), None);
        assert_eq!(test.connection.read_urgent(test.now), None, "it was in the stream");
    });
}

#[test]
fn c10_out_of_line_the_last_urgent_byte_is_taken_out() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.urgent_inline = false;
        let mut test = Scripted::established(config, numbers);
        test.inject("[PU.] seq 5001 ack 101 urg 5 len 10");
        assert_eq!(test.connection.read_urgent(test.now), Some(peer_bytes(5_005, 5_006)[0]));
        assert_eq!(test.connection.read_urgent(test.now), None);
        let mut data = test.read(100).unwrap();
        assert_eq!(data, peer_bytes(5_001, 5_005));
        data = test.read(100).unwrap();
        assert_eq!(data, peer_bytes(5_006, 5_011));
    });
}

#[test]
fn c13_a_transfer_across_the_wrap_is_exact() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        (config.sack, config.timestamps, config.window_scaling) = (true, true, true);
        let mut pair = Pair::established(config.clone(), config, numbers);
        let data: Vec<u8> = (0..25_000u32).map(|index| (index % 251) as u8).collect();
        pair.write(End::A, &data);
        pair.write(End::B, &data);
        let (mut at_a, mut at_b) = (Vec::new(), Vec::new());
        for _ in 0..100 {
            pair.run_for(MS(20));
            at_a.extend(pair.read(End::A).unwrap_or_default());
            at_b.extend(pair.read(End::B).unwrap_or_default());
        }
        assert!(at_a == data && at_b == data, "{} and {} bytes", at_a.len(), at_b.len());
        assert_eq!(pair.end(End::A).stats().unwrap().totals.segments_retransmitted, 0);
    });
}

#[test]
fn c13_paws_drops_old_duplicates_and_answers() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.timestamps = true;
        let mut test = Scripted::established_with(config, numbers, ",TS 4294967290 1000000");
        // The peer's clock wraps, too.
        test.inject("[P.] seq 5001 ack 101 <TS 5 1000000> len 100");
        test.advance(MS(40));
        test.expect("[.] ack 5101 <TS 1000040 5>");
        // From 2³² bytes ago: its number fits, its time does not.
        let old = "[P.] seq 5101 ack 101 <TS 4294967295 1000000> len 100";
        assert_eq!(test.inject(old), Disposition::Dropped(DropReason::OldTimestamp));
        test.expect("[.] ack 5101 <TS 1000040 5>");
        assert_eq!(test.stats().totals.old_timestamps, 1);
        test.expect_data(5_001, 5_101);
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        // A RST is not subject to it.
        test.inject("[R] seq 5101 <TS 4294967295 0>");
        assert_eq!(test.close_reason(), Some(CloseReason::Reset));
    });
}

/// A connection whose 10,000 bytes of room are taken.
fn full(numbers: Numbers) -> Scripted {
    let mut test = Scripted::established(plain_config(), numbers);
    for start in (5_001..15_001).step_by(1_000) {
        test.inject(&format!("[.] seq {start} ack 101 len 1000"));
    }
    let last = test.take_sent().pop().expect("something was acknowledged");
    assert!(last.line.starts_with("[.] seq 101 ack 15001 win 0"), "{}", last.line);
    test.take_events();
    test
}

#[test]
fn c16_a_closed_window_answers_probes() {
    every_wrap(|numbers| {
        for probe in ["[.] seq 15001 ack 101 len 1", "[.] seq 15000 ack 101", "[.] seq 15000 ack 101 len 1"] {
            let mut test = full(numbers);
            test.inject(probe);
            test.expect("[.] seq 101 ack 15001 win 0");
            test.expect_none();
            test.expect_data(5_001, 15_001);
            test.expect("[.] seq 101 ack 15001 win 10000");
            test.expect_none();
            assert_eq!(test.read(1), Err(ReadError::Blocked), "the probe's byte was not taken");
        }
    });
}

#[test]
fn c16_a_closed_window_takes_acknowledgements_urgent_marks_and_resets() {
    every_wrap(|numbers| {
        let mut test = full(numbers);
        test.write_len(2_000);
        test.expect("[.] seq 101:1101");
        test.expect("[P.] seq 1101:2101");
        test.inject("[.] seq 15001 ack 1101");
        assert_eq!(test.stats().unacknowledged, 1_000);
        // Even where the text of the same segment finds no room.
        test.inject("[.] seq 15001 ack 2101 len 500");
        assert_eq!(test.stats().unacknowledged, 0);
        test.expect("[.] seq 2101 ack 15001 win 0");
        test.inject("[U.] seq 15001 ack 2101 urg 7 len 1");
        assert_eq!(test.take_events(), Event::URGENT);
        assert_eq!(test.connection.urgent_remaining(), Some(10_007));
        test.expect("[.] seq 2101 ack 15001 win 0");
        test.inject("[R] seq 15001");
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Reset)));
        assert_eq!(test.take_events(), Event::CLOSED);
        test.expect_none();
        test.expect_data(5_001, 15_001);
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::Reset)));
    });
}
