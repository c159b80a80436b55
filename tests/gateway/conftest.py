"""A gateway on a database of its own, before an upstream that misbehaves on demand."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests import sandbox as sandboxes
from tests.gateway import processes
from tests.gateway.books import Books, numbers
from tests.gateway.processes import Server
from tests.sandbox import Sandbox


@pytest.fixture
def books(sandbox: Sandbox) -> Iterator[Books]:
    """Fresh books, without a gateway."""
    made = Books(sandbox)
    yield made
    made.agree()
    made.close()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Server]:
    with processes.upstream() as server:
        yield server


@pytest.fixture(scope="module")
def shop(sandbox_template: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    """The books of the module's gateway; each test makes wallets, keys, models of its own in them."""
    with sandboxes.copy(sandbox_template, tmp_path_factory.mktemp("shop")) as sandbox:
        made = Books(sandbox)
        yield made
        made.agree()
        made.close()


@pytest.fixture(scope="module")
def server(shop: Books) -> Iterator[Server]:
    with processes.gateway(shop.sandbox, HUOSHUI_UPSTREAM_TEST="secret-of-the-provider") as running:
        yield running


@pytest.fixture
def model(shop: Books, server: Server, upstream: Server) -> Callable[..., str]:
    """`model("status:500", "ok")` is a model with an upstream for each script, the first the cheapest."""

    def make(*scripts: str, upstream_values: dict[str, Any] | None = None, **offer: Any) -> str:
        name = f"示例-{next(numbers)}"
        for rank, script in enumerate(scripts or ("ok",)):
            place = shop.upstream(upstream.url, **(upstream_values or {}))
            price = {"input_fen": 20 + rank, "output_fen": 80 + rank} | offer
            shop.offer(place, name, script, **price)
        server.read_anew()
        upstream.seen()
        return name

    return make
