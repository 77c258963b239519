"""Writes moments.tsv: sums, means and sample deviations in exact rational arithmetic, rounded once to a double.

Run with any Python 3: `python3 moments.py > moments.tsv`. The fractions module is the oracle; nothing of the crate is used.
"""

import random
import struct
from fractions import Fraction
from math import isqrt


def bits(v):
    return struct.pack(">d", v).hex()


def nearest(x):
    """Nearest double, ties to even; infinite beyond the largest."""
    try:
        return x.numerator / x.denominator
    except OverflowError:
        return float("inf") if x > 0 else float("-inf")


def root(x):
    """Nearest double to the root of a fraction: 200 bits of it, with a last bit that stands for all that follow."""
    if x == 0:
        return 0.0
    shift = 200 + max(0, x.denominator.bit_length() - x.numerator.bit_length())
    scaled = (x.numerator << (2 * shift)) // x.denominator
    r = isqrt(scaled)
    more = r * r != scaled or Fraction(scaled, 1 << (2 * shift)) != x
    return nearest(Fraction(2 * r + more, 1 << (shift + 1)))


def line(name, values):
    exact = [Fraction(v) for v in values]
    n, total = len(exact), sum(exact)
    variance = (n * sum(v * v for v in exact) - total * total) / Fraction(n * max(n - 1, 1))
    deviation = bits(root(variance)) if n > 1 else "-"
    cells = [name, ",".join(bits(v) for v in values), bits(nearest(total)), bits(nearest(total / n)), deviation]
    print("\t".join(cells))


random.seed(17)
line("one", [0.1])
line("ten tenths", [0.1] * 10)
line("far from zero", [1e9, 1e9 + 1, 1e9 + 2])
line("farther", [2.0**53, 2.0**53 + 2, 2.0**53 + 4])
line("cancelled", [1e308, 1e-308, -1e308])
line("cancelled twice", [1e16, 1.0, -1e16, 1e-16])
line("past the largest and back", [1.7976931348623157e308, 1.7976931348623157e308, -1.7976931348623157e308])
line("past the largest", [1.7976931348623157e308, 1e308])
line("past the smallest", [-1.7976931348623157e308, -1e308, 5.0])
line("half an ulp past the largest", [1.7976931348623157e308, 9.979201547673599e291])
line("less than half an ulp past", [1.7976931348623157e308, 9.979201547673598e291])
line("subnormals", [5e-324, 5e-324, -1e-323, 2.2250738585072014e-308])
line("smallest", [5e-324, 0.0])
line("smallest and its negative", [5e-324, -5e-324])
line("ties to even", [2.0**53, 1.0])
line("ties to even, up", [2.0**53 + 2, 1.0])
line("a tie that a subnormal breaks", [2.0**53, 1.0, 5e-324])
line("a tie that a subnormal keeps", [2.0**53, 1.0, -5e-324])
line("zeros", [0.0, -0.0, 0.0])
line("equal", [0.1, 0.1, 0.1])
line("nearly equal", [1.0, 1.0000000000000002, 1.0])
line("thirds", [1 / 3, 2 / 3, 4 / 3])
line("range", [1e-300, 1e300, 1.0, -1e150])
for i in range(40):
    size = random.randrange(2, 9)
    spread = random.choice([1, 10, 100, 1000])
    line(f"random {i}", [random.choice([-1, 1]) * random.random() * 2.0 ** random.randint(-spread, spread) for _ in range(size)])
for i in range(10):
    base = random.uniform(-1e12, 1e12)
    line(f"close {i}", [base + random.random() * 1e-3 for _ in range(6)])
for i in range(10):
    line(f"any bits {i}", [v for v in (struct.unpack("<d", random.randbytes(8))[0] for _ in range(5)) if v == v and abs(v) != float("inf")])
