//! Scenarios B: opening.

use tcp_core::{
    CloseReason, ConnConfig, ConnectError, Connection, Disposition, DropReason, Duration, Event, ReadError,
    Seed, State, WriteError,
};
use tcp_sim::pair::{End, Fate, Pair};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// SYNs that nobody answers, and when it is given up.
fn give_up_at(config: &ConnConfig, syns: &[u64], end: u64) {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(config.clone(), numbers);
        test.advance(MS(end - 1));
        for at in syns {
            test.expect_at(*at, "[S] seq 100");
        }
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::SynSent, None));
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        test.take_events();
        test.advance(MS(1));
        assert_eq!(test.take_events(), Event::CLOSED | Event::READABLE);
        assert_eq!(test.close_reason(), Some(CloseReason::TimedOut));
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::TimedOut)));
        test.advance(Duration::from_secs(1_000));
        test.expect_none();
    });
}

#[test]
fn b1_three_segments_open_a_connection_with_all_options() {
    every_wrap(|numbers| {
        let mut pair = Pair::new(ConnConfig::default(), ConnConfig::default(), numbers);
        // Written before there is a connection: it goes with the third segment.
        pair.write(End::A, b"hello");
        pair.run_for(MS(10));
        pair.expect(&[
            "A [S] seq 100 win 65535 <mss 1460,sackOK,TS 1000000 0,wscale 10>",
            "B [S.] seq 5000 ack 101 win 65535 <mss 1460,sackOK,TS 1000010 1000000,wscale 10>",
        ]);
        assert_eq!(pair.state(End::B), State::SynReceived);
        assert_eq!(pair.take_events(End::A), Event::NONE);
        pair.run_for(MS(10));
        assert_eq!(pair.take_events(End::A), Event::CONNECTED);
        assert_eq!(pair.take_events(End::B), Event::NONE, "not before the third segment");
        pair.run_for(MS(9));
        assert_eq!(pair.take_events(End::B), Event::NONE);
        pair.run_for(MS(11));
        assert_eq!(pair.take_events(End::B), Event::CONNECTED | Event::READABLE);
        pair.expect(&[
            "A [P.] seq 101:106 ack 5001 win 64 <TS 1000020 1000010> len 5",
            "B [.] seq 5001 ack 106 <TS 1000030 1000020>",
        ]);
        assert_eq!(pair.read(End::B), Ok(b"hello".to_vec()));
        for end in [End::A, End::B] {
            let stats = pair.end(end).stats().unwrap();
            assert_eq!((stats.sack, stats.timestamps, stats.send_mss), (true, true, 1_460));
            assert_eq!((stats.send_window_scale, stats.receive_window_scale), (Some(10), Some(10)));
        }
    });
}

#[test]
fn b1_the_third_segment_is_bare_if_there_is_nothing_to_say() {
    every_wrap(|numbers| {
        let mut pair = Pair::new(plain_config(), plain_config(), numbers);
        pair.run_for(Duration::from_secs(100));
        pair.expect(&["A [S] seq 100", "B [S.] seq 5000 ack 101", "A [.] seq 101 ack 5001"]);
        assert_eq!(pair.take_events(End::A), Event::CONNECTED);
        assert_eq!(pair.take_events(End::B), Event::CONNECTED);
    });
}

#[test]
fn b2_a_closed_port_refuses_at_once() {
    every_wrap(|numbers| {
        let mut pair = Pair::new(plain_config(), plain_config(), numbers);
        let now = pair.now;
        pair.close(End::B);
        pair.run_for(MS(20));
        pair.expect(&["A [S] seq 100", "B [R.] ack 101 win 0"]);
        assert_eq!(pair.take_events(End::A), Event::CLOSED | Event::READABLE);
        assert_eq!(pair.end(End::A).close_reason(), Some(CloseReason::Refused));
        assert_eq!(pair.read(End::A), Err(ReadError::Closed(CloseReason::Refused)));
        assert_eq!(pair.end(End::A).write(now, b"x"), Err(WriteError::Closed(CloseReason::Refused)));
        pair.run_for(Duration::from_secs(300));
        pair.expect(&[]);
    });
}

