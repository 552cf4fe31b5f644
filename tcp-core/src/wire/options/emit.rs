//! Writing options: a list of them exactly, or the [`Options`] of a segment in Linux's order.

use super::{MAX_OPTIONS_LEN, Options, SackBlocks, TcpOption, kind};

/// Writes `options` one behind the other into `buf` and fills up with zeros to a multiple of four
/// (RFC 9293 §3.1, MUST-69). Returns the number of bytes, `None` if they do not fit into `buf` or
/// into a header, or if one is too long for its length byte.
pub fn emit_options(options: &[TcpOption<'_>], buf: &mut [u8]) -> Option<usize> {
    let room = buf.len().min(MAX_OPTIONS_LEN);
    let mut writer = Writer { buf: buf.get_mut(..room)?, len: 0 };
    for option in options {
        writer.option(option)?;
    }
    while writer.len % 4 != 0 {
        writer.put(&[kind::END])?;
    }
    Some(writer.len)
}

/// Writes one option, without padding; `None` if it does not fit.
pub(in crate::wire) fn emit_option(option: &TcpOption<'_>, buf: &mut [u8]) -> Option<usize> {
    let mut writer = Writer { buf, len: 0 };
    writer.option(option)?;
    Some(writer.len)
}

/// How the options of a segment share the 40 bytes there are.
///
/// What must not be missing comes first; a cookie that does not fit is left out (the handshake then
/// is an ordinary one), and SACK blocks take what is left (RFC 2018 §3).
struct Layout {
    fast_open: bool,
    sack_blocks: usize,
    len: usize,
}

const MSS_LEN: usize = 4;
const TIMESTAMPS_LEN: usize = 12;
const WINDOW_SCALE_LEN: usize = 4;
const USER_TIMEOUT_LEN: usize = 4;

impl Options {
    /// How many bytes [`emit`](Self::emit) writes: a multiple of four, at most 40.
    #[inline]
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.layout().len
    }

    #[inline]
    fn layout(&self) -> Layout {
        let mut len = 0;
        if self.mss.is_some() {
            len += MSS_LEN;
        }
        if self.timestamps.is_some() {
            // SACK-permitted takes the place of two NOPs.
            len += TIMESTAMPS_LEN;
        } else if self.sack_permitted {
            len += 4;
        }
        if self.window_scale.is_some() {
            len += WINDOW_SCALE_LEN;
        }
        if self.user_timeout.is_some() {
            len += USER_TIMEOUT_LEN;
        }
        let cookie_len = self.fast_open.map_or(0, |cookie| (2 + cookie.as_bytes().len()).next_multiple_of(4));
        let fast_open = cookie_len > 0 && len + cookie_len <= MAX_OPTIONS_LEN;
        if fast_open {
            len += cookie_len;
        }
        let room = MAX_OPTIONS_LEN.saturating_sub(len + 4) / 8;
        let sack_blocks = self.sack.len().min(room);
        if sack_blocks > 0 {
            len += 4 + 8 * sack_blocks;
        }
        Layout { fast_open, sack_blocks, len }
    }

    /// Writes the options into `buf` in Linux's order: MSS, SACK-permitted, timestamps, window
    /// scale, user timeout, Fast Open, SACK, each aligned with NOPs, so that there is never a need
    /// for padding. Returns the number of bytes, `None` if `buf` is shorter than
    /// [`encoded_len`](Self::encoded_len).
    ///
    /// What does not fit into 40 bytes is left out: the cookie, the last SACK blocks.
    #[inline]
    pub fn emit(&self, buf: &mut [u8]) -> Option<usize> {
        let only_timestamps = self.mss.is_none()
            && self.window_scale.is_none()
            && !self.sack_permitted
            && self.sack.is_empty()
            && self.fast_open.is_none()
            && self.user_timeout.is_none();
        if only_timestamps {
            let Some(timestamps) = self.timestamps else { return Some(0) };
            let buf = buf.first_chunk_mut::<TIMESTAMPS_LEN>()?;
            let [v0, v1, v2, v3] = timestamps.value.to_be_bytes();
            let [e0, e1, e2, e3] = timestamps.echo.to_be_bytes();
            *buf = [kind::NOP, kind::NOP, kind::TIMESTAMPS, 10, v0, v1, v2, v3, e0, e1, e2, e3];
            return Some(TIMESTAMPS_LEN);
        }
        self.emit_any(buf)
    }

    #[inline(never)]
    fn emit_any(&self, buf: &mut [u8]) -> Option<usize> {
        let layout = self.layout();
        let mut writer = Writer { buf: buf.get_mut(..layout.len)?, len: 0 };
        if let Some(mss) = self.mss {
            writer.option(&TcpOption::Mss(mss))?;
        }
        if self.sack_permitted {
            if self.timestamps.is_none() {
                writer.nops(2)?;
            }
            writer.option(&TcpOption::SackPermitted)?;
        }
        if let Some(timestamps) = self.timestamps {
            if !self.sack_permitted {
                writer.nops(2)?;
            }
            writer.option(&TcpOption::Timestamps(timestamps))?;
        }
        if let Some(shift) = self.window_scale {
            writer.nops(1)?;
            writer.option(&TcpOption::WindowScale(shift))?;
        }
        if let Some(timeout) = self.user_timeout {
            writer.option(&TcpOption::UserTimeout(timeout))?;
        }
        if let Some(cookie) = self.fast_open.filter(|_| layout.fast_open) {
            writer.option(&TcpOption::FastOpen(cookie))?;
            writer.nops(writer.len.next_multiple_of(4) - writer.len)?;
        }
        if layout.sack_blocks > 0 {
            writer.nops(2)?;
            writer.option(&TcpOption::Sack(self.sack.first(layout.sack_blocks)))?;
        }
        Some(writer.len)
    }

    /// The most SACK blocks that fit beside the other options (RFC 2018 §3): three with timestamps.
    #[inline]
    #[must_use]
    pub fn room_for_sack_blocks(&self) -> usize {
        let others = Self { sack: SackBlocks::EMPTY, ..*self }.layout().len;
        (MAX_OPTIONS_LEN.saturating_sub(others + 4) / 8).min(SackBlocks::MAX)
    }
}

