"""The rows that the gateway works on, written by plain SQL into a sandbox's database, and looked at again."""

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.sandbox import Sandbox

from huoshui.gateway.check import drifts
from huoshui.gateway.database import Database
from huoshui.gateway.meter import now_ms

UFEN = 1_000_000
DAY_MS = 24 * 3600 * 1000
numbers = itertools.count(1)


@dataclass(frozen=True)
class Made:
    """A key: its row, its wallet's row, and what a client sends."""

    key: int
    wallet: int
    token: str


class Books:
    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.db = self.open()
        self.provider = self.party("示例模型")

    def open(self) -> Database:
        return Database(self.sandbox.database, self.sandbox.home)

    def insert(self, table: str, **values: Any) -> int:
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        sql = f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id"
        return int(self.db.rows(sql, list(values.values()))[0][0])

    def party(self, name: str) -> int:
        return self.insert("registry_party", name=name, created_at=self.db.instant(now_ms()))

    def region(self, code: str) -> int:
        known = self.db.rows("SELECT id FROM compute_region WHERE code = ?", (code,))
        return int(known[0][0]) if known else self.insert("compute_region", code=code, name=code)

    def upstream(self, base_url: str, *, region: str = "east", **values: Any) -> int:
        usual = {
            "name": f"upstream-{next(numbers)}", "secret": "", "state": "active", "concurrency_max": 500,
            "connect_seconds": 2, "first_token_seconds": 1, "gap_seconds": 1,
            "approved_at": self.db.instant(now_ms()), "provider_id": self.provider,
        }  # fmt: skip
        return self.insert("maas_upstream", base_url=base_url, region_id=self.region(region), **(usual | values))

    def offer(self, upstream: int, model: str, upstream_model: str = "ok", **values: Any) -> int:
        """Input 20, cached 2, output 80 fen per million tokens, unless said otherwise."""
        usual = {
            "kind": "chat", "input_fen": 20, "cached_fen": 2, "output_fen": 80, "context_tokens": 32_768,
            "output_tokens_max": 4_096, "since_ms": now_ms() - 1000, "private": False,
        }  # fmt: skip
        return self.insert(
            "maas_offer", upstream_id=upstream, model=model, upstream_model=upstream_model, **(usual | values)
        )

    def wallet(self, funded_ufen: int = 1_000 * UFEN, **values: Any) -> int:
        usual = {"held_ufen": 0, "spent_ufen": 0, "billed_ufen": 0, "frozen": False}
        party = self.party(f"示例企业{next(numbers)}")
        return self.insert("maas_wallet", party_id=party, funded_ufen=funded_ufen, **(usual | values))

    def key(
        self, wallet: int | None = None, *, models: Sequence[str] = (), regions: Sequence[str] = (), **values: Any
    ) -> Made:
        """A key that is good for a day; with a wallet of its own unless one is named."""
        number = next(numbers)
        token = f"hs-test-{number}-of-a-client"
        usual = {
            "name": f"key {number}", "agent": False, "prefix": token[:12], "routing": "price", "period": "total",
            "digest": hashlib.sha256(token.encode()).hexdigest(), "period_start_ms": 0, "held_ufen": 0,
            "spent_ufen": 0, "expires_ms": now_ms() + DAY_MS, "made_ms": now_ms(),
            "allowed_models": json.dumps(list(models)), "allowed_regions": json.dumps(list(regions)),
        }  # fmt: skip
        wallet = self.wallet() if wallet is None else wallet
        return Made(self.insert("maas_key", wallet_id=wallet, **(usual | values)), wallet, token)

    def change(self, table: str, number: int | str, **values: Any) -> None:
        sets = ", ".join(f"{name} = ?" for name in values)
        with self.db.transaction():
            self.db.run(f"UPDATE {table} SET {sets} WHERE id = ?", [*values.values(), number])

    def row(self, table: str, number: int | str, *columns: str) -> tuple[Any, ...]:
        return self.db.rows(f"SELECT {', '.join(columns)} FROM {table} WHERE id = ?", (number,))[0]

    def money(self, made: Made) -> tuple[int, int]:
        """What the wallet of a key holds and has spent, in µfen."""
        held, spent = self.row("maas_wallet", made.wallet, "held_ufen", "spent_ufen")
        return held, spent

    def call(self, number: str) -> dict[str, Any]:
        columns = (
            "state", "outcome", "status", "counted", "hold_ufen", "cost_ufen", "input_tokens", "cached_tokens",
            "output_tokens", "tries", "offer_id", "key_id", "first_token_ms", "ended_ms",
        )  # fmt: skip
        return dict(zip(columns, self.row("maas_call", number, *columns), strict=True))

    def calls(self, made: Made) -> list[str]:
        rows = self.db.rows("SELECT id FROM maas_call WHERE key_id = ? ORDER BY started_ms", (made.key,))
        return [row[0] for row in rows]

    def agree(self) -> None:
        """Every wallet, key and call says the same."""
        assert not [str(drift) for drift in drifts(self.db)]

    def close(self) -> None:
        self.db.close()
