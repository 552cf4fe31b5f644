//! What the application is told.

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

/// What has happened since the last call of `poll_event`: a set, because at most one event per
/// connection is ever pending.
///
/// READABLE and WRITABLE are edges: they are raised only after a call returned `Blocked` (a new
/// connection counts as blocked on read). All others are raised whenever they happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Event(u16);

impl Event {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The connection is established.
    pub const CONNECTED: Self = Self(1);
    /// There is something to read: data, the end of the stream, or the reason why it ended.
    pub const READABLE: Self = Self(1 << 1);
    /// There is room to write, or a reason why there never will be.
    pub const WRITABLE: Self = Self(1 << 2);
    /// The peer announced urgent data, or moved its end forward; or the last urgent byte, which
    /// [`read_urgent`](crate::Connection::read_urgent) reads, has come after its announcement.
    pub const URGENT: Self = Self(1 << 3);
    /// A soft error: retransmissions have passed R1, or ICMP spoke; see `soft_error`.
    pub const WARNING: Self = Self(1 << 4);
    /// Progress again after a warning (RFC 1122 §4.2.3.5, positive advice).
    pub const RECOVERED: Self = Self(1 << 5);
    /// The peer has acknowledged all our data and our FIN.
    pub const FLUSHED: Self = Self(1 << 6);
    /// The connection has ended for the application; `close_reason` says why. No event follows, but
    /// segments may (the last ACK, a RST), and TIME-WAIT passes: drive it until `is_over`.
    pub const CLOSED: Self = Self(1 << 7);

    const NAMES: [(Self, &'static str); 8] = [
        (Self::CONNECTED, "connected"),
        (Self::READABLE, "readable"),
        (Self::WRITABLE, "writable"),
        (Self::URGENT, "urgent"),
        (Self::WARNING, "warning"),
        (Self::RECOVERED, "recovered"),
        (Self::FLUSHED, "flushed"),
        (Self::CLOSED, "closed"),
    ];

    /// Whether all of `other` is in the set.
    #[inline]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether anything of `other` is in the set.
    #[inline]
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether nothing is in the set.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Event {
    type Output = Self;
    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Event {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The names of its parts, such as `connected+readable`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Self::NAMES.iter().filter(|(event, _)| self.contains(*event)).map(|(_, name)| *name);
        f.write_str(names.next().unwrap_or("nothing"))?;
        names.try_for_each(|name| write!(f, "+{name}"))
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What became of a segment that was handed in. Input never fails; this is for counting.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Disposition {
    /// It was processed.
    Taken,
    /// It was answered with a RST.
    Reset,
    /// It was dropped.
    Dropped(DropReason),
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken => f.write_str("taken"),
            Self::Reset => f.write_str("answered with a RST"),
            Self::Dropped(reason) => write!(f, "dropped: {reason}"),
        }
    }
}

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a segment was dropped, wholly or as far as its text goes.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum DropReason { $($(#[$doc])* $name,)* }

        impl DropReason {
            /// All reasons, in the order of [`DropCounters`](crate::DropCounters).
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }

        impl fmt::Display for DropReason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $text,)* })
            }
        }
    };
}

drop_reasons! {
    /// Shorter than its header.
    TooShort = "too short",
    /// A data offset below 5, or past the end (RFC 9293 §3.1).
    DataOffset = "wrong data offset",
    /// An option's length is zero, one, or past the end of the header.
    BadOptions = "malformed options",
    /// The checksum is wrong.
    Checksum = "wrong checksum",
    /// An IP packet that is damaged, of another version, or for another protocol.
    BadIp = "not a sound IP packet with TCP or ICMP",
    /// A fragment; the caller reassembles.
    Fragment = "a fragment",
    /// An IPv4 packet with a source route.
    SourceRoute = "source routed",
    /// For another address or port.
    NotForUs = "not for this connection",
    /// From or to an address that no single host has, or port zero.
    InvalidAddress = "invalid address or port",
    /// An ICMP message that quotes nothing we have in flight.
    IcmpIgnored = "ICMP that concerns nothing in flight",
    /// Neither SYN nor RST where a SYN is awaited.
    NotSyn = "not a SYN",
    /// SYN together with FIN or RST.
    SynWithFin = "SYN with FIN or RST",
    /// A RST that belongs to nothing.
    StrayReset = "RST without a connection",
    /// An ACK of something that was never sent.
    AckOfUnsent = "acknowledges what was never sent",
    /// An ACK so old that the segment may be forged (RFC 5961 §5.2).
    AckTooOld = "acknowledgement is too old",
    /// A segment without ACK on a synchronised connection.
    NoAck = "no ACK flag",
    /// Not within the receive window.
    OutOfWindow = "outside the window",
    /// An older timestamp than the last (RFC 7323 §5).
    OldTimestamp = "old timestamp (PAWS)",
    /// The negotiated timestamp is missing.
    NoTimestamp = "timestamp is missing",
    /// A SYN on a live connection: challenged (RFC 5961 §4).
    SynChallenged = "SYN on a live connection",
    /// A RST in the window, but not at RCV.NXT: challenged (RFC 5961 §3).
    ResetChallenged = "RST in the window but not exact",
    /// A RST outside the window, or for a SYN we did not send.
    ResetOutOfWindow = "RST outside the window",
    /// No room for its data.
    NoRoom = "no room in the receive buffer",
    /// New data for a connection that the application has let go of: reset.
    Released = "nobody reads any more",
    /// Data after the peer's FIN.
    AfterFin = "data after FIN",
}

impl DropReason {
    /// Whether no connection has seen the segment.
    pub(crate) const fn is_before_the_connection(self) -> bool {
        matches!(
            self,
            Self::TooShort
                | Self::DataOffset
                | Self::BadOptions
                | Self::Checksum
                | Self::BadIp
                | Self::Fragment
                | Self::SourceRoute
                | Self::NotForUs
                | Self::InvalidAddress
                | Self::IcmpIgnored
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn an_event_names_its_parts() {
        assert_eq!(format!("{:?}", Event::CONNECTED | Event::READABLE), "connected+readable");
        assert_eq!(format!("{:?}", Event::NONE), "nothing");
    }
}
