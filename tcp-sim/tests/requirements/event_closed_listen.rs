//! SEGMENT ARRIVES in CLOSED and LISTEN, and the passive open up to ESTABLISHED (RFC 9293
//! §3.10.7.1, §3.10.7.2).

use tcp_core::{Disposition, DropReason, Duration, Event, ReadError, State};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};
use tcp_sim::states::Place;

/// CLOSED in both of its kinds: a listener that was closed, and a connection that is over.
fn closed(numbers: Numbers) -> [Scripted; 2] {
    let mut listener = Scripted::listening(plain_config(), numbers);
    listener.close();
    let mut connection = Place::Established.reach(plain_config(), numbers);
    connection.abort();
    connection.expect("[R.] seq 101 ack 5001");
    [listener, connection]
}

// req: 9293-EV-01
// trap: 6
#[test]
fn closed_answers_with_the_rst_that_the_segment_asks_for() {
    every_wrap(|numbers| {
        for mut test in closed(numbers) {
            assert_eq!(test.state(), State::Closed);
            for (line, answer) in [
                ("[S] seq 7", "[R.] seq 0 ack 8"),
                ("[S] seq 7 len 10", "[R.] seq 0 ack 18"),
                ("[SF] seq 7 len 10", "[R.] seq 0 ack 19"),
                ("[F] seq 7", "[R.] seq 0 ack 8"),
                ("[P] seq 7 len 3", "[R.] seq 0 ack 10"),
                ("[.] seq 5001 ack 900", "[R] seq 900"),
                ("[P.] seq 5001 ack 900 len 5", "[R] seq 900"),
                ("[S.] seq 5001 ack 900", "[R] seq 900"),
                ("[F.] seq 5001 ack 900", "[R] seq 900"),
            ] {
                assert_eq!(test.inject(line), Disposition::Reset, "{line}");
                test.expect(answer);
                test.expect_none();
            }
            for line in ["[R] seq 5001", "[R.] seq 5001 ack 900", "[SR] seq 7", "[RF.] seq 7 ack 5"] {
                assert!(matches!(test.inject(line), Disposition::Dropped(_)), "{line}");
                test.expect_none();
            }
            assert_eq!(test.state(), State::Closed);
        }
    });
}

// req: 9293-EV-02
// trap: 6, 25
#[test]
fn a_listener_drops_answers_or_takes_by_the_control_bits() {
    every_wrap(|numbers| {
        let mut test = Scripted::listening(plain_config(), numbers);
        for line in ["[R] seq 7", "[R.] seq 7 ack 55", "[SR] seq 7", "[SR.] seq 7 ack 55"] {
            assert!(matches!(test.inject(line), Disposition::Dropped(_)), "{line}");
            test.expect_none();
        }
        for line in ["[S.] seq 7 ack 55", "[.] seq 7 ack 55", "[F.] seq 7 ack 55", "[P.] seq 7 ack 55 len 3"]
        {
            assert_eq!(test.inject(line), Disposition::Reset, "{line}");
            test.expect("[R] seq 55");
            test.expect_none();
        }
        for line in ["[F] seq 7", "[none] seq 7", "[P] seq 7 len 3", "[U] seq 7 urg 1 len 3", "[SF] seq 7"] {
            assert!(matches!(test.inject(line), Disposition::Dropped(_)), "{line}");
            test.expect_none();
        }
        assert_eq!(test.state(), State::Listen);
        assert_eq!(test.take_events(), Event::NONE, "the application hears of nothing");
        assert_eq!(test.inject("[S] seq 5000 <mss 1000>"), Disposition::Taken);
        test.expect("[S.] seq 100 ack 5001 <mss 1000>");
        assert_eq!(test.state(), State::SynReceived);
    });
}

