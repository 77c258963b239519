//! How much came in the last w units of time, for every w up to a long window: an exponential histogram.
//!
//! Datar, Gionis, Indyk & Motwani, *Maintaining stream statistics over sliding windows* (2002), keep boxes of time that
//! grow with age, each with the weight it holds. A question whose start falls inside a box knows only that between none
//! and all of that box counts, so boxes may be as large as the part of the answer that is certain allows: with error
//! `1/k`, twice a box is at most `1/k` of what came after it.
//!
//! **Dyadic boxes.** Here a box is an aligned interval `[i·2^j, (i+1)·2^j)` of time, and a smaller box may lie within a
//! larger one. That is what makes late events and merges cost no precision: a late event is a box of one unit, which is
//! certain, and a merge puts the boxes of both side by side. The rule is kept box by box, for box `b`:
//!
//! ```text
//! k · (weight of b and of all boxes around it + 1) <= 2 · (weight of the boxes after b)
//! ```
//!
//! At any start only boxes around it are uncertain, so `high - low < 2/k · low`, and their middle errs by at most
//! `1/k` of the truth (the 1 pays for halves of odd numbers). Sums of two histograms keep the rule, because both sides of it add up; so **a merge keeps the
//! error `1/k`, however often**, unlike merges that replay boxes as events, where errors add up to `e + e' + e·e'`
//! (Papapetrou, Garofalakis & Deligiannakis 2012).
//!
//! **Size.** Boxes are joined whenever their number has doubled. Left are, for total weight `N` in a window of `W` units, at
//! most about `2·log2(W)·ln(N)/ln(1 + 2/k)`, usually around `k·ln(W)`; in a merge at worst the sum of both, usually about as
//! many as in one of them. While all boxes are single units every answer is exact, and the first 64 units always are.
//!
//! **Laws.** All answers are bounds that hold for certain. Equal operations in equal order give equal bytes; other orders
//! and merges give other boxes within the same bounds.
//!
//! **Left out:** negative weights, and error for starts before the window: of what expired only the sum is known.

use crate::codec::{DecodeError, Limits, Reader, expect_head, kind, write_varint};
use crate::{Estimate, Health, Incompatible, MergeNote};

const VERSION: u8 = 1;
/// Largest k: an error of 1/10,000.
pub const K_MAX: u32 = 10_000;
/// Boxes that are kept before any are joined.
const BOXES_MIN: usize = 64;
/// Level, start and weight of a box take at least so many bytes.
const BOX_BYTES_MIN: usize = 3;

/// An aligned interval of 2^`level` units of time and the weight in it, without that of the boxes inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u64,
    level: u8,
    weight: u64,
}

impl Span {
    fn end(&self) -> u64 {
        self.start | low_bits(self.level)
    }

    /// Boxes stand in the order of their starts, around before inside.
    fn order(&self) -> (u64, std::cmp::Reverse<u8>) {
        (self.start, std::cmp::Reverse(self.level))
    }

    fn is_around(&self, other: &Span) -> bool {
        self.level >= other.level && self.start == other.start & !low_bits(self.level)
    }
}

fn low_bits(level: u8) -> u64 {
    if level == 0 { 0 } else { u64::MAX >> (64 - u32::from(level)) }
}

/// Weights over sliding windows of time, the sum of any of them within a stated error.
///
/// ```
/// use sketch::sliding::SlidingCount;
///
/// // A day in seconds, 1 % error.
/// let mut clicks = SlidingCount::new(86_400, 0.01)?;
/// for second in 0..200_000 {
///     clicks.update(second, 3);
/// }
/// let hour = clicks.last(3_600);
/// assert!(hour.low <= 10_800 && 10_800 <= hour.high);
/// assert!(hour.value.abs_diff(10_800) <= 108);
/// assert!(clicks.memory_bytes() < 60_000);
/// # Ok::<(), sketch::sliding::SlidingError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct SlidingCount {
    window: u64,
    k: u32,
    /// The latest time seen, once there was one.
    head: Option<u64>,
    /// By [`Span::order`], no two alike.
    spans: Vec<Span>,
    /// Boxes are joined when there are more.
    spans_max: usize,
    /// Weight of all boxes.
    held: u64,
    /// Weight that came too late, or of boxes that were let go.
    gone: u64,
}

