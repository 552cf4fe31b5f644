//! Timestamps, PAWS and what is measured with them (RFC 7323 §3 to §5).

use std::net::SocketAddr;

use tcp_core::wire::{IpPacket, Segment};
use tcp_core::{
    CloseReason, ConnConfig, Connection, Disposition, DropReason, Duration, Event, Framing, Instant,
    MissingTimestamp, ReadError, Seed, State, TimerKind, TxCaps,
};
use tcp_sim::scripted::{Scripted, every_wrap, plain_config};

/// The timestamp clock when a script begins: 1000 s in milliseconds, without offset.
const T0: u32 = 1_000_000;

fn config() -> ConnConfig {
    let mut config = plain_config();
    config.timestamps = true;
    config
}

/// The peer's first timestamp is 7000.
fn established(config: ConnConfig, numbers: tcp_sim::scripted::Numbers) -> Scripted {
    Scripted::established_with(config, numbers, ",TS 7000 1000000")
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

// req: 7323-TS1, 7323-TS2
#[test]
fn a_syn_echoes_nothing_and_its_answer_is_echoed() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(config(), numbers);
        test.expect(&format!("[S] seq 100 <mss 1000,TS {T0} 0>"));
        test.inject("[S.] seq 5000 ack 101 <mss 1000,TS 7000 1000000>");
        test.expect(&format!("[.] seq 101 ack 5001 <TS {T0} 7000>"));
    });
}

// req: 7323-TS1
#[test]
fn the_echo_of_a_segment_without_ack_is_ignored() {
    let mut test = Scripted::listening(config(), Default::default());
    test.inject("[S] seq 5000 <mss 1000,TS 7000 999500>");
    test.expect(&format!("[S.] seq 100 ack 5001 <mss 1000,TS {T0} 7000>"));
    test.advance(ms(20));
    test.inject(&format!("[.] seq 5001 ack 101 <TS 7020 {T0}>"));
    assert_eq!(test.stats().srtt, Some(ms(20)), "not the 500 ms that the SYN's echo would tell");
}

// req: 7323-TS3
#[test]
fn a_syn_without_timestamps_is_answered_without() {
    let mut test = Scripted::listening(config(), Default::default());
    test.inject("[S] seq 5000 <mss 1000>");
    test.expect("[S.] seq 100 ack 5001 <mss 1000>");
    test.inject("[.] seq 5001 ack 101");
    test.write(b"data");
    let sent = test.expect("[P.] seq 101:105");
    assert!(!sent.line.contains("TS"), "{}", sent.line);
    assert!(!test.stats().timestamps);
}

// req: 7323-TS8
#[test]
fn crossing_syns_agree_on_timestamps_if_both_have_them() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(config(), numbers);
        test.expect("[S] seq 100");
        test.inject("[S] seq 5000 <mss 1000,TS 7000 0>");
        test.expect(&format!("[S.] seq 100 ack 5001 <mss 1000,TS {T0} 7000>"));
        test.inject(&format!("[S.] seq 5000 ack 101 <mss 1000,TS 7001 {T0}>"));
        assert_eq!(test.state(), State::Established);

        let mut test = Scripted::connecting(config(), numbers);
        test.expect("[S] seq 100");
        test.inject("[S] seq 5000 <mss 1000>");
        test.expect("[S.] seq 100 ack 5001 <mss 1000>");
    });
}

// req: 7323-TS4, 7323-TS5
#[test]
fn every_segment_of_whatever_kind_carries_the_option() {
    every_wrap(|numbers| {
        let mut config = config();
        config.keepalive = Some(tcp_core::Keepalive { idle: ms(10_000), interval: ms(1_000), probes: 9 });
        let mut test = established(config, numbers);
        // A keepalive probe.
        test.advance(ms(10_000));
        test.expect("[.] seq 100 ack 5001");
        test.inject("[.] seq 5001 ack 101 <TS 17000 1010000>");
        let mut seen = 1;
        // Data, its retransmission, an ACK, a challenge, a window probe, a FIN, a RST.
        test.write_len(988);
        test.advance(ms(2_000));
        test.inject("[P.] seq 5001 ack 101 <TS 19000 1010000> len 10");
        test.advance(ms(100));
        test.inject("[S] seq 9000 <mss 1000,TS 19000 0>");
        test.inject("[.] seq 5011 ack 1089 win 0 <TS 19000 1010000>");
        test.write_len(10);
        test.advance(ms(5_000));
        test.inject("[.] seq 5011 ack 1089 win 1000 <TS 24000 1010000>");
        test.shutdown_write();
        test.abort();
        let sent = test.take_sent();
        for segment in &sent {
            assert!(segment.line.contains("<TS "), "{} ({:?})", segment.line, segment.reason);
            seen += 1;
        }
        use tcp_core::SendReason::{Abort, Challenge, Data, Rto, WindowProbe};
        for reason in [Data, Rto, Challenge, WindowProbe, Abort] {
            assert!(sent.iter().any(|segment| segment.reason == reason), "{reason:?} of {seen} is missing");
        }
        assert!(sent.iter().any(|segment| segment.line.starts_with("[F")));
    });
}

