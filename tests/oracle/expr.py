"""SQL expressions and measures: parsed here, typed here, evaluated by sqlite, an engine that is not ours.

`parse` and `parse_measure` make nodes; `kind_of` says what a node yields; `Program` evaluates several of them on one
row. What is not known here, or would need a silent conversion between text and numbers, is refused by name.

Readings of the rules where words leave room: text is compared with text and numbers with numbers, nothing else;
values are looked at lazily, so a branch that is not taken cannot fail; a NaN is compared with nothing.
"""

import json
import re
import sqlite3
from dataclasses import dataclass

from errors import Unsupported, Wrong
from functions import ALIASES, COMPUTING, FUNCTIONS, I64, connect

NUMBERS = ("int64", "float64")
TOKEN = re.compile(r"""\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<text>'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")*"|`[^`]*`)|(?P<word>[A-Za-z_]\w*)
    |(?P<sign><>|!=|<=|>=|=>|::|\|\||!~\*|!~|~\*|[-+*/%()<>=,.\[\]~]))""", re.VERBOSE)
BINARY = {"or": 1, "and": 2, "=": 5, "<>": 5, "!=": 5, "<": 5, "<=": 5, ">": 5, ">=": 5, "||": 7, "~": 7, "~*": 7,
          "!~": 7, "!~*": 7, "+": 8, "-": 8, "*": 9, "/": 9, "%": 9}
NOT, IS, RANGE, UNARY, CAST = 3, 4, 6, 10, 11
ARITHMETIC, COMPARISONS = ("+", "-", "*", "/", "%"), ("=", "<>", "!=", "<", "<=", ">", ">=")
TYPES = {"varchar": "string", "text": "string", "string": "string", "bigint": "int64", "int8": "int64",
         "double": "float64", "float8": "float64", "boolean": "bool", "bool": "bool"}


@dataclass(frozen=True)
class Node:
    """A part of an expression. `args` holds nodes, tuples of nodes and words."""
    op: str
    args: tuple = ()

    def children(self):
        stack = list(self.args)
        while stack:
            part = stack.pop(0)
            if isinstance(part, Node):
                yield part
            elif isinstance(part, tuple):
                stack[:0] = part

    def fields(self):
        """Names in the order in which they stand, each once."""
        own = [self.args[0]] if self.op == "field" else []
        return list(dict.fromkeys(own + [name for child in self.children() for name in child.fields()]))


def field(name):
    return Node("field", (name,))


def column(node):
    """Name of the column that holds it: the field, or the expression as text."""
    return node.args[0] if node.op == "field" else show(node)


# -- reading


def parse(text):
    """One whole expression."""
    parser = Parser(text)
    node = parser.expression()
    parser.end()
    return node


def parse_measure(text):
    """(name, arguments, named arguments, filter or None) of `top(x, 3, weight => n) filter (where a > 1)`."""
    parser = Parser(text)
    name, args, named, where = parser.name(), [], {}, None
    parser.expect("(")
    while not parser.take(")"):
        if parser.take("["):
            args += parser.list("]")
        elif parser.peek(1) == "=>":
            word = parser.name()
            parser.expect("=>")
            named[word] = parser.expression()
        else:
            args.append(parser.expression())
        if parser.peek() != ")":
            parser.expect(",")
    if parser.take("filter"):
        parser.expect("(")
        parser.expect("where")
        where = parser.expression()
        parser.expect(")")
    parser.end()
    return name.lower(), args, named, where


