//! Lists of steps that found something, made short; what was wrong is said above each.

mod seeds;

use tcp_sim::Op;
use tcp_sim::Side::{Left, Right};

/// Both connect, one SYN-ACK is lost, and the side that has closed already takes the other one: it
/// sent its FIN and stayed ESTABLISHED, so that it later waited in CLOSE-WAIT for ever.
#[test]
fn a_close_in_syn_received_counts_when_the_peers_syn_ack_completes_the_handshake() {
    let ops = [
        Op::Transmit(Right, 8),
        Op::Transmit(Left, 8),
        Op::Deliver(Left, 0),
        Op::Transmit(Left, 8),
        Op::Lose(Right, 1),
    ];
    run(10_415, &ops);
}

/// The receive buffer is made smaller while the SYN-ACK is under way: the window it had promised was
/// taken back.
#[test]
fn a_window_promised_in_a_syn_ack_outlives_a_change_of_the_configuration() {
    let ops = [Op::Transmit(Left, 1), Op::Deliver(Right, 0), Op::Transmit(Right, 1), Op::SetConfig(Right, 1)];
    for seed in 0..50 {
        run(seed, &ops);
    }
}

fn run(seed: u64, ops: &[Op]) {
    if let Err(what) = seeds::run_ops(seed, ops) {
        panic!("seed {seed}: {what}");
    }
}
