"""What every exported optimizer obeys."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError
from tests.laws import discovery

OPTIMIZERS = discovery.optimizers()
every_optimizer = pytest.mark.parametrize("cls", discovery.each(OPTIMIZERS))
writable = pytest.mark.parametrize(
    "cls", discovery.each(cls for cls in OPTIMIZERS if not discovery.holds_code(cls))
)


@pytest.fixture(autouse=True)
def promotion(request):
    """Lets optax promote types, which it needs: it raises floats to the power of integers."""
    cls = getattr(request.node, "callspec", None) and request.node.callspec.params.get("cls")
    lenient = cls is not None and discovery.holds_code(cls)
    with jax.numpy_dtype_promotion("standard" if lenient else "strict"):
        yield


# Tried side by side; a problem is solved if it is solved at one of them.
RATES = jnp.asarray([1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001], jnp.float32)


class Problem(NamedTuple):
    """A function to minimize, and what counts as its minimum.

    Args:
        objective: A function of a dict of parameters.
        start: The parameters to start from.
        steps: How many steps are allowed.
        goal: The value to fall below.
    """

    objective: Any
    start: dict[str, Any]
    steps: int
    goal: float


def quadratic_bowl():
    """Returns ½|x - c|², with a minimum of 0."""
    centre = jnp.asarray([1.0, -2.0, 3.0])
    return Problem(
        lambda p: 0.5 * jnp.sum(jnp.square(p["x"] - centre)), {"x": jnp.zeros(3)}, 1000, 1e-4
    )


def ill_conditioned_quadratic():
    """Returns ½(x² + 100 y²), whose valley is ten times longer than wide; its minimum is 0."""
    scales = jnp.asarray([1.0, 100.0])
    return Problem(
        lambda p: 0.5 * jnp.sum(scales * jnp.square(p["x"])), {"x": jnp.ones(2)}, 2000, 1e-4
    )


def logistic_regression():
    """Returns the cross-entropy of overlapping classes; the minimum is found by Newton's method."""
    random = np.random.Generator(np.random.Philox(11))
    x = np.column_stack([random.standard_normal((64, 3)), np.ones(64)])
    y = (x @ [1.0, -1.0, 0.5, 0.25] + random.logistic(size=64) > 0).astype(np.float64)
    w = np.zeros(4)
    for _ in range(20):
        p = 1 / (1 + np.exp(-x @ w))
        w -= np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x, x.T @ (p - y))
    minimum = np.mean(np.logaddexp(0, x @ w) - y * (x @ w))
    rows, labels = jnp.asarray(x[:, :3], jnp.float32), jnp.asarray(y, jnp.float32)

    def objective(p):
        logits = rows @ p["kernel"] + jnp.broadcast_to(p["bias"], (64,))
        return jnp.mean(jax.nn.softplus(logits) - labels * logits)

    start = {"kernel": jnp.zeros(3), "bias": jnp.zeros(())}
    return Problem(objective, start, 1000, float(minimum) + 1e-4)


def rosenbrock():
    """Returns (1 - x)² + 100 (y - x²)², a curved valley with its minimum of 0 at (1, 1)."""
    return Problem(
        lambda p: (1.0 - p["x"]) ** 2 + 100.0 * (p["y"] - p["x"] ** 2) ** 2,
        {"x": jnp.asarray(-1.2), "y": jnp.asarray(1.0)},
        20_000,
        1e-3,
    )


PROBLEMS = (quadratic_bowl, ill_conditioned_quadratic, logistic_regression, rosenbrock)


def solve(optimizer, problem):
    """Returns the objective after the problem's steps, at each of the rates."""

    def at_rate(rate):
        def one(carry, step):
            params, slots = carry
            gradients = jax.grad(problem.objective)(params)
            updates, slots = optimizer.update(gradients, slots, params, rate, step)
            return (jax.tree.map(jnp.add, params, updates), slots), None

        carry = problem.start, optimizer.init(problem.start)
        (params, _), _ = jax.lax.scan(one, carry, jnp.arange(problem.steps, dtype=jnp.int32))
        return problem.objective(params)

    return np.asarray(jax.jit(jax.vmap(at_rate))(RATES))


