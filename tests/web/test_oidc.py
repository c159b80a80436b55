"""Sign-in through an OpenID Connect issuer: a small real one on this machine, spoken to over HTTP.

It runs in a process of its own settings, because the settings decide at start whether there is an issuer.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mozilla_django_oidc")

SCRIPT = Path(__file__).with_name("oidc_script.py")


OUTCOMES = {
    "known": "signed in as lin, 0 roles, 1 people, 1 in the log",
    "unknown": "refused, 1 people",
    "inactive": "refused, 1 people",
    "other audience": "refused, 1 people",
    "other issuer": "refused, 1 people",
    "other key": "refused, 1 people",
}


def test_the_issuer_says_who_and_nothing_else(tmp_path: Path) -> None:
    env = os.environ | {"HUOSHUI_HOME": str(tmp_path), "HUOSHUI_DATABASE": "", "PYTHONPATH": f"src{os.pathsep}."}
    command = [sys.executable, str(SCRIPT), *OUTCOMES]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    told = done.stdout.strip().splitlines()[-len(OUTCOMES) :]
    assert dict(zip(OUTCOMES, told, strict=False)) == OUTCOMES, done.stderr[-2000:]
