//! Why a command failed, and why a connection ended.

use core::fmt;

use crate::ConfigError;

/// Why a connection ended. Stays readable for as long as the connection's value lives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// Both directions were closed and acknowledged, or the application closed before it had
    /// written anything and the peer answered.
    Finished,
    /// The peer answered our SYN with a RST.
    Refused,
    /// The peer sent a RST.
    Reset,
    /// The peer had closed its side, and then answered with a RST: nobody reads there any more.
    BrokenPipe,
    /// No answer to our SYN, our data or our FIN within the retries or the user timeout.
    TimedOut,
    /// The peer answered none of the keepalive probes.
    KeepaliveTimedOut,
    /// The network said that the peer cannot be reached (ICMP).
    Unreachable,
    /// The application aborted, closed with data unread or lingered in vain, and the peer got a RST;
    /// or it closed before the peer had answered, and what it had written was never sent.
    Aborted,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Finished => "the connection is closed",
            Self::Refused => "connection refused by the peer",
            Self::Reset => "connection reset by the peer",
            Self::BrokenPipe => "broken pipe: the peer has closed the connection",
            Self::TimedOut => "timed out: the peer did not answer",
            Self::KeepaliveTimedOut => "timed out: the peer did not answer keepalive probes",
            Self::Unreachable => "the peer cannot be reached",
            Self::Aborted => "the connection was aborted here",
        })
    }
}

impl core::error::Error for CloseReason {}

/// Trouble that does not end a connection (RFC 9293 §3.9.1.8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum SoftError {
    /// Retransmissions have passed R1.
    Retransmitting,
    /// The network says that a packet of ours did not arrive (ICMP).
    Unreachable,
}

impl fmt::Display for SoftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retransmitting => "the peer has not answered several retransmissions",
            Self::Unreachable => "the network reports that the peer cannot be reached",
        })
    }
}

/// Why nothing was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadError {
    /// Nothing to read yet; a READABLE event follows.
    Blocked,
    /// Nothing more to read, and the stream did not end with the peer's FIN.
    Closed(CloseReason),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked => f.write_str("nothing to read yet; wait for the READABLE event"),
            Self::Closed(reason) => reason.fmt(f),
        }
    }
}

impl core::error::Error for ReadError {}

/// Why nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteError {
    /// No room in the send buffer, or no peer yet; one WRITABLE event follows.
    Blocked,
    /// The application has closed this direction.
    ShutDown,
    /// The connection has ended.
    Closed(CloseReason),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked => f.write_str("no room to write, or no peer yet; wait for the WRITABLE event"),
            Self::ShutDown => f.write_str("the sending side was shut down by this application"),
            Self::Closed(reason) => reason.fmt(f),
        }
    }
}

impl core::error::Error for WriteError {}

/// Why a connection could not be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The peer's address is unspecified, broadcast, multicast or reserved (RFC 9293 MUST-46).
    InvalidRemoteAddress,
    /// Our address is unspecified, broadcast, multicast or reserved.
    InvalidLocalAddress,
    /// One address is IPv4, the other IPv6.
    AddressFamily,
    /// Port zero names no connection.
    PortZero,
    /// The configuration cannot work.
    Config(ConfigError),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRemoteAddress => {
                f.write_str("the remote address is not one that a single host can have")
            }
            Self::InvalidLocalAddress => {
                f.write_str("the local address is not one that a single host can have")
            }
            Self::AddressFamily => f.write_str("local and remote address must both be IPv4 or both be IPv6"),
            Self::PortZero => f.write_str("port 0 names no connection; choose a port from 1 to 65535"),
            Self::Config(error) => write!(f, "the configuration cannot work: {error}"),
        }
    }
}

impl core::error::Error for ConnectError {}

impl From<ConfigError> for ConnectError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

#[cfg(feature = "std")]
mod io {
    use super::{CloseReason, ConnectError, ReadError, WriteError};
    use crate::ConfigError;
    use std::io::{Error, ErrorKind};

    impl From<CloseReason> for Error {
        fn from(reason: CloseReason) -> Self {
            let kind = match reason {
                CloseReason::Finished => ErrorKind::NotConnected,
                CloseReason::Refused => ErrorKind::ConnectionRefused,
                CloseReason::Reset => ErrorKind::ConnectionReset,
                CloseReason::BrokenPipe => ErrorKind::BrokenPipe,
                CloseReason::TimedOut | CloseReason::KeepaliveTimedOut => ErrorKind::TimedOut,
                CloseReason::Unreachable => ErrorKind::HostUnreachable,
                CloseReason::Aborted => ErrorKind::ConnectionAborted,
            };
            Self::new(kind, reason)
        }
    }

    impl From<ConnectError> for Error {
        fn from(error: ConnectError) -> Self {
            Self::new(ErrorKind::InvalidInput, error)
        }
    }

    impl From<ConfigError> for Error {
        fn from(error: ConfigError) -> Self {
            Self::new(ErrorKind::InvalidInput, error)
        }
    }

    impl From<ReadError> for Error {
        fn from(error: ReadError) -> Self {
            match error {
                ReadError::Blocked => Self::new(ErrorKind::WouldBlock, error),
                ReadError::Closed(reason) => reason.into(),
            }
        }
    }

    impl From<WriteError> for Error {
        fn from(error: WriteError) -> Self {
            match error {
                WriteError::Blocked => Self::new(ErrorKind::WouldBlock, error),
                WriteError::ShutDown => Self::new(ErrorKind::BrokenPipe, error),
                WriteError::Closed(reason) => reason.into(),
            }
        }
    }
}
