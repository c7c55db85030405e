"""Tokens to the surface tree.

In: a source. Out: `syntax.File`, or None where the text has no tokens at all, and every syntax error in the report.
The tables are Lark's (LALR(1), see `grammar`); this is the loop that runs on them. After an error it gives up the
statement, puts a `Broken` in its place, and goes on with the next one, so that one run finds all mistakes.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from netc import grammar, limits, syntax
from netc.builder import Builder
from netc.lexer import lex
from netc.source import Source, Span
from netc.syntax_errors import describe
from netc.token import Token

if TYPE_CHECKING:
    from netc.diagnostics import Report
    from netc.grammar import Rule, Tables

# What may be given up as a whole: the nonterminals of a list's elements.
_RECOVERABLE = ("stmt", "top", "setting", "rule", "edit")
_tables: list[Tables] = []


class _TooDeepError(Exception):
    def __init__(self, span: Span) -> None:
        super().__init__()
        self.span = span


def tables() -> Tables:
    """The grammar's tables, read once."""
    if not _tables:
        _tables.append(grammar.load())
    return _tables[0]


def parse(source: Source, report: Report) -> syntax.File | None:
    """Parse a whole file."""
    tokens = lex(source, tables(), report)
    limits.allow(len(tokens))
    if len(tokens) > limits.WORDS:
        _too_long(source, report)
        return None
    try:
        return _Machine(tables(), tokens, report).run()
    except _TooDeepError as deep:
        report.add(
            "E0114",
            f"this is nested more than {limits.TREE_LEVELS} levels deep",
            Span(deep.span.start, deep.span.start + 1),
            help="bind parts of it to names",
        )
        return None


def _too_long(source: Source, report: Report) -> None:
    """Refuse a text before it is parsed."""
    report.add(
        "E0116",
        f"this program has more than {limits.WORDS:,} words and signs",
        Span(0, min(1, len(source.text))),
        help="write what repeats as a `module`, and repeat it with `for`",
    )


def parse_expression(text: str, report: Report) -> syntax.Chain | None:
    """Parse what may stand at the right of a setting's `=`; spans count from the start of `text`."""
    prefix = "x = "
    source = Source(f"s {{ {prefix}{text} }}", "--set")
    file = parse(source, report)
    if file is None or report.failed:
        return None
    section = file.definitions[0]
    if not isinstance(section, syntax.Section) or len(file.definitions) != 1 or len(section.entries) != 1:
        return None
    setting = section.entries[0]
    return setting.value if isinstance(setting, syntax.Setting) else None


