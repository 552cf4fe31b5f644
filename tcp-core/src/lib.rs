//! A sans-IO TCP.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod addr;
pub mod buffer;
mod seq;
mod time;
pub mod wire;

pub use addr::{FourTuple, is_usable_peer};
pub use seq::{SeqNumber, SeqRange};
pub use time::{Duration, Instant};
