//! A network namespace with the kernel at one end of a TUN and a `Connection` of ours at the other,
//! in real time; the path between them, with its delay and losses, is in this process. Nothing
//! leaves the namespace.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{self, Duration};

use tcp_core::{ConnConfig, Connection, Instant, Seed, State, TxCaps};

use crate::common::application::Application;
use crate::common::{Chance, Witness, socket};
use crate::sys;

/// A test that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(20);
const MTU: u16 = 1_500;

/// How a test is set up.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) ipv6: bool,
    pub(crate) we_connect: bool,
    /// Both do, at once; then `we_connect` says nothing.
    pub(crate) both_connect: bool,
    pub(crate) delay: Duration,
    /// In thousandths of the packets, in both directions.
    pub(crate) loss: u64,
    pub(crate) seed: u64,
    pub(crate) config: ConnConfig,
    /// Written into files below `/proc/sys/net/ipv4` of the namespace.
    pub(crate) sysctls: Vec<(&'static str, &'static str)>,
    /// All packets that are there are handed in before anything is sent.
    pub(crate) batches: bool,
}

impl Setup {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            ipv6: seed & 1 == 1,
            we_connect: seed & 2 == 2,
            both_connect: false,
            delay: Duration::from_micros(500),
            loss: 0,
            seed,
            config: ConnConfig::default(),
            sysctls: Vec::new(),
            batches: false,
        }
    }
}

/// Packets under way in one direction.
#[derive(Debug)]
struct Pipe {
    delay: Duration,
    loss: u64,
    chance: Chance,
    packets: VecDeque<(Duration, Vec<u8>)>,
}

impl Pipe {
    fn new(setup: &Setup, direction: u64) -> Self {
        let chance = Chance(setup.seed.wrapping_mul(2) + direction);
        Self { delay: setup.delay, loss: setup.loss, chance, packets: VecDeque::new() }
    }

    fn is_lost(&mut self) -> bool {
        self.chance.per_mille(self.loss)
    }

    fn send(&mut self, now: Duration, packet: &[u8]) {
        self.packets.push_back((now + self.delay, packet.to_vec()));
    }

    fn take(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.packets.front().filter(|(at, _)| *at <= now)?;
        self.packets.pop_front().map(|(_, packet)| packet)
    }

    fn next(&self) -> Option<Duration> {
        self.packets.front().map(|(at, _)| *at)
    }
}

/// The kernel's end, before it has a peer.
pub(crate) enum KernelEnd {
    Listens(TcpListener),
    Connects(SocketAddr),
}

impl KernelEnd {
    /// The kernel's socket, connected to us.
    pub(crate) fn open(self) -> TcpStream {
        let stream = match self {
            Self::Listens(listener) => listener.accept().expect("the kernel accepts").0,
            Self::Connects(ours) => TcpStream::connect(ours).expect("the kernel connects"),
        };
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
        stream.set_write_timeout(Some(LIMIT)).expect("a timeout");
        stream
    }
}

/// Our end of the TUN.
pub(crate) struct Host {
    tun: File,
    start: time::Instant,
    batches: bool,
    out: Pipe,
    back: Pipe,
    pub(crate) connection: Connection,
    pub(crate) application: Application,
    pub(crate) witness: Witness,
}

/// Why the kernel cannot be a peer here, if so.
pub(crate) fn what_is_missing() -> Option<String> {
    let probe = || {
        let sysctls = ["tcp_sack", "tcp_rmem", "tcp_congestion_control"].map(|name| {
            let value = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
            (name, value.unwrap_or_default())
        });
        let sysctls: Vec<_> = sysctls.iter().map(|(name, value)| (*name, value.trim())).collect();
        make_network(&sysctls).map(drop)
    };
    thread::spawn(probe).join().unwrap_or_else(|_| Err("the probe failed".into())).err()
}

