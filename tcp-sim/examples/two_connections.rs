//! Two connections over a link that loses packets, in virtual time; what they say is printed.
//!
//! It teaches how little is needed to test something over TCP: describe a link, put an application
//! on each end, let time pass, and look at what happened. Every run prints the same: all chance
//! follows from one seed. Try another as the first argument, or another `LinkConfig`.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use tcp_core::wire::Flags;
use tcp_core::{ConnStats, Duration, Instant, SendReason};
use tcp_sim::{LinkConfig, Loss, Network, NetworkConfig, Passage, Random, Sent, Side, Stop, Talker};

const HELP: &str = "\
Lets two connections talk over a lossy link in virtual time, and prints each packet.

Usage: two_connections [SEED]

  SEED    a number, from which all chance follows; 6 if left out

Example: cargo run --release -p tcp-sim --example two_connections -- 7
";

const LEGEND: &str = "\
Each line is a packet, and when it was sent. `1:201` are the bytes that it carries, `ack 201` the
next one awaited, `+401:601` what is here already beyond a gap.

";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let seed = match arguments.as_str() {
        "-h" | "--help" => return print(HELP),
        "" => Some(6),
        text => text.parse().ok(),
    };
    let Some(seed) = seed else {
        writeln!(io::stderr(), "two_connections: `{arguments}` is no seed: one whole number; try --help")?;
        return Ok(ExitCode::from(2));
    };
    print(&story(seed)?)
}

/// Whoever has read enough, as `head` has, may go.
fn print(text: &str) -> Result<ExitCode, Box<dyn Error>> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn story(seed: u64) -> Result<String, Box<dyn Error>> {
    let link = LinkConfig {
        delay: Duration::from_millis(20),
        rate: Some(10_000_000),
        loss: Loss::Random(60_000),
        ..LinkConfig::default()
    };
    let config = NetworkConfig { trace: true, ..NetworkConfig::symmetric(link.clone()) };

    // The client asks for something with a few bytes, the server answers with more; both close.
    let [request, answer] = [200, 20_000];
    let talkers = Talker::pair([request, answer]);
    let talkers = talkers.map(|talker| Talker::new(talker.config().clone(), Random::new(seed)));
    let mut network = Network::new(&config, seed, talkers)?;

    let mut page = format!("A client asks for {answer} bytes: {}.\n", link_text(&link));
    page += LEGEND;
    writeln!(page, "{:>10} {:>44}     server", "", "client")?;
    let (stop, mut numbers) = (network.run_until_idle(Instant::from_secs(600))?, Numbers::default());
    for sent in network.trace() {
        writeln!(page, "{}", numbers.line(sent))?;
    }

    page += "\n         segments   again   lost   round trip\n";
    for (side, name) in [(Side::Left, "client"), (Side::Right, "server")] {
        if let Some(stats) = network.connection(side).stats() {
            writeln!(page, "{name}  {}", summary(&stats, network.link(side).stats().lost))?;
        }
    }
    let [asked, answered] = [Side::Right, Side::Left].map(|side| *network.application(side).report());
    let right = [asked, answered].iter().all(|report| report.wrong_at.is_none());
    let right = if right { "each is the one that was written" } else { "and some are WRONG" };
    let closed = if stop == Stop::Idle && network.is_over() { "yes" } else { "NO" };
    writeln!(page, "\nThe server read {} bytes, the client {}: {right}.", asked.read, answered.read)?;
    writeln!(page, "Both ends closed: {closed}.")?;
    page += "The client kept the connection's name for a while (TIME-WAIT): all was over at ";
    writeln!(page, "{} s of virtual time.", network.now().as_nanos() / 1_000_000_000)?;
    Ok(page)
}

fn link_text(link: &LinkConfig) -> String {
    let rate = link.rate.map_or("any rate".into(), |rate| format!("{} Mbit/s", rate / 1_000_000));
    let loss = match link.loss {
        Loss::Random(parts) => format!("{} % of all packets are lost", parts / 10_000),
        _ => "some packets are lost".into(),
    };
    format!("{} ms each way, {rate}, {loss}", link.delay.as_millis())
}

fn summary(stats: &ConnStats, lost: u64) -> String {
    let round_trip = stats.srtt.map_or("-".into(), |time| format!("{} ms", time.as_millis()));
    let (sent, again) = (stats.totals.segments_sent, stats.totals.segments_retransmitted);
    format!("{sent:>9} {again:>7} {lost:>6} {round_trip:>12}")
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
        let again = [SendReason::FastRetransmit, SendReason::Rto, SendReason::PartialAck];
        let why = if again.contains(&sent.reason) { "  (again)" } else { "" };
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
