//! Two connections, back to back: what one sends reaches the other after a fixed time.
//!
//! For scripts with two real ends. The first, [`End::A`], has the nominal initial sequence number
//! 100, the second 5000, as in [`scripted`](crate::scripted). A hook may lose, delay or repeat any
//! segment; everything sent is kept as text.
//!
//! ```
//! use tcp_core::ConnConfig;
//! use tcp_sim::pair::{End, Pair};
//! use tcp_sim::scripted::{Numbers, plain_config};
//!
//! let mut pair = Pair::new(plain_config(), plain_config(), Numbers::default());
//! pair.run_for(tcp_core::Duration::from_millis(100));
//! pair.expect(&["A [S] seq 100", "B [S.] seq 5000 ack 101", "A [.] seq 101 ack 5001"]);
//! pair.write(End::A, b"hello");
//! pair.run_for(tcp_core::Duration::from_millis(100));
//! assert_eq!(pair.read(End::B), Ok(b"hello".to_vec()));
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tcp_core::wire::Segment;
use tcp_core::{
    ConnConfig, Connection, Duration, Event, Framing, Instant, ReadError, Rx, RxMeta, Seed, SendReason,
    SeqNumber, State, TxCaps,
};

use crate::scripted::{IRS, ISS, Numbers, agrees, nominal_line, start};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The first; it connects.
    A,
    /// The second; it listens.
    B,
}

impl End {
    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A segment on its way.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// Who sent it.
    pub from: End,
    /// How many this end has sent, this one included.
    pub number: usize,
    /// With nominal numbers.
    pub segment: &'a Segment<'a>,
}

/// What the network does to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives after the usual time.
    Deliver,
    /// It never arrives.
    Lose,
    /// It arrives twice.
    Twice,
    /// It arrives so much later than usual.
    Late(Duration),
}

type Hook = Box<dyn FnMut(&Passing<'_>) -> Fate>;

struct Flying {
    at: Instant,
    to: End,
    bytes: Vec<u8>,
}

/// Two connections and the line between them.
pub struct Pair {
    /// The present.
    pub now: Instant,
    ends: [Connection; 2],
    numbers: Numbers,
    delay: Duration,
    flying: Vec<Flying>,
    sent: [usize; 2],
    hook: Hook,
    log: Vec<String>,
    events: [Event; 2],
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { now, ends, flying, log, .. } = self;
        write!(
            f,
            "at {now}: {} and {}, {} on the way; {log:#?}",
            ends[0].state(),
            ends[1].state(),
            flying.len()
        )
    }
}

impl Pair {
    /// A connects to B, which listens. A segment takes 10 ms.
    #[must_use]
    pub fn new(a: ConnConfig, b: ConnConfig, numbers: Numbers) -> Self {
        let a = connecting(End::A, start(), a, numbers);
        let b =
            Connection::listen(start(), address(End::B), numbered(End::B, b, numbers), &Seed::for_test(2));
        Self::of(a, b.expect("the configuration of a script works"), numbers)
    }

    /// Both connect to each other.
    #[must_use]
    pub fn both_connecting(a: ConnConfig, b: ConnConfig, numbers: Numbers) -> Self {
        let a = connecting(End::A, start(), a, numbers);
        Self::of(a, connecting(End::B, start(), b, numbers), numbers)
    }

    /// The same, established and with nothing on the way; the log is empty.
    ///
    /// # Panics
    /// If they do not come together.
    #[must_use]
    pub fn established(a: ConnConfig, b: ConnConfig, numbers: Numbers) -> Self {
        let mut pair = Self::new(a, b, numbers);
        pair.run_for(Duration::from_millis(100));
        assert_eq!((pair.state(End::A), pair.state(End::B)), (State::Established, State::Established));
        pair.log.clear();
        pair.sent = [0; 2];
        pair.events = [Event::NONE; 2];
        pair
    }

    fn of(a: Connection, b: Connection, numbers: Numbers) -> Self {
        Self {
            now: start(),
            ends: [a, b],
            numbers,
            delay: Duration::from_millis(10),
            flying: Vec::new(),
            sent: [0; 2],
            hook: Box::new(|_| Fate::Deliver),
            log: Vec::new(),
            events: [Event::NONE; 2],
        }
    }

