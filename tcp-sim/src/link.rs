//! One direction of a link: when, and whether, and how often a packet arrives.
//!
//! A link holds no packets. It is told when a packet of some length enters, and says at what times
//! copies of it leave, or why none does. Chances are in parts per million.

use tcp_core::{Duration, Instant};

use crate::Random;

/// How one direction of a link behaves. The default is 10 ms of delay and nothing else.
///
/// ```
/// use tcp_core::Duration;
/// use tcp_sim::{LinkConfig, Loss};
///
/// let link = LinkConfig {
///     delay: Duration::from_millis(20),
///     rate: Some(10_000_000),
///     loss: Loss::Random(20_000), // 2 %
///     ..LinkConfig::default()
/// };
/// # let _ = link;
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkConfig {
    /// How long a packet is under way, once it is on the wire.
    pub delay: Duration,
    /// Up to so much more, by chance; packets stay in order.
    pub jitter: Duration,
    /// Bits per second; none is as fast as can be.
    pub rate: Option<u64>,
    /// Bytes that may wait for the wire; what does not fit is dropped. Without a rate nothing waits.
    pub queue: u64,
    /// What is lost.
    pub loss: Loss,
    /// How many packets arrive twice.
    pub duplication: u32,
    /// How many packets are overtaken by later ones.
    pub reordering: u32,
    /// How much later a packet arrives that is overtaken, at most; and a second copy.
    pub reordering_delay: Duration,
    /// In how many packets one bit is flipped.
    pub corruption: u32,
    /// When the link is cut: what enters then is lost.
    pub outages: Vec<Outage>,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            rate: None,
            queue: 256 << 10,
            loss: Loss::None,
            duplication: 0,
            reordering: 0,
            reordering_delay: Duration::from_millis(10),
            corruption: 0,
            outages: Vec::new(),
        }
    }
}

/// Which packets a link loses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Loss {
    /// None.
    None,
    /// So many parts of a million, each by itself.
    Random(u32),
    /// Exactly these, counted from 1 as they enter.
    Nth(Vec<u64>),
    /// In bursts (Gilbert and Elliott): two states, in each of which packets are lost by chance.
    Bursts {
        /// Parts of a million, per packet, to go from good to bad.
        to_bad: u32,
        /// Parts of a million, per packet, to go back to good.
        to_good: u32,
        /// Lost while good.
        when_good: u32,
        /// Lost while bad.
        when_bad: u32,
    },
}

/// A time during which a link is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outage {
    /// It is cut from this moment on.
    pub from: Instant,
    /// It is whole again at this moment.
    pub until: Instant,
}

/// Why a packet did not arrive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DropCause {
    /// By chance, or because it was its turn.
    Loss,
    /// The queue was full.
    Queue,
    /// The link was cut.
    Outage,
}

/// What becomes of one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passage {
    /// It does not arrive.
    Dropped(DropCause),
    /// It arrives, and perhaps once more.
    Delivered(Arrival, Option<Arrival>),
}

/// One copy of a packet that arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// When.
    pub at: Instant,
    /// Which bit of it is flipped, if one is.
    pub flipped_bit: Option<u64>,
}

/// What a link has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkStats {
    /// Packets that entered.
    pub entered: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Packets lost by chance or turn.
    pub lost: u64,
    /// Packets that the queue had no room for.
    pub queue_full: u64,
    /// Packets that entered while the link was cut.
    pub cut: u64,
    /// Packets that arrived twice.
    pub duplicated: u64,
    /// Packets that were overtaken.
    pub reordered: u64,
    /// Copies with a flipped bit.
    pub corrupted: u64,
}

/// One direction of a link.
#[derive(Clone, Debug)]
pub struct Link {
    config: LinkConfig,
    random: Random,
    stats: LinkStats,
    /// When the wire has sent all that waits for it.
    wire_free: Instant,
    /// When the last packet that keeps its place arrives.
    last_arrival: Instant,
    /// The state of [`Loss::Bursts`].
    bad: bool,
}

