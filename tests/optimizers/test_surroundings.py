"""What stands around every optimizer: clipping, decay, averaging, accumulation, multipliers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import EvenkeelWarning, InvalidArgumentError
from tests.laws import discovery

NAMED = [cls for cls in discovery.optimizers() if not discovery.holds_code(cls)]
every_named = pytest.mark.parametrize("cls", discovery.each(NAMED))
PATHS = ("dense/kernel", "dense/bias")
STEPS = 12


@pytest.fixture
def problem(random):
    """Starting values, and twelve gradients for each."""
    start = {p: random.standard_normal(s) for p, s in zip(PATHS, ((4, 3), (3,)), strict=True)}
    gradients = {p: 2 * random.standard_normal((STEPS, *value.shape)) for p, value in start.items()}
    return [{p: a.astype(np.float32) for p, a in side.items()} for side in (start, gradients)]


def run(optimizer, problem, steps=STEPS):
    """Returns the parameters after each step, by path, and the last slots."""
    start, gradients = problem
    params = {path: jnp.asarray(value) for path, value in start.items()}
    slots, advance, seen = optimizer.start(params), jax.jit(optimizer.advance), []
    factor = jnp.asarray(optimizer.rate_factor, jnp.float32)
    for t in range(steps):
        now = {path: jnp.asarray(g[t]) for path, g in gradients.items()}
        params, slots = advance(now, slots, params, factor, jnp.asarray(t, jnp.int32))
        seen.append(params)
    return {path: np.stack([p[path] for p in seen]) for path in PATHS}, slots


def descent(problem, change, rate=0.1):
    """Returns what plain descent gives when each step's gradients are changed, in NumPy."""
    params, gradients = ({p: a.astype(np.float64) for p, a in side.items()} for side in problem)
    seen = []
    for t in range(STEPS):
        now = change({path: g[t] for path, g in gradients.items()})
        params = {path: params[path] - rate * now[path] for path in PATHS}
        seen.append(params)
    return {path: np.stack([p[path] for p in seen]) for path in PATHS}


def assert_equal(found, expected):
    for path in PATHS:
        np.testing.assert_allclose(found[path], expected[path], rtol=1e-5, atol=2e-6, err_msg=path)


class TestClipping:
    @pytest.mark.parametrize(
        ("setting", "expected"),
        [
            ({"clipvalue": 1.0}, [0.9, 1.0]),
            ({"clipnorm": 1.0}, [0.00899964, 0.9999595]),
            ({"global_clipnorm": 1.0}, [0.00899964, 0.9999595]),
            ({"clipvalue": 200.0}, [0.9, 100.0]),
            ({"clipnorm": 200.0}, [0.9, 100.0]),
            ({"global_clipnorm": 200.0}, [0.9, 100.0]),
        ],
        ids=str,
    )
    def test_the_textbook_gradient_becomes_what_the_textbook_says(self, setting, expected):
        """[0.9, 100]: by value the direction turns to (0.9, 1), by norm it stays."""
        optimizer = ek.optimizers.SGD(learning_rate=1.0, **setting)
        params = {"w": jnp.zeros(2)}
        gradients = {"w": jnp.asarray([0.9, 100.0])}
        after, _ = optimizer.advance(
            gradients, optimizer.start(params), params, jnp.asarray(1.0), jnp.asarray(0)
        )
        np.testing.assert_allclose(-np.asarray(after["w"]), expected, rtol=1e-6)

    def test_clipnorm_looks_at_each_variable_by_itself(self, problem):
        def clipped(gradients):
            return {p: g * min(1, 1.5 / np.linalg.norm(g)) for p, g in gradients.items()}

        found, _ = run(ek.optimizers.SGD(learning_rate=0.1, clipnorm=1.5), problem)
        assert_equal(found, descent(problem, clipped))

    def test_global_clipnorm_looks_at_all_of_them(self, problem):
        def clipped(gradients):
            norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
            return {p: g * min(1, 1.5 / norm) for p, g in gradients.items()}

        found, _ = run(ek.optimizers.SGD(learning_rate=0.1, global_clipnorm=1.5), problem)
        assert_equal(found, descent(problem, clipped))

    def test_clipvalue_looks_at_each_number(self, problem):
        def clipped(gradients):
            return {p: np.clip(g, -0.5, 0.5) for p, g in gradients.items()}

        found, _ = run(ek.optimizers.SGD(learning_rate=0.1, clipvalue=0.5), problem)
        assert_equal(found, descent(problem, clipped))

    @pytest.mark.parametrize("setting", ["clipnorm", "clipvalue", "global_clipnorm"])
    def test_a_gradient_of_zeros_stays_one(self, setting):
        optimizer = ek.optimizers.SGD(**{setting: 1.0})
        params = {"w": jnp.ones(2)}
        after, _ = optimizer.advance(
            {"w": jnp.zeros(2)}, {}, params, jnp.asarray(1.0), jnp.asarray(0)
        )
        np.testing.assert_array_equal(after["w"], params["w"])

    @every_named
    def test_only_one_way_can_be_given_and_the_message_names_all(self, cls):
        with pytest.raises(InvalidArgumentError) as refusal:
            cls(clipnorm=1.0, clipvalue=0.5)
        for name in ("clipnorm=1.0", "clipvalue=0.5", "global_clipnorm"):
            assert name in str(refusal.value)

    @every_named
    def test_norms_keep_matrices_whole_and_values_do_not(self, cls):
        """A norm needs the whole variable, which the engine may otherwise hold in blocks."""
        assert cls().is_elementwise
        assert cls(clipvalue=1.0).is_elementwise
        assert not cls(clipnorm=1.0).is_elementwise
        assert not cls(global_clipnorm=1.0).is_elementwise