// req: 7323-TS5, 7323-RST1
#[test]
fn an_abort_tells_the_present_timestamp_and_the_answer_to_a_stray_segment_echoes() {
    let mut test = established(config(), Default::default());
    test.advance(ms(500));
    test.abort();
    test.expect(&format!("[R.] seq 101 ack 5001 <TS {} 7000>", T0 + 500));
    // Now there is no connection any more.
    assert_eq!(test.inject("[.] seq 5001 ack 101 <TS 7077 1000000> len 10"), Disposition::Reset);
    test.expect("[R] seq 101 <TS 0 7077>");
}

// req: 7323-TS6
#[test]
fn a_missing_option_drops_the_segment_silently_in_the_rfc_profile() {
    every_wrap(|numbers| {
        let mut config = config();
        config.missing_timestamp = ConnConfig::rfc().missing_timestamp;
        assert_eq!(config.missing_timestamp, MissingTimestamp::Drop);
        let mut test = established(config, numbers);
        let disposition = test.inject("[.] seq 5001 ack 101 len 10");
        assert_eq!(disposition, Disposition::Dropped(DropReason::NoTimestamp));
        test.advance(ms(1_000));
        test.expect_none();
        assert_eq!(test.read(10), Err(ReadError::Blocked));
        // The connection lives on.
        test.inject("[.] seq 5001 ack 101 <TS 7001 1000000> len 10");
        test.expect_data(5_001, 5_011);
    });
}

// req: 7323-TS6
#[test]
fn a_missing_option_is_tolerated_by_default_as_in_linux() {
    every_wrap(|numbers| {
        let mut test = established(config(), numbers);
        test.inject("[.] seq 5001 ack 101 len 10");
        test.expect_data(5_001, 5_011);
        test.advance(ms(100));
        test.expect("[.] seq 101 ack 5011 <TS 1000040 7000>");
    });
}

// req: 7323-TS7
#[test]
fn the_option_is_ignored_where_it_was_not_agreed_on() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(config(), numbers);
        test.inject("[.] seq 5001 ack 101 <TS 4000000000 1000000> len 10");
        test.inject("[.] seq 5011 ack 101 <TS 1 1000000> len 10");
        let ack = test.expect("[.] seq 101 ack 5021");
        assert!(!ack.line.contains("TS"), "{}", ack.line);
        test.expect_data(5_001, 5_021);
    });
}

// req: 7323-TS9, 7323-TS10
// trap: 38
#[test]
fn a_delayed_ack_echoes_the_first_segment_it_covers() {
    every_wrap(|numbers| {
        let mut test = established(config(), numbers);
        test.inject("[.] seq 5001 ack 101 <TS 7001 1000000> len 100");
        test.expect_none();
        test.inject("[.] seq 5101 ack 101 <TS 7050 1000000> len 100");
        test.expect(&format!("[.] seq 101 ack 5201 <TS {T0} 7001>"));
        // The next group begins with what comes next.
        test.inject("[.] seq 5201 ack 101 <TS 7060 1000000> len 100");
        test.inject("[.] seq 5301 ack 101 <TS 7061 1000000> len 100");
        test.expect(&format!("[.] seq 101 ack 5401 <TS {T0} 7060>"));
    });
}

// req: 7323-TS9, 7323-TS11, 7323-TS12
// trap: 38
#[test]
fn a_hole_is_answered_with_the_last_stamp_in_order_and_its_filling_with_the_fillers() {
    every_wrap(|numbers| {
        let mut test = established(config(), numbers);
        test.inject("[.] seq 5001 ack 101 <TS 7001 1000000> len 100");
        test.advance(ms(40));
        test.expect("[.] ack 5101 <TS 1000040 7001>");
        test.inject("[.] seq 5201 ack 101 <TS 7003 1000000> len 100");
        test.expect("[.] ack 5101 <TS 1000040 7001>");
        test.inject("[.] seq 5101 ack 101 <TS 7004 1000000> len 100");
        test.expect("[.] ack 5301 <TS 1000040 7004>");
    });
}

