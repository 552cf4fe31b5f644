//! What is sent next: `plan` decides and changes nothing, `encode` writes, `commit` moves the state
//! on. There is no other way out.

use super::encode::{Framing, PacketFields, TxCaps, write_packet};
use super::meter::Limit;
use super::negotiate::ip_header_len;
use super::rcv::Advertised;
use super::snd::Fin;
use super::transitions::Trigger;
use super::{Cx, Probe, Tcb};
use crate::wire::{Ecn, Flags, HEADER_LEN, Options, SackBlocks, Segment, Timestamps};
use crate::{Instant, Record, SendReason, SeqNumber, SeqRange, State, TimerKind};

/// A segment that is about to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    kind: Kind,
    reason: SendReason,
    flags: Flags,
    seq: SeqNumber,
    /// Where the payload stands in the stream, and how long it is.
    offset: u64,
    length: u32,
    /// How much of it goes into each segment; the whole, if it is one.
    segment_length: u32,
    options: Options,
    advertised: Advertised,
    urgent: u16,
}

/// What a plan does to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// SYN or SYN-ACK.
    Handshake,
    /// Sent for the first time.
    New,
    Retransmission,
    Probe(Probe),
    /// Nothing but what it acknowledges.
    PureAck,
}

/// A segment, or super-segment, that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) len: usize,
    /// How much payload each segment carries, if it is more than one.
    pub(crate) segment_size: Option<u16>,
    pub(crate) segments: u16,
    pub(crate) reason: SendReason,
}

/// What bounds a segment from outside.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// Header fields and payload that the caller's buffer takes, IP header apart.
    buffer: usize,
    segments: u32,
}

impl Tcb {
    /// Writes the next segment into `buf`, if there is anything to send now. It counts as sent.
    pub(crate) fn poll_transmit(&mut self, cx: &mut Cx<'_>, caps: &TxCaps, buf: &mut [u8]) -> Option<Sent> {
        self.restart_after_idle(cx.now);
        let ip_len = match caps.framing {
            Framing::Ip => usize::from(ip_header_len(&self.tuple)),
            Framing::Segment => 0,
        };
        let room =
            Room { buffer: buf.len().saturating_sub(ip_len), segments: u32::from(caps.max_segments.max(1)) };
        let plan = self.plan(cx, room)?;
        let len = self.encode(caps, &plan, buf)?;
        self.commit(cx, &plan);
        let segments = plan.length.div_ceil(plan.segment_length.max(1)).max(1);
        let segment_size = u16::try_from(plan.segment_length).ok().filter(|_| segments > 1);
        // At most `max_segments`, which has 16 bits.
        Some(Sent { len, segment_size, segments: segments as u16, reason: plan.reason })
    }

    fn plan(&mut self, cx: &mut Cx<'_>, room: Room) -> Option<Plan> {
        let now = cx.now;
        match self.state {
            State::Closed | State::Listen | State::TimeWait => return None,
            State::SynSent => return self.plan_handshake(now),
            State::SynReceived => return self.plan_handshake(now).or_else(|| self.plan_ack(now)),
            _ => {}
        }
        // A peer without SACK counts duplicate ACKs, and only bare ones.
        if self.ack.due() == Some(SendReason::DuplicateAck) && !self.rcv.sack {
            return self.plan_ack(now);
        }
        if let Some(plan) = self.plan_retransmission(now, room) {
            return Some(plan);
        }
        if let Some(probe) = self.probe {
            return Some(self.plan_probe(now, room, probe));
        }
        match self.plan_new(now, room) {
            Ok(plan) => Some(plan),
            Err(limit) => {
                self.note_limit(now, limit);
                self.plan_ack(now)
            }
        }
    }

