//! The known implementation problems of RFC 2525 that no other file has.

use std::collections::HashMap;

use tcp_core::wire::Segment;
use tcp_core::{CloseReason, ConnConfig, Duration, Framing, InitialWindow, SendReason, State};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn payload(bytes: &[u8]) -> Vec<u8> {
    Segment::parse(bytes).expect("what we send can be parsed").payload.to_vec()
}

// req: 2525-1
#[test]
fn a_fresh_connection_starts_slowly_however_large_the_window() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.window_scaling = true;
        let mut test = Scripted::established_with(config, numbers, ",wscale 7");
        test.inject("[.] seq 5001 ack 101 win 60000");
        test.write_len(1_000_000);
        let (mut una, mut flight) = (101, test.take_sent().len());
        assert_eq!(flight, 10);
        for _ in 0..4 {
            for _ in 0..flight {
                una += 1_000;
                test.inject(&format!("[.] seq 5001 ack {una} win 60000"));
            }
            let sent = test.take_sent().len();
            assert_eq!(sent, 2 * flight);
            flight = sent;
        }
    });
}

// req: 2525-3
// trap: 28
#[test]
fn a_syn_ack_without_options_gives_the_window_of_the_default_mss() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(ConnConfig::default(), numbers);
        test.expect("[S]");
        test.inject("[S.] seq 5000 ack 101");
        assert_eq!((test.stats().send_mss, test.stats().congestion_window), (536, 5_360));
        test.expect("[.] seq 101 ack 5001");
        test.write_len(20_000);
        let sent = test.take_sent();
        assert_eq!(sent.len(), 10);
        assert!(sent.iter().all(|sent| payload(&sent.bytes).len() == 536));
    });
}

// req: 2525-4
#[test]
fn a_byte_that_was_sent_never_changes() {
    for seed in 1..40u64 {
        let mut random = seed;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut config = plain_config();
        config.sack = seed % 2 == 0;
        config.timestamps = seed % 3 == 0;
        let numbers = Numbers::wrap_after(seed as u32 * 700);
        let mut test = Scripted::established_with(config, numbers, ",sackOK");
        let mut written = 0u32;
        let mut ledger: HashMap<u32, u8> = HashMap::new();
        let (mut una, mut top, mut fin) = (101u32, 101u32, None);
        for step in 0..600 {
            match next(10) {
                0 | 1 if step < 400 => {
                    let length = next(3_000) as usize;
                    let data: Vec<u8> = (0..length).map(|_| next(256) as u8).collect();
                    written += test.connection.write(test.now, &data).unwrap_or(0) as u32;
                }
                2 if step < 400 => {
                    written += test.connection.write_urgent(test.now, &[next(256) as u8]).unwrap_or(0) as u32;
                }
                3 => test.advance(ms(next(1_500))),
                4 => drop(test.inject(&format!("[.] seq 5001 ack {una} win {}", next(20_000)))),
                5 | 6 if top > una => {
                    una += next(u64::from(top - una) + 1) as u32;
                    test.inject(&format!("[.] seq 5001 ack {una} win {}", 500 + next(20_000)));
                }
                7 if top > una + 10 => {
                    let start = una + 1 + next(u64::from(top - una - 2)) as u32;
                    let end = start + 1 + next(u64::from(top - start)) as u32;
                    test.inject(&format!(
                        "[.] seq 5001 ack {una} win 20000 <raw,sack {start}:{end},nop,nop>"
                    ));
                }
                8 => drop(test.inject(&format!("[.] seq 5001 ack {una} win 20000"))),
                _ if step == 450 => test.shutdown_write(),
                _ => {}
            }
            test.drain();
            for sent in test.take_sent() {
                let segment = Segment::parse(&sent.bytes).unwrap();
                let start = (segment.seq - numbers.local).0;
                for (index, byte) in segment.payload.iter().enumerate() {
                    let at = start + index as u32;
                    let before = *ledger.entry(at).or_insert(*byte);
                    assert_eq!(before, *byte, "seed {seed}, step {step}: byte {at} of {}", sent.line);
                }
                let end = start + segment.payload.len() as u32;
                if segment.flags.fin() {
                    assert_eq!(*fin.get_or_insert(end), end, "the FIN does not move");
                    assert_eq!(end, 101 + written);
                }
                assert!(fin.is_none_or(|fin| end <= fin), "nothing behind the FIN");
                top = top.max(end + u32::from(segment.flags.fin()));
            }
        }
        assert!(ledger.len() > 1_000, "seed {seed}: {}", ledger.len());
    }
}

