"""How a report looks: colours in light, dark and print, and the layout of the page.

In: nothing. Out: CSS. Guarantees: text has a contrast of at least 4.5 to what is behind it, in each of the three. The
pictures use the same classes within the page and, with `PICTURE`, as files of their own.
"""

_LIGHT = """\
--page:#fff;--raised:#f5f6f8;--text:#1b1f24;--muted:#59636e;--rule:#d9dee4;--grid:#e7eaee;
--l0:#7a8490;--l1:#1b62c4;--l2:#b45309;--l3:#15803d;--l4:#9333ea;--l5:#be185d;
--hit:#1b62c4;--miss:#c2410c;--on:#fff;--good:#15803d;--bad:#b42318;--busy:#9a5b00"""
_DARK = """\
--page:#14171a;--raised:#1d2126;--text:#e7eaed;--muted:#a0aab4;--rule:#363d44;--grid:#262c32;
--l0:#8f9aa5;--l1:#6fa8ff;--l2:#f0a04b;--l3:#5cc27e;--l4:#c08bf5;--l5:#f27fae;
--hit:#2f6fd0;--miss:#b9491a;--on:#fff;--good:#5cc27e;--bad:#ff8a7a;--busy:#f0b45a"""

# Of the pictures: in the page, and in files.
PICTURES = """\
svg text{fill:var(--text);font-size:12px}
svg .name{font-size:13.5px;font-weight:600}
svg .tick,svg .key{fill:var(--muted);font-variant-numeric:tabular-nums}
svg .key{font-size:12px}
svg .grid{stroke:var(--grid);stroke-width:1}
svg .axis{stroke:var(--rule);stroke-width:1}
svg .best{stroke:var(--muted);stroke-width:1;stroke-dasharray:2 3}
svg .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
svg .line.l0{stroke:var(--l0);stroke-dasharray:5 3.5;stroke-linecap:butt}svg .line.l1{stroke:var(--l1)}
svg .line.l2{stroke:var(--l2)}svg .line.l3{stroke:var(--l3)}svg .line.l4{stroke:var(--l4)}svg .line.l5{stroke:var(--l5)}
svg .mark{fill:var(--page);stroke-width:2}
svg .dot.l0{fill:var(--l0)}svg .dot.l1{fill:var(--l1)}svg .dot.l2{fill:var(--l2)}
svg .dot.l3{fill:var(--l3)}svg .dot.l4{fill:var(--l4)}svg .dot.l5{fill:var(--l5)}
svg .mark.l0{stroke:var(--l0)}svg .mark.l1{stroke:var(--l1)}svg .mark.l2{stroke:var(--l2)}
svg .mark.l3{stroke:var(--l3)}svg .mark.l4{stroke:var(--l4)}svg .mark.l5{stroke:var(--l5)}
svg .hit{fill:var(--hit)}svg .miss{fill:var(--miss)}svg .cell{stroke:var(--page);stroke-width:1}
svg .empty{fill:var(--raised)}svg text.on{fill:var(--on)}svg .count{font-variant-numeric:tabular-nums}
svg .point{fill:var(--l1);fill-opacity:.45}svg .ideal{stroke:var(--muted);stroke-width:1;stroke-dasharray:4 3}
"""

_FONT = "ui-sans-serif,system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
_CODE = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"

# Of a picture in a file of its own, which has a background too.
PICTURE = f"""\
svg{{{_LIGHT};font-family:{_FONT};background:var(--page)}}
@media (prefers-color-scheme:dark){{svg{{{_DARK}}}}}
{PICTURES}"""

PAGE = f"""\
:root{{{_LIGHT};color-scheme:light dark}}
@media (prefers-color-scheme:dark){{:root{{{_DARK}}}}}
@media print{{:root{{{_LIGHT}}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--page);color:var(--text);font:15px/1.5 {_FONT};-webkit-text-size-adjust:100%}}
main,header,footer{{max-width:1080px;margin:0 auto;padding:0 24px}}
header{{padding-top:40px}}
h1{{font-size:26px;line-height:1.25;margin:0;font-weight:650;overflow-wrap:anywhere}}
h2{{font-size:17px;margin:44px 0 14px;font-weight:650}}
h3{{font-size:14px;margin:22px 0 8px;font-weight:600}}
p{{margin:0 0 10px}}
.about{{color:var(--muted);margin:6px 0 0}}
.state{{font-weight:600}}.finished{{color:var(--good)}}.failed{{color:var(--bad)}}.running,.stopped{{color:var(--busy)}}
.facts{{display:flex;flex-wrap:wrap;gap:1px;margin:26px 0 0;padding:0;
background:var(--rule);border:1px solid var(--rule);border-radius:8px;overflow:hidden}}
.facts div{{background:var(--page);padding:12px 16px;flex:1 1 136px;min-width:0}}
.facts dt{{color:var(--muted);font-size:13px}}
.facts dd{{margin:2px 0 0;font-size:20px;font-weight:600;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}}
.facts small{{display:block;font-size:12.5px;font-weight:400;color:var(--muted)}}
.charts{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:28px 36px}}
.narrow{{grid-template-columns:repeat(auto-fit,minmax(min(100%,310px),1fr));gap:28px 26px}}
.two{{display:grid;grid-template-columns:minmax(0,1.05fr) minmax(0,1fr);gap:28px 36px;align-items:start}}
@media (max-width:820px){{.two{{grid-template-columns:minmax(0,1fr)}}}}
figure{{margin:0;min-width:0}}
figure svg{{display:block;width:100%;height:auto}}
figure .matrix{{max-width:440px}}
.scroll{{overflow-x:auto}}
table{{border-collapse:collapse;font-size:13.5px;font-variant-numeric:tabular-nums;width:100%}}
th,td{{text-align:left;padding:5px 18px 5px 0;border-bottom:1px solid var(--grid);vertical-align:top}}
th:last-child,td:last-child{{padding-right:0}}
thead th{{color:var(--muted);font-weight:500;border-bottom-color:var(--rule);white-space:nowrap}}
tbody th{{font-weight:500}}
.n{{text-align:right;white-space:nowrap}}
.pairs th,.pairs td{{white-space:nowrap}}
.wrap td{{overflow-wrap:anywhere}}
.wrap th{{width:150px;color:var(--muted);font-weight:500}}
td code{{white-space:nowrap}}
code,pre{{font-family:{_CODE};font-size:12.8px}}
pre{{background:var(--raised);border-radius:8px;padding:16px 18px;margin:0;overflow-x:auto;line-height:1.55;tab-size:2}}
pre i{{font-style:normal;color:var(--muted)}}pre b{{font-weight:600}}
.note{{color:var(--muted);font-size:13.5px}}
.problem{{border-left:3px solid var(--bad);padding:2px 0 2px 12px}}
details{{margin-top:18px}}summary{{cursor:pointer;color:var(--muted);font-size:14px;padding:2px 0}}
details[open] summary{{margin-bottom:8px}}
a{{color:var(--l1)}}
footer{{color:var(--muted);font-size:13px;padding-top:48px;padding-bottom:40px}}
{PICTURES}
@media (max-width:520px){{main,header,footer{{padding-left:16px;padding-right:16px}}header{{padding-top:24px}}
.facts div{{padding:10px 12px;flex-basis:40%}}.facts dd{{font-size:18px}}
th,td{{padding-right:12px}}.wrap th{{width:104px}}}}
@media print{{body{{font-size:11pt}}figure,tr,.facts{{break-inside:avoid}}h2,h3{{break-after:avoid}}
header{{padding-top:0}}pre{{white-space:pre-wrap}}.scroll{{overflow:visible}}}}
"""
