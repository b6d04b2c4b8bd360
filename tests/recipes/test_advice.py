"""The advice on activations: the notes' order, each with its condition."""

from __future__ import annotations

import pytest

from evenkeel import initializers
from evenkeel.errors import InvalidArgumentError
from evenkeel.recipes import activation_advice

# Where each comes first, as the notes have it; Swish for deep normalized networks as the later
# edition of the book does.
CASES = (
    ({}, "selu"),
    ({"hidden_layers": 50}, "selu"),
    ({"is_plain_stack": False}, "elu"),
    ({"is_standardized": False}, "elu"),
    ({"is_normalized": True}, "elu"),
    ({"hidden_layers": 20, "is_normalized": True}, "silu"),
    ({"hidden_layers": 20, "is_plain_stack": False}, "silu"),
    ({"latency_matters": True}, "leaky_relu"),
    ({"latency_matters": True, "overfits": True}, "rrelu"),
    ({"latency_matters": True, "has_much_data": True}, "prelu"),
    ({"speed_matters": True}, "relu"),
    ({"speed_matters": True, "latency_matters": True}, "relu"),
)


@pytest.mark.parametrize(("conditions", "activation"), CASES)
def test_each_comes_first_under_its_condition(conditions, activation):
    advice = activation_advice(**conditions)
    assert advice.value == activation
    initializer = advice.reason.rpartition("start from ")[2]
    assert initializers.get(initializer) is not None
    assert (initializer == "lecun_normal") == (activation == "selu")


def test_the_reason_names_what_stands_in_the_way():
    assert "skip connections" in activation_advice(is_plain_stack=False).reason
    assert "standardized" in activation_advice(is_standardized=False).reason


def test_impossible_depth_is_refused():
    with pytest.raises(InvalidArgumentError, match="hidden_layers"):
        activation_advice(0)
