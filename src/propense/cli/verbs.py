"""The verbs and the front page: plain text, so that `propense --help` answers at once."""

from __future__ import annotations

from typing import Final, NamedTuple

VALUE_OPTIONS: Final = ("--settings",)
"""Options of every verb that take a value."""


class Verb(NamedTuple):
    """One command."""

    name: str
    sentence: str
    function: str
    """Module and function, imported when the verb is used."""
    examples: tuple[str, ...] = ()
    """Commands, each with a comment that says what it does where that is not plain."""


START: Final = (
    Verb("demo", "Try everything on a generated platform, where the right answers are known",
         "propense.cli.demo:demo",
         ("propense demo", "propense demo --users 2000 --no-open   # a small one, in a minute")),
    Verb("init", "Inspect a folder of files and write a propense.toml for it",
         "propense.cli.data:init",
         ("propense init data/", "propense init data/ --settings shop.toml --force")),
    Verb("check", "Examine the data: what is dirty, is there enough, how long will a run take",
         "propense.cli.data:check",
         ("propense check", "propense check --json > diagnosis.json")),
    Verb("run", "Run all stages; those that are up to date are skipped",
         "propense.cli.flow:run",
         ("propense run", "propense run --until split              # clean and split only",
          "propense run --set train.max_epochs=3 --set model.size=small",
          "propense run --learning-curve           # would more data help?",
          "propense run --every 1d --json          # every day, if anything changed")),
)  # fmt: skip

STAGES: Final = (
    Verb("clean", "Read the logs, set aside unusable rows, account for every row",
         "propense.cli.flow:clean"),
    Verb("split", "Divide the data into train, validation and test without leaks",
         "propense.cli.flow:split"),
    Verb("encode", "Turn histories into arrays, with scales learned from the train part alone",
         "propense.cli.flow:encode"),
    Verb("train", "Train the customer network until validation stops improving",
         "propense.cli.flow:train"),
    Verb("rivals", "Train traditional models on the same data",
         "propense.cli.flow:rivals"),
    Verb("evaluate", "Compare the network with its rivals on the test part",
         "propense.cli.flow:evaluate"),
    Verb("pack", "Pack everything that serving needs into a bundle", "propense.cli.flow:pack"),
)  # fmt: skip

RESULTS: Final = (
    Verb("report", "Open the report in the browser", "propense.cli.results:report",
         ("propense report", "propense report --no-open               # print its path",
          "propense report --json > report.json")),
    Verb("score", "Write every customer's predictions and recommended items to a file",
         "propense.cli.results:score",
         ("propense score --out scores.parquet", "propense score --format csv --out scores.csv",
          "propense score --user u-1017 --json     # one customer")),
    Verb("shelf", "Manage bundles: list, promote, rollback, prune, keygen, sign", "",
         ("propense shelf list", "propense shelf promote v0002", "propense shelf rollback")),
)  # fmt: skip

SERVICE: Final = (
    Verb("serve", "Serve predictions and recommendations over HTTP, and take live events",
         "propense.cli.serve:serve",
         ("propense serve --first-key              # create a key with all scopes first",
          "propense serve --workers 2 --port 8080",
          "propense serve --set serve.durable=power")),
    Verb("verify", "Check that the deployed model matches the report",
         "propense.cli.verify:verify",
         ("propense verify http://127.0.0.1:8080",
          "propense verify http://127.0.0.1:8080 --key $KEY --customers 500   # seconds")),
    Verb("history", "Bring the customers of a run into the live store: load", "",
         ("propense history load", "propense history load --run runs/other")),
    Verb("keys", "Manage API keys: create, list, revoke, rotate, enable, secret", "",
         ("propense keys create website --kind page", "propense keys list")),
    Verb("secret", "Roll and show the keys that are derived from the secret: roll, show", "",
         ("propense secret roll webhooks", "propense secret show webhooks")),
    Verb("customers", "Refuse customers, allow them again, undo joins: split, allow, suppress", "",
         ("propense customers split u-1017",
          "propense customers unsubscribe --file unsubscribed.csv")),
    Verb("audit", "Verify that the audit log has not been tampered with",
         "propense.cli.keys:audit",
         ("propense audit", "propense audit --json > audit.json      # store it elsewhere",
          "propense audit --earlier audit.json     # was the whole log replaced since?",
          "propense audit --accept 'the disk was lost on 3 May'")),
    Verb("backup", "Back up live history, keys and audit log while the service runs",
         "propense.cli.backup:backup", ("propense backup /backups/monday",)),
    Verb("restore", "Restore the service's data from a backup", "propense.cli.backup:restore",
         ("propense restore /backups/monday",)),
)  # fmt: skip

