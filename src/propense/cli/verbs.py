"""The verbs and the front page: plain text, so that `propense --help` answers at once."""

from __future__ import annotations

from typing import Final, NamedTuple

VALUE_OPTIONS: Final = ("--settings",)
"""Options of every verb that take a value."""


class Verb(NamedTuple):
    """One command."""

    name: str
    sentence: str
    where: str
    """Module and function, imported when the verb is used."""
    examples: tuple[str, ...] = ()


START: Final = (
    Verb("demo", "An education platform from nothing to a report, checked against its known truth",
         "propense.cli.demo:demo",
         ("propense demo", "propense demo --users 5000 --no-open")),
    Verb("init", "Look at a folder of files and write propense.toml for it",
         "propense.cli.data:init",
         ("propense init data/", "propense init data/ --settings shop.toml --force")),
    Verb("check", "The data doctor: what is dirty, what cleaning will do, is there enough",
         "propense.cli.data:check",
         ("propense check", "propense check --json > diagnosis.json")),
    Verb("run", "The whole flow; finished stages are not made again",
         "propense.cli.flow:run",
         ("propense run", "propense run --until split", "propense run --learning-curve",
          "propense run --set train.max_epochs=3 --set model.size=small",
          "propense run --every 1d --json")),
)  # fmt: skip

STAGES: Final = (
    Verb("clean", "Read the logs, set aside what cannot be trusted, account for every row",
         "propense.cli.flow:clean"),
    Verb("split", "Divide into train, validation and test without a leak",
         "propense.cli.flow:split"),
    Verb("encode", "Turn histories into arrays, with scales learned on train alone",
         "propense.cli.flow:encode"),
    Verb("train", "Train the customer network until validation says stop",
         "propense.cli.flow:train"),
    Verb("rivals", "Train traditional machine learning on the same parts",
         "propense.cli.flow:rivals"),
    Verb("evaluate", "Judge the network and its rivals on the test part",
         "propense.cli.flow:evaluate"),
    Verb("pack", "Pack what serving needs into a bundle", "propense.cli.flow:pack"),
)  # fmt: skip

RESULTS: Final = (
    Verb("report", "Open the report in the browser", "propense.cli.results:report",
         ("propense report", "propense report --no-open", "propense report --json")),
    Verb("score", "Every user's probabilities, value and items, into a file",
         "propense.cli.results:score",
         ("propense score --out scores.parquet", "propense score --format csv --out scores.csv",
          "propense score --user u-1017 --json")),
    Verb("shelf", "The bundles: list, promote, rollback, prune, sign", "",
         ("propense shelf list", "propense shelf promote v0002", "propense shelf rollback")),
)  # fmt: skip

SERVICE: Final = (
    Verb("serve", "Answer over HTTP, and take live events in", "propense.cli.serve:serve",
         ("propense serve", "propense serve --workers 2 --port 8080",
          "propense serve --first-key")),
    Verb("verify", "Hold the deployed model against the report, through the live service",
         "propense.cli.verify:verify",
         ("propense verify http://127.0.0.1:8080 --key $KEY",
          "propense verify http://127.0.0.1:8080 --key $KEY --customers 500")),
    Verb("keys", "Who may ask the service: create, list, revoke, rotate", "",
         ("propense keys create website --scope ingest", "propense keys list")),
    Verb("audit", "Prove that nothing was changed in the log of who did what",
         "propense.cli.keys:audit", ("propense audit", "propense audit --json > kept.json",
                                     "propense audit --kept kept.json")),
    Verb("backup", "Copy live history, keys and audit log, while the service runs",
         "propense.cli.backup:backup", ("propense backup /backups/monday",)),
    Verb("restore", "Make the service's data from a copy", "propense.cli.backup:restore",
         ("propense restore /backups/monday",)),
)  # fmt: skip

SHELF: Final = (
    Verb("list", "Every bundle of the shelf, and which one serves",
         "propense.cli.shelf:list_bundles", ("propense shelf list", "propense shelf list --json")),
    Verb("promote", "Let a bundle serve from now on",
         "propense.cli.shelf:promote_bundle",
         ("propense shelf promote v0002",
          "propense shelf promote v0002 --reason 'the old one lacks the new catalogue'")),
    Verb("rollback", "Let the bundle serve again that served before",
         "propense.cli.shelf:rollback_bundle", ("propense shelf rollback",)),
    Verb("prune", "Remove old bundles, never what serves nor what a rollback leads to",
         "propense.cli.pruning:prune_bundles", ("propense shelf prune --keep 10",)),
    Verb("keygen", "Make the pair of keys that bundles are signed and checked with",
         "propense.cli.shelf:make_key", ("propense shelf keygen keys/shelf.pem",)),
    Verb("sign", "Sign a bundle", "propense.cli.shelf:sign",
         ("propense shelf sign v0002", "propense shelf sign v0002 --key keys/shelf.pem")),
)  # fmt: skip

KEYS: Final = (
    Verb("create", "Make an API key, which is shown once", "propense.cli.keys:create_key",
         ("propense keys create website --scope ingest --source web",
          "propense keys create console --scope read --scope admin --lasts 52w")),
    Verb("list", "Every API key, without its secret", "propense.cli.keys:list_keys",
         ("propense keys list", "propense keys list --json")),
    Verb("revoke", "Let an API key open nothing any more", "propense.cli.keys:revoke_key",
         ("propense keys revoke k3jq7d2m",)),
    Verb("rotate", "Give an API key a new secret; the old one lives on for a while",
         "propense.cli.keys:rotate_key",
         ("propense keys rotate k3jq7d2m", "propense keys rotate k3jq7d2m --grace 12h")),
)  # fmt: skip

ACTIONS: Final = {"shelf": SHELF, "keys": KEYS}
"""Verbs that are groups -> their actions."""

GROUPS: Final = {
    "Start": START,
    "Stages of the flow, in order (each runs what it needs first)": STAGES,
    "Results": RESULTS,
    "Service": SERVICE,
}


def all_verbs() -> tuple[Verb, ...]:
    """Every verb, in the order of the front page."""
    return tuple(verb for verbs in GROUPS.values() for verb in verbs)


def verb_names() -> tuple[str, ...]:
    """Their names."""
    return tuple(verb.name for verb in all_verbs())


def front_page(bold: bool = False) -> str:
    """What `propense --help` prints."""
    strong, plain = ("\033[1m", "\033[0m") if bold else ("", "")
    lines = [
        "propense: deep learning for personalised marketing, from raw logs to the next decision",
        "",
        f"{strong}Usage:{plain} propense VERB [OPTIONS]     propense VERB --help explains one verb",
    ]
    for title, verbs in GROUPS.items():
        lines += ["", f"{strong}{title}{plain}"]
        lines += [f"  {verb.name:<10}{verb.sentence}" for verb in verbs]
    lines += [
        "",
        f"{strong}Options of every verb{plain}",
        "  --settings FILE   the settings to use [default: propense.toml]",
        "  --json            results for machines on stdout, messages on stderr",
        "  --quiet           results and errors only",
        "  -v, --verbose     more words; errors with their traceback",
        "  --version         the version",
        "",
        f"{strong}First steps{plain}",
        "  propense demo                 see it work",
        "  propense init data/           then on your own logs:",
        "  propense check",
        "  propense run",
        "  propense report",
    ]
    return "\n".join(lines)


def epilogue(verb: Verb) -> str:
    """Example commands of a verb, below its options."""
    examples = verb.examples or (f"propense {verb.name}", f"propense {verb.name} --force")
    return "Examples:\n" + "\n".join(f"  {example}" for example in examples)
