//! Two hosts, joined by a link for each direction, in virtual time.

use core::fmt;
use core::net::SocketAddr;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tcp_core::wire::TcpPacket;
use tcp_core::{
    ConnConfig, ConnectError, Connection, Duration, Event, Instant, Observer, RxChecksum, Seed, SendReason,
    State, TxCaps,
};

use crate::link::Arrival;
use crate::oracle::{Violation, WireOracle, check_connection, memory_limit};
use crate::{Application, Digest, Link, LinkConfig, Passage, Random, offload};

/// One of the two hosts. In [`Network::new`], the left one connects to the right one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// The first.
    Left,
    /// The second.
    Right,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Left, Self::Right];

    /// Its place in arrays of two.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Left => 0,
            Self::Right => 1,
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "left",
            Self::Right => "right",
        })
    }
}

/// Both hosts and both directions of the link; index 0 is the left one and what it sends.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// How each connection behaves.
    pub connections: [ConnConfig; 2],
    /// How each direction behaves.
    pub links: [LinkConfig; 2],
    /// What each host's network device does.
    pub devices: [Device; 2],
    /// IPv6 instead of IPv4.
    pub ipv6: bool,
    /// Both connect, to each other (RFC 9293 §3.5, simultaneous open).
    pub both_connect: bool,
    /// Keep what happens on the wire: see [`Network::trace`].
    pub trace: bool,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self::symmetric(LinkConfig::default())
    }
}

impl NetworkConfig {
    /// Both hosts and both directions alike.
    #[must_use]
    pub fn symmetric(link: LinkConfig) -> Self {
        Self {
            connections: [ConnConfig::default(), ConnConfig::default()],
            links: [link.clone(), link],
            devices: [Device::default(); 2],
            ipv6: false,
            both_connect: false,
            trace: false,
        }
    }

    /// The addresses of the hosts.
    #[must_use]
    pub fn addresses(&self) -> [SocketAddr; 2] {
        if self.ipv6 {
            [([0xfd00, 0, 0, 0, 0, 0, 0, 1], 40_001).into(), ([0xfd00, 0, 0, 0, 0, 0, 0, 2], 80).into()]
        } else {
            [([10, 0, 0, 1], 40_001).into(), ([10, 0, 0, 2], 80).into()]
        }
    }
}

/// What a host's network device does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Device {
    /// How many segments it takes as one, and cuts (GSO).
    pub max_segments: u16,
    /// How long it waits for more, after a packet has arrived, before it hands all of them in.
    pub batch: Duration,
    /// Whether it merges segments that arrive in a batch (GRO).
    pub merges: bool,
}

impl Default for Device {
    fn default() -> Self {
        Self { max_segments: 1, batch: Duration::ZERO, merges: false }
    }
}

/// A packet on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// When it was sent.
    pub at: Instant,
    /// Who sent it.
    pub from: Side,
    /// Why.
    pub reason: SendReason,
    /// What became of it.
    pub passage: Passage,
    /// Its bytes, from the IP header on.
    pub bytes: Vec<u8>,
}

impl Sent {
    /// The segment, with its IP header.
    #[must_use]
    pub fn packet(&self) -> Option<TcpPacket<'_>> {
        TcpPacket::parse(&self.bytes, RxChecksum::Verify).ok()
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:5} ", self.at, self.from)?;
        match self.packet() {
            Some(packet) => write!(f, "{}", packet.segment)?,
            None => f.write_str("(not TCP)")?,
        }
        write!(f, " ({:?}", self.reason)?;
        match self.passage {
            Passage::Dropped(cause) => write!(f, ", dropped: {cause:?})"),
            Passage::Delivered(Arrival { flipped_bit: Some(bit), .. }, _) => {
                write!(f, ", bit {bit} flipped)")
            }
            Passage::Delivered(_, Some(_)) => f.write_str(", arrives twice)"),
            Passage::Delivered(..) => f.write_str(")"),
        }
    }
}

/// Why [`Network::run_until_idle`] came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Nothing is under way and no timer is armed: nothing will ever happen again.
    Idle,
    /// The time was up.
    Time,
}

