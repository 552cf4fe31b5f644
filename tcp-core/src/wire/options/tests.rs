use super::*;
use crate::wire::{Flags, Segment};
use proptest::prelude::*;
use std::vec::Vec;

fn read(bytes: &[u8]) -> Vec<Result<TcpOption<'_>, Malformed>> {
    OptionIter::new(bytes).collect()
}

fn range(start: u32, end: u32) -> SeqRange {
    SeqRange::new(SeqNumber(start), SeqNumber(end))
}

fn emitted(options: &Options) -> Vec<u8> {
    let mut buf = [0xee; MAX_OPTIONS_LEN];
    let len = options.emit(&mut buf).unwrap();
    assert_eq!(len, options.encoded_len());
    buf[..len].to_vec()
}

// req: MUST-4
#[test]
fn end_of_list_no_operation_and_mss_are_understood() {
    let bytes = [1, 1, 2, 4, 0x03, 0x84, 0, 0];
    assert_eq!(Options::parse(&bytes).unwrap(), Options { mss: Some(900), ..Options::NONE });
    assert_eq!(
        read(&bytes),
        [
            Ok(TcpOption::Nop),
            Ok(TcpOption::Nop),
            Ok(TcpOption::Mss(900)),
            Ok(TcpOption::End { padding: &[0] })
        ]
    );
}

// req: MUST-6, 5925-1
#[test]
fn an_unknown_kind_is_skipped_by_its_length() {
    let mut bytes = std::vec![77, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, 0x05, 0xb4];
    assert_eq!(Options::parse(&bytes).unwrap().mss, Some(1460));
    assert_eq!(read(&bytes)[0], Ok(TcpOption::Unknown { kind: 77, data: &[1, 2, 3, 4, 5, 6, 7, 8] }));
    bytes = std::vec![29, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 19, 18];
    bytes.extend([9; 16]);
    bytes.extend([3, 3, 7]);
    assert_eq!(Options::parse(&bytes).unwrap(), Options { window_scale: Some(7), ..Options::NONE });
    assert_eq!(read(&bytes)[1], Ok(TcpOption::Md5(&[9; 16])));
}

