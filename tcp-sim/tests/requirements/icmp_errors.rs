//! What ICMP errors do to one of two whole ends, over IPv4 and IPv6 (RFC 9293 §3.9.2.2, RFC 5927), and when they are
//! believed. Against a scripted peer: `icmp.rs`.

use crate::ends::{Ends, Packet, V4, V6, tcp};
use tcp_core::wire::{IcmpKind, IpHeader};
use tcp_core::{
    CloseReason, ConnConfig, Disposition, DropReason, Duration, Event, OnUnreachable, SoftError, State,
};

const SECOND: Duration = Duration::from_secs(1);

const SOFT: [IcmpKind; 7] = [
    IcmpKind::NetUnreachable,
    IcmpKind::HostUnreachable,
    IcmpKind::TimeExceeded { reassembly: false },
    IcmpKind::TimeExceeded { reassembly: true },
    IcmpKind::ParameterProblem { code: 0, pointer: 20 },
    IcmpKind::SourceRouteFailed,
    IcmpKind::Prohibited,
];

/// The error that a router sends about a packet.
fn error(kind: IcmpKind, offending: &Packet) -> Packet {
    let v6 = offending[0] >> 4 == 6;
    let router = if v6 { "2001:db8::ff" } else { "10.0.0.254" }.parse().expect("an address");
    let source = if v6 {
        let octets: [u8; 16] = offending[8..24].try_into().expect("an address");
        octets.into()
    } else {
        let octets: [u8; 4] = offending[12..16].try_into().expect("an address");
        std::net::IpAddr::from(octets)
    };
    let mut buf = vec![0; 1_500];
    let length = kind.emit(&IpHeader::new(router, source), offending, &mut buf).unwrap_or(0);
    buf.truncate(length);
    buf
}

/// A has sent ten bytes that are under way.
fn in_flight(texts: [&str; 2], config: ConnConfig) -> (Ends, Packet) {
    let mut ends = Ends::connected(texts, config);
    ends.ends[0].poll_event();
    ends.ends[0].write(ends.now, &[1; 10]).expect("room");
    ends.drain();
    let data = ends.wires[1].pop_front().expect("data");
    (ends, data)
}

// req: MUST-56, MUST-47, SHLD-25
// trap: 26
#[test]
fn soft_errors_are_told_and_end_nothing() {
    for texts in [V4, V6] {
        for kind in SOFT {
            let (mut ends, data) = in_flight(texts, ConnConfig::default());
            let message = error(kind, &data);
            if message.is_empty() {
                // This family of addresses cannot say so.
                continue;
            }
            let before = ends.ends[0].stats().expect("a connection").congestion_window;
            assert_eq!(ends.ends[0].handle_packet(ends.now, &message[..]), Disposition::Taken, "{kind:?}");
            assert_eq!(ends.ends[0].state(), State::Established);
            assert_eq!(ends.ends[0].poll_event(), Some(Event::WARNING));
            assert_eq!(ends.ends[0].soft_error(), Some(SoftError::Unreachable));
            assert_eq!(ends.ends[0].stats().expect("a connection").congestion_window, before);
            // At R2 it is a better reason than silence.
            for _ in 0..2_000 {
                ends.drain();
                ends.lose();
                ends.now += SECOND;
                ends.ends[0].handle_timeout(ends.now);
            }
            assert_eq!(ends.ends[0].close_reason(), Some(CloseReason::Unreachable), "{kind:?}");
        }
    }
}

// req: SHLD-26, MUST-56
// trap: 26
#[test]
fn a_hard_error_refuses_an_open_and_is_soft_on_a_live_connection() {
    for texts in [V4, V6] {
        for kind in [IcmpKind::PortUnreachable, IcmpKind::ProtocolUnreachable] {
            let (mut ends, data) = in_flight(texts, ConnConfig::default());
            let message = error(kind, &data);
            if message.is_empty() {
                continue;
            }
            ends.ends[0].handle_packet(ends.now, &message[..]);
            assert_eq!(ends.ends[0].state(), State::Established);
            assert_eq!(ends.ends[0].soft_error(), Some(SoftError::Unreachable));

            let mut ends = Ends::new(texts, [ConnConfig::default(), ConnConfig::default()]);
            ends.drain();
            let syn = ends.wires[1].pop_front().expect("a SYN");
            ends.ends[0].handle_packet(ends.now, &error(kind, &syn)[..]);
            assert_eq!(ends.ends[0].close_reason(), Some(CloseReason::Refused));
        }
    }
}

// req: MUST-56
#[test]
fn a_soft_error_while_connecting_fails_the_open_or_does_not_as_configured() {
    for (choice, state) in [(OnUnreachable::KeepTrying, State::SynSent), (OnUnreachable::Fail, State::Closed)]
    {
        let mut config = ConnConfig::default();
        config.unreachable_while_connecting = choice;
        let mut ends = Ends::new(V4, [config.clone(), config]);
        ends.drain();
        let syn = ends.wires[1].pop_front().expect("a SYN");
        ends.ends[0].handle_packet(ends.now, &error(IcmpKind::NetUnreachable, &syn)[..]);
        assert_eq!(ends.ends[0].state(), state);
        ends.advance(SECOND * 2);
        let expected = if state == State::Closed { State::Closed } else { State::Established };
        assert_eq!(ends.ends[0].state(), expected);
    }
    assert_eq!(ConnConfig::rfc().unreachable_while_connecting, OnUnreachable::KeepTrying);
}

