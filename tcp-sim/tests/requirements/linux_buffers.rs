//! Buffers that follow the path, wake the application in good time, and stay within their limits.

use std::collections::VecDeque;

use tcp_core::{BufferLimit, ConnConfig, Connection, Duration, Event, Instant, Seed, TxCaps, WriteError};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// One direction of a link: each packet takes its time at the rate, then the delay. It loses nothing.
struct Direction {
    nanos_per_byte: u64,
    delay: Duration,
    free_at: Instant,
    packets: VecDeque<(Instant, Vec<u8>)>,
}

impl Direction {
    fn new(nanos_per_byte: u64) -> Self {
        Self { nanos_per_byte, delay: MS(50), free_at: Instant::ZERO, packets: VecDeque::new() }
    }

    fn send(&mut self, now: Instant, packet: Vec<u8>) {
        self.free_at =
            self.free_at.max(now) + Duration::from_nanos(packet.len() as u64 * self.nanos_per_byte);
        self.packets.push_back((self.free_at + self.delay, packet));
    }

    fn arrived(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.packets.front().filter(|(at, _)| *at <= now)?;
        self.packets.pop_front().map(|(_, packet)| packet)
    }
}

/// A sender that always has more and a reader that always reads, 1 Gbit/s and 100 ms apart.
struct LongFatPath {
    now: Instant,
    ends: [Connection; 2],
    ways: [Direction; 2],
    read: u64,
}

impl LongFatPath {
    fn new(sender: ConnConfig, receiver: ConnConfig) -> Self {
        let (now, seed) = (Instant::ZERO, Seed::for_test(1));
        let (here, there) = (
            "10.0.0.1:40001".parse().expect("it works here"),
            "10.0.0.2:80".parse().expect("it works in this test"),
        );
        let client = Connection::connect(now, here, there, sender, &seed).expect("it works here");
        let server = Connection::listen(now, there, receiver, &seed).expect("it works here");
        Self { now, ends: [client, server], ways: [Direction::new(8), Direction::new(8)], read: 0 }
    }

    fn run(&mut self, until: Instant) {
        let mut buf = vec![0; 9_000];
        let data = vec![7; 256 << 10];
        loop {
            for from in [0, 1] {
                while let Some(sent) = self.ends[from].poll_transmit(self.now, &TxCaps::default(), &mut buf) {
                    self.ways[from].send(self.now, buf[..sent.len].to_vec());
                }
            }
            let due = self.ends.iter().filter_map(Connection::poll_timeout);
            let next =
                self.ways.iter().filter_map(|way| way.packets.front().map(|(at, _)| *at)).chain(due).min();
            self.now = next.unwrap_or(until).min(until);
            if self.now >= until {
                return;
            }
            for from in [0, 1] {
                while let Some(packet) = self.ways[from].arrived(self.now) {
                    self.ends[1 - from].handle_packet(self.now, &packet[..]);
                }
                self.ends[from].handle_timeout(self.now);
            }
            while self.ends[0].write(self.now, &data).is_ok() {}
            while let Ok(read @ 1..) = self.ends[1].read_with(self.now, <[u8]>::len) {
                self.read += read;
            }
        }
    }

    /// How many bits a second are read from here to `until`.
    fn rate(&mut self, until: Instant) -> u64 {
        let (since, before) = (self.now, self.read);
        self.run(until);
        (self.read - before) * 8_000 / (until - since).as_millis()
    }
}

fn jumbo(receive: BufferLimit, send: BufferLimit) -> ConnConfig {
    let mut config = ConnConfig::linux();
    config.mtu = 9_000;
    (config.receive_buffer, config.send_buffer) = (receive, send);
    config
}

// req: LNX-BUF-1
#[test]
fn the_receive_buffer_grows_until_a_long_fat_path_is_full() {
    let default = ConnConfig::linux();
    let sender = jumbo(default.receive_buffer, BufferLimit { initial: 64 << 10, max: 64 << 20 });
    let receiver = jumbo(default.receive_buffer, default.send_buffer);
    let mut path = LongFatPath::new(sender, receiver);
    path.run(Instant::from_millis(1_300));
    let rate = path.rate(Instant::from_millis(1_800));
    assert!(rate > 950_000_000, "{rate} bit/s");
    let stats = path.ends[1].stats().unwrap();
    assert!(stats.receive_buffer > 12_500_000, "{}", stats.receive_buffer);
    assert!(stats.receive_buffer <= default.receive_buffer.max);
    // It was ahead of slow start all the way, with its window never the limit until the path was full.
    assert!(path.ends[0].stats().unwrap().window_limited < MS(600));
}

// req: LNX-BUF-1
#[test]
fn a_receive_buffer_that_was_set_does_not_grow() {
    let default = ConnConfig::linux();
    let sender = jumbo(default.receive_buffer, BufferLimit { initial: 64 << 10, max: 64 << 20 });
    let receiver = jumbo(BufferLimit::fixed(1 << 20), default.send_buffer);
    let mut path = LongFatPath::new(sender, receiver);
    path.run(Instant::from_millis(1_500));
    let rate = path.rate(Instant::from_millis(2_500));
    // One buffer a round trip.
    assert!((70_000_000..=84_000_000).contains(&rate), "{rate} bit/s");
    assert_eq!(path.ends[1].stats().unwrap().receive_buffer, 1 << 20);
}

