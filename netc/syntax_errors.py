"""What to say of a token that doesn't fit.

In: the tokens, the place of the one that doesn't fit, and what the parser would have taken. Out: one diagnostic that
names the mistake as people make it, or else says what was expected and what came.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from netc.diagnostics import Edit, Fix, Label
from netc.fixes import rewrite
from netc.source import Span

if TYPE_CHECKING:
    from netc.diagnostics import Report
    from netc.token import Token

_NAMES = {
    "ARROW": "`->`", "COLON": "`:`", "COMMA": "`,`", "DOT": "`.`", "EQUAL": "`=`", "LBRACE": "`{`", "RBRACE": "`}`",
    "LPAR": "`(`", "RPAR": "`)`", "LSQB": "`[`", "RSQB": "`]`", "TILDE": "`~`", "NAME": "a name",
    "CNAME": "a name that begins with a capital", "NUMBER": "a number", "STRING": "a string",
    "_NL": "the end of the line",
    "$END": "the end of the file", "IN": "`in`", "ELSE": "`else`",
}  # fmt: skip
_STATEMENT_WORDS = {
    "def": "a block of layers is a `module Name(parameters) { … }`",
    "class": "a network is a `network Name(parameters) { … }`",
    "return": "a body has no `return`: its result is its last value",
    "from": 'another .net file is brought in with `import "file.net"`, Python with `use "file.py"`',
    "while": "loops have a known end: `for i in range(n) { … }`",
}


def describe(tokens: list[Token], at: int, expected: set[str], report: Report) -> None:
    """Report the token at `at`."""
    from netc import syntax_habits

    token, before = tokens[at], tokens[at - 1] if at else None
    ours = (_dangling_arrow, _small_name, _python_word, _as_in_others, _star, _missing_comma)
    for rule in (*syntax_habits.RULES, *ours):
        if rule(tokens, at, expected, report):
            return
    choices = _choices(expected)
    message = f"{_found(token)} does not fit here"
    help_text = f"expected {choices}" if choices else None
    secondary = []
    if before is not None and before.type not in ("_NL", "LBRACE"):
        secondary.append(Label(before.span, "after this"))
    fix = _sign(tokens, at, expected)
    report.add("E0106", message, _place(tokens, at), help=help_text, secondary=secondary, fix=fix)


def _sign(tokens: list[Token], at: int, expected: set[str]) -> Fix | None:
    """The sign that is meant by another one of the language's: `==` in a setting, `=` in a condition or a rule."""
    token = tokens[at]
    if token.text == "==" and "EQUAL" in expected and "COMPARE" not in expected:
        return rewrite(token.span, "=")
    if token.type == "EQUAL" and "TILDE" in expected:
        return rewrite(token.span, "~")
    start = max((i + 1 for i in range(at) if tokens[i].type in ("_NL", "LBRACE", "RBRACE", "ELSE")), default=0)
    asks = tokens[start].type in ("IF", "ELIF") and not _open_brackets(tokens[start:at])
    return rewrite(token.span, "==") if token.type == "EQUAL" and asks and "COMPARE" in expected else None


def _place(tokens: list[Token], at: int) -> Span:
    """The token's span; for the end of a line or of the file, the last character before it."""
    token = tokens[at]
    if token.type in ("_NL", "$END") and at:
        end = tokens[at - 1].span.end
        return Span(max(0, end - 1), end)
    return token.span


def _found(token: Token) -> str:
    if token.type in ("_NL", "$END"):
        return "the end of the line" if token.text != ";" and token.type == "_NL" else _NAMES.get(token.type, "`;`")
    return f"`{token.text}`"


def _choices(expected: set[str]) -> str:
    """What could stand there, in words; at most four, the ones that people mean first."""
    order = (
        "ELSE",
        "IN",
        "COLON",
        "EQUAL",
        "LBRACE",
        "RPAR",
        "RSQB",
        "COMMA",
        "TILDE",
        "ARROW",
        "CNAME",
        "NAME",
        "STRING",
        "NUMBER",
        "_NL",
    )
    names = [_NAMES[t] for t in order if t in expected]
    if {"NAME", "CNAME", "NUMBER", "LPAR"} <= expected:
        names = ["a layer, a function or a value"] + [n for n in names if n in ("`)`", "`]`")]
    elif {"NAME", "CNAME"} <= expected:
        names = ["a name"] + [n for n in names if not n.startswith("a name")]
    return " or ".join(names[:4])


