//! `image::Image`: which bytes are taken for which sketch.

use sketch::frequent::Counters;
use sketch::hash::{Hashing, Key, theta_hash_of_i64};
use sketch::hll::{Distinct, LgK};
use sketch::image::{Family, Form, Image, Type};
use sketch::theta::Theta;
use sketch::{Keyed, Limits, Sketch, Token};

fn lg(lg_k: u8) -> LgK {
    LgK::new(lg_k).unwrap()
}

fn read(bytes: &[u8], of: Option<Type>) -> Image {
    Image::read(bytes, of, &Limits::default()).unwrap()
}

fn snapshot(sketch: &impl Sketch) -> Vec<u8> {
    let mut out = Vec::new();
    sketch.snapshot(&mut out);
    out
}

fn users(names: &[&str]) -> Distinct {
    let mut users = Distinct::new(lg(12));
    names.iter().for_each(|name| users.update(Token::of_str(name)));
    users
}

fn words(words: &[&str]) -> Counters {
    let mut counters = Counters::new(64);
    words.iter().for_each(|word| counters.update(Token::of_str(word), 1, word.as_bytes()));
    counters
}

fn keyed(secret: &[u8]) -> Vec<u8> {
    let key = Key::of_secret(secret).unwrap();
    let mut sketch: Keyed<Distinct> = Keyed::new(&key, &lg(12));
    sketch.sketch_mut(&key).unwrap().update(Hashing::Keyed(key.clone()).token_of_str("ada"));
    let mut out = Vec::new();
    sketch.snapshot(&mut out);
    out
}

#[test]
fn of_the_same_sort_is_what_reads_in_whole_as_the_same() {
    let sort = |ours: &Image, theirs: &[u8]| ours.is_same_sort(theirs, &Limits::default());
    let one = snapshot(&users(&["ada"]));
    let wire = users(&["ada"]).to_datasketches();
    let texts = words(&["ada", "bob"]).to_datasketches_strings();
    let (key, other_key) =
        (keyed(b"thirty-two random bytes of a file"), keyed(b"thirty-two other bytes of a file!"));
    let files = [&one, &wire, &texts, &key, &other_key];
    for (at, ours) in files.iter().enumerate() {
        for (place, theirs) in files.iter().enumerate() {
            assert_eq!(sort(&read(ours, None), theirs), at == place, "{at} and {place}");
        }
    }
    // Other values and other parameters are the same sort.
    assert!(sort(&read(&one, None), &snapshot(&users(&["bob", "cy"]))));
    assert!(sort(&read(&wire, None), &Distinct::new(lg(8)).to_datasketches()));
    assert!(!sort(&read(&one, None), &snapshot(&words(&["ada"]))));
    // A line feed is the family of frequent items.
    let image = read(&texts, None);
    assert_eq!(image.form(), Form::DataSketches(Family::Frequent(Type::String)));
    for text in [&b"ab\ncd\n"[..], b"ab\n", b"", b"\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"] {
        assert!(!sort(&image, text), "{text:?}");
    }
    assert!(!sort(&image, &texts[..texts.len() - 1]), "cut short");
    assert!(!image.is_same_sort(&texts, &Limits::bytes(8)), "beyond the limit");
}

#[test]
fn a_key_is_told_and_kept_apart() {
    let (secret, other) = (b"thirty-two random bytes of a file", b"thirty-two other bytes of a file!");
    let mut image = read(&keyed(secret), None);
    assert_eq!(image.key(), Some(Key::of_secret(secret).unwrap().id().0));
    assert_eq!(read(&snapshot(&users(&["ada"])), None).key(), None);
    assert!(image.merge(&read(&keyed(other), None)).is_err());
    assert!(image.merge(&read(&snapshot(&users(&["ada"])), None)).is_err());
    assert!(image.merge(&read(&keyed(secret), None)).is_ok());
}

#[test]
fn a_thin_intersection_does_not_cut_what_it_is_united_with() {
    let set = |range: std::ops::Range<i64>| {
        let mut theta = Theta::new(lg(12));
        range.for_each(|id| theta.update(theta_hash_of_i64(id)));
        theta
    };
    let thin = set(0..50_000).intersect(&set(49_900..100_000));
    let bytes = thin.to_datasketches();
    assert!(bytes.len() < 400, "few hashes: {}", bytes.len());
    // Its few hashes are what the limit is about, not the 4,096 that might be.
    let limits = Limits::bytes(1_024);
    let image = Image::read(&bytes, None, &limits).unwrap();
    assert_eq!(image.parameters(), [("lg_k", 12.0)]);
    let mut united = read(&set(200_000..203_000).to_datasketches(), None);
    united.merge(&image).unwrap();
    assert_eq!(united.parameters(), [("lg_k", 12.0)]);
    // More hashes than 4,096 need a larger K.
    let mut large = Theta::new(lg(14));
    (0..100_000).for_each(|id| large.update(theta_hash_of_i64(id)));
    assert_eq!(read(&large.to_datasketches(), None).parameters(), [("lg_k", 14.0)]);
}
