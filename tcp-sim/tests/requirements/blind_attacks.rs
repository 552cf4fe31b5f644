//! Segments that somebody who cannot see the connection could send (RFC 5961), and what is answered.

use tcp_core::{
    CloseReason, ConnConfig, Disposition, DropReason, Duration, Event, RateLimit, ReadError, SendReason,
    State,
};
use tcp_sim::scripted::{Scripted, every_wrap, plain_config};
use tcp_sim::states::Place;

const SECOND: Duration = Duration::from_secs(1);

/// Every live state, TIME-WAIT apart, which has rules of its own (precedence 1).
fn live() -> impl Iterator<Item = Place> {
    Place::SYNCHRONIZED.into_iter().filter(|place| *place != Place::TimeWait)
}

// req: 5961-3a
// trap: 17
#[test]
fn a_rst_outside_the_window_is_dropped_in_silence() {
    every_wrap(|numbers| {
        for place in
            Place::SYNCHRONIZED.into_iter().chain([Place::SynReceivedPassive, Place::SynReceivedActive])
        {
            let rcv = place.rcv_nxt();
            let edge = 15_001;
            for seq in [rcv - 1, rcv - 2, rcv - 1_000, edge, edge + 1, edge + 1_000_000, rcv + (1 << 31)] {
                for (flags, data) in [("R", ""), ("R.", ""), ("RF.", ""), ("RS", ""), ("R", " len 1200")] {
                    let mut test = place.reach(plain_config(), numbers);
                    let ack =
                        if flags.contains('.') { format!(" ack {}", place.snd_nxt()) } else { String::new() };
                    let disposition = test.inject(&format!("[{flags}] seq {seq}{ack}{data}"));
                    assert!(matches!(disposition, Disposition::Dropped(_)), "{place:?} {flags} {seq}");
                    test.expect_none();
                    assert_eq!((test.state(), test.take_events()), (place.state(), Event::NONE));
                }
            }
        }
    });
}

// req: 5961-3b, SHLD-2
// trap: 17
#[test]
fn a_rst_at_exactly_rcv_nxt_resets_data_on_it_or_not() {
    every_wrap(|numbers| {
        for place in live() {
            let rcv = place.rcv_nxt();
            for rst in [
                "[R] seq {} ",
                "[R.] seq {} ack 7",
                "[RF.] seq {} ack 101",
                "[R] seq {} len 20",
                "[RS] seq {}",
            ] {
                let mut test = place.reach(plain_config(), numbers);
                let line = rst.replace("{}", &rcv.to_string());
                assert_eq!(test.inject(line.trim_end()), Disposition::Taken, "{place:?} {line}");
                test.expect_none();
                assert_eq!(test.state(), State::Closed);
                assert!(test.take_events().contains(Event::CLOSED));
                assert_eq!(test.stats().readable, 0, "its data is no part of the stream");
                assert_eq!(test.connection.poll_timeout(), None);
            }
        }
    });
}

// req: 5961-3c, 5961-1a
// trap: 17
#[test]
fn a_rst_in_the_window_is_challenged() {
    every_wrap(|numbers| {
        for place in live() {
            let (snd, rcv) = (place.snd_nxt(), place.rcv_nxt());
            for seq in [rcv + 1, rcv + 500, 15_000] {
                for flags in ["R", "R.", "RF."] {
                    let mut test = place.reach(plain_config(), numbers);
                    let ack = if flags.contains('.') { format!(" ack {snd}") } else { String::new() };
                    let disposition = test.inject(&format!("[{flags}] seq {seq}{ack}"));
                    assert_eq!(disposition, Disposition::Dropped(DropReason::ResetChallenged));
                    let sent = test.expect(&format!("[.] seq {snd} ack {rcv}"));
                    assert_eq!(sent.reason, SendReason::Challenge);
                    test.expect_none();
                    assert_eq!((test.state(), test.take_events()), (place.state(), Event::NONE));
                }
            }
        }
    });
}

