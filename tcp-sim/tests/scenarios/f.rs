//! Scenarios F: trouble.

use tcp_core::{
    AfterReset, CloseReason, ConnConfig, Disposition, DropReason, Duration, Event, Keepalive, ReadError,
    SendReason, SoftError, State, WriteError,
};
use tcp_sim::pair::{End, Fate, Pair};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn with_keepalive(keepalive: Keepalive) -> ConnConfig {
    let mut config = plain_config();
    config.keepalive = Some(keepalive);
    config
}

/// An end where nobody knows of any connection: it answers everything with a RST.
fn reboot(pair: &mut Pair, end: End) {
    let now = pair.now;
    let mut empty = pair.listening_again(end, plain_config());
    empty.close(now);
    pair.replace(end, empty);
}

#[test]
fn f1_who_only_reads_does_not_notice_a_pulled_cable() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        test.advance(Duration::from_secs(30 * 86_400));
        test.expect_none();
        assert_eq!((test.state(), test.take_events()), (State::Established, Event::NONE));
        assert_eq!(test.connection.poll_timeout(), None);
    });
}

#[test]
fn f1_keepalive_finds_out_after_7200_s_and_nine_probes() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(with_keepalive(Keepalive::default()), numbers);
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        test.advance(Duration::from_secs(7_200 + 9 * 75) - MS(1));
        for probe in 0..9 {
            let sent = test.expect_at((7_200 + probe * 75) * 1_000, "[.] seq 100 ack 5001");
            assert_eq!(sent.reason, SendReason::Keepalive);
        }
        test.expect_none();
        assert_eq!((test.state(), test.take_events()), (State::Established, Event::NONE));
        test.advance(MS(1));
        assert_eq!(test.take_events(), Event::CLOSED | Event::READABLE);
        assert_eq!(test.close_reason(), Some(CloseReason::KeepaliveTimedOut));
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::KeepaliveTimedOut)));
        // Should the peer live after all, it learns of it.
        test.expect("[R.] seq 101 ack 5001");
        test.expect_none();
        assert_eq!(test.connection.poll_timeout(), None);
    });
}

#[test]
fn f1_a_peer_that_answers_is_kept() {
    every_wrap(|numbers| {
        let keepalive =
            Keepalive { idle: Duration::from_secs(100), interval: Duration::from_secs(10), probes: 2 };
        let mut test = Scripted::established(with_keepalive(keepalive), numbers);
        for round in 1..=10 {
            test.advance(Duration::from_secs(100));
            test.expect_at(round * 110_000 - 10_000, "[.] seq 100 ack 5001");
            test.advance(Duration::from_secs(10));
            test.expect_at(round * 110_000, "[.] seq 100 ack 5001");
            test.inject("[.] seq 5001 ack 101");
            test.expect_none();
        }
        assert_eq!((test.state(), test.take_events()), (State::Established, Event::NONE));
    });
}

#[test]
fn f2_with_data_in_flight_retransmission_decides_and_keepalive_is_silent() {
    every_wrap(|numbers| {
        let keepalive =
            Keepalive { idle: Duration::from_secs(10), interval: Duration::from_secs(1), probes: 1 };
        let mut test = Scripted::established(with_keepalive(keepalive), numbers);
        test.advance(Duration::from_secs(5));
        test.write_len(100);
        test.advance(Duration::from_secs(2_000));
        let sent = test.take_sent();
        assert_eq!(sent.len(), 16, "one, and 15 times again");
        assert!(sent.iter().all(|sent| sent.reason != SendReason::Keepalive));
        assert!(sent.iter().all(|sent| sent.line.starts_with("[P.] seq 101:201 ack 5001")));
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::TimedOut)));
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::TimedOut)));
    });
}

