//! What an observer sees: every segment, timer, loss and state, each with its reason.

use std::cell::RefCell;
use std::rc::Rc;

use tcp_core::wire::SegmentText;
use tcp_core::{
    ConnConfig, Connection, DropReason, Duration, Framing, Instant, LossReason, Record, RxMeta, Seed,
    SendReason, SeqNumber, State, TimerKind, TxCaps,
};

#[test]
fn an_observer_sees_each_segment_timer_loss_and_state_with_its_reason() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    let observer = move |_: Instant, record: &Record| log.borrow_mut().push(*record);
    let mut config = ConnConfig::default();
    config.replay.initial_sequence = Some(SeqNumber(100));
    config.timestamps = false;
    config.sack = false;
    let mut now = Instant::from_secs(1);
    let (here, there) = (([10, 0, 0, 1], 40_001).into(), ([10, 0, 0, 2], 80).into());
    let connection = Connection::connect(now, here, there, config, &Seed::for_test(1)).expect("it works");
    let mut connection = connection.with_observer(observer);
    let meta = RxMeta::new("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
    let mut caps = TxCaps::default();
    caps.framing = Framing::Segment;
    let mut buf = [0; 1_500];
    let mut step = |connection: &mut Connection<_>, now, line: &str| {
        if !line.is_empty() {
            let text: SegmentText = format!("10.0.0.2:80 > 10.0.0.1:40001 {line}").parse().expect("a line");
            connection.handle_segment(now, &meta, &text.to_bytes());
        }
        while connection.poll_transmit(now, &caps, &mut buf).is_some() {}
    };
    step(&mut connection, now, "");
    now += Duration::from_millis(30);
    step(&mut connection, now, "[S.] seq 5000 ack 101 win 60000 <mss 1000>");
    assert_eq!(connection.write(now, &[1; 3_000]), Ok(3_000));
    step(&mut connection, now, "");
    now = connection.poll_timeout().expect("a retransmission timer");
    connection.handle_timeout(now);
    step(&mut connection, now, "");
    step(&mut connection, now, "[R] seq 9000 win 0");
    step(&mut connection, now, "[F.] seq 5001 ack 3101 win 60000");

    let seen = seen.borrow();
    let saw = |wanted: &dyn Fn(&Record) -> bool| assert!(seen.iter().any(wanted), "{seen:#?}");
    saw(&|record| matches!(record, Record::Sent { reason: SendReason::Syn, range, .. } if range.len() == 1));
    saw(&|record| matches!(record, Record::State { from: State::SynSent, to: State::Established }));
    saw(&|record| matches!(record, Record::Sent { reason: SendReason::Data, .. }));
    saw(&|record| matches!(record, Record::Timer { kind: TimerKind::Retransmission }));
    saw(&|record| matches!(record, Record::Lost { reason: LossReason::Rto, range } if range.len() == 3_000));
    saw(
        &|record| matches!(record, Record::Sent { reason: SendReason::Rto, range, .. } if range.len() == 1_000),
    );
    saw(&|record| matches!(record, Record::Dropped { reason: DropReason::ResetChallenged }));
    saw(&|record| matches!(record, Record::State { from: State::Established, to: State::CloseWait }));
    let lines: Vec<String> = seen.iter().map(ToString::to_string).collect();
    assert!(lines.contains(&"state: SYN-SENT -> ESTABLISHED".to_owned()), "{lines:#?}");
    assert!(lines.contains(&"timer: retransmission".to_owned()), "{lines:#?}");
}

#[test]
fn a_round_trip_is_told_when_it_is_measured() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&seen);
    let observer = move |now: Instant, record: &Record| {
        if let Record::RoundTrip { sample } = record {
            log.borrow_mut().push((now, *sample));
        }
    };
    let now = Instant::from_secs(1);
    let (here, there) = (([10, 0, 0, 1], 40_001).into(), ([10, 0, 0, 2], 80).into());
    let seed = Seed::for_test(1);
    let client = Connection::connect(now, here, there, ConnConfig::default(), &seed).expect("it works");
    let mut client = client.with_observer(observer);
    let mut server = Connection::listen(now, there, ConnConfig::default(), &seed).expect("it works");
    let mut buf = [0; 1_500];
    for millis in [0, 25, 50, 75] {
        let now = now + Duration::from_millis(millis);
        let _ = client.write(now, b"x");
        while let Some(sent) = client.poll_transmit(now, &TxCaps::default(), &mut buf) {
            server.handle_packet(now, &buf[..sent.len]);
        }
        let later = now + Duration::from_millis(20);
        while let Some(sent) = server.poll_transmit(later, &TxCaps::default(), &mut buf) {
            client.handle_packet(later, &buf[..sent.len]);
        }
    }
    assert!(
        seen.borrow().iter().any(|(_, sample)| *sample == Duration::from_millis(20)),
        "{:?}",
        seen.borrow()
    );
}
