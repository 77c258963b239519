"""Records that are hardly any, or none, and what must become of each: the cases of malformed.py.

A case is (name, bytes, ids, reasons): the bytes of a line or more, without the last line end; the groups under which its events count;
and for each bad record in it the reasons of which one must be told. Where RFC 8259 leaves a choice ("i"), the case may be an event
or a bad record, but exactly one of them. What the RFC allows ("y") and forbids ("n") is asserted against Python's json.
"""

import json

TS = "1700000000"
DEEP = 100_000
SYNTAX = ("json",)
ENCODING = ("utf8",)

VALUES = [
    # y: what RFC 8259 allows.
    ("y", "zero", "0"), ("y", "minus_zero", "-0"), ("y", "minus_zero_point", "-0.0"), ("y", "minus_zero_e", "-0e-0"),
    ("y", "int", "123"), ("y", "negative", "-123"), ("y", "fraction", "123.456"), ("y", "small", "0.000000000000000000000000001"),
    ("y", "e", "1e5"), ("y", "E", "1E5"), ("y", "e_plus", "1e+5"), ("y", "e_minus", "1e-5"), ("y", "fraction_e", "1.5e2"),
    ("y", "e_zeros", "1e0005"), ("y", "beyond_2_53", "9007199254740993"), ("y", "i64_max", "9223372036854775807"),
    ("y", "i64_min", "-9223372036854775808"), ("y", "beyond_i64", "9223372036854775808"), ("y", "beyond_u64", "18446744073709551616"),
    ("y", "digits_of_200", "1" * 200), ("y", "fraction_of_400", "0." + "3" * 400), ("y", "subnormal", "4.9e-324"),
    ("y", "double_max", "1.7976931348623157e308"),
    ("y", "true", "true"), ("y", "false", "false"), ("y", "null", "null"),
    ("y", "empty_text", '""'), ("y", "blank_text", '"   "'), ("y", "escapes", r'"\"\\\/\b\f\n\r\t"'), ("y", "u0000", r'"\u0000"'),
    ("y", "u_lower", r'"\u00e9"'), ("y", "u_upper", r'"\u00E9"'), ("y", "pair", r'"\uD83D\uDE00"'), ("y", "noncharacter", r'"\uFFFF"'),
    ("y", "escaped_backslash_u", r'"\\u0000"'), ("y", "utf8_2", '"é"'), ("y", "utf8_3", '"€"'), ("y", "utf8_4", '"😀"'),
    ("y", "delete", '"\x7f"'), ("y", "u2028", '"\u2028"'), ("y", "u2029", '"\u2029"'), ("y", "feff_inside", '"\ufeff"'),
    ("y", "max_scalar", '"\U0010ffff"'), ("y", "comment_in_text", '"/* no */ // no"'), ("y", "braces_in_text", '"}]{["'),
    ("y", "quote_at_end", r'"a\""'), ("y", "backslashes", '"' + r"\\" * 33 + '"'), ("y", "text_of_40k", '"' + "x" * 40_000 + '"'),
    ("y", "empty_array", "[]"), ("y", "empty_object", "{}"), ("y", "array", "[1,2,3]"), ("y", "array_blanks", "[ 1 ,\t2 ]"),
    ("y", "mixed", '[null,1,"1",{}]'), ("y", "nested", '{"a":{"b":[{"c":null}]}}'), ("y", "object_duplicate", '{"a":1,"a":2}'),
    ("y", "object_empty_key", '{"":0}'), ("y", "object_nul_key", r'{"\u0000":0}'), ("y", "object_long_key", '{"' + "k" * 1000 + '":0}'),
    ("y", "nested_60", "[" * 60 + "]" * 60), ("y", "nested_64", "[" * 64 + "]" * 64), ("y", "nested_65", "[" * 65 + "]" * 65),
    ("y", "nested_objects_200", '{"a":' * 200 + "1" + "}" * 200), ("y", "blanks_before", " \t 1"), ("y", "carriage_return_before", "\r1"),
    # n: what it forbids.
    ("n", "nothing", ""), ("n", "NaN", "NaN"), ("n", "nan", "nan"), ("n", "minus_NaN", "-NaN"), ("n", "Infinity", "Infinity"),
    ("n", "minus_Infinity", "-Infinity"), ("n", "inf", "inf"), ("n", "plus", "+1"), ("n", "plus_plus", "++1"), ("n", "minus", "-"),
    ("n", "minus_minus", "--1"), ("n", "minus_blank", "- 1"), ("n", "minus_text", "-foo"), ("n", "leading_zero", "012"),
    ("n", "minus_leading_zero", "-012"), ("n", "double_zero", "00"), ("n", "point_first", ".5"), ("n", "minus_point_first", "-.5"),
    ("n", "point_last", "5."), ("n", "point_e", "1.e5"), ("n", "two_points", "1.2.3"), ("n", "e_alone", "1e"), ("n", "e_plus_alone", "1e+"),
    ("n", "e_minus_alone", "1e-"), ("n", "e_point", "1e1.5"), ("n", "e_e", "1eE2"), ("n", "e_first", "e5"), ("n", "zero_e", "0e"),
    ("n", "hex", "0x42"), ("n", "octal", "0o7"), ("n", "underscore", "1_000"), ("n", "comma_in_number", "1,000"), ("n", "suffix", "1a"),
    ("n", "blank_in_number", "1 000"), ("n", "fullwidth_digit", "\uff11"), ("n", "arabic_digit", "\u0661"), ("n", "fraction_sign", "1/2"),
    ("n", "True", "True"), ("n", "TRUE", "TRUE"), ("n", "tru", "tru"), ("n", "truee", "truee"), ("n", "fals", "fals"), ("n", "nul", "nul"),
    ("n", "Null", "Null"), ("n", "undefined", "undefined"), ("n", "word", "word"), ("n", "single_quotes", "'a'"), ("n", "backticks", "`a`"),
    ("n", "typographic_quotes", "“a”"), ("n", "unclosed_text", '"a'), ("n", "lone_quote", '"'), ("n", "unopened_text", 'a"'),
    ("n", "escape_a", r'"\a"'), ("n", "escape_x", r'"\x00"'), ("n", "escape_0", r'"\0"'), ("n", "escape_quote", r'"\'"'),
    ("n", "escape_v", r'"\v"'), ("n", "escape_U", r'"\U0041"'), ("n", "escape_u", r'"\u"'), ("n", "escape_u0", r'"\u0"'),
    ("n", "escape_u00", r'"\u00"'), ("n", "escape_u00A", r'"\u00A"'), ("n", "escape_u00G", r'"\u00Ag"'), ("n", "escape_brace", r'"\u{41}"'),
    ("n", "escape_emoji", '"\\😀"'), ("n", "escape_end", '"\\"'), ("n", "raw_tab", '"\t"'), ("n", "raw_nul", '"\x00"'),
    ("n", "raw_escape", '"\x1b"'), ("n", "raw_unit", '"\x1f"'), ("n", "raw_carriage_return", '"a\rb"'), ("n", "raw_backspace", '"\x08"'),
    ("n", "two_texts", '"a""b"'), ("n", "text_word", '"a"b'), ("n", "text_plus", '"a"+"b"'), ("n", "array_open", "["),
    ("n", "array_close", "]"), ("n", "array_unclosed", "[1"), ("n", "array_extra_close", "[1]]"), ("n", "array_comma_last", "[1,]"),
    ("n", "array_comma_first", "[,1]"), ("n", "array_comma_only", "[,]"), ("n", "array_two_commas", "[1,,2]"), ("n", "array_no_comma", "[1 2]"),
    ("n", "array_colon", "[1:2]"), ("n", "array_brace", "[1}"), ("n", "array_star", "[*]"), ("n", "array_comment", "[1/*x*/]"),
    ("n", "array_vertical_tab", "[\x0b1]"), ("n", "array_form_feed", "[\x0c1]"), ("n", "array_nbsp", "[\u00a01]"), ("n", "array_nul", "[\x001]"),
    ("n", "array_bom", "[\ufeff1]"), ("n", "array_u2060", "[\u2060]"), ("n", "object_open", "{"), ("n", "object_unclosed", '{"a":1'),
    ("n", "object_no_value", '{"a":}'), ("n", "object_no_colon", '{"a" 1}'), ("n", "object_comma_for_colon", '{"a",1}'),
    ("n", "object_two_colons", '{"a"::1}'), ("n", "object_comma_last", '{"a":1,}'), ("n", "object_commas_last", '{"a":1,,}'),
    ("n", "object_comma_first", '{,"a":1}'), ("n", "object_no_comma", '{"a":1 "b":2}'), ("n", "object_bare_key", "{a:1}"),
    ("n", "object_single_quoted_key", "{'a':1}"), ("n", "object_number_key", "{1:1}"), ("n", "object_null_key", "{null:1}"),
    ("n", "object_bracket", '{"a":1]'), ("n", "object_value_alone", '{"a"}'), ("n", "object_comment", '{"a":1/**/}'),
    ("n", "object_line_comment", '{"a":1//x}'), ("n", "object_hash_comment", '{"a":1#x}'), ("n", "object_spread", "{...a}"),
    ("n", "nested_70_unclosed", "[" * 70 + "]" * 69), ("n", "nested_70_crossed", "[" * 70 + "]" * 69 + "}"), ("n", "semicolon", "1;"),
    ("n", "two_values", "1 2"), ("n", "bom_before", "\ufeff1"), ("n", "nbsp_before", "\u00a01"), ("n", "u0085_before", "\u00851"),
    ("n", "regexp", "/a/"), ("n", "function", "f()"), ("n", "template", "${a}"), ("n", "tag", "<a/>"),
    # i: what it leaves open.
    ("i", "1e400", "1e400"), ("i", "minus_1e400", "-1e400"), ("i", "1e-400", "1e-400"), ("i", "e_of_20_digits", "1e99999999999999999999"),
    ("i", "e_of_minus_20_digits", "1e-99999999999999999999"), ("i", "zero_e_9999", "0e9999"), ("i", "digits_of_400", "9" * 400),
    ("i", "high_alone", r'"\uD800"'), ("i", "low_alone", r'"\uDC00"'), ("i", "high_high", r'"\uD800\uD800"'), ("i", "low_high", r'"\uDC00\uD800"'),
    ("i", "high_text", r'"\uD800x"'), ("i", "high_escape", r'"\uD800\n"'), ("i", "high_in_key", r'{"\uD800":0}'),
    ("i", "nested_500", "[" * 500 + "]" * 500), ("i", "nested_15000", "[" * 15_000 + "]" * 15_000),
    ("i", "objects_5000", '{"a":' * 5_000 + "1" + "}" * 5_000),
]

