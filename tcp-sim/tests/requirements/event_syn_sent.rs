//! SEGMENT ARRIVES in SYN-SENT, and commands before the connection is established (RFC 9293
//! §3.10.7.3, §3.5), simultaneous open and the connection to oneself included.

use tcp_core::{
    CloseReason, Disposition, DropReason, Duration, Event, ReadError, State, TimerKind, WriteError,
};
use tcp_sim::scripted::{Scripted, every_wrap, plain_config};
use tcp_sim::states::Place;

const SECOND: Duration = Duration::from_secs(1);

// req: 9293-EV-04
// trap: 6
#[test]
fn an_ack_of_what_was_not_sent_is_reset_and_the_syn_goes_on() {
    every_wrap(|numbers| {
        let mut test = Place::SynSent.reach(plain_config(), numbers);
        let deadline = test.connection.timer(TimerKind::Retransmission);
        assert!(deadline.is_some());
        for (line, answer) in [
            ("[S.] seq 5000 ack 91 <mss 1000>", "[R] seq 91"),
            ("[S.] seq 5000 ack 100 <mss 1000>", "[R] seq 100"),
            ("[S.] seq 5000 ack 102 <mss 1000>", "[R] seq 102"),
            ("[.] seq 5000 ack 91", "[R] seq 91"),
            ("[F.] seq 5000 ack 102", "[R] seq 102"),
            ("[P.] seq 5000 ack 102 len 5", "[R] seq 102"),
        ] {
            assert_eq!(test.inject(line), Disposition::Reset, "{line}");
            test.expect(answer);
            test.expect_none();
            assert_eq!(test.state(), State::SynSent);
        }
        assert_eq!(test.connection.timer(TimerKind::Retransmission), deadline);
        assert_eq!(test.take_events(), Event::NONE);
        test.advance(SECOND);
        test.expect_at(1_000, "[S] seq 100");
    });
}

// req: 9293-EV-05, 5961-3d
// trap: 17
#[test]
fn a_rst_refuses_only_if_it_acknowledges_our_syn() {
    every_wrap(|numbers| {
        let mut test = Place::SynSent.reach(plain_config(), numbers);
        for line in [
            "[R] seq 0",
            "[R] seq 5000",
            "[R.] seq 5000 ack 100",
            "[R.] seq 5000 ack 102",
            "[R.] seq 5000 ack 91",
            "[SR] seq 5000",
        ] {
            assert!(matches!(test.inject(line), Disposition::Dropped(_)), "{line}");
            test.expect_none();
            assert_eq!(test.state(), State::SynSent, "{line}");
        }
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        assert_eq!(test.inject("[R.] seq 0 ack 101"), Disposition::Taken);
        test.expect_none();
        assert_eq!(test.state(), State::Closed);
        assert_eq!(test.close_reason(), Some(CloseReason::Refused));
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::Refused)));
        assert!(test.take_events().contains(Event::CLOSED | Event::READABLE));
        assert_eq!(test.connection.poll_timeout(), None);
    });
}

// req: 9293-EV-06
#[test]
fn a_good_syn_ack_establishes_and_is_acknowledged_with_what_was_queued() {
    every_wrap(|numbers| {
        let mut test = Place::SynSent.reach(plain_config(), numbers);
        test.inject("[S.] seq 5000 ack 101 win 3000 <mss 1000>");
        test.expect("[.] seq 101 ack 5001 win 10000");
        test.expect_none();
        assert_eq!(test.state(), State::Established);
        assert_eq!(test.take_events(), Event::CONNECTED);
        assert_eq!((test.stats().send_window, test.stats().unacknowledged), (3_000, 0));
        assert_eq!(test.connection.timer(TimerKind::Retransmission), None);
        // WL1 and WL2 are those of the SYN-ACK: what is older does not change the window.
        for older in ["[.] seq 4999 ack 101 win 9", "[.] seq 5000 ack 100 win 9"] {
            test.inject(older);
            assert_eq!(test.stats().send_window, 3_000);
        }
        test.take_sent();

        let mut test = Place::SynSent.reach(plain_config(), numbers);
        test.write(b"hello");
        test.expect_none();
        test.inject("[S.] seq 5000 ack 101 <mss 1000>");
        test.expect("[P.] seq 101:106 ack 5001");
        test.expect_none();
    });
}

