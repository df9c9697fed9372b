"""The reference GPT on an NVIDIA card, in one command: speed, start-up, evaluation, memory, and what the audit sees.

    python bench/gpu.py [--seconds 60] [--profile auto] [--evaluations 20]

1. each way of computing attention in a short trial on random tokens: tokens/s, MFU, peak memory, start-up
2. start-up with nothing compiled, and with what `warm` has compiled
3. a run on the text that is there (the standard library), its baseline alone; --seconds 300 is the original's length
4. its checkpoint scored again and again: how far honest numbers lie apart, which is what bf16 tolerances rest on

Prints tables and, last, one line of JSON. Caches and runs are its own and go when it ends. Never run on a card so far.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from backends.cuda import devices, paths
from backends.reference import profiles, scaffold
from backends.reference.corpus import BadInput
from backends.reference.profiles import Device, Profile
from backends.reference.rehearsal import Order, rehearse
from core import sandbox
from core.events import TrialReady
from core.history import fold
from core.journal import read
from core.launch import Options, launch

TEMPLATES = Path(devices.__file__).parent
CHOICE = "choose_attention(self.q.weight.device)"  # in train.py
LIMIT_SECONDS = 1200.0
UNTIMED_STEPS = 3


@dataclass(frozen=True, slots=True)
class Speed:
    """One short trial. `trouble` says why there are no numbers."""

    attention: str
    startup_seconds: float = 0.0
    tokens_per_second: float = 0.0
    mfu: float | None = None
    peak_memory_mb: float = 0.0
    trouble: str = ""


def main() -> None:
    """Everything in turn. Exits with 2 where there is no NVIDIA device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="training seconds of the run's baseline")
    parser.add_argument("--device", default="cuda", help="cpu: only to see that this bench runs")
    parser.add_argument("--profile", default="auto")
    parser.add_argument("--evaluations", type=int, default=20)
    parser.add_argument("--tiny", action="store_true", help="as short as it can be: to see that this bench runs")
    given = parser.parse_args()
    try:
        device = devices.find(given.device)
        profile = profiles.profile_for(device, given.profile)
    except BadInput as error:
        print(f"bench/gpu.py needs an NVIDIA device: {error}", file=sys.stderr)
        sys.exit(2)
    with tempfile.TemporaryDirectory(prefix="autoresearch-gpu-") as scratch:
        os.environ["XDG_CACHE_HOME"] = str(Path(scratch) / "cache")  # nothing compiled, nothing prepared
        os.environ["XDG_DATA_HOME"] = str(Path(scratch) / "data")
        print(f"{device.description}, {device.memory_mb:,} MB, profile {profile.name}", flush=True)
        figures = measure(device, profile, Path(scratch), 3.0 if given.tiny else given.seconds, given.evaluations)
    print(json.dumps(figures))


def measure(device: Device, profile: Profile, scratch: Path, seconds: float, evaluations: int) -> dict[str, Any]:
    """All figures, by name."""
    scaffold.write(TEMPLATES, scratch / "task", profile)
    speeds, warm_seconds = attention_speeds(device, profile, scratch, min(seconds, 15.0))
    baseline, run_folder = trained(device, profile, scratch, seconds)
    audits = evaluated(run_folder, scratch, evaluations)
    return {
        "device": device.description,
        "profile": profile.name,
        "warm_seconds": warm_seconds,
        "attention": [asdict(speed) for speed in speeds],
        "baseline": baseline,
        "audit": audits,
    }


# --- attention and start-up ------------------------------------------------------------------------------------------


