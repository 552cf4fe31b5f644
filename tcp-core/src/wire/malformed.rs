//! Why bytes are not what they should be.

use core::fmt;

use crate::DropReason;

/// Why a packet or segment is dropped before anything looks at its meaning.
///
/// Each cause is one variant, so that a counter can be kept for each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Malformed {
    /// Fewer bytes than the smallest header has.
    TooShort,
    /// The data offset is below 5 or points past the end of the segment (RFC 9293 §3.1).
    DataOffset,
    /// An option's length is 0 or 1, or reaches past the end of the header (RFC 9293 §3.1, MUST-7).
    OptionLength,
    /// The checksum over pseudo-header, header and data is wrong (RFC 9293 §3.1, MUST-3).
    Checksum,
    /// The IP version is not the one expected, or neither 4 nor 6 (RFC 1122 §3.2.1.1).
    IpVersion,
    /// The IPv4 header length is below 5 or past the end of the packet (RFC 791 §3.1).
    IpHeaderLength,
    /// The IP length field is longer than the packet, or shorter than its header (RFC 791 §3.1).
    IpTotalLength,
    /// The IPv4 header checksum is wrong (RFC 1122 §3.2.1.2).
    IpHeaderChecksum,
    /// An IPv4 option's length is 0 or 1, or reaches past the end of the header.
    IpOptionLength,
    /// An IPv4 loose or strict source route: the path, and so the source, is the sender's invention.
    SourceRoute,
    /// An IPv6 jumbogram (RFC 2675), which is refused.
    Jumbogram,
    /// An IPv6 extension header that is cut short, repeated beyond reason, or not supported.
    ExtensionHeader,
    /// An IPv6 option whose type asks to discard the packet silently (RFC 8200 §4.2).
    Ipv6Option,
    /// An IPv6 packet that is dropped and whose source is to be told so by an ICMPv6 Parameter
    /// Problem (RFC 4443 §3.4).
    ParameterProblem {
        /// The code of the message.
        code: u8,
        /// Where in the packet the offending byte is.
        pointer: u16,
    },
    /// A fragment where a whole packet is needed.
    Fragment,
    /// Another protocol than the one asked for.
    Protocol,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::TooShort => "too short for its header",
            Self::DataOffset => "data offset outside the segment",
            Self::OptionLength => "an option has an impossible length",
            Self::Checksum => "wrong checksum",
            Self::IpVersion => "unexpected IP version",
            Self::IpHeaderLength => "IP header length outside the packet",
            Self::IpTotalLength => "IP length does not fit the packet",
            Self::IpHeaderChecksum => "wrong IP header checksum",
            Self::IpOptionLength => "an IP option has an impossible length",
            Self::SourceRoute => "source route",
            Self::Jumbogram => "IPv6 jumbogram",
            Self::ExtensionHeader => "IPv6 extension header cut short or not supported",
            Self::Ipv6Option => "IPv6 option that forbids processing",
            Self::ParameterProblem { code, pointer } => {
                return write!(f, "IPv6 parameter problem, code {code} at byte {pointer}");
            }
            Self::Fragment => "a fragment",
            Self::Protocol => "another protocol",
        };
        f.write_str(text)
    }
}

impl core::error::Error for Malformed {}

impl From<Malformed> for DropReason {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::TooShort => Self::TooShort,
            Malformed::DataOffset => Self::DataOffset,
            Malformed::OptionLength => Self::BadOptions,
            Malformed::Checksum => Self::Checksum,
            Malformed::SourceRoute => Self::SourceRoute,
            Malformed::Fragment => Self::Fragment,
            Malformed::IpVersion
            | Malformed::IpHeaderLength
            | Malformed::IpTotalLength
            | Malformed::IpHeaderChecksum
            | Malformed::IpOptionLength
            | Malformed::Jumbogram
            | Malformed::ExtensionHeader
            | Malformed::Ipv6Option
            | Malformed::ParameterProblem { .. }
            | Malformed::Protocol => Self::BadIp,
        }
    }
}
