//! Scenarios C: sending small and large, and the peer's window.

use tcp_core::{BufferLimit, Duration, Event, SendReason, State, WriteError};
use tcp_sim::pair::{End, Fate, Pair};
use tcp_sim::scripted::{Scripted, every_wrap, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn c2_nagle_gathers_single_bytes_until_an_ack() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        for _ in 0..100 {
            test.write(b"x");
        }
        test.expect("[P.] seq 101:102 len 1");
        test.expect_none();
        test.advance(MS(100));
        test.expect_none();
        test.inject("[.] seq 5001 ack 102");
        test.expect("[P.] seq 102:201 len 99");
        test.expect_none();
        // A full segment waits for nothing.
        test.write_len(1_000);
        test.expect("[P.] seq 201:1201 len 1000");
    });
}

#[test]
fn c2_no_delay_sends_each_byte_at_once() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.no_delay = true;
        let mut test = Scripted::established(config, numbers);
        for seq in 101..110 {
            test.write(b"x");
            test.expect(&format!("[P.] seq {seq}:{} len 1", seq + 1));
        }
        test.expect_none();
    });
}

#[test]
fn c2_cork_holds_small_segments_until_uncorked_or_200_ms() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.connection.cork(test.now);
        test.write_len(400);
        test.expect_none();
        test.write_len(700);
        test.expect("[.] seq 101:1101 len 1000");
        test.inject("[.] seq 5001 ack 1101");
        test.expect_none();
        test.advance(MS(100));
        test.connection.uncork(test.now);
        test.drain();
        test.expect_at(100, "[P.] seq 1101:1201 len 100");
        test.inject("[.] seq 5001 ack 1201");

        test.connection.cork(test.now);
        test.write_len(10);
        test.advance(MS(150));
        test.write_len(10);
        test.advance(MS(49));
        test.expect_none();
        test.advance(MS(1));
        test.expect_at(300, "[P.] seq 1201:1221 len 20");
        test.expect_none();
    });
}

#[test]
fn c6_a_slow_reader_stops_the_writer_and_nothing_is_lost() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.send_buffer = BufferLimit::fixed(10_000);
        let mut pair = Pair::established(config.clone(), config, numbers);
        let data: Vec<u8> = (0..50_000u32).map(|index| (index % 251) as u8).collect();
        let now = pair.now;
        assert_eq!(pair.end(End::A).write(now, &data), Ok(10_000));
        assert_eq!(pair.end(End::A).write(now, &data[10_000..]), Err(WriteError::Blocked));
        pair.run_for(MS(100));
        assert_eq!(pair.take_events(End::A), Event::WRITABLE);
        let now = pair.now;
        assert_eq!(pair.end(End::A).write(now, &data[10_000..]), Ok(10_000));
        assert_eq!(pair.end(End::A).write(now, &data[20_000..]), Err(WriteError::Blocked));
        pair.run_for(MS(100));
        let log = pair.take_log();
        assert!(log.iter().any(|line| line.starts_with("B [.] seq 5001 ack 10101 win 0")), "{log:#?}");
        let sent = pair.end(End::A).stats().unwrap();
        assert_eq!((sent.send_window, sent.unacknowledged, sent.unsent), (0, 0, 10_000));
        let (mut written, mut read) = (20_000, Vec::new());
        for _ in 0..1_000 {
            let now = pair.now;
            // The reader takes 100 bytes every 10 ms.
            let mut piece = [0; 100];
            if let Ok(length) = pair.end(End::B).read(now, &mut piece) {
                read.extend_from_slice(&piece[..length]);
            }
            if let Ok(length) = pair.end(End::A).write(now, &data[written..]) {
                written += length;
            }
            pair.run_for(MS(10));
        }
        assert!(read == data, "{} of {} bytes", read.len(), data.len());
        let stats = pair.end(End::A).stats().unwrap();
        assert_eq!(stats.totals.segments_retransmitted, 0);
        let segments = stats.totals.segments_sent;
        assert!(segments <= 3 + 50 + 10, "{segments} segments for 50 full ones");
    });
}

#[test]
fn c7_a_lost_window_update_is_found_by_probes() {
    every_wrap(|numbers| {
        let mut pair = Pair::established(plain_config(), plain_config(), numbers);
        pair.write(End::A, &[7; 12_000]);
        pair.run_for(MS(100));
        // The update gets lost.
        pair.on_segment(|passing| match passing.from {
            End::B if passing.segment.window > 0 && passing.number < 1_000 => Fate::Lose,
            _ => Fate::Deliver,
        });
        pair.take_log();
        assert_eq!(pair.read(End::B).map(|data| data.len()), Ok(10_000));
        pair.run_for(MS(1));
        pair.expect(&["B [.] seq 5001 ack 10101 win 10000"]);
        pair.on_segment(|_| Fate::Deliver);
        pair.run_for(Duration::from_secs(2));
        // The probe stands where it must be answered.
        pair.expect(&[
            "A [.] seq 10100 ack 5001",
            "B [.] seq 5001 ack 10101 win 10000",
            "A [.] seq 10101:11101 len 1000",
            "A [P.] seq 11101:12101 len 1000",
            "B [.] seq 5001 ack 12101",
        ]);
        assert_eq!(pair.read(End::B).map(|data| data.len()), Ok(2_000));
    });
}

