//! What a device hands in.

use core::net::IpAddr;

/// Bytes that arrived, and what the device knows of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Whether the TCP checksum is still to be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxChecksum {
    /// Nobody has.
    Verify,
    /// The device has, or there was nothing that could damage it.
    Verified,
}

/// What an IP header would have told of a segment that comes without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxMeta {
    /// The sender's address.
    pub src: IpAddr,
    /// The receiver's address.
    pub dst: IpAddr,
}
