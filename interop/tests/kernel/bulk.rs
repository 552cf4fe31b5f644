//! Ten megabytes each way, with every option on and off, with and without loss.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use tcp_core::{BufferLimit, CloseReason, ConnConfig, Event, State};

use crate::common::application::{Application, Close, OUR_STREAM, PEER_STREAM, Plan};
use crate::common::{check_stream, stream_bytes};
use crate::host::{Host, KernelEnd, Setup, in_network};
use crate::sys::{self, TcpInfo};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("both_agree_on_the_options_in_either_role", both_agree_on_the_options_in_either_role),
    ("both_open_at_once", both_open_at_once),
    ("ten_megabytes_each_way_need_no_retransmission", ten_megabytes_each_way_need_no_retransmission),
    ("answers_carry_the_acks_and_nobody_waits_for_them", answers_carry_the_acks_and_nobody_waits_for_them),
    ("batches_of_packets_carry_as_well", batches_of_packets_carry_as_well),
    ("ten_megabytes_each_way_through_loss_over_ipv4", || lossy(false, &all())),
    ("ten_megabytes_each_way_through_loss_over_ipv6", || lossy(true, &all())),
    ("through_loss_without_timestamps", || lossy(false, &without(|config| config.timestamps = false))),
    ("through_loss_without_sack", || lossy(true, &without(|config| config.sack = false))),
    ("through_loss_without_window_scaling", || {
        lossy(false, &without(|config| config.window_scaling = false));
    }),
    ("through_loss_without_any_option", through_loss_without_any_option),
    ("a_window_that_the_kernel_closes_is_probed_and_opens_again", kernel_closes_its_window),
    ("our_window_closes_and_opens_again", our_window_closes_and_opens_again),
    ("each_end_answers_the_others_keepalives", each_end_answers_the_others_keepalives),
];

const MEGABYTES: usize = 10 << 20;
const PLAN: Plan = Plan { to_send: MEGABYTES, answers: false, close: Close::AfterReceiving(MEGABYTES) };

fn all() -> ConnConfig {
    ConnConfig::default()
}

fn without(change: fn(&mut ConnConfig)) -> ConnConfig {
    let mut config = ConnConfig::default();
    change(&mut config);
    config
}

/// The kernel's application: sends a stream and checks ours, both at once.
pub(crate) fn exchange(stream: &TcpStream, to_send: usize, to_receive: usize) {
    thread::scope(|scope| {
        let writer = scope.spawn(|| send(stream, to_send));
        receive(stream, to_receive);
        writer.join().expect("the kernel's writer");
    });
}

pub(crate) fn send(mut stream: &TcpStream, length: usize) {
    let mut sent = 0;
    while sent < length {
        let piece = stream_bytes(PEER_STREAM, sent, (length - sent).min(32_768));
        sent += stream.write(piece).expect("the kernel takes data");
    }
}

pub(crate) fn receive(mut stream: &TcpStream, length: usize) {
    let mut buffer = vec![0; 65_536];
    let mut received = 0;
    while received < length {
        let read = stream.read(&mut buffer).expect("the kernel has data");
        assert!(read > 0, "the stream ended after {received} of {length} bytes");
        // In pieces that are shorter than the stream's period.
        buffer[..read].chunks(32_768).for_each(|piece| {
            check_stream(OUR_STREAM, received, piece);
            received += piece.len();
        });
    }
}

pub(crate) fn expect_end(mut stream: &TcpStream) {
    assert_eq!(stream.read(&mut [0; 10]).expect("the end of the stream"), 0);
}

/// What the kernel said of the connection when all was there, and then closed.
fn exchange_and_close(end: KernelEnd) -> TcpInfo {
    let stream = end.open();
    exchange(&stream, MEGABYTES, MEGABYTES);
    let info = sys::tcp_info(&stream).expect("TCP_INFO");
    stream.shutdown(Shutdown::Write).expect("the kernel closes");
    expect_end(&stream);
    info
}

fn bulk(setup: &Setup) -> (TcpInfo, OurEnd) {
    let (info, host) = in_network(setup, Application::new(PLAN), exchange_and_close, |host, _| {
        host.run_until("all data", |host| {
            host.application.progress.received == MEGABYTES && all_acknowledged(host)
        });
        let elapsed = host.elapsed();
        host.run_to_the_end();
        assert_eq!(host.connection.close_reason(), Some(CloseReason::Finished));
        assert!(host.application.progress.end_of_stream);
        assert!(host.application.events.contains(Event::CONNECTED | Event::FLUSHED | Event::CLOSED));
        assert_eq!(host.witness.tally.resets, 0);
        OurEnd { elapsed, tally: host.witness.tally, stats: host.connection.stats().expect("a connection") }
    });
    if std::env::var_os("TCP_NUMBERS").is_some() {
        let rate = MEGABYTES as u64 * 8 / u64::try_from(host.elapsed.as_micros()).expect("short").max(1);
        eprintln!(
            "{rate} Mbit/s each way in {:?}\n  {info:?}\n  {:?}\n  {:?}",
            host.elapsed, host.tally, host.stats
        );
    }
    (info, host)
}

