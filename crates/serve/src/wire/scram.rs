//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side: a token is the password, and never crosses the wire.
//!
//! Over TLS also SCRAM-SHA-256-PLUS, which binds to the certificate (`tls-server-end-point`, RFC 5929). Tokens are visible ASCII,
//! so SASLprep changes nothing of them. The name of the user says nothing: the role is that of the token, and every token is
//! tried in the same way.

use super::failure::Failure;
use crate::roles::{Role, Tokens};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// As Postgres has it.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4_096).unwrap();
const SCRAM: &str = "SCRAM-SHA-256";
const PLUS: &str = "SCRAM-SHA-256-PLUS";

/// What is known of the tokens: nobody could log in with it elsewhere.
pub(crate) struct Keys {
    salt: [u8; 16],
    of: Vec<([u8; 32], hmac::Key, Role)>,
}

impl Keys {
    /// `None` when the system has no random bytes. Costs some milliseconds for each token.
    pub fn new(tokens: &Tokens) -> Option<Keys> {
        let mut salt = [0; 16];
        SystemRandom::new().fill(&mut salt).ok()?;
        let key = |(token, role): (&str, Role)| {
            let mut salted = [0; 32];
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &salt, token.as_bytes(), &mut salted);
            let salted = hmac::Key::new(hmac::HMAC_SHA256, &salted);
            let client = hmac::sign(&salted, b"Client Key");
            let server = hmac::sign(&salted, b"Server Key");
            let mut stored = [0; 32];
            stored.copy_from_slice(digest::digest(&digest::SHA256, client.as_ref()).as_ref());
            (stored, hmac::Key::new(hmac::HMAC_SHA256, server.as_ref()), role)
        };
        Some(Keys { salt, of: tokens.all().map(key).collect() })
    }

    /// The role of whose proof this is, and how the server shows that it knows the token too.
    fn who(&self, message: &[u8], proof: &[u8; 32]) -> Option<(Role, hmac::Tag)> {
        let mut found = 0;
        for (number, (stored, _, _)) in (1u64..).zip(&self.of) {
            let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, stored), message);
            let mut client = *proof;
            client.iter_mut().zip(signature.as_ref()).for_each(|(own, sign)| *own ^= sign);
            let is: Choice = digest::digest(&digest::SHA256, &client).as_ref().ct_eq(stored);
            found.conditional_assign(&number, is);
        }
        let number = usize::try_from(found).ok()?.checked_sub(1)?;
        let (_, server, role) = self.of.get(number)?;
        Some((*role, hmac::sign(server, message)))
    }
}

/// An exchange that has begun.
pub(crate) struct Exchange {
    client_first: String,
    server_first: String,
    nonce: String,
    /// What the client must bind to.
    bound: Vec<u8>,
}

/// The mechanisms that are offered, best first.
pub(crate) fn mechanisms(binding: Option<&[u8]>) -> &'static [&'static str] {
    if binding.is_some() { &[PLUS, SCRAM] } else { &[SCRAM] }
}

fn wrong(what: &str) -> Failure {
    Failure::protocol(format!("this is no SCRAM: {what}"))
}

impl Exchange {
    /// Reads what the client says first; `binding` is the hash of the certificate.
    pub fn begin(
        keys: &Keys,
        mechanism: &str,
        first: &str,
        binding: Option<&[u8]>,
    ) -> Result<Exchange, Failure> {
        let mut random = [0; 18];
        let filled = SystemRandom::new().fill(&mut random);
        filled.map_err(|_| Failure::fatal("XX000", "the system has no random bytes"))?;
        Exchange::begin_with(keys, mechanism, first, binding, &base64(&random))
    }

    fn begin_with(
        keys: &Keys,
        mechanism: &str,
        first: &str,
        binding: Option<&[u8]>,
        own_nonce: &str,
    ) -> Result<Exchange, Failure> {
        let mut parts = first.splitn(3, ',');
        let (Some(flag), Some(identity), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("the first message has no header"));
        };
        let bound = match (mechanism, flag, binding) {
            (SCRAM, "n", _) => Vec::new(),
            // The client could bind and thinks that the server cannot: somebody between them has taken the offer away.
            (SCRAM, "y", Some(_)) => {
                return Err(wrong("the offer to bind to the certificate was taken away"));
            }
            (SCRAM, "y", None) => Vec::new(),
            (PLUS, "p=tls-server-end-point", Some(hash)) => hash.to_vec(),
            _ => return Err(wrong("the mechanism and the way to bind do not go together")),
        };
        if !identity.is_empty() {
            return Err(wrong("one user in the name of another"));
        }
        let mut attributes = bare.split(',');
        let user = attributes.next().is_some_and(|user| user.starts_with("n="));
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r=")).filter(|nonce| {
            !nonce.is_empty() && nonce.len() <= 256 && nonce.bytes().all(|b| b.is_ascii_graphic())
        });
        let (true, Some(nonce)) = (user, nonce) else { return Err(wrong("no user, or no nonce")) };
        let nonce = format!("{nonce}{own_nonce}");
        let server_first = format!("r={nonce},s={},i={ITERATIONS}", base64(&keys.salt));
        let bound = [format!("{flag},{identity},").into_bytes(), bound].concat();
        Ok(Exchange { client_first: bare.to_string(), server_first, nonce, bound })
    }

    /// What the server says to it.
    pub fn server_first(&self) -> &str {
        &self.server_first
    }

    /// Reads what the client says last; the role, and what the server says last, or `None` for a wrong token.
    pub fn finish(&self, keys: &Keys, last: &str) -> Result<Option<(Role, String)>, Failure> {
        let (without_proof, proof) = last.rsplit_once(",p=").ok_or_else(|| wrong("no proof"))?;
        let mut attributes = without_proof.split(',');
        let bound = attributes.next().and_then(|bound| bound.strip_prefix("c="));
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        if bound.map(unbase64) != Some(Some(self.bound.clone())) {
            return Err(wrong("it is bound to another connection"));
        }
        if nonce != Some(self.nonce.as_str()) {
            return Err(wrong("the nonce is another one"));
        }
        let proof: [u8; 32] = unbase64(proof)
            .and_then(|proof| proof.try_into().ok())
            .ok_or_else(|| wrong("the proof is none"))?;
        let message = format!("{},{},{without_proof}", self.client_first, self.server_first);
        let who = keys.who(message.as_bytes(), &proof);
        Ok(who.map(|(role, signature)| (role, format!("v={}", base64(signature.as_ref())))))
    }
}

