//! Numbers as text, appended without an allocation of their own.

/// Appends an integer.
#[inline]
pub fn write_integer(n: u64, out: &mut Vec<u8>) {
    // Left to right, in pieces of known length: one copy of unknown length would be a call.
    match n {
        0..10 => out.push(digit(n)),
        10..100 => out.extend_from_slice(&PAIRS[n as usize]),
        _ => write_long(n, out),
    }
}

fn write_long(n: u64, out: &mut Vec<u8>) {
    if n < 10_000 {
        write_integer(n / 100, out);
        out.extend_from_slice(&PAIRS[(n % 100) as usize]);
    } else {
        write_integer(n / 10_000, out);
        let ([a, b], [c, d]) = (PAIRS[(n / 100 % 100) as usize], PAIRS[(n % 100) as usize]);
        out.extend_from_slice(&[a, b, c, d]);
    }
}

/// The last decimal digit of a number.
#[inline]
pub fn digit(n: u64) -> u8 {
    b'0' + (n % 10) as u8
}

/// 00 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < pairs.len() {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_written_as_the_standard_library_writes_them() {
        let powers = (0..20).map(|e| 10u64.pow(e)).flat_map(|p| [p - 1, p, p + 1]);
        for n in powers.chain([u64::MAX, u64::MAX - 1]) {
            let mut out = b"x".to_vec();
            write_integer(n, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{n}"));
        }
    }
}
