//! The levels above the base: sorted rows of keys, one behind the other in one buffer.
//!
//! Row i is level i + 1; a key in it stands for 2^(i + 1) values. Rows lie at the end of the buffer, the free room
//! before them, so that a compaction works in place: it halves a row, merges it into the next one forwards, and moves
//! the rows below up by what became free.

use super::Coin;

/// Smallest capacity of a level, m in the papers and images.
pub(super) const WIDTH_MIN: usize = 8;
/// Most levels, the base included: more would not fit [`super::VALUES_MAX`] values.
pub(super) const LEVELS_MAX: usize = 61;

/// How many keys a level so far below the top one holds at least before it is compacted: k·(2/3)^depth, rounded as
/// DataSketches rounds it, as positions in its images depend on it.
pub(super) fn capacity_at(k: u16, depth: usize) -> usize {
    if depth > 30 {
        return WIDTH_MIN;
    }
    let twice = (u64::from(k) << (depth + 1)) / 3u64.pow(depth as u32);
    (twice.div_ceil(2) as usize).max(WIDTH_MIN)
}

/// Capacity of so many levels together, the base included.
pub(super) fn capacity_of(k: u16, levels: usize) -> usize {
    (0..levels).map(|depth| capacity_at(k, depth)).sum()
}

/// Keeps every second key, the first or the second of each pair, at the front. Returns how many.
pub(super) fn halve(keys: &mut [i64], second: bool) -> usize {
    let half = keys.len() / 2;
    let second = usize::from(second);
    for i in 0..half {
        keys[i] = keys[2 * i + second];
    }
    half
}

/// Merges keys into a region that has free room for them in front of keys of its own; both are sorted.
fn merge_in(keys: &[i64], region: &mut [i64]) {
    let (mut from, mut next) = (keys.len(), 0);
    let mut to = 0;
    // The place written never passes the one read: they are `keys.len() - next` apart.
    while next < keys.len() && from < region.len() {
        let (own, new) = (region[from], keys[next]);
        let take_own = own < new;
        region[to] = if take_own { own } else { new };
        from += usize::from(take_own);
        next += usize::from(!take_own);
        to += 1;
    }
    let rest = &keys[next..];
    region[to..to + rest.len()].copy_from_slice(rest);
}

#[derive(Clone, Copy)]
struct Row {
    len: usize,
    /// [`capacity_at`] its depth.
    cap: usize,
}

#[derive(Clone)]
pub(super) struct Levels {
    k: u16,
    keys: Vec<i64>,
    /// Free room at the front of `keys`.
    free: usize,
    rows: Vec<Row>,
    /// [`capacity_of`] all levels, the base included.
    capacity: usize,
}

impl Levels {
    pub(super) fn new(k: u16) -> Levels {
        Levels { k, keys: Vec::new(), free: 0, rows: Vec::new(), capacity: usize::from(k) }
    }

    /// Rows of these lengths, lowest level first, holding these keys.
    pub(super) fn of_rows(k: u16, lens: &[usize], keys: Vec<i64>) -> Levels {
        debug_assert_eq!(lens.iter().sum::<usize>(), keys.len());
        let rows = lens.iter().map(|&len| Row { len, cap: 0 }).collect();
        let mut levels = Levels { k, keys, free: 0, rows, capacity: 0 };
        levels.set_k(k);
        levels
    }

    pub(super) fn k(&self) -> u16 {
        self.k
    }

    /// Makes capacities those of this k and of the rows there are.
    pub(super) fn set_k(&mut self, k: u16) {
        self.k = k;
        let rows = self.rows.len();
        for (i, row) in self.rows.iter_mut().enumerate() {
            row.cap = capacity_at(k, rows - 1 - i);
        }
        self.capacity = capacity_of(k, rows + 1);
    }

    /// Keys of all rows.
    pub(super) fn len(&self) -> usize {
        self.keys.len() - self.free
    }

