//! How one connection behaves: plain data with defaults that hold for most uses.

use crate::{Duration, SeqNumber};

/// The behaviour of one connection.
///
/// [`ConnConfig::default`] is [`ConnConfig::linux`]: the wire habits of Linux.
/// [`ConnConfig::rfc`] keeps to the letter of the RFCs where the two differ.
///
/// ```
/// use tcp_core::{ConnConfig, Duration};
///
/// let mut config = ConnConfig::default();
/// config.no_delay = true;
/// config.user_timeout = Some(Duration::from_secs(30));
/// assert!(config.check().is_ok());
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ConnConfig {
    /// The largest IP packet the path is known to take; the MSS we announce follows from it.
    pub mtu: u16,
    /// Announce and use at most this MSS (`TCP_MAXSEG`).
    pub max_segment_size: Option<u16>,
    /// Bytes that may wait to be read.
    pub receive_buffer: BufferLimit,
    /// Bytes that may wait to be sent or acknowledged.
    pub send_buffer: BufferLimit,
    /// Take no more than this many bytes that are not sent yet, and raise WRITABLE when fewer than
    /// half of them are left (`TCP_NOTSENT_LOWAT`).
    pub unsent_low_water: Option<u32>,
    /// Raise READABLE only when at least this many bytes can be read, or the stream has ended
    /// (`SO_RCVLOWAT`).
    pub receive_low_water: u32,
    /// Offer and accept window scaling (RFC 7323 §2).
    pub window_scaling: bool,
    /// Offer and accept selective acknowledgements (RFC 2018).
    pub sack: bool,
    /// Offer and accept timestamps (RFC 7323 §3).
    pub timestamps: bool,
    /// What to do with a segment that lacks the negotiated timestamp.
    pub missing_timestamp: MissingTimestamp,
    /// Send small segments at once, without Nagle's rule (`TCP_NODELAY`).
    pub no_delay: bool,
    /// How long corked data waits at most for more (`TCP_CORK`).
    pub cork_limit: Duration,
    /// When acknowledgements are sent.
    pub ack: AckConfig,
    /// The retransmission timer.
    pub rto: RtoConfig,
    /// How many timeouts of a connection with fewer than four segments in flight do not double the
    /// next (`TCP_THIN_LINEAR_TIMEOUTS`, which means 6); zero by default, as RFC 6298 §5.5 asks.
    pub thin_linear_timeouts: u8,
    /// How often to try before giving up.
    pub retries: Retries,
    /// Give up when written data stays unacknowledged for this long (RFC 9293 §3.9.1, RFC 5482),
    /// instead of counting retries.
    pub user_timeout: Option<Duration>,
    /// Probe an idle peer (RFC 9293 §3.8.4); off by default.
    pub keepalive: Option<Keepalive>,
    /// What closing does with data that has not been acknowledged yet.
    pub linger: Linger,
    /// How long FIN-WAIT-2 lasts once the application has let go of the connection.
    pub fin_wait_2_timeout: Duration,
    /// 2 MSL (RFC 9293 §3.4.2).
    pub time_wait: Duration,
    /// What a RST does to TIME-WAIT.
    pub time_wait_reset: TimeWaitReset,
    /// What becomes of data that had arrived in order before a RST.
    pub after_reset: AfterReset,
    /// Urgent data stays in the stream (RFC 6093 §4); otherwise its last byte is taken out of it,
    /// for [`read_urgent`](crate::Connection::read_urgent).
    pub urgent_inline: bool,
    /// Challenge ACKs (RFC 5961 §7), counted per connection.
    pub challenge_acks: RateLimit,
    /// The least time between two answers to segments without data that are not acceptable.
    pub invalid_ack_interval: Duration,
    /// Tell the application of soft errors: ICMP, retransmissions past R1 (RFC 9293 §3.9.1.8).
    pub report_soft_errors: bool,
    /// What an ICMP "unreachable" does to a connection that is being opened.
    pub unreachable_while_connecting: OnUnreachable,
    /// The congestion control algorithm.
    pub congestion: CongestionAlgorithm,
    /// The first congestion window.
    pub initial_window: InitialWindow,
    /// The first slow start threshold; none means as high as can be (RFC 5681 §3.1).
    pub initial_ssthresh: Option<u32>,
    /// The differentiated services code point of every packet, six bits. Applications should not
    /// change it in mid-connection: the network may reorder packets of two classes (RFC 9293 §3.9.2).
    pub dscp: u8,
    /// The TTL or hop limit of every packet.
    pub hop_limit: u8,
    /// Values that are otherwise drawn from the seed.
    pub replay: Replay,
}

