//! TIME-WAIT: a small value that outlives its connection for 2 MSL (RFC 9293 §3.6.1).

use super::Clock;
use crate::config::{ConnConfig, TimeWaitReset};
use crate::wire::{Flags, Options, Segment, Timestamps};
use crate::{FourTuple, Instant, SeqNumber};

#[cfg(test)]
mod tests;

/// What is remembered of a closed connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TimeWait {
    /// SND.NXT.
    pub(crate) snd_nxt: SeqNumber,
    /// RCV.NXT.
    pub(crate) rcv_nxt: SeqNumber,
    /// The window field of its ACKs.
    pub(crate) window: u16,
    /// TS.Recent, if timestamps were agreed on.
    pub(crate) ts_recent: Option<u32>,
    pub(crate) clock: Clock,
    pub(crate) expires: Instant,
    pub(crate) last_answer: Option<Instant>,
}

/// What to do with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Ignore,
    /// Send [`TimeWait::ack`].
    Ack,
    /// The record ends here.
    Close,
    /// A listener may take this SYN for a new connection (RFC 6191 §2, RFC 9293 MAY-2), with an
    /// initial sequence number above this one. Without a listener: send [`TimeWait::ack`].
    Reuse {
        /// SND.NXT of the old connection.
        above: SeqNumber,
    },
}

impl TimeWait {
    /// Takes a segment of the old peer.
    pub(crate) fn on_segment(&mut self, now: Instant, segment: &Segment<'_>, config: &ConnConfig) -> Verdict {
        if segment.flags.rst() {
            // RFC 1337 §3: an old duplicate RST must not end TIME-WAIT early.
            return match config.time_wait_reset {
                TimeWaitReset::CloseIfExact if segment.seq == self.rcv_nxt => Verdict::Close,
                TimeWaitReset::CloseIfExact | TimeWaitReset::Ignore => Verdict::Ignore,
            };
        }
        if segment.flags.syn() {
            return if !segment.flags.ack() && self.is_new_incarnation(segment) {
                Verdict::Reuse { above: self.snd_nxt }
            } else {
                self.answer(now, segment, config)
            };
        }
        if !segment.flags.ack() {
            return Verdict::Ignore;
        }
        if self.is_old(segment) {
            return self.answer(now, segment, config);
        }
        self.take_timestamp(segment);
        if segment.flags.fin() && segment.seq + segment.len() == self.rcv_nxt {
            // Our last ACK was lost (RFC 9293 §3.10.7.4): only this restarts 2 MSL.
            self.expires = now + config.time_wait;
            self.last_answer = Some(now);
            return Verdict::Ack;
        }
        if segment.seq == self.rcv_nxt && segment.len() == 0 && segment.ack.before_eq(self.snd_nxt) {
            return Verdict::Ignore;
        }
        self.answer(now, segment, config)
    }

    /// PAWS (RFC 7323 §5.3 R1).
    fn is_old(&self, segment: &Segment<'_>) -> bool {
        match (self.ts_recent, segment.options.timestamps) {
            (Some(recent), Some(timestamps)) => (timestamps.value.wrapping_sub(recent) as i32) < 0,
            _ => false,
        }
    }

    /// TS.Recent goes on as in the connection (RFC 7323 §4.3 (2)): all up to RCV.NXT was
    /// acknowledged.
    fn take_timestamp(&mut self, segment: &Segment<'_>) {
        if segment.seq.before_eq(self.rcv_nxt) {
            let later = segment.options.timestamps.map(|timestamps| timestamps.value);
            self.ts_recent = self.ts_recent.and(later).or(self.ts_recent);
        }
    }

    /// Data is always answered, what carries none only now and then.
    fn answer(&mut self, now: Instant, segment: &Segment<'_>, config: &ConnConfig) -> Verdict {
        let recently = self.last_answer.is_some_and(|last| now - last < config.invalid_ack_interval);
        if recently && segment.payload.is_empty() {
            return Verdict::Ignore;
        }
        self.last_answer = Some(now);
        Verdict::Ack
    }

    /// RFC 6191 §2: a later timestamp, or without that a later sequence number, is proof that the
    /// SYN is of a new connection.
    fn is_new_incarnation(&self, syn: &Segment<'_>) -> bool {
        let later_sequence = syn.seq.after_eq(self.rcv_nxt);
        match (self.ts_recent, syn.options.timestamps) {
            (Some(recent), Some(timestamps)) => match timestamps.value.wrapping_sub(recent) as i32 {
                0 => later_sequence,
                difference => difference > 0,
            },
            (None, Some(_)) => true,
            (_, None) => later_sequence,
        }
    }

    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`.
    pub(crate) fn ack(&self, now: Instant, tuple: &FourTuple) -> Segment<'static> {
        let timestamps = self.ts_recent.map(|echo| Timestamps { value: self.clock.value(now), echo });
        Segment {
            src_port: tuple.local_port,
            dst_port: tuple.remote_port,
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: Flags::ACK,
            window: self.window,
            urgent: 0,
            options: Options { timestamps, ..Options::NONE },
            payload: &[],
        }
    }
}
