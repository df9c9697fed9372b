"""A trial that begins in a standby process is the trial that a plain start would have been."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import until
from engine_end import LIMIT, Engine, told

from backends.cuda import standby, train
from backends.reference import harness

TAKEN = {"type": "taken"}
SCRIPTS = {
    "who it is": (
        "import sys, threading\n"
        "print(sys.argv, __name__, __file__, __package__, __spec__, __doc__, sys.path[0], sorted(globals()))\n"
        "print(type(__loader__).__name__, type(__builtins__).__name__, threading.active_count(), __cached__)\n"
    ),
    "an exception": "def deep():\n    return 1 / 0\n\nprint('before')\ndeep()\n",
    "a chained exception": "try:\n    {}['x']\nexcept KeyError:\n    raise ValueError('second')\n",
    "does not parse": "print('never')\nx = = 1\n",
    "does not parse in another file": "import broken\n",
    "exit status": "import sys\nprint('out')\nsys.exit(3)\n",
    "exits with words": "raise SystemExit('so it goes')\n",
    "exits well": "import sys\nsys.exit()\nprint('never')\n",
    "interrupts itself": "raise KeyboardInterrupt\n",
    "dies": "import os\nos.kill(os.getpid(), 11)\n",
    "its own last words": "import sys\nsys.excepthook = lambda *all: print('mine', all[1])\nraise ValueError('x')\n",
    "a guard": "if __name__ == '__main__':\n    print('main')\nelse:\n    print('imported')\n",
    "a module beside it": "import beside\nprint(beside.VALUE, beside.__file__)\n",
    "a class of its own": (
        "import pickle, __main__\nclass A:\n    pass\n"
        "print(type(pickle.loads(pickle.dumps(A()))) is A, __main__.A is A, A.__module__)\n"
    ),
    "outlives its main part": (
        "import atexit, threading\natexit.register(print, 'at exit')\nstart = threading.Event()\n"
        "def late():\n    start.wait(5)\n    import __main__\n    print('thread', __main__.start is start)\n"
        "threading.Thread(target=late).start()\nstart.set()\n"
    ),
    "processes of its own": (
        "import multiprocessing\ndef double(x):\n    return 2 * x\n"
        "if __name__ == '__main__':\n    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.map(double, [1, 2]))\n"
    ),
    "another encoding": "# -*- coding: latin-1 -*-\nprint('\xe9')\n",
    "sets the environment first": (
        "import os\nos.environ['OPENBLAS_NUM_THREADS'] = '1'\nimport numpy\nprint(len(os.listdir('/proc/self/task')))\n"
    ),
    "shadows what was imported": "import fractions\nprint(fractions.__file__)\n",
    "its trial": "import json, os\nprint(json.load(open(os.environ['AUTORESEARCH_TRIAL']))['seed'])\n",
}


started: list[Waiting] = []


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    """A test that fails leaves no process behind."""
    yield
    while started:
        waiting = started.pop()
        waiting.process.kill()
        waiting.process.communicate(timeout=LIMIT)
        waiting.engine.socket.close()


class Waiting:
    """A standby process, seen from the engine's end."""

    def __init__(self, folder: Path, *command: str) -> None:
        ours, theirs = socket.socketpair()
        self.folder, self.engine = folder, Engine(ours, folder / "rows.npy")
        self.control = theirs.fileno()
        waits = folder / "standby.json"
        waits.write_text(json.dumps({"role": "standby", "device": "cpu", "control": self.control}))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", *command],
            env={**environment(folder), harness.VARIABLE: str(waits)},
            cwd=folder, pass_fds=[self.control], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        theirs.close()
        started.append(self)

    def has_loaded(self, library: str) -> bool:
        return library in Path(f"/proc/{self.process.pid}/maps").read_text()

    def imports(self) -> bool:
        """Whether a thread of it still works at the lowest priority."""
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                if os.getpriority(os.PRIO_PROCESS, int(thread)) == 10:
                    return True
        return False

    def become(self, *argv: str, **changes: object) -> Path:
        """Tell it its turn. Returns the trial file."""
        trial_file = self.folder / "trial.json"
        trial_file.write_text(json.dumps(told(self.folder, self.control, **changes)))
        self.engine.say(type="trial", file=str(trial_file), folder=str(self.folder), argv=list(argv))
        assert self.engine.hear() == TAKEN
        return trial_file

    def end(self) -> tuple[bytes, int]:
        """What it printed, and its exit status."""
        assert self.process.stdout is not None
        said, _ = self.process.communicate(timeout=LIMIT)
        self.engine.socket.close()
        return said, self.process.returncode


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(folder / "path"), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONUNBUFFERED": "1", "GOMP_SPINCOUNT": "3000", "PYTHONPATH": path}


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A folder for a script, with modules beside it; and one elsewhere that says when it has been imported."""
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "mark.py").write_text("import pathlib\npathlib.Path(__file__).with_name('imported').touch()\n")
    (tmp_path / "beside.py").write_text("VALUE = 7\n")
    (tmp_path / "broken.py").write_text("def f(:\n")
    return tmp_path


def both(folder: Path, *argv: str) -> tuple[tuple[bytes, int], tuple[bytes, int]]:
    """Output and exit status of a plain start, and of a standby that becomes the same command."""
    waiting = Waiting(folder, "backends.reference.standby", "json", "fractions", "numpy", "mark")
    until((folder / "path" / "imported").exists)
    trial_file = waiting.become(*argv)
    here = waiting.end()
    env = {**environment(folder), harness.VARIABLE: str(trial_file)}
    plain = subprocess.run(
        argv, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=LIMIT, start_new_session=True,
    )  # fmt: skip
    return (plain.stdout, plain.returncode), here


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_does_what_it_does_in_a_plain_start(name: str, artifact: Path) -> None:
    (artifact / "script.py").write_text(SCRIPTS[name], encoding="latin-1")
    if name.startswith("shadows"):
        (artifact / "fractions.py").write_text("")
    plain, here = both(artifact, sys.executable, "script.py", "--depth", "2")
    assert here == plain


def test_imports_that_do_not_end_are_not_waited_for(artifact: Path) -> None:
    (artifact / "path" / "endless.py").write_text("import mark, threading\nthreading.Event().wait(600)\n")
    (artifact / "script.py").write_text("import sys, threading\nprint(sys.argv, threading.active_count())\n")
    waiting = Waiting(artifact, "backends.reference.standby", "endless")
    until((artifact / "path" / "imported").exists)
    waiting.become(sys.executable, "script.py", "x")
    assert waiting.end() == (b"['script.py', 'x'] 1\n", 0)


COMMANDS = {
    "a safe path": (sys.executable, "-P", "script.py"),
    "a script elsewhere": (sys.executable, "inner/script.py", "x"),
    "a script that is not there": (sys.executable, "nowhere.py"),
    "a module": (sys.executable, "-m", "beside"),
    "code": (sys.executable, "-c", "print(__file__ if '__file__' in globals() else 'none')"),
    "no Python": ("/bin/sh", "-c", "echo $0 $PWD; exit 4"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_any_command_does_what_it_does_in_a_plain_start(name: str, artifact: Path) -> None:
    (artifact / "inner").mkdir()
    for script in (artifact / "script.py", artifact / "inner" / "script.py"):
        script.write_text("import sys\nprint(sys.argv, sys.path[:2], __file__)\nimport beside\n")
    plain, here = both(artifact, *COMMANDS[name])
    assert here == plain


def test_the_whole_artifact_trains_in_it(tmp_path: Path) -> None:
    source = Path(train.__file__).read_text(encoding="utf-8")
    for name, value in {"DEPTH": 2, "TOTAL_BATCH_SIZE": 256, "DEVICE_BATCH_SIZE": 4}.items():
        source, found = re.subn(rf"^{name} = .*$", f"{name} = {value}", source, flags=re.MULTILINE)
        assert found == 1, name
    (tmp_path / "train.py").write_text(source, encoding="utf-8")
    np.save(tmp_path / "rows.npy", np.zeros((50, 33), np.uint16))
    waiting = Waiting(tmp_path, "backends.cuda", "standby")
    if sys.platform == "linux":
        until(lambda: waiting.has_loaded("libtorch") and not waiting.imports(), LIMIT)  # before it is told anything
    settings = {"sequence_length": 32, "vocab_size": 64}
    waiting.become(sys.executable, "train.py", settings=settings, budget={"train_seconds": 0.5})
    assert waiting.engine.hear() == {"type": "ready"}
    if sys.platform == "linux":  # not a start from scratch: that has the environment of its turn
        assert b"standby.json" in Path(f"/proc/{waiting.process.pid}/environ").read_bytes()
    waiting.engine.go()
    *_, done = waiting.engine.hear_until("done")
    said, code = waiting.end()
    assert code == 0, said
    assert done["summary"]["num_steps"] > 0
    assert (tmp_path / "checkpoint.safetensors").exists()


def test_it_imports_all_that_the_artifact_imports_and_starts_no_device() -> None:
    wanted: set[str] = set()
    for node in ast.parse(Path(train.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            wanted |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            wanted.add(str(node.module))
    code = (
        "import json, sys, threading\nfrom backends.reference import standby\n"
        "standby.import_quietly(json.loads(sys.argv[1]))\nimport torch\n"
        "assert not torch.cuda.is_initialized()\nprint(json.dumps(sorted(sys.modules)))\n"
    )
    for device in ("cpu", "cuda"):
        argv = [sys.executable, "-P", "-W", "ignore", "-c", code, json.dumps(standby.modules(device))]
        done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=LIMIT)
        there = set(json.loads(done.stdout.splitlines()[-1]))
        assert wanted <= there, wanted - there
        assert ("torch._inductor.compile_fx" in there) == (device == "cuda")


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="the kernel has no autogroups")
@pytest.mark.skipif(os.getpriority(os.PRIO_PROCESS, 0) >= 10, reason="we have no higher priority ourselves")
def test_it_waits_at_a_low_priority_and_trains_at_the_usual_one(tmp_path: Path) -> None:
    shows = (
        "import json, os, threading\nfrom pathlib import Path\n"
        "print(Path('/proc/self/autogroup').read_text().split()[-1])\n"
        "for wait in range(100):\n"  # the thread that imported is over, but the kernel may not have seen it off
        "    nice = {os.getpriority(os.PRIO_PROCESS, int(t)) for t in os.listdir('/proc/self/task')}\n"
        "    if len(nice) > 1:\n        threading.Event().wait(0.02)\n"
        "print(json.dumps(sorted(nice)))\n"
    )
    (tmp_path / "script.py").write_text(shows)
    waiting = Waiting(tmp_path, "backends.reference.standby", "torch", "numpy")
    group = Path(f"/proc/{waiting.process.pid}/autogroup")
    until(lambda: group.read_text().split()[-1] == "10")
    until(lambda: waiting.has_loaded("libtorch") and not waiting.imports(), LIMIT)
    waiting.become(sys.executable, "script.py")
    said, code = waiting.end()
    assert (said.decode(), code) == (f"0\n[{os.getpriority(os.PRIO_PROCESS, 0)}]\n", 0)


def test_the_engine_going_away_ends_it(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path, "backends.reference.standby", "json")
    waiting.engine.socket.close()
    assert waiting.end() == (b"", 0)
