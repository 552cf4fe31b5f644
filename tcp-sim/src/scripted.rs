//! One connection under test against a peer that a test plays by hand, segment by segment.
//!
//! Segments are written as lines of text, as [`tcp_core::wire`] prints them; the grammar stands at
//! [`SegmentText`]. In a line:
//!
//! * What is expected is a pattern: only what it says is compared. `[.] ack 106` agrees with any
//!   bare acknowledgement of 106, whatever its window and options. Options are compared as a whole.
//! * What the peer sends has a window of [`PEER_WINDOW`], 20000, if `win` is left out.
//! * `seq 101:106` is half open: the five bytes from 101 to 105; the next byte is 106.
//!
//! Sequence numbers in the lines are *nominal*: our initial sequence number is 100, the peer's 5000. On the wire they
//! are shifted by [`Numbers`], so that the same script runs with the wrap of the sequence space
//! anywhere: [`every_wrap`] does that.
//!
//! ```
//! use tcp_core::{ConnConfig, Duration};
//! use tcp_sim::scripted::{Scripted, every_wrap};
//!
//! every_wrap(|numbers| {
//!     let mut test = Scripted::established(ConnConfig::default(), numbers);
//!     test.write(b"hello");
//!     test.expect("[P.] seq 101:106 ack 5001 len 5");
//!     test.inject("[.] seq 5001 ack 106");
//!     test.inject("[F.] seq 5001 ack 106");
//!     test.expect_none();
//!     test.advance(Duration::from_millis(40));
//!     test.expect("[.] seq 106 ack 5002");
//! });
//! ```

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tcp_core::wire::{Flags, IcmpKind, IpHeader, Segment, SegmentText, TcpPacket};
use tcp_core::{
    BufferLimit, CloseReason, ConnConfig, ConnStats, Connection, Disposition, Duration, Event, Framing,
    Instant, ReadError, Rx, RxMeta, Seed, SendReason, SeqNumber, SeqRange, State, TxCaps,
};

/// Our nominal initial sequence number.
pub const ISS: u32 = 100;
/// The peer's nominal initial sequence number.
pub const IRS: u32 = 5_000;
/// The window of the peer's segments whose line names none.
pub const PEER_WINDOW: u16 = 20_000;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const REMOTE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
/// Who sends ICMP errors.
const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));
const LOCAL_PORT: u16 = 40_001;
const REMOTE_PORT: u16 = 80;

/// How far the sequence numbers on the wire are from those in the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Numbers {
    /// Added to our sequence numbers.
    pub local: u32,
    /// Added to the peer's.
    pub remote: u32,
}

impl Numbers {
    /// The wrap of both sequence spaces falls `offset` numbers behind the initial ones.
    #[must_use]
    pub fn wrap_after(offset: u32) -> Self {
        Self { local: 0u32.wrapping_sub(ISS + offset), remote: 0u32.wrapping_sub(IRS + offset) }
    }

    fn opposite_sign(self) -> Self {
        Self { local: self.local.wrapping_add(1 << 31), remote: self.remote.wrapping_add(1 << 31) }
    }
}

/// Runs a script with the wrap of the sequence space, and the change of its sign, at every place
/// that matters: inside the handshake, data, SACK blocks and FINs of the usual lengths.
pub fn every_wrap(script: impl Fn(Numbers)) {
    script(Numbers::default());
    const OFFSETS: [u32; 26] = [
        0, 1, 2, 3, 6, 7, 50, 101, 102, 201, 301, 302, 401, 501, 502, 601, 1_000, 1_001, 1_002, 1_501, 2_001,
        2_002, 3_001, 4_001, 7_501, 10_001,
    ];
    for offset in OFFSETS {
        let numbers = Numbers::wrap_after(offset);
        script(numbers);
        script(numbers.opposite_sign());
    }
}

/// The byte that stands at a nominal sequence number of the peer's stream.
#[must_use]
pub fn peer_byte(seq: u32) -> u8 {
    (seq.wrapping_mul(31) % 251) as u8
}

/// The bytes from one nominal sequence number of the peer's stream to another.
#[must_use]
pub fn peer_bytes(start: u32, end: u32) -> Vec<u8> {
    (start..end).map(peer_byte).collect()
}

/// A segment that the connection sent.
#[derive(Clone, Debug)]
pub struct SentSegment {
    /// When.
    pub at: Instant,
    /// Why.
    pub reason: SendReason,
    /// With nominal numbers, as text.
    pub line: String,
    /// As it stood on the wire, from the source port on.
    pub bytes: Vec<u8>,
}

