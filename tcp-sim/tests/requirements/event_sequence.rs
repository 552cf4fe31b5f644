//! The first check of SEGMENT ARRIVES: the sequence number, and what of a segment lies in the window
//! (RFC 9293 §3.4, §3.10.7.4).

use tcp_core::{Disposition, DropReason, Duration, Event, ReadError, State};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};
use tcp_sim::states::Place;

/// ESTABLISHED with RCV.NXT 5001 and RCV.WND 10000.
fn open_window(numbers: Numbers) -> Scripted {
    Scripted::established(plain_config(), numbers)
}

/// ESTABLISHED with RCV.NXT 15001 and RCV.WND 0.
fn closed_window(numbers: Numbers) -> Scripted {
    let mut test = Scripted::established(plain_config(), numbers);
    for start in (5_001..15_001).step_by(1_000) {
        test.inject(&format!("[.] seq {start} ack 101 len 1000"));
    }
    test.advance(Duration::from_millis(200));
    let last = test.take_sent().pop().expect("acknowledged");
    assert!(last.line.contains("ack 15001 win 0"), "{}", last.line);
    test.take_events();
    test
}

// req: 9293-EV-10
// trap: 1, 16
#[test]
fn the_four_cases_of_acceptability() {
    every_wrap(|numbers| {
        // (sequence number, length, whether any of it is acceptable) for a window of 10000.
        let open = [
            (5_000, 0, false),
            (5_001, 0, true),
            (15_000, 0, true),
            (15_001, 0, false),
            (5_000, 1, false),
            (5_001, 1, true),
            (15_000, 1, true),
            (15_001, 1, false),
            (4_001, 1_000, false),
            (4_002, 1_000, true),
            (5_000, 1_000, true),
            (5_001, 1_000, true),
            (15_000, 1_000, true),
            (15_001, 1_000, false),
            // It holds the whole window.
            (4_000, 12_000, true),
        ];
        for (seq, length, acceptable) in open {
            let mut test = open_window(numbers);
            judge(&mut test, seq, length, acceptable, "an open window");
        }
        for (seq, length, acceptable) in
            [(15_000, 0, false), (15_001, 0, true), (15_002, 0, false), (15_000, 1, false)]
        {
            let mut test = closed_window(numbers);
            judge(&mut test, seq, length, acceptable, "a closed window");
        }
        for length in [1, 1_000] {
            let mut test = closed_window(numbers);
            test.inject(&format!("[.] seq 15001 ack 101 len {length}"));
            test.expect("[.] seq 101 ack 15001 win 0");
            assert_eq!(test.stats().readable, 10_000);
        }
    });
}

fn judge(test: &mut Scripted, seq: u32, length: u32, acceptable: bool, window: &str) {
    let with_length = if length > 0 { format!(" len {length}") } else { String::new() };
    let disposition = test.inject(&format!("[.] seq {seq} ack 101{with_length}"));
    let case = format!("{window}: seq {seq} len {length}");
    if acceptable {
        assert_eq!(disposition, Disposition::Taken, "{case}");
        if length == 0 {
            test.expect_none();
        }
    } else {
        assert_eq!(disposition, Disposition::Dropped(DropReason::OutOfWindow), "{case}");
        let ack = if window.contains("open") { 5_001 } else { 15_001 };
        test.expect(&format!("[.] seq 101 ack {ack}"));
        test.expect_none();
    }
}