BAD_UTF8 = {
    "lone_continuation": b"\x80", "continuation_bf": b"\xbf", "two_continuations": b"\x80\xbf", "overlong_slash_2": b"\xc0\xaf",
    "overlong_slash_3": b"\xe0\x80\xaf", "overlong_slash_4": b"\xf0\x80\x80\xaf", "overlong_nul": b"\xc0\x80", "c1": b"\xc1\xbf",
    "surrogate_high": b"\xed\xa0\x80", "surrogate_low": b"\xed\xb0\x80", "surrogate_pair": b"\xed\xa0\xbd\xed\xb8\x80", "cut_2": b"\xc3",
    "cut_3": b"\xe2\x82", "cut_4": b"\xf0\x9f\x98", "beyond": b"\xf4\x90\x80\x80", "f5": b"\xf5\x80\x80\x80", "f8": b"\xf8\x88\x80\x80\x80",
    "fe": b"\xfe", "ff": b"\xff", "latin_1": b"caf\xe9", "windows_1252": b"\x93quoted\x94",
}


def valid(text):
    """What Python's json says, without what it allows beyond the RFC."""

    def refuse(word):
        raise ValueError(word)

    try:
        json.loads(text, parse_constant=refuse)
    except RecursionError:
        return None
    except ValueError:
        return False
    return True


