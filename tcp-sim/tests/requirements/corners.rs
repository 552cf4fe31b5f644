//! Where timers, limits and late commands meet: no call and no peer may leave a connection waiting
//! for nothing, or working for ever.

use tcp_core::wire::IcmpKind;
use tcp_core::{
    BufferLimit, CloseReason, ConfigError, ConnConfig, ConnectError, Connection, Duration, Event, Instant,
    Keepalive, Linger, Retries, Rx, RxMeta, Seed, SendReason, State, TxCaps, WriteError,
};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;
const SECS: fn(u64) -> Duration = Duration::from_secs;

fn config(change: impl FnOnce(&mut ConnConfig)) -> ConnConfig {
    let mut config = plain_config();
    change(&mut config);
    config
}

fn fill_window(test: &mut Scripted) {
    for index in 0..10 {
        test.inject(&format!("[.] seq {} ack 101 len 1000", 5_001 + index * 1_000));
    }
    test.take_sent();
}

#[test]
fn the_largest_segments_flow() {
    let mut config = ConnConfig::default();
    config.mtu = 65_535;
    config.send_buffer = BufferLimit::fixed(4 << 20);
    let mut test = Scripted::connecting(config, Numbers::default());
    test.expect("[S]");
    test.inject("[S.] seq 5000 ack 101 win 65535 <mss 65495,wscale 7>");
    test.take_sent();
    test.inject("[.] seq 5001 ack 101 win 8000");
    test.write_len(400_000);
    test.expect("seq 101:65596");
}

// RFC 9293 §3.8.6.2.1: the override is due within a second, whatever the peer says meanwhile.
#[test]
fn silly_window_avoidance_is_overridden_beside_traffic() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.inject("[.] seq 5001 ack 101 win 600");
        test.write_len(2_000);
        for step in 0..20 {
            test.advance(MS(100));
            test.inject(&format!("[P.] seq {} ack 101 win 600 len 1", 5_001 + step));
            assert!(test.read(10).is_ok());
        }
        assert!(test.take_sent().iter().any(|sent| sent.line.contains("seq 101:")));
    });
}

#[test]
fn a_window_that_opens_and_closes_in_turn_does_not_put_off_retransmission() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        test.write_len(3_000);
        assert_eq!(test.take_sent().len(), 3);
        for _ in 0..3 {
            test.advance(MS(40));
            test.inject("[.] seq 5001 ack 101 win 0");
            test.advance(MS(40));
            test.inject("[.] seq 5001 ack 101 win 20000");
        }
        assert!(test.take_sent().iter().any(|sent| sent.line.contains("seq 101:")), "an RTO is 200 ms");
    });
}

#[test]
fn keepalive_switched_on_in_time_wait_does_nothing() {
    let mut test = Scripted::established(plain_config(), Numbers::default());
    test.shutdown_write();
    test.inject("[F.] seq 5001 ack 102");
    assert_eq!(test.state(), State::TimeWait);
    test.take_sent();
    let with_keepalive = config(|config| config.keepalive = Some(Keepalive::default()));
    assert_eq!(test.connection.set_config(test.now, with_keepalive), Ok(()));
    test.advance(SECS(61));
    assert_eq!(test.state(), State::Closed);
    test.advance(SECS(40_000));
    test.expect_none();
    assert_eq!(test.connection.poll_timeout(), None);
}

// req: 7323-TS6
#[test]
fn a_third_segment_without_its_timestamp_does_not_complete_the_handshake() {
    every_wrap(|numbers| {
        let mut strict = ConnConfig::rfc();
        strict.window_scaling = false;
        let mut test = Scripted::listening(strict, numbers);
        test.inject("[S] seq 5000 <mss 1000,TS 1000 0>");
        test.expect("[S.]");
        test.inject("[.] seq 5001 ack 101");
        assert_eq!(test.state(), State::SynReceived);
        test.advance(SECS(600));
        assert_eq!(test.state(), State::Listen, "the SYN-ACK's retries have ended it");
    });
}

#[test]
fn what_is_written_cannot_starve_what_arrives() {
    let mut test = Scripted::established(
        config(|config| {
            config.send_buffer = BufferLimit::fixed(4 << 20);
            config.receive_buffer = BufferLimit::fixed(60_000);
        }),
        Numbers::default(),
    );
    test.inject("[.] seq 5001 ack 101 win 0");
    let body = bytes::Bytes::from(vec![7; 1_024]);
    while test.connection.write(test.now, b"h").is_ok()
        && test.connection.write_bytes(test.now, &mut body.clone()).is_ok()
    {}
    test.drain();
    test.inject("[P.] seq 5001 ack 101 win 0 len 1000");
    assert_eq!(test.stats().readable, 1_000);
}

