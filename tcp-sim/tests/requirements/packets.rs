//! Whole packets, over IPv4 and IPv6: checksums, options as they may stand, IP fields (RFC 9293 §3.1,
//! §3.2, §3.9.1, §3.9.2).

use std::net::{IpAddr, SocketAddr};

use crate::ends::{Ends, Packet, V4, V6, connect, ip_header_len, listen, tcp};
use tcp_core::wire::{IpHeader, checksum};
use tcp_core::{
    ConnConfig, ConnectError, Connection, Disposition, DropReason, Duration, Instant, Linger, Seed, State,
};

const SECOND: Duration = Duration::from_secs(1);

/// The Internet checksum as RFC 1071 defines it, written without looking at ours.
fn ones_complement_sum(bytes: impl Iterator<Item = u8>) -> u16 {
    let mut sum = 0u32;
    for (index, byte) in bytes.enumerate() {
        sum += if index % 2 == 0 { u32::from(byte) << 8 } else { u32::from(byte) };
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (sum & 0xffff) as u16
}

fn assert_checksums(packet: &Packet) {
    let header = ip_header_len(packet);
    let (ip, tcp) = packet.split_at(header);
    let length = u32::try_from(tcp.len()).expect("short");
    let addresses = if header == 20 {
        assert_eq!(ones_complement_sum(ip.iter().copied()), 0xffff, "IP header");
        assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), packet.len());
        &ip[12..20]
    } else {
        assert_eq!(usize::from(u16::from_be_bytes([ip[4], ip[5]])), tcp.len());
        &ip[8..40]
    };
    let pseudo = addresses.iter().copied().chain(length.to_be_bytes()).chain([0, 0, 0, 6]);
    assert_eq!(
        ones_complement_sum(pseudo.chain(tcp.iter().copied())),
        0xffff,
        "{:?}",
        crate::ends::tcp(packet)
    );
}

/// A conversation with all kinds of segments: both ways, odd and even lengths, a loss, a close; then
/// one that is refused, and one that is aborted. Gives all packets.
fn conversation(texts: [&str; 2], config: &ConnConfig) -> Vec<Packet> {
    let mut all = Vec::new();
    let mut ends = Ends::connected(texts, config.clone());
    for length in [1, 2, 3, 1_447, 1_448, 5_000, 40_001] {
        for side in 0..2 {
            ends.ends[side].write(ends.now, &vec![length as u8; length]).expect("room");
            ends.advance(SECOND);
            assert_eq!(ends.read(1 - side).len(), length);
            ends.advance(SECOND);
        }
    }
    ends.ends[0].write(ends.now, &[1; 100]).expect("room");
    ends.drain();
    ends.lose();
    ends.advance(SECOND * 5);
    assert_eq!(ends.read(1).len(), 100);
    ends.ends[0].close(ends.now);
    ends.advance(SECOND);
    ends.ends[1].close(ends.now);
    ends.advance(SECOND);
    assert_eq!([ends.ends[0].state(), ends.ends[1].state()], [State::TimeWait, State::Closed]);
    all.extend(ends.sent.concat());

    let mut refused = Ends::new(texts, [config.clone(), config.clone()]);
    refused.ends[1].close(refused.now);
    refused.run();
    assert_eq!(refused.ends[0].state(), State::Closed);
    all.extend(refused.sent.concat());

    let mut aborted = Ends::connected(texts, config.clone());
    aborted.ends[0].abort(aborted.now);
    aborted.run();
    all.extend(aborted.sent.concat());
    all
}

fn with(change: impl FnOnce(&mut ConnConfig)) -> ConnConfig {
    let mut config = ConnConfig::default();
    change(&mut config);
    config
}

// req: MUST-2
#[test]
fn every_packet_carries_right_checksums() {
    let bare = with(|config| {
        (config.timestamps, config.sack, config.window_scaling) = (false, false, false);
    });
    for texts in [V4, V6] {
        for config in [ConnConfig::default(), bare.clone()] {
            let packets = conversation(texts, &config);
            assert!(packets.len() > 50);
            packets.iter().for_each(assert_checksums);
            let lengths: Vec<usize> = packets.iter().map(|packet| tcp(packet).payload().len()).collect();
            for parity in 0..2 {
                assert!(lengths.iter().any(|length| *length > 0 && length % 2 == parity));
            }
            assert!(lengths.contains(&0));
        }
    }
}

