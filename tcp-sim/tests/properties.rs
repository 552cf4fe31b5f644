//! What always holds of a connection, whatever is done to it in whatever order: P1 to P5 and P7.
//! The lists of steps are drawn from seeds (see `seeds/mod.rs`); `Interpreter` checks after each.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod seeds;

use tcp_core::{ConnConfig, Connection, Disposition, Duration, Instant, Seed, State, TxCaps};
use tcp_sim::{Interpreter, LinkConfig, Loss, Network, NetworkConfig, Op, Random, Side, Stream, Talker};

/// The steps that a seed stands for.
fn steps(seed: u64, forgeries: bool) -> Vec<Op> {
    let mut random = Random::new(!seed);
    let length = random.size(400);
    let step = if forgeries { Op::random_with_forgeries } else { Op::random };
    (0..length).map(|_| step(&mut random)).collect()
}

#[test]
fn p1_p2_p3_p4_hold_and_the_stream_arrives_in_whatever_order_calls_come() {
    let name = "p1_p2_p3_p4_hold_and_the_stream_arrives_in_whatever_order_calls_come";
    seeds::for_each(name, 2_000, |seed| seeds::run_ops(seed, &steps(seed, false)).map(drop));
}

#[test]
fn p7_no_forged_segment_makes_it_panic() {
    seeds::for_each("p7_no_forged_segment_makes_it_panic", 2_000, |seed| {
        seeds::run_ops(seed, &steps(seed, true)).map(drop)
    });
}

/// A digest of all outputs for each of a few seeds, as committed. To write them anew, after a change
/// of behaviour that is meant and stated: `TCP_DIGESTS=write cargo test -p tcp-sim p5_`.
const DIGESTS: &str = include_str!("digests.txt");

#[test]
fn p5_the_same_seed_and_steps_give_the_outputs_that_are_committed() {
    let lines = (0..24u64).map(|seed| {
        let steps = steps(seed, seed % 2 == 1);
        let (first, again) = (Interpreter::run(seed, &steps), Interpreter::run(seed, &steps));
        assert_eq!(first, again, "seed {seed}");
        format!("{seed} {:016x}\n", first.expect("a run without violation"))
    });
    let digests: String = lines.collect();
    if std::env::var("TCP_DIGESTS").is_ok_and(|what| what == "write") {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/digests.txt"), &digests).unwrap();
        return;
    }
    let changed: Vec<_> = digests.lines().zip(DIGESTS.lines()).filter(|(is, was)| is != was).collect();
    assert!(changed.is_empty(), "outputs have changed (is, was): {changed:#?}");
    assert_eq!(digests.lines().count(), DIGESTS.lines().count());
}

#[test]
fn p5_the_same_seed_gives_the_same_bytes_on_the_wire() {
    let run = |seed| {
        let link = LinkConfig { loss: Loss::Random(50_000), reordering: 50_000, ..LinkConfig::default() };
        let config = NetworkConfig::symmetric(link);
        let mut network = Network::new(&config, seed, Talker::pair([50_000; 2])).unwrap();
        network.run_until_idle(Instant::from_secs(3_600)).unwrap();
        network.digest()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2), "another seed has other losses and other numbers");
}

/// A timer that is served late — by 10 ms, an hour, thirty days — makes the transfer slower, and
/// does no other harm.
#[test]
fn p4_late_timeouts_are_safe() {
    for late in [Duration::from_millis(10), Duration::from_secs(3_600), Duration::from_secs(30 * 86_400)] {
        for lost in 0..6 {
            let [mut left, mut right] = established(lost);
            let mut now = Instant::from_secs(1);
            let mut data = vec![0; 30_000];
            Stream(1).fill(0, &mut data);
            assert_eq!(left.write(now, &data), Ok(data.len()));
            let mut received = Vec::new();
            let mut turn = 0;
            for _ in 0..400 {
                let mut quiet = true;
                for packet in packets(&mut left, now) {
                    turn += 1;
                    quiet = false;
                    // Every sixth is lost, so that timers are needed.
                    if turn % 6 != lost {
                        right.handle_packet(now, packet.as_slice());
                    }
                }
                let mut buf = [0; 4_096];
                while let Ok(length) = right.read(now, &mut buf) {
                    received.extend_from_slice(&buf[..length]);
                }
                for packet in packets(&mut right, now) {
                    quiet = false;
                    left.handle_packet(now, packet.as_slice());
                }
                let due = [&left, &right].into_iter().filter_map(Connection::poll_timeout).min();
                if let Some(at) = due.filter(|_| quiet) {
                    now = now.max(at + late);
                    left.handle_timeout(now);
                    right.handle_timeout(now);
                }
                for end in [&left, &right] {
                    assert!(end.poll_timeout().is_none_or(|at| at > now || !quiet), "P2, late by {late}");
                }
            }
            assert_eq!(received, data, "late by {late}, lost {lost}");
        }
    }
}

