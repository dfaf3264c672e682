//! The load of `bench fanout`, which `bench layout` counts without sockets.

use rand::rngs::StdRng;
use rand::seq::index::{IndexVec, sample};
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::clients::user_name;
use crate::domain::{RoutingKey, UserId};
use crate::layout::{Placement, TopicLoad, Workload, placed_node};

/// Users at random write to each other, and topics have a few subscribers.
#[derive(Debug, Clone)]
pub struct FanoutLoad {
    /// How users reach nodes, or what a load balancer is compared with.
    pub placement: Placement,
    /// Users.
    pub users: u32,
    /// Sessions per user.
    pub devices: u32,
    /// Topics.
    pub topics: u32,
    /// Subscribers per topic.
    pub subscribers: u32,
    /// Direct messages.
    pub messages: u32,
    /// Events to topics.
    pub events: u32,
    /// Seed of every random draw.
    pub seed: u64,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct FanoutSetup {
    /// Nodes.
    pub nodes: u32,
    /// Buckets of each class.
    pub buckets: u32,
    /// How users reach nodes.
    pub placement: &'static str,
    /// Users.
    pub users: u32,
    /// Sessions per user.
    pub devices: u32,
}

impl FanoutLoad {
    /// The draws of a measurement.
    pub(super) fn draws(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }

    /// The node of each session, user by user.
    pub(super) fn places(&self, nodes: u32, draws: &mut StdRng) -> Vec<u32> {
        let mut places = Vec::with_capacity((self.users * self.devices) as usize);
        for user in 0..self.users {
            for _ in 0..self.devices {
                places.push(match self.placement {
                    Placement::Random => draws.random_range(0..nodes),
                    Placement::Bucket => placed_node(&user_key(user), nodes),
                });
            }
        }
        places
    }

    /// The users at random who subscribe to a topic, each on the first device.
    pub(super) fn subscribers_of_topic(&self, draws: &mut StdRng) -> IndexVec {
        sample(draws, self.users as usize, self.topic_subscribers() as usize)
    }

    /// How many those are.
    pub(super) fn topic_subscribers(&self) -> u32 {
        self.subscribers.min(self.users)
    }

    /// A user who publishes, and one of that user's sessions.
    pub(super) fn sender(&self, draws: &mut StdRng) -> (u32, u32) {
        let sender = draws.random_range(0..self.users);
        (sender, sender * self.devices + draws.random_range(0..self.devices))
    }

    /// Another user than the sender.
    pub(super) fn receiver(&self, sender: u32, draws: &mut StdRng) -> u32 {
        (sender + draws.random_range(1..self.users)) % self.users
    }

    /// The load as the arithmetic of the layout takes it.
    pub(super) fn workload(&self, nodes: u32, buckets: u32) -> Workload {
        let keys =
            |keys, sessions, placement| TopicLoad { nodes, keys, sessions, buckets, placement };
        Workload {
            users: keys(self.users, self.devices, self.placement),
            messages: self.messages,
            // Subscribers of a topic are users at random, on any node.
            topics: keys(self.topics, self.topic_subscribers(), Placement::Random),
            events: self.events,
        }
    }

    /// What is measured with so many nodes and buckets.
    pub(super) const fn setup(&self, nodes: u32, buckets: u32) -> FanoutSetup {
        let placement = match self.placement {
            Placement::Random => "random",
            Placement::Bucket => "bucket",
        };
        FanoutSetup { nodes, buckets, placement, users: self.users, devices: self.devices }
    }
}

/// The routing key of a user of the load.
pub(super) fn user_key(user: u32) -> RoutingKey {
    RoutingKey::user(&UserId::parse(&user_name(user)).expect("names of the load are tokens"))
}
