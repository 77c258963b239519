"""The oracle of malformed: makes inputs in which each odd record stands between two good ones, posts them, and judges the reports.

    malformed.py make FOLDER SEED quick|full     writes inputs, and in FOLDER/expected.json what must become of them
    malformed.py post FOLDER ADDRESS             posts the small ones, each with its neighbours as a body, and what is no body at all
    malformed.py judge FOLDER NAME...            reads NAME.out and NAME.quarantine.ndjson

The neighbours of a case are counted once each, under their own names; a bad record stands in the quarantine once, with its reason, at
the bytes where it is; what is an event counts once under its group, with its sums; and the counters of the source add up.
"""

import bisect
import gzip
import http.client
import json
import math
import random
import subprocess
import sys

import malformed_cases
from counts import Verdict, number

RECORD_MAX = {"ndjson": 64 << 10, "large": 64 << 20, "csv": 4 << 10}
BOMB = 1000
TS = malformed_cases.TS


def good(kind, name, side):
    if kind == "csv":
        return f"{TS},{name}-{side},1,1.5,true,a\n".encode()
    return ('{"ts":%s,"id":"%s-%s","n":1,"x":1.5,"b":true,"s":"a","deep":{"a":{"b":"c"}}}\n' % (TS, name, side)).encode()


def lay_out(path, kind, cases):
    """Writes the cases between their neighbours; where each lies."""
    told, at = [], 0
    with open(path, "wb") as file:
        if kind == "csv":
            at += file.write("\ufeffts,id,n,x,b,s\n".encode())
        elif kind == "ndjson":
            at += file.write("\ufeff".encode())
        for name, line, ids, reasons in cases:
            begin = at
            at += file.write(good(kind, name, "a"))
            first = at
            at += file.write(line + b"\n")
            last = at
            at += file.write(good(kind, name, "b"))
            told.append({"name": name, "begin": begin, "first": first, "last": last, "end": at, "ids": ids, "reasons": reasons,
                         "sums": sums(kind, name, line, ids)})
    return told


def sums(kind, name, line, ids):
    """n and x of a single event, as Python reads them; null where it has none or cannot tell."""
    if not ids or kind == "csv" or ids != [name]:
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    n, x = event.get("n"), event.get("x")
    return {"n": None if n is None else str(int(float(n) if "e" in str(n) or "." in str(n) else n)), "x": None if x is None else repr(float(x))}


def make(folder, seed, form):
    shuffled = random.Random(seed)
    small = malformed_cases.ndjson(RECORD_MAX["ndjson"])
    names = [case[0] for case in small]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    shuffled.shuffle(small)
    cells = malformed_cases.csv(RECORD_MAX["csv"])
    shuffled.shuffle(cells)
    length = 100_000_000 if form == "full" else 70_000_000
    expected = {
        "ndjson": lay_out(f"{folder}/ndjson.ndjson", "ndjson", small),
        "csv": lay_out(f"{folder}/csv.csv", "csv", cells),
        "large": lay_out(f"{folder}/large.ndjson", "large", malformed_cases.large(length, RECORD_MAX["large"])),
        "bomb": lay_out(f"{folder}/bomb.ndjson", "large", [("bomb", b"\0" * (200 << 20 if form == "full" else 80 << 20), [], [("too_long",)])]),
    }
    for name, source, program in (("gzip", "ndjson.ndjson", "gzip"), ("zstd", "ndjson.ndjson", "zstd"), ("bomb", "bomb.ndjson", "gzip"),
                                  ("bomb_zstd", "bomb.ndjson", "zstd")):
        suffix = "gz" if program == "gzip" else "zst"
        with open(f"{folder}/{source}", "rb") as plain, open(f"{folder}/{name}.ndjson.{suffix}", "wb") as packed:
            subprocess.run([program, "-c", "-q"], stdin=plain, stdout=packed, check=True)
    for case in malformed_cases.csv_unclosed(RECORD_MAX["csv"]):
        expected[case[0]] = lay_out(f"{folder}/{case[0]}.csv", "csv", [case])
    expected["gzip"] = expected["zstd"] = expected["http"] = expected["ndjson"]
    expected["bomb_zstd"] = expected["bomb"]
    damaged(folder)
    with open(f"{folder}/expected.json", "w", encoding="utf-8") as file:
        json.dump(expected, file)
    verdict = Verdict()
    verdict.figures = {"cases": len(small) + len(cells) + len(expected["large"]) + 4}
    verdict.print()