def attention_speeds(
    device: Device, profile: Profile, scratch: Path, seconds: float
) -> tuple[list[Speed], float | None]:
    """The chosen way cold, then `warm`, then the chosen way and every usable one. Also the seconds that `warm` took."""
    capability = device.capability if device.gpu else None
    usable = [path.name for path in paths.attention_paths(capability) if path.usable]
    print(f"\n{'attention':<12}{'start-up s':>11}{'tokens/s':>12}{'MFU':>8}{'memory MB':>11}")
    speeds = [shown(speed(device, profile, scratch / "cold", usable[0], seconds, "cold"))]
    warm_seconds = None
    if device.gpu:
        began = time.monotonic()
        words = ["warm", "--device", device.name, "--profile", profile.name]
        subprocess.run([sys.executable, "-P", "-m", "backends.cuda", *words], check=True, timeout=LIMIT_SECONDS)
        warm_seconds = round(time.monotonic() - began, 1)
    for name in usable:
        speeds.append(shown(speed(device, profile, scratch / name, name, seconds)))
    return speeds, warm_seconds


def speed(device: Device, profile: Profile, scratch: Path, name: str, seconds: float, label: str = "") -> Speed:
    """A short trial of the packaged train.py with this attention."""
    scratch.mkdir()
    source = (scratch.parent / "task" / "train.py").read_text(encoding="utf-8")
    assert source.count(CHOICE) == 1
    source = source.replace(CHOICE, CHOICE.replace(")", f', "{name}")'))
    settings = {"sequence_length": profile.sequence_length, "vocab_size": profile.vocab_size, "profile": profile.name}
    began = time.monotonic()
    order = Order(scratch.parent / "task", source, device.name, settings, profile.device_batch_size, seconds,
                  began + seconds + LIMIT_SECONDS)  # fmt: skip
    report = rehearse(order, scratch)
    label = f"{name}, {label}" if label else name
    timed = report.steps[min(UNTIMED_STEPS + 1, len(report.steps) - 1) :]
    if report.trouble or len(timed) < 2:
        return Speed(label, trouble=report.trouble or "too few steps to tell")
    (first, done), (last, all_done) = timed[0], timed[-1]
    rate = (all_done - done) * profile.total_batch_size / (last - first)
    return Speed(label, round(report.steps[0][0] - began, 2), round(rate), report.mfu, round(report.memory_mb))


def shown(found: Speed) -> Speed:
    """Print one line of the table."""
    if found.trouble:
        print(f"{found.attention:<12} {found.trouble}", flush=True)
    else:
        mfu = "unknown" if found.mfu is None else f"{100 * found.mfu:.1f} %"
        rate = f"{found.tokens_per_second:>12,.0f}{mfu:>8}"
        print(f"{found.attention:<12}{found.startup_seconds:>11.1f}{rate}{found.peak_memory_mb:>11,.0f}", flush=True)
    return found


# --- a run's baseline ------------------------------------------------------------------------------------------------


def trained(device: Device, profile: Profile, scratch: Path, seconds: float) -> tuple[dict[str, Any], Path]:
    """The figures of the untouched artifact as a run sees it, and the run folder, which has its checkpoint."""
    workspace = scratch / "workspace"
    command = str(Path(sys.executable).parent / "autoresearch")
    words = ["init", str(workspace), "--profile", profile.name, "--dataset", "stdlib"]
    subprocess.run([command, *words], check=True, stdout=subprocess.DEVNULL)
    print(f"\nthe baseline, {seconds:g} s of training", flush=True)
    options = Options(str(workspace), backend="cuda", device=device.name, train_seconds=seconds, experiments=0)
    folder = launch(options, lambda line: print(f"  {line}", flush=True))
    psutil.Process(int((folder / "engine.lock").read_text().split()[0])).wait(LIMIT_SECONDS + seconds)
    events = [event for event, _ in read(folder / "journal.jsonl")]
    history = fold(read(folder / "journal.jsonl"))
    measured = history.experiments[0].measurement if history.experiments else None
    if measured is None:
        log = folder / "trials" / "0-1" / "log"
        sys.exit(f"the baseline has no score; its log:\n{log.read_text(errors='replace')[-2000:]}")
    telemetry = [json.loads(line) for line in (folder / "trials" / "0-1" / "telemetry.jsonl").read_text().splitlines()]
    rates = [step["tokens_per_second"] for step in telemetry[UNTIMED_STEPS:]] or [0.0]
    figures = {
        "train_seconds": round(measured.train_seconds, 2),
        "overhead_seconds": round(measured.total_seconds - measured.train_seconds, 2),
        "startup_seconds": next(event.startup_seconds for event in events if isinstance(event, TrialReady)),
        "tokens_per_second": round(statistics.median(rates)),
        "val_bpb": measured.value,
        "peak_memory_mb": measured.peak_memory_mb,
        **measured.findings,
    }
    for name, figure in figures.items():
        print(f"  {name:<24}{figure}")
    return figures, folder


