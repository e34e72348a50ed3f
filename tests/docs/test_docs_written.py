"""What is written is true: settings parse, commands exist, links lead somewhere."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from propense.cli.app import build
from propense.cli.verbs import ACTIONS, verb_names
from propense.settings import parse_settings

ROOT = Path(__file__).resolve().parents[2]
ME = Path(__file__).relative_to(ROOT).as_posix()


def tracked(*patterns):
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", *patterns],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return sorted(name for name in listed if (ROOT / name).is_file())


PAGES = tracked("*.md")


def blocks(language):
    """(page, code) of every fenced block in a language."""
    return [
        pytest.param(page, code, id=f"{page}:{n}")
        for page in PAGES
        for n, code in enumerate(
            re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.M | re.S)
        )
    ]


@pytest.mark.parametrize(("page", "code"), blocks("toml"))
def test_settings_in_the_docs_can_be_read(page, code):
    raw = tomllib.loads(code)
    if "sources" not in raw and "users" not in raw:
        raw["users"] = {"path": "users.csv"}
    parse_settings(raw)


@pytest.mark.parametrize(("page", "code"), blocks("python"))
def test_python_in_the_docs_compiles_and_names_what_exists(page, code):
    import propense

    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "propense":
                assert hasattr(propense, node.attr), f"propense.{node.attr}"


def commands():
    """Every `propense ...` command that a page shows."""
    results = set()
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        code = "".join(re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S))
        shown = re.findall(r"^(propense [^\n#]*?)\s*(?:#.*)?$", code, re.M)
        quoted = re.findall(r"`(propense [^`]*)`", text)
        results.update((page, command) for command in (*shown, *quoted))
    return sorted(results)


@pytest.mark.parametrize(("page", "command"), commands())
def test_commands_in_the_docs_are_commands(page, command):
    words = shlex.split(command)[1:]
    words = words[: words.index(">")] if ">" in words else words
    if words[0] == "VERB" or words[0].startswith("--"):
        return
    assert words[0] in verb_names(), command
    actions = {action.name for action in ACTIONS.get(words[0], ())}
    if len(words) == 1 or (len(words) == 2 and words[1] in actions):
        return  # a verb that is spoken of, without what it needs
    if words[-1] == "--every":
        words.append("1d")
    function, bound, _ = build().parse_args(words, exit_on_error=False, print_error=False)
    assert function is not None and bound is not None


LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(text):
    """Anchors of a page's headings."""
    results = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        results.add(plain.strip().replace(" ", "-"))
    return results


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text("utf-8"), flags=re.M | re.S)
    for link in LINK.findall(text):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page} links to {link}"
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), f"{page} links to {link}"


@pytest.mark.parametrize(
    "page", [p for p in PAGES if Path(p).parts[0] in ("ARCHITECTURE.md", "src")]
)
def test_files_that_the_map_names_exist(page):
    """Modules, and folders of rooms: as written, below the package, or beside the page."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text("utf-8"), flags=re.M | re.S)
    package = ROOT / "src/propense"
    rooms = {folder.name for folder in package.iterdir() if folder.is_dir()} | {"tests", "docs"}
    for name in re.findall(r"`([\w./]+)`", text):
        if name.endswith((".py", ".md")) or ("/" in name and name.split("/")[0] in rooms):
            paths = (ROOT, package, (ROOT / page).parent)
            assert any((path / name).exists() for path in paths), f"{page} names {name}"


def test_every_page_of_the_manual_is_in_the_navigation():
    settings = tomllib.loads((ROOT / "zensical.toml").read_text())

    def pages(entries):
        for entry in entries:
            for value in entry.values():
                yield from pages(value) if isinstance(value, list) else [value]

    listed = sorted(pages(settings["project"]["nav"]))
    assert listed == sorted(Path(page).name for page in PAGES if Path(page).parent == Path("docs"))


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_tree_names_every_room(page):
    text = (ROOT / page).read_text("utf-8")
    tree = re.search(r"^```text\nsrc/propense/\n(.*?)^```", text, re.M | re.S)[1]
    named = re.findall(r"^  (\w+)/ ", tree, re.M)
    rooms = [
        folder.name for folder in (ROOT / "src/propense").iterdir()
        if folder.is_dir() and not folder.name.startswith("__")
    ]  # fmt: skip
    assert sorted(named) == sorted(rooms)
    outside = re.findall(r"^(\w+)/ ", tree, re.M)
    assert all((ROOT / name).is_dir() for name in outside)


def test_both_readmes_have_the_same_structure_and_code():
    english, chinese = (
        (ROOT / page).read_text("utf-8") for page in ("README.md", "README.zh.md")
    )  # fmt: skip
    for pattern in (r"^#+ ", r"^```", r"^\| ", r"^- "):
        assert len(re.findall(pattern, english, re.M)) == len(re.findall(pattern, chinese, re.M)), (
            pattern
        )
    code = [
        [line.split("#")[0].rstrip() for block in re.findall(r"^```(?:bash|toml|python)\n(.*?)^```",
         text, re.M | re.S) for line in block.splitlines()]
        for text in (english, chinese)
    ]  # fmt: skip
    assert code[0] == code[1]


def test_both_readmes_name_the_same_commands_and_files():
    """Those in prose and tables too: whatever one sets in code or links to, the other does."""
    english, chinese = (
        re.findall(r"`([^`\n]+)`|\]\(([^)]+)\)", (ROOT / page).read_text("utf-8"))
        for page in ("README.md", "README.zh.md")
    )
    named = [
        sorted({code or link for code, link in spans} - {"README.md", "README.zh.md"})
        for spans in (english, chinese)
    ]
    assert named[0] == named[1]


def test_the_changelog_knows_the_version():
    from propense import __version__

    text = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in text or f"## [{__version__}]" in text


FORBIDDEN = (
    r"(?i)\b(?:issue|ticket|session) #\d",
    r"(?<![\w.:/~-])/(?:[hw]o[mr][ek]|root|Users)/\w",
)
"""Numbers of a tracker, and paths of one machine."""


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_the_project_speaks_only_of_itself(pattern):
    matches = []
    for name in tracked():
        if name == ME:
            continue
        try:
            text = (ROOT / name).read_text("utf-8")
        except UnicodeDecodeError:
            continue
        matches += [f"{name}: {match.group()}" for match in re.finditer(pattern, text)]
    assert matches == []
