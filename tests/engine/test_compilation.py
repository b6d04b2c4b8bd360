"""What is compiled, how often, and that nothing depends on where a program came from."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import wait

import jax
import numpy as np
import pytest

import evenkeel as ek
from evenkeel.engine import compilation
from evenkeel.engine.compilation import Compilation, compiled, recorded
from evenkeel.layers import BatchNormalization, Dense, Dropout

RANDOM = np.random.Generator(np.random.Philox(3))
X = RANDOM.normal(size=(70, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
# 70 rows are 4 batches of 16 and one of 6; 33 rows are 2 of 16 and one of 1.
ARGUMENTS = {
    "batch_size": 16,
    "validation_data": (X[:33], Y[:33]),
    "validation_batch_size": 16,
    "verbose": 0,
}


def network(optimizer="adam"):
    model = ek.Sequential(
        [
            Dense(6, activation="elu", input_shape=[4]),
            BatchNormalization(),
            Dropout(0.2),
            Dense(2, activation="softmax"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def trained():
    """A model after three epochs, and what was compiled for them."""
    ek.set_random_seed(1)
    model = network()
    history = model.fit(X, Y, epochs=3, **ARGUMENTS)
    return model, history


def names(compilations):
    return sorted(compilation.program for compilation in compilations)


class TestHowOften:
    def test_a_run_compiles_each_program_once_and_once_more_for_partial_batches(self, trained):
        expected = ["evaluation", "evaluation", "training", "training"]
        assert names(trained[1].compilations) == expected

    def test_seconds_are_noted(self, trained):
        for made in trained[1].compilations:
            assert isinstance(made, Compilation)
            assert made.seconds > 0
            assert not made.from_cache

    def test_a_second_run_compiles_nothing(self, trained):
        assert trained[0].fit(X, Y, epochs=1, **ARGUMENTS).compilations == []

    def test_nor_does_another_number_of_epochs(self, trained):
        assert trained[0].fit(X, Y, epochs=5, **ARGUMENTS).compilations == []

    def test_nor_does_another_learning_rate(self, trained):
        trained[0].optimizer.learning_rate = 0.003
        assert trained[0].fit(X, Y, epochs=1, **ARGUMENTS).compilations == []

    def test_nor_do_other_data_of_the_same_size(self, trained):
        assert trained[0].fit(X + 1, 1 - Y, epochs=1, **ARGUMENTS).compilations == []

    def test_validating_compiled_what_evaluating_the_same_rows_needs(self, trained):
        with recorded([]) as compilations:
            trained[0].evaluate(X[:33], Y[:33], batch_size=16, verbose=0)
        assert compilations == []

    @pytest.mark.parametrize("rows", [7, 31])
    def test_evaluating_odd_sizes_compiles_once_for_each(self, trained, rows):
        with recorded([]) as compilations:
            for _ in range(2):
                trained[0].evaluate(X[:rows], Y[:rows], verbose=0)
        assert names(compilations) == ["evaluation"]

    def test_predicting_odd_sizes_compiles_for_powers_of_two(self, trained):
        with recorded([]) as compilations:
            for rows in (33, 40, 64, 35, 50):  # all are filled up to 64
                trained[0].predict(X[:rows])
        assert names(compilations) == ["prediction"]

    def test_many_rows_are_divided_so_that_one_program_serves_them(self):
        """1,500 rows are two batches of 750."""
        model = network()
        with recorded([]) as compilations:
            model.evaluate(np.zeros((1500, 4), np.float32), np.zeros(1500, int), verbose=0)
        assert names(compilations) == ["evaluation"]

    def test_single_batches_compile_once(self):
        model = network()

        def some():
            for _ in range(3):
                model.train_on_batch(X[:16], Y[:16])

        assert programs_of(some) == ["run"]

    def test_validation_that_never_happens_is_not_compiled(self):
        history = network().fit(X, Y, epochs=1, validation_freq=2, **ARGUMENTS)
        assert names(history.compilations) == ["training", "training"]

    @pytest.mark.parametrize("optimizer", ["sgd", "nadam", "rmsprop", "adagrad"])
    def test_nothing_small_is_compiled_before_the_first_step(self, optimizer):
        """Each operation on its own would be a program for each shape; warmed up by `trained`."""
        model = network(optimizer)
        seen = programs_of(lambda: model.fit(X, Y, epochs=2, **ARGUMENTS))
        assert set(seen) <= {"run"}
        assert len(seen) == 4


def programs_of(act):
    """The names of all programs, JAX's own small ones included, that something compiles."""
    seen = []

    def note(event, seconds, **more):
        if event == "/jax/core/compile/backend_compile_duration" and listening:
            seen.append(str(more.get("fun_name")).removeprefix("jit(").removesuffix(")"))

    listening = [True]
    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        act()
    finally:
        listening.clear()
    return seen


