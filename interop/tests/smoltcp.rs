//! smoltcp as the peer, in virtual time: both roles, both families, every option on and off, loss,
//! duplication and reordering, every way to close. smoltcp knows nothing of our code, so that what
//! both ends of ours would get wrong alike is seen here.

mod common;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use common::application::{Application, Close, OUR_STREAM, PEER_STREAM, Plan, Progress};
use common::{Chance, Witness, check_stream, socket, stream_bytes};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use tcp_core::{
    BufferLimit, CloseReason, ConnConfig, Connection, Event, Instant, ReadError, Seed, State, TxCaps,
};

const MEGABYTE: usize = 1 << 20;
/// Virtual time after which a test has failed.
const LIMIT: u64 = 900_000_000;

// The network.

/// Both directions alike, in thousandths of the packets.
#[derive(Clone, Copy, Debug)]
struct Weather {
    delay_micros: u64,
    loss: u64,
    duplication: u64,
    reordering: u64,
}

const FAIR: Weather = Weather { delay_micros: 10_000, loss: 0, duplication: 0, reordering: 0 };
const FOUL: Weather = Weather { delay_micros: 10_000, loss: 20, duplication: 20, reordering: 20 };

#[derive(Debug)]
struct Link {
    weather: Weather,
    chance: Chance,
    /// By time of arrival, then by order of departure.
    under_way: BTreeMap<(u64, u64), Vec<u8>>,
    count: u64,
    last_arrival: u64,
}

impl Link {
    fn new(weather: Weather, seed: u64) -> Self {
        Self { weather, chance: Chance(seed), under_way: BTreeMap::new(), count: 0, last_arrival: 0 }
    }

    /// Whether the packet was lost.
    fn send(&mut self, now: u64, packet: &[u8]) -> bool {
        let Weather { delay_micros, loss, duplication, reordering } = self.weather;
        if self.chance.per_mille(loss) {
            return true;
        }
        let copies = 1 + u32::from(self.chance.per_mille(duplication));
        for _ in 0..copies {
            // In order, at a rate of a packet in 20 µs, unless it is held up for some packets.
            let mut at = (now + delay_micros).max(self.last_arrival + 20);
            if self.chance.per_mille(reordering) {
                at += 20 + self.chance.below(400);
            } else {
                self.last_arrival = at;
            }
            self.count += 1;
            self.under_way.insert((at, self.count), packet.to_vec());
        }
        false
    }

    fn take(&mut self, now: u64) -> Option<Vec<u8>> {
        let first = self.under_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }

    fn next(&self) -> Option<u64> {
        self.under_way.keys().next().map(|key| key.0)
    }
}

// smoltcp.

/// Where smoltcp's packets come from and go to.
#[derive(Debug)]
struct Cable {
    mtu: usize,
    inward: VecDeque<Vec<u8>>,
    outward: VecDeque<Vec<u8>>,
}

impl Device for Cable {
    type RxToken<'a> = RxToken;
    type TxToken<'a> = TxToken<'a>;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(RxToken, TxToken<'_>)> {
        let packet = self.inward.pop_front()?;
        Some((RxToken(packet), TxToken(&mut self.outward)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<TxToken<'_>> {
        Some(TxToken(&mut self.outward))
    }
}

struct RxToken(Vec<u8>);
struct TxToken<'a>(&'a mut VecDeque<Vec<u8>>);

impl phy::RxToken for RxToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut packet = vec![0; length];
        let result = f(&mut packet);
        self.0.push_back(packet);
        result
    }
}

thread_local! {
    /// smoltcp's timestamp clock is a plain function; a test runs in a thread of its own.
    static MILLIS: Cell<u32> = const { Cell::new(0) };
}

struct Smoltcp {
    cable: Cable,
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
}

