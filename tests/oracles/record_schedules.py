"""Records learning rate schedules at their landmarks in `schedules.npz`.

Arrays are named `library/schedule/quantity`, with the schedules of `cases.SCHEDULES`; `rate` is
the learning rate at each step of `cases.SCHEDULE_STEPS`. For the 1cycle policies of
`cases.ONE_CYCLES`, which Keras has not, `rate` and `momentum` are at every step from 0 to
`total_steps` - 1.

Libraries: `keras`, eagerly, in float32; `optax` in float32, and `torch` in float64, where they
have the same thing:

    exponential      Optax: `exponential_decay`
    piecewise        Optax: `piecewise_constant_schedule`, its boundaries one step later, because
                     Keras's boundary is the last step of the old rate and Optax's the first of
                     the new one
    polynomial       Optax: `polynomial_schedule`; it has no cycles. PyTorch: `PolynomialLR`,
                     which ends at 0, scaled to end at the end rate
    cosine           Optax: `cosine_decay_schedule`, `warmup_cosine_decay_schedule`, whose steps
                     include those of warming up
    restarts         PyTorch: `CosineAnnealingWarmRestarts`; it lowers no restart
    1cycle           PyTorch: `OneCycleLR` with cosines; Optax: `cosine_onecycle_schedule`, whose
                     last rate is one step after PyTorch's, so not recorded

Run: python tests/oracles/record_schedules.py
"""

from itertools import pairwise

import numpy as np
import optax
from cases import ONE_CYCLES, SCHEDULE_STEPS, SCHEDULES, schedule
from libraries import keras, report, save, torch


def keras_rates(case):
    """Returns Keras's rates at the landmarks."""
    rate = schedule(case, keras.optimizers.schedules)
    return np.array([float(rate(step)) for step in SCHEDULE_STEPS], np.float32)


def optax_schedule(case):
    """Returns Optax's schedule for a case, or None where it has none."""
    words = case.arguments
    start, steps = words.get("initial_learning_rate"), words.get("decay_steps")
    alpha = words.get("alpha", 0.0)
    match case.kind:
        case "ExponentialDecay":
            staircase = words.get("staircase", False)
            return optax.exponential_decay(start, steps, words["decay_rate"], staircase=staircase)
        case "PiecewiseConstantDecay":
            values = words["values"]
            scales = [after / before for before, after in pairwise(values)]
            later = [boundary + 1 for boundary in words["boundaries"]]
            return optax.piecewise_constant_schedule(
                values[0], dict(zip(later, scales, strict=True))
            )
        case "PolynomialDecay" if not words.get("cycle"):
            end, power = words.get("end_learning_rate", 1e-4), words.get("power", 1.0)
            return optax.polynomial_schedule(start, end, power, steps)
        case "CosineDecay" if "warmup_target" in words:
            peak, warmup = words["warmup_target"], words["warmup_steps"]
            return optax.warmup_cosine_decay_schedule(
                start, peak, warmup, warmup + steps, peak * alpha
            )
        case "CosineDecay":
            return optax.cosine_decay_schedule(start, steps, alpha)
    return None


def torch_schedule(case, optimizer):
    """Returns PyTorch's scheduler for a case, or None where it has none."""
    words = case.arguments
    lr_scheduler = torch.optim.lr_scheduler
    if case.kind == "PolynomialDecay" and not words.get("cycle"):
        return lr_scheduler.PolynomialLR(optimizer, words["decay_steps"], words.get("power", 1.0))
    if case.kind == "CosineDecayRestarts" and "m_mul" not in words:
        lowest = words["initial_learning_rate"] * words.get("alpha", 0.0)
        factor = int(words.get("t_mul", 2))
        return lr_scheduler.CosineAnnealingWarmRestarts(
            optimizer, words["first_decay_steps"], factor, lowest
        )
    return None


def torch_optimizer(rate):
    """Returns an optimizer of PyTorch for a scheduler to act on."""
    parameter = torch.zeros(1, requires_grad=True)
    return torch.optim.SGD([parameter], lr=rate, momentum=0.9)


def torch_settings(scheduler, optimizer, steps):
    """Returns the optimizer's rate and momentum at each of the first steps."""
    rates, momenta = [], []
    for _ in range(steps - 1):
        rates.append(optimizer.param_groups[0]["lr"])
        momenta.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        scheduler.step()
    rates.append(optimizer.param_groups[0]["lr"])
    momenta.append(optimizer.param_groups[0]["momentum"])
    return np.array(rates), np.array(momenta)


def torch_rates(case):
    """Returns PyTorch's rates at the landmarks, or None where it has no such schedule."""
    start = case.arguments.get("initial_learning_rate", 1.0)
    optimizer = torch_optimizer(start)
    scheduler = torch_schedule(case, optimizer)
    if scheduler is None:
        return None
    rates, _ = torch_settings(scheduler, optimizer, max(SCHEDULE_STEPS) + 1)
    chosen = rates[list(SCHEDULE_STEPS)]
    if case.kind == "PolynomialDecay":
        end = case.arguments.get("end_learning_rate", 1e-4)
        chosen = end + (start - end) * chosen / start
    return chosen


def main():
    """Evaluates every schedule in every library and writes the file."""
    arrays = {}
    for name, case in SCHEDULES.items():
        arrays[f"keras/{name}/rate"] = keras_rates(case)
        in_optax, in_torch = optax_schedule(case), torch_rates(case)
        if in_optax is not None:
            rates = [float(in_optax(step)) for step in SCHEDULE_STEPS]
            arrays[f"optax/{name}/rate"] = np.array(rates, np.float32)
        if in_torch is not None:
            arrays[f"torch/{name}/rate"] = in_torch
    for name, words in ONE_CYCLES.items():
        optimizer = torch_optimizer(words["max_lr"])
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, **words)
        rates, momenta = torch_settings(scheduler, optimizer, words["total_steps"])
        arrays |= {f"torch/{name}/rate": rates, f"torch/{name}/momentum": momenta}
    save("schedules.npz", arrays)
    report(arrays)


if __name__ == "__main__":
    main()
