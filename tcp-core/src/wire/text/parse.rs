//! How a line is read.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::str::FromStr;

use super::{ParseSegmentError, SegmentText};
use crate::wire::options::{
    FastOpenCookie, Granularity, Options, SackBlocks, TcpOption, Timestamps, UserTimeout, emit_option, kind,
};
use crate::wire::tcp::{Flags, MAX_OPTIONS_LEN};
use crate::{SeqNumber, SeqRange};

/// More than any IP packet holds.
const MAX_PAYLOAD_LEN: u32 = 0xffff;

impl FromStr for SegmentText {
    type Err = ParseSegmentError;

    fn from_str(line: &str) -> Result<Self, ParseSegmentError> {
        let mut words = Words::new(line);
        let mut segment = Self::default();
        endpoints(&mut words, &mut segment)?;
        segment.flags = flags(&mut words)?;
        let mut lengths = Lengths::default();
        let mut seen = Vec::new();
        loop {
            let word = words.next();
            if word.text.is_empty() {
                break;
            }
            if seen.contains(&word.text) {
                return Err(word.error("each word once"));
            }
            seen.push(word.text);
            match word.text {
                "seq" => {
                    segment.seq = SeqNumber(words.number("a sequence number")?);
                    if words.peek().starts_with(':') {
                        words.next();
                        let end = SeqNumber(words.number("a sequence number")?);
                        lengths.range = Some((words.last(), end - segment.seq));
                    }
                }
                "ack" => segment.ack = SeqNumber(words.number("an acknowledgment number")?),
                "win" => segment.window = words.number("a window")?,
                "urg" => segment.urgent = words.number("an urgent pointer")?,
                "rsv" => {
                    segment.reserved = words.number("reserved bits, 0 to 7")?;
                    if segment.reserved > 7 {
                        return Err(words.last().error("reserved bits, 0 to 7"));
                    }
                }
                "cksum" => segment.checksum = Some(words.checksum()?),
                "<" => segment.options = options(&mut words)?,
                "len" => lengths.len = Some((words.number("a length")?, words.last())),
                "data" => segment.payload = words.hex()?,
                _ => {
                    return Err(word
                        .error("`seq`, `ack`, `win`, `urg`, `rsv`, `cksum`, `<`, `len`, `data` or the end"));
                }
            }
        }
        if !seen.contains(&"seq") {
            return Err(words.last().error("`seq`"));
        }
        if segment.flags.ack() && !seen.contains(&"ack") {
            return Err(words.last().error("`ack`, for the `.` among the flags"));
        }
        lengths.apply(&mut segment.payload)?;
        Ok(segment)
    }
}

/// The length of the data, said twice or three times.
#[derive(Default)]
struct Lengths<'t> {
    range: Option<(Word<'t>, u32)>,
    len: Option<(u32, Word<'t>)>,
}

impl Lengths<'_> {
    fn apply(self, payload: &mut Vec<u8>) -> Result<(), ParseSegmentError> {
        let said = [self.range, self.len.map(|(len, word)| (word, len))];
        for (word, len) in said.into_iter().flatten() {
            if len > MAX_PAYLOAD_LEN {
                return Err(word.error("at most 65535 bytes of data"));
            }
            if payload.is_empty() {
                payload.resize(len as usize, 0);
            }
            if payload.len() != len as usize {
                return Err(word.error("one length of the data"));
            }
        }
        Ok(())
    }
}

fn endpoints<'t>(words: &mut Words<'t>, segment: &mut SegmentText) -> Result<(), ParseSegmentError> {
    let start = words.at;
    let endpoint = |words: &mut Words<'t>| {
        // Addresses have colons and brackets, which end other words.
        let word = words.next_to_space();
        if let Ok(address) = word.text.parse::<SocketAddr>() {
            return Ok((Some(address.ip()), address.port()));
        }
        let port = word.text.parse().map_err(|_| word.error("a port, or an address and a port"))?;
        Ok((None, port))
    };
    let Ok(src) = endpoint(words) else {
        words.at = start;
        return Ok(());
    };
    let arrow = words.next();
    if arrow.text != ">" {
        return Err(arrow.error("`>`"));
    }
    let dst = endpoint(words)?;
    (segment.src_port, segment.dst_port) = (src.1, dst.1);
    segment.addresses = match (src.0, dst.0) {
        (Some(src), Some(dst)) if src.is_ipv4() == dst.is_ipv4() => Some((src, dst)),
        (None, None) => None,
        _ => return Err(words.last().error("addresses of one family on both sides, or on none")),
    };
    Ok(())
}

fn flags(words: &mut Words<'_>) -> Result<Flags, ParseSegmentError> {
    let expected = "addresses, ports, or flags like `[S.]`";
    let word = words.next_to_space();
    let letters = word
        .text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .filter(|letters| !letters.is_empty())
        .ok_or_else(|| word.error(expected))?;
    if letters == "none" {
        return Ok(Flags::NONE);
    }
    letters
        .chars()
        .try_fold(Flags::NONE, |flags, letter| Some(flags | Flags::from_letter(letter)?))
        .ok_or_else(|| word.error("letters among `SFRPUEWe.`"))
}

