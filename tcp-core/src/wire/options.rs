//! TCP options (RFC 9293 §3.2), in two forms.
//!
//! * [`TcpOption`] is one option as it stands on the wire. [`OptionIter`] reads them in their order,
//!   [`emit_options`] writes them, and the two together lose no byte.
//! * [`Options`] is what a connection wants to know: each option once, in a small value. It is read
//!   from any order of options and written in the order that Linux uses.
//!
//! An option is met in one of three ways (RFC 9293 §3.1, MUST-6, MUST-7):
//!
//! * its length is 0 or 1, or reaches past the end of the header: where the next option starts is
//!   unknown, so the whole segment is [`Malformed::OptionLength`] and is dropped;
//! * its length is wrong for its kind, or its kind is not known: it alone is ignored;
//! * it is there a second time: the first one counts.

use core::fmt;

use super::malformed::Malformed;
use super::tcp::MAX_OPTIONS_LEN;
use crate::{SeqNumber, SeqRange};

mod emit;
#[cfg(test)]
pub(in crate::wire) mod tests;

pub(super) use emit::emit_option;
pub use emit::emit_options;

/// The kinds of options, as IANA numbers them.
pub(super) mod kind {
    pub(crate) const END: u8 = 0;
    pub(crate) const NOP: u8 = 1;
    pub(crate) const MSS: u8 = 2;
    pub(crate) const WINDOW_SCALE: u8 = 3;
    pub(crate) const SACK_PERMITTED: u8 = 4;
    pub(crate) const SACK: u8 = 5;
    pub(crate) const TIMESTAMPS: u8 = 8;
    pub(crate) const MD5: u8 = 19;
    pub(crate) const USER_TIMEOUT: u8 = 28;
    pub(crate) const AO: u8 = 29;
    pub(crate) const FAST_OPEN: u8 = 34;
    pub(crate) const ACC_ECN_0: u8 = 172;
    pub(crate) const ACC_ECN_1: u8 = 174;
}

/// The Timestamps option (RFC 7323 §3.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Timestamps {
    /// TSval: the sender's timestamp clock.
    pub value: u32,
    /// TSecr: the timestamp that the sender echoes, significant if ACK is set.
    pub echo: u32,
}

/// Up to four blocks of received data (RFC 2018 §3), in the order of the option.
#[derive(Clone, Copy, Default)]
pub struct SackBlocks {
    blocks: [SeqRange; Self::MAX],
    len: u8,
}

impl SackBlocks {
    /// The most blocks that fit into a header without other options.
    pub const MAX: usize = 4;

    /// No blocks.
    pub const EMPTY: Self = Self { blocks: [SeqRange::new(SeqNumber(0), SeqNumber(0)); Self::MAX], len: 0 };

    /// Adds `block` behind the others; returns whether there was room.
    #[inline]
    pub fn push(&mut self, block: SeqRange) -> bool {
        match self.blocks.get_mut(usize::from(self.len)) {
            Some(free) => {
                *free = block;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// The blocks, the first of the option first.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[SeqRange] {
        self.blocks.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The blocks, the first of the option first.
    #[inline]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = SeqRange> + ExactSizeIterator + '_ {
        self.as_slice().iter().copied()
    }

    /// How many blocks there are.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is no block.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first `count` blocks, which are the most recent news (RFC 2018 §4).
    #[inline]
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        self.iter().take(count).collect()
    }

    /// The blocks of an option's data: at least one, at most four, each of 8 bytes.
    fn parse(data: &[u8]) -> Option<Self> {
        if data.is_empty() || data.len() % 8 != 0 || data.len() / 8 > Self::MAX {
            return None;
        }
        Some(
            data.chunks_exact(8)
                .filter_map(|block| {
                    let (start, end) = (be32(block, 0)?, be32(block, 4)?);
                    Some(SeqRange::new(SeqNumber(start), SeqNumber(end)))
                })
                .collect(),
        )
    }
}

/// As equality: what stands beyond the blocks does not count.
impl core::hash::Hash for SackBlocks {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl PartialEq for SackBlocks {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for SackBlocks {}

/// Takes the first four; more are left out.
impl FromIterator<SeqRange> for SackBlocks {
    fn from_iter<I: IntoIterator<Item = SeqRange>>(blocks: I) -> Self {
        let mut all = Self::EMPTY;
        for block in blocks.into_iter().take(Self::MAX) {
            all.push(block);
        }
        all
    }
}

impl fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// A Fast Open cookie, or, if empty, the request for one (RFC 7413 §4.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FastOpenCookie {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl FastOpenCookie {
    /// The longest cookie.
    pub const MAX_LEN: usize = 16;

