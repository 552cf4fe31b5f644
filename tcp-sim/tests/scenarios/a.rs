//! Scenarios A: segments and connections.

use std::net::{IpAddr, SocketAddr};

use tcp_core::wire::{Segment, SegmentText, TcpView, checksum};
use tcp_core::{
    CloseReason, Connection, Disposition, DropReason, Duration, Event, Instant, ReadError, Rx, Seed, State,
    TxCaps, WriteError,
};
use tcp_sim::scripted::{Scripted, every_wrap, plain_config};

#[test]
fn a1_every_field_and_option_survives_parsing_printing_and_parsing() {
    #[rustfmt::skip]
    let bytes = [
        0x9c, 0x41, 0x00, 0x50, // ports 40001 and 80
        0x01, 0x02, 0x03, 0x04, // sequence number
        0x0a, 0x0b, 0x0c, 0x0d, // acknowledgement number
        0xaf, 0xff,             // ten words, all reserved bits, all flags
        0x12, 0x34,             // window
        0xab, 0xcd,             // checksum
        0x00, 0x07,             // urgent pointer
        0x02, 0x04, 0x05, 0xb4, // MSS 1460
        0x04, 0x02, 0x08, 0x0a, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x06, // SACK permitted, TS 5 6
        0x01, 0x03, 0x03, 0x08, // window scale 8
        b'h', b'i', b'!',
    ];
    let line = format!("{:#}", TcpView::new(&bytes).unwrap());
    assert_eq!(
        line,
        "40001 > 80 [SFRPUEWe.] seq 16909060 ack 168496141 win 4660 urg 7 rsv 7 cksum 0xabcd \
         <mss 1460,sackOK,TS 5 6,wscale 8> len 3 data 0x686921"
            .replace(" seq 16909060 ", " seq 16909060:16909063 ")
    );
    let read: SegmentText = line.parse().unwrap();
    assert_eq!(read.to_bytes(), bytes);
    let segment = Segment::parse(&bytes).unwrap();
    let again: SegmentText = segment.to_string().parse().unwrap();
    assert_eq!(again.segment(), Segment { src_port: 0, dst_port: 0, payload: &[0; 3], ..segment });
}

/// A segment that would be taken, changed by `change`, with its checksum set right afterwards.
fn damaged(test: &Scripted, line: &str, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = test.peer_segment(line);
    change(&mut bytes);
    let (src, dst) = (IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 0, 0, 1]));
    checksum::fill_tcp(src, dst, &mut bytes);
    bytes
}

#[test]
fn a2_a_damaged_segment_is_dropped_and_counted_by_its_cause() {
    type Change = fn(&mut Vec<u8>);
    let cases: [(DropReason, Change); 7] = [
        (DropReason::TooShort, |bytes| bytes.truncate(19)),
        (DropReason::DataOffset, |bytes| bytes[12] = 4 << 4),
        (DropReason::DataOffset, |bytes| bytes[12] = 15 << 4),
        // The last option says that it is longer than what is left.
        (DropReason::BadOptions, |bytes| {
            bytes[20..32].copy_from_slice(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 10]);
        }),
        (DropReason::BadOptions, |bytes| bytes[31] = 8),
        (DropReason::BadOptions, |bytes| bytes[20..22].copy_from_slice(&[5, 0])),
        (DropReason::BadOptions, |bytes| bytes[20..22].copy_from_slice(&[5, 1])),
    ];
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.timestamps = true;
        let mut test = Scripted::established_with(config, numbers, ",TS 1000 0");
        let line = "[P.] seq 5001 ack 101 <TS 1001 0> len 10";
        let before = test.connection.digest();
        for (number, (reason, change)) in cases.iter().enumerate() {
            let count = test.connection.drops().get(*reason);
            let bytes = damaged(&test, line, |bytes| {
                // With nothing but padding behind the header, an option of one byte can follow.
                bytes[20..32].copy_from_slice(&[1; 12]);
                change(bytes);
            });
            assert_eq!(test.inject_bytes(&bytes), Disposition::Dropped(*reason), "case {number}");
            assert_eq!(test.connection.drops().get(*reason), count + 1);
        }
        let mut flipped = test.peer_segment(line);
        *flipped.last_mut().unwrap() ^= 1;
        assert_eq!(test.inject_bytes(&flipped), Disposition::Dropped(DropReason::Checksum));
        assert_eq!(test.connection.drops().get(DropReason::Checksum), 1);
        assert_eq!(test.connection.drops().total(), 8);
        test.advance(Duration::from_secs(1));
        test.expect_none();
        assert_eq!(test.take_events(), Event::NONE);
        assert_eq!(test.connection.digest(), before, "nothing has changed");
        // Undamaged, it is taken.
        assert_eq!(test.inject(line), Disposition::Taken);
        test.expect_data(5_001, 5_011);
    });
}

