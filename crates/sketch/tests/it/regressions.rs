//! What the fuzz targets found, in its smallest form.

use datasketches::frequencies::FrequentItemsSketch;
use sketch::Token;
use sketch::frequent::Counters;

#[test]
fn an_export_of_weights_beyond_63_bits_can_be_read() {
    let mut counters = Counters::new(16);
    for (word, weight) in [("a", 1 << 62), ("b", 1 << 63), ("c", 7)] {
        counters.update(Token::of_str(word), weight, word.as_bytes());
    }
    let image = counters.to_datasketches_strings();
    let twin = FrequentItemsSketch::<String>::deserialize(&image).expect("an image of theirs");
    assert_eq!(twin.total_weight(), i64::MAX as u64);
    let held: u64 = ["a", "b", "c"].iter().map(|word| twin.estimate(&word.to_string())).sum();
    assert_eq!(held, i64::MAX as u64, "the counters stop where the total does");
}
