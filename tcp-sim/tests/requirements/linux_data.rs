//! When data and acknowledgements leave, as Linux does it: delayed and quick ACKs, Nagle's rule,
//! corks.

use tcp_core::{ConnConfig, Disposition, DropReason, Duration, Event, SendReason};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, peer_bytes, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// The line of a data segment of the peer.
fn data(start: u32, end: u32, ack: u32) -> String {
    format!("[.] seq {start}:{end} ack {ack} len {}", end - start)
}

/// Plain, with a buffer that is never the limit.
fn roomy() -> ConnConfig {
    let mut config = plain_config();
    config.receive_buffer = tcp_core::BufferLimit::fixed(60_000);
    config
}

// req: LNX-ACK-1
#[test]
fn the_first_sixteen_segments_are_acknowledged_at_once_and_later_ones_after_40_ms() {
    every_wrap(|numbers| {
        let mut config = roomy();
        config.ack.quick = 16;
        let mut test = Scripted::established(config, numbers);
        let mut seq = 5_001;
        for _ in 0..16 {
            test.inject(&data(seq, seq + 100, 101));
            seq += 100;
            assert_eq!(test.expect(&format!("[.] seq 101 ack {seq}")).reason, SendReason::Ack);
            // Slower than the round trip, faster than idling.
            test.advance(MS(60));
            test.expect_none();
        }
        test.inject(&data(seq, seq + 100, 101));
        seq += 100;
        let sent_at = test.elapsed();
        test.expect_none();
        test.advance(MS(500));
        let ack = test.expect_at(sent_at + 40, &format!("[.] seq 101 ack {seq}"));
        assert_eq!(ack.reason, SendReason::DelayedAck);
        assert_eq!(test.stats().totals.delayed_acks, 1);

        // After idling the peer is in slow start again.
        test.advance(Duration::from_secs(10));
        test.inject(&data(seq, seq + 100, 101));
        seq += 100;
        test.expect(&format!("[.] seq 101 ack {seq}"));
        // Out of order: at once, and the hole's filling too.
        test.advance(MS(60));
        for _ in 0..20 {
            test.inject(&data(seq, seq + 100, 101));
            seq += 100;
            test.advance(MS(60));
        }
        test.take_sent();
        test.inject(&data(seq + 100, seq + 200, 101));
        test.expect(&format!("[.] seq 101 ack {seq}"));
        test.inject(&data(seq, seq + 100, 101));
        test.expect(&format!("[.] seq 101 ack {}", seq + 200));
        test.expect_none();
    });
}

// req: LNX-ACK-1
#[test]
fn the_delay_follows_the_pace_of_the_data_between_40_and_200_ms() {
    let mut config = roomy();
    config.rto.min = Duration::from_secs(2);
    let mut test = Scripted::established(config, Numbers::default());
    assert_eq!(test.stats().ack_delay, MS(40));
    let mut seq = 5_001;
    let mut delays = Vec::new();
    for step in 0..40u64 {
        test.inject(&data(seq, seq + 10, 101));
        seq += 10;
        test.advance(MS(if step < 20 { 30 } else { 5 }));
        delays.push(test.stats().ack_delay);
        assert!(delays.iter().all(|delay| *delay >= MS(40) && *delay <= MS(200)));
    }
    assert!(delays[19] > MS(50), "it waits for the next of a slow stream: {delays:?}");
    assert_eq!(delays[39].as_millis(), 40);
}

// req: LNX-ACK-2
#[test]
fn twenty_full_segments_get_ten_acks() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(roomy(), numbers);
        for segment in 0..20 {
            let start = 5_001 + segment * 1_000;
            test.inject(&data(start, start + 1_000, 101));
            if segment % 2 == 1 {
                test.expect(&format!("[.] seq 101 ack {}", start + 1_000));
            }
            test.expect_none();
        }
        test.advance(Duration::from_secs(1));
        test.expect_none();
        test.expect_data(5_001, 25_001);
    });
}

