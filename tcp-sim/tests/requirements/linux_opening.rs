//! Opening a connection as Linux shows it: the schedules of SYN and SYN-ACK to the millisecond, what
//! each failure is called, and what the segments of the handshake offer.

use core::net::SocketAddr;

use tcp_core::{
    CloseReason, ConnConfig, ConnectError, Connection, Disposition, DropReason, Duration, Event, Instant,
    ReadError, Seed, SendReason, State, WriteError, wire::IcmpKind,
};
use tcp_sim::scripted::{Scripted, every_wrap, plain_config};

const SECOND: u64 = 1_000;

/// Advances until `millis` after the beginning.
fn until(test: &mut Scripted, millis: u64) {
    test.advance(Duration::from_millis(millis - test.elapsed()));
}

// req: LNX-SYN-1
#[test]
fn a_syn_is_tried_seven_times_and_given_up_at_127_s() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(ConnConfig::linux(), numbers);
        until(&mut test, 127 * SECOND - 1);
        for at in [0, 1, 3, 7, 15, 31, 63] {
            test.expect_at(at * SECOND, "[S] seq 100");
        }
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::SynSent, None));
        until(&mut test, 127 * SECOND);
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::TimedOut)));
        assert!(test.take_events().contains(Event::CLOSED | Event::READABLE));
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::TimedOut)));
        assert_eq!(test.connection.poll_timeout(), None);
    });
}

// req: LNX-SYN-1
#[test]
fn the_number_of_syns_can_be_set() {
    let mut config = ConnConfig::linux();
    config.retries.syn = 2;
    let mut test = Scripted::connecting(config, Default::default());
    until(&mut test, 7 * SECOND - 1);
    for at in [0, 1, 3] {
        test.expect_at(at * SECOND, "[S] seq 100");
    }
    assert_eq!(test.state(), State::SynSent);
    until(&mut test, 7 * SECOND);
    test.expect_none();
    assert_eq!(test.close_reason(), Some(CloseReason::TimedOut));
}

// req: LNX-SYN-2
#[test]
fn a_syn_ack_is_tried_six_times_and_the_client_is_forgotten_at_63_s() {
    every_wrap(|numbers| {
        let mut test = Scripted::listening(ConnConfig::linux(), numbers);
        test.inject("[S] seq 5000 <mss 1000>");
        until(&mut test, 63 * SECOND - 1);
        for at in [0, 1, 3, 7, 15, 31] {
            test.expect_at(at * SECOND, "[S.] seq 100 ack 5001");
        }
        test.expect_none();
        assert_eq!(test.state(), State::SynReceived);
        until(&mut test, 63 * SECOND);
        assert_eq!(test.state(), State::Listen);
        assert_eq!((test.connection.poll_timeout(), test.connection.memory()), (None, 0));
        test.expect_none();
        // What comes later belongs to nothing.
        assert_eq!(test.inject("[.] seq 5001 ack 101"), Disposition::Reset);
        test.expect("[R] seq 101");
        test.expect_none();
        assert_eq!(test.take_events(), Event::NONE);
    });
}

// req: LNX-SYN-3
#[test]
fn the_syn_again_gets_the_same_syn_ack_at_once_and_leaves_the_schedule_alone() {
    every_wrap(|numbers| {
        let mut test = Scripted::listening(ConnConfig::linux(), numbers);
        test.inject("[S] seq 5000 <mss 1000,sackOK,wscale 3>");
        let first = test.expect_at(0, "[S.] seq 100 ack 5001");
        until(&mut test, 500);
        test.inject("[S] seq 5000 <mss 1000,sackOK,wscale 3>");
        let again = test.expect_at(500, "[S.] seq 100 ack 5001");
        assert_eq!(first.line, again.line);
        until(&mut test, 3 * SECOND);
        test.expect_at(SECOND, "[S.] seq 100 ack 5001");
        test.expect_at(3 * SECOND, "[S.] seq 100 ack 5001");
        // The count is not reset either.
        until(&mut test, 63 * SECOND);
        for at in [7, 15, 31] {
            test.expect_at(at * SECOND, "[S.] seq 100 ack 5001");
        }
        test.expect_none();
        assert_eq!(test.state(), State::Listen);
    });
}