/// A connection under test.
#[derive(Debug)]
pub struct Scripted {
    /// The connection.
    pub connection: Connection,
    /// The present.
    pub now: Instant,
    /// What the device can do.
    pub caps: TxCaps,
    numbers: Numbers,
    sent: VecDeque<SentSegment>,
    events: Event,
}

/// The configuration that scripts assume unless they say otherwise: MSS 1000, no options but MSS,
/// a receive buffer of 10,000 bytes, delayed ACKs from the first segment on.
#[must_use]
pub fn plain_config() -> ConnConfig {
    let mut config = ConnConfig::default();
    config.mtu = 1_040;
    config.receive_buffer = BufferLimit::fixed(10_000);
    config.send_buffer = BufferLimit::fixed(1 << 20);
    config.window_scaling = false;
    config.sack = false;
    config.timestamps = false;
    config.ack.quick = 0;
    config
}

impl Scripted {
    /// An active open: the SYN is the first thing sent.
    #[must_use]
    pub fn connecting(config: ConnConfig, numbers: Numbers) -> Self {
        Self::connecting_to(SocketAddr::new(REMOTE, REMOTE_PORT), config, numbers)
    }

    /// An active open to itself: what it sends can be given back with [`echo`](Self::echo).
    #[must_use]
    pub fn connecting_to_itself(config: ConnConfig, numbers: Numbers) -> Self {
        Self::connecting_to(SocketAddr::new(LOCAL, LOCAL_PORT), config, numbers)
    }

    fn connecting_to(remote: SocketAddr, config: ConnConfig, numbers: Numbers) -> Self {
        let local = SocketAddr::new(LOCAL, LOCAL_PORT);
        let now = start();
        let connection =
            Connection::connect(now, local, remote, with_numbers(config, numbers), &Seed::for_test(1));
        Self::new(connection.expect("the configuration of a script works"), numbers)
    }

    /// A passive open: it waits for a SYN.
    #[must_use]
    pub fn listening(config: ConnConfig, numbers: Numbers) -> Self {
        let local = SocketAddr::new(LOCAL, LOCAL_PORT);
        let connection =
            Connection::listen(start(), local, with_numbers(config, numbers), &Seed::for_test(1));
        Self::new(connection.expect("the configuration of a script works"), numbers)
    }

    /// A connection that was opened actively: ISS 100, IRS 5000, SND.WND 20000, peer MSS 1000, and
    /// all options that `config` offers. Nothing is pending.
    #[must_use]
    pub fn established(config: ConnConfig, numbers: Numbers) -> Self {
        Self::established_with(config, numbers, "")
    }

    /// As [`established`](Self::established), with further options of the peer's SYN-ACK, such as
    /// `,sackOK,TS 1000 0,wscale 3`.
    #[must_use]
    pub fn established_with(config: ConnConfig, numbers: Numbers, options: &str) -> Self {
        let mut test = Self::connecting(config, numbers);
        test.expect("[S] seq 100");
        test.inject(&format!("[S.] seq 5000 ack 101 <mss 1000{options}>"));
        test.expect("[.] seq 101 ack 5001");
        test.expect_none();
        assert_eq!(test.take_events(), Event::CONNECTED);
        test
    }

    fn new(connection: Connection, numbers: Numbers) -> Self {
        let mut caps = TxCaps::default();
        caps.framing = Framing::Segment;
        let mut test =
            Self { connection, now: start(), caps, numbers, sent: VecDeque::new(), events: Event::NONE };
        test.drain();
        test
    }

    // The peer.

    /// The peer sends a segment. `win` may be left out; the data of `len` is [`peer_bytes`].
    ///
    /// # Panics
    /// If the line cannot be read.
    pub fn inject(&mut self, line: &str) -> Disposition {
        let disposition = self.hand_in(line);
        self.drain();
        disposition
    }

    /// The peer's segments arrive as one batch, before anything can be sent.
    pub fn inject_all(&mut self, lines: &[&str]) {
        for line in lines {
            self.hand_in(line);
        }
        self.drain();
    }

    /// Raw bytes arrive as a segment, from the peer's address.
    pub fn inject_bytes(&mut self, bytes: &[u8]) -> Disposition {
        let meta = RxMeta::new(REMOTE, LOCAL);
        let disposition = self.connection.handle_segment(self.now, &meta, Rx::new(bytes));
        self.drain();
        disposition
    }

