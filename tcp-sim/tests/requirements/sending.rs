//! What makes a segment leave, and when it is acknowledged (RFC 9293 §3.7, §3.8.6, §3.9.1.2).

use tcp_core::{BufferLimit, ConnConfig, Duration, Event, InitialWindow, SendReason};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn with(change: impl FnOnce(&mut ConnConfig)) -> ConnConfig {
    let mut config = plain_config();
    change(&mut config);
    config
}

// req: MUST-17
#[test]
fn without_delay_small_writes_leave_at_once() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(with(|config| config.no_delay = true), numbers);
        test.write(&[1; 10]);
        test.write(&[2; 10]);
        test.expect("[P.] seq 101:111 ack 5001");
        test.expect("[P.] seq 111:121 ack 5001");
        // It can be switched while the connection lives.
        let mut test = Scripted::established(plain_config(), numbers);
        test.write(&[1; 10]);
        test.write(&[2; 10]);
        test.expect("[P.] seq 101:111 ack 5001");
        test.expect_none();
        let no_delay = with(|config| config.no_delay = true);
        test.connection.set_config(test.now, no_delay).expect("it works");
        test.drain();
        test.expect("[P.] seq 111:121 ack 5001");
    });
}

// req: SHLD-7
#[test]
fn nagles_rule_holds_a_small_segment_while_another_is_in_flight() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write(&[1; 10]);
        test.expect("[P.] seq 101:111 ack 5001");
        test.write(&[2; 10]);
        test.write(&[3; 10]);
        test.expect_none();
        test.inject("[.] seq 5001 ack 111");
        test.expect("[P.] seq 111:131 ack 5001");
        // Or until there is a full segment.
        test.write(&[4; 990]);
        test.expect_none();
        test.write(&[5; 10]);
        test.expect("[P.] seq 131:1131 ack 5001");
    });
}

// req: MUST-60, MUST-61, SHLD-28
#[test]
fn what_is_written_leaves_at_once_in_full_segments_with_a_push_on_the_last() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write(b"x");
        test.expect("[P.] seq 101:102 ack 5001");
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(2_500);
        test.expect("[.] seq 101:1101 ack 5001");
        test.expect("[.] seq 1101:2101 ack 5001");
        test.expect("[P.] seq 2101:2601 ack 5001");
        test.expect_none();

        let config = with(|config| config.initial_window = InitialWindow::Segments(100));
        let mut test = Scripted::established(config, numbers);
        test.write_len(10_300);
        let sent = test.take_sent();
        assert_eq!(sent.len(), 11);
        for (index, segment) in sent.iter().enumerate() {
            let last = index == 10;
            assert!(segment.line.ends_with(if last { "len 300" } else { "len 1000" }), "{}", segment.line);
            assert_eq!(segment.line.starts_with("[P.]"), last, "{}", segment.line);
        }
    });
}

// req: SHLD-27
#[test]
fn pushes_that_wait_collapse_into_one_segment() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[.] seq 5001 ack 101 win 0");
        for _ in 0..10 {
            test.write(&[7; 100]);
        }
        test.expect_none();
        test.inject("[.] seq 5001 ack 101 win 20000");
        test.expect("[P.] seq 101:1101 ack 5001");
        test.expect_none();
    });
}

// req: MUST-60, MAY-16
#[test]
fn what_is_corked_is_gathered_but_not_for_ever() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        let limit = test.connection.config().cork_limit;
        test.connection.cork(test.now);
        for _ in 0..3 {
            test.write(&[1; 100]);
        }
        test.expect_none();
        test.advance(limit - MILLI);
        test.expect_none();
        test.advance(MILLI);
        test.expect("[P.] seq 101:401 ack 5001");
        test.inject("[.] seq 5001 ack 401");
        test.write_len(1_100);
        test.expect("[.] seq 401:1401 ack 5001");
        test.expect_none();
        test.connection.uncork(test.now);
        test.drain();
        test.expect("[P.] seq 1401:1501 ack 5001");
    });
}

// req: MAY-15
#[test]
fn a_write_that_announces_no_more_pushes_what_waited() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        assert_eq!(test.connection.write_more(test.now, &[1; 100]), Ok(100));
        test.drain();
        test.expect_none();
        test.write(&[2; 10]);
        test.expect("[P.] seq 101:211 ack 5001");
        // What waited may leave before, in full segments, without a push.
        test.inject("[.] seq 5001 ack 211");
        assert_eq!(test.connection.write_more(test.now, &[1; 1_100]), Ok(1_100));
        test.drain();
        test.expect("[.] seq 211:1211 ack 5001");
        test.expect_none();
    });
}

