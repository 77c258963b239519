//! The stretches of every key: disjoint intervals of event time, more than `gap` apart, each with its number of events.
//!
//! Two events of a key belong together when no pause between them is longer than `gap`; an interval is what belongs
//! together, so the order in which events come changes nothing, and the intervals of two inputs become those of both
//! ([`Intervals::absorb`]). A map by (token, start): an event costs one descent, O(log n), and another one where intervals are joined.

use crate::restore::{Room, WEIGHT_SUM_MAX, count};
use crate::time::{Span, TIME_MAX, Time};
use sketch::codec::write_varint;
use sketch::{DecodeError, Outflow, Reader, Token};
use std::collections::BTreeMap;

/// Accounted bytes of an interval: 32 of its own, in nodes that are two thirds full.
pub const INTERVAL_BYTES: u64 = 56;
/// The shortest interval in a snapshot.
const ENTRY_BYTES_MIN: usize = 4;

/// The intervals that are held.
#[derive(Debug, Clone)]
pub struct Intervals {
    gap: Span,
    held: BTreeMap<(u64, Time), Rest>,
}

/// What there is of an interval besides its token and start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rest {
    end: Time,
    events: u64,
}

/// One interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// Its last event.
    pub end: Time,
    /// The hash of its key.
    pub token: u64,
    /// Its first event.
    pub start: Time,
    /// Its events, one at least.
    pub events: u64,
}

impl Intervals {
    /// None yet. `gap` is the longest pause within a session.
    pub fn new(gap: Span) -> Intervals {
        Intervals { gap, held: BTreeMap::new() }
    }

    /// Takes an event in: it joins the interval within `gap`, or two of them, or begins one. Intervals that end by `sealed`
    /// may be here no longer; an event that might have joined one of those is refused, and the answer is false.
    pub fn take(&mut self, token: Token, time: Time, sealed: Option<Time>) -> bool {
        let (from, to) = (time.minus(self.gap), time.plus(self.gap));
        // At most one interval begins within `gap` after the event, and mostly none: one descent finds both neighbours.
        let mut near = self.held.range_mut((token.0, Time(i64::MIN))..=(token.0, to));
        let mut before = near.next_back();
        let after = before.take_if(|((_, start), _)| *start > time).map(|(&key, &mut rest)| (key, rest));
        if after.is_some() {
            before = near.next_back();
        }
        if let Some((_, rest)) = before
            && rest.end >= from
        {
            rest.events += 1;
            if rest.end < time {
                rest.end = time;
                if let Some((key, next)) = after {
                    *rest = Rest { end: next.end, events: rest.events + next.events };
                    self.held.remove(&key);
                }
            }
            return true;
        }
        if sealed.is_some_and(|sealed| from <= sealed) {
            return false;
        }
        let mut rest = Rest { end: time, events: 1 };
        if let Some((key, next)) = after {
            self.held.remove(&key);
            rest = Rest { end: next.end, events: 1 + next.events };
        }
        self.held.insert((token.0, time), rest);
        true
    }

    /// Takes the intervals of another input in, which may lie across ours.
    pub fn absorb(&mut self, other: &Intervals) {
        for mut session in other.iter() {
            while let Some(ours) = self.touching(&session) {
                self.held.remove(&(ours.token, ours.start));
                session.start = session.start.min(ours.start);
                session.end = session.end.max(ours.end);
                session.events += ours.events;
            }
            self.hold(session);
        }
    }

    fn touching(&self, session: &Session) -> Option<Session> {
        let to = session.end.plus(self.gap);
        let range = (session.token, Time(i64::MIN))..=(session.token, to);
        let last = self.held.range(range).next_back().map(session_of)?;
        (last.end >= session.start.minus(self.gap)).then_some(last)
    }

    /// Takes one back that [`Intervals::remove_first`] gave, before anything else came.
    pub(crate) fn hold(&mut self, session: Session) {
        let rest = Rest { end: session.end, events: session.events };
        self.held.insert((session.token, session.start), rest);
    }

