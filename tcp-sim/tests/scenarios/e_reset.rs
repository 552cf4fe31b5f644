//! Scenarios E: closing with a RST, and lingering.

use tcp_core::{CloseReason, Disposition, Duration, Event, Linger, ReadError, SendReason, State, WriteError};
use tcp_sim::pair::{End, Pair};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn with_linger(linger: Linger, numbers: Numbers) -> Scripted {
    let mut config = plain_config();
    config.linger = linger;
    Scripted::established(config, numbers)
}

#[test]
fn e5_closing_with_data_unread_resets() {
    every_wrap(|numbers| {
        let mut pair = Pair::established(plain_config(), plain_config(), numbers);
        pair.write(End::A, &[1; 2_000]);
        pair.run_for(MS(100));
        pair.take_log();
        let now = pair.now;
        assert_eq!(pair.end(End::B).read(now, &mut [0; 1_999]), Ok(1_999));
        pair.close(End::B);
        pair.run_for(MS(10));
        pair.expect(&["B [R.] seq 5001 ack 2101"]);
        assert_eq!((pair.state(End::A), pair.state(End::B)), (State::Closed, State::Closed));
        assert_eq!(pair.end(End::B).close_reason(), Some(CloseReason::Aborted));
        assert_eq!(pair.take_events(End::A), Event::CLOSED | Event::READABLE);
        assert_eq!(pair.end(End::A).close_reason(), Some(CloseReason::Reset));
        assert_eq!(pair.read(End::A), Err(ReadError::Closed(CloseReason::Reset)));
        pair.run_for(Duration::from_secs(100));
        pair.expect(&[]);
    });
}

#[test]
fn e6_data_for_a_closed_end_is_reset() {
    every_wrap(|numbers| {
        let mut pair = Pair::established(plain_config(), plain_config(), numbers);
        pair.close(End::A);
        pair.run_for(MS(100));
        assert_eq!(pair.read(End::B), Ok(Vec::new()));
        pair.take_log();
        // The first send is accepted; nobody can know yet.
        pair.write(End::B, b"anybody?");
        pair.run_for(MS(100));
        pair.expect(&["B [P.] seq 5001:5009 ack 102 len 8", "A [R] seq 102"]);
        assert!(pair.take_events(End::B).contains(Event::CLOSED));
        let now = pair.now;
        let gone = WriteError::Closed(CloseReason::BrokenPipe);
        assert_eq!(pair.end(End::B).write(now, b"anybody?"), Err(gone));
        assert_eq!((pair.state(End::A), pair.state(End::B)), (State::Closed, State::Closed));
        assert_eq!(pair.end(End::A).memory(), 0);
    });
}

#[test]
fn e7_linger_zero_resets_at_once() {
    every_wrap(|numbers| {
        let mut test = with_linger(Linger::Reset, numbers);
        test.write_len(500);
        test.expect("[P.] seq 101:601 ack 5001");
        test.write_len(100);
        test.expect_none();
        test.close();
        // At SND.NXT: what was not sent is discarded.
        assert_eq!(test.expect("[R.] seq 601 ack 5001").reason, SendReason::Abort);
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Aborted)));
        assert_eq!((test.connection.memory(), test.connection.poll_timeout()), (0, None));
        assert!(test.take_events().contains(Event::CLOSED));
    });
}

#[test]
fn e8_lingering_ends_when_everything_is_acknowledged() {
    every_wrap(|numbers| {
        let mut test = with_linger(Linger::Timeout(Duration::from_secs(5)), numbers);
        test.write_len(500);
        test.close();
        test.expect("[P.] seq 101:601");
        test.expect("[F.] seq 601 ack 5001");
        test.advance(MS(100));
        test.inject("[.] seq 5001 ack 601");
        assert_eq!(test.take_events(), Event::NONE);
        test.inject("[.] seq 5001 ack 602");
        assert_eq!(test.take_events(), Event::FLUSHED);
        assert_eq!(test.state(), State::FinWait2);
        test.advance(Duration::from_secs(4));
        test.inject("[F.] seq 5001 ack 602");
        test.expect("[.] seq 602 ack 5002");
        assert_eq!((test.state(), test.close_reason()), (State::TimeWait, Some(CloseReason::Finished)));
        test.expect_none();
    });
}

#[test]
fn e8_once_all_is_acknowledged_the_end_of_lingering_does_no_harm() {
    every_wrap(|numbers| {
        let mut test = with_linger(Linger::Timeout(Duration::from_secs(5)), numbers);
        test.write_len(500);
        test.close();
        test.take_sent();
        test.inject("[.] seq 5001 ack 602");
        assert_eq!(test.take_events(), Event::FLUSHED);
        // The peer takes its time to close; FIN-WAIT-2 lasts as long as without lingering.
        test.advance(Duration::from_secs(59));
        test.expect_none();
        assert_eq!(test.state(), State::FinWait2);
        test.inject("[F.] seq 5001 ack 602");
        test.expect("[.] seq 602 ack 5002");
        assert_eq!(test.state(), State::TimeWait);
    });
}

