"""The model gateway 模型网关: OpenAI-compatible calls, metered to a millionth of a fen. No Django here.

A call holds the most that it can cost, runs at an upstream, settles what it did cost, and what is left returns.

| module | idea |
|---|---|
| `database` | plain SQL on the database that Django made: SQLite or PostgreSQL |
| `ledger` | what an operation does to wallet, key and call: pure, no I/O |
| `meter` | operations of many calls in one transaction: durable before it is answered |
| `asks` | what a client asked for, checked, and the most tokens that it can cost |
| `usage` | what an upstream counted, whether that can be, and how the platform counts when it cannot |
| `catalogue` | what may be called: offers, upstreams, endpoints, keys |
| `routing` | which offer first: price or latency, region, health, calls at once |
| `upstream` | one try at one upstream, and what its failure means |
| `server` | the HTTP side: every path through the meter |
| `check` | do wallets and keys say what their calls say? |
"""
