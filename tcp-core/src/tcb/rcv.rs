//! The receive sequence variables, and the window we advertise (RFC 9293 §3.3.1, §3.8.6).

use crate::config::BufferLimit;
use crate::{Duration, Instant, SeqNumber};

/// What we know of the receiving direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rcv {
    /// IRS: the peer's initial sequence number.
    pub(crate) irs: SeqNumber,
    /// RCV.NXT: the next sequence number expected.
    pub(crate) nxt: SeqNumber,
    /// The right edge of the largest window ever advertised. Whatever lies below is accepted
    /// (RFC 7323 §2.4), and no window we send ends before it.
    pub(crate) edge: SeqNumber,
    /// Rcv.Wind.Shift; zero without window scaling.
    pub(crate) shift: u8,
    /// Whether window scaling was agreed on, if only with shifts of zero.
    pub(crate) scaling: bool,
    /// The MSS we announced.
    pub(crate) mss: u16,
    /// Whether selective acknowledgements were agreed on.
    pub(crate) sack: bool,
    /// Whether timestamps were agreed on.
    pub(crate) timestamps: bool,
    /// TS.Recent (RFC 7323 §4.3), and when it was taken.
    pub(crate) ts_recent: u32,
    pub(crate) ts_recent_at: Instant,
    /// Last.ACK.sent (RFC 7323 §4.3).
    pub(crate) last_ack_sent: SeqNumber,
    /// The sequence number of the peer's FIN, once it has been seen, in order or not.
    pub(crate) fin: Option<SeqNumber>,
    /// RCV.UP as a stream offset: the byte after the last urgent one.
    pub(crate) urgent_to: Option<u64>,
    /// The last urgent byte, where it is kept out of the stream.
    pub(crate) urgent_byte: UrgentByte,
    /// The last time a segment of the peer arrived.
    pub(crate) last_heard: Instant,
    /// How many bytes may wait to be read.
    pub(crate) limit: u32,
    tuning: Tuning,
}

/// The byte before the urgent mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum UrgentByte {
    /// It has not arrived.
    Awaited,
    /// It waits to be read.
    Here(u8),
    /// It was read, or goes with the stream.
    Done,
}

/// Growing the receive buffer with what the application reads in a round trip.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tuning {
    since: Instant,
    /// Read since then, and in the round trip before it.
    read: u64,
    before: u64,
}

/// A window to advertise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advertised {
    /// What stands in the header.
    pub(crate) field: u16,
    /// The right edge it promises.
    pub(crate) edge: SeqNumber,
}

/// RFC 7323 §5.5: a timestamp of a connection idle for longer says nothing.
pub(crate) const TS_RECENT_LIFETIME: Duration = Duration::from_secs(24 * 24 * 3_600);

impl Rcv {
    pub(crate) fn new(now: Instant, limit: &BufferLimit) -> Self {
        Self {
            irs: SeqNumber(0),
            nxt: SeqNumber(0),
            edge: SeqNumber(0),
            shift: 0,
            scaling: false,
            mss: 0,
            sack: false,
            timestamps: false,
            ts_recent: 0,
            ts_recent_at: now,
            last_ack_sent: SeqNumber(0),
            fin: None,
            urgent_to: None,
            urgent_byte: UrgentByte::Awaited,
            last_heard: now,
            limit: limit.initial,
            tuning: Tuning { since: now, read: 0, before: 0 },
        }
    }

    /// The peer's SYN gives its initial sequence number.
    pub(crate) fn synchronize(&mut self, irs: SeqNumber) {
        self.irs = irs;
        self.nxt = irs + 1;
        self.last_ack_sent = self.nxt;
        self.edge = self.nxt;
    }

    /// RCV.WND: how much beyond RCV.NXT was promised.
    pub(crate) fn window(&self) -> u32 {
        u32::try_from(self.edge.distance(self.nxt)).unwrap_or(0)
    }

    /// Whether the peer's FIN is behind us.
    pub(crate) fn fin_received(&self) -> bool {
        self.fin.is_some_and(|fin| self.nxt.after(fin))
    }

    /// RFC 9293 §3.8.6.2.2: what an update must at least open.
    fn silly_window_threshold(&self) -> u32 {
        (self.limit / 2).min(u32::from(self.mss)).max(1)
    }

