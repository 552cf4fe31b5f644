use super::*;
use crate::RxChecksum;
use crate::wire::{PROTOCOL_TCP, Segment, TcpPacket, checksum};
use proptest::prelude::*;
use std::vec::Vec;

fn header() -> Ipv6Header {
    Ipv6Header {
        src: "2001:db8::1".parse().unwrap(),
        dst: "2001:db8::2".parse().unwrap(),
        hop_limit: 64,
        dscp: 0x2e,
        ecn: Ecn::Ce,
        next_header: PROTOCOL_TCP,
        flow_label: 0xa_bcde,
    }
}

/// A packet with `chain` between header and data, the first of it being of type `next_header`.
fn chained(next_header: u8, chain: &[u8]) -> Vec<u8> {
    let mut bytes = std::vec![0; 40];
    let payload = [chain, b"data"].concat();
    Ipv6Header { next_header, ..header() }.emit(payload.len(), &mut bytes).unwrap();
    bytes.extend(payload);
    bytes
}

fn problem_at(code: u8, pointer: u16) -> Result<(), Malformed> {
    Err(Malformed::ParameterProblem { code, pointer })
}

fn verdict(bytes: &[u8]) -> Result<(), Malformed> {
    let view = Ipv6View::new(bytes)?;
    assert_eq!((view.protocol(), view.payload()), (PROTOCOL_TCP, &b"data"[..]));
    Ok(())
}

#[test]
fn a_header_is_written_field_by_field() {
    let bytes = chained(PROTOCOL_TCP, &[]);
    assert_eq!(bytes[..8], [0x6b, 0xba, 0xbc, 0xde, 0, 4, 6, 64]);
    assert_eq!(verdict(&bytes), Ok(()));
    let view = Ipv6View::new(&bytes).unwrap();
    assert_eq!((view.src(), view.dst()), (header().src, header().dst));
    assert_eq!((view.flow_label(), view.dscp(), view.ecn()), (0xa_bcde, 0x2e, Ecn::Ce));
    assert_eq!(header().emit(65_536, &mut [0; 40]), None);
    assert_eq!(header().emit(0, &mut [0; 39]), None);
}

// req: IP6-1
#[test]
fn version_and_length_are_checked_and_jumbograms_refused() {
    let mut bytes = chained(PROTOCOL_TCP, &[]);
    bytes.resize(60, 0xee);
    assert_eq!(verdict(&bytes), Ok(()));
    bytes[5] = 21;
    assert_eq!(verdict(&bytes), Err(Malformed::IpTotalLength));
    bytes[0] = 0x50;
    assert_eq!(verdict(&bytes), Err(Malformed::IpVersion));
    assert_eq!(verdict(&[0x60; 39]), Err(Malformed::TooShort));
    assert_eq!(verdict(&chained(0, &[6, 0, 0xc2, 4, 0, 1, 0, 0])), Err(Malformed::Jumbogram));
}

// req: IP6-2
#[test]
fn extension_headers_are_walked_in_their_order() {
    let hop = [60, 0, 1, 4, 0, 0, 0, 0];
    let destination = [43, 0, 0, 0, 0, 0, 0, 0];
    let routing = [6, 0, 0, 0, 0, 0, 0, 0];
    let chain = [hop, destination, routing].concat();
    assert_eq!(verdict(&chained(0, &chain)), Ok(()));
    assert_eq!(verdict(&chained(60, &[[6, 1, 1, 12], [0; 4], [0; 4], [0; 4]].concat())), Ok(()));

    let hop_later = [[0, 0, 1, 4, 0, 0, 0, 0], [6, 0, 1, 4, 0, 0, 0, 0]].concat();
    assert_eq!(verdict(&chained(60, &hop_later)), problem_at(1, 40));
    assert_eq!(verdict(&chained(51, &[6, 0, 0, 0, 0, 0, 0, 0])), Err(Malformed::ExtensionHeader));
    assert_eq!(verdict(&chained(59, &[])), Err(Malformed::ExtensionHeader));
    assert_eq!(verdict(&chained(0, &[6, 9, 0, 0])), Err(Malformed::ExtensionHeader));
    let many = |count: usize| {
        [[60, 0, 0, 0, 0, 0, 0, 0].repeat(count - 1), [6, 0, 0, 0, 0, 0, 0, 0].to_vec()].concat()
    };
    assert_eq!(verdict(&chained(60, &many(8))), Ok(()));
    assert_eq!(verdict(&chained(60, &many(9))), Err(Malformed::ExtensionHeader));
}

// req: IP6-2
#[test]
fn the_highest_bits_of_an_unknown_option_say_what_is_done() {
    let with = |kind: u8| chained(60, &[6, 0, 0, kind, 2, 0, 0, 0]);
    assert_eq!(verdict(&with(0x1e)), Ok(()));
    assert_eq!(verdict(&with(0x5e)), Err(Malformed::Ipv6Option));
    assert_eq!(verdict(&with(0x9e)), problem_at(2, 43));
    assert_eq!(verdict(&with(0xde)), problem_at(2, 43));
    let to_many = |kind: u8| {
        let mut bytes = with(kind);
        bytes[24] = 0xff;
        bytes
    };
    assert_eq!(verdict(&to_many(0x9e)), problem_at(2, 43));
    assert_eq!(verdict(&to_many(0xde)), Err(Malformed::Ipv6Option));
    assert_eq!(verdict(&chained(60, &[6, 0, 1, 5, 0, 0, 0, 0])), Err(Malformed::ExtensionHeader));
    assert_eq!(verdict(&chained(60, &[6, 0, 1, 3, 0, 0, 0, 1])), Err(Malformed::ExtensionHeader));
}

