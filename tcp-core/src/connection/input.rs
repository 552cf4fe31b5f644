//! What arrives: a segment or ICMP error finds its place, before, in or after the connection.
//!
//! Next: `tcb/input.rs`, once there is a connection.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::{Connection, MAX_REPLIES, Phase, Reply, context};
use crate::tcb::{
    Clock, HalfOpen, HalfOpenTimeout, HalfOpenVerdict, Merged, Outcome, Reset, Tcb, TimeWaitVerdict,
    ip_header_len,
};
use crate::wire::{
    IcmpError, IpPacket, Malformed, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, Segment, checksum,
};
use crate::{
    Disposition, DropReason, FourTuple, Instant, Observer, Record, Rx, RxChecksum, RxMeta, SendReason,
    SeqNumber, State, is_usable_peer, isn,
};

/// Inputs.
impl<O: Observer> Connection<O> {
    /// Takes an IPv4 or IPv6 packet: TCP, or an ICMP error about a segment of ours.
    pub fn handle_packet<'a, P: Into<Rx<'a>>>(&mut self, now: Instant, packet: P) -> Disposition {
        let rx = packet.into();
        let now = self.advance(now);
        let result = IpPacket::parse(rx.bytes).map_err(DropReason::from).and_then(|packet| {
            match packet.header.protocol {
                PROTOCOL_ICMP | PROTOCOL_ICMPV6 => self.take_icmp(now, &packet),
                _ => {
                    let bytes = packet.whole_payload(PROTOCOL_TCP)?;
                    let meta = RxMeta { src: packet.header.src, dst: packet.header.dst };
                    self.take_bytes(now, &meta, &Rx { bytes, ..rx })
                }
            }
        });
        self.count(now, result)
    }

    /// Takes a TCP segment that comes without an IP header.
    pub fn handle_segment<'a, S: Into<Rx<'a>>>(
        &mut self,
        now: Instant,
        meta: &RxMeta,
        segment: S,
    ) -> Disposition {
        let now = self.advance(now);
        let result = self.take_bytes(now, meta, &segment.into());
        self.count(now, result)
    }

