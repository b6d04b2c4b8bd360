"""The command line. Heavy imports stay inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from evenkeel.settings import ADAPTATIONS, RECIPES, Settings

_DEFAULTS = Settings()


def _option(name: str, kind: Any, text: str) -> Any:
    """An option of the settings' name, type and default, which a recipe may choose."""
    default = getattr(_DEFAULTS, name)
    flag = "--" + name.replace("_", "-")
    shown = "the recipe's" if default is None else True
    return click.option(flag, type=kind, default=default, show_default=shown, help=text)


_TASK = click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="What is to be learned.  [default: seen from the targets]",
)
_TARGET = click.option("--target", help="The column of a CSV file that is to be predicted.")
_DROP = click.option("--drop", multiple=True, help="A column of it that is left out; repeatable.")
_RECIPE = _option("recipe", click.Choice(RECIPES), "Which recipe chooses what is not asked for.")
_ADAPT = click.option(
    "--adapt",
    type=click.Choice(ADAPTATIONS),
    multiple=True,
    help="What the recipe is adapted to; repeatable.",
)


class _Commands(click.Group):
    """Prints what evenkeel refuses, and exits with 2, instead of showing a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ValueError, OSError, ArithmeticError, RuntimeError) as error:
            if isinstance(error, click.ClickException) or not _is_ours(error):
                raise
            click.echo(f"evenkeel: {error}", err=True)
            ctx.exit(2)


def _is_ours(error: Exception) -> bool:
    from evenkeel.errors import EvenkeelError

    return isinstance(error, EvenkeelError | OSError)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="evenkeel")
def main() -> None:
    """Trains deep networks so that they train.

    \b
    evenkeel train                      the bundled digits, a minute at most
    evenkeel train fashion-mnist        60,000 pictures of clothes
    evenkeel train data.csv --target price
    evenkeel train mydata.npz           an NPZ file with x (rows, features) and y (rows,)
    evenkeel evaluate runs/digits       the saved model on its test rows
    evenkeel predict runs/digits new.npz
    evenkeel selftest                   whether this machine computes what is written
    evenkeel checkup mydata.npz         what is wrong, before anything is trained
    evenkeel repair net.safetensors mydata.npz
    evenkeel explain class-imbalance    what a finding means, and what helps
    """


@main.command()
@click.argument("data", default="digits")
@_TARGET
@_DROP
@_TASK
@_RECIPE
@_ADAPT
@_option("epochs", int, "The most epochs.")
@_option("batch_size", int, "Rows a step.")
@click.option(
    "--hidden", help="Units of each hidden layer, by commas: 300,100.  [default: the recipe's]"
)
@_option("activation", str, "The hidden layers' activation.")
@_option("dropout", float, "Fraction of hidden units dropped in training.")
@_option("optimizer", str, "nesterov, adamw, nadam, or another by its name.")
@_option("learning_rate", float, "The learning rate, the highest of a 1cycle.")
@_option("schedule", click.Choice(["1cycle", "performance"]), "How the rate changes.")
@_option("patience", int, "Epochs without a better validation loss before the run ends.")
@_option("validation_fraction", float, "Training rows kept for validation.")
@_option("precision", str, "Of products: float32, tensorfloat32 or bfloat16.")
@_option("seed", int, "Of everything random.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/DATA]")
@click.option("--force", is_flag=True, help="Write into --out even if it exists.")
@click.option("--quiet", is_flag=True, help="Print the result only.")
def train(data: str, task: Any, out: Path | None, force: bool, quiet: bool, **options: Any) -> None:
    """Trains a network and leaves a run folder.

    A recipe looks at the data and chooses the network and its training, and says why; what you ask
    for stands. A tenth of the training rows is kept for validation: it decides which epoch's
    weights are kept. The test rows are looked at once, at the end.

    \b
    evenkeel train
    evenkeel train fashion-mnist --epochs 10
    evenkeel train data.csv --target price --drop id
    evenkeel train mydata.npz --hidden 64,64 --out runs/mine
    """
    target, drop = options.pop("target"), options.pop("drop")
    settings = _settings(options)
    # The data is read while JAX is imported: neither needs the other, and both take their time.
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(_load_data, data, task, settings.seed, target, drop)
        from evenkeel import runs

        loaded = reading.result()
    folder = runs.free_folder(out, loaded.name, force)
    if quiet:
        result = runs.train(loaded, settings, folder, source=data, verbose=0)
    else:
        _introduce(loaded)
        result = runs.train(
            loaded, settings, folder, source=data, verbose=_verbose(), tell=click.echo
        )
    _conclude(result)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data", required=False)
def evaluate(run: Path, data: str | None) -> None:
    """Tests a run's saved model, on its own test rows or on those of DATA.

    \b
    evenkeel evaluate runs/digits
    """
    from evenkeel import runs

    click.echo(_scores(runs.evaluate(run, data)))


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="A .csv or .npz file.  [default: FILE's name with -predictions.csv]",
)
@click.option("--force", is_flag=True, help="Replace --out if it exists.")
def predict(run: Path, file: Path, out: Path | None, force: bool) -> None:
    """Applies a run's saved model to the rows of an NPZ or CSV file; with targets, scores it too.

    \b
    evenkeel predict runs/digits new.npz --out answers.csv
    evenkeel predict runs/data new.csv
    """
    from evenkeel import runs
    from evenkeel.errors import InvalidArgumentError, explain

    target = out or file.with_name(f"{file.stem}-predictions.csv")
    if target.suffix not in (".csv", ".npz"):
        raise InvalidArgumentError(
            explain(f"--out: got {target}.", "Give a name that ends in .csv or .npz.")
        )
    if target.exists() and not force:
        raise InvalidArgumentError(
            explain(f"{target} exists.", "Give another --out, or add --force to replace it.")
        )
    predictions = runs.predict(run, file)
    predictions.write(target)
    click.echo(f"{len(predictions.outputs)} rows written to {target}")
    if predictions.scores is not None:
        click.echo(_scores(predictions.scores))


@main.command()
@click.option("--quick", is_flag=True, help="Only what also runs by itself in a first training.")
def selftest(quick: bool) -> None:
    """Checks that this machine computes what is written.

    Small programs with known answers: what is compiled against NumPy, loops and single operations;
    gradients against differences; masks against chance. Each line says what was checked and what
    was found, and for a failure what it means and what to type. The exit status is 1 if one
    failed.

    \b
    evenkeel selftest
    """
    from evenkeel.canaries import once, report
    from evenkeel.canaries.machine import facts

    for name, text in facts().items():
        click.echo(f"{name}: {text}")
    click.echo()
    result = report.selftest(quick, tell=lambda finding: click.echo(report.text_of(finding)))
    once.remember([f.canary.name for f in result.failed if f.canary.quick])
    click.echo(f"\n{result.sentence}")
    if not result.is_well:
        sys.exit(1)


@main.command()
@click.argument("what", default="digits")
@_TARGET
@_DROP
@_TASK
@_RECIPE
@_ADAPT
@_option("batch_size", int, "Rows a step.")
@_option("epochs", int, "The epochs of the run to come.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page to this file, too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print plain data instead.")
@click.option(
    "--depth",
    type=click.Choice(["static", "init", "probe"]),
    default="static",
    show_default=True,
    help="How deep to look: at what is declared; at one pass; at short trainings of copies.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["fault", "warning", "note"]),
    default="warning",
    show_default=True,
    help="Exit with 1 from this severity on.",
)
def checkup(
    what: str, task: Any, html: Path | None, as_json: bool, depth: str, fail_on: str, **options: Any
) -> None:
    """Examines data and the network for it, or a run folder, and says what is wrong.

    \b
    evenkeel checkup mydata.npz         what 'evenkeel train mydata.npz' would train
    evenkeel checkup data.csv --target price
    evenkeel checkup runs/digits        a run's network on its data
    evenkeel checkup digits --depth probe
    """
    import json

    from evenkeel import runs

    target, drop = options.pop("target"), options.pop("drop")
    result = runs.checkup(what, task, _settings(options), depth, target, drop)
    if html is not None:
        result.to_html(html)
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
    else:
        from rich import print as show

        show(result)
    severities = ("fault", "warning", "note")
    counted = severities[: severities.index(fail_on) + 1]
    if any(finding.severity in counted for finding in result.diagnosis.all_findings):
        sys.exit(1)


@main.command()
@click.argument("model")
@click.argument("data", required=False)
@click.option("--budget", default=20_000, show_default=True, help="Training steps in all.")
@click.option("--seconds", type=float, help="Seconds in all.  [default: as long as it takes]")
@click.option("--seeds", default=3, show_default=True, help="Seeds of each network, at least 3.")
@click.option("--epochs", type=int, help="Epochs of each run.  [default: what the budget allows]")
@click.option("--batch-size", type=int, help="Rows a step.  [default: the run's, or 32]")
@click.option("--depth", default="static", show_default=True, help="How deep to look.")
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="What is to be learned.  [default: seen from y]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The first seed.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the repaired model here.  [default: MODEL's name with -repaired]",
)
@click.option("--force", is_flag=True, help="Replace --out if it exists.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page to this file, too.",
)
@click.option(
    "--code",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the code that gives the repaired model to this file, too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print plain data instead.")
def repair(
    model: str,
    data: str | None,
    task: Any,
    out: Path | None,
    force: bool,
    html: Path | None,
    code: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Treats what is wrong with MODEL, a model file or a run folder, and keeps what helps.

    Each remedy is an experiment on held-out rows of DATA, under several seeds. The model itself is
    left as it is; the repaired one is a file of its own. The exit status is 1 if something is
    wrong and nothing helped.

    \b
    evenkeel repair net.safetensors mydata.npz
    evenkeel repair runs/digits --budget 50000
    """
    import json

    from evenkeel import runs

    target = out or _repaired_name(Path(model))
    if target.exists() and not force:
        from evenkeel.errors import InvalidArgumentError
        from evenkeel.errors import explain as refusal

        raise InvalidArgumentError(
            refusal(f"{target} exists.", "Give another --out, or add --force to replace it.")
        )
    given = {name: value for name, value in settings.items() if value is not None}
    tell = None if as_json or not sys.stdout.isatty() else click.echo
    result = runs.repair(model, data, task, tell=tell, **given)
    if result.is_repaired:
        result.model.save(target)
    if html is not None:
        result.to_html(html)
    if code is not None:
        code.write_text(result.code, encoding="utf-8")
    if as_json:
        click.echo(json.dumps(result.to_dict(), indent=2))
    else:
        from rich import print as show

        show(result)
        if result.is_repaired:
            click.echo(f"The repaired model: {target}")
    is_sick = any(finding.severity != "note" for finding in result.findings)
    if is_sick and not result.is_repaired:
        sys.exit(1)


