//! Whole connections in memory, both ends on one core, the application copying in and out: the time
//! of one data segment with its share of acknowledgements, and of a ping-pong round.

#![allow(missing_docs, reason = "criterion's macros")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use benches::Pair;
use tcp_core::{BufferLimit, ConnConfig};

fn config() -> ConnConfig {
    let mut config = ConnConfig::default();
    config.receive_buffer = BufferLimit::fixed(1 << 20);
    config.send_buffer = BufferLimit::fixed(1 << 20);
    config
}

fn bulk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bulk");
    for burst in [2, 16] {
        group.throughput(Throughput::Bytes(1_448));
        group.bench_function(format!("a segment of 1448 bytes, {burst} at a time"), |bencher| {
            let mut pair = Pair::new(&config());
            let data = vec![7; 64 << 10];
            let mut into = vec![0; 64 << 10];
            bencher.iter_custom(|segments| {
                let start = std::time::Instant::now();
                let mut sent = 0;
                while sent < segments {
                    let _ = pair.client.write(pair.now, &data[..burst * 1_448]);
                    sent += pair.exchange(burst) as u64;
                    while pair.server.read(pair.now, &mut into).is_ok() {}
                }
                start.elapsed()
            });
        });
    }
    group.finish();
}

fn ping_pong(criterion: &mut Criterion) {
    criterion.bench_function("a round of one byte each way", |bencher| {
        let mut pair = Pair::new(&config());
        let mut byte = [0];
        bencher.iter(|| {
            let _ = pair.client.write(pair.now, b"x");
            pair.exchange(1);
            if pair.server.read(pair.now, &mut byte).is_ok() {
                let _ = pair.server.write(pair.now, &byte);
            }
            pair.exchange(1);
            pair.client.read(pair.now, &mut byte)
        });
    });
}

criterion_group!(benches, bulk, ping_pong);
criterion_main!(benches);
