//! What the loop that watches over the node tells a worker.

use std::rc::Rc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::Router;
use crate::bus::{Envelope, EnvelopeKind, OutboundPublish};
use crate::delivery::{Report, WorkerCommand};
use crate::layout::ShardIndex;

/// Rounds of canaries from one notice to the next: they are about 2 s apart.
const PRESENCE_EVERY: u64 = 2;

impl Router {
    /// Does what a command says.
    pub fn command(self: &Rc<Self>, command: WorkerCommand) {
        match command {
            WorkerCommand::Report(answer) => {
                // There is a place for each worker's answer, and the loop takes them all.
                let _late = answer.try_send(self.report());
            }
            WorkerCommand::Succeed(generation) => self.publishers.succeed(generation),
            WorkerCommand::Forget(generation) => self.publishers.forget(generation),
            WorkerCommand::Canaries(number) => self.send_canaries(number),
            WorkerCommand::Advance(watermark) => self.advance(watermark),
            WorkerCommand::Read(round, done) => self.begin_round(round, done),
            WorkerCommand::Done(round, watermark) => self.end_round(&round, watermark),
        }
    }

    /// Taken at one instant: nothing is issued between the reading of the clock and the snapshots.
    fn report(&self) -> Report {
        // A time that may be wrong is no reading: rows would lend it to ids for as long as it is ahead.
        let reading = self.services.clock.read(self.services.wall.sure());
        Report {
            worker: self.worker,
            books: self.publishers.snapshots(reading),
            stuck: self.publishers.is_stuck(),
        }
    }

    /// A canary on each shard; and with every other number, on one shard after the other, a notice to
    /// all, which says no more than which store it is of: two deployments that have one namespace
    /// by mistake hear of each other, however little is sent.
    fn send_canaries(&self, number: u64) {
        let shards = self.services.layouts.shards().len() as u32;
        if number.is_multiple_of(PRESENCE_EVERY) {
            let notice = Envelope::notice(self.services.boot, self.services.store_tag, "");
            let shard = (number / PRESENCE_EVERY) % u64::from(shards);
            self.services.metrics.canaries.inc();
            let payload = notice.encode_for(&[], &self.services.bus_seal);
            self.publishers.publish_to_all(ShardIndex(shard as u32), payload, None);
        }
        let canary = Envelope {
            kind: EnvelopeKind::Canary,
            tap_copy: false,
            boot: self.services.boot,
            store: self.services.store_tag,
            id: u128::from(number).to_be_bytes(),
            keys: SmallVec::new(),
            about: "".into(),
            frame: Bytes::new(),
        };
        let payload = canary.encode_for(&[], &self.services.bus_seal);
        let channel = self.services.channels.node(&self.services.node);
        for shard in 0..shards {
            let publish = OutboundPublish { channel: channel.clone(), payload: payload.clone() };
            self.services.metrics.canaries.inc();
            self.publishers.publish_here(ShardIndex(shard), publish);
        }
    }
}
