//! Links `tcp-core` into a program that has no `std`, and runs it.
//!
//! No other target has to be installed for this: were `std` anywhere in the dependencies, its panic handler would stand
//! beside the one here, and the compiler refuses two. `sys` is what an embedder brings along: memory, and what to do on a
//! panic.
#![no_std]
#![no_main]

extern crate alloc;

mod sys;

use tcp_core::SeqNumber;

/// What the C runtime calls. 0 where the core does what it should.
#[unsafe(no_mangle)]
extern "C" fn main() -> core::ffi::c_int {
    let text = alloc::format!("{:?}", SeqNumber(7));
    core::ffi::c_int::from(text.is_empty())
}