#[test]
fn c7_probes_back_off_and_an_answering_peer_is_never_dropped() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[.] seq 5001 ack 101 win 0");
        test.write_len(500);
        test.expect_none();
        // No round trip but the handshake's, which took no time: RTO is 200 ms.
        let mut wait = 200;
        let mut at = 0;
        for _ in 0..40 {
            at += wait;
            test.advance(MS(wait));
            let probe = test.expect_at(at, "[.] seq 100 ack 5001");
            assert_eq!(probe.reason, SendReason::WindowProbe);
            test.expect_none();
            test.inject("[.] seq 5001 ack 101 win 0");
            wait = (2 * wait).min(120_000);
        }
        assert_eq!((test.state(), test.close_reason()), (State::Established, None));
        test.inject("[.] seq 5001 ack 101 win 1000");
        test.expect("[P.] seq 101:601 len 500");
    });
}

#[test]
fn c8_a_window_opens_by_a_segment_or_half_the_buffer_at_least() {
    for (buffer, step) in [(10_000, 1_000), (1_000, 500)] {
        every_wrap(|numbers| {
            let mut config = plain_config();
            config.receive_buffer = BufferLimit::fixed(buffer);
            let mut test = Scripted::established(config, numbers);
            let end = 5_001 + buffer;
            for start in (5_001..end).step_by(500) {
                test.inject(&format!("[.] seq {start} ack 101 len 500"));
            }
            assert!(test.take_sent().last().unwrap().line.contains("win 0"));
            for read in 1..step {
                assert_eq!(test.read(1).map(|data| data.len()), Ok(1));
                test.expect_none();
                if read % 100 == 0 {
                    // Not even when asked does it tell of a silly window.
                    test.inject(&format!("[.] seq {end} ack 101 len 1"));
                    test.expect(&format!("[.] ack {end} win 0"));
                }
            }
            test.read(1).unwrap();
            let update = test.expect(&format!("[.] seq 101 ack {end} win {step}"));
            assert_eq!(update.reason, SendReason::WindowUpdate);
            test.expect_none();
        });
    }
}

#[test]
fn c8_a_sender_waits_for_a_segment_or_half_the_window() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[.] seq 5001 ack 101 win 0");
        test.write_len(5_000);
        test.inject("[.] seq 5001 ack 101 win 999");
        test.expect_none();
        test.inject("[.] seq 5001 ack 101 win 1999");
        test.expect("[.] seq 101:1101 len 1000");
        test.expect_none();
    });
}

#[test]
fn c11_the_last_segment_of_a_write_is_pushed() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(2_500);
        test.expect("[.] seq 101:1101");
        test.expect("[.] seq 1101:2101");
        test.expect("[P.] seq 2101:2601");
        test.expect_none();
        // And the reader is woken.
        assert!(test.read(1).is_err());
        test.inject("[P.] seq 5001 ack 2601 len 10");
        assert_eq!(test.take_events(), Event::READABLE);
        test.expect_data(5_001, 5_011);
    });
}

/// The payload of a segment without options.
fn payload(bytes: &[u8]) -> &[u8] {
    &bytes[20..]
}

#[test]
fn c15_the_classic_ladder() {
    every_wrap(|numbers| {
        // The book's byte 1 is sequence number 101 here.
        let mut config = plain_config();
        config.max_segment_size = Some(100);
        let mut test = Scripted::established(config, numbers);
        test.inject("[.] seq 5001 ack 101 win 400");
        let data: Vec<u8> = (0..900u32).map(|index| (index % 251) as u8).collect();
        let mut stream = vec![None; 900];
        let mut sent = |test: &mut Scripted, line: &str| {
            let segment = test.expect(line);
            let start: usize = line.split_once("seq ").unwrap().1.split(':').next().unwrap().parse().unwrap();
            for (index, byte) in payload(&segment.bytes).iter().enumerate() {
                stream[start - 101 + index] = Some(*byte);
            }
            segment.reason
        };
        test.write(&data[..300]);
        sent(&mut test, "[.] seq 101:201 ack 5001 len 100");
        sent(&mut test, "[.] seq 201:301 ack 5001 len 100");
        // Bytes 201 to 300 get lost.
        test.expect("[P.] seq 301:401 ack 5001 len 100");
        test.inject("[.] seq 5001 ack 301 win 300");
        test.write(&data[300..500]);
        sent(&mut test, "[.] seq 401:501 len 100");
        sent(&mut test, "[P.] seq 501:601 len 100");
        test.write(&data[500..600]);
        test.expect_none();
        // By timeout: 200 ms after the ACK that moved the timer.
        test.advance(MS(199));
        test.expect_none();
        test.advance(MS(1));
        assert_eq!(sent(&mut test, "[.] seq 301:401 len 100"), SendReason::Rto);
        test.expect_none();
        test.inject("[.] seq 5001 ack 601 win 100");
        sent(&mut test, "[P.] seq 601:701 len 100");
        test.inject("[.] seq 5001 ack 701 win 0");
        test.write(&data[600..]);
        test.expect_none();
        // The update to 300 is lost. A probe asks.
        test.advance(Duration::from_secs(2));
        let probe = test.expect("[.] seq 700 ack 5001");
        assert_eq!(probe.reason, SendReason::WindowProbe);
        test.take_sent();
        test.inject("[.] seq 5001 ack 701 win 300");
        sent(&mut test, "[.] seq 701:801 len 100");
        sent(&mut test, "[.] seq 801:901 len 100");
        // The timeout has left a congestion window of one segment, and one ACK has doubled it.
        test.expect_none();
        test.inject("[.] seq 5001 ack 901 win 300");
        sent(&mut test, "[P.] seq 901:1001 len 100");
        test.inject("[.] seq 5001 ack 1001 win 400");
        test.advance(Duration::from_secs(100));
        test.expect_none();
        assert_eq!(stream, data.iter().copied().map(Some).collect::<Vec<_>>());
    });
}
