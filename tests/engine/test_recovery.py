"""A run whose loss is no longer finite: where it broke, what was done, and what is left."""

from __future__ import annotations

import math
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.engine.feed import ArrayFeed
from evenkeel.engine.inspection import Inspection
from evenkeel.engine.outcome import Outcome
from evenkeel.engine.plan import Plan
from evenkeel.engine.recovery import MOST_BREAKS, Brake, Break, Examiner, Moment
from evenkeel.engine.step import Batch
from evenkeel.errors import EvenkeelWarning, InvalidArgumentError, NotFiniteError
from evenkeel.layers import Dense, Layer
from evenkeel.network import random_key
from evenkeel.optimizers import SGD, Adam

ROWS, BATCH = 64, 8
breaks = pytest.mark.filterwarnings("ignore:Epoch.*infinite or not a number")


@pytest.fixture
def data(random):
    x = random.normal(size=(ROWS, 4)).astype(np.float32)
    return x, (x @ [1.0, -2.0, 0.5, 1.0]).astype(np.float32)


def network(rate, **optimizer):
    model = ek.Sequential([Dense(6, activation="relu", input_shape=[4]), Dense(1)], name="net")
    model.compile(SGD(rate, **optimizer), "mse")
    return model


def fit(model, data, **more):
    settings = {"batch_size": BATCH, "epochs": 8, "verbose": 0, **more}
    return model.fit(*data, **settings)


