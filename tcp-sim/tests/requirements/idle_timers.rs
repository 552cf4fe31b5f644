//! The timers of an idle connection: keepalive, persist, the end of both (traps 60 and 61).

use tcp_core::{CloseReason, ConnConfig, Duration, Event, Keepalive, SendReason, State, TimerKind};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

const SECOND: Duration = Duration::from_secs(1);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn kept_alive(idle: u64, interval: u64, probes: u8) -> ConnConfig {
    let mut config = plain_config();
    config.keepalive = Some(Keepalive { idle: secs(idle), interval: secs(interval), probes });
    config
}

/// The times of everything sent, in seconds since the script began.
fn times(test: &mut Scripted) -> Vec<u64> {
    test.take_sent().iter().map(|sent| (sent.at - tcp_core::Instant::from_secs(1_000)).as_secs()).collect()
}

// req: 2525-9, 2525-11
// trap: 60
#[test]
fn by_default_two_hours_then_nine_probes_75_seconds_apart() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.keepalive = Some(Keepalive::default());
        let mut test = Scripted::established(config, numbers);
        test.advance(secs(7_199));
        test.expect_none();
        test.advance(secs(7_200 + 8 * 75 - 7_199));
        let sent = test.take_sent();
        assert_eq!(sent.len(), 9);
        for (index, probe) in sent.iter().enumerate() {
            let at = (probe.at - tcp_core::Instant::from_secs(1_000)).as_secs();
            assert_eq!(at, 7_200 + 75 * index as u64);
            assert_eq!(probe.reason, SendReason::Keepalive);
            assert_eq!(probe.line, "[.] seq 100 ack 5001 win 10000");
        }
        assert_eq!(test.state(), State::Established, "nine probes, and each has 75 s");
        test.advance(secs(75));
        assert_eq!(test.close_reason(), Some(CloseReason::KeepaliveTimedOut));
        assert!(test.take_events().contains(Event::CLOSED));
        test.expect("[R.] seq 101 ack 5001");
        assert_eq!(test.connection.poll_timeout(), None);
    });
}

// req: 2525-9
// trap: 60
#[test]
fn any_answer_starts_the_count_again_however_short_the_idle_time() {
    // The idle time is shorter than the interval, and as long, and longer.
    for (idle, interval) in [(10, 75), (75, 75), (75, 10)] {
        every_wrap(|numbers| {
            let mut test = Scripted::established(kept_alive(idle, interval, 3), numbers);
            for round in 0..20 {
                let probed = (0..200).any(|_| {
                    test.advance(SECOND);
                    test.has_sent()
                });
                assert!(probed && test.take_sent().len() == 1);
                assert_eq!(test.state(), State::Established, "round {round} of {idle}, {interval}");
                test.advance(Duration::from_millis(100));
                test.inject("[.] seq 5001 ack 101");
            }
            assert!(!test.take_events().contains(Event::CLOSED));
        });
    }
}

// trap: 60
#[test]
fn idleness_is_counted_from_what_was_heard_last() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(kept_alive(100, 10, 3), numbers);
        test.advance(secs(20));
        test.inject("[S.] seq 5000 ack 101 <mss 1000>");
        test.take_sent();
        // From the SYN-ACK, not from our SYN.
        test.advance(secs(99));
        test.expect_none();
        test.advance(SECOND);
        test.expect_at(120_000, "[.] seq 100 ack 5001");
        test.inject("[.] seq 5001 ack 101");
        // From data that arrives, not from data that we send.
        test.advance(secs(50));
        test.inject("[P.] seq 5001 ack 101 len 10");
        test.advance(secs(99));
        test.expect_at(170_040, "[.] ack 5011");
        test.expect_none();
        test.advance(SECOND);
        test.expect_at(270_000, "[.] seq 100 ack 5011");
    });
}

// trap: 60
#[test]
fn even_a_segment_that_is_not_acceptable_is_an_answer() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(kept_alive(100, 10, 3), numbers);
        for _ in 0..10 {
            let probed = (0..200).any(|_| {
                test.advance(SECOND);
                test.has_sent()
            });
            assert!(probed);
            test.take_sent();
            // A keepalive of the peer's own, one byte too early.
            test.inject("[.] seq 5000 ack 101");
            test.take_sent();
        }
        assert_eq!(test.state(), State::Established);
    });
}

// trap: 60
#[test]
fn a_rst_in_answer_to_a_probe_ends_the_connection() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(kept_alive(100, 10, 3), numbers);
        test.advance(secs(100));
        test.expect("[.] seq 100");
        test.inject("[R] seq 5001");
        assert_eq!(test.close_reason(), Some(CloseReason::Reset));
    });
}

