"""The search: many random inputs, their outcomes counted, and what was found printed as it is.

    python -m tests.fuzz.campaign 0 100000 --log tests/fuzz/campaign.json

Two processes go through the seeds: first through the compiler alone, with a limit on their memory; then what checked
clean is run, in processes that have torch. The log holds the counts, the slowest inputs and every finding.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fuzz.check import BYTES, SECONDS, Outcome, checked, limit_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHUNK = 50


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("first", type=int)
    options.add_argument("count", type=int)
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--log", type=Path)
    given = options.parse_args()
    seeds = range(given.first, given.first + given.count)
    outcomes = _all(checked, seeds, given.processes, limit_memory)
    clean = [o.seed for o in outcomes if o.clean]
    print(f"{len(clean)} of {len(outcomes)} check clean", flush=True)
    runs = _all(_ran, clean, given.processes, None)
    summary = summarise(outcomes, runs, seeds)
    print(json.dumps(summary, indent=1))
    if given.log is not None:
        given.log.write_text(json.dumps(summary, indent=1) + "\n")


def _ran(seed: int) -> Any:
    from tests.fuzz.forward import ran

    return ran(seed)


def _all(
    work: Callable[[int], Any], seeds: Sequence[int], processes: int, prepare: Callable[[], None] | None
) -> list[Any]:
    """The outcomes of all seeds; each finding is printed at once."""
    out = []
    with ProcessPoolExecutor(processes, initializer=prepare) as pool:
        for i, outcome in enumerate(pool.map(work, seeds, chunksize=CHUNK), 1):
            out.append(outcome)
            if outcome.problem:
                print(f"--- seed {outcome.seed}\n{outcome.problem}", flush=True)
            if i % 1000 == 0:
                print(f"{work.__name__}: {i} of {len(seeds)}", flush=True)
    return out


def summarise(outcomes: Sequence[Outcome], runs: Sequence[Any], seeds: range) -> dict[str, Any]:
    """The counts of a search, as they stand in its log."""
    slowest = sorted(outcomes, key=lambda o: -o.seconds)[:10]
    return {
        "seeds": [seeds.start, seeds.stop],
        "python": platform.python_version(),
        "limits": {"seconds": SECONDS, "bytes": BYTES},
        "inputs": dict(sorted(Counter(o.kind for o in outcomes).items())),
        "parse": sum(o.parses for o in outcomes),
        "check clean": sum(o.clean for o in outcomes),
        "clean by kind": dict(sorted(Counter(o.kind for o in outcomes if o.clean).items())),
        "networks run": sum(r.networks for r in runs),
        "networks too large to run": sum(r.skipped for r in runs),
        "refused at all open sizes that were tried": [{"seed": r.seed, "torch": r.refused} for r in runs if r.refused],
        "slowest": [{"seed": o.seed, "kind": o.kind, "seconds": round(o.seconds, 2)} for o in slowest],
        "findings": [{"seed": o.seed, "problem": o.problem} for o in (*outcomes, *runs) if o.problem],
    }


if __name__ == "__main__":
    main()