    /// The request for a cookie.
    pub const REQUEST: Self = Self { bytes: [0; Self::MAX_LEN], len: 0 };

    /// The cookie `bytes`: none, or an even number from 4 to 16 (RFC 7413 §4.1.1).
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if !(bytes.is_empty() || (4..=Self::MAX_LEN).contains(&bytes.len()) && bytes.len() % 2 == 0) {
            return None;
        }
        let mut cookie = Self { len: bytes.len() as u8, ..Self::REQUEST };
        for (to, from) in cookie.bytes.iter_mut().zip(bytes) {
            *to = *from;
        }
        Some(cookie)
    }

    /// The bytes of the cookie.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether this asks for a cookie.
    #[must_use]
    pub const fn is_request(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Debug for FastOpenCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// The unit of a [`UserTimeout`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Granularity {
    /// G = 0.
    Seconds,
    /// G = 1.
    Minutes,
}

/// The User Timeout option (RFC 5482 §3.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UserTimeout {
    /// The unit of `value`.
    pub granularity: Granularity,
    /// The timeout, 15 bits.
    pub value: u16,
}

impl UserTimeout {
    /// The largest value that fits into 15 bits.
    pub const MAX_VALUE: u16 = 0x7fff;

    /// The option that says `seconds`, in minutes and rounded up if they do not fit; at most 32,767
    /// minutes. Zero must not be sent (RFC 5482 §3.3), so it becomes a second.
    #[must_use]
    pub fn from_secs(seconds: u64) -> Self {
        let largest = u64::from(Self::MAX_VALUE);
        if seconds <= largest {
            Self { granularity: Granularity::Seconds, value: seconds.max(1) as u16 }
        } else {
            let minutes = seconds.div_ceil(60).min(largest);
            Self { granularity: Granularity::Minutes, value: minutes as u16 }
        }
    }

    /// The timeout in seconds.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        match self.granularity {
            Granularity::Seconds => self.value as u64,
            Granularity::Minutes => self.value as u64 * 60,
        }
    }

    fn from_bits(bits: u16) -> Self {
        let granularity = if bits >> 15 == 0 { Granularity::Seconds } else { Granularity::Minutes };
        Self { granularity, value: bits & Self::MAX_VALUE }
    }

    fn bits(self) -> u16 {
        let granularity = match self.granularity {
            Granularity::Seconds => 0,
            Granularity::Minutes => 0x8000,
        };
        granularity | self.value & Self::MAX_VALUE
    }
}