impl Link {
    /// A link that behaves as `config` says; what is left to chance follows from `random`.
    #[must_use]
    pub fn new(config: LinkConfig, random: Random) -> Self {
        let stats = LinkStats::default();
        Self { config, random, stats, wire_free: Instant::ZERO, last_arrival: Instant::ZERO, bad: false }
    }

    /// A packet of `length` bytes enters at `now`.
    pub fn send(&mut self, now: Instant, length: usize) -> Passage {
        self.stats.entered += 1;
        self.stats.bytes += length as u64;
        if self.config.outages.iter().any(|outage| outage.from <= now && now < outage.until) {
            self.stats.cut += 1;
            return Passage::Dropped(DropCause::Outage);
        }
        let Some(leaves) = self.pass_queue(now, length as u64) else {
            self.stats.queue_full += 1;
            return Passage::Dropped(DropCause::Queue);
        };
        // The wire is taken up by what is lost on it, too.
        if self.is_lost() {
            self.stats.lost += 1;
            return Passage::Dropped(DropCause::Loss);
        }
        let jitter = Duration::from_nanos(self.random.below(self.config.jitter.as_nanos().saturating_add(1)));
        let in_order = (leaves + self.config.delay + jitter).max(self.last_arrival);
        let first = if self.random.chance(self.config.reordering) {
            self.stats.reordered += 1;
            in_order + self.extra_delay()
        } else {
            self.last_arrival = in_order;
            in_order
        };
        let first = self.arrival(first, length);
        let second = self.random.chance(self.config.duplication).then(|| {
            self.stats.duplicated += 1;
            let at = first.at + self.extra_delay();
            self.arrival(at, length)
        });
        Passage::Delivered(first, second)
    }

    /// How the link behaves.
    #[must_use]
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// Lets the link behave otherwise from now on; what is under way arrives as it would have.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// What the link has done so far.
    #[must_use]
    pub fn stats(&self) -> &LinkStats {
        &self.stats
    }

    /// When a packet that enters now has left the queue and is on the wire; none if it does not fit.
    fn pass_queue(&mut self, now: Instant, length: u64) -> Option<Instant> {
        let Some(rate) = self.config.rate.filter(|rate| *rate > 0) else { return Some(now) };
        let waiting_for = if self.wire_free > now { self.wire_free - now } else { Duration::ZERO };
        let waiting = u128::from(waiting_for.as_nanos()) * u128::from(rate) / (8 * NANOS);
        if waiting > 0 && waiting + u128::from(length) > u128::from(self.config.queue) {
            return None;
        }
        let takes = u64::try_from(u128::from(length) * 8 * NANOS / u128::from(rate)).unwrap_or(u64::MAX);
        self.wire_free = self.wire_free.max(now) + Duration::from_nanos(takes);
        Some(self.wire_free)
    }

    fn is_lost(&mut self) -> bool {
        match &self.config.loss {
            Loss::None => false,
            Loss::Random(parts) => self.random.chance(*parts),
            Loss::Nth(turns) => turns.contains(&self.stats.entered),
            Loss::Bursts { to_bad, to_good, when_good, when_bad } => {
                let (change, loss) = if self.bad { (*to_good, *when_bad) } else { (*to_bad, *when_good) };
                let lost = self.random.chance(loss);
                self.bad ^= self.random.chance(change);
                lost
            }
        }
    }

    fn extra_delay(&mut self) -> Duration {
        Duration::from_nanos(self.random.between(1, self.config.reordering_delay.as_nanos().max(1)))
    }

    fn arrival(&mut self, at: Instant, length: usize) -> Arrival {
        let flipped_bit = self.random.chance(self.config.corruption).then(|| {
            self.stats.corrupted += 1;
            self.random.below(length as u64 * 8)
        });
        Arrival { at, flipped_bit }
    }
}

