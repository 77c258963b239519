//! Signatures for locality-sensitive hashing: every bin says something, and equal bands make two sets candidates.
//!
//! **Densification.** A bin that nothing reached borrows from one that something did. Which one must follow from the bins that
//! are reached alone, by fixed random choices: then two sets agree in a bin with a chance of J, borrowed or not
//! (Shrivastava & Li 2014; with the least variance, Shrivastava 2017). We let the full bins offer, in rounds, one bin each,
//! and an empty bin takes the first offer (Mai, Rao, Kapilevich, Rossi, Abbasi-Yadkori & Sinha 2019): O(K ln K) however few
//! bins are full, where empty bins that look for a full one need K²/(full bins) looks, and no larger variance, since the
//! offers of a round come from different bins. Borrowing repeats bins: if `m` of K are reached, agreement in a
//! signature scatters about as that of `m` bins does, and a little more.
//!
//! **Bands.** The signature is cut into `b` bands of `r` bins. Two sets of similarity J agree in a whole band with chance
//! J^r, so they share at least one with `1 − (1 − J^r)^b`: an S-curve whose steepest place is near (1/b)^(1/r).

use super::{EMPTY, LgK, MinHash};
use crate::hash::fmix64;

/// Rounds after which every bin had an offer from any one full bin; a test tries them all.
const ROUNDS_MAX: u64 = 131_072;
/// Keeps the offers apart from other uses of the finaliser: SplitMix64's constant. Frozen.
const OFFERS: u64 = 0x9E37_79B9_7F4A_7C15;

impl MinHash {
    /// One value a bin, K of them; empty bins borrow. Two sets agree in any place with a chance of their similarity. Nothing
    /// at all for the empty set. O(K ln K).
    ///
    /// To compare two sketches take [`MinHash::jaccard`], whose error is smaller.
    pub fn signature(&self) -> Vec<u64> {
        let mut signature = self.bins(self.lg_k()).into_owned();
        let full: Vec<u64> =
            (0..).zip(&signature).filter(|(_, hash)| **hash != EMPTY).map(|(i, _)| i).collect();
        if full.is_empty() {
            return Vec::new();
        }
        let mut empty = signature.len() - full.len();
        for round in 0..ROUNDS_MAX {
            if empty == 0 {
                break;
            }
            for &from in &full {
                let to = offered(from, round, self.lg_k());
                if signature[to] == EMPTY {
                    signature[to] = signature[from as usize];
                    empty -= 1;
                }
            }
        }
        assert_eq!(empty, 0, "every bin has an offer in {ROUNDS_MAX} rounds");
        signature
    }

    /// The hash of each band of the signature, bands in order. Sketches that share one are candidates to be compared. The
    /// number of the band is part of its hash, so all bands may go into one table. Nothing for the empty set. O(K ln K).
    ///
    /// # Errors
    /// When the bands need more bins than there are.
    pub fn bands(&self, banding: Banding) -> Result<impl Iterator<Item = u64> + use<>, BandingError> {
        let (bins, needed) = (self.lg_k().bins() as u32, banding.bins());
        if needed > bins {
            return Err(BandingError::Bins { needed, bins });
        }
        let signature = self.signature();
        let rows = banding.rows as usize;
        let bands = if signature.is_empty() { 0 } else { banding.bands as usize };
        Ok((0..bands).map(move |band| {
            let values = &signature[band * rows..(band + 1) * rows];
            values.iter().fold(fmix64(band as u64 + 1), |hash, value| fmix64(hash ^ value))
        }))
    }
}

/// The bin to which a full bin offers its value in a round. The value of a bin offered to itself finds it full.
#[inline]
fn offered(from: u64, round: u64, lg_k: LgK) -> usize {
    (fmix64((round << 32 | from) ^ OFFERS) >> (64 - u32::from(lg_k.get()))) as usize
}

/// A signature cut into bands: how many, and of how many bins.
///
/// ```
/// use sketch::minhash::Banding;
///
/// let banding = Banding::new(32, 4)?;
/// assert!((banding.threshold() - 0.42).abs() < 0.001);
/// assert!(banding.candidate_probability(0.8) > 0.999);
/// assert!(banding.candidate_probability(0.1) < 0.004);
/// # Ok::<(), sketch::minhash::BandingError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Banding {
    bands: u32,
    rows: u32,
}

impl Banding {
    /// `bands` bands of `rows` bins each.
    ///
    /// # Errors
    /// When one of them is 0 or both together need more than 4,096 bins.
    pub fn new(bands: u32, rows: u32) -> Result<Banding, BandingError> {
        let banding = Banding { bands, rows };
        let bins = LgK::MAX.bins() as u32;
        match bands.saturating_mul(rows) {
            0 => Err(BandingError::Zero),
            needed if needed > bins => Err(BandingError::Bins { needed, bins }),
            _ => Ok(banding),
        }
    }

