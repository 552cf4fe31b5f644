//! The internet checksum (RFC 1071), over a pseudo-header where the protocol has one.
//!
//! A [`Checksum`] adds up pieces of a message in any split; [`tcp`], [`tcp_is_valid`] and
//! [`fill_tcp`] know where TCP keeps the result.

use core::net::{IpAddr, Ipv4Addr};

use super::ip::PROTOCOL_TCP;

/// A one's complement sum in the making (RFC 1071 §1).
///
/// ```
/// use tcp_core::wire::Checksum;
///
/// let whole = Checksum::new().with(b"some bytes");
/// let split = Checksum::new().with(b"som").with(b"e bytes");
/// assert_eq!(whole.finish(), split.finish());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Checksum {
    /// The folded sum of what has been added, in the machine's byte order: the sum does not
    /// depend on it (RFC 1071 §2 (B)), so that bytes are swapped once, at the end.
    sum: u16,
    /// Whether an odd number of bytes has been added, so that the next one is a low byte.
    odd: bool,
}

impl Checksum {
    /// The sum of nothing.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { sum: 0, odd: false }
    }

    /// The sum of the pseudo-header that TCP, UDP and ICMPv6 put before their message (RFC 9293
    /// §3.1; RFC 8200 §8.1). `len` is the length of the message, `protocol` is that of the message
    /// even if extension headers stand before it.
    #[inline]
    #[must_use]
    pub fn pseudo_header(src: IpAddr, dst: IpAddr, protocol: u8, len: usize) -> Self {
        // More than 32 bits of length cannot be in a packet; they would make a wrong sum, no harm.
        let length = (len as u32).to_be_bytes();
        let (src, dst) = match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => (sum_v4(src), sum_v4(dst)),
            (src, dst) => (sum_v6(src), sum_v6(dst)),
        };
        let tail = u64::from(u16::from_ne_bytes([length[0], length[1]]))
            + u64::from(u16::from_ne_bytes([length[2], length[3]]))
            + u64::from(u16::from_ne_bytes([0, protocol]));
        Self { sum: fold(src + dst + tail), odd: false }
    }

    /// The sum with `bytes` added behind what was added before.
    #[inline]
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        let sum = sum(bytes);
        // Bytes behind an odd number of bytes change places in their words: their sum is the byte
        // swapped sum (RFC 1071 §2 (B)).
        let sum = if self.odd { sum.swap_bytes() } else { sum };
        Self { sum: fold(u64::from(self.sum) + u64::from(sum)), odd: self.odd ^ (bytes.len() % 2 == 1) }
    }

    /// The checksum: the complement of the sum, as a number to be written in network byte order.
    #[inline]
    #[must_use]
    pub const fn finish(self) -> u16 {
        u16::from_be(!self.sum)
    }

    /// Whether the sum of a message that includes its checksum says that nothing has changed.
    #[inline]
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.sum == 0xffff
    }
}

/// The checksum of the TCP segment in `bytes`, whose checksum field counts as it stands: zero
/// when it is about to be filled in (RFC 9293 §3.1).
#[must_use]
pub fn tcp(src: IpAddr, dst: IpAddr, bytes: &[u8]) -> u16 {
    Checksum::pseudo_header(src, dst, PROTOCOL_TCP, bytes.len()).with(bytes).finish()
}

/// Whether the checksum of the TCP segment in `bytes` is right (RFC 9293 §3.1, MUST-3).
#[must_use]
pub fn tcp_is_valid(src: IpAddr, dst: IpAddr, bytes: &[u8]) -> bool {
    Checksum::pseudo_header(src, dst, PROTOCOL_TCP, bytes.len()).with(bytes).is_valid()
}

/// Writes the checksum into the TCP segment in `bytes` (RFC 9293 §3.1, MUST-2).
///
/// Bytes too short for a header are left alone.
pub fn fill_tcp(src: IpAddr, dst: IpAddr, bytes: &mut [u8]) {
    fill(Checksum::pseudo_header(src, dst, PROTOCOL_TCP, bytes.len()), bytes, 16);
}

/// Writes into the checksum field at `at` what makes the sum of `before` and `bytes` right.
pub(super) fn fill(before: Checksum, bytes: &mut [u8], at: usize) {
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.fill(0);
    }
    let checksum = before.with(bytes).finish();
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

fn sum_v4(address: Ipv4Addr) -> u64 {
    u64::from(u32::from_ne_bytes(address.octets()))
}

fn sum_v6(address: IpAddr) -> u64 {
    let octets = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
    .octets();
    words(0, &octets)
}

/// The folded one's complement sum of `bytes`, in the machine's byte order.
#[inline]
fn sum(bytes: &[u8]) -> u16 {
    if bytes.len() < BLOCK { fold(words(0, bytes)) } else { sum_blocks(bytes) }
}