/// Initial and greatest size of a buffer. Equal values switch the automatic growth off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BufferLimit {
    /// The size at first.
    pub initial: u32,
    /// The size up to which it grows by itself.
    pub max: u32,
}

impl BufferLimit {
    /// A buffer of exactly `size` bytes that does not grow.
    #[must_use]
    pub const fn fixed(size: u32) -> Self {
        Self { initial: size, max: size }
    }
}

/// A segment arrives without the timestamp option that was negotiated (RFC 7323 §3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MissingTimestamp {
    /// Take it, as Linux does.
    Accept,
    /// Drop it silently, as the RFC asks (SHOULD).
    Drop,
}

/// When acknowledgements are sent (RFC 9293 §3.8.6.3, RFC 5681 §4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AckConfig {
    /// The delay of an acknowledgement at first.
    pub min_delay: Duration,
    /// The delay it adapts up to; below 500 ms (MUST-40).
    pub max_delay: Duration,
    /// How many segments are acknowledged at once at the start of a connection and after idling.
    pub quick: u8,
}

/// The retransmission timer (RFC 6298).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RtoConfig {
    /// Before the first measurement.
    pub initial: Duration,
    /// The least value.
    pub min: Duration,
    /// The greatest value; at least 60 s.
    pub max: Duration,
    /// The least value of the variance term, the G of RFC 6298 §2. Linux adds at least 200 ms to
    /// the smoothed round-trip time, so that the peer's delayed ACK does not look like a loss.
    pub granularity: Duration,
}

/// How often to try before giving up (RFC 9293 §3.8.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retries {
    /// R1: after so many retransmissions the application is warned.
    pub warn: u8,
    /// R2: after so many retransmissions the connection is given up. [`Retries::NEVER`]: never.
    pub data: u8,
    /// R2 of a SYN.
    pub syn: u8,
    /// R2 of a SYN-ACK that answers a SYN.
    pub syn_ack: u8,
    /// R2 once the application has let go of the connection.
    pub orphan: u8,
}

impl Retries {
    /// Retry without end.
    pub const NEVER: u8 = u8::MAX;
}

/// Probing an idle peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keepalive {
    /// How long the peer must have been silent before the first probe.
    pub idle: Duration,
    /// The time between two probes.
    pub interval: Duration,
    /// So many unanswered probes end the connection.
    pub probes: u8,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(7_200), interval: Duration::from_secs(75), probes: 9 }
    }
}

/// What closing does with data that has not been acknowledged yet (`SO_LINGER`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Linger {
    /// It is sent in the background.
    Background,
    /// It is discarded, and the peer gets a RST.
    Reset,
    /// It is sent; what is not acknowledged after this time is discarded, and the peer gets a RST.
    Timeout(Duration),
}

/// What a RST does to TIME-WAIT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeWaitReset {
    /// Nothing (RFC 1337 §3, fix F1).
    Ignore,
    /// A RST at exactly RCV.NXT ends it, as in Linux.
    CloseIfExact,
}

/// What becomes of data that had arrived in order before a RST.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AfterReset {
    /// It can still be read, and then the reset is reported, as in Linux.
    KeepData,
    /// It is flushed, and the reset is reported at once (RFC 9293 §3.10.7.4).
    Flush,
}

/// What an ICMP "unreachable" does to a connection that is being opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnUnreachable {
    /// The open fails at once, as in Linux and most others (RFC 5461 §4).
    Fail,
    /// It is a soft error, and the open goes on (RFC 9293 §3.9.2.2, MUST-56).
    KeepTrying,
}

/// At most `count` within each `interval`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit {
    /// How many.
    pub count: u32,
    /// Within what time.
    pub interval: Duration,
}

/// The congestion control algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum CongestionAlgorithm {
    /// RFC 5681 with byte counting (RFC 3465).
    #[default]
    NewReno,
}

/// The first congestion window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InitialWindow {
    /// Ten segments (RFC 6928).
    Rfc6928,
    /// Two to four segments (RFC 5681 §3.1).
    Rfc5681,
    /// So many segments.
    Segments(u16),
}

/// Values that are otherwise drawn from the seed, so that a recorded connection can be repeated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Replay {
    /// Our initial sequence number.
    pub initial_sequence: Option<SeqNumber>,
    /// What is added to the clock to give our timestamps.
    pub timestamp_offset: Option<u32>,
}