// req: LNX-BUF-2
#[test]
fn the_send_buffer_follows_the_congestion_window_up_to_its_cap() {
    let default = ConnConfig::linux();
    let receive = BufferLimit::fixed(32 << 20);
    let send = BufferLimit { initial: 64 << 10, max: 4 << 20 };
    let mut path = LongFatPath::new(jumbo(receive, send), jumbo(receive, default.send_buffer));
    let mut grown = 0;
    for round in 1..=20 {
        path.run(Instant::from_millis(100 * round));
        let stats = path.ends[0].stats().unwrap();
        let (limit, window) = (stats.send_buffer, stats.congestion_window);
        assert!(limit >= (2 * window).min(4 << 20), "round {round}: {limit} for a window of {window}");
        assert!(limit <= 4 << 20);
        assert!(limit >= grown, "it does not shrink");
        grown = limit;
    }
    assert_eq!(grown, 4 << 20);

    let mut path =
        LongFatPath::new(jumbo(receive, BufferLimit::fixed(200_000)), jumbo(receive, default.send_buffer));
    path.run(Instant::from_millis(2_000));
    assert_eq!(path.ends[0].stats().unwrap().send_buffer, 200_000);
}

// req: LNX-BUF-3
#[test]
fn ten_thousand_holes_stay_within_the_memory_of_the_buffer() {
    for numbers in [Numbers::default(), Numbers::wrap_after(1), Numbers::wrap_after(1_501)] {
        let mut config = plain_config();
        config.receive_buffer = BufferLimit::fixed(64_000);
        config.sack = true;
        let mut test = Scripted::established_with(config, numbers, ",sackOK");
        let bytes: Vec<String> = (0..10_000u32)
            .map(|hole| {
                let start = 5_002 + 2 * hole;
                format!("[.] seq {start}:{} ack 101 len 1", start + 1)
            })
            .collect();
        let mut blocks_end = 0;
        for line in &bytes {
            test.inject(line);
            // Twice the buffer, the bookkeeping included, as SO_RCVBUF is counted.
            assert!(test.connection.memory() <= 2 * 64_000, "{}", test.connection.memory());
            for ack in test.take_sent() {
                blocks_end = blocks_end.max(highest_block(&ack.line));
            }
        }
        // Only so many ranges are kept, the lowest, and only those are told of.
        assert!((5_002 + 100..5_002 + 2 * 1_100).contains(&blocks_end), "{blocks_end}");
        assert!(test.stats().totals.pruned > 0);
        // All that was not told of is sent again, and the stream is exact.
        for start in (5_001..25_001).step_by(1_000) {
            test.inject(&format!("[.] seq {start}:{} ack 101 len 1000", start + 1_000));
        }
        test.take_sent();
        test.expect_data(5_001, 25_001);
        assert_eq!(test.connection.memory(), 0);
    }
}

/// The end of the highest SACK block in a line.
fn highest_block(line: &str) -> u32 {
    let Some((_, blocks)) = line.split_once("sack ") else { return 0 };
    let blocks = blocks.split(['>', ',']).next().unwrap_or_default();
    blocks.split_whitespace().filter_map(|block| block.split_once(':')?.1.parse().ok()).max().unwrap_or(0)
}

// req: LNX-BUF-5
#[test]
fn unsent_data_is_kept_below_its_mark() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.unsent_low_water = Some(16_000);
        let mut test = Scripted::established(config, numbers);
        let data = [7; 100_000];
        // The initial window is 10 segments.
        assert_eq!(test.connection.write(test.now, &data), Ok(16_000));
        test.drain();
        assert_eq!((test.take_sent().len(), test.stats().unsent), (10, 6_000));
        assert_eq!(test.connection.write(test.now, &data), Ok(10_000));
        assert_eq!(test.connection.write(test.now, &data), Err(WriteError::Blocked));
        assert_eq!(test.take_events(), Event::NONE);
        // Two segments acknowledged let some four go: not yet below half.
        test.inject("[.] seq 5001 ack 2101");
        assert!(test.stats().unsent >= 8_000);
        assert_eq!(test.take_events(), Event::NONE);
        // What wakes is that data left, although none was acknowledged since.
        test.inject("[.] seq 5001 ack 10101");
        assert!(test.stats().unsent < 8_000, "{}", test.stats().unsent);
        assert_eq!(test.take_events(), Event::WRITABLE);
        assert_eq!(test.take_events(), Event::NONE, "once");
    });
}

// req: LNX-BUF-6
#[test]
fn the_writer_is_woken_once_when_a_third_of_the_buffer_is_free() {
    every_wrap(|numbers| {
        let mut config = plain_config();
        config.send_buffer = BufferLimit::fixed(9_000);
        let mut test = Scripted::established(config, numbers);
        assert_eq!(test.connection.write(test.now, &[7; 20_000]), Ok(9_000));
        assert_eq!(test.connection.write(test.now, b"x"), Err(WriteError::Blocked));
        test.drain();
        for ack in [1_101, 2_101, 3_100] {
            test.inject(&format!("[.] seq 5001 ack {ack}"));
            assert_eq!(test.take_events(), Event::NONE, "{ack}");
        }
        test.inject("[.] seq 5001 ack 3101");
        assert_eq!(test.take_events(), Event::WRITABLE);
        for ack in [4_101, 9_101] {
            test.inject(&format!("[.] seq 5001 ack {ack}"));
            assert_eq!(test.take_events(), Event::NONE, "one edge");
        }
        // Writing what there is room for blocks nobody, and raises nothing.
        assert_eq!(test.connection.write(test.now, &[7; 9_000]), Ok(9_000));
        test.inject("[.] seq 5001 ack 18101");
        assert_eq!(test.take_events(), Event::NONE);
    });
}
