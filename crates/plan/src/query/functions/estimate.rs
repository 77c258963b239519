//! What a sketch says: a number with bounds, a quantile, a rank, what it is.

use super::super::QueryError;
use super::call::{Context, Out, Row};
use sketch::image::Image;
use sketch::{Any, Estimate, Question};

/// How many distinct values, or the sum, or the weight: what the measure of this sketch counts.
pub(super) fn estimate(context: &Context, row: &Row<'_>) -> Result<Option<Out>, QueryError> {
    let Some(image) = row.sketch(0)? else { return Ok(None) };
    Ok(of(&image, context.confidence).map(Out::Estimate))
}

/// The number of a sketch, rounded as answers round it.
pub(super) fn of(image: &Image, confidence: f64) -> Option<Estimate<f64>> {
    let Some(any) = image.any() else { return image.count() };
    if let Some(e) = any.query(&Question::Distinct, confidence) {
        return Some(Estimate { value: e.value.round(), low: e.low.floor(), high: e.high.ceil(), ..e });
    }
    any.query(&Question::Sum, confidence).or_else(|| any.query(&Question::Count, confidence))
}

/// What the sketch is, as answers call it: `hll/14`, `hash-set`.
pub(super) fn describe(_: &Context, row: &Row<'_>) -> Result<Option<Out>, QueryError> {
    Ok(row.sketch(0)?.map(|image| Out::Text(image.sketch_name())))
}

/// The value below which a part of all lies.
pub(super) fn quantile(context: &Context, row: &Row<'_>) -> Result<Option<Out>, QueryError> {
    let (Some(image), Some(q)) = (row.sketch(0)?, row.number(1)?) else { return Ok(None) };
    if !(0.0..=1.0).contains(&q) {
        let error = QueryError::wrong(format!("a quantile lies between 0 and 1, not at {q}"));
        return Err(error.hint("write 0.99 for the 99th percentile"));
    }
    of_values(&image, "quantile")?;
    Ok(image.quantile(q, context.confidence).map(Out::Estimate))
}

/// The part of all values that are not above this one.
pub(super) fn rank(context: &Context, row: &Row<'_>) -> Result<Option<Out>, QueryError> {
    let (Some(image), Some(x)) = (row.sketch(0)?, row.number(1)?) else { return Ok(None) };
    of_values(&image, "rank")?;
    let below = image.any().and_then(|any| any.query(&Question::Rank(x), context.confidence));
    let (Some(below), Some(all)) = (below, image.count().filter(|all| all.value > 0.0)) else {
        return Ok(None);
    };
    Ok(Some(Out::Estimate(below.map(|n| n / all.value))))
}

fn of_values(image: &Image, what: &str) -> Result<(), QueryError> {
    let knows = match image.any() {
        Some(any) => matches!(any, Any::Quantiles(_) | Any::Kll(_) | Any::TDigest(_)),
        None => what == "quantile",
    };
    if knows {
        return Ok(());
    }
    let error = QueryError::wrong(format!("a sketch of kind `{}` knows no {what}", image.kind()));
    Err(error.hint("metrics of quantiles(...) do"))
}
