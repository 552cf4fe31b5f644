//! The rows of `docs/scenarios.md`: what a user sees, and what the wire shows. Each test is named
//! after its row.

mod a;
mod b;
mod c;
mod c_window;
mod d;
mod e;
mod e_reset;
mod e_time_wait;
mod f;
mod long_stream;