// req: MUST-55
#[test]
fn source_quench_is_ignored() {
    let (mut ends, data) = in_flight(V4, ConnConfig::default());
    let message = error(IcmpKind::SourceQuench, &data);
    assert!(!message.is_empty());
    let digest = ends.ends[0].digest();
    assert_eq!(
        ends.ends[0].handle_packet(ends.now, &message[..]),
        Disposition::Dropped(DropReason::IcmpIgnored)
    );
    assert_eq!((ends.ends[0].digest(), ends.ends[0].poll_event()), (digest, None));
}

// req: MUST-54
// trap: 26
#[test]
fn an_error_counts_for_the_connection_it_quotes_and_what_that_has_in_flight() {
    for texts in [V4, V6] {
        let (mut ends, data) = in_flight(texts, ConnConfig::default());
        let header = crate::ends::ip_header_len(&data);
        let ignored = Disposition::Dropped(DropReason::IcmpIgnored);
        let digest = ends.ends[0].digest();
        let change = |at: usize, bytes: &[u8]| {
            let mut other = data.clone();
            other[at..at + bytes.len()].copy_from_slice(bytes);
            error(IcmpKind::PortUnreachable, &other)
        };
        let seq = tcp(&data).seq();
        let last_address = header - 1;
        for message in [
            change(header, &9_u16.to_be_bytes()),
            change(header + 2, &9_u16.to_be_bytes()),
            change(last_address, &[77]),
            // Acknowledged long ago, not sent yet.
            change(header + 4, &(seq - 1).0.to_be_bytes()),
            change(header + 4, &(seq + 10).0.to_be_bytes()),
            change(header + 4, &(seq + 1_000_000).0.to_be_bytes()),
        ] {
            let disposition = ends.ends[0].handle_packet(ends.now, &message[..]);
            assert!(matches!(disposition, Disposition::Dropped(_)));
            assert_eq!((ends.ends[0].digest(), ends.ends[0].poll_event()), (digest, None));
        }
        // Anything in flight counts.
        let message = change(header + 4, &(seq + 9).0.to_be_bytes());
        assert_eq!(ends.ends[0].handle_packet(ends.now, &message[..]), Disposition::Taken);
        // With nothing in flight, nothing does.
        ends.wires[1].push_back(data.clone());
        ends.advance(SECOND);
        let message = error(IcmpKind::PortUnreachable, &data);
        assert_eq!(ends.ends[0].handle_packet(ends.now, &message[..]), ignored);
    }
}

// req: SHLD-20
#[test]
fn reports_of_icmp_can_be_switched_off() {
    let mut config = ConnConfig::default();
    config.report_soft_errors = false;
    let (mut ends, data) = in_flight(V4, config.clone());
    let message = error(IcmpKind::HostUnreachable, &data);
    ends.ends[0].handle_packet(ends.now, &message[..]);
    assert_eq!(ends.ends[0].poll_event(), None);
    // Hard errors still surface.
    let mut ends = Ends::new(V4, [config.clone(), config]);
    ends.drain();
    let syn = ends.wires[1].pop_front().expect("a SYN");
    ends.ends[0].handle_packet(ends.now, &error(IcmpKind::PortUnreachable, &syn)[..]);
    assert!(ends.ends[0].poll_event().is_some_and(|event| event.contains(Event::CLOSED)));
    assert_eq!(ends.ends[0].close_reason(), Some(CloseReason::Refused));
}

// trap: 26
#[test]
fn too_big_cuts_smaller_within_bounds_and_leaves_the_window() {
    // What is below the least that IPv4 paths have is taken for that; below IPv6's least MTU the
    // message is no true one (RFC 8201 §4).
    for (texts, below, headers) in [(V4, Some(552), 40), (V6, None, 60)] {
        for (mtu, effective) in [(1_400, Some(1_400)), (68, below), (1_500, None), (9_000, None)] {
            let mut ends = Ends::connected(texts, ConnConfig::default());
            ends.ends[0].write(ends.now, &[1; 5_000]).expect("room");
            ends.drain();
            let data = ends.wires[1].pop_front().expect("data");
            let sent_before = ends.sent[0].len();
            ends.lose();
            let message = error(IcmpKind::PacketTooBig { mtu }, &data);
            let before = ends.ends[0].stats().expect("a connection");
            ends.ends[0].handle_packet(ends.now, &message[..]);
            let after = ends.ends[0].stats().expect("a connection");
            let expected = effective.map_or(before.send_mss, |mtu: u32| (mtu - headers) as u16);
            assert_eq!(after.send_mss, expected, "{mtu}");
            if effective.is_some() {
                ends.drain();
                assert!(ends.sent[0].len() > sent_before, "sent again at once");
                let largest = ends.sent[0][sent_before..].iter().map(|packet| packet.len()).max();
                assert!(largest <= Some(effective.unwrap_or(0) as usize), "{largest:?}");
                // The same message again does nothing.
                let digest = ends.ends[0].digest();
                ends.ends[0].handle_packet(ends.now, &message[..]);
                assert_eq!(ends.ends[0].digest(), digest);
            }
            ends.advance(SECOND * 5);
            assert_eq!(ends.read(1), vec![1; 5_000]);
        }
    }
}
