//! Sequence numbers: 32 bits that wrap (RFC 9293 §3.4).
//!
//! A [`SeqNumber`] is not `Ord`, because the order of sequence numbers is not a total order: only
//! two numbers less than 2³¹ apart can be compared, and then by the sign of their difference.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A TCP sequence number.
///
/// Arithmetic wraps and never panics. Comparison is by [`before`](Self::before) and
/// [`after`](Self::after), modulo 2³².
///
/// ```
/// use tcp_core::SeqNumber;
///
/// let last = SeqNumber(u32::MAX);
/// let next = last + 1;
/// assert_eq!(next, SeqNumber(0));
/// assert!(last.before(next) && next.after(last));
/// assert_eq!(next - last, 1);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNumber(pub u32);

impl SeqNumber {
    /// The distance from `other` to `self`, negative if `self` comes first.
    ///
    /// Two numbers exactly 2³¹ apart have no order; this returns `i32::MIN` for them, in both
    /// directions.
    #[inline]
    #[must_use]
    pub const fn distance(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }

    /// `self < other` modulo 2³².
    #[inline]
    #[must_use]
    pub const fn before(self, other: Self) -> bool {
        self.distance(other) < 0
    }

    /// `self ≤ other` modulo 2³².
    #[inline]
    #[must_use]
    pub const fn before_eq(self, other: Self) -> bool {
        self.distance(other) <= 0
    }

    /// `self > other` modulo 2³².
    #[inline]
    #[must_use]
    pub const fn after(self, other: Self) -> bool {
        self.distance(other) > 0
    }

    /// `self ≥ other` modulo 2³².
    #[inline]
    #[must_use]
    pub const fn after_eq(self, other: Self) -> bool {
        self.distance(other) >= 0
    }

    /// The later of the two.
    #[inline]
    #[must_use]
    pub const fn max(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }

    /// The earlier of the two.
    #[inline]
    #[must_use]
    pub const fn min(self, other: Self) -> Self {
        if self.after(other) { other } else { self }
    }
}

impl Add<u32> for SeqNumber {
    type Output = Self;
    #[inline]
    fn add(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }
}

impl AddAssign<u32> for SeqNumber {
    #[inline]
    fn add_assign(&mut self, count: u32) {
        *self = *self + count;
    }
}

impl Sub<u32> for SeqNumber {
    type Output = Self;
    #[inline]
    fn sub(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }
}

/// The number of sequence numbers from `other` up to `self`, modulo 2³².
impl Sub for SeqNumber {
    type Output = u32;
    #[inline]
    fn sub(self, other: Self) -> u32 {
        self.0.wrapping_sub(other.0)
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The half-open range of sequence numbers `start..end`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqRange {
    /// The first sequence number of the range.
    pub start: SeqNumber,
    /// The sequence number after the last of the range.
    pub end: SeqNumber,
}

impl SeqRange {
    /// The range `start..end`.
    #[inline]
    #[must_use]
    pub const fn new(start: SeqNumber, end: SeqNumber) -> Self {
        Self { start, end }
    }

    /// How many sequence numbers the range holds.
    #[inline]
    #[must_use]
    pub fn len(self) -> u32 {
        self.end - self.start
    }

    /// Whether the range holds no sequence number.
    #[inline]
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether `seq` lies in the range.
    #[inline]
    #[must_use]
    pub const fn contains(self, seq: SeqNumber) -> bool {
        self.start.before_eq(seq) && seq.before(self.end)
    }
}

impl fmt::Display for SeqRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.start, self.end)
    }
}

impl fmt::Debug for SeqRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // req: 9293-EV-42
    #[test]
    fn order_is_modulo_two_to_the_32() {
        for base in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX] {
            let seq = SeqNumber(base);
            for step in [1, 2, 1460, 0x7fff_ffff] {
                assert!(seq.before(seq + step), "{base} + {step}");
                assert!((seq + step).after(seq), "{base} + {step}");
                assert_eq!((seq + step) - seq, step);
                assert_eq!(seq.max(seq + step), seq + step);
                assert_eq!(seq.min(seq + step), seq);
            }
            assert!(seq.before_eq(seq) && seq.after_eq(seq));
        }
    }

    // trap: 16
    #[test]
    fn two_to_the_31_apart_is_after_in_no_direction() {
        let a = SeqNumber(7);
        let b = a + 0x8000_0000;
        assert!(!a.after(b) && !b.after(a));
    }

    #[test]
    fn a_range_across_the_wrap_contains_its_members() {
        let range = SeqRange::new(SeqNumber(u32::MAX - 1), SeqNumber(2));
        assert_eq!(range.len(), 4);
        assert!(range.contains(SeqNumber(u32::MAX)) && range.contains(SeqNumber(0)));
        assert!(!range.contains(SeqNumber(2)));
    }
}
