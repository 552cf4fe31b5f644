//! Scenarios D: losing and recovering, as far as timers and the textbook go.

use tcp_core::{
    CloseReason, ConnConfig, Duration, Event, InitialWindow, ReadError, Retries, SendReason, SoftError, State,
};
use tcp_sim::pair::{End, Fate, Pair};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// When a segment is sent that nobody answers, in milliseconds since the first time.
fn transmissions(config: ConnConfig, numbers: Numbers, during: Duration) -> (Scripted, Vec<u64>) {
    let mut test = Scripted::established(config, numbers);
    test.write_len(100);
    test.advance(during);
    let sent = test.take_sent();
    for segment in &sent {
        assert!(segment.line.starts_with("[P.] seq 101:201 ack 5001"), "{}", segment.line);
    }
    assert!(sent[1..].iter().all(|segment| segment.reason == SendReason::Rto));
    let times = sent.iter().map(|segment| (segment.at - sent[0].at).as_millis()).collect();
    (test, times)
}

/// The first timeout, doubled each time up to 120 s.
fn doubling(first: u64, count: usize) -> Vec<u64> {
    let mut times = vec![0];
    for number in 0..count {
        times.push(times[number] + (first << number.min(30)).min(120_000));
    }
    times
}

#[test]
fn d5_the_timeout_doubles_from_200_ms_to_120_s() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.retries.data = Retries::NEVER;
        let (mut test, times) = transmissions(config, numbers, Duration::from_secs(3_000));
        assert_eq!(times, doubling(200, times.len() - 1));
        assert!(times.len() > 30);
        // It goes on where it stopped, with the back-off in force until a round trip is measured.
        test.inject("[.] seq 5001 ack 201");
        assert_eq!(test.stats().rto, Duration::from_secs(120), "Karn: this ACK measured nothing");
        test.write_len(10);
        test.expect("[P.] seq 201:211");
        test.advance(MS(100));
        test.inject("[.] seq 5001 ack 211");
        assert!(test.stats().rto < Duration::from_secs(1), "{}", test.stats().rto);
    });
}

#[test]
fn d5_the_rfc_profile_begins_with_a_second() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.rto = ConnConfig::rfc().rto;
        config.retries.data = Retries::NEVER;
        let (_, times) = transmissions(config, numbers, Duration::from_secs(1_000));
        assert_eq!(times, doubling(1_000, times.len() - 1));
    });
}

#[test]
fn d5_the_estimator_is_that_of_rfc_6298() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.rto = ConnConfig::rfc().rto;
        config.rto.min = Duration::ZERO;
        let mut test = Scripted::connecting(config, numbers);
        test.expect("[S] seq 100");
        test.advance(MS(400));
        test.inject("[S.] seq 5000 ack 101 <mss 1000>");
        test.expect("[.] seq 101 ack 5001");
        assert_eq!((test.stats().srtt, test.stats().rttvar), (Some(MS(400)), MS(200)));
        assert_eq!(test.stats().rto, MS(1_200));
        let (mut smoothed, mut variation) = (400_000_000u64, 200_000_000u64);
        let mut seq = 101;
        for sample in [300u64, 500, 450, 380, 600, 350] {
            test.write_len(10);
            test.expect(&format!("[P.] seq {seq}:{}", seq + 10));
            test.advance(MS(sample));
            seq += 10;
            test.inject(&format!("[.] seq 5001 ack {seq}"));
            let sample = sample * 1_000_000;
            variation = variation - variation / 4 + smoothed.abs_diff(sample) / 4;
            smoothed = smoothed - smoothed / 8 + sample / 8;
            let stats = test.stats();
            assert!(stats.srtt.unwrap().as_nanos().abs_diff(smoothed) < 1_000, "{stats:?}");
            assert!(stats.rto.as_nanos().abs_diff(smoothed + 4 * variation) < 10_000, "{stats:?}");
        }
        test.expect_none();
    });
}

#[test]
fn d6_after_r1_a_warning_and_after_15_retries_the_end() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        test.write_len(100);
        test.advance(MS(1_399));
        assert_eq!((test.take_events(), test.connection.soft_error()), (Event::NONE, None));
        test.advance(MS(1));
        assert_eq!(test.take_events(), Event::WARNING);
        assert_eq!(test.connection.soft_error(), Some(SoftError::Retransmitting));
        // 0.2 · (2¹⁰ - 1) s and six times 120 s.
        test.advance(MS(924_600 - 1_400 - 1));
        assert_eq!((test.state(), test.take_events()), (State::Established, Event::NONE));
        assert_eq!(test.take_sent().len(), 1 + 15);
        test.advance(MS(1));
        test.expect_none();
        assert_eq!(test.take_events(), Event::CLOSED | Event::READABLE);
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::TimedOut)));
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::TimedOut)));
        assert_eq!((test.connection.memory(), test.connection.poll_timeout()), (0, None));
    });
}

#[test]
fn d6_the_user_timeout_decides_instead_of_the_count() {
    for limit in [10, 5_000] {
        every_wrap(|numbers| {
            let mut config = plain_config();
            config.user_timeout = Some(Duration::from_secs(limit));
            let (mut test, _) = transmissions(config, numbers, MS(limit * 1_000 - 1));
            assert_eq!(test.state(), State::Established);
            test.advance(MS(1));
            assert_eq!(test.close_reason(), Some(CloseReason::TimedOut));
        });
    }
}