// req: MUST-7
// trap: 29
#[test]
fn a2_a_length_of_zero_or_one_or_past_the_end_makes_the_options_malformed() {
    for bytes in [
        &[8, 0, 0, 0][..],
        &[8, 1, 0, 0],
        &[2, 4, 5],
        &[2],
        &[200, 2, 2, 255, 1, 1],
        &[1, 1, 8, 11, 0, 0, 0, 0, 0, 0, 0, 0],
        &[2, 4, 5, 180, 5, 40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(Options::parse(bytes), Err(Malformed::OptionLength), "{bytes:?}");
        assert_eq!(read(bytes).last(), Some(&Err(Malformed::OptionLength)), "{bytes:?}");
    }
}

// trap: 29
#[test]
fn a_wrong_length_for_a_known_kind_makes_that_option_be_ignored() {
    for bytes in [
        &[2, 3, 5, 3, 3, 7][..],
        &[2, 5, 5, 180, 0, 3, 3, 7],
        &[4, 3, 0, 3, 3, 7],
        &[3, 2, 3, 4, 7, 7, 3, 3, 7],
        &[8, 9, 0, 0, 0, 1, 0, 0, 0, 3, 3, 7],
        &[5, 2, 3, 3, 7],
        &[5, 9, 0, 0, 0, 1, 0, 0, 0, 3, 3, 7],
        &[28, 3, 0, 3, 3, 7],
        &[34, 5, 1, 2, 3, 3, 3, 7],
        &[34, 7, 1, 2, 3, 4, 5, 3, 3, 7],
        &[34, 4, 1, 2, 3, 3, 7],
    ] {
        let expected = Options { window_scale: Some(7), ..Options::NONE };
        assert_eq!(Options::parse(bytes), Ok(expected), "{bytes:?}");
        assert!(matches!(read(bytes)[0], Ok(TcpOption::Unknown { .. })), "{bytes:?}");
    }
}

// trap: 29
#[test]
fn of_an_option_that_is_there_twice_the_first_counts() {
    let options = Options::parse(&[
        2, 4, 0, 100, 2, 4, 0, 200, 3, 3, 1, 3, 3, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 8, 10, 0, 0, 0, 3, 0, 0,
        0, 4,
    ])
    .unwrap();
    assert_eq!((options.mss, options.window_scale), (Some(100), Some(1)));
    assert_eq!(options.timestamps, Some(Timestamps { value: 1, echo: 2 }));
    let options = Options::parse(&[
        5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 10, 0, 0, 0, 3, 0, 0, 0, 4, 34, 2, 34, 6, 1, 2, 3, 4, 28, 4, 0, 1,
        28, 4, 0, 2,
    ])
    .unwrap();
    assert_eq!(options.sack.as_slice(), [range(1, 2)]);
    assert_eq!(options.fast_open, Some(FastOpenCookie::REQUEST));
    assert_eq!(options.user_timeout.unwrap().value, 1);
}

// req: MUST-64
#[test]
fn options_need_not_be_aligned() {
    let bytes = [1, 2, 4, 5, 180, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9];
    let options = Options::parse(&bytes).unwrap();
    assert_eq!(options.mss, Some(1460));
    assert_eq!(options.timestamps, Some(Timestamps { value: 5, echo: 6 }));
    assert_eq!(options.sack.as_slice(), [range(1, 9)]);
}

#[test]
fn more_blocks_than_a_header_holds_are_no_option() {
    let mut bytes = std::vec![5, 42];
    bytes.extend([7; 40]);
    assert_eq!(read(&bytes), [Ok(TcpOption::Unknown { kind: 5, data: &[7; 40] })]);
    assert_eq!(Options::parse(&bytes), Ok(Options::NONE));
}

#[test]
fn timestamps_alone_are_read_alike_with_and_without_the_usual_alignment() {
    let usual = [1, 1, 8, 10, 0, 0, 0, 5, 0xff, 0, 0, 6];
    let other = [8, 10, 0, 0, 0, 5, 0xff, 0, 0, 6, 1, 1];
    let expected = Timestamps { value: 5, echo: 0xff00_0006 };
    assert_eq!(Options::parse(&usual), Ok(Options { timestamps: Some(expected), ..Options::NONE }));
    assert_eq!(Options::parse(&usual), Options::parse(&other));
    assert_eq!(emitted(&Options::parse(&other).unwrap()), usual);
}

// req: MUST-69
#[test]
fn what_follows_the_end_of_the_list_is_not_interpreted_and_written_as_zero() {
    assert_eq!(Options::parse(&[0, 2, 4, 5, 180]), Ok(Options::NONE));
    let mut buf = [0xee; 12];
    let list = [TcpOption::WindowScale(7), TcpOption::Mss(1460), TcpOption::End { padding: &[] }];
    assert_eq!(emit_options(&list, &mut buf), Some(8));
    assert_eq!(buf[..8], [3, 3, 7, 2, 4, 5, 180, 0]);
    assert_eq!(emit_options(&list[..1], &mut buf), Some(4));
    assert_eq!(buf[..4], [3, 3, 7, 0]);
}

// req: MUST-68
#[test]
fn the_options_of_a_syn_stand_in_the_order_that_linux_uses() {
    let mut options = Options {
        mss: Some(1460),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: 0x0102_0304, echo: 0 }),
        window_scale: Some(0),
        ..Options::NONE
    };
    assert_eq!(emitted(&options), [2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 0]);
    options.timestamps = None;
    assert_eq!(emitted(&options), [2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 0]);
    options.fast_open = FastOpenCookie::new(&[1, 2, 3, 4]);
    assert_eq!(emitted(&options)[12..], [34, 6, 1, 2, 3, 4, 1, 1]);
    options.fast_open = Some(FastOpenCookie::REQUEST);
    assert_eq!(emitted(&options)[12..], [34, 2, 1, 1]);
}