// req: 2525-5
#[test]
fn what_comes_above_a_hole_is_kept() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        for seq in [9_001, 7_001, 5_501] {
            test.inject(&format!("[.] seq {seq} ack 101 len 500"));
        }
        test.inject("[.] seq 6001 ack 101 len 1000");
        test.inject("[.] seq 7501 ack 101 len 1500");
        test.take_sent();
        test.inject("[.] seq 5001 ack 101 len 500");
        test.expect("[.] seq 101 ack 9501");
        test.expect_data(5_001, 9_501);
    });
}

// req: 2525-6
#[test]
fn a_hundred_round_trips_of_avoidance_add_a_hundred_segments_at_most() {
    let mut config = plain_config();
    config.window_scaling = true;
    config.initial_window = InitialWindow::Segments(8);
    config.initial_ssthresh = Some(8_000);
    let mut test = Scripted::established_with(config, Numbers::default(), ",wscale 7");
    test.inject("[.] seq 5001 ack 101 win 60000");
    let (mut una, mut top) = (101u32, 101u32);
    for round in 1..=100u32 {
        while test.connection.write(test.now, &[0; 10_000]).is_ok() {}
        test.drain();
        for sent in test.take_sent() {
            top =
                top.max(101 + (Segment::parse(&sent.bytes).unwrap().seq - tcp_core::SeqNumber(101)) + 1_000);
        }
        while una < top {
            una = (una + 2_000).min(top);
            test.inject(&format!("[.] seq 5001 ack {una} win 60000"));
        }
        let window = test.stats().congestion_window;
        assert!((7_000..=9_000).contains(&(window - 1_000 * round)), "round {round}: {window}");
    }
}

// req: 2525-13
// trap: 58
#[test]
fn a_second_full_segment_is_acknowledged_whatever_the_options() {
    every_wrap(|numbers| {
        // The peer's segments are smaller than the MSS, for their options.
        let mut config = plain_config();
        config.timestamps = true;
        let mut test = Scripted::established_with(config, numbers, ",TS 7 1000000");
        let mut acks = 0;
        for index in 0..8 {
            test.inject(&format!("[.] seq {} ack 101 <TS 8 1000000> len 988", 5_001 + index * 988));
            acks += test.take_sent().len();
        }
        assert_eq!(acks, 4);
    });
}

// req: 2525-14
// trap: 28, 33
#[test]
fn a_timeout_sends_one_packet_with_the_range_of_the_original() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.timestamps = true;
        config.sack = true;
        let mut test = Scripted::established_with(config, numbers, ",sackOK,TS 7000 1000000");
        test.write_len(988);
        test.expect("[P.] seq 101:1089");
        test.advance(ms(200));
        test.expect("[P.] seq 101:1089 len 988");
        test.expect_none();
        // With a FIN on a full segment, too.
        test.inject("[.] seq 5001 ack 1089 <TS 7200 1000200>");
        let data = [1; 988];
        test.connection.write(test.now, &data).unwrap();
        test.shutdown_write();
        test.expect("[FP.] seq 1089 ack 5001 len 988");
        let rto = test.stats().rto;
        test.advance(rto);
        test.expect("[FP.] seq 1089 ack 5001 len 988");
        test.advance(ms(1));
        test.expect_none();
        assert_eq!(test.stats().unacknowledged, 989);
    });
}

// trap: 28
#[test]
fn a_retransmission_with_more_options_leaves_a_tail_that_goes_next() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.sack = true;
        let mut test = Scripted::established_with(config, numbers, ",sackOK");
        test.write_len(1_000);
        test.expect("[P.] seq 101:1101");
        // A hole of the peer's asks for twelve bytes of every segment.
        test.inject("[.] seq 5101 ack 101 len 100");
        test.expect("[.] <sack 5101:5201>");
        test.advance(ms(200));
        test.expect("[.] seq 101:1089 <sack 5101:5201>");
        test.expect_none();
        test.inject("[.] seq 5001 ack 1089");
        test.expect("[P.] seq 1089:1101");
        test.expect_none();
    });
}

