//! What the network says of our segments (RFC 9293 §3.9.2.2, RFC 5927, RFC 1191, RFC 8201).

use super::negotiate::ip_header_len;
use super::transitions::Trigger;
use super::{Cx, Tcb};
use crate::config::MIN_SEGMENT_SIZE;
use crate::config::OnUnreachable;
use crate::wire::IcmpKind;
use crate::{CloseReason, DropReason, Event, LossReason, Record, SeqNumber, SoftError};

/// The least path MTU that is believed of IPv4, as in Linux: less is an attack rather than a path
/// (RFC 5927 §7), and is taken for this.
const LEAST_PATH_MTU_V4: u32 = 552;
/// A message that tells of less is to be discarded (RFC 8201 §4).
const LEAST_PATH_MTU_V6: u32 = 1_280;

impl Tcb {
    /// Takes an ICMP error that quotes a segment of ours with this sequence number.
    pub(crate) fn on_icmp(
        &mut self,
        cx: &mut Cx<'_>,
        kind: IcmpKind,
        quoted: SeqNumber,
    ) -> Result<(), DropReason> {
        // RFC 5927 §4.1: only what is in flight can have been in an error's way.
        if quoted.before(self.snd.una) || quoted.after_eq(self.snd.nxt) {
            return Err(DropReason::IcmpIgnored);
        }
        match kind {
            IcmpKind::PacketTooBig { mtu } => self.on_too_big(cx, mtu),
            IcmpKind::ProtocolUnreachable | IcmpKind::PortUnreachable if self.is_opening() => {
                // As good as a RST (RFC 1122 §3.2.2.1). Once synchronised it is a soft error
                // (RFC 5927 §5.2).
                self.application.icmp = Some(kind);
                self.end(cx, Trigger::Abort, CloseReason::Refused);
                Ok(())
            }
            IcmpKind::NetUnreachable
            | IcmpKind::HostUnreachable
            | IcmpKind::ProtocolUnreachable
            | IcmpKind::PortUnreachable
            | IcmpKind::SourceRouteFailed
            | IcmpKind::Prohibited
            | IcmpKind::TimeExceeded { .. }
            | IcmpKind::ParameterProblem { .. } => {
                self.on_unreachable(cx, kind);
                Ok(())
            }
            // Source Quench is ignored (RFC 6633, MUST-55), as is what nobody knows.
            _ => Err(DropReason::IcmpIgnored),
        }
    }

    fn on_unreachable(&mut self, cx: &mut Cx<'_>, kind: IcmpKind) {
        self.application.icmp = Some(kind);
        let fails = self.config.unreachable_while_connecting == OnUnreachable::Fail;
        if self.is_opening() && fails {
            self.end(cx, Trigger::Abort, CloseReason::Unreachable);
        } else {
            self.note_soft_error(SoftError::Unreachable);
        }
    }

    /// MUST-56: a soft error is told, and ends nothing.
    fn note_soft_error(&mut self, error: SoftError) {
        self.application.soft_error = Some(error);
        if self.config.report_soft_errors {
            self.raise(Event::WARNING);
        }
    }

    /// The path takes less than we sent: cut smaller, and send again what was dropped. No sign of
    /// congestion (RFC 1191 §6.5).
    fn on_too_big(&mut self, cx: &mut Cx<'_>, mtu: u32) -> Result<(), DropReason> {
        let ip_header = ip_header_len(&self.tuple);
        if ip_header > 20 && mtu < LEAST_PATH_MTU_V6 {
            return Err(DropReason::IcmpIgnored);
        }
        let mtu = mtu.max(LEAST_PATH_MTU_V4);
        let size = u16::try_from(mtu).unwrap_or(u16::MAX).saturating_sub(ip_header + 20);
        if self.is_opening() || size >= self.snd.mss {
            return Err(DropReason::IcmpIgnored);
        }
        self.snd.mss = size.max(MIN_SEGMENT_SIZE);
        let segment_size = self.segment_size();
        self.congestion.get_mut().on_segment_size(segment_size);
        if let Some(range) = self.recovery.on_smaller_segments(segment_size) {
            cx.record(&Record::Lost { reason: LossReason::PathMtu, range });
        }
        Ok(())
    }
}
