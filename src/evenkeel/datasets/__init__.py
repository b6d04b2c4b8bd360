"""Data sets for trying things out, and files of one's own.

`load("digits")` gives a `Dataset` with a training and a test part; `fashion_mnist.load_data()`
gives the four arrays, as Keras has it.
"""

from evenkeel.datasets import digits, fashion_mnist
from evenkeel.datasets.registry import Dataset, entries, load
from evenkeel.datasets.tables import read_npz

__all__ = ["Dataset", "digits", "entries", "fashion_mnist", "load", "read_npz"]