// trap: 60
#[test]
fn with_data_in_flight_the_retransmission_timer_rules() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(kept_alive(10, 1, 2), numbers);
        test.write_len(500);
        test.advance(secs(60));
        let sent = test.take_sent();
        assert!(sent.iter().all(|sent| sent.reason != SendReason::Keepalive), "{sent:?}");
        assert_eq!(test.state(), State::Established);
        // And with a closed window the persist timer.
        test.inject("[.] seq 5001 ack 601 win 0");
        test.write_len(500);
        for _ in 0..60 {
            test.advance(SECOND);
            for sent in test.take_sent() {
                assert_eq!(sent.reason, SendReason::WindowProbe);
                test.inject("[.] seq 5001 ack 601 win 0");
            }
        }
        assert_eq!(test.state(), State::Established);
    });
}

// trap: 60
#[test]
fn a_user_timeout_decides_instead_of_the_count() {
    every_wrap(|numbers| {
        let mut config = kept_alive(100, 10, 3);
        config.user_timeout = Some(secs(95));
        let mut test = Scripted::established(config, numbers);
        test.advance(secs(109));
        assert_eq!(times(&mut test), [100]);
        assert_eq!(test.state(), State::Established);
        test.advance(secs(1));
        assert_eq!(test.close_reason(), Some(CloseReason::KeepaliveTimedOut));
    });
}

// trap: 60
#[test]
fn half_closed_connections_are_kept_alive_too() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(kept_alive(100, 10, 3), numbers);
        test.inject("[F.] seq 5001 ack 101");
        test.advance(secs(99));
        test.take_sent();
        assert_eq!(test.state(), State::CloseWait);
        test.advance(secs(1));
        test.expect_at(100_000, "[.] seq 100 ack 5002");

        let mut test = Scripted::established(kept_alive(100, 10, 3), numbers);
        test.shutdown_write();
        test.inject("[.] seq 5001 ack 102");
        assert_eq!(test.state(), State::FinWait2);
        test.take_sent();
        test.advance(secs(100));
        test.expect_at(100_000, "[.] seq 101 ack 5001");
    });
}

// trap: 60
#[test]
fn turning_it_on_late_sends_one_probe_and_not_nine() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.advance(secs(100_000));
        test.expect_none();
        test.connection.set_config(test.now, kept_alive(100, 10, 9)).unwrap();
        test.advance(Duration::ZERO);
        assert_eq!(times(&mut test).len(), 1);
        assert_eq!(test.state(), State::Established);
        test.inject("[.] seq 5001 ack 101");
        test.advance(secs(99));
        test.expect_none();
        // And off again.
        test.connection.set_config(test.now, plain_config()).unwrap();
        assert_eq!(test.connection.poll_timeout(), None);
    });
}

// trap: 61
#[test]
fn probes_that_nobody_answers_count_towards_r2() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.retries.data = 5;
        let mut test = Scripted::established(config, numbers);
        test.inject("[.] seq 5001 ack 101 win 0");
        test.write_len(500);
        test.advance(secs(120));
        assert_eq!(test.take_sent().len(), 5);
        assert_eq!(test.close_reason(), Some(CloseReason::TimedOut));
    });
}

// trap: 61
#[test]
fn the_user_timeout_runs_while_the_window_is_closed() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.user_timeout = Some(secs(30));
        let mut test = Scripted::established(config, numbers);
        test.inject("[.] seq 5001 ack 101 win 0");
        test.advance(secs(100));
        // Counted from the moment that there is something to send.
        let begun = test.elapsed();
        test.write_len(500);
        while test.close_reason().is_none() && test.elapsed() < begun + 60_000 {
            test.advance(Duration::from_millis(500));
            if test.has_sent() {
                test.take_sent();
                test.inject("[.] seq 5001 ack 101 win 0");
            }
        }
        assert_eq!(test.close_reason(), Some(CloseReason::TimedOut));
        assert_eq!(test.elapsed(), begun + 30_000);
    });
}

// trap: 61
#[test]
fn an_orphan_does_not_probe_for_ever() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.retries.orphan = 4;
        let mut test = Scripted::established(config, numbers);
        test.inject("[.] seq 5001 ack 101 win 0");
        test.write_len(500);
        test.close();
        assert_eq!(test.state(), State::FinWait1);
        let mut probes = 0;
        while test.state() != State::Closed && test.elapsed() < 600_000 {
            test.advance(SECOND);
            for sent in test.take_sent() {
                if sent.reason == SendReason::WindowProbe {
                    probes += 1;
                    test.inject("[.] seq 5001 ack 101 win 0");
                }
            }
        }
        assert_eq!((test.state(), probes), (State::Closed, 4));
    });
}