/// One option as it stands on the wire.
///
/// An option whose length is wrong for its kind is `Unknown`: it is skipped like one (RFC 9293
/// §3.1, MUST-6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TcpOption<'a> {
    /// Kind 0: the end of the list, with the padding behind it. When written, the padding is made
    /// longer with zeros up to the end of the header (RFC 9293 §3.1, MUST-69).
    End {
        /// What stands between the end of the list and the data.
        padding: &'a [u8],
    },
    /// Kind 1: nothing, for alignment.
    Nop,
    /// Kind 2: maximum segment size (RFC 9293 §3.7.1).
    Mss(u16),
    /// Kind 3: the shift of the window (RFC 7323 §2.2), as sent.
    WindowScale(u8),
    /// Kind 4: SACK may be used (RFC 2018 §2).
    SackPermitted,
    /// Kind 5: blocks received (RFC 2018 §3).
    Sack(SackBlocks),
    /// Kind 8 (RFC 7323 §3.2).
    Timestamps(Timestamps),
    /// Kind 19: the digest of RFC 2385.
    Md5(&'a [u8]),
    /// Kind 28 (RFC 5482 §3.3).
    UserTimeout(UserTimeout),
    /// Kind 29: the data of a TCP-AO option (RFC 5925 §2.2).
    Ao(&'a [u8]),
    /// Kind 34 (RFC 7413 §4.1.1).
    FastOpen(FastOpenCookie),
    /// Kind 172: the counters of RFC 9768 §3.2.3, in order 0.
    AccEcn0(&'a [u8]),
    /// Kind 174: the counters of RFC 9768 §3.2.3, in order 1.
    AccEcn1(&'a [u8]),
    /// Any other kind, or a known kind with a length it cannot have.
    Unknown {
        /// The kind.
        kind: u8,
        /// What follows kind and length.
        data: &'a [u8],
    },
}

impl<'a> TcpOption<'a> {
    /// The option of `kind` with `data` behind its length byte.
    fn parse(kind: u8, data: &'a [u8]) -> Self {
        let known = match kind {
            kind::MSS => be16_exact(data).map(Self::Mss),
            kind::WINDOW_SCALE => <[u8; 1]>::try_from(data).ok().map(|[shift]| Self::WindowScale(shift)),
            kind::SACK_PERMITTED => data.is_empty().then_some(Self::SackPermitted),
            kind::SACK => SackBlocks::parse(data).map(Self::Sack),
            kind::TIMESTAMPS => timestamps_exact(data).map(Self::Timestamps),
            kind::MD5 => (data.len() == 16).then_some(Self::Md5(data)),
            kind::USER_TIMEOUT => {
                be16_exact(data).map(|bits| Self::UserTimeout(UserTimeout::from_bits(bits)))
            }
            kind::AO => (data.len() >= 2).then_some(Self::Ao(data)),
            kind::FAST_OPEN => FastOpenCookie::new(data).map(Self::FastOpen),
            kind::ACC_ECN_0 => is_acc_ecn(data).then_some(Self::AccEcn0(data)),
            kind::ACC_ECN_1 => is_acc_ecn(data).then_some(Self::AccEcn1(data)),
            _ => None,
        };
        known.unwrap_or(Self::Unknown { kind, data })
    }
}

/// Reads the options of a header one by one, in their order.
///
/// Ends after the end-of-list option, or after the error if a length is impossible. The work is
/// bounded by the length of the bytes.
#[derive(Clone, Debug)]
pub struct OptionIter<'a> {
    rest: &'a [u8],
}

impl<'a> OptionIter<'a> {
    /// The options in `bytes`, which stand between header and data.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes that have not been read yet.
    #[inline]
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for OptionIter<'a> {
    type Item = Result<TcpOption<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, rest) = self.rest.split_first()?;
        self.rest = &[];
        if kind == kind::END {
            return Some(Ok(TcpOption::End { padding: rest }));
        }
        if kind == kind::NOP {
            self.rest = rest;
            return Some(Ok(TcpOption::Nop));
        }
        let after_kind = rest.split_first().and_then(|(&len, rest)| {
            let data_len = usize::from(len).checked_sub(2)?;
            rest.split_at_checked(data_len)
        });
        let Some((data, rest)) = after_kind else {
            return Some(Err(Malformed::OptionLength));
        };
        self.rest = rest;
        Some(Ok(TcpOption::parse(kind, data)))
    }
}

/// The options of a segment, each at most once, as a connection uses them.
///
/// Small and `Copy`, because it travels with every segment. [`Segment::parse`](super::Segment::parse)
/// leaves out what has no meaning without SYN.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Maximum segment size, as sent: it may be zero (RFC 9293 §3.7.1).
    pub mss: Option<u16>,
    /// The shift of the window, as sent: it may be above 14 (RFC 7323 §2.3).
    pub window_scale: Option<u8>,
    /// SACK may be used (RFC 2018 §2).
    pub sack_permitted: bool,
    /// Timestamps (RFC 7323 §3.2).
    pub timestamps: Option<Timestamps>,
    /// Blocks received (RFC 2018 §3).
    pub sack: SackBlocks,
    /// A Fast Open cookie or the request for one (RFC 7413 §4.1.1).
    pub fast_open: Option<FastOpenCookie>,
    /// A user timeout, never zero when parsed (RFC 5482 §3.3).
    pub user_timeout: Option<UserTimeout>,
}

