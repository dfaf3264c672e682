//! What happens in a schedule. Events are small and copied: what they carry lies in the world's
//! tables.

/// A node in one of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// The node's place in the world.
    pub node: u8,
    /// Which of its starts.
    pub boot: u8,
}

/// A thread of a node in one of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Whose.
    pub life: Life,
    /// Which: see [`Role`].
    pub thread: u8,
}

/// A message's place in the world, one bit of every set of messages. A change of a membership is a
/// message without a body.
pub type Msg = u8;

/// What is routed: users come first, then rooms.
pub type Key = u8;

/// A set of keys, a bit each.
pub type Keys = u16;

/// Users at most; the first room's key follows their keys.
pub const USERS_MAX: u8 = 8;

/// Rooms at most.
pub const ROOMS_MAX: u8 = 4;

/// Keys at most.
pub const KEYS_MAX: usize = (USERS_MAX + ROOMS_MAX) as usize;

/// The set of one key.
pub const fn only(key: Key) -> Keys {
    1 << key
}

/// The keys of a set.
pub fn each_key(keys: Keys) -> impl Iterator<Item = Key> {
    (0..KEYS_MAX as Key).filter(move |key| keys & only(*key) != 0)
}

/// A connection to a Redis server.
pub type Conn = u16;

/// A session's place in the world.
pub type Sid = u16;

/// A client's device.
pub type Dev = u8;

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cargo {
    /// What it is.
    pub what: What,
    /// The channel that it goes to.
    pub channel: u8,
    /// Who published it.
    pub from: Life,
    /// The keys that this copy is for.
    pub keys: Keys,
}

/// What a publish holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A message, or the notice of a membership.
    Message(Msg),
    /// A canary of this number.
    Canary(u16),
}

/// The channel that every node hears.
pub const ALL: u8 = 63;

/// The channel of the first room's bucket; the others follow, behind those of users' buckets.
pub const ROOMS: u8 = 16;

/// The first node's own channel; the others follow.
pub const OWN: u8 = 40;

impl crate::proof::Cargo for Cargo {
    fn detoured(&self) -> Option<Self> {
        match self.what {
            What::Canary(_) => None,
            What::Message(_) => Some(Self { channel: ALL, ..*self }),
        }
    }
}

/// What a thread of a node has to do.
#[derive(Debug, Clone, Copy)]
pub enum Job {
    /// Loop: what others put into its queue.
    LoopDrain,
    /// Loop: a row is due.
    WriteDue(u16),
    /// Loop: workers that have not answered are not waited for.
    AskTimeout(u16),
    /// Loop: a row of the roster was acknowledged.
    RowAck(u16),
    /// Loop: a roster read is due.
    ReadDue,
    /// Loop: a roster read is over, and gave rows or not.
    RosterRead(bool),
    /// All: a second passed.
    Tick,
    /// Worker: what stands in its queue.
    Drain,
    /// Worker: the watermark, past what stands in its queue, as must never be.
    Watermark,
    /// Worker: a client's send, by its place in the world.
    Send(u16),
    /// Worker: where a member stands was read, or not, for the change that a client wants.
    Member(u16, bool),
    /// Worker: the removal that an add follows was written again.
    MemberAgain(u16),
    /// Worker: the rows of an add were read again, or not.
    ReadBack(u16, bool),
    /// Worker: whether the clock has passed the stamp of an add is looked at, until a time.
    Passing(Msg, u64),
    /// Worker: a message is entered long after its id was issued, as must never be.
    Enter(Msg),
    /// Worker: the store acknowledged a message.
    StoreAck(Msg),
    /// Worker: the store gave no answer in time.
    StoreFail(Msg),
    /// Worker: a publisher connection is to be made.
    PubConnect(u8, u16),
    /// Worker: it is there.
    PubUp(Conn),
    /// Worker: a pipeline was answered; which of it was refused, a bit each.
    PubReply(Conn, u8),
    /// Worker: the connection is gone.
    PubClosed(Conn),
    /// Worker: a session says hello.
    Hello(Sid),
    /// Worker: a session's interest is not waited for any longer.
    ConfirmTimeout(Sid),
    /// Worker: a session's interest is confirmed.
    Confirmed(Sid),
    /// Worker: the memberships of a session's user were read, or not.
    Memberships(Sid, u16, bool),
    /// Worker: the rooms of a session are not waited for any longer.
    RoomsTimeout(Sid, u16),
    /// Worker: a room of a user is heard.
    RoomHeard(u8),
    /// Worker: the room that a user joined is not waited for any longer.
    JoinTimeout(u8, u16),
    /// Worker: a read for a room that a user joined is over, and found something out or not.
    JoinRead(u8, u16, bool),
    /// Worker: a session's failed read begins anew.
    ReadAgain(Sid),
    /// Worker: a session's read is over, and found something out or not.
    Read(Sid, u16, bool),
    /// Worker: the memberships of a user of a round were read, or not.
    RoundMemberships(u16, u8, bool),
    /// Worker: a read of a round is over, and found something out or not.
    RoundRead(u16, u8, bool),
    /// Worker: a session is gone.
    Close(Sid),
    /// Subscriber: a connection is to be made.
    SubConnect(u8, u16),
    /// Subscriber: it is there.
    SubUp(Conn),
    /// Subscriber: a command was answered.
    SubReply(Conn),
    /// Subscriber: the connection is gone.
    SubClosed(Conn),
    /// Subscriber: something was published.
    Push(Conn, Cargo),
    /// Subscriber: the interest changed.
    Command(u8),
    /// Subscriber: break the connection.
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

/// What a Redis server is told.
#[derive(Debug, Clone, Copy)]
pub enum Command {
    /// Publish what a pipeline holds.
    Publish(u16),
    /// Hear channels.
    Subscribe(u64),
    /// Hear them no longer.
    Unsubscribe(u64),
}

/// What a client does.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// Whatever chance says.
    Any,
    /// Connects, anywhere.
    Connect,
    /// Connects to a node.
    To(u8),
    /// Sends something.
    Send,
    /// Sends something to a room.
    Say(Key),
    /// The same as a service, which need not be in it.
    Serve(Key),
    /// Somebody joins or leaves some room.
    Churn,
    /// Says that a user is in a room, or out.
    Change(u8, Key, bool),
    /// Reads from its slow connection.
    Pump(Sid),
    /// Notices that its session is gone.
    Lost(Sid),
}

/// An event.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    /// A thread has something to do.
    Thread(At, Job),
    /// A thread that was stopped goes on.
    Wake(At),
    /// Something reaches a server.
    Server(Conn, Command),
    /// A client does something.
    Client(Dev, Act),
    /// A fault, by its place in the plan.
    Fault(u16),
    /// Every node's lag is noted.
    Sample,
}
