//! Two ends that do not agree on what connection there is (RFC 9293 §3.5), and two that are in each
//! other's way.

use crate::ends::{Ends, V4, V6, connect, listen, tcp};
use tcp_core::{BufferLimit, CloseReason, ConnConfig, Duration, ReadError, SeqNumber, State};

const SECOND: Duration = Duration::from_secs(1);

fn states(ends: &Ends) -> [State; 2] {
    [ends.ends[0].state(), ends.ends[1].state()]
}

/// The first packet of a connection from A to B that was opened at another time.
fn old_syn(ends: &Ends, seq: u32) -> Vec<u8> {
    let mut config = ConnConfig::default();
    config.replay.initial_sequence = Some(SeqNumber(seq));
    let mut old = connect(ends.now, ends.addresses[0], ends.addresses[1], config, 9);
    let mut buf = vec![0; 1_500];
    let sent = old.poll_transmit(ends.now, &tcp_core::TxCaps::default(), &mut buf).expect("a SYN");
    buf.truncate(sent.len);
    buf
}

// req: 9293-EV-38, 5961-4b, 5961-3e
#[test]
fn a_rebooted_peer_finds_the_half_open_connection_and_ends_it() {
    for texts in [V4, V6] {
        let mut ends = Ends::connected(texts, ConnConfig::default());
        assert_eq!(states(&ends), [State::Established; 2]);
        // A forgets everything, and opens the same connection again. B has nothing in flight.
        ends.ends[0] = connect(ends.now, ends.addresses[0], ends.addresses[1], ConnConfig::default(), 77);
        ends.drain();
        ends.deliver(1);
        assert_eq!(states(&ends), [State::SynSent, State::Established], "the SYN is challenged");
        let challenge = ends.wires[0].back().expect("an ACK").clone();
        assert!(tcp(&challenge).flags().ack() && !tcp(&challenge).flags().syn());
        ends.deliver(0);
        let reset = ends.wires[1].back().expect("a RST").clone();
        assert!(tcp(&reset).flags().rst());
        assert_eq!(tcp(&reset).seq(), tcp(&challenge).ack());
        ends.deliver(1);
        assert_eq!(states(&ends), [State::SynSent, State::Closed]);
        assert_eq!(ends.ends[1].close_reason(), Some(CloseReason::Reset));
        // B listens again, and A's next SYN connects.
        ends.ends[1] = listen(ends.now, ends.addresses[1], ConnConfig::default(), 2);
        ends.advance(SECOND);
        assert_eq!(states(&ends), [State::Established; 2]);
    }
}

// req: 9293-EV-39
#[test]
fn data_for_a_lost_connection_is_reset() {
    let mut ends = Ends::connected(V4, ConnConfig::default());
    ends.ends[0] = listen(ends.now, ends.addresses[0], ConnConfig::default(), 77);
    ends.ends[1].write(ends.now, &[1; 10]).expect("room");
    ends.drain();
    let data = ends.wires[0].back().expect("data").clone();
    ends.deliver(0);
    let reset = ends.wires[1].back().expect("a RST").clone();
    assert!(tcp(&reset).flags().rst() && !tcp(&reset).flags().ack());
    assert_eq!(tcp(&reset).seq(), tcp(&data).ack());
    ends.deliver(1);
    assert_eq!(states(&ends), [State::Listen, State::Closed]);
    let mut buf = [0; 10];
    assert_eq!(ends.ends[1].read(ends.now, &mut buf), Err(ReadError::Closed(CloseReason::Reset)));
}

// req: 9293-EV-40
#[test]
fn an_old_syn_between_two_listeners_comes_to_nothing() {
    let mut ends = Ends::new(V4, [ConnConfig::default(), ConnConfig::default()]);
    ends.ends[0] = listen(ends.now, ends.addresses[0], ConnConfig::default(), 1);
    let syn = old_syn(&ends, 123_456);
    ends.ends[1].handle_packet(ends.now, &syn[..]);
    assert_eq!(states(&ends), [State::Listen, State::SynReceived]);
    ends.drain();
    ends.deliver(0);
    let reset = ends.wires[1].back().expect("a RST").clone();
    assert!(tcp(&reset).flags().rst());
    assert_eq!(tcp(&reset).seq(), SeqNumber(123_457));
    ends.run();
    assert_eq!(states(&ends), [State::Listen; 2]);
    assert_eq!(ends.ends[1].poll_event(), None);
}

