//! The events of a schedule. They are small and copied: their data is in the world's tables.

/// A node in one of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// The node's index in the world.
    pub node: u8,
    /// The number of its start.
    pub boot: u8,
}

/// A thread of a node in one of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The node.
    pub life: Life,
    /// The thread: a worker or the node agent.
    pub thread: u8,
}

/// A message's index in the world, one bit of every set of messages. A change of a membership is a
/// message without a body.
pub type Msg = u8;

/// A routing key: users come first, then rooms.
pub type SimKey = u8;

/// A set of keys, one bit each.
pub type SimKeys = u16;

/// Most users; the first room's key follows their keys.
pub const USERS_MAX: u8 = 8;

/// Most rooms.
pub const ROOMS_MAX: u8 = 4;

/// Most keys.
pub const KEYS_MAX: usize = (USERS_MAX + ROOMS_MAX) as usize;

/// The set of one key.
pub const fn only(key: SimKey) -> SimKeys {
    1 << key
}

/// The keys of a set.
pub fn each_key(keys: SimKeys) -> impl Iterator<Item = SimKey> {
    (0..KEYS_MAX as SimKey).filter(move |key| keys & only(*key) != 0)
}

/// A connection to a Redis server.
pub type Conn = u16;

/// A session's index in the world.
pub type Sid = u16;

/// A client's device.
pub type Dev = u8;

/// A publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimCargo {
    /// Its payload.
    pub what: What,
    /// The channel that it goes to.
    pub channel: u8,
    /// Its publisher.
    pub from: Life,
    /// The keys that this copy is for.
    pub keys: SimKeys,
}

/// The payload of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A message, or the notice of a membership.
    Message(Msg),
    /// A canary of this number.
    Canary(u16),
}

/// The channel that every node subscribes to.
pub const ALL: u8 = 63;

/// The channel of the first room's bucket; the others follow, behind those of users' buckets.
pub const ROOMS: u8 = 16;

/// The first node's own channel; the others follow.
pub const OWN: u8 = 40;

impl crate::watermark::Reroutable for SimCargo {
    fn detoured(&self) -> Option<Self> {
        match self.what {
            What::Canary(_) => None,
            What::Message(_) => Some(Self { channel: ALL, ..*self }),
        }
    }
}

/// A job of a thread of a node.
#[derive(Debug, Clone, Copy)]
pub enum Job {
    /// Loop: take what others put into its queue.
    LoopDrain,
    /// Loop: write a heartbeat, which is due.
    WriteDue(u16),
    /// Loop: stop waiting for workers that have not answered.
    AskTimeout(u16),
    /// Loop: a heartbeat was acknowledged.
    RowAck(u16),
    /// Loop: a read of the cluster table is due.
    ReadDue,
    /// Loop: a read of the cluster table is over, and returned rows or not.
    RosterRead(bool),
    /// All: a second passed.
    Tick,
    /// Worker: take what is in its queue.
    Drain,
    /// Worker: the watermark, ahead of what is in its queue, which must never happen.
    Watermark,
    /// Worker: a client's send, by its index in the world.
    Send(u16),
    /// Worker: a member's state was read, or not, for the change that a client asked for.
    Member(u16, bool),
    /// Worker: the removal that an add follows was written again.
    MemberAgain(u16),
    /// Worker: the rows of an add were read again, or not.
    ReadBack(u16, bool),
    /// Worker: check whether the clock has passed the stamp of an add, until a time.
    Passing(Msg, u64),
    /// Worker: enter a message long after its id was issued, which must never happen.
    Enter(Msg),
    /// Worker: the store acknowledged a message.
    StoreAck(Msg),
    /// Worker: the store gave no answer in time.
    StoreFail(Msg),
    /// Worker: make a publisher connection.
    PubConnect(u8, u16),
    /// Worker: it is up.
    PubUp(Conn),
    /// Worker: a pipeline was answered; the refused publishes, one bit each.
    PubReply(Conn, u8),
    /// Worker: the connection is gone.
    PubClosed(Conn),
    /// Worker: a session says hello.
    Hello(Sid),
    /// Worker: stop waiting for a session's interest.
    ConfirmTimeout(Sid),
    /// Worker: a session's interest is confirmed.
    Confirmed(Sid),
    /// Worker: the memberships of a session's user were read, or not.
    Memberships(Sid, u16, bool),
    /// Worker: stop waiting for the rooms of a session.
    RoomsTimeout(Sid, u16),
    /// Worker: a room of a user is confirmed.
    RoomHeard(u8),
    /// Worker: stop waiting for the room that a user joined.
    JoinTimeout(u8, u16),
    /// Worker: a read for a room that a user joined is over, and succeeded or not.
    JoinRead(u8, u16, bool),
    /// Worker: repeat a session's failed read.
    ReadAgain(Sid),
    /// Worker: a session's read is over, and succeeded or not.
    Read(Sid, u16, bool),
    /// Worker: the memberships of a user of a round were read, or not.
    RoundMemberships(u16, u8, bool),
    /// Worker: a read of a round is over, and succeeded or not.
    RoundRead(u16, u8, bool),
    /// Worker: a session is gone.
    Close(Sid),
    /// Subscriber: make a connection.
    SubConnect(u8, u16),
    /// Subscriber: it is up.
    SubUp(Conn),
    /// Subscriber: a command was answered.
    SubReply(Conn),
    /// Subscriber: the connection is gone.
    SubClosed(Conn),
    /// Subscriber: a push came.
    Push(Conn, SimCargo),
    /// Subscriber: the interest changed.
    Command(u8),
    /// Subscriber: close the connection.
    SubCut(u8),
}

impl Job {
    /// Whether it comes from the thread's own timers.
    pub const fn is_timer(&self) -> bool {
        matches!(
            self,
            Self::Tick
                | Self::WriteDue(_)
                | Self::ReadDue
                | Self::AskTimeout(_)
                | Self::ConfirmTimeout(_)
                | Self::RoomsTimeout(..)
                | Self::JoinTimeout(..)
                | Self::ReadAgain(_)
                | Self::Passing(..)
        )
    }
}

/// A command to a Redis server.
#[derive(Debug, Clone, Copy)]
pub enum SimCommand {
    /// Publish a pipeline.
    Publish(u16),
    /// Subscribe to channels.
    Subscribe(u64),
    /// Unsubscribe from them.
    Unsubscribe(u64),
}

/// An act of a client.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// A random act.
    Any,
    /// Connect to a random node.
    Connect,
    /// Connect to this node.
    To(u8),
    /// Send a random message.
    Send,
    /// Send a message to a room.
    Say(SimKey),
    /// The same as a service, which need not be a member.
    Serve(SimKey),
    /// Make a random user join or leave some room.
    Churn,
    /// Add a user to a room, or remove the user.
    Change(u8, SimKey, bool),
    /// Read from its slow connection.
    Pump(Sid),
    /// Notice that its session is gone.
    Lost(Sid),
}

/// An event.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    /// A job of a thread.
    Thread(At, Job),
    /// A thread that was stopped goes on.
    Wake(At),
    /// A command reaches a server.
    Server(Conn, SimCommand),
    /// An act of a client.
    Client(Dev, Act),
    /// A fault, by its index in the plan.
    Fault(u16),
    /// Record every node's lag.
    Sample,
}