#[test]
fn f3_a_rebooted_peer_resets_what_we_write() {
    every_wrap(|numbers| {
        let mut pair = Pair::established(plain_config(), plain_config(), numbers);
        reboot(&mut pair, End::B);
        pair.write(End::A, b"anybody?");
        pair.run_for(MS(100));
        pair.expect(&["A [P.] seq 101:109 ack 5001 len 8", "B [R] seq 5001"]);
        assert_eq!(pair.take_events(End::A), Event::CLOSED | Event::READABLE);
        assert_eq!(pair.end(End::A).close_reason(), Some(CloseReason::Reset));
        assert_eq!(pair.read(End::A), Err(ReadError::Closed(CloseReason::Reset)));
    });
}

#[test]
fn f3_a_rebooted_peer_resets_a_keepalive_probe() {
    every_wrap(|numbers| {
        let config = with_keepalive(Keepalive::default());
        let mut pair = Pair::established(config, plain_config(), numbers);
        reboot(&mut pair, End::B);
        pair.run_for(Duration::from_secs(7_300));
        pair.expect(&["A [.] seq 100 ack 5001", "B [R] seq 5001"]);
        assert_eq!(pair.end(End::A).close_reason(), Some(CloseReason::Reset));
    });
}

#[test]
fn f4_a_peer_killed_with_data_unread_resets() {
    every_wrap(|numbers| {
        let mut pair = Pair::established(plain_config(), plain_config(), numbers);
        pair.write(End::A, b"never read");
        pair.run_for(MS(100));
        // What a process leaves behind is closed.
        pair.close(End::B);
        pair.run_for(MS(100));
        let now = pair.now;
        assert_eq!(pair.take_events(End::A), Event::CLOSED | Event::READABLE);
        assert_eq!(pair.read(End::A), Err(ReadError::Closed(CloseReason::Reset)));
        assert_eq!(pair.end(End::A).write(now, b"x"), Err(WriteError::Closed(CloseReason::Reset)));
        pair.expect(&["A [P.] seq 101:111 len 10", "B [.] ack 111", "B [R.] seq 5001 ack 111"]);
    });
}

#[test]
fn f5_after_the_peer_closed_the_first_write_is_taken_and_the_next_is_a_broken_pipe() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[F.] seq 5001 ack 101");
        assert_eq!(test.read(1), Ok(Vec::new()));
        test.write(b"once");
        test.expect("[P.] seq 101:105 ack 5002 len 4");
        test.inject("[R] seq 5002");
        test.expect_none();
        assert_eq!(test.state(), State::Closed);
        assert!(test.take_events().contains(Event::CLOSED));
        for _ in 0..2 {
            let again = test.connection.write(test.now, b"again");
            assert_eq!(again, Err(WriteError::Closed(CloseReason::BrokenPipe)));
        }
    });
}

#[test]
fn f6_what_arrived_before_a_rst_can_be_read_and_then_the_reset_is_told() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[P.] seq 5001 ack 101 len 100");
        test.inject("[.] seq 5201 ack 101 len 100");
        test.take_sent();
        test.inject("[R] seq 5101");
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Reset)));
        assert_eq!(test.take_events(), Event::CLOSED | Event::READABLE);
        test.expect_data(5_001, 5_101);
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::Reset)));
        assert_eq!(test.connection.memory(), 0);
    });
}

#[test]
fn f6_by_the_rfc_a_rst_flushes_what_was_not_read() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.after_reset = ConnConfig::rfc().after_reset;
        assert_eq!(config.after_reset, AfterReset::Flush);
        let mut test = Scripted::established(config, numbers);
        test.inject("[P.] seq 5001 ack 101 len 100");
        test.inject("[R] seq 5101");
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::Reset)));
        assert_eq!(test.connection.memory(), 0);
    });
}

