//! Streams with a known law: how often each key comes.

use super::trials::Rng;

/// Shares of keys that fall as 1/rank^`exponent`; 0 makes them equal.
pub fn shares(exponent: f64, keys: usize) -> Vec<f64> {
    let weights: Vec<f64> = (1..=keys).map(|rank| (rank as f64).powf(-exponent)).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// Draws keys by their shares in O(1): the alias method (Walker 1977, in Vose's form of 1991).
pub struct Draws {
    /// Chance of staying in a column, and where to go otherwise.
    columns: Vec<(f64, u32)>,
}

impl Draws {
    pub fn of(shares: &[f64]) -> Draws {
        let n = shares.len() as f64;
        let mut columns: Vec<(f64, u32)> =
            shares.iter().enumerate().map(|(i, share)| (share * n, i as u32)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..columns.len()).partition(|&i| columns[i].0 < 1.0);
        while let (Some(&from), Some(&to)) = (small.last(), large.last()) {
            small.pop();
            columns[from].1 = to as u32;
            columns[to].0 -= 1.0 - columns[from].0;
            if columns[to].0 < 1.0 {
                large.pop();
                small.push(to);
            }
        }
        Draws { columns }
    }

    /// The rank of a key, from 0 on.
    #[inline]
    pub fn next(&self, rng: &mut Rng) -> usize {
        let column = ((u128::from(rng.next()) * self.columns.len() as u128) >> 64) as usize;
        let (stay, other) = self.columns[column];
        if rng.unit() < stay { column } else { other as usize }
    }
}