const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sign = SIGNS[(word >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { char::from(sign) } else { '=' });
        }
    }
    out
}

/// The bytes of a text, if it is base64 with its padding.
fn unbase64(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let stripped = text.trim_end_matches('=');
    if text.len() - stripped.len() > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in stripped.as_bytes().chunks(4) {
        let mut word = 0u32;
        for place in 0..4 {
            let value = match chunk.get(place) {
                Some(sign) => SIGNS.iter().position(|known| known == sign)? as u32,
                None => 0,
            };
            word = word << 6 | value;
        }
        out.extend(&word.to_be_bytes()[1..chunk.len()]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client's side, as RFC 5802 has it, with the example of RFC 7677.
    #[test]
    fn the_example_of_the_rfc_holds() {
        let mut keys = Keys::new(&Tokens::none().with("pencil", Role::Read)).expect("keys");
        keys.salt.copy_from_slice(&unbase64("W22ZaJ0SNY7soEsUEjb6gQ==").expect("a salt"));
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &keys.salt, b"pencil", &mut salted);
        let salted = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client = hmac::sign(&salted, b"Client Key");
        keys.of[0].0.copy_from_slice(digest::digest(&digest::SHA256, client.as_ref()).as_ref());
        keys.of[0].1 = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&salted, b"Server Key").as_ref());
        let exchange = Exchange::begin_with(
            &keys,
            "SCRAM-SHA-256",
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            None,
            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        );
        let exchange = exchange.expect("an exchange");
        assert_eq!(
            exchange.server_first(),
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let found = exchange.finish(&keys, last);
        let expected = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(found, Ok(Some((Role::Read, expected.to_string()))));
        let other = last.replace("dHzb", "dHzc");
        assert_eq!(exchange.finish(&keys, &other), Ok(None));
        for wrong in [
            "",
            "c=biws",
            "c=eSws,r=x,p=AAAA",
            &last.replace("c=biws", "c=eSws"),
            &last.replace("r=r", "r=s"),
        ] {
            assert!(exchange.finish(&keys, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_could_bind_must() {
        let keys = Keys::new(&Tokens::none().with("t", Role::Admin)).expect("keys");
        let check = |mechanism, first, binding: Option<&[u8]>, fine| {
            let begun = Exchange::begin(&keys, mechanism, first, binding);
            assert_eq!(begun.is_ok(), fine, "{mechanism} {first} {binding:?}");
        };
        check("SCRAM-SHA-256", "n,,n=,r=x", None, true);
        check("SCRAM-SHA-256", "n,,n=,r=x", Some(b"h"), true);
        check("SCRAM-SHA-256", "y,,n=,r=x", None, true);
        check("SCRAM-SHA-256", "y,,n=,r=x", Some(b"h"), false);
        check("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=x", Some(b"h"), true);
        check("SCRAM-SHA-256-PLUS", "p=tls-unique,,n=,r=x", Some(b"h"), false);
        check("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=x", None, false);
        check("SCRAM-SHA-1", "n,,n=,r=x", None, false);
        check("SCRAM-SHA-256", "n,a=other,n=,r=x", None, false);
        check("SCRAM-SHA-256", "n,,n=", None, false);
        check("SCRAM-SHA-256", "n,,n=,r=", None, false);
    }

    #[test]
    fn base64_goes_both_ways() {
        for bytes in [&b""[..], b"a", b"ab", b"abc", b"\xff\xfe\xfd\xfc"] {
            assert_eq!(unbase64(&base64(bytes)).as_deref(), Some(bytes));
        }
        for wrong in ["a", "a===", "====", "ab!=", "abc"] {
            assert_eq!(unbase64(wrong), None, "{wrong}");
        }
    }
}