// req: 7323-TS13
// trap: 38
#[test]
fn a_segment_that_fails_the_ack_check_leaves_no_stamp() {
    every_wrap(|numbers| {
        let mut test = established(config(), numbers);
        let disposition = test.inject("[F.] seq 5001 ack 9999 <TS 900000 1000000>");
        assert_eq!(disposition, Disposition::Dropped(DropReason::AckOfUnsent));
        test.take_sent();
        test.inject("[.] seq 5001 ack 101 <TS 7001 1000000> len 10");
        test.expect_data(5_001, 5_011);
        test.advance(ms(40));
        test.expect("[.] ack 5011 <TS 1000040 7001>");
        assert_eq!(test.state(), State::Established);
    });
}

// req: 7323-RTT1, 7323-CLK1, 7323-CLK2
#[test]
fn the_clock_ticks_once_a_millisecond() {
    let mut config = config();
    config.no_delay = true;
    let mut test = established(config, Default::default());
    let mut seq = 101;
    for second in 0..100u32 {
        test.write(b"x");
        test.expect(&format!("[P.] seq {seq} <TS {} 7000>", T0 + second * 100));
        seq += 1;
        test.inject(&format!("[.] seq 5001 ack {seq} <TS 7000 {}>", T0 + second * 100));
        test.advance(ms(100));
    }
}

// req: 7323-CLK2
#[test]
fn the_clock_recycles_after_49_days() {
    let mut config = config();
    config.replay.timestamp_offset = Some(0u32.wrapping_sub(T0 + 10));
    let mut test = Scripted::connecting(config, Default::default());
    test.expect("[S] seq 100 <mss 1000,TS 4294967286 0>");
    test.inject("[S.] seq 5000 ack 101 <mss 1000,TS 7000 4294967286>");
    test.expect("[.] <TS 4294967286 7000>");
    test.advance(ms(5));
    test.write(b"a");
    test.expect("[P.] <TS 4294967291 7000>");
    test.advance(ms(30));
    test.inject("[.] seq 5001 ack 102 <TS 7020 4294967291>");
    assert_eq!(test.stats().min_rtt, Some(ms(0)), "the handshake took no time");
    test.write(b"b");
    test.expect("[P.] seq 102 <TS 25 7020>");
}

// req: 7323-CLK3
#[test]
fn each_pair_of_addresses_has_its_own_offset_which_lasts() {
    let stamp = |remote: &str, now: u64| {
        let (local, remote): (SocketAddr, SocketAddr) =
            ("10.0.0.1:4000".parse().unwrap(), remote.parse().unwrap());
        let mut connection = Connection::connect(
            Instant::from_millis(now),
            local,
            remote,
            ConnConfig::default(),
            &Seed::for_test(7),
        )
        .unwrap();
        let mut buf = [0; 100];
        let mut caps = TxCaps::default();
        caps.framing = Framing::Segment;
        let sent = connection.poll_transmit(Instant::from_millis(now), &caps, &mut buf).unwrap();
        Segment::parse(&buf[..sent.len]).unwrap().options.timestamps.unwrap().value
    };
    let first = stamp("10.0.0.2:80", 1_000);
    assert_ne!(first, stamp("10.0.0.3:80", 1_000));
    assert_ne!(first, stamp("10.0.0.2:81", 1_000));
    assert_eq!(first.wrapping_add(60_000), stamp("10.0.0.2:80", 61_000));
}

// req: 7323-RTT2
// trap: 40
#[test]
fn only_an_ack_that_moves_forward_is_measured() {
    every_wrap(|numbers| {
        let mut test = established(config(), numbers);
        let before = test.stats().srtt;
        test.write_len(988);
        test.advance(ms(150));
        // A window update and duplicate ACKs, with echoes that would tell a round trip.
        test.inject("[.] seq 5001 ack 101 win 21000 <TS 7001 1000100>");
        test.inject("[.] seq 5001 ack 101 win 21000 <TS 7001 1000100>");
        assert_eq!(test.stats().srtt, before);
        test.inject("[.] seq 5001 ack 1089 win 21000 <TS 7001 1000000>");
        assert_ne!(test.stats().srtt, before);
    });
}

