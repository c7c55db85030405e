"""Random layouts of programs: the same tokens with other blanks, newlines, `;` and comments between them.

In: the text of a program without mistakes, and a `random.Random`. Out: a text of the same tree, and its comments.
"""

from __future__ import annotations

import random
import re

from netc import parser
from netc.diagnostics import Report
from netc.lexer import Token, lex
from netc.source import Source

COMMENTS = (
    "# a comment", "#", "#!", "# -> ReLU", '# "quoted', "# it's", "# } ) ]", "## twice # in it", "#x = 1; y",
    "#\tTabs\t", "# netc: ignore W0801",
    "# a comment that is much longer than most, so that the column that it begins in matters",
)  # fmt: skip
_WORD = re.compile(r"[\w.]")


def relayout(text: str, chance: random.Random, comments: float = 0.1) -> tuple[str, list[str]]:
    """A text of the same tree, and the comments that it got; those of `text` are left out."""
    tokens = lex(Source(text), parser.tables(), Report())
    assert tokens is not None
    return _Relayout(tokens, chance, comments).run()


class _Relayout:
    def __init__(self, tokens: list[Token], chance: random.Random, comments: float) -> None:
        self.tokens = tokens
        self.chance = chance
        self.often = comments
        self.newline = chance.choice(["\n"] * 6 + ["\r\n", "\r"])
        self.lines = chance.choice([0.02, 0.1, 0.5])
        self.parts: list[str] = []
        self.comments: list[str] = []
        self.brackets: list[str] = []

    def run(self) -> tuple[str, list[str]]:
        before = Token("_NL", "", self.tokens[0].span)
        following = [*self.tokens[1:], self.tokens[-1]]
        for token, after in zip(self.tokens, following, strict=True):
            if token.type in ("RPAR", "RSQB", "RBRACE"):
                self.brackets.pop()
            # In brackets a line that begins with `name:` is taken for a statement, and the brackets for open ones.
            self.between(before, token, stays=after.type == "COLON")
            if token.type in ("LPAR", "LSQB", "LBRACE"):
                self.brackets.append(token.type)
            if token.type not in ("_NL", "$END"):
                self.parts.append(token.text)
            before = token
        return "".join(self.parts), self.comments

    def between(self, before: Token, token: Token, stays: bool) -> None:
        """What stands between two tokens; a newline that ends a statement is one of them.

        In brackets a token that `stays` does not begin a line.
        """
        inside = bool(self.brackets) and self.brackets[-1] != "LBRACE"
        braces = before.type == "LBRACE" or token.type in ("RBRACE", "$END")
        if token.type == "_NL":
            self.end()
        elif (inside and not stays) or before.type == "_NL" or braces or token.text in ("->", "else", "elif"):
            self.ends(self.lines)
        needed = bool(before.text and token.text and _WORD.match(before.text[-1]) and _WORD.match(token.text[0]))
        self.blanks(needed and not self.parts[-1][-1:].isspace())

    def end(self) -> None:
        if self.chance.random() < 0.3:
            self.parts.append(self.chance.choice([";", " ;", "; "]))
            self.ends(0.1)
        else:
            self.line()
            self.ends(self.lines)

    def ends(self, often: float) -> None:
        """Newlines, any number of them, with comments before some."""
        while self.chance.random() < often:
            self.line()

    def line(self) -> None:
        if self.chance.random() < self.often:
            self.blanks(False)
            comment = self.chance.choice(COMMENTS)
            self.comments.append(comment.rstrip(" \t\f"))
            self.parts.append(comment + self.chance.choice(["", "", "  "]))
        self.parts.append(self.newline)
        self.blanks(False)

    def blanks(self, needed: bool) -> None:
        if needed or self.chance.random() < 0.6:
            self.parts.append(self.chance.choice([" ", " ", " ", "  ", "\t", "      "]))
