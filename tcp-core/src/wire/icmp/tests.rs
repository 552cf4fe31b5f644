use super::*;
use crate::wire::{Flags, Segment, TcpPacket};
use proptest::prelude::*;
use std::vec::Vec;

const V4: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.9.9.9"];
const V6: [&str; 3] = ["2001:db8::1", "2001:db8::2", "2001:db8:9::9"];

/// A segment from the first address to the second.
fn offending([us, peer, _]: [&str; 3], payload: &[u8]) -> Vec<u8> {
    let segment = Segment {
        src_port: 40001,
        dst_port: 80,
        seq: SeqNumber(0x0102_0304),
        flags: Flags::ACK,
        payload,
        ..Segment::default()
    };
    let packet = TcpPacket { ip: IpHeader::new(us.parse().unwrap(), peer.parse().unwrap()), segment };
    let mut bytes = std::vec![0; 1500];
    let len = packet.emit(&mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

/// The packet in which the third address tells the first.
fn told([us, _, router]: [&str; 3], kind: IcmpKind, quote: &[u8]) -> Vec<u8> {
    let ip = IpHeader::new(router.parse().unwrap(), us.parse().unwrap());
    let mut bytes = std::vec![0; 1500];
    let len = kind.emit(&ip, quote, &mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

fn parse(bytes: &[u8]) -> Result<Option<IcmpError>, Malformed> {
    IcmpError::parse(&IpPacket::parse(bytes).unwrap())
}

fn kind_of(icmp_type: u8, code: u8, addresses: [&str; 3]) -> Option<IcmpKind> {
    let bytes = told(addresses, IcmpKind::Other { icmp_type, code }, &offending(addresses, b""));
    parse(&bytes).unwrap().map(|error| error.kind)
}

#[test]
fn an_error_names_its_kind_and_the_segment_it_is_about() {
    let common = [
        IcmpKind::NetUnreachable,
        IcmpKind::HostUnreachable,
        IcmpKind::PortUnreachable,
        IcmpKind::SourceRouteFailed,
        IcmpKind::Prohibited,
        IcmpKind::PacketTooBig { mtu: 1400 },
        IcmpKind::PacketTooBig { mtu: 0 },
        IcmpKind::TimeExceeded { reassembly: false },
        IcmpKind::TimeExceeded { reassembly: true },
        IcmpKind::ParameterProblem { code: 1, pointer: 20 },
    ];
    let v4_only = [IcmpKind::ProtocolUnreachable, IcmpKind::SourceQuench];
    let v6_only = [IcmpKind::PacketTooBig { mtu: 100_000 }];
    let v4 = common.into_iter().chain(v4_only).map(|kind| (V4, kind));
    let v6 = common.into_iter().chain(v6_only).map(|kind| (V6, kind));
    for (addresses, kind) in v4.chain(v6) {
        let segment = offending(addresses, &[0; 1300]);
        let error = parse(&told(addresses, kind, &segment)).unwrap().unwrap();
        assert_eq!(error.kind, kind);
        assert_eq!(error.from, addresses[2].parse::<IpAddr>().unwrap());
        let [us, peer, _] = addresses.map(|address| address.parse::<IpAddr>().unwrap());
        let tuple = FourTuple::new(SocketAddr::new(us, 40001), SocketAddr::new(peer, 80));
        let packet_len = segment.len() as u32;
        assert_eq!(error.quoted, QuotedTcp { tuple, seq: SeqNumber(0x0102_0304), packet_len });
    }
    for kind in v4_only {
        let ip = IpHeader::new(V6[2].parse().unwrap(), V6[0].parse().unwrap());
        assert_eq!(kind.emit(&ip, &[], &mut [0; 100]), None);
    }
}

#[test]
fn the_codes_of_unreachable_are_those_of_rfc_792_and_1122_and_4443() {
    use IcmpKind::{HostUnreachable as Host, NetUnreachable as Net, Prohibited};
    for (code, kind) in [
        (0, Net),
        (1, Host),
        (2, IcmpKind::ProtocolUnreachable),
        (3, IcmpKind::PortUnreachable),
        (4, IcmpKind::PacketTooBig { mtu: 0 }),
        (5, IcmpKind::SourceRouteFailed),
        (6, Net),
        (7, Host),
        (8, Host),
        (9, Prohibited),
        (10, Prohibited),
        (11, Net),
        (12, Host),
        (13, Prohibited),
        (15, Prohibited),
        (16, IcmpKind::Other { icmp_type: 3, code: 16 }),
    ] {
        assert_eq!(kind_of(3, code, V4), Some(kind), "{code}");
    }
    for (code, kind) in [
        (0, Net),
        (1, Prohibited),
        (2, Host),
        (3, Host),
        (4, IcmpKind::PortUnreachable),
        (5, Prohibited),
        (6, Prohibited),
        (7, IcmpKind::SourceRouteFailed),
        (8, IcmpKind::Other { icmp_type: 1, code: 8 }),
    ] {
        assert_eq!(kind_of(1, code, V6), Some(kind), "{code}");
    }
}

// req: IP6-12
#[test]
fn unknown_errors_are_passed_on_and_unknown_information_is_not() {
    assert_eq!(kind_of(100, 3, V6), Some(IcmpKind::Other { icmp_type: 100, code: 3 }));
    for icmp_type in [128, 129, 200, 255] {
        assert_eq!(kind_of(icmp_type, 0, V6), None);
    }
    for icmp_type in [0, 8, 5, 13, 100] {
        assert_eq!(kind_of(icmp_type, 0, V4), None);
    }
}

// req: IP6-15
#[test]
fn a_wrong_checksum_drops_the_message() {
    for addresses in [V4, V6] {
        let good = told(addresses, IcmpKind::PacketTooBig { mtu: 1400 }, &offending(addresses, b""));
        let ip_len = if addresses == V4 { 20 } else { 40 };
        for at in ip_len..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            assert_eq!(parse(&bytes), Err(Malformed::Checksum), "byte {at}");
        }
    }
    let mut bytes = told(V6, IcmpKind::PortUnreachable, &offending(V6, b""));
    bytes[23] ^= 1;
    assert_eq!(parse(&bytes), Err(Malformed::Checksum), "the pseudo-header counts");
}

// req: 5927-6
#[test]
fn a_quote_that_says_too_little_or_something_else_has_no_effect() {
    for addresses in [V4, V6] {
        let segment = offending(addresses, b"data");
        let ip_len = if addresses == V4 { 20 } else { 40 };
        for len in 0..64 {
            let quote = &segment[..len.min(segment.len())];
            let error = parse(&told(addresses, IcmpKind::HostUnreachable, quote));
            assert_eq!(error.is_ok(), len >= ip_len + 8, "{len}");
            if len >= ip_len + 8 {
                assert!(error.unwrap().is_some());
            }
        }
    }
    let refilled = |at: usize, value: u8| {
        let mut quote = offending(V4, b"data");
        quote[at] = value;
        checksum::fill(Checksum::new(), &mut quote[..20], 10);
        parse(&told(V4, IcmpKind::HostUnreachable, &quote))
    };
    assert_eq!(refilled(9, 17), Ok(None), "another protocol");
    assert_eq!(refilled(7, 1), Ok(None), "a later fragment");
    assert_eq!(refilled(0, 0x44), Err(Malformed::IpHeaderLength));
    assert_eq!(refilled(0, 0x4f), Err(Malformed::IpHeaderLength));
    assert_eq!(refilled(0, 0x65), Err(Malformed::IpVersion));
    let mut quote = offending(V4, b"data");
    quote[8] ^= 1;
    let bytes = told(V4, IcmpKind::HostUnreachable, &quote);
    assert_eq!(parse(&bytes), Err(Malformed::IpHeaderChecksum));

    let mut quote = offending(V6, b"data");
    quote[6] = 17;
    assert_eq!(parse(&told(V6, IcmpKind::HostUnreachable, &quote)), Ok(None));
    quote[6] = 44;
    quote[40..48].copy_from_slice(&[6, 0, 0, 8, 0, 0, 0, 1]);
    assert_eq!(parse(&told(V6, IcmpKind::HostUnreachable, &quote)), Ok(None), "a later fragment");
}

#[test]
fn no_more_is_quoted_than_may_be() {
    let segment = offending(V4, &[0; 1400]);
    assert_eq!(told(V4, IcmpKind::PortUnreachable, &segment).len(), 576);
    let segment = offending(V6, &[0; 1400]);
    assert_eq!(told(V6, IcmpKind::PortUnreachable, &segment).len(), 1280);
}

proptest! {
    // req: 5927-6
    #[test]
    fn no_quote_makes_the_parser_panic(
        mut quote in proptest::collection::vec(any::<u8>(), 0..64), cut in 0_usize..64, icmp_type in 0_u8..20,
    ) {
        for addresses in [V4, V6] {
            let mut mixed = offending(addresses, b"data");
            mixed.truncate(cut);
            mixed.append(&mut quote.clone());
            for quote in [&mut quote, &mut mixed] {
                let bytes = told(addresses, IcmpKind::Other { icmp_type, code: 0 }, quote);
                if let Ok(Some(error)) = parse(&bytes) {
                    prop_assert!(quote.len() >= 28);
                    prop_assert_eq!(error.from, addresses[2].parse::<IpAddr>().unwrap());
                }
            }
        }
    }

    #[test]
    fn another_parser_finds_our_checksums_right(payload in proptest::collection::vec(any::<u8>(), 0..99)) {
        let bytes = told(V4, IcmpKind::PacketTooBig { mtu: 1400 }, &offending(V4, &payload));
        let theirs = etherparse::Icmpv4Slice::from_slice(&bytes[20..]).unwrap();
        prop_assert_eq!(theirs.checksum(), theirs.icmp_type().calc_checksum(theirs.payload()));
        let bytes = told(V6, IcmpKind::PacketTooBig { mtu: 1400 }, &offending(V6, &payload));
        let theirs = etherparse::Icmpv6Slice::from_slice(&bytes[40..]).unwrap();
        let [us, router] = [V6[0], V6[2]].map(|v6| v6.parse::<core::net::Ipv6Addr>().unwrap().octets());
        let expected = theirs.icmp_type().calc_checksum(router, us, theirs.payload()).unwrap();
        prop_assert_eq!(theirs.checksum(), expected);
    }
}