class Parser:
    """Precedence climbing over tokens (class, text)."""

    def __init__(self, text):
        self.text, self.tokens, self.at = text, [], 0
        at, end = 0, len(text.rstrip())
        while at < end:
            found = TOKEN.match(text, at)
            if not found:
                raise Unsupported(f"`{text}` at `{text[at:].strip()[:10]}`")
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()

    def peek(self, ahead=0):
        """The next sign or bare word in lower case; None at the end and for names in quotes, numbers and text."""
        kind, text = self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else (None, "")
        return text.lower() if kind in ("sign", "word") else None

    def take(self, *words):
        if words[0] is not None and all(self.peek(ahead) == word for ahead, word in enumerate(words)):
            self.at += len(words)
            return True
        return False

    def expect(self, word):
        if not self.take(word):
            raise Wrong(f"`{self.text}`: expected `{word}`")

    def end(self):
        if self.at < len(self.tokens):
            raise Unsupported(f"`{self.text}` from `{self.tokens[self.at][1]}` on")

    def next(self):
        if self.at >= len(self.tokens):
            raise Wrong(f"`{self.text}` breaks off")
        self.at += 1
        return self.tokens[self.at - 1]

    def name(self):
        kind, text = self.next()
        if kind == "word":
            return text
        if kind == "quoted":
            return text[1:-1].replace('""', '"') if text[0] == '"' else text[1:-1]
        raise Wrong(f"`{self.text}`: `{text}` is no name")

    def expression(self, above=0):
        left = self.prefix()
        while True:
            op, grown = self.peek(), None
            if op in BINARY and BINARY[op] > above:
                self.at += 1
                grown = Node("binary", (op, left, self.expression(BINARY[op])))
            elif op == "is" and IS > above:
                self.at += 1
                grown = self.is_something(left)
            elif op in ("like", "ilike", "in", "between", "not") and RANGE > above:
                grown = self.range(left)
            elif op == "::" and CAST > above:
                self.at += 1
                grown = Node("cast", (left, self.type(), "cast"))
            if grown is None:
                return left
            left = grown

    def is_something(self, left):
        negated = self.take("not")
        if self.take("distinct", "from"):
            return Node("distinct", (left, self.expression(IS), negated))
        word = self.peek()
        if word not in ("null", "true", "false"):
            raise Unsupported(f"`{self.text}`: IS {word}")
        self.at += 1
        return Node("is", (left, word, negated))

    def range(self, left):
        negated = self.take("not")
        word = self.next()[1].lower()
        if word == "between":
            low = self.expression(RANGE)
            self.expect("and")
            return Node("between", (left, low, self.expression(RANGE), negated))
        if word == "in":
            self.expect("(")
            return Node("in", (left, tuple(self.list(")")), negated))
        if word not in ("like", "ilike"):
            raise Wrong(f"`{self.text}` at `{word}`")
        return Node("like", (left, self.expression(RANGE), word, negated))

    def list(self, close):
        found = []
        while not self.take(close):
            found.append(self.expression())
            if not self.take(","):
                self.expect(close)
                break
        return found

    def prefix(self):
        kind, text = self.tokens[self.at] if self.at < len(self.tokens) else self.next()
        word = self.peek()
        if kind in ("number", "text"):
            self.at += 1
            return Node(kind, (text if kind == "number" else text[1:-1].replace("''", "'"),))
        if self.take("("):
            inside = self.expression()
            self.expect(")")
            return inside
        if self.take("not"):
            return Node("not", (self.expression(NOT),))
        if self.take("-"):
            return Node("minus", (self.expression(UNARY),))
        if self.take("+"):
            return self.expression(UNARY)
        if word in ("null", "true", "false"):
            self.at += 1
            return Node(word)
        if self.take("case"):
            return self.case()
        if word in ("cast", "try_cast") and self.peek(1) == "(":
            self.at += 2
            inside = self.expression()
            self.expect("as")
            made = Node("cast", (inside, self.type(), word))
            self.expect(")")
            return made
        path = [self.name()]
        if kind == "word" and self.take("("):
            return call(path[0].lower(), self.list(")"))
        while self.take("."):
            path.append(self.name())
        return field(".".join(path))

    def case(self):
        operand = None if self.peek() == "when" else self.expression()
        whens, otherwise = [], None
        while self.take("when"):
            condition = self.expression()
            self.expect("then")
            whens.append((condition, self.expression()))
        if self.take("else"):
            otherwise = self.expression()
        self.expect("end")
        return Node("case", (operand, tuple(whens), otherwise))

    def type(self):
        word = self.name().lower()
        if word == "double":
            self.take("precision")
        if word not in TYPES:
            raise Unsupported(f"`{self.text}`: type {word}")
        return TYPES[word]


def call(name, args):
    name = ALIASES.get(name, name)
    if name not in FUNCTIONS:
        raise Unsupported(f"function {name}")
    kinds = FUNCTIONS[name][0]
    fewest = sum(not kind.endswith("?") for kind in kinds)
    if kinds[-1:] != ("*",) and not fewest <= len(args) <= len(kinds):
        raise Wrong(f"{name} of {len(args)} arguments")
    return Node("call", (name, tuple(args)))


# -- what is true of a node


def computed(node):
    """Names of fields that the expression computes with: undeclared, they are numbers."""
    found = set()
    if node.op == "minus" or node.op == "binary" and node.args[0] in ARITHMETIC:
        found |= names_of(*node.children())
    elif node.op == "call" and node.args[0] in COMPUTING:
        found |= names_of(*node.children())
    elif node.op == "binary" and node.args[0] in COMPARISONS or node.op in ("between", "in", "distinct"):
        parts = list(node.children())
        if any(is_number(part) for part in parts):
            found |= names_of(*parts)
    for child in node.children():
        found |= computed(child)
    return found


