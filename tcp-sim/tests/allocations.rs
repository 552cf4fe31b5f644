//! P9: once a connection is warm, copying in and out allocates nothing, whatever the segments do.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod sys;

use std::collections::VecDeque;

use tcp_core::{ConnConfig, Connection, Duration, Instant, Seed, State, TxCaps};

#[global_allocator]
static ALLOCATOR: sys::Counting = sys::Counting;

/// Two connections with 5 ms between them. What is under way lies in buffers that are used again, so
/// that only the connections can allocate.
struct Pair {
    ends: [Connection; 2],
    now: Instant,
    under_way: [VecDeque<Packet>; 2],
    spare: Vec<Packet>,
    /// Every so many-th data packet is lost, and arrives out of order when it is sent again.
    lose_every: Option<u64>,
    packets: u64,
}

struct Packet {
    arrives: Instant,
    length: usize,
    bytes: Box<[u8; 1_500]>,
}

impl Packet {
    fn new() -> Self {
        Self { arrives: Instant::ZERO, length: 0, bytes: Box::new([0; 1_500]) }
    }
}

/// Packets that each end can send in a millisecond.
const RATE: usize = 20;
const DELAY: Duration = Duration::from_millis(5);

impl Pair {
    fn established(lose_every: Option<u64>) -> Self {
        let (here, there) = ("10.0.0.1:40001".parse().unwrap(), "10.0.0.2:80".parse().unwrap());
        let (now, secret, config) = (Instant::ZERO, Seed::for_test(1), ConnConfig::default());
        let left = Connection::connect(now, here, there, config.clone(), &secret).unwrap();
        let right = Connection::listen(now, there, config, &secret).unwrap();
        let spare = (0..2_000).map(|_| Packet::new()).collect();
        let under_way = [VecDeque::with_capacity(1_000), VecDeque::with_capacity(1_000)];
        let mut pair = Self { ends: [left, right], now, under_way, spare, lose_every, packets: 0 };
        (0..20).for_each(|_| pair.step());
        assert!(pair.ends.iter().all(|end| end.state() == State::Established));
        pair
    }

    /// A millisecond passes.
    fn step(&mut self) {
        self.now += Duration::from_millis(1);
        for (end, peer) in [(0, 1), (1, 0)] {
            while self.under_way[end].front().is_some_and(|packet| packet.arrives <= self.now) {
                let packet = self.under_way[end].pop_front().unwrap();
                self.ends[end].handle_packet(self.now, &packet.bytes[..packet.length]);
                self.spare.push(packet);
            }
            let connection = &mut self.ends[end];
            if connection.poll_timeout().is_some_and(|at| at <= self.now) {
                connection.handle_timeout(self.now);
            }
            while connection.poll_event().is_some() {}
            for _ in 0..RATE {
                let mut packet = self.spare.pop().unwrap();
                let buffer = packet.bytes.as_mut_slice();
                let Some(sent) = connection.poll_transmit(self.now, &TxCaps::default(), buffer) else {
                    self.spare.push(packet);
                    break;
                };
                self.packets += 1;
                (packet.arrives, packet.length) = (self.now + DELAY, sent.len);
                let lost = self.lose_every.is_some_and(|every| sent.len > 1_000 && self.packets % every == 0);
                if lost { self.spare.push(packet) } else { self.under_way[peer].push_back(packet) }
            }
        }
    }

    /// Moves so many bytes; the sender always has more to send.
    fn bulk(&mut self, bytes: u64) {
        let (chunk, mut buffer) = ([7; 16_000], [0; 16_000]);
        let mut read = 0;
        while read < bytes {
            while self.ends[0].write(self.now, &chunk).is_ok() {}
            self.step();
            while let Ok(length) = self.ends[1].read(self.now, &mut buffer) {
                read += length as u64;
            }
        }
    }

    fn ping_pong(&mut self, rounds: u32) {
        let mut buffer = [0; 100];
        for _ in 0..rounds {
            for (from, to) in [(0, 1), (1, 0)] {
                self.ends[from].write(self.now, b"are you there?").unwrap();
                while self.ends[to].read(self.now, &mut buffer).is_err() {
                    self.step();
                }
            }
        }
    }
}

/// How often `act` allocates, and how many segments were sent meanwhile.
fn measure(pair: &mut Pair, act: impl FnOnce(&mut Pair)) -> (u64, u64) {
    let (before, sent) = (sys::allocations(), pair.packets);
    act(pair);
    (sys::allocations() - before, pair.packets - sent)
}

#[test]
fn the_counter_counts() {
    let before = sys::allocations();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(sys::allocations() - before, 1);
}

#[test]
fn p9_bulk_allocates_nothing_once_warm() {
    let mut pair = Pair::established(None);
    pair.bulk(20_000_000);
    let (allocations, segments) = measure(&mut pair, |pair| pair.bulk(5_000_000));
    assert!(segments > 3_000, "{segments}");
    assert_eq!(allocations, 0, "in {segments} segments");
}

#[test]
fn p9_ping_pong_allocates_nothing_once_warm() {
    let mut pair = Pair::established(None);
    pair.ping_pong(200);
    let (allocations, segments) = measure(&mut pair, |pair| pair.ping_pong(1_000));
    assert!(segments >= 2_000, "{segments}");
    assert_eq!(allocations, 0, "in {segments} segments");
}

#[test]
fn p9_repairing_losses_allocates_nothing_for_each_segment() {
    let mut pair = Pair::established(Some(100));
    pair.bulk(20_000_000);
    let (allocations, segments) = measure(&mut pair, |pair| pair.bulk(5_000_000));
    // What recovery holds only while something is lost may be asked for once for each loss.
    assert!(allocations <= segments / 10, "{allocations} in {segments} segments");
}