#[test]
fn buffers_that_grow_by_configuration_have_memory_behind_them() {
    let small = config(|config| {
        config.receive_buffer = BufferLimit::fixed(1_000);
        config.send_buffer = BufferLimit::fixed(1_000);
    });
    let mut test = Scripted::established(small.clone(), Numbers::default());
    let mut large = small;
    large.send_buffer = BufferLimit::fixed(4 << 20);
    assert_eq!(test.connection.set_config(test.now, large), Ok(()));
    test.inject("[.] seq 5001 ack 101 win 0");
    assert_eq!(test.connection.write(test.now, &vec![0; 4 << 20]), Ok(4 << 20));
    test.drain();
    test.inject("[P.] seq 5001 ack 101 win 0 len 500");
    assert_eq!(test.stats().readable, 500);
}

#[test]
fn a_receive_buffer_that_grows_by_configuration_is_told() {
    let mut test = Scripted::established(plain_config(), Numbers::default());
    fill_window(&mut test);
    let large = config(|config| config.receive_buffer = BufferLimit::fixed(60_000));
    assert_eq!(test.connection.set_config(test.now, large), Ok(()));
    test.drain();
    test.expect("[.] seq 101 ack 15001 win 50000");
}

#[test]
fn shutting_the_reading_side_opens_the_window() {
    let mut test = Scripted::established(plain_config(), Numbers::default());
    fill_window(&mut test);
    test.connection.shutdown_read(test.now);
    test.drain();
    test.expect("[.] seq 101 ack 15001 win 10000");
}

// req: SIO-2
#[test]
fn the_last_moment_there_is_can_be_told() {
    for user_timeout in [None, Some(SECS(30))] {
        let mut test =
            Scripted::established(config(|config| config.user_timeout = user_timeout), Numbers::default());
        test.write_len(10);
        test.connection.handle_timeout(Instant::MAX);
        assert_eq!(test.state() == State::Closed, user_timeout.is_some());
    }
}

#[test]
fn a_timeout_of_nothing_is_refused() {
    let never = config(|config| (config.rto.min, config.rto.granularity) = (Duration::ZERO, Duration::ZERO));
    assert_eq!(never.check(), Err(ConfigError::Rto));
}

// req: 6429-2
#[test]
fn a_peer_cannot_hold_an_orphan_by_shrinking_its_window() {
    let mut test = Scripted::established(plain_config(), Numbers::default());
    test.write_len(5_000);
    test.close();
    for _ in 0..200 {
        test.advance(SECS(10));
        test.inject("[.] seq 5001 ack 101 win 500");
    }
    assert_eq!(test.state(), State::Closed);
}

#[test]
fn a_long_user_timeout_does_not_hold_an_orphan() {
    let long = config(|config| config.user_timeout = Some(SECS(1_000_000_000)));
    let mut test = Scripted::established(long, Numbers::default());
    test.write_len(10);
    test.close();
    test.advance(SECS(1_000));
    assert_eq!(test.state(), State::Closed);
}

#[test]
fn an_orphan_that_may_retry_for_ever_probes_for_ever() {
    let patient = config(|config| config.retries.orphan = Retries::NEVER);
    let mut test = Scripted::established(patient, Numbers::default());
    test.inject("[.] seq 5001 ack 101 win 0");
    test.write_len(10);
    test.close();
    for _ in 0..300 {
        test.advance(SECS(121));
        test.inject("[.] seq 5001 ack 101 win 0");
    }
    assert_eq!(test.state(), State::FinWait1);
}

// req: 5681-FR6
#[test]
fn forged_duplicates_release_no_more_than_was_in_flight() {
    every_wrap(|numbers| {
        let scaling = config(|config| config.window_scaling = true);
        let mut test = Scripted::established_with(scaling, numbers, ",wscale 7");
        test.inject("[.] seq 5001 ack 101 win 60000");
        test.write_len(200_000);
        assert_eq!(test.take_sent().len(), 10);
        for _ in 0..600 {
            test.inject("[.] seq 5001 ack 101 win 60000");
        }
        assert!(test.take_sent().len() <= 20);
    });
}

