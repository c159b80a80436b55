"""A Slurm cluster as an engine, through its own commands (sbatch, squeue, sacct, scontrol, scancel, sinfo).

The idea:

* A reservation is one of licences (`Licenses=a100:4 Flags=ANY_NODES`), since Slurm 22.05 reserves no GRES by count; a
  job asks for licences and for as many GRES. The site declares as many licences as cards, named like the GRES type.
* Slurm neither ends a job with a reservation of licences nor keeps it to that number of them, counts time limits in
  minutes, and accepts two jobs of one name. So the batch script itself keeps time to the second and refuses to run
  where it ran before, and a job that finds its reservation full depends on the end of those before it.
* A job of several nodes asks for equally many cards on each; its batch script runs the command once on every node
  through `srun`, with the same walls, and watches it; the first node that fails ends it on all.
* A job is known by its name, which is written down before `sbatch`. What is written down already, and an `sbatch` that
  did not answer, is looked up in squeue and sacct.
* Others may use our names too, so what counts is the number that `sbatch` answered. Jobs that a tenant's people submit
  in its reservation by themselves are found there (`find`), and known by their numbers too.
* One squeue and one sacct answer for all jobs that are watched.
* The account is slurmdbd's: seconds elapsed × cards allocated, requeued runs summed; the lines of sacct are the
  evidence. Without slurmdbd it is jobcomp's file, with the cards that the job asked for (`source` says so).
"""

import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from huoshui.engines import batch_script, confine
from huoshui.engines.base import (
    LOG_READ_MAX,
    MALFORMED,
    NAME,
    REFUSED,
    SETTINGS,
    UNKNOWN_CARD,
    UNREACHABLE,
    EngineError,
    Finding,
    Found,
    JobSpec,
    Phase,
    Reservation,
    Status,
    Usage,
    pairs,
    paths,
    read_log,
)
from huoshui.engines.local_cards import write
from huoshui.engines.profiles import Run
from huoshui.engines.slurm_runs import (
    ENDED,
    WAITING,
    Ours,
    SlurmRun,
    allocated,
    epoch,
    gres_cards,
    instant_of,
    is_meant,
    read_rows,
    requested,
    still_running,
    the_one,
    whole,
    with_cards,
    works,
)

COMMAND_SECONDS_MAX = 20
QUEUE_FIELDS = "JobID:20|,Name:64|,UserID:12|,State:30|,NodeList:255|,StartTime:20|,RestartCnt:10"
"""Of squeue, each with its width and what follows it."""
FIND_FIELDS = (
    "JobID:20|,Name:64|,UserID:12|,State:30|,StartTime:20|,Reservation:64|,NumNodes:10|,Licenses:255|,"
    "tres-per-node:255|,tres-per-job:255|,tres-alloc:255"
)
ACCOUNT_DAYS = 60
"""How far back sacct is asked for a name."""
PROBE_SECONDS_MAX = 10
PROBE = """
import json, os, socket, sys
def can(call, path):
    try:
        call(path)
        return True
    except OSError:
        return False
found = {
    "jobs read one another's files": can(os.listdir, sys.argv[1]),
    "jobs submit jobs": can(socket.socket(socket.AF_UNIX).connect, sys.argv[2]),
}
print(json.dumps([what for what, is_so in found.items() if is_so]))
"""
"""Run on a node by `check`: what does a job reach that it should not?"""
SACCT = ("sacct", "-n", "-P", "-D", "-a", "-S", f"now-{ACCOUNT_DAYS}days")
DELETE_TRIES, DELETE_SECONDS = 20, 0.25
SILENT = re.compile(
    r"unable to contact|connect|timed out|zero bytes|not responding|database|slurm_persist|temporarily|"
    r"try again|configuration source|dns srv|munge",
    re.IGNORECASE,
)
"""What Slurm's commands print when their daemon did not answer, rather than refused."""


