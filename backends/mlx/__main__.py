"""The verbs of the mlx backend: `python -P -m backends.mlx VERB …`; see backends.reference.verbs."""

from __future__ import annotations

from pathlib import Path

from backends.reference import verbs


def main() -> None:
    """Run the verb that the command line names."""
    verbs.main(
        verbs.Backend(
            name="mlx",
            description="The reference GPT on MLX.",
            fast="look the GPU up without trying it",
            family="mac-",
            elsewhere="mac-16gb",  # a common Mac
            templates=Path(__file__).parent,
            devices=_devices,
            own={"prepare": _prepare, "standby": _standby, "serve": _serve, "sample": _sample},
        )
    )


def _devices() -> verbs.Devices:
    from backends.mlx import devices

    return devices


def _prepare(words: verbs.Words) -> None:
    from backends.mlx import devices
    from backends.reference import prepare

    prepare.main("mlx", devices.find)


def _standby(words: verbs.Words) -> None:
    from backends.mlx import standby

    standby.main()


def _serve(words: verbs.Words) -> None:
    from backends.mlx import standby

    standby.import_until_asked()  # a trial is training meanwhile
    from backends.mlx import serve

    serve.main()


def _sample(words: verbs.Words) -> None:
    from backends.mlx import sample

    sample.main()


if __name__ == "__main__":
    main()
