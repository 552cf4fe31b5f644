//! TCP, IP and ICMP on the wire: bytes in, values out, and back.
//!
//! Nothing here knows a connection. Received bytes are read through a checked view ([`TcpView`],
//! [`Ipv4View`], [`Ipv6View`]): a header that does not fit its bytes is a [`Malformed`], never a
//! panic. What is sent is written from values ([`IpHeader`], [`Segment`]) into the caller's buffer.
//!
//! * [`Segment`] is what the rest of the machine works with; it reads and writes itself. It leaves
//!   out what a connection has no use for: [`TcpView`] shows every bit.
//! * [`Options`] are its options; [`OptionIter`] and [`emit_options`] keep their order and bytes.
//! * [`TcpPacket`] is a segment with its IP header; [`IpPacket`] is any payload with one.
//! * [`SegmentText`] is a segment read from the line of text that a segment prints.
//! * [`IcmpError`] is what a router or host says about a segment of ours.
//! * [`checksum`] is the sum that all of them share.

pub mod checksum;
mod icmp;
mod ip;
mod ipv4;
mod ipv6;
mod malformed;
mod options;
mod packet;
mod segment;
mod tcp;
mod text;

pub use checksum::Checksum;
pub use icmp::{IcmpError, IcmpKind, QuotedTcp};
pub use ip::{Ecn, Fragment, IpHeader, IpPacket, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP};
pub use ipv4::{Ipv4Header, Ipv4View};
pub use ipv6::{Ipv6Header, Ipv6View};
pub use malformed::Malformed;
pub use options::{
    FastOpenCookie, Granularity, OptionIter, Options, SackBlocks, TcpOption, Timestamps, UserTimeout,
    emit_options,
};
pub use packet::TcpPacket;
pub use segment::Segment;
pub use tcp::{Flags, HEADER_LEN, MAX_OPTIONS_LEN, TcpView};
pub use text::{ParseSegmentError, SegmentText};
