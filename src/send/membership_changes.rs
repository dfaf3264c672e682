//! A change of a membership: a send without a body. Its stamp is an id of the clock and is tracked
//! like the id of any send. So no watermark passes it before every node has received it.
//!
//! # An add
//!
//! It promises that the new member gets what is sent after its answer, and nothing that was
//! acknowledged before it was asked for. `clock` has the argument; the steps are:
//!
//! 1. The member's row and the room's newest message are read at quorum, and the stamp is issued
//!    above both.
//! 2. A user who rejoins follows a removal. That removal is written once more before the row is
//!    read again: a concurrent add then sees it, or this add sees the other.
//! 3. After the write the row is read again. If it shows a removal that this add had not seen, the
//!    joining is written as one that follows it. So each of several concurrent adds finds the
//!    others' joining or leaves its own, and the smallest stamp stays.
//! 4. Notices go out, and the answer waits until the lower bound of the clock has passed the stamp.
//!
//! A repeat finds the user inside and does all of this except a new joining. The rows do not show
//! whether the first call was ever announced. A worker that announced it itself, and whose publishes
//! were all confirmed, does nothing.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::{Instant, sleep, timeout};

use super::SendIds;
use super::announced::AnnouncedChanges;
use super::room_quota::{MEMBERSHIPS_MAX, RoomQuota, unlist_old};
use super::send_ids::outcome_unknown;
use crate::bus::{Envelope, EnvelopeKind};
use crate::clock::{PASSING_MAX, Readable};
use crate::domain::{
    Adder, MemberRole, MemberState, Membership, MembershipNotice, MessageId, NEVER, RoomId,
    RoutingKey, UserId,
};
use crate::fanout::Fanout;
use crate::protocol::{Code, ErrorReply, MemberChange, MemberNews, ServerFrame};
use crate::services::{Services, append_refusal};
use crate::store::MembershipsQuery;
use crate::watermark::{ACK_LIMIT, SendId, UnknownReason};

/// Removals that an add may find one after the other before it gives up.
const REMOVALS_MAX: usize = 4;

/// The longest time between two looks at a clock that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A member who was added, and whose request is not answered yet.
#[derive(Debug)]
pub struct Added {
    /// The member.
    pub member: Membership,
    /// The stamp that the clock has to pass first.
    pub stamp: MessageId,
}

/// The room whose members are changed, and who changes them.
#[derive(Debug, Clone, Copy)]
pub struct ChangedRoom<'a> {
    /// The room.
    pub id: &'a RoomId,
    /// Its title, which a new member is told.
    pub title: Option<&'a str>,
    /// The user who changes it; none if a service does.
    pub by: Option<&'a UserId>,
}

impl ChangedRoom<'_> {
    /// Whose bound counts the members that are added.
    fn adder(&self) -> Adder {
        self.by.map_or(Adder::SERVICE, Adder::user)
    }

    fn member(&self, user: &UserId, state: MemberState) -> Membership {
        Membership { room: self.id.clone(), user: user.clone(), state }
    }

    fn notice(&self, membership: &Membership) -> MembershipNotice {
        let (membership, by) = (membership.clone(), self.by.cloned());
        MembershipNotice { membership, by, title: self.title.map(Into::into) }
    }
}

/// A change that was issued and is not announced yet.
#[derive(Debug, Clone, Copy)]
struct IssuedChange {
    stamp: MessageId,
    send_id: SendId,
    kind: MemberChange,
}

/// The changes of memberships that a worker makes.
#[derive(Debug)]
pub struct MembershipChanges {
    /// What the workers of the node share.
    pub services: Arc<Services>,
    /// Publishes the changes.
    pub fanout: Rc<Fanout>,
    /// Issues their stamps.
    pub ids: Rc<SendIds>,
    /// What was announced here: a repeat of it changes nothing.
    pub announced: AnnouncedChanges<SendId>,
}

impl MembershipChanges {
    /// Adds a member with a role, or changes a member's role. No role keeps the one that is held; a
    /// new member is a plain one. Answers once every id issued later, on any node, is above the
    /// stamp. Repeating a call writes all rows again, which completes an
    /// earlier call that failed halfway.
    pub async fn add_member(
        &self,
        room: ChangedRoom<'_>,
        user: &UserId,
        role: Option<MemberRole>,
    ) -> Result<Membership, ErrorReply> {
        let Added { member, stamp } = self.add_unanswered(room, user, role).await?;
        self.until_passed(stamp).await?;
        Ok(member)
    }

