//! The watermark in simulation: the real cores in a simulated environment, millions of schedules.
//!
//! Real are [`Generations`](crate::cluster::Generations), the failure detector and the heartbeats, all of
//! [`watermark`](crate::watermark), the interest's [`BucketSubscriptions`](crate::interest::BucketSubscriptions) and the clock of
//! ids. The loops between them are short here and long in the product, in the order of steps that
//! the rules prescribe. Simulated are the store, Redis, clocks, threads and clients. Users write to
//! each other and to rooms, which they join and leave meanwhile. An oracle that knows everything
//! checks each cursor, each `sent` and each message of a room at once.
//!
//! | file | holds |
//! | --- | --- |
//! | `world` | a deployment in virtual time; `run` is one schedule of a seed |
//! | `queue`, `event`, `rng` | events by time, what they are, chance |
//! | `plan`, `profile`, `fault` | sizes, delays, faults |
//! | `focus`, `exact` | profiles that aim at one interleaving; those whose clocks are right |
//! | `rooms` | profiles with rooms, wide ones and others |
//! | `clocks`, `store`, `redis` | what nodes cannot trust |
//! | `thread` | steps of a thread, and stops between any two of them |
//! | `node`, `agent` | a node's life; its loop: heartbeats, reads, leases, orders of the watch |
//! | `change`, `user_rooms` | a change of a membership; what a worker knows of a user's rooms |
//! | `heads` | the newest id of a subscribed room: it need not be read |
//! | `worker`, `send`, `publisher` | a worker's queue; a send; its publisher connections |
//! | `subscriber` | the owner of a subscriber connection, interest and dispatch |
//! | `session`, `round` | resumes, delivery, cursors; a worker's part of a round |
//! | `client`, `oracle` | devices, and the check of what they hold |
//! | `members` | the members of rooms, as the oracle knows them |
//! | `mutations` | mistakes that the loops could make |
//! | `script`, `regressions` | scripted schedules, and the holes of earlier wordings |
//! | `runner` | seeds in the suite and on demand: `scripts/simulate` |
//! | `controls` | for each rule and mistake a schedule that needs it |
//! | `lags` | how far watermarks are behind, and the rules that bound it |
//!
//! # A script
//!
//! [`World::scripted(nodes, rules)`](world::World::scripted) is a deployment in which everything
//! takes about a millisecond, all clocks are right, and only the script causes events. It has run
//! for 20 s. Users 0 to 5 have a device each, of the same number, not connected.
//!
//! ```text
//! world.connects(device, node)              with the cursor that it holds
//! world.moves(device, worker)               as a resume, or as it is: `Mutation::MovedUndrained`
//! world.sends(device, user) -> Option<Msg>  once it has an id; says(device, room) likewise
//! world.changes(device, user, room, inside) -> Option<Msg>     a user joins or leaves
//! world.pass(s)  pass_to(s)  pass_until(s, |world| ..)         time, in seconds
//! world.stops(node, part)  goes_on(node, part)  stops_all(node)  goes_on_all(node)
//! world.stops_before(node, part, step)      once; Part::{Loop, Worker(w), Hearing(shard)}
//! world.joins()  leaves(node)  dies(node)  sets_clock(node, off)
//! world.hold(Hold::..)  let_go_of(Hold::..)  let_one_go_of(Hold::..)  held(Hold::..)
//!                                           acks, reads, pushes, answers, commands, queues
//! world.rows_are(node, Some(Fate::..))  messages_are(..)       unheard, flickering, lost, late
//! world.reads_leave_out(Some(replica))      reads of messages, until it is taken back
//! world.fails_over(shard, misled)  finds_primaries(node)       two primaries at the same time
//! world.cannot_publish(node, shard)  can_publish(node)
//! world.strikes(kind, node, which, s)       any fault of `fault::Kind`
//! world.cursor(device)  watermark(node)  is_frozen(node)  lease_left(node)  last_row(node)
//! world.has_passed(msg)  is_acked(msg)  has_everything(user)   by now
//! world.report.objection                    what the oracle objects to; time stands still then
//! ```
//!
//! Connections that are cut break at once, and a client that leaves is noticed soon. A thread that
//! goes on takes what came meanwhile before its own timers. `world.controls.mutation` makes the loops
//! err.
//! [`World::scripted_with`](world::World::scripted_with) takes any [`plan::SimOptions`], for more
//! workers, shards or commands in flight; a script may change its `slow` and `bounds`.

macro_rules! trace {
    ($world:expr, $($part:tt)*) => {
        if $world.report.tracing {
            let line = format!($($part)*);
            $world.note(line);
        }
    };
}

mod agent;
mod change;
mod client;
mod clocks;
mod controls;
mod event;
mod exact;
mod fault;
mod focus;
mod heads;
mod lags;
mod members;
mod mutations;
mod node;
mod oracle;
mod plan;
mod profile;
mod publisher;
mod queue;
mod redis;
mod regressions;
mod rng;
mod rooms;
mod round;
mod runner;
#[allow(dead_code, reason = "scripts may use more than those of today do")]
mod script;
mod send;
mod session;
mod store;
mod subscriber;
mod thread;
mod user_rooms;
mod worker;
mod world;
