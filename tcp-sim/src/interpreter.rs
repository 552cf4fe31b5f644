//! Two connections and the packets between them, driven step by step in any order whatever.

use std::collections::VecDeque;
use std::fmt::Write as _;

use bytes::Bytes;
use tcp_core::wire::{Flags, TcpPacket};
use tcp_core::{
    BufferLimit, CloseReason, ConnConfig, Connection, Duration, Instant, Keepalive, Linger, ReadError,
    Retries, RxChecksum, Seed, State, TxCaps, WriteError,
};

use crate::network::flip_bit;
use crate::oracle::{Violation, WireOracle, check_connection, memory_limit};
use crate::{Digest, NetworkConfig, Op, Random, Side, Stream, offload};

/// Two connections, and what is under way between them.
///
/// Nothing happens by itself: each [`Op`] is one call, one packet or one moment. After each, what
/// must hold is checked: the properties P1 to P4, the wire, the streams. [`finish`](Self::finish)
/// then lets the network deliver everything, and checks how it ends.
///
/// ```
/// use tcp_sim::{Interpreter, Op, Random};
///
/// let mut random = Random::new(1);
/// let mut interpreter = Interpreter::new(1);
/// for _ in 0..200 {
///     interpreter.apply(Op::random(&mut random))?;
/// }
/// interpreter.finish()?;
/// # Ok::<(), tcp_sim::Violation>(())
/// ```
#[derive(Debug)]
pub struct Interpreter {
    ends: [End; 2],
    now: Instant,
    oracle: WireOracle,
    memory_limits: [u64; 2],
    digest: Digest,
    /// Why the streams need not arrive whole, if so.
    excuse: Option<&'static str>,
    /// Someone has forged a segment: only what holds of one end by itself is checked.
    forged: bool,
}

#[derive(Debug)]
struct End {
    connection: Connection,
    /// What is under way to it, and since when.
    arriving: VecDeque<(Instant, Vec<u8>)>,
    /// The last packet it has sent.
    last_sent: Vec<u8>,
    says: Stream,
    hears: Stream,
    written: u64,
    read: u64,
    at_end: bool,
    read_shut: bool,
}

/// Packets under way to one end; what is sent beyond is lost.
const MAX_UNDER_WAY: usize = 1_000;
/// How often a stream may fill the peer's window.
const MAX_WINDOWS: u64 = 1_000;
/// Who does nothing for so long may find that its peer has given up.
const LONG: Duration = Duration::from_secs(60);
/// No packet is under way for longer: TCP relies on it (MSL, RFC 9293 §3.4.2).
const MAX_LIFETIME: Duration = Duration::from_secs(120);

