//! What leaves: events, segments, and the time to be called again.
//!
//! Next: `tcb/output.rs`, which decides what a connection sends.

use core::net::IpAddr;

use super::{Connection, Phase, Reply, context};
use crate::tcb::{PacketFields, TxCaps, write_packet};
use crate::wire::{Ecn, Segment};
use crate::{Event, FourTuple, Instant, Observer, SendReason};

/// A segment for the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Transmit {
    /// How many bytes of the buffer it takes.
    pub len: usize,
    /// The sender's address.
    pub src: IpAddr,
    /// The receiver's address.
    pub dst: IpAddr,
    /// If it is a super-segment: how much payload each segment but the last carries.
    pub segment_size: Option<u16>,
    /// How many segments of the wire it is.
    pub segments: u16,
    /// The differentiated services code point.
    pub dscp: u8,
    /// The TTL or hop limit.
    pub hop_limit: u8,
    /// The congestion bits.
    pub ecn: Ecn,
    /// Why it is sent.
    pub reason: SendReason,
}

/// Outputs.
impl<O: Observer> Connection<O> {
    /// What has happened since the last call, if anything.
    pub fn poll_event(&mut self) -> Option<Event> {
        match &mut self.phase {
            Phase::Open { tcb, .. } => Some(tcb.take_events()).filter(|events| !events.is_empty()),
            Phase::Closed { told, .. } => (!core::mem::replace(told, true)).then_some(Event::CLOSED),
            Phase::Listen { .. } | Phase::HalfOpen { .. } => None,
        }
    }

    /// Writes the next segment into `buf`, if there is one to send now. It counts as sent: poll only
    /// when the device has room, or keep the packet.
    ///
    /// `buf` should hold a packet of the MTU, or a super-segment if the device takes such; a shorter
    /// one gets shorter segments, and none if not even a header fits.
    pub fn poll_transmit(&mut self, now: Instant, caps: &TxCaps, buf: &mut [u8]) -> Option<Transmit> {
        let now = self.advance(now);
        if let Some(reply) = self.replies.front() {
            let fields = self.reply_fields(reply.clock.map_or(0, |clock| clock.flow_label()));
            let len = write_packet(caps, &reply.tuple, fields, &reply.stamped(now), 0, buf, |_| {})?;
            let Reply { tuple, reason, .. } = self.replies.pop_front()?;
            return Some(transmit(&tuple, fields, len, (None, 1), reason));
        }
        match &mut self.phase {
            Phase::Open { tuple, tcb, .. } => {
                let mut cx = context(now, &mut self.memory, &mut self.observer);
                let sent = tcb.poll_transmit(&mut cx, caps, buf)?;
                let fields = tcb.packet_fields();
                Some(transmit(tuple, fields, sent.len, (sent.segment_size, sent.segments), sent.reason))
            }
            Phase::Listen { .. } | Phase::HalfOpen { .. } | Phase::Closed { .. } => None,
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next. Never late, perhaps early.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::HalfOpen { half_open, .. } => Some(half_open.deadline()),
            Phase::Open { time_wait: Some(time_wait), .. } => Some(time_wait.expires),
            Phase::Open { tcb, .. } => tcb.next_timeout(),
            Phase::Listen { .. } | Phase::Closed { .. } => None,
        }
    }

    fn reply_fields(&self, flow_label: u32) -> PacketFields {
        let (hop_limit, dscp) = (self.config.hop_limit, self.config.dscp);
        PacketFields { hop_limit, dscp, ecn: Ecn::NotEct, flow_label }
    }
}

impl Reply {
    /// The segment with the time at which it leaves, however long it has waited: a timestamp tells
    /// the peer what is old. The RST of no connection has none of its own (RFC 7323 §5.2).
    fn stamped(&self, now: Instant) -> Segment<'static> {
        let mut segment = self.segment;
        if let (Some(clock), Some(timestamps)) = (&self.clock, &mut segment.options.timestamps) {
            if self.reason != SendReason::Refuse {
                timestamps.value = clock.value(now);
            }
        }
        segment
    }
}

fn transmit(
    tuple: &FourTuple,
    fields: PacketFields,
    len: usize,
    (segment_size, segments): (Option<u16>, u16),
    reason: SendReason,
) -> Transmit {
    let PacketFields { hop_limit, dscp, ecn, flow_label: _ } = fields;
    let (src, dst) = (tuple.local_addr, tuple.remote_addr);
    Transmit { len, src, dst, segment_size, segments, dscp, hop_limit, ecn, reason }
}
