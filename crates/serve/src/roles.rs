//! Who may do what: tokens with roles, and what each route needs.

use std::fmt;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// What the bearer of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Send events and states.
    Ingest,
    /// Ask.
    Read,
    /// Both.
    Admin,
}

/// What a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: load balancers, and the page that asks for a token.
    Nothing,
    /// A token, whatever its role.
    Token,
    /// One that may send.
    Ingest,
    /// One that may ask.
    Read,
}

impl Need {
    /// Whether who has this role may.
    pub fn allows(self, role: Role) -> bool {
        match (self, role) {
            (Need::Nothing | Need::Token, _) | (_, Role::Admin) => true,
            (Need::Ingest, role) => role == Role::Ingest,
            (Need::Read, role) => role == Role::Read,
        }
    }

    /// What is lacking, in words.
    pub fn what(self) -> &'static str {
        match self {
            Need::Nothing | Need::Token => "a token",
            Need::Ingest => "a token that may send events (`token` or `ingest_token`)",
            Need::Read => "a token that may ask (`token` or `read_token`)",
        }
    }
}

/// The tokens of a server. Says nothing of them when it is shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<(String, Role)>);

impl Tokens {
    /// None: whoever is on this machine may do everything.
    pub fn none() -> Tokens {
        Tokens::default()
    }

    /// Lets bearers of a token take a role. Several tokens may have the same one, so that one can take the place of another
    /// without a break.
    pub fn with(mut self, token: impl Into<String>, role: Role) -> Tokens {
        self.0.push((token.into(), role));
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether clients could send all of them: visible ASCII characters, at least one.
    pub fn can_be_sent(&self) -> bool {
        self.0.iter().all(|(token, _)| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()))
    }

    /// The tokens with their roles, for who must prove one without saying it.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, Role)> {
        self.0.iter().map(|(token, role)| (token.as_str(), *role))
    }

    /// The role of a token; takes as long whatever the difference, and whichever it is.
    pub(crate) fn role_of(&self, given: &[u8]) -> Option<Role> {
        let mut found = 0;
        for (number, (token, _)) in (1u64..).zip(&self.0) {
            let is: Choice = given.ct_eq(token.as_bytes());
            found.conditional_assign(&number, is);
        }
        let number = usize::try_from(found).ok()?.checked_sub(1)?;
        self.0.get(number).map(|(_, role)| *role)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles: Vec<Role> = self.0.iter().map(|(_, role)| *role).collect();
        f.debug_tuple("Tokens").field(&roles).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_role_and_no_other() {
        let tokens =
            Tokens::none().with("ask", Role::Read).with("send", Role::Ingest).with("all", Role::Admin);
        let check = |given: &str, expected: Option<Role>| {
            assert_eq!(tokens.role_of(given.as_bytes()), expected, "{given}")
        };
        check("ask", Some(Role::Read));
        check("send", Some(Role::Ingest));
        check("all", Some(Role::Admin));
        for wrong in ["", "as", "asks", "ASK", "send ", "al"] {
            check(wrong, None);
        }
        assert!(!format!("{tokens:?}").contains("send"), "secrets are not shown");
    }

    #[test]
    fn needs_and_roles() {
        use Need::{Ingest, Nothing, Read, Token};
        let table = [
            (Nothing, [true; 3]),
            (Token, [true; 3]),
            (Ingest, [true, false, true]),
            (Read, [false, true, true]),
        ];
        for (need, may) in table {
            let found = [Role::Ingest, Role::Read, Role::Admin].map(|role| need.allows(role));
            assert_eq!(found, may, "{need:?}");
        }
    }
}