// req: LNX-SYN-4
#[test]
fn every_way_not_to_be_connected_has_its_name() {
    // Nobody listens there.
    let mut test = Scripted::connecting(ConnConfig::linux(), Default::default());
    test.expect("[S] seq 100");
    test.inject("[R.] seq 0 ack 101");
    assert_eq!(test.close_reason(), Some(CloseReason::Refused));
    // Nobody answers.
    let mut test = Scripted::connecting(ConnConfig::linux(), Default::default());
    until(&mut test, 127 * SECOND);
    assert_eq!(test.close_reason(), Some(CloseReason::TimedOut));
    // No route to the network, or to the host.
    for kind in [IcmpKind::NetUnreachable, IcmpKind::HostUnreachable] {
        let mut test = Scripted::connecting(ConnConfig::linux(), Default::default());
        test.expect("[S] seq 100");
        assert_eq!(test.inject_icmp(kind, 100), Disposition::Taken);
        assert_eq!(test.close_reason(), Some(CloseReason::Unreachable));
        assert_eq!(test.connection.last_icmp(), Some(kind));
        assert!(test.take_events().contains(Event::CLOSED));
    }
    // Addresses that no host has.
    let connect = |local: &str, remote: &str| {
        let (local, remote): (SocketAddr, SocketAddr) = (local.parse().unwrap(), remote.parse().unwrap());
        let (config, seed) = (ConnConfig::linux(), Seed::for_test(1));
        Connection::connect(Instant::ZERO, local, remote, config, &seed).map(drop).unwrap_err()
    };
    let us = "10.0.0.1:40001";
    for local in ["0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1"] {
        assert_eq!(connect(local, "10.0.0.2:80"), ConnectError::InvalidLocalAddress);
    }
    for remote in ["0.0.0.0:80", "255.255.255.255:80", "239.1.2.3:80"] {
        assert_eq!(connect(us, remote), ConnectError::InvalidRemoteAddress);
    }
    assert_eq!(connect(us, "10.0.0.2:0"), ConnectError::PortZero);
    assert_eq!(connect(us, "[2001:db8::1]:80"), ConnectError::AddressFamily);
}

// A second connect of the same connection cannot be written: its value is the connection. What the
// caller sees meanwhile is what EINPROGRESS, SO_ERROR and POLLOUT tell.
// req: LNX-SYN-5
#[test]
fn connecting_does_not_wait_and_its_outcome_comes_as_an_event() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(plain_config(), numbers);
        assert_eq!((test.state(), test.close_reason()), (State::SynSent, None));
        assert_eq!(test.take_events(), Event::NONE);
        // Reads wait, writes are kept for later.
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        test.write(b"early");
        test.expect("[S] seq 100");
        test.expect_none();
        test.inject("[S.] seq 5000 ack 101 <mss 1000>");
        assert_eq!(test.take_events(), Event::CONNECTED);
        test.expect("[P.] seq 101:106 ack 5001 len 5");
        test.expect_none();

        let mut test = Scripted::connecting(plain_config(), numbers);
        test.inject("[R.] seq 0 ack 101");
        assert_eq!(test.take_events(), Event::CLOSED | Event::READABLE);
        assert_eq!(test.close_reason(), Some(CloseReason::Refused));
        assert_eq!(test.connection.write(test.now, b"x"), Err(WriteError::Closed(CloseReason::Refused)));
    });
}

// req: LNX-SYN-6
#[test]
fn closing_in_syn_sent_says_nothing_and_a_late_syn_ack_is_reset() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(ConnConfig::linux(), numbers);
        test.expect("[S] seq 100");
        until(&mut test, 10);
        test.close();
        test.expect_none();
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Finished)));
        assert_eq!(test.connection.poll_timeout(), None);
        assert_eq!(test.inject("[S.] seq 5000 ack 101 <mss 1000>"), Disposition::Reset);
        test.expect("[R] seq 101");
        test.advance(Duration::from_secs(200));
        test.expect_none();
        assert_eq!(test.connection.memory(), 0);
    });
}

