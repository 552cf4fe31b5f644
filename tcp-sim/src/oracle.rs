//! What must hold, whatever the network does: read off the wire, and off the connections.

use core::fmt;

use tcp_core::RxChecksum;
use tcp_core::wire::{Segment, TcpPacket};
use tcp_core::{ConnConfig, Connection, Instant, SeqNumber};

use crate::Side;

/// Something happened that must not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// When.
    pub at: Instant,
    /// Who did it.
    pub side: Side,
    /// What.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} the {}: {}", self.at, self.side, self.what)
    }
}

impl std::error::Error for Violation {}

/// Watches everything that both ends send and receive, and knows what they may not do.
///
/// * The right edge of the window never retreats, nor does the acknowledgement (RFC 9293 §3.8.6).
/// * Nothing is acknowledged that was never sent.
/// * No new byte is sent beyond the edge that the peer has told.
/// * The first value sent for a sequence number is the value of every later copy.
/// * Nothing follows a FIN, and the FIN stays where it is.
/// * No packet is larger than the path takes, and each can be read.
#[derive(Clone, Debug, Default)]
pub struct WireOracle {
    ends: [End; 2],
}

/// What is known of one end.
#[derive(Clone, Debug, Default)]
struct End {
    iss: Option<SeqNumber>,
    /// The shift it offered, if it did.
    shift: Option<u8>,
    /// All bytes of its stream that it has sent.
    stream: Vec<u8>,
    /// The stream's length, once it has sent a FIN.
    fin_at: Option<u64>,
    /// The first sequence number it has not used.
    next: Option<SeqNumber>,
    /// What it acknowledged last.
    acknowledged: Option<SeqNumber>,
    /// The right edge it has promised.
    promised: Option<SeqNumber>,
    /// The right edge that has reached it.
    allowed: Option<SeqNumber>,
    mtu: usize,
}

impl WireOracle {
    /// Watches two ends whose paths take packets of these lengths.
    #[must_use]
    pub fn new(mtu: [usize; 2]) -> Self {
        Self { ends: mtu.map(|mtu| End { mtu, ..End::default() }) }
    }

    /// `side` has sent `packet`, a packet of the wire.
    ///
    /// # Errors
    /// If it may not.
    pub fn sent(&mut self, at: Instant, side: Side, packet: &[u8]) -> Result<(), Violation> {
        self.check_sent(side, packet).map_err(|what| {
            let text = match TcpPacket::parse(packet, RxChecksum::Verified) {
                Ok(packet) => packet.to_string(),
                Err(_) => format!("{packet:02x?}"),
            };
            Violation { at, side, what: format!("{what}: {text}") }
        })
    }

    fn check_sent(&mut self, side: Side, packet: &[u8]) -> Result<(), String> {
        let parsed = TcpPacket::parse(packet, RxChecksum::Verify)
            .map_err(|reason| format!("sent what nobody can read ({reason:?})"))?;
        let segment = &parsed.segment;
        let peer_next = self.ends[side.other().index()].next;
        let scaled = self.ends.iter().all(|end| end.shift.is_some());
        let end = &mut self.ends[side.index()];
        if packet.len() > end.mtu {
            return Err(format!("sent {} bytes where {} fit", packet.len(), end.mtu));
        }
        if segment.flags.rst() {
            return Ok(());
        }
        if segment.flags.syn() {
            end.note_syn(segment)?;
        }
        if segment.flags.ack() {
            let shift = end.shift.filter(|_| scaled && !segment.flags.syn()).unwrap_or(0);
            end.check_acknowledgement(segment, shift, peer_next)?;
        }
        end.check_text(segment)
    }

    /// `packet` has reached `side`, damaged or not.
    pub fn delivered(&mut self, side: Side, packet: &[u8]) {
        let Ok(parsed) = TcpPacket::parse(packet, RxChecksum::Verify) else { return };
        let segment = &parsed.segment;
        if !segment.flags.ack() || segment.flags.rst() {
            return;
        }
        let scaled = self.ends.iter().all(|end| end.shift.is_some()) && !segment.flags.syn();
        let shift = self.ends[side.other().index()].shift.filter(|_| scaled).unwrap_or(0);
        let edge = segment.ack + (u32::from(segment.window) << shift);
        let end = &mut self.ends[side.index()];
        end.allowed = Some(end.allowed.map_or(edge, |allowed| allowed.max(edge)));
    }

    /// How many bytes of its stream `side` has sent at least once.
    #[must_use]
    pub fn sent_bytes(&self, side: Side) -> u64 {
        self.ends[side.index()].stream.len() as u64
    }
}