def _repaired_name(model: Path) -> Path:
    """Returns where a repaired model goes: into the run folder, or beside the model's file."""
    if model.is_dir():
        return model / "model-repaired.safetensors"
    return model.with_name(f"{model.stem}-repaired.safetensors")


@main.command()
@click.argument("code")
def explain(code: str) -> None:
    """Shows the page of a finding's CODE: what is measured, why it hurts, what helps.

    \b
    evenkeel explain inputs-not-standardized
    """
    from evenkeel import doctor

    click.echo(doctor.explain(code))


@main.command("datasets")
def list_datasets() -> None:
    """Lists the built-in data sets and whether they are at hand."""
    from evenkeel import datasets

    for entry in datasets.entries():
        state = "at hand" if entry.is_at_hand() else "to be downloaded"
        click.echo(f"{entry.name:15} {entry.description}  [{state}]")


def _load_data(*arguments: Any) -> Any:
    from evenkeel.datasets.sources import load_data

    return load_data(*arguments)


def _settings(options: dict[str, Any]) -> Settings:
    hidden = options.get("hidden")
    options["hidden"] = None if hidden is None else _units(hidden)
    return Settings(**options)


def _units(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise click.BadParameter(
            f"got {text!r}, expected numbers separated by commas, such as 300,100.",
            param_hint="--hidden",
        ) from None


def _verbose() -> int:
    return 1 if sys.stdout.isatty() else 2


def _introduce(data: Any) -> None:
    goal = f"{data.classes} classes" if data.classes else "regression"
    shape = " x ".join(str(n) for n in data.x_train.shape[1:])
    click.echo(
        f"{data.name}: {len(data.x_train):,} training rows of {shape}, {len(data.x_test):,} test "
        f"rows, {goal}."
    )


def _conclude(result: Any) -> None:
    from evenkeel.engine.outcome import Outcome

    if not result.outcome.is_well:
        click.echo(result.outcome.sentence, err=True)
    codes = [finding.code for finding in result.history.findings]
    if codes:
        click.echo(f"Found: {', '.join(codes)}; report.html in the run folder says more.")
    click.echo(f"Test: {_scores(result.test)}")
    click.echo(f"Run folder: {result.folder}")
    if result.outcome is Outcome.INTERRUPTED:
        sys.exit(130)
    if not result.outcome.is_well:
        sys.exit(1)


def _scores(scores: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
