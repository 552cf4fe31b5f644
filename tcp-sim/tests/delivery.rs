//! P8: over any network that in the end delivers, the stream arrives intact in both directions and
//! both ends close. The networks are drawn from seeds: see `seeds/mod.rs`.

mod seeds;

use tcp_core::{BufferLimit, CloseReason, ConnConfig, Duration, Instant};
use tcp_sim::{
    Device, Ending, LinkConfig, Loss, Network, NetworkConfig, Outage, Random, Side, Stop, Stream, Talker,
    TalkerConfig,
};

/// Longer than any retransmission timer can keep a connection waiting: R2 is never reached.
const LIMIT: Instant = Instant::from_secs(100 * 3_600);

// req: SIO-7
#[test]
fn p8_the_stream_arrives_intact_and_both_ends_close() {
    seeds::for_each("p8_the_stream_arrives_intact_and_both_ends_close", 300, |seed| {
        let mut random = Random::new(seed);
        let config = any_network(&mut random);
        let talkers = any_talkers(&mut random);
        let mut network = Network::new(&config, seed, talkers).map_err(|error| error.to_string())?;
        let stop = network.run_until_idle(LIMIT).map_err(|violation| explain(&network, &violation))?;
        check(&network, stop).map_err(|what| explain(&network, &what))
    });
}

fn check(network: &Network<Talker>, stop: Stop) -> Result<(), String> {
    for side in Side::BOTH {
        let (report, peer) = (network.application(side).report(), network.application(side.other()));
        let expected = peer.config().length;
        if let Some(offset) = report.wrong_at {
            return Err(format!("{side}: byte {offset} is not what was written"));
        }
        if (report.read, report.end_of_stream) != (expected, true) {
            return Err(format!("{side}: read {} of {expected} bytes, {report:?}", report.read));
        }
        if report.closed != Some(CloseReason::Finished) || !report.flushed {
            return Err(format!("{side}: ended otherwise: {report:?}"));
        }
    }
    if stop != Stop::Idle || !network.is_over() {
        return Err("it does not come to an end".into());
    }
    Ok(())
}

fn explain(network: &Network<Talker>, what: &dyn std::fmt::Display) -> String {
    let trace = network.trace();
    let tail: Vec<String> = trace[trace.len().saturating_sub(40)..].iter().map(ToString::to_string).collect();
    let ends: Vec<String> = Side::BOTH
        .iter()
        .map(|side| {
            let connection = network.connection(*side);
            let (state, timeout, memory) =
                (connection.state(), connection.poll_timeout(), connection.memory());
            format!("{side}: {state}, timeout {timeout:?}, memory {memory}, {:?}", connection.stats())
        })
        .collect();
    format!("{what}\nat {}\n{}\n{}", network.now(), tail.join("\n"), ends.join("\n"))
}

/// A network that delivers in the end: losses up to 30 %, duplication up to 10 %, reordering up to
/// 20 %, outages shorter than R2.
fn any_network(random: &mut Random) -> NetworkConfig {
    NetworkConfig {
        connections: [any_connection(random), any_connection(random)],
        links: [any_link(random), any_link(random)],
        devices: [any_device(random), any_device(random)],
        ipv6: random.chance(300_000),
        both_connect: random.chance(100_000),
        trace: true,
    }
}

fn up_to(random: &mut Random, often: u32, most: u64) -> u32 {
    if random.chance(often) { random.below(most) as u32 } else { 0 }
}

fn any_link(random: &mut Random) -> LinkConfig {
    let loss = match random.below(4) {
        0 => Loss::None,
        1 => Loss::Nth((0..random.below(6)).map(|_| random.between(1, 40)).collect()),
        2 => Loss::Random(random.below(300_000) as u32),
        _ => Loss::Bursts {
            to_bad: random.below(30_000) as u32,
            to_good: random.between(100_000, 600_000) as u32,
            when_good: random.below(10_000) as u32,
            when_bad: random.between(500_000, 1_000_000) as u32,
        },
    };
    let mut outages = Vec::new();
    if random.chance(300_000) {
        let from = Instant::from_millis(random.below(3_000));
        outages.push(Outage { from, until: from + Duration::from_millis(random.between(1, 60_000)) });
    }
    LinkConfig {
        delay: Duration::from_micros(random.size(200_000)),
        jitter: Duration::from_micros(u64::from(up_to(random, 300_000, 20_000))),
        rate: random.chance(600_000).then(|| random.between(200_000, 100_000_000)),
        queue: random.between(8_000, 300_000),
        loss,
        duplication: up_to(random, 400_000, 100_000),
        reordering: up_to(random, 400_000, 200_000),
        reordering_delay: Duration::from_micros(random.size(100_000)),
        corruption: up_to(random, 300_000, 50_000),
        outages,
    }
}

fn any_device(random: &mut Random) -> Device {
    Device {
        max_segments: if random.chance(300_000) { random.between(2, 44) as u16 } else { 1 },
        batch: Duration::from_micros(u64::from(up_to(random, 300_000, 500))),
        merges: random.chance(500_000),
    }
}

fn any_connection(random: &mut Random) -> ConnConfig {
    let mut config = if random.chance(300_000) { ConnConfig::rfc() } else { ConnConfig::linux() };
    config.mtu = *random.pick(&[68 + 60, 576, 1_280, 1_500, 1_500, 1_500, 9_000]).unwrap_or(&1_500);
    config.sack = random.chance(700_000);
    config.timestamps = random.chance(700_000);
    config.window_scaling = random.chance(700_000);
    config.no_delay = random.chance(300_000);
    config.ack.quick = if random.chance(500_000) { 16 } else { 0 };
    if random.chance(500_000) {
        let initial = random.between(1, 20_000) as u32;
        config.receive_buffer = BufferLimit { initial, max: initial + random.below(100_000) as u32 };
    }
    if random.chance(500_000) {
        let initial = random.between(1, 20_000) as u32;
        config.send_buffer = BufferLimit { initial, max: initial + random.below(100_000) as u32 };
    }
    // Thirty losses of a hundred, both ways, for as long as it takes: giving up is another test's.
    config.retries.data = tcp_core::Retries::NEVER;
    config.retries.orphan = tcp_core::Retries::NEVER;
    config.retries.syn = tcp_core::Retries::NEVER;
    config.retries.syn_ack = tcp_core::Retries::NEVER;
    // A record that is forgotten before its peer, at two minutes a try, has heard of it resets that
    // peer: what 2 MSL is for.
    config.time_wait = Duration::from_secs(3_600);
    config
}

fn any_talkers(random: &mut Random) -> [Talker; 2] {
    let (one, two) = (Stream(random.next_u64()), Stream(random.next_u64()));
    // If both waited for the other's end, neither would come to one.
    let patient = random.below(3);
    [(one, two, 0), (two, one, 1)].map(|(says, hears, index)| {
        let config = TalkerConfig {
            says,
            hears,
            length: if random.chance(100_000) { 0 } else { random.size(60_000) },
            chunk: random.size(20_000),
            ragged: random.chance(500_000),
            pauses: up_to(random, 300_000, 200_000),
            pause: Duration::from_micros(random.size(300_000)),
            deaf_until: Instant::from_millis(u64::from(up_to(random, 200_000, 5_000))),
            ending: if patient == index { Ending::AfterPeer } else { Ending::HalfClose },
        };
        Talker::new(config, random.fork())
    })
}