def damaged(folder):
    """Compressed files that are cut or hurt, each between two whole ones; told in damaged.json."""
    lines = b"".join(good("ndjson", str(i), "d") for i in range(2_000))
    packed = {"gz": gzip.compress(lines), "zst": subprocess.run(["zstd", "-c", "-q"], input=lines, stdout=subprocess.PIPE, check=True).stdout}
    told = []
    for suffix, whole in packed.items():
        middle = len(whole) // 2
        hurt = whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1:]
        for name, content in (("cut_in_the_middle", whole[:middle]), ("cut_at_the_end", whole[:-1]), ("cut_in_the_head", whole[:6]),
                              ("hurt", hurt), ("garbage_behind", whole + b"garbage"), ("checksum", whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:])):
            case = f"{name}_{suffix}"
            with open(f"{folder}/damaged-{case}.ndjson.{suffix}", "wb") as file:
                file.write(content)
            told.append(case)
    for side in "az":
        with open(f"{folder}/whole-{side}.ndjson", "wb") as file:
            file.write(good("ndjson", "whole", side) * 10)
    with open(f"{folder}/damaged.txt", "w", encoding="utf-8") as file:
        file.write("\n".join(told))


def post(folder, address):
    verdict = Verdict()
    with open(f"{folder}/expected.json", encoding="utf-8") as file:
        cases = json.load(file)["ndjson"]
    with open(f"{folder}/ndjson.ndjson", "rb") as file:
        everything = file.read()
    connection = http.client.HTTPConnection(address, timeout=20)

    def send(name, body, wanted, headers):
        connection.request("POST", "/v1/events", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if wanted != 200:
            connection.close()
        verdict.add("bodies_posted", 1)
        if answer.status != wanted:
            verdict.fail(f"http: {name}: {answer.status} instead of {wanted}: {text[:200]}")

    zstd = lambda body: subprocess.run(["zstd", "-c", "-q"], input=body, stdout=subprocess.PIPE, check=True).stdout
    packers = [lambda body: (body, {}), lambda body: (gzip.compress(body, 1), {"Content-Encoding": "gzip"})]
    # The byte order mark that the file begins with goes with its first body.
    for i, case in enumerate(cases):
        body = everything[case["begin"] if i else 0 : case["end"]]
        packed, headers = packers[i % 2](body) if i % 50 else (zstd(body), {"Content-Encoding": "zstd"})
        send(case["name"], packed, 200, headers)
    event = b'{"ts":%s,"id":"refused","n":1}\n' % TS.encode()
    whole = gzip.compress(event * 1000)
    refused = [
        ("gzip_cut", whole[:-20], 400, {"Content-Encoding": "gzip"}), ("gzip_garbage", b"garbage", 400, {"Content-Encoding": "gzip"}),
        ("gzip_checksum", whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:], 400, {"Content-Encoding": "gzip"}),
        ("zstd_cut", zstd(event * 1000)[:-9], 400, {"Content-Encoding": "zstd"}), ("zstd_garbage", b"garbage", 400, {"Content-Encoding": "zstd"}),
        ("gzip_bomb", gzip.compress(b"\0" * (100 << 20)), 413, {"Content-Encoding": "gzip"}),
        ("zstd_bomb", zstd(b"\0" * (100 << 20)), 413, {"Content-Encoding": "zstd"}), ("too_long", event * 300_000, 413, {}),
        ("brotli", event, 415, {"Content-Encoding": "br"}), ("image", event, 415, {"Content-Type": "image/png"}),
        ("sequence_alone", event, 400, {"Streamgauge-Sequence": "1"}),
        ("sequence_none", event, 400, {"Streamgauge-Producer": "p", "Streamgauge-Sequence": "abc"}),
        ("producer_blank", event, 400, {"Streamgauge-Producer": "a b", "Streamgauge-Sequence": "1"}),
    ]
    for name, body, status, headers in refused:
        try:
            send(name, body, status, headers)
        except (ConnectionError, http.client.HTTPException) as trouble:
            # Refused before it was read: the answer may be gone with the connection.
            connection.close()
            if name != "too_long":
                verdict.fail(f"http: {name}: no answer: {trouble!r}")
        verdict.add("bodies_to_refuse", 1)
    verdict.print()


