//! P12: no packet that nobody needs. Ceilings on acknowledgements, small segments and window updates.
#![allow(clippy::unwrap_used, reason = "a test may")]

use tcp_core::{Duration, Instant, SendReason};
use tcp_sim::{Ending, LinkConfig, Network, NetworkConfig, Random, Sent, Side, Stream, Talker, TalkerConfig};

const BYTES: u64 = 2_000_000;

/// 20 ms each way, 50 Mbit/s.
fn config() -> NetworkConfig {
    let link = LinkConfig {
        delay: Duration::from_millis(20),
        rate: Some(50_000_000),
        queue: 1 << 20,
        ..LinkConfig::default()
    };
    NetworkConfig { trace: true, ..NetworkConfig::symmetric(link) }
}

fn run(config: &NetworkConfig, talkers: [TalkerConfig; 2], until: Instant) -> Network<Talker> {
    let talkers = talkers.map(|config| Talker::new(config, Random::new(1)));
    let mut network = Network::new(config, 1, talkers).unwrap();
    network.run_until(until).unwrap();
    network
}

fn sender(length: u64) -> TalkerConfig {
    TalkerConfig { length, ending: Ending::Stay, ..TalkerConfig::default() }
}

fn reader() -> TalkerConfig {
    TalkerConfig { says: Stream(2), hears: Stream(1), ending: Ending::Stay, ..TalkerConfig::default() }
}

fn count(network: &Network<Talker>, from: Side, which: impl Fn(&Sent) -> bool) -> u64 {
    network.trace().iter().filter(|sent| sent.from == from && which(sent)).count() as u64
}

fn payload(sent: &Sent) -> u64 {
    sent.packet().map_or(0, |packet| packet.segment.payload.len() as u64)
}

#[test]
fn p12_an_idle_connection_says_nothing_for_a_day() {
    let mut network = run(&config(), [sender(10_000), reader()], Instant::from_secs(60));
    assert_eq!(network.application(Side::Right).report().read, 10_000);
    let before = network.trace().len();
    network.run_until(Instant::from_secs(60 + 24 * 3_600)).unwrap();
    assert_eq!(network.trace().len(), before, "{:?}", network.trace().last());
    assert!(Side::BOTH.iter().all(|side| network.connection(*side).poll_timeout().is_none()));
}

#[test]
fn p12_bulk_costs_one_ack_for_two_segments_and_no_small_ones() {
    let network = run(&config(), [sender(BYTES), reader()], Instant::from_secs(60));
    assert_eq!(network.application(Side::Right).report().read, BYTES);
    let segments = count(&network, Side::Left, |sent| payload(sent) > 0);
    let small = count(&network, Side::Left, |sent| (1..1_448).contains(&payload(sent)));
    let acks = count(&network, Side::Right, |_| true);
    let updates = count(&network, Side::Right, |sent| sent.reason == SendReason::WindowUpdate);
    assert_eq!(segments, BYTES.div_ceil(1_448), "nothing was lost, so nothing is sent twice");
    assert!(small <= 1, "{small} small segments");
    // One for every second, the first ones at once, and the handshake's.
    assert!(acks <= segments / 2 + 20, "{acks} acknowledgements of {segments} segments");
    assert!(updates <= segments / 20, "{updates} window updates of {segments} segments");
    assert!(count(&network, Side::Left, |sent| payload(sent) == 0) <= 2, "SYN and ACK");
}

#[test]
fn p12_a_batch_is_acknowledged_once() {
    let mut config = config();
    config.devices[1].batch = Duration::from_millis(5);
    config.devices[1].merges = true;
    config.devices[0].max_segments = 40;
    let network = run(&config, [sender(BYTES), reader()], Instant::from_secs(60));
    assert_eq!(network.application(Side::Right).report().read, BYTES);
    let (segments, acks) =
        (count(&network, Side::Left, |sent| payload(sent) > 0), count(&network, Side::Right, |_| true));
    assert!(acks <= segments / 5, "{acks} acknowledgements of {segments} segments");
}

/// Nagle's rule: who writes byte by byte fills segments while it waits (RFC 9293 §3.7.4).
#[test]
fn p12_single_bytes_written_at_once_leave_in_full_segments() {
    let bytes = TalkerConfig { chunk: 1, ..sender(20_000) };
    let network = run(&config(), [bytes, reader()], Instant::from_secs(60));
    assert_eq!(network.application(Side::Right).report().read, 20_000);
    let small = count(&network, Side::Left, |sent| (1..1_448).contains(&payload(sent)));
    assert!(small <= 3, "{small} small segments");
}

/// Silly windows: who reads in crumbs makes the window open in steps (RFC 9293 §3.8.6.2.2).
#[test]
fn p12_a_slow_reader_gets_few_window_updates_and_no_crumbs() {
    let mut config = config();
    config.connections[1].receive_buffer = tcp_core::BufferLimit::fixed(16_000);
    let slow = TalkerConfig { chunk: 100, pauses: 1_000_000, pause: Duration::from_millis(2), ..reader() };
    let network = run(&config, [sender(200_000), slow], Instant::from_secs(600));
    assert_eq!(network.application(Side::Right).report().read, 200_000);
    let small = count(&network, Side::Left, |sent| (1..1_448).contains(&payload(sent)));
    let segments = count(&network, Side::Left, |sent| payload(sent) > 0);
    let sent = count(&network, Side::Right, |_| true);
    assert!(small <= segments / 5, "{small} of {segments} segments are small");
    assert!(sent <= 2 * segments + 20, "{sent} packets for {segments} segments");
}

/// A window that stays closed for an hour: probes back off, so that they are few (SHLD-30).
#[test]
fn p12_a_closed_window_costs_few_probes() {
    let mut config = config();
    config.connections[1].receive_buffer = tcp_core::BufferLimit::fixed(16_000);
    let deaf = TalkerConfig { deaf_until: Instant::from_secs(3_600), ..reader() };
    let network = run(&config, [sender(100_000), deaf], Instant::from_secs(3_700));
    assert_eq!(network.application(Side::Right).report().read, 100_000);
    let probes = count(&network, Side::Left, |sent| sent.reason == SendReason::WindowProbe);
    // Doubling from 0.2 s to 120 s takes 10 probes and 205 s; then one every two minutes.
    assert!((20..=45).contains(&probes), "{probes} probes in an hour");
}