#[test]
fn b3_a_silent_host_is_given_up_after_127_s_as_in_linux() {
    give_up_at(&plain_config(), &[0, 1_000, 3_000, 7_000, 15_000, 31_000, 63_000], 127_000);
}

#[test]
fn b3_the_rfc_profile_tries_for_more_than_180_s() {
    // The timeout is capped at 120 s.
    let syns = [0, 1_000, 3_000, 7_000, 15_000, 31_000, 63_000, 127_000];
    give_up_at(&ConnConfig::rfc(), &syns, 247_000);
}

#[test]
fn b3_the_users_deadline_is_kept_to_the_millisecond() {
    let mut config = plain_config();
    config.user_timeout = Some(Duration::from_secs(75));
    give_up_at(&config, &[0, 1_000, 3_000, 7_000, 15_000, 31_000, 63_000], 75_000);
    config.user_timeout = Some(Duration::from_secs(200));
    let syns = [0, 1_000, 3_000, 7_000, 15_000, 31_000, 63_000, 127_000];
    give_up_at(&config, &syns, 200_000);
}

#[test]
fn b5_two_ends_that_connect_to_each_other_make_one_connection() {
    every_wrap(|numbers| {
        let mut pair = Pair::both_connecting(ConnConfig::default(), ConnConfig::default(), numbers);
        pair.run_for(MS(15));
        assert_eq!((pair.state(End::A), pair.state(End::B)), (State::SynReceived, State::SynReceived));
        pair.run_for(Duration::from_secs(100));
        pair.expect(&[
            "A [S] seq 100 win 65535 <mss 1460,sackOK,TS 1000000 0,wscale 10>",
            "B [S] seq 5000 win 65535 <mss 1460,sackOK,TS 1000000 0,wscale 10>",
            "B [S.] seq 5000 ack 101 win 65535 <mss 1460,sackOK,TS 1000010 1000000,wscale 10>",
            "A [S.] seq 100 ack 5001 win 65535 <mss 1460,sackOK,TS 1000010 1000000,wscale 10>",
        ]);
        for end in [End::A, End::B] {
            assert_eq!(pair.state(end), State::Established);
            assert_eq!(pair.take_events(end), Event::CONNECTED);
            let stats = pair.end(end).stats().unwrap();
            assert_eq!((stats.send_window_scale, stats.send_window), (Some(10), 65_535));
        }
        pair.write(End::A, b"from a");
        pair.write(End::B, b"from b");
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.read(End::A), Ok(b"from b".to_vec()));
        assert_eq!(pair.read(End::B), Ok(b"from a".to_vec()));
    });
}

#[test]
fn b5_simultaneous_open_survives_the_loss_of_any_segment() {
    for lost in 0..16u32 {
        let mut pair = Pair::both_connecting(plain_config(), plain_config(), Numbers::wrap_after(1));
        pair.on_segment(move |passing| {
            let bit = (passing.number - 1) * 2 + passing.from as usize;
            if bit < 4 && lost & (1 << bit) != 0 { Fate::Lose } else { Fate::Deliver }
        });
        pair.run_for(Duration::from_secs(20));
        for end in [End::A, End::B] {
            assert_eq!(pair.state(end), State::Established, "{lost:04b}: {pair:?}");
            pair.write(end, b"hello");
        }
        pair.run_for(Duration::from_secs(20));
        assert_eq!((pair.read(End::A), pair.read(End::B)), (Ok(b"hello".to_vec()), Ok(b"hello".to_vec())));
    }
}