// req: 5961-3b, 5961-3c
// trap: 17
#[test]
fn the_exact_number_is_rcv_nxt_whatever_is_queued_or_not_yet_acknowledged() {
    every_wrap(|numbers| {
        // In order and not acknowledged yet; and behind a hole.
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[.] seq 5001 ack 101 len 500");
        test.inject("[.] seq 7001 ack 101 len 500");
        test.take_sent();
        for seq in [5_001u32, 7_001, 7_501] {
            let expected =
                if seq == 5_001 { DropReason::ResetOutOfWindow } else { DropReason::ResetChallenged };
            assert_eq!(test.inject(&format!("[R] seq {seq}")), Disposition::Dropped(expected));
            test.take_sent();
        }
        assert_eq!(test.inject("[R] seq 5501"), Disposition::Taken);
        assert_eq!(test.state(), State::Closed);
    });
}

// req: 5961-3b
// trap: 17
#[test]
fn paws_does_not_apply_to_a_rst() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.timestamps = true;
        let mut test = Scripted::established_with(config, numbers, ",TS 5000 1000000");
        assert_eq!(test.inject("[R] seq 5001 <TS 1000 0>"), Disposition::Taken);
        assert_eq!(test.close_reason(), Some(CloseReason::Reset));
    });
}

// req: 5961-4a, 5961-1a
// trap: 20
#[test]
fn a_syn_on_a_live_connection_is_challenged_whatever_its_number() {
    every_wrap(|numbers| {
        for place in live() {
            let (snd, rcv) = (place.snd_nxt(), place.rcv_nxt());
            for seq in [rcv, rcv - 1, rcv + 1, 15_000, 15_001, 900_000, rcv - 5_000, rcv + (1 << 31)] {
                for (flags, ack) in
                    [("S", String::new()), ("S.", format!(" ack {snd}")), ("SF", String::new())]
                {
                    let mut test = place.reach(plain_config(), numbers);
                    let before = test.stats();
                    let line = format!("[{flags}] seq {seq}{ack} win 77 <mss 500>");
                    let disposition = test.inject(&line);
                    assert_eq!(
                        disposition,
                        Disposition::Dropped(DropReason::SynChallenged),
                        "{place:?} {line}"
                    );
                    let sent = test.expect(&format!("[.] seq {snd} ack {rcv}"));
                    assert_eq!(sent.reason, SendReason::Challenge);
                    test.expect_none();
                    let after = test.stats();
                    assert_eq!((after.state, test.take_events()), (place.state(), Event::NONE));
                    assert_eq!((after.send_mss, after.send_window), (before.send_mss, before.send_window));
                    assert_eq!(after.unacknowledged, before.unacknowledged);
                }
            }
        }
    });
}

// req: 5961-4a
// trap: 20
#[test]
fn a_syn_changes_no_timestamp() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.timestamps = true;
        let mut test = Scripted::established_with(config, numbers, ",TS 5000 1000000");
        for line in ["[S] seq 5001 <mss 500,TS 9000 0>", "[S.] seq 5000 ack 101 <mss 500,TS 9000 1000000>"] {
            assert_eq!(test.inject(line), Disposition::Dropped(DropReason::SynChallenged));
            test.expect("[.] seq 101 ack 5001 <TS 1000000 5000>");
        }
    });
}

// trap: 20
#[test]
fn the_syn_ack_that_is_repeated_for_want_of_our_ack_is_acknowledged() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(100);
        test.expect("[P.] seq 101:201 ack 5001");
        test.inject("[S.] seq 5000 ack 101 <mss 1000>");
        test.expect("[.] seq 201 ack 5001");
        test.expect_none();
        assert_eq!(test.state(), State::Established);
    });
}