impl Interpreter {
    /// Two connections whose configuration, secrets and streams follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let configs = [config(&mut random), config(&mut random)];
        let memory_limits = [memory_limit(&configs[0]), memory_limit(&configs[1])];
        let mtu = [usize::from(configs[0].mtu), usize::from(configs[1].mtu)];
        let addresses =
            NetworkConfig { ipv6: random.chance(300_000), ..NetworkConfig::default() }.addresses();
        let streams = [Stream(random.next_u64()), Stream(random.next_u64())];
        let both_connect = random.chance(100_000);
        let now = Instant::from_secs(random.below(1_000));
        let [here, there] = configs;
        let left = Connection::connect(now, addresses[0], addresses[1], here, &Seed::for_test(seed));
        let secret = Seed::for_test(!seed);
        let right = if both_connect {
            Connection::connect(now, addresses[1], addresses[0], there, &secret)
        } else {
            Connection::listen(now, addresses[1], there, &secret)
        };
        let end = |connection: Result<Connection, _>, says, hears| End {
            // The configurations are drawn from those that work.
            connection: connection.expect("a configuration that works"),
            arriving: VecDeque::new(),
            last_sent: Vec::new(),
            says,
            hears,
            written: 0,
            read: 0,
            at_end: false,
            read_shut: false,
        };
        Self {
            ends: [end(left, streams[0], streams[1]), end(right, streams[1], streams[0])],
            now,
            oracle: WireOracle::new(mtu),
            memory_limits,
            digest: Digest::default(),
            excuse: None,
            forged: false,
        }
    }

    /// Builds the pair that `seed` stands for, applies all of `ops`, and finishes. Gives the digest
    /// of all outputs.
    ///
    /// # Errors
    /// If something happens that must not.
    pub fn run(seed: u64, ops: &[Op]) -> Result<u64, Violation> {
        let mut interpreter = Self::new(seed);
        for op in ops {
            interpreter.apply(*op)?;
        }
        interpreter.finish()?;
        Ok(interpreter.digest())
    }

    /// A number that is the same for two runs with the same outputs.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest.value()
    }

    /// One of the connections.
    #[must_use]
    pub fn connection(&self, side: Side) -> &Connection {
        &self.ends[side.index()].connection
    }

    /// Why the streams need not have arrived whole, if so.
    #[must_use]
    pub fn excuse(&self) -> Option<&'static str> {
        self.excuse
    }

    /// Does one step.
    ///
    /// # Errors
    /// If something happens that must not.
    pub fn apply(&mut self, op: Op) -> Result<(), Violation> {
        match op {
            Op::Write(..) | Op::WriteMore(..) | Op::WriteBytes(..) | Op::WriteUrgent(..) => self.write(op),
            Op::Read(side, size) | Op::ReadBytes(side, size) | Op::ReadWith(side, size) => {
                self.read(side, size, op)?;
            }
            Op::Peek(side, size) => self.peek(side, size)?,
            Op::PollEvent(side) => self.poll_event(side),
            Op::Transmit(side, most) => self.transmit(side, most, 1, 65_535)?,
            Op::TransmitSuper(side, segments) => self.transmit(side, 4, segments, 65_535)?,
            Op::TransmitShort(side, room) => self.transmit(side, 4, 1, room)?,
            Op::Advance(time) => self.pass_time(self.now + time),
            Op::AdvanceToTimeout(side) => self.advance_to_timeout(side)?,
            Op::Timeout(side) => self.timeout(side)?,
            Op::Deliver(side, which) => {
                if let Some((_, packet)) = self.take(side, which) {
                    self.deliver(side, &packet);
                }
            }
            Op::DeliverAll(side) => {
                while let Some((_, packet)) = self.ends[side.index()].arriving.pop_front() {
                    self.deliver(side, &packet);
                }
            }
            Op::DeliverMerged(side) => self.deliver_merged(side),
            Op::Lose(side, which) => drop(self.take(side, which)),
            Op::Duplicate(side, which) => {
                if let Some(packet) = self.take(side, which) {
                    self.put(side, packet.clone());
                    self.put(side, packet);
                }
            }
            Op::Delay(side, which) => {
                if let Some(packet) = self.take(side, which) {
                    self.put(side, packet);
                }
            }
            Op::Corrupt(side, bit) => {
                if let Some((since, mut packet)) = self.take(side, bit) {
                    // Once only: two bits that flip in the same column pass the checksum.
                    if TcpPacket::parse(&packet, RxChecksum::Verify).is_ok() {
                        let bits = packet.len() as u64 * 8;
                        flip_bit(&mut packet, bit as u64 * 7 % bits.max(1));
                    }
                    self.put(side, (since, packet));
                }
            }
            Op::Noise(side, number) => self.noise(side, number),
            Op::Forge(side, number) => self.forge(side, number),
            _ => self.command(op),
        }
        Side::BOTH.into_iter().try_for_each(|side| self.check(side))
    }

    /// Lets the network deliver everything from now on, and both ends read to the end and close.
    ///
    /// # Errors
    /// If something happens that must not, or nothing that must.
    pub fn finish(&mut self) -> Result<(), Violation> {
        // Whom a forged segment has put out of step with its peer tries for ever, if told so.
        for _ in 0..if self.forged { 200 } else { 20_000 } {
            for side in Side::BOTH {
                self.apply(Op::DeliverAll(side))?;
                self.apply(Op::PollEvent(side))?;
                // A read stops at the urgent mark.
                for _ in 0..3 {
                    self.apply(Op::Read(side, 1 << 20))?;
                }
                self.apply(Op::Uncork(side))?;
                self.apply(Op::ShutdownWrite(side))?;
                let end = &self.ends[side.index()];
                let ended = end.connection.close_reason().is_some();
                let unread = end.connection.stats().is_some_and(|stats| stats.readable > 0);
                if (end.at_end || ended) && !unread {
                    self.apply(Op::Close(side))?;
                }
                self.apply(Op::Transmit(side, 100))?;
            }
            if Side::BOTH.iter().any(|side| !self.ends[side.index()].arriving.is_empty()) {
                continue;
            }
            let next = Side::BOTH
                .into_iter()
                .filter_map(|side| self.ends[side.index()].connection.poll_timeout().map(|at| (at, side)));
            match next.min_by_key(|(at, _)| *at) {
                Some((_, side)) => self.apply(Op::AdvanceToTimeout(side))?,
                None => return self.check_end(),
            }
        }
        if self.forged { Ok(()) } else { Err(self.violation(Side::Left, "does not come to an end")) }
    }

    fn check_end(&mut self) -> Result<(), Violation> {
        for side in Side::BOTH {
            let end = &self.ends[side.index()];
            let (state, memory) = (end.connection.state(), end.connection.memory());
            // Who hears nothing more of a peer that gave up, and has nothing to send, waits for ever.
            let peer = self.ends[side.other().index()].connection.close_reason();
            let abandoned = peer.is_some_and(|reason| reason != CloseReason::Finished);
            let waits = state == State::Listen || abandoned;
            if state != State::Closed && !waits && !self.forged {
                return Err(self.violation(side, format!("has no timer, and stays in {state}")));
            }
            if memory > 0 && state == State::Closed {
                return Err(self.violation(side, format!("is closed, and holds {memory} bytes")));
            }
            if self.excuse.is_some() || self.forged {
                continue;
            }
            let reason = end.connection.close_reason();
            if reason != Some(CloseReason::Finished) {
                return Err(self.violation(side, format!("ended with {reason:?}, without an excuse")));
            }
            let expected = self.ends[side.other().index()].written;
            if !end.read_shut && (end.read != expected || !end.at_end) {
                let what = format!("read {} of {expected} bytes, at end: {}", end.read, end.at_end);
                return Err(self.violation(side, what));
            }
        }
        Ok(())
    }

    // Commands.

    fn write(&mut self, op: Op) {
        let (side, size) = match op {
            Op::Write(side, size)
            | Op::WriteMore(side, size)
            | Op::WriteBytes(side, size)
            | Op::WriteUrgent(side, size) => (side, size),
            _ => return,
        };
        let now = self.now;
        // A window of a byte takes a round trip for each.
        let most = u64::from(self.connection(side.other()).config().receive_buffer.initial) * MAX_WINDOWS;
        let end = &mut self.ends[side.index()];
        let size = size.min(usize::try_from(most.saturating_sub(end.written)).unwrap_or(usize::MAX));
        let mut data = vec![0; size];
        end.says.fill(end.written, &mut data);
        let result = match op {
            Op::WriteMore(..) => end.connection.write_more(now, &data),
            Op::WriteUrgent(..) => end.connection.write_urgent(now, &data),
            Op::WriteBytes(..) => {
                let mut data = Bytes::from(data);
                let result = end.connection.write_bytes(now, &mut data);
                debug_assert_eq!(result.unwrap_or(0) + data.len(), size, "what is taken is taken off");
                result
            }
            _ => end.connection.write(now, &data),
        };
        let outcome = match result {
            Ok(taken) => taken as u64,
            Err(WriteError::Blocked) => u64::MAX,
            Err(WriteError::ShutDown) => u64::MAX - 1,
            Err(WriteError::Closed(reason)) => u64::MAX - 2 - reason as u64,
        };
        end.written += result.unwrap_or(0) as u64;
        self.digest.add_number(outcome);
    }

    fn read(&mut self, side: Side, size: usize, op: Op) -> Result<(), Violation> {
        let now = self.now;
        let end = &mut self.ends[side.index()];
        let result = match op {
            Op::ReadBytes(..) => end.connection.read_bytes(now, size).map(|bytes| bytes.to_vec()),
            Op::ReadWith(..) => {
                let mut data = Vec::new();
                let result = end.connection.read_with(now, |piece| {
                    let taken = piece.len().min(size.saturating_sub(data.len()));
                    data.extend_from_slice(&piece[..taken]);
                    taken
                });
                result.map(|_| data)
            }
            _ => {
                let mut data = vec![0; size.min(1 << 20)];
                end.connection.read(now, &mut data).map(|length| data[..length].to_vec())
            }
        };
        match result {
            Ok(data) if data.is_empty() => {
                // Nothing was asked for, or there will never be more.
                let nothing_left = end.connection.stats().is_none_or(|stats| stats.readable == 0);
                end.at_end |= size > 0 && nothing_left && !end.read_shut;
                self.digest.add_number(0);
            }
            Ok(data) => {
                self.digest.add(&data);
                let wrong = end.hears.first_difference(end.read, &data);
                end.read += data.len() as u64;
                if let Some(at) = wrong.filter(|_| !self.forged) {
                    return Err(self.violation(side, format!("byte {at} is not what was written")));
                }
            }
            Err(ReadError::Blocked) => self.digest.add_number(u64::MAX),
            Err(ReadError::Closed(reason)) => self.digest.add_number(u64::MAX - 1 - reason as u64),
        }
        Ok(())
    }

    fn peek(&mut self, side: Side, size: usize) -> Result<(), Violation> {
        let now = self.now;
        let end = &mut self.ends[side.index()];
        let mut data = vec![0; size];
        let Ok(length) = end.connection.peek(now, &mut data) else { return Ok(()) };
        let wrong = end.hears.first_difference(end.read, &data[..length]);
        match wrong.filter(|_| !self.forged) {
            Some(at) => Err(self.violation(side, format!("peeked at byte {at}, which was never written"))),
            None => Ok(()),
        }
    }

    fn command(&mut self, op: Op) {
        let now = self.now;
        match op {
            Op::ShutdownWrite(side) => {
                if matches!(
                    self.connection(side).state(),
                    State::SynSent | State::SynReceived | State::Listen
                ) {
                    self.excuse_with("closed before the connection was established");
                }
                self.ends[side.index()].connection.shutdown_write(now);
            }
            Op::ShutdownRead(side) => {
                self.ends[side.index()].connection.shutdown_read(now);
                self.ends[side.index()].read_shut = true;
            }
            Op::Close(side) => {
                if !self.ends[side.index()].at_end {
                    self.excuse_with("closed before the end of the stream");
                }
                self.ends[side.index()].connection.close(now);
                self.ends[side.index()].read_shut |= !self.ends[side.index()].at_end;
            }
            Op::Abort(side) => {
                self.excuse_with("aborted");
                self.ends[side.index()].connection.abort(now);
            }
            Op::Cork(side) => self.ends[side.index()].connection.cork(now),
            Op::Uncork(side) => self.ends[side.index()].connection.uncork(now),
            Op::QuickAck(side) => self.ends[side.index()].connection.quick_ack(now),
            Op::SetConfig(side, how) => self.set_config(side, how),
            _ => {}
        }
    }

    fn set_config(&mut self, side: Side, how: u8) {
        let mut config = self.connection(side).config().clone();
        let size = 1 + (u32::from(how) << 8);
        match how % 12 {
            0 => config.no_delay ^= true,
            1 => config.receive_buffer = BufferLimit { initial: size, max: size * 2 },
            2 => config.send_buffer = BufferLimit { initial: size, max: size * 2 },
            3 => config.unsent_low_water = config.unsent_low_water.is_none().then_some(size),
            4 => config.receive_low_water = if config.receive_low_water > 1 { 1 } else { size },
            5 => config.keepalive = config.keepalive.is_none().then(Keepalive::default),
            6 => {
                self.excuse_with("has a user timeout");
                config.user_timeout = Some(Duration::from_secs(1 + u64::from(how)));
            }
            7 => config.ack.quick = how,
            8 => config.cork_limit = Duration::from_millis(u64::from(how)),
            9 => config.report_soft_errors ^= true,
            10 => {
                self.excuse_with("lingers");
                config.linger = Linger::Timeout(Duration::from_millis(u64::from(how) * 10));
            }
            _ => config.max_segment_size = Some(48 + u16::from(how) * 4),
        }
        // What cannot work is refused, and changes nothing.
        let accepted = self.ends[side.index()].connection.set_config(self.now, config).is_ok();
        self.digest.add_number(u64::from(accepted));
    }

    // Outputs.

    fn poll_event(&mut self, side: Side) {
        while let Some(event) = self.ends[side.index()].connection.poll_event() {
            self.digest.add(format!("{event:?}").as_bytes());
        }
    }

    fn transmit(&mut self, side: Side, most: usize, segments: u16, room: usize) -> Result<(), Violation> {
        let mut buffer = vec![0; room];
        let mut caps = TxCaps::default();
        caps.max_segments = segments;
        for _ in 0..most {
            self.check_p1(side, &caps, room)?;
            let end = &mut self.ends[side.index()];
            let Some(sent) = end.connection.poll_transmit(self.now, &caps, &mut buffer) else { break };
            let packet = &buffer[..sent.len];
            self.digest.add_number(self.now.as_nanos());
            self.digest.add(packet);
            let packets = match sent.segment_size {
                Some(size) => offload::cut(packet, size),
                None => vec![packet.to_vec()],
            };
            for packet in packets {
                if !self.forged {
                    self.oracle.sent(self.now, side, &packet)?;
                }
                self.ends[side.index()].last_sent.clone_from(&packet);
                if self.ends[side.other().index()].arriving.len() < MAX_UNDER_WAY {
                    self.put(side.other(), (self.now, packet));
                }
            }
        }
        Ok(())
    }

    /// P1: sending raises no event.
    fn check_p1(&self, side: Side, caps: &TxCaps, room: usize) -> Result<(), Violation> {
        let mut copy = self.connection(side).clone();
        while copy.poll_event().is_some() {}
        let mut buffer = vec![0; room];
        copy.poll_transmit(self.now, caps, &mut buffer);
        let low_water = copy.config().unsent_low_water.is_some();
        match copy.poll_event() {
            Some(event) if !low_water || event != tcp_core::Event::WRITABLE => {
                Err(self.violation(side, format!("P1: sending raised {event:?}")))
            }
            _ => Ok(()),
        }
    }

    // Time.

    fn advance_to_timeout(&mut self, side: Side) -> Result<(), Violation> {
        let Some(at) = self.connection(side).poll_timeout() else { return Ok(()) };
        if at > self.now {
            // P3: it is never late, so that nothing is due a moment before. Packets that are still
            // to be sent would meanwhile be sent at another time.
            let before = Instant::from_nanos(at.as_nanos().saturating_sub(1));
            let mut early = self.connection(side).clone();
            early.handle_timeout(before);
            let mut untouched = self.connection(side).clone();
            self.compare(side, before.max(self.now), &mut early, &mut untouched, "P3: due too early")?;
            self.pass_time(at);
        }
        self.timeout(side)
    }

    fn timeout(&mut self, side: Side) -> Result<(), Violation> {
        let now = self.now;
        let due = self.connection(side).poll_timeout().filter(|at| *at <= now);
        let mut before = self.connection(side).clone();
        self.ends[side.index()].connection.handle_timeout(now);
        let mut once = self.connection(side).clone();
        let Some(due) = due else {
            return self.compare(side, now, &mut before, &mut once, "P4: an early timeout changed something");
        };
        let mut twice = once.clone();
        twice.handle_timeout(now);
        self.compare(side, now, &mut once, &mut twice, "P4: a repeated timeout changed something")?;
        let mut fired = self.connection(side).clone();
        let said = outputs(&mut fired, now);
        let next = fired.poll_timeout();
        if next.is_some_and(|next| next <= now) {
            return Err(self.violation(side, format!("P2: wants a timeout at {next:?} again")));
        }
        // P2 implies that the timeout has moved; that something else has, or that it has, is P3.
        if said.is_empty() && next == Some(due) {
            return Err(self.violation(side, "P3: a timeout did nothing"));
        }
        Ok(())
    }

    /// Both must say the same from now on.
    fn compare(
        &self,
        side: Side,
        now: Instant,
        one: &mut Connection,
        other: &mut Connection,
        what: &str,
    ) -> Result<(), Violation> {
        let digests = (one.digest(), other.digest());
        let timeouts = (one.poll_timeout(), other.poll_timeout());
        let (said, expected) = (outputs(one, now), outputs(other, now));
        if digests.0 == digests.1 && said == expected && timeouts.0 == timeouts.1 {
            return Ok(());
        }
        let what = format!("{what}: {digests:?}, timeouts {timeouts:?}\n{said}---\n{expected}");
        Err(self.violation(side, what))
    }

    // Packets.

    fn pass_time(&mut self, until: Instant) {
        let late = self.ends.iter().any(|end| {
            !end.arriving.is_empty() || end.connection.poll_timeout().is_some_and(|at| at < until)
        });
        if late && until - self.now >= LONG {
            self.excuse_with("time passed that no timer outlasts");
        }
        self.now = until;
        for end in &mut self.ends {
            end.arriving.retain(|(since, _)| until - *since <= MAX_LIFETIME);
        }
    }

    fn take(&mut self, to: Side, which: usize) -> Option<(Instant, Vec<u8>)> {
        let arriving = &mut self.ends[to.index()].arriving;
        let index = which.checked_rem(arriving.len())?;
        arriving.remove(index)
    }

    fn put(&mut self, to: Side, packet: (Instant, Vec<u8>)) {
        self.ends[to.index()].arriving.push_back(packet);
    }

    fn deliver(&mut self, to: Side, packet: &[u8]) {
        self.oracle.delivered(to, packet);
        let disposition = self.ends[to.index()].connection.handle_packet(self.now, packet);
        self.digest.add(format!("{disposition:?}").as_bytes());
    }

    fn deliver_merged(&mut self, to: Side) {
        let packets: Vec<Vec<u8>> =
            self.ends[to.index()].arriving.drain(..).map(|(_, packet)| packet).collect();
        packets.iter().for_each(|packet| self.oracle.delivered(to, packet));
        for (packet, segment_size) in offload::merge(packets) {
            let rx = offload::received(&packet, segment_size);
            self.ends[to.index()].connection.handle_packet(self.now, rx);
        }
    }

    /// Bytes of no meaning, sometimes with a sound IP header before them.
    fn noise(&mut self, to: Side, number: u16) {
        let mut random = Random::new(u64::from(number));
        let length = random.size(2_000) as usize;
        let mut bytes = vec![0; length];
        random.fill(&mut bytes);
        if random.chance(500_000) {
            let sent = &self.ends[to.other().index()].last_sent;
            let header = sent.len().min(if sent.first() == Some(&0x45) { 20 } else { 40 });
            let (copied, length) = (sent[..header].to_vec(), length.max(header));
            bytes.resize(length, 0);
            bytes[..header].copy_from_slice(&copied);
        }
        if TcpPacket::parse(&bytes, RxChecksum::Verify).is_ok() {
            self.forge_begins();
        }
        self.deliver(to, &bytes);
    }

    /// A segment after the last that the other side has sent, with some fields changed.
    fn forge(&mut self, to: Side, number: u16) {
        let model = self.ends[to.other().index()].last_sent.clone();
        let Ok(mut packet) = TcpPacket::parse(&model, RxChecksum::Verified) else { return };
        self.forge_begins();
        let mut random = Random::new(u64::from(number));
        let segment = &mut packet.segment;
        let mut payload = vec![0; random.size(1_400) as usize];
        random.fill(&mut payload);
        let near = |random: &mut Random| (random.size(100_000) as u32).wrapping_sub(50);
        for _ in 0..random.between(1, 3) {
            match random.below(8) {
                0 => segment.seq += near(&mut random),
                1 => segment.seq = segment.seq - near(&mut random),
                2 => segment.ack += near(&mut random),
                3 => segment.ack = segment.ack - near(&mut random),
                4 => segment.flags = Flags::from_bits(random.next_u64() as u16 & 0x1ff),
                5 => segment.window = random.next_u64() as u16,
                6 => segment.urgent = random.next_u64() as u16,
                _ => segment.payload = &payload,
            }
        }
        let mut bytes = vec![0; packet.len()];
        if packet.emit(&mut bytes).is_some() {
            self.deliver(to, &bytes);
        }
    }

    fn forge_begins(&mut self) {
        self.forged = true;
        self.excuse_with("a segment was forged");
    }

    // What must hold.

    fn excuse_with(&mut self, excuse: &'static str) {
        self.excuse.get_or_insert(excuse);
    }

    fn check(&self, side: Side) -> Result<(), Violation> {
        check_connection(self.connection(side), self.memory_limits[side.index()])
            .map_err(|what| self.violation(side, what))?;
        let (end, peer) = (&self.ends[side.index()], &self.ends[side.other().index()]);
        let (Some(here), Some(there)) = (end.connection.stats(), peer.connection.stats()) else {
            return Ok(());
        };
        if self.forged {
            return Ok(());
        }
        let (acknowledged, received) = (here.totals.bytes_acknowledged, there.totals.bytes_received);
        if acknowledged > received {
            let what = format!("{acknowledged} bytes are acknowledged, and {received} have arrived");
            return Err(self.violation(side, what));
        }
        let kept = end.read + here.readable;
        let open = end.connection.close_reason().is_none() && !end.read_shut;
        if open && kept != here.totals.bytes_received {
            let what = format!("{} bytes were acknowledged, {kept} kept", here.totals.bytes_received);
            return Err(self.violation(side, what));
        }
        Ok(())
    }

    fn violation(&self, side: Side, what: impl Into<String>) -> Violation {
        let end = self.connection(side);
        let (state, stats) = (end.state(), end.stats());
        let what = format!("{}\nin {state}, timeout {:?}, {stats:?}", what.into(), end.poll_timeout());
        Violation { at: self.now, side, what }
    }
}

