use super::*;
use crate::ConnConfig;
use crate::wire::SackBlocks;

/// Places for the initial sequence numbers: the wrap, and the change of sign, fall into the
/// handshake.
const PLACES: [u32; 7] = [0, 1_000, u32::MAX, u32::MAX - 1, u32::MAX - 2, 1 << 31, (1 << 31) - 1];

fn tuple() -> FourTuple {
    FourTuple::new("10.0.0.1:80".parse().unwrap(), "10.0.0.2:1000".parse().unwrap())
}

fn syn(irs: u32, options: Options) -> Segment<'static> {
    Segment {
        src_port: 1_000,
        dst_port: 80,
        seq: SeqNumber(irs),
        flags: Flags::SYN,
        window: 20_000,
        options,
        ..Segment::default()
    }
}

/// A client's segment behind its SYN: `seq` and `ack` count from both initial numbers.
fn segment<'a>(half_open: &HalfOpen, flags: Flags, seq: u32, ack: u32, payload: &'a [u8]) -> Segment<'a> {
    Segment { seq: half_open.irs + seq, ack: half_open.iss + ack, flags, payload, ..syn(0, Options::NONE) }
}

fn with_options(place: u32, options: Options, config: &ConnConfig) -> HalfOpen {
    let now = Instant::from_secs(1);
    let clock = Clock::new(now, 0);
    HalfOpen::new(now, &syn(place, options), SeqNumber(place ^ 0x8000), clock, 20, config)
}

fn everywhere(script: impl Fn(HalfOpen, &ConnConfig)) {
    let config = ConnConfig::default();
    for place in PLACES {
        script(with_options(place, Options::NONE, &config), &config);
    }
}

const NOW: Instant = Instant::from_secs(1);
const ACK: Flags = Flags::ACK;
const SYN: Flags = Flags::SYN;
const RST: Flags = Flags::RST;

#[test]
fn b18_the_syn_again_gets_the_same_syn_ack() {
    everywhere(|mut half_open, config| {
        let first = half_open.syn_ack(Instant::from_secs(1), &tuple());
        assert_eq!((first.seq, first.ack), (half_open.iss, half_open.irs + 1));
        assert_eq!(first.flags, SYN.union(ACK));
        let before = half_open;
        for _ in 0..100 {
            let again = syn(half_open.irs.0, Options::NONE);
            assert_eq!(half_open.on_segment(NOW, &again, config), Verdict::SynAck);
            assert_eq!(half_open.syn_ack(Instant::from_secs(1), &tuple()), first);
        }
        assert_eq!(half_open, before, "neither the timer nor the retries are touched");
    });
}

#[test]
fn b18_another_syn_is_challenged_within_a_limit_and_never_taken() {
    everywhere(|mut half_open, config| {
        let iss = half_open.iss;
        for (index, offset) in [1, 2, 500, 1 << 30, u32::MAX].into_iter().cycle().take(50).enumerate() {
            let verdict =
                half_open.on_segment(NOW, &segment(&half_open.clone(), SYN, offset, 0, b""), config);
            let expected = match index < 10 {
                true => Verdict::Challenge(DropReason::SynChallenged),
                false => Verdict::Drop(DropReason::SynChallenged),
            };
            assert_eq!(verdict, expected, "the {index}th");
        }
        let challenge = half_open.challenge_ack(Instant::from_secs(1), &tuple());
        assert_eq!((challenge.seq, challenge.ack, challenge.flags), (iss + 1, half_open.irs + 1, ACK));
        // The client's own handshake goes on.
        let third = segment(&half_open.clone(), ACK, 1, 1, b"");
        assert_eq!(half_open.on_segment(NOW, &third, config), Verdict::Promote);
    });
}

#[test]
fn b1_the_third_segment_promotes_with_data_or_without() {
    everywhere(|half_open, config| {
        for (flags, payload) in
            [(ACK, &b""[..]), (ACK, b"data"), (ACK.union(Flags::FIN), b"data"), (ACK.union(Flags::PSH), b"x")]
        {
            let third = segment(&half_open, flags, 1, 1, payload);
            assert_eq!(half_open.clone().on_segment(NOW, &third, config), Verdict::Promote);
        }
        // Data may overtake the bare ACK.
        let later = segment(&half_open, ACK, 1_001, 1, b"data");
        assert_eq!(half_open.clone().on_segment(NOW, &later, config), Verdict::Promote);
    });
}

