//! Sixteen bytes at a time: what the predicted path asks of a piece of a line.
//!
//! Answers come from masks, bit i for byte i, made by vector comparisons that every x86-64 and ARM64 processor has, so
//! that nothing is chosen at run time. Words of eight or sixteen bytes in plain registers say the same in three times as
//! many instructions, and loops over arrays are not turned into vectors reliably.

use wide::u8x16;

/// Bytes looked at together.
pub(super) const LANES: usize = 16;
/// The mask of all bytes.
pub(super) const ALL: u32 = (1 << LANES) - 1;

/// Where two pieces are the same.
#[inline(always)]
pub(super) fn equal(a: &[u8; LANES], b: &[u8; LANES]) -> u32 {
    u8x16::from(*a).simd_eq(u8x16::from(*b)).to_bitmask()
}

/// The first byte that ends the plain part of a JSON string (quote, backslash, control character), or [`LANES`].
#[inline(always)]
pub(super) fn first_stop(piece: &[u8; LANES]) -> usize {
    let bytes = u8x16::from(*piece);
    // A byte is a control when it is its own minimum with the last of them.
    let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    let stops = bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\')) | control;
    (stops.to_bitmask() | 1 << LANES).trailing_zeros() as usize
}

/// Where the quote is that ends a JSON string within this piece, if all before it is plain.
///
/// That is [`first_stop`] if there is a quote, but known sooner: what else could stop the string is checked beside the way
/// from the piece to the number.
#[inline(always)]
pub(super) fn closing_quote(piece: &[u8; LANES]) -> Option<usize> {
    let bytes = u8x16::from(*piece);
    let quotes = bytes.simd_eq(u8x16::splat(b'"')).to_bitmask();
    let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    let others = (bytes.simd_eq(u8x16::splat(b'\\')) | control).to_bitmask() | 1 << LANES;
    // All bits up to the first quote, or all there are.
    let before = quotes ^ quotes.wrapping_sub(1);
    (others & before == 0).then(|| quotes.trailing_zeros() as usize)
}

/// Where the decimal digits are.
#[inline(always)]
pub(super) fn digits(piece: &[u8; LANES]) -> u32 {
    // Digits become the lowest ten values; everything else wraps to 10 or more.
    let values = u8x16::from(*piece) - u8x16::splat(b'0');
    values.min(u8x16::splat(9)).simd_eq(values).to_bitmask()
}

/// The piece at `at`, with zeros behind the end of the bytes.
#[inline(always)]
pub(super) fn piece(bytes: &[u8], at: usize) -> [u8; LANES] {
    match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(piece) => *piece,
        None => short_piece(bytes.get(at..).unwrap_or_default()),
    }
}

#[cold]
#[inline(never)]
fn short_piece(rest: &[u8]) -> [u8; LANES] {
    let mut piece = [0; LANES];
    piece[..rest.len()].copy_from_slice(rest);
    piece
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts each byte at each place and compares a mask with what a test of single bytes says.
    fn check(mask: impl Fn(&[u8; LANES]) -> u32, holds: impl Fn(u8) -> bool) {
        for at in 0..LANES {
            for b in 0..=255u8 {
                let mut bytes = *b"a0cde5gh !#[]9~\x7f";
                bytes[at] = b;
                let want = bytes.iter().rev().fold(0, |mask, &b| mask << 1 | u32::from(holds(b)));
                assert_eq!(mask(&bytes), want, "{b:#x} at {at}");
            }
        }
    }

    #[test]
    fn masks_say_where() {
        check(digits, |b| b.is_ascii_digit());
        check(|bytes| equal(bytes, &[b'c'; LANES]), |b| b == b'c');
    }

    #[test]
    fn the_first_byte_that_stops_a_string_is_found() {
        for at in 0..LANES {
            for b in 0..=255u8 {
                let mut bytes = *b"abcdefgh !#[]~\x7f^";
                bytes[at] = b;
                let stop = b < 0x20 || b == b'"' || b == b'\\';
                assert_eq!(first_stop(&bytes), if stop { at } else { LANES }, "{b:#x} at {at}");
                assert_eq!(closing_quote(&bytes), (b == b'"').then_some(at), "{b:#x} at {at}");
                for quote in 0..LANES {
                    let mut quoted = bytes;
                    quoted[quote] = b'"';
                    let first = first_stop(&quoted);
                    let want = (quoted[first] == b'"').then_some(first);
                    assert_eq!(closing_quote(&quoted), want, "{b:#x} at {at}, quote at {quote}");
                }
            }
        }
    }

    #[test]
    fn pieces_are_padded_with_zeros() {
        let bytes: Vec<u8> = (1..=40).collect();
        for at in 0..50 {
            let want: Vec<u8> = (at..at + LANES).map(|i| bytes.get(i).copied().unwrap_or(0)).collect();
            assert_eq!(piece(&bytes, at)[..], want, "{at}");
        }
    }
}
