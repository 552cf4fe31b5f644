//! Scenarios E: closing in order. Resets and lingering: `scenarios_e_reset.rs`; TIME-WAIT:
//! `scenarios_e_time_wait.rs`.

use tcp_core::{CloseReason, Disposition, DropReason, Duration, Event, ReadError, State, WriteError};
use tcp_sim::pair::{End, Pair};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;

fn pair(numbers: Numbers) -> Pair {
    Pair::established(plain_config(), plain_config(), numbers)
}

fn states(pair: &Pair) -> (State, State) {
    (pair.state(End::A), pair.state(End::B))
}

#[test]
fn e1_closing_delivers_every_byte_and_then_the_end() {
    every_wrap(|numbers| {
        let mut pair = pair(numbers);
        pair.write(End::A, b"goodbye");
        pair.close(End::A);
        pair.run_for(MS(200));
        assert_eq!(states(&pair), (State::FinWait2, State::CloseWait));
        assert_eq!(pair.take_events(End::A), Event::FLUSHED);
        assert_eq!(pair.take_events(End::B), Event::READABLE);
        let now = pair.now;
        let mut data = [0; 100];
        assert_eq!(pair.end(End::B).read(now, &mut data), Ok(7));
        assert_eq!(&data[..7], b"goodbye");
        assert_eq!(pair.end(End::B).read(now, &mut data), Ok(0));
        assert_eq!(pair.end(End::B).read(now, &mut data), Ok(0));
        pair.close(End::B);
        pair.run_for(MS(200));
        // The FIN follows the data at once, small as it is.
        pair.expect(&[
            "A [P.] seq 101:108 ack 5001 len 7",
            "A [F.] seq 108 ack 5001",
            "B [.] seq 5001 ack 109",
            "B [F.] seq 5001 ack 109",
            "A [.] seq 109 ack 5002",
        ]);
        assert_eq!(states(&pair), (State::TimeWait, State::Closed));
        for end in [End::A, End::B] {
            assert!(pair.take_events(end).contains(Event::CLOSED));
            assert_eq!(pair.end(end).close_reason(), Some(CloseReason::Finished));
        }
        pair.run_for(Duration::from_secs(60));
        assert_eq!(states(&pair), (State::Closed, State::Closed));
        assert_eq!(pair.end(End::A).memory() + pair.end(End::B).memory(), 0);
        pair.expect(&[]);
    });
}

#[test]
fn e2_a_prompt_close_of_the_passive_side_takes_three_segments() {
    every_wrap(|numbers| {
        let mut pair = pair(numbers);
        pair.close(End::A);
        pair.run_for(MS(49));
        assert_eq!(states(&pair), (State::FinWait1, State::CloseWait));
        // The delay of 40 ms is over at 50.
        pair.close(End::B);
        pair.run_for(MS(9));
        assert_eq!(states(&pair), (State::FinWait1, State::LastAck));
        pair.run_for(MS(1));
        assert_eq!(states(&pair), (State::TimeWait, State::LastAck));
        pair.run_for(Duration::from_secs(10));
        pair.expect(&["A [F.] seq 101 ack 5001", "B [F.] seq 5001 ack 102", "A [.] seq 102 ack 5002"]);
        assert_eq!(states(&pair), (State::TimeWait, State::Closed));
    });
}

#[test]
fn e2_a_fin_that_comes_with_the_last_text_is_one_segment_and_waits_as_well() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[FP.] seq 5001 ack 101 len 100");
        test.advance(MS(39));
        test.expect_none();
        test.write(b"answer");
        test.expect_data(5_001, 5_101);
        test.close();
        test.expect("[P.] seq 101:107 ack 5102 len 6");
        test.expect("[F.] seq 107 ack 5102");
        test.expect_none();
        test.inject("[.] seq 5102 ack 108");
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Finished)));
    });
}

