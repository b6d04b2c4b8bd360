"""Records layers, their gradients and their updates in `layers.npz`.

Arrays are named `library/case/mode/quantity`, with the cases of `cases.LAYERS`, the inputs
`recipe.layer_inputs` and the weights `recipe.layer_weights`. The mode is `inference`, and for the
kinds of `cases.MODAL_LAYERS` also `training`. Quantities:

    output             of the batch
    input_gradient_0   ... of sum(output * c), c = `recipe.cotangent`, with respect to each
                       input; not for integer inputs
    weight_gradient_0  ... of the same with respect to each trainable weight, in their order
    updated_0          ... each weight that is not trained, after the batch; in training only

Libraries: `keras` in float32; `torch` in float64, from the same numbers with channels first, where
it has the same thing. Its unequal padding at the two sides of an image ("same" with strides) is
done by hand, and with it averages would count zeros, so pooled averages are recorded for `valid`
alone. Its batch normalization updates with the unbiased variance, n / (n - 1) times Keras's.
`fingerprint` is `recipe.fingerprint` of the inputs in the order of the cases.

Run: python tests/oracles/record_layers.py
"""

import jax
import numpy as np
from cases import LAYERS, MODAL_LAYERS
from libraries import keras, report, save, torch
from recipe import cotangent, fingerprint, layer_inputs, layer_weights
from torch.nn import functional


def modes(case):
    """Returns the modes in which a case is recorded."""
    return ("inference", "training") if case.kind in MODAL_LAYERS else ("inference",)


def keras_layer(case):
    """Returns Keras's layer with the recipe's weights."""
    layer = getattr(keras.layers, case.kind)(**case.arguments)
    layer.build([case.shape, *case.more_shapes] if case.more_shapes else case.shape)
    layer.set_weights(layer_weights([weight.shape for weight in layer.get_weights()]))
    return layer


def keras_quantities(case, mode):
    """Returns what Keras's layer gives in a mode, by quantity."""
    layer, inputs = keras_layer(case), layer_inputs(case)
    trained = [variable.value for variable in layer.trainable_variables]
    others = [variable.value for variable in layer.non_trainable_variables]
    asked = {"training": mode == "training"} if case.kind in MODAL_LAYERS else {}
    floats = inputs if inputs[0].dtype == np.float32 else []

    def function(trained, floats):
        given = floats or inputs
        return layer.stateless_call(
            trained, others, given if case.more_shapes else given[0], **asked
        )

    output, pull_back, updated = jax.vjp(function, trained, floats, has_aux=True)
    weight_gradients, input_gradients = pull_back(cotangent(output.shape))
    return quantities(output, input_gradients, weight_gradients, updated, mode)


def quantities(output, input_gradients, weight_gradients, updated, mode):
    """Returns the recorded arrays by quantity."""
    families = {"input_gradient": input_gradients, "weight_gradient": weight_gradients}
    families |= {"updated": updated} if mode == "training" else {}
    arrays = {f"{family}_{n}": a for family, these in families.items() for n, a in enumerate(these)}
    return {name: np.asarray(array) for name, array in ({"output": output} | arrays).items()}


def channels_first(images):
    """Returns images (batch, height, width, channels) as PyTorch wants them."""
    return images.permute(0, 3, 1, 2)


def channels_last(images):
    """Returns PyTorch's images as Keras has them."""
    return images.permute(0, 2, 3, 1)


def pair(number):
    """Returns an argument that may be one number for both directions as a pair."""
    return (number, number) if isinstance(number, int) else tuple(number)


