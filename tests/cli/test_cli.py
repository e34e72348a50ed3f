"""The command line: its front page, its errors, its exit codes."""

from __future__ import annotations

import errno
import inspect
import os
import shlex
import signal
import subprocess
import sys
import time
from pkgutil import resolve_name

import pytest

from propense.cli import main
from propense.cli.app import build
from propense.cli.verbs import ACTIONS, all_verbs, epilogue, front_page, verb_names
from propense.errors import QuestionError, SourceError, SplitError

COMMANDS = [
    *(((verb.name,), verb) for verb in all_verbs() if verb.function),
    *(((name, action.name), action) for name, group in ACTIONS.items() for action in group),
]


@pytest.fixture
def settings_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "propense.toml"
    file.write_text('[users]\npath = "users.csv"\n')
    return file


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_front_page_names_every_verb(words, capsys):
    assert main(words) == 0
    page = capsys.readouterr().out
    assert page == front_page() + "\n"
    for verb in all_verbs():
        assert f"  {verb.name:<10}{verb.sentence}\n" in page
    assert max(map(len, page.splitlines())) <= 95


def test_version(capsys):
    from propense import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"propense {__version__}\n"


@pytest.mark.parametrize(("words", "verb"), COMMANDS, ids=lambda one: " ".join(one[:2]))
def test_every_verb_teaches(words, verb, capsys):
    assert main([*words, "--help"]) == 0
    page = capsys.readouterr().out
    assert page.startswith(f"Usage: propense {' '.join(words)}")
    assert "--settings" in page
    assert "Examples:\n  propense" in page
    text = inspect.getdoc(resolve_name(verb.function))
    assert max(map(len, text.splitlines())) <= 80, "cyclopts would break the line a second time"


@pytest.mark.parametrize("verb", [verb for _, verb in COMMANDS], ids=lambda verb: verb.name)
def test_every_example_is_a_command(verb):
    for example in epilogue(verb).splitlines()[1:]:
        words = shlex.split(example, comments=True)
        words = words[: words.index(">")] if ">" in words else words
        assert words[0] == "propense"
        function, bound, _ = build().parse_args(words[1:], exit_on_error=False, print_error=False)
        assert function is resolve_name(verb.function) and bound is not None


def test_the_nearest_verb_is_named(capsys):
    assert main(["trian"]) == 2
    out = capsys.readouterr()
    assert out.err == "error: unknown verb 'trian'; did you mean 'train'?\n"
    assert out.out == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--untll", "train"], "Did you mean --until? See: propense run --help"),
        (["run", "--until", "trian"], 'Invalid value "trian" for --until'),
        (["check", "surplus"], "surplus"),
        (["init"], "FOLDER"),
        (["--json"], "'--json' names no verb; see: propense --help"),
        (["shelf", "lst"], 'Did you mean "list"'),
        (["keys", "create", "a", "--scope", "all"], "See: propense keys create --help"),
        (["run", "--settings", "nowhere.toml"], "'nowhere.toml' does not exist"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(words, message, capsys, settings_file):
    assert main(words) == 2
    out = capsys.readouterr()
    assert out.err.startswith("error: ")
    assert out.err.count("\n") == 1
    assert message in out.err


def test_options_may_stand_before_the_verb(capsys):
    assert main(["--settings", "nowhere.toml", "--json", "run"]) == 2
    assert "'nowhere.toml' does not exist" in capsys.readouterr().err


def failing_with(error, monkeypatch):
    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr("propense.cli.flow.run_pipeline", fail)


def test_a_propense_error_has_no_traceback_unless_asked(monkeypatch, capsys, settings_file):
    failing_with(SplitError("test part is empty:\n  last event is 2026-02-01"), monkeypatch)
    assert main(["run"]) == 2
    quiet = capsys.readouterr().err
    assert quiet == "error: test part is empty: last event is 2026-02-01\n"
    assert main(["run", "-v"]) == 2
    loud = capsys.readouterr().err
    assert "Traceback" in loud and loud.endswith(quiet)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/main/clean/events"),
        RuntimeError("IO Error: could not write: No space left on device"),
    ],
)
def test_a_full_disk_reports_that_finished_stages_are_kept(
    error, monkeypatch, capsys, settings_file
):
    failing_with(error, monkeypatch)
    assert main(["run", "--until", "train"]) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith("error: no space left on device: ")
    assert getattr(error, "filename", None) is None or "runs/main/clean/events" in stderr
    assert "finished stages are kept" in stderr
    assert stderr.endswith("resume with: propense run --until train\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_disk_under_stdout():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "propense", "--help"],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: no space left on device")
    assert "Traceback" not in done.stderr


