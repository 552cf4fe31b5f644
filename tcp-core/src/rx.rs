//! What a device hands in.

use alloc::vec::Vec;
use core::net::IpAddr;

/// Bytes that arrived, and what the device knows of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rx<'a> {
    /// A packet with its IP header, or a TCP segment without.
    pub bytes: &'a [u8],
    /// Whether the TCP checksum is still to be verified.
    pub checksum: RxChecksum,
    /// If the device merged several segments into this one, how much payload each but the last
    /// carried: it then counts as so many segments.
    pub segment_size: Option<u16>,
}

impl<'a> Rx<'a> {
    /// One packet or segment whose checksum is to be verified.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, checksum: RxChecksum::Verify, segment_size: None }
    }

    /// The same, with a checksum that needs no verification.
    #[must_use]
    pub const fn verified(self) -> Self {
        Self { checksum: RxChecksum::Verified, ..self }
    }

    /// The same, merged by the device from segments of so much payload each.
    #[must_use]
    pub const fn merged_from(self, segment_size: u16) -> Self {
        Self { segment_size: Some(segment_size), ..self }
    }

    /// How many segments of the wire `payload` bytes were.
    pub(crate) fn segments(&self, payload: usize) -> u16 {
        let size = self.segment_size.map_or(usize::MAX, usize::from).max(1);
        u16::try_from(payload.div_ceil(size)).unwrap_or(u16::MAX).max(1)
    }
}

impl<'a> From<&'a [u8]> for Rx<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Rx<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::new(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Rx<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

/// Whether the TCP checksum is still to be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum RxChecksum {
    /// Nobody has.
    #[default]
    Verify,
    /// The device has, or there was nothing that could damage it.
    Verified,
}

/// What an IP header would have told of a segment that comes without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RxMeta {
    /// The sender's address.
    pub src: IpAddr,
    /// The receiver's address.
    pub dst: IpAddr,
}

impl RxMeta {
    /// A segment from `src` to `dst`.
    #[must_use]
    pub const fn new(src: IpAddr, dst: IpAddr) -> Self {
        Self { src, dst }
    }
}
