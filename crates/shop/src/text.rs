//! Numbers as text, appended without an allocation of their own.

/// Appends an integer.
#[inline]
pub fn write_integer(mut n: u64, out: &mut Vec<u8>) {
    // Twenty digits hold the largest u64.
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = digit(n);
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The last decimal digit of a number.
#[inline]
pub fn digit(n: u64) -> u8 {
    b'0' + (n % 10) as u8
}
