//! ICMP and ICMPv6 errors about TCP segments (RFC 792, RFC 4443).

use core::net::{IpAddr, SocketAddr};

use super::checksum::{self, Checksum};
use super::ip::{IpHeader, IpPacket, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP};
use super::ipv4::{Ipv4Header, Ipv4View};
use super::ipv6::{Ipv6Header, Ipv6View};
use super::malformed::Malformed;
use crate::{FourTuple, SeqNumber};

#[cfg(test)]
mod tests;

/// What an ICMP error says, in words that are the same for both versions of IP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IcmpKind {
    /// No route to the network (v4 codes 0, 6, 11; v6 code 0).
    NetUnreachable,
    /// The host does not answer (v4 codes 1, 7, 8, 12; v6 codes 2, 3).
    HostUnreachable,
    /// The host does not speak TCP (v4 code 2).
    ProtocolUnreachable,
    /// Nobody listens on the port (v4 code 3; v6 code 4).
    PortUnreachable,
    /// A source route failed (v4 code 5; v6 code 7).
    SourceRouteFailed,
    /// Forbidden by somebody (v4 codes 9, 10, 13–15; v6 codes 1, 5, 6).
    Prohibited,
    /// The packet is longer than the next hop can take: v4 "fragmentation needed" (RFC 1191 §4),
    /// v6 "packet too big" (RFC 8201 §4).
    PacketTooBig {
        /// The MTU of the next hop; zero from a router that does not say (RFC 1191 §5).
        mtu: u32,
    },
    /// The hop limit ran out, or a fragment was missing.
    TimeExceeded {
        /// Whether it happened in reassembly.
        reassembly: bool,
    },
    /// Somebody did not understand the IP header.
    ParameterProblem {
        /// Why.
        code: u8,
        /// The byte of the packet that was not understood.
        pointer: u32,
    },
    /// Source quench, to be ignored (RFC 6633, MUST-55).
    SourceQuench,
    /// An error that has no name here.
    Other {
        /// The type.
        icmp_type: u8,
        /// The code.
        code: u8,
    },
}

/// What an ICMP error quotes of a segment that we sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct QuotedTcp {
    /// The connection: we are the sender, so the quoted source is local.
    pub tuple: FourTuple,
    /// SEG.SEQ, which must be one in flight for the error to be believed (RFC 5927 §4.1).
    pub seq: SeqNumber,
    /// The length of the whole quoted packet, IP header included, as its header says.
    pub packet_len: u32,
}

/// An ICMP or ICMPv6 error about a TCP segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct IcmpError {
    /// Who says so.
    pub from: IpAddr,
    /// What is wrong.
    pub kind: IcmpKind,
    /// The segment it is about.
    pub quoted: QuotedTcp,
}

/// Type, code, checksum, and four bytes whose meaning depends on the type.
const HEADER_LEN: usize = 8;

/// The types (RFC 792; RFC 4443 §2.1).
mod v4 {
    pub(super) const UNREACHABLE: u8 = 3;
    pub(super) const SOURCE_QUENCH: u8 = 4;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    pub(super) const PARAMETER_PROBLEM: u8 = 12;
}
mod v6 {
    pub(super) const UNREACHABLE: u8 = 1;
    pub(super) const PACKET_TOO_BIG: u8 = 2;
    pub(super) const TIME_EXCEEDED: u8 = 3;
    pub(super) const PARAMETER_PROBLEM: u8 = 4;
    /// Types from here on are no errors.
    pub(super) const INFORMATIONAL: u8 = 128;
}

impl IcmpError {
    /// The error in `packet`, or `None` if the message is no error, or is not about the first bytes
    /// of a TCP segment.
    ///
    /// # Errors
    ///
    /// A fragment, another protocol than the ICMP of its IP version, a wrong checksum (RFC 4443
    /// §2.3), or a quote that is cut short before the sequence number or is no IP packet. None of
    /// them may have an effect (RFC 5927 §4).
    pub fn parse(packet: &IpPacket<'_>) -> Result<Option<Self>, Malformed> {
        let header = &packet.header;
        let (protocol, before) = match header.dst {
            IpAddr::V4(_) => (PROTOCOL_ICMP, Checksum::new()),
            IpAddr::V6(_) => (PROTOCOL_ICMPV6, pseudo_header(header, packet.payload.len())),
        };
        let bytes = packet.whole_payload(protocol)?;
        let (&[icmp_type, code, _, _, a, b, c, d], quote) =
            bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::TooShort)?;
        if !before.with(bytes).is_valid() {
            return Err(Malformed::Checksum);
        }
        let kind = match header.dst {
            IpAddr::V4(_) => kind_v4(icmp_type, code, [a, b, c, d]),
            IpAddr::V6(_) => kind_v6(icmp_type, code, u32::from_be_bytes([a, b, c, d])),
        };
        let Some(kind) = kind else { return Ok(None) };
        let quoted = match header.dst {
            IpAddr::V4(_) => quoted_v4(quote)?,
            IpAddr::V6(_) => quoted_v6(quote)?,
        };
        Ok(quoted.map(|quoted| Self { from: header.src, kind, quoted }))
    }
}