class TestWeightDecay:
    def test_weights_shrink_by_the_rate_apart_from_the_gradient(self, problem):
        params, gradients = ({p: a.astype(np.float64) for p, a in s.items()} for s in problem)
        for t in range(STEPS):
            params = {p: w - 0.1 * 0.3 * w - 0.1 * gradients[p][t] for p, w in params.items()}
        found, _ = run(ek.optimizers.SGD(learning_rate=0.1, weight_decay=0.3), problem)
        assert_equal({p: a[-1] for p, a in found.items()}, params)

    @every_named
    def test_without_gradients_every_optimizer_only_shrinks_the_weights(self, cls, problem):
        """(1 - η w)^t; with gradients of zero no optimizer takes a step of its own."""
        still = problem[0], {path: np.zeros_like(g) for path, g in problem[1].items()}
        found, _ = run(cls(learning_rate=0.1, weight_decay=0.5), still)
        for path in PATHS:
            expected = problem[0][path] * (1 - 0.1 * 0.5) ** STEPS
            np.testing.assert_allclose(found[path][-1], expected, rtol=1e-5)

    @pytest.mark.parametrize("names", [["bias"], "bias", ["bias$", "gamma"], ["dense/bias"]])
    def test_variables_can_be_left_alone_by_a_part_of_their_path(self, names, problem):
        still = problem[0], {path: np.zeros_like(g) for path, g in problem[1].items()}
        optimizer = ek.optimizers.AdamW(learning_rate=0.1, weight_decay=0.5)
        optimizer.exclude_from_weight_decay(var_names=names)
        found, _ = run(optimizer, still)
        np.testing.assert_array_equal(found["dense/bias"][-1], problem[0]["dense/bias"])
        assert not np.array_equal(found["dense/kernel"][-1], problem[0]["dense/kernel"])

    def test_what_is_left_alone_is_remembered_in_the_configuration(self):
        optimizer = ek.optimizers.AdamW()
        before = optimizer.fingerprint
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        assert optimizer.fingerprint != before
        config = discovery.through_json(optimizer.get_config())
        copy = ek.optimizers.AdamW.from_config(config)
        assert copy.fingerprint == optimizer.fingerprint
        copy.exclude_from_weight_decay()
        assert copy.fingerprint == before

    def test_excluding_from_nothing_warns_and_says_what_to_type(self):
        with pytest.warns(EvenkeelWarning, match="weight_decay="):
            ek.optimizers.SGD().exclude_from_weight_decay(var_names=["bias"])

    def test_what_is_no_pattern_is_refused(self):
        with pytest.raises(InvalidArgumentError, match="var_names"):
            ek.optimizers.AdamW().exclude_from_weight_decay(var_names=["(bias"])

    def test_adamw_is_adam_and_weight_decay(self, problem):
        ours, _ = run(ek.optimizers.AdamW(learning_rate=0.1, weight_decay=0.1), problem)
        same, _ = run(ek.optimizers.Adam(learning_rate=0.1, weight_decay=0.1), problem)
        for path in PATHS:
            np.testing.assert_array_equal(ours[path], same[path])
        assert ek.optimizers.AdamW().weight_decay == 0.004

    def test_adamw_without_weight_decay_is_refused(self):
        with pytest.raises(InvalidArgumentError, match="weight_decay"):
            ek.optimizers.AdamW(weight_decay=None)


