//! Window scaling, and windows that shrink by rounding (RFC 7323 §2).

use tcp_core::{BufferLimit, ConnConfig, Disposition, DropReason, Duration, SendReason, State};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

fn config(receive_buffer: u32) -> ConnConfig {
    let mut config = plain_config();
    config.window_scaling = true;
    config.receive_buffer = BufferLimit::fixed(receive_buffer);
    config
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A listener's connection after the third segment, whose window field is `window`.
fn accepted(config: ConnConfig, numbers: Numbers, syn_options: &str, window: u16) -> Scripted {
    let mut test = Scripted::listening(config, numbers);
    test.inject(&format!("[S] seq 5000 win 1000 <mss 1000{syn_options}>"));
    test.expect("[S.] seq 100 ack 5001");
    test.inject(&format!("[.] seq 5001 ack 101 win {window}"));
    assert_eq!(test.state(), State::Established);
    test
}

// req: 7323-WS1
#[test]
fn the_option_is_offered_even_with_shift_zero() {
    let mut test = Scripted::connecting(config(32_000), Numbers::default());
    test.expect("[S] seq 100 win 32000 <mss 1000,wscale 0>");
    let mut config = config(32_000);
    config.window_scaling = false;
    Scripted::connecting(config, Numbers::default()).expect("[S] seq 100 <mss 1000>");
}

// req: 7323-WS2, 7323-WS6
// trap: 27
#[test]
fn a_syn_without_the_option_gets_none_and_no_window_is_scaled() {
    every_wrap(|numbers| {
        let mut test = Scripted::listening(config(128_000), numbers);
        test.inject("[S] seq 5000 win 1000 <mss 1000>");
        test.expect("[S.] seq 100 ack 5001 win 65535 <mss 1000>");
        test.inject("[.] seq 5001 ack 101 win 500");
        assert_eq!(test.stats().send_window, 500);
        assert_eq!((test.stats().send_window_scale, test.stats().receive_window_scale), (None, None));
        test.inject_all(&["[.] seq 5001 ack 101 len 500", "[.] seq 5501 ack 101 len 500"]);
        test.expect("[.] ack 6001 win 65535");
    });
}

// req: 7323-WS2
// trap: 27
#[test]
fn a_syn_ack_without_the_option_leaves_both_shifts_at_zero() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(config(128_000), numbers);
        test.expect("[S] seq 100 win 65535 <mss 1000,wscale 1>");
        test.inject("[S.] seq 5000 ack 101 win 1000 <mss 1000>");
        test.expect("[.] seq 101 ack 5001 win 65535");
        test.inject("[.] seq 5001 ack 101 win 2000");
        assert_eq!(test.stats().send_window, 2_000);
        assert_eq!((test.stats().send_window_scale, test.stats().receive_window_scale), (None, None));
    });
}

// req: 7323-WS3
// trap: 29
#[test]
fn the_option_on_a_segment_without_syn_is_ignored() {
    every_wrap(|numbers| {
        let mut test = Scripted::established_with(config(128_000), numbers, ",wscale 3");
        test.inject("[.] seq 5001 ack 101 win 1000 <raw,wscale 5,nop> len 10");
        assert_eq!(test.stats().send_window, 8_000);
        assert_eq!(test.stats().send_window_scale, Some(3));
        test.expect_data(5_001, 5_011);
    });
}

// req: 7323-WS4
// trap: 27
#[test]
fn the_window_of_a_syn_ack_is_not_scaled_in_either_direction() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(config(128_000), numbers);
        test.expect("[S] seq 100 win 65535");
        test.inject("[S.] seq 5000 ack 101 win 1000 <mss 1000,wscale 7>");
        assert_eq!(test.stats().send_window, 1_000);
        test.expect("[.] seq 101 ack 5001 win 64000");
        let mut test = Scripted::listening(config(128_000), numbers);
        test.inject("[S] seq 5000 win 1000 <mss 1000,wscale 7>");
        test.expect("[S.] seq 100 ack 5001 win 65535 <mss 1000,wscale 1>");
    });
}

// req: 7323-WS5, 7323-WS7
// trap: 27
#[test]
fn a_syn_with_the_option_is_answered_with_ours_and_the_third_segment_is_scaled() {
    every_wrap(|numbers| {
        let mut test = Scripted::listening(config(32_000), numbers);
        test.inject("[S] seq 5000 win 1000 <mss 1000,wscale 7>");
        test.expect("[S.] seq 100 ack 5001 win 32000 <mss 1000,wscale 0>");
        test.inject("[.] seq 5001 ack 101 win 502");
        assert_eq!(test.stats().send_window, 64_256);
    });
}

