"""The engine: a loop that proposes, runs, measures, judges and remembers. Start at `core/loop.py`."""
