//! What holds for whoever drives a connection: time, randomness and packets come in as parameters and
//! in no other way, and the order of calls is a matter of speed alone.

use tcp_core::wire::{Segment, checksum};
use tcp_core::{
    ConnConfig, Connection, Disposition, DropReason, Duration, Instant, ReadError, Rx, RxMeta, Seed,
    SendReason, State, TxChecksum,
};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;
const META: RxMeta = RxMeta::new(
    core::net::IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 2)),
    core::net::IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 1)),
);

/// Choices that are the same in each run.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Two connections that talk over a wire which delays, loses and delivers out of order by `seed`;
/// everything that was sent and seen, and the digests after each step.
fn conversation(seed: u64, secret: &Seed) -> Vec<u8> {
    let mut choices = Choices(seed);
    let mut now = Instant::from_secs(5);
    let (here, there) = (
        "10.0.0.1:40001".parse().expect("it works here"),
        "10.0.0.2:80".parse().expect("it works in this test"),
    );
    let mut ends = [
        Connection::connect(now, here, there, ConnConfig::default(), secret).expect("it works here"),
        Connection::listen(now, there, ConnConfig::default(), secret).expect("it works here"),
    ];
    let mut wire: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut log = Vec::new();
    let mut buf = vec![0; 1_500];
    for _ in 0..2_000 {
        let at = choices.below(2) as usize;
        match choices.below(8) {
            0 => drop(ends[at].write(now, &vec![at as u8; choices.below(3_000) as usize])),
            1 => {
                let read = ends[at].read(now, &mut buf);
                log.extend_from_slice(format!("{read:?}").as_bytes());
            }
            2 | 3 if !wire.is_empty() => {
                let (to, packet) = wire.remove(choices.below(wire.len() as u64) as usize);
                if choices.below(10) > 0 {
                    ends[to].handle_packet(now, &packet[..]);
                }
            }
            4 => now += MS(choices.below(300)),
            _ => {
                ends[at].handle_timeout(now);
                if let Some(sent) = ends[at].poll_transmit(now, &Default::default(), &mut buf) {
                    log.extend_from_slice(&buf[..sent.len]);
                    wire.push((1 - at, buf[..sent.len].to_vec()));
                }
            }
        }
        for end in &mut ends {
            log.extend_from_slice(format!("{:?}{:?}", end.poll_event(), end.poll_timeout()).as_bytes());
            log.extend_from_slice(&end.digest().to_be_bytes());
        }
    }
    assert!(ends[0].stats().expect("it works here").totals.segments_sent > 50, "it was a conversation");
    log
}

// req: SIO-1
#[test]
fn the_same_seed_and_inputs_give_the_same_bytes_events_and_digests() {
    for seed in 0..10 {
        let first = conversation(seed, &Seed::for_test(seed));
        assert!(first == conversation(seed, &Seed::for_test(seed)), "seed {seed}");
        assert!(first != conversation(seed, &Seed::for_test(seed + 1)), "the secret plays its part");
    }
}

/// Connections with every timer that can be armed.
fn with_timers(numbers: Numbers) -> Vec<Scripted> {
    let established = |config| Scripted::established(config, numbers);
    let mut all = vec![Scripted::connecting(plain_config(), numbers)];
    let mut half_open = Scripted::listening(plain_config(), numbers);
    half_open.inject("[S] seq 5000 <mss 1000>");
    all.push(half_open);
    let mut delayed_ack = established(plain_config());
    delayed_ack.inject("[.] seq 5001:5011 ack 101 len 10");
    all.push(delayed_ack);
    let mut config = plain_config();
    config.user_timeout = Some(Duration::from_secs(100));
    let mut retransmission = established(config);
    retransmission.write_len(3_000);
    all.push(retransmission);
    let mut persist = established(plain_config());
    persist.inject("[.] seq 5001 ack 101 win 0");
    persist.write_len(10);
    all.push(persist);
    let mut config = plain_config();
    config.keepalive = Some(tcp_core::Keepalive::default());
    all.push(established(config));
    let mut cork = established(plain_config());
    cork.connection.cork(cork.now);
    cork.write_len(10);
    all.push(cork);
    let mut orphan = established(plain_config());
    orphan.close();
    orphan.inject("[.] seq 5001 ack 102");
    all.push(orphan);
    let mut time_wait = established(plain_config());
    time_wait.close();
    time_wait.inject("[F.] seq 5001 ack 102");
    all.push(time_wait);
    all.iter_mut().for_each(|test| {
        test.take_sent();
        test.take_events();
        assert!(test.connection.poll_timeout().is_some());
    });
    all
}