def judge(folder, names):
    verdict = Verdict()
    with open(f"{folder}/expected.json", encoding="utf-8") as file:
        expected = json.load(file)
    for name in names:
        judge_one(verdict, folder, name, expected[name])
    verdict.print()


def judge_one(verdict, folder, name, cases):
    bad = quarantine(verdict, f"{folder}/{name}.quarantine.ndjson", cases)
    wanted, n, x, reasons = {}, {}, {}, {}
    for case in cases:
        found = bad.get(case["name"], [])
        ids, wrong = case["ids"], case["reasons"]
        if ids is None:
            # Either an event or a bad record of one of these reasons.
            ids, wrong = ([], wrong) if found else ([case["name"]], [])
        if len(found) != len(wrong) or any(told not in allowed for told, allowed in zip(found, wrong)):
            verdict.fail(f"{name}: {case['name']}: {found} instead of {wrong}")
        for reason in found:
            reasons[reason] = reasons.get(reason, 0) + 1
        for group in [case["name"] + "-a", *ids, case["name"] + "-b"]:
            wanted[group] = wanted.get(group, 0) + 1
        if ids and case["sums"]:
            n[ids[0]], x[ids[0]] = case["sums"]["n"], case["sums"]["x"]
    hits, counters = {}, {}
    with open(f"{folder}/{name}.out", encoding="utf-8") as file:
        for row in json.load(file):
            if row["metric"] == "sg.source":
                counters[row["by"]["reason"]] = number(row["value"])
            elif row["metric"] == "hits":
                hits[row["by"]["id"]] = number(row["value"])
            elif row["metric"] in ("n", "x") and row["by"]["id"] in n:
                compare_sum(verdict, name, row, n if row["metric"] == "n" else x)
    verdict.compare(f"{name}: groups", wanted, hits)
    told = {reason: count for reason, count in counters.items() if reason in ("json", "utf8", "columns", "type", "time", "too_long", "line", "derive")
            or reason.startswith("bad_")}
    told = {reason.removeprefix("bad_"): count for reason, count in told.items() if count}
    verdict.compare(f"{name}: reasons", reasons, told)
    verdict.compare(f"{name}: records", {"read": sum(wanted.values()) + sum(reasons.values()), "accepted": sum(wanted.values())},
                    {key: counters[key] for key in ("read", "accepted")})
    verdict.add("records_judged", len(cases))


def compare_sum(verdict, name, row, wanted):
    want, told = wanted[row["by"]["id"]], row["value"]
    verdict.add("sums_compared", 1)
    if want is None or told is None:
        same = want is None and told is None
    elif row["metric"] == "n":
        same = int(want) == number(told)
    else:
        same = math.isclose(float(want), float(told), rel_tol=0, abs_tol=0)
    if not same:
        verdict.fail(f"{name}: {row['metric']} of {row['by']['id']} is {told} instead of {want}")


def quarantine(verdict, path, cases):
    """Reasons of the bad records of each case, in their order."""
    begins = [case["first"] for case in cases]
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            case = cases[bisect.bisect_right(begins, row["byte"]) - 1]
            if not case["first"] <= row["byte"] < case["last"]:
                verdict.fail(f"{path}: a good neighbour of {case['name']} was set aside as {row['reason']}")
            found.setdefault(case["name"], []).append(row["reason"])
    return found


def main():
    # Integers of a thousand digits are fine here.
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    what, folder, *rest = sys.argv[1:]
    if what == "make":
        make(folder, int(rest[0]), rest[1])
    elif what == "post":
        post(folder, rest[0])
    else:
        judge(folder, rest)


main()