    /// Time has passed. Early or repeated calls do nothing; a late one catches up.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        match &mut self.phase {
            Phase::Listen { .. } | Phase::Closed { .. } => {}
            Phase::HalfOpen { local, tuple, half_open } => match half_open.on_timeout(now, &self.config) {
                HalfOpenTimeout::NotYet => {}
                HalfOpenTimeout::SynAck => {
                    let segment = half_open.syn_ack(now, tuple);
                    let tuple = *tuple;
                    self.reply(tuple, segment, SendReason::SynAck);
                }
                HalfOpenTimeout::Forget => self.phase = Phase::Listen { local: *local },
            },
            Phase::Open { tcb, time_wait: None, .. } => {
                let mut cx = context(now, &mut self.memory, &mut self.observer);
                let reset = tcb.on_timeout(&mut cx);
                self.finish(now, reset);
            }
            Phase::Open { tcb, time_wait, .. } => {
                if time_wait.is_some_and(|value| value.expires <= now) {
                    *time_wait = None;
                    tcb.time_wait_is_over(&mut context(now, &mut self.memory, &mut self.observer));
                }
            }
        }
    }

    fn take_bytes(&mut self, now: Instant, meta: &RxMeta, rx: &Rx<'_>) -> Result<Disposition, DropReason> {
        let RxMeta { src, dst } = *meta;
        let segment = Segment::parse(rx.bytes).map_err(|malformed| {
            // A damaged segment is told by its checksum first: any of its fields may be wrong.
            let damaged = rx.checksum == RxChecksum::Verify && !checksum::tcp_is_valid(src, dst, rx.bytes);
            if damaged && malformed == Malformed::OptionLength {
                DropReason::Checksum
            } else {
                malformed.into()
            }
        })?;
        if rx.checksum == RxChecksum::Verify && !checksum::tcp_is_valid(src, dst, rx.bytes) {
            return Err(DropReason::Checksum);
        }
        if !is_usable_peer(src) || !is_usable_peer(dst) || segment.src_port == 0 || segment.dst_port == 0 {
            return Err(DropReason::InvalidAddress);
        }
        let from = FourTuple {
            local_addr: dst,
            remote_addr: src,
            local_port: segment.dst_port,
            remote_port: segment.src_port,
        };
        let merged = Merged(rx.segments(segment.payload.len()));
        self.take_segment(now, from, &segment, merged)
    }

    fn take_segment(
        &mut self,
        now: Instant,
        from: FourTuple,
        segment: &Segment<'_>,
        merged: Merged,
    ) -> Result<Disposition, DropReason> {
        match &mut self.phase {
            Phase::Listen { local } if from.local() == *local => self.in_listen(now, from, segment),
            Phase::HalfOpen { tuple, .. } if from == *tuple => self.in_half_open(now, from, segment, merged),
            Phase::Open { tuple, time_wait: Some(_), .. } if from == *tuple => {
                self.in_time_wait(now, segment)
            }
            Phase::Open { tuple, tcb, .. } if from == *tuple && tcb.state() != State::Closed => {
                let mut cx = context(now, &mut self.memory, &mut self.observer);
                let Outcome { rejected, reset } = tcb.on_segment(&mut cx, segment, merged);
                self.finish(now, reset);
                match (rejected, reset) {
                    (None, _) => Ok(Disposition::Taken),
                    (Some(reason), None) => Err(reason),
                    (Some(reason), Some(_)) => {
                        self.drops.count(reason);
                        Ok(Disposition::Reset)
                    }
                }
            }
            // CLOSED (RFC 9293 §3.10.7.1).
            Phase::Open { tuple, .. } if from == *tuple => self.refuse(from, segment),
            Phase::Closed { local, .. } if from.local() == *local => self.refuse(from, segment),
            _ => Err(DropReason::NotForUs),
        }
    }

    fn refuse(&mut self, tuple: FourTuple, segment: &Segment<'_>) -> Result<Disposition, DropReason> {
        let reset = Reset::answering(segment).ok_or(DropReason::StrayReset)?;
        self.reply(tuple, reset.to_segment(&tuple), reset.reason);
        Ok(Disposition::Reset)
    }

    /// RFC 9293 §3.10.7.2.
    fn in_listen(
        &mut self,
        now: Instant,
        tuple: FourTuple,
        segment: &Segment<'_>,
    ) -> Result<Disposition, DropReason> {
        if segment.flags.rst() {
            return Err(if segment.flags.syn() { DropReason::SynWithFin } else { DropReason::StrayReset });
        }
        if segment.flags.ack() {
            return self.refuse(tuple, segment);
        }
        if !segment.flags.syn() {
            return Err(DropReason::NotSyn);
        }
        if segment.flags.fin() {
            return Err(DropReason::SynWithFin);
        }
        let (iss, clock) = self.secrets(&tuple);
        let half_open = HalfOpen::new(now, segment, iss, clock, ip_header_len(&tuple), &self.config);
        let syn_ack = half_open.syn_ack(now, &tuple);
        self.phase = Phase::HalfOpen { local: tuple.local(), tuple, half_open };
        self.reply(tuple, syn_ack, SendReason::SynAck);
        Ok(Disposition::Taken)
    }

    fn in_half_open(
        &mut self,
        now: Instant,
        tuple: FourTuple,
        segment: &Segment<'_>,
        merged: Merged,
    ) -> Result<Disposition, DropReason> {
        let Phase::HalfOpen { half_open, local, .. } = &mut self.phase else {
            return Err(DropReason::NotForUs);
        };
        match half_open.on_segment(now, segment, &self.config) {
            HalfOpenVerdict::Promote => {
                let config = Arc::clone(&self.config);
                let tcb = Tcb::from_half_open(now, half_open, tuple, config, self.early);
                self.phase = Phase::Open { tuple, tcb: Box::new(tcb), time_wait: None };
                self.take_segment(now, tuple, segment, merged)
            }
            HalfOpenVerdict::SynAck => {
                let answer = half_open.syn_ack(now, &tuple);
                self.reply(tuple, answer, SendReason::SynAck);
                Ok(Disposition::Taken)
            }
            HalfOpenVerdict::Challenge(reason) => {
                let answer = half_open.challenge_ack(now, &tuple);
                self.reply(tuple, answer, SendReason::Challenge);
                Err(reason)
            }
            HalfOpenVerdict::Reset(reset) => {
                self.reply(tuple, reset.to_segment(&tuple), reset.reason);
                Ok(Disposition::Reset)
            }
            HalfOpenVerdict::Forget => {
                self.phase = Phase::Listen { local: *local };
                Ok(Disposition::Taken)
            }
            HalfOpenVerdict::Drop(reason) => Err(reason),
        }
    }

    fn in_time_wait(&mut self, now: Instant, segment: &Segment<'_>) -> Result<Disposition, DropReason> {
        let Phase::Open { tuple, tcb, time_wait } = &mut self.phase else { return Err(DropReason::NotForUs) };
        let Some(value) = time_wait else { return Err(DropReason::NotForUs) };
        match value.on_segment(now, segment, &self.config) {
            TimeWaitVerdict::Ignore => Err(DropReason::OutOfWindow),
            // A connection has no listener that could take a new SYN.
            TimeWaitVerdict::Ack | TimeWaitVerdict::Reuse { .. } => {
                let (answer, tuple) = (value.ack(now, tuple), *tuple);
                self.reply(tuple, answer, SendReason::TimeWait);
                Err(DropReason::OutOfWindow)
            }
            TimeWaitVerdict::Close => {
                *time_wait = None;
                tcb.time_wait_is_over(&mut context(now, &mut self.memory, &mut self.observer));
                Ok(Disposition::Taken)
            }
        }
    }

    fn take_icmp(&mut self, now: Instant, packet: &IpPacket<'_>) -> Result<Disposition, DropReason> {
        let error = IcmpError::parse(packet)?.ok_or(DropReason::IcmpIgnored)?;
        match &mut self.phase {
            Phase::Open { tuple, tcb, time_wait: None }
                if *tuple == error.quoted.tuple && tcb.state() != State::Closed =>
            {
                let mut cx = context(now, &mut self.memory, &mut self.observer);
                tcb.on_icmp(&mut cx, error.kind, error.quoted.seq)?;
                Ok(Disposition::Taken)
            }
            _ => Err(DropReason::IcmpIgnored),
        }
    }

    fn count(&mut self, now: Instant, result: Result<Disposition, DropReason>) -> Disposition {
        result.unwrap_or_else(|reason| {
            self.drops.count(reason);
            // What the state machine dropped it has told of itself.
            if self.observer.is_active() && reason.is_before_the_connection() {
                self.observer.observe(now, &Record::Dropped { reason });
            }
            Disposition::Dropped(reason)
        })
    }

    /// Time never runs backwards (RFC 9293 §3.8 assumes as much); if the caller's does, it stands.
    pub(super) fn advance(&mut self, now: Instant) -> Instant {
        if now < self.now {
            self.clock_regressions = self.clock_regressions.saturating_add(1);
        } else {
            self.now = now;
        }
        self.now
    }

    /// What an input or command has left to do: a RST to send, TIME-WAIT to enter.
    pub(super) fn finish(&mut self, now: Instant, reset: Option<Reset>) {
        let Phase::Open { tuple, tcb, time_wait } = &mut self.phase else { return };
        let tuple = *tuple;
        if tcb.state() != State::TimeWait {
            // Aborted (RFC 9293 §3.10.5).
            *time_wait = None;
        }
        if tcb.state() == State::TimeWait && time_wait.is_none() {
            let value = tcb.to_time_wait(now);
            let ack = tcb.owes_ack().then(|| value.ack(now, &tuple));
            *time_wait = Some(value);
            if let Some(ack) = ack {
                self.reply(tuple, ack, SendReason::TimeWait);
            }
        }
        if let Some(reset) = reset {
            self.reply(tuple, reset.to_segment(&tuple), reset.reason);
        }
    }

    pub(super) fn reply(&mut self, tuple: FourTuple, segment: Segment<'static>, reason: SendReason) {
        if self.replies.len() >= MAX_REPLIES {
            if reason != SendReason::Abort {
                return;
            }
            // The end of the connection is worth more than the last of so many answers.
            self.replies.pop_back();
        }
        let clock = match &self.phase {
            Phase::HalfOpen { half_open, .. } => Some(half_open.clock),
            Phase::Open { tcb, .. } => Some(tcb.clock()),
            Phase::Listen { .. } | Phase::Closed { .. } => None,
        };
        self.replies.push_back(Reply { tuple, clock, segment, reason });
    }

    pub(super) fn secrets(&self, tuple: &FourTuple) -> (SeqNumber, Clock) {
        let replay = &self.config.replay;
        let iss =
            replay.initial_sequence.unwrap_or_else(|| isn::initial_sequence(&self.seed, tuple, self.now));
        let offset = replay.timestamp_offset.unwrap_or_else(|| isn::timestamp_offset(&self.seed, tuple));
        (iss, Clock::new(self.now, offset))
    }
}