fn all_acknowledged(host: &Host) -> bool {
    host.connection.stats().is_some_and(|stats| stats.totals.bytes_acknowledged == MEGABYTES as u64)
}

/// What is left of our end.
struct OurEnd {
    elapsed: Duration,
    tally: crate::common::Tally,
    stats: tcp_core::ConnStats,
}

fn both_agree_on_the_options_in_either_role() {
    for seed in 0..16 {
        let mut setup = Setup::new(seed);
        setup.config.timestamps = seed & 4 == 0;
        setup.config.sack = seed & 8 == 0;
        setup.config.window_scaling = setup.config.timestamps == setup.config.sack;
        let plan = Plan { to_send: 3_000, answers: false, close: Close::Second };
        let kernel = |end: KernelEnd| {
            let stream = end.open();
            exchange(&stream, 3_000, 3_000);
            sys::tcp_info(&stream).expect("TCP_INFO")
        };
        let config = setup.config.clone();
        let (info, stats) = in_network(&setup, Application::new(plan), kernel, |host, _| {
            host.run_to_the_end();
            assert_eq!(host.witness.tally.retransmissions, 0);
            host.connection.stats().expect("a connection")
        });
        assert_eq!((info.timestamps, stats.timestamps), (config.timestamps, config.timestamps));
        assert_eq!((info.sack, stats.sack), (config.sack, config.sack));
        assert_eq!(info.window_scaling, config.window_scaling);
        assert_eq!(stats.send_window_scale.is_some(), config.window_scaling);
        let header = if setup.ipv6 { 60 } else { 40 };
        let options = if config.timestamps { 12 } else { 0 };
        assert_eq!(info.send_mss, 1_500 - header - options);
        assert_eq!(u32::from(stats.send_mss), 1_500 - header, "options of the moment apart");
    }
}

fn both_open_at_once() {
    for seed in 0..2 {
        let mut setup = Setup::new(seed);
        setup.both_connect = true;
        // Long enough that both SYNs are under way before either arrives.
        setup.delay = Duration::from_millis(50);
        let plan = Plan { to_send: 3_000, answers: false, close: Close::Second };
        let kernel = |end: KernelEnd| exchange(&end.open(), 3_000, 3_000);
        in_network(&setup, Application::new(plan), kernel, |host, _| {
            host.run_until("SYN-RECEIVED", |host| host.connection.state() == State::SynReceived);
            host.run_to_the_end();
            assert_eq!(host.application.progress.received, 3_000);
            assert_eq!(host.connection.close_reason(), Some(CloseReason::Finished));
            let stats = host.connection.stats().expect("a connection");
            assert!(stats.timestamps && stats.sack && stats.send_window_scale.is_some(), "{stats:?}");
            assert_eq!(host.witness.tally.resets + host.witness.tally.peer_resets, 0);
            assert!(
                host.elapsed() < Duration::from_millis(900),
                "no SYN was sent again: {}",
                host.describe()
            );
        });
    }
}

fn ten_megabytes_each_way_need_no_retransmission() {
    for seed in [4, 7] {
        let mut setup = Setup::new(seed);
        setup.config.send_buffer.max = 256 << 10;
        setup.config.receive_buffer.max = 256 << 10;
        let (info, host) = bulk(&setup);
        // A machine that is busy makes a timer fire although nothing was lost, which a D-SACK tells.
        let needless = u64::from(host.stats.totals.dsacks_received);
        assert!(host.tally.retransmissions <= needless.min(3), "{:?}", host.stats);
        assert_eq!(info.retransmitted, info.dsacks, "{info:?}");
        assert!(info.retransmitted <= 3 && info.out_of_order_in == 0, "{info:?}");
        assert_eq!(host.stats.totals.out_of_order, 0);
        judge_habits(&setup, &info, &host);
    }
}

