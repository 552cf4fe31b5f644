//! What can be done to a pair of connections: the steps of property tests, fuzzers and replays.

use tcp_core::Duration;

use crate::{Random, Side};

/// One step. Numbers that name a packet count from the one that was sent first, around the end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// Write so many bytes of the stream.
    Write(Side, usize),
    /// The same, and say that more follows.
    WriteMore(Side, usize),
    /// The same, without a copy.
    WriteBytes(Side, usize),
    /// The same, urgent.
    WriteUrgent(Side, usize),
    /// Read up to so many bytes.
    Read(Side, usize),
    /// The same, without a copy.
    ReadBytes(Side, usize),
    /// The same, piece by piece, taking so many bytes of each.
    ReadWith(Side, usize),
    /// Read, and leave it unread.
    Peek(Side, usize),
    /// Say that nothing more will be written.
    ShutdownWrite(Side),
    /// Read no more.
    ShutdownRead(Side),
    /// Let go of the connection.
    Close(Side),
    /// End it at once.
    Abort(Side),
    /// Hold back small segments.
    Cork(Side),
    /// Let them go.
    Uncork(Side),
    /// Acknowledge quickly for a while.
    QuickAck(Side),
    /// Change the configuration; the number says how.
    SetConfig(Side, u8),
    /// Take what has happened.
    PollEvent(Side),
    /// Take at most so many packets.
    Transmit(Side, usize),
    /// The same, as super-segments of at most so many segments.
    TransmitSuper(Side, u16),
    /// The same, into a buffer of so many bytes.
    TransmitShort(Side, usize),
    /// Let time pass, whatever timer is due.
    Advance(Duration),
    /// Let time pass until a timer is due, and fire it.
    AdvanceToTimeout(Side),
    /// Say that time has passed, whether a timer is due or not.
    Timeout(Side),
    /// A packet arrives here.
    Deliver(Side, usize),
    /// All packets arrive here.
    DeliverAll(Side),
    /// All packets arrive here, merged where they can be.
    DeliverMerged(Side),
    /// A packet for this side is lost.
    Lose(Side, usize),
    /// A packet for this side is under way twice.
    Duplicate(Side, usize),
    /// A packet for this side is overtaken by all others.
    Delay(Side, usize),
    /// A bit of a packet for this side flips.
    Corrupt(Side, usize),
    /// Bytes arrive here that nobody has sent.
    Noise(Side, u16),
    /// A segment arrives here that was forged after the last that was sent: the number says how.
    Forge(Side, u16),
}

/// How often each kind of step comes up, in the order of [`Op::from_code`].
const WEIGHTS: [u8; 32] = [
    24, 4, 8, 2, 24, 6, 4, 3, // writing and reading
    3, 1, 2, 1, 2, 3, 2, 4, // closing and setting
    8, 24, 8, 3, // taking out
    14, 18, 8, // time
    24, 24, 6, 5, 4, 5, 4, // packets
    2, 3, // what nobody has sent
];

/// Times to let pass: from a tick to thirty days.
const STEPS: [Duration; 16] = [
    Duration::from_nanos(1),
    Duration::from_micros(1),
    Duration::from_micros(100),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(39),
    Duration::from_millis(40),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(15),
    Duration::from_secs(70),
    Duration::from_secs(3_600),
    Duration::from_secs(30 * 24 * 3_600),
];

impl Op {
    /// The step that four bytes stand for: every four bytes stand for one, so that any file is a
    /// list of steps.
    #[must_use]
    pub fn from_code(code: [u8; 4]) -> Self {
        let [kind, target, low, high] = code;
        let side = if target & 1 == 0 { Side::Left } else { Side::Right };
        let which = usize::from(target >> 1);
        let number = u16::from_le_bytes([low, high]);
        // Small numbers are as likely as large ones.
        let size = (usize::from(low) << (high % 9)) + usize::from(high >> 4);
        match kind_of(kind) {
            0 => Self::Write(side, size),
            1 => Self::WriteMore(side, size),
            2 => Self::WriteBytes(side, size),
            3 => Self::WriteUrgent(side, size % 100),
            4 => Self::Read(side, size),
            5 => Self::ReadBytes(side, size),
            6 => Self::ReadWith(side, size),
            7 => Self::Peek(side, size),
            8 => Self::ShutdownWrite(side),
            9 => Self::ShutdownRead(side),
            10 => Self::Close(side),
            11 => Self::Abort(side),
            12 => Self::Cork(side),
            13 => Self::Uncork(side),
            14 => Self::QuickAck(side),
            15 => Self::SetConfig(side, low),
            16 => Self::PollEvent(side),
            17 => Self::Transmit(side, usize::from(low % 32) + 1),
            18 => Self::TransmitSuper(side, u16::from(low % 44) + 1),
            19 => Self::TransmitShort(side, size),
            20 => Self::Advance(STEPS[usize::from(low % 16)]),
            21 => Self::AdvanceToTimeout(side),
            22 => Self::Timeout(side),
            23 => Self::Deliver(side, which),
            24 => Self::DeliverAll(side),
            25 => Self::DeliverMerged(side),
            26 => Self::Lose(side, which),
            27 => Self::Duplicate(side, which),
            28 => Self::Delay(side, which),
            29 => Self::Corrupt(side, usize::from(number)),
            30 => Self::Noise(side, number),
            _ => Self::Forge(side, number),
        }
    }

    /// The steps that `bytes` stand for.
    pub fn from_bytes(bytes: &[u8]) -> impl Iterator<Item = Self> + '_ {
        bytes.chunks_exact(4).map(|code| Self::from_code([code[0], code[1], code[2], code[3]]))
    }

    /// A step by chance, but no forgery: after one, little can be said of the streams. Long waits
    /// come up more rarely than in [`Op::from_code`].
    #[must_use]
    pub fn random(random: &mut Random) -> Self {
        loop {
            match Self::random_with_forgeries(random) {
                Self::Forge(..) => {}
                op => return op,
            }
        }
    }

    /// As [`random`](Self::random), with forgeries among them.
    #[must_use]
    pub fn random_with_forgeries(random: &mut Random) -> Self {
        loop {
            let [a, b, c, d, ..] = random.next_u64().to_le_bytes();
            match Self::from_code([a, b, c, d]) {
                Self::Advance(time) if time > Duration::from_secs(1) && !random.chance(100_000) => {}
                op => return op,
            }
        }
    }
}

/// The kind that a byte stands for, so that each comes up as often as its weight says.
fn kind_of(byte: u8) -> usize {
    let total: usize = WEIGHTS.iter().map(|weight| usize::from(*weight)).sum();
    let mut at = usize::from(byte) * total / 256;
    for (kind, weight) in WEIGHTS.iter().enumerate() {
        match at.checked_sub(usize::from(*weight)) {
            Some(rest) => at = rest,
            None => return kind,
        }
    }
    WEIGHTS.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_step_can_come_up() {
        let mut seen = [false; WEIGHTS.len()];
        for byte in 0..=u8::MAX {
            seen[kind_of(byte)] = true;
        }
        assert!(seen.iter().all(|seen| *seen), "{seen:?}");
    }
}
