//! The ACK field where it is easily misread: not a duplicate, not for us, not agreed on.

use tcp_core::State;
use tcp_sim::scripted::{Scripted, every_wrap, plain_config};

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
