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
          "propense run --set train.max_epochs=3 --set model.size=small")),
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
    Verb("shelf", "The bundles: list, promote, rollback", "",
         ("propense shelf list", "propense shelf promote v0002", "propense shelf rollback")),
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
)  # fmt: skip

GROUPS: Final = {
    "Start": START,
    "Stages of the flow, in order (each runs what it needs first)": STAGES,
    "Results": RESULTS,
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