/// How many bytes the long loop takes at once: with 16 lanes the compiler keeps its adders busy.
const BLOCK: usize = 64;

/// As [`sum`], for many bytes.
///
/// Every 32-bit word is added in a 64-bit lane, which cannot overflow and needs no carry, so that
/// the compiler makes vector instructions of it. It is never inlined, because it stays vectorised
/// only while the code around it has no say: the same source inlined has been ten times slower.
#[inline(never)]
fn sum_blocks(bytes: &[u8]) -> u16 {
    let mut lanes = [0_u64; BLOCK / 4];
    let mut blocks = bytes.chunks_exact(BLOCK);
    for block in &mut blocks {
        for (lane, word) in lanes.iter_mut().zip(block.chunks_exact(4)) {
            *lane = lane.wrapping_add(word_of(word));
        }
    }
    let start = lanes.iter().fold(0_u64, |sum, &lane| sum.wrapping_add(lane));
    fold(words(start, blocks.remainder()))
}

/// `sum` plus the words of `bytes`, the last of them filled up with zeros.
#[inline]
fn words(mut sum: u64, bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        sum = sum.wrapping_add(word_of(word));
    }
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(words.remainder()) {
        *to = *from;
    }
    sum.wrapping_add(u64::from(u32::from_ne_bytes(last)))
}

#[inline]
fn word_of(bytes: &[u8]) -> u64 {
    <[u8; 4]>::try_from(bytes).map_or(0, |word| u64::from(u32::from_ne_bytes(word)))
}

/// The one's complement sum of the four 16-bit words of `sum` (RFC 1071 §2 (A)).
#[inline]
const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// RFC 1071 §4.1, word for word: the slow way, to compare with.
    fn by_the_book(bytes: &[u8]) -> u16 {
        let mut sum: u64 = 0;
        for pair in bytes.chunks(2) {
            sum += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        }
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_rfc_1071_section_3() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Checksum::new().with(&bytes).finish(), !0xddf2);
    }

    // req: MUST-2, MUST-3
    #[test]
    fn a_filled_checksum_is_valid_and_one_wrong_bit_is_not() {
        for (src, dst) in [("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "2001:db8::2")] {
            let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
            for len in [20, 21, 84, 85, 1480, 1481] {
                let mut bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
                fill_tcp(src, dst, &mut bytes);
                assert!(tcp_is_valid(src, dst, &bytes));
                for at in 0..len {
                    bytes[at] ^= 0x10;
                    assert!(!tcp_is_valid(src, dst, &bytes), "byte {at} of {len}");
                    bytes[at] ^= 0x10;
                }
                assert!(!tcp_is_valid(dst, "10.9.9.9".parse().unwrap(), &bytes));
            }
        }
    }

    #[test]
    fn the_pseudo_header_counts_protocol_and_length() {
        let (src, dst) = ("10.0.0.1".parse().unwrap(), "192.168.7.9".parse().unwrap());
        let written = [10, 0, 0, 1, 192, 168, 7, 9, 0, 6, 0x12, 0x34];
        let sum = Checksum::pseudo_header(src, dst, PROTOCOL_TCP, 0x1234);
        assert_eq!(sum.finish(), by_the_book(&written));
        let (src, dst) = ("2001:db8::1".parse().unwrap(), "fe80::ff:9".parse().unwrap());
        let mut written = Vec::new();
        for address in [src, dst] {
            let IpAddr::V6(v6) = address else { panic!("not IPv6") };
            written.extend(v6.octets());
        }
        written.extend([0, 1, 0x12, 0x34, 0, 0, 0, 58]);
        assert_eq!(Checksum::pseudo_header(src, dst, 58, 0x1_1234).finish(), by_the_book(&written));
    }

    #[test]
    fn too_few_bytes_for_a_header_are_left_alone() {
        let mut bytes = [7; 17];
        fill_tcp("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), &mut bytes);
        assert_eq!(bytes, [7; 17]);
    }

    proptest! {
        #[test]
        fn any_split_of_any_bytes_is_the_sum_by_the_book(
            bytes in proptest::collection::vec(any::<u8>(), 0..400), a in 0_usize..400, b in 0_usize..400,
        ) {
            let (a, b) = (a.min(b).min(bytes.len()), a.max(b).min(bytes.len()));
            let sum = Checksum::new().with(&bytes[..a]).with(&bytes[a..b]).with(&bytes[b..]);
            prop_assert_eq!(sum.finish(), by_the_book(&bytes));
        }
    }

    #[test]
    fn the_largest_message_does_not_overflow() {
        let bytes = std::vec![0xff; 0x2_0000];
        assert_eq!(Checksum::new().with(&bytes).finish(), by_the_book(&bytes));
    }
}
