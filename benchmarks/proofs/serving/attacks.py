"""Every attack that is known, as a stranger would try it, on services with each of the stores."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Sequence

from benchmarks.harness.attackers import STORES, Target, attacked, store_server
from benchmarks.harness.attacks import (
    access,
    consent,
    cost,
    identity,
    recovery,
    shortages,
    smuggling,
)
from benchmarks.harness.attacks.attack import Attack, Outcome
from benchmarks.harness.live_service import bundle_folder
from benchmarks.proof import Proof

KIND = "safety"
CLAIM = "every known attack on a running service is refused or harmless, on each of the stores"
LIMIT = "every attack refused or harmless on SQLite, PostgreSQL and Redis"
ATTACKS: tuple[Attack, ...] = (
    *access.ATTACKS, *smuggling.ATTACKS, *identity.ATTACKS, *consent.ATTACKS, *cost.ATTACKS,
    *shortages.ATTACKS, *recovery.ATTACKS,
)  # fmt: skip
"""In this order: the last ones damage what the service has on its disk."""


def prove(only: Sequence[str] = (), stores: Sequence[str] = STORES) -> Proof:
    """Each attack on each store; the table is printed, a line an attack. `only` names attacks by
    parts of their names."""
    attacks = [one for one in ATTACKS if not only or any(word in one.name for word in only)]
    outcomes: dict[tuple[str, str], Outcome] = {}
    missing = []
    with bundle_folder() as folder:
        for store in stores:
            try:
                with store_server(store) as server, attacked(folder, store, server) as target:
                    for attack in attacks:
                        if store in attack.stores:
                            outcomes[attack.name, store] = tried(attack, target)
            except LookupError as error:
                missing.append(str(error))
    for line in table(attacks, stores, outcomes):
        print(line, flush=True)
    bad = [f"{name} on {store}: {'; '.join(one.faults[:3])}"
           for (name, store), one in outcomes.items() if one.faults]  # fmt: skip
    figure = (
        f"{len(outcomes) - len(bad)} of {len(outcomes)} refused or harmless "
        f"({len(attacks)} attacks)"
    )
    figure += "".join(f"; {text}" for text in (*bad, *missing))
    return Proof(CLAIM, KIND, "fail" if bad else "skip" if missing else "pass", figure, LIMIT)


def tried(attack: Attack, target: Target) -> Outcome:
    """What became of an attack; an error of it is a fault too."""
    outcome = Outcome()
    began = time.monotonic()
    try:
        attack.run(target, outcome)
    except Exception as error:
        traceback.print_exc()
        outcome.expect(False, f"{type(error).__name__}: {error}")
    alive = target.service.process.poll() is None
    outcome.expect(alive, "the process has ended")
    outcome.expect(not alive or target.recommend("nobody").status == 200, "no answers afterwards")
    seconds = time.monotonic() - began
    state = f"NOT {attack.ends}" if outcome.faults else attack.ends
    lines = [f"{target.store}: {attack.name}: {state}, {', '.join(outcome.figures)}",
             *(f"  {fault}" for fault in outcome.faults[:8])]  # fmt: skip
    print(f"{lines[0]} ({seconds:.1f} s)", *lines[1:], sep="\n", file=sys.stderr, flush=True)
    return outcome


def table(
    attacks: Sequence[Attack], stores: Sequence[str], outcomes: dict[tuple[str, str], Outcome]
) -> list[str]:
    """A line an attack: what it once did, and what it does on each store."""
    lines = [f"| attack | once | {' | '.join(stores)} |", f"|---|---|{'---|' * len(stores)}"]
    for attack in attacks:
        cells = [cell(attack, outcomes.get((attack.name, store))) for store in stores]
        lines.append(f"| {attack.name} | {attack.was or 'new'} | {' | '.join(cells)} |")
    return lines


def cell(attack: Attack, outcome: Outcome | None) -> str:
    """What an attack does on one store."""
    if outcome is None:
        return "-"
    if outcome.faults:
        return f"NOT {attack.ends}: {outcome.faults[0]}"
    return f"{attack.ends}: {', '.join(outcome.figures)}"
