//! What the application does: write, read, and set how the connection behaves.

use alloc::sync::Arc;

use bytes::Bytes;

use super::rcv::UrgentByte;
use super::snd::Fin;
use super::{Cx, Tcb};
use crate::{ConnConfig, Event, Instant, ReadError, SendReason, State, TimerKind, WriteError};

/// Whether more will follow soon, so that a small segment may wait for it (`MSG_MORE`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum More {
    /// Send what can be sent.
    No,
    /// Wait for the rest.
    Follows,
}

impl Tcb {
    /// SEND (RFC 9293 §3.10.2): appends what there is room for.
    pub(crate) fn write(&mut self, cx: &mut Cx<'_>, data: &[u8], more: More) -> Result<usize, WriteError> {
        let room = self.room_to_write(data.len())?;
        let taken = self.send.write(cx.pool, &data[..room]);
        self.written(cx, data.len(), taken, more)
    }

    /// SEND without a copy.
    pub(crate) fn write_bytes(&mut self, cx: &mut Cx<'_>, data: &mut Bytes) -> Result<usize, WriteError> {
        let length = data.len();
        let room = self.room_to_write(length)?;
        let taken = self.send.write_bytes(cx.pool, data, room);
        self.written(cx, length, taken, More::No)
    }

    /// SEND with the URGENT flag: the mark stands behind the last byte taken (MUST-62).
    pub(crate) fn write_urgent(&mut self, cx: &mut Cx<'_>, data: &[u8]) -> Result<usize, WriteError> {
        let taken = self.write(cx, data, More::No)?;
        if taken > 0 {
            self.snd.urgent_to = Some(self.send.end());
        }
        Ok(taken)
    }

    fn room_to_write(&self, wanted: usize) -> Result<usize, WriteError> {
        if let Some(reason) = self.application.close_reason {
            return Err(WriteError::Closed(reason));
        }
        if self.snd.fin != Fin::Open || self.application.released {
            return Err(WriteError::ShutDown);
        }
        let mut room = u64::from(self.application.send_limit).saturating_sub(self.send.len());
        if let Some(mark) = self.config.unsent_low_water {
            room = room.min(u64::from(mark.max(1)).saturating_sub(self.unsent()));
        }
        Ok(usize::try_from(room).unwrap_or(usize::MAX).min(wanted))
    }

    fn written(&mut self, cx: &Cx<'_>, wanted: usize, taken: usize, more: More) -> Result<usize, WriteError> {
        if taken == 0 && wanted > 0 {
            // The buffer has no room, or the pool no memory.
            self.application.write_blocked = true;
            return Err(WriteError::Blocked);
        }
        if self.application.corked || more == More::Follows {
            if taken > 0 && !self.timers.is_armed(TimerKind::Cork) {
                self.timers.arm(TimerKind::Cork, cx.now + self.config.cork_limit);
            }
        } else {
            self.uncork_what_is_written();
        }
        if self.state.is_synchronized() {
            self.update_user_timeout(cx.now, false);
        }
        Ok(taken)
    }

    fn uncork_what_is_written(&mut self) {
        self.push_to = self.send.end();
        self.timers.disarm(TimerKind::Cork);
    }

    /// `TCP_CORK`: only full segments leave until it is taken off, or for the cork limit.
    pub(crate) fn set_corked(&mut self, corked: bool) {
        self.application.corked = corked;
        if !corked {
            self.uncork_what_is_written();
        }
    }

    /// Room for the application again: one event, once a third is free, so that it does not write
    /// in crumbs (requirement LNX-BUF-6).
    pub(super) fn wake_writer(&mut self) {
        if !self.application.write_blocked {
            return;
        }
        let limit = u64::from(self.application.send_limit);
        let free = limit.saturating_sub(self.send.len());
        // Half of the mark, so that the application does not write in crumbs here either.
        let unsent_is_low =
            self.config.unsent_low_water.is_none_or(|mark| 2 * self.unsent() < u64::from(mark.max(1)));
        if free >= (limit / 3).max(1) && unsent_is_low {
            self.application.write_blocked = false;
            self.raise(Event::WRITABLE);
        }
    }

    /// Twice the congestion window, so that the application keeps it full (requirement LNX-BUF-2).
    pub(super) fn grow_send_buffer(&mut self) {
        let wanted = self.congestion.get().window().saturating_mul(2).min(self.config.send_buffer.max);
        self.application.send_limit = self.application.send_limit.max(wanted);
    }

    /// RECEIVE (RFC 9293 §3.10.3). Zero is the end of the stream, or an empty `buf`.
    pub(crate) fn read(&mut self, cx: &mut Cx<'_>, buf: &mut [u8]) -> Result<usize, ReadError> {
        if buf.is_empty() {
            return Ok(0);
        }
        let Some(most) = self.readable_now(cx)? else { return Ok(0) };
        let length = usize::try_from(most).unwrap_or(usize::MAX).min(buf.len());
        let read = self.receive.read(cx.pool, &mut buf[..length]);
        self.was_read(cx.now, read as u64);
        Ok(read)
    }

    /// RECEIVE without a copy. Empty is the end of the stream.
    pub(crate) fn read_bytes(&mut self, cx: &mut Cx<'_>, max: usize) -> Result<Bytes, ReadError> {
        let Some(most) = self.readable_now(cx)? else { return Ok(Bytes::new()) };
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(max);
        let bytes = self.receive.read_bytes(cx.pool, most).unwrap_or_default();
        self.was_read(cx.now, bytes.len() as u64);
        Ok(bytes)
    }