const NANOS: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn link(config: LinkConfig) -> Link {
        Link::new(config, Random::new(1))
    }

    fn arrives(passage: Passage) -> Option<Instant> {
        match passage {
            Passage::Delivered(arrival, _) => Some(arrival.at),
            Passage::Dropped(_) => None,
        }
    }

    #[test]
    fn delay_and_rate_add_up_and_packets_queue() {
        // 1000 bytes at 8 Mbit/s take a millisecond.
        let mut link = link(LinkConfig { rate: Some(8_000_000), ..LinkConfig::default() });
        assert_eq!(arrives(link.send(Instant::ZERO, 1_000)), Some(Instant::from_millis(11)));
        assert_eq!(arrives(link.send(Instant::ZERO, 1_000)), Some(Instant::from_millis(12)));
        assert_eq!(arrives(link.send(Instant::from_millis(5), 1_000)), Some(Instant::from_millis(16)));
    }

    #[test]
    fn a_full_queue_drops_and_says_so() {
        let mut link = link(LinkConfig { rate: Some(8_000_000), queue: 2_500, ..LinkConfig::default() });
        assert!(arrives(link.send(Instant::ZERO, 1_000)).is_some());
        assert!(arrives(link.send(Instant::ZERO, 1_000)).is_some());
        assert_eq!(link.send(Instant::ZERO, 1_000), Passage::Dropped(DropCause::Queue));
        assert!(arrives(link.send(Instant::from_millis(1), 1_000)).is_some(), "one has left");
        assert_eq!(link.stats().queue_full, 1);
    }

    #[test]
    fn exactly_the_nth_packet_is_lost() {
        let mut link = link(LinkConfig { loss: Loss::Nth(vec![2, 4]), ..LinkConfig::default() });
        let lost: Vec<bool> = (0..5).map(|_| arrives(link.send(Instant::ZERO, 100)).is_none()).collect();
        assert_eq!(lost, [false, true, false, true, false]);
        assert_eq!(link.stats().lost, 2);
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let config = LinkConfig { jitter: Duration::from_millis(9), ..LinkConfig::default() };
        let arrivals = |config: LinkConfig| -> Vec<Instant> {
            let mut link = link(config);
            (0..200).filter_map(|i| arrives(link.send(Instant::from_micros(i), 100))).collect()
        };
        assert!(arrivals(config.clone()).is_sorted());
        assert!(!arrivals(LinkConfig { reordering: 100_000, ..config }).is_sorted());
    }

    #[test]
    fn a_cut_link_loses_all_until_it_is_healed() {
        let outage = Outage { from: Instant::from_secs(1), until: Instant::from_secs(2) };
        let mut link = link(LinkConfig { outages: vec![outage], ..LinkConfig::default() });
        assert!(arrives(link.send(Instant::from_millis(999), 100)).is_some());
        assert_eq!(link.send(Instant::from_secs(1), 100), Passage::Dropped(DropCause::Outage));
        assert!(arrives(link.send(Instant::from_secs(2), 100)).is_some());
    }

    #[test]
    fn losses_in_bursts_come_together() {
        let loss = Loss::Bursts { to_bad: 10_000, to_good: 200_000, when_good: 0, when_bad: 1_000_000 };
        let mut link = link(LinkConfig { loss, ..LinkConfig::default() });
        let lost: Vec<bool> = (0..20_000).map(|_| arrives(link.send(Instant::ZERO, 100)).is_none()).collect();
        let total = lost.iter().filter(|lost| **lost).count();
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        assert!(total > 500, "{total}");
        assert!(total > 3 * bursts, "{total} lost in {bursts} bursts");
    }

    #[test]
    fn duplicates_and_flipped_bits_are_as_frequent_as_asked_for() {
        let config = LinkConfig { duplication: 100_000, corruption: 50_000, ..LinkConfig::default() };
        let mut link = link(config);
        for _ in 0..10_000 {
            if let Passage::Delivered(first, second) = link.send(Instant::ZERO, 100) {
                assert!(second.is_none_or(|second| second.at > first.at));
                assert!(first.flipped_bit.is_none_or(|bit| bit < 800));
            }
        }
        assert!((900..1_100).contains(&link.stats().duplicated), "{:?}", link.stats());
        assert!((450..650).contains(&link.stats().corrupted), "{:?}", link.stats());
    }
}
