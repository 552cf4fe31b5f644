//! The ways out of ESTABLISHED: FINs, RSTs and aborts, state by state (RFC 9293 §3.6, §3.10.4,
//! §3.10.5, §3.10.7.4).

use tcp_core::{
    AfterReset, CloseReason, ConnConfig, Disposition, Duration, Event, ReadError, SendReason, State,
    TimerKind, WriteError,
};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};
use tcp_sim::states::Place;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn with(change: impl FnOnce(&mut ConnConfig)) -> ConnConfig {
    let mut config = plain_config();
    change(&mut config);
    config
}

fn established(numbers: Numbers) -> Scripted {
    Scripted::established(plain_config(), numbers)
}

// req: 9293-EV-14, MUST-12
// trap: 17
#[test]
fn what_a_rst_does_in_each_state() {
    let flushing = with(|config| config.after_reset = AfterReset::Flush);
    for config in [plain_config(), flushing] {
        every_wrap(|numbers| {
            for place in Place::SYNCHRONIZED {
                let mut test = place.reach(config.clone(), numbers);
                let disposition = test.inject(&format!("[R] seq {}", place.rcv_nxt()));
                assert_eq!(disposition, Disposition::Taken, "{place:?}");
                test.expect_none();
                assert_eq!(test.state(), State::Closed, "{place:?}");
                assert_eq!(test.connection.poll_timeout(), None);
                let reason = match place {
                    Place::Established | Place::FinWait1 | Place::FinWait2 => CloseReason::Reset,
                    Place::CloseWait => CloseReason::BrokenPipe,
                    Place::Closing | Place::LastAck => CloseReason::Reset,
                    _ => CloseReason::Finished,
                };
                assert_eq!(test.close_reason(), Some(reason), "{place:?}");
                let read = test.read(10);
                match place {
                    Place::Established | Place::FinWait1 | Place::FinWait2 => {
                        assert_eq!(read, Err(ReadError::Closed(CloseReason::Reset)));
                    }
                    // The flush takes the end of the stream along, too.
                    Place::CloseWait if config.after_reset == AfterReset::Flush => {
                        assert_eq!(read, Err(ReadError::Closed(CloseReason::BrokenPipe)));
                    }
                    // Just CLOSED: the stream had come to its end before.
                    _ => assert_eq!(read, Ok(vec![]), "{place:?}"),
                }
                if matches!(place, Place::Established | Place::CloseWait) {
                    let write = test.connection.write(test.now, b"x");
                    assert_eq!(write, Err(WriteError::Closed(reason)));
                }
            }
        });
    }
}

// req: 9293-EV-14
#[test]
fn a_rst_flushes_what_was_not_read_or_leaves_it_as_configured() {
    every_wrap(|numbers| {
        for (after_reset, kept) in [(AfterReset::KeepData, true), (AfterReset::Flush, false)] {
            let mut test = Scripted::established(with(|config| config.after_reset = after_reset), numbers);
            test.inject("[.] seq 5001 ack 101 len 100");
            test.write_len(5_000);
            test.take_sent();
            test.inject("[R] seq 5101");
            if kept {
                test.expect_data(5_001, 5_101);
            }
            assert_eq!(test.read(10), Err(ReadError::Closed(CloseReason::Reset)));
            test.advance(SECOND * 10);
            test.expect_none();
        }
    });
}

// req: MUST-12
#[test]
fn the_application_can_tell_a_close_from_an_abort() {
    every_wrap(|numbers| {
        let mut closed = established(numbers);
        closed.inject("[F.] seq 5001 ack 101");
        assert_eq!(closed.read(10), Ok(vec![]));
        assert_eq!((closed.state(), closed.close_reason()), (State::CloseWait, None));
        let mut aborted = established(numbers);
        assert_eq!(aborted.read(10), Err(ReadError::Blocked));
        aborted.inject("[R] seq 5001");
        assert!(aborted.take_events().contains(Event::READABLE | Event::CLOSED));
        assert_eq!(aborted.read(10), Err(ReadError::Closed(CloseReason::Reset)));
        assert_eq!(aborted.connection.write(aborted.now, b"x"), Err(WriteError::Closed(CloseReason::Reset)));
    });
}