// req: SIO-2
#[test]
fn an_early_or_repeated_timeout_changes_nothing() {
    every_wrap(|numbers| {
        for mut test in with_timers(numbers) {
            let due = test.connection.poll_timeout().unwrap();
            let before = (test.connection.digest(), due);
            let early = due - Duration::from_nanos(1);
            for now in [test.now, test.now, early, early] {
                test.connection.handle_timeout(now);
                test.now = test.now.max(now);
                test.drain();
                assert_eq!((test.connection.digest(), test.connection.poll_timeout().unwrap()), before);
            }
            test.expect_none();
            // When it is due something happens, and calling again at once adds nothing.
            test.now = due;
            test.connection.handle_timeout(due);
            test.drain();
            let after = (test.connection.digest(), test.connection.poll_timeout());
            assert_ne!(after, (before.0, Some(before.1)), "in {}", test.state());
            assert!(after.1.is_none_or(|next| next > due), "in {}", test.state());
            let sent = test.take_sent().len();
            assert!(sent <= 1, "{sent} segments");
            test.connection.handle_timeout(due);
            test.drain();
            test.expect_none();
            assert_eq!((test.connection.digest(), test.connection.poll_timeout()), after);
        }
    });
}

// req: SIO-2
#[test]
fn a_late_timeout_does_no_more_than_one_in_time() {
    for late in [MS(10), Duration::from_secs(3_600), Duration::from_secs(30 * 24 * 3_600)] {
        for mut test in with_timers(Numbers::default()) {
            test.now = test.connection.poll_timeout().unwrap() + late;
            test.connection.handle_timeout(test.now);
            test.drain();
            // What was missed is not made up for in a burst.
            assert!(test.take_sent().len() <= 2, "in {}", test.state());
            assert!(test.connection.poll_timeout().is_none_or(|next| next > test.now));
        }
    }
}

// req: SIO-2
#[test]
fn time_that_goes_backwards_stands_still_and_is_counted() {
    for mut test in with_timers(Numbers::default()) {
        let before = (test.connection.digest(), test.connection.poll_timeout());
        for back in [MS(1), Duration::from_secs(999), Duration::from_secs(5_000)] {
            test.connection.handle_timeout(test.now - back);
        }
        let mut buf = [0; 1_500];
        assert!(test.connection.poll_transmit(Instant::ZERO, &test.caps, &mut buf).is_none());
        assert_eq!((test.connection.digest(), test.connection.poll_timeout()), before);
        if let Some(stats) = test.connection.stats() {
            assert_eq!(stats.totals.clock_regressions, 4);
        }
    }
}

// req: SIO-2
#[test]
fn polling_at_any_time_forwards_and_backwards_is_safe() {
    for seed in 0..100 {
        let mut choices = Choices(seed);
        for mut test in with_timers(Numbers::wrap_after(choices.below(100) as u32)) {
            let mut latest = test.now;
            for _ in 0..100 {
                let at = match choices.below(5) {
                    0 => latest - MS(choices.below(100_000)),
                    1 => latest,
                    2 => latest + MS(choices.below(1_000)),
                    3 => latest + Duration::from_secs(choices.below(100)),
                    _ => latest + Duration::from_secs(choices.below(30 * 24 * 3_600)),
                };
                latest = latest.max(at);
                test.now = at;
                test.connection.handle_timeout(at);
                test.drain();
                let sent = test.take_sent();
                assert!(sent.len() <= 3, "{sent:?}");
                assert!(test.connection.poll_timeout().is_none_or(|next| next > latest));
            }
        }
    }
}

