"""Records twenty training steps of the 784-300-100-10 network in `trajectories.npz`.

Flatten, Dense 300 ELU, Dense 100 ELU, Dense 10 softmax; sparse categorical cross-entropy; batches
of 32 in order. Arrays are named `library/optimizer/quantity`, with the quantities

    loss           the batch's loss before that step's update, (20,)
    weight_means   mean of each weight after the last step, (6,): kernel, bias, ...
    weight_norms   L2 norm of each weight after the last step, (6,)

Libraries: `keras`; `torch`, the same network by hand with `torch.optim`; and `torch_matched`, Adam
only, where PyTorch's epsilon is changed at each step so that its equation is Keras's (see
`libraries.matched_epsilon`). Momentum and Nesterov are the same equations in both libraries as
long as the rate is constant. `fingerprint` is `recipe.fingerprint` of images, labels and start
weights.

Run: python tests/oracles/record_trajectories.py
"""

import numpy as np
from cases import TRAJECTORY_OPTIMIZERS
from libraries import keras, matched_epsilon, report, save, torch, torch_optimizer
from recipe import BATCH_SIZE, STEPS, UNITS, fingerprint, images_and_labels, start_weights


def batches():
    """Yields the batches of images and labels in order."""
    images, labels = images_and_labels()
    for start in range(0, STEPS * BATCH_SIZE, BATCH_SIZE):
        rows = slice(start, start + BATCH_SIZE)
        yield images[rows], labels[rows]


def keras_network():
    """Returns the network with the recipe's start weights."""
    _, wide, narrow, classes = UNITS
    network = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(wide, activation="elu"),
            keras.layers.Dense(narrow, activation="elu"),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
    network.set_weights(start_weights())
    return network


def keras_run(case):
    """Returns the losses and final weights of Keras."""
    network = keras_network()
    optimizer = getattr(keras.optimizers, case.kind)(**case.arguments)
    network.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    losses = [float(network.train_on_batch(images, labels)) for images, labels in batches()]
    return losses, network.get_weights()


def torch_loss(weights, images, labels):
    """Returns the mean cross-entropy of the network, from logits."""
    hidden = torch.from_numpy(images).flatten(1)
    for kernel, bias in zip(weights[:4:2], weights[1:4:2], strict=True):
        hidden = torch.nn.functional.elu(hidden @ kernel + bias)
    logits = hidden @ weights[4] + weights[5]
    return torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels).long())


def torch_run(case, matched=False):
    """Returns the losses and final weights of PyTorch, with Keras's epsilon if matched."""
    weights = [torch.from_numpy(weight).requires_grad_() for weight in start_weights()]
    optimizer = torch_optimizer(case, weights)
    losses = []
    for step, (images, labels) in enumerate(batches(), start=1):
        if matched:
            optimizer.param_groups[0]["eps"] = matched_epsilon(case, step)
        optimizer.zero_grad()
        loss = torch_loss(weights, images, labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, [weight.detach().numpy() for weight in weights]


def named(prefix, losses, weights):
    """Returns the recorded quantities of one run, by full name."""
    doubles = [weight.astype(np.float64) for weight in weights]
    return {
        f"{prefix}/loss": np.array(losses, np.float32),
        f"{prefix}/weight_means": np.array([double.mean() for double in doubles]),
        f"{prefix}/weight_norms": np.array([np.linalg.norm(double) for double in doubles]),
    }


def main():
    """Runs every optimizer in every library and writes the file."""
    arrays = {"fingerprint": fingerprint([*images_and_labels(), *start_weights()])}
    for name, case in TRAJECTORY_OPTIMIZERS.items():
        arrays |= named(f"keras/{name}", *keras_run(case))
        arrays |= named(f"torch/{name}", *torch_run(case))
        if case.kind == "Adam":
            arrays |= named(f"torch_matched/{name}", *torch_run(case, matched=True))
    save("trajectories.npz", arrays)
    report(arrays)


if __name__ == "__main__":
    main()
