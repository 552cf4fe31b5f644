//! Closing, errors and TIME-WAIT as users of Linux know them.

use tcp_core::{
    AfterReset, CloseReason, ConnConfig, Disposition, DropReason, Duration, Event, Linger, ReadError,
    SendReason, State, TimeWaitReset, TimerKind, WriteError,
};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;
const MINUTE: Duration = Duration::from_secs(60);

/// We have closed, and the peer has acknowledged it.
fn in_fin_wait_2(config: ConnConfig, numbers: Numbers) -> Scripted {
    let mut test = Scripted::established(config, numbers);
    test.shutdown_write();
    test.expect("[F.] seq 101 ack 5001");
    test.inject("[.] seq 5001 ack 102");
    assert_eq!(test.state(), State::FinWait2);
    test
}

/// Both have closed, we first.
fn in_time_wait(config: ConnConfig, numbers: Numbers) -> Scripted {
    let mut test = in_fin_wait_2(config, numbers);
    test.inject("[F.] seq 5001 ack 102");
    test.expect("[.] seq 102 ack 5002");
    assert_eq!(test.state(), State::TimeWait);
    test
}

// req: LNX-CLS-1
#[test]
fn closing_is_a_fin_if_all_was_read_and_a_reset_if_not() {
    every_wrap(|numbers| {
        // All was read.
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[P.] seq 5001:5011 ack 101 len 10");
        test.expect_data(5_001, 5_011);
        test.close();
        test.expect("[F.] seq 101 ack 5011");
        assert_eq!(test.state(), State::FinWait1);
        // One byte was not.
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[P.] seq 5001:5002 ack 101 len 1");
        test.close();
        assert_eq!(test.expect("[R.] seq 101 ack 5002").reason, SendReason::Abort);
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Aborted)));
        assert_eq!((test.connection.memory(), test.connection.poll_timeout()), (0, None));
        // Only the FIN was not.
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[F.] seq 5001 ack 101");
        test.close();
        test.expect("[F.] seq 101 ack 5002");
        assert_eq!(test.state(), State::LastAck);
    });
}

/// 10 kB of which 5 kB are unsent, for a peer that takes no more.
fn slow_peer(linger: Linger, numbers: Numbers) -> Scripted {
    let mut config = plain_config();
    config.linger = linger;
    let mut test = Scripted::established(config, numbers);
    test.inject("[.] seq 5001 ack 101 win 5000");
    test.write_len(10_000);
    assert_eq!(test.take_sent().len(), 5);
    assert_eq!(test.stats().unsent, 5_000);
    test
}

// req: LNX-CLS-2
#[test]
fn linger_zero_resets_at_once() {
    every_wrap(|numbers| {
        let mut test = slow_peer(Linger::Reset, numbers);
        test.close();
        test.expect("[R.] seq 5101 ack 5001");
        test.expect_none();
        assert_eq!((test.state(), test.connection.memory()), (State::Closed, 0));
        assert_eq!(test.connection.poll_timeout(), None, "no TIME-WAIT");
        test.advance(MINUTE);
        test.expect_none();
    });
}

// req: LNX-CLS-2
#[test]
fn lingering_ends_with_the_last_ack_or_with_a_reset() {
    every_wrap(|numbers| {
        let config_linger = Linger::Timeout(Duration::from_secs(5));
        let mut test = slow_peer(config_linger, numbers);
        test.close();
        test.advance(MS(4_999));
        assert_eq!(test.state(), State::FinWait1);
        test.take_sent();
        test.advance(MS(1));
        test.expect("[R.] seq 5101 ack 5001");
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Aborted)));
        assert_eq!(test.connection.memory(), 0);

        let mut test = slow_peer(config_linger, numbers);
        test.close();
        test.inject("[.] seq 5001 ack 5101 win 20000");
        test.take_sent();
        test.inject("[.] seq 5001 ack 10102 win 20000");
        // This is what a blocking close waits for.
        assert!(test.take_events().contains(Event::FLUSHED));
        assert_eq!(test.state(), State::FinWait2);
        test.advance(Duration::from_secs(30));
        test.expect_none();
        assert_eq!(test.state(), State::FinWait2, "lingering is over, no reset");
    });
}