// req: 9293-EV-07, MUST-10
// trap: 3
#[test]
fn crossing_syns_make_one_connection() {
    every_wrap(|numbers| {
        // The peer's SYN-ACK crosses ours.
        let mut test = Place::SynSent.reach(plain_config(), numbers);
        assert_eq!(test.inject("[S] seq 5000 <mss 900>"), Disposition::Taken);
        test.expect("[S.] seq 100 ack 5001 <mss 1000>");
        assert_eq!(test.state(), State::SynReceived);
        assert_eq!(test.take_events(), Event::NONE);
        assert_eq!(test.inject("[S.] seq 5000 ack 101 win 3000 <mss 900>"), Disposition::Taken);
        assert_eq!(test.state(), State::Established);
        assert_eq!(test.take_events(), Event::CONNECTED);
        assert_eq!((test.stats().send_mss, test.stats().send_window), (900, 3_000));
        assert_eq!(test.connection.timer(TimerKind::Retransmission), None, "the SYN's timer is off");
        // Our SYN-ACK has told the peer all there is (figure 7).
        test.expect_none();

        // The peer answers our SYN-ACK by an ACK only.
        let mut test = Place::SynReceivedActive.reach(plain_config(), numbers);
        test.inject("[.] seq 5001 ack 101");
        assert_eq!(test.state(), State::Established);
        assert_eq!(test.connection.timer(TimerKind::Retransmission), None);
        test.expect_none();
    });
}

// trap: 3
#[test]
fn a_simultaneous_open_survives_the_loss_of_either_syn_and_of_both_syn_acks() {
    every_wrap(|numbers| {
        // Our SYN-ACK is lost: the timer repeats it, with the SYN's own number.
        let mut test = Place::SynReceivedActive.reach(plain_config(), numbers);
        test.advance(SECOND);
        test.expect_at(1_000, "[S.] seq 100 ack 5001");
        test.advance(SECOND * 2);
        test.expect_at(3_000, "[S.] seq 100 ack 5001");
        test.inject("[S.] seq 5000 ack 101 <mss 1000>");
        assert_eq!(test.state(), State::Established);
        test.expect_none();
        // The peer, whose SYN-ACK was lost before, sends it again: it needs our ACK.
        test.inject("[S.] seq 5000 ack 101 <mss 1000>");
        test.expect("[.] seq 101 ack 5001");
        assert_eq!(test.state(), State::Established);

        // Our SYN is lost: the peer sees our SYN-ACK alone, and answers as to an active open.
        let mut test = Place::SynReceivedActive.reach(plain_config(), numbers);
        test.inject("[.] seq 5001 ack 101");
        assert_eq!(test.state(), State::Established);
        test.expect_none();
    });
}

// req: MUST-10
// trap: 3
#[test]
fn a_simultaneous_open_takes_the_options_of_the_peers_syn() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        (config.window_scaling, config.sack, config.timestamps) = (true, true, true);
        config.receive_buffer = tcp_core::BufferLimit::fixed(1 << 20);
        let mut test = Place::SynSent.reach(config, numbers);
        test.inject("[S] seq 5000 win 1000 <mss 800,sackOK,TS 77 0,wscale 3>");
        test.expect("[S.] seq 100 ack 5001 win 65535 <mss 1000,sackOK,TS 1000000 77,wscale 5>");
        // The window of the third segment is scaled, those of SYNs are not.
        assert_eq!(test.stats().send_window, 1_000);
        test.inject("[.] seq 5001 ack 101 win 1000 <TS 78 1000000>");
        assert_eq!(test.state(), State::Established);
        let stats = test.stats();
        assert_eq!(
            (stats.send_window, stats.send_mss, stats.sack, stats.timestamps),
            (8_000, 800, true, true)
        );
    });
}

// req: 9293-EV-08, 9293-EV-28
#[test]
fn syn_sent_drops_what_has_neither_syn_nor_rst() {
    every_wrap(|numbers| {
        let mut test = Place::SynSent.reach(plain_config(), numbers);
        for line in [
            "[.] seq 5001 ack 101",
            "[P.] seq 5001 ack 101 len 10",
            "[F.] seq 5001 ack 101",
            "[F] seq 5001",
            "[none] seq 5001",
            "[P] seq 5001 len 10",
        ] {
            assert_eq!(test.inject(line), Disposition::Dropped(DropReason::NotSyn), "{line}");
            test.expect_none();
        }
        assert_eq!(test.state(), State::SynSent);
        assert_eq!(test.read(10), Err(ReadError::Blocked), "no end of the stream");
        // RST or not, SYN with FIN is nobody's segment (trap 25).
        assert_eq!(test.inject("[SF.] seq 5000 ack 101"), Disposition::Dropped(DropReason::SynWithFin));
        assert_eq!(test.state(), State::SynSent);
    });
}

