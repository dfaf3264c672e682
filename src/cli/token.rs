//! `token`: tokens for trying things out, and for load.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::output::print_line;
use super::{CliFailure, settings};
use crate::auth::{Claims, Mint, TokenPermissions, TokenScope, token_keys};
use crate::clock::WallClock;
use crate::config::Config;

/// Most tokens of one call.
const TOKENS_MAX: u64 = 1_000_000;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScopeName {
    User,
    Service,
    Admin,
}

/// Makes tokens with the configuration's first key.
#[derive(Debug, Args)]
pub(super) struct Token {
    /// Raw user ids; `load-{0..9999}` is ten thousand of them.
    #[arg(required = true)]
    users: Vec<String>,
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// A pattern that the user may publish to; may be given several times.
    #[arg(long)]
    publish: Vec<String>,
    /// A pattern that the user may subscribe to; may be given several times.
    #[arg(long)]
    subscribe: Vec<String>,
    /// For whom the caller acts: itself, or as a backend for any user, over HTTP alone.
    #[arg(long)]
    scope: Option<ScopeName>,
    /// Its life in seconds, at most the configuration's `auth.max_life_s`.
    #[arg(long, default_value_t = 3600)]
    life: u64,
    /// One JSON object per line, `{"user":…,"token":…}`.
    #[arg(long)]
    json: bool,
}

impl Token {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        let config = settings::load(self.config.as_deref())?;
        check_life(self.life, config.auth.rules.max_life.as_secs())?;
        let scope = self.scope.map(|scope| match scope {
            ScopeName::User => TokenScope::User,
            ScopeName::Service => TokenScope::Service,
            ScopeName::Admin => TokenScope::Admin,
        });
        let signer = Signer::of(&config);
        for user in expand(&self.users)? {
            let grants = TokenGrants { publish: &self.publish, subscribe: &self.subscribe };
            let token = signer.token(claims(&user, self.life, grants, scope));
            if self.json {
                print_line(serde_json::json!({"user": user, "token": token}))?;
            } else {
                print_line(token)?;
            }
        }
        Ok(())
    }
}

/// Refuses a token that no node of the configuration would accept.
fn check_life(life: u64, max: u64) -> Result<(), CliFailure> {
    if life <= max {
        return Ok(());
    }
    let message = format!("`--life` is {life} s, nodes accept at most {max} (`auth.max_life_s`)");
    Err(CliFailure::Usage(message))
}

/// Patterns that a token grants.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TokenGrants<'a> {
    pub(crate) publish: &'a [String],
    pub(crate) subscribe: &'a [String],
}

/// Signs tokens that the nodes of a configuration accept: with its first key, for its audience, in
/// its issuer's name.
pub(crate) struct Signer {
    mint: Mint,
    audience: Option<String>,
    issuer: Option<String>,
}

impl Signer {
    pub(crate) fn of(config: &Config) -> Self {
        let auth = &config.auth;
        Self {
            mint: Mint::new(&token_keys(auth)[0]),
            audience: auth.rules.audience.clone(),
            issuer: auth.rules.issuer.clone(),
        }
    }

    fn token(&self, claims: Claims) -> String {
        let (aud, iss) = (self.audience.clone().map(Into::into), self.issuer.clone());
        self.mint.token(&Claims { aud, iss, ..claims })
    }
}

/// The claims of a fresh token.
pub(crate) fn claims(
    user: &str,
    life: u64,
    grants: TokenGrants<'_>,
    scope: Option<TokenScope>,
) -> Claims {
    let now = WallClock::system().seconds();
    let (publish, subscribe) = (grants.publish.to_vec(), grants.subscribe.to_vec());
    let nc = TokenPermissions { scope, publish, subscribe };
    Claims { nc, ..Claims::of_user(user, now, life) }
}

/// The token to use: the given one, or a fresh one signed with the configuration's key.
pub(super) fn given_or_fresh(
    token: Option<String>,
    user: &str,
    config: Option<&Path>,
) -> Result<String, CliFailure> {
    match token {
        Some(token) => Ok(token),
        None => Ok(everything(&Signer::of(&settings::load(config)?), user)),
    }
}

/// A token for an hour with every grant that a demo needs.
pub(crate) fn everything(signer: &Signer, user: &str) -> String {
    const LIFE: u64 = 3600;
    let patterns = ["topic.>".to_owned(), "presence.*".to_owned()];
    let grants = TokenGrants { publish: &patterns[..1], subscribe: &patterns };
    signer.token(claims(user, LIFE, grants, None))
}

/// Expands `name-{0..9}`.
fn expand(users: &[String]) -> Result<Vec<String>, CliFailure> {
    let mut all = Vec::new();
    for user in users {
        match range(user)? {
            None => all.push(user.clone()),
            Some((before, first, last, after)) => {
                if last - first >= TOKENS_MAX {
                    let message = format!("`{user}` is more than {TOKENS_MAX} users");
                    return Err(CliFailure::Usage(message));
                }
                all.extend((first..=last).map(|n| format!("{before}{n}{after}")));
            }
        }
    }
    Ok(all)
}

type Range<'a> = (&'a str, u64, u64, &'a str);

fn range(user: &str) -> Result<Option<Range<'_>>, CliFailure> {
    let Some((before, rest)) = user.split_once('{') else { return Ok(None) };
    let parsed = rest.split_once('}').and_then(|(range, after)| {
        let (first, last) = range.split_once("..")?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some((before, first, last, after))
    });
    parsed.map(Some).ok_or_else(|| CliFailure::Usage(format!("`{user}` is not like name-{{0..9}}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Verifier;

    #[test]
    fn a_configurations_own_tokens_are_good_at_its_nodes() {
        let text = "[auth]\naudience = \"chat\"\nissuer = \"shop\"\n";
        let config = Config::load(Some(text), std::iter::empty()).unwrap();
        let verifier = Verifier::new(&token_keys(&config.auth), config.auth.rules.clone());
        let now = WallClock::system().seconds();
        let good = everything(&Signer::of(&config), "alice");
        assert!(verifier.verify(&good, now).is_ok());
        let other = everything(&Signer::of(&Config::default()), "alice");
        assert!(verifier.verify(&other, now).is_err());
    }

    #[test]
    fn a_life_that_nodes_refuse_is_refused_at_making() {
        assert!(check_life(86_400, 86_400).is_ok());
        let refusal = check_life(86_401, 86_400).unwrap_err();
        let message = "`--life` is 86401 s, nodes accept at most 86400 (`auth.max_life_s`)";
        assert!(matches!(&refusal, CliFailure::Usage(found) if found == message), "{refusal:?}");
    }

    #[test]
    fn ranges_are_written_out() {
        let expand = |users: &[&str]| {
            expand(&users.iter().map(|user| (*user).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(expand(&["a", "u-{8..10}x"]).unwrap(), ["a", "u-8x", "u-9x", "u-10x"]);
        for bad in ["{", "{a..b}", "{3..1}", "{1..}", "{0..1000000}"] {
            assert!(matches!(expand(&[bad]), Err(CliFailure::Usage(_))), "{bad}");
        }
    }
}
