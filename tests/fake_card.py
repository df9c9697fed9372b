"""Programs and files that look like an NVIDIA machine: an `nvidia-smi` that answers as recorded ones did, and a
PyTorch that says what it was built for but cannot be imported."""

from __future__ import annotations

from pathlib import Path

import pytest

RTX_4090 = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"
RTX_3060 = "GPU-5a1ab9a0-8b52-6c25-0a77-4b0b7e1f7d1e"

_SMI = """\
#!/bin/sh
case "$1" in
  --query-gpu=*compute_cap*) cat {folder}/cards.csv ;;
  --query-gpu=*) cut -d, -f1-5 {folder}/cards.csv ;;
  --query-compute-apps=*) cat {folder}/processes.csv ;;
esac
"""
_OLD_SMI = """\
#!/bin/sh
case "$1" in
  --query-gpu=*compute_cap*) echo 'Field "compute_cap" is not a valid field to query.'; exit 2 ;;
  --query-gpu=*) cut -d, -f1-5 {folder}/cards.csv ;;
esac
"""
_FAILING_SMI = """\
#!/bin/sh
echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
exit 9
"""
_HANGING_SMI = "#!/bin/sh\nexec sleep 60\n"


class FakeMachine:
    """Lies in a folder of its own, first on PATH and PYTHONPATH of this process and its children."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        (folder / "bin").mkdir(parents=True)
        monkeypatch.setenv("PATH", f"{folder / 'bin'}:{path}")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        self.smi(_SMI)
        self.cards()
        self.processes()

    def smi(self, text: str) -> None:
        program = self.folder / "bin" / "nvidia-smi"
        program.write_text(text.format(folder=self.folder))
        program.chmod(0o755)

    def old_smi(self) -> None:
        self.smi(_OLD_SMI)

    def failing_smi(self) -> None:
        self.smi(_FAILING_SMI)

    def hanging_smi(self) -> None:
        self.smi(_HANGING_SMI)

    def cards(self, *lines: str) -> None:
        """Each `uuid, name, memory.total, memory.used, driver_version, compute_cap`."""
        (self.folder / "cards.csv").write_text("".join(f"{line}\n" for line in lines))

    def processes(self, *lines: str) -> None:
        """Each `gpu_uuid, pid, used_memory, process_name`."""
        (self.folder / "processes.csv").write_text("".join(f"{line}\n" for line in lines))

    def torch(self, cuda: str | None) -> None:
        """A PyTorch built for this CUDA; children find it before the real one."""
        package = self.folder / "python" / "torch"
        (package / "lib").mkdir(parents=True)
        (package / "__init__.py").write_text("raise ImportError('check --fast must not import torch')\n")
        (package / "version.py").write_text(f"__version__ = '2.13.0'\ncuda: Optional[str] = {cuda!r}\n")
        if cuda:
            (package / "lib" / "libtorch_cuda.so").touch()
        self._monkeypatch.setenv("PYTHONPATH", str(self.folder / "python"))


def rtx_4090(used_mb: int = 512, driver: str = "570.133.07") -> str:
    return f"{RTX_4090}, NVIDIA GeForce RTX 4090, 24564, {used_mb}, {driver}, 8.9"


def rtx_3060(used_mb: int = 4) -> str:
    return f"{RTX_3060}, NVIDIA GeForce RTX 3060, 12288, {used_mb}, 570.133.07, 8.6"
