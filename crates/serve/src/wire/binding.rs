//! What a client may bind its proof to: `tls-server-end-point` of RFC 5929.

use ring::digest::{self, Algorithm};

/// A hash of the server's own certificate, by the algorithm that it is signed with. `None` where nothing says which.
pub(crate) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = hash_of(signed_with(certificate)?)?;
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// The object identifier of a certificate's signature.
fn signed_with(certificate: &[u8]) -> Option<&[u8]> {
    let (signed, _) = part(certificate, SEQUENCE)?;
    let (_, rest) = part(signed, SEQUENCE)?;
    let (algorithm, _) = part(rest, SEQUENCE)?;
    part(algorithm, IDENTIFIER).map(|(identifier, _)| identifier)
}

const SEQUENCE: u8 = 0x30;
const IDENTIFIER: u8 = 0x06;

/// What the first value of DER holds, and what is behind it.
fn part(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[own, length], rest) = der.split_first_chunk()?;
    if own != tag {
        return None;
    }
    let (length, rest) = match length {
        short @ ..=0x7f => (usize::from(short), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => {
            let (bytes, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*bytes)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

fn hash_of(identifier: &[u8]) -> Option<&'static Algorithm> {
    /// 1.2.840.113549.1.1 and 1.2.840.10045.4.3.
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    let (last, family) = identifier.split_last()?;
    // MD5 and SHA-1 are taken for SHA-256; other signatures (Ed25519, RSA-PSS) do not say.
    match (family, last) {
        (RSA, 4 | 5 | 11) | (ECDSA, 2) => Some(&digest::SHA256),
        (RSA, 12) | (ECDSA, 3) => Some(&digest::SHA384),
        (RSA, 13) | (ECDSA, 4) => Some(&digest::SHA512),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_by_what_it_is_signed() {
        // Certificate { tbs {}, algorithm { identifier, null }, ... }
        let certificate = |last: u8| {
            let identifier =
                [&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01][..], &[last]].concat();
            let algorithm = [&[0x30, 13][..], &identifier, &[0x05, 0x00]].concat();
            let body = [&[0x30, 0x00][..], &algorithm].concat();
            [&[0x30, 0x81, body.len() as u8][..], &body].concat()
        };
        let long = |last: u8| end_point(&certificate(last)).map(|hash| hash.len());
        assert_eq!(
            (long(11), long(5), long(12), long(13), long(10)),
            (Some(32), Some(32), Some(48), Some(64), None)
        );
        for bytes in [&b""[..], &[0x30], &[0x30, 5, 1], &[0x30, 0x84, 1, 1, 1, 1]] {
            assert_eq!(end_point(bytes), None, "{bytes:?}");
        }
    }
}