/// What may stand between the commas of a list of options.
enum Item {
    /// An option that [`Options`] has a place for.
    Usual(TcpOption<'static>),
    /// Anything else, as bytes.
    Exact(Vec<u8>),
    /// The word that asks for the bytes exactly as listed.
    Raw,
}

/// The options up to `>`, encoded: as [`Options`] lays them out, or, where the list has something
/// that [`Options`] cannot say, exactly as they are listed.
fn options(words: &mut Words<'_>) -> Result<Vec<u8>, ParseSegmentError> {
    let mut usual = Some(Options::NONE);
    let mut exact = Vec::new();
    loop {
        let word = words.next();
        match item(word, words)? {
            Item::Usual(option) => {
                let mut buf = [0; MAX_OPTIONS_LEN];
                let len = emit_option(&option, &mut buf).unwrap_or_default();
                exact.extend_from_slice(buf.get(..len).unwrap_or_default());
                usual = usual.and_then(|options| with(options, &option));
            }
            Item::Exact(bytes) => {
                exact.extend_from_slice(&bytes);
                usual = None;
            }
            Item::Raw => usual = None,
        }
        let end = words.next();
        match end.text {
            "," => {}
            ">" => break,
            _ => return Err(end.error("`,` or `>`")),
        }
    }
    let too_long = words.last().error("options that fit into 40 bytes");
    if let Some(usual) = usual {
        let mut buf = alloc::vec![0; usual.encoded_len()];
        usual.emit(&mut buf);
        // What does not fit is not written; a line must not promise it.
        return if Options::parse(&buf) == Ok(usual) { Ok(buf) } else { Err(too_long) };
    }
    exact.resize(exact.len().next_multiple_of(4), 0);
    if exact.len() > MAX_OPTIONS_LEN { Err(too_long) } else { Ok(exact) }
}

/// `options` and `option`, if [`Options`] can say both: each option once.
fn with(mut options: Options, option: &TcpOption<'_>) -> Option<Options> {
    let new = match *option {
        TcpOption::Mss(mss) => options.mss.replace(mss).is_none(),
        TcpOption::WindowScale(shift) => options.window_scale.replace(shift).is_none(),
        TcpOption::SackPermitted => !core::mem::replace(&mut options.sack_permitted, true),
        TcpOption::Sack(blocks) => core::mem::replace(&mut options.sack, blocks).is_empty(),
        TcpOption::Timestamps(timestamps) => options.timestamps.replace(timestamps).is_none(),
        TcpOption::FastOpen(cookie) => options.fast_open.replace(cookie).is_none(),
        TcpOption::UserTimeout(timeout) => {
            timeout.value != 0 && options.user_timeout.replace(timeout).is_none()
        }
        TcpOption::End { .. }
        | TcpOption::Nop
        | TcpOption::Md5(_)
        | TcpOption::Ao(_)
        | TcpOption::AccEcn0(_)
        | TcpOption::AccEcn1(_)
        | TcpOption::Unknown { .. } => false,
    };
    new.then_some(options)
}

fn item(word: Word<'_>, words: &mut Words<'_>) -> Result<Item, ParseSegmentError> {
    Ok(match word.text {
        "raw" => Item::Raw,
        "bad" => Item::Exact(words.hex()?),
        "nop" => Item::Exact(alloc::vec![kind::NOP]),
        "eol" => {
            let mut bytes = alloc::vec![kind::END];
            if words.peek().starts_with("0x") {
                bytes.extend(words.hex()?);
            }
            Item::Exact(bytes)
        }
        "kind" => {
            let kind = words.number("a kind of option")?;
            words.option(kind)?
        }
        "md5" => words.option(kind::MD5)?,
        "ao" => words.option(kind::AO)?,
        "accecn0" => words.option(kind::ACC_ECN_0)?,
        "accecn1" => words.option(kind::ACC_ECN_1)?,
        "mss" => Item::Usual(TcpOption::Mss(words.number("a segment size")?)),
        "wscale" => Item::Usual(TcpOption::WindowScale(words.number("a shift")?)),
        "sackOK" => Item::Usual(TcpOption::SackPermitted),
        "sack" => Item::Usual(TcpOption::Sack(sack(words)?)),
        "TS" => {
            let value = words.number("a timestamp")?;
            let echo = words.number("a timestamp to echo")?;
            Item::Usual(TcpOption::Timestamps(Timestamps { value, echo }))
        }
        "tfo" => {
            let cookie = if words.peek().starts_with("0x") { words.hex()? } else { Vec::new() };
            let cookie = FastOpenCookie::new(&cookie)
                .ok_or_else(|| words.last().error("a cookie of 4 to 16 bytes, an even number"))?;
            Item::Usual(TcpOption::FastOpen(cookie))
        }
        "uto" => Item::Usual(TcpOption::UserTimeout(user_timeout(words.next())?)),
        _ => {
            return Err(word.error(
                "an option: mss, wscale, sackOK, sack, TS, tfo, uto, nop, eol, md5, ao, accecn0, accecn1, \
                 kind, bad or raw",
            ));
        }
    })
}

fn sack(words: &mut Words<'_>) -> Result<SackBlocks, ParseSegmentError> {
    let mut blocks = SackBlocks::EMPTY;
    loop {
        let start = SeqNumber(words.number("the start of a block")?);
        let colon = words.next();
        if colon.text != ":" {
            return Err(colon.error("`:`"));
        }
        let end = SeqNumber(words.number("the end of a block")?);
        if !blocks.push(SeqRange::new(start, end)) {
            return Err(words.last().error("at most four blocks"));
        }
        if !words.peek().starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(blocks);
        }
    }
}