// trap: 25
#[test]
fn a_syn_ack_may_carry_data() {
    every_wrap(|numbers| {
        let mut test = Place::SynSent.reach(plain_config(), numbers);
        test.inject("[S.] seq 5000 ack 101 <mss 1000> len 30");
        assert_eq!(test.state(), State::Established);
        test.expect("[.] seq 101 ack 5031");
        test.expect_data(5_001, 5_031);
        assert_eq!(test.read(1), Err(ReadError::Blocked));
    });
}

#[test]
fn close_in_syn_sent_says_nothing_and_a_late_syn_ack_is_reset() {
    every_wrap(|numbers| {
        for end in [Scripted::close, Scripted::shutdown_write, Scripted::abort] {
            let mut test = Place::SynSent.reach(plain_config(), numbers);
            test.write(b"never sent");
            end(&mut test);
            test.expect_none();
            assert_eq!(test.state(), State::Closed);
            assert_eq!(test.connection.poll_timeout(), None);
            assert_eq!(test.inject("[S.] seq 5000 ack 101 <mss 1000>"), Disposition::Reset);
            test.expect("[R] seq 101");
            test.expect_none();
        }
    });
}

// 9293-EV-32 deviates: docs/decisions/close-while-opening.md.
#[test]
fn close_in_syn_received_waits_for_the_ack_of_the_syn() {
    every_wrap(|numbers| {
        for data in [0u32, 500] {
            let mut test = Place::SynReceivedActive.reach(plain_config(), numbers);
            if data > 0 {
                test.write_len(data as usize);
            }
            test.close();
            test.expect_none();
            test.inject("[.] seq 5001 ack 101");
            assert_eq!(test.state(), State::FinWait1);
            let line = if data > 0 { "[FP.] seq 101:601 ack 5001" } else { "[F.] seq 101 ack 5001" };
            test.expect(line);
            test.inject(&format!("[F.] seq 5001 ack {}", 102 + data));
            assert_eq!(test.state(), State::TimeWait);
            test.expect(&format!("[.] seq {} ack 5002", 102 + data));
        }
    });
}

// req: 9293-EV-37
#[test]
fn what_is_written_before_the_handshake_leaves_right_after_it() {
    every_wrap(|numbers| {
        let mut test = Place::SynSent.reach(plain_config(), numbers);
        test.write_len(2_500);
        test.expect_none();
        test.inject("[S.] seq 5000 ack 101 <mss 1000>");
        test.expect("[.] seq 101:1101 ack 5001");
        test.expect("[.] seq 1101:2101 ack 5001");
        test.expect("[P.] seq 2101:2601 ack 5001");
        test.expect_none();

        // Without a peer there is nothing to queue for; the writer is woken when there is one.
        let mut test = Scripted::listening(plain_config(), numbers);
        assert_eq!(test.connection.write(test.now, b"hello"), Err(WriteError::Blocked));
        test.inject("[S] seq 5000 <mss 1000>");
        test.inject("[.] seq 5001 ack 101");
        assert!(test.take_events().contains(Event::CONNECTED | Event::WRITABLE));
        test.take_sent();
        test.write(b"hello");
        test.expect("[P.] seq 101:106 ack 5001");
    });
}

// trap: 5
#[test]
fn a_connection_to_oneself_carries_data_and_closes() {
    every_wrap(|numbers| {
        // Both streams are one: the nominal numbers are ours.
        let numbers = tcp_sim::scripted::Numbers { local: numbers.local, remote: numbers.local };
        let mut test = Scripted::connecting_to_itself(plain_config(), numbers);
        test.echo();
        assert_eq!(test.state(), State::SynReceived);
        let mut echoed = 0;
        let mut settle = |test: &mut Scripted| {
            while test.has_sent() {
                test.echo();
                echoed += 1;
                assert!(echoed < 50, "a storm");
            }
        };
        settle(&mut test);
        assert_eq!(test.state(), State::Established);
        test.write(b"to myself");
        settle(&mut test);
        assert_eq!(test.read(100), Ok(b"to myself".to_vec()));
        test.advance(SECOND);
        settle(&mut test);
        test.shutdown_write();
        assert_eq!(test.state(), State::FinWait1);
        test.echo();
        assert_eq!(test.state(), State::Closing);
        settle(&mut test);
        assert_eq!(test.state(), State::TimeWait);
        assert_eq!(test.read(100), Ok(vec![]));
    });
}
