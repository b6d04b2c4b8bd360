"""`models.load_weights_from`: what of another program's file goes where, and what is refused."""

from __future__ import annotations

import json
import struct

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

import evenkeel as ek
from evenkeel.errors import FileRefusedError, InvalidArgumentError, NotBuiltError
from evenkeel.layers import BatchNormalization, Conv2D, Dense, Flatten
from evenkeel.models import load_weights_from


@pytest.fixture
def path(tmp_path):
    return tmp_path / "other.safetensors"


def dense():
    ek.set_random_seed(1)
    return ek.Sequential([Dense(2, input_shape=[3]), Dense(2)])


def numbers(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


KERNEL, BIAS = numbers(3, 2), numbers(2)
NAMES = {"fc1.weight": "dense/kernel", "fc1.bias": "dense/bias"}


class TestNames:
    def test_a_mapping_says_what_goes_where_and_the_rest_stays(self, path):
        model = dense()
        before = model.get_weights()
        save_file({"fc1.weight": KERNEL, "fc1.bias": BIAS, "steps": np.zeros(1, np.int64)}, path)
        report = load_weights_from(model, path, NAMES)
        np.testing.assert_array_equal(model.get_weights()[0], KERNEL)
        np.testing.assert_array_equal(model.get_weights()[1], BIAS)
        np.testing.assert_array_equal(model.get_weights()[2], before[2])
        assert report.matched == NAMES
        assert report.unused == ("steps",)
        assert report.missing == ("dense_1/kernel", "dense_1/bias")
        assert not report.is_complete
        assert "2 entries loaded" in str(report)
        assert "Left as they were: dense_1/kernel, dense_1/bias." in str(report)

    def test_a_function_can_say_it_and_leave_out(self, path):
        model = dense()
        save_file({"net.0.kernel": KERNEL, "net.0.bias": BIAS, "net.1.bias": BIAS + 5}, path)

        def rename(name):
            _, number, variable = name.split(".")
            return f"dense/{variable}" if number == "0" else None

        report = load_weights_from(model, path, rename)
        assert set(report.matched.values()) == {"dense/kernel", "dense/bias"}
        assert report.unused == ("net.1.bias",)

    def test_without_a_mapping_names_are_paths_as_in_our_own_files(self, path):
        model, other = dense(), ek.Sequential([Dense(2, input_shape=[3]), Dense(7)])
        other.save(path)
        report = load_weights_from(model, path, mismatched="skip")
        assert set(report.matched.values()) == {"dense/kernel", "dense/bias"}
        assert set(report.skipped) == {"weights/dense_1/kernel", "weights/dense_1/bias"}
        assert "(2, 7)" in str(report)
        np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])

    def test_a_damaged_file_of_our_own_is_refused(self, path):
        model = dense()
        model.save(path)
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(bytes(content))
        with pytest.raises(FileRefusedError, match="checksum"):
            load_weights_from(model, path)


class TestLayouts:
    def test_pytorch_kernels_are_turned(self, path, random):
        """A linear layer computes x Wᵀ + b there. A convolution's kernel is (out, in, h, w)."""
        model = ek.Sequential(
            [Conv2D(2, 3, input_shape=(5, 5, 4)), BatchNormalization(), Flatten(), Dense(6)]
        )
        convolution = random.normal(size=(2, 4, 3, 3)).astype(np.float32)
        linear = random.normal(size=(6, 18)).astype(np.float32)
        entries = {"conv.weight": convolution, "bn.running_mean": BIAS, "fc.weight": linear}
        save_file(entries, path)
        names = {
            "conv.weight": "conv2d/kernel",
            "bn.running_mean": "batch_normalization/moving_mean",
            "fc.weight": "dense/kernel",
        }
        load_weights_from(model, path, names, layout="torch")
        kernel = model.layers[0].kernel.numpy()
        assert kernel[1, 2, 3, 0] == convolution[0, 3, 1, 2]
        np.testing.assert_array_equal(model.layers[3].kernel.numpy(), linear.T)
        np.testing.assert_array_equal(model.layers[1].moving_mean.numpy(), BIAS)

    def test_a_square_matrix_is_turned_too(self, path):
        model = dense()
        square = numbers(2, 2)
        save_file({"w": square}, path)
        load_weights_from(model, path, {"w": "dense_1/kernel"}, layout="torch")
        np.testing.assert_array_equal(model.layers[1].kernel.numpy(), square.T)

    def test_axes_can_be_given_one_by_one(self, path):
        model = dense()
        save_file({"w": KERNEL.T.copy()}, path)
        load_weights_from(model, path, {"w": ("dense/kernel", (1, 0))})
        np.testing.assert_array_equal(model.layers[0].kernel.numpy(), KERNEL)

    @pytest.mark.parametrize("kind", [np.float16, np.float64])
    def test_other_precisions_become_single(self, path, kind):
        model = dense()
        save_file({"w": KERNEL.astype(kind)}, path)
        load_weights_from(model, path, {"w": "dense/kernel"})
        np.testing.assert_array_equal(model.layers[0].kernel.numpy(), KERNEL)
        assert model.layers[0].kernel.numpy().dtype == np.float32

    def test_bfloat16_becomes_single(self, path):
        """Written by hand: NumPy itself does not know the type. The numbers need 3 bits."""
        content = KERNEL.astype(ml_dtypes.bfloat16).tobytes()
        entry = {"dtype": "BF16", "shape": [3, 2], "data_offsets": [0, len(content)]}
        header = json.dumps({"w": entry}).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + content)
        model = dense()
        load_weights_from(model, path, {"w": "dense/kernel"})
        np.testing.assert_array_equal(model.layers[0].kernel.numpy(), KERNEL)


