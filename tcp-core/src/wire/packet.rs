//! A TCP segment in its IP packet: the whole of what travels.

use core::fmt;
use core::net::SocketAddr;

use super::checksum;
use super::ip::{IpHeader, IpPacket, PROTOCOL_TCP};
use super::malformed::Malformed;
use super::segment::Segment;
use crate::RxChecksum;

/// A TCP segment and the IP header before it.
///
/// Printed as one line: `10.0.0.1:40001 > 10.0.0.2:80 [S.] seq 100 ack 5001 win 65535`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TcpPacket<'a> {
    /// The IP header; its protocol is TCP.
    pub ip: IpHeader,
    /// The segment.
    pub segment: Segment<'a>,
}

impl<'a> TcpPacket<'a> {
    /// The packet in `bytes`.
    ///
    /// # Errors
    ///
    /// Whatever makes a receiver drop it: see [`IpPacket::parse`] and [`Segment::parse`]; a wrong
    /// checksum, a fragment, another protocol.
    #[inline]
    pub fn parse(bytes: &'a [u8], policy: RxChecksum) -> Result<Self, Malformed> {
        Self::from_ip(&IpPacket::parse(bytes)?, policy)
    }

    /// The TCP segment in `packet`.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    #[inline]
    pub fn from_ip(packet: &IpPacket<'a>, policy: RxChecksum) -> Result<Self, Malformed> {
        let bytes = packet.whole_payload(PROTOCOL_TCP)?;
        let ip = packet.header;
        // The header is looked at first, so that a segment that is too short has that as its cause.
        let segment = Segment::parse(bytes);
        let cause_is_framing = matches!(segment, Err(Malformed::TooShort | Malformed::DataOffset));
        if !cause_is_framing && policy == RxChecksum::Verify && !checksum::tcp_is_valid(ip.src, ip.dst, bytes)
        {
            return Err(Malformed::Checksum);
        }
        Ok(Self { ip, segment: segment? })
    }

    /// How many bytes [`emit`](Self::emit) writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ip.header_len() + self.segment.header_len() + self.segment.payload.len()
    }

    /// Never: a packet has a header.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Writes the packet with its checksums. Returns its length, or `None` if `buf` is too short,
    /// if the packet would be longer than IP can say, or if the addresses are of two families.
    #[inline]
    pub fn emit(&self, buf: &mut [u8]) -> Option<usize> {
        let (ip_buf, tcp_buf) = buf.split_at_mut_checked(self.ip.header_len())?;
        let tcp_len = self.segment.emit(tcp_buf)?;
        let ip_len = self.ip.emit(tcp_len, ip_buf)?;
        checksum::fill_tcp(self.ip.src, self.ip.dst, tcp_buf.get_mut(..tcp_len)?);
        Some(ip_len + tcp_len)
    }
}

impl fmt::Display for TcpPacket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let src = SocketAddr::new(self.ip.src, self.segment.src_port);
        let dst = SocketAddr::new(self.ip.dst, self.segment.dst_port);
        write!(f, "{src} > {dst} {}", self.segment)
    }
}

impl fmt::Debug for TcpPacket<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
