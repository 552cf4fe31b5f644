//! What the SYNs say, and what follows from them: MSS, window scale, SACK, timestamps
//! (RFC 9293 §3.7.1, RFC 7323 §2, RFC 2018 §2).

use super::rcv::window_shift;
use crate::FourTuple;
use crate::config::{ConnConfig, MIN_SEGMENT_SIZE};
use crate::wire::{Options, Timestamps};

/// What our SYN or SYN-ACK says of us. Settled when the connection begins: the peer goes by the copy
/// that reaches it, whatever the configuration says by the time it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Offer {
    pub(crate) mss: u16,
    /// The window, which is never scaled in a SYN (RFC 7323 §2.2).
    pub(crate) window: u16,
    /// The shift of our window, if windows may be scaled.
    pub(crate) shift: Option<u8>,
    pub(crate) sack: bool,
    pub(crate) timestamps: bool,
}

impl Offer {
    pub(crate) fn new(ip_header_len: u16, config: &ConnConfig) -> Self {
        Self {
            mss: receive_mss(ip_header_len, config),
            window: u16::try_from(config.receive_buffer.initial).unwrap_or(u16::MAX),
            shift: config.window_scaling.then(|| window_shift(config.receive_buffer.max)),
            sack: config.sack,
            timestamps: config.timestamps,
        }
    }
}

/// What both ends have agreed on, seen from one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Negotiated {
    pub(crate) send_mss: u16,
    pub(crate) receive_mss: u16,
    /// Present if both offered window scaling (RFC 7323 §2.2).
    pub(crate) shifts: Option<Shifts>,
    pub(crate) sack: bool,
    /// TS.Recent, if both offered timestamps.
    pub(crate) timestamp: Option<u32>,
}

/// The shifts of both windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shifts {
    /// Snd.Wind.Shift, as the peer announced it.
    pub(crate) send: u8,
    /// Rcv.Wind.Shift, ours.
    pub(crate) receive: u8,
}

/// RFC 7323 §2.3: a larger shift is taken for this one.
const MAX_SHIFT: u8 = 14;

impl Negotiated {
    /// What follows from the options of the peer's SYN or SYN-ACK and what we offer.
    pub(crate) fn from_syn(
        options: &Options,
        ip_header_len: u16,
        offer: &Offer,
        config: &ConnConfig,
    ) -> Self {
        let Offer { mss, shift, sack, timestamps, .. } = *offer;
        let shifts = options
            .window_scale
            .zip(shift)
            .map(|(theirs, ours)| Shifts { send: theirs.min(MAX_SHIFT), receive: ours });
        Self {
            send_mss: send_mss(options.mss, ip_header_len, config),
            receive_mss: mss,
            shifts,
            sack: sack && options.sack_permitted,
            timestamp: options.timestamps.filter(|_| timestamps).map(|timestamps| timestamps.value),
        }
    }

    /// The options of a SYN-ACK: only what the SYN offered (RFC 7323 §2.2, §3.2; RFC 2018 §2).
    pub(crate) fn syn_ack_options(&self, timestamps: Option<Timestamps>) -> Options {
        Options {
            mss: Some(self.receive_mss),
            window_scale: self.shifts.map(|shifts| shifts.receive),
            sack_permitted: self.sack,
            timestamps,
            ..Options::NONE
        }
    }

    pub(crate) fn receive_shift(&self) -> u8 {
        self.shifts.map_or(0, |shifts| shifts.receive)
    }
}

/// The MSS that the peer lets us use: what it announced or the default (RFC 9293 §3.7.1, MUST-15),
/// within what the path takes, and never too small to carry data beside all options (trap 28).
pub(crate) fn send_mss(announced: Option<u16>, ip_header_len: u16, config: &ConnConfig) -> u16 {
    let default = if ip_header_len > 20 { 1_220 } else { 536 };
    let path = config.mtu.saturating_sub(ip_header_len).saturating_sub(20);
    let own = config.max_segment_size.unwrap_or(u16::MAX);
    announced.unwrap_or(default).min(path).min(own).max(MIN_SEGMENT_SIZE)
}

/// The MSS that we announce (RFC 9293 §3.7.1, MUST-67; RFC 6691 §2: options are not taken off).
pub(crate) fn receive_mss(ip_header_len: u16, config: &ConnConfig) -> u16 {
    let path = config.mtu.saturating_sub(ip_header_len).saturating_sub(20);
    path.min(config.max_segment_size.unwrap_or(u16::MAX))
}

/// The length of the IP header without options.
pub(crate) fn ip_header_len(tuple: &FourTuple) -> u16 {
    if tuple.local_addr.is_ipv6() { 40 } else { 20 }
}
