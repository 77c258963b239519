//! Frequent Items of Apache DataSketches: written for its readers in Java, C++ and Python, and read. Table in
//! docs/FORMATS.md.
//!
//! Over there a counter `c` stands for a weight in `[c, c + offset]`, one offset for all keys. So an entry read has
//! `count = c` and `err = offset`. What they promise is weaker than our guarantee (their purge takes the median of
//! at most 1,024 sampled counters, and merged sketches may differ in size): where a sketch does not keep
//! `offset <= N / (L/2 + 1)` for its own number of slots it is read into half as many, until it does.

use super::table::{Entry, SLOT_BYTES};
use super::{Counters, Nowhere, SLOTS_MAX, SLOTS_MIN};
use crate::codec::{DecodeError, Limits, Reader};
use crate::hash::Token;

/// Constants of Frequent Items in the DataSketches formats.
mod wire {
    pub const SERIAL_VERSION: u8 = 1;
    pub const FAMILY_FREQUENCY: u8 = 10;
    pub const PREAMBLE_LONGS_EMPTY: u8 = 1;
    pub const PREAMBLE_LONGS: u8 = 4;
    /// Java and C++ disagree on the bit, so writers set both.
    pub const FLAGS_EMPTY: u8 = 5;
    pub const LG_MAP_MIN: u8 = 3;
    /// Counter and length, the least that an item takes.
    pub const ITEM_BYTES_MIN: usize = 8 + 4;
}

impl Counters {
    /// An Apache DataSketches *Frequent Items* sketch of strings with the same bounds, readable in Java, C++ and
    /// Python. Its counter is `count + err - offset`, which is at most `count`, and with its offset added the upper
    /// bound is the same; keys whose counter would be 0 are left out, as they are bounded by the offset. Bytes that
    /// are no UTF-8 become U+FFFD. Weights are signed over there: the total stops at `i64::MAX`, and the counters, in the
    /// order of their tokens, where they make up that much.
    pub fn to_datasketches_strings(&self) -> Vec<u8> {
        self.image(|item, out| {
            let text = String::from_utf8_lossy(item);
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        })
    }

    /// The same of integers, whose items are their eight little-endian bytes; `None` when an item has another length.
    pub fn to_datasketches_longs(&self) -> Option<Vec<u8>> {
        let longs = self.entries().all(|entry| entry.item.len() == 8);
        longs.then(|| self.image(|item, out| out.extend_from_slice(item)))
    }

    fn image(&self, write: impl Fn(&[u8], &mut Vec<u8>)) -> Vec<u8> {
        let lg_max = self.slots.trailing_zeros() as u8;
        if self.total == 0 {
            let head = [wire::PREAMBLE_LONGS_EMPTY, wire::SERIAL_VERSION, wire::FAMILY_FREQUENCY, lg_max];
            return [&head[..], &[wire::LG_MAP_MIN, wire::FLAGS_EMPTY, 0, 0]].concat();
        }
        let mut room = i64::MAX as u64;
        let mut entries = self.entries_by_token();
        entries.retain_mut(|entry| {
            entry.count = (entry.count + entry.err).saturating_sub(self.offset).min(room);
            room -= entry.count;
            entry.count > 0
        });
        let mut lg_now = wire::LG_MAP_MIN;
        while entries.len() > (1usize << lg_now) / 4 * 3 {
            lg_now += 1;
        }
        let long = |v: u64| (v.min(i64::MAX as u64)).to_le_bytes();
        let mut out =
            vec![wire::PREAMBLE_LONGS, wire::SERIAL_VERSION, wire::FAMILY_FREQUENCY, lg_max, lg_now, 0, 0, 0];
        out.extend_from_slice(&(entries.len() as u64).to_le_bytes());
        out.extend_from_slice(&long(self.total));
        out.extend_from_slice(&long(self.offset));
        for entry in &entries {
            out.extend_from_slice(&entry.count.to_le_bytes());
        }
        for entry in &entries {
            write(entry.item, &mut out);
        }
        out
    }

