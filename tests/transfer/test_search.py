"""`transfer.search` and what it concludes: the table, the interval, and "not worth it"."""

from __future__ import annotations

import math

import numpy as np
import pytest

import evenkeel as ek
from evenkeel.errors import InvalidArgumentError, InvalidDataError
from evenkeel.layers import Dense
from evenkeel.transfer import Candidate, Search, search
from evenkeel.transfer.comparison import least_gain

ROWS = np.random.Generator(np.random.Philox(4)).normal(size=(32, 3)).astype(np.float32)
CLASSES = (ROWS.sum(axis=1) > 0).astype(np.int32)
TASK = {"head": Dense(1, "sigmoid"), "loss": "binary_crossentropy", "verbose": 0}


def source():
    ek.set_random_seed(2)
    return ek.Sequential([Dense(4, "relu", input_shape=[3]), Dense(4, "relu"), Dense(3, "softmax")])


def candidate(name, scores, kept=1):
    epochs = (3,) * len(scores)
    return Candidate(
        name=name, kept=kept, replaced=False, scores=scores, epochs=epochs, parameters=9
    )


def compared(*scores, wants_more=False, ratio=0.0):
    names = ["from scratch", *(f"keep {n + 1}" for n in range(len(scores) - 1))]
    candidates = tuple(candidate(n, s) for n, s in zip(names, scores, strict=True))
    return Search(
        candidates=candidates,
        monitor="val_loss",
        wants_more=wants_more,
        validation_to_training=ratio,
        models=tuple(names),
    )


class TestTheInterval:
    def test_it_is_the_textbook_one(self):
        """Mean 0.2, deviation 0.1, three seeds: 0.2 - 2.919986 · 0.1 / √3; t from a table."""
        assert least_gain([0.1, 0.2, 0.3], 0.0, 1) == pytest.approx(
            0.2 - 2.919986 * 0.1 / math.sqrt(3), abs=1e-6
        )

    def test_rows_that_seeds_share_widen_it(self):
        """√(1/3 + 1/3) in place of √(1/3), Nadeau and Bengio's correction."""
        found = least_gain([0.1, 0.2, 0.3], 1 / 3, 1)
        assert found == pytest.approx(0.2 - 2.919986 * 0.1 * math.sqrt(2 / 3), abs=1e-6)

    def test_several_candidates_widen_it(self):
        """Two candidates: t at 0.975 in place of 0.95, 4.302653 from a table."""
        found = least_gain([0.1, 0.2, 0.3], 0.0, 2)
        assert found == pytest.approx(0.2 - 4.302653 * 0.1 / math.sqrt(3), abs=1e-6)

    def test_by_chance_alone_it_says_worth_it_as_rarely_as_it_promises(self, random):
        """Six candidates no better than scratch: at most 5 in 100, 400 times; four sigmas above."""
        times, found = 400, 0
        for _ in range(times):
            scratch, *others = random.normal(size=(7, 5))
            found += max(least_gain(scratch - other, 0.0, 6) for other in others) > 0
        assert found / times <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / times)

    @pytest.mark.parametrize("gains", [[0.5], [0.1, math.inf], [0.1, math.nan]])
    def test_it_claims_nothing_where_there_is_no_spread(self, gains):
        assert least_gain(gains, 0.0, 1) == -math.inf


