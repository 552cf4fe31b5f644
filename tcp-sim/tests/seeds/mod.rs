//! Running a property over many seeds, and saying how to repeat the one that fails.
//!
//! `TCP_SEEDS` is how many, `TCP_SEED` the only one.
#![allow(dead_code, reason = "each test binary uses what it needs")]

use std::env::var;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tcp_sim::{Interpreter, Op, shrink};

/// Checks `property` for each seed from 0 on: `usually` many, or as the environment says. `name` is
/// the test's.
pub(crate) fn for_each(name: &str, usually: u64, mut property: impl FnMut(u64) -> Result<(), String>) {
    for seed in seeds(usually) {
        if let Err(what) = without_panic(|| property(seed)) {
            panic!("seed {seed}: {what}\nrepeat with: TCP_SEED={seed} cargo test -p tcp-sim {name}");
        }
    }
}

/// Applies `ops` to the pair of connections that `seed` stands for, and finishes. What fails is made
/// short first.
pub(crate) fn run_ops(seed: u64, ops: &[Op]) -> Result<u64, String> {
    let run =
        |ops: &[Op]| without_panic(|| Interpreter::run(seed, ops).map_err(|violation| violation.to_string()));
    run(ops).map_err(|_| {
        let short = shrink(ops, |ops| run(ops).is_err());
        let what = run(&short).expect_err("it still fails");
        let steps: Vec<String> = short.iter().map(|op| format!("    Op::{op:?},")).collect();
        format!("{what}\nafter these steps:\n{}", steps.join("\n"))
    })
}

/// A panic is a failure like any other.
fn without_panic<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

/// Which seeds to try.
fn seeds(usually: u64) -> std::ops::Range<u64> {
    let number = |name| var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match (number("TCP_SEED"), number("TCP_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, many) => 0..many.unwrap_or(usually),
    }
}
