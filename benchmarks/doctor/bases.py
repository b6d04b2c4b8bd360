"""Healthy programs that faults are put into: dense and convolutional, classes and numbers."""

from __future__ import annotations

from benchmarks.doctor import damages
from benchmarks.doctor.program import Program

_MOMENTUM = {"momentum": 0.9}

DIGITS = Program(data="digits", prepare="unit", epochs=15)
DIGITS_SGD = Program(
    data="digits", prepare="unit", optimizer="SGD", rate=0.02, settings=_MOMENTUM, epochs=15
)
DIGITS_CONV = Program(
    data="digits", convolutional=True, hidden=(16, 32), prepare="unit", rate=2e-3, epochs=10
)
DIGITS_DEEP = Program(data="digits", hidden=(32,) * 12, epochs=15)
DIGITS_SELU = Program(data="digits", hidden=(32,) * 15, activation="selu", rate=5e-4, epochs=15)
DIGITS_TANH = Program(data="digits", hidden=(64, 64), activation="tanh", epochs=15)
DIGITS_NORM = Program(data="digits", hidden=(64, 64), normalization=0.9, epochs=12)
FASHION = Program(data="fashion", hidden=(100, 50), prepare="unit", epochs=8)
FASHION_SGD = Program(
    data="fashion",
    hidden=(100, 50),
    prepare="unit",
    optimizer="SGD",
    rate=0.02,
    settings=_MOMENTUM,
    epochs=10,
)
FASHION_NORM = Program(
    data="fashion", hidden=(100, 50), prepare="unit", normalization=0.9, epochs=8
)
STRIPES = Program(data="stripes", convolutional=True, hidden=(8, 16), rate=2e-3, epochs=10)
IRIS = Program(data="iris", hidden=(16,), rate=0.01, batch_size=16, epochs=60)
WINE = Program(data="wine", hidden=(32,), rate=3e-3, batch_size=16, epochs=40)
WINE_SGD = Program(
    data="wine",
    hidden=(32,),
    optimizer="SGD",
    rate=0.02,
    settings=_MOMENTUM,
    batch_size=16,
    epochs=40,
)
CANCER = Program(data="cancer", hidden=(32, 16), epochs=20)
DIABETES = Program(data="diabetes", hidden=(16,), rate=5e-3, epochs=20)
HOUSES = Program(data="houses", hidden=(64, 32), epochs=15)
HOUSES_SGD = Program(
    data="houses", hidden=(64, 32), optimizer="SGD", rate=5e-3, settings=_MOMENTUM, epochs=15
)
CONCRETE = Program(data="concrete", hidden=(64, 32), rate=3e-3, epochs=40)
ENERGY = Program(data="energy", hidden=(64, 32), rate=3e-3, epochs=40)
YACHT = Program(data="yacht", hidden=(32, 32), rate=0.01, batch_size=16, epochs=60)
POWER = Program(data="power", hidden=(32, 32), rate=3e-3, epochs=12)
MOONS = Program(data="moons", hidden=(32, 32), rate=5e-3, epochs=30)
SPIRALS = Program(data="spirals", hidden=(64, 64), rate=5e-3, epochs=40)
FRIEDMAN = Program(data="friedman", hidden=(64, 32), rate=3e-3, epochs=30)
FRIEDMAN_SGD = Program(data="friedman", optimizer="SGD", rate=0.01, settings=_MOMENTUM, epochs=30)
TEACHER = Program(data="teacher", hidden=(64, 64), epochs=20)
MANY = Program(data="many", hidden=(64, 32), batch_size=128, epochs=6)
RARE = Program(data="rare", hidden=(64, 32), rate=3e-3, epochs=20)
SHORT_NORM = Program(
    data="digits",
    hidden=(64, 64),
    normalization=0.9,
    batch_size=64,
    epochs=3,
    rate=5e-3,
)
FEW_VALID = Program(
    data="fashion",
    hidden=(100, 50),
    prepare="unit",
    epochs=8,
    damage=damages.few_validation_rows(300),
)