// req: MUST-19
#[test]
fn slow_start_congestion_avoidance_and_back_off() {
    every_wrap(|numbers| {
        let mut test =
            Scripted::established(with(|config| config.initial_window = InitialWindow::Segments(2)), numbers);
        test.write_len(200_000);
        let window = |test: &Scripted| test.stats().congestion_window;
        let mut acknowledged = 101;
        let mut round = |test: &mut Scripted| {
            for _ in 0..test.take_sent().len() {
                acknowledged += 1_000;
                test.inject(&format!("[.] seq 5001 ack {acknowledged} win 65535"));
            }
        };
        // Slow start doubles what is in flight in each round trip.
        for flight in [2, 4, 8] {
            assert_eq!((window(&test), test.stats().in_flight), (flight * 1_000, flight * 1_000));
            round(&mut test);
        }
        assert_eq!(window(&test), 16_000);
        // A timeout: one segment, half of the flight as the threshold, and twice the time.
        test.take_sent();
        let rto = test.stats().rto;
        for doubled in [1, 2, 4] {
            test.advance(rto * doubled);
            assert_eq!(test.take_sent().len(), 1);
            assert_eq!(test.stats().rto, rto * (2 * doubled));
        }
        assert_eq!((window(&test), test.stats().slow_start_threshold), (1_000, 8_000));
        // Everything was there; from the threshold on one segment more for each round trip.
        test.inject("[.] seq 5001 ack 30101 win 65535");
        let mut acknowledged = 30_101;
        for _ in 0..10 {
            let before = window(&test);
            for _ in 0..test.take_sent().len() {
                acknowledged += 1_000;
                test.inject(&format!("[.] seq 5001 ack {acknowledged} win 65535"));
            }
            let after = window(&test);
            if before >= 8_000 {
                assert!(after > before && after <= before + 1_000, "{before} to {after}");
            }
        }
        assert!(window(&test) >= 9_000);
    });
}

// req: MAY-17
#[test]
fn the_push_flag_makes_no_difference_to_delivery() {
    every_wrap(|numbers| {
        for flags in [".", "P."] {
            let mut test = Scripted::established(plain_config(), numbers);
            test.inject(&format!("[{flags}] seq 5001 ack 101 len 100"));
            assert_eq!(test.take_events(), Event::READABLE);
            test.expect_none();
            test.expect_data(5_001, 5_101);
            let begun = test.elapsed();
            test.advance(SECOND);
            test.expect_at(begun + 40, "[.] seq 101 ack 5101");
        }
    });
}

// req: SHLD-18, MUST-40
#[test]
fn a_lone_segment_is_acknowledged_late_and_below_half_a_second() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        let begun = test.elapsed();
        test.inject("[P.] seq 5001 ack 101 len 100");
        test.expect_none();
        test.advance(SECOND);
        test.expect_at(begun + 40, "[.] seq 101 ack 5101");
        // It rides on an answer.
        test.inject("[P.] seq 5101 ack 101 len 100");
        test.expect_none();
        test.write(b"answer");
        test.expect("[P.] seq 101:107 ack 5201");
        test.inject("[.] seq 5201 ack 107");
        test.advance(SECOND);
        test.expect_none();
    });
    pacing_never_holds_an_ack_for_half_a_second();
    assert_eq!(
        with(|config| config.ack.max_delay = Duration::from_millis(500)).check(),
        Err(tcp_core::ConfigError::AckDelay)
    );
}

fn pacing_never_holds_an_ack_for_half_a_second() {
    // However the peer paces its segments, none waits for half a second.
    for gap in [1u64, 5, 19, 21, 39, 41, 90, 150, 250, 600] {
        let mut test = Scripted::established(plain_config(), Numbers::default());
        for index in 0..40u32 {
            let start = 5_001 + index * 10;
            let came = test.elapsed();
            test.inject(&format!("[P.] seq {start} ack 101 len 10"));
            test.expect_data(start, start + 10);
            let mut acknowledged = test.take_sent().len();
            for _ in 0..gap {
                test.advance(MILLI);
                acknowledged += test.take_sent().len();
                if test.elapsed() - came >= 500 {
                    assert!(acknowledged > 0, "gap {gap}, segment {index}");
                }
            }
        }
    }
}