// req: LNX-CLS-2
#[test]
fn without_linger_the_rest_is_delivered_in_the_background() {
    every_wrap(|numbers| {
        let mut test = slow_peer(Linger::Background, numbers);
        test.close();
        test.expect_none();
        test.inject("[.] seq 5001 ack 5101 win 20000");
        for start in [5_101, 6_101, 7_101, 8_101] {
            test.expect(&format!("[.] seq {start}:{} len 1000", start + 1_000));
        }
        test.expect("[FP.] seq 9101:10101 ack 5001 len 1000");
        test.inject("[F.] seq 5001 ack 10102");
        test.expect("[.] seq 10102 ack 5002");
        assert_eq!((test.state(), test.close_reason()), (State::TimeWait, Some(CloseReason::Finished)));
    });
}

// Nothing is left to linger for: FIN-WAIT-2 has its own time.
#[test]
fn lingering_plays_no_part_in_fin_wait_2() {
    let mut config = plain_config();
    config.linger = Linger::Timeout(Duration::from_secs(5));
    let mut test = in_fin_wait_2(config, Numbers::default());
    test.close();
    test.advance(MS(59_999));
    assert_eq!(test.state(), State::FinWait2);
    test.advance(MS(1));
    assert_eq!(test.state(), State::Closed);
    test.expect_none();
}

// req: LNX-CLS-3
#[test]
fn shutting_the_sending_side_sends_the_rest_and_reads_on() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(5_000);
        test.shutdown_write();
        for start in [101, 1_101, 2_101, 3_101] {
            test.expect(&format!("[.] seq {start}:{} ack 5001 len 1000", start + 1_000));
        }
        test.expect("[P.] seq 4101:5101 ack 5001 len 1000");
        test.expect("[F.] seq 5101 ack 5001");
        test.expect_none();
        assert_eq!(test.connection.write(test.now, b"x"), Err(WriteError::ShutDown));
        test.inject("[P.] seq 5001:5011 ack 5102 len 10");
        assert_eq!(test.state(), State::FinWait2);
        test.expect_data(5_001, 5_011);
        test.shutdown_write();
        test.advance(MS(40));
        test.expect("[.] seq 5102 ack 5011");
        test.expect_none();
    });
}

// req: LNX-CLS-4
#[test]
fn shutting_the_reading_side_says_nothing_and_drops_what_comes() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[P.] seq 5001:5011 ack 101 len 10");
        test.advance(MS(40));
        test.take_sent();
        test.connection.shutdown_read(test.now);
        test.drain();
        test.expect_none();
        assert_eq!(test.read(10), Ok(Vec::new()));
        // It is acknowledged and dropped, so that the peer can finish.
        for segment in 0..20 {
            let start = 5_011 + segment * 1_000;
            test.inject(&format!("[.] seq {start}:{} ack 101 len 1000", start + 1_000));
        }
        let acks = test.take_sent();
        assert_eq!(acks.len(), 10);
        assert!(acks[9].line.contains("ack 25011 win 10000"), "{}", acks[9].line);
        assert_eq!((test.connection.memory(), test.stats().readable), (0, 0));
        assert_eq!(test.read(10), Ok(Vec::new()));
        test.write(b"still");
        test.expect("[P.] seq 101:106 ack 25011 len 5");
        assert_eq!(test.state(), State::Established);
    });
}

// req: LNX-CLS-5
#[test]
fn shutting_both_sides_and_closing_sends_one_fin() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.connection.shutdown_read(test.now);
        test.shutdown_write();
        test.expect("[F.] seq 101 ack 5001");
        test.inject("[.] seq 5001 ack 102");
        test.close();
        test.expect_none();
        test.advance(Duration::from_secs(30));
        test.inject("[F.] seq 5001 ack 102");
        test.expect("[.] seq 102 ack 5002");
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::TimeWait, Some(CloseReason::Finished)));
    });
}

