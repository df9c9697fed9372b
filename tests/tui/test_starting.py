"""What can be chosen for a new run, and what a filled page comes to: no terminal, no engine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import TOY_SOURCE, TOY_TASK, git

from core import installing
from core.errors import UsageError
from core.launch import Options, demo_folder
from core.locks import lock_device
from tui import starting
from tui.away import remember
from tui.feed import Feed
from tui.recent import age, recent_runs
from tui.starting import REFERENCE, Choices, Device, at_its_entry, options_of, preselected, tasks_of


def write_task(folder: Path, name: str = "toy") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "task.toml").write_text(TOY_TASK.replace('name = "toy"', f'name = "{name}"'))
    (folder / "train.py").write_text(TOY_SOURCE)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """As `init` makes it, and with two tasks of the user's own."""
    root = tmp_path / "workspace"
    for name, task in (("cuda", "gpt-cuda"), ("mlx", "gpt-mlx"), ("tasks/speed", "speed"), ("prompt", "prompt")):
        write_task(root / name, task)
    git(root, "init", "-q")
    return root


def test_the_reference_task_is_one_choice_and_a_users_own_are_others(workspace: Path) -> None:
    tasks = tasks_of(workspace)
    assert tasks.backends == ("cuda", "mlx")
    assert tasks.choices == [
        ("gpt · loss, lower is better", REFERENCE),
        ("prompt in prompt/ · loss, lower is better", "prompt"),
        ("speed in tasks/speed/ · loss, lower is better", "tasks/speed"),
    ]


def test_what_hides_or_is_somebody_elses_repository_is_not_looked_into(workspace: Path) -> None:
    before = tasks_of(workspace).choices
    for place in (".hidden", "node_modules", "one/two/three"):
        write_task(workspace / place)
    git(write_task(workspace / "inner"), "init", "-q")
    (workspace / "loop").symlink_to(workspace, target_is_directory=True)
    assert tasks_of(workspace).choices == before


def test_a_task_that_cannot_be_read_is_named_and_can_be_chosen(workspace: Path) -> None:
    (workspace / "prompt" / "task.toml").write_text("[task\n\x1b[2J")
    tasks = tasks_of(workspace)
    assert ("prompt: task.toml cannot be used", "prompt") in tasks.choices
    assert "not readable as TOML" in str(tasks.found["prompt"])


def test_flags_fill_the_page_in(workspace: Path) -> None:
    given = Options(
        str(workspace), backend="mlx", device="cpu", agent="scripted:edits.jsonl", train_seconds=7.5, experiments=3,
        hours=1.0, tag="wide",
    )  # fmt: skip
    _, chosen = preselected(given, workspace)
    assert chosen == Choices(REFERENCE, "mlx", "cpu", "scripted", "edits.jsonl", "7.5", "3", "1", "wide")
    _, own = preselected(Options(str(workspace), task="tasks/speed"), workspace)
    assert own.task == "tasks/speed"
    _, here = preselected(Options(str(workspace / "prompt")), workspace)
    assert here.task == "prompt"
    for wrong in ({"backend": "tpu"}, {"task": "../.."}):
        with pytest.raises(UsageError):
            preselected(Options(str(workspace), **wrong), workspace)


def test_a_page_that_nobody_touched_is_the_wish_it_was_filled_in_from(workspace: Path) -> None:
    given = Options(str(workspace), seed=3, keep_checkpoints=True, tag="wide", hours=2.0)
    tasks, chosen = preselected(given, workspace)
    wish, wrong = options_of(chosen, tasks, given)
    assert wrong == {}
    assert (wish.seed, wish.keep_checkpoints, wish.tag, wish.hours) == (3, True, "wide", 2.0)
    assert (wish.task, wish.backend) == (None, chosen.backend)
    assert wish.train_seconds is wish.experiments is None


def test_what_is_no_number_and_a_script_without_a_name_are_said_at_their_entries(workspace: Path) -> None:
    tasks, _ = preselected(Options(str(workspace)), workspace)
    chosen = Choices("prompt", "cuda", agent="scripted", train_seconds="1.2.3", experiments="x", hours="-", tag=" ")
    wish, wrong = options_of(chosen, tasks, Options(str(workspace)))
    assert set(wrong) == {"train_seconds", "experiments", "hours", "agent"}
    assert wish.tag is None
    assert wish.task == str(workspace / "prompt")