#[test]
fn b6_a_socket_that_connects_to_itself_reads_what_it_writes() {
    every_wrap(|numbers| {
        // There is one sequence space only.
        let numbers = Numbers { remote: numbers.local, ..numbers };
        let mut test = Scripted::connecting_to_itself(ConnConfig::default(), numbers);
        assert_eq!(test.echo(), Disposition::Taken);
        assert_eq!(test.state(), State::SynReceived);
        test.echo();
        assert_eq!(test.state(), State::Established);
        assert_eq!(test.take_events(), Event::CONNECTED);
        test.expect_none();
        echo_all(&mut test);
        test.write(b"to myself");
        echo_all(&mut test);
        assert_eq!(test.read(100), Ok(b"to myself".to_vec()));
        assert_eq!(test.stats().unacknowledged, 0);
        // And it closes, as both sides of a simultaneous close.
        test.shutdown_write();
        echo_all(&mut test);
        assert_eq!(test.read(100), Ok(Vec::new()));
        assert_eq!(test.state(), State::TimeWait);
        assert_eq!(test.stats().totals.segments_retransmitted, 0);
        test.advance(Duration::from_secs(60));
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Finished)));
    });
}

/// What it sends arrives at itself, until it falls silent.
fn echo_all(test: &mut Scripted) {
    for _ in 0..100 {
        while test.has_sent() {
            test.echo();
        }
        test.advance(MS(1));
    }
}

#[test]
fn b7_an_old_duplicate_syn_is_reset_and_the_listener_goes_on() {
    every_wrap(|numbers| {
        // RFC 9293 §3.5, figure 8, seen by the listener.
        let mut test = Scripted::listening(plain_config(), numbers);
        test.inject("[S] seq 4000 <mss 1000>");
        test.expect("[S.] seq 100 ack 4001");
        assert_eq!(test.state(), State::SynReceived);
        test.inject("[R] seq 4001");
        test.expect_none();
        assert_eq!(test.state(), State::Listen);
        assert_eq!(test.take_events(), Event::NONE, "nothing is offered");
        assert_eq!(test.connection.poll_timeout(), None);
        test.inject("[S] seq 5000 <mss 1000>");
        test.expect("[S.] seq 100 ack 5001");
        test.inject("[.] seq 5001 ack 101");
        assert_eq!(test.take_events(), Event::CONNECTED);
    });
}

#[test]
fn b7_the_client_resets_the_answer_to_its_old_syn() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(plain_config(), numbers);
        test.expect("[S] seq 100");
        assert_eq!(test.inject("[S.] seq 5000 ack 91"), Disposition::Reset);
        test.expect("[R] seq 91");
        assert_eq!(test.state(), State::SynSent);
        test.inject("[S.] seq 5000 ack 101");
        test.expect("[.] seq 101 ack 5001");
        assert_eq!(test.take_events(), Event::CONNECTED);
    });
}

#[test]
fn b13_the_peer_rebooted_and_comes_back_with_the_same_addresses() {
    every_wrap(|numbers| {
        let mut pair = Pair::established(plain_config(), plain_config(), numbers);
        // A reboots, and connects from the same port with other numbers.
        let mut config = plain_config();
        config.replay.initial_sequence = Some(tcp_core::SeqNumber(800_000) + numbers.local);
        let again = pair.connecting_again(End::A, config);
        pair.replace(End::A, again);
        pair.run_for(MS(100));
        pair.expect(&[
            "A [S] seq 800000",
            "B [.] seq 5001 ack 101",
            // At the very number that B expects.
            "A [R] seq 101",
        ]);
        assert_eq!(pair.take_events(End::B), Event::CLOSED | Event::READABLE);
        assert_eq!(pair.end(End::B).close_reason(), Some(CloseReason::Reset));
        assert_eq!(pair.read(End::B), Err(ReadError::Closed(CloseReason::Reset)));
        // A goes on with its SYN; by then somebody listens.
        assert_eq!(pair.state(End::A), State::SynSent);
        let listener = pair.listening_again(End::B, plain_config());
        pair.replace(End::B, listener);
        pair.run_for(Duration::from_secs(2));
        pair.expect(&["A [S] seq 800000", "B [S.] seq 5000 ack 800001", "A [.] seq 800001 ack 5001"]);
        assert_eq!(pair.take_events(End::A), Event::CONNECTED);
    });
}