impl SlidingCount {
    /// For questions about up to `window` units of time, at a relative error of at most `error`. Allocates nothing.
    ///
    /// # Errors
    /// [`SlidingError`] when `window` is 0 or `error` outside 1/10,000..=1.
    pub fn new(window: u64, error: f64) -> Result<SlidingCount, SlidingError> {
        if window == 0 {
            return Err(SlidingError::Window);
        }
        let k = (1.0 / error).ceil();
        // Rounding may have made 1/0.01 a little more than 100.
        let k = if 1.0 / (k - 1.0) <= error { k - 1.0 } else { k };
        if error > 1.0 || !(1.0..=f64::from(K_MAX)).contains(&k) {
            return Err(SlidingError::Error(error));
        }
        SlidingCount::with_k(window, k as u32).ok_or(SlidingError::Error(error))
    }

    fn with_k(window: u64, k: u32) -> Option<SlidingCount> {
        if window == 0 || !(1..=K_MAX).contains(&k) {
            return None;
        }
        let empty =
            SlidingCount { window, k, head: None, spans: Vec::new(), spans_max: BOXES_MIN, held: 0, gone: 0 };
        Some(empty)
    }

    /// Adds weight at this time; false when it lies before the window that ends with the latest time, and then only the
    /// sum of what is gone grows. O(1) amortised at the latest time, O(boxes) for late ones. The sum of all weights stops
    /// at `u64::MAX`: weight beyond is not counted.
    #[inline]
    pub fn update(&mut self, time: u64, weight: u64) -> bool {
        let weight = weight.min(u64::MAX - self.held - self.gone);
        if let Some(last) = self.spans.last_mut()
            && (last.start, last.level) == (time, 0)
            && self.head == Some(time)
        {
            last.weight += weight;
            self.held += weight;
            return true;
        }
        self.update_other(time, weight)
    }

    /// Each time with its weight; the number of those that came too late.
    pub fn update_all(&mut self, events: &[(u64, u64)]) -> usize {
        events.iter().filter(|&&(time, weight)| !self.update(time, weight)).count()
    }

    /// Any time but the latest one.
    fn update_other(&mut self, time: u64, weight: u64) -> bool {
        self.head = self.head.max(Some(time));
        if time < self.horizon() {
            self.gone += weight;
            return false;
        }
        if weight == 0 {
            return true;
        }
        self.held += weight;
        let span = Span { start: time, level: 0, weight };
        if self.spans.last().is_none_or(|last| last.order() < span.order()) {
            self.spans.push(span);
        } else {
            match self.spans.binary_search_by_key(&span.order(), Span::order) {
                Ok(at) => self.spans[at].weight += weight,
                Err(at) => self.spans.insert(at, span),
            }
        }
        self.join_when_many();
        true
    }

    /// First time of the window.
    fn horizon(&self) -> u64 {
        self.head.unwrap_or(0).saturating_sub(self.window - 1)
    }

    /// Moves the latest time, when it is not there yet, and lets go of what has left the window. O(boxes).
    pub fn advance(&mut self, now: u64) {
        self.head = self.head.max(Some(now));
        self.expire();
    }

    /// Drops the boxes that end before the window.
    fn expire(&mut self) {
        let horizon = self.horizon();
        let before: u64 = self.held;
        self.spans.retain(|span| span.end() >= horizon);
        self.held = self.spans.iter().map(|span| span.weight).sum();
        self.gone += before - self.held;
    }

    fn join_when_many(&mut self) {
        if self.spans.len() > self.spans_max {
            self.expire();
            self.join();
            self.spans_max = (2 * self.spans.len()).max(BOXES_MIN);
        }
    }

