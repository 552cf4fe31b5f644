//! The times of Linux to the millisecond: retransmission, giving up, user timeout, keepalive.

use tcp_core::{
    CloseReason, ConnConfig, ConnStats, Duration, Event, Keepalive, ReadError, SendReason, SoftError, State,
    wire::IcmpKind,
};
use tcp_sim::scripted::{Scripted, every_wrap, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;
const SECOND: u64 = 1_000;

/// Advances until `millis` after the beginning.
fn until(test: &mut Scripted, millis: u64) {
    test.advance(MS(millis - test.elapsed()));
}

/// A segment of 100 bytes is sent into a black hole at 0, with an RTO of 200 ms.
fn black_hole(config: ConnConfig, numbers: tcp_sim::scripted::Numbers) -> Scripted {
    let mut test = Scripted::established(config, numbers);
    assert_eq!(test.stats().rto, MS(200));
    test.write_len(100);
    test.expect_at(0, "[P.] seq 101:201 ack 5001 len 100");
    test
}

// req: LNX-RTO-1
#[test]
fn the_rto_is_200_ms_above_the_round_trip_and_capped_at_120_s() {
    let mut test = Scripted::connecting(plain_config(), Default::default());
    test.advance(MS(1));
    test.inject("[S.] seq 5000 ack 101 <mss 1000>");
    test.take_sent();
    let ConnStats { srtt, rto, .. } = test.stats();
    assert_eq!((srtt, rto), (Some(MS(1)), MS(201)));
    // In a black hole it doubles up to the cap.
    test.write_len(100);
    let begin = test.elapsed();
    let (mut at, mut wait) = (begin, 201);
    for _ in 0..14 {
        test.expect_at(at, "[P.] seq 101:201");
        at += wait;
        wait = (2 * wait).min(120_000);
        until(&mut test, at);
    }
    assert_eq!((wait, test.stats().rto), (120_000, Duration::from_secs(120)));
    // Both bounds can be set.
    let mut config = plain_config();
    config.rto.min = MS(500);
    config.rto.max = Duration::from_secs(60);
    let mut test = Scripted::established(config, Default::default());
    assert_eq!(test.stats().rto, MS(500));
    test.write_len(100);
    test.advance(Duration::from_secs(200));
    assert_eq!(test.stats().rto, Duration::from_secs(60));
}

// req: LNX-RTO-2, 1122-4
#[test]
fn a_black_hole_is_told_of_after_three_retransmissions_and_given_up_after_924_6_s() {
    every_wrap(|numbers| {
        let mut test = black_hole(plain_config(), numbers);
        let (mut at, mut wait) = (0, 200);
        for retry in 1..=15 {
            at += wait;
            wait = (2 * wait).min(120_000);
            until(&mut test, at - 1);
            assert_eq!(test.take_events(), Event::NONE);
            until(&mut test, at);
            assert_eq!(test.expect_at(at, "[P.] seq 101:201 ack 5001 len 100").reason, SendReason::Rto);
            let expected = if retry == 3 { Event::WARNING } else { Event::NONE };
            assert_eq!(test.take_events(), expected, "retry {retry}");
        }
        assert_eq!(test.connection.soft_error(), Some(SoftError::Retransmitting));
        until(&mut test, 924_600 - 1);
        assert_eq!((test.state(), test.close_reason()), (State::Established, None));
        until(&mut test, 924_600);
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::TimedOut)));
        assert!(test.take_events().contains(Event::CLOSED));
        assert_eq!((test.connection.memory(), test.connection.poll_timeout()), (0, None));
    });
}

// req: 1122-4
#[test]
fn progress_after_a_warning_is_told_of() {
    every_wrap(|numbers| {
        let mut test = black_hole(plain_config(), numbers);
        test.advance(Duration::from_secs(2));
        assert_eq!(test.take_events(), Event::WARNING);
        test.take_sent();
        test.inject("[.] seq 5001 ack 201");
        assert_eq!(test.take_events(), Event::RECOVERED);
        assert_eq!(test.connection.soft_error(), None);
        // It is told of anew the next time.
        test.write_len(100);
        test.advance(Duration::from_secs(20));
        assert_eq!(test.take_events(), Event::WARNING);
    });
}