#[test]
fn b15_a_server_that_never_reads_stops_the_client_and_loses_nothing() {
    every_wrap(|numbers| {
        let mut pair = Pair::established(plain_config(), plain_config(), numbers);
        let data: Vec<u8> = (0..15_000u32).map(|index| (index % 251) as u8).collect();
        pair.write(End::A, &data);
        pair.run_for(Duration::from_secs(60));
        let log = pair.take_log();
        assert!(log.iter().any(|line| line.starts_with("B [.] seq 5001 ack 10101 win 0")), "{log:#?}");
        assert_eq!(pair.end(End::B).stats().unwrap().readable, 10_000);
        // The client waits for an answer; its patience is its own, and the connection goes on.
        assert_eq!(pair.read(End::A), Err(ReadError::Blocked));
        assert_eq!((pair.state(End::A), pair.state(End::B)), (State::Established, State::Established));
        let mut read = pair.read(End::B).unwrap();
        assert_eq!(read, data[..10_000], "what came early is there");
        pair.run_for(Duration::from_secs(1));
        read.extend(pair.read(End::B).unwrap());
        assert_eq!(read, data);
        pair.write(End::B, b"sorry");
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.read(End::A), Ok(b"sorry".to_vec()));
    });
}

#[test]
fn b16_addresses_that_cannot_be_are_refused_at_once() {
    let now = tcp_core::Instant::from_secs(1);
    let connect = |local: &str, remote: &str| {
        let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
        Connection::connect(now, local, remote, plain_config(), &Seed::for_test(1)).unwrap_err()
    };
    let here = "10.0.0.1:1000";
    for remote in ["0.0.0.0:80", "255.255.255.255:80", "224.0.0.1:80", "239.1.2.3:80"] {
        assert_eq!(connect(here, remote), ConnectError::InvalidRemoteAddress, "{remote}");
    }
    assert_eq!(connect("[::1]:9", "[ff02::1]:80"), ConnectError::InvalidRemoteAddress);
    for local in ["0.0.0.0:1000", "224.0.0.1:1000", "255.255.255.255:1000"] {
        assert_eq!(connect(local, "10.0.0.2:80"), ConnectError::InvalidLocalAddress, "{local}");
        let listen = Connection::listen(now, local.parse().unwrap(), plain_config(), &Seed::for_test(1));
        assert_eq!(listen.unwrap_err(), ConnectError::InvalidLocalAddress);
    }
    assert_eq!(connect(here, "[::1]:80"), ConnectError::AddressFamily);
    assert_eq!(connect(here, "10.0.0.2:0"), ConnectError::PortZero);
    assert_eq!(connect("10.0.0.1:0", "10.0.0.2:80"), ConnectError::PortZero);
}

#[test]
fn b17_a_syn_ack_after_the_connect_deadline_is_reset() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.user_timeout = Some(MS(2_500));
        let mut test = Scripted::connecting(config, numbers);
        test.advance(MS(2_500));
        test.expect_at(0, "[S] seq 100");
        test.expect_at(1_000, "[S] seq 100");
        assert_eq!(test.take_events(), Event::CLOSED | Event::READABLE);
        assert_eq!(test.close_reason(), Some(CloseReason::TimedOut));
        assert_eq!(test.connection.poll_timeout(), None, "the port is free");
        assert_eq!(test.inject("[S.] seq 5000 ack 101 <mss 1000>"), Disposition::Reset);
        test.expect("[R] seq 101");
        test.expect_none();
        assert_eq!(test.take_events(), Event::NONE);
        assert_eq!(test.close_reason(), Some(CloseReason::TimedOut));
    });
}

#[test]
fn b18_a_syn_in_syn_received_gets_the_syn_ack_again() {
    every_wrap(|numbers| {
        let mut test = Scripted::listening(plain_config(), numbers);
        for _ in 0..3 {
            assert_eq!(test.inject("[S] seq 5000 <mss 1000>"), Disposition::Taken);
            test.expect("[S.] seq 100 ack 5001 <mss 1000>");
            test.expect_none();
        }
        // Another number is no repetition: its sender may be forged.
        test.inject("[S] seq 7000 <mss 1000>");
        test.expect("[.] seq 101 ack 5001");
        test.inject("[.] seq 5001 ack 101");
        assert_eq!(test.take_events(), Event::CONNECTED);
    });
}