/// Two hosts and the link between them.
///
/// ```
/// use tcp_core::Instant;
/// use tcp_sim::{Network, NetworkConfig, Side, Stop, Talker};
///
/// let mut network = Network::new(&NetworkConfig::default(), 1, Talker::pair([100_000, 5_000]))?;
/// assert_eq!(network.run_until_idle(Instant::from_secs(600))?, Stop::Idle);
/// assert_eq!(network.application(Side::Right).report().read, 100_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Network<A, O = ()> {
    hosts: [Host<A, O>; 2],
    links: [Link; 2],
    now: Instant,
    under_way: BinaryHeap<UnderWay>,
    /// Counts what was put under way, so that what arrives at the same time has an order.
    serial: u64,
    oracle: WireOracle,
    trace: Option<Vec<Sent>>,
    digest: Digest,
    steps: u64,
}

#[derive(Debug)]
struct Host<A, O> {
    connection: Connection<O>,
    application: A,
    device: Device,
    /// What has arrived and was not handed in.
    arrived: Vec<Vec<u8>>,
    hand_in_at: Option<Instant>,
    wake_at: Option<Instant>,
    memory_limit: u64,
    buffer: Vec<u8>,
}

#[derive(PartialEq, Eq, Debug)]
struct UnderWay {
    at: Instant,
    serial: u64,
    to: Side,
    bytes: Vec<u8>,
}

impl Ord for UnderWay {
    /// The earliest is the greatest, as a heap wants it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.serial).cmp(&(self.at, self.serial))
    }
}

impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// More calls at one moment than any honest connection needs.
const MAX_PASSES: u32 = 10_000;

impl<A: Application> Network<A> {
    /// A connection from the left host to the right one, an application at each end; all chance
    /// follows from `seed`.
    ///
    /// # Errors
    /// If one of the configurations cannot work.
    pub fn new(config: &NetworkConfig, seed: u64, applications: [A; 2]) -> Result<Self, ConnectError> {
        let [left, right] = config.addresses();
        let [here, there] = config.connections.clone();
        let (now, mut random) = (Instant::ZERO, Random::new(seed));
        let mut secret = Seed([0; 32]);
        random.fill(&mut secret.0);
        let left_end = Connection::connect(now, left, right, here, &secret)?;
        random.fill(&mut secret.0);
        let right_end = if config.both_connect {
            Connection::connect(now, right, left, there, &secret)?
        } else {
            Connection::listen(now, right, there, &secret)?
        };
        Ok(Self::between([left_end, right_end], config, &mut random, applications))
    }
}

impl<A: Application<O>, O: Observer> Network<A, O> {
    /// A network between two connections that exist. Of `config`, only links, devices and trace count.
    #[must_use]
    pub fn between(
        connections: [Connection<O>; 2],
        config: &NetworkConfig,
        random: &mut Random,
        applications: [A; 2],
    ) -> Self {
        let mtu = [0, 1].map(|index: usize| usize::from(connections[index].config().mtu));
        let [left, right] = connections;
        let [here, there] = applications;
        let [out, back] = config.links.clone();
        let links = [Link::new(out, random.fork()), Link::new(back, random.fork())];
        let [first, second] = config.devices;
        Self {
            hosts: [Host::new(left, here, first), Host::new(right, there, second)],
            links,
            now: Instant::ZERO,
            under_way: BinaryHeap::new(),
            serial: 0,
            oracle: WireOracle::new(mtu),
            trace: config.trace.then(Vec::new),
            digest: Digest::default(),
            steps: 0,
        }
    }

    /// Lets time pass up to `until`.
    ///
    /// # Errors
    /// If something happens that must not.
    pub fn run_until(&mut self, until: Instant) -> Result<(), Violation> {
        self.run_until_idle(until)?;
        self.now = self.now.max(until);
        Ok(())
    }

    /// Lets time pass until nothing will ever happen again, at most up to `limit`.
    ///
    /// # Errors
    /// If something happens that must not.
    pub fn run_until_idle(&mut self, limit: Instant) -> Result<Stop, Violation> {
        if self.steps == 0 {
            for side in Side::BOTH {
                self.settle(side, true)?;
            }
            self.steps = 1;
        }
        while let Some(next) = self.next_time() {
            if next > limit {
                return Ok(Stop::Time);
            }
            self.step(next)?;
        }
        Ok(Stop::Idle)
    }