class TestAveraging:
    def averages(self, path_of_weights, momentum):
        """Returns exponential averages in NumPy; the first is the first weight itself."""
        average = path_of_weights[0].astype(np.float64)
        for weights in path_of_weights[1:]:
            average = momentum * average + (1 - momentum) * weights
        return average

    @every_named
    def test_a_run_ends_with_the_averages_of_its_weights(self, cls, problem):
        optimizer = cls(learning_rate=0.1, use_ema=True, ema_momentum=0.8)
        found, slots = run(optimizer, problem)
        plain, _ = run(cls(learning_rate=0.1), problem)
        last = {path: jnp.asarray(a[-1]) for path, a in found.items()}
        finished = optimizer.finished(last, slots)
        for path in PATHS:
            np.testing.assert_allclose(found[path], plain[path], rtol=1e-6)
            expected = self.averages(plain[path], 0.8)
            np.testing.assert_allclose(finished[path], expected, rtol=1e-5, atol=1e-6)

    @every_named
    def test_without_averaging_a_run_ends_with_its_weights(self, cls):
        weights = {"w": jnp.ones(2)}
        assert cls().finished(weights, cls().start(weights)) is weights

    def test_weights_become_their_averages_every_so_often(self, problem):
        """Ten lines of NumPy: at steps 5 and 10 the weights are set to their averages."""
        optimizer = ek.optimizers.SGD(
            learning_rate=0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=5
        )
        found, _ = run(optimizer, problem)
        for path in PATHS:
            w = a = problem[0][path].astype(np.float64)
            for t in range(STEPS):
                w = w - 0.1 * problem[1][path][t]
                a = w if t == 0 else 0.5 * a + 0.5 * w
                w = a if (t + 1) % 5 == 0 else w
                np.testing.assert_allclose(found[path][t], w, rtol=1e-5, atol=1e-6)

    def test_a_variable_that_is_trained_later_is_averaged_from_its_own_value(self):
        optimizer = ek.optimizers.SGD(learning_rate=0.0, use_ema=True)
        params = {"w": jnp.full(2, 7.0)}
        _, slots = optimizer.advance(
            {"w": jnp.ones(2)},
            optimizer.start(params),
            params,
            jnp.asarray(0.0),
            jnp.asarray(1000),
        )
        np.testing.assert_allclose(slots["average"]["w"], 7.0, rtol=1e-6)

    def test_an_overwriting_frequency_without_averages_is_refused(self):
        with pytest.raises(InvalidArgumentError, match="use_ema=True"):
            ek.optimizers.SGD(ema_overwrite_frequency=5)


