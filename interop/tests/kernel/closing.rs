//! Every way to close: FIN from each side, both at once, half-closed; RST from each side, because of
//! lingering, unread data, or data for which nobody is left.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tcp_core::{CloseReason, Event, Linger, ReadError, State, WriteError};

use crate::bulk::{exchange, expect_end, receive, send};
use crate::common::application::{Application, Close, Plan};
use crate::host::{Host, KernelEnd, Setup, in_network};
use crate::sys;

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("we_close_first_and_wait", we_close_first_and_wait),
    ("the_kernel_closes_first_and_waits", the_kernel_closes_first_and_waits),
    ("both_close_at_once", both_close_at_once),
    ("the_kernel_goes_on_sending_after_our_fin", the_kernel_goes_on_sending_after_our_fin),
    ("we_go_on_sending_after_the_kernels_fin", we_go_on_sending_after_the_kernels_fin),
    ("closing_survives_loss", closing_survives_loss),
    ("the_kernel_resets_by_lingering_for_nothing", the_kernel_resets_by_lingering_for_nothing),
    ("we_reset_by_lingering_for_nothing", we_reset_by_lingering_for_nothing),
    ("the_kernel_closes_with_unread_data", the_kernel_closes_with_unread_data),
    ("we_close_with_unread_data", we_close_with_unread_data),
    ("data_after_the_kernel_has_closed_is_reset", data_after_the_kernel_has_closed_is_reset),
    ("data_after_we_have_closed_is_reset", data_after_we_have_closed_is_reset),
    ("the_kernel_refuses_a_closed_port", the_kernel_refuses_a_closed_port),
    ("we_refuse_once_we_are_closed", we_refuse_once_we_are_closed),
];

/// Each test in both roles and both families.
fn each(test: impl Fn(&Setup)) {
    (0..4).for_each(|seed| test(&Setup::new(seed)));
}

fn plan(to_send: usize, close: Close) -> Application {
    Application::new(Plan { to_send, answers: false, close })
}

#[track_caller]
fn assert_finished(host: &Host) {
    assert_eq!(host.connection.close_reason(), Some(CloseReason::Finished), "{}", host.describe());
    assert!(host.application.events.contains(Event::FLUSHED | Event::CLOSED), "{}", host.describe());
    assert_eq!((host.witness.tally.resets, host.witness.tally.peer_resets), (0, 0), "{}", host.describe());
}

/// The kernel's connection as `ip`'s friends would show it; none once it is gone.
fn kernel_states(ipv6: bool) -> Vec<String> {
    let table = std::fs::read_to_string(if ipv6 {
        "/proc/thread-self/net/tcp6"
    } else {
        "/proc/thread-self/net/tcp"
    });
    let table = table.expect("the table of connections");
    let state = |line: &str| line.split_whitespace().nth(3).map(str::to_owned);
    table.lines().skip(1).filter_map(state).filter(|state| state != LISTEN).collect()
}

/// States in `/proc/net/tcp`.
const TIME_WAIT: &str = "06";
const LISTEN: &str = "0A";

fn we_close_first_and_wait() {
    each(|setup| {
        let kernel = |end: KernelEnd| {
            let stream = end.open();
            receive(&stream, 5_000);
            expect_end(&stream);
        };
        let ipv6 = setup.ipv6;
        in_network(setup, plan(5_000, Close::First), kernel, move |host, kernel| {
            host.run_until("the kernel's application", |_| kernel.is_finished());
            host.run_to_the_end();
            assert_eq!(host.connection.state(), State::TimeWait);
            assert_finished(host);
            assert_eq!(host.witness.tally.fins, 1);
            host.run_for(Duration::from_millis(20));
            assert_eq!(kernel_states(ipv6), Vec::<String>::new(), "our last ACK has arrived");
        });
    });
}

fn the_kernel_closes_first_and_waits() {
    each(|setup| {
        let kernel = |end: KernelEnd| send(&end.open(), 5_000);
        let ipv6 = setup.ipv6;
        in_network(setup, plan(0, Close::Second), kernel, move |host, _| {
            host.run_to_the_end();
            assert_eq!(host.connection.state(), State::Closed);
            assert_eq!(host.application.progress.received, 5_000);
            assert_finished(host);
            assert_eq!(kernel_states(ipv6), [TIME_WAIT]);
        });
    });
}