// req: 9293-EV-20
#[test]
fn only_the_ack_of_our_fin_leads_to_fin_wait_2() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.write_len(1_000);
        test.shutdown_write();
        test.expect("[P.] seq 101:1101 ack 5001");
        test.expect("[F.] seq 1101 ack 5001");
        test.take_events();
        for ack in [101, 601, 1_101] {
            test.inject(&format!("[.] seq 5001 ack {ack}"));
            assert_eq!((test.state(), test.take_events()), (State::FinWait1, Event::NONE));
        }
        test.inject("[.] seq 5001 ack 1102");
        assert_eq!((test.state(), test.take_events()), (State::FinWait2, Event::FLUSHED));
        assert_eq!(test.connection.timer(TimerKind::Retransmission), None);
    });
}

// req: 9293-EV-21, 9293-EV-28
#[test]
fn a_fin_in_fin_wait_1_leads_to_time_wait_with_the_ack_of_ours_and_to_closing_without() {
    every_wrap(|numbers| {
        for (line, state) in
            [("[F.] seq 5001 ack 102", State::TimeWait), ("[F.] seq 5001 ack 101", State::Closing)]
        {
            let mut test = Place::FinWait1.reach(plain_config(), numbers);
            test.inject(line);
            assert_eq!(test.state(), state);
            test.expect("[.] seq 102 ack 5002");
            test.expect_none();
            assert_eq!(test.read(1), Ok(vec![]));
        }
        let mut test = Place::FinWait2.reach(plain_config(), numbers);
        test.inject("[FP.] seq 5001 ack 102 len 100");
        assert_eq!(test.state(), State::TimeWait);
        test.expect("[.] seq 102 ack 5102");
        test.expect_data(5_001, 5_101);
        assert_eq!(test.read(1), Ok(vec![]));
    });
}

// req: 9293-EV-22
#[test]
fn closing_waits_for_the_ack_of_our_fin() {
    every_wrap(|numbers| {
        let mut test = Place::Closing.reach(plain_config(), numbers);
        test.inject("[.] seq 5002 ack 101");
        test.inject("[P.] seq 5002 ack 101 len 10");
        assert_eq!(test.state(), State::Closing);
        assert!(test.connection.timer(TimerKind::Retransmission).is_some());
        test.take_sent();
        test.inject("[.] seq 5002 ack 102");
        assert_eq!(test.state(), State::TimeWait);
        test.expect_none();
        let two_msl = test.now + test.connection.config().time_wait;
        assert_eq!(test.connection.timer(TimerKind::TimeWait), Some(two_msl));
        assert_eq!(test.connection.poll_timeout(), Some(two_msl));
    });
}

// req: 9293-EV-45
// trap: 4
#[test]
fn crossed_fins_come_to_an_end_even_if_both_acks_are_lost() {
    every_wrap(|numbers| {
        // The peer's FIN again, at RCV.NXT - 1, with the ACK of ours.
        let mut test = Place::Closing.reach(plain_config(), numbers);
        test.inject("[F.] seq 5001 ack 102");
        assert_eq!(test.state(), State::TimeWait);
        test.expect("[.] seq 102 ack 5002");
        // Our own timer does it, too.
        let mut test = Place::Closing.reach(plain_config(), numbers);
        let begun = test.elapsed();
        test.advance(Duration::from_millis(200));
        test.expect_at(begun + 200, "[F.] seq 101 ack 5002");
        test.inject("[.] seq 5002 ack 102");
        assert_eq!(test.state(), State::TimeWait);
        // And TIME-WAIT answers the peer's.
        test.inject("[F.] seq 5001 ack 101");
        test.expect("[.] seq 102 ack 5002");
    });
}

