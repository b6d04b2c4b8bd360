"""The command line of the benchmarks.

`python -m benchmarks NAME` measures one claim, prints its tables and writes its record;
`python -m benchmarks table NAME` prints the tables of its last record as Markdown.
"""

import argparse
import difflib
import importlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from benchmarks import report

_NAMES = (
    *("blocks", "checkup", "depth", "doctor", "dropout", "gpu", "memory"),
    *("precision", "rates", "recipes", "runs", "start", "step", "telemetry", "watch"),
)
CLAIMS = {name: f"benchmarks.{name}" for name in _NAMES}
RESULTS = Path(__file__).parent / "results"


def _at_least_one(text: str) -> int:
    """Reads a whole number of at least 1, as argparse wants it."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} was given, expected a whole number >= 1")
    return number


def _parser() -> argparse.ArgumentParser:
    """What every claim takes; a claim may add options in a function `add_arguments`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", metavar="NAME", help=f"the claim: {', '.join(CLAIMS)}")
    parser.add_argument("--rounds", type=_at_least_one, default=5, help="rounds to take medians of")
    parser.add_argument(
        *("--batch-size", "--batch-sizes"),
        type=_at_least_one,
        nargs="+",
        default=[32, 256],
        dest="batch_sizes",
    )
    parser.add_argument(
        "--samples", type=_at_least_one, help="rows per epoch, for every batch size"
    )
    parser.add_argument("--peers", type=_names, help="comma-separated names; default: all")
    parser.add_argument("--out", type=Path, help="record file (benchmarks/results/NAME.json)")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _refuse(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(2)


def _check_name(name: str) -> None:
    """Refuses an unknown claim with the nearest valid name."""
    if name in CLAIMS:
        return
    near = difflib.get_close_matches(name, CLAIMS, n=1, cutoff=0.4)
    _refuse(
        f"python -m benchmarks: there is no claim named {name!r}; "
        f"the claims are: {', '.join(CLAIMS)}.\n"
        f"Type python -m benchmarks {near[0] if near else next(iter(CLAIMS))}"
    )


def _print_tables(name: str, record: Path | None) -> int:
    """Prints a record's tables as Markdown, as the pages quote them."""
    claim = importlib.import_module(CLAIMS[name])
    path = record or RESULTS / f"{name}.json"
    if not hasattr(claim, "tables"):
        _refuse(f"python -m benchmarks table {name}: only its run prints its table.\nRun it.")
    if not path.is_file():
        _refuse(f"python -m benchmarks table {name}: there is no record yet.\nRun it.")
    found = report.read(path)
    print(*(table.markdown() for table in claim.tables(found)), sep="\n\n")
    print(f"\n{report.provenance(found)}")
    return 0


def _table_command(arguments: Sequence[str]) -> int:
    """Runs `table NAME [--out RECORD]`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks table")
    parser.add_argument("name", metavar="NAME", help=f"the claim: {', '.join(CLAIMS)}")
    parser.add_argument("--out", type=Path, help="record file (benchmarks/results/NAME.json)")
    options = parser.parse_args(arguments)
    _check_name(options.name)
    return _print_tables(options.name, options.out)


def _end_on_terminate(signum: int, _frame: object) -> NoReturn:
    """Turns a termination into an exception, so that the workers are ended on the way out."""
    raise SystemExit(128 + signum)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status."""
    parser = _parser()
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] == "table":
        return _table_command(arguments[1:])
    name = arguments[0] if arguments and not arguments[0].startswith("-") else ""
    if name:
        _check_name(name)
        claim = importlib.import_module(CLAIMS[name])
        if hasattr(claim, "add_arguments"):
            claim.add_arguments(parser)
    options = vars(parser.parse_args(arguments))
    name = options.pop("name")
    options["out"] = options["out"] or RESULTS / f"{name}.json"
    signal.signal(signal.SIGTERM, _end_on_terminate)
    try:
        importlib.import_module(CLAIMS[name]).run(**options)
    except ValueError as error:
        _refuse(f"python -m benchmarks {name}: {error}")
    except KeyboardInterrupt:
        print("Interrupted: all workers ended, no record written.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
