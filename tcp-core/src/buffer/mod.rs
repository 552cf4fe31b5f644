//! The bytes of a connection: what waits to be sent, what waits to be read.
//!
//! * [`SendBuffer`] holds what was written until it is acknowledged, and cuts segments out of it.
//! * [`ReceiveBuffer`] puts what arrived into order, and holds it until it is read.
//! * [`Pool`] has the memory of both, in chunks of one size, and counts it.
//! * [`RangeSet`] is a bounded set of offsets; the receive buffer keeps what lies behind a hole in one.
//!
//! All are addressed by stream offset: 64-bit numbers that count the bytes of a stream from its start and never
//! wrap. Sequence numbers are the business of whoever calls.
//!
//! Start reading with `recv.rs`, whose two paths (`append` and `merge`) are what a segment goes through.

mod pool;
mod ranges;
mod recv;
mod send;

pub use pool::{CHUNK, Pool};
pub use ranges::{Full, Merged, RangeSet};
pub use recv::{Inserted, OUT_OF_ORDER_RANGES, RANGE_CHARGE, ReceiveBuffer, Refusal};
pub use send::{SHORTEST_KEPT, SendBuffer};