// req: 5961-5a, MAY-12
// trap: 7
#[test]
fn data_whose_ack_is_older_than_any_window_is_dropped() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        // SND.UNA is far enough from ISS for old ACKs to be old.
        test.write_len(30_000);
        for ack in [10_101, 20_101, 30_101] {
            test.take_sent();
            test.inject(&format!("[.] seq 5001 ack {ack}"));
        }
        assert_eq!(test.stats().unacknowledged, 0);
        test.take_sent();
        let too_old = Disposition::Dropped(DropReason::AckTooOld);
        // SND.UNA 30101, MAX.SND.WND 20000: from 10101 on.
        assert_eq!(test.inject("[P.] seq 5001 ack 10100 len 100"), too_old);
        test.expect("[.] seq 30101 ack 5001");
        test.expect_none();
        assert_eq!(test.stats().readable, 0);
        let unsent = Disposition::Dropped(DropReason::AckOfUnsent);
        assert_eq!(test.inject("[P.] seq 5001 ack 30102 len 100"), unsent);
        test.expect("[.] seq 30101 ack 5001");
        assert_eq!(test.stats().readable, 0);
        let half_around = 30_101u32 + (1 << 31);
        let disposition = test.inject(&format!("[P.] seq 5001 ack {half_around} len 100"));
        assert!(matches!(disposition, Disposition::Dropped(_)));
        assert_eq!(test.stats().readable, 0);
        test.take_sent();
        for (seq, ack) in [(5_001, 10_101), (5_101, 30_100), (5_201, 30_101)] {
            let line = format!("[P.] seq {seq} ack {ack} len 100");
            assert_eq!(test.inject(&line), Disposition::Taken, "{line}");
        }
        test.expect_data(5_001, 5_301);
    });
}

// req: 5961-5b
// trap: 7
#[test]
fn the_bound_is_the_largest_scaled_window_ever_seen() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.window_scaling = true;
        config.send_buffer = tcp_core::BufferLimit::fixed(1 << 20);
        config.initial_window = tcp_core::InitialWindow::Segments(1_000);
        let mut test = Scripted::established_with(config, numbers, ",wscale 3");
        // 8 * 10000 at its largest, and then it shrinks.
        test.inject("[.] seq 5001 ack 101 win 10000");
        test.write_len(100_000);
        test.inject("[.] seq 5001 ack 80101 win 10000");
        test.inject("[.] seq 5001 ack 100101 win 100");
        test.take_sent();
        assert_eq!((test.stats().unacknowledged, test.stats().send_window), (0, 800));
        assert_eq!(
            test.inject("[P.] seq 5001 ack 20100 len 100"),
            Disposition::Dropped(DropReason::AckTooOld)
        );
        assert_eq!(test.inject("[P.] seq 5001 ack 20101 len 100"), Disposition::Taken);
    });
}

fn limited(count: u32, interval: Duration) -> ConnConfig {
    let mut config = plain_config();
    config.challenge_acks = RateLimit { count, interval };
    config
}

// req: 5961-7a, 5961-7b, 5961-9a
// trap: 22
#[test]
fn challenges_are_limited_as_configured() {
    for (count, interval) in [(0, SECOND), (3, SECOND), (10, SECOND * 5), (u32::MAX, SECOND)] {
        for flood in ["[R] seq 5500", "[S] seq 7 <mss 1000>", "[P.] seq 5001 ack 30000 len 10"] {
            every_wrap(|numbers| {
                let mut test = Scripted::established(limited(count, interval), numbers);
                (0..50).for_each(|_| {
                    test.inject(flood);
                });
                assert_eq!(test.take_sent().len() as u32, count.min(50));
                assert_eq!(test.stats().totals.challenge_acks, count.min(50));
                assert_eq!(test.stats().totals.challenge_acks_limited, 50 - count.min(50));
                test.advance(interval);
                test.inject(flood);
                assert_eq!(test.take_sent().len() as u32, count.min(1), "another interval");
                assert_eq!(test.state(), State::Established);
            });
        }
    }
}

// req: 5961-7a, 5961-1a
#[test]
fn the_default_limit_is_ten_in_five_seconds() {
    let limit = ConnConfig::default().challenge_acks;
    assert_eq!((limit.count, limit.interval), (10, SECOND * 5));
    assert_eq!(ConnConfig::rfc().challenge_acks, limit);
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        for _ in 0..1_000 {
            test.inject("[R] seq 5500");
            test.advance(Duration::from_millis(1));
        }
        assert_eq!(test.take_sent().len(), 10);
    });
}

