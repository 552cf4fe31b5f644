//! The retransmission timer on the wire (RFC 6298, RFC 8961).

use tcp_core::{ConnConfig, Duration, Event, SendReason, TimerKind};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The RFC's timer without a floor, so that the raw values show.
fn raw_config() -> ConnConfig {
    let mut config = plain_config();
    config.rto.min = ms(1);
    config.rto.granularity = ms(1);
    config
}

/// A connection whose handshake took `round_trip`.
fn established_in(config: ConnConfig, numbers: Numbers, round_trip: u64) -> Scripted {
    let mut test = Scripted::connecting(config, numbers);
    test.expect("[S]");
    test.advance(ms(round_trip));
    test.inject("[S.] seq 5000 ack 101 <mss 1000>");
    test.expect("[.] seq 101 ack 5001");
    test
}

fn deadline(test: &Scripted) -> Option<u64> {
    let at = test.connection.timer(TimerKind::Retransmission)?;
    Some(test.elapsed() + (at - test.now).as_millis())
}

// req: 6298-2.1, 8961-1, 2525-7
// trap: 30
#[test]
fn the_first_syn_is_repeated_after_one_second_and_then_twice_as_late() {
    for config in [plain_config(), ConnConfig::rfc(), ConnConfig::linux()] {
        every_wrap(|numbers| {
            let mut test = Scripted::connecting(config.clone(), numbers);
            test.expect_at(0, "[S] seq 100");
            test.advance(ms(64_000));
            for at in [1_000, 3_000, 7_000, 15_000, 31_000, 63_000] {
                test.expect_at(at, "[S] seq 100");
            }
            test.expect_none();
        });
    }
}

// req: 8961-1, 2525-7
#[test]
fn a_path_of_900_ms_sees_nothing_twice() {
    every_wrap(|numbers| {
        let mut test = established_in(plain_config(), numbers, 900);
        test.write_len(500);
        test.expect_at(900, "[P.] seq 101:601");
        test.advance(ms(900));
        test.expect_none();
        test.inject("[.] seq 5001 ack 601");
        assert_eq!(test.stats().totals.segments_retransmitted, 0);
    });
}

// req: 6298-2.2, 6298-2.3
#[test]
fn the_first_samples_give_the_rfcs_numbers() {
    every_wrap(|numbers| {
        let mut test = established_in(raw_config(), numbers, 100);
        let stats = test.stats();
        assert_eq!((stats.srtt, stats.rttvar, stats.rto), (Some(ms(100)), ms(50), ms(300)));
        test.write_len(500);
        assert_eq!(deadline(&test), Some(100 + 300));
        test.advance(ms(200));
        test.inject("[.] seq 5001 ack 601");
        let stats = test.stats();
        assert_eq!(stats.srtt, Some(Duration::from_micros(112_500)));
        assert_eq!(stats.rttvar, Duration::from_micros(62_500));
        assert_eq!(stats.rto, Duration::from_micros(362_500));
    });
}

// req: 6298-2.4
#[test]
fn the_rfc_profile_waits_at_least_a_second() {
    let mut config = plain_config();
    config.rto = ConnConfig::rfc().rto;
    let mut test = established_in(config, Numbers::default(), 10);
    test.write_len(500);
    test.expect_at(10, "[P.] seq 101");
    test.advance(ms(5_000));
    test.expect_at(1_010, "[P.] seq 101");
    // The default is Linux's floor.
    let mut test = established_in(plain_config(), Numbers::default(), 10);
    test.write_len(500);
    test.expect_at(10, "[P.] seq 101");
    test.advance(ms(5_000));
    test.expect_at(220, "[P.] seq 101");
}

// req: 6298-2.5, 6298-5.5, 6298-5.6, 8961-4a, 2525-10
// trap: 41
#[test]
fn the_timer_doubles_up_to_its_cap() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.rto.min = ms(1_000);
        config.rto.max = ms(60_000);
        config.retries.data = 15;
        let mut test = established_in(config, numbers, 0);
        test.write_len(500);
        test.expect_at(0, "[P.] seq 101:601");
        for at in [1, 3, 7, 15, 31, 63, 123, 183, 243] {
            test.advance(ms(at * 1_000) - (test.now - tcp_core::Instant::from_secs(1_000)));
            test.expect_at(at * 1_000, "[P.] seq 101:601");
            test.expect_none();
            let next = match at {
                1..=31 => 2 * at + 1,
                _ => at + 60,
            };
            assert_eq!(deadline(&test), Some(next * 1_000));
        }
    });
}