    /// Takes out the `n` that end first, by (end, token). O(held).
    pub fn remove_first(&mut self, n: usize) -> Vec<Session> {
        let mut all: Vec<Session> = self.iter().collect();
        if n < all.len() {
            all.select_nth_unstable(n);
            all.truncate(n);
        }
        all.sort_unstable();
        for session in &all {
            self.held.remove(&(session.token, session.start));
        }
        all
    }

    /// All of them, by (token, start).
    pub fn iter(&self) -> impl Iterator<Item = Session> {
        self.held.iter().map(session_of)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The last event of all.
    pub fn last(&self) -> Option<Time> {
        self.held.values().map(|rest| rest.end).max()
    }

    /// Accounted bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.held.len() as u64 * INTERVAL_BYTES
    }

    /// Appends them: their number, then token, start, duration and events of each, as varints of differences.
    pub fn send(&self, out: &mut Outflow<'_>) {
        write_varint(self.held.len() as u64, out.bytes());
        let mut at = (0, -TIME_MAX);
        for session in self.iter() {
            let again = at.0 == session.token;
            let floor = if again { at.1 } else { -TIME_MAX };
            write_varint(session.token - at.0, out.bytes());
            write_varint((session.start.0 - floor) as u64, out.bytes());
            write_varint((session.end.0 - session.start.0) as u64, out.bytes());
            write_varint(session.events, out.bytes());
            out.ease();
            at = (session.token, session.end.0);
        }
    }

    /// Reads what [`Intervals::send`] wrote, `max` of them at most, and leaves the reader behind it.
    pub(crate) fn restore(
        gap: Span,
        max: usize,
        r: &mut Reader<'_>,
        room: &mut Room,
    ) -> Result<Intervals, DecodeError> {
        let n = count(r, ENTRY_BYTES_MIN)?;
        if n > max {
            return Err(DecodeError::Invalid("more sessions than are held"));
        }
        room.take("sessions", n as u64, INTERVAL_BYTES as usize)?;
        let mut intervals = Intervals::new(gap);
        let mut at = (0, Time(-TIME_MAX));
        for i in 0..n {
            let session = intervals.read(r, at, i == 0)?;
            room.weigh(session.events)?;
            at = (session.token, session.end);
            intervals.hold(session);
        }
        Ok(intervals)
    }

    /// The next interval behind one with this token and end.
    fn read(&self, r: &mut Reader<'_>, at: (u64, Time), first: bool) -> Result<Session, DecodeError> {
        const WRONG: DecodeError = DecodeError::Invalid("a session that no events lead to");
        let [token, start, lasts, events] = [r.varint()?, r.varint()?, r.varint()?, r.varint()?];
        let token = at.0.checked_add(token).ok_or(WRONG)?;
        let again = token == at.0 && !first;
        let floor = if again { at.1 } else { Time(-TIME_MAX) };
        let add = |time: Time, by: u64| {
            let sum = i64::try_from(by).ok().and_then(|by| time.0.checked_add(by));
            sum.and_then(Time::from_micros).ok_or(WRONG)
        };
        let start_at = add(floor, start)?;
        let end = add(start_at, lasts)?;
        // Pauses are no longer than the gap, and further ones are other sessions.
        let reach = u128::from(events.saturating_sub(1)) * self.gap.0 as u128;
        let apart = !again || start > self.gap.0 as u64;
        if events == 0 || events > WEIGHT_SUM_MAX || u128::from(lasts) > reach || !apart {
            return Err(WRONG);
        }
        Ok(Session { end, token, start: start_at, events })
    }