def test_other_errors_of_the_system_are_not_hidden(monkeypatch, settings_file):
    failing_with(OSError(errno.EIO, "Input/output error"), monkeypatch)
    with pytest.raises(OSError, match="Input/output error"):
        main(["run"])


def test_a_missing_extra_is_named(monkeypatch, capsys, settings_file):
    failing_with(ModuleNotFoundError("No module named 'torch'", name="torch"), monkeypatch)
    assert main(["train"]) == 2
    assert "pip install 'propense[train]'" in capsys.readouterr().err


def test_a_module_of_our_own_that_is_missing_is_a_defect(monkeypatch, settings_file):
    failing_with(ModuleNotFoundError("No module named 'x'", name="propense.x"), monkeypatch)
    with pytest.raises(ModuleNotFoundError):
        main(["train"])


def test_ctrl_c_says_how_to_resume(monkeypatch, capsys, settings_file):
    failing_with(KeyboardInterrupt(), monkeypatch)
    assert main(["run", "--settings", "propense.toml", "--set", "train.seed = 3"]) == 130
    stderr = capsys.readouterr().err
    assert "resume with: propense run --settings propense.toml --set 'train.seed = 3'" in stderr
    assert "Traceback" not in stderr


def test_a_real_ctrl_c(tmp_path):
    (tmp_path / "propense.toml").write_text('[users]\npath = "users.csv"\n')
    program = (
        # A shell that starts tests in the background leaves Ctrl-C ignored in its children.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import time, propense.cli.flow as flow\n"
        "def wait(*_a, **_k):\n    print('waiting', flush=True); time.sleep(60)\n"
        "flow.run_pipeline = wait\n"
        "import sys; from propense.cli import main; sys.exit(main(['run']))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout.readline() == "waiting\n"
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=20)
    assert child.returncode == 130
    assert "resume with: propense run" in stderr and "Traceback" not in stderr


def test_a_reader_that_leaves_is_no_error():
    child = subprocess.Popen(
        [sys.executable, "-c",
         "import time, sys; from propense.cli import main; time.sleep(0.3); sys.exit(main([]))"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait(timeout=20) == 141


def cpu_seconds(*words):
    """Least processor time of five runs: what the wait is on a machine with nothing else to do."""
    took = []
    for _ in range(5):
        child = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0
        took.append(used.ru_utime + used.ru_stime)
    return min(took)


def test_help_answers_at_once():
    assert cpu_seconds("-m", "propense", "--help") < 0.150


def test_unknown_verbs_do_not_load_a_verb():
    program = (
        "import sys; from propense.cli import main; main(['nothing']); "
        "print(sorted(m for m in sys.modules if m.startswith('propense')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == str(
        ["propense", "propense.cli", "propense.cli.verbs", "propense.errors"]
    )


def test_names_are_words_once():
    assert len(set(verb_names())) == len(verb_names())


def test_lines_to_copy_keep_their_breaks(monkeypatch, capsys, settings_file):
    lines = 'choose one of:\n  in [sources.shop]:\n    decimal = "comma"\n    decimal = "point"'
    failing_with(QuestionError(lines), monkeypatch)
    assert main(["run"]) == 3
    assert capsys.readouterr().err == f"error: {lines}\n"
    failing_with(SourceError(lines), monkeypatch)
    assert main(["run"]) == 1
    assert capsys.readouterr().err == f"error: {lines}\n"
    failing_with(SourceError("a file\nthat breaks off"), monkeypatch)
    assert main(["run"]) == 1
    assert capsys.readouterr().err == "error: a file that breaks off\n"
