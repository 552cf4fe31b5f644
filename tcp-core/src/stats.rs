//! What can be seen of a connection: what `TCP_INFO` shows, and why segments were dropped.

use crate::{DropReason, Duration, State};

/// The state of one connection, as `TCP_INFO` would show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ConnStats {
    /// The state of RFC 9293 §3.3.2.
    pub state: State,
    /// The smoothed round-trip time; none before the first measurement.
    pub srtt: Option<Duration>,
    /// The variation of the round-trip time.
    pub rttvar: Duration,
    /// The least round-trip time measured.
    pub min_rtt: Option<Duration>,
    /// The retransmission timeout in force, back-off included.
    pub rto: Duration,
    /// How often the timeout has been doubled.
    pub backoff: u8,
    /// Retransmissions by timer, or probes, since the last progress.
    pub retries: u8,
    /// The delay of the next delayed acknowledgement.
    pub ack_delay: Duration,
    /// The congestion window in bytes.
    pub congestion_window: u32,
    /// The slow start threshold in bytes.
    pub slow_start_threshold: u32,
    /// Whether losses are being repaired.
    pub in_recovery: bool,
    /// Bytes sent and not acknowledged, SYN and FIN included.
    pub unacknowledged: u32,
    /// Of these, selectively acknowledged.
    pub sacked: u32,
    /// Of these, taken for lost and not yet sent again.
    pub lost: u32,
    /// Bytes taken to be in the network.
    pub in_flight: u32,
    /// Duplicate ACKs in a row.
    pub duplicate_acks: u32,
    /// The largest payload we send, options of this moment apart.
    pub send_mss: u16,
    /// The MSS we announced.
    pub receive_mss: u16,
    /// The peer's window in bytes.
    pub send_window: u32,
    /// The window we last advertised, in bytes.
    pub receive_window: u32,
    /// How far the peer's window field is shifted; none if windows are not scaled.
    pub send_window_scale: Option<u8>,
    /// How far ours is.
    pub receive_window_scale: Option<u8>,
    /// Whether selective acknowledgements were agreed on.
    pub sack: bool,
    /// Whether timestamps were agreed on.
    pub timestamps: bool,
    /// Bytes that wait to be read.
    pub readable: u64,
    /// Bytes that wait to be sent for the first time.
    pub unsent: u64,
    /// The greatest receive buffer as it is now.
    pub receive_buffer: u32,
    /// The greatest send buffer as it is now.
    pub send_buffer: u32,
    /// Running totals.
    pub totals: Totals,
    /// How long there was anything to send.
    pub busy: Duration,
    /// Of that, how long the peer's window was the limit.
    pub window_limited: Duration,
}

/// Totals of one connection since it began.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub struct Totals {
    /// Bytes of the stream acknowledged by the peer.
    pub bytes_acknowledged: u64,
    /// Bytes of the stream received in order.
    pub bytes_received: u64,
    /// Bytes sent again.
    pub bytes_retransmitted: u64,
    /// Segments sent, retransmissions included.
    pub segments_sent: u64,
    /// Segments received.
    pub segments_received: u64,
    /// Segments with data received.
    pub data_segments_received: u64,
    /// Segments sent again.
    pub segments_retransmitted: u64,
    /// Segments without data sent.
    pub pure_acks_sent: u64,
    /// Expiries of the retransmission timer.
    pub timeouts: u32,
    /// Times that losses were repaired without the timer.
    pub fast_recoveries: u32,
    /// Segments that arrived out of order.
    pub out_of_order: u32,
    /// Segments that brought nothing new.
    pub duplicates: u32,
    /// D-SACK blocks sent.
    pub dsacks_sent: u32,
    /// D-SACK blocks received.
    pub dsacks_received: u32,
    /// Challenge ACKs sent.
    pub challenge_acks: u32,
    /// Challenge ACKs held back by the limit.
    pub challenge_acks_limited: u32,
    /// Segments dropped by PAWS.
    pub old_timestamps: u32,
    /// Probes of a closed window sent.
    pub window_probes: u32,
    /// Keepalive probes sent.
    pub keepalive_probes: u32,
    /// Acknowledgements that waited out their delay.
    pub delayed_acks: u32,
    /// Times that the peer took back what it had selectively acknowledged.
    pub reneged: u32,
    /// Out-of-order bytes dropped for want of room.
    pub pruned: u64,
    /// Times that the clock went backwards.
    pub clock_regressions: u32,
}

/// How many segments were dropped, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DropCounters([u32; DropReason::ALL.len()]);

impl Default for DropCounters {
    fn default() -> Self {
        Self([0; DropReason::ALL.len()])
    }
}

impl DropCounters {
    /// How many were dropped for `reason`.
    #[must_use]
    pub fn get(&self, reason: DropReason) -> u32 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// How many were dropped in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|count| u64::from(*count)).sum()
    }

    /// All reasons that have occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u32)> + '_ {
        DropReason::ALL.iter().map(|reason| (*reason, self.get(*reason))).filter(|(_, count)| *count > 0)
    }

    pub(crate) fn count(&mut self, reason: DropReason) {
        if let Some(counter) = self.0.get_mut(reason as usize) {
            *counter = counter.saturating_add(1);
        }
    }
}

impl core::fmt::Debug for DropCounters {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
