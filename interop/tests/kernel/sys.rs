//! What std has no words for: a network namespace, a TUN, waiting for it, and two socket options.
//!
//! All `unsafe` of this package stands here.

use std::fs::{File, OpenOptions};
use std::io;
use std::mem::size_of_val;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// Moves the calling thread, and what it starts from now on, into a network namespace of its own,
/// which vanishes with the last thread and socket in it.
pub(crate) fn enter_new_network() -> io::Result<()> {
    // SAFETY: no pointers; CLONE_NEWNET concerns the calling thread's networking only.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })
}

/// Makes a TUN in the calling thread's network: packets without any header before IP.
pub(crate) fn open_tun(name: &str) -> io::Result<File> {
    let tun =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    // SAFETY: a C structure of integers, for which zeros are a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    assert!(name.len() < request.ifr_name.len(), "the name of an interface is short");
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives until the call is over.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, &mut request) })?;
    Ok(tun)
}

/// Waits until `file` has something to read, at most so long.
pub(crate) fn wait_readable(file: &File, timeout: Duration) -> io::Result<()> {
    let mut poll = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: i32::try_from(timeout.subsec_nanos()).unwrap_or_default().into(),
    };
    // SAFETY: one `pollfd` and one `timespec`, both alive until the call is over; no signal mask.
    check(unsafe { libc::ppoll(&mut poll, 1, &timeout, std::ptr::null()) })
}

/// `SO_LINGER` with zero: closing discards what is unsent, and the peer gets a RST.
pub(crate) fn reset_on_close(socket: &TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = size_of_val(&linger) as libc::socklen_t;
    // SAFETY: reads one `linger` of the length that is given.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            length,
        )
    })
}

/// Options with an integer value.
pub(crate) fn set_option(socket: &TcpStream, level: i32, name: i32, value: i32) -> io::Result<()> {
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: reads one integer of the length that is given.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length) })
}

/// What the kernel thinks of a connection: `TCP_INFO`, of which these are some.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpInfo {
    pub(crate) timestamps: bool,
    pub(crate) sack: bool,
    pub(crate) window_scaling: bool,
    pub(crate) send_mss: u32,
    /// What it believes our segments to be; an odd value means odd segments.
    pub(crate) receive_mss: u32,
    pub(crate) rtt_micros: u32,
    pub(crate) reordering: u32,
    pub(crate) retransmitted: u32,
    pub(crate) segments_out: u32,
    pub(crate) segments_in: u32,
    pub(crate) data_segments_in: u32,
    pub(crate) data_segments_out: u32,
    /// How long our window held it up.
    pub(crate) window_limited_micros: u64,
    pub(crate) busy_micros: u64,
    /// D-SACKs it got: what it sent again needlessly.
    pub(crate) dsacks: u32,
    /// Times it saw our ACKs tell of reordering.
    pub(crate) reorderings_seen: u32,
    pub(crate) out_of_order_in: u32,
}

pub(crate) fn tcp_info(socket: &TcpStream) -> io::Result<TcpInfo> {
    // Larger than any kernel's `struct tcp_info` of today; what it does not fill stays zero.
    let mut bytes = [0u8; 512];
    let mut length = size_of_val(&bytes) as libc::socklen_t;
    // SAFETY: writes at most `length` bytes, which are `bytes`.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            bytes.as_mut_ptr().cast(),
            &mut length,
        )
    })?;
    let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let long = |at: usize| {
        let (low, high) = if cfg!(target_endian = "little") { (at, at + 4) } else { (at + 4, at) };
        u64::from(word(low)) | u64::from(word(high)) << 32
    };
    // Places in `struct tcp_info` of linux/tcp.h, which never change.
    Ok(TcpInfo {
        timestamps: bytes[5] & 1 != 0,
        sack: bytes[5] & 2 != 0,
        window_scaling: bytes[5] & 4 != 0,
        send_mss: word(16),
        receive_mss: word(20),
        rtt_micros: word(68),
        reordering: word(88),
        retransmitted: word(100),
        segments_out: word(136),
        segments_in: word(140),
        data_segments_in: word(152),
        data_segments_out: word(156),
        busy_micros: long(168),
        window_limited_micros: long(176),
        dsacks: word(216),
        reorderings_seen: word(220),
        out_of_order_in: word(224),
    })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