// req: 9293-EV-11
#[test]
fn what_is_not_acceptable_is_acknowledged_unless_it_is_a_rst() {
    every_wrap(|numbers| {
        for place in Place::SYNCHRONIZED {
            let (snd, rcv) = (place.snd_nxt(), place.rcv_nxt());
            for (seq, length) in [(rcv - 600, 100), (rcv + 20_000, 100), (rcv - 500, 0)] {
                let mut test = place.reach(plain_config(), numbers);
                let length = if length > 0 { format!(" len {length}") } else { String::new() };
                let disposition = test.inject(&format!("[.] seq {seq} ack {snd}{length}"));
                assert_eq!(disposition, Disposition::Dropped(DropReason::OutOfWindow), "{place:?} {seq}");
                test.expect(&format!("[.] seq {snd} ack {rcv}"));
                test.expect_none();
                assert_eq!(test.state(), place.state());
                // Nothing of it was used.
                assert_eq!(test.stats().send_window, 20_000);
            }
            for seq in [rcv - 1, rcv - 600, rcv + 20_000] {
                let mut test = place.reach(plain_config(), numbers);
                test.inject(&format!("[R] seq {seq}"));
                test.expect_none();
                assert_eq!(test.state(), place.state());
            }
        }
    });
}

// req: 9293-EV-12
// trap: 13
#[test]
fn what_lies_outside_the_window_is_trimmed_away_with_its_fin() {
    every_wrap(|numbers| {
        let mut test = open_window(numbers);
        test.inject("[.] seq 4901 ack 101 len 300");
        assert_eq!(test.stats().totals.bytes_received, 200);
        test.expect_data(5_001, 5_201);

        let mut test = open_window(numbers);
        test.inject("[F.] seq 5001 ack 101 len 12000");
        test.expect("[.] seq 101 ack 15001 win 0");
        test.expect_none();
        assert_eq!(test.state(), State::Established, "the FIN was beyond the cut");
        test.expect_data(5_001, 15_001);
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        // Reading opens the window; the peer sends the rest, with its FIN.
        test.take_sent();
        test.inject("[F.] seq 15001 ack 101 len 2000");
        test.expect_data(15_001, 17_001);
        assert_eq!(test.read(1), Ok(vec![]));
        assert_eq!(test.state(), State::CloseWait);
    });
}

// req: 9293-EV-12
// trap: 13
#[test]
fn a_syn_that_overlaps_the_stream_is_challenged_whatever_follows_it() {
    every_wrap(|numbers| {
        let mut test = open_window(numbers);
        test.inject("[S.] seq 5000 ack 101 <mss 1000> len 100");
        test.expect("[.] seq 101 ack 5001");
        test.expect_none();
        assert_eq!(test.stats().readable, 0);
    });
}

// req: 9293-EV-13, MUST-66
// trap: 1, 14
#[test]
fn a_closed_window_still_lets_ack_urg_rst_and_fin_in() {
    every_wrap(|numbers| {
        let mut test = closed_window(numbers);
        test.write_len(500);
        test.expect("[P.] seq 101:601 ack 15001 win 0");
        // The ACK of a segment whose text finds no room.
        let disposition = test.inject("[.] seq 15001 ack 601 win 7000 len 500");
        assert_eq!(disposition, Disposition::Dropped(DropReason::OutOfWindow));
        test.expect("[.] seq 601 ack 15001 win 0");
        test.expect_none();
        assert_eq!((test.stats().unacknowledged, test.stats().send_window), (0, 7_000));
        assert_eq!(test.stats().readable, 10_000, "its text was dropped");

        let mut test = closed_window(numbers);
        assert_eq!(test.inject("[U.] seq 15001 ack 101 urg 3"), Disposition::Taken);
        assert!(test.take_events().contains(Event::URGENT));
        let mut test = closed_window(numbers);
        test.inject("[U.] seq 15001 ack 101 urg 3 len 10");
        assert!(test.take_events().contains(Event::URGENT));

        let mut test = closed_window(numbers);
        assert_eq!(test.inject("[R] seq 15001"), Disposition::Taken);
        assert_eq!(test.state(), State::Closed);

        // A FIN without data needs no room (precedence 8).
        let mut test = closed_window(numbers);
        assert_eq!(test.inject("[F.] seq 15001 ack 101"), Disposition::Taken);
        assert_eq!(test.state(), State::CloseWait);
        test.advance(Duration::from_millis(200));
        test.expect("[.] seq 101 ack 15002 win 0");
        test.expect_data(5_001, 15_001);
        assert_eq!(test.read(1), Ok(vec![]));
    });
}