/// Everything `from` has to send, as packets.
fn packets(from: &mut Connection, now: Instant) -> Vec<Vec<u8>> {
    let mut buf = vec![0; 2_000];
    let mut all = Vec::new();
    while let Some(transmit) = from.poll_transmit(now, &TxCaps::default(), &mut buf) {
        all.push(buf[..transmit.len].to_vec());
    }
    all
}

#[test]
fn a3_connections_that_differ_in_one_part_of_the_address_share_nothing() {
    let now = Instant::from_secs(5);
    let tuples = [
        ("10.0.0.1:1000", "10.0.0.2:80"),
        ("10.0.0.1:1001", "10.0.0.2:80"),
        ("10.0.0.9:1000", "10.0.0.2:80"),
        ("10.0.0.1:1000", "10.0.0.2:81"),
        ("10.0.0.1:1000", "10.0.0.3:80"),
    ];
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for (index, (local, remote)) in tuples.into_iter().enumerate() {
        let (local, remote): (SocketAddr, SocketAddr) = (local.parse().unwrap(), remote.parse().unwrap());
        let mut config = plain_config();
        // The same sequence numbers everywhere: only the addresses tell them apart.
        config.replay.initial_sequence = Some(tcp_core::SeqNumber(u32::MAX - 1));
        let seed = Seed::for_test(index as u64);
        let mut server = Connection::listen(now, remote, config.clone(), &seed).unwrap();
        let mut client = Connection::connect(now, local, remote, config, &seed).unwrap();
        for _ in 0..3 {
            for packet in packets(&mut client, now) {
                server.handle_packet(now, Rx::new(&packet));
            }
            for packet in packets(&mut server, now) {
                client.handle_packet(now, Rx::new(&packet));
            }
        }
        assert_eq!((client.state(), server.state()), (State::Established, State::Established));
        clients.push(client);
        servers.push(server);
    }
    // Everybody hears everything, as on a hub; each takes its own.
    for (index, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.write(now, format!("for server {index}").as_bytes()), Ok(12));
        for packet in packets(client, now) {
            for (other, server) in servers.iter_mut().enumerate() {
                let expected = match other == index {
                    true => Disposition::Taken,
                    false => Disposition::Dropped(DropReason::NotForUs),
                };
                assert_eq!(server.handle_packet(now, Rx::new(&packet)), expected, "{index} to {other}");
            }
        }
    }
    for (index, server) in servers.iter_mut().enumerate() {
        let mut data = [0; 100];
        assert_eq!(server.read(now, &mut data), Ok(12));
        assert_eq!(&data[..12], format!("for server {index}").as_bytes());
        assert_eq!(server.read(now, &mut data), Err(ReadError::Blocked));
    }
}

#[test]
fn a5_a_connection_that_is_gone_says_so_and_sends_nothing() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[R] seq 5001");
        assert_eq!(test.state(), State::Closed);
        assert_eq!(test.take_events(), Event::CLOSED | Event::READABLE);
        let now = test.now;
        let gone = CloseReason::Reset;
        let connection = &mut test.connection;
        assert_eq!(connection.read(now, &mut [0; 9]), Err(ReadError::Closed(gone)));
        assert_eq!(connection.peek(now, &mut [0; 9]), Err(ReadError::Closed(gone)));
        assert_eq!(connection.read_bytes(now, 9), Err(ReadError::Closed(gone)));
        assert_eq!(connection.write(now, b"x"), Err(WriteError::Closed(gone)));
        assert_eq!(connection.write_urgent(now, b"x"), Err(WriteError::Closed(gone)));
        connection.shutdown_write(now);
        connection.shutdown_read(now);
        connection.uncork(now);
        connection.close(now);
        connection.abort(now);
        assert_eq!(connection.close_reason(), Some(gone));
        assert_eq!(connection.poll_timeout(), None);
        assert_eq!(connection.memory(), 0);
        test.advance(Duration::from_secs(1_000));
        test.expect_none();
        assert_eq!(test.take_events(), Event::NONE);
        // Another connection's data is refused, and not kept.
        assert_eq!(test.inject("[P.] seq 5001 ack 101 len 10"), Disposition::Reset);
        test.expect("[R] seq 101");
        assert_eq!(test.stats().readable, 0);
    });
}