// req: MUST-3
#[test]
fn a_segment_with_a_wrong_bit_has_no_effect() {
    for texts in [V4, V6] {
        let mut ends = Ends::connected(texts, ConnConfig::default());
        ends.ends[0].write(ends.now, b"some data").expect("room");
        ends.drain();
        let good = ends.wires[1].pop_front().expect("data");
        let header = ip_header_len(&good);
        let source = if header == 20 { 12..16 } else { 8..24 };
        let mut counted = 0;
        ends.ends[1].poll_event();
        for at in source.chain(header..good.len()) {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                if header == 20 {
                    // The IP header's own checksum is not what is tested here.
                    bad[10..12].fill(0);
                    let sum = !ones_complement_sum(bad[..20].iter().copied());
                    bad[10..12].copy_from_slice(&sum.to_be_bytes());
                }
                let digest = ends.ends[1].digest();
                let before = ends.ends[1].drops().get(DropReason::Checksum);
                let disposition = ends.ends[1].handle_packet(ends.now, &bad[..]);
                assert!(matches!(disposition, Disposition::Dropped(_)), "byte {at}, bit {bit}");
                counted += ends.ends[1].drops().get(DropReason::Checksum) - before;
                assert_eq!(ends.ends[1].digest(), digest, "byte {at}, bit {bit}");
                assert_eq!(ends.ends[1].poll_event(), None);
            }
        }
        assert!(counted > 200, "{counted} were counted as wrong checksums");
        ends.drain();
        assert!(ends.wires[0].is_empty());
        ends.ends[1].handle_packet(ends.now, &good[..]);
        assert_eq!(ends.read(1), b"some data");
    }
}

/// The packet of B that would come next, with these options and this payload.
fn with_options(ends: &Ends, template: &Packet, options: &[u8], payload: &[u8]) -> Packet {
    let header = ip_header_len(template);
    let mut tcp = template[header..header + 20].to_vec();
    tcp[12] = u8::try_from((20 + options.len()) / 4).expect("fits") << 4;
    tcp.extend_from_slice(options);
    tcp.extend_from_slice(payload);
    let (src, dst) = (ends.addresses[1].ip(), ends.addresses[0].ip());
    checksum::fill_tcp(src, dst, &mut tcp);
    let mut packet = vec![0; header];
    IpHeader::new(src, dst).emit(tcp.len(), &mut packet).expect("room");
    packet.extend(tcp);
    packet
}

/// A in SYN-SENT, and the SYN-ACK that B would answer, to be given other options.
fn opening(texts: [&str; 2]) -> (Ends, Packet) {
    let mut ends = Ends::new(texts, [ConnConfig::default(), ConnConfig::default()]);
    ends.drain();
    ends.deliver(1);
    let syn_ack = ends.wires[0].pop_front().expect("a SYN-ACK");
    (ends, syn_ack)
}

// req: MUST-4, MUST-6, MUST-64, MUST-69
#[test]
fn options_of_a_syn_are_read_wherever_they_stand() {
    let cases: [(&[u8], u16, bool); 7] = [
        (&[1, 1, 2, 4, 3, 132, 0, 0], 900, false),
        // Kind 77 of ten bytes, then MSS.
        (&[77, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, 3, 132, 0, 0], 900, false),
        // MSS at an odd place.
        (&[1, 2, 4, 3, 132, 0, 0, 0], 900, false),
        // Timestamps first, without padding.
        (&[8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 2, 4, 3, 132, 0, 0], 900, true),
        // What stands behind the end of the list is no option.
        (&[0, 2, 4, 3, 132, 0, 0, 0], 536, false),
        (&[1, 0, 2, 4, 3, 132, 9, 9], 536, false),
        (&[], 536, false),
    ];
    for (options, mss, timestamps) in cases {
        let (mut ends, syn_ack) = opening(V4);
        let packet = with_options(&ends, &syn_ack, options, b"");
        assert_eq!(ends.ends[0].handle_packet(ends.now, &packet[..]), Disposition::Taken, "{options:?}");
        let stats = ends.ends[0].stats().expect("a connection");
        assert_eq!((stats.state, stats.send_mss), (State::Established, mss), "{options:?}");
        assert_eq!(stats.timestamps, timestamps, "{options:?}");
    }
}

