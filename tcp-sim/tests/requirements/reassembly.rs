//! Overlaps and holes, as the application sees them (trap 63).

use tcp_core::wire::Segment;
use tcp_core::{BufferLimit, Disposition, ReadError};
use tcp_sim::scripted::{IRS, Scripted, every_wrap, peer_byte, plain_config};

/// A segment of the peer whose bytes differ from the stream's.
fn other_bytes(test: &Scripted, line: &str) -> Vec<u8> {
    let mut bytes = test.peer_segment(line);
    let header = Segment::parse(&bytes).expect("it was just written").header_len();
    bytes[header..].iter_mut().for_each(|byte| *byte = byte.wrapping_add(1));
    tcp_core::wire::checksum::fill_tcp([10, 0, 0, 2].into(), [10, 0, 0, 1].into(), &mut bytes);
    bytes
}

// trap: 63
#[test]
fn the_first_copy_of_a_byte_is_the_one_that_is_read() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[.] seq 5101 ack 101 len 100");
        // Over both of its edges, from its left edge, within it.
        for line in
            ["[.] seq 5051 ack 101 len 200", "[.] seq 5101 ack 101 len 300", "[.] seq 5120 ack 101 len 10"]
        {
            let bytes = other_bytes(&test, line);
            test.inject_bytes(&bytes);
        }
        test.inject("[.] seq 5001 ack 101 len 450");
        let read = test.read(1_000).unwrap();
        assert_eq!(read.len(), 450);
        for (index, byte) in read.iter().enumerate() {
            let seq = IRS + 1 + index as u32;
            // 5051:5101, 5201:5251 and 5251:5401 came first with the other bytes.
            let other = (5_051..5_101).contains(&seq) || (5_201..5_401).contains(&seq);
            assert_eq!(*byte, peer_byte(seq).wrapping_add(u8::from(other)), "byte {seq}");
        }
    });
}

// trap: 63
#[test]
fn ten_thousand_holes_of_a_byte_are_bounded() {
    let mut config = plain_config();
    config.receive_buffer = BufferLimit::fixed(60_000);
    let mut test = Scripted::established(config, Default::default());
    for hole in 0..10_000u32 {
        test.inject(&format!("[.] seq {} ack 101 len 1", 5_002 + 2 * hole));
        test.take_sent();
    }
    assert!(test.connection.memory() < 200_000, "{}", test.connection.memory());
    assert_eq!(test.read(10), Err(ReadError::Blocked));
    // What was refused comes again; the stream is whole.
    for start in (5_001..25_001).step_by(1_000) {
        test.inject(&format!("[.] seq {start} ack 101 len 1000"));
    }
    test.take_sent();
    test.expect_data(5_001, 25_001);
}

// trap: 63
#[test]
fn what_lies_beyond_a_known_fin_is_dropped() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[F.] seq 5101 ack 101 len 100");
        test.inject("[.] seq 5151 ack 101 len 500");
        assert_eq!(test.inject("[.] seq 5001 ack 101 len 100"), Disposition::Taken);
        test.take_sent();
        test.expect_data(5_001, 5_201);
        assert_eq!(test.read(100), Ok(vec![]));
    });
}

// trap: 63
#[test]
fn the_same_left_edge_with_another_length_adds_what_is_new() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        for length in [10, 50, 30, 200] {
            test.inject(&format!("[.] seq 5101 ack 101 len {length}"));
        }
        test.inject("[.] seq 5001 ack 101 len 100");
        test.take_sent();
        test.expect_data(5_001, 5_301);
        assert_eq!(test.read(10), Err(ReadError::Blocked));
    });
}
