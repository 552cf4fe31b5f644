//! A network in a box: TCP connections over simulated links, in virtual time.
//!
//! Nothing here sleeps, opens a socket or needs a privilege: an hour of a lossy link takes
//! milliseconds, and a seed gives the same run on every machine.
//!
//! ```
//! use tcp_core::Instant;
//! use tcp_sim::{LinkConfig, Loss, Network, NetworkConfig, Side, Stop, Talker};
//!
//! // 100 kB each way over a link that loses every twentieth packet.
//! let link = LinkConfig { loss: Loss::Random(50_000), ..LinkConfig::default() };
//! let config = NetworkConfig::symmetric(link);
//! let mut network = Network::new(&config, 1, Talker::pair([100_000; 2]))?;
//! assert_eq!(network.run_until_idle(Instant::from_secs(600))?, Stop::Idle);
//! for side in Side::BOTH {
//!     let report = network.application(side).report();
//!     assert_eq!((report.read, report.wrong_at, report.end_of_stream), (100_000, None, true));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to go
//!
//! [`Network`] joins two connections by two [`Link`]s, and drives them. On each sits an
//! [`Application`]; [`Talker`] writes a [`Stream`] that everybody knows, and checks the one it
//! reads. [`WireOracle`] watches the wire meanwhile: what breaks a rule of TCP ends the run with a
//! [`Violation`]. This is for questions about outcomes: does all of it arrive, how soon, by how many
//! packets?
//!
//! For tests of single rules, where each segment matters:
//!
//! * [`scripted`] plays one end by hand, segment by segment: the first choice for a rule of an RFC.
//! * [`states`] brings such a connection into each of its states, for rules that hold in several.
//! * [`pair`] lets two real ends talk, with a hook for each segment: for what takes both, such as
//!   crossing SYNs, or an end that was started anew.
//! * [`offload`] cuts and merges segments as a network device does.
//!
//! [`Interpreter`] is for property tests and fuzzers: it drives two connections by a list of [`Op`]s,
//! calls in any order, and checks after each what must hold; [`shrink()`] makes a failing list short.
#![forbid(unsafe_code)]

mod application;
mod digest;
mod interpreter;
mod link;
mod network;
pub mod offload;
mod op;
mod oracle;
pub mod pair;
mod random;
pub mod scripted;
mod shrink;
pub mod states;
mod stream;

pub use application::{Application, Ending, Report, Talker, TalkerConfig};
pub use digest::Digest;
pub use interpreter::Interpreter;
pub use link::{Arrival, DropCause, Link, LinkConfig, LinkStats, Loss, Outage, Passage};
pub use network::{Device, Network, NetworkConfig, Sent, Side, Stop};
pub use op::Op;
pub use oracle::{Violation, WireOracle, check_connection, memory_limit};
pub use random::Random;
pub use shrink::shrink;
pub use stream::Stream;
