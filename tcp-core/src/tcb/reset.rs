//! RST segments: their numbers, and nothing else (RFC 9293 §3.5.2).

use crate::wire::{Flags, Options, Segment, Timestamps};
use crate::{FourTuple, SendReason, SeqNumber};

/// A RST to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reset {
    pub(crate) seq: SeqNumber,
    pub(crate) ack: Option<SeqNumber>,
    pub(crate) timestamps: Option<Timestamps>,
    pub(crate) reason: SendReason,
}

impl Reset {
    /// The answer to a segment that belongs to no connection, or to one that cannot have meant it
    /// (RFC 9293 §3.5.2 group 1, §3.10.7.1). A RST is never answered.
    pub(crate) fn answering(segment: &Segment<'_>) -> Option<Self> {
        if segment.flags.rst() {
            return None;
        }
        // RFC 7323 §5.2: echo the timestamp that provoked it.
        let timestamps = segment.options.timestamps.map(|ts| Timestamps { value: 0, echo: ts.value });
        let reason = SendReason::Refuse;
        Some(if segment.flags.ack() {
            Self { seq: segment.ack, ack: None, timestamps, reason }
        } else {
            Self { seq: SeqNumber(0), ack: Some(segment.seq + segment.len()), timestamps, reason }
        })
    }

    pub(crate) fn to_segment(self, tuple: &FourTuple) -> Segment<'static> {
        Segment {
            src_port: tuple.local_port,
            dst_port: tuple.remote_port,
            seq: self.seq,
            ack: self.ack.unwrap_or_default(),
            flags: if self.ack.is_some() { Flags::RST.union(Flags::ACK) } else { Flags::RST },
            window: 0,
            urgent: 0,
            options: Options { timestamps: self.timestamps, ..Options::NONE },
            payload: &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(flags: Flags, payload: &[u8]) -> Segment<'_> {
        Segment { seq: SeqNumber(7), ack: SeqNumber(900), flags, payload, ..Segment::default() }
    }

    // req: 9293-EV-01
    // trap: 19
    #[test]
    fn a_rst_has_the_numbers_its_cause_asks_for() {
        let syn = Reset::answering(&segment(Flags::SYN, b"")).unwrap();
        assert_eq!((syn.seq, syn.ack), (SeqNumber(0), Some(SeqNumber(8))));
        let syn_fin_data = Reset::answering(&segment(Flags::SYN.union(Flags::FIN), b"abc")).unwrap();
        assert_eq!(syn_fin_data.ack, Some(SeqNumber(7 + 1 + 1 + 3)));
        let ack = Reset::answering(&segment(Flags::ACK, b"abc")).unwrap();
        assert_eq!((ack.seq, ack.ack), (SeqNumber(900), None));
        assert_eq!(Reset::answering(&segment(Flags::RST, b"")), None);
        assert_eq!(Reset::answering(&segment(Flags::RST.union(Flags::ACK), b"")), None);
    }

    // req: 7323-RST1
    #[test]
    fn a_rst_echoes_the_timestamp_that_provoked_it() {
        let mut cause = segment(Flags::ACK, b"abc");
        cause.options.timestamps = Some(Timestamps { value: 77, echo: 5 });
        let reset = Reset::answering(&cause).unwrap();
        assert_eq!(reset.timestamps, Some(Timestamps { value: 0, echo: 77 }));
    }
}
