"""The commands that use a trained network: eval, predict, export.

They run the functions of the script that `build` writes. torch is imported when they need it, and not before all else
is checked.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netc import __version__, compiler, ir
from netc.backends.onnx_support import unexportable
from netc.catalog.data_fields import targets
from netc.cli import (
    analysed,
    cli,
    device_option,
    file_argument,
    network_option,
    no_use_option,
    quiet_option,
    set_option,
    verbose_option,
    weights_option,
)
from netc.cli_scripts import chosen_weights, look_for_data, program_errors, refuse, script_of
from netc.files import find_program
from netc.render import visible
from netc.runtime.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from netc.runtime.prediction import Prediction
    from netc.runtime.rows import RowPrediction


# --- eval and predict -------------------------------------------------------------------------------------------------


@cli.command(name="eval")
@file_argument
@weights_option
@device_option
@click.option("--on", "part", metavar="PART", help="train, validation or test; by default the last that there is.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@set_option
@no_use_option
@verbose_option
def evaluate(
    file: str | None, weights: str | None, device: str, part: str | None, as_json: bool, settings: dict[str, str]
) -> None:
    """Evaluate: loss, accuracy, each class, and what is taken for what.

    \b
    Examples:
      netc eval lenet.net
      netc eval lenet.net --weights runs/lenet/001/last.pt --on validation
    """
    path = find_program(file)
    program, text = analysed(path, settings)
    chosen = chosen_weights(weights, path.stem)
    look_for_data(program, text, path)
    with program_errors(program, text, path):
        from netc.runtime.evaluation import evaluate as run

        result = run(script_of(program, path), chosen, device, part)
    from netc.tables import evaluation_data, evaluation_text

    if as_json:
        click.echo(json.dumps({"weights": str(chosen), **evaluation_data(result)}, indent=2))
    else:
        click.echo(visible(evaluation_text(result, str(chosen))))


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="[FILE] INPUT...")
@weights_option
@device_option
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="How many classes to print.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@set_option
@no_use_option
@verbose_option
def predict(
    files: tuple[str, ...], weights: str | None, device: str, top: int, as_json: bool, settings: dict[str, str]
) -> None:
    """Classify pictures with the declared transform, or predict the rows of a CSV file.

    \b
    Examples:
      netc predict lenet.net three.png
      netc predict three.png four.jpg --top 1 --json
      netc predict iris.net flowers.csv
    """
    program_file = files[0] if files[0].endswith(".net") else None
    pictures = files[1:] if program_file else files
    if not pictures:
        raise click.UsageError("name at least one picture or table, as in `netc predict lenet.net three.png`")
    path = find_program(program_file)
    program, text = analysed(path, settings)
    chosen = chosen_weights(weights, path.stem)
    with program_errors(program, text, path):
        from netc.runtime.prediction import predict as run

        script = script_of(program, path)
        assert program.data is not None
        if program.data.kind == "table":
            from netc.runtime.rows import predict_rows

            rows = predict_rows(script, chosen, pictures, device)
            click.echo(_rows_json(rows) if as_json else visible(_rows_text(rows)))
            return
        if program.data.kind:
            raise UserError("`netc predict` takes pictures and tables, and this network takes samples of another kind",
                            help="use the functions of train.py: `predict(model, samples)`")  # fmt: skip
        found = run(script, program.data, chosen, pictures, device, top)
    click.echo(_predictions_json(found) if as_json else visible(_predictions_text(found)))


def _rows_json(rows: list[RowPrediction]) -> str:
    return json.dumps([{"path": r.path, "line": r.line, **r.values} for r in rows], indent=2)


def _rows_text(rows: list[RowPrediction]) -> str:
    """A table of its own: a line for each row, behind it what is predicted."""
    import csv
    import io

    several = len({row.path for row in rows}) > 1
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*["path"] * several, "line", *rows[0].values])
    for row in rows:
        values = (f"{value:.6g}" if isinstance(value, float) else value for value in row.values.values())
        writer.writerow([*[row.path] * several, row.line, *values])
    return text.getvalue().rstrip("\n")


def _predictions_json(found: list[Prediction]) -> str:
    measure = {"classes": "probability", "labels": "probability", "numbers": "value"}
    data = [{"path": p.path, p.kind: [{"name": n, measure[p.kind]: v} for n, v in p.classes]} for p in found]
    return json.dumps(data, indent=2)


def _predictions_text(found: list[Prediction]) -> str:
    width = max(len(name) for p in found for name, _ in p.classes)
    lines = []
    for prediction in found:
        lines.append(prediction.path)
        if prediction.kind == "numbers":
            lines += [f"  {name:{width}}  {value:.6g}" for name, value in prediction.classes]
            continue
        lines += [
            f"  {name:{width}}  {value:7.2%}  {'#' * round(30 * value)}".rstrip() for name, value in prediction.classes
        ]
    return "\n".join(lines)


# --- export -----------------------------------------------------------------------------------------------------------


@cli.command()
@file_argument
@click.option("--onnx", is_flag=True, help="Write ONNX, the one format there is.")
@weights_option
@click.option("--untrained", is_flag=True, help="Export fresh weights, where nothing has been trained.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, min_open=True),
    default=1e-4,
    show_default=True,
    help="The greatest absolute difference allowed between the module and ONNX Runtime.",
)
@click.option("-o", "--output", type=click.Path(), metavar="FILE", help="The file to write.  [default: STEM.onnx]")
@network_option
@set_option
@no_use_option
@quiet_option
@verbose_option
def export(
    file: str | None,
    onnx: bool,
    weights: str | None,
    untrained: bool,
    tolerance: float,
    output: str | None,
    network: str | None,
    settings: dict[str, str],
    quiet: bool,
) -> None:
    """Export to ONNX, and compare what ONNX Runtime computes with the module.

    \b
    Examples:
      netc export --onnx
      netc export --onnx lenet.net --weights runs/lenet/001/best.pt -o digits.onnx
    """
    if not onnx:
        raise click.UsageError("say which format to write: --onnx")
    path = find_program(file)
    program, text = analysed(path, settings)
    chosen = _exported_network(program, network, path)
    refuse(unexportable(chosen), text, path)
    source = None if untrained else chosen_weights(weights, path.stem)
    target = Path(output) if output is not None else Path(f"{path.stem}.onnx")
    with program_errors(program, text, path):
        module, checkpoint = _trained(program, chosen, source, path)
        from netc.backends.onnx import export as write

        report = write(
            module,
            chosen.inputs,
            _result_names(chosen),
            target,
            _metadata(program, chosen, checkpoint),
            tolerance,
            integer_range=dict(chosen.looked_up),
        )
    if not quiet:
        from netc.tables import export_text

        click.echo(visible(export_text(report, str(source) if source else "fresh weights")))


def _exported_network(program: ir.Program, name: str | None, path: Path) -> ir.Network:
    names = [n.name for n in program.networks]
    if name is None and program.trained is not None:
        return program.trained
    if name is None and len(names) == 1:
        return program.networks[0]
    if name not in names:
        said = f"there is no network `{name}` in {path}" if name else f"`{path}` has several networks"
        raise UserError(said, help=f"name one with --network: {', '.join(names)}")
    return program.networks[names.index(name)]


def _trained(
    program: ir.Program, network: ir.Network, weights: Path | None, path: Path
) -> tuple[nn.Module, dict[str, Any]]:
    """The module with its weights, and what the checkpoint holds."""
    from netc.api import execute
    from netc.runtime.script import fit, form_only, read_checkpoint, weights_of

    checkpoint = {} if weights is None else read_checkpoint(weights)
    files = compiler.emit(program)
    generated = execute(files.model, path.stem, [source for source, _ in files.shipped])
    with form_only("" if weights is None else files.model):
        module: nn.Module = getattr(generated, network.name)()
    if weights is not None:
        state = weights_of(checkpoint)
        fit(module, state, weights, checkpoint)
        module.load_state_dict(state)
    return module.eval(), checkpoint


def _result_names(network: ir.Network) -> tuple[str, ...]:
    """What the results of evaluation are called in the exported file."""
    names = [o.name for o in network.outputs if not o.training]
    if len(names) == 1:
        names = [names[0] if names[0] and not names[0].isdigit() else "output"]
    names = [f"output{n}" if n.isdigit() else n for n in names]
    taken = {i.name for i in network.inputs}
    return tuple(f"{n}_output" if n in taken else n for n in names)


def _metadata(program: ir.Program, network: ir.Network, checkpoint: dict[str, Any]) -> dict[str, str]:
    """What the file says of itself: the network, its classes, and how its input is prepared."""
    data = program.data if program.trained is network else None
    steps = (
        [] if data is None else [{"name": c.name, **{n: a.value for n, a in c.args.items()}} for c in data.transform]
    )
    found = {"producer": f"netc {__version__}", "network": network.name, "preprocessing": json.dumps(steps)}
    for key, kind in (("classes", list), ("encoding", dict)):
        if isinstance(checkpoint.get(key), kind):
            found[key] = json.dumps(checkpoint[key])
    if data is not None and data.kind == "table":
        found["targets"] = json.dumps(targets({p.name: data.train.get(p.name) for p in data.train.entry.params},
                                              data.train.name))  # fmt: skip
    return found
