//! The rows of `docs/requirements.md` and `docs/traps.md`, proved on one connection by a peer that is
//! played by hand, or by a second connection. Each test names its rows in a mark above it.

mod blind_attacks;
mod contract;
mod ends;
mod event_closed_listen;
mod event_sequence;
mod event_syn_sent;
mod fin;
mod giving_up;
mod icmp;
mod icmp_errors;
mod idle_timers;
mod known_problems;
mod linux_buffers;
mod linux_closing;
mod linux_data;
mod linux_opening;
mod linux_sizes;
mod linux_timers;
mod linux_windows;
mod nagle;
mod new_reno;
mod packets;
mod path_mtu;
mod reassembly;
mod reopening;
mod retransmission_timer;
mod sack;
mod sending;
mod states_closing;
mod timestamps;
mod two_ends;
mod urgent;
mod urgent_data;
mod window_scale;
mod windows;