// req: 7323-RTT4
// trap: 40
#[test]
fn an_echo_of_what_was_never_sent_is_not_measured() {
    // Zero, the future, before the connection, half of the number space away.
    for echo in ["0", "1005000", "999999", "2148483648", "3148483648", "4294967295"] {
        every_wrap(|numbers| {
            let mut test = established(config(), numbers);
            let before = test.stats().srtt;
            test.write_len(988);
            // Sent twice, so that only the echo could tell.
            test.advance(ms(1_500));
            assert!(test.stats().totals.segments_retransmitted > 0);
            test.inject(&format!("[.] seq 5001 ack 1089 <TS 7001 {echo}>"));
            assert_eq!(test.stats().srtt, before, "echo {echo}");
            assert_eq!(test.stats().unacknowledged, 0);
        });
    }
}

// req: 6298-3a
// trap: 40
#[test]
fn the_echo_tells_which_copy_of_a_retransmitted_segment_was_received() {
    every_wrap(|numbers| {
        let mut config = config();
        config.rto.granularity = ms(1);
        config.rto.min = ms(500);
        let mut test = established(config, numbers);
        test.write_len(988);
        test.expect(&format!("[P.] seq 101 <TS {T0} 7000>"));
        test.advance(ms(500));
        test.expect_at(500, &format!("[P.] seq 101 <TS {} 7000>", T0 + 500));
        test.advance(ms(100));
        // The echo of the first copy: the round trip is 600 ms.
        test.inject(&format!("[.] seq 5001 ack 1089 <TS 7600 {T0}>"));
        // From a handshake that took no time: SRTT 0 + 600/8.
        assert_eq!(test.stats().srtt, Some(ms(75)));
        assert_eq!(test.stats().backoff, 0, "a valid sample ends the back-off");
    });
}

// req: 7323-PAWS1
#[test]
fn the_saved_stamp_never_goes_back() {
    for offset in [0u32, 0xffff_f000, 0x7fff_f000] {
        let mut test = Scripted::connecting(config(), Default::default());
        test.expect("[S]");
        test.inject(&format!("[S.] seq 5000 ack 101 <mss 1000,TS {offset} {T0}>"));
        test.take_sent();
        let mut last = offset;
        let mut state = 12_345u64;
        let mut next = 5_001u32;
        for _ in 0..3_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (bits, stamp) = (state >> 33, offset.wrapping_add((state >> 40) as u32 % 20_000));
            let seq = next.wrapping_add((bits % 5) as u32 * 10).wrapping_sub(20);
            test.inject(&format!("[.] seq {seq} ack 101 <TS {stamp} {T0}> len 10"));
            for sent in test.take_sent() {
                let segment = Segment::parse(&sent.bytes).unwrap();
                let echo = segment.options.timestamps.unwrap().echo;
                assert!(echo.wrapping_sub(last) as i32 >= 0, "{echo} after {last}");
                last = echo;
                next = segment.ack.0;
            }
            while test.read(1_000).is_ok_and(|data| !data.is_empty()) {}
            test.take_sent();
        }
        assert!(test.stats().totals.old_timestamps > 0 && test.stats().totals.bytes_received > 0);
    }
}

// req: 7323-PAWS2, 7323-HP
// trap: 39
#[test]
fn an_older_stamp_drops_the_segment_and_is_answered() {
    every_wrap(|numbers| {
        let mut test = established(config(), numbers);
        let disposition = test.inject("[.] seq 5001 ack 101 <TS 6999 1000000> len 10");
        assert_eq!(disposition, Disposition::Dropped(DropReason::OldTimestamp));
        test.expect(&format!("[.] seq 101 ack 5001 <TS {T0} 7000>"));
        assert_eq!(test.read(10), Err(ReadError::Blocked));
        assert_eq!(test.stats().totals.old_timestamps, 1);
    });
}

// req: 7323-PAWS2
// trap: 39
#[test]
fn paws_comes_before_the_sequence_test_and_the_ack() {
    every_wrap(|numbers| {
        let mut test = established(config(), numbers);
        test.write_len(100);
        test.expect("[P.] seq 101:201");
        // Out of the window and too old: it counts as old. Its ACK does not count.
        let disposition = test.inject("[.] seq 40000 ack 201 <TS 6999 1000000> len 10");
        assert_eq!(disposition, Disposition::Dropped(DropReason::OldTimestamp));
        let disposition = test.inject("[F.] seq 5001 ack 201 <TS 6999 1000000>");
        assert_eq!(disposition, Disposition::Dropped(DropReason::OldTimestamp));
        assert_eq!(test.stats().unacknowledged, 100);
        assert_eq!(test.state(), State::Established);
        // A SYN with an old stamp is answered with an ACK, and resets nothing.
        test.inject("[S] seq 5001 <mss 1000,TS 6000 0>");
        assert_eq!(test.state(), State::Established);
    });
}