impl Smoltcp {
    fn new(setup: &Setup, theirs: SocketAddr) -> Self {
        let mut cable = Cable { mtu: setup.mtu.into(), inward: VecDeque::new(), outward: VecDeque::new() };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = setup.seed;
        let mut interface = Interface::new(config, &mut cable, smoltcp::time::Instant::ZERO);
        let prefix = if theirs.is_ipv4() { 24 } else { 64 };
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(IpAddress::from(theirs.ip()), prefix)).expect("room for an address");
        });
        let buffer = || tcp::SocketBuffer::new(vec![0; setup.peer_buffer]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_tsval_generator(Some(|| MILLIS.get()));
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        Self { cable, interface, sockets, handle }
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    fn state(&self) -> tcp::State {
        self.sockets.get::<tcp::Socket<'_>>(self.handle).state()
    }

    fn poll(&mut self, now: u64) {
        MILLIS.set((now / 1_000) as u32);
        let now = smoltcp::time::Instant::from_micros(now as i64);
        self.interface.poll(now, &mut self.cable, &mut self.sockets);
    }

    fn next(&mut self, now: u64) -> Option<u64> {
        let at = self.interface.poll_at(smoltcp::time::Instant::from_micros(now as i64), &self.sockets)?;
        Some(at.total_micros() as u64)
    }
}

// The test.

#[derive(Clone, Debug)]
struct Setup {
    seed: u64,
    ipv6: bool,
    we_connect: bool,
    mtu: u16,
    weather: Weather,
    peer_buffer: usize,
    config: ConnConfig,
}

impl Setup {
    fn new(seed: u64, weather: Weather) -> Self {
        let config = ConnConfig::default();
        Self { seed, ipv6: false, we_connect: true, mtu: 1_500, weather, peer_buffer: 128 << 10, config }
    }
}

const PLAN: Plan = Plan { to_send: MEGABYTE, answers: false, close: Close::AfterReceiving(MEGABYTE) };

struct World {
    now: u64,
    we: Connection,
    they: Smoltcp,
    out: Link,
    back: Link,
    witness: Witness,
    ours: Application,
    their_plan: Plan,
    theirs: Progress,
    /// Neither reads before its time.
    we_read_from: u64,
    they_read_from: u64,
}

impl World {
    fn new(setup: &Setup, our_plan: Plan, their_plan: Plan) -> Self {
        let (ours, theirs) = if setup.ipv6 {
            (socket("fd00::1", 40_001), socket("fd00::2", 80))
        } else {
            (socket("10.0.0.1", 40_001), socket("10.0.0.2", 80))
        };
        let config = ConnConfig::clone(&setup.config);
        let config = with_mtu(config, setup.mtu);
        let mut they = Smoltcp::new(setup, theirs);
        let seed = Seed::for_test(setup.seed);
        let now = Instant::from_micros(0);
        let we = if setup.we_connect {
            they.socket().listen(theirs).expect("smoltcp listens");
            Connection::connect(now, ours, theirs, config, &seed)
        } else {
            let Smoltcp { interface, sockets, handle, .. } = &mut they;
            let socket = sockets.get_mut::<tcp::Socket<'_>>(*handle);
            socket.connect(interface.context(), ours, theirs.port()).expect("smoltcp connects");
            Connection::listen(now, ours, config, &seed)
        };
        Self {
            now: 0,
            we: we.expect("a connection"),
            they,
            out: Link::new(setup.weather, setup.seed.wrapping_mul(2)),
            back: Link::new(setup.weather, setup.seed.wrapping_mul(2) + 1),
            witness: Witness::new(ours, setup.mtu),
            ours: Application::new(our_plan),
            their_plan,
            theirs: Progress::default(),
            we_read_from: 0,
            they_read_from: 0,
        }
    }

