//! A stream of bytes that everybody knows: byte `i` of stream `s` is a function of both.

use crate::random::mix;

/// An endless stream of bytes, so that whoever reads some of it can tell whether they are right.
///
/// ```
/// use tcp_sim::Stream;
///
/// let mut bytes = [0; 100];
/// Stream(7).fill(1_000, &mut bytes);
/// assert_eq!(Stream(7).first_difference(1_000, &bytes), None);
/// bytes[3] ^= 1;
/// assert_eq!(Stream(7).first_difference(1_000, &bytes), Some(1_003));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stream(pub u64);

impl Stream {
    /// The bytes from `offset` on.
    pub fn fill(self, offset: u64, buf: &mut [u8]) {
        let mut at = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let word = self.word(at / 8);
            let skip = (at % 8) as usize;
            let length = rest.len().min(8 - skip);
            let (now, later) = rest.split_at_mut(length);
            now.copy_from_slice(&word[skip..skip + length]);
            (at, rest) = (at + length as u64, later);
        }
    }

    /// Where `bytes`, which were read from `offset` on, differ from the stream first.
    #[must_use]
    pub fn first_difference(self, offset: u64, bytes: &[u8]) -> Option<u64> {
        let mut expected = [0; 512];
        let mut at = offset;
        for piece in bytes.chunks(expected.len()) {
            let expected = &mut expected[..piece.len()];
            self.fill(at, expected);
            if expected != piece {
                let same = piece.iter().zip(expected.iter()).take_while(|(is, should)| is == should).count();
                return Some(at + same as u64);
            }
            at += piece.len() as u64;
        }
        None
    }

    fn word(self, index: u64) -> [u8; 8] {
        mix(index ^ self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_in_whatever_pieces_it_is_taken() {
        let mut whole = [0; 1_000];
        Stream(3).fill(5, &mut whole);
        for length in [1, 7, 8, 9, 600] {
            let mut at = 0;
            for piece in whole.chunks(length) {
                assert_eq!(Stream(3).first_difference(5 + at, piece), None);
                at += piece.len() as u64;
            }
        }
        assert!(Stream(4).first_difference(5, &whole).is_some());
        assert!(Stream(3).first_difference(6, &whole).is_some());
    }
}
