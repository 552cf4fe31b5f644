//! One connection under test against a peer that a test plays by hand, segment by segment.
