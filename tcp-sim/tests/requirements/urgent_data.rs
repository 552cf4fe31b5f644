//! The urgent mechanism by the RFCs' rows (RFC 9293 §3.8.5, §3.10.7.4; RFC 6093): where the pointer points, when it
//! counts, what is told of it. The byte out of line, stops at the mark, devices that cut: `urgent.rs`.

use tcp_core::{ConnConfig, Event, InitialWindow};
use tcp_sim::scripted::{Scripted, every_wrap, plain_config};
use tcp_sim::states::Place;

fn eager() -> ConnConfig {
    let mut config = plain_config();
    config.initial_window = InitialWindow::Segments(1_000);
    config
}

fn write_urgent(test: &mut Scripted, data: &[u8]) {
    assert_eq!(test.connection.write_urgent(test.now, data), Ok(data.len()));
    test.drain();
}

// req: MUST-30, MUST-62
#[test]
fn the_pointer_names_the_byte_behind_the_last_urgent_one() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        write_urgent(&mut test, b"!");
        test.expect("[PU.] seq 101:102 ack 5001 urg 1");
        test.inject("[.] seq 5001 ack 102");
        write_urgent(&mut test, b"hurry");
        test.expect("[PU.] seq 102:107 ack 5001 urg 5");
        test.inject("[.] seq 5001 ack 107");
        // Behind ordinary data; and what follows the mark is not urgent.
        test.inject("[.] seq 5001 ack 107 win 0");
        test.write_len(500);
        write_urgent(&mut test, b"now");
        test.write_len(100);
        test.take_sent();
        test.inject("[.] seq 5001 ack 107 win 20000");
        test.expect("[PU.] seq 107:710 ack 5001 urg 503");
        test.inject("[.] seq 5001 ack 710");
        test.write(b"calm");
        test.expect("[P.] seq 710:714 ack 5001");
    });
}

// req: MUST-31
#[test]
fn urgent_data_of_any_length_is_marked_to_its_end() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(eager(), numbers);
        test.inject("[.] seq 5001 ack 101 win 65535");
        let data = vec![7; 100_000];
        write_urgent(&mut test, &data);
        test.write_len(500);
        let mut next = 101u32;
        while next < 100_601 {
            assert!(test.has_sent(), "stalled at {next}");
            for sent in test.take_sent() {
                let length =
                    sent.line.rsplit("len ").next().and_then(|word| word.parse().ok()).unwrap_or(0u32);
                if next < 100_101 && length > 0 {
                    assert!(sent.line.starts_with("[U.]") || sent.line.starts_with("[PU.]"), "{}", sent.line);
                    let ahead = (100_101 - next).min(65_535);
                    assert!(sent.line.contains(&format!(" urg {ahead}")), "{}", sent.line);
                }
                next += length;
            }
            test.inject(&format!("[.] seq 5001 ack {next} win 65535"));
        }
    });
}

// req: MUST-30, MUST-32, MUST-33, MUST-47, 9293-EV-25
#[test]
fn the_application_hears_of_the_mark_and_of_each_advance() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        assert_eq!(test.connection.urgent_remaining(), None);
        test.inject("[PU.] seq 5001 ack 101 urg 5 len 10");
        assert!(test.take_events().contains(Event::URGENT));
        assert_eq!(test.connection.urgent_remaining(), Some(5));
        // The same mark again, and an older one: nothing new.
        test.inject("[PU.] seq 5001 ack 101 urg 5 len 10");
        test.inject("[U.] seq 5011 ack 101");
        test.inject("[PU.] seq 5001 ack 101 urg 3 len 10");
        assert_eq!(test.take_events(), Event::NONE);
        // It advances, ahead of its data.
        test.inject("[U.] seq 5011 ack 101 urg 500");
        assert_eq!(test.take_events(), Event::URGENT);
        assert_eq!(test.connection.urgent_remaining(), Some(510));
        test.expect_data(5_001, 5_011);
        assert_eq!(test.connection.urgent_remaining(), Some(500));
        test.inject("[P.] seq 5011 ack 101 len 600");
        // A read stops at the mark, before the last urgent byte (requirement 6093-5).
        assert_eq!(test.read(1_000).map(|data| data.len()), Ok(499));
        assert!(test.connection.at_urgent_mark());
        assert_eq!(test.connection.urgent_remaining(), Some(1));
        test.expect_data(5_510, 5_611);
        assert_eq!(test.connection.urgent_remaining(), None);
        // And a mark that was passed says nothing.
        test.take_events();
        test.inject("[U.] seq 5611 ack 101 urg 1");
        assert_eq!(test.take_events(), Event::URGENT);
    });
}

// req: 9293-EV-25
#[test]
fn urgent_counts_only_while_the_peer_may_send() {
    every_wrap(|numbers| {
        for place in Place::ALL {
            if place == Place::SynSent {
                continue;
            }
            let mut test = place.reach(plain_config(), numbers);
            test.inject(&format!("[U.] seq {} ack {} urg 9", place.rcv_nxt(), place.snd_nxt()));
            let heard = test.take_events().contains(Event::URGENT);
            let may_send = matches!(
                place,
                Place::SynReceivedPassive
                    | Place::SynReceivedActive
                    | Place::Established
                    | Place::FinWait1
                    | Place::FinWait2
            );
            assert_eq!(heard, may_send, "{place:?}");
        }
    });
}

// req: MUST-30
#[test]
fn out_of_line_the_last_urgent_byte_is_read_by_itself() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.urgent_inline = false;
        let mut test = Scripted::established(config, numbers);
        test.inject("[PU.] seq 5001 ack 101 urg 5 len 10");
        assert!(test.take_events().contains(Event::URGENT));
        assert_eq!(test.connection.read_urgent(test.now), Some(tcp_sim::scripted::peer_byte(5_005)));
        assert_eq!(test.connection.read_urgent(test.now), None);
        test.expect_data(5_001, 5_005);
        test.expect_data(5_006, 5_011);
    });
}

// req: MUST-66
#[test]
fn a_mark_beyond_a_closed_window_is_told_by_the_probe() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[.] seq 5001 ack 101 win 0");
        write_urgent(&mut test, b"hurry");
        test.advance(tcp_core::Duration::from_secs(1));
        let probe = test.take_sent().remove(0);
        // The probe stands one before SND.UNA.
        assert!(probe.line.starts_with("[U.] seq 100 ack 5001"), "{}", probe.line);
        assert!(probe.line.contains("urg 6"), "{}", probe.line);
    });
}
