//! What a network device does with super-segments: cuts those that are sent, merges those that arrive.

use tcp_core::wire::{Flags, TcpPacket};
use tcp_core::{Rx, RxChecksum};

/// Cuts the super-segment in `packet` into packets with `size` bytes of payload each (GSO).
/// What cannot be cut stays as it is.
#[must_use]
pub fn cut(packet: &[u8], size: u16) -> Vec<Vec<u8>> {
    let Ok(whole) = TcpPacket::parse(packet, RxChecksum::Verified) else { return vec![packet.to_vec()] };
    let payload = whole.segment.payload;
    let size = usize::from(size.max(1));
    let mut packets = Vec::with_capacity(payload.len().div_ceil(size).max(1));
    let mut at = 0;
    loop {
        let end = payload.len().min(at + size);
        let mut part = whole;
        part.segment.payload = &payload[at..end];
        // No packet is longer than 32 bits can say.
        part.segment.seq = whole.segment.seq + at as u32;
        if end < payload.len() {
            part.segment.flags = part.segment.flags.without(Flags::FIN.union(Flags::PSH));
        }
        if part.segment.flags.contains(Flags::URG) {
            match usize::from(whole.segment.urgent).checked_sub(at) {
                Some(ahead) if ahead > 0 => part.segment.urgent = u16::try_from(ahead).unwrap_or(u16::MAX),
                _ => {
                    part.segment.flags = part.segment.flags.without(Flags::URG);
                    part.segment.urgent = 0;
                }
            }
        }
        packets.extend(emit(&part));
        at = end;
        if at >= payload.len() {
            return packets;
        }
    }
}

/// Merges packets that follow each other and are alike but for their data (GRO). Gives each result
/// with the payload of its segments, if it was merged.
#[must_use]
pub fn merge(packets: Vec<Vec<u8>>) -> Vec<(Vec<u8>, Option<u16>)> {
    let mut merged: Vec<(Vec<u8>, Option<u16>)> = Vec::with_capacity(packets.len());
    for packet in packets {
        let joined = merged.last().and_then(|(last, size)| join(last, *size, &packet));
        match (joined, merged.last_mut()) {
            (Some((bytes, size)), Some(last)) => *last = (bytes, Some(size)),
            _ => merged.push((packet, None)),
        }
    }
    merged
}

/// Both in one, with the payload of each segment; none if that would not say the same.
fn join(first: &[u8], size: Option<u16>, next: &[u8]) -> Option<(Vec<u8>, u16)> {
    let first = TcpPacket::parse(first, RxChecksum::Verify).ok()?;
    let next = TcpPacket::parse(next, RxChecksum::Verify).ok()?;
    let size = match size {
        Some(size) => size,
        None => u16::try_from(first.segment.payload.len()).ok()?,
    };
    let (one, two) = (&first.segment, &next.segment);
    let full = usize::from(size);
    let plain = |flags: Flags| flags.without(Flags::PSH) == Flags::ACK;
    let last_was_full = full > 0 && one.payload.len() % full == 0 && !one.flags.contains(Flags::PSH);
    let follows = (first.ip.src, first.ip.dst, one.src_port, one.dst_port, one.seq + one.len(), one.ack)
        == (next.ip.src, next.ip.dst, two.src_port, two.dst_port, two.seq, two.ack);
    let alike = (one.window, one.options, first.ip.ecn) == (two.window, two.options, next.ip.ecn);
    let fits = !two.payload.is_empty() && two.payload.len() <= full && first.len() + full < 65_000;
    if !(last_was_full && follows && alike && fits && plain(one.flags) && plain(two.flags)) {
        return None;
    }
    let payload = [one.payload, two.payload].concat();
    let mut both = first;
    both.segment.payload = &payload;
    both.segment.flags = one.flags.union(two.flags);
    Some((emit(&both)?, size))
}

fn emit(packet: &TcpPacket<'_>) -> Option<Vec<u8>> {
    let mut bytes = vec![0; packet.len()];
    packet.emit(&mut bytes)?;
    Some(bytes)
}

/// What a device that merged hands in: it has verified what it merged.
#[must_use]
pub fn received(packet: &[u8], merged_from: Option<u16>) -> Rx<'_> {
    match merged_from {
        Some(segment_size) => Rx::new(packet).verified().merged_from(segment_size),
        None => Rx::new(packet),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcp_core::SeqNumber;
    use tcp_core::wire::{IpHeader, Segment};

    fn packet(payload: &[u8], flags: Flags) -> Vec<u8> {
        let addresses = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let seq = SeqNumber(u32::MAX - 1_000);
        let segment = Segment { src_port: 1, dst_port: 2, seq, flags, payload, ..Segment::default() };
        emit(&TcpPacket { ip: IpHeader::new(addresses.0, addresses.1), segment }).unwrap()
    }

    #[test]
    fn what_was_cut_merges_to_the_same() {
        let payload: Vec<u8> = (0..5_000u32).map(|i| i as u8).collect();
        let whole = packet(&payload, Flags::ACK.union(Flags::PSH));
        let parts = cut(&whole, 1_448);
        assert_eq!(parts.len(), 4);
        let read: Vec<TcpPacket<'_>> =
            parts.iter().map(|part| TcpPacket::parse(part, RxChecksum::Verify).unwrap()).collect();
        assert!(read[..3].iter().all(|part| part.segment.flags == Flags::ACK));
        assert_eq!(read[3].segment.payload.len(), 5_000 - 3 * 1_448);
        assert_eq!(merge(parts.clone()), [(whole, Some(1_448))]);
    }

    #[test]
    fn what_does_not_follow_is_not_merged() {
        let (one, two) = (packet(&[1; 100], Flags::ACK), packet(&[2; 100], Flags::ACK));
        assert_eq!(merge(vec![one.clone(), two.clone()]), [(one, None), (two, None)]);
    }

    #[test]
    fn only_the_last_part_carries_the_fin() {
        let whole = packet(&[7; 300], Flags::ACK.union(Flags::FIN));
        let fins: Vec<bool> = cut(&whole, 100)
            .iter()
            .map(|part| TcpPacket::parse(part, RxChecksum::Verify).unwrap().segment.flags.fin())
            .collect();
        assert_eq!(fins, [false, false, true]);
    }
}