#[test]
fn f7_an_operation_that_takes_too_long_leaves_the_connection_usable() {
    every_wrap(|numbers| {
        let mut pair = Pair::established(plain_config(), plain_config(), numbers);
        // A read: the patience of the application ends, and it does something else.
        assert_eq!(pair.read(End::A), Err(ReadError::Blocked));
        pair.run_for(Duration::from_secs(30));
        assert_eq!(pair.read(End::A), Err(ReadError::Blocked));
        // A write: nobody reads at the other end.
        let now = pair.now;
        let room = 1 << 20;
        assert_eq!(pair.end(End::A).write(now, &vec![1; room + 1]), Ok(room));
        assert_eq!(pair.end(End::A).write(now, b"x"), Err(WriteError::Blocked));
        pair.run_for(Duration::from_secs(30));
        assert_eq!((pair.state(End::A), pair.state(End::B)), (State::Established, State::Established));
        let mut read = 0;
        while read < room {
            read += pair.read(End::B).map_or(0, |data| data.len());
            pair.run_for(Duration::from_secs(1));
        }
        assert!(pair.take_events(End::A).contains(Event::WRITABLE));
        pair.write(End::A, b"x");
        pair.write(End::B, b"late");
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.read(End::A), Ok(b"late".to_vec()));
        assert_eq!(pair.read(End::B), Ok(b"x".to_vec()));
    });
}

#[test]
fn f7_a_connect_with_a_deadline_times_out() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.user_timeout = Some(Duration::from_secs(2));
        let mut pair = Pair::new(config, plain_config(), numbers);
        pair.on_segment(|_| Fate::Lose);
        pair.run_for(Duration::from_secs(10));
        pair.expect(&["A [S] seq 100", "A [S] seq 100"]);
        assert_eq!(pair.take_events(End::A), Event::CLOSED | Event::READABLE);
        assert_eq!(pair.read(End::A), Err(ReadError::Closed(CloseReason::TimedOut)));
    });
}

#[test]
fn f7_a_deadline_that_was_kept_does_not_end_the_connection_later() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.user_timeout = Some(Duration::from_secs(2));
        let mut pair = Pair::established(config.clone(), config, numbers);
        pair.write(End::A, b"hello");
        pair.run_for(Duration::from_secs(100));
        assert_eq!((pair.state(End::A), pair.state(End::B)), (State::Established, State::Established));
        assert_eq!(pair.read(End::B), Ok(b"hello".to_vec()));
        // Nothing has waited: idling is no reason either.
        pair.run_for(Duration::from_secs(100));
        assert_eq!((pair.state(End::A), pair.state(End::B)), (State::Established, State::Established));
    });
}

#[test]
fn f8_an_attacker_who_guesses_changes_nothing_and_is_challenged_at_a_limited_rate() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        let guesses = [
            ("[R] seq 4999", DropReason::ResetOutOfWindow, false),
            ("[R] seq 15001", DropReason::ResetOutOfWindow, false),
            ("[R] seq 5002", DropReason::ResetChallenged, true),
            ("[R] seq 15000", DropReason::ResetChallenged, true),
            ("[S] seq 5001", DropReason::SynChallenged, true),
            ("[S] seq 700000", DropReason::SynChallenged, true),
            ("[S.] seq 5001 ack 101", DropReason::SynChallenged, true),
            // Data with an ACK of what was never sent, or of long ago.
            ("[P.] seq 5001 ack 102 len 10", DropReason::AckOfUnsent, true),
            ("[P.] seq 5001 ack 3000000000 len 10", DropReason::AckTooOld, true),
            ("[P] seq 5001 len 10", DropReason::NoAck, false),
        ];
        for (line, reason, challenged) in guesses {
            assert_eq!(test.inject(line), Disposition::Dropped(reason), "{line}");
            if challenged {
                assert_eq!(test.expect("[.] seq 101 ack 5001").reason, SendReason::Challenge);
            }
            test.expect_none();
        }
        assert_eq!(test.stats().totals.challenge_acks, 7);
        // Ten in five seconds, whatever comes.
        for _ in 0..1_000 {
            test.inject("[R] seq 5002");
            test.inject("[S] seq 9000");
        }
        assert_eq!(test.take_sent().len(), 3);
        test.advance(MS(4_999));
        test.inject("[S] seq 9000");
        test.expect_none();
        test.advance(MS(1));
        test.inject("[S] seq 9000");
        test.expect("[.] seq 101 ack 5001");
        assert_eq!((test.state(), test.take_events()), (State::Established, Event::NONE));
        test.inject("[P.] seq 5001 ack 101 len 10");
        test.expect_data(5_001, 5_011);
        // The exact number alone resets.
        test.inject("[R] seq 5011");
        assert_eq!(test.close_reason(), Some(CloseReason::Reset));
    });
}