/// Writes from the front of `buf`; `None` from any method says that there is no room.
struct Writer<'b> {
    buf: &'b mut [u8],
    len: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        self.buf.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    fn nops(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.put(&[kind::NOP]))
    }

    fn with_len(&mut self, kind: u8, data: &[u8]) -> Option<()> {
        let len = u8::try_from(data.len() + 2).ok()?;
        self.put(&[kind, len])?;
        self.put(data)
    }

    fn option(&mut self, option: &TcpOption<'_>) -> Option<()> {
        match *option {
            TcpOption::End { padding } => {
                self.put(&[kind::END])?;
                self.put(padding)
            }
            TcpOption::Nop => self.put(&[kind::NOP]),
            TcpOption::Mss(mss) => self.with_len(kind::MSS, &mss.to_be_bytes()),
            TcpOption::WindowScale(shift) => self.with_len(kind::WINDOW_SCALE, &[shift]),
            TcpOption::SackPermitted => self.with_len(kind::SACK_PERMITTED, &[]),
            TcpOption::Sack(blocks) => {
                let len = u8::try_from(2 + 8 * blocks.len()).ok()?;
                self.put(&[kind::SACK, len])?;
                blocks.iter().try_for_each(|block| {
                    self.put(&block.start.0.to_be_bytes())?;
                    self.put(&block.end.0.to_be_bytes())
                })
            }
            TcpOption::Timestamps(timestamps) => {
                self.put(&[kind::TIMESTAMPS, 10])?;
                self.put(&timestamps.value.to_be_bytes())?;
                self.put(&timestamps.echo.to_be_bytes())
            }
            TcpOption::Md5(digest) => self.with_len(kind::MD5, digest),
            TcpOption::UserTimeout(timeout) => {
                self.with_len(kind::USER_TIMEOUT, &timeout.bits().to_be_bytes())
            }
            TcpOption::Ao(data) => self.with_len(kind::AO, data),
            TcpOption::FastOpen(cookie) => self.with_len(kind::FAST_OPEN, cookie.as_bytes()),
            TcpOption::AccEcn0(data) => self.with_len(kind::ACC_ECN_0, data),
            TcpOption::AccEcn1(data) => self.with_len(kind::ACC_ECN_1, data),
            TcpOption::Unknown { kind, data } => self.with_len(kind, data),
        }
    }
}