fn both_close_at_once() {
    each(|setup| {
        let mut setup = setup.clone();
        // Long enough that both FINs are under way before either arrives.
        setup.delay = Duration::from_millis(25);
        let closed = Arc::new(AtomicBool::new(false));
        let says_so = Arc::clone(&closed);
        let kernel = move |end: KernelEnd| {
            let stream = end.open();
            exchange(&stream, 1_000, 1_000);
            stream.shutdown(Shutdown::Write).expect("the kernel closes");
            says_so.store(true, Ordering::Release);
            expect_end(&stream);
        };
        let ipv6 = setup.ipv6;
        in_network(&setup, plan(1_000, Close::Never), kernel, move |host, kernel| {
            host.run_until("the kernel's FIN is under way", |_| closed.load(Ordering::Acquire));
            host.application.plan.close = Close::First;
            host.run_until("FIN-WAIT-1", |host| host.connection.state() == State::FinWait1);
            host.run_until("CLOSING", |host| host.connection.state() == State::Closing);
            host.run_to_the_end();
            assert_eq!(host.connection.state(), State::TimeWait);
            host.run_until("the kernel's application", |_| kernel.is_finished());
            assert_finished(host);
            assert_eq!(host.application.progress.received, 1_000);
            host.run_for(Duration::from_millis(60));
            assert_eq!(kernel_states(ipv6), [TIME_WAIT]);
        });
    });
}

fn the_kernel_goes_on_sending_after_our_fin() {
    each(|setup| {
        let kernel = |end: KernelEnd| {
            let stream = end.open();
            receive(&stream, 1_000);
            expect_end(&stream);
            send(&stream, 300_000);
        };
        in_network(setup, plan(1_000, Close::First), kernel, |host, _| {
            host.run_until("FIN-WAIT-2", |host| host.connection.state() == State::FinWait2);
            host.run_to_the_end();
            assert_eq!(host.connection.state(), State::TimeWait);
            assert_eq!(host.application.progress.received, 300_000);
            assert_finished(host);
        });
    });
}

fn we_go_on_sending_after_the_kernels_fin() {
    each(|setup| {
        let kernel = |end: KernelEnd| {
            let stream = end.open();
            send(&stream, 1_000);
            stream.shutdown(Shutdown::Write).expect("the kernel closes");
            receive(&stream, 300_000);
            expect_end(&stream);
        };
        let application = Application::new(Plan { to_send: 300_000, answers: true, close: Close::Second });
        in_network(setup, application, kernel, |host, _| {
            host.run_to_the_end();
            assert_eq!(host.connection.state(), State::Closed);
            assert_eq!(host.application.progress.received, 1_000);
            assert_finished(host);
        });
    });
}

fn closing_survives_loss() {
    for seed in [0, 3, 5, 6] {
        let mut setup = Setup::new(seed);
        setup.loss = 250;
        let kernel = move |end: KernelEnd| {
            let stream = end.open();
            exchange(&stream, 1_000, 1_000);
            if seed & 4 == 0 {
                expect_end(&stream);
            }
        };
        let close = if seed & 4 == 0 { Close::First } else { Close::Second };
        in_network(&setup, plan(1_000, close), kernel, |host, _| {
            host.run_to_the_end();
            assert_finished(host);
        });
    }
}

fn the_kernel_resets_by_lingering_for_nothing() {
    each(|setup| {
        let kernel = |end: KernelEnd| {
            let stream = end.open();
            exchange(&stream, 1_000, 1_000);
            sys::reset_on_close(&stream).expect("SO_LINGER");
        };
        let ipv6 = setup.ipv6;
        in_network(setup, plan(1_000, Close::Never), kernel, move |host, _| {
            host.run_to_the_end();
            assert_eq!(host.connection.close_reason(), Some(CloseReason::Reset), "{}", host.describe());
            assert_eq!(host.application.progress.received, 1_000);
            let now = host.now();
            let read = host.connection.read(now, &mut [0; 10]);
            assert_eq!(read, Err(ReadError::Closed(CloseReason::Reset)));
            let written = host.connection.write(now, b"too late");
            assert_eq!(written, Err(WriteError::Closed(CloseReason::Reset)));
            assert_eq!(host.witness.tally.resets, 0, "a RST is not answered");
            assert_eq!(kernel_states(ipv6), Vec::<String>::new());
        });
    });
}