/// The peer has sent ten bytes and its FIN; we have written; and its RST has come.
fn reset_after_fin(config: ConnConfig, numbers: Numbers) -> Scripted {
    let mut test = Scripted::established(config, numbers);
    test.inject("[FP.] seq 5001 ack 101 len 10");
    test.write(b"hello?");
    test.expect("[P.] seq 101:107 ack 5012 len 6");
    test.inject("[R] seq 5012");
    assert!(test.take_events().contains(Event::CLOSED));
    assert_eq!(test.state(), State::Closed);
    test
}

#[test]
fn f12_data_and_fin_and_then_a_rst_give_the_data_the_end_and_a_broken_pipe() {
    every_wrap(|numbers| {
        let mut test = reset_after_fin(plain_config(), numbers);
        test.expect_data(5_001, 5_011);
        assert_eq!(test.read(1), Ok(Vec::new()));
        assert_eq!(test.read(1), Ok(Vec::new()));
        let write = test.connection.write(test.now, b"x");
        assert_eq!(write, Err(WriteError::Closed(CloseReason::BrokenPipe)));
        test.expect_none();

        let mut config = plain_config();
        config.after_reset = AfterReset::Flush;
        let mut test = reset_after_fin(config, numbers);
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::BrokenPipe)));
    });
}

#[test]
fn f13_the_peers_keepalive_probes_are_acknowledged_at_once() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        // With and without the byte that some stacks add.
        for probe in ["[.] seq 5000 ack 101", "[.] seq 5000 ack 101 len 1"] {
            for _ in 0..3 {
                test.advance(Duration::from_secs(75));
                test.inject(probe);
                test.expect("[.] seq 101 ack 5001");
                test.expect_none();
            }
        }
        assert_eq!((test.state(), test.take_events()), (State::Established, Event::NONE));
        assert_eq!(test.read(1), Err(ReadError::Blocked));
    });
}

#[test]
fn f13_two_ends_with_keepalive_stay_together_for_days() {
    every_wrap(|numbers| {
        let config = with_keepalive(Keepalive { idle: Duration::from_secs(600), ..Keepalive::default() });
        let mut pair = Pair::established(config.clone(), config, numbers);
        pair.run_for(Duration::from_secs(86_400));
        assert_eq!((pair.state(End::A), pair.state(End::B)), (State::Established, State::Established));
        let log = pair.take_log();
        assert!(log.len() <= 2 * 86_400 / 600, "{} segments", log.len());
        // One of them forgets: the other's probe finds out.
        reboot(&mut pair, End::B);
        pair.run_for(Duration::from_secs(601));
        pair.expect(&["A [.] seq 100 ack 5001", "B [R] seq 5001"]);
        assert_eq!(pair.end(End::A).close_reason(), Some(CloseReason::Reset));
    });
}

#[test]
fn f2_trouble_that_passes_is_told_and_taken_back() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(100);
        test.advance(MS(1_399));
        assert_eq!(test.take_events(), Event::NONE);
        test.advance(MS(1));
        assert_eq!(test.take_events(), Event::WARNING);
        assert_eq!(test.connection.soft_error(), Some(SoftError::Retransmitting));
        test.inject("[.] seq 5001 ack 201");
        assert_eq!(test.take_events(), Event::RECOVERED);
        assert_eq!(test.connection.soft_error(), None);
    });
}
