use super::*;
use crate::wire::options::tests::{any_option_bytes, any_options};
use crate::wire::{Checksum, SackBlocks, Timestamps, checksum};
use core::mem::size_of;
use core::net::{IpAddr, Ipv4Addr};
use proptest::prelude::*;
use std::string::ToString;
use std::vec::Vec;

fn syn_ack() -> Segment<'static> {
    Segment {
        src_port: 80,
        dst_port: 40001,
        seq: SeqNumber(100),
        ack: SeqNumber(5001),
        flags: Flags::SYN | Flags::ACK,
        window: 65535,
        options: Options {
            mss: Some(1460),
            sack_permitted: true,
            timestamps: Some(Timestamps { value: 1, echo: 2 }),
            window_scale: Some(8),
            ..Options::NONE
        },
        ..Segment::default()
    }
}

fn emitted(segment: &Segment<'_>) -> Vec<u8> {
    let mut buf = std::vec![0xee; 100 + segment.payload.len()];
    let len = segment.emit(&mut buf).unwrap();
    assert_eq!(len, segment.header_len() + segment.payload.len());
    buf.truncate(len);
    buf
}

#[test]
fn a_segment_is_small_enough_to_be_copied() {
    assert_eq!(size_of::<Options>(), 80);
    assert_eq!(size_of::<Segment<'_>>(), 120);
}

#[test]
fn seg_len_counts_data_and_syn_and_fin() {
    let mut segment = Segment { payload: b"hello", seq: SeqNumber(u32::MAX), ..Segment::default() };
    assert_eq!(segment.len(), 5);
    segment.flags = Flags::SYN | Flags::FIN;
    assert_eq!(segment.len(), 7);
    assert_eq!(segment.seq_range(), SeqRange::new(SeqNumber(u32::MAX), SeqNumber(6)));
    assert_eq!(Segment { flags: Flags::ACK | Flags::RST, ..Segment::default() }.len(), 0);
}

#[test]
fn a1_every_field_of_the_header_has_its_place() {
    let segment = Segment {
        src_port: 0x0102,
        dst_port: 0x0304,
        seq: SeqNumber(0x0506_0708),
        ack: SeqNumber(0x090a_0b0c),
        flags: Flags::from_bits(0x1ff),
        window: 0x0d0e,
        urgent: 0x0f10,
        options: Options { mss: Some(0x1112), ..Options::NONE },
        payload: b"!",
    };
    let bytes = emitted(&segment);
    let expected =
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x61, 0xff, 13, 14, 0, 0, 15, 16, 2, 4, 0x11, 0x12, b'!'];
    assert_eq!(bytes, expected);
    assert_eq!(Segment::parse(&bytes), Ok(segment));
}

// req: 9293-EV-43
#[test]
fn reserved_bits_are_ignored_on_receipt_and_sent_as_zero() {
    let mut bytes = emitted(&syn_ack());
    assert_eq!(TcpView::new(&bytes).unwrap().reserved(), 0);
    bytes[12] |= 0x0e;
    assert_eq!(TcpView::new(&bytes).unwrap().reserved(), 7);
    assert_eq!(Segment::parse(&bytes), Ok(syn_ack()));
}

// req: 9293-EV-44
#[test]
fn a2_a_data_offset_below_5_or_past_the_end_drops_the_segment() {
    let mut bytes = emitted(&Segment::default());
    assert!(Segment::parse(&bytes).is_ok());
    for data_offset in (0..5).chain(6..16) {
        bytes[12] = data_offset << 4;
        assert_eq!(Segment::parse(&bytes), Err(Malformed::DataOffset), "{data_offset}");
    }
    bytes[12] = 5 << 4;
    for len in 0..20 {
        assert_eq!(Segment::parse(&bytes[..len]), Err(Malformed::TooShort), "{len}");
    }
}

// req: MUST-7
#[test]
fn a2_an_impossible_length_of_an_option_drops_the_segment() {
    let mut bytes = emitted(&syn_ack());
    for len in [0, 1, 21, 255] {
        bytes[21] = len;
        assert_eq!(Segment::parse(&bytes), Err(Malformed::OptionLength), "{len}");
    }
}

#[test]
fn a_header_is_written_without_touching_what_is_behind_it() {
    let segment = Segment { payload: b"data", ..syn_ack() };
    let mut buf = [0xee; 60];
    assert_eq!(segment.emit_header(&mut buf), Some(40));
    assert!(buf[40..].iter().all(|&byte| byte == 0xee));
    assert_eq!(buf[..40], emitted(&segment)[..40]);
    for len in 0..44 {
        assert_eq!(segment.emit(&mut buf[..len]), None, "{len}");
    }
    for len in 0..40 {
        assert_eq!(segment.emit_header(&mut buf[..len]), None, "{len}");
    }
}

#[test]
fn control_bits_are_printed_as_tcpdump_does() {
    for (flags, text) in [
        (Flags::NONE, "none"),
        (Flags::SYN, "S"),
        (Flags::SYN | Flags::ACK, "S."),
        (Flags::PSH | Flags::ACK, "P."),
        (Flags::FIN | Flags::ACK, "F."),
        (Flags::RST, "R"),
        (Flags::SYN | Flags::ECE | Flags::CWR | Flags::AE, "SEWe"),
        (Flags::from_bits(0xffff), "SFRPUEWe."),
    ] {
        assert_eq!(flags.to_string(), text);
    }
}

