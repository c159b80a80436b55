"""The script that runs a job's command where somebody else's scheduler starts it: it keeps what the scheduler does not.

Time to the second (also the end of the reservation), what lies in the folder, limits of the processes, an environment
of the job's own; and it runs once: a file in the job's folder, made so that only one can make it, is the proof.

On several nodes the script runs on the first of them and watches `srun`, which starts the command on each; so time and
disk hold for all nodes together, whichever of them still work.
"""

import shlex
from collections.abc import Sequence

from huoshui.engines.base import JobSpec

GRACE_SECONDS = 5
RAN_BEFORE, OVER_TIME, OVER_DISK, TOO_LATE = 115, 116, 117, 118
"""Exit statuses of the batch script itself (Slurm keeps seven bits); a command that ends with one has ended with 1."""
REASONS = {OVER_TIME: "time_limit", OVER_DISK: "disk", TOO_LATE: "no_start"}
ENDED_WITH_1 = "|".join(
    str(code) for own in (RAN_BEFORE, OVER_TIME, OVER_DISK, TOO_LATE) for code in (own, own + 128)
) + "|128|147|148|149|150"
"""Also what Slurm would read as success, and what would stop the script rather than end it."""

OPENING = """exec 3>&2 2>/dev/null
cd {directory} || exit 126
umask 077
"""
ONCE = """printf -v now '%(%s)T' -1
[ "$now" -lt {end} ] || exit {too_late}
(set -C; : > {guard}) || exit {ran_before}
mkdir -p tmp
ulimit -c 0; ulimit -f {file_kib}
"""
BOUNDS = "ulimit -d {memory_kib}; ulimit -u {processes}\n"
COMMAND = """env -i {environment} \\
  CUDA_VISIBLE_DEVICES="$CUDA_VISIBLE_DEVICES" ASCEND_RT_VISIBLE_DEVICES="$CUDA_VISIBLE_DEVICES" \\
  HUOSHUI_CARD_IDS="$CUDA_VISIBLE_DEVICES" ${{SLURMD_NODENAME:+SLURMD_NODENAME="$SLURMD_NODENAME"}} {place} \\
  {enclosed}{argv}"""
ON_NODE = """ulimit -c 0; ulimit -f {file_kib}
trap : TERM
set -m
{command} 2>&3 3>&- &
job=$!
while wait $job; code=$?; kill -0 $job; do :; done
[ $code -eq 0 ] || (set -C; echo $code > {failed}) || {{ trap - TERM; kill -TERM $$; }}
exit $code
"""
"""The first node that fails says how. Those that are ended because of it end by a signal, which hides no OUT_OF_MEMORY
of the first in Slurm's account of the step; an exit status would.
"""
ON_EACH = """{srun} --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 --kill-on-bad-exit=1 --wait=0 --mpi=none \\
  {cpus}--input=none --label /bin/bash -c {on_node} huoshui "$SLURMD_NODENAME\""""
WATCHED = """why=0
trap 'why={over_time}' USR1
trap 'why={over_disk}' USR2
set -m
{command} 2>&3 3>&- &
job=$!
(
  over() {{ {unless_failed}kill -"$1" $$; {ask_to_end} sleep {grace}; {end_all}kill -KILL -- -$job; exit; }}
  while sleep 1; do
    printf -v now '%(%s)T' -1
    if [ $SECONDS -ge {seconds} ] || [ "$now" -ge {end} ]; then over USR1; fi
    [ $((SECONDS % 5)) -eq 0 ] && [ "$(du -sk . | cut -f1)" -gt {disk_kib} ] && over USR2
  done
) >/dev/null 3>&- &
watch=$!
while wait $job; code=$?; kill -0 $job; do :; done
kill -KILL -- -$watch
"""
FIRST_FAILED = """[ $code -ne 0 ] && [ -f {failed} ] && [ ! -L {failed} ] && read -r -n 3 first < {failed} \\
  && [[ $first =~ ^[1-9][0-9]*$ ]] && [ $first -lt 256 ] && code=$first
"""
CLOSING = """case $code in {ended_with_1}) code=1;; esac
[ $why -gt 0 ] && code=$why
[ $code -gt 128 ] && kill -$((code - 128)) $$
exit $code
"""
PLACE = 'HUOSHUI_NODES={nodes} HUOSHUI_NODE="$SLURM_NODEID" HUOSHUI_FIRST_NODE="$1"'


def write(
    spec: JobSpec, end: int, enclosed: Sequence[str] = (), srun: str = "srun", scancel: str = "scancel"
) -> str:
    """The batch script. `end`: when the reservation ends (seconds since the epoch); 0: no reservation.

    `enclosed`: words before the command that keep it to its folder (`confine`). `srun`, `scancel`: where they
    lie on the nodes.
    """
    directory, several = str(spec.directory), spec.nodes > 1
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": directory, "TMPDIR": f"{directory}/tmp",  # noqa: S108
        **spec.environment,
    }  # fmt: skip
    words = {
        "directory": shlex.quote(directory), "guard": shlex.quote(f".ran-{spec.name}"), "ran_before": RAN_BEFORE,
        "failed": shlex.quote(f".failed-{spec.name}"),
        "over_time": OVER_TIME, "over_disk": OVER_DISK, "too_late": TOO_LATE, "grace": GRACE_SECONDS,
        "seconds": spec.seconds_max, "end": end or 1 << 40, "nodes": spec.nodes, "srun": shlex.quote(srun),
        "ended_with_1": ENDED_WITH_1, "cpus": f"--cpus-per-task={spec.cpus} " if spec.cpus else "",
        "file_kib": spec.disk_mib << 10, "memory_kib": spec.memory_mib << 11, "disk_kib": spec.disk_mib << 10,
        "processes": spec.processes_max,
        "environment": " ".join(shlex.quote(f"{name}={value}") for name, value in environment.items()),
        "place": PLACE.format(nodes=spec.nodes) if several else "",
        "argv": shlex.join(spec.argv), "enclosed": "".join(f"{shlex.quote(word)} " for word in enclosed),
    }  # fmt: skip
    command = COMMAND.format_map(words)
    if not several:
        words |= {"command": command, "unless_failed": "", "ask_to_end": "kill -TERM -- -$job;", "end_all": ""}
        return "".join(("#!/bin/bash\n", OPENING, ONCE, BOUNDS, WATCHED, CLOSING)).format_map(words)
    on_node = "".join((OPENING, BOUNDS, ON_NODE)).format_map(words | {"command": command})
    words |= {
        "command": ON_EACH.format_map(words | {"on_node": shlex.quote(on_node)}),
        "unless_failed": f"[ -e {words['failed']} ] || ",
        # srun answers TERM by killing the command on all nodes, so the command is asked by scancel before.
        "ask_to_end": f'timeout {GRACE_SECONDS} {shlex.quote(scancel)} --signal=TERM "$SLURM_JOB_ID.0" &',
        "end_all": "kill -TERM -- -$job; sleep 1; ",
    }
    return "".join(("#!/bin/bash\n", OPENING, ONCE, WATCHED, FIRST_FAILED, CLOSING)).format_map(words)