    fn at(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    /// Everything that happens at this time. Says whether anything did.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(packet) = self.out.take(self.now) {
                self.they.cable.inward.push_back(packet);
            }
            while let Some(packet) = self.back.take(self.now) {
                self.witness.received(self.now, &packet, false);
                self.we.handle_packet(self.at(), &packet[..]);
                quiet = false;
            }
            self.we.handle_timeout(self.at());
            let now = self.at();
            self.ours.reads = self.now >= self.we_read_from;
            quiet &= !self.ours.run(&mut self.we, now);
            let mut buffer = [0; 3_000];
            while let Some(transmit) = self.we.poll_transmit(self.at(), &TxCaps::default(), &mut buffer) {
                let packet = &buffer[..transmit.len];
                let lost = self.out.send(self.now, packet);
                self.witness.sent(self.now, packet, lost);
                quiet = false;
            }
            self.they.poll(self.now);
            if self.their_application() {
                quiet = false;
                self.they.poll(self.now);
            }
            while let Some(packet) = self.they.cable.outward.pop_front() {
                self.back.send(self.now, &packet);
                quiet = false;
            }
            if quiet {
                return;
            }
        }
    }

    fn their_application(&mut self) -> bool {
        let before = self.theirs;
        let plan = self.their_plan;
        let socket = self.they.sockets.get_mut::<tcp::Socket<'_>>(self.they.handle);
        let mut buffer = [0; 8_192];
        while self.now >= self.they_read_from && socket.can_recv() {
            let read = socket.recv_slice(&mut buffer).expect("smoltcp has data");
            check_stream(OUR_STREAM, self.theirs.received, &buffer[..read]);
            self.theirs.received += read;
        }
        let fin_came = matches!(
            socket.state(),
            tcp::State::CloseWait | tcp::State::Closing | tcp::State::LastAck | tcp::State::TimeWait
        );
        self.theirs.end_of_stream |= fin_came && socket.recv_queue() == 0;
        while socket.can_send() && self.theirs.may_send(&plan) {
            let length = (plan.to_send - self.theirs.sent).min(4_096);
            let data = stream_bytes(PEER_STREAM, self.theirs.sent, length);
            self.theirs.sent += socket.send_slice(data).expect("smoltcp takes data");
        }
        if socket.may_send() && self.theirs.may_close(&plan) {
            self.theirs.closed = true;
            socket.close();
        }
        before != self.theirs
    }

    /// On to the next moment at which anything happens.
    fn step(&mut self) -> bool {
        self.settle();
        let timeout = self.we.poll_timeout().map(|at| at.as_nanos().div_ceil(1_000));
        let peers = self.they.next(self.now);
        let times = [self.out.next(), self.back.next(), timeout, peers, self.reading_begins()];
        let Some(next) = times.into_iter().flatten().min() else { return false };
        self.now = next.max(self.now + 1);
        true
    }

    fn reading_begins(&self) -> Option<u64> {
        let begins = [self.we_read_from, self.they_read_from];
        // And a moment before, to look at what has become of the window.
        let times = begins.into_iter().flat_map(|at| [at.saturating_sub(1_000), at]);
        times.filter(|at| *at > self.now).min()
    }

    #[track_caller]
    fn run_until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        loop {
            self.settle();
            if done(self) {
                return;
            }
            let more = self.step();
            assert!(more && self.now < LIMIT, "{what} never came\n{}", self.describe());
        }
    }

    fn describe(&self) -> String {
        format!(
            "at {} µs: we {} {:?}, smoltcp {} {:?}\n{:?}\n{}",
            self.now,
            self.we.state(),
            self.ours.progress,
            self.they.state(),
            self.theirs,
            self.we.stats(),
            self.witness.story()
        )
    }

    /// Both ends have all data, and are closed or in TIME-WAIT.
    #[track_caller]
    fn run_to_the_end(&mut self) {
        self.run_until("the end", |world| {
            let we = matches!(world.we.state(), State::Closed | State::TimeWait);
            let they = matches!(world.they.state(), tcp::State::Closed | tcp::State::TimeWait);
            we && they
        });
        assert_eq!(self.theirs.received, self.ours.plan.to_send, "{}", self.describe());
        assert_eq!(self.ours.progress.received, self.their_plan.to_send, "{}", self.describe());
        assert!(self.ours.progress.end_of_stream && self.theirs.end_of_stream, "{}", self.describe());
        assert_eq!(self.we.close_reason(), Some(CloseReason::Finished), "{}", self.describe());
        assert!(self.ours.events.contains(Event::CONNECTED | Event::FLUSHED | Event::CLOSED));
        assert_eq!(self.witness.tally.resets, 0, "{}", self.describe());
    }
}

fn with_mtu(mut config: ConnConfig, mtu: u16) -> ConnConfig {
    config.mtu = mtu;
    config
}

