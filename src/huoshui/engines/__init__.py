"""Job engines: what runs work on cards. Plugins behind one interface; no Django here, and no database.

`base.py` says what an engine does; `local.py`, `slurm.py` and `ray.py` do it; `open_engine` makes one from a site's
settings. An engine is asked, never believed at once: `huoshui.jobs` compares what it says with what was ordered.
"""

from huoshui.engines.base import (
    KINDS,
    Engine,
    EngineError,
    Finding,
    Found,
    JobSpec,
    Phase,
    Reservation,
    Setting,
    Status,
    Usage,
    open_engine,
)

__all__ = [
    "KINDS", "Engine", "EngineError", "Finding", "Found", "JobSpec", "Phase", "Reservation", "Setting", "Status",
    "Usage", "open_engine",
]  # fmt: skip
