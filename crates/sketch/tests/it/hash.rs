//! The hash functions against other implementations, and columns against single values.

use proptest::prelude::*;
use siphasher::sip128::Hasher128;
use sketch::Token;
use sketch::hash::{Hashing, Key, SECRET_BYTES_MIN, ShortSecret, murmur3_x64_128, xxh3_128, xxh64};
use std::hash::Hasher;

fn key(n: u8) -> [u8; 16] {
    std::array::from_fn(|i| n.wrapping_mul(31).wrapping_add(i as u8 * 7))
}

fn all() -> [Hashing; 3] {
    [Hashing::Interchange, Hashing::Fast, Hashing::Keyed(Key::from_bytes(key(1)))]
}

/// Bytes that follow no simple pattern.
fn noise(len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (murmur3_x64_128(&i.to_le_bytes(), 0).0 >> 32) as u8).collect()
}

#[test]
fn other_implementations_agree_at_every_length() {
    // Every road of XXH3 (0, 3, 8, 16, 128, 240, then stripes of 64 in blocks of 1,024) with its neighbours.
    let bytes = noise(5_000);
    let lengths = (0..600).chain(1_000..1_100).chain(2_040..2_060).chain([3_072, 3_073, 4_096, 4_999]);
    let secret = key(9);
    for len in lengths {
        let input = &bytes[..len];
        let fast = twox_hash::XxHash3_128::oneshot(input);
        assert_eq!(xxh3_128(input), (fast as u64, (fast >> 64) as u64), "XXH3 of {len}");
        assert_eq!(xxh64(input), twox_hash::XxHash64::oneshot(0, input), "XXH64 of {len}");
        let mut sip = siphasher::sip128::SipHasher24::new_with_key(&secret);
        sip.write(input);
        let expected = sip.finish128();
        let keyed = Hashing::Keyed(Key::from_bytes(secret)).hash_of_bytes(input);
        assert_eq!(keyed, (expected.h1, expected.h2), "SipHash of {len}");
    }
}

#[test]
fn the_id_of_a_key_is_siphash_of_the_label_and_its_derivation_that_of_the_secret() {
    let mut sip = siphasher::sip::SipHasher24::new_with_key(&key(3));
    sip.write(b"streamgauge key id");
    assert_eq!(Key::from_bytes(key(3)).id().0, sip.finish());

    let secret = b"sixteen bytes or more, from a file";
    let mut sip = siphasher::sip128::SipHasher24::new_with_key(secret[..16].try_into().unwrap());
    sip.write(secret);
    let derived = sip.finish128();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&derived.h1.to_le_bytes());
    bytes[8..].copy_from_slice(&derived.h2.to_le_bytes());
    assert_eq!(Key::of_secret(secret), Ok(Key::from_bytes(bytes)));
}

#[test]
fn a_secret_has_sixteen_bytes_and_all_of_them_count() {
    assert_eq!(Key::of_secret(&[7; SECRET_BYTES_MIN - 1]), Err(ShortSecret { bytes: 15 }));
    let secret: Vec<u8> = (0..40).collect();
    let of = |secret: &[u8]| Key::of_secret(secret).unwrap().id();
    for i in 0..secret.len() {
        let mut other = secret.clone();
        other[i] ^= 1;
        assert_ne!(of(&other), of(&secret), "byte {i}");
    }
    assert_ne!(of(&secret[..39]), of(&secret));
}

#[test]
fn frozen_tokens() {
    // docs/FORMATS.md has these.
    let key = Key::from_bytes(std::array::from_fn(|i| i as u8));
    assert_eq!(key.id().to_string(), "e7a8802096abcbd3");
    let tokens = [Hashing::Interchange, Hashing::Fast, Hashing::Keyed(key)].map(|hashing| {
        format!("{:016X} {:016X}", hashing.token_of_str("user_42").0, hashing.token_of_i64(42).0)
    });
    assert_eq!(
        tokens,
        [
            "F518CCF804DCD41E 908033AF05D0BC1A",
            "F2E199FA0D797639 61C2164E07895A45",
            "35307681049E0E2D 6BEB25D8107C1AE4"
        ]
    );
}