impl IcmpKind {
    /// Writes the packet that says this about `offending`, which starts with its IP header, from
    /// and to the addresses of `ip`. Returns its length, or `None` if `buf` is too short, if the
    /// addresses are of two families, or if that family cannot say this.
    ///
    /// As much is quoted as may be: up to 576 bytes in all for IPv4 (RFC 1812 §4.3.2.3), 1280 for
    /// IPv6 (RFC 4443 §2.4).
    pub fn emit(&self, ip: &IpHeader, offending: &[u8], buf: &mut [u8]) -> Option<usize> {
        let (protocol, ip_len, limit, message) = match ip.dst {
            IpAddr::V4(_) => (PROTOCOL_ICMP, Ipv4Header::LEN, 576, self.message_v4()?),
            IpAddr::V6(_) => (PROTOCOL_ICMPV6, Ipv6Header::LEN, 1280, self.message_v6()?),
        };
        let quote = offending.get(..limit - ip_len - HEADER_LEN).unwrap_or(offending);
        let len = HEADER_LEN + quote.len();
        let ip = IpHeader { protocol, ..*ip };
        let (ip_buf, rest) = buf.split_at_mut_checked(ip_len)?;
        ip.emit(len, ip_buf)?;
        let bytes = rest.get_mut(..len)?;
        let (header, body) = bytes.split_first_chunk_mut::<HEADER_LEN>()?;
        let (icmp_type, code, [a, b, c, d]) = message;
        *header = [icmp_type, code, 0, 0, a, b, c, d];
        body.copy_from_slice(quote);
        let before = match ip.dst {
            IpAddr::V4(_) => Checksum::new(),
            IpAddr::V6(_) => pseudo_header(&ip, len),
        };
        checksum::fill(before, bytes, 2);
        Some(ip_len + len)
    }

    /// Type, code and the four bytes after the checksum.
    fn message_v4(&self) -> Option<(u8, u8, [u8; 4])> {
        Some(match *self {
            Self::NetUnreachable => (v4::UNREACHABLE, 0, [0; 4]),
            Self::HostUnreachable => (v4::UNREACHABLE, 1, [0; 4]),
            Self::ProtocolUnreachable => (v4::UNREACHABLE, 2, [0; 4]),
            Self::PortUnreachable => (v4::UNREACHABLE, 3, [0; 4]),
            Self::SourceRouteFailed => (v4::UNREACHABLE, 5, [0; 4]),
            Self::Prohibited => (v4::UNREACHABLE, 13, [0; 4]),
            Self::PacketTooBig { mtu } => {
                let [high, low] = u16::try_from(mtu).unwrap_or(u16::MAX).to_be_bytes();
                (v4::UNREACHABLE, 4, [0, 0, high, low])
            }
            Self::TimeExceeded { reassembly } => (v4::TIME_EXCEEDED, u8::from(reassembly), [0; 4]),
            Self::ParameterProblem { code, pointer } => {
                (v4::PARAMETER_PROBLEM, code, [u8::try_from(pointer).ok()?, 0, 0, 0])
            }
            Self::SourceQuench => (v4::SOURCE_QUENCH, 0, [0; 4]),
            Self::Other { icmp_type, code } => (icmp_type, code, [0; 4]),
        })
    }

    fn message_v6(&self) -> Option<(u8, u8, [u8; 4])> {
        Some(match *self {
            Self::NetUnreachable => (v6::UNREACHABLE, 0, [0; 4]),
            Self::HostUnreachable => (v6::UNREACHABLE, 3, [0; 4]),
            Self::PortUnreachable => (v6::UNREACHABLE, 4, [0; 4]),
            Self::SourceRouteFailed => (v6::UNREACHABLE, 7, [0; 4]),
            Self::Prohibited => (v6::UNREACHABLE, 1, [0; 4]),
            Self::PacketTooBig { mtu } => (v6::PACKET_TOO_BIG, 0, mtu.to_be_bytes()),
            Self::TimeExceeded { reassembly } => (v6::TIME_EXCEEDED, u8::from(reassembly), [0; 4]),
            Self::ParameterProblem { code, pointer } => (v6::PARAMETER_PROBLEM, code, pointer.to_be_bytes()),
            Self::Other { icmp_type, code } => (icmp_type, code, [0; 4]),
            Self::ProtocolUnreachable | Self::SourceQuench => return None,
        })
    }
}