    fn plan_handshake(&self, now: Instant) -> Option<Plan> {
        if !self.handshake.send_due {
            return None;
        }
        let (flags, reason, options) = match self.state {
            State::SynSent => (Flags::SYN, SendReason::Syn, self.syn_options(now)),
            _ => (Flags::SYN.union(Flags::ACK), SendReason::SynAck, self.syn_ack_options(now)),
        };
        let advertised = Advertised { field: self.offer.window, edge: self.rcv.edge };
        Some(Plan {
            kind: Kind::Handshake,
            reason,
            flags,
            seq: self.snd.iss,
            offset: 0,
            length: 0,
            segment_length: 0,
            options,
            advertised,
            urgent: 0,
        })
    }

    /// What was lost goes before what is new (RFC 6675 §5 (C)).
    fn plan_retransmission(&self, now: Instant, room: Room) -> Option<Plan> {
        if self.recovery.lost() == 0 {
            return None;
        }
        let options = self.segment_options(now);
        let length = self.one_segment(&options, room);
        // A FIN needs no room in the segment it was sent with (RFC 2525 §2.14).
        let with_fin = length + u32::from(matches!(self.snd.fin, Fin::Sent(_)));
        let mut range = self.recovery.next_retransmission(self.congestion.get(), with_fin)?;
        // Within the window, should it have shrunk (RFC 9293 §3.8.6, SHLD-16).
        range.end = range.end.min(self.snd.window_edge());
        if range.end.before_eq(range.start) {
            return None;
        }
        let reason = self.recovery.retransmission_reason();
        Some(self.plan_again(Kind::Retransmission, reason, range, length, options))
    }

    /// `range`, which was sent before, again: at most `most` bytes of it, and the FIN if that ends
    /// it.
    fn plan_again(
        &self,
        kind: Kind,
        reason: SendReason,
        range: SeqRange,
        most: u32,
        options: Options,
    ) -> Plan {
        let fin = matches!(self.snd.fin, Fin::Sent(seq) if range.contains(seq)) && range.len() <= most + 1;
        let length = (range.len() - u32::from(fin)).min(most);
        self.marked(Plan {
            kind,
            reason,
            flags: if fin { Flags::ACK.union(Flags::FIN) } else { Flags::ACK },
            seq: range.start,
            offset: self.send.base() + u64::from(range.start - self.snd.una),
            length,
            segment_length: length,
            options,
            advertised: self.advertised(),
            urgent: 0,
        })
    }

    /// New data and FIN, as far as the windows, Nagle's rule and silly-window avoidance allow
    /// (RFC 9293 §3.7.4, §3.8.6.2.1).
    fn plan_new(&self, now: Instant, room: Room) -> Result<Plan, Limit> {
        if !self.has_unsent() {
            return Err(Limit::Application);
        }
        let unsent = u32::try_from(self.unsent()).unwrap_or(u32::MAX);
        let fin_waits = self.snd.fin == Fin::Queued;
        let options = self.segment_options(now);
        let full = self.one_segment(&options, room);
        let usable = self.snd.usable_window();
        let allowance = self.recovery.allowance(self.congestion.get());
        let buffer =
            u32::try_from(room.buffer.saturating_sub(HEADER_LEN + options.encoded_len())).unwrap_or(u32::MAX);
        // A device that cuts a super-segment repeats the urgent pointer, which names another byte in
        // each part (trap 62).
        let urgent = self.snd.urgent_to.is_some_and(|to| to > self.next_offset());
        let segments = if urgent { 1 } else { room.segments };
        let most = full.saturating_mul(segments).min(buffer).min((u32::from(u16::MAX) - 120).max(full));
        let mut length = unsent.min(usable).min(allowance).min(most);
        if length >= full {
            // The rest is judged by itself.
            length -= length % full;
        } else {
            self.may_send_small(length, unsent, usable, allowance, fin_waits)?;
        }
        let fin = fin_waits && length == unsent && usable > length;
        if length == 0 && !fin {
            return Err(Limit::Window);
        }
        let flags = if fin { Flags::ACK.union(Flags::FIN) } else { Flags::ACK };
        Ok(self.marked(Plan {
            kind: Kind::New,
            reason: SendReason::Data,
            flags,
            seq: self.snd.nxt,
            offset: self.next_offset(),
            length,
            segment_length: full.min(length),
            options,
            advertised: self.advertised(),
            urgent: 0,
        }))
    }