def record(name, more, id_text=None):
    """An event in time with these further members, as text."""
    return '{"ts":%s,"id":%s%s}' % (TS, json.dumps(name) if id_text is None else id_text, more)


def of_values(cases):
    """Every value where nobody wants it, and where a text is wanted, in the middle and at the end of the record."""
    for kind, name, value in VALUES:
        whole = record("x", ',"u":%s,"z":1' % value)
        judged = valid(whole)
        if kind != "i" and judged is not None:
            assert judged == (kind == "y"), (kind, name, judged)
        for place, more in (("unwanted", ',"u":%s,"n":1' % value), ("wanted", ',"s":%s,"n":1' % value), ("last", ',"n":1,"u":%s' % value)):
            case = "%s_%s_%s" % (kind, name, place)
            line = record(case, more).encode("utf-8")
            container = value.strip()[:1] in ("[", "{") and place == "wanted"
            if kind == "n":
                cases.append((case, line, [], [SYNTAX]))
            elif kind == "i":
                cases.append((case, line, None, [("json", "type")]))
            elif container:
                cases.append((case, line, [], [("type",)]))
            else:
                cases.append((case, line, [case], []))


def of_bytes(cases):
    """Bytes that are no text, wherever they can stand."""
    for name, wrong in BAD_UTF8.items():
        for place, line in (
            ("in_id", b'{"ts":1700000000,"id":"' + wrong + b'"}'),
            ("in_unwanted", b'{"ts":1700000000,"id":"x","u":"' + wrong + b'"}'),
            ("in_key", b'{"ts":1700000000,"id":"x","' + wrong + b'":1}'),
            ("behind", b'{"ts":1700000000,"id":"x"}' + wrong),
        ):
            cases.append(("utf8_%s_%s" % (name, place), line, [], [ENCODING]))
    for name, text, codec in (("utf16", "\ufeff" + record("x", ""), "utf-16-le"), ("latin_1", record("é", "", '"é"'), "latin-1")):
        cases.append((name, text.encode(codec), [], [ENCODING]))
    cases.append(("utf16_without_mark", record("x", "").encode("utf-16-be"), [], [SYNTAX]))
    cases.append(("random_bytes", bytes(b for b in range(256) if b != 10), [], [ENCODING]))