#[test]
fn e8_lingering_in_vain_ends_with_a_rst() {
    every_wrap(|numbers| {
        let mut test = with_linger(Linger::Timeout(Duration::from_secs(5)), numbers);
        test.write_len(500);
        test.close();
        test.advance(MS(4_999));
        assert_eq!(test.state(), State::FinWait1);
        assert!(test.take_sent().iter().all(|sent| !sent.line.starts_with("[R")));
        test.take_events();
        test.advance(MS(1));
        test.expect_at(5_000, "[R.] seq 602 ack 5001");
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Aborted)));
        assert_eq!(test.take_events(), Event::CLOSED);
        assert_eq!(test.connection.memory(), 0);
        test.advance(Duration::from_secs(100));
        test.expect_none();
    });
}

/// A connection in each state that §3.10.5 of RFC 9293 names, and what an abort sends.
fn in_each_state(numbers: Numbers) -> Vec<(Scripted, &'static str)> {
    let mut all = Vec::new();
    let established = || Scripted::established(plain_config(), numbers);
    let mut simultaneous = Scripted::connecting(plain_config(), numbers);
    simultaneous.inject("[S] seq 5000 <mss 1000>");
    assert_eq!(simultaneous.state(), State::SynReceived);
    all.push((simultaneous, "[R.] seq 101 ack 5001"));

    let mut test = established();
    test.write_len(1_500);
    test.write_len(700);
    test.inject("[P.] seq 5001 ack 101 len 10");
    all.push((test, "[R.] seq 1601 ack 5011"));

    let mut closing = |lines: &[&str], state: State, reset: &'static str| {
        let mut test = established();
        test.write_len(10);
        test.shutdown_write();
        test.inject_all(lines);
        assert_eq!(test.state(), state);
        all.push((test, reset));
    };
    closing(&[], State::FinWait1, "[R.] seq 112 ack 5001");
    closing(&["[.] seq 5001 ack 112"], State::FinWait2, "[R.] seq 112 ack 5001");
    closing(&["[F.] seq 5001 ack 101"], State::Closing, "");
    closing(&["[F.] seq 5001 ack 112"], State::TimeWait, "");

    let mut test = established();
    test.inject("[FP.] seq 5001 ack 101 len 10");
    assert_eq!(test.state(), State::CloseWait);
    all.push((test, "[R.] seq 101 ack 5012"));
    let mut test = established();
    test.inject("[F.] seq 5001 ack 101");
    test.shutdown_write();
    assert_eq!(test.state(), State::LastAck);
    all.push((test, ""));
    all
}

#[test]
fn e17_an_abort_resets_at_the_highest_number_sent() {
    every_wrap(|numbers| {
        for (mut test, reset) in in_each_state(numbers) {
            let state = test.state();
            test.take_sent();
            test.take_events();
            let reason = test.close_reason();
            test.abort();
            if reset.is_empty() {
                // Both FINs are under way: there is nothing to tell (RFC 9293 §3.10.5).
                test.expect_none();
            } else {
                assert_eq!(test.expect(reset).reason, SendReason::Abort, "{state}");
            }
            assert_eq!(test.state(), State::Closed, "from {state}");
            assert_eq!(test.close_reason(), reason.or(Some(CloseReason::Aborted)), "from {state}");
            let write = test.connection.write(test.now, b"x");
            assert!(matches!(write, Err(WriteError::Closed(_))), "{write:?} in {state}");
            test.advance(Duration::from_secs(1_000));
            test.expect_none();
            assert_eq!(test.connection.poll_timeout(), None);
        }
    });
}

#[test]
fn e17_the_peer_of_an_abort_is_reset_and_unsent_data_never_comes() {
    every_wrap(|numbers| {
        let mut pair = Pair::established(plain_config(), plain_config(), numbers);
        pair.write(End::A, &[9; 30_000]);
        pair.run_for(MS(15));
        let now = pair.now;
        pair.end(End::A).abort(now);
        pair.run_for(MS(100));
        let log = pair.take_log();
        assert_eq!(log.iter().filter(|line| line.contains("len 1000")).count(), 10, "{log:#?}");
        let reset = log.iter().find(|line| line.contains("[R")).unwrap();
        assert!(reset.starts_with("A [R.] seq 10101 ack 5001"), "{log:#?}");
        assert_eq!(pair.end(End::B).close_reason(), Some(CloseReason::Reset));
        // What came before the RST can be read.
        assert_eq!(pair.read(End::B).map(|data| data.len()), Ok(10_000));
        assert_eq!(pair.read(End::B), Err(ReadError::Closed(CloseReason::Reset)));
    });
}

#[test]
fn e17_an_abort_before_there_is_a_connection_is_silent() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(plain_config(), numbers);
        test.take_sent();
        test.abort();
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Aborted)));
        assert_eq!(test.inject("[S.] seq 5000 ack 101"), Disposition::Reset);
        test.expect("[R] seq 101");
    });
}
