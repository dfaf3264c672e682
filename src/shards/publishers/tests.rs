use super::*;
use crate::bus::MemoryBus;
use crate::clock::{Interval, MachineClock};
use crate::redis::Channels;
use crate::shards::{PATIENT, SMALL};
use crate::watermark::UnknownReason;

/// A worker's publishers on a bus in memory, by a clock.
fn publishers(clock: &WallClock) -> Publishers {
    let shards = ["r1".to_owned()];
    Publishers::start(PublishersOptions {
        worker: 0,
        shards: &shards,
        bus: &(Arc::new(MemoryBus::new(1)) as Arc<dyn Bus>),
        health: &Arc::new(LinkStates::new(&shards, 1)),
        metrics: &Arc::default(),
        all: Channels::new("main").all(),
        probe: Channels::new("main").probe(),
        clock: clock.clone(),
        reconnect: &ReconnectSignal::new(1),
        bounds: SMALL,
        waits: PATIENT,
        pending: 16,
    })
}

/// Returns the decision on a send whose lease holds by the monotonic clock.
fn judged(publishers: &Publishers, clock: &WallClock) -> AckDecision {
    let until = clock.moment() + Duration::from_secs(8);
    let lease = Some(Lease { generation: publishers.generation(), until });
    let make = || MessageId::new(clock.now(), rand::random());
    let (_, send_id) = publishers.issue(make).expect("there is room");
    publishers.check_ack(send_id, lease, 0)
}

#[tokio::test(flavor = "local")]
async fn what_a_machine_had_in_hand_when_it_slept_is_not_published() {
    let machine = MachineClock::default();
    let clock = WallClock::to_be_set(machine.clone());
    let publishers = publishers(&clock);
    assert_eq!(judged(&publishers, &clock), AckDecision::Passed, "there is nothing to compare yet");
    let (lead, at) = (clock.machine_lead(), clock.moment());
    clock.set(Interval { low: lead.low, high: lead.high, at }, lead);
    assert_eq!(judged(&publishers, &clock), AckDecision::Passed, "nothing stepped");
    machine.set_ahead(2_000_000);
    assert_eq!(judged(&publishers, &clock), AckDecision::Unknown(UnknownReason::Fenced));
}
