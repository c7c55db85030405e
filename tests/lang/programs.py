"""Random programs that mean something, most of them without mistakes.

In: a `random.Random`. Out: a `syntax.File` with networks of layers whose sizes fit, from an image, a vector or tokens
to classes; with modules, parameters, loops, conditions, `seq`, branches, residuals, several inputs and outputs,
parameters and buffers of their own, `init`, variants, and often the sections `data` and `train`.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from netc import syntax as s
from tests.lang.nodes import (
    NOWHERE,
    binary,
    bind,
    body,
    call,
    chain,
    compare,
    condition,
    flow,
    ident,
    index,
    inputs,
    items,
    link,
    loop,
    name,
    number,
    param,
    section,
    seq,
    until,
)

ACTIVATIONS = ("ReLU", "GELU", "SiLU", "Tanh", "Sigmoid", "Hardswish", "LeakyReLU", "ELU")
WRONG_NAMES = {"Conv2d": "Conv2D", "Linear": "Dense", "ReLU": "Relu", "padding": "pad", "stride": "strides"}


# --- modules of their own ---------------------------------------------------------------------------------------------


class Made(NamedTuple):
    """A module of the program. `kind` is what it takes (image, vector, sequence), `use` what it does to it."""

    title: str
    kind: str
    use: str
    node: s.Module


def random_program(chance: random.Random, mistakes: float = 0.01) -> s.File:
    """A random program; `mistakes` is the share of sizes, arguments and names that are wrong."""
    return Programs(chance, mistakes).file()


class Programs:
    """One program in the making: `sizes` are names that stand for numbers, `shape` is that of the current value."""

    def __init__(self, chance: random.Random, mistakes: float) -> None:
        self.chance = chance
        self.mistakes = mistakes
        self.sizes: dict[str, int] = {}
        self.modules: list[Made] = []
        self.shape: tuple[int, ...] = ()
        self.labels = 0
        self.seen: set[str] = set()
        self.halves = False

    # --- choices -----------------------------------------------------------------------------------------------------

    def maybe(self, often: float = 0.5) -> bool:
        return self.chance.random() < often

    def wrong(self) -> bool:
        return self.chance.random() < self.mistakes

    def label(self, stem: str) -> str:
        """A new label, now and then the one before."""
        self.labels += not self.wrong()
        return f"{stem}{self.labels}"

    def act(self) -> str:
        found = self.chance.choice(ACTIVATIONS)
        return WRONG_NAMES.get(found, found) if self.wrong() else found

    def layer(self, kind: str, *positional: s.Expr | float | str, **named: s.Expr | float | str | bool) -> s.Expr:
        """A call of a layer, which is then known to be there."""
        self.seen.add(kind)
        if self.wrong():
            kind = WRONG_NAMES.get(kind, kind)
            named = {WRONG_NAMES.get(k, k): v for k, v in named.items()}
        return call(kind, *positional, **named)

    def size(self, wanted: int) -> s.Expr:
        """An expression for a number: itself, a name that stands for it, or arithmetic."""
        if self.wrong():
            wanted += self.chance.choice([-1, 1, 3])
        known = [k for k, v in self.sizes.items() if v == wanted]
        if known and self.maybe(0.7):
            return name(self.chance.choice(known))
        for k, v in self.sizes.items():
            if v > 1 and self.maybe(0.3):
                if wanted % v == 0 and wanted > v:
                    return binary("*", number(wanted // v), name(k))
                if wanted * 2 == v:
                    return call("half", k) if self.halves and self.maybe() else binary("//", name(k), number(2))
                if wanted > v:
                    return binary("+", name(k), number(wanted - v))
        return number(wanted)

    # --- a file ------------------------------------------------------------------------------------------------------

    def file(self) -> s.File:
        definitions: list[s.Definition] = []
        if self.maybe(0.3):
            self.sizes["base"] = self.chance.choice([4, 8, 12, 16])
            definitions.append(s.Constant(ident("base"), None, number(self.sizes["base"]), NOWHERE))
        if self.maybe(0.15):
            self.halves = True
            half = binary("//", name("v"), number(2))
            definitions.append(s.Constant(ident("half"), (param("v"),), half, NOWHERE))
        for make in self.chance.sample(_MODULES, self.chance.choice([0, 1, 1, 2, 3])):
            self.modules.append(make(self))
        network, shape, classes = self.network()
        later: list[s.Definition] = [*(m.node for m in self.modules), network]
        if self.maybe(0.2):
            variant = call("Net", **{k: v for k, v in self.sizes.items() if k == "width" and self.maybe()})
            later.append(s.Variant(ident("Variant"), (), variant, NOWHERE))
        if shape is not None and self.maybe(0.6):
            later += self.sections(shape, classes)
        if self.maybe(0.3):
            self.chance.shuffle(later)
        return s.File((*definitions, *later), NOWHERE)

    def network(self) -> tuple[s.Definition, tuple[int, ...] | None, int]:
        """The network, the shape of its images where it has one image and one output, and how many classes."""
        params = [param("width", number(width := self.chance.choice([4, 6, 8, 16])))]
        self.sizes["width"] = width
        classes = self.chance.choice([2, 5, 10])
        self.sizes["classes"] = classes
        params.append(param("classes", number(classes)))
        if self.maybe(0.3):
            params.append(param("p", number(0.1)))
        if self.maybe(0.2):
            params.append(param("Act", name("ReLU")))
        self.rate = name("p") if any(p.name.text == "p" for p in params) else number(0.25)
        self.own = "Act" if params[-1].name.text == "Act" else None
        out: list[s.Statement] = []
        kind = self.chance.choice(("image", "image", "image", "vector", "tokens"))
        extra = self.chance.choice([3, 6]) if self.maybe(0.15) else 0
        shape = self.begin(kind, extra, out)
        for _ in range(self.chance.randint(1, 7)):
            out += self.statements()
        out += self.finish(extra, classes)
        if self.maybe(0.4):
            out += self.rules()
        several = any(isinstance(statement, s.If | s.Output) for statement in out[-3:])
        node = s.Network(ident("Net"), tuple(params), body(*out), NOWHERE)
        return node, None if extra or several or kind != "image" else shape, classes

    def begin(self, kind: str, extra: int, out: list[s.Statement]) -> tuple[int, ...]:
        """The inputs, and statements up to the first current value."""
        if kind == "image":
            side = self.chance.choice([8, 12, 16, 28])
            self.shape = (self.chance.choice([1, 3]), side, side)
            out.append(inputs("image", *self.shape))
        elif kind == "vector":
            self.shape = (self.chance.choice([4, 12, 20, 32]),)
            out.append(inputs("image", *self.shape))
        else:
            out.append(inputs("image", name("T") if self.maybe() else 8, dtype="int64"))
        if extra:
            out.append(inputs("extra", extra))
            out.append(flow(link("image")))
        shape = self.shape
        if kind == "tokens":
            width = self.chance.choice([8, 16, 24])
            out.append(flow(link(self.layer("Embedding", 50, self.size(width)), self.label("embed"))))
            self.shape = (0, width)  # a length that is not known
        return shape

    def finish(self, extra: int, classes: int) -> list[s.Statement]:
        """From any shape to classes, or to several outputs."""
        out: list[s.Statement] = []
        steps = []
        if len(self.shape) == 3:
            steps.append(self.chance.choice([link(call("mean", items(2, 3))), link(call("amax", items(2, 3)))]))
        elif len(self.shape) == 2:
            steps.append(link(call("mean", 1)))
        if steps:
            out.append(flow(*steps))
        if extra:
            out.append(flow(link(call("cat", items(name("_"), name("extra")), 1))))
        aux = self.maybe(0.1)
        if aux:
            out.append(bind("before", link("_")))
        head = link(self.layer("Linear", self.size(classes)), "head")
        if aux:
            out.append(s.Output(ident("logits"), chain(head), NOWHERE))
            side = s.Output(ident("aux"), chain(link("before"), link(self.layer("Linear", classes), "side")), NOWHERE)
            out.append(condition(name("training"), (side,)))
        elif self.maybe(0.1):
            out += [flow(head), s.Output(ident("logits"), chain(link("_")), NOWHERE)]
        else:
            out.append(flow(head))
        return out

    def rules(self) -> list[s.Statement]:
        kinds = [k for k in ("Conv2d", "Linear", "Embedding") if k in self.seen]
        made = [
            s.Rule(
                s.Selector(f"{k}.weight", False, NOWHERE),
                self.chance.choice([call("normal_", std=0.02), call("kaiming_normal_"), call("xavier_uniform_")]),
                NOWHERE,
            )
            for k in kinds
        ]
        made.append(s.Rule(s.Selector("head.bias", True, NOWHERE), call("zeros_"), NOWHERE))
        return [s.Init(tuple(made), NOWHERE)]

    def sections(self, shape: tuple[int, ...], classes: int) -> list[s.Definition]:
        """Random images of the shape to learn from."""
        count = classes + (self.wrong())
        data = call("FakeData", size=64, image_size=items(*shape), num_classes=count)
        settings = {"train": chain(link(data)), "batch_size": chain(link(number(self.chance.choice([4, 8, 16]))))}
        if self.maybe():
            settings["validation"] = chain(link(number(0.25)))
        steps = [link("ToTensor")]
        if self.maybe():
            channels = [number(0.5)] * shape[0]
            steps.append(link(call("Normalize", mean=items(*channels), std=items(*channels))))
        settings["transform"] = chain(*steps)
        if self.maybe(0.3):
            settings["augment"] = chain(link("RandomHorizontalFlip"))
        rates = {"SGD": 0.1, "Adam": 0.001, "AdamW": 0.003}
        optimizer = self.chance.choice(list(rates))
        train = {
            "loss": chain(
                link(call("CrossEntropyLoss", label_smoothing=0.1) if self.maybe(0.3) else "CrossEntropyLoss")
            ),
            "optimizer": chain(link(call(optimizer, lr=rates[optimizer]))),
            "epochs": chain(link(number(self.chance.choice([1, 3])))),
        }
        optional = {"schedule": name("CosineAnnealingLR"), "metrics": items(name("accuracy")), "seed": number(3)}
        train |= {k: chain(link(v)) for k, v in optional.items() if self.maybe()}
        return [section("data", **settings), section("train", network=chain(link("Net")), **train)]

    # --- statements --------------------------------------------------------------------------------------------------

    def statements(self) -> list[s.Statement]:
        """One or a few statements for the shape as it is."""
        kind = ("vector", "sequence", "image")[len(self.shape) - 1]
        own = [m for m in self.modules if m.kind == kind]
        if own and self.maybe(0.4):
            return [self.used(self.chance.choice(own))]
        return self.chance.choice(_STATEMENTS[kind])(self)

    def activation(self) -> list[s.Link]:
        if self.own and self.maybe():
            return [link(self.own)]
        return [link(self.act())] if self.maybe(0.8) else []

    def used(self, made: Made) -> s.Statement:
        """A statement that applies a module of the program."""
        named: dict[str, s.Expr | float | str | bool] = {}
        positional: list[s.Expr | float | str] = []
        label = self.label("part")
        if made.use == "widen":
            width = self.chance.choice([4, 8, 16])
            positional.append(self.size(width))
            self.shape = (width, *self.shape[1:])
        elif made.use == "grow":
            growth, times = self.chance.choice([2, 4]), self.chance.choice([1, 2, 3])
            positional += [self.size(growth), times]
            self.shape = (self.shape[0] + growth * times, *self.shape[1:])
        elif made.use == "hidden":
            positional.append(self.size(self.chance.choice([8, 16])))
        elif made.use == "heads":
            positional.append(self.chance.choice([h for h in (1, 2, 4) if self.shape[-1] % h == 0]))
        if self.maybe(0.3):
            named["Act"] = self.act()
        step = call(made.title, *positional, **named) if positional or named else name(made.title)
        return flow(link(step, label))

    # images

    def convolution(self) -> list[s.Statement]:
        width, kernel = self.chance.choice([4, 8, 16, self.sizes["width"]]), self.chance.choice([1, 3, 3, 5])
        named: dict[str, s.Expr | float | str | bool] = {}
        channels, high, wide = self.shape
        if kernel > 1:
            named["padding"] = kernel // 2
        if min(high, wide) >= 8 and self.maybe(0.2):
            named["stride"] = 2
            high, wide = (high + 1) // 2, (wide + 1) // 2
        normed = self.maybe()
        if normed and self.maybe(0.9):
            named["bias"] = False
        if self.maybe(0.05):
            named["in_channels"] = self.size(channels)
        links = [link(self.layer("Conv2d", self.size(width), kernel, **named), self.label("conv"))]
        if normed:
            self.seen.add("BatchNorm2d")
            links.append(link("BatchNorm2d", self.label("norm")))
        self.shape = (width, high, wide)
        return [flow(*links, *self.activation())]

    def pool(self) -> list[s.Statement]:
        channels, high, wide = self.shape
        if min(high, wide) < 4:
            return self.convolution()
        self.shape = (channels, high // 2, wide // 2)
        layer = self.chance.choice(["MaxPool2d", "AvgPool2d"])
        if self.maybe():
            return [flow(link(self.layer(layer, 2)))]
        return [flow(link(call("max_pool2d", 2)), *self.activation())]

    def residual(self) -> list[s.Statement]:
        """The same shape as before, added to what was."""
        skip = self.label("skip")
        out = [bind(skip, link("_"))]
        out += [
            flow(link(self.same(), self.label("same")), *self.activation()) for _ in range(self.chance.choice([1, 2]))
        ]
        if self.maybe(0.2):
            scale = self.label("scale")
            sizes = (self.shape[0], 1, 1) if len(self.shape) == 3 else (self.shape[-1],)
            shape = items(*(self.size(n) for n in sizes))
            out.append(s.Parameter(ident(scale), shape, call("ones_"), NOWHERE))
            out.append(flow(link(binary("*", name("_"), name(scale)))))
        return [*out, flow(link(binary("+", name("_"), name(skip))), *self.activation())]

    def same(self) -> s.Expr:
        """A layer that keeps the shape of the current value."""
        if len(self.shape) == 3:
            return self.layer("Conv2d", self.size(self.shape[0]), 3, padding=1)
        return self.layer("Linear", self.size(self.shape[-1]))

    def branches(self) -> list[s.Statement]:
        out: list[s.Statement] = []
        names: list[s.Expr] = []
        total = 0
        start = self.label("x")
        out.append(bind(start, link("_")))
        for _ in range(self.chance.choice([2, 3])):
            width = self.chance.choice([2, 4, 8])
            branch, label = self.label("b"), self.label("branch")
            if len(self.shape) == 3:
                step = self.layer("Conv2d", self.size(width), 3, padding=1)
            else:
                step = self.layer("Linear", self.size(width))
            out.append(bind(branch, link(start if self.maybe() else "_"), link(step, label), *self.activation()))
            names.append(name(branch))
            total += width
        axis = 1 if len(self.shape) == 3 else -1
        joined = call("cat", items(*names), number(axis))
        self.shape = (total, *self.shape[1:]) if axis == 1 else (*self.shape[:-1], total)
        return [*out, flow(link(joined))]

    def sequential(self) -> list[s.Statement]:
        """`label: seq { … }`, with a loop or a condition in it."""
        statements: list[s.Statement] = []
        for _ in range(self.chance.choice([1, 2, 3])):
            statements.append(flow(link(self.same())))
            statements.append(flow(link(self.act())))
        if self.maybe(0.4):
            statements = [loop("i", call("range", self.chance.choice([1, 2, 3])), *statements)]
        if self.maybe(0.3):
            test = compare(name("width"), self.chance.choice(["<", ">=", "!="]), number(8))
            statements.append(condition(test, (flow(link(call("Dropout", self.rate))),), (flow(link("Identity")),)))
        return [flow(link(seq(*statements), self.label("layers")), *self.activation())]

    def growing(self) -> list[s.Statement]:
        """Channels that grow in a loop, with computed labels."""
        times, growth = self.chance.choice([1, 2, 3]), self.chance.choice([2, 4])
        stem = self.label("grow")
        if len(self.shape) == 3:
            step, axis = self.layer("Conv2d", self.size(growth), 3, padding=1), 1
            self.shape = (self.shape[0] + times * growth, *self.shape[1:])
        else:
            step, axis = self.layer("Linear", self.size(growth)), -1
            self.shape = (*self.shape[:-1], self.shape[-1] + times * growth)
        new = bind("new", link("_"), link(step, f"{stem}_{{i + 1}}"), *self.activation())
        return [
            loop("i", call("range", times), new, flow(link(call("cat", items(name("_"), name("new")), number(axis)))))
        ]

    def chosen(self) -> list[s.Statement]:
        """A condition that is decided when the network is built; both branches keep the shape."""
        test = compare(name("width"), self.chance.choice(["<", ">", "=="]), number(self.chance.choice([6, 8])))
        label = self.label("either")
        then = (flow(link(self.same(), label), *self.activation()),)
        otherwise = (flow(link(self.same(), label)),) if self.maybe() else ()
        return [condition(test, then, otherwise)]

    def arithmetic(self) -> list[s.Statement]:
        kind, here = self.chance.randrange(4), name("_")
        if kind == 0:
            return [flow(link(binary("+", binary("*", here, number(0.5)), call("tanh", "_"))))]
        if kind == 1 and self.shape[0] > 1 and len(self.shape) != 2:
            kept = self.chance.randint(1, self.shape[0] - 1)
            self.shape = (kept, *self.shape[1:])
            return [flow(link(index(here, until(None), until(self.size(kept)))))]
        if kind == 2:
            return [flow(link(call("clamp", min=-1.0, max=1.0)), link("relu"))]
        return [flow(link(binary("/", here, number(2.0))), *self.activation())]

    def flattened(self) -> list[s.Statement]:
        """From images to vectors or sequences."""
        channels, high, wide = self.shape
        if self.maybe(0.3):
            self.shape = (high * wide, channels)
            return [flow(link(call("flatten", 2)), link(call("transpose", 1, 2)))]
        if self.maybe(0.4) and channels * high * wide < 2000:
            self.shape = (channels * high * wide,)
            return [flow(link("Flatten"))]
        self.shape = (channels,)
        return [flow(link(self.layer("AdaptiveAvgPool2d", 1)), link(call("flatten", 1)))]

    # vectors and sequences

    def linear(self) -> list[s.Statement]:
        width = self.chance.choice([4, 8, 12, 16, self.sizes["width"]])
        links = [link(self.layer("Linear", self.size(width)), self.label("fc")), *self.activation()]
        self.shape = (*self.shape[:-1], width)
        if self.maybe(0.3):
            links.append(link(call("Dropout", self.rate)))
        return [flow(*links)]

    def norm(self) -> list[s.Statement]:
        if len(self.shape) == 1 and self.maybe():
            return [flow(link("BatchNorm1d", self.label("norm")), *self.activation())]
        return [flow(link("LayerNorm", self.label("norm")))]

    def gate(self) -> list[s.Statement]:
        if self.shape[-1] % 2:
            return self.linear()
        self.shape = (*self.shape[:-1], self.shape[-1] // 2)
        a, b = self.label("a"), self.label("b")
        apart = bind(f"{a}, {b}", link(call("chunk", "_", 2, number(-1))))
        return [apart, flow(link(binary("*", name(a), call("sigmoid", b))))]

    def declared(self) -> list[s.Statement]:
        """A layer that is applied twice."""
        label = self.label("again")
        size = self.shape[-1]
        node = s.Declare(ident(label), self.layer("Linear", self.size(size), in_features=self.size(size)), NOWHERE)
        return [node, flow(link("_"), link(label), *self.activation(), link(label))]

    def apart(self) -> list[s.Statement]:
        """From vectors to sequences."""
        size = self.shape[-1]
        parts = next((n for n in (4, 2, 3) if size % n == 0 and size > n), None)
        if parts is None:
            return self.linear()
        self.shape = (parts, size // parts)
        return [flow(link(call("unflatten", 1, items(parts, number(-1)))))]

    def attention(self) -> list[s.Statement]:
        heads = self.chance.choice([h for h in (1, 2, 4) if self.shape[-1] % h == 0])
        layer = self.layer("MultiheadAttention", heads, batch_first=True)
        if self.maybe():
            return [flow(link(layer, self.label("attend")))]
        new = self.label("a")
        normed = bind(new, link("_"), link("LayerNorm", self.label("norm")), link(layer, self.label("attend")))
        return [normed, flow(link(binary("+", name("_"), name(new))))]

    def recurrent(self) -> list[s.Statement]:
        hidden = self.chance.choice([4, 8, 16])
        self.shape = (self.shape[0], hidden)
        kind = self.chance.choice(["LSTM", "GRU"])
        return [flow(link(self.layer(kind, self.size(hidden), batch_first=True), self.label("rnn")))]

    def across(self) -> list[s.Statement]:
        """A convolution along the sequence."""
        width = self.chance.choice([4, 8, 16])
        self.shape = (self.shape[0], width)
        layer = self.layer("Conv1d", self.size(width), 3, padding=1)
        turn = link(call("transpose", 1, 2))
        return [flow(turn, link(layer, self.label("conv")), *self.activation(), turn)]

    def inline(self) -> list[s.Statement]:
        """A module that is written where it is used, with a buffer."""
        size = self.shape[-1]
        statements = (
            inputs("x", name("T"), name("D")),
            s.Buffer((), ident("scale"), call("full", items(name("D")), 0.5), NOWHERE),
            flow(link(binary("*", name("x"), name("scale"))), link(self.layer("Linear", self.size(size)), "project")),
        )
        return [flow(link(s.Inline(body(*statements), NOWHERE), self.label("inner")))]

    def pooled(self) -> list[s.Statement]:
        self.shape = (self.shape[-1],)
        return [flow(link(call("mean", 1)))]

    # --- modules -----------------------------------------------------------------------------------------------------

    def title(self, stem: str) -> str:
        self.labels += 1
        return f"{stem}{self.labels}"

    def module(self, stem: str, kind: str, use: str, params: list[s.Param], *statements: s.Statement) -> Made:
        title = self.title(stem)
        params = [*params, param("Act", name("ReLU"))]
        node = s.Module(ident(title), tuple(params), body(*statements), NOWHERE)
        return Made(title, kind, use, node)

    def residual_module(self) -> Made:
        here = name("C")
        out = [inputs("x", name("C"), name("H"), name("W"))]
        for i in range(self.chance.choice([1, 2])):
            out.append(
                flow(
                    link(call("Conv2d", here, 3, padding=1, bias=False), f"conv{i}"),
                    link("BatchNorm2d", f"bn{i}"),
                    link("Act"),
                )
            )
        out.append(flow(link(binary("+", name("_"), name("x")))))
        return self.module("Residual", "image", "keep", [], *out)

    def widen_module(self) -> Made:
        conv = call("Conv2d", "out", "kernel", padding=binary("//", name("kernel"), number(2)))
        params = [param("out"), param("kernel", number(3))]
        if self.maybe():
            inner = seq(flow(link(conv)), flow(link("BatchNorm2d")), flow(link("Act")))
            return self.module("Widen", "image", "widen", params, flow(link(inner)))
        skip = condition(
            compare(name("C"), "!=", name("out")),
            (bind("skip", link("x"), link(call("Conv2d", "out", 1), "match")),),
        )
        out = [inputs("x", name("C"), name("H"), name("W")), flow(link(conv, "conv")), bind("skip", link("x")), skip]
        return self.module(
            "Widen", "image", "widen", params, *out, flow(link(binary("+", name("_"), name("skip"))), link("Act"))
        )

    def grow_module(self) -> Made:
        new = bind("new", link("_"), link(call("Conv2d", "growth", 3, padding=1), "layer{i}"), link("Act"))
        turns = loop("i", call("range", "n"), new, flow(link(call("cat", items(name("_"), name("new")), 1))))
        return self.module("Grow", "image", "grow", [param("growth"), param("n", number(2))], turns)

    def squeeze_module(self) -> Made:
        few = call("max", binary("//", name("C"), number(4)), 1)
        gate = bind(
            "gate", link("x"), link(call("AdaptiveAvgPool2d", 1)), link(call("Conv2d", few, 1), "fc1"), link("Act"),
            link(call("Conv2d", "C", 1), "fc2"), link("Sigmoid"),
        )  # fmt: skip
        out = (inputs("x", name("C"), name("H"), name("W")), gate, flow(link(binary("*", name("x"), name("gate")))))
        return self.module("Squeeze", "image", "keep", [], *out)

    def perceptron_module(self) -> Made:
        out = (
            inputs("x", name("D")),
            flow(link(call("Linear", "hidden"), "fc1"), link("Act"), link(call("Linear", "D"), "fc2")),
            flow(link(binary("+", name("_"), name("x")))),
        )
        return self.module("Perceptron", "vector", "hidden", [param("hidden")], *out)

    def attention_module(self) -> Made:
        split = link(call("unflatten", number(-1), items(number(3), name("heads"), number(-1))))
        turns = [split, link(call("permute", 2, 0, 3, 1, 4)), link(call("unbind", 0))]
        attend = call("scaled_dot_product_attention", "q", "k", "v")
        out = (
            inputs("x", name("T"), name("D")),
            bind("q, k, v", link("x"), link(call("Linear", binary("*", number(3), name("D"))), "qkv"), *turns),
            flow(
                link(attend), link(call("transpose", 1, 2)), link(call("flatten", 2)), link(call("Linear", "D"), "out")
            ),
            flow(link(binary("+", name("_"), name("x"))), link("Act")),
        )
        return self.module("Attention", "sequence", "heads", [param("heads", number(1))], *out)


_MODULES = (
    Programs.residual_module,
    Programs.widen_module,
    Programs.grow_module,
    Programs.squeeze_module,
    Programs.perceptron_module,
    Programs.attention_module,
)
_ALL = (
    Programs.residual,
    Programs.branches,
    Programs.sequential,
    Programs.growing,
    Programs.chosen,
    Programs.arithmetic,
)
_STATEMENTS = {
    "image": (*_ALL, *([Programs.convolution] * 3), Programs.pool, Programs.flattened),
    "vector": (*_ALL, Programs.linear, Programs.norm, Programs.gate, Programs.declared, Programs.apart),
    "sequence": (
        *_ALL, Programs.linear, Programs.norm, Programs.attention, Programs.recurrent, Programs.across, Programs.inline,
        Programs.pooled,
    ),
}  # fmt: skip