def of_types(cases):
    """Declared fields with what does not convert, and what does although it looks odd."""
    wrong = {
        "n": ['"abc"', "1.5", "true", "[]", "{}", '""', '" 5"', '"5 "', "9223372036854775808", "-9223372036854775809", "18446744073709551616",
              "1e400", "1e19", '"1e400"', '"0x5"', '"NaN"', '"inf"', '"5,0"', '"\\u0661"', '"--5"', "1e-1", "[1]", "9" * 100],
        "x": ['"abc"', "true", "[]", "{}", '"NaN"', '"nan"', '"inf"', '"-inf"', '"Infinity"', '"1,5"', "1e400", "-1e400", '"1e400"', '"0x5"', '" 1"',
              '"1e"', '"."'],
        "b": ["1", "0", '"yes"', '"TRUE"', '"True"', '""', "[]", "{}", '"1"'],
        "s": ["[]", "{}", '["a"]', '{"a":1}'],
    }
    right = {
        "n": ["0", "-0", '"5"', "1e2", "1.0", "100e-2", "-9223372036854775808", "9223372036854775807", "null", "0e5", '"-7"', "9007199254740991"],
        "x": ["0", "-0", "-0.0", '"1.5"', "1e308", "1e-400", "4.9e-324", "null", "1.7976931348623157e308", "0.1", "123456789012345678901234567890"],
        "b": ["true", "false", '"true"', '"false"', "null"],
        "s": ["1", "true", "null", '""', "1e400", "1" * 300],
    }
    for field, values in wrong.items():
        for i, value in enumerate(values):
            name = "type_%s_wrong_%d" % (field, i)
            cases.append((name, record(name, ',"%s":%s' % (field, value)).encode(), [], [("type",)]))
    for field, values in right.items():
        for i, value in enumerate(values):
            name = "type_%s_right_%d" % (field, i)
            cases.append((name, record(name, ',"%s":%s' % (field, value)).encode(), [name], []))


