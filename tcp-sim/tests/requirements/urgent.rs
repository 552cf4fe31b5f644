//! Urgent data as an application reads and writes it, in the stream and out of it, as tcp(7) has it, and how it
//! leaves. When the pointer of a segment counts, and what is told of it: `urgent_data.rs`.

use tcp_core::wire::{Flags, Segment, checksum};
use tcp_core::{
    ConnConfig, Connection, Duration, Event, Framing, Instant, ReadError, RxMeta, Seed, State, TxCaps,
};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, peer_byte, plain_config};

fn out_of_line() -> ConnConfig {
    let mut config = plain_config();
    config.urgent_inline = false;
    config
}

/// The peer sends 7 bytes, of which the fourth is urgent.
const ABC_D_EFG: &str = "[PU.] seq 5001:5008 ack 101 win 20000 urg 4 len 7";

// req: 6093-1, LNX-URG-1
#[test]
fn the_pointer_names_the_byte_behind_the_urgent_data() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        assert_eq!(test.connection.write_urgent(test.now, b"abcd"), Ok(4));
        test.drain();
        test.expect("[PU.] seq 101:105 ack 5001 urg 4 len 4");
        // What follows is not urgent.
        test.inject("[.] seq 5001 ack 105");
        test.write(b"efg");
        let sent = test.expect("[P.] seq 105:108 ack 5001 len 3");
        assert!(!sent.line.contains("urg"));
    });
}

// req: 6093-2, 6093-5, LNX-URG-1
#[test]
fn in_line_the_urgent_byte_is_read_with_the_stream_behind_a_stop_at_the_mark() {
    every_wrap(|numbers| {
        assert!(plain_config().urgent_inline, "what RFC 6093 prefers is the default");
        let mut test = Scripted::established(plain_config(), numbers);
        assert!(!test.connection.at_urgent_mark());
        test.inject(ABC_D_EFG);
        assert_eq!(test.take_events(), Event::URGENT | Event::READABLE);
        assert_eq!(test.connection.urgent_remaining(), Some(4));
        assert!(!test.connection.at_urgent_mark());
        assert_eq!(test.read(100).unwrap().len(), 3);
        assert!(test.connection.at_urgent_mark());
        assert_eq!(test.connection.urgent_remaining(), Some(1));
        assert_eq!(test.read(100).unwrap(), (5_004..5_008).map(peer_byte).collect::<Vec<_>>());
        assert!(!test.connection.at_urgent_mark());
        assert_eq!((test.connection.urgent_remaining(), test.connection.read_urgent(test.now)), (None, None));
    });
}

// req: 6093-5, LNX-URG-1
#[test]
fn out_of_line_the_urgent_byte_is_read_apart() {
    every_wrap(|numbers| {
        // Early: before the stream has come to it.
        let mut test = Scripted::established(out_of_line(), numbers);
        test.inject(ABC_D_EFG);
        assert_eq!(test.take_events(), Event::URGENT | Event::READABLE);
        assert_eq!(test.connection.read_urgent(test.now), Some(peer_byte(5_004)));
        assert_eq!(test.connection.read_urgent(test.now), None, "once");
        test.expect_data(5_001, 5_004);
        assert!(test.connection.at_urgent_mark());
        test.expect_data(5_005, 5_008);
        assert!(!test.connection.at_urgent_mark());
        // Late: after it.
        let mut test = Scripted::established(out_of_line(), numbers);
        test.inject(ABC_D_EFG);
        test.expect_data(5_001, 5_004);
        test.expect_data(5_005, 5_008);
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        assert_eq!(test.connection.read_urgent(test.now), Some(peer_byte(5_004)));
        // Peeking and reading without a copy stop at the mark as well.
        let mut test = Scripted::established(out_of_line(), numbers);
        test.inject(ABC_D_EFG);
        assert_eq!(test.connection.peek(test.now, &mut [0; 10]), Ok(3));
        assert_eq!(test.connection.read_bytes(test.now, 10).unwrap().len(), 3);
        let mut pieces = Vec::new();
        let read = test.connection.read_with(test.now, |piece| {
            pieces.extend_from_slice(piece);
            piece.len()
        });
        assert_eq!((read, pieces.len()), (Ok(3), 3));
    });
}

