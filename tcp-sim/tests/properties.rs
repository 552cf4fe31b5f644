//! What always holds of a connection, whatever is done to it in whatever order: P1 to P5 and P7.
//! The lists of steps are drawn from seeds (see `seeds/mod.rs`); `Interpreter` checks after each.

mod seeds;

use tcp_sim::{Interpreter, Op, Random, Side, Stream};

/// The steps that a seed stands for.
fn steps(seed: u64, forgeries: bool) -> Vec<Op> {
    let mut random = Random::new(!seed);
    let length = random.size(400);
    (0..length).map(|_| Op::random(&mut random, forgeries)).collect()
}

#[test]
fn p1_p2_p3_p4_hold_and_the_stream_arrives_in_whatever_order_calls_come() {
    let name = "p1_p2_p3_p4_hold_and_the_stream_arrives_in_whatever_order_calls_come";
    seeds::for_each(name, 400, |seed| seeds::run_ops(seed, &steps(seed, false)).map(drop));
}

#[test]
fn p7_no_forged_segment_makes_it_panic() {
    seeds::for_each("p7_no_forged_segment_makes_it_panic", 400, |seed| {
        seeds::run_ops(seed, &steps(seed, true)).map(drop)
    });
}
