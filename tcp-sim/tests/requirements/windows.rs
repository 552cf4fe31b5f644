//! The ACK field, and the windows of both directions (RFC 9293 §3.8.6, §3.10.7.4).

use tcp_core::{
    BufferLimit, ConnConfig, Disposition, DropReason, Duration, InitialWindow, SendReason, State, TimerKind,
};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};
use tcp_sim::states::Place;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The congestion window is never the limit.
fn eager() -> ConnConfig {
    let mut config = plain_config();
    config.initial_window = InitialWindow::Segments(10_000);
    config
}

/// Where the new data sent so far ends, and that nothing else was sent.
fn sent_to(test: &mut Scripted) -> Option<u32> {
    test.take_sent().iter().filter_map(|sent| end_of(&sent.line)).max()
}

fn end_of(line: &str) -> Option<u32> {
    let range = line.split("seq ").nth(1)?.split(' ').next()?;
    range.split_once(':')?.1.parse().ok()
}

// req: MUST-1
#[test]
fn the_window_field_is_unsigned() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(eager(), numbers);
        test.inject("[.] seq 5001 ack 101 win 65535");
        test.write_len(70_000);
        assert_eq!(sent_to(&mut test), Some(101 + 65_535 / 1_000 * 1_000));
        // The rest of the window is less than a segment: it waits for the persist timer.
        test.inject("[.] seq 5001 ack 101 win 65000");
        test.advance(SECOND);
        assert_eq!(test.stats().unacknowledged, 65_000);

        // With segments that divide it, the window is used to its last byte.
        let mut test = Scripted::connecting(eager(), numbers);
        test.take_sent();
        test.inject("[S.] seq 5000 ack 101 win 65535 <mss 255>");
        test.write_len(70_000);
        assert_eq!(sent_to(&mut test), Some(101 + 65_535));
        assert_eq!(test.stats().unacknowledged, 65_535);
    });
}

// req: REC-1
#[test]
fn windows_are_kept_in_32_bits() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.window_scaling = true;
        let mut test = Scripted::established_with(config, numbers, ",wscale 14");
        test.inject("[.] seq 5001 ack 101 win 65535");
        assert_eq!(test.stats().send_window, 1_073_725_440);
    });
}

// req: 9293-EV-18
// trap: 6
#[test]
fn an_ack_of_what_was_never_sent_spoils_its_whole_segment() {
    every_wrap(|numbers| {
        for place in Place::SYNCHRONIZED.into_iter().filter(|place| *place != Place::TimeWait) {
            let (snd, rcv) = (place.snd_nxt(), place.rcv_nxt());
            for rest in [" win 9", " win 9 len 100"] {
                for flags in [".", "F."] {
                    let mut test = place.reach(plain_config(), numbers);
                    let line = format!("[{flags}] seq {rcv} ack {}{rest}", snd + 1);
                    let disposition = test.inject(&line);
                    assert_eq!(disposition, Disposition::Dropped(DropReason::AckOfUnsent), "{place:?}");
                    test.expect(&format!("[.] seq {snd} ack {rcv}"));
                    test.expect_none();
                    assert_eq!(test.state(), place.state());
                    assert_eq!((test.stats().send_window, test.stats().readable), (20_000, 0));
                }
            }
        }
        // TS.Recent is not taken from it.
        let mut config = plain_config();
        config.timestamps = true;
        let mut test = Scripted::established_with(config, numbers, ",TS 5000 1000000");
        test.inject("[.] seq 5001 ack 102 <TS 6000 1000000> len 10");
        test.expect("[.] seq 101 ack 5001 <TS 1000000 5000>");
    });
}

// trap: 6
#[test]
fn an_ack_of_what_was_sent_before_a_timeout_is_good() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(5_000);
        test.take_sent();
        test.advance(Duration::from_millis(200));
        test.expect("[.] seq 101:1101 ack 5001");
        assert_eq!(test.inject("[.] seq 5001 ack 3101"), Disposition::Taken);
        assert!(test.take_sent().iter().all(|sent| sent.reason != SendReason::Challenge));
        assert_eq!(test.stats().unacknowledged, 2_000);
    });
}