/// What the kernel makes of our segments and ACKs when nothing goes wrong.
fn judge_habits(setup: &Setup, info: &TcpInfo, host: &OurEnd) {
    let full = if setup.ipv6 { 1_428 } else { 1_448 };
    assert_eq!((info.send_mss, info.receive_mss), (full, full), "we send full segments");
    assert_eq!((info.reordering, info.reorderings_seen), (3, 0), "no ACK looked like reordering");
    // 7242 full segments in 10 MB; the writes are larger than the send buffer, so few are small.
    let least = (MEGABYTES as u64).div_ceil(full.into());
    assert!((least..least + least / 50).contains(&host.tally.data_segments), "{:?}", host.tally);
    // An ACK for every second segment at the latest, on data where there is any; more only while
    // the kernel is in its slow start.
    let acks = host.tally.bare_acks;
    assert!(acks <= host.tally.peer_data_segments / 2 + 64, "{acks} ACKs: {:?}", host.tally);
    assert!(acks + host.tally.data_segments >= host.tally.peer_data_segments / 2, "{:?}", host.tally);
    // The round trip that it measures is that of the path, with what a busy machine adds.
    assert!((1_000..50_000).contains(&info.rtt_micros), "{info:?}");
    assert!(info.data_segments_in >= info.segments_in / 2 && info.data_segments_out <= info.segments_out);
    assert!(info.window_limited_micros <= info.busy_micros);
}

fn answers_carry_the_acks_and_nobody_waits_for_them() {
    const ROUNDS: usize = 200;
    for seed in 0..4 {
        let setup = Setup::new(seed);
        let kernel = |end: KernelEnd| {
            let mut stream = end.open();
            stream.set_nodelay(true).expect("TCP_NODELAY");
            let mut question = [0; 100];
            for _ in 0..ROUNDS {
                stream.read_exact(&mut question).expect("a question");
                stream.write_all(&question).expect("an answer");
            }
            expect_end(&stream);
            sys::tcp_info(&stream).expect("TCP_INFO")
        };
        let mut application = Application::new(Plan { to_send: 0, answers: false, close: Close::Never });
        application.reads = false;
        let (info, tally) = in_network(&setup, application, kernel, |host, _| {
            let mut round = 0;
            let mut answer: Vec<u8> = Vec::new();
            host.run_until("all answers", |host| {
                let now = host.now();
                let mut buffer = [0; 100];
                while let Ok(read) = host.connection.read(now, &mut buffer[..100 - answer.len()]) {
                    answer.extend_from_slice(&buffer[..read]);
                    if answer.len() == 100 {
                        assert_eq!(answer, [round as u8; 100]);
                        answer.clear();
                        round += 1;
                    }
                }
                let asked = host.application.progress.sent;
                if asked == round && round < ROUNDS && host.connection.state() == State::Established {
                    assert_eq!(host.connection.write(now, &[round as u8; 100]), Ok(100));
                    host.application.progress.sent += 1;
                    host.step();
                }
                round == ROUNDS
            });
            assert!(
                host.elapsed() < Duration::from_secs(3),
                "no round waits for a timer: {:?}",
                host.elapsed()
            );
            host.application.reads = true;
            let now = host.now();
            host.connection.close(now);
            host.run_to_the_end();
            host.witness.tally
        });
        // While an ACK is quick, it does not wait for the answer.
        assert!(tally.bare_acks <= 20, "{tally:?}");
        assert!(tally.peer_packets <= tally.peer_data_segments + 20, "{tally:?}\n{info:?}");
        assert_eq!((tally.retransmissions, info.retransmitted), (0, 0));
    }
}

fn batches_of_packets_carry_as_well() {
    let mut setup = Setup::new(5);
    setup.batches = true;
    setup.loss = 5;
    bulk(&setup);
}

fn lossy(ipv6: bool, config: &ConnConfig) {
    let mut setup = Setup::new(if ipv6 { 9 } else { 10 });
    setup.loss = 20;
    setup.config = config.clone();
    if !ipv6 {
        // As ours does, for comparison; over IPv6 it is whatever this machine prefers.
        setup.sysctls = vec![("tcp_congestion_control", "reno")];
    }
    judge_lossy(&setup);
}

fn through_loss_without_any_option() {
    let mut setup = Setup::new(12);
    setup.loss = 20;
    // The kernel is who does not want them.
    setup.sysctls = vec![("tcp_sack", "0"), ("tcp_timestamps", "0"), ("tcp_window_scaling", "0")];
    judge_lossy(&setup);
}

