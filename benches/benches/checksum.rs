//! The checksum must stay vectorised wherever it is used: watch both the call and its use inside
//! other code.

#![allow(missing_docs, reason = "criterion's macros")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tcp_core::wire::checksum;

const SRC: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const DST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

fn checksums(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checksum");
    for length in [64, 1_460, 65_495] {
        let bytes: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(format!("{length} bytes"), |bencher| {
            bencher.iter(|| checksum::tcp(SRC, DST, black_box(&bytes)));
        });
        group.bench_function(format!("{length} bytes, after a copy"), |bencher| {
            let mut copy = vec![0; length];
            bencher.iter(|| {
                copy.copy_from_slice(black_box(&bytes));
                checksum::fill_tcp(SRC, DST, &mut copy);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, checksums);
criterion_main!(benches);