// trap: 61
#[test]
fn the_interval_of_probes_has_a_cap() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.rto.max = secs(60);
        let mut test = Scripted::established(config, numbers);
        test.inject("[.] seq 5001 ack 101 win 0");
        test.write_len(500);
        let mut last = test.now;
        let mut gap = Duration::ZERO;
        for _ in 0..20 {
            let probed = (0..1_000).any(|_| {
                test.advance(Duration::from_millis(100));
                test.has_sent()
            });
            assert!(probed);
            let sent = test.take_sent();
            (gap, last) = (sent[0].at - last, sent[0].at);
            test.inject("[.] seq 5001 ack 101 win 0");
        }
        assert_eq!(gap, secs(60));
    });
}

// trap: 61
#[test]
fn an_open_window_ends_the_back_off_of_probes_alone() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        // A timeout, and its retransmission: the back-off of the RTO stands at 1.
        test.write_len(1_000);
        let rto = test.stats().rto;
        test.advance(rto);
        test.inject("[.] seq 5001 ack 1101 win 0");
        assert_eq!(test.stats().backoff, 1);
        test.write_len(3_000);
        test.take_sent();
        test.advance(secs(10));
        assert!(test.take_sent().len() >= 3);
        // The window takes a part of it; then it closes again.
        test.inject("[.] seq 5001 ack 1101 win 1000");
        test.expect("[.] seq 1101:2101");
        assert_eq!(test.stats().backoff, 1, "nothing has been measured");
        assert_eq!(test.connection.timer(TimerKind::Persist), None);
        assert_eq!(test.connection.timer(TimerKind::Retransmission), Some(test.now + rto * 2));
        test.inject("[.] seq 5001 ack 2101 win 0");
        let next = test.connection.timer(TimerKind::Persist).unwrap();
        assert_eq!(next, test.now + test.stats().rto, "the first probe of a new series");
    });
}

// trap: 61
#[test]
fn leaving_persist_times_what_is_in_flight() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(2_000);
        test.take_sent();
        test.inject("[.] seq 5001 ack 1101 win 0");
        assert_eq!(test.connection.timer(TimerKind::Retransmission), None);
        assert!(test.connection.timer(TimerKind::Persist).is_some());
        test.inject("[.] seq 5001 ack 1101 win 5000");
        assert_eq!(test.connection.timer(TimerKind::Persist), None);
        assert_eq!(test.connection.timer(TimerKind::Retransmission), Some(test.now + test.stats().rto));
        test.advance(test.stats().rto);
        assert_eq!(test.expect("[P.] seq 1101:2101").reason, SendReason::Rto);
    });
}

// req: 2525-12
#[test]
fn a_probe_byte_that_was_taken_stalls_neither_direction() {
    every_wrap(|numbers| {
        // Our buffer is full but for the byte that the peer's probe brings; both have data to send.
        let mut test = Scripted::established(plain_config(), numbers);
        for start in (5_001..15_001).step_by(1_000) {
            test.inject(&format!("[.] seq {start} ack 101 len 1000"));
        }
        test.take_sent();
        // Less than a segment is read: the window stays closed, and one byte of the peer's comes.
        test.expect_data(5_001, 5_501);
        test.take_sent();
        test.write_len(2_000);
        test.expect("[.] seq 101:1101 ack 15001 win 0");
        test.expect("[P.] seq 1101:2101 ack 15001 win 0");
        test.inject("[P.] seq 15001 ack 1101 len 1");
        test.take_sent();
        // Every ACK of the peer still counts, with or without a byte outside of the window.
        test.inject("[.] seq 15001 ack 2101");
        assert_eq!(test.stats().unacknowledged, 0);
        test.write_len(500);
        test.expect("[P.] seq 2101:2601 ack 15001 win 0");
        test.inject("[.] seq 15002 ack 2601");
        test.inject("[P.] seq 15001 ack 2601 len 1");
        assert_eq!(test.stats().unacknowledged, 0);
        test.take_sent();
        // All is read, and both go on.
        test.expect_data(5_501, 15_001);
        let update = test.expect("[.] seq 2601 ack 15001");
        assert!(!update.line.contains("win 0"), "{}", update.line);
        test.take_sent();
        test.inject("[P.] seq 15001 ack 2601 len 1000");
        test.expect_data(15_001, 16_001);
    });
}

// trap: 60
#[test]
fn an_idle_connection_without_keepalive_says_nothing() {
    let mut test = Scripted::established(plain_config(), Numbers::default());
    test.advance(secs(30 * 86_400));
    test.expect_none();
    assert_eq!(test.connection.poll_timeout(), None);
}