def of_times(cases):
    """Event times that are none; odd ones that are."""
    none = ["null", '"abc"', '""', "true", "[]", "{}", '"2023-11-14"', "1e400", "-1e400", "9223372036854775807", "-9223372036854775808",
            "1e18", "9" * 100, '"NaN"', '"inf"', '" 1700000000"']
    for i, value in enumerate(none):
        cases.append(("time_none_%d" % i, ('{"ts":%s,"id":"x"}' % value).encode(), [], [("time",)]))
    for i, value in enumerate(["1700000000.5", "17e8", '"1700000000"', "0", "-1", "1.7e9"]):
        name = "time_odd_%d" % i
        cases.append((name, ('{"ts":%s,"id":"%s"}' % (value, name)).encode(), [name], []))
    for name, line in (("time_missing", '{"id":"x"}'), ("time_empty_object", "{}"), ("time_other_case", '{"TS":1700000000,"id":"x"}'),
                       ("time_nested", '{"a":{"ts":1700000000},"id":"x"}')):
        cases.append((name, line.encode(), [], [("time",)]))


def of_records(cases):
    """Whole lines: values that are no objects, objects with something around them, keys, line ends."""
    for i, line in enumerate(["1", "null", "true", '"a"', "[]", "[{}]", "{}{}", "{},{}", "{", "}", "]", "[", '{"ts"', '{"ts":', "{,}", "{:}",
                              "a", "'", "/", "//", "# comment", "\x00", "\x00" * 100, "\x1a", "\x04", "{}x", "x{}", "--", "---", "...",
                              "<event/>", "ts=1 id=2", "2023-11-14T00:00:00Z INFO x", "ts,id,n", "\ufeff{}", "\ufeff", "data: {}", "\x1e{}",
                              '{"ts":1}{"ts":1}', '[{"ts":1}]', '{"ts":1},', ',{"ts":1}', '{"ts":1};', '({"ts":1})', "\\", '"', '""']):
        cases.append(("record_none_%d" % i, line.encode(), [], [SYNTAX]))
    whole = record("NAME", ',"n":1')
    for name, line in {
        "bom_inside": "\ufeff" + whole, "nul_before": "\x00" + whole, "nul_behind": whole + "\x00", "cut_at_the_end": whole[:-1],
        "cut_in_the_middle": whole[:20], "closed_twice": whole + "}", "two_on_a_line": whole + whole, "comma_behind": whole + ",",
    }.items():
        cases.append(("record_" + name, line.encode(), [], [SYNTAX]))
    for name, line in {
        "blanks_around": " \t" + whole + " \t", "blanks_inside": whole.replace(",", " ,\t").replace(":", " : "), "crlf": whole + "\r",
        "two_carriage_returns": whole + "\r\r", "escaped_keys": whole.replace('"ts"', r'"\u0074s"').replace('"id"', r'"\u0069\u0064"'),
        "duplicate_id": whole.replace('"id"', '"id":"other","id"'), "duplicate_time": whole.replace('"ts"', '"ts":"abc","ts"'),
        "duplicate_wrong_then_right": whole.replace('"n"', '"n":"abc","n"'), "deep": whole.replace('"n"', '"deep":{"a":{"b":"c"}},"n"'),
        "deep_is_text": whole.replace('"n"', '"deep":"text","n"'), "deep_is_null": whole.replace('"n"', '"deep":null,"n"'),
        "deep_twice": whole.replace('"n"', '"deep":{"a":1},"deep":{"a":{"b":"c"}},"n"'), "dotted_key": whole.replace('"n"', '"deep.a.b":1,"n"'),
        "empty_key": whole.replace('"n"', '"":1,"n"'), "order_turned": '{"n":1,"id":"NAME","ts":%s}' % TS, "no_n": '{"ts":%s,"id":"NAME"}' % TS,
        "many_members": whole.replace('"n"', "".join('"m%d":%d,' % (i, i) for i in range(2_000)) + '"n"'),
    }.items():
        name = "record_" + name
        cases.append((name, line.replace("NAME", name).encode(), [name], []))
    cases.append(("record_duplicate_right_then_wrong", whole.replace('"n":1', '"n":1,"n":"abc"').encode(), [], [("type",)]))
    for name, text, wanted in (("empty", '""', ""), ("null", "null", None), ("nul", r'"\u0000"', "\0"), ("number", "5", "5"), ("true", "true", "true"),
                               ("slash", r'"\/"', "/"), ("long", '"' + "y" * 5_000 + '"', "y" * 5_000), ("word_null", '"null"', "null")):
        cases.append(("id_" + name, record("", "", text).encode(), [wanted], []))
    cases.append(("id_missing", ('{"ts":%s}' % TS).encode(), [None], []))
    cases.append(("id_container", record("", "", "[]").encode(), [], [("type",)]))
    for name, line in (("empty", b""), ("blank", b"  \t "), ("carriage_return", b"\r")):
        cases.append(("line_" + name, line, [], []))
    cases.append(("line_between_two", b"{\"ts\":1700000000,\n\"id\":\"x\"}", [], [SYNTAX, SYNTAX]))