#[test]
fn d9_duplicated_packets_do_no_harm_and_are_reported() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.sack = true;
        let mut pair = Pair::established(config.clone(), config, numbers);
        pair.on_segment(|_| Fate::Twice);
        let data: Vec<u8> = (0..30_000u32).map(|index| (index % 251) as u8).collect();
        pair.write(End::A, &data);
        let mut read = Vec::new();
        for _ in 0..100 {
            pair.run_for(MS(20));
            read.extend(pair.read(End::B).unwrap_or_default());
        }
        assert!(read == data, "{} bytes", read.len());
        let log = pair.take_log();
        // The duplicate of each of the thirty segments is reported, and nothing is sent again.
        for start in (101..30_101).step_by(1_000) {
            let block = format!("sack {start}:{}", start + 1_000);
            assert!(
                log.iter().any(|line| line.starts_with("B ") && line.contains(&block)),
                "{block}: {log:#?}"
            );
        }
        let (a, b) = (pair.end(End::A).stats().unwrap(), pair.end(End::B).stats().unwrap());
        assert_eq!((a.totals.segments_retransmitted, a.totals.fast_recoveries, a.totals.timeouts), (0, 0, 0));
        assert_eq!((b.totals.duplicates, b.totals.dsacks_sent), (30, 30));
        assert_eq!((pair.state(End::A), pair.state(End::B)), (State::Established, State::Established));
    });
}

/// The textbook's sender: one segment at first, a threshold of 65,535 bytes, no SACK; the peer's
/// window is no limit.
fn textbook(numbers: Numbers) -> Scripted {
    let mut config = plain_config();
    config.initial_window = InitialWindow::Segments(1);
    config.initial_ssthresh = Some(65_535);
    config.window_scaling = true;
    let mut test = Scripted::established_with(config, numbers, ",wscale 6");
    test.inject("[.] seq 5001 ack 101");
    assert_eq!((test.stats().congestion_window, test.stats().slow_start_threshold), (1_000, 65_535));
    test.write_len(900_000);
    test
}

/// One round trip of 100 ms: everything sent is acknowledged, segment by segment. Gives how many
/// there were, and where the stream stands.
fn round_trip(test: &mut Scripted, una: &mut u32) -> usize {
    let sent = test.take_sent();
    test.advance(MS(100));
    for segment in &sent {
        assert!(segment.line.starts_with(&format!("[.] seq {una}:{} ", *una + 1_000)), "{}", segment.line);
        *una += 1_000;
        test.inject(&format!("[.] seq 5001 ack {una}"));
    }
    sent.len()
}

#[test]
fn d12_the_textbooks_window_doubles_to_the_threshold_and_then_grows_by_one() {
    every_wrap(|numbers| {
        let mut test = textbook(numbers);
        let mut una = 101;
        for (segments, window) in
            [(1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (32, 64), (64, 66), (66, 67), (67, 68), (68, 69)]
        {
            assert_eq!(round_trip(&mut test, &mut una), segments);
            assert_eq!(test.stats().congestion_window, window * 1_000, "after {segments} segments");
        }
        assert_eq!(test.stats().slow_start_threshold, 65_535);
    });
}

#[test]
fn d12_on_the_third_duplicate_ack_half_of_the_flight_and_three() {
    every_wrap(|numbers| {
        let mut test = textbook(numbers);
        let mut una = 101;
        for _ in 0..4 {
            round_trip(&mut test, &mut una);
        }
        assert_eq!(test.stats().congestion_window, 16_000);
        assert_eq!(test.take_sent().len(), 16);
        // The first of the sixteen is lost.
        for duplicate in 1..=2 {
            test.inject(&format!("[.] seq 5001 ack {una}"));
            assert_eq!(test.stats().congestion_window, 16_000);
            // Limited transmit (RFC 3042).
            test.expect(&format!("[.] seq {} len 1000", una + 15_000 + duplicate * 1_000));
            test.expect_none();
        }
        test.inject(&format!("[.] seq 5001 ack {una}"));
        assert_eq!(test.stats().slow_start_threshold, 8_000, "half of the 16 segments in flight");
        assert_eq!(test.stats().congestion_window, 11_000);
        let again = test.expect(&format!("[.] seq {una}:{} len 1000", una + 1_000));
        assert_eq!(again.reason, SendReason::FastRetransmit);
        test.expect_none();
        for duplicate in 4..=15 {
            test.inject(&format!("[.] seq 5001 ack {una}"));
            assert_eq!(test.stats().congestion_window, 8_000 + duplicate * 1_000);
        }
        // 18 segments in flight: the window of 23 has let five new ones go.
        assert_eq!(test.take_sent().len(), 5);
        test.inject(&format!("[.] seq 5001 ack {}", una + 18_000));
        assert_eq!(test.stats().slow_start_threshold, 8_000);
        // Five in flight, and one more at once: no burst (RFC 6582 §3.2 step 3, option 1).
        assert_eq!(test.stats().congestion_window, 6_000);
        assert!(!test.stats().in_recovery);
    });
}

#[test]
fn d12_on_a_timeout_one() {
    every_wrap(|numbers| {
        let mut test = textbook(numbers);
        let mut una = 101;
        for _ in 0..4 {
            round_trip(&mut test, &mut una);
        }
        assert_eq!(test.take_sent().len(), 16);
        test.advance(test.stats().rto);
        assert_eq!((test.stats().congestion_window, test.stats().slow_start_threshold), (1_000, 8_000));
        assert_eq!(test.expect(&format!("[.] seq {una}:{}", una + 1_000)).reason, SendReason::Rto);
        test.expect_none();
        // And doubles again, to the threshold.
        una += 1_000;
        test.inject(&format!("[.] seq 5001 ack {una}"));
        assert_eq!(test.stats().congestion_window, 2_000);
        for (segments, window) in [(2, 4), (4, 8), (8, 9), (9, 10)] {
            assert_eq!(round_trip(&mut test, &mut una), segments);
            assert_eq!(test.stats().congestion_window, window * 1_000, "after {segments}");
        }
    });
}
