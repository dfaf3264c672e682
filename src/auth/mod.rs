//! From a token to the caller and its permissions. No I/O: the caller of this room gives the time.

mod grants;
mod principal;
mod token;

pub use grants::Grants;
pub use principal::{Principal, TokenScope};
pub use token::{
    Claims, Mint, TOKEN_BYTES_MAX, TokenError, TokenKey, TokenPermissions, Verifier, check_length,
    claimed_expiry, claimed_user, token_keys,
};
