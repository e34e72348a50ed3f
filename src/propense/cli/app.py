"""The verbs as a cyclopts application, each imported when it is used."""

from __future__ import annotations

from pkgutil import resolve_name

from cyclopts import App

from propense import __version__
from propense.cli.verbs import ACTIONS, all_verbs, epilogue


def build() -> App:
    """The application with all verbs."""
    app = _application("propense")
    for verb in all_verbs():
        if verb.name not in ACTIONS:
            app.command(verb.function, name=verb.name, help_epilogue=epilogue(verb))
            continue
        group = _application(verb.name, help=verb.sentence + ".", help_epilogue=epilogue(verb))
        for action in ACTIONS[verb.name]:
            group.command(
                resolve_name(action.function), name=action.name, help_epilogue=epilogue(action)
            )
        app.command(group)
    return app


def _application(name: str, help: str = "", help_epilogue: str = "") -> App:
    return App(
        name=name, help=help, help_epilogue=help_epilogue, help_format="plaintext",
        version=__version__, suppress_keyboard_interrupt=False, verbose=False,
    )  # fmt: skip
