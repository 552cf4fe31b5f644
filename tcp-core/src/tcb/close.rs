//! How a connection ends: by closing, by abort, by the peer, by nothing (RFC 9293 §3.6, §3.10.4-5).

use super::meter::Limit;
use super::snd::Fin;
use super::transitions::Trigger;
use super::{Cx, Reset, Tcb};
use crate::config::{AfterReset, Linger};
use crate::{CloseReason, Event, Instant, SendReason, State, TimerKind};

impl Tcb {
    /// The application sends no more: a FIN follows what it has written.
    pub(crate) fn shutdown_write(&mut self, cx: &mut Cx<'_>) {
        if self.snd.fin != Fin::Open {
            return;
        }
        match self.state {
            State::Closed | State::Listen | State::TimeWait => {}
            // Queued until the SYN is acknowledged, so that what was written is sent. It is `close`
            // that deletes the connection in SYN-SENT (RFC 9293 §3.10.4).
            State::SynSent | State::SynReceived => self.queue_fin(),
            State::Established => {
                self.queue_fin();
                self.move_to(cx, Trigger::Close);
            }
            // LAST-ACK begins when the FIN leaves.
            State::CloseWait => self.queue_fin(),
            State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck => {}
        }
    }

    fn queue_fin(&mut self) {
        self.snd.fin = Fin::Queued;
        self.push_to = self.send.end();
        self.timers.disarm(TimerKind::Cork);
    }

    /// The application closed in SYN-RECEIVED, and now the connection is established.
    pub(super) fn close_if_queued(&mut self, cx: &mut Cx<'_>) {
        if self.snd.fin == Fin::Queued {
            self.move_to(cx, Trigger::Close);
        }
    }

    /// The application reads no more. Nothing goes on the wire; what arrives is acknowledged and
    /// dropped, so that the peer can finish.
    pub(crate) fn shutdown_read(&mut self, cx: &mut Cx<'_>) {
        self.application.read_shut = true;
        let unread = self.receive.readable();
        self.receive.skip(cx.pool, unread);
        if unread > 0 && self.state.can_receive() && self.rcv.wants_update(0) {
            self.acknowledge_at_once(SendReason::WindowUpdate);
        }
        self.wake_reader();
    }

    /// The application lets go of the connection, which finishes by itself.
    pub(crate) fn close(&mut self, cx: &mut Cx<'_>) -> Option<Reset> {
        if core::mem::replace(&mut self.application.released, true) {
            return None;
        }
        // Who has let go waits for neither data nor room: only how it ends is told.
        self.application.read_blocked = false;
        self.application.write_blocked = false;
        // RFC 9293 §3.6.1 and RFC 2525 §2.17: the peer must learn that its data was not read. Data
        // out of order does not count, as in Linux: the stream up to it was read.
        let unread = self.receive.readable() > 0;
        if self.state.is_synchronized()
            && self.state != State::TimeWait
            && (unread || self.config.linger == Linger::Reset)
        {
            return self.abort(cx);
        }
        if self.state == State::SynSent {
            // RFC 9293 §3.10.4: the connection is deleted, and what was written is lost.
            let reason = if self.send.is_empty() { CloseReason::Finished } else { CloseReason::Aborted };
            self.end(cx, Trigger::Close, reason);
            return None;
        }
        self.shutdown_read(cx);
        self.shutdown_write(cx);
        match self.config.linger {
            Linger::Timeout(timeout) if self.recovery.outstanding() > 0 || self.has_unsent() => {
                self.timers.arm(TimerKind::Orphan, cx.now + timeout);
            }
            _ => self.start_orphan_timer(cx.now),
        }
        None
    }

    /// ABORT (RFC 9293 §3.10.5).
    pub(crate) fn abort(&mut self, cx: &mut Cx<'_>) -> Option<Reset> {
        let reset = match self.state {
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait => Some(self.reset_here(cx.now)),
            // Both FINs are under way: the connection is simply forgotten. In SYN-SENT the peer
            // knows of nothing.
            State::Closed
            | State::Listen
            | State::SynSent
            | State::Closing
            | State::LastAck
            | State::TimeWait => None,
        };
        match self.state {
            State::Closed => {}
            // The application has been told of the end already.
            State::TimeWait => self.move_to(cx, Trigger::Abort),
            _ => self.end(cx, Trigger::Abort, CloseReason::Aborted),
        }
        reset
    }

    /// The RST of a live connection: at SND.NXT, the highest number ever sent (trap 19).
    pub(super) fn reset_here(&self, now: Instant) -> Reset {
        Reset {
            seq: self.snd.nxt,
            ack: Some(self.rcv.nxt),
            timestamps: self.timestamps(now),
            reason: SendReason::Abort,
        }
    }

    /// The peer has reset the connection.
    pub(super) fn end_by_reset(&mut self, cx: &mut Cx<'_>, reason: CloseReason) {
        // In CLOSING and LAST-ACK both streams have come to their ends: "simply CLOSED".
        let mid_stream = self.state.can_receive() || self.state == State::CloseWait;
        if mid_stream && self.config.after_reset == AfterReset::Flush {
            self.receive.clear(cx.pool);
            self.application.read_shut = false;
            // The end of the stream is flushed with the rest: the next read tells of the reset.
            self.rcv.fin = None;
        }
        self.end(cx, Trigger::Reset, reason);
    }

    /// The connection is over. What arrived in order stays readable.
    pub(super) fn end(&mut self, cx: &mut Cx<'_>, trigger: Trigger, reason: CloseReason) {
        self.move_to(cx, trigger);
        self.settle(cx, reason);
    }

    /// Both FINs are acknowledged; the shell goes on with the small value.
    pub(super) fn enter_time_wait(&mut self, cx: &mut Cx<'_>, trigger: Trigger) {
        self.move_to(cx, trigger);
        self.settle(cx, CloseReason::Finished);
    }

    fn settle(&mut self, cx: &mut Cx<'_>, reason: CloseReason) {
        self.meter.change(cx.now, Limit::Application);
        self.timers.clear();
        self.recovery.clear(cx.rings);
        self.send.clear(cx.pool);
        self.receive.discard_out_of_order(cx.pool);
        self.probe = None;
        self.handshake.send_due = false;
        if self.application.released {
            self.receive.clear(cx.pool);
        }
        self.application.close_reason.get_or_insert(reason);
        self.wake_reader();
        self.application.events |= Event::CLOSED;
        if core::mem::take(&mut self.application.write_blocked) {
            self.raise(Event::WRITABLE);
        }
    }

    /// 2 MSL are over, or the record was ended before.
    pub(crate) fn time_wait_is_over(&mut self, cx: &mut Cx<'_>) {
        self.move_to(cx, Trigger::TwoMsl);
    }

    /// FIN-WAIT-2 of a connection that nobody holds lasts a limited time (requirement LNX-CLS-7).
    pub(super) fn start_orphan_timer(&mut self, now: Instant) {
        if self.application.released && self.state == State::FinWait2 {
            self.timers.arm(TimerKind::Orphan, now + self.config.fin_wait_2_timeout);
        }
    }
}