/// One end sends so much, the other that; both close when they have received it.
fn plans(one: usize, other: usize) -> (Plan, Plan) {
    let plan = |to_send, close| Plan { to_send, answers: false, close };
    (plan(one, Close::AfterReceiving(other)), plan(other, Close::AfterReceiving(one)))
}

/// All sixteen choices of role, family and MTU, and of the options that change with them, so that
/// each pair of choices occurs.
fn setups(weather: Weather) -> impl Iterator<Item = Setup> {
    (0..16u64).map(move |bits| {
        let bit = |index: u32| bits >> index & 1 == 1;
        let mut setup = Setup::new(bits + 1, weather);
        setup.we_connect = bit(0);
        setup.ipv6 = bit(1);
        // IPv6 takes no less than 1280 (RFC 8200 §5).
        setup.mtu = match (bit(2), bit(1)) {
            (false, _) => 1_500,
            (true, false) => 576,
            (true, true) => 1_280,
        };
        setup.config.sack = bit(3);
        setup.config.timestamps = bit(0) ^ bit(2) ^ bit(3);
        setup.config.window_scaling = bit(1) ^ bit(2) ^ bit(3);
        setup
    })
}

#[test]
fn a_megabyte_each_way_over_a_fair_network_needs_no_retransmission() {
    for setup in setups(FAIR) {
        let mut world = World::new(&setup, PLAN, PLAN);
        world.run_to_the_end();
        let syn = world.witness.our_syn();
        let peers = world.witness.peer_syn();
        let stats = world.we.stats().expect("a connection");
        assert_eq!(stats.timestamps, setup.config.timestamps, "{setup:?}");
        assert_eq!(stats.sack, setup.config.sack, "{setup:?}");
        assert_eq!(stats.send_window_scale.is_some(), setup.config.window_scaling, "{setup:?}");
        assert_eq!(syn.timestamps, setup.config.timestamps && peers.timestamps);
        assert_eq!(stats.totals.segments_retransmitted, 0, "{setup:?}\n{}", world.describe());
        assert_eq!(stats.totals.timeouts, 0);
        assert_eq!(world.we.drops().total(), 0, "{setup:?}: {:?}", world.we.drops());
    }
}

#[test]
fn a_megabyte_each_way_arrives_through_loss_duplication_and_reordering() {
    for setup in setups(FOUL) {
        let mut world = World::new(&setup, PLAN, PLAN);
        world.run_to_the_end();
        let tally = world.witness.tally;
        assert!(tally.retransmissions > 0, "the network was foul: {setup:?}");
        let bound = tally.data_segments / 6;
        assert!(tally.retransmissions < bound, "{setup:?}: {tally:?}");
    }
}

#[test]
fn each_end_may_close_first_and_the_other_goes_on_sending() {
    for weather in [FAIR, FOUL] {
        for seed in 0..8 {
            let mut setup = Setup::new(seed, weather);
            (setup.we_connect, setup.ipv6) = (seed & 1 == 0, seed & 2 == 0);
            let first = Plan { to_send: 10_000, close: Close::First, ..PLAN };
            let answer = Plan { to_send: 200_000, answers: true, close: Close::Second };
            let (our_plan, their_plan) = if seed & 4 == 0 { (first, answer) } else { (answer, first) };
            let mut world = World::new(&setup, our_plan, their_plan);
            world.run_to_the_end();
            let state = world.we.state();
            if seed & 4 == 0 {
                assert_eq!(state, State::TimeWait, "who closes first waits");
                assert_eq!(world.they.state(), tcp::State::Closed);
            } else {
                assert_eq!(state, State::Closed);
                assert_eq!(world.they.state(), tcp::State::TimeWait);
            }
        }
    }
}

