//! TIME-WAIT from both sides, and opening the same pair of ports again (traps 31 and 32).

use std::net::SocketAddr;

use tcp_core::{
    ConnConfig, Connection, Disposition, DropReason, Duration, Framing, Instant, Seed, State, TimerKind,
    TxCaps,
};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn in_time_wait(config: ConnConfig, numbers: Numbers) -> Scripted {
    let mut test = Scripted::established_with(config, numbers, ",TS 7000 1000000");
    test.shutdown_write();
    test.expect("[F.] seq 101 ack 5001");
    test.inject("[.] seq 5001 ack 102 <TS 7001 1000000>");
    test.inject("[F.] seq 5001 ack 102 <TS 7002 1000000>");
    test.expect("[.] seq 102 ack 5002");
    assert_eq!(test.state(), State::TimeWait);
    test
}

fn with_timestamps() -> ConnConfig {
    let mut config = plain_config();
    config.timestamps = true;
    config
}

// trap: 31
#[test]
fn only_the_repeated_fin_starts_2_msl_again() {
    every_wrap(|numbers| {
        let mut test = in_time_wait(with_timestamps(), numbers);
        let end = test.connection.timer(TimerKind::TimeWait).unwrap();
        test.advance(secs(30));
        let others = [
            "[.] seq 5002 ack 102 <TS 7003 1000000>",
            "[.] seq 5001 ack 102 <TS 7003 1000000>",
            "[P.] seq 4901 ack 102 <TS 7003 1000000> len 100",
            "[S] seq 4000 <mss 1000,TS 6000 0>",
            "[R] seq 5001",
        ];
        for line in others {
            test.inject(line);
            assert_eq!(test.connection.timer(TimerKind::TimeWait), Some(end), "{line}");
        }
        test.inject("[F.] seq 5001 ack 102 <TS 7004 1000000>");
        assert_eq!(test.connection.timer(TimerKind::TimeWait), Some(test.now + secs(60)));
        assert_eq!(test.state(), State::TimeWait);
    });
}

// trap: 31
#[test]
fn time_wait_answers_with_the_present_stamp_and_delivers_nothing() {
    every_wrap(|numbers| {
        let mut test = in_time_wait(with_timestamps(), numbers);
        test.advance(secs(1));
        test.inject("[F.] seq 5001 ack 102 <TS 7002 1000000>");
        test.expect("[.] seq 102 ack 5002 win 9999 <TS 1001000 7002>");
        test.inject("[P.] seq 5002 ack 102 <TS 7010 1000000> len 100");
        test.expect("[.] seq 102 ack 5002");
        assert_eq!(test.read(10), Ok(vec![]), "the stream has ended");
        // What carries no data is answered now and then only.
        test.advance(secs(10));
        for _ in 0..100 {
            test.inject("[.] seq 4000 ack 102 <TS 7002 1000000>");
        }
        assert_eq!(test.take_sent().len(), 1);
        test.advance(secs(60));
        assert_eq!(test.state(), State::Closed);
        test.expect_none();
    });
}

// trap: 32
#[test]
fn a_syn_that_meets_an_old_connection_resets_it_and_goes_on() {
    every_wrap(|numbers| {
        let mut test = Scripted::connecting(plain_config(), numbers);
        test.expect("[S] seq 100");
        // The peer is still in TIME-WAIT, or half open: a plain ACK of its own numbers.
        let disposition = test.inject("[.] seq 9000 ack 777");
        assert_eq!(disposition, Disposition::Reset);
        test.expect("[R] seq 777");
        assert_eq!(test.state(), State::SynSent);
        assert_eq!(test.close_reason(), None);
        test.advance(secs(1));
        test.expect_at(1_000, "[S] seq 100");
        test.inject("[S.] seq 5000 ack 101 <mss 1000>");
        assert_eq!(test.state(), State::Established);
    });
}