    /// Joins the boxes inside an aligned interval into one wherever the rule allows, largest intervals first.
    #[inline(never)]
    fn join(&mut self) {
        let sums: Vec<u64> = std::iter::once(0)
            .chain(self.spans.iter().scan(0, |sum, span| {
                *sum += span.weight;
                Some(*sum)
            }))
            .collect();
        let mut joined = Joined { k: self.k, spans: &self.spans, sums: &sums, out: Vec::new() };
        joined.part(0, self.spans.len(), 0);
        let mut out = joined.out;
        out.reverse();
        out.shrink_to_fit();
        self.spans = out;
    }

    /// Weight of the last `width` units up to the latest time: at most the window is known that well, see
    /// [`SlidingCount::between`]. O(boxes).
    pub fn last(&self, width: u64) -> Estimate<u64> {
        match (self.head, width.checked_sub(1)) {
            (Some(head), Some(back)) => self.between(head.saturating_sub(back), head),
            _ => Estimate::exact(0),
        }
    }

    /// Weight in `first..=last`, within bounds that hold for certain.
    ///
    /// When `last` is the latest time or later, and `first` is not before the window, `value` errs by at most
    /// [`SlidingCount::error`] of the truth. Earlier ends widen the bounds by the boxes around them; of what has left the window only
    /// the sum is known, so an earlier `first` widens them by that sum, but for 0, before which there is nothing.
    /// O(boxes).
    pub fn between(&self, first: u64, last: u64) -> Estimate<u64> {
        if first > last {
            return Estimate::exact(0);
        }
        let (mut low, mut maybe) = (0, 0);
        for span in &self.spans {
            if first <= span.start && span.end() <= last {
                low += span.weight;
            } else if span.start <= last && first <= span.end() {
                maybe += span.weight;
            }
        }
        if first < self.horizon() {
            let all = first == 0 && last >= self.horizon();
            *(if all { &mut low } else { &mut maybe }) += self.gone;
        }
        if maybe == 0 { Estimate::exact(low) } else { Estimate::proven(low + maybe / 2, low, low + maybe) }
    }

    /// Takes in another histogram: the error stays what it is. The later of the latest times counts for both. O(boxes).
    ///
    /// # Errors
    /// When window or error differ, or both weights together exceed 64 bits; nothing is changed then.
    pub fn merge(&mut self, other: &SlidingCount) -> Result<MergeNote, Incompatible> {
        let refuse = |what, ours, theirs| Err(Incompatible { what, ours, theirs });
        if self.window != other.window {
            return refuse("window of a sliding count", self.window, other.window);
        }
        if self.k != other.k {
            return refuse("1/error of a sliding count", u64::from(self.k), u64::from(other.k));
        }
        let (ours, theirs) = (self.held + self.gone, other.held + other.gone);
        if ours.checked_add(theirs).is_none() {
            return refuse("total weight", ours, theirs);
        }
        self.head = self.head.max(other.head);
        self.held += other.held;
        self.gone += other.gone;
        let mut all = Vec::with_capacity(self.spans.len() + other.spans.len());
        all.extend_from_slice(&self.spans);
        all.extend_from_slice(&other.spans);
        all.sort_unstable_by_key(Span::order);
        all.dedup_by(|next, kept| {
            let same = next.order() == kept.order();
            kept.weight += if same { next.weight } else { 0 };
            same
        });
        self.spans = all;
        self.spans_max = self.spans_max.max(other.spans_max);
        // What has left the window is let go when there are too many boxes, as after an update.
        self.join_when_many();
        Ok(MergeNote::Exact)
    }

    /// The relative error 1/k: the one asked for, or a little less.
    pub fn error(&self) -> f64 {
        1.0 / f64::from(self.k)
    }

    /// Longest window that is known within the error.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// The latest time, once there was one.
    pub fn head(&self) -> Option<u64> {
        self.head
    }

    /// Weight that came too late or has left the window, but for the box that reaches into it. O(boxes).
    pub fn gone(&self) -> u64 {
        let horizon = self.horizon();
        let left = self.spans.iter().filter(|span| span.end() < horizon).map(|span| span.weight);
        self.gone + left.sum::<u64>()
    }

    /// Number of boxes.
    pub fn boxes(&self) -> usize {
        self.spans.len()
    }

    /// True while every answer within the window is exact.
    pub fn is_exact(&self) -> bool {
        self.spans.iter().all(|span| span.level == 0)
    }

