//! Two connections back to back in memory, for benches: no link, no loss, one clock.

use tcp_core::{ConnConfig, Connection, Duration, Instant, Seed, TxCaps};

/// A client and a server joined by nothing but a buffer.
#[derive(Debug)]
pub struct Pair {
    /// The one that connects.
    pub client: Connection,
    /// The one that listens.
    pub server: Connection,
    /// The present; each exchange moves it on a little.
    pub now: Instant,
    /// What the device can do.
    pub caps: TxCaps,
    packet: Vec<u8>,
}

impl Pair {
    /// An established pair.
    ///
    /// # Panics
    /// If `config` cannot work.
    #[must_use]
    pub fn new(config: &ConnConfig) -> Self {
        let now = Instant::from_secs(1);
        let (here, there) = (([10, 0, 0, 1], 40_001).into(), ([10, 0, 0, 2], 80).into());
        let seed = Seed::for_test(1);
        let client = Connection::connect(now, here, there, config.clone(), &seed);
        let server = Connection::listen(now, there, config.clone(), &seed);
        let (client, server) = client.ok().zip(server.ok()).expect("the configuration works");
        let mut pair = Self { client, server, now, caps: TxCaps::default(), packet: vec![0; 65_600] };
        for _ in 0..3 {
            pair.exchange(2);
        }
        pair
    }

    /// Lets the client send up to `burst` segments, then the server all it has; says how many
    /// segments the client sent.
    pub fn exchange(&mut self, burst: usize) -> usize {
        let Self { client, server, now, caps, packet } = self;
        *now += Duration::from_micros(10);
        let mut sent = 0;
        while sent < burst {
            let Some(transmit) = client.poll_transmit(*now, caps, packet) else { break };
            server.handle_packet(*now, &packet[..transmit.len]);
            sent += 1;
        }
        while let Some(transmit) = server.poll_transmit(*now, caps, packet) {
            client.handle_packet(*now, &packet[..transmit.len]);
        }
        sent
    }
}