// As in Linux: what was urgent before the mark moved on stays in the stream.
// req: 6093-3, LNX-URG-1
#[test]
fn a_second_urgent_byte_puts_the_first_back_into_the_stream() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(out_of_line(), numbers);
        test.inject("[PU.] seq 5001:5003 ack 101 win 20000 urg 2 len 2");
        test.inject("[PU.] seq 5003:5005 ack 101 win 20000 urg 2 len 2");
        assert_eq!(test.connection.read_urgent(test.now), Some(peer_byte(5_004)));
        assert_eq!(test.connection.read_urgent(test.now), None);
        test.expect_data(5_001, 5_004);
        assert_eq!(test.read(1), Err(ReadError::Blocked));
        assert_eq!(test.take_events(), Event::URGENT | Event::READABLE);

        // Between the second mark and its byte there is nothing to read apart.
        let mut test = Scripted::established(out_of_line(), numbers);
        test.inject("[PU.] seq 5001:5003 ack 101 win 20000 urg 2 len 2");
        test.inject("[U.] seq 5003 ack 101 win 20000 urg 10");
        assert_eq!(test.connection.read_urgent(test.now), None);
        test.take_events();
        test.inject("[P.] seq 5003:5020 ack 101 len 17");
        assert!(test.take_events().contains(Event::URGENT));
        assert_eq!(test.connection.read_urgent(test.now), Some(peer_byte(5_012)));
        test.expect_data(5_001, 5_012);
        test.expect_data(5_013, 5_020);
    });
}

// req: 6093-1, LNX-URG-1
#[test]
fn the_urgent_byte_is_found_wherever_it_comes_from_and_only_once() {
    every_wrap(|numbers| {
        // In a segment out of order.
        let mut test = Scripted::established(out_of_line(), numbers);
        test.inject("[PU.] seq 5005:5008 ack 101 win 20000 urg 3 len 3");
        assert_eq!(test.connection.read_urgent(test.now), Some(peer_byte(5_007)));
        test.inject("[.] seq 5001:5005 ack 101 len 4");
        // The segment that is sent again does not bring it twice.
        test.inject("[PU.] seq 5005:5008 ack 101 win 20000 urg 3 len 3");
        assert_eq!(test.connection.read_urgent(test.now), None);
        test.expect_data(5_001, 5_007);
        assert_eq!(test.read(1), Err(ReadError::Blocked));

        // In a segment that comes before the mark.
        let mut test = Scripted::established(out_of_line(), numbers);
        test.inject("[.] seq 5001:5008 ack 101 len 7");
        test.inject("[U.] seq 5008 ack 101 win 20000 urg 0");
        assert_eq!(test.connection.read_urgent(test.now), None, "a pointer of zero says nothing");
        test.inject("[U.] seq 5005:5010 ack 101 win 20000 urg 3 len 5");
        assert_eq!(test.connection.read_urgent(test.now), Some(peer_byte(5_007)));
        test.expect_data(5_001, 5_007);
        test.expect_data(5_008, 5_010);
    });
}

// req: 6093-1
#[test]
fn a_mark_that_was_passed_is_no_mark() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject(ABC_D_EFG);
        test.expect_data(5_001, 5_008);
        test.take_events();
        test.inject("[P.] seq 5008:5020 ack 101 len 12");
        test.expect_data(5_008, 5_020);
        // An old duplicate, and a pointer into what was read.
        for line in [ABC_D_EFG, "[U.] seq 5020 ack 101 win 20000 urg 0"] {
            test.inject(line);
        }
        test.inject("[U.] seq 5015:5020 ack 101 win 20000 urg 3 len 5");
        assert_eq!(test.connection.urgent_remaining(), None);
        assert!(!test.take_events().contains(Event::URGENT));
        // It moves forward only.
        test.inject("[U.] seq 5020 ack 101 win 20000 urg 100");
        test.inject("[U.] seq 5020 ack 101 win 20000 urg 50");
        assert_eq!(test.connection.urgent_remaining(), Some(100));
    });
}

// req: LNX-URG-1
#[test]
fn urgent_data_waits_neither_for_acks_nor_for_a_cork() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write(b"abc");
        test.expect("[P.] seq 101:104 len 3");
        test.write(b"de");
        test.expect_none();
        assert_eq!(test.connection.write_urgent(test.now, b"!"), Ok(1));
        test.drain();
        test.expect("[PU.] seq 104:107 ack 5001 urg 3 len 3");
        test.connection.cork(test.now);
        assert_eq!(test.connection.write_urgent(test.now, b"?"), Ok(1));
        test.drain();
        test.expect("[PU.] seq 107:108 ack 5001 urg 1 len 1");
        // What follows is held as before.
        test.write(b"f");
        test.expect_none();
    });
}

