//! `[policy]`: who may do what.

use super::key_type::Choice;
use super::keys::keys;

keys! {
    /// Who may do what.
    #[derive(Copy)]
    pub struct PolicyConfig {
        /// Who may start a direct conversation. One that exists is open to both of its users.
        pub direct: Initiator = Choice(INITIATORS),
        /// Who may make rooms. Of a user's room the server chooses the id.
        pub create: Initiator = Choice(INITIATORS),
    }
}

/// Who may begin something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// Any user.
    Anyone,
    /// Services alone, on behalf of users.
    Service,
}

const INITIATORS: [(&str, Initiator); 2] =
    [("anyone", Initiator::Anyone), ("service", Initiator::Service)];