def names_of(*nodes):
    return {node.args[0] for node in nodes if node.op == "field"}


def is_number(node):
    return node.op == "number" or node.op == "minus" and is_number(node.args[0])


def number_text(node):
    """The digits of a number, with its sign."""
    if not is_number(node):
        raise Wrong(f"{show(node)} is no number")
    return node.args[0] if node.op == "number" else "-" + number_text(node.args[0])


def text_of(node):
    """The text between quotes."""
    if node.op != "text":
        raise Wrong(f"{show(node)} is no text")
    return node.args[0]


def replaced(node, by_name):
    """The expression with some fields replaced by expressions."""
    if node.op == "field":
        return by_name.get(node.args[0], node)

    def part(value):
        if isinstance(value, Node):
            return replaced(value, by_name)
        return tuple(map(part, value)) if isinstance(value, tuple) else value
    return Node(node.op, tuple(map(part, node.args)))


def kind_of(node, kinds):
    """`string`, `int64`, `float64`, `bool`, `list`, or `null` for the bare word."""
    inside = [kind_of(child, kinds) for child in node.children()]
    op = node.op
    if op == "field":
        return kinds[node.args[0]]
    if op == "number":
        return "int64" if node.args[0].isdigit() and int(node.args[0]) in I64 else "float64"
    if op in ("text", "null", "true", "false"):
        return {"text": "string", "null": "null"}.get(op, "bool")
    if op == "minus":
        return need(node, inside, NUMBERS)
    if op == "not" or op == "is" and node.args[1] != "null":
        return need(node, inside, ("bool",)) and "bool"
    if op == "is":
        return "bool"
    if op == "like":
        return need(node, inside, ("string",)) and "bool"
    if op in ("between", "in", "distinct"):
        return common(node, inside) and "bool"
    if op == "case":
        return case_kind(node, kinds)
    if op == "cast":
        return cast_kind(node, inside[0])
    return call_kind(node, inside) if op == "call" else binary_kind(node, node.args[0], inside)


def need(node, inside, allowed):
    found = common(node, inside)
    if found not in allowed + ("null",):
        raise Unsupported(f"{show(node)}: {found}")
    return found


def common(node, kinds):
    """The kind that holds all of them."""
    known = {kind for kind in kinds if kind != "null"}
    if len(known) > 1 and known <= set(NUMBERS):
        return "float64"
    if len(known) > 1:
        raise Unsupported(f"{show(node)} mixes {' and '.join(sorted(known))}")
    return known.pop() if known else "null"


def case_kind(node, kinds):
    operand, whens, otherwise = node.args
    tested = [kind_of(condition, kinds) for condition, _ in whens]
    if operand is None:
        need(node, tested, ("bool",))
    else:
        common(node, tested + [kind_of(operand, kinds)])
    results = [then for _, then in whens] + ([otherwise] if otherwise else [])
    return common(node, [kind_of(result, kinds) for result in results])


def cast_kind(node, inside):
    target = node.args[1]
    if inside == "list" or target == "string" and inside in ("float64", "bool"):
        raise Unsupported(f"{show(node)}: how {inside} is written")
    if target == "bool" and inside == "float64":
        raise Unsupported(show(node))
    return target


def call_kind(node, inside):
    name = node.args[0]
    wanted, result = FUNCTIONS[name][:2]
    if wanted[-1:] == ("*",):
        if wanted[0] == "text":
            for kind in inside:
                need(node, [kind], ("string", "int64"))
            return result
        return common(node, inside)
    for kind, want in zip(inside, wanted):
        need(node, [kind], NUMBERS if want == "number" else (want.rstrip("?"),))
    if name == "power" and set(inside) == {"int64"}:
        raise Unsupported(f"{show(node)}: power of integers")
    return result or common(node, inside)


def binary_kind(node, op, inside):
    if op in ARITHMETIC:
        return need(node, inside, NUMBERS)
    if op in ("and", "or"):
        return need(node, inside, ("bool",)) and "bool"
    if op == "||":
        for kind in inside:
            need(node, [kind], ("string", "int64"))
        return "string"
    if op in COMPARISONS:
        return common(node, inside) and "bool"
    return need(node, inside, ("string",)) and "bool"  # regular expressions


# -- writing it for sqlite


def show(node):
    """The expression as text: the name of its column."""
    return render(node, lambda name: '"' + name.replace('"', '""') + '"', None)


