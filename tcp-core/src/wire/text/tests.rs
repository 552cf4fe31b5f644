use super::*;
use crate::RxChecksum;
use crate::wire::options::tests::any_option_bytes;
use crate::wire::segment::tests::any_segment;
use crate::wire::{IpHeader, TcpPacket, TcpView};
use proptest::prelude::*;
use std::format;
use std::string::ToString;

fn read(line: &str) -> SegmentText {
    line.parse().unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn a1_a_segment_is_a_line_that_a_person_can_read() {
    for line in [
        "[S] seq 100 win 65535 <mss 1460,sackOK,TS 1 0,wscale 8>",
        "[S.] seq 100 ack 5001 win 65535 <mss 1460,sackOK,TS 1 2,wscale 8>",
        "[P.] seq 101:201 ack 5001 win 502 <TS 5 6> len 100",
        "[.] seq 201 ack 5001 win 502 <TS 5 6,sack 1001:3001 4001:5001>",
        "[PU.] seq 4294967295:4 ack 5001 win 502 urg 5 len 5",
        "[S] seq 0:9 win 1 <mss 1,uto 5m,tfo 0x01020304> len 9",
        "[S] seq 0 win 1 <uto 30s,tfo>",
        "[R] seq 7 win 0",
        "[none] seq 7 ack 9 win 0 urg 1",
        "[SFRPUEWe.] seq 7 ack 9 win 0 urg 0",
    ] {
        let text = read(line);
        assert_eq!(text.segment().to_string(), line);
        assert_eq!(Segment::parse(&text.to_bytes()), Ok(text.segment()), "{line}");
    }
}

#[test]
fn a_packet_prints_addresses_and_ports() {
    for line in [
        "10.0.0.1:40001 > 10.0.0.2:80 [S.] seq 100 ack 5001 win 65535 <mss 1460,sackOK,TS 1 2,wscale 8>",
        "[2001:db8::1]:40001 > [2001:db8::2]:80 [P.] seq 1:3 ack 5001 win 1 len 2",
    ] {
        let text = read(line);
        let (src, dst) = text.addresses.unwrap();
        let packet = TcpPacket { ip: IpHeader::new(src, dst), segment: text.segment() };
        assert_eq!(packet.to_string(), line);
        assert_eq!(text.endpoints().unwrap().0.port(), 40001);
        let mut buf = [0; 200];
        let len = packet.emit(&mut buf).unwrap();
        assert_eq!(TcpPacket::parse(&buf[..len], RxChecksum::Verify), Ok(packet));
        assert!(checksum::tcp_is_valid(src, dst, &text.to_bytes()));
    }
}

#[test]
fn a1_every_bit_of_a_header_has_its_place_in_the_line() {
    let line = "1 > 2 [P.] seq 10:12 ack 20 win 30 rsv 5 cksum 0x0a0b \
                <raw,nop,wscale 8,mss 1460,kind 200 0xabcd,eol> len 2 data 0xfeff";
    let bytes = [
        0, 1, 0, 2, 0, 0, 0, 10, 0, 0, 0, 20, 0x8a, 0x18, 0, 30, 10, 11, 0, 0, 1, 3, 3, 8, 2, 4, 5, 180, 200,
        4, 0xab, 0xcd, 0xfe, 0xff,
    ];
    let line_of_12 = line.replace(",eol", "");
    assert_eq!(read(&line_of_12).to_bytes(), bytes);
    assert_eq!(format!("{:#}", TcpView::new(&bytes).unwrap()), line_of_12);
    let longer = read(line);
    assert_eq!(longer.option_bytes()[12..], [0, 0, 0, 0]);
    assert_eq!(format!("{:#}", TcpView::new(&longer.to_bytes()).unwrap()), line);
}

#[test]
fn a_line_can_say_what_is_no_option() {
    for (options, bytes) in [
        ("bad 0x0500", &[5, 0, 0, 0][..]),
        ("nop,nop,TS 1 2", &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]),
        ("TS 1 2,nop", &[8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0]),
        ("raw,TS 1 2", &[8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0]),
        ("mss 1,mss 2", &[2, 4, 0, 1, 2, 4, 0, 2]),
        ("uto 0s", &[28, 4, 0, 0]),
        ("eol 0x010203", &[0, 1, 2, 3]),
        ("md5 0x01,ao 0x02,accecn0 0x,accecn1 0x", &[19, 3, 1, 29, 3, 2, 172, 2, 174, 2, 0, 0]),
    ] {
        let text = read(&format!("[S] seq 1 <{options}>"));
        assert_eq!(text.option_bytes(), bytes, "{options}");
    }
}

#[test]
fn padding_that_is_longer_than_alignment_takes_is_shown() {
    for (options, text) in [
        (&[0, 0, 0, 0][..], "<raw,eol>"),
        (&[0, 0, 0, 0, 0, 0, 0, 0], "<raw,eol 0x00000000000000>"),
        (&[1, 0, 0, 7], "<raw,nop,eol 0x0007>"),
    ] {
        let mut bytes = [&[0; 20], options].concat();
        bytes[12] = (5 + options.len() as u8 / 4) << 4;
        let line = TcpView::new(&bytes).unwrap().to_string();
        assert_eq!(line, format!("0 > 0 [none] seq 0 win 0 cksum 0x0000 {text}"));
        assert_eq!(read(&line).to_bytes(), bytes);
    }
}