// req: SHLD-19, MUST-58
#[test]
fn every_second_segment_is_acknowledged_and_a_batch_once() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        for index in 0..10u32 {
            test.inject(&format!("[.] seq {} ack 101 len 1000", 5_001 + index * 1_000));
            if index % 2 == 1 {
                test.expect(&format!("[.] seq 101 ack {}", 6_001 + index * 1_000));
            }
            test.expect_none();
        }
        let mut test = Scripted::established(plain_config(), numbers);
        let lines: Vec<String> =
            (0..10).map(|index| format!("[.] seq {} ack 101 len 1000", 5_001 + index * 1_000)).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        test.inject_all(&lines);
        test.expect("[.] seq 101 ack 15001 win 0");
        test.expect_none();
        test.expect_data(5_001, 15_001);
    });
}

// req: MUST-59, SHLD-31, MAY-13
#[test]
fn what_is_out_of_order_is_kept_reported_at_once_and_acknowledged_together() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        for start in [6_001, 7_001, 8_001, 9_001, 10_001] {
            test.inject(&format!("[.] seq {start} ack 101 len 1000"));
            let sent = test.expect("[.] seq 101 ack 5001");
            assert_eq!(sent.reason, SendReason::DuplicateAck);
            test.expect_none();
        }
        test.inject("[.] seq 5001 ack 101 len 1000");
        test.expect("[.] seq 101 ack 11001");
        test.expect_none();
        test.expect_data(5_001, 11_001);
    });
}

// req: MUST-14, MUST-15, MUST-16, MUST-65
#[test]
fn the_segment_size_is_the_least_that_peer_path_and_options_allow() {
    let sizes = |mtu: u16, timestamps: bool, peer: &str| {
        let config = with(|config| {
            config.mtu = mtu;
            config.timestamps = timestamps;
            config.send_buffer = BufferLimit::fixed(1 << 20);
        });
        let mut test = Scripted::connecting(config, Numbers::default());
        test.expect(&format!("[S] seq 100 <{}>", syn_options(mtu, timestamps)));
        test.inject(&format!("[S.] seq 5000 ack 101{peer}"));
        test.take_sent();
        test.write_len(50_000);
        test.take_sent()
            .iter()
            .map(|sent| {
                assert!(!sent.line.contains("mss"), "{}", sent.line);
                let len = sent.line.rsplit("len ").next().unwrap_or_default();
                len.parse::<u32>().expect("data")
            })
            .max()
    };
    assert_eq!(sizes(1_500, false, " <mss 700>"), Some(700));
    assert_eq!(sizes(9_000, false, ""), Some(536), "the default of IPv4");
    assert_eq!(sizes(1_400, true, " <mss 1460,TS 1 1000000>"), Some(1_348));
    assert_eq!(sizes(1_400, true, " <mss 700,TS 1 1000000>"), Some(688));
    assert_eq!(sizes(1_400, false, " <mss 1460>"), Some(1_360));
}

fn syn_options(mtu: u16, timestamps: bool) -> String {
    let mss = mtu - 40;
    if timestamps { format!("mss {mss},TS 1000000 0") } else { format!("mss {mss}") }
}

// req: SHLD-5, MAY-3, MUST-14, MUST-67
#[test]
fn every_syn_and_syn_ack_announces_what_we_can_take() {
    for mtu in [576, 1_280, 1_500, 9_000] {
        let config = with(|config| config.mtu = mtu);
        let mut active = Scripted::connecting(config.clone(), Numbers::default());
        active.expect(&format!("[S] seq 100 <mss {}>", mtu - 40));
        active.advance(SECOND);
        active.expect(&format!("[S] seq 100 <mss {}>", mtu - 40));
        let mut passive = Scripted::listening(config, Numbers::default());
        passive.inject("[S] seq 5000");
        passive.expect(&format!("[S.] seq 100 ack 5001 <mss {}>", mtu - 40));
    }
}

// req: MUST-65
#[test]
fn an_mss_on_a_segment_without_syn_is_ignored() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[P.] seq 5001 ack 101 <mss 200> len 10");
        test.expect_data(5_001, 5_011);
        assert_eq!(test.stats().send_mss, 1_000);
    });
}
