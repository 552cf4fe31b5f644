use super::*;

// req: LNX-TW-5
#[test]
fn a_record_takes_at_most_64_bytes() {
    assert!(size_of::<TimeWait>() <= 64, "{}", size_of::<TimeWait>());
}
