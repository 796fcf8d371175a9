"""Measures Bartizan beside its rivals: same machine, same run, every message verified. `make bench` runs it."""