    /// Reads a *Frequent Items* sketch of strings written by Apache DataSketches. Every bound is the one that it had
    /// there; an answer's `value` is what was counted for certain, where DataSketches gives the upper bound.
    ///
    /// ```
    /// use sketch::{Limits, Token, frequent::Counters};
    ///
    /// let mut pages = Counters::new(64);
    /// pages.update(Token::of_str("home"), 3, b"home");
    /// let image = pages.to_datasketches_strings();
    /// let mut read = Counters::from_datasketches_strings(&image, &Limits::default())?;
    /// read.merge(&pages).unwrap();
    /// assert_eq!(read.get(Token::of_str("home")).value, 6);
    /// # Ok::<(), sketch::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// [`DecodeError`]: other bytes, more slots than `limits` allow, weights that no stream has, or an offset too large
    /// for a table of [`SLOTS_MIN`] slots.
    pub fn from_datasketches_strings(image: &[u8], limits: &Limits) -> Result<Counters, DecodeError> {
        Counters::read_image(image, limits, |r| {
            let len = r.u32()? as usize;
            let text = r.bytes(len)?;
            if std::str::from_utf8(text).is_err() {
                return Err(DecodeError::Invalid("an item that is no UTF-8"));
            }
            Ok(text)
        })
    }

    /// The same of integers (`LongsSketch` in Java); items are their eight little-endian bytes.
    ///
    /// # Errors
    /// As [`Counters::from_datasketches_strings`].
    pub fn from_datasketches_longs(image: &[u8], limits: &Limits) -> Result<Counters, DecodeError> {
        Counters::read_image(image, limits, |r| r.bytes(8))
    }

    fn read_image<'a>(
        image: &'a [u8],
        limits: &Limits,
        item: impl Fn(&mut Reader<'a>) -> Result<&'a [u8], DecodeError>,
    ) -> Result<Counters, DecodeError> {
        let r = &mut Reader::new(image);
        let head = r.bytes(8)?;
        // The upper two bits of the first byte are free for other use in Java.
        let (longs, lg_max, empty) = (head[0] & 63, head[3], head[5] & wire::FLAGS_EMPTY != 0);
        if head[1] != wire::SERIAL_VERSION || head[2] != wire::FAMILY_FREQUENCY {
            return Err(DecodeError::Invalid("not a frequent-items image of version 1"));
        }
        if longs != if empty { wire::PREAMBLE_LONGS_EMPTY } else { wire::PREAMBLE_LONGS } {
            return Err(DecodeError::Invalid("preamble of a frequent-items image"));
        }
        if lg_max < wire::LG_MAP_MIN || lg_max > SLOTS_MAX.trailing_zeros() as u8 {
            return Err(DecodeError::Invalid("size of a frequent-items image"));
        }
        let slots = (1usize << lg_max).max(SLOTS_MIN);
        limits.allow("slots of counters", slots as u64, SLOT_BYTES)?;
        let mut counters = Counters::new(slots);
        if !empty {
            counters.read_entries(r, item)?;
        }
        if r.remaining() > 0 {
            return Err(DecodeError::Invalid("bytes after the end"));
        }
        counters.keep_the_guarantee()?;
        Ok(counters)
    }

    fn read_entries<'a>(
        &mut self,
        r: &mut Reader<'a>,
        item: impl Fn(&mut Reader<'a>) -> Result<&'a [u8], DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = r.count("entries", self.live_max(), wire::ITEM_BYTES_MIN)?;
        r.u32()?;
        let weight = |r: &mut Reader<'a>| {
            u64::try_from(r.i64()?).map_err(|_| DecodeError::Invalid("a weight below zero"))
        };
        self.total = weight(r)?;
        self.offset = weight(r)?;
        self.table.reserve(count);
        let mut weights = Reader::new(r.bytes(count * 8)?);
        for _ in 0..count {
            let (count, item) = (weight(&mut weights)?, item(r)?);
            let token = Token::of_bytes(item);
            match self.table.find(token) {
                Err(slot) if count > 0 => {
                    self.table.push(slot, Entry { token, count, err: self.offset, item, cut: false });
                }
                Err(_) => return Err(DecodeError::Invalid("an item without weight")),
                Ok(_) => return Err(DecodeError::Invalid("an item that is there twice")),
            }
        }
        Ok(())
    }

    /// Gives up slots until the offset is within the guarantee of those that are left.
    fn keep_the_guarantee(&mut self) -> Result<(), DecodeError> {
        while !self.is_sound() {
            if self.offset == 0 || self.slots == SLOTS_MIN {
                return Err(DecodeError::Invalid("counts beyond the guarantee"));
            }
            self.slots /= 2;
        }
        self.make_room(&mut Nowhere);
        Ok(())
    }
}