// req: LNX-ACK-2, LNX-WIN-1
#[test]
fn a_reader_that_frees_more_than_half_of_the_buffer_is_told_of_at_once() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        for start in [5_001, 6_001, 7_001, 8_001, 9_001, 10_001] {
            test.inject(&data(start, start + 1_000, 101));
        }
        assert_eq!(test.take_sent().len(), 3);
        assert_eq!(test.stats().receive_window, 4_000);
        test.expect_data(5_001, 8_001);
        test.expect_none();
        test.expect_data(8_001, 11_001);
        // 4000 was promised, and now it is at least twice that: one ACK, and no timer.
        let update = test.expect("[.] seq 101 ack 11001");
        assert_eq!(update.reason, SendReason::WindowUpdate);
        test.expect_none();
        assert!(test.stats().receive_window >= 8_000);
    });
}

// req: LNX-ACK-3, 1122-6
#[test]
fn an_echo_server_sends_one_packet_for_each_it_receives() {
    every_wrap(|numbers| {
        for length in [1u32, 100] {
            let mut config = plain_config();
            config.no_delay = true;
            let mut test = Scripted::established(config, numbers);
            let (mut seq, mut ack) = (5_001, 101);
            for _ in 0..50 {
                test.inject(&format!("[P.] seq {seq}:{} ack {ack} len {length}", seq + length));
                seq += length;
                let question = test.read(length as usize).unwrap();
                assert_eq!(question, peer_bytes(seq - length, seq));
                test.write(&question);
                test.expect(&format!("[P.] seq {ack}:{} ack {seq} len {length}", ack + length));
                test.expect_none();
                ack += length;
                test.advance(MS(10));
                test.expect_none();
            }
            // The last answer is acknowledged; that is the end of it.
            test.inject(&format!("[.] seq {seq} ack {ack}"));
            test.advance(Duration::from_secs(1));
            test.expect_none();
            assert_eq!(test.stats().totals.delayed_acks, 0);
        }
    });
}

// req: LNX-ACK-4
#[test]
fn quick_ack_answers_what_waits_and_wears_off() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(roomy(), numbers);
        test.inject(&data(5_001, 5_101, 101));
        test.expect_none();
        test.connection.quick_ack(test.now);
        test.drain();
        test.expect_at(0, "[.] seq 101 ack 5101");
        test.inject(&data(5_101, 5_201, 101));
        test.expect_at(0, "[.] seq 101 ack 5201");
        // It was for a while only.
        test.inject(&data(5_201, 5_301, 101));
        test.expect_none();
        test.advance(MS(40));
        test.expect_at(40, "[.] seq 101 ack 5301");
        // With nothing to acknowledge it says nothing.
        test.connection.quick_ack(test.now);
        test.drain();
        test.expect_none();
    });
}

// req: LNX-ACK-5
#[test]
fn five_kinds_of_segments_are_answered_at_once() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(roomy(), numbers);
        test.inject(&data(5_001, 6_001, 101));
        test.inject(&data(6_001, 7_001, 101));
        test.expect("[.] seq 101 ack 7001");
        test.expect_none();
        // Duplicate data.
        test.inject(&data(6_001, 7_001, 101));
        test.expect_at(0, "[.] seq 101 ack 7001");
        // Out-of-window data.
        assert_eq!(test.inject(&data(900_000, 900_100, 101)), Disposition::Dropped(DropReason::OutOfWindow));
        test.expect_at(0, "[.] seq 101 ack 7001");
        // A FIN out of order.
        test.inject("[F.] seq 9001 ack 101");
        test.expect_at(0, "[.] seq 101 ack 7001");
        // A keepalive or window probe, with and without a byte.
        test.inject("[.] seq 7000 ack 101");
        test.expect_at(0, "[.] seq 101 ack 7001");
        test.advance(MS(500));
        test.inject(&data(7_000, 7_001, 101));
        test.expect_at(500, "[.] seq 101 ack 7001");
        // A segment out of order, and the one that fills the hole.
        test.inject(&data(8_001, 9_001, 101));
        test.expect_at(500, "[.] seq 101 ack 7001");
        test.inject(&data(7_001, 8_001, 101));
        test.expect_at(500, "[.] seq 101 ack 9002");
        test.expect_none();
    });
}

