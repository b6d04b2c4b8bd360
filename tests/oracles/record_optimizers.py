"""Records fifty optimizer steps on fixed gradients in `optimizers.npz`.

Start parameters and gradients are `recipe.optimizer_problem()`; the gradients do not depend on
the parameters, so rounding cannot grow. Arrays are named `library/optimizer/parameter`, with the
optimizers of `cases.OPTIMIZERS` and the parameters `kernel` (4, 4, 3) and `bias` (4, 3), whose
first axis is `cases.OPTIMIZER_STEPS`: the parameter after that many updates (with accumulation:
that many gradients). Where weights are averaged, `library/optimizer/average/parameter` is the
average after the last step, which Keras hands over in `finalize_variable_values`.

Libraries: `keras`; `torch` and `optax` where they have the same thing up to the place of epsilon;
and `torch_matched` and `optax_matched`, Adam and AdamW only, whose epsilon is changed at each step
so that the equation is Keras's (see `libraries.matched_epsilon`). Keras's extras are put together
from the other libraries' parts:

    weight_decay       Optax: `add_decayed_weights` before the rate; PyTorch: in AdamW and NAdam
    clipping           Optax: `clip`, and `clip_by_global_norm` over one gradient or over all
    averaging          PyTorch: `AveragedModel` with `get_ema_avg_fn`; no overwriting
    accumulation       Optax: `MultiSteps`; the mean of the gradients
    schedule           Optax: `exponential_decay`

`README.md` tells where the libraries disagree. `fingerprint` is `recipe.fingerprint` of kernel,
bias, kernel gradients, bias gradients.

Run: python tests/oracles/record_optimizers.py
"""

import numpy as np
import optax
from cases import OPTIMIZER_STEPS, OPTIMIZERS, Case, optimizer
from libraries import (
    KERAS_DEFAULTS,
    keras,
    matched_epsilon,
    report,
    save,
    torch,
    torch_optimizer,
)
from recipe import fingerprint, optimizer_problem

NAMES = ("kernel", "bias")
# Adam's family in Optax has no schedule of momenta, hence no Nadam of Keras's kind.
IN_OPTAX = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adamax")
EXTRAS = (
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "gradient_accumulation_steps",
    "ema_overwrite_frequency",
)


def gradients_by_step():
    """Yields the step, from 1, and the gradients of kernel and bias."""
    _, gradients = optimizer_problem()
    yield from enumerate(zip(*gradients, strict=True), start=1)


def keras_steps(case):
    """Yields the parameters, and their averages or None, after each step of Keras."""
    variables = [keras.Variable(start) for start in optimizer_problem()[0]]
    rule = optimizer(case, keras.optimizers)
    rule.build(variables)
    for _, gradients in gradients_by_step():
        rule.apply([keras.ops.array(gradient) for gradient in gradients])
        parameters = [np.array(variable.value) for variable in variables]
        averages = rule._model_variables_moving_average if rule.use_ema else None
        yield parameters, averages and [np.array(average.value) for average in averages]


def is_in_torch(case):
    """Whether PyTorch has a case: its extras are other ones, except for averages."""
    decays_itself = case.kind in ("AdamW", "Nadam")
    extras = set(EXTRAS) & set(case.arguments) - ({"weight_decay"} if decays_itself else set())
    return not extras and not isinstance(case.arguments.get("learning_rate"), Case)


def torch_steps(case, matched=False):
    """Yields the parameters, and their averages or None, after each step of PyTorch."""
    module = torch.nn.ParameterList(torch.from_numpy(start) for start in optimizer_problem()[0])
    rule = torch_optimizer(case, module.parameters())
    momentum = case.arguments.get("ema_momentum", 0.99)
    averaged = torch.optim.swa_utils.AveragedModel(
        module, avg_fn=torch.optim.swa_utils.get_ema_avg_fn(momentum)
    )
    for step, gradients in gradients_by_step():
        for parameter, gradient in zip(module, gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient)
        if matched:
            rule.param_groups[0]["eps"] = matched_epsilon(case, step)
        rule.step()
        averaged.update_parameters(module)
        yield (
            [parameter.detach().numpy().copy() for parameter in module],
            [average.detach().numpy().copy() for average in averaged.module]
            if "use_ema" in case.arguments
            else None,
        )


def is_in_optax(case):
    """Whether Optax has a case: it averages no weights, and its AMSGrad is another."""
    return case.kind in IN_OPTAX and not {"use_ema", "amsgrad"} & set(case.arguments)