// req: 9293-EV-03, 9293-EV-17
// trap: 25
#[test]
fn data_on_a_syn_is_left_for_the_peer_to_send_again() {
    every_wrap(|numbers| {
        let mut test = Scripted::listening(plain_config(), numbers);
        test.inject("[S] seq 5000 <mss 1000> len 50");
        test.expect("[S.] seq 100 ack 5001");
        assert_eq!(test.read(100), Err(ReadError::Blocked));
        test.inject("[.] seq 5001 ack 101");
        assert_eq!(test.state(), State::Established);
        assert_eq!(test.take_events(), Event::CONNECTED);
        assert_eq!(test.read(100), Err(ReadError::Blocked), "nothing of the SYN is read");
        test.inject("[P.] seq 5001 ack 101 len 50");
        test.expect_data(5_001, 5_051);
        test.advance(Duration::from_millis(200));
        test.expect("[.] seq 101 ack 5051");
    });
}

// req: 9293-EV-17
// trap: 6
#[test]
fn only_the_ack_of_our_syn_completes_the_handshake() {
    for place in [Place::SynReceivedPassive, Place::SynReceivedActive] {
        every_wrap(|numbers| {
            let mut test = place.reach(plain_config(), numbers);
            for (line, answer) in [
                ("[.] seq 5001 ack 107", "[R] seq 107"),
                ("[.] seq 5001 ack 100", "[R] seq 100"),
                ("[.] seq 5001 ack 99", "[R] seq 99"),
                ("[P.] seq 5001 ack 102 len 10", "[R] seq 102"),
                ("[F.] seq 5001 ack 102", "[R] seq 102"),
            ] {
                assert_eq!(test.inject(line), Disposition::Reset, "{place:?} {line}");
                test.expect(answer);
                test.expect_none();
                assert_eq!(test.state(), State::SynReceived);
            }
            assert_eq!(test.take_events(), Event::NONE);
            test.inject("[.] seq 5001 ack 101 win 1234");
            assert_eq!(test.state(), State::Established);
            assert!(test.take_events().contains(Event::CONNECTED));
            assert_eq!(test.stats().send_window, 1_234);
            assert_eq!(test.connection.timer(tcp_core::TimerKind::Retransmission), None);
            test.write_len(1_300);
            test.expect("[.] seq 101:1101 ack 5001");
        });
    }
}

// req: 9293-EV-31
#[test]
fn a_fin_on_the_third_segment_goes_to_close_wait_and_the_reader_is_at_the_end() {
    for place in [Place::SynReceivedPassive, Place::SynReceivedActive] {
        every_wrap(|numbers| {
            let mut test = place.reach(plain_config(), numbers);
            test.inject("[F.] seq 5001 ack 101");
            assert_eq!(test.state(), State::CloseWait);
            let events = test.take_events();
            assert!(events.contains(Event::CONNECTED | Event::READABLE), "{events:?}");
            assert_eq!(test.read(10), Ok(vec![]));
            test.advance(Duration::from_millis(200));
            test.expect("[.] seq 101 ack 5002");

            let mut test = place.reach(plain_config(), numbers);
            test.inject("[FP.] seq 5001 ack 101 len 20");
            assert_eq!(test.state(), State::CloseWait);
            test.expect_data(5_001, 5_021);
            assert_eq!(test.read(10), Ok(vec![]));
        });
    }
}

// req: MUST-11, 9293-EV-14
// trap: 18
#[test]
fn a_rst_in_syn_received_goes_back_to_listen_unless_we_opened_actively() {
    every_wrap(|numbers| {
        let mut passive = Place::SynReceivedPassive.reach(plain_config(), numbers);
        assert_eq!(passive.inject("[R] seq 5001"), Disposition::Taken);
        passive.expect_none();
        assert_eq!(passive.state(), State::Listen);
        assert_eq!(passive.take_events(), Event::NONE, "the application is not told");
        assert_eq!(passive.close_reason(), None);
        assert_eq!(passive.connection.poll_timeout(), None);
        // The next client is served.
        passive.inject("[S] seq 5500 <mss 1000>");
        passive.expect("[S.] ack 5501");

        let mut active = Place::SynReceivedActive.reach(plain_config(), numbers);
        assert_eq!(active.inject("[R] seq 5001"), Disposition::Taken);
        active.expect_none();
        assert_eq!(active.state(), State::Closed);
        assert!(active.take_events().contains(Event::CLOSED));
        assert_eq!(active.close_reason(), Some(tcp_core::CloseReason::Refused));
    });
}

