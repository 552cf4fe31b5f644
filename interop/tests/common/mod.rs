//! What the tests against other stacks share: streams that tell their place, chance, and the
//! witness who reads each packet with a parser that is not ours.

#![allow(dead_code, reason = "each test uses its part of this")]

pub(crate) mod application;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;

use etherparse::{NetSlice, SlicedPacket, TcpOptionElement, TransportSlice};
use tcp_core::RxChecksum;
use tcp_core::SeqNumber;
use tcp_core::wire::TcpPacket;

/// Chance that can be repeated (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Chance(pub u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True so many times in a thousand.
    pub(crate) fn per_mille(&mut self, times: u64) -> bool {
        self.below(1_000) < times
    }
}

/// A stream repeats after so many bytes: a prime, so that no segment or buffer size divides it.
const PERIOD: usize = 65_521;

/// Two periods of two streams that tell their place, so that tests copy and compare instead of computing.
static STREAMS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    [1, 2].map(|seed| {
        let mut chance = Chance(seed);
        let period: Vec<u8> = (0..PERIOD).map(|_| chance.next() as u8).collect();
        period.repeat(2)
    })
});

/// A piece of stream 0 or 1, of at most [`PERIOD`] bytes.
pub(crate) fn stream_bytes(stream: usize, offset: usize, length: usize) -> &'static [u8] {
    let start = offset % PERIOD;
    &STREAMS[stream][start..start + length]
}

/// Fails if the data is not the stream's.
#[track_caller]
pub(crate) fn check_stream(stream: usize, offset: usize, data: &[u8]) {
    let expected = stream_bytes(stream, offset, data.len());
    if data != expected {
        let wrong = data.iter().zip(expected).position(|(one, other)| one != other);
        panic!("byte {} of the stream is wrong", offset + wrong.unwrap_or_default());
    }
}

/// What one direction of the wire has shown.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    syn: Option<SynOptions>,
    /// The end of the highest sequence number sent.
    highest: Option<SeqNumber>,
    /// The right edge of the largest window advertised.
    edge: Option<SeqNumber>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SynOptions {
    pub(crate) mss: Option<u16>,
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack: bool,
    pub(crate) timestamps: bool,
}

/// How the wire was used by us.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) packets: u64,
    pub(crate) data_segments: u64,
    pub(crate) retransmissions: u64,
    pub(crate) bare_acks: u64,
    pub(crate) sack_blocks: u64,
    pub(crate) resets: u64,
    pub(crate) fins: u64,
    pub(crate) least_window: Option<u32>,
    pub(crate) greatest_window: u32,
    /// The peer's.
    pub(crate) peer_data_segments: u64,
    pub(crate) peer_packets: u64,
    pub(crate) peer_resets: u64,
}

/// Reads all packets of one connection, ours with a parser that is not ours, and fails at what no
/// peer should have to see.
#[derive(Debug)]
pub(crate) struct Witness {
    ours: SocketAddr,
    mtu: usize,
    us: Side,
    peer: Side,
    pub(crate) tally: Tally,
    lines: VecDeque<String>,
    /// How many lines are kept.
    pub(crate) keep: usize,
}

struct Read {
    seq: SeqNumber,
    ack: SeqNumber,
    window: u16,
    syn: bool,
    fin: bool,
    rst: bool,
    has_ack: bool,
    payload: usize,
    options: SynOptions,
    sack_blocks: usize,
}

impl Witness {
    pub(crate) fn new(ours: SocketAddr, mtu: u16) -> Self {
        Self {
            ours,
            mtu: usize::from(mtu),
            us: Side::default(),
            peer: Side::default(),
            tally: Tally::default(),
            lines: VecDeque::new(),
            keep: 60,
        }
    }

    /// The options of our SYN or SYN-ACK.
    pub(crate) fn our_syn(&self) -> SynOptions {
        self.us.syn.expect("we have sent a SYN")
    }

    pub(crate) fn peer_syn(&self) -> SynOptions {
        self.peer.syn.expect("the peer has sent a SYN")
    }

    /// The last packets, as text.
    pub(crate) fn story(&self) -> String {
        self.lines.iter().fold(String::new(), |story, line| story + line + "\n")
    }