/// Moves the calling thread into a network of its own, with a TUN that leads to us.
fn make_network(sysctls: &[(&str, &str)]) -> Result<File, String> {
    sys::enter_new_network().map_err(|error| format!("no network namespace, which takes root: {error}"))?;
    let tun = sys::open_tun("tun0").map_err(|error| format!("no TUN: {error}"))?;
    ip("link set lo up")?;
    ip(&format!("link set tun0 mtu {MTU} up"))?;
    ip("address add 10.9.0.2/24 dev tun0")?;
    ip("address add fd09::2/64 dev tun0 nodad")?;
    for (name, value) in sysctls {
        let path = format!("/proc/sys/net/ipv4/{name}");
        std::fs::write(&path, value).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(tun)
}

fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.map_err(|error| format!("no `ip`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`ip {arguments}`: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A link that was set up takes its first packets a moment later; what is sent before is lost.
fn wait_for_packets(tun: &mut File, theirs: SocketAddr, ours: SocketAddr) {
    let start = time::Instant::now();
    let mut buffer = [0; 2_048];
    while start.elapsed() < LIMIT {
        let probe = UdpSocket::bind((theirs.ip(), 0)).and_then(|socket| socket.send_to(b"?", ours));
        while let Ok(length) = tun.read(&mut buffer) {
            if probe.is_ok() && protocol_of(&buffer[..length]) == Some(17) {
                // The others of these are skipped like everything that is not TCP.
                return;
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("no packet of the kernel came through the TUN");
}

/// The protocol behind the IP header.
fn protocol_of(packet: &[u8]) -> Option<u8> {
    let place = if packet.first()? >> 4 == 4 { 9 } else { 6 };
    packet.get(place).copied()
}

/// Runs a test in a namespace of its own: `kernel` is the peer's application, in a thread of its
/// own, and `ours` drives our end.
///
/// # Panics
/// If either does.
pub(crate) fn in_network<K, O>(
    setup: &Setup,
    application: Application,
    kernel: impl FnOnce(KernelEnd) -> K + Send + 'static,
    ours: impl FnOnce(&mut Host, &JoinHandle<K>) -> O + Send + 'static,
) -> (K, O)
where
    K: Send + 'static,
    O: Send + 'static,
{
    let setup = setup.clone();
    let test = move || {
        let (mut host, end) = Host::new(&setup, application);
        let kernel = thread::spawn(|| kernel(end));
        let result = ours(&mut host, &kernel);
        host.run_until("the kernel's application", |_| kernel.is_finished());
        if std::env::var_os("TCP_STORY").is_some() {
            eprintln!("{setup:?}\n{}", host.describe());
        }
        (kernel.join(), result)
    };
    match thread::spawn(test).join() {
        Ok((Ok(kernel), result)) => (kernel, result),
        Ok((Err(panic), _)) | Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl Host {
    fn new(setup: &Setup, application: Application) -> (Self, KernelEnd) {
        let mut tun = make_network(&setup.sysctls).unwrap_or_else(|error| panic!("{error}"));
        let (ours, theirs) = if setup.ipv6 { ("fd09::1", "fd09::2") } else { ("10.9.0.1", "10.9.0.2") };
        let (ours, theirs) = (socket(ours, 40_001), socket(theirs, 7_000));
        wait_for_packets(&mut tun, theirs, ours);
        let mut config = setup.config.clone();
        config.mtu = MTU;
        let seed = Seed::for_test(setup.seed);
        let (connection, end) = if setup.both_connect {
            // The only port that the kernel can choose.
            let path = "/proc/sys/net/ipv4/ip_local_port_range";
            std::fs::write(path, "7000 7000").expect("a range of ports");
            (Connection::connect(Instant::ZERO, ours, theirs, config, &seed), KernelEnd::Connects(ours))
        } else if setup.we_connect {
            let listener = TcpListener::bind(theirs).expect("the kernel listens");
            (Connection::connect(Instant::ZERO, ours, theirs, config, &seed), KernelEnd::Listens(listener))
        } else {
            (Connection::listen(Instant::ZERO, ours, config, &seed), KernelEnd::Connects(ours))
        };
        let mut witness = Witness::new(ours, MTU);
        if std::env::var_os("TCP_STORY").is_some() {
            witness.keep = usize::MAX;
        }
        let host = Self {
            tun,
            start: time::Instant::now(),
            batches: setup.batches,
            out: Pipe::new(setup, 0),
            back: Pipe::new(setup, 1),
            connection: connection.expect("a connection"),
            application,
            witness,
        };
        (host, end)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(self.elapsed().as_nanos() as u64)
    }

    /// Drives our end until `done`, which is asked after each step.
    #[track_caller]
    pub(crate) fn run_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        loop {
            self.step();
            if done(self) {
                return;
            }
            assert!(self.elapsed() < LIMIT, "{what} never came\n{}", self.describe());
            self.wait();
        }
    }

    /// Until our end is closed or in TIME-WAIT.
    #[track_caller]
    pub(crate) fn run_to_the_end(&mut self) {
        self.run_until("the end", |host| matches!(host.connection.state(), State::Closed | State::TimeWait));
    }

    /// Keeps driving for so long.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.elapsed() + time;
        // `wait` may sleep beyond the end, but not for ever.
        self.run_until("the end of a pause", |host| host.elapsed() >= end);
    }

    /// Everything that can be done now.
    pub(crate) fn step(&mut self) {
        self.take_in();
        while let Some(packet) = self.back.take(self.elapsed()) {
            let now = self.now();
            self.witness.received(now.as_nanos() / 1_000, &packet, false);
            self.connection.handle_packet(now, &packet[..]);
            if !self.batches {
                self.application.run(&mut self.connection, now);
                self.send_out();
            }
        }
        self.connection.handle_timeout(self.now());
        loop {
            let now = self.now();
            let busy = self.application.run(&mut self.connection, now);
            self.send_out();
            if !busy {
                break;
            }
        }
        let now = self.elapsed();
        while let Some(packet) = self.out.take(now) {
            // A full queue is one more loss.
            let _ = self.tun.write(&packet);
        }
    }

    /// All that the kernel has sent.
    fn take_in(&mut self) {
        let mut buffer = [0; 65_536];
        while let Ok(length) = self.tun.read(&mut buffer) {
            let packet = &buffer[..length];
            // Neighbour discovery and the like are not for us.
            if protocol_of(packet) != Some(6) {
                continue;
            }
            let now = self.elapsed();
            if self.back.is_lost() {
                self.witness.received(now.as_micros() as u64, packet, true);
            } else {
                self.back.send(now, packet);
            }
        }
    }

    fn send_out(&mut self) {
        // Larger than a packet may be, so that the witness would see it.
        let mut buffer = [0; 2 * MTU as usize];
        loop {
            let now = self.now();
            let Some(transmit) = self.connection.poll_transmit(now, &TxCaps::default(), &mut buffer) else {
                return;
            };
            let packet = &buffer[..transmit.len];
            let lost = self.out.is_lost();
            self.witness.sent(now.as_nanos() / 1_000, packet, lost);
            if !lost {
                self.out.send(self.elapsed(), packet);
            }
            assert!(self.elapsed() < LIMIT, "there is no end of packets\n{}", self.describe());
        }
    }

    /// Until there may be something to do; some milliseconds at most, since the kernel's
    /// application may be what is waited for.
    fn wait(&self) {
        let now = self.elapsed();
        let timer = self.connection.poll_timeout().map(|at| Duration::from_nanos(at.as_nanos()));
        let times = [self.out.next(), self.back.next(), timer, Some(now + Duration::from_millis(5))];
        let next = times.into_iter().flatten().min().unwrap_or(now);
        // Interrupted or not, the next step looks at everything.
        let _ = sys::wait_readable(&self.tun, next.saturating_sub(now));
    }

    pub(crate) fn describe(&self) -> String {
        format!(
            "after {:?} we are {}, {:?}\n{:?}\n{}\n{:?}\n{:?}",
            self.elapsed(),
            self.connection.state(),
            self.application,
            self.connection.stats(),
            self.witness.story(),
            self.witness.tally,
            self.connection.drops().iter().collect::<Vec<_>>(),
        )
    }
}