    /// Handles all that happens at the next moment at which anything does.
    fn step(&mut self, at: Instant) -> Result<(), Violation> {
        self.now = self.now.max(at);
        self.steps += 1;
        while let Some(packet) = take_due(&mut self.under_way, self.now) {
            self.oracle.delivered(packet.to, &packet.bytes);
            self.hosts[packet.to.index()].arrive(self.now, packet.bytes);
        }
        for side in Side::BOTH {
            let (now, host) = (self.now, &mut self.hosts[side.index()]);
            let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            let (packets, woken) = (due(host.hand_in_at), due(host.wake_at));
            let timer = due(host.connection.poll_timeout());
            if packets {
                host.hand_in(now);
            }
            if due(host.connection.poll_timeout()) {
                host.connection.handle_timeout(now);
            }
            if packets || woken || timer {
                self.settle(side, woken)?;
            }
        }
        Ok(())
    }

    /// Events to the application and segments to the link, until there are no more.
    fn settle(&mut self, side: Side, woken: bool) -> Result<(), Violation> {
        let now = self.now;
        let violation = |what: String| Violation { at: now, side, what };
        let host = &mut self.hosts[side.index()];
        if woken {
            host.wake_at = host.application.act(now, &mut host.connection, Event::NONE);
        }
        for _ in 0..MAX_PASSES {
            let host = &mut self.hosts[side.index()];
            if let Some(event) = host.connection.poll_event() {
                host.wake_at = host.application.act(now, &mut host.connection, event);
                continue;
            }
            if self.transmit(side)? {
                continue;
            }
            let host = &self.hosts[side.index()];
            if let Some(at) = host.connection.poll_timeout().filter(|at| *at <= now) {
                return Err(violation(format!("P2: wants a timeout at {at}, which is past")));
            }
            return check_connection(&host.connection, host.memory_limit).map_err(violation);
        }
        Err(violation(format!("does not come to rest in {MAX_PASSES} calls")))
    }

    /// Sends one packet, if there is one.
    fn transmit(&mut self, side: Side) -> Result<bool, Violation> {
        let now = self.now;
        let host = &mut self.hosts[side.index()];
        let caps = host.device.caps();
        let Some(sent) = host.connection.poll_transmit(now, &caps, &mut host.buffer) else {
            return Ok(false);
        };
        let low_water = host.connection.config().unsent_low_water.is_some();
        if let Some(event) = host.connection.poll_event() {
            if !low_water || event != Event::WRITABLE {
                let what = format!("P1: sending raised {event:?}");
                return Err(Violation { at: now, side, what });
            }
            host.wake_at = host.application.act(now, &mut host.connection, event);
        }
        let host = &self.hosts[side.index()];
        let packet = &host.buffer[..sent.len];
        self.digest.add_number(now.as_nanos());
        self.digest.add(packet);
        match sent.segment_size {
            Some(size) => {
                for packet in offload::cut(packet, size) {
                    self.put_on_wire(side, packet, sent.reason)?;
                }
            }
            None => {
                let packet = packet.to_vec();
                self.put_on_wire(side, packet, sent.reason)?;
            }
        }
        Ok(true)
    }

    fn put_on_wire(&mut self, from: Side, bytes: Vec<u8>, reason: SendReason) -> Result<(), Violation> {
        let at = self.now;
        let checked = self.oracle.sent(at, from, &bytes);
        let passage = self.links[from.index()].send(at, bytes.len());
        if let Some(trace) = &mut self.trace {
            trace.push(Sent { at, from, reason, passage, bytes: bytes.clone() });
        }
        checked?;
        if let Passage::Delivered(first, second) = passage {
            if let Some(second) = second {
                self.put_under_way(from, second, bytes.clone());
            }
            self.put_under_way(from, first, bytes);
        }
        Ok(())
    }