// Precedence 13 of the requirements: what was polled counts as sent, so a driver without room does
// not poll.
// req: SIO-3
#[test]
fn what_a_busy_device_has_not_polled_is_neither_lost_nor_counted_as_sent() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        let data: Vec<u8> = (0..10_000).map(|byte| (byte % 251) as u8).collect();
        assert_eq!(test.connection.write(test.now, &data), Ok(10_000));
        let mut buf = [0; 1_500];
        // The device takes one packet every 30 ms.
        for segment in 1..=10u32 {
            let sent = test.connection.poll_transmit(test.now, &test.caps, &mut buf).unwrap();
            let stats = test.stats();
            assert_eq!((sent.len, stats.unacknowledged), (1_020, 1_000));
            assert_eq!(stats.unsent, u64::from(10_000 - 1_000 * segment));
            // The timer and the round trip count from the poll.
            let ack = format!("[.] seq 5001 ack {}", 101 + 1_000 * segment);
            test.connection.handle_timeout(test.now + MS(5));
            test.now += MS(5);
            let bytes = test.peer_segment(&ack);
            assert_eq!(test.connection.handle_segment(test.now, &META, &bytes[..]), Disposition::Taken);
            let stats = test.stats();
            assert_eq!(
                (stats.unacknowledged, stats.congestion_window),
                (0, 10_000),
                "it was never the limit"
            );
            assert!(stats.srtt <= Some(MS(5)), "{:?}", stats.srtt);
            test.now += MS(25);
        }
        assert_eq!(test.stats().totals.segments_retransmitted, 0);
    });
}

// req: SIO-3
#[test]
fn a_buffer_that_is_too_small_takes_nothing_away() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        assert_eq!(test.connection.write(test.now, b"hello"), Ok(5));
        let before = test.connection.digest();
        for length in 0..20 {
            let sent = test.connection.poll_transmit(test.now, &test.caps, &mut vec![0; length]);
            assert_eq!(sent, None);
            assert_eq!(test.connection.digest(), before);
        }
        test.drain();
        test.expect("[P.] seq 101:106 ack 5001 len 5");
        // An answer waits as well.
        let mut test = Scripted::listening(plain_config(), numbers);
        let syn = test.peer_segment("[S] seq 5000 <mss 1000>");
        test.connection.handle_segment(test.now, &META, &syn[..]);
        assert_eq!(test.connection.poll_transmit(test.now, &test.caps, &mut [0; 10]), None);
        test.drain();
        test.expect("[S.] seq 100 ack 5001");
    });
}

