"""The command line. Heavy imports stay inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from evenkeel.settings import Settings

_DEFAULTS = Settings()


def _option(name: str, kind: type, text: str) -> Any:
    """An option of the settings' name, type and default."""
    default = getattr(_DEFAULTS, name)
    flag = "--" + name.replace("_", "-")
    return click.option(flag, type=kind, default=default, show_default=True, help=text)


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
    evenkeel train mydata.npz           an NPZ file with x (rows, features) and y (rows,)
    evenkeel evaluate runs/digits       the saved model on its test rows
    evenkeel predict runs/digits new.npz
    evenkeel selftest                   whether this machine computes what is written
    evenkeel checkup mydata.npz         what is wrong, before anything is trained
    evenkeel explain class-imbalance    what a finding means, and what helps
    """


@main.command()
@click.argument("data", default="digits")
@_option("epochs", int, "The most epochs.")
@_option("batch_size", int, "Rows a step.")
@click.option(
    "--hidden",
    default=",".join(str(units) for units in _DEFAULTS.hidden),
    show_default=True,
    help="Units of each hidden layer, by commas.",
)
@_option("activation", str, "The hidden layers' activation.")
@_option("dropout", float, "Fraction of hidden units dropped in training.")
@_option("optimizer", str, "adam or sgd.")
@click.option("--learning-rate", type=float, help="The learning rate.  [default: the optimizer's]")
@_option("patience", int, "Epochs without a better validation loss before the run ends.")
@_option("validation_fraction", float, "Training rows kept for validation.")
@_option("precision", str, "Of products: float32, tensorfloat32 or bfloat16.")
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="What is to be learned.  [default: seen from y]",
)
@_option("seed", int, "Of everything random.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/DATA]")
@click.option("--force", is_flag=True, help="Write into --out even if it exists.")
@click.option("--quiet", is_flag=True, help="Print the result only.")
def train(data: str, task: Any, out: Path | None, force: bool, quiet: bool, **options: Any) -> None:
    """Trains a network and leaves a run folder.

    A tenth of the training rows is kept for validation: it decides when to stop and which epoch's
    weights are kept. The test rows are looked at once, at the end.

    \b
    evenkeel train
    evenkeel train fashion-mnist --epochs 10
    evenkeel train mydata.npz --hidden 64,64 --out runs/mine
    """
    options["hidden"] = _units(options["hidden"])
    settings = Settings(**options)
    # The data is read while JAX is imported: neither needs the other, and both take their time.
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(_load_data, data, task, settings.seed)
        from evenkeel import runs

        loaded = reading.result()
    folder = runs.free_folder(out, loaded.name, force)
    if not quiet:
        _introduce(loaded, settings)
    result = runs.train(loaded, settings, folder, source=data, verbose=0 if quiet else _verbose())
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
    """Applies a run's saved model to the x of an NPZ file; with y in it, scores it too.

    \b
    evenkeel predict runs/digits new.npz --out answers.csv
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
@_option("batch_size", int, "Rows a step.")
@_option("epochs", int, "The epochs of the run to come.")
@click.option(
    "--task",
    type=click.Choice(["classification", "regression"]),
    help="What is to be learned.  [default: seen from y]",
)
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
    evenkeel checkup runs/digits        a run's network on its data
    evenkeel checkup digits --depth probe
    """
    import json

    from evenkeel import runs

    result = runs.checkup(what, task, Settings(**options), depth)
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


def _load_data(source: str, task: Any, seed: int) -> Any:
    from evenkeel.datasets.sources import load_data

    return load_data(source, task, seed)


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


def _introduce(data: Any, settings: Any) -> None:
    goal = f"{data.classes} classes" if data.classes else "regression"
    shape = " x ".join(str(n) for n in data.x_train.shape[1:])
    click.echo(
        f"{data.name}: {len(data.x_train):,} training rows of {shape}, {len(data.x_test):,} test "
        f"rows, {goal}."
    )
    hidden = "-".join(str(units) for units in settings.hidden)
    click.echo(
        f"Network: {hidden} {settings.activation}, dropout {settings.dropout:g}, "
        f"{settings.optimizer}, at most {settings.epochs} epochs of batches of "
        f"{settings.batch_size}."
    )


def _conclude(result: Any) -> None:
    from evenkeel.engine.outcome import Outcome

    if not result.outcome.is_well:
        click.echo(result.outcome.sentence, err=True)
    click.echo(f"Test: {_scores(result.test)}")
    click.echo(f"Run folder: {result.folder}")
    if result.outcome is Outcome.INTERRUPTED:
        sys.exit(130)
    if not result.outcome.is_well:
        sys.exit(1)


def _scores(scores: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
