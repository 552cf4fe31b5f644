use super::*;
use crate::{ConnConfig, Duration};

/// Places for RCV.NXT and SND.NXT: around the wrap and the change of sign.
const PLACES: [u32; 7] = [0, 5_000, u32::MAX, u32::MAX - 1, 1, 1 << 31, (1 << 31) - 1];

const NOW: Instant = Instant::from_secs(100);
const ACK: Flags = Flags::ACK;
const SYN: Flags = Flags::SYN;
const FIN: Flags = Flags::FIN;

fn time_wait(place: u32, ts_recent: Option<u32>) -> TimeWait {
    TimeWait {
        snd_nxt: SeqNumber(place ^ 0x4000),
        rcv_nxt: SeqNumber(place),
        window: 1_000,
        ts_recent,
        clock: Clock::new(NOW, 0),
        expires: NOW + Duration::from_secs(60),
        last_answer: None,
    }
}

/// A segment that stands `ahead` of RCV.NXT, and acknowledges everything.
fn segment<'a>(value: &TimeWait, flags: Flags, ahead: u32, payload: &'a [u8]) -> Segment<'a> {
    let ack = if flags.ack() { value.snd_nxt } else { SeqNumber(0) };
    Segment { seq: value.rcv_nxt + ahead, ack, flags, payload, ..Segment::default() }
}