// req: SIO-4
#[test]
fn batches_change_nothing_but_how_many_acks_there_are() {
    every_wrap(|numbers| {
        // 64 segments: in order, out of order, twice, with ACKs of ours among them, then the FIN.
        let mut lines = Vec::new();
        for segment in 0..20u32 {
            let start = 5_001 + 300 * segment;
            let line = |start: u32, ack: u32| format!("[.] seq {start}:{} ack {ack} len 100", start + 100);
            lines.extend([line(start + 100, 101), line(start, 101), line(start + 200, 201)]);
        }
        lines.push("[.] seq 5001:5101 ack 1101 len 100".into());
        lines.push("[.] seq 11001 ack 2101".into());
        lines.push("[F.] seq 11001 ack 3101".into());
        lines.push("[.] seq 11002 ack 3101".into());
        assert_eq!(lines.len(), 64);
        let outcome = |batch: usize| {
            let mut test = Scripted::established(plain_config(), numbers);
            test.write_len(3_000);
            assert_eq!(test.take_sent().len(), 3);
            let mut stream = Vec::new();
            for chunk in lines.chunks(batch) {
                let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
                test.inject_all(&chunk);
                while let Ok(data) = test.read(10_000) {
                    if data.is_empty() {
                        break;
                    }
                    stream.extend(data);
                }
            }
            test.advance(MS(100));
            let acks = test.take_sent();
            // The window depends on when the application reads; what is acknowledged does not.
            let line = &acks.last().unwrap().line;
            let last = line.split(" win").next().unwrap().to_owned();
            let stats = test.stats();
            let state = (test.state(), stats.unacknowledged, stats.congestion_window, stats.srtt);
            (stream, last, state, acks.len())
        };
        let (stream, last, state, acks) = outcome(1);
        assert!(stream == tcp_sim::scripted::peer_bytes(5_001, 11_001));
        assert!(last.starts_with("[.] seq 3101 ack 11002"), "{last}");
        assert_eq!(state.0, State::CloseWait);
        for batch in [2, 5, 64] {
            let (batch_stream, batch_last, batch_state, batch_acks) = outcome(batch);
            assert!(batch_stream == stream, "{batch}");
            assert_eq!((&batch_last, &batch_state), (&last, &state), "{batch}");
            assert!(batch_acks <= acks, "{batch_acks} for {acks}");
        }
    });
}

// req: SIO-5
#[test]
fn an_idle_connection_says_nothing_however_often_it_is_asked() {
    let mut test = Scripted::established(plain_config(), Numbers::default());
    let before = test.connection.digest();
    let mut buf = [0; 1_500];
    for step in 0..1_000_000u64 {
        let now = test.now + Duration::from_nanos(step / 2 * 1_000);
        assert!(test.connection.poll_transmit(now, &test.caps, &mut buf).is_none());
        if step % 100 == 0 {
            test.connection.handle_timeout(now);
        }
        assert_eq!(test.connection.poll_timeout(), None);
    }
    assert_eq!(test.connection.poll_event(), None);
    assert_eq!(test.connection.digest(), before);
    assert_eq!(test.connection.read(test.now, &mut buf), Err(ReadError::Blocked));
}

/// The lines of ten segments of the peer, and the one that a device makes of them.
fn ten_segments(options: &str) -> (Vec<String>, String) {
    let line = |start: u32, end: u32, flags: &str| {
        format!("[{flags}] seq {start}:{end} ack 101 win 20000{options} len {}", end - start)
    };
    let singles = (0..10).map(|index| {
        let start = 5_001 + 900 * index;
        line(start, start + 900, if index == 9 { "P." } else { "." })
    });
    (singles.collect(), line(5_001, 14_001, "P."))
}

// req: SIO-9
#[test]
fn a_merged_segment_counts_as_the_ten_it_was_made_of() {
    every_wrap(|numbers| {
        for timestamps in [false, true] {
            let mut config = plain_config();
            config.timestamps = timestamps;
            config.ack.quick = 4;
            let options = if timestamps { " <TS 2000 1000000>" } else { "" };
            let handshake = if timestamps { ",TS 1000 1000000" } else { "" };
            let (singles, merged) = ten_segments(options);
            let mut one_by_one = Scripted::established_with(config.clone(), numbers, handshake);
            let lines: Vec<&str> = singles.iter().map(String::as_str).collect();
            one_by_one.inject_all(&lines);

            let mut at_once = Scripted::established_with(config, numbers, handshake);
            let bytes = at_once.peer_segment(&merged);
            let rx = Rx::new(&bytes).merged_from(900);
            let disposition = at_once.connection.handle_segment(at_once.now, &META, rx);
            assert_eq!(disposition, Disposition::Taken);
            at_once.drain();

            assert_eq!(at_once.stats(), one_by_one.stats());
            let (sent, expected) = (at_once.take_sent(), one_by_one.take_sent());
            assert_eq!(sent.len(), 1);
            assert_eq!(sent[0].line, expected[0].line);
            at_once.expect_data(5_001, 14_001);
        }
    });
}