    fn tell(&mut self, at_micros: u64, mark: char, bytes: &[u8]) {
        let line = match TcpPacket::parse(bytes, RxChecksum::Verified) {
            Ok(packet) if packet.ip.src == self.ours.ip() => format!("> {}", packet.segment),
            Ok(packet) => format!("          < {}", packet.segment),
            Err(error) => format!("? {error:?}"),
        };
        if self.lines.len() >= self.keep {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:>6}.{:03} {mark} {line}", at_micros / 1_000, at_micros % 1_000));
    }

    /// We have sent this; `lost` says whether the network drops it.
    #[track_caller]
    pub(crate) fn sent(&mut self, at_micros: u64, bytes: &[u8], lost: bool) {
        self.tell(at_micros, if lost { 'x' } else { ' ' }, bytes);
        if let Err(complaint) = self.judge(bytes) {
            panic!("{complaint}:\n{}", self.story());
        }
    }

    /// The peer's packet reaches us.
    pub(crate) fn received(&mut self, at_micros: u64, bytes: &[u8], lost: bool) {
        self.tell(at_micros, if lost { 'x' } else { ' ' }, bytes);
        if lost {
            return;
        }
        let read = match read(bytes) {
            Ok(read) => read,
            Err(complaint) => panic!("the peer sent what cannot be read: {complaint}:\n{}", self.story()),
        };
        self.tally.peer_packets += 1;
        self.tally.peer_resets += u64::from(read.rst);
        self.tally.peer_data_segments += u64::from(read.payload > 0);
        if read.syn {
            self.peer.syn = Some(read.options);
        }
        if !read.rst {
            note_highest(&mut self.peer, &read);
            note_edge(&mut self.peer, self.us.syn, &read);
        }
    }

    fn judge(&mut self, bytes: &[u8]) -> Result<(), String> {
        let read = read(bytes)?;
        if bytes.len() > self.mtu {
            return Err(format!("{} bytes for an MTU of {}", bytes.len(), self.mtu));
        }
        self.count(&read);
        if read.syn {
            if self.us.syn.is_some_and(|before| before != read.options) {
                return Err("a SYN that was sent again has other options".into());
            }
            self.us.syn = Some(read.options);
        } else if read.options
            != (SynOptions { timestamps: read.options.timestamps, ..SynOptions::default() })
        {
            return Err("options of a SYN on another segment".into());
        }
        if read.rst {
            return Ok(());
        }
        self.judge_options(&read)?;
        let edge_before = self.us.edge;
        note_edge(&mut self.us, self.peer.syn, &read);
        if let (Some(before), Some(now)) = (edge_before, right_edge(self.us.syn, self.peer.syn, &read)) {
            // Less than the unit of the field cannot be told (RFC 7323 §2.4).
            if before.distance(now) >= 1 << shift(self.us.syn, self.peer.syn) {
                return Err(format!("the window was taken back by {}", before.distance(now)));
            }
        }
        let end = read.seq + (read.payload as u32) + u32::from(read.fin);
        if let Some(edge) = self.peer.edge.filter(|edge| end.after(*edge)) {
            // A FIN takes no room.
            if end - 1 != edge || !read.fin {
                return Err(format!("{} bytes beyond the peer's window", end.distance(edge)));
            }
        }
        if let Some(highest) = self.peer.highest.filter(|highest| read.has_ack && read.ack.after(*highest)) {
            return Err(format!("acknowledges {} never received", read.ack.distance(highest)));
        }
        note_highest(&mut self.us, &read);
        Ok(())
    }

    fn judge_options(&self, read: &Read) -> Result<(), String> {
        let (Some(ours), Some(peers)) = (self.us.syn, self.peer.syn) else { return Ok(()) };
        if !read.syn && read.options.timestamps != (ours.timestamps && peers.timestamps) {
            return Err("timestamps are on all segments or on none (RFC 7323 §3.2)".into());
        }
        if read.sack_blocks > 0 && !(ours.sack && peers.sack) {
            return Err("SACK blocks that were not agreed on".into());
        }
        // RFC 6691: the MSS counts no options; RFC 9293 MUST-16: what we send does.
        let option_bytes = if read.options.timestamps { 12 } else { 0 };
        if read.payload + option_bytes > usize::from(peers.mss.unwrap_or(536)) {
            return Err(format!("{} bytes of data for an MSS of {:?}", read.payload, peers.mss));
        }
        Ok(())
    }

