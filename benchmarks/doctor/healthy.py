"""The healthy programs, each with the score that it must reach to count as healthy.

Many are there to tempt a doctor: raw ReLU sparsity, frozen layers, converged runs, few validation
rows, rare classes, rows of zeros, standardized inputs with negative values.
"""

from __future__ import annotations

from benchmarks.doctor import bases as b
from benchmarks.doctor import damages as d
from benchmarks.doctor.cases import Case, healthy
from benchmarks.doctor.program import Program

_MOMENTUM = {"momentum": 0.9}


def _recipe(data: str, begin: str, reaches: float, epochs: int) -> Case:
    program = Program(data=data, begin=begin, prepare="raw", target_scale=None, epochs=epochs)
    return healthy(program, f"recipe {begin}", reaches)


BASES = (
    healthy(b.DIGITS, "dense, Adam", 0.9),
    healthy(b.DIGITS_SGD, "dense, SGD", 0.9),
    healthy(b.DIGITS_CONV, "convolutional", 0.9),
    healthy(b.DIGITS_DEEP, "12 layers of ReLU", 0.85),
    healthy(b.DIGITS_SELU, "15 layers of SELU", 0.85),
    healthy(b.DIGITS_TANH, "tanh", 0.9),
    healthy(b.DIGITS_NORM, "batch normalization", 0.9),
    healthy(b.FASHION, "dense, Adam", 0.77),
    healthy(b.FASHION_SGD, "dense, SGD", 0.75),
    healthy(b.FASHION_NORM, "batch normalization", 0.75),
    healthy(b.STRIPES, "convolutional", 0.9),
    healthy(b.IRIS, "dense", 0.85),
    healthy(b.WINE, "dense, Adam", 0.9),
    healthy(b.WINE_SGD, "dense, SGD", 0.9),
    healthy(b.CANCER, "dense", 0.9),
    healthy(b.DIABETES, "one small layer", 0.3),
    healthy(b.HOUSES, "dense, Adam", 0.6),
    healthy(b.HOUSES_SGD, "dense, SGD", 0.6),
    healthy(b.CONCRETE, "dense", 0.75),
    healthy(b.ENERGY, "dense", 0.9),
    healthy(b.YACHT, "dense", 0.9),
    healthy(b.POWER, "dense", 0.88),
    healthy(b.MOONS, "dense", 0.92),
    healthy(b.SPIRALS, "dense", 0.9),
    healthy(b.FRIEDMAN, "dense, Adam", 0.85),
    healthy(b.FRIEDMAN_SGD, "dense, SGD", 0.85),
    healthy(b.TEACHER, "dense", 0.7),
    healthy(b.MANY, "20,000 rows", 0.8),
    healthy(b.RARE, "a class of 5 %", 0.75),
    healthy(b.SHORT_NORM, "a short run with batch normalization", 0.85),
    healthy(b.FEW_VALID, "300 validation rows", 0.77),
)

RECIPES = (
    _recipe("digits", "default", 0.9, 15),
    _recipe("fashion", "default", 0.75, 8),
    _recipe("wine", "default", 0.85, 40),
    _recipe("houses", "default", 0.6, 15),
    _recipe("concrete", "default", 0.7, 40),
    _recipe("digits", "self_normalizing", 0.9, 15),
    _recipe("fashion", "self_normalizing", 0.75, 8),
    _recipe("power", "self_normalizing", 0.88, 15),
)

TEMPTING = (
    healthy(b.DIGITS, "converged before", 0.9, begin="trained", epochs=40),
    healthy(b.MOONS, "converged before", 0.92, begin="trained"),
    healthy(b.FRIEDMAN, "converged before", 0.85, begin="trained"),
    healthy(b.DIGITS, "transfer, frozen layers", 0.75, begin="transfer", rate=5e-3),
    healthy(b.FASHION, "transfer, frozen layers", 0.65, begin="transfer", rate=5e-3, epochs=15),
    healthy(b.TEACHER, "transfer, frozen layers", 0.5, begin="transfer", rate=5e-3),
    healthy(b.DIGITS, "sparse inputs", 0.85, damage=d.counts_of_words),
    healthy(b.FASHION, "sparse wide ReLU", 0.77, hidden=(300,), bias=-0.1),
    healthy(b.FASHION, "z-scored pixels", 0.75, prepare="standardize", rate=5e-4),
    healthy(b.TEACHER, "a tenth of the rows 0", 0.7, damage=d.zero_rows(0.1)),
    healthy(b.DIGITS, "40 validation rows", 0.9, damage=d.few_validation_rows(40)),
    healthy(b.HOUSES, "300 validation rows", 0.6, damage=d.few_validation_rows(300)),
    healthy(b.MOONS, "30 validation rows", 0.92, damage=d.few_validation_rows(30)),
    healthy(b.DIGITS, "a third of the labels wrong", 0.6, damage=d.pairs_lost(0.33), epochs=8),
    healthy(b.DIGITS, "validation_split of mixed rows", 0.88, splits=True),
    healthy(b.CONCRETE, "validation_split of mixed rows", 0.7, splits=True),
)

VARIED = (
    healthy(b.DIGITS, "rate 3x as high", 0.9, rate=3e-3),
    healthy(b.FASHION_SGD, "rate 2x as high", 0.75, rate=0.04),
    healthy(b.HOUSES, "rate 3x as high", 0.6, rate=3e-3),
    healthy(b.DIGITS, "ELU", 0.9, activation="elu"),
    healthy(b.FRIEDMAN, "ELU", 0.85, activation="elu"),
    healthy(b.TEACHER, "leaky ReLU", 0.72, activation="leaky_relu"),
    healthy(b.FASHION, "SiLU", 0.75, activation="silu"),
    healthy(b.MOONS, "tanh", 0.9, activation="tanh"),
    healthy(b.HOUSES, "SELU", 0.6, activation="selu"),
    healthy(b.IRIS, "one layer of sigmoid", 0.85, activation="sigmoid", rate=0.03),
    healthy(b.DIGITS, "dropout 0.2", 0.9, dropout=0.2, epochs=20),
    healthy(b.FASHION, "dropout 0.3", 0.73, dropout=0.3, epochs=12),
    healthy(b.CONCRETE, "SGD with momentum", 0.75, optimizer="SGD", rate=0.01, settings=_MOMENTUM),
    healthy(
        b.DIGITS_DEEP,
        "20 layers of ReLU, normalized",
        0.8,
        hidden=(32,) * 20,
        normalization=0.9,
    ),
    healthy(b.STRIPES, "convolutional, normalized", 0.9, normalization=0.9),
    healthy(b.CANCER, "batches of 8", 0.9, batch_size=8),
    healthy(b.MANY, "batches of 512", 0.75, batch_size=512, rate=3e-3),
    healthy(b.DIGITS, "RMSprop", 0.9, optimizer="RMSprop"),
    healthy(b.POWER, "Nadam", 0.88, optimizer="Nadam"),
    healthy(b.TEACHER, "AdamW", 0.7, optimizer="AdamW"),
    healthy(b.YACHT, "no hidden layer", 0.4, hidden=()),
    healthy(b.DIGITS, "no hidden layer", 0.85, hidden=(), rate=5e-3),
)

HEALTHY: tuple[Case, ...] = (*BASES, *RECIPES, *TEMPTING, *VARIED)
