//! How much may be in the network: the [`Controller`] trait and its implementations.
//!
//! A controller sees bytes and times, never sequence numbers. What was lost and what is sent next
//! is the business of `recovery`; `docs/decisions/recovery-and-congestion.md` draws the line.
//! Next: `new_reno.rs` is the shortest controller, and shows all there is to do.

mod new_reno;

pub use new_reno::NewReno;

use core::fmt;

use crate::{CongestionAlgorithm, Duration, InitialWindow, Instant};

/// Bytes were delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Delivered {
    /// When the ACK arrived.
    pub now: Instant,
    /// Bytes that the ACK newly acknowledges, cumulatively.
    pub acknowledged: u32,
    /// Bytes in the network before the ACK.
    pub flight_before: u32,
    /// Whether the window was the limit when these bytes were sent; if the application or the
    /// peer's window was, the congestion window says nothing about the network and must not grow
    /// (RFC 5681 §2, RFC 7661).
    pub window_limited: bool,
    /// Whether losses are being repaired after a timeout: slow start counts at most one segment
    /// per ACK then (RFC 3465 §2.3).
    pub after_timeout: bool,
    /// A round trip measured by this ACK.
    pub round_trip: Option<Duration>,
}

/// The network is congested.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Congestion {
    /// A loss found without the timer; once per episode.
    Loss {
        /// FlightSize: bytes sent and not acknowledged, those of limited transmit apart
        /// (RFC 5681 §3.2 step 2).
        flight: u32,
    },
    /// The retransmission timer expired.
    Timeout {
        /// FlightSize (RFC 5681 equation 4).
        flight: u32,
        /// Whether it is the first expiry for this data; later ones leave ssthresh alone.
        first: bool,
    },
}

/// A congestion control algorithm.
///
/// Amounts are bytes. Integers only.
pub trait Controller: fmt::Debug {
    /// The congestion window.
    fn window(&self) -> u32;
    /// The slow start threshold, or the window to end recovery with.
    fn slow_start_threshold(&self) -> u32;
    /// Bytes a second at which to send, if the algorithm asks for pacing.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }
    /// Bytes were delivered outside of fast recovery.
    fn on_ack(&mut self, delivered: &Delivered);
    /// The network is congested.
    fn on_congestion(&mut self, congestion: Congestion);
    /// All that was in flight when a loss was found is acknowledged.
    fn on_recovered(&mut self, flight: u32);
    /// The last congestion event was a mistake: undo it.
    fn on_spurious(&mut self);
    /// Nothing was sent for longer than the RTO; `restart` is RFC 5681's restart window.
    fn on_idle(&mut self, restart: u32);
    /// The segment size changed.
    fn on_segment_size(&mut self, segment_size: u16);
}

/// The controllers that come with the crate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum AnyController {
    NewReno(NewReno),
}

impl AnyController {
    pub(crate) fn new(
        algorithm: CongestionAlgorithm,
        segment_size: u16,
        initial_window: u32,
        initial_ssthresh: Option<u32>,
    ) -> Self {
        match algorithm {
            CongestionAlgorithm::NewReno => {
                Self::NewReno(NewReno::new(segment_size, initial_window, initial_ssthresh))
            }
        }
    }

    pub(crate) fn get(&self) -> &dyn Controller {
        match self {
            Self::NewReno(new_reno) => new_reno,
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut dyn Controller {
        match self {
            Self::NewReno(new_reno) => new_reno,
        }
    }
}

/// The initial window in bytes (RFC 6928 §2, RFC 5681 §3.1).
pub(crate) fn initial_window(choice: InitialWindow, segment_size: u16, syn_retransmissions: u8) -> u32 {
    let mss = u32::from(segment_size);
    // RFC 6928 §2: one segment only if the SYN or SYN-ACK was lost more than once.
    if syn_retransmissions > 1 {
        return mss;
    }
    match choice {
        InitialWindow::Rfc6928 => (10 * mss).min(14_600.max(2 * mss)),
        InitialWindow::Rfc5681 if mss > 2_190 => 2 * mss,
        InitialWindow::Rfc5681 if mss > 1_095 => 3 * mss,
        InitialWindow::Rfc5681 => 4 * mss,
        InitialWindow::Segments(count) => mss * u32::from(count.max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // req: 6928-1
    #[test]
    fn the_initial_window_is_ten_segments_or_14600_bytes() {
        assert_eq!(initial_window(InitialWindow::Rfc6928, 1_460, 0), 14_600);
        assert_eq!(initial_window(InitialWindow::Rfc6928, 9_000, 0), 18_000);
        assert_eq!(initial_window(InitialWindow::Rfc6928, 536, 0), 5_360);
    }

    // req: 5681-IW1
    #[test]
    fn rfc_5681_allows_two_to_four_segments() {
        assert_eq!(initial_window(InitialWindow::Rfc5681, 4_000, 0), 8_000);
        assert_eq!(initial_window(InitialWindow::Rfc5681, 1_460, 0), 4_380);
        assert_eq!(initial_window(InitialWindow::Rfc5681, 1_000, 0), 4_000);
    }

    // req: 6928-2, 5681-IW3
    #[test]
    fn two_lost_syns_leave_one_segment() {
        assert_eq!(initial_window(InitialWindow::Rfc6928, 1_460, 1), 14_600);
        assert_eq!(initial_window(InitialWindow::Rfc6928, 1_460, 2), 1_460);
    }
}
