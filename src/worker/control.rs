//! Commands of the node agent to a worker.

use std::rc::Rc;
use std::sync::Arc;

use crate::bus::{Envelope, EnvelopeKind, OutboundPublish};
use crate::delivery::{Report, WorkerCommand};
use crate::layout::ShardIndex;
use crate::recovery::Recovery;
use crate::services::Services;
use crate::shards::Publishers;

/// Rounds of canaries between two notices; the rounds are about 2 s apart.
const PRESENCE_EVERY: u64 = 2;

/// What the node agent controls of a worker.
#[derive(Debug)]
pub(super) struct WorkerControl {
    pub(super) services: Arc<Services>,
    pub(super) worker: u32,
    pub(super) publishers: Rc<Publishers>,
    pub(super) recovery: Rc<Recovery>,
}

impl WorkerControl {
    /// Executes a command.
    pub(super) fn execute(&self, command: WorkerCommand) {
        match command {
            WorkerCommand::Report(answer) => {
                // The channel has a slot for each worker's answer, and the node agent takes them
                // all.
                let _late = answer.try_send(self.report());
            }
            WorkerCommand::StartGeneration(generation) => {
                self.publishers.begin_incarnation(generation);
            }
            WorkerCommand::DropGeneration(generation) => self.publishers.forget(generation),
            WorkerCommand::Canaries(number) => self.send_canaries(number),
            WorkerCommand::AdvanceWatermark(watermark) => self.recovery.advance(watermark),
            WorkerCommand::StartRound(round, done) => self.recovery.begin_round(round, done),
            WorkerCommand::FinishRound(round, watermark) => {
                self.recovery.end_round(&round, watermark);
            }
        }
    }

    /// Reads the clock and takes the snapshots in one step, so that no id is issued between them.
    fn report(&self) -> Report {
        // An unverified clock must not be used: heartbeats would publish it as a bound of ids.
        let reading = self.services.clocks.ids.read(self.services.clocks.wall.sure());
        Report {
            worker: self.worker,
            incarnations: self.publishers.snapshots(reading),
            stuck: self.publishers.is_stuck(),
        }
    }

    /// Sends a canary to each shard. Every second round also sends a notice to all nodes, on one
    /// shard after the other. The notice carries only the tag of the store. By it, two deployments
    /// that share a namespace by mistake detect each other, however few messages they send.
    fn send_canaries(&self, number: u64) {
        let shards = self.services.cluster.layouts.shards().len() as u32;
        if number.is_multiple_of(PRESENCE_EVERY) {
            let notice = self.services.identity.notice("");
            let shard = (number / PRESENCE_EVERY) % u64::from(shards);
            self.services.metrics.shards.canaries.inc();
            let payload = notice.encode_for(&[], &self.services.identity.bus_seal);
            self.publishers.publish_to_all(ShardIndex(shard as u32), payload, None);
        }
        let canary = Envelope {
            kind: EnvelopeKind::Canary,
            id: u128::from(number).to_be_bytes(),
            ..self.services.identity.notice("")
        };
        let payload = canary.encode_for(&[], &self.services.identity.bus_seal);
        let channel = self.services.own_channel();
        for shard in 0..shards {
            let publish = OutboundPublish { channel: channel.clone(), payload: payload.clone() };
            self.services.metrics.shards.canaries.inc();
            self.publishers.publish_here(ShardIndex(shard), publish);
        }
    }
}