// req: 7323-WS5
#[test]
fn crossing_syns_with_the_option_are_answered_with_it() {
    for shift in [0, 3] {
        every_wrap(|numbers| {
            let mut test = Scripted::connecting(config(32_000), numbers);
            test.expect("[S] seq 100 <mss 1000,wscale 0>");
            test.inject(&format!("[S] seq 5000 win 1000 <mss 1000,wscale {shift}>"));
            test.expect("[S.] seq 100 ack 5001 <mss 1000,wscale 0>");
            test.inject(&format!("[S.] seq 5000 ack 101 win 1000 <mss 1000,wscale {shift}>"));
            assert_eq!(test.stats().send_window, 1_000);
            test.inject("[.] seq 5001 ack 101 win 1000");
            assert_eq!(test.stats().send_window, 1_000 << shift);
        });
    }
}

// req: 7323-WS6
#[test]
fn each_direction_has_its_own_shift() {
    every_wrap(|numbers| {
        let mut config = config(128_000);
        config.receive_buffer = BufferLimit { initial: 128_000, max: 6 << 20 };
        let mut test = Scripted::connecting(config, numbers);
        test.expect("[S] seq 100 win 65535 <mss 1000,wscale 7>");
        test.inject("[S.] seq 5000 ack 101 win 1000 <mss 1000,wscale 3>");
        test.expect("[.] seq 101 ack 5001 win 1000");
        test.inject("[.] seq 5001 ack 101 win 1000");
        assert_eq!(test.stats().send_window, 8_000);
        assert_eq!(test.stats().send_window_scale, Some(3));
        assert_eq!(test.stats().receive_window_scale, Some(7));
    });
}

// req: 7323-WS8
// trap: 27
#[test]
fn a_shift_above_14_is_taken_for_14() {
    for shift in [14, 15, 255] {
        every_wrap(|numbers| {
            let mut test = Scripted::established_with(config(32_000), numbers, &format!(",wscale {shift}"));
            test.inject("[.] seq 5001 ack 101 win 1");
            assert_eq!(test.stats().send_window, 16_384, "shift {shift}");
            assert_eq!(test.stats().send_window_scale, Some(14));
        });
    }
}

// req: 7323-WS9
// trap: 27
#[test]
fn the_shift_stays_what_it_was_when_the_buffer_changes() {
    let mut test = accepted(config(128_000), Numbers::default(), ",wscale 7", 100);
    let mut later = config(6 << 20);
    later.window_scaling = true;
    test.connection.set_config(test.now, later).unwrap();
    test.inject_all(&["[.] seq 5001 ack 101 len 500", "[.] seq 5501 ack 101 len 500"]);
    // As much as the field takes with shift 1.
    test.expect("[.] ack 6001 win 65535");
    assert_eq!(test.stats().receive_window_scale, Some(1));
}

// req: 7323-WR1
#[test]
fn a_window_that_shrinks_by_rounding_is_taken_and_holds_new_data_back() {
    every_wrap(|numbers| {
        let mut test = Scripted::established_with(config(32_000), numbers, ",wscale 7");
        // 9 · 128 = 1152 bytes.
        test.inject("[.] seq 5001 ack 101 win 9");
        test.write_len(3_000);
        test.expect("[.] seq 101:1101");
        test.expect_none();
        // One byte of progress, and the field is rounded down: the edge goes back from 1253 to 1126.
        test.inject("[.] seq 5001 ack 102 win 8");
        assert_eq!(test.stats().send_window, 1_024);
        test.expect_none();
        test.inject("[.] seq 5001 ack 1101 win 8");
        test.expect("[.] seq 1101:2101");
    });
}

// req: 7323-WR4
// trap: 9
#[test]
fn what_is_sent_first_stays_within_the_last_window() {
    every_wrap(|numbers| {
        let mut test = Scripted::established_with(config(32_000), numbers, ",wscale 3");
        test.inject("[.] seq 5001 ack 101 win 500");
        test.write_len(20_000);
        let mut right = 0;
        for sent in test.take_sent() {
            let segment = tcp_core::wire::Segment::parse(&sent.bytes).unwrap();
            right = right.max((segment.seq - numbers.local).0 + segment.len());
        }
        assert_eq!(right, 101 + 4_000);
        // The window shrinks below what is in flight: nothing new.
        test.inject("[.] seq 5001 ack 1101 win 100");
        test.expect_none();
        // It takes 800 bytes from 3101 on: up to 3901, which was sent.
        test.inject("[.] seq 5001 ack 3101 win 100");
        test.expect_none();
        test.inject("[.] seq 5001 ack 4101 win 250");
        test.expect("[.] seq 4101:5101");
        test.expect("[.] seq 5101:6101");
        test.expect_none();
    });
}

