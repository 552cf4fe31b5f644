//! Scenarios E: TIME-WAIT, as a connection without a listener beside it goes through it. What a
//! listener makes of it: the unit tests of `tcb/time_wait`.

use tcp_core::{
    CloseReason, ConnConfig, Disposition, DropReason, Duration, Event, SendReason, State, TimeWaitReset,
    TimerKind,
};
use tcp_sim::pair::{End, Fate, Pair};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A connection in TIME-WAIT: SND.NXT 102, RCV.NXT 5002.
fn in_time_wait(config: ConnConfig, numbers: Numbers) -> Scripted {
    let mut test = Scripted::established(config, numbers);
    test.close();
    test.expect("[F.] seq 101 ack 5001");
    test.inject("[F.] seq 5001 ack 102");
    assert_eq!(test.expect("[.] seq 102 ack 5002").reason, SendReason::TimeWait);
    assert_eq!((test.state(), test.close_reason()), (State::TimeWait, Some(CloseReason::Finished)));
    assert_eq!(test.take_events(), Event::FLUSHED | Event::CLOSED);
    // Past the interval in which answers are limited.
    test.advance(MS(1_000));
    test
}

fn expires(test: &Scripted) -> Duration {
    test.connection.timer(TimerKind::TimeWait).expect("it is in TIME-WAIT") - test.now
}

#[test]
fn e11_time_wait_answers_the_repeated_fin_and_starts_again() {
    every_wrap(|numbers| {
        let mut test = in_time_wait(plain_config(), numbers);
        assert_eq!(expires(&test), MS(59_000));
        for _ in 0..3 {
            test.advance(MS(50_000));
            test.inject("[F.] seq 5001 ack 102");
            test.expect("[.] seq 102 ack 5002");
            assert_eq!(expires(&test), MS(60_000));
        }
        test.advance(MS(59_999));
        assert_eq!(test.state(), State::TimeWait);
        test.advance(MS(1));
        assert_eq!(test.state(), State::Closed);
        assert_eq!((test.take_events(), test.connection.poll_timeout()), (Event::NONE, None));
        test.expect_none();
    });
}

#[test]
fn e11_a_lost_last_ack_is_repeated() {
    every_wrap(|numbers| {
        let mut pair = Pair::established(plain_config(), plain_config(), numbers);
        pair.close(End::A);
        // A's second segment is the last ACK; its repetitions get lost, too.
        pair.on_segment(|passing| match passing.from {
            End::A if (2..=3).contains(&passing.number) => Fate::Lose,
            _ => Fate::Deliver,
        });
        pair.run_for(MS(20));
        pair.close(End::B);
        pair.run_for(Duration::from_secs(10));
        pair.expect(&[
            "A [F.] seq 101 ack 5001",
            "B [F.] seq 5001 ack 102",
            "A [.] seq 102 ack 5002",
            "B [F.] seq 5001 ack 102",
            "A [.] seq 102 ack 5002",
            "B [F.] seq 5001 ack 102",
            "A [.] seq 102 ack 5002",
        ]);
        assert_eq!((pair.state(End::A), pair.state(End::B)), (State::TimeWait, State::Closed));
        assert_eq!(pair.end(End::B).close_reason(), Some(CloseReason::Finished));
    });
}

#[test]
fn e11_a_fin_after_time_wait_has_ended_is_reset_and_ends_last_ack() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.time_wait = MS(300);
        let mut pair = Pair::established(config, plain_config(), numbers);
        pair.close(End::A);
        pair.on_segment(|passing| match passing.from {
            End::A if passing.number == 2 => Fate::Lose,
            // The repetition comes too late.
            End::B if passing.number == 2 => Fate::Late(MS(500)),
            _ => Fate::Deliver,
        });
        pair.run_for(MS(20));
        pair.close(End::B);
        pair.run_for(MS(500));
        assert_eq!((pair.state(End::A), pair.state(End::B)), (State::Closed, State::LastAck));
        pair.run_for(Duration::from_secs(1));
        let log = pair.take_log();
        assert!(log.last().unwrap().starts_with("A [R] seq 102"), "{log:#?}");
        assert_eq!(pair.state(End::B), State::Closed);
        assert_eq!((pair.end(End::A).memory(), pair.end(End::B).memory()), (0, 0));
    });
}

#[test]
fn e12_without_a_listener_a_new_syn_is_answered_with_an_ack() {
    every_wrap(|numbers| {
        let mut test = in_time_wait(plain_config(), numbers);
        test.inject("[S] seq 6000 <mss 1000>");
        test.expect("[.] seq 102 ack 5002");
        test.expect_none();
        assert_eq!((test.state(), expires(&test)), (State::TimeWait, MS(59_000)));
    });
}

#[test]
fn e13_time_wait_is_not_harmed_by_old_syns_and_old_data() {
    every_wrap(|numbers| {
        let mut test = in_time_wait(plain_config(), numbers);
        for line in [
            "[S] seq 4000 <mss 1000>",
            "[S.] seq 5000 ack 101 <mss 1000>",
            "[P.] seq 4501 ack 102 len 100",
            "[F.] seq 4501 ack 102",
            "[.] seq 4000 ack 102",
        ] {
            assert_eq!(test.inject(line), Disposition::Dropped(DropReason::OutOfWindow), "{line}");
            assert_eq!(test.expect("[.] seq 102 ack 5002").reason, SendReason::TimeWait);
            test.expect_none();
            assert_eq!(test.state(), State::TimeWait);
            test.advance(MS(1_000));
        }
        // None of them has restarted the timer.
        assert_eq!(expires(&test), MS(54_000));
        assert_eq!(test.take_events(), Event::NONE);
    });
}

#[test]
fn e13_an_exact_rst_ends_time_wait_as_in_linux_and_no_other() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.time_wait_reset = TimeWaitReset::CloseIfExact;
        let mut test = in_time_wait(config, numbers);
        for line in ["[R] seq 5001", "[R] seq 5003", "[R] seq 102", "[R.] seq 4000 ack 102"] {
            test.inject(line);
            test.expect_none();
            assert_eq!(test.state(), State::TimeWait, "{line}");
        }
        test.inject("[R] seq 5002");
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Finished)));
        assert_eq!((test.take_events(), test.connection.poll_timeout()), (Event::NONE, None));
    });
}

#[test]
fn e13_by_rfc_1337_no_rst_ends_time_wait() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.time_wait_reset = ConnConfig::rfc().time_wait_reset;
        let mut test = in_time_wait(config, numbers);
        for line in ["[R] seq 5001", "[R] seq 5002", "[R.] seq 5002 ack 102"] {
            test.inject(line);
            test.expect_none();
            assert_eq!((test.state(), expires(&test)), (State::TimeWait, MS(59_000)), "{line}");
        }
    });
}