class TestARateThatIsTooHigh:
    @breaks
    @pytest.mark.parametrize("rate", [30.0, 3000.0])
    def test_is_lowered_until_the_run_trains(self, data, rate):
        model = network(rate)
        history = fit(model, data)
        assert history.outcome is Outcome.COMPLETED
        assert history.history["loss"][-1] < 0.1 * data[1].var()
        assert model.optimizer.learning_rate == pytest.approx(rate / 10 ** len(history.breaks))
        assert all(broken.cause == "rate" for broken in history.breaks)

    @breaks
    def test_leaves_one_row_an_epoch_and_steps_without_gaps(self, data):
        model = network(300.0)
        history = fit(model, data, epochs=3)
        assert history.breaks
        assert history.epoch == [0, 1, 2]
        assert all(len(values) == 3 for values in history.history.values())
        assert np.isfinite(history.history["loss"]).all()
        assert model.optimizer.iterations == 3 * ROWS // BATCH

    @breaks
    def test_is_as_if_the_lower_rate_had_been_chosen(self, data):
        """The epoch is taken again with the same order and the same keys, to the bit."""
        model = network(300.0)
        history = fit(model, data, epochs=3)
        assert {broken.epoch for broken in history.breaks} == {0}
        ek.set_random_seed(20)
        twin = network(float(model.optimizer.learning_rate))
        fit(twin, data, epochs=3)
        for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)

    @breaks
    def test_goes_on_with_the_weights_of_the_last_good_epoch(self, data):
        """The second epoch is spoiled; what it is repeated from is what the first one left."""
        seen = {}

        class Spoil(ek.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                seen.setdefault(epoch, []).append(self.model.get_weights())

            def on_epoch_end(self, epoch, logs=None):
                if epoch == 0:
                    self.model.optimizer.learning_rate = 300.0

        history = fit(network(0.02), data, epochs=2, callbacks=[Spoil()])
        assert len(seen[1]) == len(history.breaks) + 1 > 1
        for weights in seen[1][1:]:
            for a, b in zip(weights, seen[1][0], strict=True):
                np.testing.assert_array_equal(a, b)

    @breaks
    def test_that_a_callback_sets_anew_is_not_taken_again(self, data):
        rates = ek.callbacks.LearningRateScheduler(lambda epoch: 300.0)
        model = network(300.0)
        history = fit(model, data, epochs=4, callbacks=[rates])
        assert history.outcome is Outcome.COMPLETED
        assert {broken.epoch for broken in history.breaks} == {0}
        assert model.optimizer.learning_rate < 300

    @breaks
    def test_may_follow_a_schedule_whose_factor_is_lowered(self, data):
        model = network(1.0)
        model.compile(SGD(ek.optimizers.schedules.ExponentialDecay(300.0, 100, 0.5)), "mse")
        history = fit(model, data)
        assert history.outcome is Outcome.COMPLETED
        assert model.optimizer.rate_factor == pytest.approx(0.1 ** len(history.breaks))
        assert history.breaks[0].rate > 250

    @breaks
    def test_is_tried_a_bounded_number_of_times(self, data):
        history = fit(network(1e25), data)
        assert history.outcome is Outcome.NOT_FINITE
        assert len(history.breaks) == MOST_BREAKS + 1
        assert history.breaks[-1].next_rate is None

    @breaks
    def test_compiles_no_program_of_steps_again(self, data):
        history = fit(network(3000.0), data)
        programs = [compilation.program for compilation in history.compilations]
        assert len(history.breaks) >= 2
        assert sorted(programs) == ["inspection", "training"]

    @breaks
    def test_shows_in_telemetry_as_if_it_had_not_been(self, data):
        model = network(300.0)
        model.compile(SGD(300.0), "mse", telemetry="economy")
        history = fit(model, data)
        steps = [sample.step for sample in history.telemetry]
        assert steps == sorted(set(steps))
        assert all(math.isfinite(sample.loss) for sample in history.telemetry)

    def test_is_told_with_layer_batch_and_what_was_done(self, data):
        with pytest.warns(EvenkeelWarning) as caught:
            history = fit(network(3000.0), data)
        text = str(caught[0].message)
        assert "Epoch 1, batch" in text
        assert f"of {ROWS // BATCH}" in text
        assert "'dense_1" in text
        assert "300" in text
        assert len(caught) == len(history.breaks)
        assert text == history.breaks[0].sentence


class TestWhatTheUserChooses:
    def test_stop_ends_with_the_last_good_weights(self, data):
        model = network(1e25)
        before = model.get_weights()
        with pytest.warns(EvenkeelWarning, match="Lower the learning rate"):
            history = fit(model, data, if_not_finite="stop")
        assert history.outcome is Outcome.NOT_FINITE
        assert len(history.breaks) == 1
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_raise_raises_and_leaves_a_model_that_can_be_used(self, data):
        model = network(1e25)
        before = model.get_weights()
        with pytest.raises(NotFiniteError, match=r"batch .* of 8.*[Ll]ower the learning rate"):
            fit(model, data, if_not_finite="raise")
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)
        assert model.history.outcome is Outcome.NOT_FINITE
        model.optimizer.learning_rate = 0.01
        assert fit(model, data, epochs=1).outcome is Outcome.COMPLETED

    def test_anything_else_is_refused(self, data):
        with pytest.raises(InvalidArgumentError, match="continue"):
            fit(network(0.1), data, if_not_finite="go on")

    @breaks
    def test_a_callback_can_end_the_run(self, data):
        class Enough(ek.callbacks.Callback):
            def on_not_finite(self, epoch, logs=None):
                self.model.stop_training = True

        history = fit(network(300.0), data, callbacks=[Enough()])
        assert (history.outcome, len(history.breaks)) == (Outcome.NOT_FINITE, 1)


class Logarithm(Layer):
    """A layer that is not finite where an input is 0."""

    def call(self, inputs, training=None):
        return jnp.log(jnp.abs(inputs))