// trap: 7
#[test]
fn the_text_of_a_segment_with_an_old_ack_is_taken() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(100);
        test.inject("[.] seq 5001 ack 201");
        test.take_sent();
        assert_eq!(test.inject("[P.] seq 5001 ack 101 win 7 len 50"), Disposition::Taken);
        test.expect_data(5_001, 5_051);
        // So is a FIN that was sent before our data came.
        assert_eq!(test.inject("[F.] seq 5051 ack 101"), Disposition::Taken);
        assert_eq!(test.state(), State::CloseWait);
        assert_eq!(test.stats().unacknowledged, 0, "SND.UNA does not go back");
    });
}

// req: 9293-EV-19
// trap: 8
#[test]
fn only_a_newer_segment_changes_the_window() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(2_000);
        test.take_sent();
        test.inject("[.] seq 5001 ack 1101 win 8000");
        assert_eq!(test.stats().send_window, 8_000);
        // Reordered: an older ACK with a larger window.
        test.inject("[.] seq 5001 ack 101 win 30000");
        assert_eq!(test.stats().send_window, 8_000);
        // The same numbers, another window: larger, and smaller.
        for window in [9_000, 3_000] {
            test.inject(&format!("[.] seq 5001 ack 1101 win {window}"));
            assert_eq!(test.stats().send_window, window);
        }
        // A newer sequence number with the same ACK; then the old one again.
        test.inject("[.] seq 5001 ack 1101 win 5000 len 100");
        test.inject("[.] seq 5101 ack 1101 win 6000 len 100");
        test.inject("[.] seq 5001 ack 1101 win 5000 len 100");
        assert_eq!(test.stats().send_window, 6_000);
    });
}

// trap: 8
#[test]
fn a_window_update_is_no_duplicate_ack() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(5_000);
        test.take_sent();
        for window in [19_000, 18_000, 19_000, 20_000] {
            test.inject(&format!("[.] seq 5001 ack 101 win {window}"));
        }
        assert_eq!(test.stats().duplicate_acks, 0);
        test.expect_none();
    });
}

// req: MUST-34, SHLD-15, SHLD-16, SHLD-17, MUST-35, MAY-7
// trap: 9
#[test]
fn a_window_that_shrinks_below_what_is_in_flight_is_survived() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(eager(), numbers);
        test.write_len(12_000);
        test.inject("[.] seq 5001 ack 101 win 8000");
        assert_eq!(test.stats().unacknowledged, 12_000);
        test.take_sent();
        test.inject("[.] seq 5001 ack 101 win 2000");
        test.write_len(1_000);
        test.expect_none();
        // Retransmissions stay within the window, for as long as the peer says so: an hour.
        for _ in 0..360 {
            test.advance(SECOND * 10);
            for sent in test.take_sent() {
                let end = end_of(&sent.line);
                assert!(end.is_none_or(|end| end <= 2_101), "{}", sent.line);
            }
            test.inject("[.] seq 5001 ack 101 win 2000");
        }
        assert_eq!(test.state(), State::Established);
        // It opens again.
        test.inject("[.] seq 5001 ack 101 win 20000");
        for _ in 0..1_300 {
            test.advance(Duration::from_millis(100));
            if let Some(end) = sent_to(&mut test) {
                test.inject(&format!("[.] seq 5001 ack {end}"));
            }
        }
        assert_eq!((test.stats().unacknowledged, test.stats().unsent), (0, 0));
    });
}

// req: SHLD-16, MAY-7
// trap: 9
#[test]
fn what_is_sent_again_is_cut_to_the_window() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(3_000);
        test.take_sent();
        test.inject("[.] seq 5001 ack 101 win 600");
        test.expect_none();
        test.advance(Duration::from_millis(200));
        test.expect("[.] seq 101:701 ack 5001");
        test.expect_none();
        test.inject("[.] seq 5001 ack 701 win 300");
        test.expect("[.] seq 701:1001 ack 5001");
        test.expect_none();
    });
}

// req: MUST-35, MUST-36, MUST-37
// trap: 9
#[test]
fn a_window_that_shrinks_to_nothing_with_data_in_flight_is_probed() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(3_000);
        test.take_sent();
        test.inject("[.] seq 5001 ack 1101 win 0");
        let mut probes = 0;
        for _ in 0..500 {
            test.advance(SECOND * 4);
            for sent in test.take_sent() {
                // The probe is what was in flight when the window closed over it, and nothing new.
                assert!(sent.line.contains(" seq 1101:2101 "), "{}", sent.line);
                probes += 1;
                test.inject("[.] seq 5001 ack 1101 win 0");
            }
        }
        assert!(probes >= 16, "{probes}");
        assert_eq!(test.state(), State::Established);
        test.inject("[.] seq 5001 ack 1101 win 20000");
        test.advance(SECOND * 120);
        assert!(test.take_sent().iter().any(|sent| sent.line.contains("seq 1101:2101")));
    });
}

