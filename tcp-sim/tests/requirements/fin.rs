//! Our FIN is a byte of the sequence space (traps 33 to 35).

use tcp_core::{Duration, Event, SendReason, State, TimerKind};
use tcp_sim::scripted::{Scripted, every_wrap, plain_config};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

// trap: 33
#[test]
fn a_fin_that_is_lost_alone_is_sent_again() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.shutdown_write();
        test.expect("[F.] seq 101 ack 5001");
        assert_eq!((test.stats().unacknowledged, test.stats().in_flight), (1, 1));
        assert!(test.connection.timer(TimerKind::Retransmission).is_some());
        test.advance(test.stats().rto);
        let again = test.expect("[F.] seq 101 ack 5001");
        assert_eq!(again.reason, SendReason::Rto);
        test.inject("[.] seq 5001 ack 102");
        assert_eq!((test.state(), test.stats().unacknowledged), (State::FinWait2, 0));
        assert!(test.take_events().contains(Event::FLUSHED));
        assert_eq!(test.connection.timer(TimerKind::Retransmission), None);
    });
}

// trap: 33
#[test]
fn an_ack_of_the_data_is_no_ack_of_the_fin() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.connection.write(test.now, &[1; 500]).unwrap();
        test.shutdown_write();
        test.expect("[FP.] seq 101:601");
        test.inject("[.] seq 5001 ack 601");
        assert_eq!((test.state(), test.stats().unacknowledged), (State::FinWait1, 1));
        assert!(!test.take_events().contains(Event::FLUSHED));
        // Beyond the FIN there is nothing.
        test.inject("[.] seq 5001 ack 603");
        assert_eq!(test.state(), State::FinWait1);
        test.take_sent();
        test.advance(secs(1));
        test.expect("[F.] seq 601 ack 5001");
        test.inject("[.] seq 5001 ack 602");
        assert_eq!(test.state(), State::FinWait2);
        assert_eq!(test.stats().totals.bytes_acknowledged, 500);
    });
}

// trap: 33
#[test]
fn the_last_segment_is_sent_again_with_its_fin() {
    every_wrap(|numbers| {
        for full in [false, true] {
            let length = if full { 1_000 } else { 400 };
            let mut test = Scripted::established(plain_config(), numbers);
            test.connection.write(test.now, &vec![1; 1_000 + length]).unwrap();
            test.shutdown_write();
            test.expect("[.] seq 101:1101");
            test.expect(&format!("[FP.] seq 1101 len {length}"));
            test.inject("[.] seq 5001 ack 1101");
            test.advance(test.stats().rto);
            test.expect(&format!("[FP.] seq 1101 len {length}"));
            test.expect_none();
        }
    });
}

// trap: 33
#[test]
fn a_fin_is_reported_and_repaired_like_data() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.sack = true;
        let mut test = Scripted::established_with(config, numbers, ",sackOK");
        test.connection.write(test.now, &[1; 4_000]).unwrap();
        test.shutdown_write();
        assert_eq!(test.take_sent().len(), 4);
        // All but the first arrives, the FIN too.
        test.inject("[.] seq 5001 ack 101 <sack 1101:4102>");
        assert_eq!(test.stats().sacked, 3_001);
        test.expect("[.] seq 101:1101");
        test.expect_none();
        test.inject("[.] seq 5001 ack 4102");
        assert_eq!((test.state(), test.stats().unacknowledged), (State::FinWait2, 0));
    });
}

// trap: 33
#[test]
fn a_fin_waits_behind_its_data_when_the_window_is_closed() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[.] seq 5001 ack 101 win 0");
        test.write_len(500);
        test.shutdown_write();
        test.expect_none();
        assert_eq!(test.state(), State::FinWait1);
        test.advance(secs(1));
        assert!(test.take_sent().iter().all(|sent| sent.reason == SendReason::WindowProbe));
        // Room for the data alone; then for the FIN.
        test.inject("[.] seq 5001 ack 101 win 500");
        let mut sent = test.take_sent();
        test.inject("[.] seq 5001 ack 601 win 0");
        sent.extend(test.take_sent());
        assert!(sent.iter().any(|sent| sent.line.contains("seq 101:601")), "{sent:?}");
        test.inject("[.] seq 5001 ack 601 win 1000");
        sent.extend(test.take_sent());
        assert_eq!(sent.iter().filter(|sent| sent.line.starts_with("[F")).count(), 1, "{sent:?}");
        test.inject("[.] seq 5001 ack 602 win 1000");
        assert_eq!(test.state(), State::FinWait2);
    });
}

// trap: 34
#[test]
fn a_fin_obeys_the_windows_for_the_data_before_it() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[.] seq 5001 ack 101 win 3000");
        test.connection.write(test.now, &[1; 4_000]).unwrap();
        test.shutdown_write();
        let sent = test.take_sent();
        assert_eq!(sent.len(), 3);
        assert!(sent.iter().all(|sent| !sent.line.starts_with("[F")));
        test.inject("[.] seq 5001 ack 3101 win 3000");
        test.expect("[FP.] seq 3101 len 1000");
        test.expect_none();
    });
}

// trap: 35
#[test]
fn a_half_closed_connection_receives_for_ever() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.shutdown_write();
        test.expect("[F.] seq 101");
        test.inject("[.] seq 5001 ack 102");
        for day in 0..30 {
            test.advance(secs(86_400));
            let seq = 5_001 + day * 10;
            test.inject(&format!("[P.] seq {seq} ack 102 len 10"));
            test.expect_data(seq, seq + 10);
        }
        assert_eq!(test.state(), State::FinWait2);
    });
}

// trap: 35
#[test]
fn an_orphan_in_closing_and_in_last_ack_gives_a_dead_peer_up() {
    every_wrap(|numbers| {
        for in_closing in [true, false] {
            let mut test = Scripted::established(plain_config(), numbers);
            if in_closing {
                test.close();
                test.inject("[F.] seq 5001 ack 101");
                assert_eq!(test.state(), State::Closing);
            } else {
                test.inject("[F.] seq 5001 ack 101");
                test.close();
                assert_eq!(test.state(), State::LastAck);
            }
            test.advance(secs(600));
            assert_eq!(test.state(), State::Closed);
            let fins = test.take_sent().iter().filter(|sent| sent.line.starts_with("[F")).count();
            assert_eq!(fins, 1 + 8, "one, and eight retransmissions");
            assert_eq!(test.connection.poll_timeout(), None);
        }
    });
}
