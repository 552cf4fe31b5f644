//! Every arrow between the states, as a table (RFC 9293 §3.3.2, figure 5, and §3.10).
//!
//! The table is the only way to change a state. Its text and its graph are kept beside it as
//! `transitions.txt` and `transitions.dot`, and a test compares them.

use core::fmt;

use crate::State;

/// What moves a connection from one state to the next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Trigger {
    /// OPEN: a SYN is sent.
    ActiveOpen,
    /// OPEN: a SYN is awaited.
    PassiveOpen,
    /// A SYN without an acknowledgement of ours arrives.
    Syn,
    /// A SYN that acknowledges ours arrives.
    SynAck,
    /// Our SYN is acknowledged.
    AckOfSyn,
    /// The peer's FIN is in order.
    Fin,
    /// Our FIN is acknowledged.
    AckOfFin,
    /// CLOSE.
    Close,
    /// An acceptable RST arrives.
    Reset,
    /// ABORT, or the connection has been tried long enough.
    Abort,
    /// 2 MSL are over.
    TwoMsl,
}

use State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, SynSent,
    TimeWait,
};

/// The arrows. Not offered: SEND in LISTEN, which RFC 9293 §3.10.2 turns into an active open.
pub(crate) const ARROWS: [(State, Trigger, State); 39] = [
    (Closed, Trigger::PassiveOpen, Listen),
    (Closed, Trigger::ActiveOpen, SynSent),
    (Listen, Trigger::Syn, SynReceived),
    (Listen, Trigger::Close, Closed),
    (SynSent, Trigger::Syn, SynReceived),
    (SynSent, Trigger::SynAck, Established),
    (SynSent, Trigger::Close, Closed),
    (SynSent, Trigger::Reset, Closed),
    (SynSent, Trigger::Abort, Closed),
    (SynReceived, Trigger::AckOfSyn, Established),
    (SynReceived, Trigger::Close, FinWait1),
    // A passive open goes back to waiting (§3.10.7.4); the listener has never left LISTEN, and the
    // connection was not told of.
    (SynReceived, Trigger::Syn, Listen),
    (SynReceived, Trigger::Reset, Closed),
    (SynReceived, Trigger::Abort, Closed),
    (Established, Trigger::Close, FinWait1),
    (Established, Trigger::Fin, CloseWait),
    (Established, Trigger::Reset, Closed),
    (Established, Trigger::Abort, Closed),
    (FinWait1, Trigger::AckOfFin, FinWait2),
    (FinWait1, Trigger::Fin, Closing),
    (FinWait1, Trigger::Reset, Closed),
    (FinWait1, Trigger::Abort, Closed),
    (FinWait2, Trigger::Fin, TimeWait),
    (FinWait2, Trigger::Reset, Closed),
    (FinWait2, Trigger::Abort, Closed),
    (CloseWait, Trigger::Close, LastAck),
    (CloseWait, Trigger::Reset, Closed),
    (CloseWait, Trigger::Abort, Closed),
    (Closing, Trigger::AckOfFin, TimeWait),
    (Closing, Trigger::Reset, Closed),
    (Closing, Trigger::Abort, Closed),
    (LastAck, Trigger::AckOfFin, Closed),
    (LastAck, Trigger::Reset, Closed),
    (LastAck, Trigger::Abort, Closed),
    (TimeWait, Trigger::TwoMsl, Closed),
    (TimeWait, Trigger::Reset, Closed),
    (TimeWait, Trigger::Abort, Closed),
    (TimeWait, Trigger::Syn, SynReceived),
    (TimeWait, Trigger::ActiveOpen, SynSent),
];

/// The state that `trigger` leads to from `state`, if there is such an arrow.
pub(crate) fn next_state(state: State, trigger: Trigger) -> Option<State> {
    ARROWS.iter().find(|(from, by, _)| *from == state && *by == trigger).map(|(_, _, to)| *to)
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ActiveOpen => "active open",
            Self::PassiveOpen => "passive open",
            Self::Syn => "SYN",
            Self::SynAck => "SYN-ACK",
            Self::AckOfSyn => "ACK of SYN",
            Self::Fin => "FIN",
            Self::AckOfFin => "ACK of FIN",
            Self::Close => "close",
            Self::Reset => "RST",
            Self::Abort => "abort or timeout",
            Self::TwoMsl => "2 MSL",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write as _;
    use std::collections::HashSet;
    use std::string::String;

    #[test]
    fn the_table_is_the_one_that_is_kept_as_text_and_graph() {
        let mut text = String::new();
        let mut graph =
            String::from("digraph tcp {\n    rankdir=TB;\n    node [shape=box, style=rounded];\n");
        for (from, by, to) in ARROWS {
            writeln!(
                text,
                "{from:<12}  {by:<16}  {to}",
                from = std::format!("{from}"),
                by = std::format!("{by}")
            )
            .unwrap();
            writeln!(graph, "    \"{from}\" -> \"{to}\" [label=\"{by}\"];").unwrap();
        }
        graph.push_str("}\n");
        assert_eq!(text, include_str!("transitions.txt"), "replace transitions.txt by:\n{text}");
        assert_eq!(graph, include_str!("transitions.dot"), "replace transitions.dot by:\n{graph}");
    }

    #[test]
    fn no_state_and_trigger_lead_two_ways() {
        let starts: HashSet<_> = ARROWS.iter().map(|(from, by, _)| (*from, *by)).collect();
        assert_eq!(starts.len(), ARROWS.len());
    }

    #[test]
    fn every_state_can_be_reached_and_left() {
        for state in State::ALL {
            assert!(ARROWS.iter().any(|(from, _, _)| *from == state), "{state} is a dead end");
            assert!(ARROWS.iter().any(|(_, _, to)| *to == state), "{state} is never reached");
        }
    }
}