impl Default for ConnConfig {
    fn default() -> Self {
        Self::linux()
    }
}

impl ConnConfig {
    /// The wire habits of Linux; the default.
    #[must_use]
    pub fn linux() -> Self {
        Self {
            mtu: 1_500,
            max_segment_size: None,
            // Linux begins with 131,072, of which it keeps half for overhead: a window of 64 KiB.
            receive_buffer: BufferLimit { initial: 64 << 10, max: 32 << 20 },
            send_buffer: BufferLimit { initial: 64 << 10, max: 4 << 20 },
            unsent_low_water: None,
            receive_low_water: 1,
            window_scaling: true,
            sack: true,
            timestamps: true,
            missing_timestamp: MissingTimestamp::Accept,
            no_delay: false,
            cork_limit: Duration::from_millis(200),
            ack: AckConfig {
                min_delay: Duration::from_millis(40),
                max_delay: Duration::from_millis(200),
                quick: 16,
            },
            rto: RtoConfig {
                initial: Duration::from_secs(1),
                min: Duration::from_millis(200),
                max: Duration::from_secs(120),
                granularity: Duration::from_millis(200),
            },
            thin_linear_timeouts: 0,
            retries: Retries { warn: 3, data: 15, syn: 6, syn_ack: 5, orphan: 8 },
            user_timeout: None,
            keepalive: None,
            linger: Linger::Background,
            fin_wait_2_timeout: Duration::from_secs(60),
            time_wait: Duration::from_secs(60),
            time_wait_reset: TimeWaitReset::CloseIfExact,
            after_reset: AfterReset::KeepData,
            urgent_inline: true,
            challenge_acks: RateLimit { count: 10, interval: Duration::from_secs(5) },
            invalid_ack_interval: Duration::from_millis(500),
            report_soft_errors: true,
            unreachable_while_connecting: OnUnreachable::Fail,
            congestion: CongestionAlgorithm::NewReno,
            initial_window: InitialWindow::Rfc6928,
            initial_ssthresh: None,
            dscp: 0,
            hop_limit: 64,
            replay: Replay::default(),
        }
    }

    /// To the letter of the RFCs where Linux differs: RTO of at least 1 s (RFC 6298 §2.4), a SYN
    /// that is tried for more than 180 s (MUST-23), 2 MSL of 240 s, missing timestamps dropped,
    /// RFC 1337, data flushed by a RST.
    #[must_use]
    pub fn rfc() -> Self {
        let linux = Self::linux();
        Self {
            missing_timestamp: MissingTimestamp::Drop,
            rto: RtoConfig {
                min: Duration::from_secs(1),
                granularity: Duration::from_millis(1),
                ..linux.rto
            },
            retries: Retries { syn: 7, ..linux.retries },
            time_wait: Duration::from_secs(240),
            time_wait_reset: TimeWaitReset::Ignore,
            after_reset: AfterReset::Flush,
            unreachable_while_connecting: OnUnreachable::KeepTrying,
            ..linux
        }
    }

    /// Says what is wrong with the values, if anything.
    ///
    /// # Errors
    /// The first value that cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Self {
            mtu,
            initial_window,
            unsent_low_water,
            max_segment_size,
            receive_buffer,
            send_buffer,
            ack,
            rto,
            dscp,
            hop_limit,
            ..
        } = self;
        if *mtu < LEAST_MTU {
            return Err(ConfigError::Mtu);
        }
        if *initial_window == InitialWindow::Segments(0) {
            return Err(ConfigError::InitialWindow);
        }
        if *unsent_low_water == Some(0) {
            return Err(ConfigError::UnsentLowWater);
        }
        if max_segment_size.is_some_and(|mss| mss < MIN_SEGMENT_SIZE) {
            return Err(ConfigError::MaxSegmentSize);
        }
        for buffer in [receive_buffer, send_buffer] {
            let BufferLimit { initial, max } = *buffer;
            if initial == 0 || initial > max || max > MAX_BUFFER {
                return Err(ConfigError::BufferLimit);
            }
        }
        if ack.min_delay > ack.max_delay || ack.max_delay >= Duration::from_millis(500) {
            return Err(ConfigError::AckDelay);
        }
        if rto.max < Duration::from_secs(60)
            || rto.min > rto.max
            || rto.initial > rto.max
            || rto.initial.is_zero()
        {
            return Err(ConfigError::Rto);
        }
        if rto.min.max(rto.granularity).is_zero() {
            return Err(ConfigError::Rto);
        }
        if *dscp > 63 {
            return Err(ConfigError::Dscp);
        }
        if *hop_limit == 0 {
            return Err(ConfigError::HopLimit);
        }
        self.check_times()
    }

    fn check_times(&self) -> Result<(), ConfigError> {
        if let Some(Keepalive { idle, interval, probes }) = self.keepalive {
            if idle.is_zero() || interval.is_zero() || probes == 0 {
                return Err(ConfigError::Keepalive);
            }
        }
        if self.user_timeout.is_some_and(Duration::is_zero) {
            return Err(ConfigError::UserTimeout);
        }
        Ok(())
    }
}