def _dangling_arrow(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    token, before = tokens[at], tokens[at - 1] if at else None
    if before is None or before.type != "ARROW" or token.type not in ("_NL", "RBRACE", "$END", "ARROW"):
        return False
    report.add(
        "E0107",
        "`->` leads nowhere",
        before.span,
        "nothing follows",
        help="name the layer or function that comes next, or remove `->`; a line that goes on begins with `->`",
    )
    return True


def _small_name(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`network lenet`: a name that has to begin with a capital."""
    token, before = tokens[at], tokens[at - 1] if at else None
    if before is None or before.type not in ("NETWORK", "MODULE") or token.type != "NAME":
        return False
    capital = "".join(part[:1].upper() + part[1:] for part in token.text.split("_")) or "Net"
    alone = sum(t.text in (token.text, capital) for t in tokens) == 1  # else its uses would have to change too
    report.add(
        "E0113",
        f"the name of a {before.text} begins with a capital",
        token.span,
        help=f"write `{before.text} {capital}`",
        fix=rewrite(token.span, capital) if alone else None,
    )
    return True


def _python_word(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`def f():`, `class Net:`, `return x`: Python where the language has its own words."""
    before = tokens[at - 1] if at else None
    starts = at < 2 or tokens[at - 2].type in ("_NL", "LBRACE")
    if before is None or not starts or before.text not in _STATEMENT_WORDS:
        return False
    report.add(
        "E0108", f"`{before.text}` is not a word of the language", before.span, help=_STATEMENT_WORDS[before.text],
        fix=_without_return(tokens, at) if before.text == "return" else None,
    )  # fmt: skip
    return True


def _without_return(tokens: list[Token], at: int) -> Fix | None:
    """`return value` at the end of a body is the value alone."""
    end = next(i for i in range(at, len(tokens)) if tokens[i].type in ("_NL", "RBRACE", "$END"))
    last = end + (tokens[end].type == "_NL")
    depth = sum((t.type == "LBRACE") - (t.type == "RBRACE") for t in tokens[:at])
    value = tokens[at:end]
    brackets = 0
    for token in value:
        brackets += (token.type in ("LPAR", "LSQB")) - (token.type in ("RPAR", "RSQB"))
        if (token.type == "COMMA" and not brackets) or token.text == "self":
            return None
    if tokens[last].type != "RBRACE" or depth != 1 or not value:
        return None
    labels = {a.text for a, b in pairwise(tokens[:at]) if b.type == "COLON"}
    if value[0].text in labels:  # it would be applied again
        return None
    return Fix("remove `return`", (Edit(Span(tokens[at - 1].span.start, tokens[at].span.start), ""),))


def _as_in_others(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """What other languages write here: `else if`, `import name`, `a += b`, a chain in parentheses."""
    token, before = tokens[at], tokens[at - 1] if at else None
    if before is None:
        return False
    help_text = fix = None
    if before.type == "ELSE" and token.type == "IF":
        help_text, fix = "write `elif`", rewrite(before.span.to(token.span), "elif")
    elif before.text in ("import", "use") and token.type in ("NAME", "CNAME"):
        help_text = (
            f'a file stands in quotes: `{before.text} "{token.text}.{"net" if before.text == "import" else "py"}"`'
        )
    elif token.type == "EQUAL" and before.type in ("PLUS", "MINUS", "STAR", "SLASH"):
        help_text = f"write `name = name {before.text} …`, or for the current value `_ {before.text} …`"
    elif token.type == "ARROW" and _open_brackets(tokens[:at]):
        help_text = "a chain stands on its own: give what it computes a name first, `y = … -> …`"
    elif token.type == "COLON" and expected == {"LBRACE"}:
        help_text = "a block stands in braces: `{ … }`"
    if help_text is None:
        return False
    report.add("E0106", f"{_found(token)} does not fit here", token.span, help=help_text,
               secondary=[Label(before.span, "after this")], fix=fix)  # fmt: skip
    return True


def _open_brackets(tokens: list[Token]) -> bool:
    """Whether a parenthesis or bracket is open at the end of the tokens."""
    depth = 0
    for token in tokens:
        depth = max(0, depth + (token.type in ("LPAR", "LSQB")) - (token.type in ("RPAR", "RSQB")))
    return depth > 0


def _star(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`Block(*sizes)`."""
    token, before = tokens[at], tokens[at - 1] if at else None
    if token.type not in ("STAR", "DOUBLESTAR") or before is None or before.type not in ("LPAR", "COMMA"):
        return False
    report.add(
        "E0109",
        f"arguments can't be unpacked with `{token.text}`",
        token.span,
        help="write the arguments out, or give the list as one argument",
    )
    return True


def _missing_comma(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`Conv2d(6 5)`: a value right behind a value, where a comma could stand."""
    token, before = tokens[at], tokens[at - 1] if at else None
    values = ("NAME", "CNAME", "NUMBER", "STRING", "TRUE", "FALSE", "NONE")
    if before is None or token.type not in values or "COMMA" not in expected or not expected & {"RPAR", "RSQB"}:
        return False
    if before.type not in (*values, "RPAR", "RSQB"):
        return False
    span = Span(before.span.end - 1, before.span.end)
    report.add("E0111", f"a comma is missing before `{token.text}`", token.span, help="write `,` between them",
               secondary=[Label(span)], fix=_comma(before, token, tokens[at + 1]))  # fmt: skip
    return True


def _comma(before: Token, token: Token, following: Token) -> Fix | None:
    """A comma behind a whole value. Two strings may be one in two parts, a name may be the beginning of an argument's,
    and digits in threes, or beside a point, a single number."""
    whole = ("NUMBER", "TRUE", "FALSE", "NONE", "RPAR", "RSQB")
    named = token.type == "NAME" and following.type == "EQUAL"
    values = before.type in whole and token.type in ("NUMBER", "STRING", "TRUE", "FALSE", "NONE")
    numbers = before.type == token.type == "NUMBER"
    one = numbers and (len(token.text) == 3 or before.text.endswith(".") or token.text.startswith("."))
    if not (values or (named and before.type in (*whole, "STRING"))) or one:
        return None
    return Fix("write `,`", (Edit(Span(before.span.end, before.span.end), ","),))