    /// Whether a segment that is not full may leave.
    fn may_send_small(
        &self,
        length: u32,
        unsent: u32,
        usable: u32,
        allowance: u32,
        fin_waits: bool,
    ) -> Result<(), Limit> {
        if length < unsent {
            if allowance < usable {
                // An ACK will make room for a full one.
                return Err(Limit::Congestion);
            }
            // Silly-window avoidance: at least half of the largest window seen, unless the persist
            // timer has overridden it.
            let worthwhile = length > 0 && (length >= self.snd.max_wnd / 2 || self.override_silly_window);
            return if worthwhile { Ok(()) } else { Err(Limit::Window) };
        }
        let urgent = self.snd.urgent_to.is_some_and(|to| to > self.next_offset());
        if fin_waits || urgent {
            // What is urgent waits neither for company nor for ACKs, as in Linux.
            return Ok(());
        }
        if self.push_to < self.send.end() {
            // Corked: more will follow (RFC 9293 MAY-16).
            return Err(Limit::Application);
        }
        // Nagle's rule in Minshall's form: at most one small segment in flight.
        let small_in_flight = self.snd.small_to.after(self.snd.una);
        if small_in_flight && !self.config.no_delay { Err(Limit::Congestion) } else { Ok(()) }
    }

    /// The plan with PSH and the urgent pointer that its place in the stream asks for.
    fn marked(&self, plan: Plan) -> Plan {
        let Plan { mut flags, mut urgent, offset, length, .. } = plan;
        if length > 0 && offset + u64::from(length) == self.send.end() {
            // The last of what was written (MUST-61).
            flags = flags.union(Flags::PSH);
        }
        let ahead = self.snd.urgent_to.and_then(|to| to.checked_sub(offset)).filter(|ahead| *ahead > 0);
        if let Some(ahead) = ahead {
            flags = flags.union(Flags::URG);
            urgent = u16::try_from(ahead).unwrap_or(u16::MAX);
        }
        Plan { flags, urgent, ..plan }
    }

    fn advertised(&self) -> Advertised {
        self.rcv.advertise(self.receive.readable())
    }

    /// A probe carries nothing and stands where the peer must answer (traps 2 and 60).
    ///
    /// But what is in flight when the window closes over it was promised room, and may be lost, and
    /// be all that the peer's application waits for: then the probe is its retransmission, as in
    /// Linux (RFC 7323 §2.4 (4)).
    fn plan_probe(&self, now: Instant, room: Room, probe: Probe) -> Plan {
        let options = self.segment_options(now);
        let (seq, reason) = match (probe, self.recovery.first_unacknowledged()) {
            (Probe::Window, Some(range)) => {
                let most = self.one_segment(&options, room);
                return self.plan_again(Kind::Probe(probe), SendReason::WindowProbe, range, most, options);
            }
            (Probe::Window, None) => (self.snd.una - 1, SendReason::WindowProbe),
            (Probe::Keepalive, _) => (self.snd.nxt - 1, SendReason::Keepalive),
        };
        self.bare_plan(Kind::Probe(probe), reason, seq, options)
    }

    fn plan_ack(&self, now: Instant) -> Option<Plan> {
        let reason = self.ack.due()?;
        Some(self.bare_plan(Kind::PureAck, reason, self.snd.nxt, self.segment_options(now)))
    }

    /// A segment without data or FIN. An urgent mark that data has not reached yet is told even when
    /// the window is closed (trap 62).
    fn bare_plan(&self, kind: Kind, reason: SendReason, seq: SeqNumber, options: Options) -> Plan {
        let (mut flags, mut urgent) = (Flags::ACK, 0);
        if let Some(to) = self.snd.urgent_to.filter(|to| *to > self.next_offset()) {
            flags = flags.union(Flags::URG);
            let ahead = to - self.next_offset() + u64::from(self.snd.nxt - seq);
            urgent = u16::try_from(ahead).unwrap_or(u16::MAX);
        }
        let (offset, length, segment_length) = (self.send.end(), 0, 0);
        let advertised = self.advertised();
        Plan { kind, reason, flags, seq, offset, length, segment_length, options, advertised, urgent }
    }

