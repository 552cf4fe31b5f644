//! The only source of randomness: a seed that the embedder gives, and keyed hashes under it.

use core::fmt;
use core::hash::Hasher as _;

use siphasher::sip::{SipHasher13, SipHasher24};

/// Thirty-two random bytes from which every secret is derived: initial sequence numbers,
/// timestamp offsets, ports, cookies and the keys of hash tables.
///
/// Draw it once from the system's generator and keep it secret. The same seed and the same inputs
/// give the same outputs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub [u8; 32]);

impl Seed {
    /// A seed for tests and simulations, told apart by a small number. Not for the open network.
    #[must_use]
    pub fn for_test(number: u64) -> Self {
        let mut bytes = [0; 32];
        for (index, part) in bytes.chunks_exact_mut(8).enumerate() {
            let mut hasher = SipHasher13::new_with_keys(number, index as u64);
            hasher.write(b"seed for tests");
            part.copy_from_slice(&hasher.finish().to_le_bytes());
        }
        Self(bytes)
    }

    /// A keyed hash of `input`, unrelated to the hashes of every other `purpose`.
    ///
    /// SipHash-2-4, since what it guards (sequence numbers, ports) is seen by attackers
    /// (RFC 6528 §3 asks for a cryptographic hash or a keyed function as good).
    #[must_use]
    pub(crate) fn hash(&self, purpose: Purpose, input: &[u8]) -> u64 {
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&self.0[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let mut hasher = SipHasher24::new_with_keys(word(0) ^ word(16), word(8) ^ word(24));
        hasher.write_u8(purpose as u8);
        hasher.write(input);
        hasher.finish()
    }
}

/// Secrets stay out of logs.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// What a keyed hash is for; keeps the secrets apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Purpose {
    /// The offset of the initial sequence number (RFC 6528 §3).
    InitialSequenceNumber,
    /// The offset of the timestamp clock (RFC 7323 §7.1).
    TimestampOffset,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    // req: MUST-9
    #[test]
    fn hashes_of_two_purposes_or_two_seeds_are_unrelated() {
        let (one, two) = (Seed::for_test(1), Seed::for_test(2));
        let hash = one.hash(Purpose::InitialSequenceNumber, b"tuple");
        assert_eq!(hash, one.hash(Purpose::InitialSequenceNumber, b"tuple"));
        assert_ne!(hash, one.hash(Purpose::TimestampOffset, b"tuple"));
        assert_ne!(hash, two.hash(Purpose::InitialSequenceNumber, b"tuple"));
    }

    // req: HRD-7
    #[test]
    fn a_seed_is_not_printed() {
        assert_eq!(format!("{:?}", Seed([7; 32])), "Seed(..)");
    }
}
