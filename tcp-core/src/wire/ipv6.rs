//! IPv6 (RFC 8200): a checked view of a packet behind its extension headers, and the header that
//! we send.

use core::net::{IpAddr, Ipv6Addr};

use super::ip::{Ecn, Fragment, IpHeader, IpPacket};
use super::malformed::Malformed;

#[cfg(test)]
mod tests;

mod next_header {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const NONE: u8 = 59;
    pub(super) const DESTINATION_OPTIONS: u8 = 60;
}

/// The codes of an ICMPv6 Parameter Problem (RFC 4443 §3.4, RFC 7112 §5).
mod problem {
    pub(super) const FIELD: u8 = 0;
    pub(super) const NEXT_HEADER: u8 = 1;
    pub(super) const OPTION: u8 = 2;
    pub(super) const INCOMPLETE_CHAIN: u8 = 3;
}

const OPTION_PAD1: u8 = 0;
const OPTION_PADN: u8 = 1;
const OPTION_JUMBO_PAYLOAD: u8 = 0xc2;

/// More extension headers than this have no honest use, and each costs work.
const MAX_EXTENSION_HEADERS: usize = 8;

/// An IPv6 header without extension headers, as it is sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ipv6Header {
    /// The sender.
    pub src: Ipv6Addr,
    /// The receiver.
    pub dst: Ipv6Addr,
    /// How many routers may forward the packet.
    pub hop_limit: u8,
    /// Differentiated services codepoint, 6 bits.
    pub dscp: u8,
    /// Explicit congestion notification.
    pub ecn: Ecn,
    /// The protocol of the payload.
    pub next_header: u8,
    /// 20 bits that are the same for all packets of a connection (RFC 6437 §2).
    pub flow_label: u32,
}

impl Ipv6Header {
    /// The length of a header without extension headers.
    pub const LEN: usize = 40;

    /// Writes the header of a packet with `payload_len` bytes behind it. Returns its length, or
    /// `None` if `buf` is too short or the payload longer than 65,535 bytes.
    #[inline]
    pub fn emit(&self, payload_len: usize, buf: &mut [u8]) -> Option<usize> {
        let header = buf.first_chunk_mut::<{ Self::LEN }>()?;
        let payload_len = u16::try_from(payload_len).ok()?;
        let traffic_class = self.dscp << 2 | self.ecn.bits();
        let first = 6 << 28 | u32::from(traffic_class) << 20 | self.flow_label & 0xf_ffff;
        header[0..4].copy_from_slice(&first.to_be_bytes());
        header[4..6].copy_from_slice(&payload_len.to_be_bytes());
        header[6] = self.next_header;
        header[7] = self.hop_limit;
        header[8..24].copy_from_slice(&self.src.octets());
        header[24..40].copy_from_slice(&self.dst.octets());
        Some(Self::LEN)
    }
}

/// The bytes of an IPv6 packet whose headers are right and whose extension headers ask for nothing
/// that is not done here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv6View<'a> {
    header: &'a [u8; Ipv6Header::LEN],
    protocol: u8,
    fragment: Option<Fragment>,
    payload: &'a [u8],
}