pub(in crate::wire) fn any_segment(payload: &[u8]) -> impl Strategy<Value = Segment<'_>> {
    let header = any::<(u16, u16, u32, u32, u16, u16, u16)>();
    (header, any_options()).prop_map(
        move |((src_port, dst_port, seq, ack, flags, window, urgent), options)| {
            let flags = Flags::from_bits(flags);
            let options = if flags.syn() { options } else { options.without_syn_options() };
            let mut segment = Segment {
                src_port,
                dst_port,
                seq: SeqNumber(seq),
                ack: SeqNumber(ack),
                flags,
                window,
                urgent,
                options,
                payload,
            };
            // What does not fit cannot come back.
            segment.options.sack = options.sack.first(options.room_for_sack_blocks());
            let without_cookie = Options { fast_open: None, ..segment.options };
            if without_cookie.encoded_len() > 20 {
                segment.options = Options { sack: options.sack.first(SackBlocks::MAX), ..without_cookie };
                segment.options.sack = options.sack.first(segment.options.room_for_sack_blocks());
            }
            segment
        },
    )
}

/// What a parser that is not ours reads in our bytes.
fn read_by_etherparse(segment: &Segment<'_>, bytes: &[u8], src: IpAddr, dst: IpAddr) {
    let (header, payload) = etherparse::TcpHeader::from_slice(bytes).unwrap();
    assert_eq!((header.source_port, header.destination_port), (segment.src_port, segment.dst_port));
    assert_eq!((header.sequence_number, header.acknowledgment_number), (segment.seq.0, segment.ack.0));
    let flags = [
        (header.fin, Flags::FIN),
        (header.syn, Flags::SYN),
        (header.rst, Flags::RST),
        (header.psh, Flags::PSH),
        (header.ack, Flags::ACK),
        (header.urg, Flags::URG),
        (header.ece, Flags::ECE),
        (header.cwr, Flags::CWR),
        (header.ns, Flags::AE),
    ];
    for (theirs, ours) in flags {
        assert_eq!(theirs, segment.flags.contains(ours), "{ours}");
    }
    assert_eq!((header.window_size, header.urgent_pointer), (segment.window, segment.urgent));
    assert_eq!(payload, segment.payload);
    let theirs = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            header.calc_checksum_ipv4_raw(src.octets(), dst.octets(), payload).unwrap()
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            header.calc_checksum_ipv6_raw(src.octets(), dst.octets(), payload).unwrap()
        }
        _ => panic!("two families"),
    };
    assert_eq!(header.checksum, theirs);
    use etherparse::TcpOptionElement as Theirs;
    for option in header.options_iterator() {
        match option {
            Ok(Theirs::Noop) | Err(_) => {}
            Ok(Theirs::MaximumSegmentSize(mss)) => assert_eq!(Some(mss), segment.options.mss),
            Ok(Theirs::WindowScale(shift)) => assert_eq!(Some(shift), segment.options.window_scale),
            Ok(Theirs::SelectiveAcknowledgementPermitted) => assert!(segment.options.sack_permitted),
            Ok(Theirs::SelectiveAcknowledgement(first, rest)) => {
                let theirs: Vec<_> = core::iter::once(first).chain(rest.into_iter().flatten()).collect();
                let ours: Vec<_> = segment.options.sack.iter().map(|b| (b.start.0, b.end.0)).collect();
                assert_eq!(theirs, ours);
            }
            Ok(Theirs::Timestamp(value, echo)) => {
                assert_eq!(Some(Timestamps { value, echo }), segment.options.timestamps);
            }
        }
    }
}

const PAYLOAD: &[u8] = b"odd and even";

proptest! {
    #[test]
    fn a1_a_segment_that_is_written_and_read_again_is_the_same(
        segment in (0..PAYLOAD.len()).prop_flat_map(|len| any_segment(&PAYLOAD[..len])),
    ) {
        let bytes = emitted(&segment);
        prop_assert_eq!(Segment::parse(&bytes), Ok(segment));
    }

    // req: MUST-2
    #[test]
    fn another_parser_reads_our_segments_alike(
        segment in (0..PAYLOAD.len()).prop_flat_map(|len| any_segment(&PAYLOAD[..len])),
        v4 in any::<[[u8; 4]; 2]>(), v6 in any::<[[u8; 16]; 2]>(),
    ) {
        let mut bytes = emitted(&segment);
        let pairs = [
            (IpAddr::from(v4[0]), IpAddr::from(v4[1])),
            (IpAddr::from(v6[0]), IpAddr::from(v6[1])),
        ];
        for (src, dst) in pairs {
            checksum::fill_tcp(src, dst, &mut bytes);
            read_by_etherparse(&segment, &bytes, src, dst);
        }
    }

    // req: MUST-7
    #[test]
    fn no_bytes_make_a_segment_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..80), words in 4_u8..16, options in any_option_bytes(),
    ) {
        if let Some(byte) = bytes.get_mut(12) {
            *byte = words << 4;
        }
        if bytes.len() >= 20 {
            bytes.splice(20.., options);
        }
        match (TcpView::new(&bytes), Segment::parse(&bytes)) {
            (Ok(view), Ok(segment)) => {
                prop_assert_eq!(view.header_len() + segment.payload.len(), bytes.len());
            }
            (Ok(view), Err(error)) => {
                prop_assert_eq!(Options::parse(view.option_bytes()), Err(error));
            }
            (Err(theirs), segment) => prop_assert_eq!(segment, Err(theirs)),
        }
    }
}

#[test]
fn the_checksum_is_left_for_later() {
    let bytes = emitted(&syn_ack());
    assert_eq!(bytes[16..18], [0, 0]);
    let (src, dst) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST));
    let expected = Checksum::pseudo_header(src, dst, 6, bytes.len()).with(&bytes).finish();
    assert_eq!(checksum::tcp(src, dst, &bytes), expected);
}
