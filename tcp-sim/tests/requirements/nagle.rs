//! Small segments and delayed acknowledgements (traps 58 and 59).

use tcp_core::{ConnConfig, Duration, SendReason, TimerKind};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

// trap: 59
#[test]
fn an_odd_number_of_segments_does_not_wait_for_a_delayed_ack() {
    every_wrap(|numbers| {
        // Three segments, the last one small: the peer acknowledges two and waits with the third.
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(2_500);
        test.expect("[.] seq 101:1101");
        test.expect("[.] seq 1101:2101");
        // Full segments in flight do not hold a small one (Minshall).
        test.expect("[P.] seq 2101:2601");
    });
}

// trap: 59
#[test]
fn a_held_tail_leaves_when_the_small_segment_is_acknowledged() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(100);
        test.expect("[P.] seq 101:201");
        test.write_len(100);
        test.write_len(100);
        test.expect_none();
        test.inject("[.] seq 5001 ack 201");
        test.expect("[P.] seq 201:401");
        // A full segment behind it passes; its tail waits.
        test.write_len(1_100);
        test.expect("[.] seq 401:1401");
        test.expect_none();
        test.inject("[.] seq 5001 ack 401");
        test.expect("[P.] seq 1401:1501");
    });
}

// trap: 59
#[test]
fn a_tail_that_is_held_by_a_lost_segment_leaves_after_its_retransmission() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(100);
        test.write_len(100);
        test.expect("[P.] seq 101:201");
        test.advance(test.stats().rto);
        // Both go now: what is sent again is filled up with nothing that was never sent.
        test.expect("[.] seq 101:201");
        test.expect_none();
        test.inject("[.] seq 5001 ack 201");
        test.expect("[P.] seq 201:301");
    });
}

// trap: 59
#[test]
fn a_smaller_segment_size_makes_full_what_was_small() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(100);
        test.expect("[P.] seq 101:201");
        test.write_len(700);
        test.expect_none();
        test.inject_icmp(tcp_core::wire::IcmpKind::PacketTooBig { mtu: 640 }, 101);
        test.expect("[.] seq 201:801");
        test.expect_none();
    });
}

// trap: 59
#[test]
fn switching_nagle_off_lets_go_what_is_held() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(100);
        test.write_len(100);
        test.expect("[P.] seq 101:201");
        test.expect_none();
        let mut config: ConnConfig = test.connection.config().clone();
        config.no_delay = true;
        test.connection.set_config(test.now, config).unwrap();
        test.drain();
        test.expect("[P.] seq 201:301");
    });
}

// trap: 58
#[test]
fn any_segment_that_carries_the_ack_ends_the_delay() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[.] seq 5001 ack 101 len 100");
        assert!(test.connection.timer(TimerKind::DelayedAck).is_some());
        test.write_len(100);
        test.expect("[P.] seq 101:201 ack 5101");
        assert_eq!(test.connection.timer(TimerKind::DelayedAck), None);
        // A retransmission carries it, too.
        test.advance(ms(190));
        test.inject("[.] seq 5101 ack 101 len 100");
        test.advance(ms(10));
        test.expect_at(200, "[P.] seq 101:201 ack 5201");
        assert_eq!(test.connection.timer(TimerKind::DelayedAck), None);
        test.advance(ms(150));
        test.expect_none();
    });
}

// trap: 58
#[test]
fn what_cannot_wait_is_acknowledged_at_once() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        let reasons = |test: &mut Scripted| -> Vec<SendReason> {
            test.take_sent().iter().map(|sent| sent.reason).collect()
        };
        // Out of order; a FIN out of order; the filling of a hole; a duplicate.
        test.inject("[.] seq 5101 ack 101 len 100");
        assert_eq!(reasons(&mut test), [SendReason::DuplicateAck]);
        test.inject("[F.] seq 5301 ack 101");
        assert_eq!(reasons(&mut test), [SendReason::DuplicateAck]);
        test.inject("[.] seq 5001 ack 101 len 100");
        assert_eq!(reasons(&mut test), [SendReason::Ack]);
        test.inject("[.] seq 5001 ack 101 len 100");
        assert_eq!(reasons(&mut test), [SendReason::DuplicateAck]);
        test.inject("[.] seq 5201 ack 101 len 100");
        assert_eq!(reasons(&mut test).len(), 1);
    });
}

// trap: 58
#[test]
fn small_segments_count_as_well_as_bytes() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        let mut acks = 0;
        for index in 0..20 {
            test.inject(&format!("[P.] seq {} ack 101 len 1", 5_001 + index));
            acks += test.take_sent().len();
        }
        assert_eq!(acks, 10);
        // One that holds two of ours counts as one: it is all that came.
        test.inject("[P.] seq 5021 ack 101 len 1");
        test.expect_none();
        test.advance(ms(500));
        test.expect("[.] ack 5022");
    });
}

// trap: 58
#[test]
fn an_owed_ack_outlives_a_device_without_room() {
    let mut test = Scripted::established(plain_config(), Numbers::default());
    let meta = tcp_core::RxMeta::new("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
    for line in ["[.] seq 5001 ack 101 len 100", "[.] seq 5101 ack 101 len 100"] {
        let bytes = test.peer_segment(line);
        test.connection.handle_segment(test.now, &meta, tcp_core::Rx::new(&bytes));
    }
    // A buffer that holds not even a header.
    for _ in 0..3 {
        assert!(test.connection.poll_transmit(test.now, &test.caps, &mut [0; 10]).is_none());
    }
    test.drain();
    test.expect("[.] seq 101 ack 5201");
    test.expect_none();
}