// req: LNX-CLS-6
#[test]
fn data_for_a_connection_that_nobody_holds_is_reset() {
    every_wrap(|numbers| {
        for acknowledges_fin in [true, false] {
            let mut test = Scripted::established(plain_config(), numbers);
            test.close();
            test.expect("[F.] seq 101 ack 5001");
            let ack = if acknowledges_fin { 102 } else { 101 };
            let disposition = test.inject(&format!("[P.] seq 5001:5011 ack {ack} len 10"));
            assert_eq!(disposition, Disposition::Reset);
            test.expect(&format!("[R] seq {ack}"));
            test.expect_none();
            assert_eq!(test.connection.drops().get(DropReason::Released), 1);
            assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Aborted)));
            assert_eq!((test.connection.memory(), test.connection.poll_timeout()), (0, None));
        }
    });
}

// req: LNX-CLS-7
#[test]
fn an_orphan_waits_60_s_in_fin_wait_2_and_others_for_ever() {
    every_wrap(|numbers| {
        for (setting, lasts) in [(None, 60_000), (Some(5), 5_000)] {
            let mut config = plain_config();
            if let Some(seconds) = setting {
                config.fin_wait_2_timeout = Duration::from_secs(seconds);
            }
            let mut test = Scripted::established(config, numbers);
            test.close();
            test.expect("[F.] seq 101");
            test.inject("[.] seq 5001 ack 102");
            test.advance(MS(lasts - 1));
            assert_eq!(test.state(), State::FinWait2);
            test.advance(MS(1));
            assert_eq!((test.state(), test.connection.poll_timeout()), (State::Closed, None));
            test.expect_none();
            assert_eq!(test.inject("[F.] seq 5001 ack 102"), Disposition::Reset);
            test.expect("[R] seq 102");
        }
        let mut test = in_fin_wait_2(plain_config(), numbers);
        test.advance(Duration::from_secs(24 * 3_600));
        assert_eq!(test.state(), State::FinWait2);
        test.expect_none();
        test.inject("[F.] seq 5001 ack 102");
        test.expect("[.] seq 102 ack 5002");
    });
}

// The number of orphans is bounded by the endpoint.
// req: LNX-CLS-8
#[test]
fn an_orphan_gives_up_after_eight_retransmissions() {
    every_wrap(|numbers| {
        // 200 ms doubled eight times, and the last wait.
        let end = (0..9).map(|step| 200u64 << step).sum::<u64>();
        for state in [State::FinWait1, State::Closing, State::LastAck] {
            let mut test = Scripted::established(plain_config(), numbers);
            if state == State::LastAck {
                test.inject("[F.] seq 5001 ack 101");
            }
            test.close();
            test.expect("[F.] seq 101");
            if state == State::Closing {
                test.inject("[F.] seq 5001 ack 101");
                test.expect("[.] seq 102 ack 5002");
            }
            assert_eq!(test.state(), state);
            test.advance(MS(end - 1));
            let fins = test.take_sent();
            assert_eq!(fins.len(), 8, "{state}");
            assert!(fins.iter().all(|fin| fin.reason == SendReason::Rto && fin.line.contains("seq 101 ")));
            assert_eq!(test.state(), state);
            test.advance(MS(1));
            assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::TimedOut)));
            test.expect_none();
        }
    });
}

// req: LNX-CLS-9
#[test]
fn close_wait_lasts_as_long_as_the_application_likes() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[F.] seq 5001 ack 101");
        test.advance(MS(40));
        test.expect("[.] seq 101 ack 5002");
        assert_eq!(test.connection.poll_timeout(), None);
        test.advance(Duration::from_secs(24 * 3_600));
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::CloseWait, None));
        test.write(b"late");
        test.expect("[P.] seq 101:105 ack 5002 len 4");
    });
}

// req: LNX-CLS-10
#[test]
fn a_fin_with_an_old_ack_still_counts_in_fin_wait_2() {
    every_wrap(|numbers| {
        let mut test = in_fin_wait_2(plain_config(), numbers);
        assert_eq!(test.inject("[F.] seq 5001 ack 101"), Disposition::Taken);
        test.expect("[.] seq 102 ack 5002");
        assert_eq!(test.state(), State::TimeWait);
    });
}

