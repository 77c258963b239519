//! The counters of all rows: 32 bits wide while the total weight is, 64 bits after that.

/// Counters, row after row. No counter exceeds the total, so the total alone decides on the width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cells {
    /// While the total fits 32 bits.
    Narrow(Vec<u32>),
    Wide(Vec<u64>),
}

impl Cells {
    pub fn zeros(cells: usize) -> Cells {
        Cells::Narrow(vec![0; cells])
    }

    pub fn len(&self) -> usize {
        match self {
            Cells::Narrow(cells) => cells.len(),
            Cells::Wide(cells) => cells.len(),
        }
    }

    /// Makes the counters as wide as this total asks.
    #[inline]
    pub fn make_room_for(&mut self, total: u64) {
        if total > u64::from(u32::MAX) && matches!(self, Cells::Narrow(_)) {
            self.widen();
        }
    }

    #[cold]
    #[inline(never)]
    fn widen(&mut self) {
        if let Cells::Narrow(cells) = self {
            *self = Cells::Wide(cells.iter().map(|&cell| u64::from(cell)).collect());
        }
    }

    /// Adds other counters, `step` neighbours to each of these. There is room for the total of both.
    pub fn add(&mut self, other: &Cells, step: usize) {
        match (self, other) {
            (Cells::Narrow(a), Cells::Narrow(b)) => {
                a.iter_mut().zip(b.chunks_exact(step)).for_each(|(a, b)| *a += b.iter().sum::<u32>());
            }
            (Cells::Wide(a), Cells::Narrow(b)) => a
                .iter_mut()
                .zip(b.chunks_exact(step))
                .for_each(|(a, b)| *a += b.iter().map(|&cell| u64::from(cell)).sum::<u64>()),
            (Cells::Wide(a), Cells::Wide(b)) => {
                a.iter_mut().zip(b.chunks_exact(step)).for_each(|(a, b)| *a += b.iter().sum::<u64>());
            }
            (Cells::Narrow(_), Cells::Wide(_)) => unreachable!("the sum of both totals needs wide counters"),
        }
    }

    /// Each `step` neighbours become their sum.
    pub fn fold_to_sums(&mut self, step: usize) {
        match self {
            Cells::Narrow(cells) => {
                *cells = cells.chunks_exact(step).map(|cells| cells.iter().sum()).collect()
            }
            Cells::Wide(cells) => *cells = cells.chunks_exact(step).map(|cells| cells.iter().sum()).collect(),
        }
    }

    /// Each `step` neighbours become the largest of them.
    pub fn fold_to_largest(&mut self, step: usize) {
        fn largest<T: Copy + Ord + Default>(cells: &[T], step: usize) -> Vec<T> {
            cells.chunks_exact(step).map(|cells| cells.iter().copied().max().unwrap_or_default()).collect()
        }
        match self {
            Cells::Narrow(cells) => *cells = largest(cells, step),
            Cells::Wide(cells) => *cells = largest(cells, step),
        }
    }

    /// The sum of each row.
    pub fn row_sums(&self, width: usize) -> Vec<u128> {
        match self {
            Cells::Narrow(cells) => {
                cells.chunks(width).map(|row| row.iter().map(|&cell| u128::from(cell)).sum()).collect()
            }
            Cells::Wide(cells) => {
                cells.chunks(width).map(|row| row.iter().map(|&cell| u128::from(cell)).sum()).collect()
            }
        }
    }

    /// True when the counters are as wide as this total asks, no wider.
    pub fn fits(&self, total: u64) -> bool {
        matches!(self, Cells::Narrow(_)) == (total <= u64::from(u32::MAX))
    }

    /// Counters above zero.
    pub fn used(&self) -> usize {
        match self {
            Cells::Narrow(cells) => cells.iter().filter(|&&cell| cell > 0).count(),
            Cells::Wide(cells) => cells.iter().filter(|&&cell| cell > 0).count(),
        }
    }

    /// Bytes held, by capacity.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Cells::Narrow(cells) => cells.capacity() * 4,
            Cells::Wide(cells) => cells.capacity() * 8,
        }
    }
}