def test_a_folder_without_a_task_says_what_makes_one(tmp_path: Path) -> None:
    tasks, chosen = preselected(Options(str(tmp_path)), tmp_path)
    assert "autoresearch init" in options_of(chosen, tasks, Options(str(tmp_path)))[1]["task"]


def test_a_backend_that_is_not_installed_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting.importlib.util, "find_spec", lambda name: None)
    assert starting.backend_choices(["mlx"]) == [("mlx · MLX, not installed", "mlx")]
    assert installing.for_backend("mlx") in starting.backend_of("mlx", None).trouble


def test_what_a_check_found_wrong_is_passed_on_without_its_escapes() -> None:
    said = {"devices": [], "problems": [{"what": "MLX\x1b[2J is broken", "mend": "pip install it"}]}
    assert starting.backend_of("mlx", said).trouble == "MLX is broken; type: pip install it"


def test_a_device_that_is_held_says_by_whom() -> None:
    devices = (Device("cuda", "a card", "GPU-1"), Device("cpu", "a processor", "cpu"))
    assert starting.device_trouble(devices, "auto") == ""
    with lock_device("cuda", "GPU-1", str(Path.home() / "mine" / ".autoresearch" / "nov20")):
        assert "in use by run nov20 in ~/mine" in starting.device_trouble(devices, "auto")
        assert "in use by run nov20" in starting.device_trouble(devices, "cuda")
        assert starting.device_trouble(devices, "cpu") == ""
    assert starting.device_trouble(devices, "cuda") == ""
    assert starting.device_trouble(devices, "metal") == "metal: not here; there are auto, cuda, cpu"


def test_a_refusal_reads_without_the_flag() -> None:
    assert at_its_entry("--budget 0: must be above 0") == "must be above 0"
    assert at_its_entry("run x exists; take another --tag") == "run x exists; take another tag"
    assert at_its_entry("/a/task.toml:3: no\x1b]0;x\x07") == "/a/task.toml:3: no"


def test_a_demo_workspace_of_before_a_backend_is_no_place_for_it() -> None:
    (demo_folder() / ".git").mkdir(parents=True)
    (demo_folder() / "cuda").mkdir()
    (demo_folder() / "cuda" / "task.toml").touch()
    assert starting.demo(lambda line: None, Options("", backend="cuda")).workspace == str(demo_folder())
    with pytest.raises(UsageError, match=r"made before there was a mlx backend; move that folder away"):
        starting.demo(lambda line: None, Options("", backend="mlx"))


def test_runs_to_come_back_to_are_those_here_the_demos_and_those_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recorded_run import write_run

    here = write_run(tmp_path / "here" / ".autoresearch" / "nov20", 5)
    demos = write_run(demo_folder() / ".autoresearch" / "nov19", 3, live=False)
    (demos / "results.tsv").write_text(
        "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
        "a\t2.500000\t1.0\tkeep\tb\nb\t2.600000\t1.0\tdiscard\tx\nc\t2.400000\t1.0\tkeep\ty\nd\t0.0\t0.0\tcrash\tz\n"
    )
    seen = write_run(tmp_path / "far" / ".autoresearch" / "nov18", 2)
    gone = write_run(tmp_path / "gone" / ".autoresearch" / "nov17", 2)
    for folder in (seen, gone):
        feed = Feed(folder)
        feed.read()
        remember(folder, feed.state.history, 0.0)
    (gone / "journal.jsonl").unlink()
    found = recent_runs(tmp_path / "here")
    assert {r.folder for r in found} == {here, demos, seen}
    demo = next(r for r in found if r.folder == demos)
    assert demo.words(demo.written_at + 7300).startswith("the demo · 3 experiments, best 2.4 · last written 2 h")
    assert [age(s) for s in (9, 720, 90_000, 700_000)] == ["9 s", "12 min", "1 day", "8 days"]


def test_the_app_that_only_looks_does_not_load_git() -> None:
    import subprocess

    code = (
        "import sys, tui.screens.start, tui.screens.start_run; print('pygit2' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_of_many_repositories_no_more_are_looked_into_than_are_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(9):
        (tmp_path / f"w{k}" / ".git").mkdir(parents=True)
        (tmp_path / f"w{k}" / "task.toml").write_text("broken")
    looked_into, tasks_of = [], starting.tasks_of
    monkeypatch.setattr(starting, "tasks_of", lambda root: looked_into.append(root.name) or tasks_of(root))
    assert [tasks.root.name for tasks in starting.workspaces(tmp_path, 2)] == ["w0", "w1"]
    assert looked_into == [tmp_path.name, "w0", "w1"]
