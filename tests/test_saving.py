"""Model files: what comes back is what was saved, and anything else is refused whole."""

from __future__ import annotations

import hashlib
import json
import struct

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import evenkeel as ek
from evenkeel import saving
from evenkeel.errors import EvenkeelError, FileRefusedError, InvalidArgumentError
from evenkeel.layers import Dense, Dropout, Layer, LeakyReLU
from evenkeel.models import load_model
from evenkeel.optimizers import SGD, Adam


@pytest.fixture
def data(random):
    return random.normal(size=(24, 4)).astype(np.float32), np.arange(24) % 3


def network(optimizer="adam"):
    model = ek.Sequential(
        [
            ek.Input(shape=[4]),
            Dense(6, activation="elu", kernel_initializer="he_normal", name="first"),
            Dropout(0.3),
            Dense(5, activation=LeakyReLU(0.1)),
            Dense(3, activation="softmax"),
        ],
        name="kept",
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def small():
    model = ek.Sequential([Dense(2, input_shape=[3]), Dense(1)])
    model.compile(SGD(0.1, momentum=0.9), "mse")
    return model


@pytest.fixture
def file(tmp_path):
    """A small trained model's file, at little cost: its slots are made, not trained."""
    model = small()
    model.optimizer.slots = model.optimizer.init(
        {"dense/kernel": model.weights[0].value + 1, "dense/bias": model.weights[1].value,
         "dense_1/kernel": model.weights[2].value, "dense_1/bias": model.weights[3].value}
    )  # fmt: skip
    model.optimizer.iterations = 7
    path = tmp_path / "model.safetensors"
    model.save(path)
    return path


def same(one, other):
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


class TestRoundTrip:
    def test_outputs_are_identical(self, data, tmp_path):
        model = network()
        model.fit(*data, batch_size=12, verbose=0)
        model.save(tmp_path / "model")
        loaded = load_model(tmp_path / "model")
        np.testing.assert_array_equal(loaded.predict(data[0]), model.predict(data[0]))
        assert loaded.evaluate(*data) == model.evaluate(*data)
        assert loaded.name == "kept"
        assert loaded.get_config() == model.get_config()

    def test_training_goes_on_identically_given_the_same_seed(self, data, tmp_path):
        """Dropout, shuffling and Adam's slots and step count all matter to the result."""
        model = network(Adam(0.01))
        model.fit(*data, batch_size=12, epochs=2, verbose=0)
        model.save(tmp_path / "model")
        loaded = load_model(tmp_path / "model")
        assert loaded.optimizer.iterations == model.optimizer.iterations == 4
        assert loaded.optimizer.learning_rate == pytest.approx(0.01)
        histories = []
        for one in (model, loaded):
            ek.set_random_seed(5)
            histories.append(one.fit(*data, batch_size=12, epochs=2, verbose=0).history)
        assert histories[0] == histories[1]
        assert same(model.get_weights(), loaded.get_weights())

    def test_slots_come_back(self, file):
        slots = load_model(file).optimizer.slots["momentum"]
        assert slots["dense/kernel"].shape == (3, 2)
        assert set(slots) == {"dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"}

    def test_frozen_layers_come_back_frozen(self, data, tmp_path):
        model = network()
        model.layers[0].trainable = False
        model.save(tmp_path / "model")
        loaded = load_model(tmp_path / "model")
        assert [layer.trainable for layer in loaded.layers] == [False, True, True, True]
        before = loaded.layers[0].get_weights()
        loaded.fit(*data, batch_size=12, verbose=0)
        assert same(loaded.layers[0].get_weights(), before)

    def test_slots_survive_when_a_layer_is_unfrozen_before_saving(self, data, tmp_path):
        """What was trained keeps its slots; what was frozen starts with fresh ones."""
        x, y = data[0][:, :3], data[0][:, 3]
        model = small()
        model.layers[0].trainable = False
        model.fit(x, y, batch_size=12, verbose=0)
        model.layers[0].trainable = True
        model.save(tmp_path / "model")
        loaded = load_model(tmp_path / "model")
        for one in (model, loaded):
            one.fit(x, y, batch_size=12, shuffle=False, verbose=0)
        assert same(model.get_weights(), loaded.get_weights())

    @pytest.mark.parametrize("name", ["model.keras", "model", "model.h5", "mein modell ü.bin"])
    def test_any_file_name_will_do(self, name, tmp_path):
        model = small()
        model.save(str(tmp_path / name))
        assert same(load_model(str(tmp_path / name)).get_weights(), model.get_weights())
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_a_model_that_was_not_compiled_comes_back_so(self, tmp_path):
        model = ek.Sequential([Dense(1, input_shape=[2])])
        model.save(tmp_path / "model")
        loaded = load_model(tmp_path / "model")
        assert loaded.loss is None
        with pytest.raises(ek.errors.NotCompiledError):
            loaded.evaluate(np.ones((2, 2)), np.ones(2))

    def test_the_compiled_part_can_be_left_out_on_either_side(self, file, tmp_path):
        assert load_model(file, compile=False).optimizer is None
        small().save(tmp_path / "bare", include_compile=False)
        assert load_model(tmp_path / "bare").optimizer is None

    def test_a_stack_in_a_stack_comes_back(self, tmp_path):
        inner = ek.Sequential([ek.Input(shape=[3]), Dense(2, activation="relu")], name="inner")
        model = ek.Sequential([inner, Dense(1)])
        model.save(tmp_path / "model")
        loaded = load_model(tmp_path / "model")
        x = np.ones((2, 3), np.float32)
        np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
        assert loaded.get_layer("inner").count_params() == 8

    def test_a_set_learning_rate_comes_back(self, tmp_path):
        model = small()
        model.optimizer.learning_rate = 0.0123
        model.save(tmp_path / "model")
        assert load_model(tmp_path / "model").optimizer.learning_rate == 0.0123

    def test_preprocessing_comes_back(self, data, tmp_path):
        normalization = ek.layers.Normalization(input_shape=[4])
        normalization.adapt(data[0])
        model = ek.Sequential([normalization, Dense(1)])
        model.save(tmp_path / "model")
        loaded = load_model(tmp_path / "model")
        np.testing.assert_array_equal(loaded.predict(data[0]), model.predict(data[0]))


class TestWriting:
    def test_an_existing_file_is_replaced_or_not_as_asked(self, file):
        before = file.read_bytes()
        with pytest.raises(FileExistsError, match="overwrite=True"):
            small().save(file, overwrite=False)
        assert file.read_bytes() == before
        small().save(file)
        assert file.read_bytes() != before

    def test_a_schedule_that_files_cannot_hold_is_refused(self, tmp_path):
        model = small()
        model.compile(SGD(lambda step: 0.1), "mse")
        with pytest.raises(InvalidArgumentError, match="include_compile=False"):
            model.save(tmp_path / "model")

    def test_a_missing_folder_is_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="mkdir"):
            small().save(tmp_path / "nowhere" / "model")

    def test_what_cannot_be_written_leaves_the_old_file(self, file):
        before = file.read_bytes()
        model = small()
        model.compile("sgd", lambda y, p: (y - p) ** 2)
        with pytest.raises(InvalidArgumentError, match="include_compile=False"):
            model.save(file)
        assert file.read_bytes() == before
        assert len(list(file.parent.iterdir())) == 1

    def test_the_file_is_safetensors_with_a_json_header_and_no_code(self, file):
        """Read by the safetensors library alone; nothing of pickle's or marshal's in it."""
        with safe_open(file, framework="numpy") as opened:
            metadata = opened.metadata()
            names = set(opened.keys())
        header = json.loads(metadata["evenkeel"])
        assert header["format"] == 1
        assert header["model"]["class_name"] == "Sequential"
        assert header["compile"]["optimizer"]["class_name"] == "SGD"
        assert header["compile"]["iterations"] == 7
        assert {n for n in names if n.startswith("weights/")} == {
            f"weights/{layer}/{name}"
            for layer in ("dense", "dense_1")
            for name in ("kernel", "bias")
        }
        content = file.read_bytes()
        assert content[8:9] == b"{"
        assert not any(mark in content for mark in (b"\x80\x04", b"\x80\x05", b"__reduce__"))

    def test_reading_needs_neither_pickle_nor_eval(self, file, monkeypatch):
        import builtins
        import marshal
        import pickle

        def forbidden(*arguments, **keywords):
            raise AssertionError("code of the file was to be run")

        for module, names in ((pickle, ("load", "loads", "Unpickler")), (marshal, ("loads",))):
            for name in names:
                monkeypatch.setattr(module, name, forbidden)
        read = saving.read_file
        monkeypatch.setattr(builtins, "eval", forbidden)
        header, tensors = read(file)
        monkeypatch.undo()
        assert header["format"] == 1
        assert len(tensors) == 8