// req: MUST-36, SHLD-29, SHLD-30
#[test]
fn a_closed_window_is_probed_after_one_rto_and_then_half_as_often_each_time() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[.] seq 5001 ack 101 win 0");
        let rto = test.stats().rto.as_millis();
        let begun = test.elapsed();
        test.write_len(500);
        test.expect_none();
        let mut at = begun;
        let mut wait = rto;
        for _ in 0..12 {
            at += wait.min(120_000);
            wait *= 2;
            test.advance(Duration::from_millis(at - test.elapsed()));
            let sent = test.expect_at(at, "[.] seq 100 ack 5001");
            assert_eq!(sent.reason, SendReason::WindowProbe);
            test.expect_none();
            test.inject("[.] seq 5001 ack 101 win 0");
        }
        // The update was lost; the answer to the next probe tells of it.
        test.advance(SECOND * 120);
        test.take_sent();
        test.inject("[.] seq 5001 ack 101 win 5000");
        test.expect("[P.] seq 101:601 ack 5001");
    });
}

// req: MUST-37, SHLD-17
#[test]
fn a_peer_that_answers_its_probes_may_keep_the_window_closed_for_a_day() {
    let mut test = Scripted::established(plain_config(), Numbers::default());
    test.inject("[.] seq 5001 ack 101 win 0");
    test.write_len(500);
    let day = test.elapsed() + 24 * 3_600_000;
    while test.elapsed() < day {
        test.advance(SECOND * 10);
        for sent in test.take_sent() {
            assert_eq!(sent.reason, SendReason::WindowProbe);
            test.inject("[.] seq 5001 ack 101 win 0");
        }
    }
    assert_eq!(test.state(), State::Established);
    test.inject("[.] seq 5001 ack 101 win 500");
    test.expect("[P.] seq 101:601 ack 5001");
}

// req: MUST-38
// trap: 11
#[test]
fn a_window_that_opens_in_crumbs_is_not_filled_with_crumbs() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[.] seq 5001 ack 101 win 0");
        test.write_len(5_000);
        for window in (10..1_000).step_by(10) {
            test.inject(&format!("[.] seq 5001 ack 101 win {window}"));
            test.expect_none();
        }
        test.inject("[.] seq 5001 ack 101 win 1000");
        test.expect("[.] seq 101:1101 ack 5001");
        test.expect_none();
    });
}

// req: MUST-38
// trap: 11
#[test]
fn a_peer_whose_whole_buffer_is_below_our_segment_is_sent_half_of_it() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(plain_config(), numbers);
        test.take_sent();
        test.inject("[S.] seq 5000 ack 101 win 500 <mss 1000>");
        test.expect("[.] seq 101 ack 5001");
        test.write_len(3_000);
        test.expect("[.] seq 101:601 ack 5001");
        test.inject("[.] seq 5001 ack 601 win 100");
        test.expect_none();
        test.inject("[.] seq 5001 ack 601 win 249");
        test.expect_none();
        test.inject("[.] seq 5001 ack 601 win 250");
        test.expect("[.] seq 601:851 ack 5001");
        test.inject("[.] seq 5001 ack 851 win 500");
        test.expect("[.] seq 851:1351 ack 5001");
        // The update after a silly window is lost: what fits is sent all the same.
        test.inject("[.] seq 5001 ack 1351 win 80");
        test.expect_none();
        assert!(test.connection.timer(TimerKind::Persist).is_some());
        test.advance(Duration::from_millis(200));
        test.expect("[.] seq 1351:1431 ack 5001");
        test.inject("[.] seq 5001 ack 1431 win 500");
        test.expect("[.] seq 1431:1931 ack 5001");
    });
}

// req: MUST-39
// trap: 12
#[test]
fn our_window_opens_in_worthwhile_steps_however_slowly_it_is_read() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        for start in (5_001..15_001).step_by(1_000) {
            test.inject(&format!("[.] seq {start} ack 101 len 1000"));
        }
        test.advance(SECOND);
        test.take_sent();
        let mut edge = 15_001;
        for read in 0..4_000u32 {
            test.expect_data(5_001 + read, 5_002 + read);
            for sent in test.take_sent() {
                assert_eq!(sent.reason, SendReason::WindowUpdate);
                let new = edge_of(&sent.line);
                assert!(new >= edge + 1_000, "{}", sent.line);
                edge = new;
            }
        }
        assert!(edge > 15_001);
        // A probe of one byte is answered; the ACK field of the peer's other segments counts.
        test.write_len(100);
        test.take_sent();
        test.inject("[.] seq 15001 ack 201 len 1");
        assert_eq!(test.stats().unacknowledged, 0);
    });
}

