//! A segment as a value: what every part of the machine passes around.

use core::fmt;

use super::malformed::Malformed;
use super::options::Options;
use super::tcp::{Flags, HEADER_LEN, TcpView};
use crate::{SeqNumber, SeqRange};

#[cfg(test)]
pub(in crate::wire) mod tests;

/// A TCP segment: header, options and data (RFC 9293 §3.1).
///
/// It knows no addresses, no checksum and no padding: those belong to the packet around it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment<'a> {
    /// The port of the sender.
    pub src_port: u16,
    /// The port of the receiver.
    pub dst_port: u16,
    /// SEG.SEQ.
    pub seq: SeqNumber,
    /// SEG.ACK, significant if ACK is set.
    pub ack: SeqNumber,
    /// The control bits.
    pub flags: Flags,
    /// SEG.WND, not scaled.
    pub window: u16,
    /// SEG.UP, significant if URG is set.
    pub urgent: u16,
    /// The options.
    pub options: Options,
    /// The data.
    pub payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// The segment in `bytes`, whose checksum the caller has verified or trusts.
    ///
    /// Options that have a meaning on SYN segments only are left out of others (MUST-65).
    ///
    /// # Errors
    ///
    /// As [`TcpView::new`], and [`Malformed::OptionLength`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::from_view(&TcpView::new(bytes)?)
    }

    /// The segment that `view` shows.
    ///
    /// # Errors
    ///
    /// [`Malformed::OptionLength`].
    #[inline]
    pub fn from_view(view: &TcpView<'a>) -> Result<Self, Malformed> {
        let mut segment = Self {
            src_port: view.src_port(),
            dst_port: view.dst_port(),
            seq: view.seq(),
            ack: view.ack(),
            flags: view.flags(),
            window: view.window(),
            urgent: view.urgent(),
            options: Options::NONE,
            payload: view.payload(),
        };
        segment.options.read(view.option_bytes())?;
        if !segment.flags.syn() {
            segment.options.clear_syn_options();
        }
        Ok(segment)
    }

    /// SEG.LEN: how many sequence numbers the segment takes, SYN and FIN included (RFC 9293 §3.4).
    #[inline]
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "SEG.LEN is a number of sequence numbers")]
    pub fn len(&self) -> u32 {
        // No packet is longer than 32 bits can say.
        (self.payload.len() as u32)
            .wrapping_add(u32::from(self.flags.syn()))
            .wrapping_add(u32::from(self.flags.fin()))
    }

    /// The sequence numbers that the segment takes.
    #[inline]
    #[must_use]
    pub fn seq_range(&self) -> SeqRange {
        SeqRange::new(self.seq, self.seq + self.len())
    }

    /// The length of header and options in bytes.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        HEADER_LEN + self.options.encoded_len()
    }

    /// Writes header, options and data into `buf` and returns how many bytes they take, or `None`
    /// if `buf` is too short. The checksum field is zero: see [`checksum::fill_tcp`].
    ///
    /// [`checksum::fill_tcp`]: super::checksum::fill_tcp
    #[inline]
    pub fn emit(&self, buf: &mut [u8]) -> Option<usize> {
        let header_len = self.emit_header(buf)?;
        let end = header_len.checked_add(self.payload.len())?;
        buf.get_mut(header_len..end)?.copy_from_slice(self.payload);
        Some(end)
    }

    /// Writes header and options only, for a payload that the caller puts behind them; returns how
    /// many bytes they take, or `None` if `buf` is too short.
    #[inline]
    pub fn emit_header(&self, buf: &mut [u8]) -> Option<usize> {
        let (header, rest) = buf.split_first_chunk_mut::<HEADER_LEN>()?;
        let header_len = HEADER_LEN + self.options.emit(rest)?;
        // Reserved bits are zero (RFC 9293 §3.1); the data offset counts words.
        let offset_and_flags = ((header_len / 4) as u16) << 12 | self.flags.bits();
        header[0..2].copy_from_slice(&self.src_port.to_be_bytes());
        header[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        header[4..8].copy_from_slice(&self.seq.0.to_be_bytes());
        header[8..12].copy_from_slice(&self.ack.0.to_be_bytes());
        header[12..14].copy_from_slice(&offset_and_flags.to_be_bytes());
        header[14..16].copy_from_slice(&self.window.to_be_bytes());
        header[16..18].fill(0);
        header[18..20].copy_from_slice(&self.urgent.to_be_bytes());
        Some(header_len)
    }
}

impl fmt::Debug for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {} {self}", self.src_port, self.dst_port)
    }
}
