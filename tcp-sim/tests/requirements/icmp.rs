//! What ICMP does to a connection, kind by kind (RFC 1122 §3.2.2, §4.2.3.9; RFC 5927; RFC 5461), against a scripted
//! peer. With two whole ends, both families and a smaller path MTU: `icmp_errors.rs`.

use tcp_core::wire::{Checksum, Flags, IcmpKind, IpHeader, Segment, TcpPacket};
use tcp_core::{
    CloseReason, ConnConfig, Connection, Disposition, DropReason, Duration, Event, Instant, OnUnreachable,
    Seed, SeqNumber, SoftError, State, TxCaps,
};
use tcp_sim::scripted::{Scripted, every_wrap, plain_config};

const IGNORED: Disposition = Disposition::Dropped(DropReason::IcmpIgnored);

/// Every error that says that a segment did not arrive.
const KINDS: [IcmpKind; 8] = [
    IcmpKind::NetUnreachable,
    IcmpKind::HostUnreachable,
    IcmpKind::ProtocolUnreachable,
    IcmpKind::PortUnreachable,
    IcmpKind::SourceRouteFailed,
    IcmpKind::Prohibited,
    IcmpKind::TimeExceeded { reassembly: false },
    IcmpKind::ParameterProblem { code: 0, pointer: 9 },
];

// req: 5927-1
#[test]
fn only_what_is_in_flight_can_have_been_in_an_errors_way() {
    every_wrap(|numbers| {
        for kind in KINDS {
            let mut test = Scripted::established(plain_config(), numbers);
            // Nothing is in flight.
            for seq in [100, 101, 102] {
                assert_eq!(test.inject_icmp(kind, seq), IGNORED);
            }
            test.write_len(500);
            for seq in [99, 100, 601, 602, 5_001] {
                assert_eq!(test.inject_icmp(kind, seq), IGNORED, "{seq}");
            }
            assert_eq!((test.take_events(), test.connection.soft_error()), (Event::NONE, None));
            assert_eq!(test.connection.last_icmp(), None);
            assert_eq!(test.inject_icmp(kind, 101), Disposition::Taken);
            assert_eq!(test.inject_icmp(kind, 600), Disposition::Taken);
            // Acknowledged is no longer in flight.
            test.inject("[.] seq 5001 ack 301");
            assert_eq!(test.inject_icmp(kind, 300), IGNORED);
            assert_eq!(test.connection.drops().get(DropReason::IcmpIgnored), 9);
        }
    });
}

// Precedence 2 of the requirements.
// req: 5927-2, LNX-ERR-3
#[test]
fn an_established_connection_outlives_every_error() {
    every_wrap(|numbers| {
        for kind in KINDS {
            let mut test = Scripted::established(plain_config(), numbers);
            test.write_len(100);
            test.take_sent();
            assert_eq!(test.inject_icmp(kind, 101), Disposition::Taken);
            test.expect_none();
            assert_eq!((test.state(), test.close_reason()), (State::Established, None));
            assert_eq!(test.take_events(), Event::WARNING);
            assert_eq!(test.connection.soft_error(), Some(SoftError::Unreachable));
            assert_eq!(test.connection.last_icmp(), Some(kind));
            test.inject("[.] seq 5001 ack 201");
            assert_eq!(test.take_events(), Event::RECOVERED);
        }
    });
}

// req: 1122-1, LNX-ERR-3
#[test]
fn no_port_and_no_protocol_refuse_an_open() {
    every_wrap(|numbers| {
        for kind in [IcmpKind::PortUnreachable, IcmpKind::ProtocolUnreachable] {
            for policy in [OnUnreachable::Fail, OnUnreachable::KeepTrying] {
                let mut config = plain_config();
                config.unreachable_while_connecting = policy;
                let mut test = Scripted::connecting(config, numbers);
                test.expect("[S] seq 100");
                assert_eq!(test.inject_icmp(kind, 100), Disposition::Taken);
                assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Refused)));
                assert_eq!(test.connection.last_icmp(), Some(kind), "which of the two it was");
                assert!(test.take_events().contains(Event::CLOSED));
                test.advance(Duration::from_secs(200));
                test.expect_none();
            }
        }
    });
}

// Precedence 3 of the requirements: as in Linux by default, to the letter of RFC 9293 on request.
// req: 5461-1, LNX-ERR-3
#[test]
fn unreachable_fails_an_open_at_once_or_lets_it_go_on() {
    every_wrap(|numbers| {
        for kind in KINDS {
            if matches!(kind, IcmpKind::PortUnreachable | IcmpKind::ProtocolUnreachable) {
                continue;
            }
            let mut test = Scripted::connecting(ConnConfig::linux(), numbers);
            test.expect("[S] seq 100");
            for other in [99, 101, 5_000] {
                assert_eq!(test.inject_icmp(kind, other), IGNORED);
            }
            assert_eq!(test.state(), State::SynSent);
            assert_eq!(test.inject_icmp(kind, 100), Disposition::Taken);
            assert_eq!((test.state(), test.close_reason()), (State::Closed, Some(CloseReason::Unreachable)));
            assert_eq!(test.connection.last_icmp(), Some(kind));
            test.advance(Duration::from_secs(200));
            test.expect_none();

            let mut test = Scripted::connecting(ConnConfig::rfc(), numbers);
            test.expect("[S] seq 100");
            assert_eq!(test.inject_icmp(kind, 100), Disposition::Taken);
            assert_eq!((test.state(), test.take_events()), (State::SynSent, Event::WARNING));
            test.advance(Duration::from_secs(1));
            test.expect("[S] seq 100");
            test.inject("[S.] seq 5000 ack 101 <mss 1000>");
            assert_eq!(test.state(), State::Established);
            // The peer can be reached after all.
            assert_eq!(test.take_events(), Event::CONNECTED | Event::RECOVERED);
            assert_eq!(test.connection.soft_error(), None);
        }
    });
}

