//! What statements are about, as their times are counted.

use super::statements::StatementKind;

/// What a statement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    WriteMessage,
    WriteRoom,
    WriteReceipt,
    ReadMessages,
    ReadRooms,
    ReadReceipts,
    ClusterTable,
    Time,
}

impl Operation {
    /// All, in the order of their numbers.
    pub(super) const ALL: [Self; 8] = [
        Self::WriteMessage,
        Self::WriteRoom,
        Self::WriteReceipt,
        Self::ReadMessages,
        Self::ReadRooms,
        Self::ReadReceipts,
        Self::ClusterTable,
        Self::Time,
    ];

    /// Its name in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::WriteMessage => "write_message",
            Self::WriteRoom => "write_room",
            Self::WriteReceipt => "write_receipt",
            Self::ReadMessages => "read_messages",
            Self::ReadRooms => "read_rooms",
            Self::ReadReceipts => "read_receipts",
            Self::ClusterTable => "cluster_table",
            Self::Time => "time",
        }
    }
}

impl StatementKind {
    /// What it is about.
    pub(super) const fn operation(self) -> Operation {
        match self {
            Self::Message | Self::Window | Self::Activity | Self::Direct => Operation::WriteMessage,
            Self::MembershipAdded
            | Self::MembershipRemoved
            | Self::MembershipJoined
            | Self::MembershipRole
            | Self::Unlist
            | Self::MemberAdded
            | Self::MemberRemoved
            | Self::MemberJoined
            | Self::MemberRole
            | Self::Head
            | Self::Room => Operation::WriteRoom,
            Self::ReadMark | Self::Nonce => Operation::WriteReceipt,
            Self::MessagesBelow
            | Self::MessagesAbove
            | Self::WindowsBelow
            | Self::WindowsAbove
            | Self::ActivityOf
            | Self::DirectsOf => Operation::ReadMessages,
            Self::MembershipOf
            | Self::MembershipsOf
            | Self::MemberOf
            | Self::MembersOf
            | Self::HeadOf
            | Self::RoomOf => Operation::ReadRooms,
            Self::ReadMarkOf | Self::NonceOf => Operation::ReadReceipts,
            Self::HeartbeatRow | Self::HeartbeatRows => Operation::ClusterTable,
            Self::Time => Operation::Time,
        }
    }
}