def padded_to_same(images, window, strides, dilation, value):
    """Returns channel-first images padded so that `valid` gives what Keras's `same` gives."""
    sides = []
    for axis in (1, 0):  # PyTorch pads the last axis first
        size = images.shape[2 + axis]
        reach = (window[axis] - 1) * dilation[axis] + 1
        whole = max((-(-size // strides[axis]) - 1) * strides[axis] + reach - size, 0)
        sides += [whole // 2, whole - whole // 2]
    return functional.pad(images, sides, value=value)


def torch_batch_norm(words, inputs, weights, training, shape):
    """Returns PyTorch's batch normalization, and the statistics after it."""
    weights = list(weights)
    gamma = weights.pop(0) if words.get("scale", True) else None
    beta = weights.pop(0) if words.get("center", True) else None
    mean, variance = (weight.detach().clone() for weight in weights)
    axis = words.get("axis", -1) % len(shape)
    outputs = functional.batch_norm(
        inputs.movedim(axis, 1),
        mean,
        variance,
        gamma,
        beta,
        training,
        1 - words.get("momentum", 0.99),
        words.get("epsilon", 1e-3),
    )
    rows = np.prod(shape) / shape[axis]
    momentum = words.get("momentum", 0.99)
    # The running variance as it would be with the biased variance of the batch.
    kept = momentum * weights[1].detach()
    return outputs.movedim(1, axis), [mean, kept + (variance - kept) * (rows - 1) / rows]


def torch_conv(words, inputs, weights):
    """Returns PyTorch's convolution; kernels are (height, width, channels, filters) here."""
    kernel, bias = weights[0].permute(3, 2, 0, 1), weights[1] if len(weights) == 2 else None
    strides, dilation = pair(words.get("strides", 1)), pair(words.get("dilation_rate", 1))
    images = channels_first(inputs)
    if words.get("padding") == "same":
        images = padded_to_same(images, kernel.shape[2:], strides, dilation, 0.0)
    groups = words.get("groups", 1)
    outputs = functional.conv2d(images, kernel, bias, strides, 0, dilation, groups)
    outputs = torch.tanh(outputs) if words.get("activation") == "tanh" else outputs
    return channels_last(outputs)


def torch_pool(kind, words, inputs):
    """Returns PyTorch's pooling, or None for averages beside a padding."""
    window = pair(words.get("pool_size", 2))
    strides = pair(words.get("strides", window))
    images = channels_first(inputs)
    if words.get("padding") == "same":
        if kind == "AveragePooling2D":
            return None
        images = padded_to_same(images, window, strides, (1, 1), -torch.inf)
    pool = functional.max_pool2d if kind == "MaxPooling2D" else functional.avg_pool2d
    return channels_last(pool(images, window, strides))


def torch_norm(kind, words, inputs, weights):
    """Returns PyTorch's layer or RMS normalization, or None over several axes."""
    if "axis" in words:
        return None
    weights, shape = list(weights), inputs.shape[-1:]
    if kind == "RMSNormalization":
        return functional.rms_norm(inputs, shape, weights[0], words.get("epsilon", 1e-6))
    gamma = weights.pop(0) if words.get("scale", True) else None
    beta = weights.pop(0) if words.get("center", True) else None
    return functional.layer_norm(inputs, shape, gamma, beta, words.get("epsilon", 1e-3))


def of_one_rank(parts):
    """Returns arrays with axes of length 1 put in behind the batch, as Keras merges them."""
    rank = max(part.ndim for part in parts)
    return [p.reshape(p.shape[0], *[1] * (rank - p.ndim), *p.shape[1:]) for p in parts]


TORCH_MERGES = {
    "Add": lambda *parts: sum(parts),
    "Subtract": torch.sub,
    "Multiply": lambda *parts: torch.stack(parts).prod(dim=0),
    "Average": lambda *parts: torch.stack(parts).mean(dim=0),
    "Maximum": lambda *parts: torch.stack(parts).amax(dim=0),
    "Minimum": lambda *parts: torch.stack(parts).amin(dim=0),
}


def torch_output(case, inputs, weights, more):
    """Returns PyTorch's output for a case without modes, or None where it has no such thing."""
    words = case.arguments
    match case.kind:
        case "Dense":
            outputs = inputs @ weights[0] + (weights[1] if len(weights) == 2 else 0)
            return torch.tanh(outputs) if words.get("activation") == "tanh" else outputs
        case "LayerNormalization" | "RMSNormalization":
            return torch_norm(case.kind, words, inputs, weights)
        case "Conv2D":
            return torch_conv(words, inputs, weights)
        case "MaxPooling2D" | "AveragePooling2D":
            return torch_pool(case.kind, words, inputs)
        case "GlobalAveragePooling2D":
            return inputs.mean(dim=(1, 2), keepdim=words.get("keepdims", False))
        case "GlobalMaxPooling2D":
            return inputs.amax(dim=(1, 2), keepdim=words.get("keepdims", False))
        case "Embedding":
            return functional.embedding(inputs.long(), weights[0])
        case "PReLU" if "shared_axes" in words:
            return channels_last(functional.prelu(channels_first(inputs), weights[0].flatten()))
        case "PReLU":
            return functional.prelu(inputs, weights[0])
        case "Concatenate":
            return torch.cat([inputs, *more], dim=words.get("axis", -1))
        case kind if kind in TORCH_MERGES:
            return TORCH_MERGES[kind](*of_one_rank([inputs, *more]))
    return None


def torch_quantities(case, mode):
    """Returns what PyTorch gives in a mode, by quantity; nothing where it has no such thing."""
    arrays = layer_weights([weight.shape for weight in keras_layer(case).get_weights()])
    weights = [torch.from_numpy(array).double().requires_grad_() for array in arrays]
    inputs = [torch.from_numpy(array) for array in layer_inputs(case)]
    if inputs[0].is_floating_point():
        inputs = [array.double().requires_grad_() for array in inputs]
    updated = []
    if case.kind == "BatchNormalization":
        output, updated = torch_batch_norm(
            case.arguments, inputs[0], weights, mode == "training", case.shape
        )
        weights = weights[:-2]
    else:
        output = torch_output(case, inputs[0], weights, inputs[1:])
    if output is None:
        return {}
    total = (output * torch.from_numpy(cotangent(tuple(output.shape)))).sum()
    sources = [array for array in inputs if array.is_floating_point()]
    gradients = torch.autograd.grad(total, sources + weights)
    split = len(sources)
    return quantities(output.detach(), gradients[:split], gradients[split:], updated, mode)


def main():
    """Runs every layer in both libraries and writes the file."""
    arrays = {
        "fingerprint": fingerprint([a for case in LAYERS.values() for a in layer_inputs(case)])
    }
    for name, case in LAYERS.items():
        for mode in modes(case):
            for library, record in (("keras", keras_quantities), ("torch", torch_quantities)):
                for quantity, array in record(case, mode).items():
                    array = array if library == "keras" else array.astype(np.float32)
                    arrays[f"{library}/{name}/{mode}/{quantity}"] = array
    save("layers.npz", arrays)
    report(arrays)


if __name__ == "__main__":
    main()