fn edge_of(line: &str) -> u32 {
    let word = |name: &str| -> u32 {
        line.split(name)
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .and_then(|word| word.parse().ok())
            .expect("in the line")
    };
    word(" ack ") + word(" win ")
}

// req: SHLD-14, 9293-EV-27
// trap: 10
#[test]
fn the_right_edge_never_moves_left() {
    for (shrink, step) in [(false, 1usize), (true, 7), (false, 997)] {
        every_wrap(|numbers| {
            let mut test = Scripted::established(plain_config(), numbers);
            let mut edge = 15_001;
            let (mut next, mut read) = (5_001u32, 5_001u32);
            for round in 0..600usize {
                let window = edge - next;
                let length = (round * step % 1_003) as u32 % (window + 1);
                if length > 0 {
                    let line = format!("[P.] seq {next} ack 101 len {length}");
                    assert_eq!(test.inject(&line), Disposition::Taken, "what was promised is taken");
                    next += length;
                }
                if round % 3 == 0 {
                    let some = (next - read) / 2;
                    test.expect_data(read, read + some);
                    read += some;
                }
                if shrink && round == 100 {
                    let mut config = test.connection.config().clone();
                    config.receive_buffer = BufferLimit::fixed(500);
                    test.connection.set_config(test.now, config).expect("it works");
                }
                test.advance(Duration::from_millis(50));
                for sent in test.take_sent() {
                    let new = edge_of(&sent.line);
                    assert!(new >= edge, "round {round}: {} after {edge}", sent.line);
                    edge = new;
                }
            }
        });
    }
}

// trap: 10
#[test]
fn rounding_a_scaled_window_takes_no_promise_back() {
    let mut config = plain_config();
    config.window_scaling = true;
    config.receive_buffer = BufferLimit { initial: 1 << 20, max: 65_535 << 14 };
    let mut test = Scripted::established_with(config, Numbers::default(), ",wscale 14");
    test.advance(SECOND);
    let mut edge = 0;
    for byte in 0..20_000u32 {
        let line = format!("[P.] seq {} ack 101 len 1", 5_001 + byte);
        assert_eq!(test.inject(&line), Disposition::Taken);
        if byte % 100 == 99 {
            test.expect_data(5_001 + byte - 99, 5_001 + byte - 49);
            test.expect_data(5_001 + byte - 49, 5_002 + byte);
        }
        for sent in test.take_sent() {
            let word = |name: &str| -> u64 {
                sent.line.split(name).nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
            };
            let new = word(" ack ") + (word(" win ") << 14);
            assert!(new >= edge, "{}", sent.line);
            edge = new;
        }
    }
    assert_eq!(test.connection.drops().get(DropReason::OutOfWindow), 0);
}

// req: MAY-8
#[test]
fn our_window_may_stay_closed_and_each_probe_hears_so() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        for start in (5_001..15_001).step_by(1_000) {
            test.inject(&format!("[.] seq {start} ack 101 len 1000"));
        }
        test.advance(SECOND);
        test.take_sent();
        for _ in 0..100 {
            test.inject("[.] seq 15001 ack 101 len 1");
            test.expect("[.] seq 101 ack 15001 win 0");
            test.expect_none();
            test.inject("[.] seq 15000 ack 101");
            test.expect("[.] seq 101 ack 15001 win 0");
            test.expect_none();
            test.advance(SECOND);
        }
    });
}

// trap: 2
#[test]
fn a_window_probe_takes_no_sequence_number() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[.] seq 5001 ack 101 win 0");
        test.write_len(500);
        test.advance(SECOND);
        assert!(test.has_sent());
        test.take_sent();
        assert_eq!(test.stats().unacknowledged, 0);
        // What else leaves stands where a peer with a closed window expects it.
        test.inject("[.] seq 5001 ack 101 win 0 len 100");
        test.inject("[.] seq 5101 ack 101 win 0 len 100");
        test.expect("[.] seq 101 ack 5201");
        test.advance(MILLI);
        test.expect_none();
    });
}