#[test]
fn e3_both_ends_that_close_at_once_go_through_closing_to_time_wait() {
    every_wrap(|numbers| {
        let mut pair = pair(numbers);
        pair.close(End::A);
        pair.close(End::B);
        assert_eq!(states(&pair), (State::FinWait1, State::FinWait1));
        pair.run_for(MS(10));
        assert_eq!(states(&pair), (State::Closing, State::Closing));
        pair.run_for(MS(10));
        assert_eq!(states(&pair), (State::TimeWait, State::TimeWait));
        pair.run_for(Duration::from_secs(100));
        let mut log = pair.take_log();
        log.sort();
        let expected = [
            "A [.] seq 102 ack 5002",
            "A [F.] seq 101 ack 5001",
            "B [.] seq 5002 ack 102",
            "B [F.] seq 5001 ack 101",
        ];
        assert_eq!(log.len(), 4);
        assert!(log.iter().zip(expected).all(|(line, start)| line.starts_with(start)), "{log:#?}");
        assert_eq!(states(&pair), (State::Closed, State::Closed));
        for end in [End::A, End::B] {
            assert_eq!(pair.end(end).close_reason(), Some(CloseReason::Finished));
        }
    });
}

#[test]
fn e4_a_half_closed_connection_carries_the_other_direction_to_its_end() {
    every_wrap(|numbers| {
        let mut pair = pair(numbers);
        let now = pair.now;
        pair.end(End::A).shutdown_write(now);
        pair.run_for(MS(100));
        assert_eq!(states(&pair), (State::FinWait2, State::CloseWait));
        pair.expect(&["A [F.] seq 101 ack 5001", "B [.] seq 5001 ack 102"]);
        let now = pair.now;
        assert_eq!(pair.end(End::A).write(now, b"x"), Err(WriteError::ShutDown));
        assert_eq!(pair.read(End::B), Ok(Vec::new()));
        // No time limit, since somebody still reads.
        pair.run_for(Duration::from_secs(10_000));
        assert_eq!(states(&pair), (State::FinWait2, State::CloseWait));
        for _ in 0..5 {
            pair.write(End::B, &[5; 3_000]);
            pair.run_for(MS(100));
            assert_eq!(pair.read(End::A), Ok(vec![5; 3_000]));
        }
        pair.close(End::B);
        pair.run_for(MS(100));
        assert_eq!(pair.read(End::A), Ok(Vec::new()));
        assert_eq!(states(&pair), (State::TimeWait, State::Closed));
    });
}

#[test]
fn e10_a_fin_that_arrives_before_its_data_waits() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        test.inject("[FP.] seq 6001 ack 101 len 500");
        test.expect("[.] seq 101 ack 5001");
        assert_eq!((test.state(), test.take_events()), (State::Established, Event::NONE));
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        test.inject("[.] seq 5001 ack 101 len 400");
        test.expect("[.] seq 101 ack 5401");
        assert_eq!((test.state(), test.take_events()), (State::Established, Event::READABLE));
        test.inject("[.] seq 5401 ack 101 len 600");
        test.expect("[.] seq 101 ack 6502");
        assert_eq!(test.state(), State::CloseWait);
        test.expect_data(5_001, 6_501);
        assert_eq!(test.read(1), Ok(Vec::new()));
    });
}

#[test]
fn e10_a_bare_fin_out_of_order_changes_nothing_until_it_is_in_order() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.shutdown_write();
        test.expect("[F.] seq 101 ack 5001");
        test.inject("[F.] seq 5501 ack 102");
        test.expect("[.] seq 102 ack 5001");
        assert_eq!(test.state(), State::FinWait2);
        test.inject("[.] seq 5001 ack 102 len 500");
        test.expect("[.] seq 102 ack 5502");
        assert_eq!(test.state(), State::TimeWait);
        test.expect_data(5_001, 5_501);
        assert_eq!(test.read(1), Ok(Vec::new()));
    });
}

