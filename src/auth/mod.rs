//! From a token to who is calling and what he may do. No I/O: the time is the caller's.

mod grants;
mod principal;
mod token;

pub use grants::Grants;
pub use principal::{Principal, TokenRole};
pub use token::{
    Claims, Mint, TOKEN_BYTES_MAX, TokenError, TokenKey, TokenRules, Verifier, check_length,
};
