//! Two ends of ours that exchange packets without delay, and everything that they ever sent.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::net::SocketAddr;

use tcp_core::wire::TcpView;
use tcp_core::{ConnConfig, Connection, Duration, Instant, Seed, TxCaps};

/// A packet on its way, IP header included.
pub(crate) type Packet = Vec<u8>;

#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) now: Instant,
    /// A, and B.
    pub(crate) ends: [Connection; 2],
    pub(crate) addresses: [SocketAddr; 2],
    /// What waits to arrive at A, and at B.
    pub(crate) wires: [VecDeque<Packet>; 2],
    /// Everything that A, and B, ever sent.
    pub(crate) sent: [Vec<Packet>; 2],
}

pub(crate) const V4: [&str; 2] = ["10.0.0.1:40001", "10.0.0.2:80"];
pub(crate) const V6: [&str; 2] = ["[2001:db8::1]:40001", "[2001:db8::2]:80"];

pub(crate) fn addresses(texts: [&str; 2]) -> [SocketAddr; 2] {
    texts.map(|text| text.parse().expect("an address"))
}

pub(crate) fn connect(
    now: Instant,
    local: SocketAddr,
    remote: SocketAddr,
    config: ConnConfig,
    seed: u64,
) -> Connection {
    Connection::connect(now, local, remote, config, &Seed::for_test(seed)).expect("it can be")
}

pub(crate) fn listen(now: Instant, local: SocketAddr, config: ConnConfig, seed: u64) -> Connection {
    Connection::listen(now, local, config, &Seed::for_test(seed)).expect("it can be")
}

impl Ends {
    /// A connects to B, which listens. Nothing has been sent.
    pub(crate) fn new(texts: [&str; 2], configs: [ConnConfig; 2]) -> Self {
        let now = Instant::from_secs(1_000);
        let addresses = addresses(texts);
        let [a, b] = configs;
        let ends = [connect(now, addresses[0], addresses[1], a, 1), listen(now, addresses[1], b, 2)];
        Self { now, ends, addresses, wires: Default::default(), sent: Default::default() }
    }

    /// The same, connected.
    pub(crate) fn connected(texts: [&str; 2], config: ConnConfig) -> Self {
        let mut ends = Self::new(texts, [config.clone(), config]);
        ends.run();
        ends
    }

    /// Puts what both want to send on the wires.
    pub(crate) fn drain(&mut self) {
        let mut buf = vec![0; 65_535];
        for from in 0..2 {
            while let Some(sent) = self.ends[from].poll_transmit(self.now, &TxCaps::default(), &mut buf) {
                let packet = buf[..sent.len].to_vec();
                self.sent[from].push(packet.clone());
                self.wires[1 - from].push_back(packet);
            }
        }
    }

    /// The next packet that waits for `to` arrives.
    pub(crate) fn deliver(&mut self, to: usize) {
        if let Some(packet) = self.wires[to].pop_front() {
            self.ends[to].handle_packet(self.now, &packet[..]);
        }
        self.drain();
    }

    /// Delivers everything, until both are silent. Gives how many packets that took.
    pub(crate) fn run(&mut self) -> usize {
        let mut count = 0;
        self.drain();
        while self.wires.iter().any(|wire| !wire.is_empty()) {
            assert!(count < 10_000, "a storm");
            count += self.wires.iter().map(VecDeque::len).sum::<usize>();
            for to in 0..2 {
                for _ in 0..self.wires[to].len() {
                    self.deliver(to);
                }
            }
        }
        count
    }

    /// Loses everything that is on its way.
    pub(crate) fn lose(&mut self) {
        self.wires.iter_mut().for_each(VecDeque::clear);
    }

    /// Time passes, and what timers send arrives. Gives how many packets were sent.
    pub(crate) fn advance(&mut self, by: Duration) -> usize {
        let end = self.now + by;
        let mut count = self.run();
        while let Some(due) =
            self.ends.iter().filter_map(Connection::poll_timeout).min().filter(|due| *due <= end)
        {
            self.now = self.now.max(due);
            for side in &mut self.ends {
                side.handle_timeout(self.now);
            }
            count += self.run();
        }
        self.now = end;
        count + self.run()
    }

    /// Reads all there is.
    pub(crate) fn read(&mut self, side: usize) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buf = [0; 4_096];
        while let Ok(length @ 1..) = self.ends[side].read(self.now, &mut buf) {
            all.extend_from_slice(&buf[..length]);
        }
        all
    }
}

/// The TCP segment in a packet without IP options.
pub(crate) fn tcp(packet: &[u8]) -> TcpView<'_> {
    TcpView::new(&packet[ip_header_len(packet)..]).expect("a segment")
}

pub(crate) fn ip_header_len(packet: &[u8]) -> usize {
    if packet[0] >> 4 == 6 { 40 } else { 20 }
}