// req: 5461-2
#[test]
fn the_last_soft_error_says_why_the_time_ran_out() {
    every_wrap(|numbers| {
        let mut test = black_hole(plain_config(), numbers);
        test.inject_icmp(IcmpKind::HostUnreachable, 101);
        assert_eq!(test.take_events(), Event::WARNING);
        assert_eq!(test.connection.soft_error(), Some(SoftError::Unreachable));
        until(&mut test, 924_600);
        assert_eq!(test.close_reason(), Some(CloseReason::Unreachable));
        assert_eq!(test.connection.last_icmp(), Some(IcmpKind::HostUnreachable));
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::Unreachable)));

        // Trouble that is over is not the reason of a later end.
        let mut test = black_hole(plain_config(), numbers);
        test.inject_icmp(IcmpKind::HostUnreachable, 101);
        test.inject("[.] seq 5001 ack 201");
        assert_eq!(test.connection.soft_error(), None);
        assert!(test.take_events().contains(Event::WARNING | Event::RECOVERED));
        test.write_len(100);
        test.advance(Duration::from_secs(925));
        assert_eq!(test.close_reason(), Some(CloseReason::TimedOut));
    });
}

// req: LNX-RTO-3
#[test]
fn a_user_timeout_of_3_s_ends_a_black_hole_after_3_s() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.user_timeout = Some(Duration::from_secs(3));
        let mut test = black_hole(config, numbers);
        until(&mut test, 2_999);
        // Retransmissions come when they would without it.
        for at in [200, 600, 1_400] {
            test.expect_at(at, "[P.] seq 101:201");
        }
        assert_eq!(test.state(), State::Established);
        until(&mut test, 3_000);
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::TimedOut)));
    });
}

// req: LNX-RTO-3
#[test]
fn a_long_user_timeout_outlasts_the_count_of_retries() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.user_timeout = Some(Duration::from_secs(2_000));
        let mut test = black_hole(config, numbers);
        until(&mut test, 1_999_999);
        assert_eq!(test.state(), State::Established);
        until(&mut test, 2_000_000);
        assert_eq!(test.close_reason(), Some(CloseReason::TimedOut));
    });
}

// req: LNX-RTO-3
#[test]
fn progress_restarts_the_user_timeout_and_silence_without_data_is_none_of_its() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.user_timeout = Some(Duration::from_secs(3));
        let mut test = black_hole(config, numbers);
        until(&mut test, 2_000);
        test.inject("[.] seq 5001 ack 151");
        until(&mut test, 4_999);
        assert_eq!(test.state(), State::Established);
        test.inject("[.] seq 5001 ack 201");
        until(&mut test, 3_600 * SECOND);
        assert_eq!((test.state(), test.connection.poll_timeout()), (State::Established, None));
    });
}

// req: LNX-RTO-4
#[test]
fn the_timeout_of_a_thin_stream_doubles_unless_six_are_to_be_alike() {
    every_wrap(|numbers| {
        let mut test = black_hole(plain_config(), numbers);
        until(&mut test, 13_000);
        for at in [200, 600, 1_400, 3_000, 6_200, 12_600] {
            test.expect_at(at, "[P.] seq 101:201");
        }
        test.expect_none();

        let mut config = plain_config();
        config.thin_linear_timeouts = 6;
        let mut test = black_hole(config.clone(), numbers);
        until(&mut test, 4_000);
        for at in [200, 400, 600, 800, 1_000, 1_200, 1_400, 1_800, 2_600] {
            test.expect_at(at, "[P.] seq 101:201");
        }
        test.expect_none();

        // Four segments are no thin stream.
        let mut test = Scripted::established(config, numbers);
        test.write_len(4_000);
        test.take_sent();
        until(&mut test, 1_000);
        for at in [200, 600] {
            test.expect_at(at, "[.] seq 101:1101");
        }
        test.expect_none();
    });
}

fn with_keepalive(idle: u64, interval: u64, probes: u8) -> ConnConfig {
    let mut config = plain_config();
    let (idle, interval) = (Duration::from_secs(idle), Duration::from_secs(interval));
    config.keepalive = Some(Keepalive { idle, interval, probes });
    config
}

// req: LNX-KA-1
#[test]
fn a_vanished_peer_is_probed_from_7200_s_on_and_dead_at_7875_s() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.keepalive = Some(Keepalive::default());
        let mut test = Scripted::established(config, numbers);
        until(&mut test, 7_875 * SECOND - 1);
        for probe in 0..9 {
            let probe = test.expect_at((7_200 + 75 * probe) * SECOND, "[.] seq 100 ack 5001");
            assert_eq!(probe.reason, SendReason::Keepalive);
        }
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::Established, None));
        until(&mut test, 7_875 * SECOND);
        test.expect_at(7_875 * SECOND, "[R.] seq 101 ack 5001");
        test.expect_none();
        assert_eq!(test.state(), State::Closed);
        assert_eq!(test.close_reason(), Some(CloseReason::KeepaliveTimedOut));
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::KeepaliveTimedOut)));
    });
}