// trap: 41
#[test]
fn hundreds_of_back_offs_overflow_nothing() {
    let mut config = plain_config();
    config.retries.data = tcp_core::Retries::NEVER;
    let mut test = established_in(config, Numbers::default(), 0);
    test.write_len(500);
    test.advance(Duration::from_secs(120 * 600));
    let sent = test.take_sent();
    assert!(sent.len() > 500);
    let gap = sent[sent.len() - 1].at - sent[sent.len() - 2].at;
    assert_eq!(gap, Duration::from_secs(120));
    // And progress ends it.
    test.inject("[.] seq 5001 ack 601");
    test.write_len(10);
    test.inject("[.] seq 5001 ack 611");
    assert_eq!(test.stats().backoff, 0);
}

// req: 6298-3a, 8961-2d
// trap: 40
#[test]
fn an_ack_of_what_was_sent_twice_measures_nothing() {
    every_wrap(|numbers| {
        let mut test = established_in(raw_config(), numbers, 100);
        let before = test.stats();
        test.write_len(1_500);
        test.expect("[.] seq 101:1101");
        test.expect("[P.] seq 1101:1601");
        test.advance(ms(300));
        test.expect_at(400, "[.] seq 101:1101");
        test.advance(ms(10));
        // The ACK covers the segment sent once, too: which copy it answers nobody knows.
        test.inject("[.] seq 5001 ack 1601");
        let after = test.stats();
        assert_eq!((after.srtt, after.rttvar, after.min_rtt), (before.srtt, before.rttvar, before.min_rtt));
    });
}

// req: 6298-3b, 8961-2
#[test]
fn each_round_trip_is_measured() {
    every_wrap(|numbers| {
        let mut test = established_in(raw_config(), numbers, 100);
        let mut seq = 101;
        for round in 0..10u32 {
            let before = test.stats().srtt;
            test.write_len(500);
            test.advance(ms(u64::from(110 + 10 * round)));
            seq += 500;
            test.inject(&format!("[.] seq 5001 ack {seq}"));
            assert!(test.stats().srtt > before, "round {round}");
        }
        assert_eq!(test.stats().totals.segments_retransmitted, 0);
        assert!(test.stats().rttvar > ms(0));
    });
}

// req: 6298-4
#[test]
fn an_unvarying_round_trip_keeps_a_margin() {
    let mut test = established_in(raw_config(), Numbers::default(), 50);
    let mut seq = 101u32;
    for _ in 0..1_000 {
        test.write_len(10);
        test.advance(ms(50));
        seq += 10;
        test.inject(&format!("[.] seq 5001 ack {seq}"));
        assert!(test.stats().rto >= test.stats().srtt.unwrap() + ms(1));
    }
    assert_eq!(test.stats().totals.segments_retransmitted, 0);
}

// req: 6298-5.1
// trap: 42
#[test]
fn the_first_data_starts_the_timer_and_the_second_does_not_move_it() {
    every_wrap(|numbers| {
        let mut test = established_in(plain_config(), numbers, 100);
        test.advance(ms(10_000));
        assert_eq!(test.connection.poll_timeout(), None);
        test.write_len(1_000);
        let rto = test.stats().rto.as_millis();
        assert_eq!(deadline(&test), Some(10_100 + rto));
        test.advance(ms(50));
        test.write_len(1_000);
        assert_eq!(test.take_sent().len(), 2);
        assert_eq!(deadline(&test), Some(10_100 + rto));
    });
}

// req: 6298-5.2
#[test]
fn no_timer_runs_when_all_is_acknowledged() {
    every_wrap(|numbers| {
        let mut test = established_in(plain_config(), numbers, 100);
        test.write_len(2_000);
        test.inject("[.] seq 5001 ack 1101");
        assert!(deadline(&test).is_some());
        test.inject("[.] seq 5001 ack 2101");
        assert_eq!(test.connection.poll_timeout(), None);
    });
}

// req: 6298-5.3
// trap: 42
#[test]
fn only_an_ack_of_new_data_restarts_the_timer() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.sack = true;
        let mut test = Scripted::established_with(config, numbers, ",sackOK");
        test.write_len(5_000);
        assert_eq!(deadline(&test), Some(200));
        test.advance(ms(150));
        // Duplicates, SACKs, window updates: nothing of it moves forward.
        test.inject("[.] seq 5001 ack 101 <sack 1101:2101>");
        test.inject("[.] seq 5001 ack 101 <sack 1101:2101>");
        test.inject("[.] seq 5001 ack 101 win 21000 <sack 1101:2101>");
        assert_eq!(deadline(&test), Some(200));
        test.inject("[.] seq 5001 ack 2101 win 21000");
        assert_eq!(deadline(&test), Some(150 + test.stats().rto.as_millis()));
    });
}