/// Noise and flipped bits are dropped with a reason, and change nothing, in every state.
#[test]
fn p7_noise_and_flipped_bits_change_nothing_in_any_state() {
    let mut states = std::collections::HashSet::new();
    seeds::for_each("p7_noise_and_flipped_bits_change_nothing_in_any_state", 150, |seed| {
        let mut random = Random::new(seed);
        let mut interpreter = Interpreter::new(seed);
        for op in steps(seed, false) {
            interpreter.apply(op).map_err(|violation| violation.to_string())?;
            for side in Side::BOTH {
                let mut end = interpreter.connection(side).clone();
                states.insert(end.state());
                for _ in 0..4 {
                    let noise = noise(&mut random, &mut interpreter.connection(side.other()).clone());
                    let (before, dropped) = (end.digest(), end.drops().total());
                    let disposition = end.handle_packet(Instant::from_secs(3_000_000), noise.as_slice());
                    let counted = end.drops().total() == dropped + 1;
                    if !matches!(disposition, Disposition::Dropped(_)) || !counted || end.digest() != before {
                        return Err(format!("{disposition:?} for {noise:02x?} in {}", end.state()));
                    }
                }
            }
        }
        Ok(())
    });
    if std::env::var("TCP_SEED").is_err() {
        assert!(states.len() >= 10, "not every state was tried: {states:?}");
    }
}

/// Random bytes, or a packet that `peer` would send with one bit of its TCP segment flipped: the
/// checksum catches every one.
fn noise(random: &mut Random, peer: &mut Connection) -> Vec<u8> {
    let mut packet = packets(peer, Instant::from_secs(3_000_000)).pop().unwrap_or_default();
    if packet.is_empty() || random.chance(300_000) {
        packet = vec![0; random.size(100) as usize];
        random.fill(&mut packet);
        return packet;
    }
    let header = if packet[0] >> 4 == 4 { 20 } else { 40 };
    let bit = random.between(header * 8, packet.len() as u64 * 8 - 1);
    packet[bit as usize / 8] ^= 1 << (bit % 8);
    packet
}

/// All packets that `connection` has to send.
fn packets(connection: &mut Connection, now: Instant) -> Vec<Vec<u8>> {
    let mut buffer = [0; 9_000];
    std::iter::from_fn(|| {
        let sent = connection.poll_transmit(now, &TxCaps::default(), &mut buffer)?;
        Some(buffer[..sent.len].to_vec())
    })
    .collect()
}

/// Two connections after their handshake.
fn established(seed: u64) -> [Connection; 2] {
    let (here, there) = ("10.0.0.1:40001".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
    let config = ConnConfig::default();
    let (now, secret) = (Instant::ZERO, Seed::for_test(seed));
    let mut left = Connection::connect(now, here, there, config.clone(), &secret).unwrap();
    let mut right = Connection::listen(now, there, config, &secret).unwrap();
    for _ in 0..2 {
        for packet in packets(&mut left, now) {
            right.handle_packet(now, packet.as_slice());
        }
        for packet in packets(&mut right, now) {
            left.handle_packet(now, packet.as_slice());
        }
    }
    assert_eq!((left.state(), right.state()), (State::Established, State::Established));
    [left, right]
}