    /// What was sent first and has not been looked at comes back, as if the peer had sent it.
    ///
    /// # Panics
    /// If nothing was sent.
    pub fn echo(&mut self) -> Disposition {
        let sent = self.sent.pop_front().expect("something was sent");
        let meta = RxMeta::new(LOCAL, LOCAL);
        let disposition = self.connection.handle_segment(self.now, &meta, Rx::new(&sent.bytes));
        self.drain();
        disposition
    }

    /// A router says something about the segment of ours that had the nominal number `seq`.
    ///
    /// # Panics
    /// If ICMP for IPv4 cannot say it.
    pub fn inject_icmp(&mut self, kind: IcmpKind, seq: u32) -> Disposition {
        let bytes = self.icmp_packet(kind, seq);
        let disposition = self.connection.handle_packet(self.now, Rx::new(&bytes));
        self.drain();
        disposition
    }

    /// The packet of [`inject_icmp`](Self::inject_icmp).
    ///
    /// # Panics
    /// If ICMP for IPv4 cannot say it.
    #[must_use]
    pub fn icmp_packet(&self, kind: IcmpKind, seq: u32) -> Vec<u8> {
        let segment = Segment {
            src_port: LOCAL_PORT,
            dst_port: REMOTE_PORT,
            seq: SeqNumber(seq) + self.numbers.local,
            flags: Flags::ACK,
            ..Segment::default()
        };
        let packet = TcpPacket { ip: IpHeader::new(LOCAL, REMOTE), segment };
        let mut quoted = vec![0; packet.len()];
        packet.emit(&mut quoted).expect("it fits");
        let mut bytes = vec![0; 576];
        let length = kind.emit(&IpHeader::new(ROUTER, LOCAL), &quoted, &mut bytes).expect("IPv4 can say it");
        bytes.truncate(length);
        bytes
    }

    fn hand_in(&mut self, line: &str) -> Disposition {
        let bytes = self.peer_segment(line);
        let meta = RxMeta::new(REMOTE, LOCAL);
        self.connection.handle_segment(self.now, &meta, Rx::new(&bytes))
    }

    /// The bytes of the peer's segment that a line describes, with the numbers of the wire.
    ///
    /// # Panics
    /// If the line cannot be read.
    #[must_use]
    pub fn peer_segment(&self, line: &str) -> Vec<u8> {
        let mut text: SegmentText =
            with_window(line).parse().unwrap_or_else(|error| panic!("`{line}` cannot be read: {error}"));
        let nominal = text.seq.0 + u32::from(text.flags.syn());
        text.payload = peer_bytes(nominal, nominal + text.payload.len() as u32);
        let Numbers { local, remote } = self.numbers;
        let mut segment = text.segment();
        let raw_options = text.option_bytes().to_vec();
        segment.src_port = if segment.src_port == 0 { REMOTE_PORT } else { segment.src_port };
        segment.dst_port = if segment.dst_port == 0 { LOCAL_PORT } else { segment.dst_port };
        segment.seq += remote;
        if segment.flags.ack() {
            segment.ack += local;
        }
        shift_sacks(&mut segment, local);
        let mut shifted = text.clone();
        (shifted.src_port, shifted.dst_port) = (segment.src_port, segment.dst_port);
        (shifted.seq, shifted.ack) = (segment.seq, segment.ack);
        shifted.addresses = Some((REMOTE, LOCAL));
        if text.segment().options.sack.is_empty() {
            debug_assert_eq!(raw_options, shifted.option_bytes());
            return shifted.to_bytes();
        }
        let mut bytes = vec![0; segment.header_len() + segment.payload.len()];
        segment.emit(&mut bytes);
        tcp_core::wire::checksum::fill_tcp(REMOTE, LOCAL, &mut bytes);
        bytes
    }

    // Time.

