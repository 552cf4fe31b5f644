//! A network in a box: TCP connections over simulated links, in virtual time.
#![forbid(unsafe_code)]

pub mod pair;
pub mod scripted;
pub mod states;