// req: 7323-PAWS3
// trap: 39
#[test]
fn a_rst_is_never_too_old() {
    every_wrap(|numbers| {
        let mut test = established(config(), numbers);
        test.inject("[R] seq 5001 <TS 1 0>");
        assert_eq!(test.close_reason(), Some(CloseReason::Reset));
        assert!(test.take_events().contains(Event::CLOSED));
        test.expect_none();
        // Nor does its stamp count.
        let mut test = established(config(), numbers);
        test.inject("[R] seq 5100 <TS 900000 0>");
        test.expect(&format!("[.] seq 101 ack 5001 <TS {T0} 7000>"));
        test.inject("[.] seq 5001 ack 101 <TS 7001 1000000> len 10");
        test.expect_data(5_001, 5_011);
    });
}

// req: 7323-PAWS4
#[test]
fn what_waited_for_a_hole_is_not_tested_again() {
    every_wrap(|numbers| {
        // The example of RFC 7323 §5.3: the segments behind the hole have older stamps than the
        // one that fills it, or than those that follow.
        let mut test = established(config(), numbers);
        test.inject("[.] seq 5101 ack 101 <TS 7001 1000000> len 100");
        test.inject("[.] seq 5201 ack 101 <TS 7001 1000000> len 100");
        test.inject("[.] seq 5001 ack 101 <TS 7500 1000000> len 100");
        test.take_sent();
        test.expect_data(5_001, 5_301);
        assert_eq!(test.stats().totals.old_timestamps, 0);
    });
}

// req: 7323-PAWS5
#[test]
fn equal_stamps_are_all_taken() {
    every_wrap(|numbers| {
        let mut test = established(config(), numbers);
        for seq in (5_001..5_501).step_by(100) {
            test.inject(&format!("[.] seq {seq} ack 101 <TS 7000 1000000> len 100"));
        }
        test.expect_data(5_001, 5_501);
    });
}

// req: 7323-PAWS6
// trap: 39
#[test]
fn a_stamp_older_than_24_days_says_nothing() {
    every_wrap(|numbers| {
        let mut test = established(config(), numbers);
        test.advance(Duration::from_secs(23 * 86_400));
        let disposition = test.inject("[.] seq 5001 ack 101 <TS 6000 1000000> len 10");
        assert_eq!(disposition, Disposition::Dropped(DropReason::OldTimestamp));
        test.advance(Duration::from_secs(2 * 86_400));
        test.inject("[.] seq 5001 ack 101 <TS 6000 1000000> len 10");
        test.expect_data(5_001, 5_011);
        // It was reloaded: what is older than that is old again.
        let disposition = test.inject("[.] seq 5011 ack 101 <TS 5999 1000000> len 10");
        assert_eq!(disposition, Disposition::Dropped(DropReason::OldTimestamp));
    });
}

// req: 7323-PAWS8
#[test]
fn an_old_duplicate_ack_is_not_tolerated_either() {
    every_wrap(|numbers| {
        let mut test = established(config(), numbers);
        test.write_len(988);
        test.inject("[.] seq 5001 ack 101 <TS 7005 1000000>");
        let disposition = test.inject("[.] seq 5001 ack 1089 <TS 7004 1000000>");
        assert_eq!(disposition, Disposition::Dropped(DropReason::OldTimestamp));
        assert_eq!(test.stats().unacknowledged, 988);
    });
}

// req: 7323-PMTU
#[test]
fn no_packet_may_be_fragmented() {
    let mut test = established(config(), Default::default());
    test.caps.framing = Framing::Ip;
    let mut buf = vec![0; 2_000];
    test.connection.write(test.now, &[7; 2_000]).unwrap();
    let mut packets = 0;
    while let Some(sent) = test.connection.poll_transmit(test.now, &test.caps, &mut buf) {
        assert_eq!(buf[6] & 0x40, 0x40, "DF");
        assert!(sent.len <= 1_040);
        assert!(IpPacket::parse(&buf[..sent.len]).is_ok());
        packets += 1;
    }
    assert_eq!(packets, 3);
    // Those that belong to no connection, too.
    test.connection.abort(test.now);
    let sent = test.connection.poll_transmit(test.now, &test.caps, &mut buf).unwrap();
    assert_eq!((buf[6] & 0x40, sent.reason), (0x40, tcp_core::SendReason::Abort));
    assert_eq!(test.connection.timer(TimerKind::Retransmission), None);
}
