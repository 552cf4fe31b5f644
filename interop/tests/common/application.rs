//! The application on top of ours: sends a stream, checks the peer's, and closes as planned.

use tcp_core::{Connection, Event, Instant, ReadError, WriteError};

use super::{check_stream, stream_bytes};

/// Which stream is whose.
pub(crate) const OUR_STREAM: usize = 0;
pub(crate) const PEER_STREAM: usize = 1;

/// What an application does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) to_send: usize,
    /// Sends nothing before the peer's FIN has come.
    pub(crate) answers: bool,
    pub(crate) close: Close,
}

/// When an application closes its side; always after it has written everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Close {
    /// At once.
    First,
    /// After the peer has closed.
    Second,
    /// After so much was received, which both may see in the same moment.
    AfterReceiving(usize),
    Never,
}

/// How far an application has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) sent: usize,
    pub(crate) received: usize,
    pub(crate) end_of_stream: bool,
    pub(crate) closed: bool,
}

impl Progress {
    pub(crate) fn may_send(&self, plan: &Plan) -> bool {
        self.sent < plan.to_send && (!plan.answers || self.end_of_stream)
    }

    pub(crate) fn may_close(&self, plan: &Plan) -> bool {
        let now = match plan.close {
            Close::First => true,
            Close::Second => self.end_of_stream,
            Close::AfterReceiving(bytes) => self.received >= bytes,
            Close::Never => false,
        };
        now && !self.closed && self.sent == plan.to_send
    }
}

/// Ours.
#[derive(Clone, Debug)]
pub(crate) struct Application {
    pub(crate) plan: Plan,
    pub(crate) progress: Progress,
    pub(crate) events: Event,
    /// Reads nothing for now.
    pub(crate) reads: bool,
}

impl Application {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, progress: Progress::default(), events: Event::NONE, reads: true }
    }

    /// Does what can be done now; says whether that was anything.
    pub(crate) fn run(&mut self, connection: &mut Connection, now: Instant) -> bool {
        let before = self.progress;
        while let Some(event) = connection.poll_event() {
            self.events |= event;
        }
        self.receive(connection, now);
        while self.progress.may_send(&self.plan) {
            let length = (self.plan.to_send - self.progress.sent).min(16_384);
            match connection.write(now, stream_bytes(OUR_STREAM, self.progress.sent, length)) {
                Ok(written) => self.progress.sent += written,
                Err(WriteError::Blocked | WriteError::Closed(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        // CLOSE in SYN-SENT would delete the connection with all that was written.
        if self.events.contains(Event::CONNECTED) && self.progress.may_close(&self.plan) {
            self.progress.closed = true;
            connection.shutdown_write(now);
        }
        before != self.progress
    }

    fn receive(&mut self, connection: &mut Connection, now: Instant) {
        let mut buffer = [0; 16_384];
        while self.reads && !self.progress.end_of_stream {
            match connection.read(now, &mut buffer) {
                Ok(0) => self.progress.end_of_stream = true,
                Ok(read) => {
                    check_stream(PEER_STREAM, self.progress.received, &buffer[..read]);
                    self.progress.received += read;
                }
                Err(ReadError::Blocked | ReadError::Closed(_)) => break,
            }
        }
    }
}