/// The least MTU: both headers, and a segment of the least size; IPv6 takes 20 more.
pub(crate) const LEAST_MTU: u16 = 20 + 20 + MIN_SEGMENT_SIZE;
/// The least MSS that is used or announced (CVE-2019-11479; Linux `tcp_min_snd_mss`).
pub(crate) const MIN_SEGMENT_SIZE: u16 = 48;
/// The largest window that scaling can express is 65535 · 2¹⁴, just below 2³⁰ (RFC 7323 §2.3).
const MAX_BUFFER: u32 = 65_535 << 14;

/// A value of a configuration that cannot work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// The MTU is below 88, or below 108 with IPv6: no room for the least segment.
    Mtu,
    /// The maximum segment size is below 48.
    MaxSegmentSize,
    /// A first window of no segments.
    InitialWindow,
    /// With a low-water mark of zero nothing could ever be written.
    UnsentLowWater,
    /// A buffer of zero bytes, with `initial` above `max`, or above the largest window (1 GiB).
    BufferLimit,
    /// The least ACK delay is above the greatest, or that is 500 ms or more (RFC 9293 MUST-40).
    AckDelay,
    /// The RTO's cap is below 60 s (RFC 6298 §2.5), or another of its values is above it or zero.
    Rto,
    /// The code point has more than six bits.
    Dscp,
    /// A packet with hop limit zero goes nowhere.
    HopLimit,
    /// A keepalive time or count of zero.
    Keepalive,
    /// A user timeout of zero.
    UserTimeout,
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Mtu => "mtu is below 88, or below 108 with IPv6; set what the path takes, such as 1500",
            Self::MaxSegmentSize => "max_segment_size is below 48",
            Self::InitialWindow => "initial_window must be at least one segment",
            Self::UnsentLowWater => "unsent_low_water must not be 0; use None for no mark",
            Self::BufferLimit => "a buffer limit must satisfy 0 < initial <= max <= 65535 << 14",
            Self::AckDelay => "ack delays must satisfy min_delay <= max_delay < 500 ms",
            Self::Rto => {
                "rto must satisfy 0 < initial <= max, min <= max, max >= 60 s, and min or granularity > 0"
            }
            Self::Dscp => "dscp has six bits: 0 to 63",
            Self::HopLimit => "hop_limit must not be 0",
            Self::Keepalive => "keepalive idle, interval and probes must not be 0",
            Self::UserTimeout => "user_timeout must not be 0; use None for no limit",
        })
    }
}

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_profiles_are_sound() {
        assert_eq!(ConnConfig::linux().check(), Ok(()));
        assert_eq!(ConnConfig::rfc().check(), Ok(()));
    }

    // req: 6298-2.5, 8961-4c
    #[test]
    fn a_cap_of_the_rto_below_60_s_is_refused() {
        let mut config = ConnConfig::default();
        config.rto.max = Duration::from_secs(59);
        assert_eq!(config.check(), Err(ConfigError::Rto));
        config.rto.max = Duration::from_secs(60);
        assert_eq!(config.check(), Ok(()));
    }

    // req: MUST-40
    #[test]
    fn an_ack_delay_of_500_ms_is_refused() {
        let mut config = ConnConfig::default();
        config.ack.max_delay = Duration::from_millis(500);
        assert_eq!(config.check(), Err(ConfigError::AckDelay));
    }

    // req: IP4-7
    #[test]
    fn hop_limit_zero_is_refused() {
        let config = ConnConfig { hop_limit: 0, ..ConnConfig::default() };
        assert_eq!(config.check(), Err(ConfigError::HopLimit));
    }
}