// req: 9293-EV-29
// trap: 15
#[test]
fn a_fin_waits_for_the_bytes_before_it() {
    every_wrap(|numbers| {
        let mut test = open_window(numbers);
        test.inject("[F.] seq 6001 ack 101");
        test.expect("[.] seq 101 ack 5001");
        test.expect_none();
        assert_eq!(test.state(), State::Established);
        assert_eq!(test.read(1), Err(ReadError::Blocked), "no early end");
        // Beyond the FIN there is nothing.
        test.inject("[.] seq 6001 ack 101 len 500");
        test.take_sent();
        // A FIN elsewhere is not believed.
        test.inject("[F.] seq 6501 ack 101");
        test.take_sent();
        test.inject("[.] seq 5001 ack 101 len 1000");
        test.expect("[.] seq 101 ack 6002");
        test.expect_none();
        assert_eq!(test.state(), State::CloseWait);
        test.expect_data(5_001, 6_001);
        assert_eq!(test.read(1), Ok(vec![]));
    });
}

// req: 9293-EV-29
// trap: 15
#[test]
fn a_fin_counts_even_if_all_its_data_was_here_before() {
    every_wrap(|numbers| {
        // The data was out of order.
        let mut test = open_window(numbers);
        test.inject("[.] seq 5501 ack 101 len 500");
        test.inject("[F.] seq 5501 ack 101 len 500");
        test.take_sent();
        test.inject("[.] seq 5001 ack 101 len 500");
        test.expect("[.] seq 101 ack 6002");
        assert_eq!(test.state(), State::CloseWait);

        // The data was in order, and is in the retransmission with the FIN.
        let mut test = open_window(numbers);
        test.inject("[.] seq 5001 ack 101 len 1000");
        test.inject("[F.] seq 5001 ack 101 len 1000");
        assert_eq!(test.state(), State::CloseWait);
        test.advance(Duration::from_millis(200));
        assert!(test.take_sent().pop().expect("an ACK").line.contains("ack 6002"));
        test.expect_data(5_001, 6_001);
        assert_eq!(test.read(1), Ok(vec![]));
    });
}

// req: 9293-EV-16
#[test]
fn what_has_no_ack_is_dropped_in_silence() {
    every_wrap(|numbers| {
        for place in Place::SYNCHRONIZED {
            let rcv = place.rcv_nxt();
            for line in [
                format!("[none] seq {rcv} len 1000"),
                format!("[P] seq {rcv} len 1000"),
                format!("[F] seq {rcv}"),
                format!("[U] seq {rcv} urg 5 len 10"),
                format!("[none] seq {rcv} win 9"),
            ] {
                let mut test = place.reach(plain_config(), numbers);
                assert!(matches!(test.inject(&line), Disposition::Dropped(_)), "{place:?} {line}");
                test.expect_none();
                test.advance(Duration::from_millis(150));
                test.expect_none();
                assert_eq!((test.state(), test.stats().readable), (place.state(), 0));
                assert_eq!((test.stats().send_window, test.take_events()), (20_000, Event::NONE));
            }
        }
    });
}

// trap: 14
#[test]
fn a_fin_at_the_very_edge_of_the_window_is_taken_with_the_data_before_it() {
    every_wrap(|numbers| {
        let mut test = open_window(numbers);
        test.inject("[F.] seq 5001 ack 101 len 10000");
        assert_eq!(test.state(), State::CloseWait);
        test.advance(Duration::from_millis(200));
        test.expect("[.] seq 101 ack 15002 win 0");
        test.expect_data(5_001, 15_001);
        assert_eq!(test.read(1), Ok(vec![]));
    });
}