def optax_direction(case, epsilon):
    """Returns the part of Optax's transformation before decay and rate, and the one after.

    Keras's momentum gathers steps, rate included, and `optax.sgd`'s gathers gradients; the same
    at a constant rate. Momentum therefore comes last, unless it must not see the decay.
    """
    settings = KERAS_DEFAULTS[case.kind] | case.arguments
    epsilon = settings.get("epsilon") if epsilon is None else epsilon
    momentum = settings.get("momentum") or 0.0
    after = optax.identity()
    match case.kind:
        case "SGD":
            trace = optax.trace(momentum, settings.get("nesterov", False))
            parts = (trace, after) if "weight_decay" in settings else (after, trace)
            return parts if momentum else (after, after)
        case "Adam" | "AdamW":
            before = optax.scale_by_adam(settings["beta_1"], settings["beta_2"], epsilon)
        case "Adamax":
            before = optax.scale_by_adamax(settings["beta_1"], settings["beta_2"], epsilon)
        case "Adagrad":
            before = optax.scale_by_rss(settings["initial_accumulator_value"], epsilon)
        case "RMSprop":
            by = optax.scale_by_stddev if settings.get("centered") else optax.scale_by_rms
            before = by(settings["rho"], epsilon)
            after = optax.trace(momentum) if momentum else after
    return before, after


def optax_transformation(case, epsilon=None):
    """Returns Optax's transformation for a case, with another epsilon if one is given."""
    settings = KERAS_DEFAULTS[case.kind] | case.arguments
    rate = settings["learning_rate"]
    if isinstance(rate, Case):
        words = rate.arguments
        rate = optax.exponential_decay(
            words["initial_learning_rate"],
            words["decay_steps"],
            words["decay_rate"],
            staircase=words.get("staircase", False),
        )
    before, after = optax_direction(case, epsilon)
    parts = {
        "clipnorm": per_parameter,
        "clipvalue": optax.clip,
        "global_clipnorm": optax.clip_by_global_norm,
        "weight_decay": optax.add_decayed_weights,
    }
    extras = {name: make(settings[name]) for name, make in parts.items() if name in settings}
    decay = extras.pop("weight_decay", optax.identity())
    chain = optax.chain(*extras.values(), before, decay, optax.scale_by_learning_rate(rate), after)
    accumulated = settings.get("gradient_accumulation_steps")
    return optax.MultiSteps(chain, accumulated) if accumulated else chain


def per_parameter(norm):
    """Returns Optax's clipping by norm, for each parameter by itself."""
    labels = dict.fromkeys(NAMES, optax.clip_by_global_norm(norm))
    return optax.partition(labels, list(NAMES))


def optax_steps(case, matched=False):
    """Yields the parameters, and None, after each step of Optax, matched to Keras or not."""
    parameters, _ = optimizer_problem()
    state = optax_transformation(case).init(parameters)
    accumulated = case.arguments.get("gradient_accumulation_steps", 1)
    for step, gradients in gradients_by_step():
        update = (step - 1) // accumulated + 1
        epsilon = matched_epsilon(case, update) if matched else None
        transformation = optax_transformation(case, epsilon)
        updates, state = transformation.update(list(gradients), state, parameters)
        parameters = optax.apply_updates(parameters, updates)
        yield [np.asarray(parameter) for parameter in parameters], None


def named(prefix, steps):
    """Returns the parameters after the recorded steps and the last averages, by full name."""
    parameters, averages = zip(*steps, strict=True)
    chosen = [parameters[step - 1] for step in OPTIMIZER_STEPS]
    arrays = {
        f"{prefix}/{name}": np.stack(values)
        for name, values in zip(NAMES, zip(*chosen, strict=True), strict=True)
    }
    if averages[-1] is not None:
        for name, average in zip(NAMES, averages[-1], strict=True):
            arrays[f"{prefix}/average/{name}"] = average
    return arrays


def main():
    """Runs every optimizer in every library and writes the file."""
    parameters, gradients = optimizer_problem()
    arrays = {"fingerprint": fingerprint([*parameters, *gradients])}
    for name, case in OPTIMIZERS.items():
        arrays |= named(f"keras/{name}", keras_steps(case))
        for library, has, steps in (
            ("torch", is_in_torch, torch_steps),
            ("optax", is_in_optax, optax_steps),
        ):
            if has(case):
                arrays |= named(f"{library}/{name}", steps(case))
                if case.kind in ("Adam", "AdamW"):
                    arrays |= named(f"{library}_matched/{name}", steps(case, matched=True))
    save("optimizers.npz", arrays)
    report(arrays)


if __name__ == "__main__":
    main()
