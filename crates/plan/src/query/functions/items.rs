//! Single values of sketches: is it there, how often, which are the most frequent.

use super::super::QueryError;
use super::call::{Context, Item, Out, Row};
use sketch::hash::Hashing;
use sketch::image::Image;
use sketch::theta::Theta;
use sketch::{Any, Guarantee, Question};

/// Most items that `top` lists.
const ITEMS_MAX: f64 = 10_000.0;

/// How often a value occurred.
pub(super) fn frequency(context: &Context, row: &Row<'_>) -> Result<Option<Out>, QueryError> {
    let (Some(image), Some(item)) = (row.sketch(0)?, row.item(1)?) else { return Ok(None) };
    let token = item.token(hashing(context, &image)?);
    match image.any().and_then(|any| any.query(&Question::Frequency(token), context.confidence)) {
        Some(e) => Ok(Some(Out::Estimate(e))),
        None => Err(knows_not(&image, "frequencies").hint("metrics of freq(...) and top(...) do")),
    }
}

/// Whether a value is in a sketch; null where it cannot be known.
pub(super) fn contains(context: &Context, row: &Row<'_>) -> Result<Option<Out>, QueryError> {
    let (Some(image), Some(item)) = (row.sketch(0)?, row.item(1)?) else { return Ok(None) };
    let hashing = hashing(context, &image)?;
    let known = match image.any() {
        Some(Any::Theta(theta)) => in_theta(theta, &item, hashing),
        Some(Any::Distinct(set)) if set.is_exact() => {
            let mut with = (**set).clone();
            with.update(item.token(hashing));
            Some(with.estimate(0.95).value == set.estimate(0.95).value)
        }
        Some(Any::Distinct(_)) => None,
        Some(any) => {
            let token = item.token(hashing);
            let asked = |question| any.query(&question, context.confidence);
            match asked(Question::Contains(token)).or_else(|| asked(Question::Frequency(token))) {
                Some(e) if e.guarantee == Guarantee::None => None,
                Some(e) if e.value == 0.0 && e.high <= 0.0 => Some(false),
                Some(e) if e.value > 0.0 => Some(true),
                Some(_) => None,
                None => return Err(knows_not(&image, "single values")),
            }
        }
        None => return Err(knows_not(&image, "single values")),
    };
    Ok(known.map(Out::Truth))
}

/// A hash that is kept is in the set; one that is not may have been cut off.
fn in_theta(theta: &Theta, item: &Item<'_>, hashing: &Hashing) -> Option<bool> {
    let mut one = Theta::new(theta.lg_k());
    one.update(item.theta_hash(hashing));
    let there = theta.intersect(&one).retained() > 0;
    (there || theta.is_exact()).then_some(there)
}

/// The most frequent values, heaviest first.
pub(super) fn top(context: &Context, row: &Row<'_>) -> Result<Option<Out>, QueryError> {
    let (Some(image), Some(n)) = (row.sketch(0)?, row.number(1)?) else { return Ok(None) };
    if !(1.0..=ITEMS_MAX).contains(&n) || n.fract() != 0.0 {
        return Err(QueryError::wrong(format!("`top` lists 1 to {ITEMS_MAX} items, not {n}")));
    }
    let items = match image.any() {
        Some(Any::Counters(counters)) => counters.top(n as usize),
        Some(Any::Freq(freq)) => freq.items(n as usize, context.confidence),
        _ => return Err(knows_not(&image, "frequencies").hint("metrics of top(...) and freq(...) do")),
    };
    let kind = row.text(2).unwrap_or("string");
    let items = items.iter().map(|item| Ok((shown(item.item, kind)?, item.estimate)));
    Ok(Some(Out::Items(items.collect::<Result<_, QueryError>>()?)))
}

/// An item, whose bytes do not say what they are: text unless told.
fn shown(bytes: &[u8], kind: &str) -> Result<String, QueryError> {
    let word = <[u8; 8]>::try_from(bytes).ok();
    Ok(match (kind, word) {
        ("int64", Some(word)) => i64::from_le_bytes(word).to_string(),
        ("float64", Some(word)) => f64::from_le_bytes(word).to_string(),
        ("bool", _) => (bytes == [1]).to_string(),
        ("string" | "int64" | "float64", _) => String::from_utf8_lossy(bytes).into_owned(),
        _ => {
            let error = QueryError::wrong(format!("`{kind}` is no type of a field"));
            return Err(error.hint("there are 'string', 'int64', 'float64' and 'bool'"));
        }
    })
}

fn knows_not(image: &Image, what: &str) -> QueryError {
    QueryError::wrong(format!("a sketch of kind `{}` knows no {what}", image.kind()))
}

/// The hash of the pipeline, if the values of the sketch went through it.
fn hashing<'c>(context: &'c Context, image: &Image) -> Result<&'c Hashing, QueryError> {
    let own = match &context.hashing {
        Hashing::Keyed(key) => Some(key.id().0),
        Hashing::Interchange | Hashing::Fast => None,
    };
    if image.key() == own {
        return Ok(&context.hashing);
    }
    Err(QueryError::wrong(
        "the values of this sketch were hashed under another key than those of this pipeline",
    ))
}