class TestTheRecommendation:
    def test_a_clear_gain_is_worth_it(self):
        found = compared((0.5, 0.52, 0.51), (0.4, 0.42, 0.41), (0.3, 0.32, 0.315))
        assert found.is_worth_it
        assert found.recommended.name == found.model == "keep 2"
        assert found.recommendation.startswith("Worth it: the best reuse, keep 2,")

    def test_a_mean_that_is_better_by_luck_is_not(self):
        found = compared((0.5, 0.4, 0.6), (0.3, 0.5, 0.55))
        assert not found.is_worth_it
        assert found.recommended is found.scratch
        assert found.recommendation.startswith("Not worth it")
        assert "chance" in found.recommendation

    def test_nor_is_what_is_worse(self):
        found = compared((0.5, 0.5, 0.5), (0.6, 0.61, 0.62))
        assert "as good as the best reuse, keep 1, or better" in found.recommendation

    def test_for_accuracies_more_is_better(self):
        found = compared((0.5, 0.52, 0.51), (0.7, 0.72, 0.715), wants_more=True)
        assert found.is_worth_it
        assert found.gains(found.best_reuse) == pytest.approx([0.2, 0.2, 0.205])

    def test_one_seed_cannot_tell(self):
        found = compared((0.5,), (0.1,))
        assert not found.is_worth_it
        assert found.recommendation.startswith("Cannot tell")

    def test_a_candidate_that_broke_off_is_shown_and_not_chosen(self):
        found = compared((0.5, 0.52), (math.inf, 0.1), (0.6, 0.6))
        assert found.best_reuse.name == "keep 2"
        assert "inf" in str(found)

    def test_the_table_has_every_candidate_with_its_spread(self):
        found = compared((0.5, 0.52, 0.51), (0.4, 0.42, 0.41))
        table = str(found)
        assert "0.5100 ± 0.0100" in table
        assert "0.4100 ± 0.0100" in table
        assert table.endswith(found.recommendation)


@pytest.fixture(scope="module")
def found():
    """One search, its source, and the source's weights before it."""
    network = source()
    before = network.get_weights()
    settings = {"seeds": 2, "epochs": 3, "keep": [1], "unfreeze": None, "batch_size": 8}
    return network, before, search(network, ROWS, CLASSES, **TASK, **settings)


class TestSearching:
    def test_scratch_dropping_and_replacing_are_compared(self, found):
        *_, found = found
        assert [(c.name, c.kept, c.replaced) for c in found.candidates] == [
            ("from scratch", 0, True),
            ("keep 1 of 2, drop 1", 1, False),
            ("keep 1 of 2, replace 1", 1, True),
        ]
        assert [c.parameters for c in found.candidates] == [41, 21, 41]

    def test_all_have_the_same_budget(self, found):
        """Two epochs of the first stage, one of the second; three from scratch."""
        *_, found = found
        assert all(c.epochs == (3, 3) for c in found.candidates)

    def test_the_source_stays_as_it_is(self, found):
        network, before, _ = found
        for weight, same in zip(network.get_weights(), before, strict=True):
            assert weight.tobytes() == same.tobytes()
        assert all(layer.trainable and not layer.is_shared for layer in network.layers)

    def test_the_model_is_trained_and_of_the_recommended_kind(self, found):
        *_, found = found
        assert found.model.count_params() == found.recommended.parameters
        assert found.model.predict(ROWS).shape == (32, 1)
        assert found.validation_to_training == pytest.approx(1 / 3)


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"keep": [3]}, "2 hidden layers"),
            ({"keep": [0]}, "keep"),
            ({"ways": ["dorp"]}, "Did you mean 'drop'"),
            ({"ways": []}, "ways="),
            ({"keep": []}, "keep="),
            ({"seeds": 0}, "seeds"),
            ({"epochs": 0}, "epochs"),
            ({"patience": 0}, "patience"),
            ({"validation_split": 1}, "validation_split"),
            ({"mode": "up"}, "mode"),
            ({"head": []}, "head="),
        ],
        ids=str,
    )
    def test_impossible_arguments(self, arguments, message):
        with pytest.raises(InvalidArgumentError, match=message):
            search(source(), ROWS, CLASSES, **{**TASK, **arguments})

    def test_a_network_of_one_layer(self):
        alone = ek.Sequential([Dense(2, input_shape=[3])])
        with pytest.raises(InvalidArgumentError, match="hidden layers"):
            search(alone, ROWS, CLASSES, **TASK)

    def test_one_class_only(self):
        with pytest.raises(InvalidDataError, match="one class only"):
            search(source(), ROWS, np.zeros(32, np.int32), **TASK)

    def test_more_classes_than_the_head_has_units(self):
        with pytest.raises(InvalidDataError, match="from 0 to 1"):
            search(
                source(), ROWS, np.arange(32) % 3, head=Dense(2, "softmax"),
                loss="sparse_categorical_crossentropy", seeds=2, verbose=0,
            )  # fmt: skip

    def test_rows_of_another_shape_than_the_network_takes(self):
        with pytest.raises(InvalidDataError, match=r"expected \(batch, 3\)|3 features|\(32, 5\)"):
            search(source(), np.zeros((32, 5)), CLASSES, **TASK)