def of_lengths(cases, record_max):
    """Records around the longest that is allowed, and far beyond it."""
    for name, length in (("at_the_limit", record_max), ("below_the_limit", record_max - 1), ("beyond_the_limit", record_max + 1),
                         ("twice_the_limit", 2 * record_max), ("ten_times_the_limit", 10 * record_max)):
        name = "long_" + name
        head = '{"ts":%s,"id":"%s","u":"' % (TS, name)
        line = (head + "z" * (length - len(head) - 2) + '"}').encode()
        assert len(line) == length
        cases.append((name, line, [name] if length <= record_max else [], [] if length <= record_max else [("too_long",)]))
    for name, line in (("zeros", b"\0" * 3 * record_max), ("quotes", b'"' * 3 * record_max), ("brackets", b"[" * 3 * record_max),
                       ("no_text", b"\xff" * 3 * record_max), ("backslashes", b"\\" * 3 * record_max)):
        cases.append(("long_" + name, line, [], [("too_long",)]))


def ndjson(record_max):
    """All of them that are small."""
    cases = []
    for add in (of_values, of_bytes, of_types, of_times, of_records):
        add(cases)
    of_lengths(cases, record_max)
    return cases


def large(length, record_max):
    """Those for a limit of 64 MiB, and a line beyond it."""
    yield "large_depth", record("large_depth", ',"u":' + "[" * DEEP + "]" * DEEP).encode(), ["large_depth"], []
    yield "large_depth_objects", record("large_depth_objects", ',"u":' + '{"a":' * DEEP + "1" + "}" * DEEP).encode(), ["large_depth_objects"], []
    yield "large_depth_wanted", record("large_depth_wanted", ',"s":' + "[" * DEEP + "]" * DEEP).encode(), [], [("type",)]
    yield "large_depth_unclosed", record("x", ',"u":' + "[" * DEEP).encode(), [], [SYNTAX]
    yield "large_depth_path", record("large_depth_path", ',"deep":' + '{"a":' * DEEP + "1" + "}" * DEEP).encode(), None, [("json", "type")]
    members = ",".join('"k%d":%d' % (i, i) for i in range(1_000_000))
    yield "large_members", record("large_members", "," + members).encode(), ["large_members"], []
    same = ",".join('"n":%d' % (i % 10) for i in range(1_000_000))
    yield "large_duplicates", record("large_duplicates", "," + same).encode(), ["large_duplicates"], []
    yield "large_text", record("large_text", ',"s":"' + "w" * 10_000_000 + '"').encode(), ["large_text"], []
    yield "large_line", b'{"ts":1700000000,"id":"' + b"v" * length + b'"}', [], [("too_long",)]


