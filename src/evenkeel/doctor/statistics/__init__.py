"""Numbers by name: what rules read. A new one costs one function, and is computed only if asked.

A function's parameters are the names of the numbers that it needs; the patient's own attributes
are numbers, too. What cannot be had raises `Missing` with the reason, and rules that need it cannot
tell. Large data is read by a sample of rows, which is stated wherever it is used.
"""

from __future__ import annotations

from evenkeel.doctor.statistics import curves, probe
from evenkeel.doctor.statistics.base import STATISTICS, Missing, Numbers, statistic
from evenkeel.doctor.statistics.inputs import Arriving, InputMoments, NotFinite, sample_of
from evenkeel.doctor.statistics.signal import Flow, Units
from evenkeel.doctor.statistics.structure import Depth
from evenkeel.doctor.statistics.targets import HeadTargets

__all__ = [
    "STATISTICS",
    "Arriving",
    "Depth",
    "Flow",
    "HeadTargets",
    "InputMoments",
    "Missing",
    "NotFinite",
    "Numbers",
    "Units",
    "curves",
    "probe",
    "sample_of",
    "statistic",
]