#[test]
fn both_ends_close_at_once() {
    for (seed, weather) in [(1, FAIR), (2, FAIR), (3, FOUL), (4, FOUL), (5, FOUL), (6, FOUL)] {
        let mut setup = Setup::new(seed, weather);
        setup.we_connect = seed & 1 == 0;
        let plan = Plan { to_send: 5_000, close: Close::Never, ..PLAN };
        let mut world = World::new(&setup, plan, plan);
        world.run_until("all data", |world| {
            world.ours.progress.received == 5_000 && world.theirs.received == 5_000
        });
        world.ours.plan.close = Close::First;
        world.their_plan.close = Close::First;
        world.run_to_the_end();
        if weather.loss == 0 {
            assert_eq!(world.we.state(), State::TimeWait);
            assert_eq!(world.they.state(), tcp::State::TimeWait);
        }
    }
}

#[test]
fn our_abort_resets_the_peer() {
    for we_connect in [true, false] {
        let mut setup = Setup::new(7, FAIR);
        setup.we_connect = we_connect;
        let mut world = World::new(&setup, PLAN, PLAN);
        world.run_until("some data", |world| world.theirs.received > 100_000);
        world.we.abort(world.at());
        world.run_until("the reset", |world| world.they.state() == tcp::State::Closed);
        assert_eq!(world.we.state(), State::Closed);
        assert_eq!(world.we.close_reason(), Some(CloseReason::Aborted));
        assert!(world.witness.tally.resets >= 1);
    }
}

#[test]
fn the_peers_abort_ends_ours_and_what_came_before_can_be_read() {
    for we_connect in [true, false] {
        let mut setup = Setup::new(8, FAIR);
        setup.we_connect = we_connect;
        let mut world = World::new(&setup, PLAN, PLAN);
        world.run_until("some data", |world| world.ours.progress.received > 100_000);
        world.they.socket().abort();
        world.run_until("the reset", |world| world.we.state() == State::Closed);
        assert_eq!(world.we.close_reason(), Some(CloseReason::Reset), "{}", world.describe());
        assert_eq!(world.we.read(world.at(), &mut [0; 10]), Err(ReadError::Closed(CloseReason::Reset)));
        assert_eq!(world.witness.tally.resets, 0, "a RST is not answered");
    }
}

#[test]
fn a_window_that_the_peer_closes_is_probed_and_opens_again() {
    for (seed, weather) in [(1, FAIR), (2, FOUL), (3, FOUL)] {
        let mut setup = Setup::new(seed, weather);
        setup.peer_buffer = 20_000;
        let (much, little) = plans(200_000, 1_000);
        let mut world = World::new(&setup, much, little);
        world.they_read_from = 20_000_000;
        world.run_until("reading", |world| world.now >= 19_999_000);
        let stats = world.we.stats().expect("a connection");
        assert_eq!(stats.send_window, 0, "{}", world.describe());
        let probes = stats.totals.window_probes;
        // At 0.2 s at the earliest and then twice as late each time: at most seven in 20 s.
        assert!((2..=8).contains(&probes), "{probes} probes\n{}", world.describe());
        world.run_to_the_end();
        assert!(world.now < 60_000_000, "{}", world.describe());
    }
}

#[test]
fn our_window_closes_and_opens_again() {
    for (seed, weather) in [(1, FAIR), (2, FAIR), (3, FOUL), (4, FOUL), (5, FOUL), (6, FOUL)] {
        let mut setup = Setup::new(seed, weather);
        setup.we_connect = seed & 1 == 0;
        // One that cannot grow and one that could, whose window is told in units of a kilobyte.
        let max = if seed & 2 == 0 { 20_000 } else { 32 << 20 };
        setup.config.receive_buffer = BufferLimit { initial: 20_000, max };
        let (much, little) = plans(200_000, 1_000);
        let mut world = World::new(&setup, little, much);
        world.we_read_from = 20_000_000;
        world.run_until("reading", |world| world.now >= 19_999_000);
        let stats = world.we.stats().expect("a connection");
        let unit = if max == 20_000 { 1 } else { 1_024 };
        assert!(stats.receive_window < unit, "{}", world.describe());
        assert!((20_000..20_000 + u64::from(unit)).contains(&stats.readable), "{}", world.describe());
        assert_eq!(world.witness.tally.least_window, Some(0));
        world.run_to_the_end();
        assert!(world.now < 60_000_000, "{}", world.describe());
    }
}