def tree(random):
    """Returns parameters of every rank, nested, by path."""
    return {
        "dense/kernel": jnp.asarray(random.standard_normal((2, 3)), jnp.float32),
        "dense/bias": jnp.asarray(random.standard_normal(3), jnp.float32),
        "gain": jnp.asarray(0.5, jnp.float32),
        "inner": {"window": jnp.asarray(random.standard_normal((2, 1, 3, 1)), jnp.float32)},
        "empty": jnp.zeros((0,), jnp.float32),
    }


def step_arguments(optimizer, random, rate=0.1, step=0):
    """Returns the arguments of one update."""
    params, gradients = tree(random), tree(random)
    step, rate = jnp.asarray(step, jnp.int32), jnp.asarray(rate, jnp.float32)
    return gradients, optimizer.init(params), params, rate, step


def described(values):
    """Returns structure, shapes and types: what a compiled loop needs to stay the same."""
    leaves, structure = jax.tree.flatten(values)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


def small_model(optimizer):
    """Returns a compiled model whose weights depend on nothing but this function."""
    model = ek.Sequential([ek.layers.Dense(1, input_shape=[3])])
    model.set_weights([np.array([[0.5], [-0.5], [1.0]]), np.array([0.25])])
    model.compile(optimizer=optimizer, loss="mse")
    return model


ROWS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
TARGETS = np.array([1.0, 0.0, 2.0, -1.0], np.float32)


@every_optimizer
@pytest.mark.parametrize("problem", discovery.each(PROBLEMS))
def test_solves_a_tiny_problem_at_a_suitable_rate(cls, problem):
    """The minima are closed forms, or found by Newton's method in double precision."""
    problem = problem()
    values = solve(discovery.construct(cls), problem)
    assert np.nanmin(values) < problem.goal, dict(zip(RATES.tolist(), values, strict=True))


@every_optimizer
def test_takes_any_tree_and_keeps_shapes_and_types(cls, random):
    optimizer = discovery.construct(cls)
    arguments = step_arguments(optimizer, random)
    updates, _ = optimizer.update(*arguments)
    assert described(updates) == described(arguments[2])


@every_optimizer
def test_slots_keep_their_structure_from_step_to_step(cls, random):
    optimizer = discovery.construct(cls)
    gradients, slots, params, rate, step = step_arguments(optimizer, random)
    first = described(slots)
    for _ in range(3):
        updates, slots = optimizer.update(gradients, slots, params, rate, step)
        params, step = jax.tree.map(jnp.add, params, updates), step + 1
        assert described(slots) == first


@every_optimizer
def test_updating_is_pure(cls, random):
    optimizer = discovery.construct(cls)
    arguments = step_arguments(optimizer, random)
    copies = jax.tree.map(np.array, arguments)
    attributes = dict(vars(optimizer))
    first, second = optimizer.update(*arguments), optimizer.update(*arguments)
    jax.tree.map(np.testing.assert_array_equal, first, second)
    jax.tree.map(np.testing.assert_array_equal, arguments, copies)
    assert vars(optimizer) == attributes


@every_optimizer
def test_compiled_equals_eager(cls, random):
    """A compiler may fuse operations, which moves the last bit or two of a float32."""
    optimizer = discovery.construct(cls)
    arguments = step_arguments(optimizer, random, step=3)
    eager, compiled = optimizer.update(*arguments), jax.jit(optimizer.update)(*arguments)
    assert jax.tree.structure(eager) == jax.tree.structure(compiled)
    for ours, theirs in zip(jax.tree.leaves(compiled), jax.tree.leaves(eager), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-7)


@every_optimizer
def test_each_parameter_is_updated_as_if_it_were_alone(cls, random):
    """So that freezing one variable cannot move another."""
    optimizer = discovery.construct(cls)
    gradients, slots, params, rate, step = step_arguments(optimizer, random)
    together, _ = optimizer.update(gradients, slots, params, rate, step)
    alone = {"gain": params["gain"]}
    updates, _ = optimizer.update(
        {"gain": gradients["gain"]}, optimizer.init(alone), alone, rate, step
    )
    np.testing.assert_array_equal(updates["gain"], together["gain"])


