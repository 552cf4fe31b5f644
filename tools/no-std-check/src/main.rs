//! Links `tcp-core` into a program that has no `std`, and runs it.
//!
//! No other target has to be installed for this: were `std` anywhere in the dependencies, its panic handler would stand
//! beside the one here, and the compiler refuses two. `sys` is what an embedder brings along: where the
//! program begins, memory, and what to do on a panic.
#![no_std]
#![no_main]

extern crate alloc;

mod sys;

use tcp_core::SeqNumber;

/// What the core is asked to do here: little, for that it links is the proof.
fn core_answers() -> bool {
    !alloc::format!("{:?}", SeqNumber(7)).is_empty()
}
