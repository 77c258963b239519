//! Bugs on purpose. A campaign that has never seen a failure may not be able to: so each promise has a bug that breaks it, planted at the
//! place where the promise is kept, and `cargo xtask campaign sabotage` asks the campaign of that promise to see it.
//!
//! Without the feature `planted` nothing of it is there: [`planted`] is a constant `false`, and the compiler leaves out what
//! stands behind it (a test of the command line looks for what would be left). With it, one bug is in force at a time, named once at the start.
#![forbid(unsafe_code)]

macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident = $name:literal,)*) => {
        /// A way to break a promise.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bug {
            $($(#[$doc])* $bug,)*
        }

        /// All of them, with the names that they are asked for by.
        #[cfg(feature = "planted")]
        pub const ALL: &[(&str, Bug)] = &[$(($name, Bug::$bug),)*];
    };
}

bugs! {
    /// A segment of a commit is renamed without having been synced.
    SegmentNotSynced = "segment-not-synced",
    /// The directory of a commit is not synced after a rename.
    NameNotSynced = "name-not-synced",
    /// A write of a commit that fails is taken for one that did not.
    ErrorSwallowed = "error-swallowed",
    /// How far the input was read is ahead of the state.
    PositionBeforeState = "position-before-state",
    /// What leaves is written before the commit that it belongs to.
    SinkBeforeCommit = "sink-before-commit",
    /// The commit does not say what was leaving.
    JournalNotWritten = "journal-not-written",
    /// A recovery takes lines back to write them again.
    LinesTakenBack = "lines-taken-back",
    /// A quarantine goes on behind what a killed run had written.
    QuarantineNotCut = "quarantine-not-cut",
    /// The filter of a verdict begins empty after a restart.
    SeenNotRestored = "seen-not-restored",
    /// The last commit is left out when a run is told to end.
    LastCommitSkipped = "last-commit-skipped",
    /// A body is acknowledged before it is durable.
    AckedBeforeDurable = "acked-before-durable",
    /// A body that finds the queue full is dropped, and acknowledged.
    DroppedOnFullQueue = "dropped-on-full-queue",
    /// The sequences of a producer are not remembered.
    ProducerForgotten = "producer-forgotten",
    /// The producers are not read back after a crash.
    ProducersNotRecovered = "producers-not-recovered",
    /// An event in the last second of a pane goes into the next one.
    PaneOffByOne = "pane-off-by-one",
    /// A late event is folded twice into the pane that it corrects.
    LateFoldedTwice = "late-folded-twice",
    /// A correction does not raise the revision of its cell.
    RevisionNotRaised = "revision-not-raised",
    /// What a group loses to the other one is dropped.
    OtherDropped = "other-dropped",
    /// The bounds of an estimate are half as wide as they should be.
    BoundsTooNarrow = "bounds-too-narrow",
    /// The watermark follows the fastest partition.
    WatermarkIsMaximum = "watermark-is-maximum",
    /// A pipeline that is read anew forgets the totals of what it keeps.
    ReloadForgets = "reload-forgets",
    /// A commit of an origin counts although a segment of it is lacking.
    UnsealedOriginFolded = "unsealed-origin-folded",
    /// A commit of an origin is added to the one before instead of replacing it.
    OriginAdded = "origin-added",
    /// A bad record is counted twice.
    BadCountedTwice = "bad-counted-twice",
    /// A body that the disk has refused is acknowledged.
    RefusedAcked = "refused-acked",
    /// A commit whose name could not be given is taken for durable.
    RenameErrorSwallowed = "rename-error-swallowed",
    /// The clock follows every event, however far ahead it is.
    AheadMovesClock = "ahead-moves-clock",
    /// The time of arrival goes back with the clock of the machine.
    ArrivalGoesBack = "arrival-goes-back",
    /// Groups are kept apart without end, and nobody looks at the memory.
    MemoryNotLookedAt = "memory-not-looked-at",
    /// What has left through a sink is not synced before the commit after it forgets it.
    LinesNotSynced = "lines-not-synced",
    /// A segment is read whatever its checksums say.
    ChecksumNotLookedAt = "checksum-not-looked-at",
}

/// Whether this one is in force.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn planted(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
static IN_FORCE: std::sync::OnceLock<Bug> = std::sync::OnceLock::new();

/// Whether this one is in force.
#[cfg(feature = "planted")]
pub fn planted(bug: Bug) -> bool {
    IN_FORCE.get() == Some(&bug)
}

/// Lets a bug be in force from now on. False where there is none of this name, or there is one already.
#[cfg(feature = "planted")]
pub fn begin(name: &str) -> bool {
    let named = ALL.iter().find(|(known, _)| *known == name);
    named.is_some_and(|(_, bug)| IN_FORCE.set(*bug).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(feature = "planted"))]
    fn nothing_is_planted() {
        const { assert!(!planted(Bug::ErrorSwallowed)) }
    }

    #[test]
    #[cfg(feature = "planted")]
    fn one_bug_is_in_force() {
        assert!(!planted(Bug::ErrorSwallowed) && !begin("no-such-bug"));
        assert!(begin("error-swallowed") && planted(Bug::ErrorSwallowed) && !begin("pane-off-by-one"));
        assert!(!planted(Bug::PaneOffByOne));
    }
}