class TestProgram:
    def test_what_was_begun_is_what_runs(self):
        program = compiled(lambda a, n: a * n, name="scaling")
        with recorded([]) as compilations:
            program.begin(jax.ShapeDtypeStruct((3,), np.float32), 2)
            assert program(np.ones(3, np.float32), 2).tolist() == [2, 2, 2]
            assert program(np.ones(3, np.float32), 5).tolist() == [5, 5, 5]
        assert names(compilations) == ["scaling"]

    def test_other_shapes_do_not_wait_for_it(self):
        program = compiled(lambda a: a + 1)
        program.begin(jax.ShapeDtypeStruct((3,), np.float32))
        assert program(np.zeros(2, np.float32)).tolist() == [1, 1]
        assert len(program._begun) == 1

    def test_what_cannot_be_traced_is_refused_at_once(self):
        def broken(a):
            raise RuntimeError("no such layer")

        with pytest.raises(RuntimeError, match="no such layer"):
            compiled(broken).begin(np.zeros(2, np.float32))

    def test_a_compiler_that_fails_in_the_background_fails_in_the_call(self, monkeypatch):
        program = compiled(lambda a: a + 1)

        def fail():
            raise RuntimeError("out of memory")

        future = compilation.in_background(fail)
        wait([future])
        given = np.zeros(2, np.float32)
        program._begun[compilation._shapes_of((given,))] = future
        assert program(given).tolist() == [1, 1]

    def test_runs_inside_a_run_keep_notes_of_their_own(self):
        outer, inner = compiled(lambda a: a + 1, name="a"), compiled(lambda a: a + 2, name="b")
        with recorded([]) as first:
            outer(1.0)
            with recorded([]) as second:
                inner(1.0)
        assert (names(first), names(second)) == (["a"], ["b"])


PROGRAM = """
import json, sys, warnings
import jax
shown = []
warnings.showwarning = lambda message, *rest: shown.append(str(message))
import numpy as np
import evenkeel as ek
from evenkeel.engine import program_cache
{before}
program_cache._LEAST_SECONDS = 0.0
ek.set_random_seed(5)
random = np.random.Generator(np.random.Philox(1))
x = random.normal(size=(70, 4)).astype(np.float32)
y = (x[:, 0] > 0).astype(int)
def run():
    ek.set_random_seed(5)
    model = ek.Sequential([
        ek.layers.Dense(6, activation="elu", input_shape=[4]), ek.layers.Dropout(0.2),
        ek.layers.Dense(2, activation="softmax"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, model.fit(x, y, batch_size=16, epochs=3, validation_data=(x, y), verbose=0)
model, history = run()
weights = b"".join(w.tobytes() for w in model.get_weights()).hex()
again = run()[1]
print(json.dumps({{
    "weights": weights, "history": history.history, "warnings": shown,
    "hits": [c.from_cache for c in history.compilations],
    "again": [c.from_cache for c in again.compilations],
    "folder": jax.config.jax_compilation_cache_dir,
}}))
"""


