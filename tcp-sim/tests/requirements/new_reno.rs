//! NewReno on the wire, with the textbook's numbers (RFC 5681, RFC 6582).

use tcp_core::{ConnConfig, Duration, InitialWindow, SendReason};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Initial window of one segment of 1000 bytes, ssthresh 65,535, no SACK; a peer with a window
/// that is never the limit.
fn textbook() -> ConnConfig {
    let mut config = plain_config();
    config.initial_window = InitialWindow::Segments(1);
    config.initial_ssthresh = Some(65_535);
    config
}

fn established(config: ConnConfig, numbers: Numbers) -> Scripted {
    let mut config = config;
    config.window_scaling = true;
    let mut test = Scripted::established_with(config, numbers, ",wscale 7");
    test.inject("[.] seq 5001 ack 101 win 60000");
    test
}

/// The same with an initial window of so many segments.
fn starting_with(segments: u16, numbers: Numbers) -> Scripted {
    let mut config = textbook();
    config.initial_window = InitialWindow::Segments(segments);
    established(config, numbers)
}

fn ack(test: &mut Scripted, ack: u32) {
    test.inject(&format!("[.] seq 5001 ack {ack} win 60000"));
}

/// Acknowledges each segment of `flight` by itself; gives how many were sent in answer.
fn acknowledge_each(test: &mut Scripted, una: &mut u32, segments: u32) -> u32 {
    test.take_sent();
    for _ in 0..segments {
        *una += 1_000;
        ack(test, *una);
    }
    test.take_sent().len() as u32
}

fn window(test: &Scripted) -> (u32, u32) {
    (test.stats().congestion_window, test.stats().slow_start_threshold)
}

// req: 2525-1
#[test]
fn d12_the_window_doubles_and_then_grows_by_one_segment_a_round_trip() {
    every_wrap(|numbers| {
        let mut config = textbook();
        config.initial_ssthresh = Some(16_000);
        let mut test = established(config, numbers);
        test.write_len(800_000);
        assert_eq!(test.take_sent().len(), 1);
        let (mut una, mut flight) = (101, 1);
        for segments in [2, 4, 8, 16, 17, 18, 19, 20] {
            acknowledge_each(&mut test, &mut una, flight);
            assert_eq!(test.stats().in_flight, segments * 1_000);
            assert_eq!(test.stats().congestion_window, segments * 1_000);
            flight = segments;
        }
        assert_eq!(test.stats().slow_start_threshold, 16_000);
    });
}

// trap: 48
#[test]
fn d12_the_third_duplicate_halves_and_a_full_ack_deflates() {
    every_wrap(|numbers| {
        let mut test = established(textbook(), numbers);
        test.write_len(800_000);
        let (mut una, mut flight) = (101, 1);
        for segments in [2, 4, 8] {
            acknowledge_each(&mut test, &mut una, flight);
            flight = segments;
        }
        assert_eq!(window(&test), (8_000, 65_535));
        // The first of eight is lost.
        ack(&mut test, una);
        ack(&mut test, una);
        // Limited transmit: one new segment for each of the first two duplicates (RFC 3042).
        let sent = test.take_sent();
        assert_eq!(sent.iter().map(|sent| sent.reason).collect::<Vec<_>>(), [SendReason::Data; 2]);
        assert_eq!(window(&test), (8_000, 65_535));
        ack(&mut test, una);
        // Half of the flight, without what limited transmit has sent; and three segments.
        assert_eq!(window(&test), (4_000 + 3_000, 4_000));
        let again = test.expect(&format!("[.] seq {una}:{}", una + 1_000));
        assert_eq!(again.reason, SendReason::FastRetransmit);
        test.expect_none();
        // Each further duplicate inflates by one segment: five more, of the nine that arrived.
        for inflated in [8_000, 9_000, 10_000] {
            ack(&mut test, una);
            assert_eq!(window(&test).0, inflated);
        }
        test.expect_none();
        ack(&mut test, una);
        // Eleven segments of room, ten in flight.
        assert_eq!(test.take_sent().len(), 1);
        assert_eq!(test.stats().in_flight, 11_000);
        // Everything that was in flight at entry is acknowledged: deflated to ssthresh.
        una += 10_000;
        ack(&mut test, una);
        assert_eq!(test.stats().slow_start_threshold, 4_000);
        assert!(test.stats().congestion_window <= 4_000);
        assert!(!test.stats().in_recovery);
    });
}

// req: 2525-8
// trap: 48
#[test]
fn the_window_is_the_threshold_after_recovery_when_enough_is_in_flight() {
    every_wrap(|numbers| {
        let mut test = starting_with(20, numbers);
        test.write_len(100_000);
        assert_eq!(test.take_sent().len(), 20);
        for _ in 0..19 {
            ack(&mut test, 101);
        }
        // 2 of limited transmit, the retransmission, and 10 + 3 + 16 - 22 = 7 new ones.
        assert_eq!(test.take_sent().len(), 2 + 1 + 7);
        ack(&mut test, 101 + 22_000);
        assert_eq!(window(&test).1, 10_000);
        assert_eq!(test.stats().duplicate_acks, 0);
        // 7 were in flight: min(ssthresh, 7 + 1).
        assert_eq!(window(&test).0, 8_000);
        assert_eq!(test.take_sent().len(), 1);
        // And slow start up to the threshold, no further.
        let mut una = 101 + 22_000;
        acknowledge_each(&mut test, &mut una, 2);
        assert_eq!(window(&test), (10_000, 10_000));
    });
}

