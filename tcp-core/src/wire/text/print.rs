//! How a segment prints itself.

use core::fmt::{self, Display, Formatter};

use crate::wire::options::{FastOpenCookie, Granularity, Options, SackBlocks, TcpOption, UserTimeout};
use crate::wire::segment::Segment;
use crate::wire::tcp::Flags;

impl Display for Segment<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] seq {}", self.flags, self.seq)?;
        let len = self.payload.len();
        if len > 0 {
            write!(f, ":{}", self.seq + len as u32)?;
        }
        if self.flags.ack() || self.ack.0 != 0 {
            write!(f, " ack {}", self.ack)?;
        }
        write!(f, " win {}", self.window)?;
        if self.flags.contains(Flags::URG) || self.urgent != 0 {
            write!(f, " urg {}", self.urgent)?;
        }
        if self.options != Options::NONE {
            write!(f, " <{}>", self.options)?;
        }
        if len > 0 {
            write!(f, " len {len}")?;
        }
        Ok(())
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
        list(f, self.each())
    }
}

fn list(f: &mut Formatter<'_>, options: impl Iterator<Item = impl Display>) -> fmt::Result {
    for (index, option) in options.enumerate() {
        if index > 0 {
            f.write_str(",")?;
        }
        Display::fmt(&option, f)?;
    }
    Ok(())
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
struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