// req: IP6-3
#[test]
fn a_routing_header_is_skipped_only_at_its_end() {
    for kind in [0, 2, 4, 77] {
        assert_eq!(verdict(&chained(43, &[6, 0, kind, 0, 0, 0, 0, 0])), Ok(()));
        assert_eq!(verdict(&chained(43, &[6, 0, kind, 1, 0, 0, 0, 0])), problem_at(0, 42));
    }
}

// req: IP6-5
#[test]
fn a_fragment_is_reported_and_an_atomic_one_is_none() {
    let with = |o0: u8, o1: u8| chained(44, &[6, 0, o0, o1, 0x12, 0x34, 0x56, 0x78]);
    let fragment = |bytes: &[u8]| Ipv6View::new(bytes).unwrap().fragment();
    assert_eq!(fragment(&with(0, 0)), None);
    assert_eq!(verdict(&with(0, 0)), Ok(()));
    let expected = Fragment { identification: 0x1234_5678, offset: 8, more: false };
    assert_eq!(fragment(&with(0, 8)), Some(expected));
    // Reserved bits mean nothing.
    assert_eq!(fragment(&with(0, 6)), None);
}

#[test]
fn impossible_fragments_are_answered() {
    let with = |o0: u8, o1: u8| chained(44, &[6, 0, o0, o1, 0, 0, 0, 1]);
    assert_eq!(verdict(&with(0, 9)), problem_at(0, 4));
    assert_eq!(verdict(&with(0xff, 0xf8)).map_err(|_| ()), Ok(()));
    let mut long = with(0xff, 0xf8);
    long.extend([0; 4]);
    long[5] += 4;
    assert_eq!(verdict(&long), problem_at(0, 42));
}

// req: IP6-7
#[test]
fn a_first_fragment_holds_all_headers() {
    let mut bytes = chained(44, &[60, 0, 0, 1, 0, 0, 0, 1]);
    bytes.extend([0; 4]);
    bytes[5] += 4;
    bytes[48..50].copy_from_slice(&[6, 2]);
    assert_eq!(verdict(&bytes), problem_at(3, 40));
    bytes[43] = 8;
    assert_eq!(Ipv6View::new(&bytes).unwrap().protocol(), 60);
}

// req: IP6-9
#[test]
fn the_pseudo_header_has_the_protocol_behind_all_extension_headers() {
    let segment = Segment { payload: b"data", window: 7, ..Segment::default() };
    let mut tcp = [0; 24];
    segment.emit(&mut tcp).unwrap();
    checksum::fill_tcp(header().src.into(), header().dst.into(), &mut tcp);
    let mut bytes = std::vec![0; 40];
    Ipv6Header { next_header: 60, ..header() }.emit(32, &mut bytes).unwrap();
    bytes.extend([6, 0, 1, 4, 0, 0, 0, 0]);
    bytes.extend(tcp);
    assert_eq!(TcpPacket::parse(&bytes, RxChecksum::Verify).unwrap().segment, segment);
}

proptest! {
    #[test]
    fn another_parser_reads_our_headers_alike(
        src in any::<[u8; 16]>(), dst in any::<[u8; 16]>(), hop_limit in any::<u8>(), dscp in 0_u8..64,
        ecn in 0_u8..4, flow_label in 0_u32..=0xf_ffff, len in 0_usize..99,
    ) {
        let ours = Ipv6Header {
            src: src.into(), dst: dst.into(), hop_limit, dscp, ecn: Ecn::from_bits(ecn),
            next_header: PROTOCOL_TCP, flow_label,
        };
        let mut bytes = std::vec![0; 40 + len];
        ours.emit(len, &mut bytes).unwrap();
        let (theirs, _) = etherparse::Ipv6Header::from_slice(&bytes).unwrap();
        prop_assert_eq!((theirs.source, theirs.destination), (src, dst));
        prop_assert_eq!((theirs.hop_limit, theirs.next_header.0), (hop_limit, PROTOCOL_TCP));
        prop_assert_eq!(theirs.traffic_class, dscp << 2 | ecn);
        prop_assert_eq!(theirs.flow_label.value(), flow_label);
        prop_assert_eq!(usize::from(theirs.payload_length), len);

        let packet = IpPacket::parse(&bytes).unwrap();
        let mut again = std::vec![0; 40 + len];
        packet.header.emit(len, &mut again).unwrap();
        prop_assert_eq!((packet.payload.len(), again), (len, bytes));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(
        mut bytes in proptest::collection::vec(prop_oneof![0_u8..9, Just(44), Just(60), Just(43), any::<u8>()], 40..130),
        first in prop_oneof![Just(0_u8), Just(43), Just(44), Just(60)],
    ) {
        bytes[0] = 0x60;
        let len = bytes.len() as u8 - 40;
        bytes[4..7].copy_from_slice(&[0, len, first]);
        let quoted = Ipv6View::new_quoted(&bytes);
        if let Ok(view) = Ipv6View::new(&bytes) {
            prop_assert!(view.payload().len() + 8 <= bytes.len() - 40);
            prop_assert_eq!(quoted, Ok(view));
        }
    }
}