class _Machine:
    """A shift-reduce parser: three stacks side by side, of states, of values and of spans."""

    def __init__(self, tables: Tables, tokens: list[Token], report: Report) -> None:
        self.tables = tables
        self.tokens = tokens
        self.report = report
        self.build = Builder(report)
        self.states = [tables.start]
        self.values: list[Any] = []
        self.spans: list[Span] = []
        self.depths: list[int] = []  # of braces, where each value begins
        self.levels: list[int] = []  # how deep the tree of each value is
        self.depth = 0
        self.braces: list[int] = []  # how many are open behind each token, once that is asked

    def run(self) -> syntax.File | None:
        at = 0
        while True:
            token = self.tokens[at]
            state = self.states[-1]
            actions = self.tables.states[state]
            action = actions if isinstance(actions, int) else actions.get(token.type)
            if action is None:
                recovered = self._recover(at)
                if recovered is None:
                    return None
                at = recovered
            elif action < 0:
                rule = self.tables.rules[-1 - action]
                if rule.build == "?":  # one symbol under another name: its value and its place stay
                    self.states[-1] = self._goto(self.states[-2], rule.origin)
                else:
                    self._reduce(rule, token.span.start)
                if token.type == "$END" and self.states[-1] == self.tables.end:
                    result = self.values[-1]
                    assert isinstance(result, syntax.File)
                    return result
            else:
                self._push(action, token, token.span)
                self.depth += (token.type == "LBRACE") - (token.type == "RBRACE")
                at += 1

    def _push(self, state: int, value: object, span: Span) -> None:
        self.states.append(state)
        self.values.append(value)
        self.spans.append(span)
        self.depths.append(self.depth)
        self.levels.append(0)

    def _reduce(self, rule: Rule, here: int) -> None:
        """Replace the symbols of a rule by what the builder makes of them."""
        first = len(self.values) - rule.length
        values = self.values[first:]
        span = self.spans[first].to(self.spans[-1]) if rule.length else Span(here, here)
        children: list[Any] = []
        if values and type(values[0]) is list:  # of a helper: it goes on with what came before, which nobody else has
            children = values.pop(0)
        for item in values:
            if type(item) is list:
                children += item
            else:
                children.append(item)
        value = getattr(self.build, rule.build)(children, span) if rule.build else children
        depth = self.depths[first] if rule.length else self.depth
        level = max(self.levels[first:], default=0) + (rule.build != "")
        if level > limits.TREE_LEVELS:  # what goes through a tree calls itself as often
            raise _TooDeepError(span)
        del self.states[first + 1 :], self.values[first:], self.spans[first:], self.depths[first:], self.levels[first:]
        self.states.append(self._goto(self.states[-1], rule.origin))
        self.values.append(value)
        self.spans.append(span)
        self.depths.append(depth)
        self.levels.append(level)

    def _goto(self, state: int, symbol: str) -> int:
        actions = self.tables.states[state]
        assert isinstance(actions, dict)
        return actions[symbol]

    # --- errors ------------------------------------------------------------------------------------------------------

    def _recover(self, at: int) -> int | None:
        """Report the token at `at`, give up the statement around it, and say where to go on; None if nowhere."""
        token = self.tokens[at]
        if token.type != "ERROR":
            describe(self.tokens, at, self._expected(), self.report)
        while True:
            actions = self.tables.states[self.states[-1]]
            symbol = next((s for s in _RECOVERABLE if isinstance(actions, dict) and s in actions), None)
            if symbol is not None:
                break
            if not self.values:
                return None
            self._pop()
        start = self._statement_start(at)
        end = self._statement_end(at)
        state = self._goto(self.states[-1], symbol)
        self._push(state, syntax.Broken(Span(start, self.tokens[end].span.start)), token.span)
        return end

    def _pop(self) -> None:
        self.states.pop()
        self.values.pop()
        self.spans.pop()
        self.levels.pop()
        self.depth = self.depths.pop()

    def _statement_start(self, at: int) -> int:
        return self.spans[-1].end if self.spans else self.tokens[at].span.start

    def _statement_end(self, at: int) -> int:
        """The index of the token that ends the statement: a newline or a closing brace at the depth it began at."""
        if not self.braces:
            self.braces = list(accumulate((t.type == "LBRACE") - (t.type == "RBRACE") for t in self.tokens))
        depth = self.braces[at - 1] if at else 0
        while self.tokens[at].type != "$END":
            kind = self.tokens[at].type
            if depth <= self.depth and (kind == "_NL" or (kind == "RBRACE" and self.depth > 0)):
                return at
            depth += (kind == "LBRACE") - (kind == "RBRACE")
            at += 1
        return at

    def _expected(self) -> set[str]:
        """The terminals that could follow: those for which the stack, reductions done, has a shift."""
        names = {name for name, _ in self.tables.terminals} | set(_KEYWORDS) | {"$END"}
        return {name for name in names if self._accepts(name)}

    def _accepts(self, terminal: str) -> bool:
        states = list(self.states)
        while True:
            actions = self.tables.states[states[-1]]
            action = actions if isinstance(actions, int) else actions.get(terminal)
            if action is None:
                return False
            if action >= 0:
                return True
            rule = self.tables.rules[-1 - action]
            if rule.length:
                del states[-rule.length :]
            states.append(self._goto(states[-1], rule.origin))
            if terminal == "$END" and states[-1] == self.tables.end:
                return True


_KEYWORDS = """
    IMPORT USE MODULE NETWORK INPUT OUTPUT PARAM BUFFER LAYER INIT SEQ REPLACE APPEND REMOVE IF ELIF ELSE FOR IN AND
    OR NOT IS TRUE FALSE NONE
    """.split()
