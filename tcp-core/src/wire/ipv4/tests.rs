use super::*;
use crate::RxChecksum;
use crate::wire::{PROTOCOL_TCP, Segment, TcpPacket};
use proptest::prelude::*;
use std::vec::Vec;

fn header() -> Ipv4Header {
    Ipv4Header {
        src: Ipv4Addr::new(10, 0, 0, 1),
        dst: Ipv4Addr::new(10, 0, 0, 2),
        ttl: 64,
        dscp: 0x2e,
        ecn: Ecn::Ect0,
        protocol: PROTOCOL_TCP,
        identification: 0x1234,
    }
}

fn packet(payload: &[u8]) -> Vec<u8> {
    let mut bytes = std::vec![0xee; 20];
    assert_eq!(header().emit(payload.len(), &mut bytes), Some(20));
    bytes.extend_from_slice(payload);
    bytes
}

fn with_options(options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = packet(payload);
    bytes.splice(20..20, options.iter().copied());
    bytes[0] = 0x45 + (options.len() / 4) as u8;
    bytes[3] += options.len() as u8;
    refill(&mut bytes);
    bytes
}

fn refill(bytes: &mut [u8]) {
    let header_len = usize::from(bytes[0] & 0xf) * 4;
    checksum::fill(Checksum::new(), &mut bytes[..header_len], 10);
}

// req: 1191-5
#[test]
fn a_header_is_written_with_dont_fragment_and_its_checksum() {
    let bytes = packet(b"data");
    let expected = [0x45, 0xba, 0, 24, 0x12, 0x34, 0x40, 0, 64, 6];
    assert_eq!(bytes[..10], expected);
    let view = Ipv4View::new(&bytes).unwrap();
    assert!(view.dont_fragment());
    assert_eq!((view.payload(), view.fragment()), (&b"data"[..], None));
    assert_eq!(header().emit(65_516, &mut [0; 20]), None);
    assert_eq!(header().emit(0, &mut [0; 19]), None);
}

// req: IP4-1
#[test]
fn another_version_is_dropped() {
    for version in [0, 5, 6, 15] {
        let mut bytes = packet(b"data");
        bytes[0] = version << 4 | 5;
        assert_eq!(Ipv4View::new(&bytes), Err(Malformed::IpVersion));
    }
    assert_eq!(IpPacket::parse(&[0x55; 40]), Err(Malformed::IpVersion));
    assert_eq!(IpPacket::parse(&[]), Err(Malformed::TooShort));
}

// req: IP4-2
#[test]
fn any_wrong_bit_in_the_header_is_noticed() {
    let good = packet(b"data");
    for bit in 0..160 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Ipv4View::new(&bytes).is_err(), "bit {bit}");
    }
}

// req: IP4-3
#[test]
fn lengths_that_do_not_fit_drop_the_packet_and_padding_is_cut_off() {
    let mut padded = packet(b"data");
    padded.resize(46, 0xee);
    assert_eq!(Ipv4View::new(&padded).unwrap().payload(), b"data");

    for (total_len, header_len, reason) in [
        (47, 5, Malformed::IpTotalLength),
        (65_535, 5, Malformed::IpTotalLength),
        (19, 5, Malformed::IpTotalLength),
        (0, 5, Malformed::IpTotalLength),
        (23, 6, Malformed::IpTotalLength),
        (24, 4, Malformed::IpHeaderLength),
        (24, 0, Malformed::IpHeaderLength),
        (24, 15, Malformed::IpHeaderLength),
    ] {
        let mut bytes = padded.clone();
        bytes[2..4].copy_from_slice(&u16::to_be_bytes(total_len));
        bytes[0] = 0x40 | header_len;
        if (5..12).contains(&header_len) {
            refill(&mut bytes);
        }
        assert_eq!(Ipv4View::new(&bytes), Err(reason), "{total_len} {header_len}");
    }
}

// req: IP4-7
#[test]
fn a_packet_with_no_hops_left_has_arrived_all_the_same() {
    for ttl in [0, 1] {
        let mut bytes = [0; 20];
        Ipv4Header { ttl, ..header() }.emit(0, &mut bytes);
        assert_eq!(Ipv4View::new(&bytes).unwrap().ttl(), ttl);
    }
}

// req: IP4-16
#[test]
fn source_routes_are_refused_and_other_options_ignored() {
    for kind in [131, 137] {
        let bytes = with_options(&[1, kind, 7, 4, 10, 0, 0, 9], b"data");
        assert_eq!(Ipv4View::new(&bytes), Err(Malformed::SourceRoute));
    }
    for options in [[1, 1, 1, 0], [148, 4, 0, 0], [0, 131, 7, 4]] {
        let bytes = with_options(&options, b"data");
        let view = Ipv4View::new(&bytes).unwrap();
        assert_eq!((view.payload(), view.option_bytes()), (&b"data"[..], &options[..]));
    }
    for options in [[7, 0, 0, 0], [7, 1, 0, 0], [7, 5, 0, 0], [1, 1, 1, 7]] {
        assert_eq!(Ipv4View::new(&with_options(&options, b"")), Err(Malformed::IpOptionLength));
    }
}

