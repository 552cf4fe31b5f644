//! A path that turns out to take less, with data in flight (trap 64).

use tcp_core::wire::{IcmpKind, Segment};
use tcp_core::{Disposition, DropReason, Duration, SendReason};
use tcp_sim::scripted::{Numbers, Scripted, every_wrap, plain_config};

fn established(numbers: Numbers) -> Scripted {
    let mut config = plain_config();
    config.sack = true;
    Scripted::established_with(config, numbers, ",sackOK")
}

// trap: 64
#[test]
fn what_is_too_big_is_cut_and_sent_again_at_once() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.write_len(4_300);
        assert_eq!(test.take_sent().len(), 5);
        let kind = IcmpKind::PacketTooBig { mtu: 640 };
        assert_eq!(test.inject_icmp(kind, 101), Disposition::Taken);
        // 600 bytes each; the last segment fits and is not sent again.
        let sent = test.take_sent();
        assert!(sent.iter().all(|sent| sent.reason == SendReason::PathMtu), "{sent:?}");
        let mut covered = 101;
        for sent in &sent {
            let segment = Segment::parse(&sent.bytes).unwrap();
            assert_eq!((segment.seq - numbers.local).0, covered);
            assert!(segment.payload.len() <= 600);
            let data: Vec<u8> =
                (covered - 101..).map(|index| (index % 251) as u8).take(segment.payload.len()).collect();
            assert_eq!(segment.payload, data);
            covered += segment.len();
        }
        assert_eq!(covered, 4_101);
        // No sign of congestion, and no burst of more bytes than before.
        let stats = test.stats();
        assert!(stats.congestion_window <= 10_000);
        assert_eq!((stats.in_recovery, stats.totals.timeouts, stats.backoff), (false, 0, 0));
        assert_eq!(stats.in_flight, 4_300);
        test.inject("[.] seq 5001 ack 4401");
        assert_eq!(test.stats().unacknowledged, 0);
        // From now on everything is cut so.
        test.write_len(1_200);
        test.expect("[.] seq 4401:5001");
        test.expect("[P.] seq 5001:5601");
    });
}

// trap: 64
#[test]
fn pieces_are_reported_and_lost_by_themselves() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.write_len(4_000);
        test.take_sent();
        test.inject_icmp(IcmpKind::PacketTooBig { mtu: 640 }, 101);
        assert_eq!(test.take_sent().len(), 7);
        // Edges of the new cut.
        test.inject("[.] seq 5001 ack 101 <sack 701:1301>");
        test.inject("[.] seq 5001 ack 101 <sack 701:1901>");
        test.inject("[.] seq 5001 ack 101 <sack 701:2501>");
        assert_eq!(test.stats().sacked, 1_800);
        let rto = test.stats().rto;
        test.advance(rto);
        test.expect("[.] seq 101:701");
        test.inject("[.] seq 5001 ack 4101");
        assert_eq!(test.stats().unacknowledged, 0);
        assert_eq!(test.stats().min_rtt, Some(Duration::ZERO), "what was sent twice is not measured");
    });
}

// trap: 64
#[test]
fn a_size_that_is_no_news_changes_nothing() {
    every_wrap(|numbers| {
        let mut test = established(numbers);
        test.write_len(2_000);
        test.take_sent();
        for mtu in [1_040, 1_500, 65_535] {
            let disposition = test.inject_icmp(IcmpKind::PacketTooBig { mtu }, 101);
            assert_eq!(disposition, Disposition::Dropped(DropReason::IcmpIgnored));
        }
        // Nor one about nothing in flight.
        let disposition = test.inject_icmp(IcmpKind::PacketTooBig { mtu: 600 }, 2_101);
        assert_eq!(disposition, Disposition::Dropped(DropReason::IcmpIgnored));
        // A tiny one is taken for the least that is believed.
        test.inject_icmp(IcmpKind::PacketTooBig { mtu: 68 }, 101);
        assert_eq!(test.stats().send_mss, 512);
        assert!(test.take_sent().iter().all(|sent| sent.reason == SendReason::PathMtu));
    });
}