// req: 2525-15
// trap: 34
#[test]
fn a_fin_rides_on_the_last_segment_and_waits_for_nobody() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.connection.write(test.now, &[1; 100]).unwrap();
        test.connection.shutdown_write(test.now);
        test.drain();
        test.expect("[FP.] seq 101 ack 5001 len 100");
        // Nor for what is in flight, with Nagle's rule in force.
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(50);
        test.expect("[P.] seq 101:151");
        test.write_len(50);
        test.expect_none();
        test.shutdown_write();
        test.expect("[FP.] seq 151 ack 5001 len 50");
        // Nor for a cork.
        let mut test = Scripted::established(plain_config(), numbers);
        test.connection.cork(test.now);
        test.write_len(50);
        test.expect_none();
        test.shutdown_write();
        test.expect("[FP.] seq 101 ack 5001 len 50");
        assert_eq!(test.state(), State::FinWait1);
    });
}

// req: 2525-16
// trap: 35
#[test]
fn data_for_an_application_that_has_closed_is_reset() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.close();
        test.expect("[F.] seq 101 ack 5001");
        test.inject("[.] seq 5001 ack 102");
        assert_eq!(test.state(), State::FinWait2);
        // What is old is no new data.
        test.inject("[.] seq 4901 ack 102 len 100");
        test.expect("[.] seq 102 ack 5001");
        assert_eq!(test.state(), State::FinWait2);
        test.inject("[P.] seq 5001 ack 102 len 10");
        test.expect("[R] seq 102");
        assert_eq!(test.state(), State::Closed);
        test.expect_none();
    });
}

// req: 2525-17
// trap: 36
#[test]
fn closing_with_data_unread_resets_at_once() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.linger = tcp_core::Linger::Timeout(ms(10_000));
        let mut test = Scripted::established(config, numbers);
        test.inject("[P.] seq 5001 ack 101 len 10");
        test.close();
        test.expect("[R.] seq 101 ack 5011");
        assert_eq!(test.close_reason(), Some(CloseReason::Aborted));
        // A FIN that is not read is no data, nor is what waits for a hole.
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[F.] seq 5001 ack 101");
        test.close();
        test.expect("[F.] seq 101 ack 5002");
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[P.] seq 5101 ack 101 len 10");
        test.expect("[.] ack 5001");
        test.close();
        test.expect("[F.] seq 101 ack 5001");
    });
}

// req: 2525-18
// trap: 28
#[test]
fn no_packet_is_larger_than_the_mtu_with_any_options() {
    let mut config = ConnConfig::default();
    config.ack.quick = 0;
    let mut test = Scripted::established_with(config, Numbers::default(), ",sackOK,TS 7 1000000,wscale 7");
    // The peer's MSS is 1000; its path would take 1500.
    let mut lengths = Vec::new();
    test.caps.framing = Framing::Ip;
    let mut buf = vec![0; 9_000];
    for holes in 0..5u32 {
        let data = [0; 3_000];
        test.connection.write(test.now, &data).unwrap();
        while let Some(sent) = test.connection.poll_transmit(test.now, &test.caps, &mut buf) {
            assert!(sent.len <= 1_040, "{holes} holes: {}", sent.len);
            lengths.push(sent.len);
        }
        let line = format!("[.] seq {} ack 101 <TS 8 1000000> len 10", 5_101 + 100 * holes);
        let bytes = test.peer_segment(&line);
        let meta = tcp_core::RxMeta::new("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
        test.connection.handle_segment(test.now, &meta, tcp_core::Rx::new(&bytes));
    }
    assert!(lengths.contains(&1_040), "full segments fill it: {lengths:?}");
}

// req: 2525-18
#[test]
fn with_timestamps_1448_bytes_fit_an_mtu_of_1500() {
    let mut test = Scripted::connecting(ConnConfig::default(), Numbers::default());
    test.expect("[S]");
    test.inject("[S.] seq 5000 ack 101 <mss 1460,TS 7 1000000>");
    test.expect("[.]");
    test.write_len(3_000);
    let sent = test.expect("[.] seq 101:1549 len 1448");
    assert_eq!((sent.bytes.len() + 20, sent.reason), (1_500, SendReason::Data));
}