#[test]
fn b7_an_exact_rst_forgets_and_no_other() {
    everywhere(|half_open, config| {
        let verdict = |seq| half_open.clone().on_segment(NOW, &segment(&half_open, RST, seq, 0, b""), config);
        assert_eq!(verdict(1), Verdict::Forget);
        assert_eq!(verdict(2), Verdict::Challenge(DropReason::ResetChallenged));
        assert_eq!(verdict(65_535), Verdict::Challenge(DropReason::ResetChallenged));
        assert_eq!(verdict(65_536), Verdict::Drop(DropReason::ResetOutOfWindow));
        assert_eq!(verdict(0), Verdict::Drop(DropReason::ResetOutOfWindow));
        assert_eq!(verdict(u32::MAX), Verdict::Drop(DropReason::ResetOutOfWindow));
    });
}

#[test]
fn an_ack_of_what_was_never_sent_is_reset() {
    everywhere(|half_open, config| {
        for ack in [0, 2, 1_000, 1 << 31] {
            let wrong = segment(&half_open, ACK, 1, ack, b"");
            let Verdict::Reset(reset) = half_open.clone().on_segment(NOW, &wrong, config) else {
                panic!("ACK {ack} was taken")
            };
            assert_eq!((reset.seq, reset.ack), (half_open.iss + ack, None));
        }
    });
}

#[test]
fn what_is_out_of_the_window_or_has_no_ack_promotes_nothing() {
    everywhere(|half_open, config| {
        let take =
            |flags, seq| half_open.clone().on_segment(NOW, &segment(&half_open, flags, seq, 1, b"x"), config);
        assert_eq!(take(ACK, 70_000), Verdict::Challenge(DropReason::OutOfWindow));
        assert_eq!(take(ACK, u32::MAX), Verdict::Challenge(DropReason::OutOfWindow));
        assert_eq!(take(Flags::PSH, 1), Verdict::Drop(DropReason::NoAck));
        assert_eq!(take(Flags::FIN, 1), Verdict::Drop(DropReason::NoAck));
    });
}

#[test]
fn an_old_timestamp_promotes_nothing() {
    let config = ConnConfig::default();
    for recent in [5u32, 0, u32::MAX] {
        let at = |value: u32| Options { timestamps: Some(Timestamps { value, echo: 0 }), ..Options::NONE };
        let mut half_open = with_options(1_000, at(recent), &config);
        let with = |options| Segment { options, ..segment(&half_open, ACK, 1, 1, b"") };
        let old = with(at(recent.wrapping_sub(1)));
        let (same, later) = (with(at(recent)), with(at(recent.wrapping_add(1))));
        let before = half_open;
        assert_eq!(half_open.on_segment(NOW, &old, &config), Verdict::Challenge(DropReason::OldTimestamp));
        for segment in [same, later] {
            assert_eq!(before.clone().on_segment(NOW, &segment, &config), Verdict::Promote);
        }
    }
}

#[test]
fn the_syn_ack_is_repeated_at_1_3_7_15_and_31_s_and_forgotten_at_63() {
    everywhere(|mut half_open, config| {
        let begin = Instant::from_secs(1);
        for at in [1, 3, 7, 15, 31] {
            let due = begin + Duration::from_secs(at);
            assert_eq!(half_open.deadline(), due);
            assert_eq!(half_open.on_timeout(due - Duration::from_nanos(1), config), Timeout::NotYet);
            assert_eq!(half_open.on_timeout(due, config), Timeout::SynAck);
        }
        let end = begin + Duration::from_secs(63);
        assert_eq!(half_open.on_timeout(end - Duration::from_nanos(1), config), Timeout::NotYet);
        assert_eq!(half_open.on_timeout(end, config), Timeout::Forget);
    });
}

#[test]
fn only_what_the_syn_offered_is_answered() {
    let config = ConnConfig::default();
    let now = Instant::from_secs(1);
    let bare = with_options(7, Options::NONE, &config);
    let options = bare.syn_ack(now, &tuple()).options;
    assert_eq!(options, Options { mss: Some(1_460), ..Options::NONE });
    assert_eq!(bare.negotiated.send_mss, 536, "RFC 9293 MUST-15");
    let all = Options {
        mss: Some(1_300),
        window_scale: Some(200),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 77, echo: 0 }),
        sack: SackBlocks::EMPTY,
        ..Options::NONE
    };
    let full = with_options(7, all, &config);
    assert_eq!(full.negotiated.send_mss, 1_300);
    assert_eq!(full.negotiated.shifts.map(|shifts| shifts.send), Some(14), "RFC 7323 §2.3");
    let answer = full.syn_ack(now, &tuple()).options;
    assert_eq!((answer.mss, answer.sack_permitted), (Some(1_460), true));
    assert!(answer.window_scale.is_some());
    assert_eq!(answer.timestamps.map(|timestamps| timestamps.echo), Some(77));
    let mut nothing = ConnConfig::default();
    (nothing.sack, nothing.timestamps, nothing.window_scaling) = (false, false, false);
    let declined = with_options(7, all, &nothing).syn_ack(now, &tuple()).options;
    assert_eq!(declined, Options { mss: Some(1_460), ..Options::NONE });
}