    /// The same, announced; it must not be answered before [`Self::until_passed`] its stamp.
    pub async fn add_unanswered(
        &self,
        room: ChangedRoom<'_>,
        user: &UserId,
        role: Option<MemberRole>,
    ) -> Result<Added, ErrorReply> {
        self.services.clocks.must_know_the_time()?;
        let known = self.state_before_an_add(room.adder(), room.id, user).await?;
        let inside = known.is_inside();
        let has_another_role = inside && role.is_some_and(|role| role != known.role);
        let member = room.member(user, known);
        if inside && !has_another_role && self.is_known_to_all(&member) {
            return Ok(Added { stamp: member.stamp(), member });
        }
        let (stamp, send_id) = self.ids.issue()?;
        let own = if inside { known.joined() } else { stamp };
        let kind = if has_another_role { MemberChange::Role } else { MemberChange::Joined };
        let added = room.member(user, known.add_by(room.adder(), role, stamp));
        let issued = IssuedChange { stamp, send_id, kind };
        let storing = self.store_add(added, own, room.adder());
        let member = self.announced(room, storing, issued).await?;
        Ok(Added { member, stamp })
    }

    /// Returns whether a membership is as this worker announced it, and every publish of that was
    /// confirmed. Then all rows are written, and every node knows it.
    fn is_known_to_all(&self, known: &Membership) -> bool {
        self.announced.of(known).is_some_and(|send_id| self.ids.is_confirmed(send_id))
    }

    /// Removes a member. It is announced and answered at once: a user who is out sees no
    /// message, whichever its id.
    pub async fn remove_member(
        &self,
        room: ChangedRoom<'_>,
        user: &UserId,
    ) -> Result<(), ErrorReply> {
        self.services.clocks.must_know_the_time()?;
        let known = self.services.member_state(room.id, user).await?;
        if !known.is_inside() && self.is_known_to_all(&room.member(user, known)) {
            return Ok(());
        }
        self.services.clocks.follow(known.stamp())?;
        let (stamp, send_id) = self.ids.issue()?;
        let storing = async {
            self.store_membership(room.member(user, MemberState::removal(stamp))).await?;
            Ok(room.member(user, known.remove(stamp)))
        };
        let issued = IssuedChange { stamp, send_id, kind: MemberChange::Left };
        self.announced(room, storing, issued).await.map(drop)
    }

    /// Returns a user's membership before an add, once the clock is above everything that the stamp
    /// must follow. The stamp must be issued directly after the last read.
    async fn state_before_an_add(
        &self,
        adder: Adder,
        room: &RoomId,
        user: &UserId,
    ) -> Result<MemberState, ErrorReply> {
        if !self.services.member_state(room, user).await?.is_inside() {
            self.must_have_a_place(adder, room, user).await?;
        }
        let mut confirmed = NEVER;
        for _try in 0..REMOVALS_MAX {
            let head = self.services.answer(self.services.store.head(room.clone()));
            let (known, head) = tokio::try_join!(self.services.member_state(room, user), head)?;
            if known.is_inside() || known.removed == confirmed {
                self.services.clocks.follow(known.stamp().max(head.unwrap_or(NEVER)))?;
                return Ok(known);
            }
            confirmed = known.removed;
            let state = MemberState::removal(confirmed);
            let removal = Membership { room: room.clone(), user: user.clone(), state };
            self.services.written(self.services.store.put_membership(removal)).await?;
        }
        let message = format!("the user was removed {REMOVALS_MAX} times while the add began");
        Err(ErrorReply::new(Code::Unavailable, message))
    }

    async fn must_have_a_place(
        &self,
        adder: Adder,
        room: &RoomId,
        user: &UserId,
    ) -> Result<(), ErrorReply> {
        let query = MembershipsQuery { user: user.clone(), limit: MEMBERSHIPS_MAX };
        let rows = self.services.answer(self.services.store.memberships(query)).await?;
        unlist_old(&self.services, &rows);
        let others = rows.iter().filter(|row| row.room != *room);
        let places = RoomQuota::count(user, adder, others);
        places.check(self.services.config.limits.user.places_by_adder)
    }