def refused(path, *words):
    """Loading raises `FileRefusedError`, with the file's name and the words."""
    with pytest.raises(FileRefusedError) as caught:
        load_model(path)
    message = str(caught.value)
    for word in (path.name, *words):
        assert word in message, f"{word!r} is not in:\n{message}"


def rewritten(path, change):
    """Writes the file anew, checksum and all, after a change of its header and arrays."""
    with safe_open(path, framework="numpy") as opened:
        header = json.loads(opened.metadata()["evenkeel"])
    tensors = load_file(path)
    change(header, tensors)
    text = json.dumps(header)
    metadata = {"evenkeel": text, "checksum": saving._checksum(text, tensors)}
    save_file(tensors, path, metadata=metadata)
    return path


class TestRefusals:
    def test_a_file_cut_off_anywhere(self, file):
        content = file.read_bytes()
        lengths = {0, 1, 7, 8, 9, len(content) - 1, len(content) - 4}
        lengths |= set(range(10, len(content), max(1, len(content) // 60)))
        for length in sorted(lengths):
            file.write_bytes(content[:length])
            refused(file, "nothing was loaded" if length < 8 else "")

    def test_a_file_with_something_behind_it(self, file):
        file.write_bytes(file.read_bytes() + b"\0")
        refused(file, "nothing was loaded")

    def test_any_flipped_bit(self, file):
        """Every third byte, each time another bit: header, JSON, numbers and padding."""
        content = file.read_bytes()
        accepted = []
        for place in range(0, len(content), 3):
            damaged = bytearray(content)
            damaged[place] ^= 1 << (place // 3) % 8
            file.write_bytes(bytes(damaged))
            try:
                saving.read_file(file)
            except FileRefusedError:
                continue
            accepted.append((place, content[place : place + 1], bytes(damaged[place : place + 1])))
        assert accepted == []

    def test_a_text_file(self, tmp_path):
        path = tmp_path / "notes.txt"
        path.write_text("These are my notes, and no model at all.\n" * 10)
        refused(path, "another kind")

    def test_an_empty_file(self, tmp_path):
        path = tmp_path / "empty"
        path.touch()
        refused(path, "Save the model again")

    def test_a_pickle(self, tmp_path):
        path = tmp_path / "model.pkl"
        path.write_bytes(b"\x80\x04cos\nsystem\n(S'touch /tmp/never'\ntR.")
        refused(path, "another kind")

    def test_a_header_that_claims_to_be_enormous(self, tmp_path):
        path = tmp_path / "model"
        path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
        refused(path, "nothing was loaded")

    def test_a_foreign_safetensors_file(self, tmp_path):
        path = tmp_path / "theirs.safetensors"
        save_file({"weight": np.ones((2, 2), np.float32)}, path, metadata={"format": "pt"})
        refused(path, "not an evenkeel model", "load_weights_from")

    def test_a_foreign_file_without_any_metadata(self, tmp_path):
        path = tmp_path / "theirs.safetensors"
        save_file({"weight": np.ones((2, 2), np.float32)}, path)
        refused(path, "not an evenkeel model")

    def test_no_file_at_all(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"model\.save"):
            load_model(tmp_path / "missing")

    def test_a_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            load_model(tmp_path)

    def test_another_format_number(self, file):
        def change(header, tensors):
            header["format"] = 99

        refused(rewritten(file, change), "99", "version")

    def test_a_missing_entry_is_named(self, file):
        def change(header, tensors):
            del tensors["weights/dense_1/bias"]

        refused(rewritten(file, change), "weights/dense_1/bias", "lacks", "Nothing was loaded")

    def test_an_unexpected_entry_is_named(self, file):
        def change(header, tensors):
            tensors["weights/dense_9/bias"] = np.zeros(3, np.float32)

        refused(rewritten(file, change), "weights/dense_9/bias", "unexpected")

    def test_a_wrong_shape_is_named_with_both_shapes(self, file):
        def change(header, tensors):
            tensors["weights/dense/kernel"] = np.zeros((2, 3), np.float32)

        refused(rewritten(file, change), "weights/dense/kernel", "(2, 3)", "(3, 2)")

    def test_a_slot_of_a_wrong_shape_is_named(self, file):
        name = "slots/momentum|dense/kernel"

        def change(header, tensors):
            assert name in tensors
            tensors[name] = np.zeros((2, 3), np.float32)

        refused(rewritten(file, change), name, "(2, 3)", "(3, 2)")

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda header: header.pop("model"),
            lambda header: header.pop("compile"),
            lambda header: header.update(model="Dense"),
            lambda header: header.update(model={"class_name": "Sequential"}),
            lambda header: header["model"].pop("class_name"),
            lambda header: header["model"]["config"].pop("layers"),
            lambda header: header["model"]["config"].update(layers=[3]),
            lambda header: header["model"]["config"]["layers"][0]["config"].update(units=-1),
            lambda header: header["model"]["config"]["layers"][0]["config"].update(colour=1),
            lambda header: header["compile"].update(optimizer={"class_name": "Nothing"}),
            lambda header: header["compile"]["declared"].pop("loss"),
            lambda header: header["compile"]["optimizer"]["config"].update(momentum=7),
        ],
        ids=[
            "no model", "no compile", "model a text", "no config", "no class", "no layers",
            "layers numbers", "impossible units", "unknown argument", "unknown optimizer",
            "no loss", "impossible momentum",
        ],
    )  # fmt: skip
    def test_a_header_that_describes_no_model(self, file, spoil):
        def change(header, tensors):
            spoil(header)

        refused(rewritten(file, change))

    def test_a_header_that_is_no_object(self, file):
        text = "[1, 2, 3]"
        metadata = {"evenkeel": text, "checksum": saving._checksum(text, {})}
        save_file({}, file, metadata=metadata)
        refused(file)

    def test_a_header_names_only_registered_classes(self, file):
        """A class by its module path would be code; it is an unknown name here."""

        def change(header, tensors):
            header["model"]["config"]["layers"][0]["class_name"] = "subprocess.Popen"

        refused(rewritten(file, change), "subprocess.Popen", "register")

    def test_the_checksum_covers_names_types_and_shapes(self):
        ones = np.ones((2, 3), np.float32)
        variants = [
            {"a": ones},
            {"b": ones},
            {"a": ones.reshape(3, 2)},
            {"a": ones.view(np.int32)},
            {"a": ones + 1},
            {},
        ]
        sums = {saving._checksum("{}", tensors) for tensors in variants}
        assert len(sums) == len(variants)
        assert saving._checksum("{}", {}) == hashlib.sha256(b"{}").hexdigest()


class Unregistered(Layer):
    """A layer that no file can name."""

    def call(self, inputs):
        return inputs


@ek.saving.register(package="tests")
class Times(Layer):
    """A registered layer with a hyper-parameter and a weight."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.shift = self.add_weight((1, input_shape[-1]), "ones", name="shift")

    def call(self, inputs):
        return inputs * self.factor + self.shift.value

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@ek.saving.register(package="tests")
class Pair(ek.Model):
    """A registered model with layers as attributes."""

    def __init__(self, units=2, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = Dense(units, activation="relu")
        self.out = Dense(1)

    def call(self, inputs):
        return self.out(self.hidden(inputs))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class TestOwnClasses:
    def test_a_registered_model_comes_back(self, tmp_path):
        x = np.ones((2, 3), np.float32)
        model = Pair(4)
        expected = model.predict(x)
        model.save(tmp_path / "model")
        loaded = load_model(tmp_path / "model")
        assert isinstance(loaded, Pair)
        np.testing.assert_array_equal(loaded.predict(x), expected)

    def test_a_registered_layer_comes_back(self, tmp_path):
        model = ek.Sequential([ek.Input(shape=[2]), Times(3.0), Dense(1)])
        model.layers[0].shift.assign(np.full((1, 2), 0.5))
        model.save(tmp_path / "model")
        loaded = load_model(tmp_path / "model")
        assert isinstance(loaded.layers[0], Times)
        assert loaded.layers[0].factor == 3.0
        x = np.ones((2, 2), np.float32)
        np.testing.assert_array_equal(loaded.predict(x), model.predict(x))

    def test_an_unregistered_layer_is_refused_at_saving(self, tmp_path):
        model = ek.Sequential([ek.Input(shape=[2]), Unregistered()])
        with pytest.raises(InvalidArgumentError, match=r"@ek\.saving\.register") as caught:
            model.save(tmp_path / "model")
        assert "Unregistered" in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    def test_an_unregistered_layer_deep_inside_is_refused_at_saving(self, tmp_path):
        inner = ek.Sequential([ek.Input(shape=[2]), Unregistered()])
        model = ek.Sequential([inner, Dense(1)])
        with pytest.raises(InvalidArgumentError, match="Unregistered"):
            model.save(tmp_path / "model")

    def rename(self, path):
        def change(header, tensors):
            header["model"]["config"]["layers"][0]["class_name"] = "theirs>Elsewhere"

        return rewritten(path, change)

    def test_a_class_that_does_not_exist_here_is_refused_at_loading(self, tmp_path):
        path = tmp_path / "model"
        ek.Sequential([ek.Input(shape=[2]), Times(2.0)]).save(path)
        refused(self.rename(path), "theirs>Elsewhere", "@ek.saving.register", "custom_objects")

    def test_custom_objects_name_a_class_for_one_call(self, tmp_path):
        path = tmp_path / "model"
        model = ek.Sequential([ek.Input(shape=[2]), Times(2.0)])
        model.save(path)
        self.rename(path)
        x = np.ones((1, 2), np.float32)
        for name in ("Elsewhere", "theirs>Elsewhere"):
            loaded = load_model(path, custom_objects={name: Times})
            np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
        refused(path, "theirs>Elsewhere")

    def test_a_config_that_files_cannot_hold_is_refused_at_saving(self, tmp_path):
        model = ek.Sequential([ek.Input(shape=[2]), Times(np.float32(2))])
        model.layers[0].factor = object()
        with pytest.raises(InvalidArgumentError, match="get_config"):
            model.save(tmp_path / "model")

    def test_every_refusal_is_an_evenkeel_error(self):
        assert issubclass(FileRefusedError, EvenkeelError)
        assert issubclass(FileRefusedError, ValueError)