    /// Time passes; timers fire when they are due, and what they send is kept with its time.
    pub fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(due) = self.connection.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.connection.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
        self.connection.handle_timeout(end);
        self.drain();
    }

    /// Milliseconds since the script began.
    #[must_use]
    pub fn elapsed(&self) -> u64 {
        (self.now - start()).as_millis()
    }

    /// Takes what has been sent, and events.
    pub fn drain(&mut self) {
        let mut buf = vec![0; 65_535];
        self.note_events();
        while let Some(transmit) = self.connection.poll_transmit(self.now, &self.caps, &mut buf) {
            let bytes = buf[..transmit.len].to_vec();
            let line = self.nominal(&bytes, transmit.reason);
            self.sent.push_back(SentSegment { at: self.now, reason: transmit.reason, line, bytes });
        }
        self.note_events();
    }

    fn note_events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            self.events |= event;
        }
    }

    /// A segment of ours as text, with nominal numbers.
    fn nominal(&self, bytes: &[u8], reason: SendReason) -> String {
        nominal_line(bytes, reason, self.numbers).1
    }

    // Looking.

    /// The next segment sent, which must agree with the line in all that the line says.
    ///
    /// # Panics
    /// If it does not, or nothing was sent.
    #[track_caller]
    pub fn expect(&mut self, line: &str) -> SentSegment {
        let Some(sent) = self.sent.pop_front() else {
            panic!("expected `{line}`, but nothing was sent\n{}", self.describe());
        };
        if let Err(difference) = agrees(&sent.line, line) {
            panic!("expected `{line}`, sent `{}`: {difference}\n{}", sent.line, self.describe());
        }
        sent
    }

    /// As [`expect`](Self::expect), sent `millis` after the script's beginning.
    ///
    /// # Panics
    /// If it was not.
    #[track_caller]
    pub fn expect_at(&mut self, millis: u64, line: &str) -> SentSegment {
        let sent = self.expect(line);
        assert_eq!((sent.at - start()).as_millis(), millis, "`{}` came at another time", sent.line);
        sent
    }

    /// Nothing was sent.
    ///
    /// # Panics
    /// If something was.
    #[track_caller]
    pub fn expect_none(&mut self) {
        if let Some(sent) = self.sent.front() {
            panic!(
                "nothing should be sent, but `{}` was ({:?})\n{}",
                sent.line,
                sent.reason,
                self.describe()
            );
        }
    }

    /// Whether anything was sent and not looked at.
    #[must_use]
    pub fn has_sent(&self) -> bool {
        !self.sent.is_empty()
    }

    /// Everything sent and not looked at.
    pub fn take_sent(&mut self) -> Vec<SentSegment> {
        self.sent.drain(..).collect()
    }

    /// The events since the last call.
    pub fn take_events(&mut self) -> Event {
        core::mem::take(&mut self.events)
    }

    /// The state of the connection.
    #[must_use]
    pub fn state(&self) -> State {
        self.connection.state()
    }

    /// The statistics of the connection.
    ///
    /// # Panics
    /// If there is none yet.
    #[must_use]
    pub fn stats(&self) -> ConnStats {
        self.connection.stats().expect("there is a connection")
    }

    /// Why the connection has ended.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.connection.close_reason()
    }

    fn describe(&self) -> String {
        format!(
            "at {} ms in {} with {:?}; {:?}",
            self.elapsed(),
            self.state(),
            self.numbers,
            self.connection.stats()
        )
    }

    // The application.

    /// Writes all of `data`.
    ///
    /// # Panics
    /// If there is no room for it.
    #[track_caller]
    pub fn write(&mut self, data: &[u8]) {
        assert_eq!(self.connection.write(self.now, data), Ok(data.len()));
        self.drain();
    }

    /// Writes `length` bytes that tell their place in the stream.
    ///
    /// # Panics
    /// If there is no room for them.
    #[track_caller]
    pub fn write_len(&mut self, length: usize) {
        let data: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
        self.write(&data);
    }

    /// Reads up to `length` bytes.
    ///
    /// # Errors
    /// As [`Connection::read`].
    pub fn read(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        let mut data = vec![0; length];
        let result = self.connection.read(self.now, &mut data);
        self.drain();
        result.map(|read| data[..read].to_vec())
    }

    /// Reads the peer's stream from one nominal sequence number to another, and no more.
    ///
    /// # Panics
    /// If that is not what can be read.
    #[track_caller]
    pub fn expect_data(&mut self, start: u32, end: u32) {
        let mut data = Vec::new();
        while data.len() < (end - start) as usize {
            match self.read((end - start) as usize - data.len()) {
                Ok(piece) if piece.is_empty() => break,
                Ok(piece) => data.extend(piece),
                Err(error) => {
                    panic!("after {} of {} bytes: {error:?}\n{}", data.len(), end - start, self.describe())
                }
            }
        }
        assert_eq!(data, peer_bytes(start, end));
    }

    /// Closes.
    pub fn close(&mut self) {
        self.connection.close(self.now);
        self.drain();
    }

    /// Shuts the sending side.
    pub fn shutdown_write(&mut self) {
        self.connection.shutdown_write(self.now);
        self.drain();
    }

    /// Aborts.
    pub fn abort(&mut self) {
        self.connection.abort(self.now);
        self.drain();
    }
}