/// All that `connection` says at `now`, as text.
fn outputs(connection: &mut Connection, now: Instant) -> String {
    let mut said = String::new();
    let mut buffer = vec![0; 65_535];
    while let Some(event) = connection.poll_event() {
        // Writing to a string does not fail.
        let _ = writeln!(said, "{event:?}");
    }
    while let Some(sent) = connection.poll_transmit(now, &TxCaps::default(), &mut buffer) {
        match TcpPacket::parse(&buffer[..sent.len], RxChecksum::Verify) {
            Ok(packet) => writeln!(said, "{} ({:?})", packet.segment, sent.reason),
            Err(malformed) => writeln!(said, "{malformed:?}"),
        }
        .unwrap_or_default();
    }
    said
}

/// Some configuration that works.
fn config(random: &mut Random) -> ConnConfig {
    let mut config = if random.chance(300_000) { ConnConfig::rfc() } else { ConnConfig::linux() };
    config.mtu = *random.pick(&[128, 576, 1_500, 9_000]).unwrap_or(&1_500);
    config.sack = random.chance(700_000);
    config.timestamps = random.chance(700_000);
    config.window_scaling = random.chance(700_000);
    config.no_delay = random.chance(500_000);
    if random.chance(500_000) {
        let initial = random.size(10_000) as u32;
        config.receive_buffer = BufferLimit { initial, max: initial * 4 };
    }
    if random.chance(500_000) {
        let initial = random.size(10_000) as u32;
        config.send_buffer = BufferLimit { initial, max: initial * 4 };
    }
    // Whoever loses every packet of a list would otherwise be given up: see `excuse`.
    let Retries { warn, .. } = config.retries;
    let never = Retries::NEVER;
    config.retries = Retries { warn, data: never, syn: never, syn_ack: never, orphan: never };
    config.fin_wait_2_timeout = Duration::from_secs(3_600);
    config.time_wait = Duration::from_secs(3_600);
    config
}
