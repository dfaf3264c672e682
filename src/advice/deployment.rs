//! The load of a deployment that an operator describes in numbers.

use super::{ClassLoad, ClusterLoad};
use crate::domain::Class;
use crate::layout::Placement;

/// Most users, rooms and topics: far beyond what is in use, so that no figure overflows.
const KEYS_MAX: u64 = 1_000_000_000;

/// Most nodes.
const NODES_MAX: u64 = 10_000;

/// Most sessions of a user, rooms of a user, members of a room or sessions of a topic.
const EACH_MAX: u64 = 1_000_000;

/// Most publishes a second.
const PER_SECOND_MAX: u64 = 1_000_000_000;

/// A deployment in an operator's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deployment {
    /// Nodes.
    pub nodes: u64,
    /// Users who are connected.
    pub users: u64,
    /// Sessions of a user.
    pub devices: u64,
    /// Rooms of a user.
    pub rooms_per_user: u64,
    /// Members of a room.
    pub room_size: u64,
    /// Topics with a subscriber.
    pub topics: u64,
    /// Sessions that subscribe to a topic.
    pub watchers: u64,
    /// Direct messages a second.
    pub messages_per_s: u64,
    /// Room messages a second.
    pub room_messages_per_s: u64,
    /// Events to topics a second.
    pub events_per_s: u64,
    /// Event loops of a node.
    pub workers: u64,
    /// How users reach nodes.
    pub placement: Placement,
}

/// A number that makes no deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value} is not within {min} to {max}")]
pub struct DeploymentError {
    /// The number's name.
    pub field: &'static str,
    /// The number.
    pub value: u64,
    /// The least that is allowed.
    pub min: u64,
    /// The most.
    pub max: u64,
}

impl Deployment {
    /// Returns the load, if every number is within its bounds.
    pub fn load(&self) -> Result<ClusterLoad, DeploymentError> {
        self.check()?;
        let nodes = self.nodes as f64;
        let keys = |count: f64, holds: f64| (count * holds, nodes * holds);
        let user = self.holds_user();
        let (user_keys, user_holders) = keys(self.users as f64, user);
        // A room's members are users at random, so is the first device of a topic's watcher.
        let room = holds(self.nodes, (self.room_size as f64 * nodes * user).min(1e9));
        let (room_keys, room_holders) = keys(self.rooms(), room);
        let topic = holds(self.nodes, self.watchers as f64);
        let (topic_keys, topic_holders) = keys(self.topics as f64, topic);
        let class = |class, (keys_per_node, holders), publisher_holds, publishes, keys| ClassLoad {
            class,
            keys_per_node,
            holders,
            publisher_holds,
            publishes_per_s: publishes as f64,
            keys_per_publish: keys,
            placement: if class == Class::User { self.placement } else { Placement::Random },
        };
        let classes = [
            // The sender's key is held where the message is sent, the recipient's by chance.
            class(
                Class::User,
                (user_keys, user_holders),
                f64::midpoint(1.0, user),
                self.messages_per_s,
                2.0,
            ),
            class(Class::Room, (room_keys, room_holders), 1.0, self.room_messages_per_s, 1.0),
            class(Class::Topic, (topic_keys, topic_holders), topic, self.events_per_s, 1.0),
        ];
        Ok(ClusterLoad {
            nodes: self.nodes as u32,
            classes,
            deliveries_per_s: self.deliveries(),
            limited_sends_per_s: (self.messages_per_s + self.room_messages_per_s) as f64,
            sessions_per_node: self.users as f64 * self.devices as f64 / nodes,
            workers: self.workers as u32,
            repair_reads_per_s: 1_000.0,
        })
    }

    fn check(&self) -> Result<(), DeploymentError> {
        let in_rooms = u64::from(self.rooms_per_user > 0);
        for (field, value, min, max) in [
            ("--nodes", self.nodes, 1, NODES_MAX),
            ("--users", self.users, 0, KEYS_MAX),
            ("--devices", self.devices, 1, EACH_MAX),
            ("--rooms-per-user", self.rooms_per_user, 0, EACH_MAX),
            ("--room-size", self.room_size, in_rooms, EACH_MAX),
            ("--topics", self.topics, 0, KEYS_MAX),
            ("--watchers", self.watchers, u64::from(self.topics > 0), EACH_MAX),
            ("--messages-per-s", self.messages_per_s, 0, PER_SECOND_MAX),
            ("--room-messages-per-s", self.room_messages_per_s, 0, PER_SECOND_MAX),
            ("--events-per-s", self.events_per_s, 0, PER_SECOND_MAX),
            ("--workers", self.workers, 1, 64),
        ] {
            if !(min..=max).contains(&value) {
                return Err(DeploymentError { field, value, min, max });
            }
        }
        Ok(())
    }

    /// How likely a node holds a user's key.
    fn holds_user(&self) -> f64 {
        match self.placement {
            Placement::Random => holds(self.nodes, self.devices as f64),
            Placement::Bucket => 1.0 / self.nodes as f64,
        }
    }

    fn rooms(&self) -> f64 {
        let places = self.users as f64 * self.rooms_per_user as f64;
        if self.room_size == 0 { 0.0 } else { places / self.room_size as f64 }
    }

    /// The session that sends gets no copy of a message.
    fn deliveries(&self) -> f64 {
        let devices = self.devices as f64;
        self.messages_per_s as f64 * (2.0 * devices - 1.0)
            + self.room_messages_per_s as f64 * (self.room_size as f64 * devices - 1.0).max(0.0)
            + self.events_per_s as f64 * self.watchers as f64
    }
}

/// How likely a node holds a key of `sessions` sessions on nodes at random.
fn holds(nodes: u64, sessions: f64) -> f64 {
    1.0 - (1.0 - 1.0 / nodes as f64).powf(sessions)
}
