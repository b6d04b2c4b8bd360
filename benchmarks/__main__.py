"""The command `python -m benchmarks NAME`: measure one claim, print its table, write its record."""

import argparse
import difflib
import importlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

CLAIMS = {name: f"benchmarks.{name}" for name in ("blocks", "dropout", "rates", "runs", "step")}
RESULTS = Path(__file__).parent / "results"


def _at_least_one(text: str) -> int:
    """Reads a whole number of at least 1, as argparse wants it."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} was given, expected a whole number >= 1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", metavar="NAME", help=f"the claim: {', '.join(CLAIMS)}")
    parser.add_argument("--rounds", type=_at_least_one, default=5, help="rounds to take medians of")
    parser.add_argument("--batch-size", type=_at_least_one, nargs="+", default=[32, 256])
    parser.add_argument(
        "--samples", type=_at_least_one, help="rows per epoch, for every batch size"
    )
    parser.add_argument("--peers", help="comma-separated names; default: all")
    parser.add_argument("--out", type=Path, help="record file (benchmarks/results/NAME.json)")
    return parser


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


def _end_on_terminate(signum: int, _frame: object) -> NoReturn:
    """Turns a termination into an exception, so that the workers are ended on the way out."""
    raise SystemExit(128 + signum)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status."""
    options = _parser().parse_args(arguments)
    _check_name(options.name)
    signal.signal(signal.SIGTERM, _end_on_terminate)
    claim = importlib.import_module(CLAIMS[options.name])
    try:
        claim.run(
            rounds=options.rounds,
            batch_sizes=options.batch_size,
            samples=options.samples,
            peers=options.peers.split(",") if options.peers else None,
            out=options.out or RESULTS / f"{options.name}.json",
        )
    except ValueError as error:
        _refuse(f"python -m benchmarks {options.name}: {error}")
    except KeyboardInterrupt:
        print("Interrupted: all workers ended, no record written.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
