//! Every pair of options together at least once, under mild loss: options rarely fail alone.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::HashSet;

use tcp_core::{BufferLimit, CloseReason, ConnConfig, Duration, Instant};
use tcp_sim::{
    Device, LinkConfig, Loss, Network, NetworkConfig, Random, Side, Stop, Stream, Talker, TalkerConfig,
};

/// How many values each option has.
const OPTIONS: [(&str, usize); 10] = [
    ("sack", 2),
    ("timestamps", 2),
    ("window scale", 2),
    ("super-segments out", 2),
    ("merged segments in", 2),
    ("mss 48, 536, 1460, 8960", 4),
    ("window tiny, normal, large", 3),
    ("profile linux, rfc", 2),
    ("ipv4, ipv6", 2),
    ("nagle, no delay", 2),
];

type Choice = [usize; OPTIONS.len()];

/// Choices of which every pair of values is part of at least one: each next choice covers as many
/// pairs as the best of a few by chance.
fn cover() -> Vec<Choice> {
    let mut open: Vec<(usize, usize, usize, usize)> = Vec::new();
    for (first, (_, values)) in OPTIONS.iter().enumerate() {
        for (second, (_, others)) in OPTIONS.iter().enumerate().skip(first + 1) {
            for value in 0..*values {
                open.extend((0..*others).map(|other| (first, value, second, other)));
            }
        }
    }
    let mut random = Random::new(1);
    let mut choices = Vec::new();
    while let Some((first, value, second, other)) = open.first().copied() {
        let candidates = (0..50).map(|_| {
            let mut choice = OPTIONS.map(|(_, values)| random.below(values as u64) as usize);
            (choice[first], choice[second]) = (value, other);
            choice
        });
        let best = candidates.max_by_key(|choice| open.iter().filter(|pair| covers(choice, **pair)).count());
        let best = best.unwrap();
        open.retain(|pair| !covers(&best, *pair));
        choices.push(best);
    }
    choices
}

fn covers(choice: &Choice, (first, value, second, other): (usize, usize, usize, usize)) -> bool {
    choice[first] == value && choice[second] == other
}

fn network(choice: &Choice) -> NetworkConfig {
    let [sack, timestamps, scale, super_segments, merged, mss, window, profile, ipv6, no_delay] = *choice;
    let mut connection = if profile == 0 { ConnConfig::linux() } else { ConnConfig::rfc() };
    connection.sack = sack == 1;
    connection.timestamps = timestamps == 1;
    connection.window_scaling = scale == 1;
    connection.no_delay = no_delay == 1;
    let mss = [48, 536, 1_460, 8_960][mss];
    connection.max_segment_size = Some(mss);
    connection.mtu = mss + if ipv6 == 1 { 60 } else { 40 };
    connection.receive_buffer = match window {
        0 => BufferLimit::fixed(7),
        1 => BufferLimit::fixed(40_000),
        _ => BufferLimit { initial: 200_000, max: 2 << 20 },
    };
    let link = LinkConfig {
        delay: Duration::from_millis(5),
        rate: Some(100_000_000),
        loss: Loss::Random(10_000),
        reordering: 10_000,
        duplication: 5_000,
        ..LinkConfig::default()
    };
    let device = Device {
        max_segments: if super_segments == 1 { 40 } else { 1 },
        batch: if merged == 1 { Duration::from_micros(300) } else { Duration::ZERO },
        merges: merged == 1,
    };
    NetworkConfig {
        connections: [connection.clone(), connection],
        devices: [device; 2],
        ipv6: ipv6 == 1,
        ..NetworkConfig::symmetric(link)
    }
}

#[test]
fn every_pair_of_options_carries_the_streams_whole() {
    let choices = cover();
    assert!(choices.len() < 40, "{} choices are not a cover but a product", choices.len());
    for (seed, choice) in (0..).zip(&choices) {
        let config = network(choice);
        let lengths = if choice[6] == 0 { [700, 300] } else { [150_000, 60_000] };
        let streams = [Stream(seed), Stream(!seed)];
        let talkers = [0, 1].map(|end: usize| {
            let (says, hears, length) = (streams[end], streams[1 - end], lengths[end]);
            Talker::new(TalkerConfig { says, hears, length, ..TalkerConfig::default() }, Random::new(seed))
        });
        let mut network = Network::new(&config, seed, talkers).unwrap();
        let stop = network.run_until_idle(Instant::from_secs(7_200));
        assert_eq!(stop, Ok(Stop::Idle), "{choice:?} of {OPTIONS:?}");
        for (side, length) in [(Side::Left, lengths[1]), (Side::Right, lengths[0])] {
            let report = network.application(side).report();
            let whole = (report.read, report.wrong_at, report.end_of_stream, report.closed);
            let expected = (length, None, true, Some(CloseReason::Finished));
            assert_eq!(whole, expected, "{side}, {choice:?} of {OPTIONS:?}");
        }
        let stats = network.connection(Side::Left).stats().unwrap();
        let agreed = [stats.sack, stats.timestamps, stats.send_window_scale.is_some()];
        assert_eq!(agreed, [choice[0] == 1, choice[1] == 1, choice[2] == 1], "{choice:?}");
        assert!(network.is_over());
    }
}

#[test]
fn the_cover_misses_no_pair() {
    let choices = cover();
    for (first, (_, values)) in OPTIONS.iter().enumerate() {
        for (second, (_, others)) in OPTIONS.iter().enumerate().skip(first + 1) {
            let seen: HashSet<_> = choices.iter().map(|choice| (choice[first], choice[second])).collect();
            assert_eq!(seen.len(), values * others);
        }
    }
}
