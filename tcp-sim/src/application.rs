//! What sits on a connection: programs that write a known stream and check the one they read.

use tcp_core::{CloseReason, Connection, Duration, Event, Instant, Observer, ReadError, WriteError};

use crate::{Random, Stream};

/// A program on top of a connection.
///
/// [`Network`](crate::Network) calls it once at the start, after every event, and when it asked to
/// be woken.
pub trait Application<O = ()> {
    /// Does what there is to do. Whoever stops before a call returned `Blocked` must say when to be
    /// called again: no event will.
    fn act(&mut self, now: Instant, connection: &mut Connection<O>, event: Event) -> Option<Instant>;
}

impl<O, A: Application<O> + ?Sized> Application<O> for Box<A> {
    fn act(&mut self, now: Instant, connection: &mut Connection<O>, event: Event) -> Option<Instant> {
        (**self).act(now, connection, event)
    }
}

/// What a [`Talker`] does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TalkerConfig {
    /// What it writes.
    pub says: Stream,
    /// How many bytes of it.
    pub length: u64,
    /// What it expects to read.
    pub hears: Stream,
    /// The most it writes, or reads, in one call.
    pub chunk: u64,
    /// Whether each call has a size of its own, by chance, up to `chunk`.
    pub ragged: bool,
    /// How often it pauses before reading or writing on, in parts of a million.
    pub pauses: u32,
    /// How long a pause is at most.
    pub pause: Duration,
    /// When it does not read at all: before this moment.
    pub deaf_until: Instant,
    /// What it does when everything is written.
    pub ending: Ending,
}

impl Default for TalkerConfig {
    fn default() -> Self {
        Self {
            says: Stream(1),
            length: 0,
            hears: Stream(2),
            chunk: 16 << 10,
            ragged: false,
            pauses: 0,
            pause: Duration::from_millis(50),
            deaf_until: Instant::ZERO,
            ending: Ending::HalfClose,
        }
    }
}

/// What a [`Talker`] does when it has written everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Says that no more follows, reads to the end, and closes.
    HalfClose,
    /// Reads to the end first, and then closes.
    AfterPeer,
    /// Aborts.
    Abort,
    /// Nothing.
    Stay,
}

/// Writes a known stream, and checks what it reads against another.
#[derive(Clone, Debug)]
pub struct Talker {
    config: TalkerConfig,
    random: Random,
    report: Report,
    write_rests_until: Instant,
    read_rests_until: Instant,
    shut: bool,
    closed: bool,
}

/// What a [`Talker`] has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Whether the connection was established.
    pub connected: bool,
    /// Bytes the connection took.
    pub written: u64,
    /// Bytes read.
    pub read: u64,
    /// The offset of the first byte that was read and is not what the peer wrote.
    pub wrong_at: Option<u64>,
    /// The peer's stream was read to its end.
    pub end_of_stream: bool,
    /// When the last byte, or the end, was read.
    pub last_read_at: Option<Instant>,
    /// Everything written was acknowledged, the FIN included.
    pub flushed: bool,
    /// How the connection ended.
    pub closed: Option<CloseReason>,
}

impl Talker {
    /// A program that does as `config` says; `random` decides what is left to chance.
    #[must_use]
    pub fn new(config: TalkerConfig, random: Random) -> Self {
        Self {
            config,
            random,
            report: Report::default(),
            write_rests_until: Instant::ZERO,
            read_rests_until: Instant::ZERO,
            shut: false,
            closed: false,
        }
    }

    /// A pair that sends each other `length` bytes, and closes when all has been read.
    #[must_use]
    pub fn pair(length: [u64; 2]) -> [Self; 2] {
        let left = TalkerConfig { length: length[0], ..TalkerConfig::default() };
        let right =
            TalkerConfig { says: left.hears, hears: left.says, length: length[1], ..TalkerConfig::default() };
        [Self::new(left, Random::new(1)), Self::new(right, Random::new(2))]
    }

    /// What it has seen.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What it was told to do.
    #[must_use]
    pub fn config(&self) -> &TalkerConfig {
        &self.config
    }