// req: 9293-EV-23
#[test]
fn last_ack_repeats_its_fin_until_that_is_acknowledged() {
    every_wrap(|numbers| {
        let mut test = Place::CloseWait.reach(plain_config(), numbers);
        test.write_len(100);
        test.shutdown_write();
        test.expect("[P.] seq 101:201 ack 5002");
        test.expect("[F.] seq 201 ack 5002");
        test.inject("[.] seq 5002 ack 201");
        assert_eq!(test.state(), State::LastAck, "data only");
        let begun = test.elapsed();
        for at in [200, 600, 1_400, 3_000] {
            test.advance(Duration::from_millis(begun + at - test.elapsed()));
            test.expect_at(begun + at, "[F.] seq 201 ack 5002");
            test.expect_none();
            assert_eq!(test.state(), State::LastAck);
        }
        test.inject("[.] seq 5002 ack 202");
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Finished)));
        assert!(test.take_events().contains(Event::FLUSHED | Event::CLOSED));
        assert_eq!(test.connection.poll_timeout(), None);
        // The record is gone.
        test.inject("[F.] seq 5001 ack 202");
        test.expect("[R] seq 202");
    });
}

// req: MUST-13, 9293-EV-24
#[test]
fn time_wait_lasts_two_msl_and_starts_again_with_a_repeated_fin() {
    for config in [plain_config(), with(|config| config.time_wait = SECOND * 240)] {
        every_wrap(|numbers| {
            let two_msl = config.time_wait;
            let mut test = Place::TimeWait.reach(config.clone(), numbers);
            test.advance(two_msl - MILLI);
            test.inject("[F.] seq 5001 ack 102");
            test.expect("[.] seq 102 ack 5002");
            assert_eq!(test.connection.poll_timeout(), Some(test.now + two_msl));
            // Another old segment is answered, and changes nothing.
            test.advance(two_msl / 2);
            let expires = test.connection.poll_timeout();
            test.inject("[.] seq 4001 ack 102 len 100");
            test.expect("[.] seq 102 ack 5002");
            assert_eq!(test.connection.poll_timeout(), expires);
            test.advance(two_msl - two_msl / 2 - MILLI);
            assert_eq!(test.state(), State::TimeWait);
            test.expect_none();
            test.advance(MILLI * 2);
            assert_eq!(test.state(), State::Closed);
            test.expect_none();
            assert_eq!(test.connection.poll_timeout(), None);
            test.inject("[F.] seq 5001 ack 102");
            test.expect("[R] seq 102");
        });
    }
    assert_eq!(ConnConfig::linux().time_wait, SECOND * 60);
    assert_eq!(ConnConfig::rfc().time_wait, SECOND * 240);
}

// req: 9293-EV-24
#[test]
fn a_rst_in_time_wait_is_ignored_unless_it_is_exact_and_the_profile_says_so() {
    every_wrap(|numbers| {
        for seq in [5_001, 5_003, 6_000] {
            let mut test = Place::TimeWait.reach(plain_config(), numbers);
            test.inject(&format!("[R] seq {seq}"));
            assert_eq!(test.state(), State::TimeWait);
            test.expect_none();
        }
        let mut test = Place::TimeWait.reach(plain_config(), numbers);
        test.inject("[R] seq 5002");
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Finished)));
        let mut config = plain_config();
        config.time_wait_reset = ConnConfig::rfc().time_wait_reset;
        let mut test = Place::TimeWait.reach(config, numbers);
        test.inject("[R] seq 5002");
        assert_eq!(test.state(), State::TimeWait);
    });
}

// req: 9293-EV-26
#[test]
fn text_behind_the_peers_fin_is_never_delivered() {
    every_wrap(|numbers| {
        for place in [Place::CloseWait, Place::Closing, Place::LastAck, Place::TimeWait] {
            for line in [
                "[P.] seq 5002 ack 101 len 100",
                "[FP.] seq 5002 ack 101 len 100",
                "[P.] seq 5001 ack 101 len 100",
            ] {
                let mut test = place.reach(plain_config(), numbers);
                assert!(matches!(test.inject(line), Disposition::Dropped(_)), "{place:?} {line}");
                test.expect(&format!("[.] seq {} ack 5002", place.snd_nxt()));
                test.expect_none();
                assert_eq!(test.state(), place.state());
                assert_eq!((test.stats().readable, test.read(10)), (0, Ok(vec![])), "{place:?}");
            }
        }
        for place in [Place::Established, Place::FinWait1, Place::FinWait2] {
            let mut test = place.reach(plain_config(), numbers);
            test.inject(&format!("[P.] seq 5001 ack {} len 100", place.snd_nxt()));
            test.expect_data(5_001, 5_101);
        }
    });
}

