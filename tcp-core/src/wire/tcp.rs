//! The TCP header (RFC 9293 §3.1): control bits, and a checked view of a segment's bytes.

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

use super::malformed::Malformed;
use crate::SeqNumber;

/// The length of a header without options.
pub const HEADER_LEN: usize = 20;

/// The most bytes of options a header can hold: 15 words less 5.
pub const MAX_OPTIONS_LEN: usize = 40;

/// The control bits of a segment (RFC 9293 §3.1), with AE (RFC 9768 §3.1).
///
/// Printed as tcpdump does: a letter each, `.` for ACK.
///
/// ```
/// use tcp_core::wire::Flags;
///
/// assert_eq!((Flags::SYN | Flags::ACK).to_string(), "S.");
/// assert!((Flags::FIN | Flags::ACK).contains(Flags::FIN));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u16);

impl Flags {
    /// No control bit at all.
    pub const NONE: Self = Self(0);
    /// No more data from the sender.
    pub const FIN: Self = Self(0x001);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x002);
    /// Reset the connection.
    pub const RST: Self = Self(0x004);
    /// Push function.
    pub const PSH: Self = Self(0x008);
    /// The acknowledgment field is significant.
    pub const ACK: Self = Self(0x010);
    /// The urgent pointer is significant.
    pub const URG: Self = Self(0x020);
    /// ECN echo (RFC 3168 §6.1).
    pub const ECE: Self = Self(0x040);
    /// Congestion window reduced (RFC 3168 §6.1).
    pub const CWR: Self = Self(0x080);
    /// Accurate ECN, once the nonce sum (RFC 9768 §3.1).
    pub const AE: Self = Self(0x100);

    const ALL: u16 = 0x1ff;

    /// In tcpdump's order, with its letters.
    const LETTERS: [(Self, char); 9] = [
        (Self::SYN, 'S'),
        (Self::FIN, 'F'),
        (Self::RST, 'R'),
        (Self::PSH, 'P'),
        (Self::URG, 'U'),
        (Self::ECE, 'E'),
        (Self::CWR, 'W'),
        (Self::AE, 'e'),
        (Self::ACK, '.'),
    ];

    /// The control bits among the bits of `bits`; reserved bits are left out, for they are ignored
    /// on receipt (RFC 9293 §3.1).
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & Self::ALL)
    }

    /// The bits as they stand in the lower half of the header's seventh 16-bit word.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether all bits of `other` are set.
    #[inline]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of `other` is set.
    #[inline]
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The bits of both.
    #[inline]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits of `self` that are not in `other`.
    #[inline]
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether no bit is set.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether SYN is set.
    #[inline]
    #[must_use]
    pub const fn syn(self) -> bool {
        self.contains(Self::SYN)
    }

    /// Whether FIN is set.
    #[inline]
    #[must_use]
    pub const fn fin(self) -> bool {
        self.contains(Self::FIN)
    }

    /// Whether RST is set.
    #[inline]
    #[must_use]
    pub const fn rst(self) -> bool {
        self.contains(Self::RST)
    }

    /// Whether ACK is set.
    #[inline]
    #[must_use]
    pub const fn ack(self) -> bool {
        self.contains(Self::ACK)
    }

    /// The bit that `letter` stands for in the text form.
    pub(super) fn from_letter(letter: char) -> Option<Self> {
        Self::LETTERS.iter().find(|(_, known)| *known == letter).map(|(flag, _)| *flag)
    }
}

impl BitOr for Flags {
    type Output = Self;
    #[inline]
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for Flags {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        *self = self.union(other);
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (flag, letter) in Self::LETTERS {
            if self.contains(flag) {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bytes of a segment, known to hold a whole header.
///
/// Nothing is lost here: reserved bits, the order of options and their padding can be seen. What a
/// connection needs of it is a [`Segment`](super::Segment).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TcpView<'a> {
    header: &'a [u8; HEADER_LEN],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> TcpView<'a> {
    /// A view of `bytes`, which reach from the source port to the end of the data.
    ///
    /// # Errors
    ///
    /// [`Malformed::TooShort`] below 20 bytes, [`Malformed::DataOffset`] if the data offset is
    /// below 5 or past the end (RFC 9293 §3.1).
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Malformed::TooShort)?;
        let data_offset = usize::from(header[12] >> 4) * 4;
        let options_len = data_offset.checked_sub(HEADER_LEN).ok_or(Malformed::DataOffset)?;
        let (options, payload) = rest.split_at_checked(options_len).ok_or(Malformed::DataOffset)?;
        Ok(Self { header, options, payload })
    }

    /// The port of the sender.
    #[inline]
    #[must_use]
    pub const fn src_port(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    /// The port of the receiver.
    #[inline]
    #[must_use]
    pub const fn dst_port(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// SEG.SEQ: the sequence number of the first data octet, or of the SYN.
    #[inline]
    #[must_use]
    pub const fn seq(&self) -> SeqNumber {
        let h = self.header;
        SeqNumber(u32::from_be_bytes([h[4], h[5], h[6], h[7]]))
    }

    /// SEG.ACK: the next sequence number that the sender expects, if ACK is set.
    #[inline]
    #[must_use]
    pub const fn ack(&self) -> SeqNumber {
        let h = self.header;
        SeqNumber(u32::from_be_bytes([h[8], h[9], h[10], h[11]]))
    }

    /// The length of header and options in bytes.
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        HEADER_LEN + self.options.len()
    }

    /// The three bits between data offset and AE, which mean nothing yet.
    #[inline]
    #[must_use]
    pub const fn reserved(&self) -> u8 {
        (self.header[12] >> 1) & 0x7
    }

    /// The control bits.
    #[inline]
    #[must_use]
    pub const fn flags(&self) -> Flags {
        Flags::from_bits(u16::from_be_bytes([self.header[12], self.header[13]]))
    }

    /// SEG.WND as it stands in the header, not scaled.
    #[inline]
    #[must_use]
    pub const fn window(&self) -> u16 {
        u16::from_be_bytes([self.header[14], self.header[15]])
    }

    /// The checksum field.
    #[inline]
    #[must_use]
    pub const fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[16], self.header[17]])
    }

    /// SEG.UP: the urgent pointer, as it stands in the header.
    #[inline]
    #[must_use]
    pub const fn urgent(&self) -> u16 {
        u16::from_be_bytes([self.header[18], self.header[19]])
    }

    /// The bytes between header and data.
    #[inline]
    #[must_use]
    pub const fn option_bytes(&self) -> &'a [u8] {
        self.options
    }

    /// The data.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}