impl<'a> Ipv6View<'a> {
    /// A view of the packet at the start of `bytes`; what stands behind its payload length is the
    /// padding of a link, and is cut off (RFC 8200 §3).
    ///
    /// # Errors
    ///
    /// A header that is short or says a wrong version or length; a jumbogram; and whatever
    /// extension headers make a packet be dropped, with or without an answer (RFC 8200 §4).
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let view = Self::first_header(bytes)?;
        let payload = view.payload.get(..usize::from(view.payload_len())).ok_or(Malformed::IpTotalLength)?;
        Walk { view: Self { payload, ..view }, checks: Checks::All }.run()
    }

    /// A view of a packet that an ICMP message quotes: its end may be missing, and its extension
    /// headers were accepted by somebody else, so that they are only stepped over.
    ///
    /// # Errors
    ///
    /// A header that is short, or has a wrong version.
    pub fn new_quoted(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Walk { view: Self::first_header(bytes)?, checks: Checks::Lengths }.run()
    }

    #[inline]
    fn first_header(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, payload) = bytes.split_first_chunk().ok_or(Malformed::TooShort)?;
        let view = Self { header, protocol: header[6], fragment: None, payload };
        if header[0] >> 4 == 6 { Ok(view) } else { Err(Malformed::IpVersion) }
    }

    /// The sender.
    #[inline]
    #[must_use]
    pub fn src(&self) -> Ipv6Addr {
        let [_, _, _, _, _, _, _, _, rest @ ..] = self.header;
        rest.first_chunk::<16>().map_or(Ipv6Addr::UNSPECIFIED, |octets| Ipv6Addr::from(*octets))
    }

    /// The receiver.
    #[inline]
    #[must_use]
    pub fn dst(&self) -> Ipv6Addr {
        self.header.last_chunk::<16>().map_or(Ipv6Addr::UNSPECIFIED, |octets| Ipv6Addr::from(*octets))
    }

    /// The length that the header says, of all that follows it.
    #[inline]
    #[must_use]
    pub const fn payload_len(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// The hop limit.
    #[inline]
    #[must_use]
    pub const fn hop_limit(&self) -> u8 {
        self.header[7]
    }

    const fn traffic_class(&self) -> u8 {
        self.header[0] << 4 | self.header[1] >> 4
    }

    /// Differentiated services codepoint.
    #[inline]
    #[must_use]
    pub const fn dscp(&self) -> u8 {
        self.traffic_class() >> 2
    }

    /// Explicit congestion notification.
    #[inline]
    #[must_use]
    pub const fn ecn(&self) -> Ecn {
        Ecn::from_bits(self.traffic_class())
    }

    /// The flow label.
    #[inline]
    #[must_use]
    pub const fn flow_label(&self) -> u32 {
        let h = self.header;
        u32::from_be_bytes([0, h[1] & 0xf, h[2], h[3]])
    }

    /// The protocol of the payload: the last Next Header.
    #[inline]
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Where the payload belongs, if the packet is a fragment. A fragment that is the whole packet
    /// ("atomic") is none (RFC 6946 §4).
    #[inline]
    #[must_use]
    pub const fn fragment(&self) -> Option<Fragment> {
        self.fragment
    }

    /// The payload behind all extension headers.
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
                src: IpAddr::V6(self.src()),
                dst: IpAddr::V6(self.dst()),
                hop_limit: self.hop_limit(),
                dscp: self.dscp(),
                ecn: self.ecn(),
                protocol: self.protocol,
                identification: 0,
                flow_label: self.flow_label(),
            },
            fragment: self.fragment,
            payload: self.payload,
        }
    }
}

/// What a walk along the extension headers looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Checks {
    /// Everything that a receiver must (RFC 8200 §4).
    All,
    /// Where the headers end.
    Lengths,
}

/// A walk along the extension headers of a packet.
struct Walk<'a> {
    view: Ipv6View<'a>,
    checks: Checks,
}