    /// The payload of one full segment with these options.
    fn one_segment(&self, options: &Options, room: Room) -> u32 {
        let options_len = options.encoded_len();
        let buffer = room.buffer.saturating_sub(HEADER_LEN + options_len).max(1);
        self.payload_room(options_len).min(u32::try_from(buffer).unwrap_or(u32::MAX))
    }

    /// Timestamps and SACK blocks, on every segment (RFC 7323 §3.2, RFC 2018 §4).
    fn segment_options(&self, now: Instant) -> Options {
        Options { timestamps: self.timestamps(now), sack: self.sack_blocks(), ..Options::NONE }
    }

    pub(super) fn timestamps(&self, now: Instant) -> Option<Timestamps> {
        let echo = self.rcv.timestamps.then_some(self.rcv.ts_recent)?;
        Some(Timestamps { value: self.clock.value(now), echo })
    }

    /// The D-SACK first, then the blocks most recently reported (RFC 2018 §4, RFC 2883 §4).
    fn sack_blocks(&self) -> SackBlocks {
        let mut blocks = SackBlocks::EMPTY;
        if !self.rcv.sack {
            return blocks;
        }
        if let Some(dsack) = self.ack.dsack() {
            blocks.push(dsack);
        }
        if self.receive.has_out_of_order() {
            for range in self.receive.recent_blocks() {
                if !blocks.push(SeqRange::new(self.receive_seq(range.start), self.receive_seq(range.end))) {
                    break;
                }
            }
        }
        // Beside timestamps, 40 bytes of options hold three.
        if self.rcv.timestamps { blocks.first(3) } else { blocks }
    }

    fn encode(&self, caps: &TxCaps, plan: &Plan, buf: &mut [u8]) -> Option<usize> {
        let segment = Segment {
            src_port: self.tuple.local_port,
            dst_port: self.tuple.remote_port,
            seq: plan.seq,
            ack: if plan.flags.ack() { self.rcv.nxt } else { SeqNumber(0) },
            flags: plan.flags,
            window: plan.advertised.field,
            urgent: plan.urgent,
            options: plan.options,
            payload: &[],
        };
        write_packet(
            caps,
            &self.tuple,
            self.packet_fields(),
            &segment,
            plan.length as usize,
            buf,
            |payload| {
                self.send.copy_out(plan.offset, payload);
            },
        )
    }

    pub(crate) fn packet_fields(&self) -> PacketFields {
        PacketFields {
            hop_limit: self.config.hop_limit,
            dscp: self.config.dscp,
            ecn: Ecn::NotEct,
            flow_label: self.clock.flow_label(),
        }
    }

    fn commit(&mut self, cx: &mut Cx<'_>, plan: &Plan) {
        let range = SeqRange::new(
            plan.seq,
            plan.seq + plan.length + u32::from(plan.flags.syn()) + u32::from(plan.flags.fin()),
        );
        let segments = u64::from(plan.length.div_ceil(plan.segment_length.max(1)).max(1));
        cx.record(&Record::Sent { reason: plan.reason, range, ack: self.rcv.nxt });
        self.totals.segments_sent += segments;
        if plan.flags.ack() {
            self.commit_ack(plan);
        }
        match plan.kind {
            Kind::Handshake => self.commit_handshake(cx.now),
            Kind::New => self.commit_new(cx, plan, range),
            Kind::Retransmission => {
                self.commit_again(cx.now, range, plan.length);
                // The timer never sends a segment again within an RTO of its last transmission
                // (RFC 6298 §5), but after later partial ACKs it is left alone (RFC 6582 §3.2).
                let first_again = range.start == self.snd.una && plan.reason != SendReason::PartialAck;
                if first_again || !self.timers.is_armed(TimerKind::Retransmission) {
                    self.arm_retransmission(cx.now);
                }
            }
            Kind::Probe(probe) => {
                self.probe = None;
                if !range.is_empty() {
                    self.commit_again(cx.now, range, plan.length);
                }
                match probe {
                    Probe::Window => self.totals.window_probes = self.totals.window_probes.saturating_add(1),
                    Probe::Keepalive => {
                        self.totals.keepalive_probes = self.totals.keepalive_probes.saturating_add(1);
                    }
                }
            }
            Kind::PureAck => self.totals.pure_acks_sent += 1,
        }
    }