/// The times at which a FIN leaves, when nobody answers: 200 ms, doubled eight times.
fn fin_times() -> Vec<u64> {
    (0..=8).map(|n| 200 * ((1 << n) - 1)).collect()
}

#[test]
fn e16_last_ack_with_the_peer_gone_ends_after_the_orphans_retries() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[F.] seq 5001 ack 101");
        test.close();
        assert_eq!(test.state(), State::LastAck);
        test.take_events();
        test.advance(MS(200 * 511 - 1));
        for at in fin_times() {
            test.expect_at(at, "[F.] seq 101 ack 5002");
        }
        assert_eq!(test.state(), State::LastAck);
        test.advance(MS(1));
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::TimedOut)));
        assert!(test.take_events().contains(Event::CLOSED));
        assert_eq!((test.connection.memory(), test.connection.poll_timeout()), (0, None));
    });
}

#[test]
fn e16_closing_with_the_peer_gone_ends_after_the_orphans_retries() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.close();
        test.inject("[F.] seq 5001 ack 101");
        assert_eq!(test.state(), State::Closing);
        test.expect("[F.] seq 101 ack 5001");
        test.expect("[.] seq 102 ack 5002");
        test.advance(MS(200 * 511));
        for at in &fin_times()[1..] {
            test.expect_at(*at, "[F.] seq 101 ack 5002");
        }
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::TimedOut)));
        assert_eq!((test.connection.memory(), test.connection.poll_timeout()), (0, None));
    });
}

#[test]
fn e20_shutting_the_reading_half_is_not_seen_on_the_wire() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.linger = tcp_core::Linger::Reset;
        let mut test = Scripted::established(config, numbers);
        test.inject("[P.] seq 5001 ack 101 len 100");
        test.advance(MS(40));
        test.expect("[.] seq 101 ack 5101 win 9900");
        test.connection.shutdown_read(test.now);
        test.drain();
        test.expect_none();
        assert_eq!(test.read(10), Ok(Vec::new()));
        assert_eq!(test.state(), State::Established);
        // Writing goes on, and what arrives is acknowledged and dropped.
        test.write(b"still here");
        test.expect("[P.] seq 101:111 ack 5101 len 10");
        for start in (5_101..25_101).step_by(1_000) {
            test.inject(&format!("[.] seq {start} ack 111 len 1000"));
        }
        assert!(test.take_sent().last().unwrap().line.starts_with("[.] seq 111 ack 25101"));
        assert_eq!(test.read(10), Ok(Vec::new()));
        assert_eq!(test.stats().readable, 0);
        test.advance(Duration::from_secs(100));
        test.expect_none();
    });
}

#[test]
fn e21_a_delayed_segment_of_an_earlier_incarnation_is_dropped() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.timestamps = true;
        let mut test = Scripted::established_with(config, numbers, ",TS 500000 1000000");
        // Its numbers fit this connection by chance; its timestamp is from before.
        let stray = "[P.] seq 5001 ack 101 <TS 400000 900000> len 100";
        assert_eq!(test.inject(stray), Disposition::Dropped(DropReason::OldTimestamp));
        test.expect("[.] seq 101 ack 5001 <TS 1000000 500000>");
        // Its numbers do not fit.
        let stray = "[P.] seq 900000 ack 101 <TS 500001 1000000> len 100";
        assert_eq!(test.inject(stray), Disposition::Dropped(DropReason::OutOfWindow));
        test.expect("[.] seq 101 ack 5001");
        let stray = "[F.] seq 4000 ack 101 <TS 500001 1000000>";
        assert_eq!(test.inject(stray), Disposition::Dropped(DropReason::OutOfWindow));
        test.expect("[.] seq 101 ack 5001");
        assert_eq!((test.read(1), test.state()), (Err(ReadError::Blocked), State::Established));
        test.inject("[P.] seq 5001 ack 101 <TS 500002 1000000> len 100");
        test.expect_data(5_001, 5_101);
    });
}