// trap: 32
#[test]
fn the_initial_sequence_number_of_a_pair_of_ports_grows_with_time() {
    let initial = |now: u64| {
        let (local, remote): (SocketAddr, SocketAddr) =
            ("10.0.0.1:4000".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        let now = Instant::from_millis(now);
        let mut connection =
            Connection::connect(now, local, remote, ConnConfig::default(), &Seed::for_test(3)).unwrap();
        let mut caps = TxCaps::default();
        caps.framing = Framing::Segment;
        let mut buf = [0; 100];
        let sent = connection.poll_transmit(now, &caps, &mut buf).unwrap();
        tcp_core::wire::Segment::parse(&buf[..sent.len]).unwrap().seq
    };
    let mut last = initial(0);
    for step in 1..1_000 {
        let next = initial(step * 100);
        // One in four microseconds (RFC 6528 §3).
        assert_eq!(next - last, 25_000);
        assert!(next.after(last));
        last = next;
    }
}

// trap: 31
#[test]
fn a_new_connection_inherits_nothing() {
    every_wrap(|numbers| {
        let mut config = with_timestamps();
        config.sack = true;
        config.window_scaling = true;
        let mut test = Scripted::listening(config, numbers);
        test.inject("[S] seq 5000 <mss 1000,sackOK,TS 900000 0,wscale 7>");
        test.expect("[S.] seq 100 ack 5001");
        // It gives up, and comes again with other options.
        test.inject("[R] seq 5001");
        assert_eq!(test.state(), State::Listen);
        test.inject("[S] seq 5000 <mss 500>");
        test.expect("[S.] seq 100 ack 5001 <mss 1000>");
        test.inject("[.] seq 5001 ack 101 win 1000");
        let stats = test.stats();
        assert_eq!((stats.sack, stats.timestamps, stats.send_window), (false, false, 1_000));
        assert_eq!((stats.send_mss, stats.send_window_scale), (500, None));
    });
}

// trap: 37
#[test]
fn after_the_peers_fin_nothing_more_is_delivered_and_all_is_answered() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[F.] seq 5001 ack 101 len 10");
        test.take_sent();
        let disposition = test.inject("[P.] seq 5012 ack 101 len 10");
        assert_eq!(disposition, Disposition::Dropped(DropReason::AfterFin));
        test.expect("[.] seq 101 ack 5012");
        test.inject("[F.] seq 5011 ack 101");
        test.expect("[.] seq 101 ack 5012");
        // We go on sending, and its ACKs and windows count.
        test.write_len(1_000);
        test.expect("[P.] seq 101:1101 ack 5012");
        test.inject("[.] seq 5012 ack 1101 win 300");
        assert_eq!((test.stats().unacknowledged, test.stats().send_window), (0, 300));
        test.expect_data(5_001, 5_011);
        assert_eq!(test.read(10), Ok(vec![]));
        // LAST-ACK answers text with an ACK, not with a RST.
        test.close();
        test.expect("[F.] seq 1101 ack 5012");
        assert_eq!(test.state(), State::LastAck);
        test.inject("[P.] seq 5012 ack 1101 len 10");
        test.expect("[.] seq 1102 ack 5012");
        test.inject("[.] seq 5012 ack 1102");
        assert_eq!(test.state(), State::Closed);
    });
}

// trap: 37
#[test]
fn a_rst_in_close_wait_is_told_once_as_a_broken_pipe() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[F.] seq 5001 ack 101");
        test.advance(secs(1));
        test.take_sent();
        test.take_events();
        test.inject("[R] seq 5002");
        assert_eq!(test.close_reason(), Some(tcp_core::CloseReason::BrokenPipe));
        assert!(test.take_events().contains(tcp_core::Event::CLOSED));
        test.advance(secs(100));
        assert_eq!(test.take_events(), tcp_core::Event::NONE);
        test.expect_none();
    });
}

// trap: 65
#[test]
fn what_came_before_the_end_is_read_before_the_end_is_told() {
    use tcp_core::{CloseReason, ReadError, WriteError};
    every_wrap(|numbers| {
        // A FIN.
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[P.] seq 5001 ack 101 len 100");
        test.inject("[F.] seq 5101 ack 101");
        test.expect_data(5_001, 5_101);
        assert_eq!(test.read(10), Ok(vec![]));
        assert_eq!(test.read(10), Ok(vec![]), "the end stays the end");
        // A RST, with what waits for a hole gone.
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[P.] seq 5001 ack 101 len 100");
        test.inject("[P.] seq 5201 ack 101 len 100");
        test.inject("[R] seq 5101");
        assert_eq!(test.connection.poll_timeout(), None, "no timer outlives the connection");
        test.take_sent();
        test.expect_data(5_001, 5_101);
        assert_eq!(test.read(10), Err(ReadError::Closed(CloseReason::Reset)));
        assert_eq!(test.connection.write(test.now, b"x"), Err(WriteError::Closed(CloseReason::Reset)));
        // Nothing more happens, whatever comes.
        test.take_events();
        test.inject("[.] seq 5101 ack 101 len 10");
        test.take_sent();
        test.advance(secs(1_000));
        test.expect_none();
        assert_eq!(test.take_events(), tcp_core::Event::NONE);
    });
}