def render(node, place, kinds):
    """SQL for sqlite; `place` writes a field. Without `kinds` it is only to be read."""
    op, args = node.op, node.args

    def sql(part):
        return render(part, place, kinds)

    def negate(text, negated):
        return f"(NOT {text})" if negated else text
    if op == "field":
        return place(args[0])
    if op == "number":
        return args[0] if kinds is None or kind_of(node, {}) == "int64" else repr(float(args[0]))
    if op == "text":
        return "'" + args[0].replace("'", "''") + "'"
    if op in ("null", "true", "false"):
        return op.upper()
    if op in ("not", "minus"):
        return f"({'NOT' if op == 'not' else '-'} {sql(args[0])})"
    if op == "is":
        return f"({sql(args[0])} IS {'NOT ' if args[2] else ''}{args[1].upper()})"
    if op == "distinct":
        return f"({sql(args[0])} IS {'NOT ' if not args[2] else ''}{sql(args[1])})"
    if op == "like":
        return negate(f"sg_{args[2]}({sql(args[0])}, {sql(args[1])})", args[3])
    if op == "between":
        return negate(f"({sql(args[0])} BETWEEN {sql(args[1])} AND {sql(args[2])})", args[3])
    if op == "in":
        return f"({sql(args[0])} {'NOT ' if args[2] else ''}IN ({', '.join(map(sql, args[1]))}))"
    if op == "case":
        whens = " ".join(f"WHEN {sql(condition)} THEN {sql(then)}" for condition, then in args[1])
        start = f"CASE {sql(args[0])}" if args[0] else "CASE"
        return f"({start} {whens} ELSE {sql(args[2]) if args[2] else 'NULL'} END)"
    if op == "cast":
        return f"sg_{args[2]}_{args[1]}({sql(args[0])})"
    if op == "call":
        name = args[0] if FUNCTIONS[args[0]][2] is None else f"sg_{args[0]}"
        if kinds is not None and len(args[1]) == 1 and name in ("coalesce", "sg_greatest", "sg_least"):
            return sql(args[1][0])  # sqlite wants two
        return f"{name}({', '.join(map(sql, args[1]))})"
    return render_binary(node, sql, kinds)


def render_binary(node, sql, kinds):
    op, left, right = node.args
    left, right = sql(left), sql(right)
    if op in ("/", "%"):
        if kinds is not None and kind_of(node, kinds) == "float64":
            left, right = f"CAST({left} AS REAL)", f"CAST({right} AS REAL)"
        return f"sg_{'div' if op == '/' else 'mod'}({left}, {right})"
    if "~" in op:
        text = f"sg_{'i' if '*' in op else ''}regexp({left}, {right})"
        return f"(NOT {text})" if op[0] == "!" else text
    if kinds is not None and op in ("and", "or"):  # sqlite's own looks at both sides
        decided = int(op == "or")
        unknown = f"CASE {right} WHEN {decided} THEN {decided} END"
        return f"CASE {left} WHEN {decided} THEN {decided} WHEN {1 - decided} THEN {right} ELSE {unknown} END"
    return f"({left} {op.upper()} {right})"


class Program:
    """Several expressions evaluated on one row after another."""

    def __init__(self, columns, nodes):
        """`columns` maps the names of a row's values to kinds, in their order."""
        names = list(columns)
        used = list(dict.fromkeys(name for node in nodes for name in node.fields()))
        self.kinds = [kind_of(node, columns) for node in nodes]
        if "null" in self.kinds:
            raise Unsupported("an expression without a type")
        self.places = [names.index(name) for name in used]
        self.names = [show(node) for node in nodes]
        parts = [render(node, lambda name: f"?{used.index(name) + 1}", columns) for node in nodes]
        self.sql = "SELECT " + ", ".join(parts)
        self.unsure = []
        self.cursor = connect(self.unsure).cursor()

    def run(self, row):
        """The values as a tuple; None where one of them fails."""
        given = [row[place] for place in self.places]
        for value in given:
            if value != value:
                raise Unsupported(f"NaN in {self.names}")
        try:
            found = self.cursor.execute(self.sql, given).fetchone()
        except sqlite3.OperationalError:
            if self.unsure:
                raise Unsupported(self.unsure[0]) from None
            return None
        return tuple(map(self.value, self.kinds, found))

    def value(self, kind, value):
        if value is None or kind == "string" and isinstance(value, str):
            return value
        if kind == "bool":
            return value != 0
        if kind == "float64":
            return float(value)
        if kind == "list":
            return json.loads(value)
        if kind == "int64" and isinstance(value, int):
            return value
        raise Unsupported(f"{self.names}: {value!r} is no {kind} (an integer too large?)")