class TestWhatNoRateCanHelp:
    def test_a_batch_that_breaks_good_weights_ends_the_run(self, data):
        x, y = np.abs(data[0]) + 0.1, data[1]
        x[37, 2] = 0.0
        model = ek.Sequential([Logarithm(name="log"), Dense(1)])
        model.compile(SGD(0.01), "mse")
        with pytest.warns(EvenkeelWarning, match="would not help") as caught:
            history = fit(model, (x, y), shuffle=False)
        (broken,) = history.breaks
        assert (broken.cause, broken.batches, broken.site.place) == ("batch", (4, 4), "log")
        assert history.outcome is Outcome.NOT_FINITE
        assert model.optimizer.learning_rate == pytest.approx(0.01)
        assert len(caught) == 1

    def test_rows_that_are_not_finite_are_named(self, data):
        """Arrays are refused before; what looks inside a step does not rely on that."""
        x, y = data
        x[21, 0], x[19, 3] = np.nan, np.inf
        model = network(0.01)
        plan = Plan.of(model, heads=model.heads(), optimizer=model.optimizer)
        feed = ArrayFeed(Batch(x=x, y=y[:, None]), BATCH)
        state = plan.read_state(random_key(0))
        segment = next(iter(feed.epoch(0)))
        examiner = Examiner(
            plan=plan,
            feed=feed,
            take=None,
            inspection=Inspection(plan),
            factor=np.float32(0.01),
        )
        moment = Moment(first=2, last=3, segment=segment, offset=0, before=state)
        broken = examiner.judged(state, 0, moment, 0.01)
        assert (broken.cause, broken.site.what, broken.rows) == ("data", "data", (19, 21))
        assert "rows 19, 21" in broken.sentence
        assert "no learning rate would help" in broken.sentence

    def test_arrays_with_a_nan_are_refused_before_the_first_step(self, data):
        x, y = data
        x[21, 0] = np.nan
        with pytest.raises(ek.errors.InvalidDataError, match="rows 21"):
            fit(network(0.01), (x, y))


class TestWhereARunBroke:
    @breaks
    def test_the_batch_is_the_one_at_which_single_steps_break(self, data):
        count = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = network(30.0)
            for first in range(0, ROWS, BATCH):
                rows = slice(first, first + BATCH)
                loss = model.train_on_batch(data[0][rows], data[1][rows])
                if not np.isfinite(loss):
                    break
                count += 1
        ek.set_random_seed(20)
        model = network(30.0)
        history = fit(model, data, epochs=1, shuffle=False, if_not_finite="stop")
        assert history.breaks[0].batches == (count, count)

    @breaks
    @pytest.mark.filterwarnings("ignore:fit.*listens to single batches")
    def test_it_is_the_same_where_python_runs_between_all_steps(self, data):
        class Listen(ek.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                pass

        found = []
        for callbacks in ([], [Listen()]):
            ek.set_random_seed(20)
            history = fit(network(30.0), data, if_not_finite="stop", callbacks=callbacks)
            found.append((history.breaks[0].batches, history.breaks[0].site))
        assert found[0] == found[1]

    @breaks
    def test_of_a_stream_only_a_range_of_batches_is_known(self, data):
        batches = [(data[0][i : i + BATCH], data[1][i : i + BATCH]) for i in range(0, ROWS, BATCH)]

        class Loader:
            def __iter__(self):
                return iter(batches)

            def __len__(self):
                return len(batches)

        model = network(300.0)
        history = model.fit(Loader(), epochs=3, verbose=0)
        assert history.outcome is Outcome.COMPLETED
        assert history.epoch == [0, 1, 2]
        assert "one of the batches" in history.breaks[0].sentence

    @breaks
    def test_a_generator_that_is_used_up_cannot_be_repeated(self, data):
        batches = ((data[0][i : i + BATCH], data[1][i : i + BATCH]) for i in range(0, ROWS, BATCH))
        history = network(1e20).fit(batches, verbose=0)
        assert (history.outcome, len(history.breaks)) == (Outcome.NOT_FINITE, 1)

    def test_new_weights_that_overflow_are_told_from_gradients(self, data):
        """One step at rate 3e38: output, loss and gradients are finite, the weights are not."""
        with pytest.warns(EvenkeelWarning):
            history = fit(network(3e38), data, batch_size=ROWS, if_not_finite="stop")
        (broken,) = history.breaks
        assert (broken.site.what, broken.cause) == ("weights", "rate")
        assert broken.site.place.startswith("dense")

    def test_plain_data_says_it_all(self):
        broken = Break(epoch=1, batches=(2, 5), steps=None, site=None, cause="rate", rate=0.5)
        written = broken.to_dict()
        assert written["batches"] == [2, 5]
        assert "one of the batches 3 to 6" in written["sentence"]


def test_a_brake_lets_lower_rates_pass():
    brake = Brake(Adam(1.0))
    brake.tighten()
    brake.optimizer.learning_rate = 0.05
    brake.hold()
    assert brake.optimizer.learning_rate == pytest.approx(0.05)
    brake.optimizer.learning_rate = 5.0
    brake.hold()
    assert brake.optimizer.learning_rate == pytest.approx(0.1)
