//! The closed lists that events draw from, with their weights.

pub(crate) const DEVICES: [(&str, f64); 4] =
    [("mobile", 55.0), ("desktop", 35.0), ("tablet", 8.0), ("tv", 2.0)];

pub(crate) const COUNTRIES: [(&str, f64); 12] = [
    ("US", 30.0),
    ("DE", 16.0),
    ("GB", 12.0),
    ("FR", 10.0),
    ("IN", 8.0),
    ("BR", 6.0),
    ("JP", 5.0),
    ("CA", 4.0),
    ("ES", 3.0),
    ("NL", 3.0),
    ("PL", 2.0),
    ("NG", 1.0),
];

pub(crate) const PAGES: u32 = 500;
pub(crate) const PRODUCTS: u32 = 2_000;
pub(crate) const CAMPAIGNS: u32 = 40;
/// Search terms: every look with every thing.
pub(crate) const QUERIES: u32 = (LOOKS.len() * THINGS.len()) as u32;

const LOOKS: [&str; 20] = [
    "red",
    "cheap",
    "black",
    "large",
    "waterproof",
    "blue",
    "used",
    "light",
    "wooden",
    "small",
    "green",
    "warm",
    "new",
    "white",
    "foldable",
    "soft",
    "silent",
    "yellow",
    "vintage",
    "heavy",
];
const THINGS: [&str; 10] =
    ["shoes", "lamp", "phone case", "jacket", "desk", "headphones", "backpack", "bicycle", "kettle", "chair"];

/// The two words of the search term of this rank. Ranks that follow one another share neither.
pub(crate) fn query(rank: u32) -> (&'static str, &'static str) {
    let rank = rank as usize;
    let look = rank % LOOKS.len();
    // Each look meets each thing once in the twenty-step walk: the shift by `look` only turns the list of things.
    (LOOKS[look], THINGS[(rank / LOOKS.len() + look) % THINGS.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_rank_has_a_search_term_of_its_own() {
        assert_eq!((0..QUERIES).map(query).collect::<BTreeSet<_>>().len(), 200);
    }
}