// trap: 42
#[test]
fn a_dribble_of_duplicates_does_not_put_the_timer_off() {
    every_wrap(|numbers| {
        let mut test = established_in(plain_config(), numbers, 100);
        test.write_len(1_000);
        test.expect("[P.] seq 101:1101");
        let rto = test.stats().rto.as_millis();
        for step in 1..30u64 {
            test.advance(ms(20));
            // A duplicate now, a window update then.
            test.inject(&format!("[.] seq 5001 ack 101 win {}", 20_000 + step % 2));
        }
        test.expect_at(100 + rto, "[P.] seq 101:1101");
    });
}

// req: 6298-5.4
// trap: 43
#[test]
fn an_expiry_sends_the_earliest_segment_alone() {
    every_wrap(|numbers| {
        let mut test = established_in(plain_config(), numbers, 100);
        test.write_len(5_000);
        assert_eq!(test.take_sent().len(), 5);
        test.advance(ms(300));
        let sent = test.expect("[.] seq 101:1101");
        assert_eq!(sent.reason, SendReason::Rto);
        test.expect_none();
    });
}

// req: 8961-3
// trap: 43
#[test]
fn an_expiry_is_a_sign_of_congestion_once() {
    every_wrap(|numbers| {
        let mut test = established_in(plain_config(), numbers, 100);
        test.write_len(8_000);
        assert_eq!(test.take_sent().len(), 8);
        assert_eq!(test.stats().congestion_window, 10_000);
        test.advance(ms(300));
        // Of the flight, not of the window.
        assert_eq!((test.stats().congestion_window, test.stats().slow_start_threshold), (1_000, 4_000));
        test.advance(ms(600));
        assert_eq!(test.stats().totals.timeouts, 2);
        assert_eq!((test.stats().congestion_window, test.stats().slow_start_threshold), (1_000, 4_000));
    });
}

// trap: 43
#[test]
fn an_expiry_for_other_data_counts_again() {
    every_wrap(|numbers| {
        let mut test = established_in(plain_config(), numbers, 100);
        test.write_len(8_000);
        test.advance(ms(300));
        assert_eq!(test.stats().slow_start_threshold, 4_000);
        test.take_sent();
        // The retransmission arrives: without timestamps the back-off stays, but the next expiry
        // is about data that the timer has not sent again yet.
        test.inject("[.] seq 5001 ack 1101");
        test.advance(ms(700));
        assert_eq!(test.stats().totals.timeouts, 2);
        assert_eq!(test.stats().slow_start_threshold, 3_500);
    });
}

// trap: 43
#[test]
fn duplicates_after_an_expiry_do_not_halve_again() {
    every_wrap(|numbers| {
        let mut test = established_in(plain_config(), numbers, 100);
        test.write_len(10_000);
        test.take_sent();
        test.advance(ms(300));
        test.expect("[.] seq 101:1101");
        // The segments had all arrived: each retransmission is a duplicate.
        for _ in 0..5 {
            test.inject("[.] seq 5001 ack 5101");
        }
        assert_eq!(test.stats().slow_start_threshold, 5_000);
        assert_eq!(test.stats().totals.fast_recoveries, 0);
    });
}

// req: 6298-5a
// trap: 42
#[test]
fn nothing_is_sent_again_by_the_timer_within_an_rto_of_its_last_transmission() {
    every_wrap(|numbers| {
        let mut test = established_in(plain_config(), numbers, 200);
        let rto = test.stats().rto.as_millis();
        test.write_len(5_000);
        test.take_sent();
        // Fast retransmit shortly before the timer would expire.
        test.advance(ms(rto - 10));
        for _ in 0..3 {
            test.inject("[.] seq 5001 ack 101");
        }
        let again = test.expect("[.] seq 101:1101");
        assert_eq!(again.reason, SendReason::FastRetransmit);
        test.advance(ms(rto - 1));
        test.expect_none();
        test.advance(ms(1));
        assert_eq!(test.expect("[.] seq 101:1101").reason, SendReason::Rto);
    });
}

// req: 6298-5.7
// trap: 30
#[test]
fn after_a_lost_syn_data_waits_three_seconds() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(plain_config(), numbers);
        test.advance(ms(1_000));
        test.expect_at(0, "[S]");
        test.expect_at(1_000, "[S]");
        test.advance(ms(50));
        test.inject("[S.] seq 5000 ack 101 <mss 1000>");
        assert_eq!(test.stats().srtt, None, "which SYN it answers nobody knows");
        test.expect("[.]");
        test.write_len(100);
        test.expect_at(1_050, "[P.] seq 101:201");
        test.advance(ms(3_000));
        test.expect_at(4_050, "[P.] seq 101:201");
    });
}

// req: 6298-5.7
// trap: 30
#[test]
fn a_timestamp_tells_which_syn_was_answered() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.timestamps = true;
        let mut test = Scripted::connecting(config, numbers);
        test.advance(ms(1_000));
        test.advance(ms(50));
        test.inject("[S.] seq 5000 ack 101 <mss 1000,TS 7 1001000>");
        assert_eq!(test.stats().srtt, Some(ms(50)));
        assert_eq!(test.stats().rto, ms(250));
    });
}

