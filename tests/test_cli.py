"""The command line: what a run leaves behind, that it can be read again, and how it refuses."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from evenkeel import runs
from evenkeel.cli import main
from evenkeel.layers import Dense
from evenkeel.models import Sequential, load_model
from evenkeel.optimizers import Adam

QUICK = ["--hidden", "4", "--epochs", "2", "--batch-size", "16", "--quiet"]


def call(*arguments, code=0):
    """Runs a command and checks its exit code; returns the output."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a table of two classes, one of numbers, and a finished run of each."""
    folder = tmp_path_factory.mktemp("cli")
    random = np.random.Generator(np.random.Philox(1))
    x = random.normal(size=(60, 3))
    np.savez(folder / "classes.npz", x=x, y=(x[:, 0] > 0).astype(int))
    np.savez(folder / "numbers.npz", x=x, y=1000 + 50 * x[:, 0])
    for name in ("classes", "numbers"):
        call("train", folder / f"{name}.npz", "--out", folder / name, *QUICK)
    return folder


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """A CSV file of houses, and a finished run on it."""
    folder = tmp_path_factory.mktemp("tables")
    draw = np.random.Generator(np.random.Philox(6))
    lines = ["id,rooms,sea,price,kind"]
    for n in range(120):
        rooms, sea = draw.integers(1, 9), ("near", "far")[n % 2]
        price = 100_000 + 30_000 * rooms + 50_000 * (sea == "near")
        kind = ("flat", "house", "villa")[rooms // 3]
        lines.append(f"house {n},{'' if n % 10 == 0 else rooms},{sea},{price}.0,{kind}")
    (folder / "houses.csv").write_text("\n".join(lines))
    call(
        "train", folder / "houses.csv", "--target", "price", "--drop", "id",
        "--out", folder / "run", *QUICK,
    )  # fmt: skip
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def record_of(folder):
    return json.loads((folder / "run.json").read_text())


class TestTrain:
    @pytest.mark.parametrize("name", ["classes", "numbers"])
    def test_the_folder_holds_model_history_and_record(self, place, name):
        files = {path.name for path in (place / name).iterdir()}
        assert files == {"model.safetensors", "history.csv", "run.json", "report.html"}

    @pytest.mark.parametrize(
        ("name", "task", "scores"),
        [
            ("classes", "classification", {"loss", "accuracy"}),
            ("numbers", "regression", {"loss", "rmse", "mae", "r2"}),
        ],
    )
    def test_the_record_says_what_was_done(self, place, name, task, scores):
        record = record_of(place / name)
        assert {"data", "plan", "seed", "versions", "outcome", "epochs", "test"} <= set(record)
        assert record["data"]["task"] == task
        assert record["data"]["source"] == str((place / f"{name}.npz").resolve())
        assert record["data"]["rows"] == {"train": 48, "test": 12}
        assert len(record["data"]["fingerprint"]) == 64
        assert record["plan"]["hidden"] == [4]
        assert record["plan"]["epochs"] == record["epochs"] == 2
        choices = record["recipe"]["choices"]
        assert choices["hidden"] == {"value": [4], "reason": "you asked for it"}
        assert all(choice["reason"] for choice in choices.values())
        assert record["seed"] == 42
        assert record["outcome"]["name"] == "COMPLETED"
        assert set(record["test"]) == scores
        assert scores <= set(record["validation"])
        assert {"python", "evenkeel", "jax", "numpy"} <= set(record["versions"])

    def test_the_history_has_a_row_an_epoch(self, place):
        with (place / "classes" / "history.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["epoch"] for row in rows] == ["1", "2"]
        assert set(rows[0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy"}
        assert all(np.isfinite(float(value)) for row in rows for value in row.values())

    def test_numbers_are_predicted_in_their_own_unit(self, place):
        """Targets around 1000 with a spread of 50: a network in scaled units would say 0."""
        model = load_model(place / "numbers" / "model.safetensors")
        x = np.load(place / "numbers.npz")["x"]
        assert 900 < model.predict(x).mean() < 1100
        assert record_of(place / "numbers")["test"]["mae"] < 200

    def test_the_same_command_gives_the_same_numbers(self, place, here):
        call("train", place / "classes.npz", "--out", here / "again", *QUICK)
        one, two = record_of(place / "classes"), record_of(here / "again")
        assert one["test"] == two["test"]
        assert one["validation"] == two["validation"]
        model, other = (f / "model.safetensors" for f in (place / "classes", here / "again"))
        for a, b in zip(
            load_model(model).get_weights(), load_model(other).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(a, b)

    def test_digits_are_the_default_and_folders_are_numbered(self, here):
        arguments = ["--hidden", "2", "--epochs", "1", "--batch-size", "256"]
        first, second = call("train", *arguments), call("train", *arguments, "--quiet")
        assert "1,437 training rows" in first
        assert "Epoch 1/1" in first
        assert "Test: loss" in first
        assert "Recipe 'default' for 1,293 rows of 64 pixels, 10 classes" in first
        assert "Epoch" not in second
        assert sorted(path.name for path in (here / "runs").iterdir()) == ["digits", "digits-2"]
        assert str(Path("runs/digits-2")) in second
        assert record_of(here / "runs" / "digits")["data"]["class_names"] == list("0123456789")

    def test_an_existing_folder_is_refused_unless_forced(self, place, here):
        folder = here / "mine"
        folder.mkdir()
        (folder / "run.json").write_text("precious")
        output = call("train", place / "classes.npz", "--out", folder, *QUICK, code=2)
        assert "--force" in output
        assert (folder / "run.json").read_text() == "precious"
        call("train", place / "classes.npz", "--out", folder, *QUICK, "--force")
        assert record_of(folder)["epochs"] == 2

    def test_a_run_that_is_not_finite_exits_with_1_and_says_why(self, place, here):
        with pytest.warns(UserWarning, match="learning rate"):
            output = call(
                "train", place / "classes.npz", "--out", here / "bad", *QUICK,
                "--optimizer", "sgd", "--learning-rate", "1e30", code=1,
            )  # fmt: skip
        assert "Lower the learning rate" in output
        assert record_of(here / "bad")["outcome"]["name"] == "NOT_FINITE"
        assert load_model(here / "bad" / "model.safetensors").count_params() > 0

    BAD = (
        (["--epochs", "0"], ["--epochs", "got 0"]),
        (["--epochs", "many"], ["--epochs", "many"]),
        (["--batch-size", "-1"], ["--batch-size", "-1"]),
        (["--patience", "0"], ["--patience"]),
        (["--hidden", "4,x"], ["--hidden", "300,100"]),
        (["--hidden", "0"], ["--hidden", "got 0"]),
        (["--dropout", "1"], ["--dropout", "[0, 1)"]),
        (["--validation-fraction", "1.5"], ["--validation-fraction", "(0, 1)"]),
        (["--validation-fraction", "0"], ["--validation-fraction", "(0, 1)"]),
        (["--task", "clustering"], ["--task", "regression"]),
        (["--activation", "rellu"], ["Did you mean 'relu'"]),
        (["--optimizer", "adm"], ["Did you mean 'adam'"]),
        (["--learning-rate", "-1"], ["learning_rate", "-1"]),
        (["--learning-rate", "nan"], ["learning_rate", "nan"]),
        (["--seed", "-1"], ["seed", "-1"]),
        (["--epoch", "3"], ["--epochs"]),
    )

    @pytest.mark.parametrize(("arguments", "words"), BAD, ids=[" ".join(b[0]) for b in BAD])
    def test_bad_arguments_exit_with_2_and_a_message(self, place, here, arguments, words):
        output = call("train", place / "classes.npz", "--out", here / "mine", *arguments, code=2)
        for word in words:
            assert word in output
        assert "Traceback" not in output
        assert not (here / "mine").exists()

    def test_data_that_is_not_there_exits_with_2(self, here):
        assert "Did you mean 'digits'" in call("train", "digit", code=2)
        assert "missing.npz" in call("train", "missing.npz", code=2)
        assert list(here.iterdir()) == []

    def test_data_that_does_not_fit_exits_with_2(self, here):
        np.savez(here / "odd.npz", x=np.full((20, 2), np.nan), y=np.arange(20) % 2)
        assert "NaN" in call("train", "odd.npz", "--out", "mine", *QUICK, code=2)
        np.savez(here / "no.npz", a=np.ones(3))
        assert "np.savez" in call("train", "no.npz", *QUICK, code=2)


class TestTables:
    """A CSV file: numbers with holes, texts, and one column to be predicted."""

    def test_the_record_says_how_lines_become_rows(self, houses):
        form = record_of(houses / "run")["data"]["form"]
        assert form["target"] == "price"
        assert [column["name"] for column in form["columns"]] == ["rooms", "sea", "kind"]
        assert form["columns"][1]["values"] == ["far", "near"]

    def test_evaluate_reproduces_the_test_numbers(self, houses):
        scores = record_of(houses / "run")["test"]
        assert runs.evaluate(houses / "run") == scores
        assert runs.evaluate(houses / "run", str(houses / "houses.csv")) == scores

    def test_predict_reads_the_same_columns_in_any_order(self, houses, here):
        (here / "new.csv").write_text("sea,kind,rooms\nnear,villa,8\nfar,flat,\n")
        assert "2 rows" in call("predict", houses / "run", "new.csv")
        with (here / "new-predictions.csv").open(newline="") as file:
            answers = [float(row["output_0"]) for row in csv.DictReader(file)]
        assert all(100_000 < answer < 500_000 for answer in answers)

    def test_text_targets_are_classes(self, houses, here):
        output = call(
            "train", houses / "houses.csv", "--target", "kind", "--drop", "id",
            "--out", "kinds", "--hidden", "4", "--epochs", "1",
        )  # fmt: skip
        assert "3 classes" in output
        assert record_of(here / "kinds")["data"]["class_names"] == ["flat", "house", "villa"]

    def test_a_checkup_examines_what_would_be_trained(self, houses):
        found = json.loads(
            call("checkup", houses / "houses.csv", "--target", "price", "--drop", "id", "--json",
                 "--fail-on", "fault")
        )  # fmt: skip
        assert {finding["code"] for finding in found["findings"]} <= {"too-little-data"}

    BAD = (
        ([], ["--target kind", "id, rooms, sea"]),
        (["--target", "prize"], ["Did you mean 'price'"]),
        (["--target", "price"], ["--drop id", "names rows"]),
        (["--target", "price", "--drop", "ids"], ["Did you mean 'id'"]),
    )

    @pytest.mark.parametrize(("arguments", "words"), BAD, ids=[" ".join(b[0]) for b in BAD])
    def test_what_is_missing_is_asked_for(self, houses, here, arguments, words):
        output = call("train", houses / "houses.csv", *arguments, code=2)
        assert all(word in output for word in words)

    def test_columns_are_of_csv_files_alone(self, here):
        assert "CSV" in call("train", "digits", "--target", "price", code=2)


class TestRecipes:
    def test_another_recipe_and_an_adaptation_can_be_asked_for(self, place, here):
        call(
            "train", place / "classes.npz", "--out", "fast", *QUICK,
            "--recipe", "self-normalizing", "--adapt", "sparse",
        )  # fmt: skip
        record = record_of(here / "fast")
        assert record["recipe"]["recipe"] == "sparse_self_normalizing"
        assert record["recipe"]["choices"]["activation"]["value"] == "selu"
        assert record["recipe"]["choices"]["hidden"]["value"] == [4]
        call("checkup", "fast", "--fail-on", "fault")

    def test_what_excludes_each_other_is_refused(self, place, here):
        output = call(
            "train", place / "classes.npz", "--recipe", "self-normalizing",
            "--adapt", "low-latency", code=2,
        )  # fmt: skip
        assert "needs SELU" in output


class TestEvaluate:
    @pytest.mark.parametrize("name", ["classes", "numbers"])
    def test_it_reproduces_the_test_numbers_exactly(self, place, name):
        assert runs.evaluate(place / name) == record_of(place / name)["test"]

    def test_it_prints_them(self, place):
        scores = record_of(place / "classes")["test"]
        output = call("evaluate", place / "classes")
        assert output.strip() == f"loss {scores['loss']:.4f}  accuracy {scores['accuracy']:.4f}"

    def test_other_data_can_be_named(self, place, here):
        x = np.load(place / "classes.npz")["x"]
        np.savez(
            here / "other.npz",
            x=x,
            y=(x[:, 0] > 0).astype(int),
            x_test=x[:10],
            y_test=np.zeros(10, int),
        )
        model = load_model(place / "classes" / "model.safetensors")
        expected = model.evaluate(x[:10], np.zeros(10, int), return_dict=True)
        assert f"loss {expected['loss']:.4f}" in call("evaluate", place / "classes", "other.npz")

    def test_data_that_changed_since_the_run_is_refused(self, place, here):
        x = np.load(place / "classes.npz")["x"]
        np.savez(here / "mine.npz", x=x, y=(x[:, 0] > 0).astype(int))
        call("train", "mine.npz", "--out", "run", *QUICK)
        assert "loss" in call("evaluate", "run")
        np.savez(here / "mine.npz", x=x + 1, y=(x[:, 0] > 0).astype(int))
        output = call("evaluate", "run", code=2)
        assert "changed" in output
        assert "evenkeel evaluate run" in output

    def test_what_is_no_run_folder_is_refused(self, here):
        assert "no run folder" in call("evaluate", here, code=2)
        assert "no run folder" in call("evaluate", here / "missing", code=2)

    def test_a_damaged_run_folder_is_refused(self, place, here):
        for name in ("run.json", "model.safetensors"):
            folder = here / name
            folder.mkdir()
            for path in (place / "classes").iterdir():
                content = path.read_bytes()
                (folder / path.name).write_bytes(
                    content[: len(content) // 2] if path.name == name else content
                )
            assert name in call("evaluate", folder, code=2)


class TestPredict:
    def file(self, place, here, name, **extra):
        path = here / "new.npz"
        np.savez(path, x=np.load(place / f"{name}.npz")["x"][:7], **extra)
        return path

    def rows(self, path):
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    def test_classes_are_written_as_csv(self, place, here):
        path = self.file(place, here, "classes")
        output = call("predict", place / "classes", path)
        assert "7 rows" in output
        rows = self.rows(here / "new-predictions.csv")
        model = load_model(place / "classes" / "model.safetensors")
        expected = model.predict(np.load(path)["x"])
        written = np.array([[row["output_0"]] for row in rows], np.float32)
        np.testing.assert_array_equal(written, expected)
        assert [int(row["class"]) for row in rows] == (expected[:, 0] > 0.5).astype(int).tolist()
        assert [row["row"] for row in rows] == [str(n) for n in range(7)]

    def test_numbers_are_written_without_a_class(self, place, here):
        call("predict", place / "numbers", self.file(place, here, "numbers"), "--out", "out.csv")
        assert list(self.rows(here / "out.csv")[0]) == ["row", "output_0"]

    def test_npz_holds_the_outputs_to_the_last_bit(self, place, here):
        path = self.file(place, here, "classes")
        call("predict", place / "classes", path, "--out", "out.npz")
        model = load_model(place / "classes" / "model.safetensors")
        answers = np.load(here / "out.npz")
        np.testing.assert_array_equal(answers["outputs"], model.predict(np.load(path)["x"]))
        np.testing.assert_array_equal(answers["classes"], answers["outputs"][:, 0] > 0.5)

    def test_with_y_the_test_numbers_are_reproduced(self, place, here):
        """The file holds the run's own test rows, so the scores are those in run.json."""
        data = runs.load_data(str(place / "classes.npz"), "classification", 42)
        np.savez(here / "test.npz", x=data.x_test, y=data.y_test)
        assert (
            runs.predict(place / "classes", here / "test.npz").scores
            == record_of(place / "classes")["test"]
        )
        assert "accuracy" in call("predict", place / "classes", "test.npz")

    def test_an_existing_file_is_refused_unless_forced(self, place, here):
        path = self.file(place, here, "classes")
        (here / "out.csv").write_text("precious")
        output = call("predict", place / "classes", path, "--out", "out.csv", code=2)
        assert "--force" in output
        assert (here / "out.csv").read_text() == "precious"
        call("predict", place / "classes", path, "--out", "out.csv", "--force")
        assert len(self.rows(here / "out.csv")) == 7

    def test_other_endings_are_refused(self, place, here):
        path = self.file(place, here, "classes")
        assert ".csv or .npz" in call("predict", place / "classes", path, "--out", "o.txt", code=2)

    def test_what_cannot_be_predicted_exits_with_2(self, place, here):
        np.savez(here / "wide.npz", x=np.ones((4, 9)))
        np.savez(here / "none.npz", z=np.ones((4, 3)))
        assert "(4, 9)" in call("predict", place / "classes", "wide.npz", code=2)
        assert "np.savez(path, x=x)" in call("predict", place / "classes", "none.npz", code=2)
        assert "missing.npz" in call("predict", place / "classes", "missing.npz", code=2)
        assert not list(here.glob("*.csv"))


class TestHelp:
    @pytest.mark.parametrize(
        "command", [[], ["train"], ["evaluate"], ["predict"], ["datasets"], ["selftest"]]
    )
    def test_every_command_explains_itself(self, command):
        output = call(*command, "--help")
        assert output.startswith("Usage:")
        assert "\\b" not in output
        assert output == call(*command, "-h")

    def test_commands_are_listed(self):
        output = call("--help")
        for command in ("train", "evaluate", "predict", "selftest", "datasets"):
            assert command in output

    def test_defaults_are_shown(self):
        shown = " ".join(call("train", "--help").split())
        assert "The most epochs. [default: (the recipe's)]" in shown
        assert "[default: default]" in shown

    def test_the_version_is_told(self):
        from evenkeel import __version__

        assert __version__ in call("--version")

    def test_data_sets_are_listed_with_where_they_are(self, tmp_path, monkeypatch):
        from evenkeel.datasets import fashion_mnist

        monkeypatch.setenv("EVENKEEL_CACHE", str(tmp_path))
        monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", tmp_path)
        lines = {line.split()[0]: line for line in call("datasets").splitlines()}
        assert "at hand" in lines["digits"]
        assert "to be downloaded" in lines["fashion-mnist"]

    def test_an_unknown_command_exits_with_2(self):
        assert "trian" in call("trian", code=2)

    @pytest.mark.parametrize("command", ["--help", "train --help", "--version"])
    def test_help_answers_without_importing_jax(self, command):
        program = (
            "import sys; from evenkeel.cli import main\n"
            "try: main(sys.argv[1:])\n"
            "finally: print('loaded', *({'jax', 'sklearn', 'numpy'} & set(sys.modules)))"
        )
        result = subprocess.run(
            [sys.executable, "-c", program, *command.split()],
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.splitlines()[-1] == "loaded"


class TestCheckup:
    def test_data_is_examined_with_the_network_that_would_be_trained(self, place):
        """60 rows leave 43 to train on: a warning, which exits with 1 unless faults alone do."""
        shown = call("checkup", place / "classes.npz", code=1)
        assert "too-little-data" in shown
        assert "Evidence:" in shown
        call("checkup", place / "classes.npz", "--fail-on", "fault")

    def test_a_run_folder_is_examined_as_it_stands(self, place):
        """A regression's last layer puts the unit back, so that its raw targets are no finding."""
        found = json.loads(call("checkup", place / "numbers", "--json", code=1))
        assert found["depth"] == "static"
        assert {finding["code"] for finding in found["findings"]} == {"too-little-data"}

    def test_a_fault_exits_with_1_and_a_page_is_written(self, place, tmp_path):
        random = np.random.Generator(np.random.Philox(2))
        np.savez(tmp_path / "same.npz", x=random.normal(size=(200, 3)), y=np.full(200, 2.5))
        page = tmp_path / "page.html"
        shown = call("checkup", tmp_path / "same.npz", "--html", page, code=1)
        assert "targets-constant" in shown
        assert "targets-constant" in page.read_text(encoding="utf-8")

    def test_a_run_folder_is_run_on_its_data(self, place):
        found = json.loads(call("checkup", place / "numbers", "--depth", "init", "--json", code=1))
        assert found["depth"] == "init"
        assert {finding["code"] for finding in found["findings"]} == {"too-little-data"}
        assert "vanishing-gradients" in {verdict["code"] for verdict in found["healthy"]}

    def test_pages_are_shown_and_unknown_codes_refused(self):
        assert "False alarms" in call("explain", "init-scale")
        assert "init-scale" in call("explain", "init-scal", code=2)


class TestRepair:
    @pytest.fixture
    def sick(self, tmp_path):
        """A network saved with its loss, and a table whose targets are far too large for it."""
        random = np.random.Generator(np.random.Philox(3))
        x = random.normal(size=(300, 4))
        np.savez(
            tmp_path / "prices.npz", x=x, y=2.5e5 + 1e5 * x[:, 0] + 3e4 * random.normal(size=300)
        )
        model = Sequential([Dense(1, input_shape=(4,))])
        model.compile(Adam(0.01), loss="mse", metrics=["mae"])
        model.save(tmp_path / "net.safetensors")
        return tmp_path

    def test_a_model_file_is_repaired_and_left_as_it_is(self, sick):
        before = (sick / "net.safetensors").read_bytes()
        page, code = sick / "page.html", sick / "net.py"
        given = ["repair", sick / "net.safetensors", sick / "prices.npz", "--budget", 1500]
        shown = call(*given, "--html", page, "--code", code)
        assert "ACCEPTED  scale-targets" in shown
        assert (sick / "net.safetensors").read_bytes() == before
        repaired = load_model(sick / "net-repaired.safetensors")
        assert [layer.name for layer in repaired.layers] == ["dense", "raw_units"]
        assert "scale-targets" in page.read_text(encoding="utf-8")
        compile(code.read_text(encoding="utf-8"), "net.py", "exec")
        assert "--force" in call(*given, code=2)

    @pytest.mark.slow
    def test_what_cannot_be_repaired_exits_with_1_and_writes_no_model(self, place):
        found = json.loads(call("repair", place / "classes", "--budget", 60, "--json", code=1))
        assert not found["is_repaired"]
        assert {attempt["verdict"] for attempt in found["attempts"]} <= {"not tried", "rejected"}
        assert not (place / "classes" / "model-repaired.safetensors").exists()

    def test_a_model_file_without_data_is_refused(self, sick):
        assert "mydata.npz" in call("repair", sick / "net.safetensors", code=2)