    /// True when no weight was taken in. That of an empty window may be gone.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.gone == 0
    }

    /// What stands behind the answers: `list`, or `eh/100` for an error of 1/100.
    pub fn sketch_name(&self) -> String {
        if self.is_exact() { "list".to_owned() } else { format!("eh/{}", self.k) }
    }

    /// How well it does; the fill is that of the boxes until some are joined.
    pub fn health(&self) -> Health {
        let fill = self.spans.len() as f64 / self.spans_max as f64;
        if self.is_exact() { Health::exact(fill) } else { Health::with_error(fill, self.error()) }
    }

    /// Bytes held, by capacity.
    pub fn memory_bytes(&self) -> usize {
        size_of::<SlidingCount>() + self.spans.capacity() * size_of::<Span>()
    }

    /// Appends the snapshot: lossless. 39 bytes and 3 to 21 for each box.
    pub fn snapshot(&self, out: &mut Vec<u8>) {
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
        out.extend_from_slice(&[kind::SLIDING_COUNT, VERSION]);
        out.extend_from_slice(&self.window.to_le_bytes());
        out.extend_from_slice(&self.k.to_le_bytes());
        out.push(u8::from(self.head.is_some()));
        let Some(head) = self.head else { return };
        out.extend_from_slice(&head.to_le_bytes());
        out.extend_from_slice(&self.gone.to_le_bytes());
        out.extend_from_slice(&(self.spans_max as u32).to_le_bytes());
        out.extend_from_slice(&(self.spans.len() as u32).to_le_bytes());
        let mut before = 0;
        for span in &self.spans {
            out.push(span.level);
            write_varint(span.start - before, out);
            write_varint(span.weight, out);
            before = span.start;
        }
    }

    /// Reads what [`SlidingCount::snapshot`] wrote and leaves the reader behind it. Survives any bytes.
    ///
    /// # Errors
    /// [`DecodeError`] on anything that no operations lead to: the rule of the module's head is checked too.
    pub fn restore(r: &mut Reader<'_>, limits: &Limits) -> Result<SlidingCount, DecodeError> {
        expect_head(r, kind::SLIDING_COUNT, VERSION, "not a sliding count of version 1")?;
        let (window, k, opened) = (r.u64()?, r.u32()?, r.u8()?);
        let empty = SlidingCount::with_k(window, k);
        let mut count = empty.ok_or(DecodeError::Invalid("window or error of a sliding count"))?;
        match opened {
            0 => return Ok(count),
            1 => count.head = Some(r.u64()?),
            _ => return Err(DecodeError::Invalid("head of a sliding count")),
        }
        count.gone = r.u64()?;
        count.spans_max = r.u32()? as usize;
        let boxes = r.count("boxes of a sliding count", count.spans_max, BOX_BYTES_MIN)?;
        // It may hold as many before it joins any.
        limits.allow("boxes of a sliding count", count.spans_max as u64, size_of::<Span>())?;
        count.spans.reserve_exact(boxes);
        let (mut before, mut total) = (0u64, count.gone);
        for _ in 0..boxes {
            let (level, ahead, weight) = (r.u8()?, r.varint()?, r.varint()?);
            let start = before.checked_add(ahead).ok_or(DecodeError::Invalid("start of a box"))?;
            total = total.checked_add(weight).ok_or(DecodeError::Invalid("more weight than 64 bits"))?;
            count.spans.push(Span { start, level, weight });
            before = start;
        }
        count.held = total - count.gone;
        match count.complaint() {
            Some(complaint) => Err(DecodeError::Invalid(complaint)),
            None => Ok(count),
        }
    }

    /// What no operations lead to, on both sides of the bytes. O(boxes).
    fn complaint(&self) -> Option<&'static str> {
        let aligned = |span: &Span| span.level <= 64 && span.start & low_bits(span.level) == 0;
        let head = self.head.unwrap_or(0);
        if self.spans_max < BOXES_MIN || self.spans.len() > self.spans_max {
            return Some("number of boxes");
        }
        if !self.spans.iter().all(|span| aligned(span) && span.weight > 0 && span.start <= head) {
            return Some("a box that cannot be");
        }
        if !self.spans.is_sorted_by(|a, b| a.order() < b.order()) {
            return Some("boxes do not ascend");
        }
        // From the newest on: the boxes around the one at hand are those of its chain.
        let mut chain: Vec<(Span, u64)> = Vec::new();
        let mut until = 0u64;
        for span in &self.spans {
            while chain.last().is_some_and(|(around, _)| !around.is_around(span)) {
                chain.pop();
            }
            until += span.weight;
            let held = chain.last().map_or(0, |&(_, held)| held) + span.weight;
            chain.push((*span, held));
            if span.level > 0 {
                let inside: u64 = self.inside(span);
                let after = self.held - until - inside;
                if !is_allowed(self.k, held, after) {
                    return Some("a box too heavy for its age");
                }
            }
        }
        None
    }

    /// Weight of the boxes inside this one.
    fn inside(&self, span: &Span) -> u64 {
        let from = self.spans.partition_point(|other| other.order() <= span.order());
        self.spans[from..].iter().take_while(|other| span.is_around(other)).map(|other| other.weight).sum()
    }

    /// For tests, and before every snapshot in debug builds.
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        assert_eq!(self.complaint(), None);
        let held: u64 = self.spans.iter().map(|span| span.weight).sum();
        assert_eq!(self.held, held, "weights are counted");
        assert!(self.head.is_some() || (self.spans.is_empty() && self.gone == 0), "no weight without a time");
        assert!(self.held.checked_add(self.gone).is_some(), "all weight fits 64 bits");
    }
}