    fn next_size(&mut self) -> usize {
        let size = if self.config.ragged { self.random.size(self.config.chunk) } else { self.config.chunk };
        usize::try_from(size.clamp(1, MAX_CHUNK as u64)).unwrap_or(MAX_CHUNK)
    }

    /// Until when to pause, if it is time for a pause.
    fn rest(&mut self, now: Instant) -> Option<Instant> {
        let pause = self.random.chance(self.config.pauses);
        pause.then(|| now + Duration::from_nanos(self.random.between(1, self.config.pause.as_nanos().max(1))))
    }

    /// Writes until blocked; gives the time at which to go on, if that will not be told.
    fn write<O: Observer>(&mut self, now: Instant, connection: &mut Connection<O>) -> Option<Instant> {
        let mut buf = [0; MAX_CHUNK];
        while self.report.written < self.config.length && !self.shut {
            if now < self.write_rests_until {
                return Some(self.write_rests_until);
            }
            let left = self.config.length - self.report.written;
            let size = self.next_size().min(usize::try_from(left).unwrap_or(MAX_CHUNK));
            self.config.says.fill(self.report.written, &mut buf[..size]);
            match connection.write(now, &buf[..size]) {
                Ok(taken) => self.report.written += taken as u64,
                Err(WriteError::Blocked) => return None,
                Err(WriteError::ShutDown | WriteError::Closed(_)) => {
                    self.shut = true;
                    return None;
                }
            }
            if let Some(until) = self.rest(now) {
                self.write_rests_until = until;
            }
        }
        None
    }

    /// Reads until blocked, likewise.
    fn read<O: Observer>(&mut self, now: Instant, connection: &mut Connection<O>) -> Option<Instant> {
        let mut buf = [0; MAX_CHUNK];
        while !self.report.end_of_stream && !self.closed {
            if now < self.read_rests_until.max(self.config.deaf_until) {
                return Some(self.read_rests_until.max(self.config.deaf_until));
            }
            let size = self.next_size();
            match connection.read(now, &mut buf[..size]) {
                Ok(0) => self.report.end_of_stream = true,
                Ok(read) => {
                    if self.report.wrong_at.is_none() {
                        self.report.wrong_at =
                            self.config.hears.first_difference(self.report.read, &buf[..read]);
                    }
                    self.report.read += read as u64;
                }
                Err(ReadError::Blocked | ReadError::Closed(_)) => return None,
            }
            self.report.last_read_at = Some(now);
            if let Some(until) = self.rest(now) {
                self.read_rests_until = until;
            }
        }
        None
    }

    fn end<O: Observer>(&mut self, now: Instant, connection: &mut Connection<O>) {
        // Nothing can be shut that does not exist yet, and a peer that resets a connection before
        // it is one would be no test of closing.
        if self.closed || !self.report.connected || self.report.written < self.config.length && !self.shut {
            return;
        }
        match self.config.ending {
            Ending::Stay => {}
            Ending::Abort => {
                self.closed = true;
                connection.abort(now);
            }
            Ending::HalfClose | Ending::AfterPeer if self.report.end_of_stream => {
                self.closed = true;
                connection.close(now);
            }
            Ending::HalfClose if !self.shut => {
                self.shut = true;
                connection.shutdown_write(now);
            }
            Ending::HalfClose | Ending::AfterPeer => {}
        }
    }
}

impl<O: Observer> Application<O> for Talker {
    fn act(&mut self, now: Instant, connection: &mut Connection<O>, event: Event) -> Option<Instant> {
        self.report.connected |= event.contains(Event::CONNECTED);
        self.report.flushed |= event.contains(Event::FLUSHED);
        if event.contains(Event::CLOSED) {
            self.report.closed = connection.close_reason();
        }
        let to_write = self.write(now, connection);
        let to_read = self.read(now, connection);
        self.end(now, connection);
        [to_write, to_read].into_iter().flatten().min()
    }
}

const MAX_CHUNK: usize = 64 << 10;