    /// Every segment but the first SYN acknowledges and advertises.
    fn commit_ack(&mut self, plan: &Plan) {
        let dsack = self.ack.dsack();
        let reported = dsack.is_some() && plan.options.sack.as_slice().first() == dsack.as_ref();
        if reported {
            self.totals.dsacks_sent = self.totals.dsacks_sent.saturating_add(1);
        }
        self.ack.sent();
        self.timers.disarm(TimerKind::DelayedAck);
        self.rcv.last_ack_sent = self.rcv.nxt;
        self.rcv.edge = self.rcv.edge.max(plan.advertised.edge);
    }

    fn commit_handshake(&mut self, now: Instant) {
        self.handshake.send_due = false;
        self.handshake.sent_at.get_or_insert(now);
    }

    fn commit_again(&mut self, now: Instant, range: SeqRange, length: u32) {
        self.recovery.on_retransmitted(now, range);
        self.totals.segments_retransmitted += 1;
        self.totals.bytes_retransmitted += u64::from(length);
        self.snd.last_sent = now;
    }

    fn commit_new(&mut self, cx: &mut Cx<'_>, plan: &Plan, range: SeqRange) {
        self.snd.nxt = range.end;
        self.snd.last_sent = cx.now;
        self.recovery.on_sent(cx.now, range, self.congestion.get(), cx.rings);
        self.override_silly_window = false;
        if plan.length < self.payload_room(plan.options.encoded_len()) {
            self.snd.small_to = range.end;
        }
        if plan.length > 0 {
            self.ack.data_sent(cx.now);
            if self.config.unsent_low_water.is_some() {
                self.wake_writer();
            }
        }
        if plan.flags.fin() {
            self.snd.fin = Fin::Sent(range.end - 1);
            if self.state == State::CloseWait {
                self.move_to(cx, Trigger::Close);
            }
        }
        if !self.timers.is_armed(TimerKind::Retransmission) {
            self.arm_retransmission(cx.now);
        }
        self.update_user_timeout(cx.now, false);
    }

    /// Anything that was never sent: data, or the FIN.
    pub(super) fn has_unsent(&self) -> bool {
        self.snd.fin == Fin::Queued || self.unsent() > 0
    }

    /// RFC 5681 §4.1: after an RTO without sending, the window says nothing of the network any more.
    fn restart_after_idle(&mut self, now: Instant) {
        let idle = self.recovery.outstanding() == 0 && self.has_unsent() && self.state.is_synchronized();
        if idle && now - self.snd.last_sent > self.recovery.rto(&self.config.rto) {
            let choice = self.config.initial_window;
            let restart = crate::congestion::initial_window(choice, self.segment_size(), 0);
            self.congestion.get_mut().on_idle(restart);
            // Once for each idle period.
            self.snd.last_sent = now;
        }
    }

    /// Remembers what keeps output from sending more: for the statistics, for the growth of the
    /// congestion window, and for the timer of a closed or silly window.
    fn note_limit(&mut self, now: Instant, limit: Limit) {
        self.meter.change(now, limit);
        // Whatever else holds it up: the congestion window is full. What waits may be only what is
        // to be sent again.
        if self.recovery.allowance(self.congestion.get()) < u32::from(self.segment_size()) {
            self.recovery.note_window_limited(self.snd.nxt);
        }
        match limit {
            Limit::Application | Limit::Congestion => {}
            Limit::Window => {
                if self.recovery.outstanding() == 0 || self.snd.wnd == 0 {
                    self.arm_persist(now);
                }
                self.update_user_timeout(now, false);
            }
        }
    }
}