fn pseudo_header(ip: &IpHeader, len: usize) -> Checksum {
    Checksum::pseudo_header(ip.src, ip.dst, PROTOCOL_ICMPV6, len)
}

/// What a message of ICMP says, `None` if it is no error. `rest` is what follows the checksum.
fn kind_v4(icmp_type: u8, code: u8, rest: [u8; 4]) -> Option<IcmpKind> {
    Some(match (icmp_type, code) {
        (v4::UNREACHABLE, 0 | 6 | 11) => IcmpKind::NetUnreachable,
        (v4::UNREACHABLE, 1 | 7 | 8 | 12) => IcmpKind::HostUnreachable,
        (v4::UNREACHABLE, 2) => IcmpKind::ProtocolUnreachable,
        (v4::UNREACHABLE, 3) => IcmpKind::PortUnreachable,
        (v4::UNREACHABLE, 4) => {
            let [_, _, high, low] = rest;
            IcmpKind::PacketTooBig { mtu: u32::from(u16::from_be_bytes([high, low])) }
        }
        (v4::UNREACHABLE, 5) => IcmpKind::SourceRouteFailed,
        (v4::UNREACHABLE, 9 | 10 | 13..=15) => IcmpKind::Prohibited,
        (v4::UNREACHABLE, _) => IcmpKind::Other { icmp_type, code },
        (v4::SOURCE_QUENCH, _) => IcmpKind::SourceQuench,
        (v4::TIME_EXCEEDED, code) => IcmpKind::TimeExceeded { reassembly: code != 0 },
        (v4::PARAMETER_PROBLEM, code) => {
            let [pointer, ..] = rest;
            IcmpKind::ParameterProblem { code, pointer: u32::from(pointer) }
        }
        _ => return None,
    })
}

/// What a message of ICMPv6 says, `None` if it is no error. Types of error that are not known are
/// passed on all the same (RFC 4443 §2.4 (a)).
fn kind_v6(icmp_type: u8, code: u8, rest: u32) -> Option<IcmpKind> {
    Some(match (icmp_type, code) {
        (v6::UNREACHABLE, 0) => IcmpKind::NetUnreachable,
        (v6::UNREACHABLE, 1 | 5 | 6) => IcmpKind::Prohibited,
        (v6::UNREACHABLE, 2 | 3) => IcmpKind::HostUnreachable,
        (v6::UNREACHABLE, 4) => IcmpKind::PortUnreachable,
        (v6::UNREACHABLE, 7) => IcmpKind::SourceRouteFailed,
        (v6::PACKET_TOO_BIG, _) => IcmpKind::PacketTooBig { mtu: rest },
        (v6::TIME_EXCEEDED, code) => IcmpKind::TimeExceeded { reassembly: code != 0 },
        (v6::PARAMETER_PROBLEM, code) => IcmpKind::ParameterProblem { code, pointer: rest },
        (icmp_type, code) if icmp_type < v6::INFORMATIONAL => IcmpKind::Other { icmp_type, code },
        _ => return None,
    })
}

fn quoted_v4(quote: &[u8]) -> Result<Option<QuotedTcp>, Malformed> {
    let view = Ipv4View::new_quoted(quote)?;
    // A later fragment begins with data, which must not be taken for ports.
    if view.protocol() != PROTOCOL_TCP || view.fragment().is_some_and(|fragment| fragment.offset != 0) {
        return Ok(None);
    }
    quoted_tcp(view.src().into(), view.dst().into(), u32::from(view.total_len()), view.payload()).map(Some)
}

fn quoted_v6(quote: &[u8]) -> Result<Option<QuotedTcp>, Malformed> {
    let view = Ipv6View::new_quoted(quote)?;
    if view.protocol() != PROTOCOL_TCP || view.fragment().is_some_and(|fragment| fragment.offset != 0) {
        return Ok(None);
    }
    let packet_len = Ipv6Header::LEN as u32 + u32::from(view.payload_len());
    quoted_tcp(view.src().into(), view.dst().into(), packet_len, view.payload()).map(Some)
}

/// RFC 792 promises 64 bits of the segment: ports and sequence number.
fn quoted_tcp(src: IpAddr, dst: IpAddr, packet_len: u32, bytes: &[u8]) -> Result<QuotedTcp, Malformed> {
    let &[s0, s1, d0, d1, q0, q1, q2, q3] = bytes.first_chunk::<8>().ok_or(Malformed::TooShort)?;
    let local = SocketAddr::new(src, u16::from_be_bytes([s0, s1]));
    let remote = SocketAddr::new(dst, u16::from_be_bytes([d0, d1]));
    Ok(QuotedTcp {
        tuple: FourTuple::new(local, remote),
        seq: SeqNumber(u32::from_be_bytes([q0, q1, q2, q3])),
        packet_len,
    })
}