    fn count(&mut self, read: &Read) {
        let tally = &mut self.tally;
        tally.packets += 1;
        tally.data_segments += u64::from(read.payload > 0);
        tally.sack_blocks += read.sack_blocks as u64;
        tally.resets += u64::from(read.rst);
        tally.fins += u64::from(read.fin);
        tally.bare_acks += u64::from(read.payload == 0 && !read.syn && !read.fin && !read.rst);
        let again = self.us.highest.is_some_and(|highest| read.seq.before(highest));
        tally.retransmissions += u64::from(again && read.payload > 0);
        if !read.syn && !read.rst {
            let window = u32::from(read.window) << shift(self.us.syn, self.peer.syn);
            tally.least_window = Some(tally.least_window.map_or(window, |least| least.min(window)));
            tally.greatest_window = tally.greatest_window.max(window);
        }
    }
}

fn shift(sender: Option<SynOptions>, receiver: Option<SynOptions>) -> u8 {
    match (sender.and_then(|syn| syn.window_scale), receiver.and_then(|syn| syn.window_scale)) {
        (Some(shift), Some(_)) => shift,
        _ => 0,
    }
}

fn right_edge(sender: Option<SynOptions>, receiver: Option<SynOptions>, read: &Read) -> Option<SeqNumber> {
    let shift = if read.syn { 0 } else { shift(sender, receiver) };
    read.has_ack.then(|| read.ack + (u32::from(read.window) << shift))
}

fn note_edge(sender: &mut Side, receiver: Option<SynOptions>, read: &Read) {
    if let Some(edge) = right_edge(sender.syn, receiver, read) {
        sender.edge = Some(sender.edge.map_or(edge, |before| before.max(edge)));
    }
}

fn note_highest(sender: &mut Side, read: &Read) {
    let end = read.seq + (read.payload as u32) + u32::from(read.fin) + u32::from(read.syn);
    sender.highest = Some(sender.highest.map_or(end, |before| before.max(end)));
}

/// The packet as etherparse reads it, with both checksums computed anew.
fn read(bytes: &[u8]) -> Result<Read, String> {
    let packet = SlicedPacket::from_ip(bytes).map_err(|error| format!("etherparse: {error}"))?;
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { return Err("not TCP".into()) };
    let (length, checksum) = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header().to_header();
            if header.calc_header_checksum() != header.header_checksum {
                return Err("the checksum of the IPv4 header is wrong".into());
            }
            (usize::from(header.total_len), tcp.calc_checksum_ipv4(header.source, header.destination))
        }
        Some(NetSlice::Ipv6(ip)) => {
            let header = ip.header().to_header();
            let length = 40 + usize::from(header.payload_length);
            (length, tcp.calc_checksum_ipv6(header.source, header.destination))
        }
        _ => return Err("neither IPv4 nor IPv6".into()),
    };
    if length != bytes.len() {
        return Err(format!("{} bytes, of which the IP header says {length}", bytes.len()));
    }
    // Both zeros of ones' complement are right (RFC 1624 §3): the kernel sends either.
    let normal = |sum: u16| if sum == 0xffff { 0 } else { sum };
    if checksum.ok().map(normal) != Some(normal(tcp.checksum())) {
        return Err("the TCP checksum is wrong".into());
    }
    // The four bits between the data offset and the flags (RFC 9293 §3.1); the last is AE.
    if tcp.header_slice()[12] & 0x0f != 0 {
        return Err("reserved bits are set".into());
    }
    let mut read = Read {
        seq: SeqNumber(tcp.sequence_number()),
        ack: SeqNumber(tcp.acknowledgment_number()),
        window: tcp.window_size(),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        has_ack: tcp.ack(),
        payload: tcp.payload().len(),
        options: SynOptions::default(),
        sack_blocks: 0,
    };
    for option in tcp.options_iterator() {
        match option.map_err(|error| format!("etherparse: {error}"))? {
            TcpOptionElement::Noop => {}
            TcpOptionElement::MaximumSegmentSize(mss) => read.options.mss = Some(mss),
            TcpOptionElement::WindowScale(shift) => read.options.window_scale = Some(shift),
            TcpOptionElement::SelectiveAcknowledgementPermitted => read.options.sack = true,
            TcpOptionElement::SelectiveAcknowledgement(_, rest) => {
                read.sack_blocks = 1 + rest.iter().flatten().count();
            }
            TcpOptionElement::Timestamp(..) => read.options.timestamps = true,
        }
    }
    Ok(read)
}

/// The same address with another port.
pub(crate) fn socket(ip: &str, port: u16) -> SocketAddr {
    let ip: IpAddr = ip.parse().expect("an address");
    SocketAddr::new(ip, port)
}
