"""Records fifty optimizer steps on fixed gradients in `optimizers.npz`.

Start parameters and gradients are `recipe.optimizer_problem()`; the gradients do not depend on
the parameters, so rounding cannot grow. Arrays are named `library/optimizer/step_N/parameter`,
with the optimizers of `cases.OPTIMIZERS`, N in `cases.OPTIMIZER_STEPS` (after that many updates)
and the parameters `kernel` (4, 3) and `bias` (3,).

Libraries: `keras`, `optax`, `torch`, and `optax_matched`, Adam only. Optax (`eps`, with
`eps_root=0`) and PyTorch add epsilon to the bias-corrected root, Keras to the uncorrected one;
`optax_matched` changes Optax's epsilon at each step so that its equation is Keras's (see
`libraries.matched_epsilon`). On this problem

    SGD, plain, momentum, Nesterov   all libraries agree to 1e-6
    Adam, optax_matched              agrees with Keras to 1e-6
    Adam, epsilon as it stands       differs by about half the learning rate after 50 steps
                                     (8 times with epsilon=1e-3), most in the third column,
                                     where gradients are small

`fingerprint` is `recipe.fingerprint` of kernel, bias, kernel gradients, bias gradients.

Run: python tests/oracles/record_optimizers.py
"""

import numpy as np
import optax
from cases import OPTIMIZER_STEPS, OPTIMIZERS
from libraries import keras, matched_epsilon, report, save, torch, torch_optimizer
from recipe import fingerprint, optimizer_problem

NAMES = ("kernel", "bias")


def gradients_by_step():
    """Yields the step, from 1, and the gradients of kernel and bias."""
    _, gradients = optimizer_problem()
    yield from enumerate(zip(*gradients, strict=True), start=1)


def keras_steps(case):
    """Yields the parameters after each step of Keras."""
    variables = [keras.Variable(start) for start in optimizer_problem()[0]]
    optimizer = getattr(keras.optimizers, case.kind)(**case.arguments)
    optimizer.build(variables)
    for _, gradients in gradients_by_step():
        optimizer.apply([keras.ops.array(gradient) for gradient in gradients])
        yield [np.array(variable.value) for variable in variables]


def torch_steps(case):
    """Yields the parameters after each step of PyTorch."""
    parameters = [torch.from_numpy(start).requires_grad_() for start in optimizer_problem()[0]]
    optimizer = torch_optimizer(case, parameters)
    for _, gradients in gradients_by_step():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient)
        optimizer.step()
        yield [parameter.detach().numpy().copy() for parameter in parameters]


def optax_transformation(case, epsilon=None):
    """Returns Optax's transformation for a case, with another epsilon if one is given."""
    settings = case.arguments
    rate = settings["learning_rate"]
    if case.kind == "Adam":
        chosen = settings["epsilon"] if epsilon is None else epsilon
        return optax.adam(rate, b1=settings["beta_1"], b2=settings["beta_2"], eps=chosen)
    return optax.sgd(rate, settings.get("momentum"), settings.get("nesterov", False))


def optax_steps(case, matched=False):
    """Yields the parameters after each step of Optax, with Keras's epsilon if matched."""
    parameters, _ = optimizer_problem()
    state = optax_transformation(case).init(parameters)
    for step, gradients in gradients_by_step():
        epsilon = matched_epsilon(case, step) if matched else None
        transformation = optax_transformation(case, epsilon)
        updates, state = transformation.update(list(gradients), state, parameters)
        parameters = optax.apply_updates(parameters, updates)
        yield [np.asarray(parameter) for parameter in parameters]


def named(prefix, steps):
    """Returns the parameters after the recorded steps, by full name."""
    return {
        f"{prefix}/step_{step}/{name}": parameter
        for step, parameters in enumerate(steps, start=1)
        if step in OPTIMIZER_STEPS
        for name, parameter in zip(NAMES, parameters, strict=True)
    }


def main():
    """Runs every optimizer in every library and writes the file."""
    parameters, gradients = optimizer_problem()
    arrays = {"fingerprint": fingerprint([*parameters, *gradients])}
    for name, case in OPTIMIZERS.items():
        arrays |= named(f"keras/{name}", keras_steps(case))
        arrays |= named(f"optax/{name}", optax_steps(case))
        arrays |= named(f"torch/{name}", torch_steps(case))
        if case.kind == "Adam":
            arrays |= named(f"optax_matched/{name}", optax_steps(case, matched=True))
    save("optimizers.npz", arrays)
    report(arrays)


if __name__ == "__main__":
    main()
