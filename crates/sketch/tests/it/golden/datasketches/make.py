"""Writes the files of this directory: small sketches by the C++ library of Apache DataSketches, through its Python binding.

    pip install datasketches==5.2.0 && python make.py

A name says all there is to know: sketch, values, number of values. `strings` are user_0, user_1, ...; `ints` are 0, 1, ...;
`floats` are 0.0, 0.5, 1.0, ...; of `weights`, item_i is counted i + 1 times; `values` are the doubles 0, 1, ... in order.
KLL draws coins without a seed: its files differ from run to run, all others come out the same.
"""

from pathlib import Path

import datasketches as ds

HERE = Path(__file__).parent
VALUES = {
    "strings": lambda i: f"user_{i}",
    "ints": lambda i: i,
    "floats": lambda i: i / 2,
}
HLL = {"hll4": ds.tgt_hll_type.HLL_4, "hll6": ds.tgt_hll_type.HLL_6, "hll8": ds.tgt_hll_type.HLL_8}


def fed(sketch, kind, n):
    for i in range(n):
        sketch.update(VALUES[kind](i))
    return sketch


def write(name, data):
    (HERE / f"{name}.sk").write_bytes(data)


def hll():
    # lg K 8: a list, a set, registers. Only the ints are also written as they lie in memory.
    for name, width in HLL.items():
        write(f"{name}_empty_0", ds.hll_sketch(8, width).serialize_compact())
        for kind in VALUES:
            for n in (5, 20, 3000):
                write(f"{name}_{kind}_{n}", fed(ds.hll_sketch(8, width), kind, n).serialize_compact())
        for n in (0, 5, 20, 3000):
            write(f"{name}_updatable_{n}", fed(ds.hll_sketch(8, width), "ints", n).serialize_updatable())
    # The first number of ints at which registers of four bits have exceptions here, in a union: out of order.
    sketch, n = ds.hll_sketch(8, HLL["hll4"]), 0
    while sketch.get_compact_serialization_bytes() <= 40 + 128:
        sketch.update(n)
        n += 1
    union = ds.hll_union(8)
    union.update(sketch)
    write(f"hll4_ints_{n}", sketch.serialize_compact())
    write(f"hll4_updatable_{n}", sketch.serialize_updatable())
    write(f"hll4_union_{n}", union.get_result(HLL["hll4"]).serialize_compact())


def theta():
    write("theta_empty_0", ds.update_theta_sketch(8).compact().serialize())
    for kind in VALUES:
        for n in (1, 5, 3000):
            write(f"theta_{kind}_{n}", fed(ds.update_theta_sketch(8), kind, n).compact().serialize())
    write("theta_unordered_3000", fed(ds.update_theta_sketch(8), "ints", 3000).compact(False).serialize())


def cpc():
    write("cpc_empty_0", ds.cpc_sketch(8).serialize())
    for kind in VALUES:
        # Sparse, hybrid, pinned, sliding.
        for n in (5, 60, 300, 3000):
            write(f"cpc_{kind}_{n}", fed(ds.cpc_sketch(8), kind, n).serialize())
    union = ds.cpc_union(8)
    union.update(fed(ds.cpc_sketch(8), "ints", 2000))
    union.update(fed(ds.cpc_sketch(8), "ints", 3000))
    write("cpc_union_3000", union.get_result().serialize())


def tdigest():
    write("tdigest_empty_0", ds.tdigest_double(20).serialize())
    for n in (1, 5, 3000):
        sketch = ds.tdigest_double(20)
        for i in range(n):
            sketch.update(float(i))
        write(f"tdigest_values_{n}", sketch.serialize())


def kll():
    write("kll_empty_0", ds.kll_doubles_sketch(20).serialize())
    for n in (1, 15, 3000):
        sketch = ds.kll_doubles_sketch(20)
        for i in range(n):
            sketch.update(float(i))
        write(f"kll_values_{n}", sketch.serialize())


def frequent():
    write("frequent_empty_0", ds.frequent_strings_sketch(4).serialize())
    # 16 slots hold 12 items; 40 of them do not fit.
    for n in (5, 40):
        sketch = ds.frequent_strings_sketch(4)
        for i in range(n):
            sketch.update(f"item_{i}", i + 1)
        write(f"frequent_weights_{n}", sketch.serialize())


for make in (hll, theta, cpc, tdigest, kll, frequent):
    make()
