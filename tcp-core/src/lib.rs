//! A TCP that anybody can put anywhere: **segments and time go in, segments and events come out.**
//!
//! This crate does no I/O, reads no clock, draws no randomness and starts no thread. The same seed
//! and the same inputs give the same outputs, bit for bit, on every machine.
//!
//! ```
//! use tcp_core::{ConnConfig, Connection, Instant, Seed, TxCaps};
//!
//! let (now, config, seed) = (Instant::ZERO, ConnConfig::default(), Seed::for_test(1));
//! let (here, there) = ("10.0.0.1:40001".parse()?, "10.0.0.2:80".parse()?);
//! let mut client = Connection::connect(now, here, there, config.clone(), &seed)?;
//! let mut server = Connection::listen(now, there, config, &seed)?;
//!
//! client.write(now, b"hello")?;
//! let mut packet = [0; 1500];
//! for _ in 0..3 {
//!     while let Some(sent) = client.poll_transmit(now, &TxCaps::default(), &mut packet) {
//!         server.handle_packet(now, &packet[..sent.len]);
//!     }
//!     while let Some(sent) = server.poll_transmit(now, &TxCaps::default(), &mut packet) {
//!         client.handle_packet(now, &packet[..sent.len]);
//!     }
//! }
//! let mut data = [0; 100];
//! assert_eq!(server.read(now, &mut data), Ok(5));
//! assert_eq!(&data[..5], b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! Features never change behaviour. `std` (off by default) converts errors to `std::io::Error`.
//!
//! # Where to go
//!
//! [`Connection`] is one connection; its documentation names the four kinds of methods and their
//! order. [`ConnConfig`] is how it behaves, [`Event`] what it tells, [`ConnStats`] what can be seen
//! of it. [`wire`] reads and writes segments. [`buffer`], which holds streams, and [`congestion`],
//! which decides how much may be in the network, are public to be read and measured: their interfaces
//! may still change.
//!
//! To read the code, follow one segment in: `connection.rs` hands it to `tcb/input.rs`, which takes
//! it through the steps of RFC 9293 §3.10.7; and one out: `tcb/output.rs` plans, writes, commits.
//! `tcb/mod.rs` has the map. A module uses only what stands on a lower floor: the words (`seq`,
//! `time`, …), then `wire`, `buffer`, `recovery` and `congestion`, `tcb`, and the shells on top.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod addr;
pub mod buffer;
mod config;
pub mod congestion;
mod connection;
mod error;
mod event;
mod isn;
mod observe;
mod rand;
mod recovery;
mod rx;
mod seq;
mod state;
mod stats;
mod tcb;
mod time;
pub mod wire;

pub use addr::{FourTuple, is_usable_peer};
pub use config::{
    AckConfig, AfterReset, BufferLimit, ConfigError, CongestionAlgorithm, ConnConfig, InitialWindow,
    Keepalive, Linger, MissingTimestamp, OnUnreachable, RateLimit, Replay, Retries, RtoConfig, TimeWaitReset,
};
pub use connection::{Connection, Transmit};
pub use error::{CloseReason, ConnectError, ReadError, SoftError, WriteError};
pub use event::{Disposition, DropReason, Event};
pub use observe::{LossReason, Observer, Record, SendReason, TimerKind};
pub use rand::Seed;
pub use rx::{Rx, RxChecksum, RxMeta};
pub use seq::{SeqNumber, SeqRange};
pub use state::State;
pub use stats::{ConnStats, DropCounters, Totals};
pub use tcb::{Framing, TxCaps, TxChecksum};
pub use time::{Duration, Instant};