    /// Panics unless all intervals are whole and more than `gap` apart.
    pub fn check_invariants(&self) {
        let mut last: Option<Session> = None;
        for session in self.iter() {
            assert!(session.start <= session.end && session.events > 0, "{session:?}");
            if let Some(last) = last.filter(|last| last.token == session.token) {
                assert!(session.start > last.end.plus(self.gap), "{last:?} and {session:?}");
            }
            last = Some(session);
        }
    }
}

fn session_of((&(token, start), rest): (&(u64, Time), &Rest)) -> Session {
    Session { end: rest.end, token, start, events: rest.events }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sketch::Limits;
    use sketch::hash::murmur3_x64_128;

    /// Numbers below `n` that a seed decides.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, n: u64) -> u64 {
            self.0 += 1;
            murmur3_x64_128(&self.0.to_le_bytes(), 7).0 % n
        }
    }

    const GAP: Span = Span(10);

    /// Events of a few keys, mostly in bursts, some of them alike.
    fn events(dice: &mut Dice, n: usize) -> Vec<(u64, i64)> {
        (0..n).map(|_| (dice.below(5), 40 * dice.below(12) as i64 + dice.below(25) as i64)).collect()
    }

    /// Sorted by key and time and cut where a pause is too long: (token, start, end, events).
    fn by_hand(events: &[(u64, i64)]) -> Vec<(u64, i64, i64, u64)> {
        let mut sorted = events.to_vec();
        sorted.sort_unstable();
        let mut out: Vec<(u64, i64, i64, u64)> = Vec::new();
        for (token, time) in sorted {
            match out.last_mut() {
                Some(last) if last.0 == token && time - last.2 <= GAP.0 => {
                    last.2 = time;
                    last.3 += 1;
                }
                _ => out.push((token, time, time, 1)),
            }
        }
        out
    }

    fn taken(events: &[(u64, i64)]) -> Intervals {
        let mut intervals = Intervals::new(GAP);
        for &(token, time) in events {
            assert!(intervals.take(Token(token), Time(time), None));
        }
        intervals.check_invariants();
        intervals
    }

    fn plain(intervals: &Intervals) -> Vec<(u64, i64, i64, u64)> {
        intervals.iter().map(|s| (s.token, s.start.0, s.end.0, s.events)).collect()
    }

    #[test]
    fn intervals_are_those_of_sorted_events_in_whatever_order_they_come() {
        let mut dice = Dice(1);
        for round in 0..300 {
            let n = 1 + dice.below(60) as usize;
            let events = events(&mut dice, n);
            assert_eq!(plain(&taken(&events)), by_hand(&events), "round {round}: {events:?}");
        }
    }

    #[test]
    fn a_late_event_between_two_intervals_makes_one_of_them() {
        assert_eq!(plain(&taken(&[(1, 0), (1, 20)])), [(1, 0, 0, 1), (1, 20, 20, 1)]);
        assert_eq!(plain(&taken(&[(1, 0), (1, 20), (1, 10)])), [(1, 0, 20, 3)]);
        assert_eq!(plain(&taken(&[(1, 0), (1, 20), (2, 10)])).len(), 3);
        // A pause of the gap belongs to the session, one that is longer does not.
        assert_eq!(plain(&taken(&[(1, 0), (1, 21), (1, 10)])), [(1, 0, 10, 2), (1, 21, 21, 1)]);
    }

    #[test]
    fn the_intervals_of_two_inputs_become_those_of_both() {
        let mut dice = Dice(2);
        for round in 0..300 {
            let (n, cut) = (2 + dice.below(60) as usize, dice.below(60) as usize);
            let events = events(&mut dice, n);
            let (left, right) = events.split_at(cut.min(n));
            let mut both = taken(left);
            both.absorb(&taken(right));
            both.check_invariants();
            assert_eq!(plain(&both), by_hand(&events), "round {round}");
        }
    }

    #[test]
    fn what_ends_first_leaves_first_and_what_might_have_joined_it_is_refused() {
        let mut intervals = taken(&[(1, 0), (2, 5), (3, 90), (1, 40), (4, 5)]);
        let gone: Vec<(u64, i64)> = intervals.remove_first(3).iter().map(|s| (s.token, s.end.0)).collect();
        assert_eq!(gone, [(1, 0), (2, 5), (4, 5)]);
        let sealed = Some(Time(5));
        assert!(!intervals.take(Token(1), Time(15), sealed), "may have joined 2 at 5, were it of that key");
        assert!(intervals.take(Token(1), Time(16), sealed));
        assert!(!intervals.take(Token(3), Time(-50), sealed));
        // One that lies within or goes on is of its session, whatever was before that.
        assert!(intervals.take(Token(1), Time(26), sealed));
        assert_eq!(plain(&intervals), [(1, 16, 26, 2), (1, 40, 40, 1), (3, 90, 90, 1)]);
        assert_eq!(intervals.remove_first(9).len(), 3);
    }

    fn restored(bytes: &[u8], max: usize, bytes_max: usize) -> Result<Intervals, DecodeError> {
        let mut r = Reader::new(bytes);
        let intervals = Intervals::restore(GAP, max, &mut r, &mut Room::new(&Limits::bytes(bytes_max)))?;
        r.finish()?;
        Ok(intervals)
    }

    #[test]
    fn a_snapshot_is_read_back_and_goes_on() {
        let mut dice = Dice(3);
        for _ in 0..100 {
            let events = events(&mut dice, 50);
            let (first, rest) = events.split_at(25);
            let mut bytes = Vec::new();
            Outflow::append(&mut bytes, |out| taken(first).send(out));
            let mut again = restored(&bytes, 100, 1 << 20).unwrap();
            rest.iter().for_each(|&(token, time)| assert!(again.take(Token(token), Time(time), None)));
            assert_eq!(plain(&again), by_hand(&events));
        }
        let mut bytes = Vec::new();
        Outflow::append(&mut bytes, |out| taken(&[(0, 3), (0, 99), (u64::MAX, 7)]).send(out));
        assert_eq!(restored(&bytes, 3, 1 << 20).unwrap().len(), 3);
        assert_eq!(
            restored(&bytes, 2, 1 << 20).unwrap_err(),
            DecodeError::Invalid("more sessions than are held")
        );
        assert!(matches!(restored(&bytes, 3, 100), Err(DecodeError::TooLarge { .. })));
    }

    #[test]
    fn hostile_bytes_are_survived_and_what_is_accepted_is_written_as_it_was() {
        let mut dice = Dice(4);
        let mut seed = Vec::new();
        Outflow::append(&mut seed, |out| taken(&events(&mut dice, 40)).send(out));
        let (mut accepted, rounds) = (0, 20_000);
        for _ in 0..rounds {
            let mut bytes = seed.clone();
            for _ in 0..1 + dice.below(3) {
                let at = dice.below(bytes.len() as u64) as usize;
                match dice.below(4) {
                    0 => bytes[at] ^= 1 << dice.below(8),
                    1 => bytes[at] = dice.below(256) as u8,
                    2 => bytes.truncate(at + 1),
                    _ => bytes.insert(at, dice.below(256) as u8),
                }
            }
            let Ok(intervals) = restored(&bytes, 1_000, 1 << 20) else { continue };
            intervals.check_invariants();
            let mut again = Vec::new();
            Outflow::append(&mut again, |out| intervals.send(out));
            assert_eq!(again, bytes);
            accepted += 1;
        }
        assert!(accepted > rounds / 100, "{accepted} were accepted: too few to mean anything");
        let whole = [0x01, 0x80, 0x80];
        assert!(restored(&whole, 1_000, 1 << 20).is_err());
        // A number of entries that the bytes do not hold is refused before anything is made.
        assert_eq!(
            restored(&[0xff, 0xff, 0xff, 0x7f], usize::MAX, 1 << 20).unwrap_err(),
            DecodeError::Truncated
        );
    }
}