# --- what honest evaluations differ by -------------------------------------------------------------------------------


def evaluated(run_folder: Path, scratch: Path, count: int) -> dict[str, Any]:
    """Score the baseline's checkpoint `count` times, with other draws of the audit each time."""
    task = scratch / "task"
    told = {
        "experiment": 0, "trial": 1, "seed": 42, "control": None,
        "budget": {"train_seconds": 1.0, "startup_seconds": LIMIT_SECONDS, "timeout_seconds": LIMIT_SECONDS},
        "checkpoint": str(run_folder / "trials" / "0-1" / "checkpoint.safetensors"),
    }  # fmt: skip
    run = fold(read(run_folder / "journal.jsonl")).run
    assert run is not None
    prepared = verb("prepare", scratch / "prepare", {**told, "device": run.device, "settings": dict(run.settings),
                    "fingerprint": None})  # fmt: skip
    print(f"\n{'evaluation':<12}{'val_bpb':>10}{'largest':>11}{'mean':>11}{'pass s':>8}{'all s':>8}")
    found = []
    for number in range(1, count + 1):
        folder = scratch / f"evaluation-{number}"
        (folder / "store").mkdir(parents=True)
        serve = {"command": [sys.executable, "-P", "-m", "backends.cuda", "serve"], "folders": [str(task)] * 2}
        answer = verb("evaluate", folder, {**told, "device": run.device, "settings": prepared["settings"],
                      "prepared": prepared, "serve": serve, "work": str(task), "store": str(folder / "store"),
                      "incumbent_store": None})  # fmt: skip
        if "value" not in answer:
            print(f"{number:<12} {answer}", flush=True)
            found.append(answer)
            continue
        findings = answer["findings"]
        largest, mean, spans = findings["audit_largest_nats"], findings["audit_mean_nats"], findings["eval_seconds"]
        found.append({"value": answer["value"], "largest": largest, "mean": mean, "pass_seconds": spans["pass"]})
        every = sum(spans.values())
        print(f"{number:<12}{answer['value']:>10.5f}{largest:>11.2e}{mean:>11.2e}{spans['pass']:>8.2f}{every:>8.2f}")
    honest = [one for one in found if "value" in one]
    return {
        "evaluations": len(found),
        "not_scored": [one for one in found if "value" not in one],
        "largest_nats": max((one["largest"] for one in honest), default=None),
        "largest_mean_nats": max((abs(one["mean"]) for one in honest), default=None),
        "mean_of_means_nats": statistics.mean(one["mean"] for one in honest) if honest else None,
        "median_pass_seconds": statistics.median(one["pass_seconds"] for one in honest) if honest else None,
    }


def verb(name: str, folder: Path, told: dict[str, Any]) -> dict[str, Any]:
    """Run a verb of the backend as the engine does, and return what it answers."""
    folder.mkdir(parents=True, exist_ok=True)
    answer, trial_file, empty = folder / "answer.json", folder / "trial.json", folder / "empty"
    empty.mkdir()
    trial_file.write_text(json.dumps({**told, "role": name, "answer": str(answer)}))
    process = sandbox.spawn(
        [sys.executable, "-P", "-m", "backends.cuda", name], cwd=empty, env=sandbox.environment(trial_file)
    )
    try:
        process.wait(LIMIT_SECONDS)
    finally:
        sandbox.kill_tree(process)
    if not answer.exists():
        sys.exit(f"{name} failed with exit status {process.returncode}")
    found: dict[str, Any] = json.loads(answer.read_text())
    return found


if __name__ == "__main__":
    main()
