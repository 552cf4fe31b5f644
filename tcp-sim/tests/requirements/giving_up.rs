//! How often a segment is tried, and what the application hears of it (RFC 9293 §3.8.3), and keepalive
//! (§3.8.4).

use tcp_core::{
    CloseReason, ConnConfig, Duration, Event, Keepalive, Retries, SendReason, SoftError, State, TimerKind,
};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

const SECOND: Duration = Duration::from_secs(1);

fn with(change: impl FnOnce(&mut ConnConfig)) -> ConnConfig {
    let mut config = plain_config();
    change(&mut config);
    config
}

/// Drives a connection whose peer is silent, until it ends: when, in milliseconds.
fn until_closed(test: &mut Scripted, at_most: u64) -> Option<u64> {
    let begun = test.elapsed();
    while test.state() != State::Closed {
        if test.elapsed() - begun > at_most {
            return None;
        }
        test.advance(Duration::from_millis(100));
    }
    Some(test.elapsed() - begun)
}

// req: MUST-20, SHLD-9, SHLD-10, SHLD-11, MUST-47
#[test]
fn after_r1_the_application_is_warned_and_after_r2_the_connection_ends() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(100);
        test.expect("[P.] seq 101:201");
        let mut retransmissions = 0;
        while test.state() != State::Closed {
            test.advance(Duration::from_millis(100));
            retransmissions += test.take_sent().iter().filter(|sent| sent.reason == SendReason::Rto).count();
            let events = test.take_events();
            if events.contains(Event::WARNING) {
                assert_eq!(retransmissions, 3, "R1 is at least three");
                assert_eq!(test.connection.soft_error(), Some(SoftError::Retransmitting));
            }
            if retransmissions < 3 {
                assert_eq!(test.connection.soft_error(), None);
            }
        }
        assert_eq!(retransmissions, 15);
        assert!(test.elapsed() >= 100_000, "R2 is at least 100 s: {}", test.elapsed());
        assert_eq!(test.close_reason(), Some(CloseReason::TimedOut));
    });
}

// req: SHLD-20, SHLD-9
#[test]
fn reports_can_be_switched_off_and_the_end_is_told_all_the_same() {
    let mut test =
        Scripted::established(with(|config| config.report_soft_errors = false), Numbers::default());
    test.write_len(100);
    let mut events = Event::NONE;
    while test.state() != State::Closed {
        test.advance(SECOND);
        events |= test.take_events();
    }
    assert!(!events.contains(Event::WARNING) && events.contains(Event::CLOSED), "{events:?}");
    assert_eq!(test.connection.soft_error(), None);
    assert_eq!(test.close_reason(), Some(CloseReason::TimedOut));
}

// req: MUST-20
#[test]
fn progress_after_a_warning_is_told_and_starts_the_count_again() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(100);
        test.advance(SECOND * 5);
        assert!(test.take_events().contains(Event::WARNING));
        test.inject("[.] seq 5001 ack 201");
        assert_eq!(test.take_events(), Event::RECOVERED);
        assert_eq!((test.connection.soft_error(), test.stats().retries), (None, 0));
    });
}

// req: MUST-21
#[test]
fn the_application_sets_r2() {
    let mut five =
        Scripted::established(with(|config| config.user_timeout = Some(SECOND * 5)), Numbers::default());
    five.write_len(100);
    assert_eq!(until_closed(&mut five, 10_000), Some(5_000));
    assert_eq!(five.close_reason(), Some(CloseReason::TimedOut));

    let mut few = Scripted::established(with(|config| config.retries.data = 3), Numbers::default());
    few.write_len(100);
    // 0.2 + 0.4 + 0.8 + 1.6 seconds.
    assert_eq!(until_closed(&mut few, 10_000), Some(3_000));

    let mut never =
        Scripted::established(with(|config| config.retries.data = Retries::NEVER), Numbers::default());
    never.write_len(100);
    assert_eq!(until_closed(&mut never, 24 * 3_600_000), None);
    never.take_sent();
    never.advance(SECOND * 130);
    assert!(never.take_sent().iter().any(|sent| sent.line.contains("seq 101:201")), "still trying");
}

// req: MUST-21
#[test]
fn r2_can_be_changed_while_the_connection_lives() {
    let mut test = Scripted::established(plain_config(), Numbers::default());
    test.write_len(100);
    test.advance(SECOND * 30);
    let five = with(|config| config.user_timeout = Some(SECOND * 5));
    test.connection.set_config(test.now, five).expect("it works");
    let end = until_closed(&mut test, 10_000).expect("it ends");
    assert!(end <= 5_000, "{end}");
}

// req: MUST-22, MUST-23
#[test]
fn a_syn_is_repeated_with_back_off_and_given_up_after_three_minutes_by_the_rfc() {
    for (config, end) in [(ConnConfig::rfc(), 247), (ConnConfig::linux(), 127)] {
        every_wrap(|numbers| {
            let mut test = Scripted::connecting(config.clone(), numbers);
            test.expect_at(0, "[S] seq 100");
            let mut at = 0;
            let mut wait = 1;
            let mut warned = false;
            loop {
                at += wait;
                wait = (wait * 2).min(120);
                test.advance(Duration::from_millis(at * 1_000 - test.elapsed()));
                warned |= test.take_events().contains(Event::WARNING);
                if test.state() == State::Closed {
                    break;
                }
                test.expect_at(at * 1_000, "[S] seq 100");
                test.expect_none();
            }
            assert_eq!((at, test.close_reason()), (end, Some(CloseReason::TimedOut)));
            assert!(warned);
        });
    }
}

