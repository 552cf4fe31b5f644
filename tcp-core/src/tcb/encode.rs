//! Writing a packet into the caller's buffer.

use core::net::IpAddr;

use crate::FourTuple;
use crate::wire::{Checksum, Ecn, IpHeader, PROTOCOL_TCP, Segment, checksum};

/// What the device that takes the packets can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TxCaps {
    /// What to write before the TCP header.
    pub framing: Framing,
    /// Who computes the TCP checksum.
    pub checksum: TxChecksum,
    /// How many segments one call may return as a super-segment; at least 1.
    pub max_segments: u16,
}

impl Default for TxCaps {
    fn default() -> Self {
        Self { framing: Framing::Ip, checksum: TxChecksum::Full, max_segments: 1 }
    }
}

/// What to write before the TCP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// An IPv4 or IPv6 header.
    Ip,
    /// Nothing: the caller sends the segment in something else.
    Segment,
}

/// Who computes the TCP checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TxChecksum {
    /// This crate.
    Full,
    /// The device: the field holds the sum over the pseudo-header, as devices expect it.
    Device,
}

/// The fields of the IP header that belong to a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PacketFields {
    pub(crate) hop_limit: u8,
    pub(crate) dscp: u8,
    pub(crate) ecn: Ecn,
    pub(crate) flow_label: u32,
}

/// Writes IP header (if asked for), TCP header and options, then `payload_len` bytes of payload by
/// `fill`, then the checksum. Gives the length, or none if `buf` is too short.
pub(crate) fn write_packet(
    caps: &TxCaps,
    tuple: &FourTuple,
    fields: PacketFields,
    segment: &Segment<'_>,
    payload_len: usize,
    buf: &mut [u8],
    fill: impl FnOnce(&mut [u8]),
) -> Option<usize> {
    let tcp_len = segment.header_len() + payload_len;
    let ip_len = match caps.framing {
        Framing::Ip => write_ip_header(tuple, fields, tcp_len, buf)?,
        Framing::Segment => 0,
    };
    let tcp = buf.get_mut(ip_len..ip_len + tcp_len)?;
    let header_len = segment.emit_header(tcp)?;
    fill(tcp.get_mut(header_len..)?);
    match caps.checksum {
        TxChecksum::Full => checksum::fill_tcp(tuple.local_addr, tuple.remote_addr, tcp),
        TxChecksum::Device => {
            let sum = Checksum::pseudo_header(tuple.local_addr, tuple.remote_addr, PROTOCOL_TCP, tcp_len);
            tcp.get_mut(16..18)?.copy_from_slice(&(!sum.finish()).to_be_bytes());
        }
    }
    Some(ip_len + tcp_len)
}

fn write_ip_header(tuple: &FourTuple, fields: PacketFields, tcp_len: usize, buf: &mut [u8]) -> Option<usize> {
    let PacketFields { hop_limit, dscp, ecn, flow_label } = fields;
    let (src, dst): (IpAddr, IpAddr) = (tuple.local_addr, tuple.remote_addr);
    let mut header = IpHeader::new(src, dst);
    header.hop_limit = hop_limit;
    header.dscp = dscp;
    header.ecn = ecn;
    header.flow_label = flow_label;
    header.emit(tcp_len, buf)
}
