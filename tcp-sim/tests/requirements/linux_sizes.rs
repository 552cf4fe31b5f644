//! How large segments are: what is announced, what is used, what is sent again at once.

use tcp_core::wire::TcpPacket;
use tcp_core::{ConfigError, ConnConfig, Connection, Instant, Seed, SendReason, TxCaps};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

// req: LNX-MSS-1
#[test]
fn a_lower_mss_that_was_set_is_announced_and_used() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.max_segment_size = Some(800);
        let mut test = Scripted::connecting(config.clone(), numbers);
        test.expect("[S] seq 100 <mss 800>");
        test.inject("[S.] seq 5000 ack 101 <mss 1000>");
        test.take_sent();
        test.write_len(2_000);
        test.expect("[.] seq 101:901 len 800");
        test.expect("[.] seq 901:1701 len 800");
        test.expect("[P.] seq 1701:2101 len 400");

        let mut test = Scripted::listening(config, numbers);
        test.inject("[S] seq 5000 <mss 1000>");
        test.expect("[S.] seq 100 ack 5001 <mss 800>");
    });
}

// req: LNX-MSS-1
#[test]
fn less_than_48_bytes_are_neither_used_nor_announced() {
    every_wrap(|numbers| {
        for announced in [0, 1, 47] {
            let mut test = Scripted::connecting(plain_config(), numbers);
            test.inject(&format!("[S.] seq 5000 ack 101 <mss {announced}>"));
            test.take_sent();
            assert_eq!(test.stats().send_mss, 48);
            test.write_len(100);
            test.expect("[.] seq 101:149 len 48");
            test.expect("[.] seq 149:197 len 48");
            test.expect("[P.] seq 197:201 len 4");
        }
        // With every option there is still room for data.
        let mut config = plain_config();
        (config.timestamps, config.sack) = (true, true);
        let mut test = Scripted::connecting(config, numbers);
        test.inject("[S.] seq 5000 ack 101 <mss 1,sackOK,TS 7 1000000>");
        for start in [5_101, 5_301, 5_501] {
            test.inject(&format!("[.] seq {start}:{} ack 101 <TS 8 1000000> len 100", start + 100));
        }
        test.take_sent();
        test.write_len(100);
        assert!(!test.take_sent().is_empty());
        assert!(test.stats().unacknowledged > 0);
    });
    let mut config = ConnConfig::default();
    config.max_segment_size = Some(47);
    assert_eq!(config.check(), Err(ConfigError::MaxSegmentSize));
}

// req: 6691-1, 1122-5
#[test]
fn the_mss_is_the_mtu_without_the_fixed_headers_whatever_the_options() {
    for (mtu, v4, v6) in
        [(1_500, 1_460, 1_440), (576, 536, 516), (9_000, 8_960, 8_940), (65_535, 65_495, 65_475)]
    {
        for options in [false, true] {
            let mut config = ConnConfig::default();
            config.mtu = mtu;
            (config.timestamps, config.sack, config.window_scaling) = (options, options, options);
            let mss = |local: &str, remote: &str| {
                let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
                let (now, seed) = (Instant::ZERO, Seed::for_test(1));
                let mut client = Connection::connect(now, local, remote, config.clone(), &seed).unwrap();
                let mut buf = [0; 100];
                let sent = client.poll_transmit(now, &TxCaps::default(), &mut buf).unwrap();
                TcpPacket::parse(&buf[..sent.len], Default::default()).unwrap().segment.options.mss
            };
            assert_eq!(mss("10.0.0.1:1", "10.0.0.2:2"), Some(v4));
            assert_eq!(mss("[2001:db8::1]:1", "[2001:db8::2]:2"), Some(v6));
        }
    }
}

// req: 1122-5
#[test]
fn what_the_path_takes_bounds_what_is_sent_whatever_the_peer_announces() {
    for (mtu, payload) in [(576, 536), (1_500, 1_460), (9_000, 8_960)] {
        let mut config = plain_config();
        config.mtu = mtu;
        let mut test = Scripted::connecting(config, Numbers::default());
        test.inject("[S.] seq 5000 ack 101 win 65535 <mss 65000>");
        test.take_sent();
        test.write_len(20_000);
        let first = test.take_sent().remove(0);
        assert!(first.line.ends_with(&format!("len {payload}")), "{}", first.line);
        assert_eq!(first.bytes.len() + 20, usize::from(mtu));
    }
}

