//! `renew`: brings a fresh token.

use std::rc::Rc;

use super::Router;
use crate::hub::Session;
use crate::protocol::{Code, ErrorReply, RequestId, ServerFrame};

/// Items that the check of a token counts as. It takes 10 to 100 microseconds for its signature,
/// its claims and up to 200 grants, where a pattern takes about one.
const TOKEN_ITEMS: usize = 50;

impl Router {
    /// Brings a fresh token of the same user. Patterns that it does not grant end at once, and
    /// `refused` names them. It counts as a read, like `hello`.
    pub(super) fn renew(
        &self,
        session: &Rc<Session>,
        id: Option<&RequestId>,
        token: &str,
    ) -> Result<(), ErrorReply> {
        self.charge_items(session, TOKEN_ITEMS)?;
        self.limiter.read(&session.user).map_err(|refused| refused.refusal())?;
        let principal = self.services.authenticate(token)?;
        if principal.user != session.user {
            let message = "the token is of another user than the session";
            return Err(ErrorReply::new(Code::Unauthorized, message));
        }
        let expires_at = principal.expires_at * 1000;
        session.renew(principal);
        let principal = session.principal();
        let lost = session.patterns(|pattern| !principal.may_subscribe(pattern));
        self.drop_patterns(session, &lost);
        let refused = ServerFrame::refused(&lost);
        self.sessions.reply(session, &ServerFrame::Renewed { id, expires_at, refused: &refused });
        Ok(())
    }
}