// req: 5961-7c
// trap: 22
#[test]
fn a_spent_limit_starves_neither_another_connection_nor_acks_of_data() {
    every_wrap(|numbers| {
        let mut attacked = Scripted::established(plain_config(), numbers);
        (0..100).for_each(|_| {
            attacked.inject("[R] seq 5500");
        });
        attacked.take_sent();
        // A connection beside it has a limit of its own.
        let mut other = Scripted::established(plain_config(), numbers);
        (0..100).for_each(|_| {
            other.inject("[R] seq 5500");
        });
        assert_eq!(other.take_sent().len(), 10);
        // Data out of order, old data, and data in order are answered as ever.
        attacked.inject("[.] seq 7001 ack 101 len 100");
        attacked.expect("[.] seq 101 ack 5001");
        attacked.inject("[.] seq 4001 ack 101 len 100");
        attacked.expect("[.] seq 101 ack 5001");
        attacked.inject("[.] seq 4001 ack 101 len 100");
        attacked.expect("[.] seq 101 ack 5001");
        attacked.inject("[.] seq 5001 ack 101 len 100");
        attacked.expect("[.] seq 101 ack 5101");
    });
}

// req: 5961-7d
// trap: 22
#[test]
fn what_has_no_data_and_is_out_of_the_window_is_answered_twice_a_second() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.timestamps = true;
        for line in ["[.] seq 4000 ack 101 <TS 5000 1000000>", "[.] seq 5001 ack 101 <TS 1000 1000000>"] {
            let mut test = Scripted::established_with(config.clone(), numbers, ",TS 5000 1000000");
            for _ in 0..200 {
                test.inject(line);
                test.advance(Duration::from_millis(10));
            }
            let answers = test.take_sent().len();
            assert!((3..=5).contains(&answers), "{answers} in two seconds");
            // Data that is old, or whose timestamp is, is always answered.
            for line in [
                "[.] seq 4000 ack 101 <TS 5000 1000000> len 10",
                "[.] seq 5001 ack 101 <TS 1000 1000000> len 10",
            ] {
                for _ in 0..5 {
                    test.inject(line);
                    test.expect("[.] seq 101 ack 5001");
                    test.expect_none();
                }
            }
        }
    });
}

// req: 5961-4b
#[test]
fn the_rst_that_answers_a_challenge_ends_the_connection() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[S] seq 900000 <mss 1000>");
        // The peer, in SYN-SENT, answers this ACK with a RST of its number.
        test.expect("[.] seq 101 ack 5001");
        assert_eq!(test.inject("[R] seq 5001"), Disposition::Taken);
        assert_eq!(test.state(), State::Closed);
        assert_eq!(test.read(1), Err(ReadError::Closed(CloseReason::Reset)));
        // Its next SYN finds nothing, and a listener could take it.
        test.inject("[S] seq 900000 <mss 1000>");
        test.expect("[R.] seq 0 ack 900001");
    });
}

// trap: 17, 19
#[test]
fn a_rst_is_never_answered_but_by_a_challenge() {
    every_wrap(|numbers| {
        for place in Place::ALL {
            for seq in [0, 101, 5_000, 5_001, 5_002, 9_000, 15_001] {
                for line in [
                    format!("[R] seq {seq}"),
                    format!("[R.] seq {seq} ack 7"),
                    format!("[RF.] seq {seq} ack 101 len 10"),
                    format!("[RU.] seq {seq} ack 102 urg 5 len 10"),
                ] {
                    let mut test = place.reach(plain_config(), numbers);
                    test.inject(&line);
                    for sent in test.take_sent() {
                        assert_eq!(sent.reason, SendReason::Challenge, "{place:?} {line}: {}", sent.line);
                        assert!(sent.line.starts_with("[.] "));
                    }
                }
            }
        }
    });
}