class TestAccumulation:
    @every_named
    def test_four_batches_are_one_update_with_their_mean(self, cls, problem):
        """Step numbers, bias corrections, clipping and decay count updates, not batches."""
        more = {"learning_rate": 0.1, "clipnorm": 1.0, "weight_decay": 0.2, "use_ema": True}
        found, slots = run(cls(gradient_accumulation_steps=4, **more), problem)
        means = {p: g.reshape(3, 4, *g.shape[1:]).mean(axis=1) for p, g in problem[1].items()}
        large, large_slots = run(cls(**more), (problem[0], means), steps=3)
        for path in PATHS:
            np.testing.assert_array_equal(found[path][:3], [problem[0][path]] * 3)
            np.testing.assert_allclose(found[path][3::4], large[path], rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(found[path][6], large[path][0], rtol=1e-4, atol=1e-6)
            average = slots["average"][path], large_slots["average"][path]
            np.testing.assert_allclose(*average, rtol=1e-4, atol=1e-6)

    def test_a_model_takes_the_steps_of_a_large_batch(self, random):
        """Descent on the mean over 8 rows, in four batches of 2 or in one of 8."""
        x = random.standard_normal((32, 3)).astype(np.float32)
        y = (x @ np.array([1.0, -2.0, 0.5]))[:, None].astype(np.float32)
        weights = []
        for batch_size, batches in ((2, 4), (8, None)):
            model = ek.Sequential([ek.layers.Dense(1, input_shape=[3])])
            model.set_weights([np.zeros((3, 1)), np.zeros(1)])
            optimizer = ek.optimizers.SGD(0.1, gradient_accumulation_steps=batches)
            model.compile(optimizer=optimizer, loss="mse")
            model.fit(x, y, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
            weights.append(model.get_weights())
        for ours, large in zip(*weights, strict=True):
            np.testing.assert_allclose(ours, large, rtol=1e-5, atol=1e-6)

    def test_schedules_count_updates(self):
        schedule = ek.optimizers.schedules.InverseTimeDecay(0.1, 1, 1.0)
        optimizer = ek.optimizers.SGD(schedule, gradient_accumulation_steps=4)
        for batches, rate in ((0, 0.1), (3, 0.1), (4, 0.05), (8, 0.1 / 3)):
            optimizer.iterations = batches
            assert optimizer.learning_rate == pytest.approx(rate)
            at = optimizer.rate_at(jnp.asarray(batches), jnp.asarray(1.0))
            assert float(at) == pytest.approx(rate)


ALL = {
    "weight_decay": 0.01,
    "global_clipnorm": 1.0,
    "use_ema": True,
    "ema_momentum": 0.9,
    "ema_overwrite_frequency": 3,
    "gradient_accumulation_steps": 2,
}


@every_named
def test_configuration_round_trip_keeps_all_of_it(cls, problem):
    optimizer = cls(learning_rate=0.1, name="given", **ALL)
    config = discovery.through_json(optimizer.get_config())
    assert {name: config[name] for name in ALL} == ALL
    copy = ek.optimizers.get({"class_name": cls.__name__, "config": config})
    assert copy.fingerprint == optimizer.fingerprint
    assert copy.get_config() == optimizer.get_config()
    for path, ours in run(copy, problem)[0].items():
        np.testing.assert_array_equal(ours, run(optimizer, problem)[0][path])


@every_named
def test_slots_keep_their_structure_from_step_to_step(cls, problem):
    optimizer = cls(**ALL)
    start = optimizer.start({path: jnp.asarray(value) for path, value in problem[0].items()})
    _, slots = run(optimizer, problem, steps=3)
    described = [jax.tree.map(lambda a: (a.shape, a.dtype), tree) for tree in (start, slots)]
    assert described[0] == described[1]


@every_named
def test_a_matrix_in_column_blocks_is_updated_as_a_whole_one(cls, problem):
    """Where the optimizer says that it is elementwise, the engine may hold it so."""
    more = {name: value for name, value in ALL.items() if name != "global_clipnorm"}
    optimizer = cls(learning_rate=0.1, clipvalue=0.5, **more)
    assert optimizer.is_elementwise

    def blocks(values):
        return {p: tuple(jnp.split(a, [1], -1)) if a.ndim == 2 else a for p, a in values.items()}

    params = {path: jnp.asarray(value) for path, value in problem[0].items()}
    in_blocks, slots = blocks(params), optimizer.start(params)
    cut = {name: blocks(s) if isinstance(s, dict) else s for name, s in slots.items()}
    advance, factor = jax.jit(optimizer.advance), jnp.asarray(0.1)
    for t in range(4):
        now = {path: jnp.asarray(g[t]) for path, g in problem[1].items()}
        step = jnp.asarray(t)
        params, slots = advance(now, slots, params, factor, step)
        in_blocks, cut = advance(blocks(now), cut, in_blocks, factor, step)
    joined = jnp.concatenate(in_blocks["dense/kernel"], axis=-1)
    np.testing.assert_allclose(joined, params["dense/kernel"], rtol=1e-6, atol=1e-7)


@every_named
def test_without_any_of_it_a_step_is_the_pair_alone(cls, problem):
    """Same slots, same operations: the compiled text has nothing more in it."""
    optimizer = cls()
    optimizer.weight_decay = None  # AdamW's own
    params = {path: jnp.asarray(value) for path, value in problem[0].items()}
    gradients = {path: jnp.asarray(g[0]) for path, g in problem[1].items()}
    slots = optimizer.init(params)
    assert jax.tree.structure(optimizer.start(params)) == jax.tree.structure(slots)

    def alone(gradients, slots, params, rate, step):
        updates, slots = optimizer.update(gradients, slots, params, rate, step)
        return jax.tree.map(jnp.add, params, updates), slots

    arguments = (gradients, slots, params, jnp.asarray(0.1), jnp.asarray(0))
    expected = str(jax.make_jaxpr(alone)(*arguments))
    assert str(jax.make_jaxpr(optimizer.advance)(*arguments)) == expected


@every_named
def test_an_attribute_that_is_set_later_counts(cls):
    optimizer = cls()
    before = optimizer.fingerprint
    optimizer.clipnorm = 1.0
    assert optimizer.fingerprint != before
    assert not optimizer.is_elementwise


@every_named
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight_decay", -0.1),
        ("clipnorm", 0.0),
        ("clipvalue", -1.0),
        ("global_clipnorm", float("nan")),
        ("ema_momentum", 1.5),
        ("ema_momentum", None),
        ("ema_overwrite_frequency", 0),
        ("gradient_accumulation_steps", 1),
        ("gradient_accumulation_steps", 2.5),
    ],
)
def test_an_impossible_setting_is_refused_at_construction(cls, name, value):
    with pytest.raises(InvalidArgumentError, match=name):
        cls(use_ema=True, **{name: value})


