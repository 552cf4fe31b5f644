//! IPv4 (RFC 791): a checked view of a packet, and the header that we send.

use core::net::{IpAddr, Ipv4Addr};

use super::checksum::{self, Checksum};
use super::ip::{Ecn, Fragment, IpHeader, IpPacket};
use super::malformed::Malformed;

#[cfg(test)]
mod tests;

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_LOOSE_SOURCE_ROUTE: u8 = 131;
const OPTION_STRICT_SOURCE_ROUTE: u8 = 137;

/// An IPv4 header without options, as it is sent.
///
/// Don't Fragment is always set: path MTU discovery needs it (RFC 1191 §3), and it frees the
/// identification of any duty (RFC 6864 §4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ipv4Header {
    /// The sender.
    pub src: Ipv4Addr,
    /// The receiver.
    pub dst: Ipv4Addr,
    /// Time to live.
    pub ttl: u8,
    /// Differentiated services codepoint, 6 bits.
    pub dscp: u8,
    /// Explicit congestion notification.
    pub ecn: Ecn,
    /// The protocol of the payload.
    pub protocol: u8,
    /// Any number.
    pub identification: u16,
}

impl Ipv4Header {
    /// The length of a header without options.
    pub const LEN: usize = 20;

    /// Writes the header of a packet with `payload_len` bytes behind it, checksum included. Returns
    /// its length, or `None` if `buf` is too short or the packet longer than 65,535 bytes.
    #[inline]
    pub fn emit(&self, payload_len: usize, buf: &mut [u8]) -> Option<usize> {
        let header = buf.first_chunk_mut::<{ Self::LEN }>()?;
        let total_len = u16::try_from(payload_len.checked_add(Self::LEN)?).ok()?;
        header[0] = 0x45;
        header[1] = self.dscp << 2 | self.ecn.bits();
        header[2..4].copy_from_slice(&total_len.to_be_bytes());
        header[4..6].copy_from_slice(&self.identification.to_be_bytes());
        header[6..8].copy_from_slice(&DONT_FRAGMENT.to_be_bytes());
        header[8] = self.ttl;
        header[9] = self.protocol;
        header[10..12].fill(0);
        header[12..16].copy_from_slice(&self.src.octets());
        header[16..20].copy_from_slice(&self.dst.octets());
        checksum::fill(Checksum::new(), header, 10);
        Some(Self::LEN)
    }
}

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// The bytes of an IPv4 packet whose header is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4View<'a> {
    header: &'a [u8; Ipv4Header::LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Ipv4View<'a> {
    /// A view of the packet at the start of `bytes`; what stands behind its total length is the
    /// padding of a link, and is cut off (RFC 791 §3.1).
    ///
    /// # Errors
    ///
    /// A header that is short, has a wrong version, length or checksum (RFC 1122 §3.2.1), or a
    /// source route.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let view = Self::new_quoted(bytes)?;
        let header_len = Ipv4Header::LEN + view.options.len();
        let payload_len =
            usize::from(view.total_len()).checked_sub(header_len).ok_or(Malformed::IpTotalLength)?;
        let payload = view.payload.get(..payload_len).ok_or(Malformed::IpTotalLength)?;
        check_options(view.options)?;
        Ok(Self { payload, ..view })
    }

    /// A view of a packet that an ICMP message quotes: its end may be missing, and its options were
    /// ours.
    ///
    /// # Errors
    ///
    /// A header that is short, or has a wrong version, header length or checksum.
    pub fn new_quoted(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) = bytes.split_first_chunk::<{ Ipv4Header::LEN }>().ok_or(Malformed::TooShort)?;
        if header[0] >> 4 != 4 {
            return Err(Malformed::IpVersion);
        }
        let options_len = (usize::from(header[0] & 0xf) * 4)
            .checked_sub(Ipv4Header::LEN)
            .ok_or(Malformed::IpHeaderLength)?;
        let (options, payload) = rest.split_at_checked(options_len).ok_or(Malformed::IpHeaderLength)?;
        if !Checksum::new().with(header).with(options).is_valid() {
            return Err(Malformed::IpHeaderChecksum);
        }
        Ok(Self { header, options, payload })
    }

    /// The sender.
    #[inline]
    #[must_use]
    pub const fn src(&self) -> Ipv4Addr {
        let h = self.header;
        Ipv4Addr::new(h[12], h[13], h[14], h[15])
    }

    /// The receiver.
    #[inline]
    #[must_use]
    pub const fn dst(&self) -> Ipv4Addr {
        let h = self.header;
        Ipv4Addr::new(h[16], h[17], h[18], h[19])
    }

    /// The length that the header says, of header and payload.
    #[inline]
    #[must_use]
    pub const fn total_len(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// The identification.
    #[inline]
    #[must_use]
    pub const fn identification(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// Whether routers must not fragment the packet.
    #[inline]
    #[must_use]
    pub const fn dont_fragment(&self) -> bool {
        self.flags_and_offset() & DONT_FRAGMENT != 0
    }

    const fn flags_and_offset(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }

    /// Where the payload belongs, if the packet is a fragment.
    #[inline]
    #[must_use]
    pub fn fragment(&self) -> Option<Fragment> {
        let bits = self.flags_and_offset();
        let (more, offset) = (bits & MORE_FRAGMENTS != 0, (bits & FRAGMENT_OFFSET) << 3);
        (more || offset != 0).then(|| Fragment {
            identification: u32::from(self.identification()),
            offset,
            more,
        })
    }

    /// Time to live.
    #[inline]
    #[must_use]
    pub const fn ttl(&self) -> u8 {
        self.header[8]
    }

    /// Differentiated services codepoint.
    #[inline]
    #[must_use]
    pub const fn dscp(&self) -> u8 {
        self.header[1] >> 2
    }

    /// Explicit congestion notification.
    #[inline]
    #[must_use]
    pub const fn ecn(&self) -> Ecn {
        Ecn::from_bits(self.header[1])
    }

    /// The protocol of the payload.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.header[9]
    }

    /// The bytes between header and payload.
    #[inline]
    #[must_use]
    pub const fn option_bytes(&self) -> &'a [u8] {
        self.options
    }

    /// The payload.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// What IPv4 and IPv6 have in common.
    #[inline]
    #[must_use]
    pub fn to_packet(&self) -> IpPacket<'a> {
        IpPacket {
            header: IpHeader {
                src: IpAddr::V4(self.src()),
                dst: IpAddr::V4(self.dst()),
                hop_limit: self.ttl(),
                dscp: self.dscp(),
                ecn: self.ecn(),
                protocol: self.protocol(),
                identification: self.identification(),
                flow_label: 0,
            },
            fragment: self.fragment(),
            payload: self.payload,
        }
    }
}

/// Refuses source routes; all other options are ignored (RFC 1122 §3.2.1.8).
fn check_options(mut options: &[u8]) -> Result<(), Malformed> {
    while let Some((&kind, rest)) = options.split_first() {
        match kind {
            OPTION_END => break,
            OPTION_NOP => {
                options = rest;
                continue;
            }
            OPTION_LOOSE_SOURCE_ROUTE | OPTION_STRICT_SOURCE_ROUTE => return Err(Malformed::SourceRoute),
            _ => {}
        }
        options = rest
            .split_first()
            .and_then(|(&len, rest)| rest.get(usize::from(len).checked_sub(2)?..))
            .ok_or(Malformed::IpOptionLength)?;
    }
    Ok(())
}