def csv(record_max):
    """Columns: ts, id, n, x, b, s."""
    T = TS
    cases = [
        ("csv_plain", f"{T},csv_plain,1,1.5,true,a", ["csv_plain"], []),
        ("csv_quoted", f'{T},"csv_quoted","1","1.5","true","a"', ["csv_quoted"], []),
        ("csv_doubled_quote", f'{T},csv_doubled_quote,1,1.5,true,"a""b"', ["csv_doubled_quote"], []),
        ("csv_line_end_in_quotes", f'{T},csv_line_end_in_quotes,1,1.5,true,"a\nb\r\nc"', ["csv_line_end_in_quotes"], []),
        ("csv_delimiter_in_quotes", f'{T},csv_delimiter_in_quotes,1,1.5,true,"a,b,c"', ["csv_delimiter_in_quotes"], []),
        ("csv_quote_inside", f'{T},csv_quote_inside,1,1.5,true,a"b', ["csv_quote_inside"], []),
        ("csv_crlf", f"{T},csv_crlf,1,1.5,true,a\r", ["csv_crlf"], []),
        ("csv_all_empty", f"{T},csv_all_empty,,,,", ["csv_all_empty"], []),
        ("csv_empty_id", f"{T},,1,1.5,true,a", [None], []),
        ("csv_nul", f"{T},csv_nul,1,1.5,true,\0", ["csv_nul"], []),
        ("csv_formula", f"{T},csv_formula,1,1.5,true,=1+1", ["csv_formula"], []),
        ("csv_plus", f"{T},csv_plus,+5,+1.5,true,a", ["csv_plus"], []),
        ("csv_leading_zeros", f"{T},csv_leading_zeros,007,01.50,true,a", ["csv_leading_zeros"], []),
        ("csv_bare_points", f"{T},csv_bare_points,1,5.,true,a", ["csv_bare_points"], []),
        ("csv_blank_lines", "\r\n\n", [], []),
        ("csv_too_few", f"{T},x,1,1.5,true", [], [("columns",)]),
        ("csv_too_many", f"{T},x,1,1.5,true,a,b", [], [("columns",)]),
        ("csv_one", "x", [], [("columns",)]),
        ("csv_a_comma_last", f"{T},csv_a_comma_last,1,1.5,true,a,", ["csv_a_comma_last"], []),
        ("csv_other_delimiter", f"{T};x;1;1.5;true;a", [], [("columns",)]),
        ("csv_json", '{"ts":1700000000}', [], [("columns",)]),
        ("csv_header_again", "ts,id,n,x,b,s", [], [("time",)]),
        ("csv_no_time", ",x,1,1.5,true,a", [], [("time",)]),
        ("csv_time_text", "abc,x,1,1.5,true,a", [], [("time",)]),
        ("csv_bom_inside", f"\ufeff{T},x,1,1.5,true,a", [], [("time",)]),
    ]
    for i, value in enumerate(["abc", "1.5", "9223372036854775808", "1e400", "NaN", " 5", "5 ", "0x5", "1_000", "--5", "true", '"1,000"', "inf"]):
        cases.append((f"csv_n_{i}", f"{T},x,{value},1.5,true,a", [], [("type",)]))
    for i, value in enumerate(["abc", "1e400", "NaN", "nan", "inf", "-inf", "Infinity", " 1", "1e", ".", "true", '"1,5"']):
        cases.append((f"csv_x_{i}", f"{T},x,1,{value},true,a", [], [("type",)]))
    for i, value in enumerate(["1", "yes", "TRUE", " true", "t"]):
        cases.append((f"csv_b_{i}", f"{T},x,1,1.5,{value},a", [], [("type",)]))
    cases = [(name, text.encode(), ids, reasons) for name, text, ids, reasons in cases]
    for name, wrong in BAD_UTF8.items():
        cases.append(("csv_utf8_" + name, f"{T},x,1,1.5,true,".encode() + wrong, [], [ENCODING]))
    filler = b"f" * (record_max + 100)
    cases.append(("csv_long", f"{T},x,1,1.5,true,".encode() + filler, [], [("too_long",)]))
    cases.append(("csv_commas", b"," * (record_max + 100), [], [("too_long",)]))
    return cases


def csv_unclosed(record_max):
    """Quotes that are never closed cost up to the longest record, and reading goes on behind the next line end; each in a file of its own."""
    filler = b"f" * (record_max + 100)
    yield "unclosed_last", f'{TS},x,1,1.5,true,"a\n'.encode() + filler, [], [("too_long",)]
    yield "unclosed_first", b'"' + filler, [], [("too_long",)]
    yield "unclosed_lines", b'"\n' + b"f\n" * (record_max // 2 - 1) + b"f", [], [("too_long",)]