def test_a_model_with_all_of_it_trains_and_is_saved(random, tmp_path):
    x = random.standard_normal((32, 3)).astype(np.float32)
    model = ek.Sequential([ek.layers.Dense(1, input_shape=[3])])
    model.compile(optimizer=ek.optimizers.AdamW(0.01, **ALL | {"weight_decay": 0.1}), loss="mse")
    model.fit(x, x[:, :1], batch_size=8, epochs=2, verbose=0)
    model.save(tmp_path / "model.safetensors")
    copy = ek.models.load_model(tmp_path / "model.safetensors")
    assert copy.optimizer.fingerprint == model.optimizer.fingerprint
    for name in ("average", "gradient_accumulator"):
        for path, value in model.optimizer.slots[name].items():
            np.testing.assert_array_equal(copy.optimizer.slots[name][path], value)


class TestRateMultipliers:
    @every_named
    def test_a_multiplied_rate_is_that_rate(self, cls, problem):
        """What an optimizer does at 0.3 times the rate, weight decay included, for one variable."""
        slow, _ = run(cls(learning_rate=0.03, weight_decay=0.2), problem)
        whole, _ = run(cls(learning_rate=0.1, weight_decay=0.2), problem)
        mixed = cls(learning_rate=0.1, weight_decay=0.2)
        mixed.multiply_rates({f"^{PATHS[0]}$": 0.3})
        found, _ = run(mixed, problem)
        assert_equal(found, {PATHS[0]: slow[PATHS[0]], PATHS[1]: whole[PATHS[1]]})

    def test_at_zero_a_variable_stays_to_the_bit(self, problem):
        optimizer = ek.optimizers.Adam(0.1, weight_decay=0.1)
        optimizer.multiply_rates({PATHS[0]: 0.0})
        found, _ = run(optimizer, problem)
        for step in found[PATHS[0]]:
            np.testing.assert_array_equal(step, problem[0][PATHS[0]])

    def test_the_first_pattern_that_fits_holds(self):
        optimizer = ek.optimizers.SGD()
        optimizer.multiply_rates({"kernel": 0.5, "dense": 0.1})
        of = optimizer.surroundings.multipliers.of
        assert [of("dense/kernel"), of("dense/bias"), of("out/bias")] == [0.5, 0.1, 1.0]

    def test_they_are_part_of_the_configuration_and_of_the_plan(self):
        optimizer = ek.optimizers.Adam(0.1)
        plain = optimizer.fingerprint
        optimizer.multiply_rates({"kernel": 0.5})
        assert optimizer.fingerprint != plain
        again = type(optimizer).from_config(optimizer.get_config())
        assert again.rate_multipliers == {"kernel": 0.5}
        optimizer.multiply_rates(None)
        assert optimizer.fingerprint == plain

    def test_they_hold_for_optax_as_well(self):
        optax = pytest.importorskip("optax")
        optimizer = ek.optimizers.get(optax.sgd(0.1))
        plain = optimizer.fingerprint
        optimizer.multiply_rates({"a": 0.5})
        assert optimizer.fingerprint != plain
        params = {"a": jnp.ones(()), "b": jnp.ones(())}
        after, _ = optimizer.advance(
            params, optimizer.start(params), params, jnp.asarray(1.0), jnp.asarray(0)
        )
        np.testing.assert_allclose([after["a"], after["b"]], [0.95, 0.9], rtol=1e-6)

    @pytest.mark.parametrize("factors", [{"a": -1}, {"a": "x"}, {"(": 1}, {3: 1}], ids=str)
    def test_impossible_ones_are_refused(self, factors):
        with pytest.raises(InvalidArgumentError, match="multiply_rates"):
            ek.optimizers.SGD().multiply_rates(factors)