    /// True when there are none: everything is in the base.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Levels with the base.
    pub(super) fn count(&self) -> usize {
        self.rows.len() + 1
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The rows, lowest first.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[i64]> {
        let mut rest = &self.keys[self.free..];
        self.rows.iter().map(move |row| {
            let (head, tail) = rest.split_at(row.len);
            rest = tail;
            head
        })
    }

    /// Values that all keys stand for.
    pub(super) fn weight(&self) -> u128 {
        self.rows.iter().enumerate().map(|(i, row)| (row.len as u128) << (i + 1)).sum()
    }

    /// Compacts until the rows are within capacity: always the lowest level that has reached its own, so that the upper
    /// ones, whose keys weigh most, are as full as they can be.
    pub(super) fn compress(&mut self, coin: &mut Coin) {
        while self.len() > self.capacity && self.compact_lowest(coin) {}
    }

    /// Compacts the lowest row at its capacity; false when no row is. One is whenever all together are beyond theirs.
    pub(super) fn compact_lowest(&mut self, coin: &mut Coin) -> bool {
        let Some(i) = self.rows.iter().position(|row| row.len >= row.cap) else { return false };
        self.compact(i, coin);
        true
    }

    /// Replaces a row by every second of its keys in the next row. Of an odd number the smallest stays.
    fn compact(&mut self, i: usize, coin: &mut Coin) {
        if i + 1 == self.rows.len() {
            self.add_row();
        }
        let below: usize = self.rows[..i].iter().map(|row| row.len).sum();
        let (odd, above) = (self.rows[i].len % 2, self.rows[i + 1].len);
        let start = self.free + below + odd;
        let end = start + self.rows[i].len - odd;
        let half = halve(&mut self.keys[start..end], coin.flip());
        let (low, high) = self.keys[..end + above].split_at_mut(start + half);
        merge_in(&low[start..], high);
        self.keys.copy_within(self.free..start, self.free + half);
        self.free += half;
        self.rows[i].len = odd;
        self.rows[i + 1].len += half;
    }

    fn add_row(&mut self) {
        self.rows.push(Row { len: 0, cap: 0 });
        self.set_k(self.k);
    }

    /// Adds sorted keys to the lowest row.
    pub(super) fn push(&mut self, keys: &[i64]) {
        if self.rows.is_empty() {
            self.add_row();
        }
        self.make_room(keys.len());
        let end = self.free + self.rows[0].len;
        self.free -= keys.len();
        merge_in(keys, &mut self.keys[self.free..end]);
        self.rows[0].len += keys.len();
    }

    /// Sees to so much free room. It grows to what the levels may need at their present number.
    fn make_room(&mut self, room: usize) {
        if self.free < room {
            let len = self.len();
            let mut keys = vec![0; (self.capacity + room).max(len + room)];
            let free = keys.len() - len;
            keys[free..].copy_from_slice(&self.keys[self.free..]);
            (self.keys, self.free) = (keys, free);
        }
    }

    /// Adds the rows of another, level by level. They may then be beyond capacity.
    pub(super) fn merge(&mut self, other: &Levels) {
        if other.rows.is_empty() {
            return;
        }
        let mut lens = Vec::new();
        let mut keys = Vec::with_capacity(self.len() + other.len());
        let (mut ours, mut theirs) = (self.rows(), other.rows());
        for _ in 0..self.rows.len().max(other.rows.len()) {
            let (a, b) = (ours.next().unwrap_or(&[]), theirs.next().unwrap_or(&[]));
            let start = keys.len();
            keys.resize(start + b.len(), 0);
            keys.extend_from_slice(a);
            merge_in(b, &mut keys[start..]);
            lens.push(a.len() + b.len());
        }
        drop(ours);
        *self = Levels::of_rows(self.k, &lens, keys);
    }

    /// Says which rule is broken, if any.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.rows.iter().map(|row| row.len).sum::<usize>() != self.len() {
            return Err("kll: rows and keys differ");
        }
        if self.count() > LEVELS_MAX || self.rows.last().is_some_and(|row| row.len == 0) {
            return Err("kll: number of levels");
        }
        if self.rows().any(|row| !row.is_sorted()) {
            return Err("kll: a level out of order");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacities_are_those_of_datasketches() {
        // From the level offsets in files that datasketches-java wrote for k = 200 (kll_double_n*_java.sk).
        let by_depth: Vec<usize> = (0..13).map(|depth| capacity_at(200, depth)).collect();
        assert_eq!(by_depth, [200, 133, 89, 59, 40, 26, 18, 12, 8, 8, 8, 8, 8]);
        assert_eq!(capacity_of(200, 3), 422);
        for depth in 0..=LEVELS_MAX {
            let ideal = 65_535.0 * (2.0f64 / 3.0).powi(depth as i32);
            assert!((capacity_at(65_535, depth) as f64 - ideal.max(8.0)).abs() <= 0.5, "depth {depth}");
        }
    }

    #[test]
    fn a_merge_in_place_is_a_merge() {
        for (keys, own) in [(vec![], vec![1]), (vec![1, 5, 9], vec![]), (vec![2, 2, 8], vec![1, 2, 3, 9])] {
            let mut region = [vec![0; keys.len()], own.clone()].concat();
            merge_in(&keys, &mut region);
            let mut wanted = [keys, own].concat();
            wanted.sort_unstable();
            assert_eq!(region, wanted);
        }
    }
}
