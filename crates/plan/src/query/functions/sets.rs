//! Two sketches: merged, intersected, subtracted, compared.

use super::super::QueryError;
use super::super::lint::Notes;
use super::call::{Context, Out, Row};
use sketch::image::{Image, Unmergeable};
use sketch::theta::Theta;
use sketch::{Any, MergeNote};

/// Hashes of an intersection below which its bounds are wide.
const THIN: usize = 100;

/// What was counted by either of two sketches.
pub(super) fn either(context: &Context, row: &Row<'_>) -> Result<Option<Out>, QueryError> {
    match (row.sketch(0)?, row.sketch(1)?) {
        (Some(mut a), Some(b)) => {
            merge(&mut a, &b, &context.notes)?;
            Ok(Some(Out::Bytes(a.write())))
        }
        (a, b) => Ok(a.or(b).map(|one| Out::Bytes(one.write()))),
    }
}

/// Merges, and notes what it cost.
pub(super) fn merge(into: &mut Image, from: &Image, notes: &Notes) -> Result<(), QueryError> {
    match into.merge(from) {
        Ok(MergeNote::Folded { from, to }) => {
            let message = || {
                format!(
                    "sketches of 2^{from} and 2^{to} were merged: the result is as coarse as the coarser one"
                )
            };
            notes.note(
                "mixes_precisions",
                message,
                "give the metrics one `accuracy`, or ask for windows after it was changed",
            );
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(why) => Err(apart(&why)),
    }
}

/// Two sketches do not go together.
pub(super) fn apart(why: &Unmergeable) -> QueryError {
    QueryError::wrong(format!("these sketches cannot be merged: {why}"))
        .hint("merge sketches of one metric, or of one measure")
}

/// The sets of two arguments.
fn pair(row: &Row<'_>) -> Result<Option<(Image, Image)>, QueryError> {
    let (Some(a), Some(b)) = (row.sketch(0)?, row.sketch(1)?) else { return Ok(None) };
    if a.key() != b.key() {
        return Err(apart(&Unmergeable::Keys));
    }
    Ok(Some((a, b)))
}

fn set(image: &Image) -> Result<&Theta, QueryError> {
    match image.any() {
        Some(Any::Theta(theta)) => Ok(theta),
        _ => Err(QueryError::wrong(format!(
            "a sketch of kind `{}` is no set that others can be compared with",
            image.kind()
        ))
        .hint("measure it as audience(...)")),
    }
}

/// What is in both sets.
pub(super) fn both(context: &Context, row: &Row<'_>) -> Result<Option<Out>, QueryError> {
    let Some((a, b)) = pair(row)? else { return Ok(None) };
    let result = set(&a)?.intersect(set(&b)?);
    if !result.is_exact() && result.retained() < THIN {
        let kept = result.retained();
        let message =
            || format!("an intersection is estimated from {kept} hashes alone, so its bounds are wide");
        context.notes.note(
            "thin_intersection",
            message,
            "look at bounds(...), take a longer window, or give both metrics a finer `accuracy`",
        );
    }
    Ok(Some(Out::Bytes(a.made_of(result.into()).write())))
}

/// What is in the first set alone.
pub(super) fn without(_: &Context, row: &Row<'_>) -> Result<Option<Out>, QueryError> {
    let Some((a, b)) = pair(row)? else { return Ok(None) };
    let result = set(&a)?.without(set(&b)?);
    Ok(Some(Out::Bytes(a.made_of(result.into()).write())))
}

/// How alike two sets are.
pub(super) fn jaccard(context: &Context, row: &Row<'_>) -> Result<Option<Out>, QueryError> {
    let Some((a, b)) = pair(row)? else { return Ok(None) };
    Ok(Some(Out::Estimate(set(&a)?.jaccard(set(&b)?, context.confidence))))
}

/// Which part of the second set is in the first.
pub(super) fn ratio(context: &Context, row: &Row<'_>) -> Result<Option<Out>, QueryError> {
    let Some((part, whole)) = pair(row)? else { return Ok(None) };
    Ok(set(&part)?.share_of(set(&whole)?, context.confidence).map(Out::Estimate))
}