    /// What happens to each segment from now on.
    pub fn on_segment(&mut self, hook: impl FnMut(&Passing<'_>) -> Fate + 'static) {
        self.hook = Box::new(hook);
    }

    /// Another connection takes this one's place: the host was rebooted, or listens again.
    pub fn replace(&mut self, end: End, connection: Connection) {
        self.ends[end as usize] = connection;
    }

    /// A connection from this end, to take its place.
    #[must_use]
    pub fn connecting_again(&self, end: End, config: ConnConfig) -> Connection {
        connecting(end, self.now, config, self.numbers)
    }

    /// A listener at this end, to take its place.
    ///
    /// # Panics
    /// If the configuration cannot work.
    #[must_use]
    pub fn listening_again(&self, end: End, config: ConnConfig) -> Connection {
        let config = numbered(end, config, self.numbers);
        Connection::listen(self.now, address(end), config, &Seed::for_test(2))
            .expect("the configuration of a script works")
    }

    /// One of the connections. After a command, [`run_for`](Self::run_for) sends what follows.
    pub fn end(&mut self, end: End) -> &mut Connection {
        &mut self.ends[end as usize]
    }

    /// Time passes.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.drain();
            let arrival = self.flying.iter().map(|flying| flying.at).min();
            let timers = self.ends.iter().filter_map(Connection::poll_timeout).min();
            let next = [arrival, timers].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            // What was sent first arrives first.
            if let Some(index) = self.flying.iter().position(|flying| flying.at <= self.now) {
                let Flying { to, bytes, .. } = self.flying.remove(index);
                let meta = RxMeta::new(address(to.other()).ip(), address(to).ip());
                self.ends[to as usize].handle_segment(self.now, &meta, Rx::new(&bytes));
            } else {
                self.ends.iter_mut().for_each(|end| end.handle_timeout(next));
            }
        }
        self.now = until;
    }

    fn drain(&mut self) {
        let mut caps = TxCaps::default();
        caps.framing = Framing::Segment;
        let mut buf = vec![0; 65_535];
        for from in [End::A, End::B] {
            let index = from as usize;
            while let Some(transmit) = self.ends[index].poll_transmit(self.now, &caps, &mut buf) {
                self.send(from, transmit.reason, &buf[..transmit.len]);
            }
            while let Some(event) = self.ends[index].poll_event() {
                self.events[index] |= event;
            }
        }
    }

    fn send(&mut self, from: End, reason: SendReason, bytes: &[u8]) {
        self.sent[from as usize] += 1;
        let numbers = match from {
            End::A => self.numbers,
            End::B => Numbers { local: self.numbers.remote, remote: self.numbers.local },
        };
        let (segment, line) = nominal_line(bytes, reason, numbers);
        let passing = Passing { from, number: self.sent[from as usize], segment: &segment };
        let fate = (self.hook)(&passing);
        self.log.push(format!("{from:?} {line}"));
        let at = self.now + self.delay;
        let (copies, at) = match fate {
            Fate::Deliver => (1, at),
            Fate::Lose => (0, at),
            Fate::Twice => (2, at),
            Fate::Late(by) => (1, at + by),
        };
        for _ in 0..copies {
            self.flying.push(Flying { at, to: from.other(), bytes: bytes.to_vec() });
        }
    }

    // Looking.

    /// Everything sent since the last call: each line must agree with its pattern in all that the
    /// pattern says, and there must be as many.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn expect(&mut self, patterns: &[&str]) {
        let log = self.take_log();
        let fits = |(line, pattern): (&String, &&str)| {
            line.get(..2) == pattern.get(..2) && agrees(&line[2..], &pattern[2..]).is_ok()
        };
        let same = log.len() == patterns.len() && log.iter().zip(patterns).all(fits);
        assert!(same, "expected {patterns:#?}, on the wire was {log:#?} ({:?})", self.numbers);
    }

    /// Everything sent since the last call: `A [.] seq 101 ack 5001 win 1000`.
    pub fn take_log(&mut self) -> Vec<String> {
        core::mem::take(&mut self.log)
    }

    /// The events of an end since the last call.
    pub fn take_events(&mut self, end: End) -> Event {
        core::mem::take(&mut self.events[end as usize])
    }

    /// The state of an end.
    #[must_use]
    pub fn state(&self, end: End) -> State {
        self.ends[end as usize].state()
    }

    // The applications.

    /// Writes all of `data`.
    ///
    /// # Panics
    /// If there is no room for it.
    #[track_caller]
    pub fn write(&mut self, end: End, data: &[u8]) {
        let now = self.now;
        assert_eq!(self.end(end).write(now, data), Ok(data.len()));
        self.drain();
    }

    /// Reads everything there is; nothing, at the end of the stream.
    ///
    /// # Errors
    /// As [`Connection::read`], if the first read fails.
    pub fn read(&mut self, end: End) -> Result<Vec<u8>, ReadError> {
        let now = self.now;
        let mut all = Vec::new();
        let mut buf = vec![0; 65_536];
        loop {
            match self.end(end).read(now, &mut buf) {
                Ok(0) => break,
                Ok(length) => all.extend_from_slice(&buf[..length]),
                Err(error) if all.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        self.drain();
        Ok(all)
    }

    /// Closes.
    pub fn close(&mut self, end: End) {
        let now = self.now;
        self.end(end).close(now);
        self.drain();
    }
}

fn connecting(end: End, now: Instant, config: ConnConfig, numbers: Numbers) -> Connection {
    let config = numbered(end, config, numbers);
    Connection::connect(now, address(end), address(end.other()), config, &Seed::for_test(1))
        .expect("the configuration of a script works")
}

fn address(end: End) -> SocketAddr {
    match end {
        End::A => SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 40_001),
        End::B => SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 80),
    }
}

fn numbered(end: End, mut config: ConnConfig, numbers: Numbers) -> ConnConfig {
    let initial = match end {
        End::A => SeqNumber(ISS) + numbers.local,
        End::B => SeqNumber(IRS) + numbers.remote,
    };
    config.replay.initial_sequence.get_or_insert(initial);
    config.replay.timestamp_offset.get_or_insert(0);
    config
}
