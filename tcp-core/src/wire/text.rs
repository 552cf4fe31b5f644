//! Segments as lines of text that a person can read, and write.
//!
//! ```text
//! 10.0.0.1:40001 > 10.0.0.2:80 [S] seq 100 win 65535 <mss 1460,sackOK,TS 1 0,wscale 8>
//! [P.] seq 101:201 ack 5001 win 502 urg 5 <TS 5 6,sack 1001:3001 4001:5001> len 100
//! ```
//!
//! [`Segment`] and [`TcpPacket`](super::TcpPacket) print themselves like this, and [`SegmentText`]
//! reads it. `ack` is left out if it is zero and ACK is not set, `urg` if it is zero and URG is not
//! set, `len` and the end of `seq` if there is no data.
//!
//! [`TcpView`](super::TcpView) prints more of the same: ports, `rsv` (reserved bits), `cksum`, and,
//! with `{:#}`, the `data`. Where its options are not laid out as [`Options`] lays them out, they
//! are listed behind the word `raw`, as they stand:
//! `<raw,nop,wscale 8,mss 1460,kind 200 0xabcd,eol>`. There, `bad 0x0500` are bytes that are no
//! option. All of this can be read as well, so that a line can stand for any segment.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use super::checksum;
use super::options::Options;
use super::segment::Segment;
use super::tcp::{Flags, HEADER_LEN};
use crate::SeqNumber;

mod parse;
mod print;
#[cfg(test)]
mod tests;

/// A segment that owns its bytes, read from a line of text.
///
/// ```text
/// ADDRESS:PORT > ADDRESS:PORT [BITS] seq START:END ack N win N urg N <OPTION,OPTION> len N
/// ```
///
/// Before the control bits may stand two ports alone, or nothing. Behind them the words come in any
/// order, each once; only `seq` must be there, and `ack` if the bits have its dot. END is the number
/// behind the last byte, and may be left out, as may `len`; what is not named is zero or empty.
///
/// ```
/// use tcp_core::wire::SegmentText;
///
/// let line = "[P.] seq 101:201 ack 5001 win 502 <TS 5 6> len 100";
/// let text: SegmentText = line.parse()?;
/// assert_eq!(text.segment().len(), 100);
/// assert_eq!(text.segment().to_string(), line);
/// # Ok::<(), tcp_core::wire::ParseSegmentError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SegmentText {
    /// Source and destination, if the line names them.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// The port of the sender, zero if the line names none.
    pub src_port: u16,
    /// The port of the receiver, zero if the line names none.
    pub dst_port: u16,
    /// SEG.SEQ.
    pub seq: SeqNumber,
    /// SEG.ACK.
    pub ack: SeqNumber,
    /// The control bits.
    pub flags: Flags,
    /// SEG.WND, not scaled.
    pub window: u16,
    /// SEG.UP.
    pub urgent: u16,
    /// The reserved bits, at most 7.
    pub reserved: u8,
    /// The checksum, if the line gives it.
    pub checksum: Option<u16>,
    /// Options with their padding, at most 40 bytes, a multiple of four.
    options: Vec<u8>,
    /// The data: zeros, if the line gives only its length.
    pub payload: Vec<u8>,
}

impl SegmentText {
    /// The options as they stand in the header.
    #[must_use]
    pub fn option_bytes(&self) -> &[u8] {
        &self.options
    }

    /// The segment, with all options that the line names, even those that mean nothing in it; with
    /// none, if there are bytes among them that are no option.
    #[must_use]
    pub fn segment(&self) -> Segment<'_> {
        Segment {
            src_port: self.src_port,
            dst_port: self.dst_port,
            seq: self.seq,
            ack: self.ack,
            flags: self.flags,
            window: self.window,
            urgent: self.urgent,
            options: Options::parse(&self.options).unwrap_or_default(),
            payload: &self.payload,
        }
    }

    /// The bytes from the source port to the end of the data. The checksum is the one of the line,
    /// else that of the addresses, else zero.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = Segment { options: Options::NONE, payload: &[], ..self.segment() };
        let mut bytes = alloc::vec![0; HEADER_LEN];
        header.emit_header(&mut bytes);
        bytes.extend_from_slice(&self.options);
        bytes.extend_from_slice(&self.payload);
        let words = (HEADER_LEN + self.options.len()) / 4;
        if let Some(byte) = bytes.get_mut(12) {
            *byte = (words as u8) << 4 | (self.reserved & 7) << 1 | *byte & 1;
        }
        match (self.checksum, self.addresses) {
            (Some(checksum), _) => {
                if let Some(field) = bytes.get_mut(16..18) {
                    field.copy_from_slice(&checksum.to_be_bytes());
                }
            }
            (None, Some((src, dst))) => checksum::fill_tcp(src, dst, &mut bytes),
            (None, None) => {}
        }
        bytes
    }

    /// Where the segment comes from and goes to, if the line names addresses.
    #[must_use]
    pub fn endpoints(&self) -> Option<(SocketAddr, SocketAddr)> {
        let (src, dst) = self.addresses?;
        Some((SocketAddr::new(src, self.src_port), SocketAddr::new(dst, self.dst_port)))
    }
}

/// What is wrong with a line, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseSegmentError {
    at: usize,
    expected: &'static str,
    found: String,
}

impl ParseSegmentError {
    /// How many bytes of the line stand before the offending word.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }
}

impl fmt::Display for ParseSegmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: expected {}, found ", self.at, self.expected)?;
        if self.found.is_empty() { f.write_str("the end") } else { write!(f, "`{}`", self.found) }
    }
}

impl core::error::Error for ParseSegmentError {}