// req: LNX-ACK-6
#[test]
fn acks_of_segments_out_of_order_are_not_compressed() {
    every_wrap(|numbers| {
        for sack in [false, true] {
            let mut config = roomy();
            config.sack = sack;
            let mut test = Scripted::established_with(config, numbers, if sack { ",sackOK" } else { "" });
            for segment in 0..20 {
                let start = 6_001 + segment * 1_000;
                test.inject(&data(start, start + 1_000, 101));
                test.expect_at(0, "[.] seq 101 ack 5001");
                test.expect_none();
            }
        }
    });
}

// req: LNX-NGL-1
#[test]
fn only_one_small_segment_is_in_flight() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        // Write, write, read: full segments in flight do not hold back a small last one.
        test.write_len(2_400);
        test.expect("[.] seq 101:1101 ack 5001 len 1000");
        test.expect("[.] seq 1101:2101 ack 5001 len 1000");
        test.expect("[P.] seq 2101:2501 ack 5001 len 400");
        // A second small one waits for the ACK of the first, and for that only.
        test.write_len(10);
        test.write_len(20);
        test.expect_none();
        test.inject("[.] seq 5001 ack 2101");
        test.expect_none();
        test.inject("[.] seq 5001 ack 2501");
        test.expect("[P.] seq 2501:2531 ack 5001 len 30");
        test.expect_none();
        // A full one never waits.
        test.write_len(1_000);
        test.expect("[P.] seq 2531:3531 ack 5001 len 1000");
        // The FIN waits for nothing either.
        test.write_len(5);
        test.expect_none();
        test.shutdown_write();
        test.expect("[FP.] seq 3531:3536 ack 5001 len 5");
    });
}

// req: LNX-NGL-2
#[test]
fn no_delay_flushes_what_is_held() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(10);
        test.expect("[P.] seq 101:111 ack 5001 len 10");
        test.write_len(10);
        test.expect_none();
        let mut config = test.connection.config().clone();
        config.no_delay = true;
        test.connection.set_config(test.now, config).unwrap();
        test.drain();
        test.expect_at(0, "[P.] seq 111:121 ack 5001 len 10");
        test.write_len(10);
        test.expect_at(0, "[P.] seq 121:131 ack 5001 len 10");
    });
}

// req: LNX-NGL-3
#[test]
fn a_cork_holds_what_is_not_full_for_200_ms_at_most() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.connection.cork(test.now);
        test.write_len(400);
        test.write_len(400);
        test.expect_none();
        // Full segments leave.
        test.write_len(400);
        test.expect_at(0, "[.] seq 101:1101 ack 5001 len 1000");
        test.expect_none();
        test.inject("[.] seq 5001 ack 1101");
        test.advance(MS(199));
        test.expect_none();
        test.advance(MS(1));
        test.expect_at(200, "[P.] seq 1101:1301 ack 5001 len 200");
        test.inject("[.] seq 5001 ack 1301");
        // Taking it off flushes.
        test.write_len(300);
        test.advance(MS(10));
        test.expect_none();
        test.connection.uncork(test.now);
        test.drain();
        test.expect_at(210, "[P.] seq 1301:1601 ack 5001 len 300");
        test.inject("[.] seq 5001 ack 1601");
        test.advance(Duration::from_secs(1));
        test.expect_none();
    });
}

// req: LNX-NGL-3
#[test]
fn no_delay_flushes_a_cork_once_and_leaves_it_on() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.connection.cork(test.now);
        test.write_len(100);
        test.expect_none();
        let mut config = test.connection.config().clone();
        config.no_delay = true;
        test.connection.set_config(test.now, config).unwrap();
        test.drain();
        test.expect_at(0, "[P.] seq 101:201 ack 5001 len 100");
        // The cork is stronger than NODELAY for what is written afterwards.
        test.write_len(100);
        test.expect_none();
        test.connection.uncork(test.now);
        test.drain();
        test.expect_at(0, "[P.] seq 201:301 ack 5001 len 100");
    });
}