#[test]
fn the_value_is_small() {
    assert!(size_of::<HalfOpen>() <= 96, "{}", size_of::<HalfOpen>());
}

// req: 7323-PAWS6
#[test]
fn after_24_days_an_older_timestamp_is_no_sign_of_age() {
    let config = ConnConfig::default();
    let options = Options { timestamps: Some(Timestamps { value: 1_000, echo: 0 }), ..Options::NONE };
    let mut half_open = with_options(5_000, options, &config);
    let mut third = segment(&half_open, ACK, 1, 1, b"");
    third.options.timestamps = Some(Timestamps { value: 999, echo: 0 });
    let day = Duration::from_secs(24 * 3_600);
    assert_eq!(
        half_open.on_segment(NOW + day * 24, &third, &config),
        Verdict::Challenge(DropReason::OldTimestamp)
    );
    assert_eq!(half_open.on_segment(NOW + day * 25, &third, &config), Verdict::Promote);
}

// req: 7323-WS7
#[test]
fn the_window_of_a_challenge_is_scaled_and_rounded_up() {
    let config = ConnConfig::default();
    let options = Options { window_scale: Some(7), ..Options::NONE };
    let half_open = with_options(5_000, options, &config);
    assert_eq!(half_open.syn_ack(NOW, &tuple()).window, 65_535);
    assert_eq!(half_open.negotiated.receive_shift(), 10);
    assert_eq!(half_open.challenge_ack(NOW, &tuple()).window, 64);
}

// req: 9293-EV-10
#[test]
fn what_ends_before_the_window_is_not_acceptable() {
    everywhere(|half_open, config| {
        let old = segment(&half_open, ACK, 0u32.wrapping_sub(4), 1, b"12345");
        let verdict = half_open.clone().on_segment(NOW, &old, config);
        assert_eq!(verdict, Verdict::Challenge(DropReason::OutOfWindow));
        let reaching_in = segment(&half_open, ACK, 0u32.wrapping_sub(3), 1, b"12345");
        assert_eq!(half_open.clone().on_segment(NOW, &reaching_in, config), Verdict::Promote);
    });
}

// trap: 24
#[test]
fn a_third_segment_that_finds_no_place_is_as_good_the_next_time() {
    everywhere(|mut half_open, config| {
        // The accept queue is full: the listener does not follow the verdict, and nothing is lost.
        let third = segment(&half_open, ACK, 1, 1, b"");
        assert_eq!(half_open.on_segment(NOW, &third, config), Verdict::Promote);
        let before = half_open;
        let data = segment(&half_open, ACK, 1, 1, b"the client believes itself connected");
        assert_eq!(half_open.on_segment(NOW, &data, config), Verdict::Promote);
        assert_eq!(half_open, before, "the data was neither taken nor acknowledged");
        // The SYN-ACK goes out again, and the client's answer to it does as well as the first ACK.
        assert_eq!(half_open.on_timeout(half_open.deadline(), config), Timeout::SynAck);
        let again = half_open.syn_ack(NOW, &tuple());
        assert_eq!((again.seq, again.ack), (half_open.iss, half_open.irs + 1));
        assert_eq!(half_open.on_segment(NOW, &third, config), Verdict::Promote);
    });
}

// req: 7323-TS4
#[test]
fn a_challenge_carries_the_timestamp_that_was_agreed_on_and_nothing_of_a_syn() {
    let config = ConnConfig::default();
    let stamped = Some(Timestamps { value: 1_000, echo: 0 });
    let options = Options { mss: Some(1_000), sack_permitted: true, timestamps: stamped, ..Options::NONE };
    let half_open = with_options(5_000, options, &config);
    let timestamps = Some(Timestamps { value: half_open.clock.value(NOW), echo: 1_000 });
    let expected = Options { timestamps, ..Options::NONE };
    assert_eq!(half_open.challenge_ack(NOW, &tuple()).options, expected);
}