SHELF: Final = (
    Verb("list", "List the bundles and mark the serving one",
         "propense.cli.shelf:list_bundles", ("propense shelf list", "propense shelf list --json")),
    Verb("promote", "Serve a bundle from now on",
         "propense.cli.shelf:promote_bundle",
         ("propense shelf promote v0002",
          "propense shelf promote v0002 --reason 'the old one lacks the new catalogue'")),
    Verb("rollback", "Roll back to the previous bundle",
         "propense.cli.shelf:rollback_bundle", ("propense shelf rollback",)),
    Verb("prune", "Delete old bundles",
         "propense.cli.shelf:prune_bundles", ("propense shelf prune --keep 10",)),
    Verb("keygen", "Make a key pair for signing bundles",
         "propense.cli.shelf:make_key", ("propense shelf keygen keys/shelf.pem",)),
    Verb("sign", "Sign a bundle", "propense.cli.shelf:sign",
         ("propense shelf sign v0002", "propense shelf sign v0002 --key keys/shelf.pem")),
)  # fmt: skip

HISTORY: Final = (
    Verb("load", "Bring histories, profiles and identities of a run into the live store",
         "propense.cli.serve:load_history",
         ("propense history load", "propense history load --json",
          "propense history load --force           # compare every customer again")),
)  # fmt: skip

CUSTOMERS: Final = (
    Verb("split", "Undo every join of a customer: each id is a customer again",
         "propense.cli.customers:split", ("propense customers split u-1017",)),
    Verb("allow", "Let events of an erased or suppressed customer be stored again",
         "propense.cli.customers:allow", ("propense customers allow u-1017",)),
    Verb("suppress", "Refuse all events of customers from now on",
         "propense.cli.customers:suppress",
         ("propense customers suppress u-1017",
          "propense customers suppress --file do_not_store.csv --column email")),
    Verb("unsubscribe", "Refuse purposes for customers, as an unsubscription list says",
         "propense.cli.customers:unsubscribe",
         ("propense customers unsubscribe --file unsubscribed.txt",
          "propense customers unsubscribe u-1017 --purpose train --purpose advertise")),
)  # fmt: skip

KEYS: Final = (
    Verb("create", "Create an API key; it is shown once", "propense.cli.keys:create_key",
         ("propense keys create website --kind page --origin https://shop.example --source web",
          "propense keys create backend --kind server",
          "propense keys create console --scope read --scope admin --expires 52w")),
    Verb("list", "List API keys, without their secrets", "propense.cli.keys:list_keys",
         ("propense keys list", "propense keys list --json")),
    Verb("revoke", "Revoke an API key", "propense.cli.keys:revoke_key",
         ("propense keys revoke k3jq7d2m",)),
    Verb("rotate", "Give an API key a new secret; the old one stays valid for a while",
         "propense.cli.keys:rotate_key",
         ("propense keys rotate k3jq7d2m", "propense keys rotate k3jq7d2m --grace 12h")),
    Verb("enable", "Switch API keys on that a restoration has switched off",
         "propense.cli.keys:enable_keys",
         ("propense keys enable k3jq7d2m", "propense keys enable --all")),
    Verb("secret", "Print the secret that signs customer ids for a page key",
         "propense.cli.keys:show_secret",
         ("propense keys secret k3jq7d2m",
          "propense keys secret k3jq7d2m u-1017    # the signature of one id")),
)  # fmt: skip

SECRET: Final = (
    Verb("roll", "Roll the key of one purpose", "propense.cli.secret:roll_secret",
         ("propense secret roll webhooks --grace 7d", "propense secret roll receipts")),
    Verb("show", "Show what others need to check signatures", "propense.cli.secret:show_secret",
         ("propense secret show webhooks", "propense secret show receipts --json")),
)  # fmt: skip

ACTIONS: Final = {
    "shelf": SHELF,
    "history": HISTORY,
    "keys": KEYS,
    "customers": CUSTOMERS,
    "secret": SECRET,
}
"""Verbs that are groups -> their actions."""

GROUPS: Final = {
    "Start": START,
    "Stages, in order; each first runs the stages before it": STAGES,
    "Results": RESULTS,
    "Service": SERVICE,
}


def all_verbs() -> tuple[Verb, ...]:
    """Every verb, in the order of the front page."""
    return tuple(verb for verbs in GROUPS.values() for verb in verbs)


def verb_names() -> tuple[str, ...]:
    """The name of every verb, in the order of the front page."""
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
        "  --settings FILE   settings file [default: propense.toml]",
        "  --json            print results as JSON on stdout, messages on stderr",
        "  --quiet           print results and errors only",
        "  -v, --verbose     print more messages, and tracebacks of errors",
        "  --version         print the version",
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
    stage = (f"propense {verb.name}", f"propense {verb.name} --force")
    return "Examples:\n" + "\n".join(f"  {example}" for example in verb.examples or stage)
