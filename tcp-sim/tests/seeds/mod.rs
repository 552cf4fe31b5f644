//! Running a property over many seeds, and saying how to repeat the one that fails.
//!
//! `TCP_SEEDS` is how many, `TCP_SEED` the only one.
#![allow(clippy::print_stderr, reason = "a failing seed says how to repeat it")]

use std::env::var;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Checks `property` for each seed from 0 on: `usually` many, or as the environment says. `name` is
/// the test's.
#[allow(dead_code, reason = "each test binary uses what it needs")]
pub(crate) fn for_each(name: &str, usually: u64, mut property: impl FnMut(u64) -> Result<(), String>) {
    for seed in seeds(usually) {
        let repeat = format!("TCP_SEED={seed} cargo test -p tcp-sim {name}");
        match catch_unwind(AssertUnwindSafe(|| property(seed))) {
            Ok(Ok(())) => {}
            Ok(Err(what)) => panic!("seed {seed}: {what}\nrepeat with: {repeat}"),
            Err(panic) => {
                eprintln!("seed {seed} panicked; repeat with: {repeat}");
                resume_unwind(panic);
            }
        }
    }
}

/// Which seeds to try.
fn seeds(usually: u64) -> std::ops::Range<u64> {
    let number = |name| var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match (number("TCP_SEED"), number("TCP_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, many) => 0..many.unwrap_or(usually),
    }
}