// A SYN that the device never asked for is not sent either.
#[test]
fn closing_before_the_syn_has_left_sends_none() {
    let (local, remote) = ("10.0.0.1:40001".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
    let seed = Seed::for_test(1);
    let mut connection =
        Connection::connect(Instant::ZERO, local, remote, ConnConfig::linux(), &seed).unwrap();
    connection.close(Instant::ZERO);
    assert!(connection.poll_transmit(Instant::ZERO, &Default::default(), &mut [0; 1_500]).is_none());
}

// req: LNX-LSN-10
#[test]
fn the_handshake_advertises_at_most_65535_and_a_scale_for_the_greatest_buffer() {
    // 32 MiB / 65535 is a little more than 2^9.
    let options = "<mss 1460,sackOK,TS 1000000 0,wscale 10>";
    let mut test = Scripted::connecting(ConnConfig::linux(), Default::default());
    test.expect(&format!("[S] seq 100 win 65535 {options}"));
    test.inject("[S.] seq 5000 ack 101 <mss 1460,sackOK,TS 7 1000000,wscale 7>");
    // The first ACK promises no more than the SYN did, but for the rounding: 64 units of 1024 bytes,
    // since 63 would take back what was promised (RFC 7323 §2.4).
    let ack = test.expect("[.] seq 101 ack 5001 win 64 <TS 1000000 7>");
    assert_eq!(ack.reason, SendReason::Ack);

    let mut test = Scripted::listening(ConnConfig::linux(), Default::default());
    test.inject("[S] seq 5000 <mss 1460,sackOK,TS 7 0,wscale 7>");
    test.expect("[S.] seq 100 ack 5001 win 65535 <mss 1460,sackOK,TS 1000000 7,wscale 10>");

    for (max, shift) in [(65_535, 0), (65_536, 1), (6 << 20, 7), (65_535 << 14, 14)] {
        let mut config = ConnConfig::linux();
        config.receive_buffer.initial = 60_000;
        config.receive_buffer.max = max;
        let mut test = Scripted::connecting(config, Default::default());
        test.expect(&format!("[S] seq 100 win 60000 <mss 1460,sackOK,TS 1000000 0,wscale {shift}>"));
    }
}

// req: LNX-SELF
#[test]
fn a_connection_to_itself_reads_what_it_writes() {
    every_wrap(|numbers| {
        // One and the same sequence space: what comes back has our numbers.
        let same = tcp_sim::scripted::Numbers { local: numbers.local, remote: numbers.local };
        let mut config = plain_config();
        config.no_delay = true;
        let mut test = Scripted::connecting_to_itself(config, same);
        echo_all(&mut test);
        assert_eq!(test.state(), State::Established);
        assert_eq!(test.take_events(), Event::CONNECTED);
        let data: Vec<u8> = (0..1_000u32).map(|byte| (byte % 251) as u8).collect();
        test.write(&data);
        echo_all(&mut test);
        assert_eq!(test.read(2_000).as_deref(), Ok(&data[..]));
        test.advance(Duration::from_secs(1));
        echo_all(&mut test);
        assert_eq!(test.stats().unacknowledged, 0);
        test.close();
        echo_all(&mut test);
        test.advance(Duration::from_secs(1));
        echo_all(&mut test);
        assert_eq!(test.state(), State::TimeWait);
        test.advance(Duration::from_secs(60));
        assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Finished)));
        assert_eq!(test.connection.drops().get(DropReason::StrayReset), 0);
    });
}

/// Gives back what is sent until nothing more is; there is an end to it (no storm).
fn echo_all(test: &mut Scripted) {
    for _ in 0..50 {
        if !test.has_sent() {
            return;
        }
        test.echo();
    }
    panic!("it does not fall silent");
}