impl End {
    fn note_syn(&mut self, segment: &Segment<'_>) -> Result<(), String> {
        if self.iss.is_some_and(|iss| iss != segment.seq) {
            // A listener that gave up on a peer may begin anew; nobody else may.
            if !segment.flags.ack() || !self.stream.is_empty() || self.fin_at.is_some() {
                return Err("sent a SYN with another number".into());
            }
            *self = Self { mtu: self.mtu, ..Self::default() };
        }
        if self.iss.is_none() {
            self.next = Some(segment.seq + 1);
            self.allowed = self.allowed.or(Some(segment.seq + 1));
        }
        self.iss = Some(segment.seq);
        self.shift = segment.options.window_scale;
        Ok(())
    }

    fn check_acknowledgement(
        &mut self,
        segment: &Segment<'_>,
        shift: u8,
        peer_next: Option<SeqNumber>,
    ) -> Result<(), String> {
        if peer_next.is_none_or(|next| segment.ack.after(next)) {
            return Err(format!("acknowledged what was never sent ({peer_next:?} is next)"));
        }
        if self.acknowledged.is_some_and(|before| segment.ack.before(before)) {
            return Err(format!("took back an acknowledgement of {:?}", self.acknowledged));
        }
        self.acknowledged = Some(segment.ack);
        let edge = segment.ack + (u32::from(segment.window) << shift);
        if segment.flags.syn() && segment.window == u16::MAX && self.promised.is_some() {
            // A SYN-ACK that is sent again has no way to say more (RFC 7323 §2.2).
            return Ok(());
        }
        // Less than a unit of the scale may be lost to rounding (RFC 7323 §2.4).
        let rounding = (1 << shift) - 1;
        if self.promised.is_some_and(|promised| (edge + rounding).before(promised)) {
            return Err(format!("took back the window's edge from {:?} to {edge}", self.promised));
        }
        self.promised = Some(self.promised.map_or(edge, |promised| promised.max(edge)));
        Ok(())
    }

    fn check_text(&mut self, segment: &Segment<'_>) -> Result<(), String> {
        let (Some(iss), Some(next)) = (self.iss, self.next) else {
            return Err("sent a segment before its SYN".into());
        };
        let end = segment.seq + segment.len();
        if end.after(next) {
            let allowed = self.allowed.is_some_and(|allowed| end.before_eq(allowed));
            if !allowed {
                return Err(format!("sent beyond the peer's window, which ends at {:?}", self.allowed));
            }
            if segment.seq.after(next) {
                return Err(format!("left a gap behind {next}"));
            }
            self.next = Some(end);
        }
        // Streams in a simulation are shorter than 4 GiB, so that an offset is a difference.
        let text_at = segment.seq + u32::from(segment.flags.syn());
        let offset = u64::from(text_at - (iss + 1));
        if !segment.payload.is_empty() {
            self.check_bytes(offset, segment.payload)?;
        }
        let text_end = offset + segment.payload.len() as u64;
        match self.fin_at {
            Some(fin) if segment.flags.fin() && text_end != fin => {
                return Err(format!("moved its FIN from byte {fin} to {text_end}"));
            }
            Some(fin) if !segment.payload.is_empty() && text_end > fin => {
                return Err(format!("sent data behind its FIN at byte {fin}"));
            }
            None if segment.flags.fin() => self.fin_at = Some(text_end),
            _ => {}
        }
        Ok(())
    }

    fn check_bytes(&mut self, offset: u64, payload: &[u8]) -> Result<(), String> {
        let Ok(start) = usize::try_from(offset) else { return Ok(()) };
        let known = self.stream.get(start..).ok_or("sent data that does not follow")?;
        let again = known.len().min(payload.len());
        if let Some(differs) = (0..again).find(|index| known[*index] != payload[*index]) {
            return Err(format!("changed byte {}", offset + differs as u64));
        }
        self.stream.extend_from_slice(&payload[again..]);
        Ok(())
    }
}

/// How much memory a connection with this configuration may hold: its buffers, and what chunks waste
/// on small segments.
#[must_use]
pub fn memory_limit(config: &ConnConfig) -> u64 {
    2 * (u64::from(config.receive_buffer.max) + u64::from(config.send_buffer.max)) + (256 << 10)
}

/// What must hold of a connection between any two calls. `memory` is what it may hold: see
/// [`memory_limit`].
///
/// # Errors
/// What does not.
pub fn check_connection<O>(connection: &Connection<O>, memory: u64) -> Result<(), String> {
    let held = connection.memory();
    if held > memory {
        return Err(format!("holds {held} bytes of memory, where {memory} are allowed"));
    }
    let Some(stats) = connection.stats() else { return Ok(()) };
    let (in_flight, unacknowledged) = (stats.in_flight, stats.unacknowledged);
    if in_flight > unacknowledged {
        return Err(format!("{in_flight} in flight of {unacknowledged}"));
    }
    let (sacked, lost) = (stats.sacked, stats.lost);
    if u64::from(sacked) + u64::from(lost) > u64::from(unacknowledged) {
        return Err(format!("{sacked} sacked and {lost} lost of {unacknowledged}"));
    }
    Ok(())
}
