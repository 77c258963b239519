//! A value that is written by one and read by others as it was: copied when it is written while somebody reads.
//!
//! No lock and, while nobody reads, no count of readers: whether a value is its owner's alone is told by one branch, so
//! that asking for each run of rows costs nothing.

use std::ops::Deref;
use std::sync::Arc;

/// A value that can be frozen, which copies nothing.
#[derive(Debug)]
pub(crate) enum Freezable<T> {
    /// Its owner's alone.
    Own(T),
    /// As it was when it was frozen, and not written since.
    Frozen(Arc<T>),
}

impl<T: Clone + Default> Freezable<T> {
    /// The value as it is now, for others to read. Until it is written again, freezing gives the same allocation.
    pub(crate) fn freeze(&mut self) -> Arc<T> {
        if let Freezable::Own(value) = self {
            *self = Freezable::Frozen(Arc::new(std::mem::take(value)));
        }
        match self {
            Freezable::Frozen(value) => Arc::clone(value),
            Freezable::Own(_) => unreachable!("frozen above"),
        }
    }

    /// The same, as something that can be written in turn.
    pub(crate) fn frozen(&mut self) -> Freezable<T> {
        Freezable::Frozen(self.freeze())
    }

    /// The same for a reader more: copied only while it is its owner's alone.
    pub(crate) fn share(&self) -> Freezable<T> {
        match self {
            Freezable::Own(value) => Freezable::Own(value.clone()),
            Freezable::Frozen(value) => Freezable::Frozen(Arc::clone(value)),
        }
    }

    /// The value, to be written. Copied if somebody reads it.
    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut T {
        if let Freezable::Frozen(_) = self {
            self.thaw();
        }
        match self {
            Freezable::Own(value) => value,
            Freezable::Frozen(_) => unreachable!("thawed above"),
        }
    }

    #[cold]
    fn thaw(&mut self) {
        if let Freezable::Frozen(value) = std::mem::take(self) {
            *self = Freezable::Own(Arc::unwrap_or_clone(value));
        }
    }
}

impl<T: Default> Default for Freezable<T> {
    fn default() -> Freezable<T> {
        Freezable::Own(T::default())
    }
}

impl<T> Deref for Freezable<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            Freezable::Own(value) => value,
            Freezable::Frozen(value) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_frozen_stays_as_it_was() {
        let mut value = Freezable::Own(vec![1]);
        let then = value.freeze();
        assert!(Arc::ptr_eq(&then, &value.freeze()), "nothing was written");
        value.get_mut().push(2);
        assert_eq!((then.as_slice(), value.as_slice()), (&[1][..], &[1, 2][..]));
        assert!(!Arc::ptr_eq(&then, &value.freeze()), "something was");
    }

    #[test]
    fn what_nobody_reads_any_more_is_written_in_place() {
        let mut value = Freezable::Own(vec![1]);
        let at = value.as_ptr();
        drop(value.freeze());
        value.get_mut()[0] = 2;
        assert_eq!(value.as_ptr(), at);
    }
}