fn expect_reset(mut stream: &TcpStream) {
    let error = stream.read(&mut [0; 10]).expect_err("the connection was reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

fn we_reset_by_lingering_for_nothing() {
    each(|setup| {
        let mut setup = setup.clone();
        setup.config.linger = Linger::Reset;
        let kernel = |end: KernelEnd| {
            let stream = end.open();
            exchange(&stream, 1_000, 1_000);
            expect_reset(&stream);
        };
        in_network(&setup, plan(1_000, Close::Never), kernel, |host, _| {
            host.run_until("all data", |host| {
                let stats = host.connection.stats();
                host.application.progress.received == 1_000
                    && stats.is_some_and(|stats| stats.totals.bytes_acknowledged == 1_000)
            });
            let now = host.now();
            host.connection.close(now);
            assert_eq!(host.connection.close_reason(), Some(CloseReason::Aborted));
            host.run_for(Duration::from_millis(5));
            assert_eq!(host.witness.tally.resets, 1);
            assert_eq!(host.witness.tally.fins, 0);
        });
    });
}

fn the_kernel_closes_with_unread_data() {
    each(|setup| {
        let kernel = |end: KernelEnd| {
            let stream = end.open();
            send(&stream, 500);
            thread::sleep(Duration::from_millis(30));
            // Closes: our data has arrived, and nobody has read it.
            drop(stream);
        };
        in_network(setup, plan(1_000, Close::Never), kernel, |host, _| {
            host.run_to_the_end();
            assert_eq!(host.connection.close_reason(), Some(CloseReason::Reset), "{}", host.describe());
            assert_eq!(host.application.progress.received, 500, "what came before can be read");
            assert_eq!(host.witness.tally.peer_resets, 1);
        });
    });
}

fn we_close_with_unread_data() {
    each(|setup| {
        let kernel = |end: KernelEnd| {
            let stream = end.open();
            send(&stream, 1_000);
            expect_reset(&stream);
        };
        let mut application = plan(0, Close::Never);
        application.reads = false;
        let ipv6 = setup.ipv6;
        in_network(setup, application, kernel, move |host, kernel| {
            host.run_until("data", |host| {
                host.connection.stats().is_some_and(|stats| stats.readable == 1_000)
            });
            let now = host.now();
            host.connection.close(now);
            assert_eq!(host.connection.close_reason(), Some(CloseReason::Aborted));
            host.run_until("the kernel's application", |_| kernel.is_finished());
            assert_eq!((host.witness.tally.resets, host.witness.tally.fins), (1, 0));
            assert_eq!(kernel_states(ipv6), Vec::<String>::new());
        });
    });
}

fn data_after_the_kernel_has_closed_is_reset() {
    each(|setup| {
        let kernel = |end: KernelEnd| {
            let stream = end.open();
            receive(&stream, 1_000);
        };
        in_network(setup, plan(1_000, Close::Never), kernel, |host, _| {
            host.run_until("the kernel's FIN", |host| host.application.progress.end_of_stream);
            assert_eq!(host.connection.state(), State::CloseWait);
            host.application.plan.to_send = 2_000;
            host.run_to_the_end();
            let reason = host.connection.close_reason();
            assert_eq!(reason, Some(CloseReason::BrokenPipe), "{}", host.describe());
            assert_eq!(host.witness.tally.peer_resets, 1);
        });
    });
}

fn data_after_we_have_closed_is_reset() {
    each(|setup| {
        let kernel = |end: KernelEnd| {
            let mut stream = end.open();
            receive(&stream, 1_000);
            expect_end(&stream);
            // The first is answered with a RST, and a later one fails at once.
            stream.write_all(b"nobody reads this").expect("the kernel does not know yet");
            thread::sleep(Duration::from_millis(30));
            let error = stream.write_all(b"nor this").expect_err("the connection was reset");
            assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
        };
        in_network(setup, plan(1_000, Close::Never), kernel, |host, kernel| {
            host.run_until("data is acknowledged", |host| {
                let stats = host.connection.stats();
                stats.is_some_and(|stats| stats.totals.bytes_acknowledged == 1_000)
            });
            let now = host.now();
            host.connection.close(now);
            host.run_until("the kernel's application", |_| kernel.is_finished());
            assert_eq!(host.connection.state(), State::Closed);
            assert_eq!(host.connection.close_reason(), Some(CloseReason::Aborted));
            assert_eq!(host.witness.tally.resets, 1, "{}", host.describe());
        });
    });
}

fn the_kernel_refuses_a_closed_port() {
    for ipv6 in [false, true] {
        let mut setup = Setup::new(u64::from(ipv6));
        setup.we_connect = true;
        let kernel = |end: KernelEnd| drop(end);
        in_network(&setup, plan(0, Close::Never), kernel, |host, kernel| {
            while !kernel.is_finished() {
                thread::sleep(Duration::from_millis(1));
            }
            host.run_to_the_end();
            assert_eq!(host.connection.close_reason(), Some(CloseReason::Refused), "{}", host.describe());
            assert!(host.elapsed() < Duration::from_millis(500), "at once");
        });
    }
}

fn we_refuse_once_we_are_closed() {
    for ipv6 in [false, true] {
        let mut setup = Setup::new(u64::from(ipv6));
        setup.we_connect = false;
        let kernel = |end: KernelEnd| {
            let KernelEnd::Connects(ours) = end else { panic!("the kernel connects") };
            let error = TcpStream::connect(ours).expect_err("nobody listens");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        };
        in_network(&setup, plan(0, Close::Never), kernel, |host, kernel| {
            let now = host.now();
            host.connection.close(now);
            host.run_until("the kernel's application", |_| kernel.is_finished());
            assert_eq!(host.witness.tally.resets, 1);
        });
    }
}