    /// Hands what can be read to `reader`, piece by piece, until it takes less than it is given.
    pub(crate) fn read_with(
        &mut self,
        cx: &mut Cx<'_>,
        mut reader: impl FnMut(&[u8]) -> usize,
    ) -> Result<u64, ReadError> {
        let Some(most) = self.readable_now(cx)? else { return Ok(0) };
        let mut left = usize::try_from(most).unwrap_or(usize::MAX);
        let read = self.receive.read_with(cx.pool, |piece| {
            let piece = &piece[..piece.len().min(left)];
            let taken = reader(piece).min(piece.len());
            left -= taken;
            taken
        });
        self.was_read(cx.now, read);
        Ok(read)
    }

    /// As `read`, and leaves everything unread.
    pub(crate) fn peek(&mut self, cx: &mut Cx<'_>, buf: &mut [u8]) -> Result<usize, ReadError> {
        let Some(most) = self.readable_now(cx)? else { return Ok(0) };
        let length = usize::try_from(most).unwrap_or(usize::MAX).min(buf.len());
        Ok(self.receive.peek(&mut buf[..length]))
    }

    /// How much may be read in one go: never across the urgent mark (requirement 6093-5). None at
    /// the end of the stream.
    fn readable_now(&mut self, cx: &mut Cx<'_>) -> Result<Option<u64>, ReadError> {
        self.skip_urgent_byte(cx);
        let readable = self.receive.readable();
        if readable > 0 {
            return Ok(Some(match self.urgent_ahead() {
                Some(ahead) if ahead > 0 => readable.min(ahead),
                _ => readable,
            }));
        }
        if self.rcv.fin_received() || self.application.read_shut {
            return Ok(None);
        }
        match self.application.close_reason {
            Some(reason) => Err(ReadError::Closed(reason)),
            None => {
                self.application.read_blocked = true;
                Err(ReadError::Blocked)
            }
        }
    }

    /// How many bytes lie before the urgent mark, which stands before the last urgent byte, whether
    /// that stays in the stream or not (tcp(7), `SIOCATMARK`).
    fn urgent_ahead(&self) -> Option<u64> {
        let mark = self.rcv.urgent_to?.checked_sub(1)?;
        mark.checked_sub(self.receive.read_position())
    }

    /// Whether reading has come to the urgent mark, and not passed it.
    pub(crate) fn at_urgent_mark(&self) -> bool {
        self.urgent_ahead() == Some(0)
    }

    /// Out of line, the urgent byte is no part of the stream.
    fn skip_urgent_byte(&mut self, cx: &mut Cx<'_>) {
        let at_byte = self.rcv.urgent_to == Some(self.receive.read_position() + 1);
        if at_byte && !self.config.urgent_inline && self.receive.readable() > 0 {
            self.receive.skip(cx.pool, 1);
        }
    }

    /// Bytes up to the end of the urgent data that are still to be read (MUST-33).
    pub(crate) fn urgent_remaining(&self) -> Option<u64> {
        self.rcv.urgent_to?.checked_sub(self.receive.read_position()).filter(|ahead| *ahead > 0)
    }

    /// The last urgent byte, taken out of the stream.
    pub(crate) fn read_urgent(&mut self) -> Option<u8> {
        match self.rcv.urgent_byte {
            UrgentByte::Here(byte) => {
                self.rcv.urgent_byte = UrgentByte::Done;
                Some(byte)
            }
            UrgentByte::Awaited | UrgentByte::Done => None,
        }
    }

    fn was_read(&mut self, now: Instant, read: u64) {
        if read == 0 {
            return;
        }
        // One that only receives may have measured nothing.
        let estimate = self.recovery.round_trip();
        let round_trip = estimate.smoothed().unwrap_or(estimate.timeout());
        self.rcv.tune(now, read, round_trip, &self.config.receive_buffer);
        if self.state.can_receive() && self.rcv.wants_update(self.receive.readable()) {
            self.acknowledge_at_once(SendReason::WindowUpdate);
        }
    }

    pub(super) fn wake_reader(&mut self) {
        if core::mem::take(&mut self.application.read_blocked) {
            self.raise(Event::READABLE);
        }
    }

    /// Changes the behaviour from now on. What the handshake settled stays as it is.
    pub(crate) fn set_config(&mut self, now: Instant, config: Arc<ConnConfig>) {
        let keepalive_changed = config.keepalive != self.config.keepalive;
        let user_timeout_changed = config.user_timeout != self.config.user_timeout;
        if config.no_delay && !self.config.no_delay {
            // tcp(7): it flushes what a cork holds back, which stays on for what comes later.
            self.uncork_what_is_written();
        }
        self.config = config;
        // Buffers grow at once and shrink as they drain: no window is taken back (trap 10).
        let (receive, send) = (self.config.receive_buffer, self.config.send_buffer);
        self.rcv.limit = self.rcv.limit.clamp(receive.initial, receive.max);
        self.application.send_limit = self.application.send_limit.clamp(send.initial, send.max);
        self.wake_writer();
        if self.state.can_receive() && self.rcv.wants_update(self.receive.readable()) {
            self.acknowledge_at_once(SendReason::WindowUpdate);
        }
        if self.receive.readable() > 0 && self.reading_is_worthwhile() {
            self.wake_reader();
        }
        if keepalive_changed {
            self.arm_keepalive(now);
        }
        if user_timeout_changed {
            self.timers.disarm(TimerKind::UserTimeout);
            if self.state.is_synchronized() && self.state != State::TimeWait {
                self.update_user_timeout(now, true);
            }
        }
    }

    /// Acknowledges at once for a while (`TCP_QUICKACK`).
    pub(crate) fn quick_ack(&mut self) {
        self.ack.quicken(&self.config.ack);
    }
}