#[test]
fn beside_timestamps_there_is_room_for_three_blocks() {
    let all: SackBlocks = (1..=9).map(|n| range(n * 10, n * 10 + 5)).collect();
    assert_eq!(all.len(), 4);
    let mut options = Options { sack: all, ..Options::NONE };
    assert_eq!((options.encoded_len(), options.room_for_sack_blocks()), (36, 4));
    assert_eq!(emitted(&options)[..4], [1, 1, 5, 34]);
    options.timestamps = Some(Timestamps::default());
    assert_eq!((options.encoded_len(), options.room_for_sack_blocks()), (40, 3));
    assert_eq!(Options::parse(&emitted(&options)).unwrap().sack.as_slice(), &all.as_slice()[..3]);
}

#[test]
fn a_cookie_that_does_not_fit_is_left_out() {
    let options = Options {
        mss: Some(1460),
        sack_permitted: true,
        timestamps: Some(Timestamps::default()),
        window_scale: Some(7),
        user_timeout: Some(UserTimeout::from_secs(30)),
        fast_open: FastOpenCookie::new(&[7; 16]),
        ..Options::NONE
    };
    assert_eq!(Options::parse(&emitted(&options)), Ok(Options { fast_open: None, ..options }));
    let without_timeout = Options { user_timeout: None, ..options };
    assert_eq!(emitted(&without_timeout).len(), 40);
    assert_eq!(Options::parse(&emitted(&without_timeout)), Ok(without_timeout));
}

// req: 5482-4
#[test]
fn a_user_timeout_is_in_seconds_or_minutes_and_zero_is_ignored() {
    let seconds = Options { user_timeout: Some(UserTimeout::from_secs(30)), ..Options::NONE };
    assert_eq!(emitted(&seconds), [28, 4, 0, 30]);
    let minutes = Options { user_timeout: Some(UserTimeout::from_secs(600 * 60)), ..Options::NONE };
    assert_eq!(emitted(&minutes), [28, 4, 0x82, 0x58]);
    assert_eq!(Options::parse(&emitted(&minutes)).unwrap().user_timeout.unwrap().as_secs(), 36_000);
    assert_eq!(Options::parse(&[28, 4, 0x80, 0]), Ok(Options::NONE));
    assert_eq!(UserTimeout::from_secs(0).as_secs(), 1);
    assert_eq!(UserTimeout::from_secs(u64::MAX).value, UserTimeout::MAX_VALUE);
}

// req: 7413-2
#[test]
fn a_cookie_has_four_to_sixteen_bytes_an_even_number() {
    for len in 0..=20 {
        let valid = matches!(len, 0 | 4 | 6 | 8 | 10 | 12 | 14 | 16);
        assert_eq!(FastOpenCookie::new(&std::vec![1; len]).is_some(), valid, "{len}");
    }
}

// req: MUST-5, MUST-65, 7323-WS3, 7413-2
// trap: 29
#[test]
fn options_of_a_syn_are_ignored_on_other_segments_and_the_rest_is_not() {
    let options = Options {
        mss: Some(1460),
        sack_permitted: true,
        window_scale: Some(7),
        fast_open: Some(FastOpenCookie::REQUEST),
        timestamps: Some(Timestamps { value: 5, echo: 6 }),
        ..Options::NONE
    };
    let mut buf = [0; 64];
    for flags in [Flags::ACK, Flags::ACK | Flags::FIN, Flags::RST] {
        let segment = Segment { flags, options, ..Segment::default() };
        let len = segment.emit(&mut buf).unwrap();
        let expected = Options { timestamps: options.timestamps, ..Options::NONE };
        assert_eq!(Segment::parse(&buf[..len]).unwrap().options, expected);
    }
    let segment = Segment { flags: Flags::SYN, options, ..Segment::default() };
    let len = segment.emit(&mut buf).unwrap();
    assert_eq!(Segment::parse(&buf[..len]).unwrap().options, options);
}

#[test]
fn a_buffer_that_is_too_short_is_left_alone() {
    let options = Options { timestamps: Some(Timestamps::default()), ..Options::NONE };
    assert_eq!(options.emit(&mut [0; 11]), None);
    assert_eq!(Options { mss: Some(1), ..options }.emit(&mut [0; 15]), None);
    assert_eq!(emit_options(&[TcpOption::SackPermitted], &mut [0; 3]), None);
    assert_eq!(emit_options(&[TcpOption::Unknown { kind: 99, data: &[0; 254] }], &mut [0; 300]), None);
}