class TestRefusals:
    def refused(self, model, *arguments, error=FileRefusedError, **settings):
        """Returns the message of a refusal that left all weights as they were."""
        before = [weight.tobytes() for weight in model.get_weights()]
        with pytest.raises(error) as refusal:
            load_weights_from(model, *arguments, **settings)
        assert [weight.tobytes() for weight in model.get_weights()] == before
        return str(refusal.value)

    def test_all_shapes_that_do_not_fit_are_named_and_nothing_is_loaded(self, path):
        save_file({"fc1.weight": KERNEL.T.copy(), "fc1.bias": numbers(5), "b": BIAS}, path)
        mapping = {**NAMES, "b": "dense_1/bias"}
        message = self.refused(dense(), path, mapping)
        assert "'fc1.weight' has shape (2, 3), and 'dense/kernel' expects (3, 2)" in message
        assert "it fits as ('dense/kernel', (1, 0))" in message
        assert "'fc1.bias' has shape (5,), and 'dense/bias' expects (2,)" in message
        assert "layout='torch'" in message

    def test_they_can_be_skipped_and_are_then_reported(self, path):
        model = dense()
        save_file({"fc1.weight": KERNEL, "fc1.bias": numbers(5)}, path)
        report = load_weights_from(model, path, NAMES, mismatched="skip")
        assert list(report.skipped) == ["fc1.bias"]
        assert "dense/bias" in report.missing

    def test_numbers_that_are_no_weights(self, path):
        save_file({"fc1.weight": KERNEL.astype(np.int32), "fc1.bias": BIAS * np.nan}, path)
        message = self.refused(dense(), path, NAMES)
        assert "holds int32" in message
        assert "'fc1.bias' holds values that are not finite" in message

    def test_a_file_with_nothing_for_the_model_shows_both_sides(self, path):
        save_file({"fc1.weight": KERNEL}, path)
        message = self.refused(dense(), path)
        assert "fc1.weight" in message
        assert "dense/kernel" in message

    def test_names_that_do_not_exist(self, path):
        save_file({"fc1.weight": KERNEL, "fc1.bias": BIAS}, path)
        wrong = {"fc1.wieght": "dense/kernel"}
        message = self.refused(dense(), path, wrong, error=InvalidArgumentError)
        assert "Did you mean 'fc1.weight'" in message
        wrong = {"fc1.weight": "dense/kernal"}
        message = self.refused(dense(), path, wrong, error=InvalidArgumentError)
        assert "Did you mean 'dense/kernel'" in message

    def test_two_entries_for_one_variable(self, path):
        save_file({"a": BIAS, "b": BIAS}, path)
        wrong = {"a": "dense/bias", "b": "dense/bias"}
        assert "one entry" in self.refused(dense(), path, wrong, error=InvalidArgumentError)

    @pytest.mark.parametrize("setting", [{"layout": "tourch"}, {"mismatched": "skpi"}], ids=str)
    def test_unknown_settings(self, path, setting):
        message = self.refused(dense(), path, error=InvalidArgumentError, **setting)
        assert "Did you mean" in message

    def test_files_that_are_none(self, path):
        self.refused(dense(), path, error=FileNotFoundError)
        path.write_bytes(b"no such thing")
        assert "safetensors" in self.refused(dense(), path)

    def test_models_that_are_none_or_not_built(self, path):
        with pytest.raises(InvalidArgumentError, match="expected a model"):
            load_weights_from(3, path)
        with pytest.raises(NotBuiltError):
            load_weights_from(ek.Sequential([Dense(2)]), path)
