"""Records penalties and constraints of weights in `weights.npz`.

Arrays are named `keras/case/quantity`, with the cases of `cases.REGULARIZERS` and
`cases.CONSTRAINTS` and the weights of `recipe.constrained_weights()`, by name. `penalty/NAME` is a
regularizer's penalty of that weight, and `gradient/NAME` its gradient; `value/NAME` is the weight
under a constraint. Those that end in `_filters` see the filters only, the others only the kernel
and, along axis 0, the bias. PyTorch has constraints under one name: `torch/max_norm*/value/kernel`
is `torch.renorm` in float64, which adds its 1e-7 to long vectors alone.
`fingerprint` is `recipe.fingerprint` of the weights.

Run: python tests/oracles/record_weights.py
"""

import jax
import numpy as np
from cases import CONSTRAINTS, REGULARIZERS, constrained
from libraries import keras, report, save, torch
from recipe import constrained_weights, fingerprint


def penalties():
    """Returns every regularizer's penalty and gradient for every weight, by full name."""
    arrays = {}
    for case_name, case in REGULARIZERS.items():
        regularizer = getattr(keras.regularizers, case.kind)(**case.arguments)
        for name, weight in constrained_weights().items():
            value, gradient = jax.value_and_grad(regularizer)(jax.numpy.asarray(weight))
            arrays[f"keras/{case_name}/penalty/{name}"] = np.asarray(value)
            arrays[f"keras/{case_name}/gradient/{name}"] = np.asarray(gradient)
    return arrays


def values():
    """Returns every weight under every constraint, by full name."""
    arrays, weights = {}, constrained_weights()
    for case_name, case in CONSTRAINTS.items():
        constraint = getattr(keras.constraints, case.kind)(**case.arguments)
        for name in constrained(case_name):
            arrays[f"keras/{case_name}/value/{name}"] = np.asarray(constraint(weights[name]))
    for case_name, dimension in (("max_norm", 1), ("max_norm_rows", 0)):
        limit = CONSTRAINTS[case_name].arguments.get("max_value", 2.0)
        kernel = torch.from_numpy(weights["kernel"]).double()
        shortened = torch.renorm(kernel, 2, dimension, limit)
        arrays[f"torch/{case_name}/value/kernel"] = shortened.numpy()
    return arrays


def main():
    """Applies everything and writes the file."""
    arrays = {"fingerprint": fingerprint(list(constrained_weights().values()))}
    arrays |= penalties() | values()
    save("weights.npz", arrays)
    report(arrays)


if __name__ == "__main__":
    main()
