"""Habits from other languages that show as a token that doesn't fit.

In: the tokens, the place of the one that doesn't fit, and what the parser would have taken. Out: whether one of these
habits is what stands there, then reported once (or not at all, where it follows from one that is reported). Each rule
is a function; `netc.syntax_errors` asks them in the order of `RULES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netc.diagnostics import Edit, Fix, Label
from netc.source import Span

if TYPE_CHECKING:
    from netc.diagnostics import Report
    from netc.lexer import Token

_STARTS = ("_NL", "LBRACE", "RBRACE")
_ENDS = ("_NL", "RBRACE", "$END")
_INPUT = "an input has a name and a shape, the batch first: `input image: [N, 3, 32, 32]`"


def _line(tokens: list[Token], at: int) -> int:
    """The index of the token that begins the statement of the one at `at`."""
    while at and tokens[at - 1].type not in _STARTS:
        at -= 1
    return at


def _types(tokens: list[Token], start: int, end: int) -> list[str]:
    return [token.type for token in tokens[max(start, 0) : end]]


def _misfit(token: Token, report: Report, help_text: str, before: Token | None = None, fix: Fix | None = None) -> bool:
    shown = "the end of the line" if token.type in ("_NL", "$END") and token.text != ";" else f"`{token.text}`"
    secondary = [Label(before.span, "after this")] if before is not None else []
    report.add("E0106", f"{shown} does not fit here", token.span, help=help_text, secondary=secondary, fix=fix)
    return True


def _slashes(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`// comment`: every word of it is one mistake."""
    start = _line(tokens, at)
    line = [i for i in range(start, at + 1) if tokens[i].type == "DOUBLESLASH"]
    if not line or (at != line[0] and tokens[line[0] + 1].span.start == tokens[line[0]].span.end):
        return False
    here = tokens[line[0]].span
    kinds = _types(tokens, start, line[0])
    depth = sum((kind in ("LPAR", "LSQB")) - (kind in ("RPAR", "RSQB")) for kind in kinds)
    if at == line[0] or tokens[at].type in ("NAME", "CNAME", "NUMBER", "IN", "FOR", "IF", "AND", "OR", "NOT", *_ENDS):
        report.add(
            "E0106", "`//` does not fit here", here, help="a comment begins with `#`",
            fix=None if depth else Fix("begin the comment with `#`", (Edit(here, "#"),)),
        )  # fmt: skip
        return True
    return False


