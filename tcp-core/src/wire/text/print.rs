//! How a segment prints itself.

use core::fmt::{self, Display, Formatter};

use crate::SeqNumber;
use crate::wire::options::{
    FastOpenCookie, Granularity, OptionIter, Options, SackBlocks, TcpOption, UserTimeout,
};
use crate::wire::segment::Segment;
use crate::wire::tcp::{Flags, MAX_OPTIONS_LEN, TcpView};

/// What a line says besides addresses, ports and contents of data.
struct Line<'a> {
    flags: Flags,
    seq: SeqNumber,
    ack: SeqNumber,
    window: u16,
    urgent: u16,
    /// Reserved bits and checksum, where they are known.
    rest_of_header: Option<(u8, u16)>,
    options: Option<&'a dyn Display>,
    payload_len: usize,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] seq {}", self.flags, self.seq)?;
        if self.payload_len > 0 {
            write!(f, ":{}", self.seq + self.payload_len as u32)?;
        }
        if self.flags.ack() || self.ack.0 != 0 {
            write!(f, " ack {}", self.ack)?;
        }
        write!(f, " win {}", self.window)?;
        if self.flags.contains(Flags::URG) || self.urgent != 0 {
            write!(f, " urg {}", self.urgent)?;
        }
        if let Some((reserved, checksum)) = self.rest_of_header {
            if reserved != 0 {
                write!(f, " rsv {reserved}")?;
            }
            write!(f, " cksum {checksum:#06x}")?;
        }
        if let Some(options) = self.options {
            write!(f, " <{options}>")?;
        }
        if self.payload_len > 0 {
            write!(f, " len {}", self.payload_len)?;
        }
        Ok(())
    }
}

impl Display for Segment<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let line = Line {
            flags: self.flags,
            seq: self.seq,
            ack: self.ack,
            window: self.window,
            urgent: self.urgent,
            rest_of_header: None,
            options: (self.options != Options::NONE).then_some(&self.options),
            payload_len: self.payload.len(),
        };
        Display::fmt(&line, f)
    }
}

/// Prints all that the bytes say: the options as they stand, reserved bits if there are any, the
/// checksum, and, with `{:#}`, the data.
impl Display for TcpView<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let options = ExactOptions(self.option_bytes());
        let line = Line {
            flags: self.flags(),
            seq: self.seq(),
            ack: self.ack(),
            window: self.window(),
            urgent: self.urgent(),
            rest_of_header: Some((self.reserved(), self.checksum())),
            options: (!self.option_bytes().is_empty()).then_some(&options),
            payload_len: self.payload().len(),
        };
        write!(f, "{} > {} {line}", self.src_port(), self.dst_port())?;
        if f.alternate() && !self.payload().is_empty() {
            write!(f, " data {}", Hex(self.payload()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TcpView<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// Options of which no byte may be lost in the text.
struct ExactOptions<'a>(&'a [u8]);

impl Display for ExactOptions<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Ok(options) = Options::parse(self.0) {
            let mut usual = [0; MAX_OPTIONS_LEN];
            if options.emit(&mut usual).and_then(|len| usual.get(..len)) == Some(self.0) {
                return Display::fmt(&options, f);
            }
        }
        f.write_str("raw")?;
        let mut options = OptionIter::new(self.0);
        loop {
            let rest = options.rest();
            match options.next() {
                Some(Ok(option)) => write!(f, ",{option}")?,
                Some(Err(_)) => write!(f, ",bad {}", Hex(rest))?,
                None => return Ok(()),
            }
        }
    }
}

impl Options {
    /// The options one by one, in the order in which they are written, without alignment.
    fn each(&self) -> impl Iterator<Item = TcpOption<'static>> {
        let sack = Some(self.sack).filter(|blocks| !blocks.is_empty());
        [
            self.mss.map(TcpOption::Mss),
            self.sack_permitted.then_some(TcpOption::SackPermitted),
            self.timestamps.map(TcpOption::Timestamps),
            self.window_scale.map(TcpOption::WindowScale),
            self.user_timeout.map(TcpOption::UserTimeout),
            self.fast_open.map(TcpOption::FastOpen),
            sack.map(TcpOption::Sack),
        ]
        .into_iter()
        .flatten()
    }
}

impl Display for Options {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, option) in self.each().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            Display::fmt(&option, f)?;
        }
        Ok(())
    }
}

impl Display for TcpOption<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::End { padding } => {
                f.write_str("eol")?;
                // Three zeros are what alignment takes anyway.
                if padding.len() > 3 || padding.iter().any(|&byte| byte != 0) {
                    write!(f, " {}", Hex(padding))?;
                }
                Ok(())
            }
            Self::Nop => f.write_str("nop"),
            Self::Mss(mss) => write!(f, "mss {mss}"),
            Self::WindowScale(shift) => write!(f, "wscale {shift}"),
            Self::SackPermitted => f.write_str("sackOK"),
            Self::Sack(blocks) => write!(f, "{blocks}"),
            Self::Timestamps(timestamps) => write!(f, "TS {} {}", timestamps.value, timestamps.echo),
            Self::Md5(digest) => write!(f, "md5 {}", Hex(digest)),
            Self::UserTimeout(timeout) => write!(f, "{timeout}"),
            Self::Ao(data) => write!(f, "ao {}", Hex(data)),
            Self::FastOpen(cookie) => write!(f, "{cookie}"),
            Self::AccEcn0(data) => write!(f, "accecn0 {}", Hex(data)),
            Self::AccEcn1(data) => write!(f, "accecn1 {}", Hex(data)),
            Self::Unknown { kind, data } => write!(f, "kind {kind} {}", Hex(data)),
        }
    }
}

impl Display for SackBlocks {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("sack")?;
        self.iter().try_for_each(|block| write!(f, " {block}"))
    }
}

impl Display for UserTimeout {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let unit = match self.granularity {
            Granularity::Seconds => 's',
            Granularity::Minutes => 'm',
        };
        write!(f, "uto {}{unit}", self.value)
    }
}

impl Display for FastOpenCookie {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_request() { f.write_str("tfo") } else { write!(f, "tfo {}", Hex(self.as_bytes())) }
    }
}

/// Bytes as `0x` and two digits each.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