fn with_timestamp(segment: Segment<'_>, value: u32) -> Segment<'_> {
    let timestamps = Some(Timestamps { value, echo: 0 });
    Segment { options: Options { timestamps, ..Options::NONE }, ..segment }
}

fn everywhere(script: impl Fn(TimeWait, &ConnConfig)) {
    for place in PLACES {
        script(time_wait(place, None), &ConnConfig::default());
    }
}

const BEFORE: fn(u32) -> u32 = |distance| 0u32.wrapping_sub(distance);

#[test]
fn e12_a_syn_above_the_old_sequence_is_a_new_connection() {
    everywhere(|value, config| {
        for ahead in [0, 1, 10_000, (1 << 31) - 1] {
            let verdict = value.clone().on_segment(NOW, &segment(&value, SYN, ahead, b""), config);
            assert_eq!(verdict, Verdict::Reuse { above: value.snd_nxt }, "{ahead} ahead");
        }
    });
}

#[test]
fn e12_a_syn_with_a_later_timestamp_is_a_new_connection_whatever_its_number() {
    let config = ConnConfig::default();
    for recent in [1_000, u32::MAX, 0, 1 << 31] {
        let value = time_wait(5_000, Some(recent));
        for ahead in [BEFORE(1), BEFORE(1_000_000), 0, 7] {
            let syn = with_timestamp(segment(&value, SYN, ahead, b""), recent.wrapping_add(1));
            let verdict = value.clone().on_segment(NOW, &syn, &config);
            assert_eq!(verdict, Verdict::Reuse { above: value.snd_nxt });
        }
        // The same time: the number decides.
        let same = |ahead| with_timestamp(segment(&value, SYN, ahead, b""), recent);
        assert!(matches!(value.clone().on_segment(NOW, &same(1), &config), Verdict::Reuse { .. }));
        assert_eq!(value.clone().on_segment(NOW, &same(BEFORE(1)), &config), Verdict::Ack);
    }
}

#[test]
fn e13_a_syn_that_proves_nothing_is_answered_with_an_ack() {
    everywhere(|value, config| {
        for ahead in [BEFORE(1), BEFORE(2), BEFORE(1 << 30)] {
            let verdict = value.clone().on_segment(NOW, &segment(&value, SYN, ahead, b""), config);
            assert_eq!(verdict, Verdict::Ack);
        }
        let syn_ack = segment(&value, SYN.union(ACK), 100, b"");
        assert_eq!(value.clone().on_segment(NOW, &syn_ack, config), Verdict::Ack, "no SYN of a new client");
    });
    // An older timestamp, with a higher number.
    let value = time_wait(5_000, Some(1_000));
    let old = with_timestamp(segment(&value, SYN, 100, b""), 999);
    assert_eq!(value.clone().on_segment(NOW, &old, &ConnConfig::default()), Verdict::Ack);
}

#[test]
fn e13_old_data_is_answered_and_changes_nothing() {
    everywhere(|mut value, config| {
        let expires = value.expires;
        for ahead in [BEFORE(100), BEFORE(5), 0, 500] {
            let data = segment(&value, ACK, ahead, b"data");
            assert_eq!(value.on_segment(NOW, &data, config), Verdict::Ack, "{ahead} ahead");
        }
        assert_eq!(value.expires, expires);
        let answer =
            value.ack(NOW, &FourTuple::new("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap()));
        assert_eq!((answer.seq, answer.ack, answer.flags), (value.snd_nxt, value.rcv_nxt, ACK));
    });
}

#[test]
fn e13_a_rst_is_ignored_or_ends_it_at_exactly_rcv_nxt() {
    let (linux, rfc) = (ConnConfig::linux(), ConnConfig::rfc());
    everywhere(|value, _| {
        for ahead in [0, 1, BEFORE(1), 500] {
            for flags in [Flags::RST, Flags::RST.union(ACK)] {
                let rst = segment(&value, flags, ahead, b"");
                let expected = if ahead == 0 { Verdict::Close } else { Verdict::Ignore };
                assert_eq!(value.clone().on_segment(NOW, &rst, &linux), expected);
                assert_eq!(value.clone().on_segment(NOW, &rst, &rfc), Verdict::Ignore);
            }
        }
    });
}

#[test]
fn e11_only_the_repeated_fin_starts_the_wait_again() {
    everywhere(|mut value, config| {
        let later = NOW + Duration::from_secs(50);
        let old_fin = segment(&value, FIN.union(ACK), BEFORE(500), b"");
        value.on_segment(later, &old_fin, config);
        value.on_segment(later, &segment(&value.clone(), ACK, 0, b""), config);
        assert_eq!(value.expires, NOW + Duration::from_secs(60));
        // With and without the last of the text.
        for (ahead, payload) in [(BEFORE(1), &b""[..]), (BEFORE(5), b"text")] {
            let fin = segment(&value.clone(), FIN.union(ACK), ahead, payload);
            assert_eq!(value.on_segment(later, &fin, config), Verdict::Ack);
            assert_eq!(value.expires, later + config.time_wait);
        }
    });
}

#[test]
fn two_ends_in_time_wait_do_not_keep_each_other_busy() {
    everywhere(|mut value, config| {
        let strange = segment(&value, ACK, BEFORE(7), b"");
        assert_eq!(value.on_segment(NOW, &strange, config), Verdict::Ack);
        for step in 1..50 {
            let at = NOW + Duration::from_millis(step * 10);
            assert_eq!(value.on_segment(at, &strange, config), Verdict::Ignore);
        }
        assert_eq!(value.on_segment(NOW + config.invalid_ack_interval, &strange, config), Verdict::Ack);
        // The ACK that any connection would take is not answered at all.
        let proper = segment(&value, ACK, 0, b"");
        let later = NOW + Duration::from_secs(10);
        assert_eq!(value.on_segment(later, &proper, config), Verdict::Ignore);
    });
}

// req: LNX-TW-5
#[test]
fn a_record_takes_at_most_64_bytes() {
    assert!(size_of::<TimeWait>() <= 64, "{}", size_of::<TimeWait>());
}

// req: 7323-PAWS5
#[test]
fn an_equal_timestamp_is_not_old() {
    let config = ConnConfig::default();
    let mut value = time_wait(5_000, Some(1_000));
    let same = with_timestamp(segment(&value, ACK, 0, b""), 1_000);
    assert_eq!(value.on_segment(NOW, &same, &config), Verdict::Ignore);
    let old = with_timestamp(segment(&value, ACK, 0, b""), 999);
    assert_eq!(value.on_segment(NOW, &old, &config), Verdict::Ack);
}
