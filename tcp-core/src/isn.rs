//! Initial sequence numbers and timestamp offsets (RFC 6528, RFC 7323 §7.1).

use crate::rand::Purpose;
use crate::{FourTuple, Instant, Seed, SeqNumber};

/// ISN = M + F(four-tuple, secret), where M ticks every 4 µs (RFC 6528 §3, MUST-8).
pub(crate) fn initial_sequence(seed: &Seed, tuple: &FourTuple, now: Instant) -> SeqNumber {
    // Both wrap by definition: sequence numbers have 32 bits.
    let clock = (now.as_nanos() / 4_000) as u32;
    let offset = seed.hash(Purpose::InitialSequenceNumber, &tuple.to_bytes()) as u32;
    SeqNumber(clock.wrapping_add(offset))
}

/// What is added to the clock to give timestamps: the same for one tuple always, so that a later
/// connection has later timestamps (RFC 6191), and unrelated for two.
pub(crate) fn timestamp_offset(seed: &Seed, tuple: &FourTuple) -> u32 {
    seed.hash(Purpose::TimestampOffset, &tuple.to_bytes()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Duration;

    fn tuple(remote_port: u16) -> FourTuple {
        FourTuple::new("10.0.0.1:80".parse().unwrap(), ([10, 0, 0, 2], remote_port).into())
    }

    // req: MUST-8, SHLD-1, 6528-1
    #[test]
    fn one_tuple_moves_with_a_clock_of_four_microseconds() {
        let seed = Seed::for_test(1);
        let now = Instant::from_secs(5);
        let first = initial_sequence(&seed, &tuple(1), now);
        assert_eq!(initial_sequence(&seed, &tuple(1), now + Duration::from_secs(1)) - first, 250_000);
    }

    // req: MUST-9, 7323-CLK3
    #[test]
    fn another_tuple_or_seed_is_unrelated() {
        let (one, two) = (Seed::for_test(1), Seed::for_test(2));
        let now = Instant::ZERO;
        assert_ne!(initial_sequence(&one, &tuple(1), now), initial_sequence(&one, &tuple(2), now));
        assert_ne!(initial_sequence(&one, &tuple(1), now), initial_sequence(&two, &tuple(1), now));
        assert_ne!(timestamp_offset(&one, &tuple(1)), timestamp_offset(&one, &tuple(2)));
        assert_eq!(timestamp_offset(&one, &tuple(1)), timestamp_offset(&one, &tuple(1)));
    }
}