impl<'a> Walk<'a> {
    #[inline]
    fn run(self) -> Result<Ipv6View<'a>, Malformed> {
        match self.view.protocol {
            next_header::HOP_BY_HOP
            | next_header::ROUTING
            | next_header::FRAGMENT
            | next_header::AUTHENTICATION
            | next_header::NONE
            | next_header::DESTINATION_OPTIONS => self.along(),
            _ => Ok(self.view),
        }
    }

    #[inline(never)]
    fn along(mut self) -> Result<Ipv6View<'a>, Malformed> {
        let whole = self.view.payload.len();
        // Where the Next Header field stands that told us what comes now.
        let mut told_at = 6;
        for count in 0..=MAX_EXTENSION_HEADERS {
            let at = Ipv6Header::LEN + whole - self.view.payload.len();
            match self.view.protocol {
                next_header::HOP_BY_HOP if count > 0 => {
                    return Err(parameter_problem(problem::NEXT_HEADER, told_at));
                }
                next_header::HOP_BY_HOP | next_header::DESTINATION_OPTIONS => {
                    let options = self.step(self.sized(at)?)?;
                    if self.checks == Checks::All {
                        self.check_options(options.get(2..).unwrap_or_default(), at + 2)?;
                    }
                }
                next_header::ROUTING => {
                    let header = self.step(self.sized(at)?)?;
                    // A source route, of any type, that is not at its end (RFC 8200 §4.4, RFC 5095).
                    if self.checks == Checks::All && header.get(3) != Some(&0) {
                        return Err(parameter_problem(problem::FIELD, at + 2));
                    }
                }
                next_header::FRAGMENT => {
                    let header = self.step(8)?;
                    if let Some(fragment) = self.fragment(header, at)? {
                        self.view.fragment = Some(fragment);
                        // Only the first fragment has the rest of the chain (RFC 7112 §5).
                        if fragment.offset != 0 {
                            return Ok(self.view);
                        }
                    }
                }
                // No key, so nothing to check it with: an authenticated packet is not for us.
                next_header::AUTHENTICATION | next_header::NONE => return Err(Malformed::ExtensionHeader),
                _ => return Ok(self.view),
            }
            told_at = at;
        }
        Err(Malformed::ExtensionHeader)
    }

    /// The length of the header at the front, which says it in units of 8 bytes less one.
    fn sized(&self, at: usize) -> Result<usize, Malformed> {
        let len = self.view.payload.get(1).ok_or_else(|| self.cut_short(at))?;
        Ok((usize::from(*len) + 1) * 8)
    }

    /// Steps over a header of `len` bytes and returns it.
    fn step(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (header, rest) =
            self.view.payload.split_at_checked(len).ok_or_else(|| self.cut_short(Ipv6Header::LEN))?;
        self.view.protocol = *header.first().ok_or(Malformed::ExtensionHeader)?;
        self.view.payload = rest;
        Ok(header)
    }

    /// A first fragment must hold all headers, and its sender is told so (RFC 7112 §5).
    fn cut_short(&self, at: usize) -> Malformed {
        match (self.checks, self.view.fragment) {
            (Checks::All, Some(_)) => parameter_problem(problem::INCOMPLETE_CHAIN, at),
            (Checks::All | Checks::Lengths, _) => Malformed::ExtensionHeader,
        }
    }

    /// The fragment header in `header`, `None` if the fragment is the whole packet.
    fn fragment(&self, header: &[u8], at: usize) -> Result<Option<Fragment>, Malformed> {
        let &[_, _, o0, o1, i0, i1, i2, i3] =
            <&[u8; 8]>::try_from(header).map_err(|_| Malformed::ExtensionHeader)?;
        let bits = u16::from_be_bytes([o0, o1]);
        let (offset, more) = (bits & 0xfff8, bits & 1 != 0);
        if offset == 0 && !more {
            return Ok(None);
        }
        if self.view.fragment.is_some() {
            return Err(Malformed::ExtensionHeader);
        }
        if self.checks == Checks::All {
            let len = self.view.payload.len();
            // RFC 8200 §4.5: the pointer is to the payload length, or to the offset.
            if more && len % 8 != 0 {
                return Err(parameter_problem(problem::FIELD, 4));
            }
            if usize::from(offset) + len > usize::from(u16::MAX) {
                return Err(parameter_problem(problem::FIELD, at + 2));
            }
        }
        let identification = u32::from_be_bytes([i0, i1, i2, i3]);
        Ok(Some(Fragment { identification, offset, more }))
    }

    /// Does what the options in an extension header, which start at `at`, ask for (RFC 8200 §4.2).
    fn check_options(&self, mut options: &[u8], mut at: usize) -> Result<(), Malformed> {
        while let Some((&kind, rest)) = options.split_first() {
            if kind == OPTION_PAD1 {
                options = rest;
                at += 1;
                continue;
            }
            let (&len, rest) = rest.split_first().ok_or(Malformed::ExtensionHeader)?;
            let rest = rest.get(usize::from(len)..).ok_or(Malformed::ExtensionHeader)?;
            match kind {
                OPTION_PADN => {}
                OPTION_JUMBO_PAYLOAD => return Err(Malformed::Jumbogram),
                // What to do with an unknown option is in its highest two bits.
                _ => match kind >> 6 {
                    0 => {}
                    1 => return Err(Malformed::Ipv6Option),
                    3 if self.view.dst().is_multicast() => return Err(Malformed::Ipv6Option),
                    _ => return Err(parameter_problem(problem::OPTION, at)),
                },
            }
            options = rest;
            at += 2 + usize::from(len);
        }
        Ok(())
    }
}

/// The pointer always fits: a packet is at most 40 + 65,535 bytes, its headers end long before.
fn parameter_problem(code: u8, pointer: usize) -> Malformed {
    Malformed::ParameterProblem { code, pointer: u16::try_from(pointer).unwrap_or(u16::MAX) }
}