    /// The window to advertise while `waiting` bytes wait to be read.
    pub(crate) fn advertise(&self, waiting: u64) -> Advertised {
        let promised = self.window();
        let free = self.free(waiting);
        let offered =
            if free >= promised.saturating_add(self.silly_window_threshold()) { free } else { promised };
        // Rounding down must not pull the edge back (RFC 7323 §2.4): then round up instead. But not
        // without end: with each small segment that is not read the edge would move on by as much,
        // and the window never close. What the peer is told may then retreat by less than a unit;
        // what was promised before is accepted all the same.
        let unit = 1 << self.shift;
        let (down, up) = (offered >> self.shift, promised.div_ceil(unit));
        let up_fits = u64::from(up) << self.shift < u64::from(free) + u64::from(unit);
        let field = if down << self.shift < promised && up_fits { up } else { down };
        let field = u16::try_from(field).unwrap_or(u16::MAX);
        let edge = self.nxt + (u32::from(field) << self.shift);
        Advertised { field, edge: edge.max(self.edge) }
    }

    fn free(&self, waiting: u64) -> u32 {
        u32::try_from(u64::from(self.limit).saturating_sub(waiting)).unwrap_or(u32::MAX)
    }

    /// Whether reading has opened the window so far that the peer should be told without being
    /// asked: from closed, or to at least twice what it knows of.
    pub(crate) fn wants_update(&self, waiting: u64) -> bool {
        let promised = self.window();
        let offered = self.advertise(waiting).edge - self.nxt;
        offered >= promised.saturating_add(self.silly_window_threshold()) && offered / 2 >= promised
    }

    /// RFC 7323 §5.3 R1: whether a timestamp is too old to be of this connection's present.
    pub(crate) fn is_old_timestamp(&self, value: u32, now: Instant) -> bool {
        (value.wrapping_sub(self.ts_recent) as i32) < 0 && now - self.ts_recent_at <= TS_RECENT_LIFETIME
    }

    /// RFC 7323 §4.3 (2): the timestamp to echo is that of the segment at the left edge of what is
    /// not acknowledged yet.
    pub(crate) fn take_timestamp(&mut self, now: Instant, value: u32, seq: SeqNumber) {
        if seq.before_eq(self.last_ack_sent) && !self.is_old_timestamp(value, now) {
            self.ts_recent = value;
            self.ts_recent_at = now;
        }
    }

    /// The application has read: let the buffer follow what it reads in a round trip, twice over,
    /// so that the window is never the limit (dynamic right-sizing). A sender in slow start will
    /// need more before this is asked again: as much as the growth of the last round trip says, as
    /// in Linux.
    pub(crate) fn tune(&mut self, now: Instant, read: u64, round_trip: Duration, limit: &BufferLimit) {
        self.tuning.read += read;
        if now - self.tuning.since < round_trip {
            return;
        }
        let Tuning { read, before, since: _ } = self.tuning;
        let steady = read.saturating_mul(2);
        let grown = read.saturating_sub(before);
        // At most doubling is expected of anybody, and without a history of everybody.
        let growth = steady.saturating_mul(2).saturating_mul(grown) / before.max(grown).max(1);
        let wanted = u32::try_from(steady.saturating_add(growth)).unwrap_or(u32::MAX);
        self.limit = self.limit.max(wanted.min(limit.max));
        self.tuning = Tuning { since: now, read: 0, before: read };
    }
}

