"""The share of what cleaning loses decides how grave it is."""

from __future__ import annotations

import tomllib

import pytest

from propense.errors import SourceError
from propense.schemas import Account, Rule
from propense.settings import Clean
from propense.tables.cleaning.losses import find_losses, refuse_losses
from propense.tables.doctor.checks_raw import check_account


def account(n_in: int = 1000, unread: int = 0, **dropped: int) -> Account:
    rules = [Rule(name.replace("_", " "), dropped=n) for name, n in dropped.items()]
    rules.append(Rule("unreadable count", mended=unread))
    return Account("events", n_in, n_in - sum(dropped.values()), rules)


@pytest.mark.parametrize(
    ("dropped", "severity"),
    [
        ({"no_user_id": 9}, "info"), ({"no_user_id": 10}, "warning"),
        ({"no_user_id": 100}, "warning"), ({"no_user_id": 101}, "error"),
        ({"no_user_id": 60, "unreadable_time": 60}, "error"), ({"duplicate": 900}, None),
        ({"unread": 101}, "error"), ({"unread": 12}, "warning"),
    ],
)  # fmt: skip
def test_the_share_decides(dropped: dict[str, int], severity: str | None) -> None:
    losses = find_losses(account(**dropped), Clean())
    assert [loss.severity for loss in losses] == ([severity] if severity else [])
    if severity == "error":
        with pytest.raises(SourceError, match=r"\[clean\]"):
            refuse_losses([account(**dropped)], Clean())
    else:
        refuse_losses([account(**dropped)], Clean())
    worst = {finding.severity for finding in check_account(account(**dropped))}
    assert ("error" in worst) == (severity == "error")
    assert severity != "warning" or "warning" in worst


def test_the_printed_line_allows_it() -> None:
    one = account(no_user_id=249)
    (loss,) = find_losses(one, Clean())
    assert loss.setting == 'allow = { "no user id" = 0.25 }'
    assert "sets aside 249 of 1,000 rows (24.9%)" in loss.sentence
    refuse_losses([one], Clean(allow={"no user id": 0.25}))
    with pytest.raises(SourceError):
        refuse_losses([one], Clean(allow={"no user id": 0.24}))
    both = account(no_user_id=60, unreadable_time=60)
    (loss,) = find_losses(both, Clean())
    assert loss.setting == "max_set_aside = 0.12"
    refuse_losses([both], Clean(max_set_aside=0.12))


def test_an_allowance_covers_its_own_rule_only() -> None:
    clean = Clean(allow={"no user id": 0.25})
    refuse_losses([account(no_user_id=249, unreadable_time=90)], clean)
    with pytest.raises(SourceError, match="'unreadable time' sets aside 110"):
        refuse_losses([account(no_user_id=249, unreadable_time=110)], clean)


def test_one_line_allows_all_rules_that_lose_too_much() -> None:
    lost = account(no_user_id=249, unreadable_time=300, bot=50)
    clean = Clean(allow={"bot": 0.5})
    with pytest.raises(SourceError) as caught:
        refuse_losses([lost], clean)
    line = str(caught.value).partition("[clean] ")[2]
    pasted = tomllib.loads(line)
    assert pasted == {"allow": {"bot": 0.5, "no user id": 0.25, "unreadable time": 0.3}}
    refuse_losses([lost], Clean(**pasted))