// req: 6691-2
#[test]
fn data_gives_way_to_the_options_that_are_carried() {
    every_wrap(|numbers| {
        let mut config = ConnConfig::default();
        config.window_scaling = false;
        let mut test = Scripted::connecting(config, numbers);
        test.inject("[S.] seq 5000 ack 101 win 65535 <mss 1460,sackOK,TS 7 1000000>");
        test.take_sent();
        test.write_len(1_448 + 10);
        test.expect("[.] seq 101:1549 len 1448");
        test.expect("[P.] seq 1549:1559 len 10");
        test.inject("[.] seq 5001 ack 1559 win 65535 <TS 8 1000000>");
        for start in [5_101, 5_301, 5_501] {
            test.inject(&format!(
                "[.] seq {start}:{} ack 1559 win 65535 <TS 8 1000000> len 100",
                start + 100
            ));
        }
        test.take_sent();
        test.write_len(3_000);
        let first = test.expect("[.] seq 1559:2979 len 1420");
        assert_eq!(first.bytes.len(), 1_480);
        assert!(first.line.contains("sack 5501:5601 5301:5401 5101:5201"), "{}", first.line);
    });
}

// req: 1122-7
#[test]
fn small_segments_that_were_lost_are_sent_again_as_one() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.no_delay = true;
        let mut test = Scripted::established(config.clone(), numbers);
        (0..10).for_each(|_| test.write_len(100));
        assert_eq!(test.take_sent().len(), 10);
        test.advance(test.stats().rto);
        assert_eq!(test.expect("[P.] seq 101:1101 ack 5001 len 1000").reason, SendReason::Rto);
        test.expect_none();

        // What was selectively acknowledged is left out.
        config.sack = true;
        let mut test = Scripted::established_with(config, numbers, ",sackOK");
        (0..10).for_each(|_| test.write_len(100));
        test.take_sent();
        test.inject("[.] seq 5001 ack 101 <sack 501:601>");
        test.advance(test.stats().rto);
        let mut again: Vec<_> = test.take_sent().into_iter().map(|sent| sent.line).collect();
        test.inject("[.] seq 5001 ack 501 <sack 501:601>");
        again.extend(test.take_sent().into_iter().map(|sent| sent.line));
        assert!(again[0].contains("seq 101:501 "), "{again:?}");
        assert!(again.iter().any(|line| line.contains("seq 601:1101 ")), "{again:?}");
    });
}

// Its own end of fast recovery: RFC 6582 §3.2 step 3, the first alternative.
// req: LNX-CW-3
#[test]
fn the_end_of_recovery_lets_no_burst_go() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.sack = true;
        config.initial_window = tcp_core::InitialWindow::Segments(20);
        let mut test = Scripted::established_with(config, numbers, ",sackOK");
        test.inject("[.] seq 5001 ack 101 win 60000");
        test.write_len(60_000);
        assert_eq!(test.take_sent().len(), 20);
        // Five of twenty are lost: the first, third, fifth, seventh and ninth.
        let single = ["1101:2101", "3101:4101", "5101:6101", "7101:8101"];
        let mut reports: Vec<String> = (1..=4)
            .map(|count| single[..count].iter().rev().copied().collect::<Vec<_>>().join(" "))
            .collect();
        let rest = "7101:8101 5101:6101 3101:4101";
        reports.extend((10_101..=20_101).step_by(1_000).map(|end| format!("9101:{end} {rest}")));
        for report in reports {
            test.inject(&format!("[.] seq 5001 ack 101 win 60000 <sack {report}>"));
            assert!(test.take_sent().len() <= 3);
        }
        // One large cumulative ACK ends it.
        let before = test.stats();
        assert!(before.in_recovery);
        test.inject(&format!("[.] seq 5001 ack {} win 60000", 101 + before.unacknowledged));
        assert!(!test.stats().in_recovery);
        let burst = test.take_sent().len();
        assert!((1..=3).contains(&burst), "{burst} segments at once, {before:?}");
    });
}