def start(folder, before="", **environment):
    """Starts a process that trains a little, with its cache in a folder."""
    import os

    inherited = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    chosen = {"EVENKEEL_CACHE": str(folder), "EVENKEEL_SELFTEST": "off"} | environment
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        env=inherited | chosen,
        stdout=subprocess.PIPE,
        text=True,
    )


def answer(process):
    out = process.communicate()[0]
    assert process.returncode == 0
    return json.loads(out.splitlines()[-1])


class TestCache:
    def test_the_next_process_finds_the_programs_and_gets_the_same_bits(self, tmp_path):
        """Donated weights, dropout's draws and the compiler's options included; an equal model in
        the same process finds them as well, and without the cache the bits are the same, too."""
        first = answer(start(tmp_path))
        second = answer(start(tmp_path))
        without = answer(start(tmp_path, JAX_ENABLE_COMPILATION_CACHE="false"))
        assert first["hits"] == [False, False, False]
        assert first["again"] == second["hits"] == second["again"] == [True, True, True]
        assert without["hits"] == without["again"] == [False, False, False]
        assert without["folder"] is None
        for other in (second, without):
            assert other["weights"] == first["weights"]
            assert other["history"] == first["history"]
        assert first["folder"] == str(tmp_path / "programs")
        assert [*first["warnings"], *second["warnings"], *without["warnings"]] == []
        assert (tmp_path / "programs").stat().st_mode & 0o077 == 0

    @pytest.mark.slow
    def test_several_processes_at_once_disturb_nobody(self, tmp_path):
        answers = [answer(p) for p in [start(tmp_path) for _ in range(3)]]
        assert len({a["weights"] for a in answers}) == 1
        assert [w for a in answers for w in a["warnings"]] == []

    @pytest.mark.slow
    def test_a_cache_that_the_user_chose_is_left_alone(self, tmp_path):
        own = str(tmp_path / "own")
        found = answer(start(tmp_path / "ours", JAX_COMPILATION_CACHE_DIR=own))
        assert found["folder"] == own
        assert not (tmp_path / "ours").exists()

    def test_a_folder_that_cannot_be_used_is_one_warning(self, tmp_path):
        """A file stands where the folder would be: nobody, root included, can write into it."""
        (tmp_path / "file").touch()
        found = answer(start(tmp_path / "file"))
        assert found["folder"] is None
        assert len(found["warnings"]) == 1
        assert "JAX_ENABLE_COMPILATION_CACHE=false" in found["warnings"][0]

    @pytest.mark.slow
    def test_a_full_disk_is_one_warning(self, tmp_path):
        before = (
            "import collections\n"
            "usage = collections.namedtuple('usage', 'total used free')(1, 1, 0)\n"
            "program_cache.shutil.disk_usage = lambda path: usage"
        )
        found = answer(start(tmp_path, before))
        assert found["folder"] is None
        assert ["full" in warning for warning in found["warnings"]] == [True]

    @pytest.mark.skipif(sys.platform == "win32", reason="limits of processes")
    @pytest.mark.slow
    def test_a_disk_that_fills_up_and_the_damage_that_it_leaves_change_no_result(self, tmp_path):
        """Files end after 1,000 bytes, as on a disk that is full by then; the next process meets
        what is left of them. Both go on with a warning of JAX's."""
        before = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
        full = answer(start(tmp_path, before))
        damaged = answer(start(tmp_path))
        assert damaged["hits"] == [False, False, False]
        whole = answer(start(tmp_path / "new"))
        assert full["weights"] == damaged["weights"] == whole["weights"]
        assert any("writing" in warning for warning in full["warnings"])
        assert any("reading" in warning for warning in damaged["warnings"])

    def test_the_oldest_programs_go_when_there_are_too_many(self, tmp_path, monkeypatch):
        import os

        from evenkeel.engine import program_cache

        for age, name in enumerate(["new", "middle", "old"]):
            (tmp_path / name).write_bytes(bytes(100))
            os.utime(tmp_path / name, (1000 - age, 1000 - age))
        monkeypatch.setattr(program_cache, "_MOST_BYTES", 250)
        program_cache.prepare(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"new", "middle"}
