//! Two connections over a link that loses packets, in virtual time; what they say is printed.
//!
//! It teaches how little is needed to test something over TCP: describe a link, put an application
//! on each end, let time pass, and look at what happened. Every run prints the same: all chance
//! follows from one seed. Try another as the first argument, or another `LinkConfig`.
#![allow(clippy::print_stdout, reason = "printing is what an example is for")]

use std::error::Error;

use tcp_core::wire::Flags;
use tcp_core::{ConnStats, Duration, Instant, SendReason};
use tcp_sim::{
    LinkConfig, Loss, Network, NetworkConfig, Passage, Random, Sent, Side, Stop, Talker, TalkerConfig,
};

fn main() -> Result<(), Box<dyn Error>> {
    let seed = std::env::args().nth(1).map_or(Ok(6), |text| text.parse())?;
    let link = LinkConfig {
        delay: Duration::from_millis(20),
        rate: Some(10_000_000),
        loss: Loss::Random(60_000),
        ..LinkConfig::default()
    };
    let config = NetworkConfig { trace: true, ..NetworkConfig::symmetric(link) };

    // The client asks for something with a few bytes, the server answers with more; both close.
    let [request, answer] = [200, 20_000];
    let [client, server] = Talker::pair([request, answer]).map(|talker| talker.config().clone());
    let talkers = [client, server].map(|config: TalkerConfig| Talker::new(config, Random::new(seed)));
    let mut network = Network::new(&config, seed, talkers)?;

    println!("A client asks for {answer} bytes: 20 ms each way, 10 Mbit/s, 6 % of all packets are lost.");
    println!("`1:201` are the bytes a segment carries, `ack 201` the next one awaited, `+401:601` what is");
    println!("here already beyond a gap.\n");
    println!("{:>10} {:>44}     server", "", "client");
    let stop = network.run_until_idle(Instant::from_secs(600))?;
    let mut numbers = Numbers::default();
    for sent in network.trace() {
        println!("{}", numbers.line(sent));
    }

    println!("\n         segments   again   lost   round trip");
    for (side, name) in [(Side::Left, "client"), (Side::Right, "server")] {
        if let Some(stats) = network.connection(side).stats() {
            println!("{name}  {}", summary(&stats, network.link(side).stats().lost));
        }
    }
    let [asked, answered] = [Side::Right, Side::Left].map(|side| *network.application(side).report());
    let right = asked.wrong_at.is_none() && answered.wrong_at.is_none();
    println!(
        "\nThe server read {} bytes, the client {}: {}.\nBoth ends closed: {}.",
        asked.read,
        answered.read,
        if right { "each is the one that was written" } else { "and some are WRONG" },
        if stop == Stop::Idle && network.is_over() { "yes" } else { "NO" },
    );
    println!(
        "The client kept the connection's name for a while (TIME-WAIT): all was over at {} s of virtual time.",
        network.now().as_nanos() / 1_000_000_000
    );
    Ok(())
}

fn summary(stats: &ConnStats, lost: u64) -> String {
    let totals = stats.totals;
    let round_trip = stats.srtt.map_or("-".into(), |time| format!("{} ms", time.as_millis()));
    format!("{:>9} {:>7} {lost:>6} {round_trip:>12}", totals.segments_sent, totals.segments_retransmitted)
}

/// The first sequence number of each end: what is printed counts from there, as people do.
#[derive(Default)]
struct Numbers([Option<u32>; 2]);

impl Numbers {
    /// One packet, on the side of the page from which it comes.
    fn line(&mut self, sent: &Sent) -> String {
        let Some(packet) = sent.packet() else { return "(not TCP)".into() };
        let segment = packet.segment;
        if segment.flags.syn() {
            self.0[sent.from.index()].get_or_insert(segment.seq.0);
        }
        let from_zero = |side: Side, number: u32| number.wrapping_sub(self.0[side.index()].unwrap_or(0));
        let first = from_zero(sent.from, segment.seq.0);
        let mut words = Vec::new();
        for (flag, word) in [(Flags::SYN, "SYN"), (Flags::FIN, "FIN"), (Flags::RST, "RST")] {
            words.extend(segment.flags.contains(flag).then(|| word.to_string()));
        }
        if !segment.payload.is_empty() {
            words.push(format!("{first}:{}", first as usize + segment.payload.len()));
        }
        if segment.flags.ack() {
            words.push(format!("ack {}", from_zero(sent.from.other(), segment.ack.0)));
        }
        for block in segment.options.sack.as_slice() {
            let other = sent.from.other();
            words.push(format!("+{}:{}", from_zero(other, block.start.0), from_zero(other, block.end.0)));
        }
        let text = words.join(" ");
        let why = match sent.reason {
            SendReason::FastRetransmit | SendReason::Rto | SendReason::PartialAck => "  (again)",
            _ => "",
        };
        let lost = matches!(sent.passage, Passage::Dropped(_));
        let time = sent.at.as_nanos() / 1_000_000;
        match (sent.from, lost) {
            (Side::Left, false) => format!("{time:>4} ms   {text:>44} ──▶{why}"),
            (Side::Left, true) => format!("{time:>4} ms   {text:>44} ──✗  lost{why}"),
            (Side::Right, false) => format!("{time:>4} ms   {:44} ◀── {text}{why}", ""),
            (Side::Right, true) => format!("{time:>4} ms   {:>44} ✗── {text}{why}", "lost"),
        }
    }
}