// req: MUST-15
#[test]
fn without_an_mss_the_default_of_the_ip_version_is_used_on_any_link() {
    for (texts, default) in [(V4, 536), (V6, 1_220)] {
        let jumbo = with(|config| config.mtu = 9_000);
        let mut ends = Ends::new(texts, [jumbo.clone(), jumbo]);
        ends.drain();
        ends.deliver(1);
        let syn_ack = ends.wires[0].pop_front().expect("a SYN-ACK");
        let packet = with_options(&ends, &syn_ack, &[], b"");
        ends.ends[0].handle_packet(ends.now, &packet[..]);
        ends.ends[0].write(ends.now, &[1; 20_000]).expect("room");
        ends.drain();
        let largest = ends.sent[0].iter().map(|packet| tcp(packet).payload().len()).max();
        assert_eq!(largest, Some(default));
    }
}

// req: MUST-67, SHLD-5
#[test]
fn the_mss_announced_leaves_room_for_the_headers_of_the_ip_version() {
    for (texts, headers) in [(V4, 40), (V6, 60)] {
        for mtu in [1_280u16, 1_500, 9_000] {
            let config = with(|config| config.mtu = mtu);
            let ends = Ends::connected(texts, config);
            for side in 0..2 {
                let syn = &ends.sent[side][0];
                let announced = (mtu - headers).to_be_bytes();
                assert_eq!(tcp(syn).option_bytes()[..4], [2, 4, announced[0], announced[1]]);
            }
        }
    }
}

// req: MUST-5, MUST-6, MUST-65
#[test]
fn options_are_tolerated_on_every_segment() {
    let (mut ends, syn_ack) = opening(V4);
    let packet = with_options(&ends, &syn_ack, &[2, 4, 3, 232], b"");
    ends.ends[0].handle_packet(ends.now, &packet[..]);
    ends.drain();
    let mut next = 0u32;
    for options in [&[1, 1, 1, 1][..], &[200, 4, 9, 9], &[1, 1, 200, 2], &[2, 4, 0, 100], &[3, 3, 14, 0]] {
        let mut template = syn_ack.clone();
        let header = ip_header_len(&template);
        let seq = tcp(&syn_ack).seq() + 1 + next;
        template[header + 4..header + 8].copy_from_slice(&seq.0.to_be_bytes());
        template[header + 13] = 0x18;
        let packet = with_options(&ends, &template, options, b"abc");
        assert_eq!(ends.ends[0].handle_packet(ends.now, &packet[..]), Disposition::Taken, "{options:?}");
        assert_eq!(ends.read(0), b"abc");
        next += 3;
    }
    let stats = ends.ends[0].stats().expect("a connection");
    assert_eq!((stats.send_mss, stats.send_window_scale), (1_000, None), "those belong to SYNs");
}

// req: MUST-7, 9293-EV-44
#[test]
fn malformed_lengths_drop_the_segment_and_nothing_else() {
    for options in [&[8, 0, 0, 0][..], &[8, 1, 0, 0], &[5, 40, 0, 0], &[2, 5, 3, 132], &[1, 1, 1, 2]] {
        let (mut ends, syn_ack) = opening(V4);
        let packet = with_options(&ends, &syn_ack, options, b"");
        let dropped = Disposition::Dropped(DropReason::BadOptions);
        assert_eq!(ends.ends[0].handle_packet(ends.now, &packet[..]), dropped, "{options:?}");
        assert_eq!(ends.ends[0].state(), State::SynSent);
    }
    // A length that is wrong for its kind alone: that option is passed over.
    let (mut ends, syn_ack) = opening(V4);
    let packet = with_options(&ends, &syn_ack, &[2, 3, 9, 1, 2, 4, 3, 132], b"");
    ends.ends[0].handle_packet(ends.now, &packet[..]);
    assert_eq!(ends.ends[0].stats().map(|stats| stats.send_mss), Some(900));
    // The data offset.
    for offset in [0u8, 4, 15] {
        let (mut ends, syn_ack) = opening(V4);
        let mut packet = with_options(&ends, &syn_ack, &[], b"");
        packet[20 + 12] = offset << 4;
        let (src, dst) = (ends.addresses[1].ip(), ends.addresses[0].ip());
        checksum::fill_tcp(src, dst, &mut packet[20..]);
        let digest = ends.ends[0].digest();
        let dropped = Disposition::Dropped(DropReason::DataOffset);
        assert_eq!(ends.ends[0].handle_packet(ends.now, &packet[..]), dropped, "{offset}");
        assert_eq!(ends.ends[0].digest(), digest);
    }
}

