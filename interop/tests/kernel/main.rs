//! The kernel of this machine as the peer, over a TUN in a network namespace of its own: handshakes,
//! ten megabytes each way through loss, every way to close.
//!
//! It takes root, `/dev/net/tun` and the program `ip`; without them each test is ignored, and says
//! what is missing. `TCP_STORY=1` prints every packet.

#![allow(clippy::print_stderr, reason = "TCP_STORY")]

#[path = "../common/mod.rs"]
mod common;

#[cfg(target_os = "linux")]
mod bulk;
#[cfg(target_os = "linux")]
mod closing;
#[cfg(target_os = "linux")]
mod host;
#[cfg(target_os = "linux")]
mod sys;

use std::process::ExitCode;
use std::sync::LazyLock;

use libtest_mimic::{Arguments, Completion, Trial};

#[cfg(target_os = "linux")]
static MISSING: LazyLock<Option<String>> = LazyLock::new(host::what_is_missing);
#[cfg(not(target_os = "linux"))]
static MISSING: LazyLock<Option<String>> = LazyLock::new(|| Some("not Linux".into()));

/// A test, or the reason why it cannot be done here.
fn trial(name: &'static str, test: fn()) -> Trial {
    Trial::ignorable_test(name, move || match &*MISSING {
        Some(missing) => Ok(Completion::ignored_with(missing)),
        None => {
            test();
            Ok(Completion::Completed)
        }
    })
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    #[cfg(target_os = "linux")]
    for (name, test) in bulk::TESTS.iter().chain(closing::TESTS) {
        trials.push(trial(name, *test));
    }
    if trials.is_empty() {
        trials.push(trial("the_kernel_is_the_peer", || {}));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
