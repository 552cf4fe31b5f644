//! Windows as Linux moves them: updates, zero windows, probes, and what arrives at the edge.

use tcp_core::{
    BufferLimit, CloseReason, ConnConfig, Disposition, DropReason, Duration, Event, SendReason, State,
    TimerKind,
};
use tcp_sim::scripted::{Scripted, every_wrap, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// The peer fills a window of `window` bytes with segments of 1000.
fn fill(test: &mut Scripted, window: u32) {
    let mut seq = 5_001;
    while seq < 5_001 + window {
        let end = (seq + 1_000).min(5_001 + window);
        test.inject(&format!("[.] seq {seq}:{end} ack 101 len {}", end - seq));
        seq = end;
    }
    test.advance(MS(200));
    let last = test.take_sent().pop().expect("it was acknowledged");
    assert!(last.line.contains(&format!("ack {} win 0", 5_001 + window)), "{}", last.line);
}

fn with_buffer(size: u32) -> ConnConfig {
    let mut config = plain_config();
    config.receive_buffer = BufferLimit::fixed(size);
    config
}

// req: LNX-WIN-1
#[test]
fn draining_a_full_buffer_opens_the_window_without_a_timer() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(with_buffer(64_000), numbers);
        fill(&mut test, 64_000);
        let before = test.elapsed();
        test.expect_data(5_001, 69_001);
        let updates = test.take_sent();
        assert!(!updates.is_empty());
        assert!(updates.iter().all(|update| update.reason == SendReason::WindowUpdate));
        // From zero, then whenever it has doubled: a handful, not one a read.
        assert!(updates.len() <= 8, "{updates:?}");
        assert_eq!(test.elapsed(), before);
        assert!(test.stats().receive_window >= 32_000);
    });
}

// req: LNX-WIN-1
#[test]
fn from_zero_the_window_is_announced_as_soon_as_a_segment_fits() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(with_buffer(10_000), numbers);
        fill(&mut test, 10_000);
        test.expect_data(5_001, 6_000);
        test.expect_none();
        test.expect_data(6_000, 6_001);
        assert_eq!(test.expect("[.] seq 101 ack 15001 win 1000").reason, SendReason::WindowUpdate);
        // Half of a buffer that is smaller than two segments is enough.
        let mut test = Scripted::established(with_buffer(1_000), numbers);
        fill(&mut test, 1_000);
        test.expect_data(5_001, 5_500);
        test.expect_none();
        test.expect_data(5_500, 5_501);
        test.expect("[.] seq 101 ack 6001 win 500");
    });
}

// req: LNX-WIN-2
#[test]
fn with_room_for_less_than_a_segment_the_window_is_zero() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(with_buffer(64_000), numbers);
        fill(&mut test, 64_000);
        test.expect_data(5_001, 6_000);
        test.expect_none();
        // Asked, it still says zero with 999 bytes free, and 1000 with 1000.
        test.inject("[.] seq 69000 ack 101");
        test.expect("[.] seq 101 ack 69001 win 0");
        test.expect_data(6_000, 6_001);
        test.expect("[.] seq 101 ack 69001 win 1000");
    });
}

/// A sender of 1000 bytes whose peer has closed its window; RTO 200 ms, the beginning at 0.
fn blocked_sender(config: ConnConfig, numbers: tcp_sim::scripted::Numbers) -> Scripted {
    let mut test = Scripted::established(config, numbers);
    test.inject("[.] seq 5001 ack 101 win 0");
    assert_eq!(test.stats().rto, MS(200));
    test.write_len(1_000);
    test.expect_none();
    test
}

// req: LNX-WIN-3, 6429-1
#[test]
fn a_closed_window_is_probed_at_doubling_intervals_up_to_120_s_and_never_given_up() {
    every_wrap(|numbers| {
        let mut test = blocked_sender(plain_config(), numbers);
        let (mut at, mut wait) = (0, 200);
        for _ in 0..40 {
            at += wait;
            test.advance(MS(at - test.elapsed()));
            let probe = test.expect_at(at, "[.] seq 100 ack 5001");
            assert_eq!(probe.reason, SendReason::WindowProbe);
            test.expect_none();
            test.inject("[.] seq 5001 ack 101 win 0");
            assert_eq!(test.stats().retries, 0, "an answer resets the count");
            wait = (2 * wait).min(120_000);
        }
        assert_eq!(wait, 120_000);
        assert_eq!((test.state(), test.close_reason()), (State::Established, None));
        test.inject("[.] seq 5001 ack 101 win 20000");
        test.expect("[P.] seq 101:1101 ack 5001 len 1000");
    });
}