// req: MUST-68, MUST-69, MUST-65, 9293-EV-43
#[test]
fn what_we_send_is_well_formed() {
    for texts in [V4, V6] {
        for packet in conversation(texts, &ConnConfig::default()) {
            let segment = tcp(&packet);
            assert_eq!(segment.reserved(), 0);
            let mut options = segment.option_bytes();
            while let [kind, rest @ ..] = options {
                match *kind {
                    0 => {
                        assert!(rest.iter().all(|byte| *byte == 0), "{segment:?}");
                        break;
                    }
                    1 => options = rest,
                    kind => {
                        assert!(kind != 2 || segment.flags().syn(), "{segment:?}");
                        let length = usize::from(rest[0]);
                        assert!(length >= 2 && length <= options.len(), "{segment:?}");
                        options = &options[length..];
                    }
                }
            }
        }
    }
}

// req: 9293-EV-43
#[test]
fn reserved_bits_are_ignored() {
    let mut ends = Ends::connected(V4, ConnConfig::default());
    ends.ends[1].write(ends.now, b"abc").expect("room");
    ends.drain();
    let mut packet = ends.wires[0].pop_front().expect("data");
    packet[20 + 12] |= 0x0e;
    let (src, dst) = (ends.addresses[1].ip(), ends.addresses[0].ip());
    checksum::fill_tcp(src, dst, &mut packet[20..]);
    assert_eq!(ends.ends[0].handle_packet(ends.now, &packet[..]), Disposition::Taken);
    assert_eq!(ends.read(0), b"abc");
}

// req: MUST-43, MUST-45
#[test]
fn the_local_address_is_the_callers_and_stays() {
    for local in ["10.0.0.1:40001", "10.0.0.9:40001", "192.168.1.7:40001"] {
        for packet in conversation([local, V4[1]], &ConnConfig::default()) {
            let expected: SocketAddr = local.parse().expect("an address");
            let IpAddr::V4(address) = expected.ip() else { panic!("IPv4") };
            let ours = tcp(&packet).src_port() == 40_001;
            let at = if ours { 12..16 } else { 16..20 };
            assert_eq!(packet[at], address.octets());
        }
    }
}

// req: MUST-48, SHLD-22, MUST-49
#[test]
fn every_packet_carries_the_code_point_and_the_hop_limit_asked_for() {
    for texts in [V4, V6] {
        let config = with(|config| (config.dscp, config.hop_limit) = (46, 7));
        for packet in conversation(texts, &config) {
            if packet[0] >> 4 == 4 {
                assert_eq!((packet[1], packet[8]), (46 << 2, 7), "{:?}", tcp(&packet));
            } else {
                let class = packet[0] << 4 | packet[1] >> 4;
                assert_eq!((class, packet[7]), (46 << 2, 7), "{:?}", tcp(&packet));
            }
        }
    }
    assert_eq!(with(|config| config.dscp = 64).check(), Err(tcp_core::ConfigError::Dscp));
}

// req: SHLD-21
#[test]
fn the_code_point_can_change_in_mid_connection() {
    let mut ends = Ends::connected(V4, ConnConfig::default());
    assert_eq!(ends.sent[0].last().expect("the third segment")[1], 0);
    ends.ends[0].set_config(ends.now, with(|config| config.dscp = 10)).expect("it works");
    ends.ends[0].write(ends.now, b"x").expect("room");
    ends.drain();
    assert_eq!(ends.sent[0].last().expect("data")[1], 10 << 2);
}

// req: MAY-4
#[test]
fn packets_are_never_fragmented_so_their_identification_means_nothing() {
    for packet in conversation(V4, &ConnConfig::default()) {
        assert_eq!(packet[6] & 0x40, 0x40, "do not fragment");
    }
}