// req: 9293-EV-30
#[test]
fn a_repeated_fin_is_acknowledged_again_and_moves_nothing() {
    every_wrap(|numbers| {
        for place in [Place::CloseWait, Place::LastAck, Place::Closing] {
            let mut test = place.reach(plain_config(), numbers);
            for _ in 0..5 {
                test.inject("[F.] seq 5001 ack 101");
                test.expect(&format!("[.] seq {} ack 5002", place.snd_nxt()));
                test.expect_none();
                assert_eq!((test.state(), test.take_events()), (place.state(), Event::NONE));
            }
        }
        // With the data before it.
        let mut test = established(numbers);
        for _ in 0..3 {
            test.inject("[FP.] seq 5001 ack 101 len 500");
            test.advance(Duration::from_millis(200));
            test.expect("[.] seq 101 ack 5502");
            test.expect_none();
            assert_eq!(test.state(), State::CloseWait);
        }
        test.expect_data(5_001, 5_501);
    });
}

// req: 9293-EV-33
#[test]
fn close_in_close_wait_sends_what_is_left_and_then_the_fin() {
    every_wrap(|numbers| {
        let mut test = Place::CloseWait.reach(plain_config(), numbers);
        test.inject("[.] seq 5002 ack 101 win 500");
        test.write_len(2_000);
        test.close();
        assert_eq!(test.state(), State::CloseWait, "the FIN has not left");
        test.take_sent();
        test.inject("[.] seq 5002 ack 101 win 20000");
        test.expect("[.] seq 101:1101 ack 5002");
        test.expect("[FP.] seq 1101:2101 ack 5002");
        test.expect_none();
        assert_eq!(test.state(), State::LastAck);
        test.inject("[.] seq 5002 ack 2102");
        assert_eq!(test.state(), State::Closed);
    });
}

// req: 9293-EV-34
#[test]
fn after_closing_nothing_can_be_sent_and_there_is_one_fin() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.write_len(100);
        test.shutdown_write();
        test.expect("[P.] seq 101:201 ack 5001");
        test.expect("[F.] seq 201 ack 5001");
        assert_eq!(test.connection.write(test.now, b"x"), Err(WriteError::ShutDown));
        test.shutdown_write();
        test.close();
        test.close();
        test.expect_none();
        test.advance(SECOND);
        for sent in test.take_sent() {
            assert!(!sent.line.contains("[F.]") || sent.line.contains("seq 201 "), "{}", sent.line);
        }
        test.inject("[.] seq 5001 ack 202");
        test.shutdown_write();
        test.close();
        test.expect_none();
        assert_eq!(test.state(), State::FinWait2);
        assert_eq!(test.connection.write(test.now, b"x"), Err(WriteError::ShutDown));
    });
}

// req: 9293-EV-35
// trap: 19
#[test]
fn an_abort_sends_a_rst_where_the_peer_expects_it_or_nothing() {
    every_wrap(|numbers| {
        for place in Place::ALL {
            let mut test = place.reach(plain_config(), numbers);
            test.abort();
            let (snd, rcv) = (place.snd_nxt(), place.rcv_nxt());
            match place {
                Place::SynReceivedPassive
                | Place::SynReceivedActive
                | Place::Established
                | Place::FinWait1
                | Place::FinWait2
                | Place::CloseWait => {
                    let sent = test.expect(&format!("[R.] seq {snd} ack {rcv}"));
                    assert_eq!(sent.reason, SendReason::Abort);
                }
                _ => {}
            }
            test.expect_none();
            assert_eq!(test.state(), State::Closed, "{place:?}");
            assert_eq!(test.connection.poll_timeout(), None);
        }
        // At the highest number ever sent, after a timeout, too.
        let mut test = established(numbers);
        test.write_len(5_000);
        test.inject("[.] seq 5001 ack 1101");
        test.advance(SECOND);
        test.take_sent();
        test.abort();
        test.expect("[R.] seq 5101 ack 5001");
        test.expect_none();
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::Aborted)));
    });
}

