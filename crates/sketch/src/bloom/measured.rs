//! A filter that knows its false-positive rate after every key, for whoever decides by it: [`super::Seen`].

use super::filter::{Filter, Place};

/// A [`Filter`] and the sums that its rate is made of, which every insert adjusts by the one block it changes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    filter: Filter,
    /// Sum of the products of all blocks.
    products: u64,
    /// Bits set.
    ones: u64,
    /// What a product adds to the rate: no division for every new key.
    scale: f64,
}

impl Measured {
    /// Measures a filter. O(blocks).
    pub fn of(filter: Filter) -> Measured {
        let ((products, ones), scale) = (filter.sums(), filter.product_scale());
        Measured { filter, products, ones, scale }
    }

    /// The filter itself.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// [`Filter::insert_at`].
    #[inline]
    pub fn insert_at(&mut self, place: &Place) -> bool {
        // Both are 0 when nothing is new.
        let (product, ones) = self.filter.block_mut(place).set_counting(place.bits());
        self.products += product;
        self.ones += u64::from(ones);
        ones > 0
    }

    /// [`Filter::rate`] in O(1).
    #[inline]
    pub fn rate(&self) -> f64 {
        // The sum is below 2^63, and a signed number converts faster.
        self.products as i64 as f64 * self.scale
    }

    /// [`Filter::fill`] in O(1).
    pub fn fill(&self) -> f64 {
        self.ones as f64 / (self.filter.blocks() as f64 * 256.0)
    }

    /// Bits set.
    pub fn ones(&self) -> u64 {
        self.ones
    }

    /// For tests. O(blocks).
    ///
    /// # Panics
    /// When the structure is broken, which would be a bug.
    pub fn check_invariants(&self) {
        self.filter.check_invariants();
        assert_eq!((self.products, self.ones), self.filter.sums(), "the rate is that of the bits");
    }
}