// req: 9293-EV-41
#[test]
fn an_old_syn_before_the_real_one_is_cleared_away_by_a_rst() {
    let mut ends = Ends::new(V4, [ConnConfig::default(), ConnConfig::default()]);
    let syn = old_syn(&ends, 90);
    ends.ends[1].handle_packet(ends.now, &syn[..]);
    ends.drain();
    // A's own SYN is slower than the answer to the old one.
    let real = ends.wires[1].pop_front().expect("the SYN");
    ends.deliver(0);
    assert_eq!(states(&ends), [State::SynSent, State::SynReceived]);
    let reset = ends.wires[1].back().expect("a RST").clone();
    assert_eq!((tcp(&reset).flags().rst(), tcp(&reset).seq()), (true, SeqNumber(91)));
    ends.deliver(1);
    assert_eq!(states(&ends), [State::SynSent, State::Listen]);
    ends.wires[1].push_back(real);
    ends.run();
    assert_eq!(states(&ends), [State::Established; 2]);
}

// req: 5961-3e
#[test]
fn a_rst_that_overtakes_lost_data_takes_one_round_trip_more() {
    let mut ends = Ends::connected(V4, ConnConfig::default());
    ends.ends[0].write(ends.now, &[1; 100]).expect("room");
    ends.drain();
    ends.lose();
    ends.ends[0].abort(ends.now);
    ends.drain();
    assert_eq!(ends.wires[1].len(), 1, "the RST, ahead of what B expects");
    ends.deliver(1);
    assert_eq!(ends.ends[1].state(), State::Established, "challenged");
    ends.run();
    assert_eq!(states(&ends), [State::Closed; 2]);
    assert_eq!(ends.ends[1].close_reason(), Some(CloseReason::Reset));
}

// req: 9293-EV-45
// trap: 3
#[test]
fn a_simultaneous_open_between_two_of_ours_connects_whatever_is_lost() {
    // Which of the SYNs and SYN-ACKs are lost, one bit each.
    for lost in 0..16u32 {
        let mut ends = Ends::new(V4, [ConnConfig::default(), ConnConfig::default()]);
        ends.ends[1] = connect(ends.now, ends.addresses[1], ends.addresses[0], ConnConfig::default(), 2);
        ends.drain();
        for to in 0..2 {
            if lost >> to & 1 == 1 {
                ends.wires[to].clear();
            }
        }
        for to in 0..2 {
            let waiting = ends.wires[to].len();
            (0..waiting).for_each(|_| ends.deliver(to));
        }
        for to in 0..2 {
            if lost >> (2 + to) & 1 == 1 {
                ends.wires[to].clear();
            }
        }
        ends.advance(SECOND * 8);
        assert_eq!(states(&ends), [State::Established; 2], "{lost:04b}");
        for side in 0..2 {
            ends.ends[side].write(ends.now, b"hello").expect("room");
        }
        ends.advance(SECOND);
        for side in 0..2 {
            assert_eq!(ends.read(side), b"hello", "{lost:04b}");
            assert_eq!(ends.ends[side].poll_timeout(), None, "no timer is left running");
        }
    }
}

// trap: 4
#[test]
fn crossed_fins_reach_time_wait_within_two_timeouts_whatever_is_lost() {
    for lost in 0..16u32 {
        let mut ends = Ends::connected(V4, ConnConfig::default());
        ends.ends.iter_mut().for_each(|end| end.close(ends.now));
        ends.drain();
        for to in 0..2 {
            if lost >> to & 1 == 1 {
                ends.wires[to].clear();
            }
        }
        for to in 0..2 {
            let waiting = ends.wires[to].len();
            (0..waiting).for_each(|_| ends.deliver(to));
        }
        for to in 0..2 {
            if lost >> (2 + to) & 1 == 1 {
                ends.wires[to].clear();
            }
        }
        ends.advance(Duration::from_millis(600));
        for state in states(&ends) {
            assert!(matches!(state, State::TimeWait | State::Closed), "{lost:04b} {state}");
        }
        assert!(states(&ends).contains(&State::TimeWait));
    }
}

