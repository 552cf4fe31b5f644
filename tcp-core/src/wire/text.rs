//! Segments as lines of text that a person can read, and write.
//!
//! ```text
//! 10.0.0.1:40001 > 10.0.0.2:80 [S] seq 100 win 65535 <mss 1460,sackOK,TS 1 0,wscale 8>
//! [P.] seq 101:201 ack 5001 win 502 urg 5 <TS 5 6,sack 1001:3001 4001:5001> len 100
//! ```
//!
//! [`Segment`](super::Segment) and [`TcpPacket`](super::TcpPacket) print themselves like this, and
//! `SegmentText` reads it. `ack` is left out if it is zero and ACK is not set, `urg` if it is zero
//! and URG is not set, `len` and the end of `seq` if there is no data.

mod print;