def _block_comment(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`/* … */`, also over several lines."""
    opened = None
    for i in range(at + 1):
        pair = tokens[i].text + (tokens[i + 1].text if i + 1 < len(tokens) else "")
        touching = i + 1 < len(tokens) and tokens[i].span.end == tokens[i + 1].span.start
        if touching and pair in ("/*", "/**"):
            opened = i
        elif touching and pair in ("*/", "**/") and i + 1 < at:
            opened = None
    if opened is None:
        return False
    here = tokens[opened].span.to(tokens[opened + 1].span)
    report.add("E0106", "`/*` does not fit here", here, help="a comment begins with `#`, on each of its lines")
    return True


def _doc_string(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    start = at if tokens[at].type == "STRING" else at - 1
    if start < 0 or start + 1 >= len(tokens):
        return False
    first, second = tokens[start], tokens[start + 1]
    empty = first.type == "STRING" and len(first.text) == 2 and first.span.end == second.span.start
    if not empty or second.text[:1] != first.text[0]:
        return False
    report.add("E0106", f"`{first.text}{first.text[0]}` does not fit here", Span(first.span.start, first.span.end + 1),
               help="a comment begins with `#`, on each of its lines")  # fmt: skip
    return True


def _colon_block(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`network Net:`, `data:`, and the lines below, indented: what stands there follows from the missing brace."""
    depth = 0
    for i, token in enumerate(tokens[: at + 1]):
        depth += (token.type in ("LBRACE", "LPAR", "LSQB")) - (token.type in ("RBRACE", "RPAR", "RSQB"))
        if depth or token.type != "COLON" or tokens[i + 1].type not in ("_NL", "$END"):
            continue
        start = _line(tokens, i)
        if tokens[start].type in ("NETWORK", "MODULE") or _types(tokens, start, i) == ["NAME"]:
            if i == at:
                head = " ".join(t.text for t in tokens[start : min(i, start + 2)])
                _misfit(token, report, f"a block stands in braces: `{head} {{ … }}`", tokens[i - 1])
            return True
        if any(t.type == "LBRACE" for t in tokens[i:at]):
            return False
    return False


def _setting_colon(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`epochs: 3` in a section."""
    token, before = tokens[at], tokens[at - 1] if at else None
    if token.type != "COLON" or before is None or "EQUAL" not in expected or tokens[at + 1].type in _ENDS:
        return False
    if at > 1 and tokens[at - 2].type not in _STARTS:
        return False
    if not any(t.type == "LBRACE" for t in tokens[:at]):
        return False
    opened = _opened(tokens, at)
    sure = opened > 0 and tokens[opened - 1].text in ("data", "train") and tokens[at + 1].type != "EQUAL"
    fix = Fix("write `=`", (Edit(token.span, " ="),)) if sure else None
    return _misfit(token, report, f"a setting is written with `=`: `{before.text} = …`", before, fix)


def _opened(tokens: list[Token], at: int) -> int:
    """The index of the brace that is open at a token, -1 where none is."""
    opened: list[int] = []
    for i, token in enumerate(tokens[:at]):
        if token.type == "LBRACE":
            opened.append(i)
        elif token.type == "RBRACE" and opened:
            opened.pop()
    return opened[-1] if opened else -1


def _annotation(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`network Net(width: int = 3)`."""
    token = tokens[at]
    if token.type != "COLON" or not {"EQUAL", "COMMA", "RPAR"} <= expected:
        return False
    return _misfit(token, report, f"parameters have no types: write `{tokens[at - 1].text}`, or with a default "
                                  f"`{tokens[at - 1].text} = …`", tokens[at - 1])  # fmt: skip


def _self(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`self.conv1 = Conv2d(…)`."""
    start = _line(tokens, at)
    if tokens[at].type != "EQUAL" or at - start != 3 or tokens[start].text != "self" or tokens[start + 1].type != "DOT":
        return False
    name = tokens[start + 2].text
    return _misfit(tokens[at], report, f"there is no `self`: a layer gets its name as a label, as in `{name}: …`",
                   tokens[at - 1])  # fmt: skip


def _trailing_comma(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """A comma behind a statement or a setting, where a line ends it."""
    token = tokens[at]
    if token.type != "COMMA" or tokens[at + 1].type not in _ENDS or at == _line(tokens, at):
        return False
    fix = Fix("remove the comma", (Edit(token.span, ""),))
    return _misfit(token, report, "remove it: the end of the line ends a statement", tokens[at - 1], fix)


def _fat_arrow(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`=>` for `->`."""
    token, following = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else tokens[at]
    if token.type != "EQUAL" or following.text != ">" or token.span.end != following.span.start:
        return False
    here = token.span.to(following.span)
    report.add(
        "E0106", "`=>` does not fit here", here, help="a chain is written with `->`",
        fix=Fix("write `->`", (Edit(here, "->"),)),
    )  # fmt: skip
    return True


def _declared(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`let width = 3`, `model Net {`."""
    token, before = tokens[at], tokens[at - 1] if at else None
    if before is None or before.type != "NAME" or (at > 1 and tokens[at - 2].type not in _STARTS):
        return False
    if token.type in ("NAME", "CNAME") and tokens[at + 1].type == "EQUAL" and before.text != "output":
        fix = Fix(f"remove `{before.text}`", (Edit(Span(before.span.start, token.span.start), ""),))
        sure = before.text in ("let", "var", "const", "val", "int", "float", "auto", "final", "static", "def")
        return sure and _misfit(
            token, report, f"remove `{before.text}`: a name is bound by `{token.text} = …` alone", before, fix
        )
    if before.text in ("model", "net", "class", "struct", "architecture") and token.type == "CNAME":
        if tokens[at + 1].type not in ("LBRACE", "LPAR"):
            return False
        word = Fix("write `network`", (Edit(before.span, "network"),))
        return _misfit(token, report, f"write `network {token.text}`", before, word)
    return False


def _lambda(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    before = tokens[at - 1] if at else None
    if before is None or before.text != "lambda" or tokens[at].type not in ("NAME", "COLON"):
        return False
    help_text = "there is no `lambda`: write a formula at the top of the file, `double(x) = 2 * x`"
    return _misfit(tokens[at], report, help_text, before)


def _loop(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`for (i = 0; …)`."""
    start = _line(tokens, at)
    if tokens[start].type != "FOR" or at - start > 3 or tokens[at].type != "EQUAL":
        return False
    name = tokens[at - 1].text
    return _misfit(tokens[at], report, f"a loop goes over a range or a list: `for {name} in range(3) {{ … }}`",
                   tokens[at - 1])  # fmt: skip


def _in_and_out(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`input x`, `input x: (3, 32, 32)`, `output fc`."""
    start, token = _line(tokens, at), tokens[at]
    kind = tokens[start].type
    if kind == "INPUT" and at - start in (2, 3) and (token.type in (*_ENDS, "LPAR", "NUMBER", "EQUAL", "LSQB")):
        fix = None
        if token.type == "EQUAL" and at - start == 2 and tokens[at + 1].type == "LSQB":
            gap = Span(tokens[at - 1].span.end, token.span.end)
            fix = Fix("write `:`", (Edit(gap, ":"),))
        return _misfit(token if token.type not in _ENDS else tokens[at - 1], report, _INPUT, fix=fix)
    if kind == "OUTPUT" and at - start == 2 and token.type in _ENDS:
        name = tokens[start + 1]
        return _misfit(name, report, f"an output has a name and a value: `output result = {name.text}`; the only one "
                                     "of a network needs none of this")  # fmt: skip
    return False


def _percent(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`20%`."""
    before = tokens[at - 1] if at else None
    if before is None or before.type != "PERCENT" or tokens[at].type not in (*_ENDS, "COMMA", "RPAR"):
        return False
    number = tokens[at - 2]
    share = None
    if number.type == "NUMBER" and number.text.replace(".", "", 1).isdigit():
        share = f"{float(number.text) / 100:g}"
    if share is None:
        return _misfit(before, report, "write the share as a number between 0 and 1")
    fix = Fix(f"write `{share}`", (Edit(number.span.to(before.span), share),))
    return _misfit(before, report, f"write `{share}`", fix=fix)


def _braced_arguments(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`Conv2d { out_channels = 3 }`."""
    before = tokens[at - 1] if at else None
    if tokens[at].type != "NAME" or before is None or before.type != "LBRACE" or "REPLACE" not in expected:
        return False
    if at < 2 or tokens[at - 2].type != "CNAME" or tokens[at + 1].type not in ("EQUAL", "COLON"):
        return False
    name = f"{tokens[at - 2].text}({tokens[at].text}=…)"
    return _misfit(tokens[at], report, f"arguments stand in parentheses: `{name}`")


def _names_of_file(tokens: list[Token], at: int, expected: set[str], report: Report) -> bool:
    """`use "focal.py": FocalLoss`, `import "resnet.net" as r`."""
    if at < 2 or tokens[at - 1].type != "STRING" or tokens[at - 2].type not in ("IMPORT", "USE"):
        return False
    if tokens[at].text not in (":", ",", "as", "import", "use"):
        return False
    last = at
    while tokens[last + 1].type not in _ENDS:
        last += 1
    rest = tokens[at].span.to(tokens[last].span)
    fix = Fix("leave out the names", (Edit(Span(tokens[at - 1].span.end, rest.end), ""),))
    return _misfit(tokens[at], report, "everything that the file defines can be used then; no names are listed",
                   tokens[at - 1], fix)  # fmt: skip


RULES = (
    _slashes, _block_comment, _doc_string, _colon_block, _self, _fat_arrow, _declared, _lambda, _loop, _in_and_out,
    _annotation, _setting_colon, _trailing_comma, _percent, _braced_arguments,
    _names_of_file,
)  # fmt: skip