fn judge_lossy(setup: &Setup) {
    let (info, host) = bulk(setup);
    let tally = host.tally;
    assert!(tally.retransmissions > 0);
    // One in fifty is lost, more if a busy machine's queue overflows; no more than twice as many are
    // sent again.
    let missing = tally.data_segments.saturating_sub(u64::from(info.data_segments_in));
    assert!(tally.retransmissions <= 2 * missing + 20, "{missing} did not arrive: {tally:?}\n{info:?}");
    assert_eq!(tally.sack_blocks > 0, info.sack, "{tally:?}");
    if info.sack {
        // Nor does the kernel, which learns from our SACKs what has arrived: it sends again what did
        // not, be it that the link lost it or that a busy machine's queue overflowed.
        let arrived = host.stats.totals.data_segments_received;
        let missing = u64::from(info.data_segments_out).saturating_sub(arrived);
        assert!(
            u64::from(info.retransmitted) <= missing + missing / 4 + 10,
            "{missing} did not arrive: {info:?}"
        );
        assert!(info.dsacks * 10 <= info.retransmitted, "{info:?}");
    }
}

fn kernel_closes_its_window() {
    let mut setup = Setup::new(14);
    setup.sysctls = vec![("tcp_rmem", "4096 16384 16384")];
    let plan = Plan { to_send: 300_000, answers: false, close: Close::First };
    let kernel = |end: KernelEnd| {
        let stream = end.open();
        thread::sleep(Duration::from_millis(1_500));
        receive(&stream, 300_000);
        expect_end(&stream);
    };
    in_network(&setup, Application::new(plan), kernel, |host, _| {
        host.run_for(Duration::from_millis(1_300));
        let stats = host.connection.stats().expect("a connection");
        assert_eq!(stats.send_window, 0, "{}", host.describe());
        // After some 0.2, 0.6 and 1.4 s.
        assert!((1..=3).contains(&stats.totals.window_probes), "{}", host.describe());
        host.run_to_the_end();
        assert_eq!(host.connection.close_reason(), Some(CloseReason::Finished));
    });
}

fn our_window_closes_and_opens_again() {
    // One that cannot grow and one that could, whose window is told in units of a kilobyte.
    for (seed, max, unit) in [(15, 20_000, 1), (17, 32 << 20, 1_024)] {
        let mut setup = Setup::new(seed);
        setup.config.receive_buffer = BufferLimit { initial: 20_000, max };
        let plan = Plan { to_send: 0, answers: false, close: Close::Second };
        let kernel = |end: KernelEnd| {
            let stream = end.open();
            send(&stream, 300_000);
            stream.shutdown(Shutdown::Write).expect("the kernel closes");
            expect_end(&stream);
        };
        let mut application = Application::new(plan);
        application.reads = false;
        in_network(&setup, application, kernel, move |host, _| {
            host.run_for(Duration::from_millis(1_500));
            let stats = host.connection.stats().expect("a connection");
            assert!(stats.receive_window < unit, "{}", host.describe());
            assert_eq!(host.witness.tally.least_window, Some(0));
            assert!((20_000..20_000 + u64::from(unit)).contains(&stats.readable), "{}", host.describe());
            host.application.reads = true;
            host.run_to_the_end();
            assert_eq!(host.application.progress.received, 300_000);
            assert_eq!(host.connection.close_reason(), Some(CloseReason::Finished));
        });
    }
}

fn each_end_answers_the_others_keepalives() {
    let mut setup = Setup::new(16);
    setup.config.keepalive = Some(tcp_core::Keepalive {
        idle: tcp_core::Duration::from_millis(300),
        interval: tcp_core::Duration::from_millis(300),
        probes: 3,
    });
    let plan = Plan { to_send: 1_000, answers: false, close: Close::Second };
    let kernel = |end: KernelEnd| {
        let stream = end.open();
        sys::set_option(&stream, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1).expect("SO_KEEPALIVE");
        sys::set_option(&stream, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 1).expect("TCP_KEEPIDLE");
        sys::set_option(&stream, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 1).expect("TCP_KEEPINTVL");
        sys::set_option(&stream, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 1).expect("TCP_KEEPCNT");
        exchange(&stream, 1_000, 1_000);
        thread::sleep(Duration::from_millis(3_500));
    };
    in_network(&setup, Application::new(plan), kernel, |host, kernel| {
        host.run_until("the kernel's application", |_| kernel.is_finished());
        let totals = host.connection.stats().expect("a connection").totals;
        assert!((5..=12).contains(&totals.keepalive_probes), "{}", host.describe());
        host.run_to_the_end();
        assert_eq!(host.connection.close_reason(), Some(CloseReason::Finished), "{}", host.describe());
    });
}