impl Options {
    /// No options.
    pub const NONE: Self = Self {
        mss: None,
        window_scale: None,
        sack_permitted: false,
        timestamps: None,
        sack: SackBlocks::EMPTY,
        fast_open: None,
        user_timeout: None,
    };

    /// The options in `bytes`.
    ///
    /// # Errors
    ///
    /// [`Malformed::OptionLength`] if a length is 0 or 1 or past the end (RFC 9293 §3.1, MUST-7).
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut options = Self::NONE;
        options.read(bytes)?;
        Ok(options)
    }

    /// Adds the options in `bytes` to none: in place, for a move costs as much as the reading.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if bytes.is_empty() {
            return Ok(());
        }
        // What nearly every segment of a connection with timestamps carries (RFC 7323 App. A).
        if let Ok(&[kind::NOP, kind::NOP, kind::TIMESTAMPS, 10, a, b, c, d, e, f, g, h]) =
            <&[u8; 12]>::try_from(bytes)
        {
            let timestamps = Timestamps {
                value: u32::from_be_bytes([a, b, c, d]),
                echo: u32::from_be_bytes([e, f, g, h]),
            };
            self.timestamps = Some(timestamps);
            return Ok(());
        }
        self.read_any(bytes)
    }

    /// As [`read`](Self::read), for any options: kept apart from the short way.
    #[inline(never)]
    fn read_any(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        for option in OptionIter::new(bytes) {
            match option? {
                TcpOption::Mss(mss) => {
                    self.mss.get_or_insert(mss);
                }
                TcpOption::WindowScale(shift) => {
                    self.window_scale.get_or_insert(shift);
                }
                TcpOption::SackPermitted => self.sack_permitted = true,
                TcpOption::Sack(blocks) => {
                    if self.sack.is_empty() {
                        self.sack = blocks;
                    }
                }
                TcpOption::Timestamps(timestamps) => {
                    self.timestamps.get_or_insert(timestamps);
                }
                TcpOption::FastOpen(cookie) => {
                    self.fast_open.get_or_insert(cookie);
                }
                // Zero must be ignored (RFC 5482 §3.3).
                TcpOption::UserTimeout(UserTimeout { value: 0, .. }) => {}
                TcpOption::UserTimeout(timeout) => {
                    self.user_timeout.get_or_insert(timeout);
                }
                TcpOption::End { .. }
                | TcpOption::Nop
                | TcpOption::Md5(_)
                | TcpOption::Ao(_)
                | TcpOption::AccEcn0(_)
                | TcpOption::AccEcn1(_)
                | TcpOption::Unknown { .. } => {}
            }
        }
        Ok(())
    }

    /// Without the options that have a meaning on SYN segments only (RFC 9293 §3.7.1, MUST-65;
    /// RFC 7323 §2.2; RFC 2018 §2; RFC 7413 §4.1.1).
    #[inline]
    #[must_use]
    pub fn without_syn_options(mut self) -> Self {
        self.clear_syn_options();
        self
    }

    #[inline]
    pub(super) fn clear_syn_options(&mut self) {
        self.mss = None;
        self.window_scale = None;
        self.sack_permitted = false;
        self.fast_open = None;
    }
}

fn be16_exact(data: &[u8]) -> Option<u16> {
    <[u8; 2]>::try_from(data).ok().map(u16::from_be_bytes)
}

fn be32(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*bytes))
}

fn timestamps_exact(data: &[u8]) -> Option<Timestamps> {
    if data.len() != 8 {
        return None;
    }
    Some(Timestamps { value: be32(data, 0)?, echo: be32(data, 4)? })
}

/// An AccECN option holds zero to three counters of 3 bytes (RFC 9768 §3.2.3).
fn is_acc_ecn(data: &[u8]) -> bool {
    data.len() <= 9 && data.len() % 3 == 0
}
