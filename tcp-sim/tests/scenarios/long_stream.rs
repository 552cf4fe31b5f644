//! A stream longer than the sequence space: nothing may remember where it began.

use bytes::Bytes;
use tcp_core::{
    BufferLimit, ConnConfig, Connection, Duration, Instant, ReadError, Rx, Seed, TxCaps, TxChecksum,
    WriteError,
};

/// More than 2³² bytes.
const LENGTH: u64 = (1 << 32) + (1 << 26);
/// Every so many segments one is lost, so that every mark of loss recovery is used on both sides of
/// 2³¹ and of the wrap.
const LOST: u64 = 5_003;

/// A sender and a receiver of blocks that repeat.
struct Transfer {
    client: Connection,
    server: Connection,
    now: Instant,
    block: Bytes,
    packet: Vec<u8>,
    written: u64,
    read: u64,
    sent: u64,
}

impl Transfer {
    fn new(sack: bool) -> Self {
        let mut config = ConnConfig::default();
        config.sack = sack;
        config.mtu = 65_000;
        config.receive_buffer = BufferLimit::fixed(8 << 20);
        config.send_buffer = BufferLimit::fixed(8 << 20);
        let now = Instant::from_secs(1);
        let (here, there) = (([10, 0, 0, 1], 40_001).into(), ([10, 0, 0, 2], 80).into());
        let seed = Seed::for_test(7);
        Self {
            client: Connection::connect(now, here, there, config.clone(), &seed)
                .expect("the configuration works"),
            server: Connection::listen(now, there, config, &seed).expect("the configuration works"),
            now,
            block: Bytes::from((0..1u32 << 20).map(|index| (index % 251) as u8).collect::<Vec<_>>()),
            packet: vec![0; 65_535],
            written: 0,
            read: 0,
            sent: 0,
        }
    }

    fn run(&mut self) {
        while self.read < LENGTH {
            self.now += Duration::from_millis(1);
            for end in [&mut self.client, &mut self.server] {
                if end.poll_timeout().is_some_and(|due| due <= self.now) {
                    end.handle_timeout(self.now);
                }
            }
            self.write();
            self.carry();
            self.read();
            self.carry_back();
            let now = self.now;
            assert!(now < Instant::from_secs(1_000), "stuck after {}: {:?}", self.read, self.client.stats());
        }
    }

    fn write(&mut self) {
        while self.written < LENGTH {
            let start = (self.written % self.block.len() as u64) as usize;
            match self.client.write_bytes(self.now, &mut self.block.slice(start..)) {
                Ok(taken) => self.written += taken as u64,
                Err(WriteError::Blocked) => break,
                Err(error) => panic!("after {} bytes: {error}", self.written),
            }
        }
    }

    fn read(&mut self) {
        loop {
            match self.server.read_bytes(self.now, 1 << 20) {
                Ok(data) => {
                    let start = (self.read % self.block.len() as u64) as usize;
                    let (head, tail) = data.split_at(data.len().min(self.block.len() - start));
                    let as_written =
                        head == &self.block[start..start + head.len()] && tail == &self.block[..tail.len()];
                    assert!(as_written, "at {}", self.read);
                    self.read += data.len() as u64;
                }
                Err(ReadError::Blocked) => break,
                Err(error) => panic!("after {} bytes: {error}", self.read),
            }
        }
    }

    fn carry(&mut self) {
        let mut caps = TxCaps::default();
        caps.checksum = TxChecksum::Device;
        while let Some(sent) = self.client.poll_transmit(self.now, &caps, &mut self.packet) {
            self.sent += 1;
            if self.sent % LOST != 0 {
                self.server.handle_packet(self.now, verified(&self.packet[..sent.len]));
            }
        }
    }

    fn carry_back(&mut self) {
        let mut caps = TxCaps::default();
        caps.checksum = TxChecksum::Device;
        while let Some(sent) = self.server.poll_transmit(self.now, &caps, &mut self.packet) {
            self.client.handle_packet(self.now, verified(&self.packet[..sent.len]));
        }
    }
}

fn verified(bytes: &[u8]) -> Rx<'_> {
    Rx::new(bytes).verified()
}

fn more_than_four_gigabytes(sack: bool) {
    let mut transfer = Transfer::new(sack);
    transfer.run();
    let totals = transfer.client.stats().expect("connected").totals;
    assert!(totals.fast_recoveries > 5, "{totals:?}");
    assert!(totals.bytes_acknowledged > 1 << 32);
}

// req: 9293-EV-42
// trap: 8, 16
#[test]
fn c13_more_than_four_gigabytes_with_sack() {
    more_than_four_gigabytes(true);
}

// req: 9293-EV-42
// trap: 48
#[test]
fn c13_more_than_four_gigabytes_with_new_reno() {
    more_than_four_gigabytes(false);
}