// req: LNX-TW-4
#[test]
fn an_exact_rst_ends_time_wait_unless_rfc_1337_is_kept_to() {
    every_wrap(|numbers| {
        for mode in [TimeWaitReset::CloseIfExact, TimeWaitReset::Ignore] {
            let mut config = plain_config();
            config.time_wait_reset = mode;
            let mut test = in_time_wait(config, numbers);
            for seq in [5_001, 5_003, 6_000, 14_000] {
                test.inject(&format!("[R] seq {seq}"));
                assert_eq!(test.state(), State::TimeWait, "not exact");
            }
            test.inject("[R] seq 5002");
            test.expect_none();
            if mode == TimeWaitReset::CloseIfExact {
                assert_eq!((test.state(), test.connection.poll_timeout()), (State::Closed, None));
            } else {
                assert_eq!(test.state(), State::TimeWait);
                test.advance(MINUTE);
                assert_eq!(test.state(), State::Closed);
            }
            assert_eq!(test.close_reason(), Some(CloseReason::Finished));
        }
    });
}

// req: LNX-TW-5
#[test]
fn time_wait_acknowledges_with_the_timestamp_and_window_of_the_connection() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.timestamps = true;
        let mut test = Scripted::established_with(config, numbers, ",TS 7 1000000");
        test.shutdown_write();
        test.inject("[F.] seq 5001 ack 102 <TS 9 1000000>");
        test.take_sent();
        assert_eq!(test.state(), State::TimeWait);
        // Its FIN again, with a later timestamp, is what is echoed.
        test.advance(Duration::from_secs(1));
        test.inject("[F.] seq 5001 ack 102 <TS 1009 1000000>");
        test.expect("[.] seq 102 ack 5002 win 9999 <TS 1001000 1009>");
        // 2 MSL begin anew with it.
        let expires = test.connection.timer(TimerKind::TimeWait).unwrap();
        assert_eq!(expires - test.now, MINUTE);
        // An older one is of the past, and moves nothing.
        test.advance(Duration::from_secs(1));
        test.inject("[F.] seq 5001 ack 102 <TS 8 1000000>");
        test.expect("[.] seq 102 ack 5002 <TS 1002000 1009>");
        assert_eq!(test.connection.timer(TimerKind::TimeWait), Some(expires));
        // What has no data is answered every 500 ms at most.
        for _ in 0..100 {
            test.inject("[.] seq 4000 ack 102 <TS 1010 1000000>");
            test.advance(MS(10));
        }
        let answers = test.take_sent().len();
        assert!((1..=2).contains(&answers), "{answers} answers in a second");
    });
}

// req: LNX-ERR-1
#[test]
fn a_reset_is_called_by_what_it_ends_and_stays_the_answer_to_every_call() {
    every_wrap(|numbers| {
        for (state, reason) in [
            (State::SynSent, CloseReason::Refused),
            (State::Established, CloseReason::Reset),
            (State::FinWait1, CloseReason::Reset),
            (State::FinWait2, CloseReason::Reset),
            (State::CloseWait, CloseReason::BrokenPipe),
        ] {
            let mut test = match state {
                State::SynSent => Scripted::connecting(plain_config(), numbers),
                State::FinWait2 => in_fin_wait_2(plain_config(), numbers),
                _ => Scripted::established(plain_config(), numbers),
            };
            match state {
                State::SynSent => drop(test.inject("[R.] seq 0 ack 101")),
                State::FinWait1 => {
                    test.shutdown_write();
                    test.inject("[R] seq 5001");
                }
                State::CloseWait => {
                    test.inject("[F.] seq 5001 ack 101");
                    test.inject("[R] seq 5002");
                }
                _ => drop(test.inject("[R] seq 5001")),
            }
            test.take_sent();
            assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(reason)), "in {state}");
            assert!(test.take_events().contains(Event::CLOSED));
            for _ in 0..2 {
                // The peer's end of the stream comes before its reset; else the reason, each time.
                let end = match state {
                    State::CloseWait => Ok(Vec::new()),
                    _ => Err(ReadError::Closed(reason)),
                };
                assert_eq!(test.read(10), end);
                assert_eq!(test.connection.write(test.now, b"x"), Err(WriteError::Closed(reason)));
            }
            test.expect_none();
            assert_eq!(test.take_events(), Event::NONE, "told once");
        }
    });
}

