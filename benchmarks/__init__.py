"""Benchmarks: every figure in README and docs is printed by a command of this package."""