impl std::fmt::Debug for SlidingCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlidingCount")
            .field("sketch", &self.sketch_name())
            .field("window", &self.window)
            .field("head", &self.head)
            .field("boxes", &self.spans.len())
            .finish_non_exhaustive()
    }
}

/// Parameters that no histogram can have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SlidingError {
    /// A window of no time.
    Window,
    /// Relative error out of range.
    Error(f64),
}

impl std::fmt::Display for SlidingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SlidingError::Window => write!(f, "a window of 0, but it is at least one unit of time"),
            SlidingError::Error(error) => {
                write!(f, "relative error {error}, but it goes from {} to 1", 1.0 / f64::from(K_MAX))
            }
        }
    }
}

impl std::error::Error for SlidingError {}

/// The rule, in whole numbers: `uncertain` is the weight of a box and of those around it.
fn is_allowed(k: u32, uncertain: u64, after: u64) -> bool {
    (u128::from(uncertain) + 1) * u128::from(k) <= 2 * u128::from(after)
}

/// Boxes being joined; what is left comes out newest first.
struct Joined<'a> {
    k: u32,
    spans: &'a [Span],
    /// Weight of all boxes before each one, and of all.
    sums: &'a [u64],
    out: Vec<Span>,
}

impl Joined<'_> {
    /// The boxes `from..to`, which are all those inside some aligned interval; boxes around them weigh `around`.
    fn part(&mut self, mut from: usize, to: usize, mut around: u64) {
        let (Some(&first), Some(&last)) = (self.spans[from..to].first(), self.spans[from..to].last()) else {
            return;
        };
        if to - from == 1 {
            return self.out.push(first);
        }
        // The smallest aligned interval that holds them: what it holds of two boxes it holds of all between.
        let apart = 64 - (first.start ^ last.start).leading_zeros() as u8;
        let level = apart.max(first.level).max(last.level);
        let start = first.start & !low_bits(level);
        let weight = self.sums[to] - self.sums[from];
        let after = self.sums[self.spans.len()] - self.sums[to];
        if is_allowed(self.k, weight.saturating_add(around), after) {
            return self.out.push(Span { start, level, weight });
        }
        let whole = (first.level == level).then_some(first);
        if whole.is_some() {
            from += 1;
            around += first.weight;
        }
        let middle = start | ((low_bits(level) >> 1) + 1);
        let at = from + self.spans[from..to].partition_point(|span| span.start < middle);
        self.part(at, to, around);
        self.part(from, at, around);
        self.out.extend(whole);
    }
}