// req: 7323-WR2, 7323-WR3
#[test]
fn what_was_promised_once_is_accepted() {
    every_wrap(|numbers| {
        // A buffer of 10,000 bytes with shift 10 cannot be told exactly.
        let mut config = config(10_000);
        config.receive_buffer = BufferLimit { initial: 10_000, max: 65_535 << 10 };
        let mut test = Scripted::connecting(config, numbers);
        test.expect("[S] seq 100 win 10000 <mss 1000,wscale 10>");
        test.inject("[S.] seq 5000 ack 101 <mss 1000,wscale 0>");
        let first = test.expect("[.] seq 101 ack 5001");
        let window = u32::from(tcp_core::wire::Segment::parse(&first.bytes).unwrap().window) << 10;
        assert!(window >= 10_000, "the SYN has promised 10,000 bytes, {window} are left");
        // All of it is taken, one byte and one segment at a time.
        let mut seq = 5_001;
        let mut batch = 1;
        let mut edge = 15_001;
        while seq < edge {
            let length = batch.min(edge - seq);
            let disposition = test.inject(&format!("[.] seq {seq} ack 101 len {length}"));
            assert_eq!(disposition, Disposition::Taken, "byte {seq} was promised");
            seq += length;
            batch = if batch == 1 { 999 } else { 1 };
            for sent in test.take_sent() {
                let segment = tcp_core::wire::Segment::parse(&sent.bytes).unwrap();
                let right = (segment.ack - numbers.remote).0 + (u32::from(segment.window) << 10);
                assert!(right + 1_024 > edge, "rounded by a unit or more: from {edge} to {right}");
                // At most rounded up once: what the buffer does not hold is not promised.
                assert!(right < 15_001 + 1_024, "the edge runs away: {right}");
                edge = edge.max(right);
            }
        }
        test.expect_data(5_001, seq);
        let disposition = test.inject(&format!("[.] seq {} ack 101 len 10", seq + 70_000));
        assert_eq!(disposition, Disposition::Dropped(DropReason::OutOfWindow));
    });
}

// req: 7323-WR5
#[test]
fn what_is_sent_again_stays_within_a_shrunk_window() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(1_000);
        test.expect("[P.] seq 101:1101");
        test.inject("[.] seq 5001 ack 101 win 300");
        test.advance(ms(3_500));
        let sent = test.take_sent();
        assert!(sent.len() >= 2, "{sent:?}");
        for (index, segment) in sent.iter().enumerate() {
            assert_eq!(segment.reason, SendReason::Rto);
            let segment = tcp_core::wire::Segment::parse(&segment.bytes).unwrap();
            assert_eq!(segment.seq - numbers.local, tcp_core::SeqNumber(101));
            // The first may exceed the window, later ones may not.
            assert!(segment.len() <= if index == 0 { 1_000 } else { 300 });
        }
        // The rest follows when there is room.
        test.inject("[.] seq 5001 ack 401 win 1000");
        test.expect("[P.] seq 401:1101");
        test.inject("[.] seq 5001 ack 1101");
        assert_eq!(test.stats().unacknowledged, 0);
    });
}

// req: 7323-WR5
// trap: 61
#[test]
fn data_in_flight_is_not_forgotten_when_the_window_closes_over_it() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(100);
        test.expect("[P.] seq 101:201");
        // The segment is lost, and the receiver rounds what room it has left down to nothing. It
        // has promised room for these bytes before, and its application may wait for them.
        test.inject("[.] seq 5001 ack 101 win 0");
        test.advance(ms(10_000));
        let sent = test.take_sent();
        let again = sent.iter().filter(|segment| segment.line.starts_with("[P.] seq 101:201")).count();
        assert!(again >= 2, "{sent:?}");
        assert!(again <= 6, "with back-off: {sent:?}");
        assert_eq!(test.stats().congestion_window, 10_000, "a closed window is no congestion");
        test.inject("[.] seq 5001 ack 201 win 0");
        assert_eq!(test.stats().unacknowledged, 0);
        test.advance(ms(100_000));
        test.expect_none();
    });
}