// req: 9293-EV-15
// trap: 21
#[test]
fn the_same_syn_gets_the_same_syn_ack_and_another_is_challenged() {
    for place in [Place::SynReceivedPassive, Place::SynReceivedActive] {
        every_wrap(|numbers| {
            let mut test = place.reach(plain_config(), numbers);
            let deadline = test.connection.poll_timeout();
            for _ in 0..3 {
                test.inject("[S] seq 5000 <mss 1000>");
                test.expect("[S.] seq 100 ack 5001 <mss 1000>");
                test.expect_none();
            }
            assert_eq!(test.connection.poll_timeout(), deadline, "the back-off goes on as it was");
            // Another SYN, in the window: RFC 5961 §4 rather than back to LISTEN; its number is
            // never adopted.
            let dropped = Disposition::Dropped(DropReason::SynChallenged);
            assert_eq!(test.inject("[S] seq 5005 <mss 1000>"), dropped);
            test.expect("[.] seq 101 ack 5001");
            assert_eq!(test.inject("[S] seq 900000 <mss 1000>"), dropped);
            test.expect("[.] seq 101 ack 5001");
            test.expect_none();
            assert_eq!(test.state(), State::SynReceived);
            test.inject("[.] seq 5001 ack 101");
            assert_eq!(test.state(), State::Established);
        });
    }
}

// req: 9293-EV-16
#[test]
fn syn_received_drops_what_has_no_ack() {
    for place in [Place::SynReceivedPassive, Place::SynReceivedActive] {
        every_wrap(|numbers| {
            let mut test = place.reach(plain_config(), numbers);
            for line in ["[none] seq 5001", "[P] seq 5001 len 10", "[F] seq 5001"] {
                assert_eq!(test.inject(line), Disposition::Dropped(DropReason::NoAck), "{line}");
                test.expect_none();
            }
            assert_eq!(test.state(), State::SynReceived);
        });
    }
}

// req: 9293-EV-46
#[test]
fn port_zero_is_nobody() {
    let mut test = Scripted::listening(plain_config(), Numbers::default());
    let good = test.peer_segment("[S] seq 5000 <mss 1000>");
    for (from, to) in [(0u16, 40_001u16), (80, 0)] {
        let mut bytes = good.clone();
        bytes[0..2].copy_from_slice(&from.to_be_bytes());
        bytes[2..4].copy_from_slice(&to.to_be_bytes());
        tcp_core::wire::checksum::fill_tcp([10, 0, 0, 2].into(), [10, 0, 0, 1].into(), &mut bytes);
        assert_eq!(test.inject_bytes(&bytes), Disposition::Dropped(DropReason::InvalidAddress));
        test.expect_none();
    }
    assert_eq!(test.state(), State::Listen);
    let connect = |local: &str, remote: &str| {
        tcp_core::Connection::connect(
            tcp_core::Instant::ZERO,
            local.parse().unwrap(),
            remote.parse().unwrap(),
            plain_config(),
            &tcp_core::Seed::for_test(1),
        )
        .err()
    };
    assert_eq!(connect("10.0.0.1:5", "10.0.0.2:0"), Some(tcp_core::ConnectError::PortZero));
    assert_eq!(connect("10.0.0.1:0", "10.0.0.2:5"), Some(tcp_core::ConnectError::PortZero));
    assert_eq!(connect("10.0.0.1:5", "10.0.0.2:5"), None);
}

// req: 9293-EV-35
#[test]
fn what_is_taken_back_before_it_is_established_resets_the_peer() {
    every_wrap(|numbers| {
        for place in [Place::SynReceivedPassive, Place::SynReceivedActive] {
            let mut test = place.reach(plain_config(), numbers);
            test.abort();
            test.expect("[R.] seq 101 ack 5001");
            test.expect_none();
            assert_eq!(test.state(), State::Closed);
            assert_eq!(test.connection.poll_timeout(), None);
        }
        // A listener that is closed offers nothing any more: what the client says next is refused.
        let mut test = Place::SynReceivedPassive.reach(plain_config(), numbers);
        test.close();
        assert_eq!(test.state(), State::Closed);
        test.inject("[.] seq 5001 ack 101");
        test.expect("[R] seq 101");
        assert_eq!(test.connection.poll_timeout(), None);
    });
}