// req: LNX-NGL-4
#[test]
fn a_write_that_announces_more_waits_for_it() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.no_delay = true;
        let mut test = Scripted::established(config, numbers);
        assert_eq!(test.connection.write_more(test.now, &[1; 100]), Ok(100));
        test.drain();
        test.expect_none();
        test.write_len(50);
        test.expect_at(0, "[P.] seq 101:251 ack 5001 len 150");
        test.inject("[.] seq 5001 ack 251");
        // More that never comes is waited for 200 ms.
        assert_eq!(test.connection.write_more(test.now, &[1; 100]), Ok(100));
        test.advance(MS(199));
        test.expect_none();
        test.advance(MS(1));
        test.expect_at(200, "[P.] seq 251:351 ack 5001 len 100");
        // One call only: the next write is an ordinary one.
        test.write_len(1);
        test.expect_at(200, "[P.] seq 351:352 ack 5001 len 1");
    });
}

// req: LNX-MSG-1
#[test]
fn what_reading_can_be_asked_for() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(roomy(), numbers);
        for start in [5_001, 5_101, 5_201] {
            test.inject(&data(start, start + 100, 101));
        }
        test.inject("[F.] seq 5301 ack 101");
        // SIOCINQ: the FIN is no byte.
        assert_eq!(test.stats().readable, 300);
        // MSG_PEEK leaves it all.
        let mut peeked = [0; 250];
        for _ in 0..2 {
            assert_eq!(test.connection.peek(test.now, &mut peeked), Ok(250));
            assert_eq!(peeked[..], peer_bytes(5_001, 5_251));
            assert_eq!(test.stats().readable, 300);
        }
        // MSG_TRUNC: taken without being kept.
        let mut left = 150;
        let skipped = test.connection.read_with(test.now, |piece| {
            let taken = piece.len().min(left);
            left -= taken;
            taken
        });
        assert_eq!(skipped, Ok(150));
        assert_eq!(test.stats().readable, 150);
        test.expect_data(5_151, 5_301);
        assert_eq!(test.stats().readable, 0);
        assert_eq!(test.read(10), Ok(Vec::new()));
        assert_eq!(test.connection.peek(test.now, &mut peeked), Ok(0));
        // SIOCOUTQ: what is not acknowledged, sent or not.
        test.take_sent();
        test.write_len(1_500);
        let stats = test.stats();
        assert_eq!(u64::from(stats.unacknowledged) + stats.unsent, 1_500);
    });
}

// MSG_WAITALL is a low-water mark and the READABLE event; MSG_DONTWAIT is how everything works.
// req: LNX-MSG-1
#[test]
fn the_reader_is_woken_when_as_much_as_it_waits_for_is_there() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.receive_low_water = 250;
        let mut test = Scripted::established(config.clone(), numbers);
        test.inject(&data(5_001, 5_101, 101));
        test.inject(&data(5_101, 5_201, 101));
        assert_eq!(test.take_events(), Event::NONE);
        test.inject(&data(5_201, 5_301, 101));
        assert_eq!(test.take_events(), Event::READABLE);
        test.expect_data(5_001, 5_301);
        assert!(test.read(1).is_err());
        // The end of the stream wakes in any case.
        test.inject("[FP.] seq 5301:5311 ack 101 len 10");
        assert_eq!(test.take_events(), Event::READABLE);

        // A mark that was lowered counts at once.
        let mut test = Scripted::established(config.clone(), numbers);
        test.inject(&data(5_001, 5_101, 101));
        assert_eq!(test.take_events(), Event::NONE);
        config.receive_low_water = 100;
        config.replay = test.connection.config().replay;
        test.connection.set_config(test.now, config.clone()).unwrap();
        test.drain();
        assert_eq!(test.take_events(), Event::READABLE);

        // More than there is room for never comes: a window that is all but closed wakes as well.
        config.receive_low_water = 20_000;
        let mut test = Scripted::established(config, numbers);
        for segment in 0..9 {
            assert_eq!(test.take_events(), Event::NONE, "segment {segment}");
            let start = 5_001 + segment * 1_000;
            test.inject(&data(start, start + 1_000, 101));
        }
        assert_eq!(test.take_events(), Event::READABLE);
    });
}
