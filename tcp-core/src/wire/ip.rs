//! What IPv4 and IPv6 have in common, as TCP needs it.

use core::fmt;
use core::net::IpAddr;

use super::ipv4::{Ipv4Header, Ipv4View};
use super::ipv6::{Ipv6Header, Ipv6View};
use super::malformed::Malformed;

/// The protocol number of ICMP for IPv4.
pub const PROTOCOL_ICMP: u8 = 1;
/// The protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// The protocol number of ICMPv6.
pub const PROTOCOL_ICMPV6: u8 = 58;

/// The ECN field of an IP header (RFC 3168 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Ecn {
    /// Not ECN-capable.
    #[default]
    NotEct,
    /// ECN-capable, codepoint 01.
    Ect1,
    /// ECN-capable, codepoint 10.
    Ect0,
    /// Congestion experienced.
    Ce,
}

impl Ecn {
    /// The codepoint in the lower two bits of `bits`.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// The two bits.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotEct => 0,
            Self::Ect1 => 1,
            Self::Ect0 => 2,
            Self::Ce => 3,
        }
    }
}

impl fmt::Display for Ecn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEct => "not-ECT",
            Self::Ect1 => "ECT(1)",
            Self::Ect0 => "ECT(0)",
            Self::Ce => "CE",
        })
    }
}

/// The place of a fragment in its packet (RFC 791 §3.1, RFC 8200 §4.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fragment {
    /// What all fragments of a packet share, with the addresses and, in IPv4, the protocol.
    pub identification: u32,
    /// Where the payload of this one belongs, in bytes: a multiple of 8.
    pub offset: u16,
    /// Whether others follow.
    pub more: bool,
}

/// An IP header as a value, without options or extension headers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct IpHeader {
    /// The sender.
    pub src: IpAddr,
    /// The receiver.
    pub dst: IpAddr,
    /// Time to live, or hop limit.
    pub hop_limit: u8,
    /// Differentiated services codepoint, 6 bits (RFC 2474 §3).
    pub dscp: u8,
    /// Explicit congestion notification.
    pub ecn: Ecn,
    /// The protocol of the payload.
    pub protocol: u8,
    /// IPv4: identification, of no meaning in a packet that is not a fragment (RFC 6864 §4).
    pub identification: u16,
    /// IPv6: flow label, 20 bits (RFC 6437 §2).
    pub flow_label: u32,
}

impl IpHeader {
    /// The header of a TCP segment from `src` to `dst`, with 64 hops and everything else zero.
    #[must_use]
    pub const fn new(src: IpAddr, dst: IpAddr) -> Self {
        Self {
            src,
            dst,
            hop_limit: 64,
            dscp: 0,
            ecn: Ecn::NotEct,
            protocol: PROTOCOL_TCP,
            identification: 0,
            flow_label: 0,
        }
    }

    /// How many bytes [`emit`](Self::emit) writes.
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        match self.dst {
            IpAddr::V4(_) => Ipv4Header::LEN,
            IpAddr::V6(_) => Ipv6Header::LEN,
        }
    }

    /// Writes the header of a packet with `payload_len` bytes behind it. Returns its length, or
    /// `None` if `buf` is too short, if the packet would be longer than IP can say, or if the
    /// addresses are of two families.
    #[inline]
    pub fn emit(&self, payload_len: usize, buf: &mut [u8]) -> Option<usize> {
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Ipv4Header {
                src,
                dst,
                ttl: self.hop_limit,
                dscp: self.dscp,
                ecn: self.ecn,
                protocol: self.protocol,
                identification: self.identification,
            }
            .emit(payload_len, buf),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Ipv6Header {
                src,
                dst,
                hop_limit: self.hop_limit,
                dscp: self.dscp,
                ecn: self.ecn,
                next_header: self.protocol,
                flow_label: self.flow_label,
            }
            .emit(payload_len, buf),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
        }
    }
}

/// A received IP packet of either version, its header checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IpPacket<'a> {
    /// The header; `protocol` is that of the payload, behind any extension headers.
    pub header: IpHeader,
    /// Where the payload belongs, if it is not the whole of it.
    pub fragment: Option<Fragment>,
    /// The payload, without the padding of the link.
    pub payload: &'a [u8],
}

impl<'a> IpPacket<'a> {
    /// The packet in `bytes`, of the version that its first four bits say.
    ///
    /// # Errors
    ///
    /// As [`Ipv4View::new`] and [`Ipv6View::new`]; [`Malformed::IpVersion`] for other versions.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match bytes.first().ok_or(Malformed::TooShort)? >> 4 {
            4 => Ok(Ipv4View::new(bytes)?.to_packet()),
            6 => Ok(Ipv6View::new(bytes)?.to_packet()),
            _ => Err(Malformed::IpVersion),
        }
    }

    /// The payload, if it is a whole packet's of `protocol`.
    ///
    /// # Errors
    ///
    /// [`Malformed::Fragment`] and [`Malformed::Protocol`].
    #[inline]
    pub fn whole_payload(&self, protocol: u8) -> Result<&'a [u8], Malformed> {
        if self.fragment.is_some() {
            Err(Malformed::Fragment)
        } else if self.header.protocol != protocol {
            Err(Malformed::Protocol)
        } else {
            Ok(self.payload)
        }
    }
}
