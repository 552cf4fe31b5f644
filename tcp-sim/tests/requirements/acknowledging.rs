//! The ACK field where it is easily misread: not a duplicate, not for us, not agreed on.

use tcp_core::{RxMeta, State};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

// req: 5681-2b
#[test]
fn with_nothing_in_flight_no_ack_is_a_duplicate() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        for _ in 0..5 {
            test.inject("[.] seq 5001 ack 101");
        }
        assert_eq!(test.stats().duplicate_acks, 0);
        test.write_len(5_000);
        assert!(test.take_sent().iter().all(|sent| !sent.line.contains("len 0")));
        assert_eq!(test.stats().totals.fast_recoveries, 0);
    });
}

// req: 2018-4a, 2018-V
#[test]
fn blocks_that_were_not_agreed_on_say_nothing() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(5_000);
        test.take_sent();
        test.inject("[.] seq 5001 ack 101 <sack 1101:2101>");
        assert_eq!(test.stats().sacked, 0);
        test.inject("[.] seq 5001 ack 1101 <sack 101:1101>");
        assert_eq!(test.stats().totals.dsacks_received, 0);
    });
}

// req: 9293-EV-45
// trap: 4
#[test]
fn an_ack_that_stands_one_before_the_window_counts_only_if_it_is_for_what_was_sent() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(2_000);
        test.take_sent();
        // Of what was never sent, and of what is long acknowledged.
        test.inject("[.] seq 5000 ack 9101");
        assert_eq!((test.stats().unacknowledged, test.state()), (2_000, State::Established));
        test.inject("[.] seq 5000 ack 1101");
        assert_eq!(test.stats().unacknowledged, 1_000);
        test.inject("[.] seq 5000 ack 101");
        assert_eq!(test.stats().unacknowledged, 1_000);
        assert_eq!(test.state(), State::Established);
    });
}

// req: 5681-2b, 5681-FR1
#[test]
fn a_duplicate_ack_goes_out_bare_before_data_when_the_peer_counts_them() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        let meta = RxMeta::new("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
        let early = test.peer_segment("[.] seq 6001 ack 101 len 1000");
        test.connection.handle_segment(test.now, &meta, &early);
        assert_eq!(test.connection.write(test.now, b"data"), Ok(4));
        test.drain();
        test.expect("[.] seq 101 ack 5001");
        test.expect("[P.] seq 101:105 ack 5001 len 4");

        // With SACK the blocks tell it, on the data too.
        let mut config = plain_config();
        config.sack = true;
        let mut test = Scripted::established_with(config, numbers, ",sackOK");
        let early = test.peer_segment("[.] seq 6001 ack 101 len 1000");
        test.connection.handle_segment(test.now, &meta, &early);
        assert_eq!(test.connection.write(test.now, b"data"), Ok(4));
        test.drain();
        test.expect("[P.] seq 101:105 ack 5001 <sack 6001:7001> len 4");
        test.expect_none();
    });
}

// req: LNX-INF-1
#[test]
fn every_segment_that_arrives_is_counted() {
    let mut test = Scripted::established(plain_config(), Numbers::default());
    let before = test.stats().totals;
    test.inject("[.] seq 5001 ack 101 len 100");
    test.inject("[.] seq 5101 ack 101 len 100");
    test.inject("[.] seq 5201 ack 101");
    let after = test.stats().totals;
    assert_eq!(after.segments_received - before.segments_received, 3);
    assert_eq!(after.data_segments_received - before.data_segments_received, 2);
    assert_eq!(after.bytes_received - before.bytes_received, 200);
    // The ACK of the second, and three segments of data.
    test.write_len(3_000);
    assert_eq!(test.stats().totals.segments_sent - before.segments_sent, 4);
    assert_eq!(test.take_sent().len(), 4);
}

// req: 2883-1, 2883-7
#[test]
fn only_data_that_was_received_before_is_a_duplicate() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.sack = true;
        let mut test = Scripted::established_with(config, numbers, ",sackOK");
        // A keepalive probe, and data beyond the window: neither is a duplicate.
        test.inject("[.] seq 5000 ack 101");
        assert!(!test.expect("[.] ack 5001").line.contains("sack"));
        test.inject("[.] seq 25001 ack 101 len 10");
        assert!(!test.expect("[.] ack 5001").line.contains("sack"));
        assert_eq!(test.stats().totals.duplicates, 0);
    });
}

// req: 7323-WS2
#[test]
fn crossing_syns_scale_only_if_both_offer_it() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.window_scaling = true;
        let mut test = Scripted::connecting(config.clone(), numbers);
        test.expect("[S]");
        test.inject("[S] seq 5000 <mss 1000>");
        test.expect("[S.] seq 100 ack 5001 <mss 1000>");
        let mut test = Scripted::connecting(config, numbers);
        test.expect("[S]");
        test.inject("[S] seq 5000 <mss 1000,wscale 3>");
        test.expect("[S.] seq 100 ack 5001 <mss 1000,wscale 0>");
    });
}

// req: 2018-4a
#[test]
fn crossing_syns_agree_on_sack_only_if_both_offer_it() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.sack = true;
        let mut test = Scripted::connecting(config.clone(), numbers);
        test.expect("[S] seq 100 <mss 1000,sackOK>");
        test.inject("[S] seq 5000 <mss 1000>");
        test.expect("[S.] seq 100 ack 5001 <mss 1000>");
        let mut test = Scripted::connecting(config, numbers);
        test.expect("[S]");
        test.inject("[S] seq 5000 <mss 1000,sackOK>");
        test.expect("[S.] seq 100 ack 5001 <mss 1000,sackOK>");
    });
}