// trap: 30
#[test]
fn the_passive_side_measures_the_third_segment_unless_its_answer_was_repeated() {
    every_wrap(|numbers| {
        let mut test = Scripted::listening(plain_config(), numbers);
        test.inject("[S] seq 5000 <mss 1000>");
        test.expect_at(0, "[S.] seq 100 ack 5001");
        test.advance(ms(80));
        test.inject("[.] seq 5001 ack 101");
        assert_eq!(test.stats().srtt, Some(ms(80)));

        let mut test = Scripted::listening(plain_config(), numbers);
        test.inject("[S] seq 5000 <mss 1000>");
        test.advance(ms(3_000));
        for at in [0, 1_000, 3_000] {
            test.expect_at(at, "[S.] seq 100 ack 5001");
        }
        test.advance(ms(80));
        test.inject("[.] seq 5001 ack 101");
        assert_eq!((test.stats().srtt, test.stats().rto), (None, ms(3_000)));
        // RFC 6928 §2: two lost SYN-ACKs leave one segment.
        assert_eq!(test.stats().congestion_window, 1_000);
    });
}

// trap: 30
#[test]
fn one_lost_syn_leaves_the_initial_window_alone() {
    for (lost, window) in [(0, 10_000), (1, 10_000), (2, 1_000)] {
        every_wrap(|numbers| {
            let mut test = Scripted::connecting(plain_config(), numbers);
            test.advance(ms([0, 1_000, 3_000][lost]));
            assert_eq!(test.take_sent().len(), lost + 1);
            test.inject("[S.] seq 5000 ack 101 <mss 1000>");
            assert_eq!(test.stats().congestion_window, window, "{lost} lost");
        });
    }
}

// req: 6298-6a, 8961-4b, 2525-10
// trap: 41
#[test]
fn the_back_off_stays_until_a_valid_sample() {
    every_wrap(|numbers| {
        let mut test = established_in(plain_config(), numbers, 100);
        let rto = test.stats().rto;
        test.write_len(500);
        test.advance(rto + rto * 2);
        assert_eq!(test.stats().rto, rto * 4);
        test.take_sent();
        // The retransmission is acknowledged: ambiguous.
        test.inject("[.] seq 5001 ack 601");
        assert_eq!((test.stats().rto, test.stats().backoff), (rto * 4, 2));
        test.write_len(500);
        let start = test.elapsed();
        assert_eq!(deadline(&test), Some(start + (rto * 4).as_millis()));
        test.advance(ms(100));
        // New data, sent once.
        test.inject("[.] seq 5001 ack 1101");
        assert_eq!(test.stats().backoff, 0);
        assert!(test.stats().rto <= rto);
    });
}

// req: 6298-6b
#[test]
fn the_estimate_outlives_back_offs() {
    // Clearing it would be allowed; keeping it is, too.
    every_wrap(|numbers| {
        let mut test = established_in(raw_config(), numbers, 100);
        test.write_len(500);
        test.advance(ms(60_000));
        assert!(test.stats().backoff > 5);
        test.inject("[.] seq 5001 ack 601");
        test.write_len(500);
        test.advance(ms(180));
        test.inject("[.] seq 5001 ack 1101");
        assert_eq!(test.stats().srtt, Some(ms(110)), "100 and an eighth of the difference");
    });
}

// trap: 41
#[test]
fn progress_resets_the_count_of_retries() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.retries.data = 4;
        let mut test = established_in(config, numbers, 100);
        for round in 0..5u32 {
            test.write_len(500);
            while test.stats().retries < 4 {
                let wait = test.stats().rto;
                test.advance(wait);
            }
            test.inject(&format!("[.] seq 5001 ack {}", 101 + 500 * (round + 1)));
            assert_eq!(test.stats().retries, 0);
            // Back to a timer that has measured something.
            test.write_len(0);
        }
        assert!(!test.take_events().contains(Event::CLOSED));
    });
}

// req: 6298-7
#[test]
fn a_silent_peer_gets_no_more_than_the_reference_sends() {
    for segments in [1u64, 3, 10] {
        every_wrap(|numbers| {
            let mut test = established_in(plain_config(), numbers, 100);
            let mut rto = test.stats().rto.as_millis();
            test.write_len(1_000 * segments as usize);
            assert_eq!(test.take_sent().len() as u64, segments);
            test.advance(ms(100_000));
            let mut at = 100;
            for sent in test.take_sent() {
                at += rto;
                rto = (2 * rto).min(120_000);
                assert_eq!((sent.at - tcp_core::Instant::from_secs(1_000)).as_millis(), at);
                assert!(sent.line.contains("seq 101:"), "{}", sent.line);
            }
        });
    }
}
