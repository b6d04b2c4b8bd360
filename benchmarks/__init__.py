"""Claims: of speed, each measured against its peers and its floor in one interleaved run.

One module per claim (`step.py`: microseconds per training step), run as `python -m benchmarks
NAME`. Each side of a comparison lives in its own process (`worker.py`), the harness tells them one
after another to work (`harness.py`), and the result is a table and a JSON record (`report.py`).
The sides themselves are in `peers/`, the lower bound in `floor.py`. The claim about the doctor's
judgement is a package, `doctor/`: programs with known faults, and healthy ones.
"""
