"""A site connects its Slurm; what runs in a booking settles to the card-second of Slurm's own accounting."""

import re

from tests.compute.world import World
from tests.compute.world import run as in_action
from tests.engines.slurm_cluster import Cluster, cluster, plain_cluster
from tests.jobs.site import book, connect, over, state_of, submit, turn_until

from huoshui.base import clock
from huoshui.compute.models import Pool
from huoshui.jobs import connections, folders, queries, services
from huoshui.jobs.models import Attempt, Booking, Connection

__all__ = ["cluster", "plain_cluster"]


def counted_by_slurm(cluster: Cluster, name: str) -> int:
    """Card-seconds of a job, read from sacct by this test itself."""
    row = cluster.run("sacct", "-n", "-X", "-P", "--name", name, "-S", "now-1day", "-o", "ElapsedRaw,AllocTRES").strip()
    elapsed, tres = row.split("|")
    cards = re.search(r"gres/gpu=(\d+)", tres)
    assert cards is not None, row
    return int(elapsed) * int(cards[1])


def test_a_booking_on_slurm_settles_to_the_card_second(world: World, cluster: Cluster) -> None:
    workdir = cluster.folder / "jobs-of-the-runner"
    workdir.mkdir(exist_ok=True)
    made = connect(world, workdir, "slurm", shared_user="yes", conf=str(cluster.conf), cards="test=a100")
    booking = book(world, cards=4)
    jobs = [submit(booking, "sleep 2; nproc", cards=2), submit(booking, "sleep 1", cards=2), submit(booking, "exit 3")]
    turn_until(lambda: booking.stretches.filter(reserved_at__isnull=False).exists(), 60)
    reservations = cluster.run("scontrol", "show", "reservation", "-o")
    assert "Licenses=a100:4" in reservations
    assert queries.slurm_line(booking, queries.next_stretch(booking)) == "", "only the platform's user is let in"
    Connection.objects.update(settings=made.settings | {"users": "tenant%d"})
    line = queries.slurm_line(booking, queries.next_stretch(booking))
    assert f"# as tenant{world.entity.pk}" in line
    assert "-L a100:4 --gres=gpu:a100:4" in line
    Connection.objects.update(settings=made.settings)
    assert line.split("--reservation=")[1].split()[0] in reservations
    turn_until(over(*jobs), 90)
    assert [state_of(job) for job in jobs] == ["succeeded", "succeeded", "failed"]
    for attempt in Attempt.objects.all():
        assert attempt.disputed == ""
        if cluster.dbd:
            assert attempt.card_seconds == counted_by_slurm(cluster, attempt.name)
    used = services.used(booking)
    assert used.card_seconds == sum(attempt.card_seconds or 0 for attempt in Attempt.objects.all())
    assert used.cost_fen == used.card_seconds


def test_a_job_of_more_cards_than_a_node_has_runs_on_two_and_bills_both(world: World, cluster: Cluster) -> None:
    workdir = cluster.folder / "jobs-of-the-runner"
    workdir.mkdir(exist_ok=True)
    connection = connect(world, workdir, "slurm", shared_user="yes", conf=str(cluster.conf), cards="test=a100")
    Pool.objects.update(cards=16)
    booking = book(world, cards=10)
    job = submit(booking, 'echo "place $HUOSHUI_NODE of $HUOSHUI_NODES"; sleep 1', cards=10)
    turn_until(over(job), 60)
    attempt = Attempt.objects.get()
    assert (state_of(job), attempt.disputed) == ("succeeded", "")
    said = folders.read_log(attempt, connections.workdir(connection), 0, 1000)[0].decode()
    assert sorted(said.splitlines()) == ["0: place 0 of 2", "1: place 1 of 2"]
    connection.settings |= {"users": "tenant%d"}
    Connection.objects.update(settings=connection.settings)
    assert "-L a100:10 -N 2 --gres=gpu:a100:5 " in queries.slurm_line(booking, queries.next_stretch(booking))
    Connection.objects.update(settings={name: said for name, said in connection.settings.items() if name != "users"})
    if cluster.dbd:
        assert attempt.card_seconds == counted_by_slurm(cluster, attempt.name) >= 10
    in_action(lambda act, record: services.cancel(act, record, booking, "withdrawn"))
    turn_until(lambda: "Licenses=a100:10 " not in cluster.run("scontrol", "show", "reservation", "-o"), 30)


