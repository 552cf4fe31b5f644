//! Every way to close.

pub(crate) const TESTS: &[(&str, fn())] = &[];