#[test]
fn nothing_is_told_after_the_end() {
    let mut test = Scripted::established(plain_config(), Numbers::default());
    test.write_len(500);
    test.abort();
    assert!(test.take_events().contains(Event::CLOSED));
    test.inject_icmp(IcmpKind::HostUnreachable, 101);
    assert_eq!(test.take_events(), Event::NONE);
    assert_eq!(test.connection.soft_error(), None);
}

#[test]
fn the_rst_of_an_abort_is_sent_however_many_answers_wait() {
    let mut test = Scripted::connecting(plain_config(), Numbers::default());
    test.take_sent();
    let meta = RxMeta::new("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
    for index in 0..20 {
        let stray = test.peer_segment(&format!("[.] seq {} ack 90", 5_000 + index));
        test.connection.handle_segment(test.now, &meta, Rx::new(&stray));
    }
    let answer = test.peer_segment("[S.] seq 5000 ack 101 <mss 1000>");
    test.connection.handle_segment(test.now, &meta, Rx::new(&answer));
    test.abort();
    assert!(test.take_sent().iter().any(|sent| sent.reason == SendReason::Abort));
}

#[test]
fn what_is_beyond_a_fin_is_neither_kept_nor_reported() {
    every_wrap(|numbers| {
        let mut test = Scripted::established_with(config(|config| config.sack = true), numbers, ",sackOK");
        test.inject("[.] seq 5101 ack 101 len 100");
        test.inject("[F.] seq 5051 ack 101");
        test.inject("[.] seq 5001 ack 101 len 50");
        test.take_sent();
        test.expect_data(5_001, 5_051);
        assert_eq!(test.read(10), Ok(vec![]));
        test.write(b"x");
        let sent = test.expect("[P.] seq 101:102 ack 5052");
        assert!(!sent.line.contains("sack"), "{}", sent.line);
    });
}

#[test]
fn a_full_buffer_of_two_bytes_is_not_writable() {
    let tiny = config(|config| {
        config.send_buffer = BufferLimit::fixed(2);
        config.unsent_low_water = Some(100);
    });
    let mut test = Scripted::established(tiny, Numbers::default());
    test.write(b"ab");
    assert_eq!(test.connection.write(test.now, b"c"), Err(WriteError::Blocked));
    test.drain();
    assert!(!test.take_events().contains(Event::WRITABLE));
    test.inject("[.] seq 5001 ack 103");
    assert!(test.take_events().contains(Event::WRITABLE));
}

#[test]
fn what_is_asked_before_there_is_a_peer_holds_when_it_comes() {
    every_wrap(|numbers| {
        let mut test = Scripted::listening(plain_config(), numbers);
        test.connection.cork(test.now);
        test.connection.shutdown_read(test.now);
        test.inject("[S] seq 5000 <mss 1000>");
        test.expect("[S.]");
        test.inject("[.] seq 5001 ack 101 len 10");
        assert_eq!(test.read(10), Ok(vec![]));
        test.take_sent();
        test.write(b"abc");
        test.expect_none();

        let mut test = Scripted::listening(plain_config(), numbers);
        test.shutdown_write();
        assert_eq!(test.connection.write(test.now, b"x"), Err(WriteError::ShutDown));
        test.inject("[S] seq 5000 <mss 1000>");
        test.expect("[S.]");
        test.inject("[.] seq 5001 ack 101");
        test.expect("[F.] seq 101 ack 5001");
    });
}

#[test]
fn closing_before_there_is_a_peer_is_told_once() {
    let mut test = Scripted::listening(plain_config(), Numbers::default());
    test.close();
    assert_eq!(test.take_events(), Event::CLOSED);
    assert_eq!(test.close_reason(), Some(CloseReason::Finished));
    assert!(test.connection.is_over());
    test.close();
    assert_eq!(test.take_events(), Event::NONE);

    let mut test = Scripted::listening(plain_config(), Numbers::default());
    test.inject("[S] seq 5000 <mss 1000>");
    test.expect("[S.]");
    test.abort();
    test.expect("[R.] seq 101");
    assert_eq!(test.take_events(), Event::CLOSED);
    assert_eq!(test.close_reason(), Some(CloseReason::Aborted));
}

#[test]
fn a_connection_is_over_when_its_last_segment_is_sent_and_time_wait_has_passed() {
    let mut test = Scripted::established(plain_config(), Numbers::default());
    test.close();
    test.expect("[F.] seq 101");
    assert!(!test.connection.is_over());
    test.inject("[F.] seq 5001 ack 102");
    assert!(test.take_events().contains(Event::CLOSED));
    assert!(!test.connection.is_over(), "TIME-WAIT");
    test.advance(SECS(60));
    assert!(test.connection.is_over());
}

#[test]
fn data_written_before_a_refused_close_is_reported_as_lost() {
    let mut test = Scripted::connecting(plain_config(), Numbers::default());
    test.write(b"never sent");
    test.close();
    assert_eq!(test.close_reason(), Some(CloseReason::Aborted));
}

// req: MUST-16, MUST-67
#[test]
fn an_mtu_without_room_for_a_segment_is_refused() {
    let seed = Seed::for_test(1);
    let connect = |mtu, here: &str, there: &str| {
        let config = config(|config| config.mtu = mtu);
        Connection::connect(Instant::ZERO, here.parse().unwrap(), there.parse().unwrap(), config, &seed)
            .map(drop)
    };
    let refused = Err(ConnectError::Config(ConfigError::Mtu));
    assert_eq!(connect(87, "10.0.0.1:1", "10.0.0.2:2"), refused);
    assert_eq!(connect(88, "10.0.0.1:1", "10.0.0.2:2"), Ok(()));
    assert_eq!(connect(107, "[fd00::1]:1", "[fd00::2]:2"), refused);
    assert_eq!(connect(108, "[fd00::1]:1", "[fd00::2]:2"), Ok(()));
}

// req: IP6-14
#[test]
fn all_packets_of_a_connection_have_one_flow_label() {
    let (here, there) = ("[2001:db8::1]:80".parse().unwrap(), "[2001:db8::2]:4000".parse().unwrap());
    let now = Instant::from_secs(1);
    let mut client = Connection::connect(now, there, here, plain_config(), &Seed::for_test(1)).unwrap();
    let mut server = Connection::listen(now, here, plain_config(), &Seed::for_test(2)).unwrap();
    let mut labels = [Vec::new(), Vec::new()];
    let mut buf = [0; 1_500];
    for round in 0..3 {
        let ends = [&mut client, &mut server];
        for from in 0..2 {
            if round > 0 {
                assert_eq!(ends[from].write(now, b"x"), Ok(1));
            }
            while let Some(sent) = ends[from].poll_transmit(now, &TxCaps::default(), &mut buf) {
                labels[from].push(u32::from_be_bytes([0, buf[1] & 15, buf[2], buf[3]]));
                ends[1 - from].handle_packet(now, &buf[..sent.len]);
            }
        }
    }
    for labels in labels {
        assert!(labels.len() > 2 && labels[0] != 0, "{labels:x?}");
        assert!(labels.iter().all(|label| *label == labels[0]), "{labels:x?}");
    }
}

// req: 7323-RTT1
#[test]
fn an_answer_carries_the_time_at_which_it_leaves() {
    let mut config = ConnConfig::default();
    config.replay.timestamp_offset = Some(0);
    let mut test = Scripted::listening(config, Numbers::default());
    let syn = test.peer_segment("[S] seq 5000 <mss 1000,TS 7 0>");
    let meta = RxMeta::new("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
    test.connection.handle_segment(test.now, &meta, Rx::new(&syn));
    test.now += MS(500);
    test.drain();
    test.expect("[S.] seq 100 ack 5001 <mss 1460,TS 1000500 7>");
}

#[test]
fn e8_lingering_ends_with_a_rst_though_only_the_fin_is_unanswered() {
    every_wrap(|numbers| {
        let patient = config(|config| config.linger = Linger::Timeout(SECS(5)));
        let mut test = Scripted::established(patient, numbers);
        test.close();
        test.expect("[F.] seq 101");
        test.advance(MS(4_999));
        assert!(test.take_sent().iter().all(|sent| sent.line.starts_with("[F.] seq 101 ")));
        test.advance(MS(1));
        test.expect("[R.] seq 102");
        assert_eq!(test.close_reason(), Some(CloseReason::Aborted));
    });
}

// req: LNX-RTO-4
#[test]
fn a_stream_of_three_segments_is_thin_and_one_of_four_is_not() {
    for (segments, second) in [(3, 400), (4, 600)] {
        let linear = config(|config| config.thin_linear_timeouts = 6);
        let mut test = Scripted::established(linear, Numbers::default());
        test.write_len(segments * 1_000);
        assert_eq!(test.take_sent().len(), segments);
        test.advance(SECS(1));
        test.expect_at(200, "seq 101:1101");
        test.expect_at(second, "seq 101:1101");
    }
}
