"""Records layers in `layers.npz`: what Keras makes of fixed inputs with fixed weights.

Arrays are named `keras/case/quantity`, with the cases of `cases.LAYERS` and the quantities

    output             in inference
    training_output    in training, for the deterministic layers that differ there
    moved_N            the N-th weight after that call, where it changed
    slope_N            the gradient of sum(output in training * direction) in the N-th input

Inputs, weights and directions are `recipe.layer_inputs`, `layer_weights`, `layer_direction`.
`fingerprint` is that of all inputs, in the order of the cases.

Run: python tests/oracles/record_layers.py
"""

import jax
import jax.numpy as jnp
import numpy as np
from cases import LAYERS
from libraries import keras, save
from recipe import fingerprint, layer_direction, layer_inputs, layer_weights


def record(kind, arguments, shapes):
    """Returns what Keras computes for one case, by quantity."""
    inputs = layer_inputs(shapes)
    layer = getattr(keras.layers, kind)(**arguments)
    layer(inputs)
    weights = layer_weights([weight.shape for weight in layer.weights])
    layer.set_weights(weights)
    arrays = {"output": np.asarray(layer(inputs))}
    trained = [weight.value for weight in layer.trainable_variables]
    others = [weight.value for weight in layer.non_trainable_variables]
    direction = layer_direction(arrays["output"].shape)
    keywords = {"training": True} if kind == "BatchNormalization" else {}

    def objective(batch):
        output, moved = layer.stateless_call(trained, others, batch, **keywords)
        return jnp.sum(output * direction), (output, moved)

    batch = jax.tree.map(jnp.asarray, inputs)
    slopes, (output, moved) = jax.grad(objective, has_aux=True)(batch)
    for n, slope in enumerate(jax.tree.leaves(slopes)):
        arrays[f"slope_{n}"] = np.asarray(slope)
    if keywords:
        arrays["training_output"] = np.asarray(output)
        for n, value in enumerate(moved):
            arrays[f"moved_{n}"] = np.asarray(value)
    return arrays


def main():
    """Records every case and writes the file."""
    inputs = [
        batch for *_, shapes in LAYERS.values() for batch in jax.tree.leaves(layer_inputs(shapes))
    ]
    arrays = {"fingerprint": fingerprint(inputs)}
    for name, (kind, arguments, shapes) in LAYERS.items():
        for quantity, value in record(kind, arguments, shapes).items():
            arrays[f"keras/{name}/{quantity}"] = value
    save("layers.npz", arrays)


if __name__ == "__main__":
    main()