// req: LNX-WIN-4
#[test]
fn fifteen_unanswered_probes_are_enough() {
    every_wrap(|numbers| {
        let mut test = blocked_sender(plain_config(), numbers);
        // 200 ms doubled to 102.4 s, then 120 s each.
        let fifteenth = (0..10).map(|step| 200u64 << step).sum::<u64>() + 5 * 120_000;
        test.advance(MS(fifteenth));
        let probes = test.take_sent();
        assert_eq!(probes.len(), 15);
        assert!(probes.iter().all(|probe| probe.reason == SendReason::WindowProbe));
        test.advance(MS(119_999));
        assert_eq!(test.state(), State::Established);
        test.advance(MS(1));
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::TimedOut)));
        test.expect_none();
        assert!(test.take_events().contains(Event::WARNING | Event::CLOSED));
    });
}

// req: LNX-WIN-4, LNX-RTO-3
#[test]
fn a_user_timeout_ends_the_probing_answered_or_not() {
    every_wrap(|numbers| {
        for answered in [false, true] {
            let mut config = plain_config();
            config.user_timeout = Some(Duration::from_secs(3));
            let mut test = blocked_sender(config, numbers);
            // The probes come when they would without it.
            for at in [200, 600, 1_400] {
                test.advance(MS(at - test.elapsed()));
                test.expect_at(at, "[.] seq 100 ack 5001");
                if answered {
                    test.inject("[.] seq 5001 ack 101 win 0");
                }
            }
            test.advance(MS(2_999 - test.elapsed()));
            assert_eq!(test.state(), State::Established);
            test.advance(MS(1));
            assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::TimedOut)));
        }
    });
}

// req: LNX-WIN-4, 6429-2
#[test]
fn an_orphan_probes_eight_times_and_resets_even_if_it_is_answered() {
    every_wrap(|numbers| {
        for answered in [false, true] {
            let mut test = blocked_sender(plain_config(), numbers);
            test.close();
            assert_eq!(test.state(), State::FinWait1);
            let mut at = 0;
            for step in 0..8 {
                at += 200 << step;
                test.advance(MS(at - test.elapsed()));
                test.expect_at(at, "[.] seq 100 ack 5001");
                test.expect_none();
                if answered {
                    test.inject("[.] seq 5001 ack 101 win 0");
                }
            }
            test.advance(MS((200 << 8) - 1));
            test.expect_none();
            test.advance(MS(1));
            test.expect("[R.] seq 101 ack 5001");
            assert_eq!((test.state(), test.connection.memory()), (State::Closed, 0));
            assert_eq!(test.connection.poll_timeout(), None);
        }
    });
}

// req: 6429-2
#[test]
fn a_connection_in_persist_can_be_closed_and_aborted() {
    every_wrap(|numbers| {
        let mut test = blocked_sender(plain_config(), numbers);
        test.advance(Duration::from_secs(5));
        test.take_sent();
        test.abort();
        test.expect("[R.] seq 101 ack 5001");
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Aborted)));
        assert_eq!(test.connection.memory(), 0);
    });
}

// Precedence 7 of the requirements.
// req: LNX-WIN-5
#[test]
fn what_reaches_beyond_the_window_is_trimmed_and_its_front_taken() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(with_buffer(1_500), numbers);
        test.inject("[.] seq 5001:6001 ack 101 len 1000");
        test.inject("[F.] seq 6001:7001 ack 101 len 1000");
        // 500 bytes fit; the FIN lies beyond the cut.
        test.expect("[.] seq 101 ack 6501 win 0");
        test.expect_none();
        assert_eq!(test.state(), State::Established);
        test.expect_data(5_001, 6_501);
        assert!(test.read(1).is_err(), "no end of the stream yet");
    });
}

// req: LNX-WIN-6
#[test]
fn a_fin_needs_no_room() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(with_buffer(4_000), numbers);
        fill(&mut test, 4_000);
        assert_eq!(test.inject("[F.] seq 9001 ack 101"), Disposition::Taken);
        test.advance(MS(40));
        test.expect("[.] seq 101 ack 9002 win 0");
        assert_eq!(test.state(), State::CloseWait);
        test.expect_data(5_001, 9_001);
        assert_eq!(test.read(1), Ok(Vec::new()));
    });
}

// Linux lets the edge itself in; by RFC 9293 §3.10.7.4 it is outside.
// req: LNX-WIN-7
#[test]
fn the_right_edge_itself_is_outside_the_window() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        assert_eq!(test.inject("[.] seq 15001 ack 101"), Disposition::Dropped(DropReason::OutOfWindow));
        test.expect("[.] seq 101 ack 5001");
        assert_eq!(test.inject("[.] seq 15000 ack 101"), Disposition::Taken);
        test.expect_none();
    });
}

#[test]
fn a_probe_is_not_needed_once_the_window_opens() {
    every_wrap(|numbers| {
        let mut test = blocked_sender(plain_config(), numbers);
        assert!(test.connection.timer(TimerKind::Persist).is_some());
        test.inject("[.] seq 5001 ack 101 win 1000");
        test.expect("[P.] seq 101:1101 ack 5001 len 1000");
        assert_eq!(test.connection.timer(TimerKind::Persist), None);
        assert!(test.connection.timer(TimerKind::Retransmission).is_some());
    });
}
