//! A connection in each of its states, for tests that go through all of them.

use tcp_core::{ConnConfig, Duration, State};

use crate::scripted::{Numbers, Scripted};

/// A way to a state: the passive and the active SYN-RECEIVED differ (RFC 9293 MUST-11).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The SYN is out.
    SynSent,
    /// A SYN came to a listener.
    SynReceivedPassive,
    /// A SYN crossed ours.
    SynReceivedActive,
    /// Opened actively, nothing sent.
    Established,
    /// Our FIN is out.
    FinWait1,
    /// Our FIN is acknowledged.
    FinWait2,
    /// The peer's FIN has come and is acknowledged.
    CloseWait,
    /// The FINs crossed.
    Closing,
    /// The peer's FIN came first, ours is out.
    LastAck,
    /// Our FIN was first, and both are acknowledged.
    TimeWait,
}

impl Place {
    /// All of them, in the RFC's order.
    pub const ALL: [Self; 10] = [
        Self::SynSent,
        Self::SynReceivedPassive,
        Self::SynReceivedActive,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// Those in which both ends know each other's numbers.
    pub const SYNCHRONIZED: [Self; 7] = [
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// The state.
    #[must_use]
    pub const fn state(self) -> State {
        match self {
            Self::SynSent => State::SynSent,
            Self::SynReceivedPassive | Self::SynReceivedActive => State::SynReceived,
            Self::Established => State::Established,
            Self::FinWait1 => State::FinWait1,
            Self::FinWait2 => State::FinWait2,
            Self::CloseWait => State::CloseWait,
            Self::Closing => State::Closing,
            Self::LastAck => State::LastAck,
            Self::TimeWait => State::TimeWait,
        }
    }

    /// SND.NXT, nominal.
    #[must_use]
    pub const fn snd_nxt(self) -> u32 {
        match self {
            Self::FinWait1 | Self::FinWait2 | Self::Closing | Self::LastAck | Self::TimeWait => 102,
            _ => 101,
        }
    }

    /// SND.UNA, nominal.
    #[must_use]
    pub const fn snd_una(self) -> u32 {
        match self {
            Self::SynSent | Self::SynReceivedPassive | Self::SynReceivedActive => 100,
            Self::FinWait2 | Self::TimeWait => 102,
            _ => 101,
        }
    }

    /// RCV.NXT, nominal; in SYN-SENT what the peer's SYN at 5000 would make it.
    #[must_use]
    pub const fn rcv_nxt(self) -> u32 {
        match self {
            Self::CloseWait | Self::Closing | Self::LastAck | Self::TimeWait => 5_002,
            _ => 5_001,
        }
    }

    /// A connection that was brought there by segments and commands alone. Nothing is pending, and
    /// all events were taken.
    ///
    /// # Panics
    /// If it does not get there.
    #[must_use]
    pub fn reach(self, config: ConnConfig, numbers: Numbers) -> Scripted {
        let mut test = match self {
            Self::SynSent => {
                let mut test = Scripted::connecting(config, numbers);
                test.expect("[S] seq 100");
                test
            }
            Self::SynReceivedPassive => {
                let mut test = Scripted::listening(config, numbers);
                test.inject("[S] seq 5000 <mss 1000>");
                test.expect("[S.] seq 100 ack 5001");
                test
            }
            Self::SynReceivedActive => {
                let mut test = Scripted::connecting(config, numbers);
                test.expect("[S] seq 100");
                test.inject("[S] seq 5000 <mss 1000>");
                test.expect("[S.] seq 100 ack 5001");
                test
            }
            _ => Scripted::established(config, numbers),
        };
        match self {
            Self::FinWait1 => our_fin(&mut test, "[F.] seq 101 ack 5001"),
            Self::FinWait2 => {
                our_fin(&mut test, "[F.] seq 101 ack 5001");
                test.inject("[.] seq 5001 ack 102");
            }
            Self::CloseWait => their_fin(&mut test),
            Self::Closing => {
                our_fin(&mut test, "[F.] seq 101 ack 5001");
                test.inject("[F.] seq 5001 ack 101");
                test.expect("[.] seq 102 ack 5002");
            }
            Self::LastAck => {
                their_fin(&mut test);
                our_fin(&mut test, "[F.] seq 101 ack 5002");
            }
            Self::TimeWait => {
                our_fin(&mut test, "[F.] seq 101 ack 5001");
                test.inject("[.] seq 5001 ack 102");
                test.inject("[F.] seq 5001 ack 102");
                test.expect("[.] seq 102 ack 5002");
            }
            _ => {}
        }
        test.expect_none();
        test.take_events();
        assert_eq!(test.state(), self.state());
        test
    }
}

fn our_fin(test: &mut Scripted, line: &str) {
    test.shutdown_write();
    test.expect(line);
}

fn their_fin(test: &mut Scripted) {
    test.inject("[F.] seq 5001 ack 101");
    // The delayed acknowledgement.
    test.advance(Duration::from_millis(200));
    test.expect("[.] seq 101 ack 5002");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{every_wrap, plain_config};

    #[test]
    fn every_place_is_reached() {
        every_wrap(|numbers| {
            for place in Place::ALL {
                let test = place.reach(plain_config(), numbers);
                assert_eq!(test.state(), place.state());
            }
        });
    }
}