@writable
def test_configuration_round_trip_gives_an_equal_optimizer(cls, random):
    optimizer = discovery.construct(cls, learning_rate=0.125, name="given")
    config = discovery.through_json(optimizer.get_config())
    copy = ek.optimizers.get({"class_name": cls.__name__, "config": config})
    assert type(copy) is cls
    assert copy.get_config() == optimizer.get_config()
    arguments = step_arguments(optimizer, random)
    jax.tree.map(
        np.testing.assert_array_equal, copy.update(*arguments), optimizer.update(*arguments)
    )


@pytest.mark.parametrize(
    "cls", discovery.each(cls for cls in OPTIMIZERS if discovery.holds_code(cls))
)
def test_what_holds_code_refuses_to_be_written_and_says_what_to_do(cls):
    with pytest.raises(InvalidArgumentError, match="include_compile=False"):
        discovery.construct(cls).get_config()


@writable
def test_string_class_and_instance_are_accepted(cls):
    instance = discovery.construct(cls)
    assert ek.optimizers.get(instance) is instance
    for identifier in (
        cls,
        cls.__name__,
        cls.__name__.lower(),
        ek.registry.snake_case(cls.__name__),
    ):
        assert ek.optimizers.get(identifier).get_config() == instance.get_config()


@every_optimizer
def test_the_learning_rate_can_be_set_and_reads_as_a_float(cls):
    optimizer = discovery.construct(cls)
    optimizer.learning_rate = 0.5
    assert optimizer.learning_rate == optimizer.learning_rate.numpy() == 0.5
    optimizer.learning_rate.assign(0.25)
    assert optimizer.learning_rate == 0.25
    assert optimizer.rate_at(jnp.asarray(7), jnp.asarray(optimizer.rate_factor)) == 0.25


@every_optimizer
def test_a_learning_rate_set_between_steps_counts_from_the_next_step(cls):
    """At a rate of 0 nothing moves, which is a closed form."""
    model = small_model(discovery.construct(cls))
    before = model.get_weights()
    model.optimizer.learning_rate = 0.0
    model.train_on_batch(ROWS, TARGETS)
    jax.tree.map(np.testing.assert_array_equal, model.get_weights(), before)
    model.optimizer.learning_rate = 0.1
    model.train_on_batch(ROWS, TARGETS)
    assert not np.array_equal(model.get_weights()[0], before[0])


@every_optimizer
def test_a_schedule_is_followed(cls):
    """The same steps are taken by hand, with the rate set before each of them."""
    rates = [0.1, 0.05, 0.025, 0.0125]
    scheduled = small_model(discovery.construct(cls))
    scheduled.optimizer.learning_rate = lambda step: 0.1 * 0.5 ** jnp.asarray(step, jnp.float32)
    by_hand = small_model(discovery.construct(cls))
    for rate in rates:
        assert scheduled.optimizer.learning_rate == pytest.approx(rate)
        by_hand.optimizer.learning_rate = rate
        for model in (scheduled, by_hand):
            model.train_on_batch(ROWS, TARGETS)
    for ours, theirs in zip(scheduled.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    assert scheduled.optimizer.iterations == 4


@every_optimizer
def test_a_schedule_cannot_be_set_to_a_number_and_the_message_says_what_can(cls):
    optimizer = discovery.construct(cls)
    optimizer.learning_rate = lambda step: 0.1
    with pytest.raises(InvalidArgumentError, match="rate_factor"):
        optimizer.learning_rate = 0.5
    optimizer.rate_factor = 0.5
    assert optimizer.learning_rate == pytest.approx(0.05)


@every_optimizer
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "fast", None])
def test_an_impossible_learning_rate_is_refused(cls, value):
    optimizer = discovery.construct(cls)
    with pytest.raises(InvalidArgumentError, match="learning_rate"):
        optimizer.learning_rate = value


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        pytest.param(cls, name, id=f"{cls.__name__}-{name}")
        for cls in OPTIMIZERS
        for name in discovery.numeric_arguments(cls)
    ],
)
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "much"])
def test_an_impossible_setting_is_refused_at_construction(cls, name, value):
    with pytest.raises(InvalidArgumentError, match=name):
        discovery.construct(cls, **{name: value})


def test_an_unknown_optimizer_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidArgumentError, match="'adam'"):
        ek.optimizers.get("adm")