// req: 2525-2
// trap: 43
#[test]
fn d12_a_timeout_leaves_one_segment_and_slow_start() {
    every_wrap(|numbers| {
        let mut test = starting_with(16, numbers);
        test.write_len(100_000);
        assert_eq!(test.take_sent().len(), 16);
        test.advance(test_rto(&test));
        assert_eq!(window(&test), (1_000, 8_000));
        test.expect("[.] seq 101:1101");
        test.expect_none();
        let mut una = 101;
        for (segments, acknowledged) in [(2, 1), (4, 2), (8, 4)] {
            assert_eq!(acknowledge_each(&mut test, &mut una, acknowledged), segments, "then {segments}");
            assert_eq!(window(&test).0, 1_000 * segments);
        }
        // At the threshold: one segment a round trip.
        assert_eq!(acknowledge_each(&mut test, &mut una, 8), 9);
        assert_eq!(window(&test).0, 9_000);
    });
}

// req: 2525-2
// trap: 43
#[test]
fn slow_start_after_a_timeout_needs_no_new_data() {
    every_wrap(|numbers| {
        // Seven segments of a window of ten, and nothing more to send.
        let mut test = starting_with(10, numbers);
        test.write_len(7_000);
        assert_eq!(test.take_sent().len(), 7);
        test.advance(test_rto(&test));
        assert_eq!(test.take_sent().len(), 1);
        ack(&mut test, 1_101);
        assert_eq!(test.take_sent().len(), 2);
        ack(&mut test, 2_101);
        ack(&mut test, 3_101);
        assert_eq!(test.take_sent().len(), 4);
    });
}

// trap: 48
#[test]
fn partial_acks_repair_one_hole_a_round_trip() {
    every_wrap(|numbers| {
        let mut test = starting_with(10, numbers);
        test.write_len(10_000);
        test.take_sent();
        // 4, 6 and 8 of ten are lost.
        ack(&mut test, 3_101);
        for _ in 0..4 {
            ack(&mut test, 3_101);
        }
        test.expect("[.] seq 3101:4101");
        test.expect_none();
        let threshold = test.stats().slow_start_threshold;
        test.advance(ms(100));
        ack(&mut test, 5_101);
        let sent = test.expect("[.] seq 5101:6101");
        assert_eq!(sent.reason, SendReason::PartialAck);
        test.expect_none();
        test.advance(ms(100));
        ack(&mut test, 7_101);
        test.expect("[.] seq 7101:8101");
        test.expect_none();
        assert!(test.stats().in_recovery);
        ack(&mut test, 10_101);
        assert!(!test.stats().in_recovery);
        assert_eq!(test.stats().slow_start_threshold, threshold, "halved once");
        assert_eq!(test.stats().totals.fast_recoveries, 1);
        assert_eq!(test.stats().totals.timeouts, 0);
    });
}

// trap: 42, 48
#[test]
fn the_first_partial_ack_resets_the_timer_and_later_ones_do_not() {
    every_wrap(|numbers| {
        let mut test = starting_with(10, numbers);
        test.write_len(10_000);
        let rto = test_rto(&test);
        test.advance(ms(50));
        for _ in 0..3 {
            ack(&mut test, 101);
        }
        test.advance(ms(50));
        ack(&mut test, 1_101);
        let deadline = test.connection.timer(tcp_core::TimerKind::Retransmission).unwrap();
        assert_eq!(deadline, test.now + test_rto(&test));
        assert!(test_rto(&test) >= rto);
        test.advance(ms(50));
        ack(&mut test, 2_101);
        assert_eq!(test.connection.timer(tcp_core::TimerKind::Retransmission), Some(deadline));
    });
}

#[test]
fn a_sender_that_fills_its_window_exactly_grows_it() {
    every_wrap(|numbers| {
        let mut test = starting_with(4, numbers);
        // Four segments a round trip and nothing more.
        test.write_len(4_000);
        assert_eq!(test.take_sent().len(), 4);
        ack(&mut test, 2_101);
        ack(&mut test, 4_101);
        assert_eq!(test.stats().congestion_window, 8_000);
        // Half of the window says nothing of the network.
        test.write_len(4_000);
        ack(&mut test, 6_101);
        ack(&mut test, 8_101);
        assert_eq!(test.stats().congestion_window, 8_000);
    });
}

// trap: 47, 49
#[test]
fn limited_transmit_does_not_count_for_the_threshold_with_sack_either() {
    every_wrap(|numbers| {
        let mut config = textbook();
        config.initial_window = InitialWindow::Segments(10);
        config.sack = true;
        config.window_scaling = true;
        let mut test = Scripted::established_with(config, numbers, ",sackOK,wscale 7");
        test.inject("[.] seq 5001 ack 101 win 60000");
        test.write_len(100_000);
        assert_eq!(test.take_sent().len(), 10);
        test.inject("[.] seq 5001 ack 101 win 60000 <sack 1101:2101>");
        test.inject("[.] seq 5001 ack 101 win 60000 <sack 1101:3101>");
        assert_eq!(test.take_sent().len(), 2);
        test.inject("[.] seq 5001 ack 101 win 60000 <sack 1101:4101>");
        test.expect("[.] seq 101:1101");
        assert_eq!(test.stats().slow_start_threshold, 5_000);
    });
}

fn test_rto(test: &Scripted) -> Duration {
    test.stats().rto
}
