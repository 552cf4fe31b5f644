use super::*;
use crate::wire::Timestamps;
use core::mem::size_of;
use std::string::ToString;

fn syn_ack() -> Segment<'static> {
    Segment {
        src_port: 80,
        dst_port: 40001,
        seq: SeqNumber(100),
        ack: SeqNumber(5001),
        flags: Flags::SYN | Flags::ACK,
        window: 65535,
        options: Options {
            mss: Some(1460),
            sack_permitted: true,
            timestamps: Some(Timestamps { value: 1, echo: 2 }),
            window_scale: Some(8),
            ..Options::NONE
        },
        ..Segment::default()
    }
}

#[test]
fn a_segment_is_small_enough_to_be_copied() {
    assert_eq!(size_of::<Options>(), 80);
    assert_eq!(size_of::<Segment<'_>>(), 120);
}

#[test]
fn a_segment_prints_itself_on_one_line() {
    assert_eq!(syn_ack().to_string(), "[S.] seq 100 ack 5001 win 65535 <mss 1460,sackOK,TS 1 2,wscale 8>");
}