    /// Stores an add whose joining is `own`, and checks whether it follows the newest removal.
    /// Returns what is to be announced.
    async fn store_add(
        &self,
        mut member: Membership,
        own: MessageId,
        adder: Adder,
    ) -> Result<Membership, ErrorReply> {
        loop {
            self.store_membership(member.clone()).await?;
            let stored = self.services.member_state(&member.room, &member.user).await;
            // The add is stored already, so an unanswered read makes its own outcome unknown.
            let stored = stored.map_err(|it| ErrorReply { code: Code::OutcomeUnknown, ..it })?;
            member.state = member.state.merge(stored);
            let Some(joining) = member.state.joining_behind_removal(own, adder) else {
                return Ok(member);
            };
            member.state = member.state.merge(joining);
        }
    }

    async fn store_membership(&self, membership: Membership) -> Result<(), ErrorReply> {
        self.services.store.put_membership(membership).await.map_err(append_refusal)
    }

    /// Announces a change that is stored in time; otherwise nothing is published.
    async fn announced(
        &self,
        room: ChangedRoom<'_>,
        storing: impl Future<Output = Result<Membership, ErrorReply>>,
        issued: IssuedChange,
    ) -> Result<Membership, ErrorReply> {
        // The writes go on after the timeout, so the outcome is unknown.
        let stored = timeout(ACK_LIMIT, storing)
            .await
            .unwrap_or_else(|_| Err(outcome_unknown(UnknownReason::Late)));
        let announced = stored.and_then(|membership| {
            self.announce_membership(&room.notice(&membership), issued)?;
            self.announced.note(&membership, issued.send_id);
            Ok(membership)
        });
        if announced.is_err() {
            self.ids.abandon(issued.send_id);
        }
        announced
    }

    /// Publishes the change to the room's bucket for its members, and to the user's bucket for the
    /// user's sessions. Both publishes must be answered before its id counts as settled.
    fn announce_membership(
        &self,
        notice: &MembershipNotice,
        IssuedChange { stamp, send_id, kind }: IssuedChange,
    ) -> Result<(), ErrorReply> {
        let (about, membership) = (notice.to_string(), &notice.membership);
        let frame = ServerFrame::of_member(MemberNews::of(notice, kind), kind).text();
        let envelope = |key: RoutingKey| Envelope {
            kind: EnvelopeKind::Membership,
            // Not the merged stamp: each change is announced once.
            id: stamp.to_bytes(),
            keys: [key].into_iter().collect(),
            frame: frame.clone(),
            ..self.services.identity.notice(&about)
        };
        let copies =
            [RoutingKey::user(&membership.user), RoutingKey::room(&membership.room)].map(envelope);
        let targets = [0, 1].map(|which: usize| self.fanout.targets(&copies[which].keys));
        let publishes = targets.iter().map(SmallVec::len).sum::<usize>();
        self.ids.check(send_id, publishes)?;
        for (copy, targets) in copies.into_iter().zip(&targets) {
            self.fanout.fan_out(copy, targets, Some(send_id), None);
        }
        Ok(())
    }

    /// Waits until the lower bound of this node's clock has passed a stamp: every id issued later,
    /// on any node, is then above it. It holds no send id, so no watermark waits for it.
    pub async fn until_passed(&self, stamp: MessageId) -> Result<(), ErrorReply> {
        let wall = &self.services.clocks.wall;
        let until = Instant::now() + PASSING_MAX;
        loop {
            if !wall.is_known() {
                return Err(not_passed("this node's clock became unreliable during the add"));
            }
            let left = stamp.time().since(wall.lower());
            if left.is_zero() {
                return Ok(());
            }
            if Instant::now() >= until {
                let bound = Readable(PASSING_MAX);
                let message = format!("this node's clock did not pass the stamp in {bound}");
                return Err(not_passed(message));
            }
            sleep(left.clamp(Duration::from_millis(1), LOOK_AGAIN)).await;
        }
    }
}

fn not_passed(message: impl Into<std::borrow::Cow<'static, str>>) -> ErrorReply {
    ErrorReply::new(Code::OutcomeUnknown, message)
}