    fn put_under_way(&mut self, from: Side, arrival: Arrival, mut bytes: Vec<u8>) {
        if let Some(bit) = arrival.flipped_bit {
            flip_bit(&mut bytes, bit);
        }
        self.serial += 1;
        let (at, serial, to) = (arrival.at, self.serial, from.other());
        self.under_way.push(UnderWay { at, serial, to, bytes });
    }

    /// When the next thing happens.
    fn next_time(&self) -> Option<Instant> {
        let packet = self.under_way.peek().map(|packet| packet.at);
        let hosts = self
            .hosts
            .iter()
            .flat_map(|host| [host.connection.poll_timeout(), host.hand_in_at, host.wake_at]);
        hosts.chain([packet]).flatten().min()
    }

    /// Calls `act` on a connection, as its application might, and does what follows from it.
    ///
    /// # Errors
    /// If something happens that must not.
    pub fn with_connection<T>(
        &mut self,
        side: Side,
        act: impl FnOnce(Instant, &mut Connection<O>) -> T,
    ) -> Result<T, Violation> {
        let result = act(self.now, &mut self.hosts[side.index()].connection);
        self.settle(side, false)?;
        Ok(result)
    }
}

impl<A, O: Observer> Network<A, O> {
    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The connection of one host.
    #[must_use]
    pub fn connection(&self, side: Side) -> &Connection<O> {
        &self.hosts[side.index()].connection
    }

    /// The application of one host.
    #[must_use]
    pub fn application(&self, side: Side) -> &A {
        &self.hosts[side.index()].application
    }

    /// The direction from this host to the other.
    #[must_use]
    pub fn link(&self, from: Side) -> &Link {
        &self.links[from.index()]
    }

    /// The same, to change it.
    pub fn link_mut(&mut self, from: Side) -> &mut Link {
        &mut self.links[from.index()]
    }

    /// All packets sent so far, in order; empty if the configuration did not ask for it.
    #[must_use]
    pub fn trace(&self) -> &[Sent] {
        self.trace.as_deref().unwrap_or_default()
    }

    /// A number that is the same for two runs that sent the same bytes at the same times.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest.value()
    }

    /// Whether both connections have ended, and hold no memory.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.hosts.iter().all(|host| {
            host.connection.state() == State::Closed
                && host.connection.memory() == 0
                && host.connection.poll_timeout().is_none()
        })
    }
}

impl<A, O: Observer> Host<A, O> {
    fn new(connection: Connection<O>, application: A, device: Device) -> Self {
        let mtu = usize::from(connection.config().mtu);
        let buffer = vec![0; if device.max_segments > 1 { 65_535 } else { mtu }];
        let (arrived, hand_in_at) = (Vec::new(), None);
        let memory_limit = memory_limit(connection.config());
        Self { connection, application, device, arrived, hand_in_at, wake_at: None, memory_limit, buffer }
    }

    fn arrive(&mut self, now: Instant, bytes: Vec<u8>) {
        self.arrived.push(bytes);
        self.hand_in_at.get_or_insert(now + self.device.batch);
    }

    fn hand_in(&mut self, now: Instant) {
        self.hand_in_at = None;
        let packets = std::mem::take(&mut self.arrived);
        if !self.device.merges {
            for packet in &packets {
                self.connection.handle_packet(now, packet.as_slice());
            }
            return;
        }
        for (packet, segment_size) in offload::merge(packets) {
            self.connection.handle_packet(now, offload::received(&packet, segment_size));
        }
    }
}

impl Device {
    fn caps(&self) -> TxCaps {
        let mut caps = TxCaps::default();
        caps.max_segments = self.max_segments;
        caps
    }
}

/// Flips one bit, if the packet is so long.
pub(crate) fn flip_bit(bytes: &mut [u8], bit: u64) {
    let byte = usize::try_from(bit / 8).ok().and_then(|index| bytes.get_mut(index));
    if let Some(byte) = byte {
        *byte ^= 1 << (bit % 8);
    }
}

/// The packet that arrives next, if it has arrived by `now`.
fn take_due(under_way: &mut BinaryHeap<UnderWay>, now: Instant) -> Option<UnderWay> {
    if under_way.peek()?.at <= now { under_way.pop() } else { None }
}