/// A connection in each synchronised state but TIME-WAIT, and where RCV.NXT and SND.NXT stand.
fn in_each_state(numbers: Numbers) -> Vec<(Scripted, u32, u32)> {
    let established = || Scripted::established(plain_config(), numbers);
    let mut tests = vec![(established(), 5_001, 101)];
    let mut closing = |line: &str, rcv: u32, state: State| {
        let mut test = established();
        test.shutdown_write();
        test.expect("[F.] seq 101 ack 5001");
        if !line.is_empty() {
            test.inject(line);
        }
        test.take_sent();
        assert_eq!(test.state(), state);
        tests.push((test, rcv, 102));
    };
    closing("", 5_001, State::FinWait1);
    closing("[.] seq 5001 ack 102", 5_001, State::FinWait2);
    closing("[F.] seq 5001 ack 101", 5_002, State::Closing);
    let mut test = established();
    test.inject("[F.] seq 5001 ack 101");
    test.advance(MS(40));
    test.expect("[.] seq 101 ack 5002");
    assert_eq!(test.state(), State::CloseWait);
    tests.push((test, 5_002, 101));
    let mut test = established();
    test.inject("[F.] seq 5001 ack 101");
    test.shutdown_write();
    test.expect("[F.] seq 101 ack 5002");
    assert_eq!(test.state(), State::LastAck);
    tests.push((test, 5_002, 102));
    for (test, ..) in &mut tests {
        test.take_events();
    }
    tests
}

#[test]
fn b18_a_syn_in_a_synchronised_state_is_challenged_and_never_a_second_connection() {
    every_wrap(|numbers| {
        for syn in [4_000, 5_000, 5_001, 5_002, 6_000, 900_000] {
            for (mut test, rcv, snd) in in_each_state(numbers) {
                let state = test.state();
                let disposition = test.inject(&format!("[S] seq {syn} <mss 1000>"));
                assert_eq!(disposition, Disposition::Dropped(DropReason::SynChallenged), "{state}, {syn}");
                test.expect(&format!("[.] seq {snd} ack {rcv}"));
                test.expect_none();
                assert_eq!((test.state(), test.take_events()), (state, Event::NONE));
                assert_eq!(test.stats().totals.challenge_acks, 1);
                // A peer that has really begun anew answers the challenge with a RST at its number.
                test.inject(&format!("[R] seq {rcv}"));
                assert_eq!(test.state(), State::Closed);
                assert!(test.take_events().contains(Event::CLOSED));
            }
        }
    });
}

#[test]
fn b21_a_connect_that_nobody_waits_for_tells_once() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(plain_config(), numbers);
        test.inject("[S.] seq 5000 ack 101 <mss 1000>");
        assert_eq!(test.take_events(), Event::CONNECTED);
        assert_eq!(test.connection.poll_event(), None);
        test.advance(Duration::from_secs(10));
        assert_eq!(test.take_events(), Event::NONE);
    });
}

#[test]
fn b21_a_rst_while_idle_is_one_event_and_then_the_reason() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.advance(Duration::from_secs(100));
        let bytes = test.peer_segment("[R] seq 5001");
        let meta = tcp_core::RxMeta::new("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
        test.connection.handle_segment(test.now, &meta, &bytes[..]);
        assert_eq!(test.connection.poll_event(), Some(Event::CLOSED | Event::READABLE));
        assert_eq!(test.connection.poll_event(), None);
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::Reset)));
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::Reset)));
        let write = test.connection.write(test.now, b"x");
        assert_eq!(write, Err(WriteError::Closed(CloseReason::Reset)));
        assert_eq!(test.connection.poll_event(), None);
    });
}