pub(in crate::wire) fn any_options() -> impl Strategy<Value = Options> {
    let blocks = proptest::collection::vec(any::<(u32, u32)>(), 0..=4)
        .prop_map(|blocks| blocks.into_iter().map(|(start, end)| range(start, end)).collect::<SackBlocks>());
    let cookie = proptest::collection::vec(any::<u8>(), 0..=16)
        .prop_filter_map("no cookie", |bytes| FastOpenCookie::new(&bytes));
    let timeout = (any::<bool>(), 1..=UserTimeout::MAX_VALUE).prop_map(|(minutes, value)| UserTimeout {
        granularity: if minutes { Granularity::Minutes } else { Granularity::Seconds },
        value,
    });
    let timestamps = any::<(u32, u32)>().prop_map(|(value, echo)| Timestamps { value, echo });
    (
        any::<Option<u16>>(),
        any::<Option<u8>>(),
        any::<bool>(),
        proptest::option::of(timestamps),
        blocks,
        proptest::option::of(cookie),
        proptest::option::of(timeout),
    )
        .prop_map(|(mss, window_scale, sack_permitted, timestamps, sack, fast_open, user_timeout)| {
            Options { mss, window_scale, sack_permitted, timestamps, sack, fast_open, user_timeout }
        })
}

/// Options as a peer might send them: well-formed ones, broken ones, and noise.
pub(in crate::wire) fn any_option_bytes() -> impl Strategy<Value = Vec<u8>> {
    let well_formed =
        (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..12)).prop_map(|(kind, data)| {
            let kinds = [2, 3, 4, 5, 8, 19, 28, 29, 34, 172, 174, 200];
            let mut bytes = std::vec![kinds[usize::from(kind) % kinds.len()], data.len() as u8 + 2];
            bytes.extend(data);
            bytes
        });
    let piece = prop_oneof![
        4 => well_formed,
        2 => Just(std::vec![1]),
        1 => Just(std::vec![8, 10, 0, 0, 0, 1, 0, 0, 0, 2]),
        1 => Just(std::vec![2, 4, 5, 180]),
        1 => proptest::collection::vec(any::<u8>(), 0..3),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| {
        let mut bytes = pieces.concat();
        bytes.truncate(MAX_OPTIONS_LEN);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    })
}

proptest! {
    // req: MUST-68
    #[test]
    fn a1_options_that_are_read_and_written_again_are_the_same_bytes(bytes in any_option_bytes()) {
        let list: Result<Vec<_>, _> = OptionIter::new(&bytes).collect();
        prop_assert_eq!(list.is_ok(), Options::parse(&bytes).is_ok());
        if let Ok(list) = list {
            let mut buf = [0xee; MAX_OPTIONS_LEN];
            let len = emit_options(&list, &mut buf).unwrap();
            prop_assert_eq!(&buf[..len], &bytes[..]);
        }
    }

    // req: MUST-68, MUST-69
    #[test]
    fn options_that_are_written_and_read_again_are_the_same(options in any_options()) {
        let bytes = emitted(&options);
        prop_assert!(bytes.len() % 4 == 0 && bytes.len() <= MAX_OPTIONS_LEN);
        let read = Options::parse(&bytes).unwrap();
        prop_assert!(read.sack.len() == options.sack.len().min(options.room_for_sack_blocks()));
        prop_assert_eq!(read.sack, options.sack.first(read.sack.len()));
        let fast_open = if read.fast_open.is_none() { None } else { options.fast_open };
        prop_assert_eq!(read, Options { sack: read.sack, fast_open, ..options });
        prop_assert!(fast_open == options.fast_open || options.encoded_len() > 20);
    }

    // req: MUST-7
    #[test]
    fn no_option_bytes_are_read_past_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(OptionIter::new(&bytes).count() <= bytes.len());
        let read = OptionIter::new(&bytes).find(Result::is_err);
        prop_assert_eq!(Options::parse(&bytes).is_err(), read.is_some());
    }
}