// req: MUST-50, MAY-10, MAY-11
#[test]
fn ip_options_are_passed_over() {
    let timestamp = [68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let record_route = [7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for options in [&[0x94, 4, 0, 0][..], &[1, 1, 1, 0], &timestamp, &record_route] {
        let mut ends = Ends::connected(V4, ConnConfig::default());
        ends.ends[1].write(ends.now, b"abc").expect("room");
        ends.drain();
        let packet = ends.wires[0].pop_front().expect("data");
        let packet = with_ip_options(&packet, options);
        assert_eq!(ends.ends[0].handle_packet(ends.now, &packet[..]), Disposition::Taken, "{options:?}");
        assert_eq!(ends.read(0), b"abc");
    }
}

fn with_ip_options(packet: &Packet, options: &[u8]) -> Packet {
    let mut new = packet[..20].to_vec();
    new.extend_from_slice(options);
    let header = new.len();
    new.extend_from_slice(&packet[20..]);
    new[0] = 0x40 | u8::try_from(header / 4).expect("fits");
    let length = u16::try_from(new.len()).expect("fits");
    new[2..4].copy_from_slice(&length.to_be_bytes());
    new[10..12].fill(0);
    let sum = !ones_complement_sum(new[..header].iter().copied());
    new[10..12].copy_from_slice(&sum.to_be_bytes());
    new
}

// req: MUST-46
#[test]
fn nobody_connects_to_an_address_that_is_no_hosts() {
    let connect = |local: &str, remote: &str| {
        let [local, remote] = crate::ends::addresses([local, remote]);
        Connection::connect(Instant::ZERO, local, remote, ConnConfig::default(), &Seed::for_test(1)).err()
    };
    for remote in ["224.0.0.1:80", "255.255.255.255:80", "0.0.0.0:80", "240.1.2.3:80"] {
        assert_eq!(connect("10.0.0.1:5", remote), Some(ConnectError::InvalidRemoteAddress), "{remote}");
    }
    for remote in ["[ff02::1]:80", "[::]:80"] {
        assert_eq!(connect("[2001:db8::1]:5", remote), Some(ConnectError::InvalidRemoteAddress), "{remote}");
    }
    for local in ["224.0.0.1:5", "255.255.255.255:5", "0.0.0.0:5"] {
        assert_eq!(connect(local, "10.0.0.2:80"), Some(ConnectError::InvalidLocalAddress), "{local}");
    }
}

// req: MUST-57, MUST-63
// trap: 19
#[test]
fn segments_from_or_to_no_single_host_are_dropped_in_silence() {
    let local: [&[&str]; 2] = [&["255.255.255.255", "224.0.0.5", "0.0.0.0"], &["ff02::1", "::", "ff0e::5"]];
    let bad: [&[&str]; 2] = [
        &["0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"],
        &["::", "ff02::1"],
    ];
    for (family, texts) in [V4, V6].into_iter().enumerate() {
        let good = crate::ends::addresses(texts);
        let mut cases: Vec<(IpAddr, IpAddr)> = Vec::new();
        cases.extend(bad[family].iter().map(|text| (text.parse().expect("an address"), good[1].ip())));
        cases.extend(local[family].iter().map(|text| (good[0].ip(), text.parse().expect("an address"))));
        for (src, dst) in cases {
            for line in ["[S] seq 5 win 9", "[.] seq 5 ack 6 win 9", "[F] seq 5 win 9"] {
                for closed in [false, true] {
                    let mut end = listen(Instant::ZERO, good[1], ConnConfig::default(), 1);
                    if closed {
                        end.close(Instant::ZERO);
                    }
                    let text = format!("{} > {} {line}", SocketAddr::new(src, 9), SocketAddr::new(dst, 80));
                    let bytes = text.parse::<tcp_core::wire::SegmentText>().expect("a line").to_bytes();
                    let mut packet = vec![0; if src.is_ipv4() { 20 } else { 40 }];
                    IpHeader::new(src, dst).emit(bytes.len(), &mut packet).expect("room");
                    packet.extend(bytes);
                    let disposition = end.handle_packet(Instant::ZERO, &packet[..]);
                    assert!(matches!(disposition, Disposition::Dropped(_)), "{text}");
                    let mut buf = [0; 1_500];
                    let sent = end.poll_transmit(Instant::ZERO, &tcp_core::TxCaps::default(), &mut buf);
                    assert_eq!(sent, None, "{text}");
                }
            }
        }
    }
}

// req: MUST-49, MUST-48
#[test]
fn the_rst_of_a_lingering_close_carries_them_too() {
    let config = with(|config| {
        (config.dscp, config.hop_limit, config.linger) = (46, 7, Linger::Reset);
    });
    let mut ends = Ends::connected(V4, config);
    ends.ends[0].close(ends.now);
    ends.drain();
    let rst = ends.sent[0].last().expect("a RST");
    assert!(tcp(rst).flags().rst());
    assert_eq!((rst[1], rst[8]), (46 << 2, 7));
    // And an active open of another family is refused before anything is sent.
    let [v4, _] = crate::ends::addresses(V4);
    let [_, v6] = crate::ends::addresses(V6);
    let mixed = Connection::connect(ends.now, v4, v6, ConnConfig::default(), &Seed::for_test(1)).err();
    assert_eq!(mixed, Some(ConnectError::AddressFamily));
    drop(connect(ends.now, v4, ends.addresses[1], ConnConfig::default(), 1));
}
