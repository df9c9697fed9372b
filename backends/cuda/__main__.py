"""The verbs of the cuda backend: `python -P -m backends.cuda VERB …`; see backends.reference.verbs."""

from __future__ import annotations

from pathlib import Path

from backends.reference import verbs


def main() -> None:
    """Run the verb that the command line names."""
    verbs.main(
        verbs.Backend(
            name="cuda",
            description="The reference GPT on PyTorch.",
            fast="look PyTorch up without importing it",
            family="gpu-",
            elsewhere="gpu-80gb",  # the original's
            templates=Path(__file__).parent,
            devices=_devices,
            own={"prepare": _prepare, "standby": _standby, "warm": _warm, "serve": _serve, "sample": _sample},
        )
    )


def _devices() -> verbs.Devices:
    from backends.cuda import devices

    return devices


def _prepare(words: verbs.Words) -> None:
    from backends.cuda import devices, warm
    from backends.reference import prepare

    prepare.main("cuda", devices.find, warm.command)


def _standby(words: verbs.Words) -> None:
    from backends.cuda import standby

    standby.main()


def _warm(words: verbs.Words) -> None:
    from backends.cuda import warm

    warm.main(words)


def _serve(words: verbs.Words) -> None:
    from backends.cuda import standby

    standby.import_until_asked()  # a trial is training meanwhile
    from backends.cuda import serve

    serve.main()


def _sample(words: verbs.Words) -> None:
    from backends.cuda import sample

    sample.main()


if __name__ == "__main__":
    main()