def test_cards_passed_on_while_a_job_runs_leave_its_reservation_smaller(world: World, cluster: Cluster) -> None:
    workdir = cluster.folder / "jobs-of-the-runner"
    workdir.mkdir(exist_ok=True)
    connect(world, workdir, "slurm", shared_user="yes", conf=str(cluster.conf), cards="test=a100")
    booking = book(world, cards=4)
    job = submit(booking, "sleep 600")
    turn_until(lambda: state_of(job) == "running", 60)
    hour = clock.hour_of(clock.now())
    in_action(lambda act, record: services.recall(act, record, booking, from_hour=hour, cards=3, reason="failure"))
    turn_until(lambda: "Licenses=a100:1 " in cluster.run("scontrol", "show", "reservation", "-o"), 30)
    assert state_of(job) == "running"
    in_action(lambda act, record: services.cancel(act, record, booking, "withdrawn"))
    turn_until(lambda: Booking.objects.get().closed_at, 60)
    assert state_of(job) == "cancelled"


def test_the_cap_stops_jobs_that_run_beside_one_another_without_an_account_of_them(
    world: World, plain_cluster: Cluster
) -> None:
    """Without slurmdbd there is no account before the end; each job alone could run for the whole cap."""
    workdir = plain_cluster.folder / "jobs-of-the-runner"
    workdir.mkdir(exist_ok=True)
    connect(world, workdir, "slurm", shared_user="yes", conf=str(plain_cluster.conf), cards="test=a100")
    booking = book(world, cards=4, cap_fen=20)
    jobs = [submit(booking, "sleep 60") for _job in range(4)]
    turn_until(over(*jobs), 90)
    assert {state_of(job) for job in jobs} == {"capped"}
    used = services.used(booking)
    assert 20 - 4 * 2 <= used.card_seconds <= 20 + 4 * 6, "whole seconds each, and it takes some until all have ended"
    assert used.cost_fen == used.billed_seconds <= 20


def test_what_people_submit_in_their_reservation_counts_towards_cards_cap_and_bill(
    world: World, cluster: Cluster
) -> None:
    """A job that the platform did not submit: found, stopped at the cap, settled to the card-second."""
    workdir = cluster.folder / "jobs-of-the-runner"
    workdir.mkdir(exist_ok=True)
    site = connect(world, workdir, "slurm", shared_user="yes", conf=str(cluster.conf), cards="test=a100")
    booking = book(world, cards=4, cap_fen=20)
    turn_until(lambda: booking.stretches.filter(reserved_at__isnull=False).exists(), 60)
    reservation = queries.reservation_name(site, booking.stretches.get())
    number = cluster.run(
        "sbatch", "--parsable", f"--reservation={reservation}", "-L", "a100:4", "--gres=gpu:a100:4", "--chdir=/",
        "--output=/dev/null", "--wrap=sleep 600",
    ).strip()  # fmt: skip
    turn_until(lambda: Attempt.objects.filter(state=Attempt.State.ENDED).exists(), 90)
    attempt = Attempt.objects.get()
    assert (attempt.name, attempt.cards, attempt.disputed) == (f"{reservation}-{number}", 4, "")
    assert (attempt.reason, attempt.job.state, attempt.job.attempts.count()) == ("capped", "capped", 1)
    assert 16 <= (attempt.card_seconds or 0) <= 20 + 4 * 6
    assert services.used(booking).cost_fen <= 20
    if cluster.dbd:
        row = cluster.run("sacct", "-n", "-X", "-P", f"--jobs={number}", "-o", "ElapsedRaw").strip()
        assert attempt.card_seconds == int(row) * 4
    in_action(lambda act, record: services.cancel(act, record, booking, "withdrawn"))
    turn_until(lambda: Booking.objects.get().closed_at, 60)
    assert Attempt.objects.count() == 1