// req: 5927-3
#[test]
fn an_error_about_another_connection_is_none_of_ours() {
    for kind in KINDS {
        let mut test = Scripted::connecting(plain_config(), Default::default());
        let sent = test.expect("[S] seq 100");
        for (src_port, dst_port, dst) in
            [(40_001, 81, "10.0.0.2"), (40_002, 80, "10.0.0.2"), (40_001, 80, "10.0.0.3")]
        {
            let mut segment = Segment::parse(&sent.bytes).unwrap();
            (segment.src_port, segment.dst_port) = (src_port, dst_port);
            let ip = IpHeader::new("10.0.0.1".parse().unwrap(), dst.parse().unwrap());
            let mut quoted = [0; 100];
            let len = TcpPacket { ip, segment }.emit(&mut quoted).unwrap();
            let mut packet = [0; 576];
            let router = IpHeader::new("10.9.9.9".parse().unwrap(), "10.0.0.1".parse().unwrap());
            let len = kind.emit(&router, &quoted[..len], &mut packet).unwrap();
            assert_eq!(test.connection.handle_packet(test.now, &packet[..len]), IGNORED);
        }
        assert_eq!((test.state(), test.connection.last_icmp()), (State::SynSent, None));
    }
}

// req: 1122-2
#[test]
fn an_error_about_another_protocol_does_not_touch_tcp() {
    let mut test = Scripted::connecting(plain_config(), Default::default());
    test.expect("[S] seq 100");
    let mut packet = test.icmp_packet(IcmpKind::PortUnreachable, 100);
    // The quoted IPv4 header stands behind 20 bytes of IP and 8 of ICMP; its protocol is byte 9.
    for protocol in [17, 1, 132] {
        packet[28 + 9] = protocol;
        fill_icmp_checksum(&mut packet);
        assert_eq!(test.connection.handle_packet(test.now, &packet[..]), IGNORED);
    }
    assert_eq!(test.state(), State::SynSent);
    packet[28 + 9] = 6;
    fill_icmp_checksum(&mut packet);
    assert_eq!(test.connection.handle_packet(test.now, &packet[..]), Disposition::Taken);
    assert_eq!(test.close_reason(), Some(CloseReason::Refused));
}

// req: 1122-3, 6633-1
#[test]
fn what_nobody_knows_and_source_quench_are_dropped_and_counted() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(5_000);
        let before = (test.take_sent().len(), test.stats().congestion_window, test.connection.digest());
        let strange = [(99, 0), (3, 200), (5, 0), (0, 0), (4, 0)];
        for (icmp_type, code) in strange {
            assert_eq!(test.inject_icmp(IcmpKind::Other { icmp_type, code }, 101), IGNORED);
        }
        assert_eq!(test.inject_icmp(IcmpKind::SourceQuench, 101), IGNORED);
        test.expect_none();
        let after = (5, test.stats().congestion_window, test.connection.digest());
        assert_eq!(before, after);
        assert_eq!(test.connection.drops().get(DropReason::IcmpIgnored), 6);
        assert_eq!(test.take_events(), Event::NONE);
    });
}

/// Of the quoted IPv4 header, and of the whole message.
fn fill_icmp_checksum(packet: &mut [u8]) {
    for (at, covered) in [(38, 28..48), (22, 20..packet.len())] {
        packet[at..at + 2].fill(0);
        let sum = Checksum::new().with(&packet[covered]).finish();
        packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

// req: 1122-8
#[test]
fn every_packet_has_the_ttl_that_is_configured() {
    for hop_limit in [64, 17] {
        let mut config = plain_config();
        config.hop_limit = hop_limit;
        let (now, local) = (Instant::ZERO, "10.0.0.1:80".parse().unwrap());
        let mut server = Connection::listen(now, local, config, &Seed::for_test(1)).unwrap();
        let mut from_peer = |flags, seq, ack| {
            let ip = IpHeader::new("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
            let segment = Segment {
                src_port: 5_000,
                dst_port: 80,
                flags,
                seq: SeqNumber(seq),
                ack: SeqNumber(ack),
                ..Segment::default()
            };
            let mut bytes = [0; 100];
            let len = TcpPacket { ip, segment }.emit(&mut bytes).unwrap();
            server.handle_packet(now, &bytes[..len]);
            let mut answer = [0; 100];
            let sent = server.poll_transmit(now, &TxCaps::default(), &mut answer).unwrap();
            assert_eq!(sent.hop_limit, hop_limit);
            // Where it stands in IPv4.
            assert_eq!(answer[8], hop_limit);
            Segment::parse(&answer[20..sent.len]).unwrap().flags
        };
        // A RST for what nobody has asked for, and a SYN-ACK.
        assert!(from_peer(Flags::ACK, 1, 1).rst());
        assert!(from_peer(Flags::SYN, 1, 0).syn());
    }
}
