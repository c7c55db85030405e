"""Names of torch that netc knows and does not build as layers, each with the reason and the way out.

In: nothing. Out: `REASONS`, name -> one line for the user, fit to follow "`Name` is not a layer of netc: ".
Guarantees: no name here has a rule.
Leaves to others: losses, which the catalog has in a kind of its own.
"""

from __future__ import annotations

_INFERRED = "netc infers input sizes by itself; write `{}`"
_LAZY = (
    *(f"{kind}{n}d" for kind in ("BatchNorm", "Conv", "ConvTranspose", "InstanceNorm") for n in (1, 2, 3)),
    "Linear",
)
_LIST = "netc registers layers by their labels; write them as steps, in a `seq { … }` or in a `for` loop"
_PARAMETERS = "netc registers parameters by their names; write `param name[…] = …`"

REASONS: dict[str, str] = {
    **{f"Lazy{name}": _INFERRED.format(name) for name in _LAZY},
    "AdaptiveLogSoftmaxWithLoss": "it is a layer and a loss in one, which gives no value without the labels; "
    "write a `Linear` and name `CrossEntropyLoss` in the `train` section",
    "Container": "torch has retired it; write a `seq { … }` or a `module`",
    "DataParallel": "it is about running and not about the network; name `parallel` in the `train` section",
    "LinearCrossEntropyOptions": "it holds options of a loss and computes nothing",
    "Module": "it is the base of all layers; write a `module` of your own",
    "ModuleDict": _LIST,
    "ModuleList": _LIST,
    "NLLLoss2d": "torch has retired it; name `NLLLoss` in the `train` section",
    "ParameterDict": _PARAMETERS,
    "ParameterList": _PARAMETERS,
    "RNNBase": "it is the base of the recurrent layers; write `RNN`, `LSTM` or `GRU`",
    "RNNCellBase": "it is the base of the recurrent cells; write `RNNCell`, `LSTMCell` or `GRUCell`",
    "FeaturePyramidNetwork": "it takes a dictionary of images; write a `module` with an input for each of them",
    "MultiScaleRoIAlign": "it takes a dictionary of images; apply a `RoIAlign` to each of them",
    "Sequential": "write `seq { … }`",
}