// req: LNX-KA-1
#[test]
fn what_the_network_says_of_a_probe_is_not_believed() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(with_keepalive(10, 2, 3), numbers);
        until(&mut test, 10_000);
        test.expect("[.] seq 100");
        // Nothing is in flight that could be quoted, so nothing is believed.
        test.inject_icmp(IcmpKind::HostUnreachable, 100);
        until(&mut test, 16_000);
        assert_eq!(test.close_reason(), Some(CloseReason::KeepaliveTimedOut));
    });
}

// req: LNX-KA-2
#[test]
fn the_three_numbers_of_keepalive_can_be_set() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(with_keepalive(10, 2, 3), numbers);
        until(&mut test, 15_999);
        for at in [10, 12, 14] {
            test.expect_at(at * SECOND, "[.] seq 100 ack 5001");
        }
        assert_eq!(test.state(), State::Established);
        until(&mut test, 16_000);
        test.expect("[R.] seq 101 ack 5001");
        assert_eq!(test.state(), State::Closed);
    });
}

// req: LNX-KA-2
#[test]
fn a_changed_keepalive_counts_from_the_last_word_of_the_peer() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(with_keepalive(7_200, 75, 9), numbers);
        until(&mut test, 4_000);
        let mut config = test.connection.config().clone();
        config.keepalive = with_keepalive(10, 2, 3).keepalive;
        test.connection.set_config(test.now, config.clone()).unwrap();
        until(&mut test, 9_999);
        test.expect_none();
        until(&mut test, 10_000);
        test.expect_at(10_000, "[.] seq 100 ack 5001");
        // An answer begins the idle time anew.
        test.inject("[.] seq 5001 ack 101");
        until(&mut test, 20_000);
        test.expect_at(20_000, "[.] seq 100 ack 5001");
        // Off is off.
        config.keepalive = None;
        test.connection.set_config(test.now, config).unwrap();
        until(&mut test, 100 * SECOND);
        test.expect_none();
        assert_eq!(test.connection.poll_timeout(), None);
    });
}

// req: LNX-RTO-3
#[test]
fn the_user_timeout_decides_when_keepalive_gives_up() {
    every_wrap(|numbers| {
        // Later than the count would.
        let mut config = with_keepalive(20, 2, 1);
        config.user_timeout = Some(Duration::from_secs(20));
        config.keepalive = with_keepalive(20, 2, 9).keepalive;
        let mut test = Scripted::established(config, numbers);
        until(&mut test, 21_999);
        test.expect_at(20_000, "[.] seq 100");
        assert_eq!(test.state(), State::Established);
        // One probe went unanswered, and 20 s of silence are over.
        until(&mut test, 22_000);
        test.expect("[R.] seq 101");
        assert_eq!(test.state(), State::Closed);
    });
}

// req: LNX-KA-3
#[test]
fn the_probe_of_the_peer_is_answered_whatever_its_timestamp_and_our_window() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.timestamps = true;
        config.replay.timestamp_offset = Some(0);
        let mut test = Scripted::established_with(config, numbers, ",TS 5000 1000000");
        let mut start = 5_001;
        for _ in 0..10 {
            let end = start + 988;
            test.inject(&format!("[.] seq {start}:{end} ack 101 <TS 5000 1000000> len 988"));
            start = end;
        }
        test.inject("[.] seq 14881:15001 ack 101 <TS 5000 1000000> len 120");
        test.advance(MS(200));
        test.take_sent();
        assert_eq!(test.stats().receive_window, 0);
        for (time, length) in [(5_001, 0), (5_001, 1), (4_000, 0), (4_000, 1)] {
            test.advance(MS(500));
            let end = 15_000 + length;
            let len = if length > 0 { " len 1" } else { "" };
            test.inject(&format!("[.] seq 15000:{end} ack 101 <TS {time} 1000000>{len}"));
            test.expect("[.] seq 101 ack 15001 win 0");
            test.expect_none();
        }
        // More often than every 500 ms a probe without data is not answered; one with data is.
        for _ in 0..10 {
            test.inject("[.] seq 15000 ack 101 <TS 5002 1000000>");
        }
        assert_eq!(test.take_sent().len(), 1);
        test.inject("[.] seq 15000:15001 ack 101 <TS 5002 1000000> len 1");
        test.expect("[.] seq 101 ack 15001 win 0");
    });
}
