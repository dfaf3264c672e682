//! A change of a membership: a send without a body. Its stamp is an id of the clock that stands in
//! the ledger like any other, so no watermark passes it before every node has heard of it.

use std::rc::Rc;

use smallvec::SmallVec;
use tokio::time::timeout;

use super::Router;
use super::access::append_refusal;
use super::membership::MEMBERSHIPS_MAX;
use super::road::doubt;
use super::rooms::ROOMS_MAX;
use crate::bus::{Envelope, Kind};
use crate::domain::{Key, Membership, MessageId, Role, RoomId, UserId};
use crate::proof::{ACK_LIMIT, Doubt, Judgement, Ticket};
use crate::protocol::{Code, Refusal, ServerFrame};

impl Router {
    /// Adds a member with a role, gives him another one, or removes him (`None`). Repeating a call
    /// writes both rows again, which repairs what an earlier one left half done.
    pub(super) async fn change_member(
        self: &Rc<Self>,
        room: &RoomId,
        user: &UserId,
        role: Option<Role>,
    ) -> Result<Membership, Refusal> {
        self.services.must_know_the_time()?;
        let known = self.services.answer(self.services.store.membership(room, user)).await?;
        if let Some(known) = &known {
            self.merge(known.stamp)?;
        }
        let inside = known.as_ref().is_some_and(|known| known.inside);
        if role.is_some() && !inside {
            self.must_have_room_for_one_more(user).await?;
        }
        let (stamp, ticket) = self.issue()?;
        let was = known.as_ref();
        let membership = Membership {
            room: room.clone(),
            user: user.clone(),
            inside: role.is_some(),
            role: role.or(was.map(|was| was.role)).unwrap_or(Role::Member),
            joined: joined(was, role.is_some(), stamp),
            stamp,
        };
        let stored = self.store_membership(&membership).await;
        let changed = stored.and_then(|()| self.announce_membership(&membership, ticket));
        if changed.is_err() {
            self.publishers.abandon(ticket);
        }
        changed.map(|()| membership)
    }

    async fn must_have_room_for_one_more(&self, user: &UserId) -> Result<(), Refusal> {
        let rows =
            self.services.answer(self.services.store.memberships(user, MEMBERSHIPS_MAX)).await?;
        let inside = rows.iter().filter(|row| row.inside).count();
        if inside < ROOMS_MAX && rows.len() < MEMBERSHIPS_MAX {
            return Ok(());
        }
        let message = if inside < ROOMS_MAX {
            format!("the user was in {} rooms, no more are kept", rows.len())
        } else {
            format!("the user is in {inside} rooms, at most {ROOMS_MAX} are allowed")
        };
        Err(Refusal::new(Code::LimitReached, message))
    }

    async fn store_membership(&self, membership: &Membership) -> Result<(), Refusal> {
        let put = self.services.store.put_membership(membership.clone());
        // Given up on, the write goes on: it is the outcome that is unknown.
        let stored = timeout(ACK_LIMIT, put).await.map_err(|_elapsed| doubt(Doubt::Late))?;
        stored.map_err(append_refusal)
    }

    /// Tells the room's bucket, whose members it is news to, and the user's, whose sessions it
    /// concerns. Both publishes settle it.
    fn announce_membership(
        self: &Rc<Self>,
        membership: &Membership,
        ticket: Ticket,
    ) -> Result<(), Refusal> {
        let about = membership.to_string();
        let frame = ServerFrame::of_membership(membership).text();
        let envelope = |key: Key| Envelope {
            kind: Kind::Membership,
            tap_copy: false,
            boot: self.services.boot,
            store: self.services.store_tag,
            id: membership.stamp.to_bytes(),
            keys: [key].into_iter().collect(),
            about: about.as_str().into(),
            frame: frame.clone(),
        };
        let copies = [Key::user(&membership.user), Key::room(&membership.room)].map(envelope);
        let ways = [0, 1].map(|which: usize| self.ways(&copies[which].keys));
        let publishes = ways.iter().map(SmallVec::len).sum::<usize>();
        let lease = self.services.view.lease();
        match self.publishers.judge(ticket, lease, publishes as u8) {
            Judgement::Passed => {}
            Judgement::Unknown(why) => return Err(doubt(why)),
        }
        for (copy, ways) in copies.into_iter().zip(&ways) {
            self.fan_out(copy, ways, Some(ticket), None);
        }
        Ok(())
    }
}

/// When a member joined: now, unless he was in it already. Who leaves keeps when he had joined.
fn joined(was: Option<&Membership>, enters: bool, stamp: MessageId) -> MessageId {
    match was {
        Some(was) if was.inside || !enters => was.joined,
        _ => stamp,
    }
}
