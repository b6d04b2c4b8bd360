"""Records sample statistics of initializers in `initializers.json`.

The file maps `versions`, then library, initializer (`cases.INITIALIZERS`) and shape ("784,300")
to `draws`, `mean`, `variance`, `minimum` and `maximum` over at least 200 000 draws: as many arrays
of that shape, seeded 0, 1, 2, ..., as it takes. Shapes are Keras's, (inputs, units) and (height,
width, channels, filters); PyTorch gets them reversed, so that the fans are the same.

What PyTorch has under another name: `lecun_*` is `kaiming_*` with gain 1, `variance_scaling`
(scale 2, fan_avg, uniform) is `xavier_uniform` with gain sqrt(2), and the others of that kind are
`kaiming_normal` with the gain that gives their scale (none gives 3). Its normal initializers are
not truncated: the variance is Keras's, minimum and maximum are not.

Run: python tests/oracles/record_initializers.py
"""

import json
from functools import partial
from itertools import count

import numpy as np
from cases import INITIALIZER_SHAPES, INITIALIZERS
from libraries import FOLDER, keras, torch, versions
from torch.nn import init

DRAWS = 200_000

TORCH_INITIALIZERS = {
    "glorot_normal": init.xavier_normal_,
    "glorot_uniform": init.xavier_uniform_,
    "lecun_normal": partial(init.kaiming_normal_, nonlinearity="linear"),
    "lecun_uniform": partial(init.kaiming_uniform_, nonlinearity="linear"),
    "he_normal": partial(init.kaiming_normal_, nonlinearity="relu"),
    "he_uniform": partial(init.kaiming_uniform_, nonlinearity="relu"),
    "variance_scaling": partial(init.xavier_uniform_, gain=2**0.5),
    "variance_scaling_defaults": partial(init.kaiming_normal_, nonlinearity="linear"),
    # A leaky ReLU of slope sqrt(3) has gain sqrt(2 / (1 + 3)), and no slope has gain sqrt(3).
    "variance_scaling_fan_out": partial(
        init.kaiming_normal_, a=3**0.5, mode="fan_out", nonlinearity="leaky_relu"
    ),
    "random_normal": partial(init.normal_, std=0.05),
    "random_normal_moved": partial(init.normal_, mean=1.0, std=0.5),
    "random_uniform": partial(init.uniform_, a=-0.05, b=0.05),
    "random_uniform_moved": partial(init.uniform_, a=-1.0, b=3.0),
    "truncated_normal": partial(init.trunc_normal_, std=0.05, a=-0.1, b=0.1),
    "truncated_normal_moved": partial(init.trunc_normal_, mean=1.0, std=0.5, a=0.0, b=2.0),
    "orthogonal": init.orthogonal_,
    "orthogonal_gain": partial(init.orthogonal_, gain=2.0),
}


def keras_array(name, shape, seed):
    """Returns one array drawn by Keras."""
    case = INITIALIZERS[name]
    initializer = getattr(keras.initializers, case.kind)(seed=seed, **case.arguments)
    return np.asarray(initializer(shape))


def torch_array(name, shape, seed):
    """Returns one array drawn by PyTorch; its order of axes is the reverse of Keras's."""
    generator = torch.Generator().manual_seed(seed)
    return TORCH_INITIALIZERS[name](torch.empty(shape[::-1]), generator=generator).numpy()


def statistics(draw, name, shape):
    """Returns the statistics of enough arrays of one shape, in double precision."""
    arrays = []
    for seed in count():
        arrays.append(draw(name, shape, seed).ravel().astype(np.float64))
        if len(arrays) * arrays[0].size >= DRAWS:
            break
    values = np.concatenate(arrays)
    return {
        "draws": values.size,
        "mean": values.mean(),
        "variance": values.var(),
        "minimum": values.min(),
        "maximum": values.max(),
    }


def by_name_and_shape(draw, names):
    """Returns the statistics of the named initializers for every shape."""
    return {
        name: {
            ",".join(map(str, shape)): statistics(draw, name, shape) for shape in INITIALIZER_SHAPES
        }
        for name in names
    }


def report(record):
    """Prints the ratio of the two libraries' variances."""
    for name, shapes in record["torch"].items():
        for shape, found in shapes.items():
            ratio = found["variance"] / record["keras"][name][shape]["variance"]
            print(f"{f'torch/{name}/{shape}':60} {ratio:.4f}")


def main():
    """Draws everything and writes the file."""
    record = {
        "versions": versions(),
        "keras": by_name_and_shape(keras_array, INITIALIZERS),
        "torch": by_name_and_shape(torch_array, TORCH_INITIALIZERS),
    }
    (FOLDER / "initializers.json").write_text(json.dumps(record, indent=2) + "\n")
    report(record)


if __name__ == "__main__":
    main()