#[test]
fn a_fragment_is_reported_as_one() {
    for (bits, offset, more) in [(0x2000, 0, true), (0x0001, 8, false), (0x3fff, 65_528, true)] {
        let mut bytes = packet(b"data");
        bytes[6..8].copy_from_slice(&u16::to_be_bytes(bits));
        refill(&mut bytes);
        let packet = IpPacket::parse(&bytes).unwrap();
        assert_eq!(packet.fragment, Some(Fragment { identification: 0x1234, offset, more }));
        assert_eq!(packet.whole_payload(PROTOCOL_TCP), Err(Malformed::Fragment));
    }
    let bytes = packet(b"data");
    let packet = IpPacket::parse(&bytes).unwrap();
    assert_eq!(packet.whole_payload(17), Err(Malformed::Protocol));
    assert_eq!(packet.whole_payload(PROTOCOL_TCP), Ok(&b"data"[..]));
}

// req: MUST-3
#[test]
fn a2_one_wrong_bit_anywhere_drops_the_packet() {
    let ip = IpHeader::new(header().src.into(), header().dst.into());
    let sent = TcpPacket { ip, segment: Segment { payload: b"data", ..Segment::default() } };
    let mut bytes = [0; 44];
    assert_eq!(sent.emit(&mut bytes), Some(sent.len()));
    assert_eq!(TcpPacket::parse(&bytes, RxChecksum::Verify), Ok(sent));
    for bit in 0..8 * bytes.len() {
        let mut bytes = bytes;
        bytes[bit / 8] ^= 1 << (bit % 8);
        let read = TcpPacket::parse(&bytes, RxChecksum::Verify);
        assert!(read.is_err(), "bit {bit}");
        // Behind the data offset, nothing but the checksum tells.
        if bit >= 8 * 33 {
            assert_eq!(read, Err(Malformed::Checksum));
            assert!(TcpPacket::parse(&bytes, RxChecksum::Verified).is_ok(), "bit {bit}");
        }
    }
}

#[test]
fn a2_a_segment_that_has_no_sound_header_has_that_as_its_cause() {
    for (len, cause) in [(19, Malformed::TooShort), (20, Malformed::DataOffset)] {
        let bytes = packet(&[0x11; 20][..len]);
        assert_eq!(TcpPacket::parse(&bytes, RxChecksum::Verify), Err(cause));
    }
    // An option of length 1 and a wrong checksum: the bytes are not the sender's.
    let mut segment = [1; 24];
    segment[12] = 0x60;
    segment[20] = 8;
    let bytes = packet(&segment);
    assert_eq!(TcpPacket::parse(&bytes, RxChecksum::Verify), Err(Malformed::Checksum));
    assert_eq!(TcpPacket::parse(&bytes, RxChecksum::Verified), Err(Malformed::OptionLength));
}

#[test]
fn addresses_of_two_families_make_no_packet() {
    let ip = IpHeader::new("10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
    assert_eq!(ip.emit(0, &mut [0; 100]), None);
}

proptest! {
    #[test]
    fn another_parser_reads_our_headers_alike(
        src in any::<[u8; 4]>(), dst in any::<[u8; 4]>(), ttl in any::<u8>(), dscp in 0_u8..64,
        ecn in 0_u8..4, protocol in any::<u8>(), identification in any::<u16>(), len in 0_usize..99,
    ) {
        let ours = Ipv4Header {
            src: src.into(), dst: dst.into(), ttl, dscp, ecn: Ecn::from_bits(ecn), protocol, identification,
        };
        let mut bytes = std::vec![0; 20 + len];
        ours.emit(len, &mut bytes).unwrap();
        let (theirs, _) = etherparse::Ipv4Header::from_slice(&bytes).unwrap();
        prop_assert_eq!((theirs.source, theirs.destination), (src, dst));
        prop_assert_eq!((theirs.time_to_live, theirs.protocol.0), (ttl, protocol));
        prop_assert_eq!((theirs.dscp.value(), theirs.ecn.value()), (dscp, ecn));
        prop_assert_eq!((theirs.identification, theirs.dont_fragment), (identification, true));
        prop_assert_eq!(usize::from(theirs.total_len), 20 + len);
        prop_assert_eq!(theirs.header_checksum, theirs.calc_header_checksum());

        let packet = IpPacket::parse(&bytes).unwrap();
        prop_assert_eq!((packet.payload.len(), packet.fragment), (len, None));
        let mut again = std::vec![0; 20 + len];
        packet.header.emit(len, &mut again).unwrap();
        prop_assert_eq!(again, bytes);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 20..80), words in 5_u8..16, right in any::<bool>(),
    ) {
        bytes[0] = 0x40 | words;
        let header_len = usize::from(words) * 4;
        if right && bytes.len() >= header_len {
            let len = bytes.len() as u8;
            bytes[2..4].copy_from_slice(&[0, len]);
            refill(&mut bytes);
        }
        if let Ok(view) = Ipv4View::new(&bytes) {
            prop_assert_eq!(header_len + view.payload().len(), usize::from(view.total_len()));
        }
    }
}