fn user_timeout(word: Word<'_>) -> Result<UserTimeout, ParseSegmentError> {
    let units = [('s', Granularity::Seconds), ('m', Granularity::Minutes)];
    units
        .into_iter()
        .find_map(|(letter, granularity)| {
            let value = word.text.strip_suffix(letter)?.parse().ok()?;
            (value <= UserTimeout::MAX_VALUE).then_some(UserTimeout { granularity, value })
        })
        .ok_or_else(|| word.error("a timeout like `30s` or `5m`, at most 32767"))
}

/// A word of the line, or its end.
#[derive(Clone, Copy, Default)]
struct Word<'t> {
    at: usize,
    text: &'t str,
}

impl Word<'_> {
    fn error(self, expected: &'static str) -> ParseSegmentError {
        ParseSegmentError { at: self.at, expected, found: self.text.to_owned() }
    }
}

/// The words of a line: what stands between spaces, and each of `<`, `>`, `,` and `:` alone.
struct Words<'t> {
    line: &'t str,
    at: usize,
    last: Word<'t>,
}

impl<'t> Words<'t> {
    const fn new(line: &'t str) -> Self {
        Self { line, at: 0, last: Word { at: 0, text: "" } }
    }

    /// What has not been read, from the next word on.
    fn peek(&self) -> &'t str {
        self.line.get(self.at..).unwrap_or_default().trim_start()
    }

    /// The word that was read last.
    const fn last(&self) -> Word<'t> {
        self.last
    }

    fn take(&mut self, len: usize) -> Word<'t> {
        let rest = self.peek();
        let at = self.line.len() - rest.len();
        self.at = at + len;
        self.last = Word { at, text: rest.get(..len).unwrap_or_default() };
        self.last
    }

    fn next(&mut self) -> Word<'t> {
        let rest = self.peek();
        let is_mark = |c: char| matches!(c, '<' | '>' | ',' | ':');
        let len = if rest.starts_with(is_mark) {
            1
        } else {
            rest.find(|c: char| c.is_whitespace() || is_mark(c)).unwrap_or(rest.len())
        };
        self.take(len)
    }

    /// All up to the next space: addresses and flags have marks in them.
    fn next_to_space(&mut self) -> Word<'t> {
        let rest = self.peek();
        self.take(rest.find(char::is_whitespace).unwrap_or(rest.len()))
    }

    fn number<T: FromStr>(&mut self, expected: &'static str) -> Result<T, ParseSegmentError> {
        let word = self.next();
        // A sign, which Rust's numbers may have, is no part of ours.
        let digits = Some(word.text).filter(|text| text.starts_with(|c: char| c.is_ascii_digit()));
        digits.and_then(|text| text.parse().ok()).ok_or_else(|| word.error(expected))
    }

    fn checksum(&mut self) -> Result<u16, ParseSegmentError> {
        let word = self.next();
        let bytes = from_hex(word.text).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok());
        bytes.map(u16::from_be_bytes).ok_or_else(|| word.error("a checksum like `0x0a1b`"))
    }

    fn hex(&mut self) -> Result<Vec<u8>, ParseSegmentError> {
        let word = self.next();
        from_hex(word.text).ok_or_else(|| word.error("bytes like `0x0a1b`"))
    }

    /// The option of `kind` with the data that comes next.
    fn option(&mut self, kind: u8) -> Result<Item, ParseSegmentError> {
        let data = self.hex()?;
        let len = u8::try_from(data.len() + 2);
        let len = len.map_err(|_| self.last.error("data of an option, at most 38 bytes"))?;
        Ok(Item::Exact([&[kind, len], data.as_slice()].concat()))
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    if digits.len() % 2 != 0 {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16);
    digits
        .chunks_exact(2)
        .map(|pair| match pair {
            &[high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
            _ => None,
        })
        .collect()
}