class SlurmEngine:
    """Settings: `workdir`, `cards` (`a100=a100`: ours=GRES type), optionally `conf`, `bin`, `partition`, `account`,
    `users` (`tenant%d`: each tenant's jobs as a user of its own, which needs root here and these users on the nodes)
    or `shared_user` (`yes`: that they have none is accepted), `enclose` (`no`: nodes without Landlock are, too),
    `python` of the nodes, which is never run here, and `readable` (what jobs see besides their folder).
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.workdir = Path(settings["workdir"]).absolute()
        self.words = sorted(set(pairs(settings["cards"]).values()))
        if not self.words:
            raise EngineError(SETTINGS, "cards: at least one")
        self.conf, self.bin = settings.get("conf", ""), settings.get("bin", "")
        self.partition, self.account = settings.get("partition", ""), settings.get("account", "")
        self.users, self.shared_user = settings.get("users", ""), settings.get("shared_user", "") == "yes"
        self.enclose = settings.get("enclose") or "yes"
        self.python, self.readable = settings.get("python") or "python3", paths(settings.get("readable", ""))
        self._kept: dict[str, Reservation] = {}
        if self.users and self.users.count("%d") != 1:
            raise EngineError(SETTINGS, "users: contains %d once, for the tenant's number")
        if self.users and os.geteuid() != 0:
            raise EngineError(SETTINGS, "users: only root submits for others")
        for name in ("shared_user", "enclose"):
            if settings.get(name, "") not in ("", "yes", "no"):
                raise EngineError(SETTINGS, f"{name}: yes or no")

    # cards

    def cards(self) -> dict[str, int]:
        there = [gres for state, gres in self._nodes() if works(state)]
        return {word: sum(gres_cards(gres, word) for gres in there) for word in self.words}

    def nodes(self) -> dict[str, list[int]]:
        there = [gres for _state, gres in self._nodes()]
        return {word: [count for gres in there if (count := gres_cards(gres, word))] for word in self.words}

    def _nodes(self) -> list[tuple[str, str]]:
        """State and GRES of each node; sinfo tells one of several partitions several times."""
        partition = ["-p", self.partition] if self.partition else []
        rows = read_rows(self._ask("sinfo", "-h", "-N", *partition, "-o", "%N|%T|%G"), 3)
        return list({node: (state, gres) for node, state, gres in rows}.values())

    def reserve(self, wanted: Reservation) -> None:
        if not NAME.fullmatch(wanted.name):
            raise EngineError(REFUSED, f"name {wanted.name!r}")
        if wanted.card not in self.words:
            raise EngineError(UNKNOWN_CARD, wanted.card)
        standing = self.reservations().get(wanted.name)
        end = wanted.end.astimezone(UTC).replace(microsecond=0)
        if standing and (standing.cards, standing.end) == (wanted.cards, end):
            return
        self._kept = {}
        given = {"ReservationName": wanted.name, "EndTime": f"{end:%Y-%m-%dT%H:%M:%S}"}
        given["Licenses"] = f"{wanted.card}:{wanted.cards}"
        if standing:
            self._ask("scontrol", "update", *(f"{key}={value}" for key, value in given.items()))
            return
        starts = wanted.start.astimezone(UTC)
        given["StartTime"] = "now" if starts <= datetime.now(UTC) else f"{starts:%Y-%m-%dT%H:%M:%S}"
        given |= {"Flags": "ANY_NODES", "Users": pwd.getpwuid(os.geteuid()).pw_name}
        if self.users and wanted.tenant is not None:
            given["Users"] += f",{self._user(wanted.tenant).pw_name}"
        try:
            self._ask("scontrol", "create", "reservation", *(f"{key}={value}" for key, value in given.items()))
        except EngineError:
            if wanted.name not in self.reservations():
                raise

    def release(self, name: str) -> None:
        if name not in self.reservations():
            return
        self._ask("scancel", f"--reservation={name}")
        for _ in range(DELETE_TRIES):
            with suppress(EngineError):
                self._ask("scontrol", "delete", f"reservation={name}")
            if name not in self.reservations():
                return
            time.sleep(DELETE_SECONDS)
        raise EngineError(REFUSED, f"{name}: still in use")

    def reservations(self) -> dict[str, Reservation]:
        found = {}
        for line in self._ask("scontrol", "-o", "show", "reservation").splitlines():
            fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
            licence = re.fullmatch(r"([^:,]+):(\d+)", fields.get("Licenses", ""))
            if licence and licence[1] in self.words:
                try:
                    times = (instant_of(fields["StartTime"]), instant_of(fields["EndTime"]))
                    name = fields["ReservationName"]
                except (KeyError, ValueError) as error:
                    raise EngineError(MALFORMED, f"scontrol: {line[:200]}") from error
                found[name] = Reservation(name, licence[1], int(licence[2]), *times)
        self._kept = found
        return dict(found)

    # jobs

    def submit(self, spec: JobSpec) -> None:
        if spec.card not in self.words:
            raise EngineError(UNKNOWN_CARD, spec.card)
        if "cards" in self._noted(spec.name) and self._look_up(spec.name):
            return
        user = self._hand_over(spec) if self.users else None
        name = user.pw_name if user else ""
        end, before = self._admit(spec, name) if spec.reservation else (0, [])
        note = {"cards": spec.cards, "uid": user.pw_uid if user else os.geteuid()}
        self._note(spec.name, note | ({"end": end} if end else {}))
        try:
            said = self._ask("sbatch", *self._options(spec, name, before), text=self._script(spec, end))
        except EngineError as error:
            if error.code != UNREACHABLE or not self._look_up(spec.name):
                raise
        else:
            self._number(spec.name, [int(job) for job in re.findall(r"^\d+", said, re.MULTILINE)])

    def _look_up(self, name: str) -> bool:
        """Whether Slurm took a job whose number it has not answered; now it is known."""
        runs = self._runs([name]).get(name, [])
        self._number(name, [run.job for run in runs])
        return bool(runs)

    def _number(self, name: str, jobs: Sequence[int]) -> None:
        if jobs and not (note := self._noted(name)).get("jobs"):
            self._note(name, note | {"jobs": list(jobs)})

    def _admit(self, spec: JobSpec, user: str) -> tuple[int, list[str]]:
        """The end of the job's reservation, and the jobs that must end before this one may start in it.

        A job that finds room among all that live in the reservation waits for none; another waits for all of them.
        So of those that run at once, the last that came found room beside the others.
        """
        kept = self._kept.get(spec.reservation) or self.reservations().get(spec.reservation)
        if kept is None or kept.card != spec.card or kept.cards < spec.cards:
            raise EngineError(REFUSED, f"{spec.name}: no {spec.cards} cards in reservation {spec.reservation}")
        if user:
            self._ask("scontrol", "update", f"ReservationName={spec.reservation}", f"Users+={user}")
        lives = read_rows(self._ask("squeue", "-h", f"--reservation={spec.reservation}", "-o", "%i|%W"), 2)
        taken = sum(whole(licences.rpartition(":")[2]) for _job, licences in lives)
        before = [job for job, _licences in lives] if taken + spec.cards > kept.cards else []
        return int(kept.end.timestamp()), before

    def _script(self, spec: JobSpec, end: int) -> str:
        return batch_script.write(spec, end, self._enclosed(spec), self._program("srun"), self._program("scancel"))

    def _options(self, spec: JobSpec, user: str, before: Sequence[str], *, cards: bool = True) -> list[str]:
        """Of sbatch. A probe asks for no cards."""
        asked = {"--gres": f"gpu:{spec.card}:{spec.cards // spec.nodes}", "--licenses": f"{spec.card}:{spec.cards}"}
        given = (asked if cards else {}) | {
            "--job-name": spec.name, "--chdir": str(spec.directory), "--output": str(spec.log),
            "--nodes": str(spec.nodes), "--ntasks-per-node": "1" if spec.nodes > 1 else "",
            "--cpus-per-task": str(spec.cpus or ""), "--mem": f"{spec.memory_mib}M",
            "--time": str(-(-spec.seconds_max // 60) + 1), "--open-mode": "truncate",
            "--dependency": ":".join(["afterany", *before]) if before else "",
            "--reservation": spec.reservation, "--partition": self.partition,
            "--account": self.account, "--uid": user,
        }  # fmt: skip
        return ["--parsable", "--no-requeue", *(f"{option}={value}" for option, value in given.items() if value)]

    def _hand_over(self, spec: JobSpec) -> pwd.struct_passwd:
        """The user of the job's tenant, who now owns the job's folder."""
        user = self._user(spec.tenant)
        try:
            confine.hand_over(spec.directory, user.pw_uid, user.pw_gid)
        except OSError as error:
            raise EngineError(REFUSED, f"user of tenant {spec.tenant}: {error}") from error
        return user

    def _user(self, tenant: int) -> pwd.struct_passwd:
        try:
            return pwd.getpwnam(self.users % tenant)
        except KeyError as error:
            raise EngineError(REFUSED, f"user of tenant {tenant}: {error}") from error

    def _enclosed(self, spec: JobSpec) -> list[str]:
        """Words before the command that keep it to its folder, which needs no privilege on the node."""
        program = [self.python, "-I", "-S", str(self._confine)]
        return [*program, self.enclose, str(spec.directory), str(self._munge.parent), ":".join(self.readable), "--"]

    @cached_property
    def _confine(self) -> Path:
        """`confine.py` where the nodes can read it: they need a Python, but nothing of ours."""
        path = self.workdir / ".confine.py"
        source = Path(confine.__file__).read_text()
        try:
            if not path.exists() or path.read_text() != source:
                write(path, source)
                path.chmod(0o644)
        except OSError as error:
            raise EngineError(UNREACHABLE, str(error)) from error
        return path

    @property
    def _munge(self) -> Path:
        """The socket of whoever says to Slurm who a job is: what reaches it submits jobs."""
        named = re.search(r"socket=([^,\s]+)", self._config.get("AuthInfo", ""))
        return Path(named[1] if named else "/run/munge/munge.socket.2")

    def watch(self, names: Sequence[str]) -> dict[str, Status]:
        found = dict.fromkeys(names, Status(Phase.LOST))
        runs = self._runs(names)
        for name, of_name in runs.items():
            found[name] = the_one(of_name).status()
            if self._missed(name, found[name]):
                if found[name].phase is Phase.WAITING:
                    self.cancel(name)  # Slurm would let it wait for ever
                found[name] = Status(Phase.ENDED, None, "no_start")
        self._drop_repeats(runs.values())
        return found

    def _missed(self, name: str, status: Status) -> bool:
        """The job's reservation is over, and it did not start."""
        waits = status.phase is Phase.WAITING or (status.phase is Phase.ENDED and status.exit_code is None)
        return waits and 0 < self._noted(name).get("end", 0) < time.time()

    def _drop_repeats(self, runs: Iterable[list[SlurmRun]]) -> None:
        """Cancel what waits to run a second time: an sbatch that was taken twice, a job that an operator requeued."""
        for of_name in runs:
            late = {run.job for run in of_name if run.state in WAITING}
            if late and the_one(of_name).state not in WAITING:
                self._ask("scancel", *map(str, sorted(late)))

    def usage(self, names: Sequence[str]) -> dict[str, Usage]:
        found = {}
        accounts: dict[str, list[SlurmRun]] = {}
        for run in self._accounts(names):
            if run.start and not run.refused and not run.repeated:
                accounts.setdefault(run.name, []).append(run)
        for name, runs in accounts.items():
            runs.sort(key=lambda run: run.start)
            source = self._source
            if not all(run.cards for run in runs):
                asked = self._noted(name).get("cards")
                if asked is None:
                    raise EngineError(MALFORMED, f"{name}: no cards in the account: {runs[0].raw}")
                runs = [with_cards(run, asked) for run in runs]
                source += "+request" if self._dbd else ""
            over = all(run.state in ENDED for run in runs)
            found[name] = Usage(
                cards=max(run.cards for run in runs),
                card_seconds=sum(run.elapsed * run.cards for run in runs),
                started=datetime.fromtimestamp(runs[0].start, UTC),
                ended=datetime.fromtimestamp(max(run.end for run in runs), UTC) if over else None,
                source=source,
                raw="\n".join(run.raw for run in runs),
            )
        return found

    def logs(self, spec: JobSpec, offset: int, limit: int = LOG_READ_MAX) -> bytes:
        return read_log(spec.log, offset, limit)

    def cancel(self, name: str) -> None:
        if not NAME.fullmatch(name):
            raise EngineError(REFUSED, f"name {name!r}")
        note = self._noted(name)
        try:
            named = list(map(str, note.get("jobs", ()))) or [f"--name={name}"]
            self._ask("scancel", f"--user={note['uid']}", *named)
        except EngineError as error:
            if error.code == UNREACHABLE or "jobs" not in note:  # else Slurm has forgotten the number
                raise

    def find(self, reservations: Sequence[str], since: datetime | None = None) -> list[Found]:
        queued = self._ask("squeue", "-h", "-t", "all", "-O", FIND_FIELDS)
        rows = [self._queued(fields) for fields in read_rows(queued, 11)]
        if since is not None and self._dbd:
            said = self._ask(
                *SACCT[:-1], f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%S}", "-X",
                "-o", "jobidraw,jobname,uid,start,reservation,alloctres",
            )  # fmt: skip
            rows += [
                (whole(job), name, whole(uid), epoch(start), reservation, allocated(tres, self.words))
                for job, name, uid, start, reservation, tres in read_rows(said, 6)
            ]
        found = {}
        for job, name, uid, start, reservation, cards in rows:
            if reservation not in reservations or not start or not cards or self._submitted(name, job, uid):
                continue
            known = f"{reservation}-{job}"
            if not self._noted(known).get("found"):
                self._note(known, {"cards": cards, "uid": uid, "jobs": [job], "found": True})
            found[known] = Found(known, reservation, cards, instant_of(start))
        return list(found.values())

    def _submitted(self, name: str, job: int, uid: int) -> bool:
        """Whether a job of this name, number and user is one that was submitted here."""
        note = self._noted(name) if NAME.fullmatch(name) else {}
        return "cards" in note and not note.get("found") and is_meant(note, job, uid)

    def _queued(self, fields: Sequence[str]) -> tuple[int, str, int, int, str, int]:
        """Job, name, user, start (0: it waits), reservation and cards. Without slurmdbd what was asked for counts."""
        job, name, uid, state, start, reservation, nodes, licences, on_node, in_all, tres = map(str.strip, fields)
        by_licences, by_node, by_job = (requested(said, self.words) for said in (licences, on_node, in_all))
        asked = by_licences, by_node * whole(nodes), by_job
        began = 0 if state in WAITING else epoch(start)
        return whole(job), name, whole(uid), began, reservation, allocated(tres, self.words) or max(asked)

    def history(self, start: datetime, end: datetime) -> list[Run]:
        """What ran on our card models between two instants, for `profiles.from_runs`. Needs slurmdbd."""
        if not self._dbd:
            raise EngineError(REFUSED, "no slurmdbd: what ran is not known with its cards")
        window = (f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S}" for instant in (start, end))
        said = self._ask(
            "sacct", "-n", "-P", "-X", "-D", "-a", "-S", next(window), "-E", next(window), "-o", "start,end,alloctres",
        )  # fmt: skip
        now = int(time.time())
        return [
            Run(word, cards, epoch(began), epoch(ended) or now)
            for began, ended, tres in read_rows(said, 3)
            for word in self.words
            if epoch(began) and (cards := allocated(tres, [word]))
        ]

    # check

    def check(self) -> list[Finding]:
        findings = []
        try:
            findings.append(Finding("ok", "version", self._config.get("SLURM_VERSION", "")))
            cards = self.cards()
            findings += [
                Finding("ok" if cards[word] else "fault", "cards", f"{word}: {cards[word]}") for word in self.words
            ]
            findings += self._check_licences(cards)
            findings.append(self._check_accounting())
        except EngineError as error:
            findings.append(Finding("fault", error.code, error.text))
        if not (self.workdir.is_dir() and os.access(self.workdir, os.W_OK)):
            findings.append(Finding("fault", "workdir", str(self.workdir)))
        if "cgroup" not in self._config_or_empty.get("ProctrackType", ""):
            text = "ProctrackType is not proctrack/cgroup: processes that leave their job may outlive it"
            findings.append(Finding("warning", "proctrack", text))
        findings.append(self._check_separation())
        if not any(finding.level == "fault" for finding in findings):
            findings.append(self._check_node())
        return findings

    def _check_separation(self) -> Finding:
        """A user for each tenant is what keeps tenants apart; doing without must be said."""
        if self.users:
            return Finding("ok", "separation", f"users {self.users}")
        text = f"jobs of all tenants run as {pwd.getpwuid(os.geteuid()).pw_name}"
        if self.shared_user:
            return Finding("warning", "separation", f"{text}, which shared_user=yes accepts")
        return Finding("fault", "separation", f"{text}: set users, or accept it by shared_user=yes")

    def _check_node(self) -> Finding:
        """Run a probe on a node as a job of the platform's user would be run, if one is free now."""
        name = f"probe-{secrets.token_hex(4)}"
        directory, other = self.workdir / name, self.workdir / f"{name}-other"
        argv = (self.python, "-c", PROBE, str(other), str(self._munge))
        spec = JobSpec(
            name, argv, directory, directory / "log", cards=1, card=self.words[0], seconds_max=PROBE_SECONDS_MAX,
            tenant=0, memory_mib=128,
        )  # fmt: skip
        try:
            directory.mkdir(mode=0o700)
            other.mkdir(mode=0o700)
            self._ask("sbatch", *self._options(spec, "", [], cards=False), text=self._script(spec, 0))
            deadline = time.monotonic() + PROBE_SECONDS_MAX
            while not (said := read_log(spec.log, 0, LOG_READ_MAX).decode(errors="replace")).endswith("\n"):
                if time.monotonic() > deadline:
                    text = f"no node was free within {PROBE_SECONDS_MAX} seconds, or nothing came back from it"
                    return Finding("warning", "probe", text)
                time.sleep(0.1)
            reached = json.loads(said)
        except ValueError:
            return Finding("fault", "probe", said.strip())
        except (EngineError, OSError) as error:
            return Finding("fault", "probe", str(error))
        finally:
            with suppress(EngineError):
                self.cancel(name)
            for path in (directory, other):
                shutil.rmtree(path, ignore_errors=True)
        if not reached:
            return Finding("ok", "separation", "a job on a node reaches nothing of others")
        return Finding("warning" if self.enclose == "no" else "fault", "separation", ", ".join(reached))

    def _check_licences(self, cards: dict[str, int]) -> list[Finding]:
        totals = {}
        for line in self._ask("scontrol", "-o", "show", "licenses").splitlines():
            fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
            totals[fields.get("LicenseName", "")] = int(fields.get("Total", "0") or 0)
        return [
            Finding("fault", "licences", f"Licenses={word}:{cards[word]} is missing in slurm.conf")
            if word not in totals
            else Finding("warning", "licences", f"{word}: {totals[word]} licences, {cards[word]} cards work")
            for word in self.words
            if totals.get(word) != cards[word]
        ]

    def _check_accounting(self) -> Finding:
        self._accounts(["none"])
        if self._dbd:
            counted = "gres/gpu" in self._config.get("AccountingStorageTRES", "")
            text = "slurmdbd" if counted else "slurmdbd without AccountingStorageTRES=gres/gpu: cards as requested"
            return Finding("ok" if counted else "warning", "accounting", text)
        return Finding("warning", "accounting", "no slurmdbd: jobcomp/filetxt, cards as requested")

    # asking Slurm

    def _ask(self, program: str, *arguments: str, text: str | None = None) -> str:
        """What a command prints. Raises EngineError: `unreachable` when nobody answers, else `refused`."""
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", "SLURM_TIME_FORMAT": "%s",
            **({"SLURM_CONF": self.conf} if self.conf else {}),
        }  # fmt: skip
        command = [self._program(program), *arguments]
        try:
            done = subprocess.run(  # noqa: S603
                command, env=environment, input=text, capture_output=True, text=True, errors="replace",
                timeout=COMMAND_SECONDS_MAX,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise EngineError(UNREACHABLE, f"{program}: no answer in {COMMAND_SECONDS_MAX} seconds") from error
        except FileNotFoundError as error:
            raise EngineError(SETTINGS, f"{program} is not installed here") from error
        except OSError as error:
            raise EngineError(UNREACHABLE, f"{program}: {error}") from error
        if done.returncode:
            said = done.stderr.strip()[-500:]
            raise EngineError(UNREACHABLE if SILENT.search(said) else REFUSED, f"{program}: {said}")
        return done.stdout

    def _program(self, name: str) -> str:
        return str(Path(self.bin) / name) if self.bin else name

    def _runs(self, names: Sequence[str]) -> dict[str, list[SlurmRun]]:
        """All that Slurm knows of these names: the queue, and the accounts of those that are not in it any more."""
        found: dict[str, list[SlurmRun]] = {}
        ours = Ours({name: self._noted(name) for name in names})
        for option in ours.in_queue():
            for fields in read_rows(self._ask("squeue", "-h", "-t", "all", option, "-O", QUEUE_FIELDS), 7):
                job, name, uid, state, node, start, again = (field.strip() for field in fields)
                began = 0 if state in WAITING else epoch(start)  # of what waits Slurm tells when it may start
                run = SlurmRun(whole(job), name, whole(uid), state, node, start=began, again=whole(again) > 0)
                known = ours.name_of(run)
                if known and not run.refused and replace(run, name=known) not in found.setdefault(known, []):
                    found[known].append(replace(run, name=known))
        over = [name for name in names if all(run.over for run in found.get(name, ()))]
        # What the queue shows as ended has ended; how, the account says, which may come a moment later.
        late = {name: [still_running(run) for run in found.pop(name)] for name in over if name in found}
        for run in self._out_of_memory(self._accounts(over)):
            if not run.refused and (run.state in ENDED or run.name in late):
                found.setdefault(run.name, []).append(run)
        for name, runs in late.items():
            found[name] = found[name] + [run for run in runs if run.state in WAITING] if name in found else runs
        return found

    def _accounts(self, names: Sequence[str]) -> list[SlurmRun]:
        ours = Ours({name: self._noted(name) for name in names})
        ask = self._sacct if self._dbd else self._jobcomp
        runs = dict.fromkeys(run for option in ours.in_accounts() for run in ask(option))  # one that both ask for once
        return [replace(run, name=known) for run in runs if (known := ours.name_of(run))]

    def _out_of_memory(self, runs: Sequence[SlurmRun]) -> Sequence[SlurmRun]:
        """Of a job on several nodes Slurm says how its script ended; that memory was short stands at its step."""
        failed = {str(run.job) for run in runs if run.state == "FAILED" and re.search(r"[\[,]", run.node)}
        if not failed or not self._dbd:
            return runs
        said = self._ask(*SACCT, f"--jobs={','.join(sorted(failed))}", "-o", "jobidraw,state")
        short = {step.partition(".")[0] for step, state in read_rows(said, 2) if state == "OUT_OF_MEMORY"} & failed
        return [replace(run, state="OUT_OF_MEMORY") if str(run.job) in short else run for run in runs]

    def _sacct(self, option: str) -> list[SlurmRun]:
        said = self._ask(
            *SACCT, "-X", option, "-o", "jobidraw,jobname,uid,state,nodelist,exitcode,start,end,elapsedraw,alloctres",
        )  # fmt: skip
        return [self._account(fields) for fields in read_rows(said, 10)]

    def _jobcomp(self, option: str) -> list[SlurmRun]:
        said = self._ask(
            "sacct", "-c", "-n", "-P", "-X", option,
            "-o", "jobid,jobname,uid,state,nodelist,exitcode,start,end,elapsedraw",
        )  # fmt: skip
        return [self._account([*fields, ""]) for fields in read_rows(said, 9)]

    def _account(self, fields: Sequence[str]) -> SlurmRun:
        job, name, uid, state, node, ended, start, end, elapsed, tres = fields
        code, _colon, signal = ended.partition(":")
        run = SlurmRun(
            whole(job), name, whole(uid), state.split()[0] if state else "",
            "" if node.startswith(("None", "(null)")) else node,
            whole(code or "0"), whole(signal or "0"), epoch(start), epoch(end), whole(elapsed or "0"),
            allocated(tres, self.words), raw="|".join(fields),
        )  # fmt: skip
        if run.start and run.end and run.end < run.start:
            raise EngineError(MALFORMED, f"ended before it started: {run.raw}")
        return run

    @cached_property
    def _config(self) -> dict[str, str]:
        lines = self._ask("scontrol", "show", "config").splitlines()
        return {key.strip(): value.strip() for key, sign, value in (line.partition("=") for line in lines) if sign}

    @property
    def _config_or_empty(self) -> dict[str, str]:
        try:
            return self._config
        except EngineError:
            return {}

    @property
    def _dbd(self) -> bool:
        return self._config.get("AccountingStorageType", "").endswith("slurmdbd")

    @property
    def _source(self) -> str:
        return "sacct" if self._dbd else "jobcomp+request"

    def _note(self, name: str, note: Mapping[str, Any]) -> None:
        """Write down that a job is about to be submitted: its cards, its user, when its reservation ends; then the
        numbers that Slurm gave it. `found`: it was not submitted here.

        A name that is not written down was never submitted, and Slurm need not be asked.
        """
        folder = self.workdir / ".engine"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write(folder / f"{name}.json", json.dumps(note))
        except OSError as error:
            raise EngineError(UNREACHABLE, str(error)) from error

    def _noted(self, name: str) -> dict[str, Any]:
        note: dict[str, Any] = {"uid": os.geteuid()}
        with suppress(OSError, ValueError):
            note |= json.loads((self.workdir / ".engine" / f"{name}.json").read_text())
        return note