    /// The bands of a sketch of this precision whose threshold is next to the one asked for.
    pub fn for_threshold(lg_k: LgK, threshold: f64) -> Banding {
        let bins = lg_k.bins() as u32;
        let off = |banding: &Banding| (banding.threshold() - threshold).abs();
        let all = (1..=bins).map(|rows| Banding { bands: bins / rows, rows });
        all.min_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(Banding { bands: 1, rows: bins })
    }

    /// Number of bands.
    pub fn bands(self) -> u32 {
        self.bands
    }

    /// Bins of a band.
    pub fn rows(self) -> u32 {
        self.rows
    }

    /// Bins of all bands.
    pub fn bins(self) -> u32 {
        self.bands * self.rows
    }

    /// The similarity near which sets begin to be candidates: (1/b)^(1/r). There the chance is 1 − (1 − 1/b)^b, about 0.63.
    pub fn threshold(self) -> f64 {
        f64::from(self.bands).powf(-1.0 / f64::from(self.rows))
    }

    /// The chance that two sets of this similarity share a band: 1 − (1 − J^r)^b, if enough bins are reached.
    pub fn candidate_probability(self, jaccard: f64) -> f64 {
        let band = jaccard.clamp(0.0, 1.0).powi(self.rows as i32);
        // Through logarithms, so that small chances keep their digits.
        -(f64::from(self.bands) * (-band).ln_1p()).exp_m1()
    }
}

/// Bands that no signature has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BandingError {
    /// No bands, or bands of no bins.
    Zero,
    /// More bins than the sketch has.
    Bins {
        /// Bins of all bands.
        needed: u32,
        /// Bins there are.
        bins: u32,
    },
}

impl std::fmt::Display for BandingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BandingError::Zero => write!(f, "there is at least one band of at least one bin"),
            BandingError::Bins { needed, bins } => {
                write!(f, "the bands need {needed} bins, there are {bins}")
            }
        }
    }
}

impl std::error::Error for BandingError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_one_bin_fills_all_others_in_time() {
        // More full bins only make more offers, so the limit holds for every set.
        for lg_k in (LgK::MIN.get()..=LgK::MAX.get()).map(LgK) {
            // All of the small sizes, and of the large ones as many as are quick.
            for from in (0..lg_k.bins() as u64).step_by(lg_k.bins().div_ceil(256)) {
                let mut reached = vec![false; lg_k.bins()];
                reached[from as usize] = true;
                let mut left = lg_k.bins() - 1;
                let rounds = (0..ROUNDS_MAX)
                    .take_while(|&round| {
                        let open = left > 0;
                        left -=
                            usize::from(!std::mem::replace(&mut reached[offered(from, round, lg_k)], true));
                        open
                    })
                    .count();
                assert!(left == 0, "bin {from} of {}: {rounds} rounds", lg_k.bins());
            }
        }
    }

    #[test]
    fn thresholds_and_chances_are_those_of_the_formula() {
        let banding = Banding::new(20, 5).unwrap();
        // Leskovec, Rajaraman & Ullman, Mining of Massive Datasets, section 3.4: b = 20, r = 5.
        for (jaccard, chance) in [
            (0.2, 0.006),
            (0.3, 0.047),
            (0.4, 0.186),
            (0.5, 0.470),
            (0.6, 0.802),
            (0.7, 0.975),
            (0.8, 0.9996),
        ] {
            let got = banding.candidate_probability(jaccard);
            assert!((got - chance).abs() < 5.1e-4, "{jaccard}: {got}");
        }
        assert_eq!((banding.candidate_probability(0.0), banding.candidate_probability(1.0)), (0.0, 1.0));
        assert!((banding.threshold() - 0.05f64.powf(0.2)).abs() < 1e-15);
        // 16 bins: 16 x 1 (0.06), 8 x 2 (0.35), 5 x 3 (0.58), 4 x 4 (0.71), 3 x 5 (0.80), ...
        assert_eq!(Banding::for_threshold(LgK::MIN, 0.5), Banding { bands: 5, rows: 3 });
        assert_eq!(Banding::for_threshold(LgK::MIN, 0.4), Banding { bands: 8, rows: 2 });
        assert_eq!(Banding::new(0, 4), Err(BandingError::Zero));
        assert_eq!(Banding::new(65, 64), Err(BandingError::Bins { needed: 4_160, bins: 4_096 }));
        assert!(Banding::new(u32::MAX, 3).is_err());
    }
}
