//! What a column is good for: a dimension, an amount, the identity of something, or nothing that is measured.

use super::profile::Profile;
use super::words::{self, Meaning};
use engine::spec::Kind;

/// What a column is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Few values: groups.
    Dimension,
    /// Many values that repeat: which are the most frequent, and how many there are.
    Item,
    /// Values that name one thing among many: how many there are.
    Identity,
    /// A number to take quantiles of; `additive` ones also have a sum.
    Amount { additive: bool },
    /// A number that may be an amount or name something.
    Number,
    /// Not measured; why.
    Left(&'static str),
}

/// Values of a dimension, at most.
const DIMENSION_MAX: usize = 60;
/// How often a value of a dimension occurs, on average, at least.
const REPEATED: usize = 10;

impl Role {
    /// Judges a column of a sample of so many events.
    pub fn of(profile: &Profile, events: usize) -> Role {
        if let Some(why) = profile.unnamed {
            return Role::Left(why);
        }
        match () {
            () if profile.containers > 0 && profile.values == 0 => Role::Left("lists are not measured"),
            () if profile.containers > 0 => Role::Left("sometimes a list or an object"),
            () if profile.values == 0 => Role::Left("no event has a value"),
            () if profile.distinct.seen == 1 && events > 1 => Role::Left("always the same"),
            () => match profile.kind {
                Kind::Bool => Role::Dimension,
                Kind::String => of_text(profile),
                Kind::Int64 => of_integers(profile),
                Kind::Float64 => of_doubles(profile),
            },
        }
    }

    /// The type to declare. What only names something is a text: no value of it can be wrong.
    pub fn kind(self, profile: &Profile) -> Kind {
        match self {
            Role::Identity | Role::Item => Kind::String,
            _ => profile.kind,
        }
    }
}

fn is_few(profile: &Profile) -> bool {
    let distinct = &profile.distinct;
    let repeated = if distinct.values < 100 { 3 } else { REPEATED };
    distinct.seen <= DIMENSION_MAX && distinct.seen * repeated <= distinct.values
}

fn of_text(profile: &Profile) -> Role {
    let (text, share) = (&profile.text, profile.distinct.share());
    match () {
        () if profile.decimal_commas => {
            Role::Left("numbers with a decimal comma, which are not read as numbers")
        }
        () if is_few(profile) && text.bytes_mean <= 100.0 => Role::Dimension,
        () if text.bytes_mean > 250.0 || text.bytes_max > 10_000 => Role::Left("long texts"),
        () if text.words_mean >= 4.0 && share > 0.3 => Role::Left("free text"),
        () if text.hexadecimal || share > 0.9 => Role::Identity,
        () if words::meaning(&profile.path) == Meaning::Identity && share > 0.5 => Role::Identity,
        () => Role::Item,
    }
}

fn of_integers(profile: &Profile) -> Role {
    let (distinct, few) = (&profile.distinct, is_few(profile));
    let Some(numbers) = &profile.numbers else { return Role::Left("no event has a value") };
    let flag = distinct.seen <= 2 && numbers.least >= 0.0 && numbers.most <= 1.0;
    match words::meaning(&profile.path) {
        _ if numbers.counting && distinct.values > 2 => Role::Left("it counts the events"),
        Meaning::Coordinate => Role::Left("a place, not an amount"),
        Meaning::DatePart => Role::Left("a part of a date"),
        _ if numbers.clock && numbers.most > 1000.0 && distinct.seen > 100 => {
            Role::Left("a time of day, not an amount")
        }
        Meaning::Identity if few => Role::Dimension,
        Meaning::Identity if distinct.share() > 0.9 => Role::Identity,
        Meaning::Identity => Role::Item,
        Meaning::Amount { additive } => Role::Amount { additive: additive || flag },
        Meaning::Unknown if few && distinct.seen <= 25 && numbers.most.abs() < 10_000.0 => Role::Dimension,
        Meaning::Unknown if few && words::is_usual_dimension(&profile.path) => Role::Dimension,
        Meaning::Unknown if numbers.ascending && distinct.values > 20 => Role::Identity,
        Meaning::Unknown if words::is_usual_actor(&profile.path) => Role::Item,
        // Sizes and amounts are small as a rule and now and then large; what numbers name is not.
        Meaning::Unknown if numbers.mean - numbers.least < (numbers.most - numbers.least) / 20.0 => {
            Role::Amount { additive: false }
        }
        Meaning::Unknown => Role::Number,
    }
}

fn of_doubles(profile: &Profile) -> Role {
    match words::meaning(&profile.path) {
        Meaning::Coordinate => Role::Left("a place, not an amount"),
        Meaning::DatePart => Role::Left("a part of a date"),
        Meaning::Amount { additive } => Role::Amount { additive },
        Meaning::Identity if profile.numbers.is_some_and(|n| n.least.fract() == 0.0) => Role::Item,
        Meaning::Identity | Meaning::Unknown => Role::Amount { additive: false },
    }
}