/// A segment with nominal numbers, and as text; `numbers.local` are those of its sender.
pub(crate) fn nominal_line(bytes: &[u8], reason: SendReason, numbers: Numbers) -> (Segment<'_>, String) {
    let mut segment = Segment::parse(bytes).expect("what we send can be parsed");
    let Numbers { local, remote } = numbers;
    if reason == SendReason::Refuse && segment.flags.ack() {
        // A RST for nothing stands at zero, not in our sequence space.
    } else {
        segment.seq = segment.seq - local;
    }
    if segment.flags.ack() {
        segment.ack = segment.ack - remote;
    }
    shift_sacks(&mut segment, 0u32.wrapping_sub(remote));
    let line = segment.to_string();
    (segment, line)
}

/// Scripts begin at a time that is not zero, so that nothing hangs on zero.
pub(crate) fn start() -> Instant {
    Instant::from_secs(1_000)
}

fn with_numbers(mut config: ConnConfig, numbers: Numbers) -> ConnConfig {
    config.replay.initial_sequence = Some(SeqNumber(ISS) + numbers.local);
    config.replay.timestamp_offset.get_or_insert(0);
    config
}

fn with_window(line: &str) -> String {
    if line.contains(" win ") {
        return line.to_owned();
    }
    let at = [" urg ", " <", " len "].iter().filter_map(|word| line.find(word)).min().unwrap_or(line.len());
    format!("{} win {PEER_WINDOW}{}", &line[..at], &line[at..])
}

fn shift_sacks(segment: &mut Segment<'_>, by: u32) {
    segment.options.sack =
        segment.options.sack.iter().map(|block| SeqRange::new(block.start + by, block.end + by)).collect();
}

/// Whether a line agrees with a pattern in all that the pattern says.
pub(crate) fn agrees(line: &str, pattern: &str) -> Result<(), String> {
    let actual = Parts::of(line);
    let wanted = Parts::of(pattern);
    let pairs = [
        ("flags", actual.flags, wanted.flags),
        ("seq", actual.seq, wanted.seq),
        ("end of seq", actual.end, wanted.end),
        ("ack", actual.ack, wanted.ack),
        ("win", actual.win, wanted.win),
        ("urg", actual.urg, wanted.urg),
        ("options", actual.options, wanted.options),
        ("len", actual.len, wanted.len),
    ];
    for (name, actual, wanted) in pairs {
        if wanted.is_some() && wanted != actual {
            return Err(format!("{name} is {}", actual.unwrap_or("not there")));
        }
    }
    Ok(())
}

/// The words of a line.
#[derive(Default)]
struct Parts<'a> {
    flags: Option<&'a str>,
    seq: Option<&'a str>,
    end: Option<&'a str>,
    ack: Option<&'a str>,
    win: Option<&'a str>,
    urg: Option<&'a str>,
    options: Option<&'a str>,
    len: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(line: &'a str) -> Self {
        let mut parts = Self::default();
        let mut rest = line;
        if let (Some(open), Some(close)) = (line.find('<'), line.find('>')) {
            parts.options = Some(&line[open..=close]);
            parts.words(&line[close + 1..]);
            rest = &line[..open];
        }
        parts.words(rest);
        parts
    }

    fn words(&mut self, text: &'a str) {
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            match word {
                "seq" => {
                    let range = words.next().unwrap_or_default();
                    match range.split_once(':') {
                        Some((start, end)) => (self.seq, self.end) = (Some(start), Some(end)),
                        None => self.seq = Some(range),
                    }
                }
                "ack" => self.ack = words.next(),
                "win" => self.win = words.next(),
                "urg" => self.urg = words.next(),
                "len" => self.len = words.next(),
                flags => self.flags = Some(flags),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_compared_in_what_it_says() {
        let line = "[P.] seq 101:201 ack 5001 win 502 <TS 5 6> len 100";
        for pattern in ["[P.]", "[P.] seq 101", "seq 101:201", "ack 5001 len 100", "<TS 5 6>"] {
            assert_eq!(agrees(line, pattern), Ok(()), "{pattern}");
        }
        for pattern in ["[.]", "seq 102", "seq 101:202", "ack 5002", "len 99", "<TS 5 7>", "urg 1"] {
            assert!(agrees(line, pattern).is_err(), "{pattern}");
        }
    }
}