// trap: 2
#[test]
fn two_full_ends_that_probe_each_other_both_finish() {
    let mut config = ConnConfig::default();
    config.receive_buffer = BufferLimit::fixed(4_000);
    config.send_buffer = BufferLimit::fixed(100_000);
    let mut ends = Ends::connected(V4, config);
    let data: Vec<u8> = (0..50_000u32).map(|index| (index % 251) as u8).collect();
    for side in 0..2 {
        assert_eq!(ends.ends[side].write(ends.now, &data), Ok(data.len()));
    }
    ends.advance(SECOND * 60);
    let mut received = [Vec::new(), Vec::new()];
    for _ in 0..20_000 {
        for (side, received) in received.iter_mut().enumerate() {
            received.extend(ends.read(side));
        }
        ends.advance(Duration::from_millis(10));
    }
    assert_eq!(received[0].len(), data.len());
    assert!(received[0] == data && received[1] == data);
    assert_eq!(states(&ends), [State::Established; 2]);
}

// req: 5961-7d, 5961-9a
// trap: 22
#[test]
fn two_ends_that_take_each_other_for_out_of_window_do_not_storm() {
    // Two connections of the same addresses and ports, whose numbers have nothing in common.
    let mut one = Ends::connected(V4, ConnConfig::default());
    let mut config = ConnConfig::default();
    config.replay.initial_sequence = Some(SeqNumber(1 << 30));
    let two = Ends::connected(V4, config);
    let [_, b] = two.ends;
    one.ends[1] = b;
    // Each has something to say.
    for side in 0..2 {
        one.ends[side].write(one.now, b"x").expect("room");
    }
    let packets = one.advance(SECOND * 10);
    assert!(packets <= 80, "{packets} packets in ten seconds");
}

// req: 5961-9a
#[test]
fn a_middlebox_that_answers_every_ack_with_a_wrong_rst_is_not_fought() {
    let mut ends = Ends::connected(V4, ConnConfig::default());
    let mut rounds = 0;
    let b = ends.addresses[1];
    let a = ends.addresses[0];
    ends.ends[1].write(ends.now, &[1; 100]).expect("room");
    ends.drain();
    ends.deliver(0);
    let first = tcp(ends.sent[1].last().expect("data")).seq() + 5_000;
    for ahead in 0..1_000 {
        let seq = first + ahead;
        let text = format!("{b} > {a} [R] seq {} win 0", seq.0);
        let rst: tcp_core::wire::SegmentText = text.parse().expect("a line");
        let meta = tcp_core::RxMeta::new(b.ip(), a.ip());
        let bytes = rst.to_bytes();
        ends.ends[0].handle_segment(ends.now, &meta, &bytes[..]);
        let before = ends.sent[0].len();
        ends.drain();
        rounds += ends.sent[0].len() - before;
    }
    assert!(rounds <= 11, "{rounds}");
    assert_eq!(ends.ends[0].state(), State::Established);
}

// req: 9293-EV-47
#[test]
fn a_connection_after_a_crash_keeps_no_quiet_time() {
    // docs/decisions/quiet-time.md: the initial number is random and moves with the clock instead.
    let mut ends = Ends::new(V4, [ConnConfig::default(), ConnConfig::default()]);
    ends.drain();
    assert_eq!(ends.sent[0].len(), 1, "the SYN leaves at once");
    let first = tcp(&ends.sent[0][0]).seq();
    let mut later =
        connect(ends.now + SECOND, ends.addresses[0], ends.addresses[1], ConnConfig::default(), 1);
    let mut buf = vec![0; 1_500];
    let sent = later.poll_transmit(ends.now + SECOND, &tcp_core::TxCaps::default(), &mut buf).expect("a SYN");
    assert_eq!(tcp(&buf[..sent.len]).seq() - first, 250_000);
    // A crash that loses the seed as well gives unrelated numbers.
    let mut other = connect(ends.now, ends.addresses[0], ends.addresses[1], ConnConfig::default(), 5);
    let sent = other.poll_transmit(ends.now, &tcp_core::TxCaps::default(), &mut buf).expect("a SYN");
    assert_ne!(tcp(&buf[..sent.len]).seq(), first);
}
