"""Solvers: pure functions from offers and needs to a result with a proof. No Django, no I/O, no clock."""