// req: SHLD-3
#[test]
fn closing_with_data_unread_resets_and_so_does_data_after_closing() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.inject("[P.] seq 5001 ack 101 len 100");
        test.take_sent();
        test.close();
        test.expect("[R.] seq 101 ack 5101");
        test.expect_none();
        assert_eq!(test.state(), State::Closed);

        for acked in [false, true] {
            let mut test = established(numbers);
            test.close();
            test.expect("[F.] seq 101 ack 5001");
            if acked {
                test.inject("[.] seq 5001 ack 102");
            }
            let ack = if acked { 102 } else { 101 };
            let disposition = test.inject(&format!("[P.] seq 5001 ack {ack} len 10"));
            assert_eq!(disposition, Disposition::Reset);
            test.expect(&format!("[R] seq {ack}"));
            test.expect_none();
            assert_eq!(test.state(), State::Closed);
        }
    });
}

// req: MAY-1
#[test]
fn shutting_only_the_sending_side_leaves_the_reading_side_open() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.shutdown_write();
        test.expect("[F.] seq 101 ack 5001");
        test.inject("[P.] seq 5001 ack 102 len 100");
        test.expect_data(5_001, 5_101);
        assert_eq!(test.state(), State::FinWait2);
    });
}

// req: 9293-EV-36
#[test]
fn the_user_timeout_ends_every_state_that_waits_for_the_peer() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.user_timeout = Some(SECOND * 5);
        for place in [
            Place::SynSent,
            Place::SynReceivedActive,
            Place::Established,
            Place::FinWait1,
            Place::CloseWait,
            Place::Closing,
            Place::LastAck,
        ] {
            let mut test = place.reach(config.clone(), numbers);
            let begun = if matches!(place, Place::Established | Place::CloseWait) {
                test.write_len(3_000);
                test.elapsed()
            } else {
                0
            };
            test.advance(Duration::from_millis(begun + 4_799 - test.elapsed()));
            assert_eq!(test.state(), place.state(), "{place:?}");
            test.advance(SECOND);
            assert_eq!(test.state(), State::Closed, "{place:?}");
            assert_eq!(test.close_reason(), Some(CloseReason::TimedOut));
            assert!(test.take_events().contains(Event::CLOSED));
            test.take_sent();
            test.advance(SECOND * 1_000);
            test.expect_none();
            assert_eq!(test.stats().unsent, 0, "flushed");
        }
    });
}

// req: 9293-EV-37
#[test]
fn close_wait_drains_what_is_left_and_then_reads_the_end() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.inject("[FP.] seq 5001 ack 101 len 300");
        assert_eq!(test.state(), State::CloseWait);
        test.expect_data(5_001, 5_101);
        test.expect_data(5_101, 5_301);
        assert_eq!(test.read(10), Ok(vec![]));
        assert_eq!(test.read(10), Ok(vec![]));
        // And can still send.
        test.take_sent();
        test.write(b"answer");
        test.expect("[P.] seq 101:107 ack 5302");
    });
}

// req: 9293-EV-28
#[test]
fn a_fin_delivers_what_came_before_it_at_once() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.receive_low_water = 1_000;
        let mut test = Scripted::established(config, numbers);
        assert_eq!(test.read(10), Err(ReadError::Blocked));
        test.inject("[.] seq 5001 ack 101 len 10");
        assert_eq!(test.take_events(), Event::NONE);
        test.inject("[F.] seq 5011 ack 101");
        assert_eq!(test.take_events(), Event::READABLE);
        test.expect_data(5_001, 5_011);
        assert_eq!(test.read(10), Ok(vec![]));
    });
}