// A middlebox may clear URG and the pointer (RFC 6093 §3.4).
// req: 6093-4
#[test]
fn without_urg_on_the_wire_the_stream_is_whole_and_nobody_waits() {
    for inline in [true, false] {
        let mut config = plain_config();
        config.urgent_inline = inline;
        let (here, there) = ("10.0.0.1:40001".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        let (mut now, seed) = (Instant::ZERO, Seed::for_test(1));
        let mut client = Connection::connect(now, here, there, config.clone(), &seed).unwrap();
        let mut server = Connection::listen(now, there, config, &seed).unwrap();
        client.write(now, b"before").unwrap();
        client.write_urgent(now, b"!").unwrap();
        client.write(now, b"after").unwrap();
        let mut stream = Vec::new();
        for _ in 0..200 {
            strip(&mut client, &mut server, now);
            strip(&mut server, &mut client, now);
            let mut buf = [0; 100];
            while let Ok(read @ 1..) = server.read(now, &mut buf) {
                stream.extend_from_slice(&buf[..read]);
            }
            if client.state() == State::Established {
                client.shutdown_write(now);
            }
            if server.state() == State::CloseWait {
                server.shutdown_write(now);
            }
            now += Duration::from_millis(10);
            client.handle_timeout(now);
            server.handle_timeout(now);
        }
        assert_eq!(stream, b"before!after");
        assert_eq!((server.urgent_remaining(), server.read_urgent(now)), (None, None));
        assert!(matches!(client.state(), State::TimeWait | State::Closed), "{}", client.state());
    }
}

/// Carries what one sends to the other, without URG.
fn strip(from: &mut Connection, to: &mut Connection, now: Instant) {
    let mut caps = TxCaps::default();
    caps.framing = Framing::Segment;
    let mut buf = [0; 1_500];
    while let Some(sent) = from.poll_transmit(now, &caps, &mut buf) {
        let mut segment = Segment::parse(&buf[..sent.len]).expect("it works here");
        segment.flags = Flags::from_bits(segment.flags.bits() & !Flags::URG.bits());
        segment.urgent = 0;
        let mut bytes = vec![0; sent.len];
        segment.emit(&mut bytes).expect("it works here");
        checksum::fill_tcp(sent.src, sent.dst, &mut bytes);
        to.handle_segment(now, &RxMeta::new(sent.src, sent.dst), &bytes[..]);
    }
}

// req: LNX-URG-1
#[test]
fn urgent_data_is_told_of_when_no_room_is_left() {
    let mut test = Scripted::established(plain_config(), Numbers::default());
    for segment in 0..10 {
        let start = 5_001 + segment * 1_000;
        test.inject(&format!("[.] seq {start}:{} ack 101 len 1000", start + 1_000));
    }
    test.take_events();
    assert_eq!(test.stats().receive_window, 0);
    test.inject("[U.] seq 15001:15002 ack 101 win 20000 urg 1 len 1");
    assert_eq!(test.take_events(), Event::URGENT);
    assert_eq!(test.connection.urgent_remaining(), Some(10_001));
}

// trap: 62
#[test]
fn the_pointer_is_computed_anew_for_each_segment_and_ends_with_the_mark() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.connection.write_urgent(test.now, &[1; 2_500]).unwrap();
        test.connection.write(test.now, &[2; 2_000]).unwrap();
        test.drain();
        test.expect("[U.] seq 101:1101 urg 2500");
        test.expect("[U.] seq 1101:2101 urg 1500");
        test.expect("[U.] seq 2101:3101 urg 500");
        let past = test.expect("[.] seq 3101:4101");
        assert!(!past.line.contains("urg"), "{}", past.line);
        test.take_sent();
        // Sent again from another place, with another offset.
        test.inject("[.] seq 5001 ack 1601");
        let rto = test.stats().rto;
        test.advance(rto);
        test.expect("[U.] seq 1601:2601 urg 1000");
    });
}

// trap: 62
#[test]
fn a_mark_too_far_ahead_is_told_with_the_largest_pointer() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.connection.write(test.now, &[1; 70_000]).unwrap();
        test.connection.write_urgent(test.now, &[2; 10]).unwrap();
        test.drain();
        test.expect("[U.] seq 101:1101 urg 65535");
        for _ in 0..3 {
            test.expect("[U.] urg 65535");
        }
        test.expect("[U.] seq 4101:5101 urg 65535");
        test.expect("[U.] seq 5101:6101 urg 65010");
    });
}

// trap: 62
#[test]
fn urgent_data_goes_segment_by_segment_whatever_the_device_takes() {
    // A device that cuts a super-segment would repeat one pointer in all of its parts.
    let mut test = Scripted::established(plain_config(), Default::default());
    test.caps.max_segments = 40;
    test.connection.write_urgent(test.now, &[1; 2_500]).unwrap();
    test.connection.write(test.now, &[2; 4_500]).unwrap();
    test.drain();
    for line in ["seq 101:1101 urg 2500", "seq 1101:2101 urg 1500", "seq 2101:3101 urg 500"] {
        test.expect(line);
    }
    // Past the mark they are merged again.
    test.expect("seq 3101:7101");
}

// req: MUST-62, MUST-66
// trap: 62
#[test]
fn a_probe_of_a_closed_window_tells_of_the_mark_from_where_it_stands() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write(b"0123456789");
        test.expect("[P.] seq 101:111");
        test.inject("[.] seq 5001 ack 111 win 0");
        assert_eq!(test.connection.write_urgent(test.now, b"stop!"), Ok(5));
        test.drain();
        test.expect_none();
        test.advance(Duration::from_secs(1));
        test.expect("[U.] seq 110 ack 5001 urg 6");
    });
}
