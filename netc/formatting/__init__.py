"""The parts of the formatter: what the author wrote beyond the tree, pieces of text, and lines made of them.

`original` knows comments and the few choices of layout that are the author's; `pieces` makes of expressions text that
may be broken at brackets; `statements` makes of a tree statements and blocks of such pieces; `layout` breaks what is
too wide; `lines` holds the lines and aligns their comments. `netc.formatter` is the way in.
"""