// req: MUST-22
#[test]
fn a_syn_ack_is_repeated_with_back_off_and_forgotten() {
    every_wrap(|numbers| {
        let mut test = Scripted::listening(plain_config(), numbers);
        test.inject("[S] seq 5000 <mss 1000>");
        for at in [0, 1, 3, 7, 15, 31] {
            test.advance(Duration::from_millis(at * 1_000 - test.elapsed()));
            test.expect_at(at * 1_000, "[S.] seq 100 ack 5001");
            test.expect_none();
        }
        test.advance(SECOND * 32);
        assert_eq!((test.state(), test.take_events()), (State::Listen, Event::NONE));
        test.expect_none();
    });
}

fn keeping_alive() -> ConnConfig {
    with(|config| {
        config.keepalive = Some(Keepalive { idle: SECOND * 10, interval: SECOND * 2, probes: 3 });
    })
}

// req: MUST-25
#[test]
fn an_idle_connection_says_nothing_for_a_day() {
    for config in [ConnConfig::linux(), ConnConfig::rfc()] {
        let mut test = Scripted::established(config, Numbers::default());
        assert_eq!(test.connection.poll_timeout(), None);
        test.advance(SECOND * 86_400);
        test.expect_none();
        assert_eq!(test.state(), State::Established);
    }
}

// req: MUST-24, MUST-27, SHLD-12, MAY-5
#[test]
fn keepalive_probes_an_idle_peer_when_it_is_asked_to() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(keeping_alive(), numbers);
        test.advance(SECOND * 9);
        test.expect_none();
        test.advance(SECOND);
        let probe = test.expect_at(10_000, "[.] seq 100 ack 5001");
        assert_eq!(probe.reason, SendReason::Keepalive);
        assert!(!probe.line.contains("len"), "{}", probe.line);
        test.inject("[.] seq 5001 ack 101");
        // Off, and on again, while the connection lives.
        let off = plain_config();
        test.connection.set_config(test.now, off).expect("it works");
        assert_eq!(test.connection.timer(TimerKind::Keepalive), None);
        test.advance(SECOND * 1_000);
        test.expect_none();
        test.connection.set_config(test.now, keeping_alive()).expect("it works");
        assert!(test.connection.timer(TimerKind::Keepalive).is_some());
        test.advance(SECOND * 10);
        test.expect("[.] seq 100 ack 5001");
    });
}

// req: MUST-26
#[test]
fn keepalive_waits_for_silence_and_for_nothing_to_be_outstanding() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(keeping_alive(), numbers);
        // An ACK, or data, starts the interval again.
        test.advance(Duration::from_millis(9_900));
        test.inject("[.] seq 5001 ack 101");
        test.advance(Duration::from_millis(9_900));
        test.expect_none();
        test.inject("[P.] seq 5001 ack 101 len 10");
        test.advance(Duration::from_millis(9_900));
        test.take_sent();
        test.advance(Duration::from_millis(200));
        test.expect("[.] seq 100 ack 5011");
        test.inject("[.] seq 5011 ack 101");
        // With data in flight there is retransmission, and no probe.
        test.write_len(100);
        test.advance(SECOND * 60);
        assert!(test.take_sent().iter().all(|sent| sent.reason != SendReason::Keepalive));
    });
}

// req: MUST-28
#[test]
fn by_default_keepalive_waits_for_two_hours() {
    let default = Keepalive::default();
    assert!(default.idle >= SECOND * 7_200);
    let mut test = Scripted::established(with(|config| config.keepalive = Some(default)), Numbers::default());
    test.advance(Duration::from_millis(7_199_999));
    test.expect_none();
    test.advance(Duration::from_millis(1));
    test.expect_at(7_200_000, "[.] seq 100 ack 5001");
}

// req: MUST-29
#[test]
fn one_unanswered_probe_is_no_death() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(keeping_alive(), numbers);
        test.advance(SECOND * 10);
        test.expect_at(10_000, "[.] seq 100 ack 5001");
        test.advance(SECOND * 2);
        test.expect_at(12_000, "[.] seq 100 ack 5001");
        test.inject("[.] seq 5001 ack 101");
        assert_eq!((test.state(), test.take_events()), (State::Established, Event::NONE));
        // And as many as were asked for are.
        test.advance(SECOND * 10);
        test.advance(SECOND * 2);
        test.advance(SECOND * 2);
        assert_eq!(test.take_sent().len(), 3);
        assert_eq!(test.state(), State::Established);
        test.advance(SECOND * 2);
        assert_eq!(test.close_reason(), Some(CloseReason::KeepaliveTimedOut));
    });
}

// req: MAY-6
#[test]
fn a_keepalive_with_a_garbage_byte_is_answered_and_the_byte_is_not_read() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        for line in ["[.] seq 5000 ack 101 len 1", "[.] seq 5000 ack 101"] {
            test.inject(line);
            test.expect("[.] seq 101 ack 5001");
            test.expect_none();
        }
        assert_eq!((test.stats().readable, test.take_events()), (0, Event::NONE));
        test.inject("[P.] seq 5001 ack 101 len 10");
        test.expect_data(5_001, 5_011);
        // After data, too: the byte before RCV.NXT is old.
        test.take_sent();
        test.inject("[.] seq 5010 ack 101 len 1");
        test.expect("[.] seq 101 ack 5011");
        assert_eq!(test.stats().readable, 0);
    });
}
