"""The record of an attack, and what is seen of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from benchmarks.harness.attackers import STORES, Cost, Target

LONGEST_MS: Final = 500.0
"""Of a stopped event loop; two cores do the work of the service, its store and the attacker."""
MOST_MB: Final = 60.0
"""Of memory above what the service had before, where nothing else is written."""


@dataclass
class Outcome:
    """What became of one attack on one store."""

    faults: list[str] = field(default_factory=list)
    """How it succeeded; empty where it did not."""
    figures: list[str] = field(default_factory=list)

    def expect(self, good: bool, fault: object) -> None:
        """Note a fault where something is not as it has to be."""
        if not good:
            self.faults.append(" ".join(str(fault).split())[:160])

    def show(self, figure: str) -> None:
        """Note a figure."""
        self.figures.append(figure)

    def bound(self, cost: Cost, ms: float = LONGEST_MS, megabytes: float = MOST_MB) -> None:
        """Show a cost, and expect it to be small and everybody to be answered meanwhile."""
        self.show(f"{cost.ms:.0f} ms, {cost.megabytes:+.0f} MB")
        self.expect(cost.ms <= ms, f"the event loop stood still for {cost.ms:.0f} ms")
        self.expect(cost.megabytes <= megabytes, f"{cost.megabytes:.0f} MB of memory")
        self.expect(cost.statuses <= {200}, f"health was answered with {cost.statuses}")


@dataclass(frozen=True)
class Attack:
    """One attack, on a service that others have attacked before."""

    name: str
    was: str
    """What it did to the service before it was defended; empty for one not tried then."""
    ends: Literal["refused", "harmless"]
    run: Callable[[Target, Outcome], None]
    stores: tuple[str, ...] = STORES
    """Where it can be tried."""
