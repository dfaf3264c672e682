//! Faults under load, judged from what clients saw and from nothing else.
//!
//! A [`load::Load`] of users with several devices each writes what they see into a [`log::Log`],
//! while a [`fault::Fault`] strikes a [`world::World`] of Redis servers and nodes. Afterwards
//! [`returns`] comes back with the cursors that were held on the way, and a [`judge::Judge`]
//! looks for what must not be:
//!
//! | | what must hold |
//! | --- | --- |
//! | I1 | what was acknowledged is seen by every device that it is owed to |
//! | I2 | no application is shown an id twice |
//! | I3 | ids keep a sender's own order, and sort after all that its device had seen |
//! | I4 | what a device had when it got a cursor, and what a node returns from there, is all |
//! | I5 | nobody else sees it |
//! | I9 | the time from the end of a fault until everything is everywhere (told, bounded) |
//! | I10 | what is seen is what was sent, as one message with one `dedup` |
//!
//! A device is owed what it, or anybody, begins to send once its first `cursor` has come. What a
//! node names in `gaps`, or calls incomplete, is excused and counted: none of these faults may
//! need an excuse.

mod devices;
pub mod fault;
mod judge;
mod lag;
pub mod load;
pub mod log;
pub mod proxy;
mod returns;
pub mod scenarios;
pub mod trial;
pub mod verdict;
pub mod world;