// req: LNX-ERR-2
#[test]
fn data_before_a_reset_stays_readable_or_is_flushed() {
    every_wrap(|numbers| {
        for policy in [AfterReset::KeepData, AfterReset::Flush] {
            let mut config = plain_config();
            config.after_reset = policy;
            let mut test = Scripted::established(config, numbers);
            test.inject("[P.] seq 5001:5101 ack 101 len 100");
            test.inject("[R] seq 5101");
            assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Reset)));
            if policy == AfterReset::KeepData {
                test.expect_data(5_001, 5_101);
            }
            assert_eq!(test.read(10), Err(ReadError::Closed(CloseReason::Reset)));
            assert_eq!(test.connection.memory(), 0);
        }
    });
}

// req: LNX-ERR-4
#[test]
fn writing_after_a_reset_is_an_error_a_thousand_times_and_nothing_else() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[R] seq 5001");
        for _ in 0..1_000 {
            let error = Err(WriteError::Closed(CloseReason::Reset));
            assert_eq!(test.connection.write(test.now, b"x"), error);
            assert_eq!(test.connection.write(test.now, b""), error);
            assert_eq!(test.connection.write_urgent(test.now, b"x"), error);
        }
        test.close();
        test.abort();
        test.advance(MINUTE);
        test.expect_none();
    });
}

// What poll(2) calls IN, OUT, PRI, RDHUP, HUP and ERR. Level-triggered is what a read or write says;
// edge-triggered is the event.
// req: LNX-ERR-5
#[test]
fn each_thing_that_happens_has_its_event() {
    every_wrap(|numbers| {
        // IN: data after a read that found nothing. Once, until it is read empty again.
        let mut test = Scripted::established(plain_config(), numbers);
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        test.inject("[P.] seq 5001:5011 ack 101 len 10");
        assert_eq!(test.take_events(), Event::READABLE);
        test.inject("[P.] seq 5011:5021 ack 101 len 10");
        assert_eq!(test.take_events(), Event::NONE);
        test.expect_data(5_001, 5_021);
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        // PRI: urgent data; it is also data.
        test.inject("[PU.] seq 5021:5031 ack 101 win 20000 urg 10 len 10");
        assert_eq!(test.take_events(), Event::URGENT | Event::READABLE);
        test.read(100).unwrap();
        test.read(100).unwrap();
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        // IN and RDHUP: the FIN.
        test.inject("[F.] seq 5031 ack 101");
        assert_eq!(test.take_events(), Event::READABLE);
        assert_eq!(test.read(1), Ok(Vec::new()));
        // HUP: both directions are over.
        test.close();
        test.inject("[.] seq 5032 ack 102");
        assert_eq!(test.take_events(), Event::FLUSHED | Event::CLOSED);
        assert_eq!(test.close_reason(), Some(CloseReason::Finished));

        // OUT: room after a write that found none.
        let mut config = plain_config();
        config.send_buffer = tcp_core::BufferLimit::fixed(1_000);
        let mut test = Scripted::established(config.clone(), numbers);
        test.write_len(1_000);
        assert_eq!(test.take_events(), Event::NONE);
        assert_eq!(test.connection.write(test.now, b"x"), Err(WriteError::Blocked));
        test.inject("[.] seq 5001 ack 1101");
        assert_eq!(test.take_events(), Event::WRITABLE);

        // ERR wakes all who wait.
        let mut test = Scripted::established(config, numbers);
        test.write_len(1_000);
        assert_eq!(test.connection.write(test.now, b"x"), Err(WriteError::Blocked));
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        test.inject("[R] seq 5001");
        assert_eq!(test.take_events(), Event::READABLE | Event::WRITABLE | Event::CLOSED);
    });
}

// req: LNX-CHK-1
#[test]
fn a_repeated_syn_ack_gets_the_lost_third_segment() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        let disposition = test.inject("[S.] seq 5000 ack 101 <mss 500>");
        assert_eq!(disposition, Disposition::Dropped(DropReason::SynChallenged));
        assert_eq!(test.expect("[.] seq 101 ack 5001").reason, SendReason::Challenge);
        test.expect_none();
        assert_eq!((test.state(), test.stats().send_mss), (State::Established, 1_000));
    });
}