#[test]
fn every_length_takes_the_same_road_in_a_column() {
    let text: Vec<u8> = (0..u8::MAX).chain(0..u8::MAX).collect();
    let mut offsets = vec![0i32];
    // The last ones lie so near the end that sixteen bytes cannot be loaded.
    for len in (0..24).chain([0, 100, 3, 1, 2]) {
        offsets.push(offsets.last().unwrap() + len);
    }
    let text = &text[..*offsets.last().unwrap() as usize];
    for hashing in all() {
        let (mut tokens, mut hashes) = (Vec::new(), Vec::new());
        hashing.tokens_of_strings(text, &offsets, &mut tokens);
        hashing.theta_hashes_of_strings(text, &offsets, &mut hashes);
        assert_eq!((tokens.len(), hashes.len()), (offsets.len() - 1, offsets.len() - 1));
        for (i, ends) in offsets.windows(2).enumerate() {
            let value = &text[ends[0] as usize..ends[1] as usize];
            let (h1, h2) = hashing.hash_of_bytes(value);
            assert_eq!(tokens[i], Token::of_hash(h1, h2), "{hashing:?} {ends:?}");
            assert_eq!(tokens[i], hashing.token_of_bytes(value), "{hashing:?} {ends:?}");
            assert_eq!(hashes[i], h1 >> 1, "{hashing:?} {ends:?}");
        }
        hashing.tokens_of_strings(text, &[], &mut tokens);
        assert_eq!(tokens, []);
    }
}

#[test]
fn stamps_tell_functions_and_keys_apart() {
    let [interchange, fast, keyed] = all();
    let other = Hashing::Keyed(Key::from_bytes(key(2)));
    let hashings = [&interchange, &fast, &keyed, &other];
    for (i, a) in hashings.iter().enumerate() {
        for (j, b) in hashings.iter().enumerate() {
            assert_eq!(a.agree(b).is_ok(), i == j);
            assert_eq!(a.stamp() == b.stamp(), i == j);
        }
    }
    assert_eq!(keyed.agree(&other).unwrap_err().what, "key id");
    assert_eq!(keyed.agree(&fast).unwrap_err().what, "hash function");
    assert_eq!((interchange.stamp(), fast.stamp()), ([0; 9], [1, 0, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(Hashing::default(), interchange);
}

proptest! {
    #[test]
    fn numbers_are_their_eight_bytes(values in prop::collection::vec(any::<i64>(), 0..40)) {
        let doubles: Vec<f64> = values.iter().map(|&v| f64::from_bits(v as u64)).collect();
        for hashing in all() {
            let (mut tokens, mut hashes) = (Vec::new(), Vec::new());
            hashing.tokens_of_i64s(&values, &mut tokens);
            hashing.theta_hashes_of_i64s(&values, &mut hashes);
            for (i, v) in values.iter().enumerate() {
                prop_assert_eq!(tokens[i], hashing.token_of_bytes(&v.to_le_bytes()));
                prop_assert_eq!(tokens[i], hashing.token_of_i64(*v));
                prop_assert_eq!(hashes[i], hashing.theta_hash_of_bytes(&v.to_le_bytes()));
                prop_assert_eq!(hashes[i], hashing.theta_hash_of_i64(*v));
            }
            hashing.tokens_of_f64s(&doubles, &mut tokens);
            hashing.theta_hashes_of_f64s(&doubles, &mut hashes);
            for (i, v) in doubles.iter().enumerate() {
                prop_assert_eq!(tokens[i], hashing.token_of_f64(*v));
                prop_assert_eq!(hashes[i], hashing.theta_hash_of_f64(*v));
            }
            prop_assert_eq!(hashing.token_of_f64(-0.0), hashing.token_of_i64(0));
            prop_assert_eq!(hashing.token_of_f64(f64::NAN), hashing.token_of_f64(-f64::NAN));
        }
    }
}