#[test]
fn what_is_wrong_with_a_line_is_said_and_where() {
    for (line, error) in [
        ("", "at byte 0: expected addresses, ports, or flags like `[S.]`, found the end"),
        ("[S", "at byte 0: expected addresses, ports, or flags like `[S.]`, found `[S`"),
        ("[Sx] seq 1", "at byte 0: expected letters among `SFRPUEWe.`, found `[Sx]`"),
        ("[S] ack 1", "at byte 9: expected `seq`, found the end"),
        ("[.] seq 1", "at byte 9: expected `ack`, for the `.` among the flags, found the end"),
        ("[S] seq x", "at byte 8: expected a sequence number, found `x`"),
        ("[S] seq +1", "at byte 8: expected a sequence number, found `+1`"),
        ("[S] seq 1 seq 2", "at byte 10: expected each word once, found `seq`"),
        ("[S] seq 1 win 65536", "at byte 14: expected a window, found `65536`"),
        ("[S] seq 1 rsv 8", "at byte 14: expected reserved bits, 0 to 7, found `8`"),
        ("[S] seq 1:3 len 3", "at byte 16: expected one length of the data, found `3`"),
        ("[S] seq 1 len 65536", "at byte 14: expected at most 65535 bytes of data, found `65536`"),
        ("[S] seq 1 cksum 0x123", "at byte 16: expected a checksum like `0x0a1b`, found `0x123`"),
        ("[S] seq 1 data 0x1", "at byte 15: expected bytes like `0x0a1b`, found `0x1`"),
        ("[S] seq 1 <mss 1", "at byte 16: expected `,` or `>`, found the end"),
        ("[S] seq 1 <sack 1>", "at byte 17: expected `:`, found `>`"),
        ("[S] seq 1 <sack 1:2 3:4 5:6 7:8 9:9>", "at byte 34: expected at most four blocks, found `9`"),
        (
            "[S] seq 1 <tfo 0x01>",
            "at byte 15: expected a cookie of 4 to 16 bytes, an even number, found `0x01`",
        ),
        (
            "[S] seq 1 <uto 32768s>",
            "at byte 15: expected a timeout like `30s` or `5m`, at most 32767, found `32768s`",
        ),
        (
            "[.] seq 1 ack 1 <TS 1 2,sack 1:2 3:4 5:6 7:8>",
            "at byte 44: expected options that fit into 40 bytes, found `>`",
        ),
        ("1 2 [S] seq 1", "at byte 2: expected `>`, found `2`"),
        ("1 > x [S] seq 1", "at byte 4: expected a port, or an address and a port, found `x`"),
        (
            "1.1.1.1:1 > 2 [S] seq 1",
            "at byte 12: expected addresses of one family on both sides, or on none, found `2`",
        ),
    ] {
        let found = line.parse::<SegmentText>().unwrap_err();
        assert_eq!(found.to_string(), error, "{line}");
    }
    let unknown = "[S] seq 1 <mms 5>".parse::<SegmentText>().unwrap_err();
    assert_eq!((unknown.at(), unknown.to_string().ends_with("found `mms`")), (11, true));
    let unknown = "[S] seq 1 wim 5".parse::<SegmentText>().unwrap_err();
    assert_eq!((unknown.at(), unknown.to_string().ends_with("found `wim`")), (10, true));
}

const ZEROS: &[u8] = &[0; 9];

proptest! {
    #[test]
    fn a1_a_segment_that_is_printed_and_read_again_is_the_same(
        segment in (0..ZEROS.len()).prop_flat_map(|len| any_segment(&ZEROS[..len])),
    ) {
        let line = segment.to_string();
        let text = read(&line);
        prop_assert_eq!(text.segment(), Segment { src_port: 0, dst_port: 0, ..segment });
        prop_assert_eq!(text.segment().to_string(), line);
    }

    #[test]
    fn a1_bytes_that_are_printed_and_read_again_are_the_same(
        header in any::<[u8; 20]>(), options in any_option_bytes(),
        data in proptest::collection::vec(any::<u8>(), 0..9),
    ) {
        let mut bytes = header.to_vec();
        bytes[12] = bytes[12] & 0xf | (5 + options.len() as u8 / 4) << 4;
        bytes.extend(options);
        bytes.extend(data);
        let line = format!("{:#}", TcpView::new(&bytes).unwrap());
        prop_assert_eq!(read(&line).to_bytes(), bytes, "{}", line);
    }

    #[test]
    fn no_line_makes_the_parser_panic(
        line in "(\\[[SFP.]\\] |1 > 2 )?(seq |ack |win |[0-9]{1,11}|:|<|>|,|mss |TS |sack |0x|data |len | |é|eol|bad ){0,12}",
    ) {
        if let Ok(text) = line.parse::<SegmentText>() {
            prop_assert!(TcpView::new(&text.to_bytes()).is_ok());
        }
    }
}