// req: SIO-9
#[test]
fn a_super_segment_is_the_segments_that_would_have_left_one_by_one() {
    every_wrap(|numbers| {
        for timestamps in [false, true] {
            let mut config = plain_config();
            config.timestamps = timestamps;
            let handshake = if timestamps { ",TS 1000 1000000" } else { "" };
            let mut singles = Scripted::established_with(config.clone(), numbers, handshake);
            singles.write_len(7_300);
            let expected: Vec<Vec<u8>> = singles.take_sent().into_iter().map(|sent| sent.bytes).collect();
            assert_eq!(expected.len(), 8);

            let mut merged = Scripted::established_with(config, numbers, handshake);
            merged.caps.max_segments = 64;
            let data: Vec<u8> = (0..7_300).map(|index| (index % 251) as u8).collect();
            assert_eq!(merged.connection.write(merged.now, &data), Ok(7_300));
            let mut split = Vec::new();
            let mut buf = vec![0; 65_535];
            while let Some(sent) = merged.connection.poll_transmit(merged.now, &merged.caps, &mut buf) {
                assert_eq!(sent.reason, SendReason::Data);
                let count = split.len();
                split.extend(device_splits(&buf[..sent.len], sent.segment_size));
                assert_eq!(split.len() - count, usize::from(sent.segments));
            }
            assert_eq!(split, expected);
            assert_eq!(merged.stats(), singles.stats());
        }
    });
}

/// What a device makes of a super-segment: PSH and FIN on the last piece only.
fn device_splits(bytes: &[u8], size: Option<u16>) -> Vec<Vec<u8>> {
    let whole = Segment::parse(bytes).expect("it works here");
    let size = size.map_or(whole.payload.len().max(1), usize::from);
    let pieces: Vec<&[u8]> = whole.payload.chunks(size).collect();
    let mut seq = whole.seq;
    let last = pieces.len() - 1;
    let cut = |(index, piece): (usize, &&[u8])| {
        let mut segment = Segment { seq, payload: piece, ..whole };
        seq += piece.len() as u32;
        if index < last {
            let only_last = tcp_core::wire::Flags::PSH.bits() | tcp_core::wire::Flags::FIN.bits();
            segment.flags = tcp_core::wire::Flags::from_bits(segment.flags.bits() & !only_last);
        }
        let mut out = vec![0; segment.header_len() + piece.len()];
        segment.emit(&mut out).expect("it works here");
        checksum::fill_tcp(META.dst, META.src, &mut out);
        out
    };
    pieces.iter().enumerate().map(cut).collect()
}

// req: SIO-9
#[test]
fn a_checksum_that_the_device_looks_after_is_left_to_it() {
    every_wrap(|numbers| {
        let mut test = Scripted::established(plain_config(), numbers);
        let mut bytes = test.peer_segment("[P.] seq 5001:5011 ack 101 len 10");
        bytes[16] ^= 0xff;
        let rx = Rx::new(&bytes);
        let disposition = test.connection.handle_segment(test.now, &META, rx);
        assert_eq!(disposition, Disposition::Dropped(DropReason::Checksum));
        let rx = rx.verified();
        assert_eq!(test.connection.handle_segment(test.now, &META, rx), Disposition::Taken);
        test.expect_data(5_001, 5_011);

        // Outwards the field holds the sum of the pseudo-header, and summing up gives the rest.
        test.caps.checksum = TxChecksum::Device;
        assert_eq!(test.connection.write(test.now, b"hello"), Ok(5));
        let mut buf = [0; 100];
        let sent = test.connection.poll_transmit(test.now, &test.caps, &mut buf).unwrap();
        let bytes = &mut buf[..sent.len];
        assert!(!checksum::tcp_is_valid(META.dst, META.src, bytes));
        let sum = checksum::Checksum::new().with(bytes).finish();
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        assert!(checksum::tcp_is_valid(META.dst, META.src, bytes));
    });
}