/// The shift that lets the field of 16 bits express `limit` (RFC 7323 §2.3; at most 14).
pub(crate) fn window_shift(limit: u32) -> u8 {
    (0..14).find(|shift| 65_535u32 << shift >= limit).unwrap_or(14)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rcv(limit: u32, shift: u8) -> Rcv {
        let mut rcv = Rcv::new(Instant::ZERO, &BufferLimit::fixed(limit));
        rcv.synchronize(SeqNumber(5_000));
        (rcv.shift, rcv.mss) = (shift, 1_000);
        rcv.edge = rcv.advertise(0).edge;
        rcv
    }

    // req: 7323-WS9
    #[test]
    fn the_shift_is_the_least_that_expresses_the_buffer() {
        assert_eq!(window_shift(65_535), 0);
        assert_eq!(window_shift(65_536), 1);
        assert_eq!(window_shift(6 << 20), 7);
        assert_eq!(window_shift(65_535 << 14), 14);
    }

    // req: SHLD-14, 7323-WR6, 9293-EV-27
    // trap: 10
    #[test]
    fn the_edge_never_retreats_however_the_window_is_rounded() {
        for shift in [0, 7, 10, 14] {
            let mut rcv = rcv(200_000, shift);
            let mut waiting = 0;
            for step in 0..20_000u64 {
                rcv.nxt += 1;
                waiting += 1;
                assert!(rcv.nxt.before_eq(rcv.edge), "shift {shift}: byte {step} was promised room");
                let advertised = rcv.advertise(waiting);
                assert!(advertised.edge.after_eq(rcv.edge), "shift {shift}, byte {step}");
                assert!(u32::from(advertised.field) << shift >= rcv.window());
                rcv.edge = advertised.edge;
                if step % 100 == 0 {
                    waiting = 0;
                }
            }
        }
    }

    // req: 7323-WR6
    #[test]
    fn rounding_never_promises_more_than_the_buffer_and_one_unit() {
        for (shift, step) in [(10, 1), (10, 7), (10, 1_000), (14, 100), (0, 333)] {
            let mut rcv = rcv(100_000, shift);
            let mut waiting = 0;
            while rcv.nxt + step != rcv.edge && (rcv.nxt + step).before(rcv.edge) {
                rcv.nxt += step;
                waiting += u64::from(step);
                rcv.edge = rcv.advertise(waiting).edge;
                assert!(waiting < 100_000 + (1 << shift), "shift {shift}, step {step}");
            }
            rcv.nxt = rcv.edge;
            assert_eq!(rcv.advertise(100_000).field, 0, "a full buffer is a closed window");
        }
    }

    // req: MUST-39, LNX-WIN-2
    // trap: 12
    #[test]
    fn a_full_buffer_read_byte_by_byte_opens_in_steps_of_a_segment() {
        let mut rcv = rcv(64_000, 0);
        rcv.nxt += 64_000;
        for waiting in (63_001..=64_000).rev() {
            assert_eq!(rcv.advertise(waiting).field, 0);
            assert!(!rcv.wants_update(waiting));
        }
        assert_eq!(rcv.advertise(63_000).field, 1_000);
        assert!(rcv.wants_update(63_000));
    }

    #[test]
    fn an_open_window_is_updated_when_it_has_doubled() {
        let mut rcv = rcv(64_000, 0);
        rcv.nxt += 44_000;
        assert!(!rcv.wants_update(30_000), "20 kB are promised, 34 kB free");
        assert!(rcv.wants_update(24_000), "20 kB are promised, 40 kB free");
    }

    // req: 7323-PAWS7, 7323-PAWS5
    #[test]
    fn timestamps_compare_modulo_two_to_the_32() {
        let mut rcv = rcv(64_000, 0);
        rcv.ts_recent = 0xffff_fff0;
        assert!(!rcv.is_old_timestamp(5, Instant::ZERO));
        assert!(!rcv.is_old_timestamp(0xffff_fff0, Instant::ZERO));
        assert!(rcv.is_old_timestamp(0xffff_ffef, Instant::ZERO));
    }

    // req: LNX-BUF-1
    #[test]
    fn the_buffer_follows_what_is_read_in_a_round_trip() {
        let limit = BufferLimit { initial: 10_000, max: 1_000_000 };
        let mut rcv = Rcv::new(Instant::ZERO, &limit);
        let round_trip = Duration::from_millis(100);
        rcv.tune(Instant::from_millis(50), 10_000, round_trip, &limit);
        assert_eq!(rcv.limit, 10_000, "the round trip is not over");
        rcv.tune(Instant::from_millis(100), 5_000, round_trip, &limit);
        assert_eq!(rcv.limit, 90_000, "it may be slow start: twice, and the growth twice");
        rcv.tune(Instant::from_millis(200), 50_000, round_trip, &limit);
        assert_eq!(rcv.limit, 300_000);
        rcv.tune(Instant::from_millis(300), 60_000, round_trip, &limit);
        assert_eq!(rcv.limit, 300_000, "twice, and two fifths: nothing more is needed");
        rcv.tune(Instant::from_millis(400), 9_000_000, round_trip, &limit);
        assert_eq!(rcv.limit, 1_000_000);
        rcv.tune(Instant::from_millis(500), 1, round_trip, &limit);
        assert_eq!(rcv.limit, 1_000_000, "it does not shrink");
    }
}
