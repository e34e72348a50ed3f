"""The page on serving does what it says, block by block, on a service of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from propense.serving.routes import ROUTES
from support.small_service import Shell, make_platform, objects, serving, without

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/serving.md").read_text("utf-8")
NODE = Path(os.environ.get("PROPENSE_NODE", ROOT / "build/node"))
SHOWN_URL = "http://127.0.0.1:8080"
STARTS = "pip install 'propense[serve]'\npropense serve\n"
ENDLESS = "propense run --every 1d\n"
BLOCKS = [
    (heading.strip(), language, code)
    for heading, section in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    for language, code in re.findall(r"^```(\w+)\n(.*?)^```", section, re.M | re.S)
]


def blocks(language, *phrases):
    """Code of every block of a language that contains all of the phrases."""
    return [c for _, spoken, c in BLOCKS if spoken == language and all(m in c for m in phrases)]


# --- what needs no service


def test_the_table_of_routes_is_the_services():
    documented = set()
    row = r"^\| (`(?:GET|POST|PUT|DELETE) /.*?`) \| (\w*) ?\|"
    for paths, scope in re.findall(row, PAGE, re.M):
        method = ""
        for words in re.findall(r"`([^`]+)`", paths):
            method, _, path = words.rpartition(" ") if " " in words else (method, "", words)
            documented.add((method, path if path.startswith("/") else f"/v1/{path}", scope))
    assert documented == {
        (route.method, route.path, route.scopes[0] if route.scopes else "") for route in ROUTES
    }


def test_blocks_are_of_languages_that_are_run():
    assert {language for _, language, _ in BLOCKS} == {
        "bash", "toml", "json", "python", "js", "html",
    }  # fmt: skip
    assert BLOCKS[0][2] == STARTS
    assert blocks("bash", "--every") == [ENDLESS]


# --- block by block


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """A folder with a bundle, and a service with every setting of the page."""
    folder = tmp_path_factory.mktemp("serving")
    make_platform(folder)
    with (folder / "propense.toml").open("a") as file:
        for code in blocks("toml", "[serve."):
            file.write("\n" + code)
    with serving(folder) as url:
        yield Shell(folder, {"SERVICE": url, "PROPENSE_NODE": str(NODE)})


def stored_customer(shell, user_id):
    answer = shell.bash(f'curl -s -H "Authorization: Bearer $ADMIN_KEY" "$URL/v1/users/{user_id}"')
    return objects(answer)[0]


def events_of(shell, user_id):
    return {
        (e["action"], e.get("item_id"), e.get("value"))
        for e in stored_customer(shell, user_id)["events"]
    }


def check_first_event(shell):
    assert events_of(shell, "u-1017") == {("view", "C0003", None)}
    assert stored_customer(shell, "u-1017")["events"][0]["source"] == "web"


def check_python(shell):
    assert events_of(shell, "u-1017") == {
        ("view", "C0003", None), ("view", "C0002", None), ("pay", "C0002", 249.0),
    }  # fmt: skip
    assert stored_customer(shell, "u-1017")["traits"]["occupation"] == "student"


def check_node(shell):
    assert events_of(shell, "u-1018") == {("view", "C0003", None)}


def check_past(shell):
    """Everything that cleaning kept is held."""
    clean = shell.folder / "runs/main/clean"
    events = ds.dataset(clean / "events").to_table(columns=["user_id"]).to_pydict()["user_id"]
    for user_id in sorted(set(events))[:5]:
        stored = stored_customer(shell, user_id)
        assert len(stored["events"]) == events.count(user_id)
        assert stored["traits"]["city_tier"]


def check_scenario(shell):
    """The rules of the page hold for the list that was just asked for."""
    catalogue = {
        row["item_id"]: row
        for row in ds.dataset(shell.folder / "shelf/v0001/catalogue.parquet").to_table().to_pylist()
    }
    items = [catalogue[item["item_id"]] for item in shell.answers[-1]["items"]]
    assert 0 < len(items) <= 6
    assert {item["kind"] for item in items} == {"course"}
    assert not {item["level"] for item in items} & {"advanced"}
    assert not {item["item_id"] for item in items} & {"C0406", "C0002", "C0003"}
    categories = [item["category"] for item in items]
    assert max(categories.count(one) for one in categories) <= 2


def serves(shell, version):
    """The version answers within a few seconds."""
    ends = time.monotonic() + 10
    asked = 'curl -s -H "Authorization: Bearer $READ_KEY" "$URL/v1/popular?k=1"'
    while objects(shell.bash(asked))[0]["bundle"] != version:
        assert time.monotonic() < ends, f"{version} does not answer"
        time.sleep(0.1)


def check_live_source(shell):
    """What was sent is read, and what was loaded from the run is not."""
    accounts = json.loads((shell.folder / "runs/main/clean/account.json").read_bytes())
    events = next(account for account in accounts if account["table"] == "events")
    notes = {rule["name"]: rule for rule in events["rules"]}
    n_live = int(re.match(r"[\d,]+", notes["live history"]["note"])[0].replace(",", ""))
    assert 0 < n_live < shell.n_clean
    # Live events lie after the end of the platform's log, which its settings name.
    assert events["n_out"] == shell.n_clean


def check_erased(shell):
    receipt = shell.answers[-1]
    assert receipt["signature"] and receipt["removed"]["live events"] == 3
    assert stored_customer(shell, "u-1017")["status"] == 404


CHECKS = {
    ("4. Send events", "bash"): check_first_event,
    ("4. Send events", "python"): check_python,
    ("4. Send events", "js"): check_node,
    ("5. The past comes along", "bash"): check_past,
    ("Scenarios", "bash"): check_scenario,
    ("See and erase a customer", "bash"): check_erased,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("heading", "language", "code"),
    [pytest.param(*block, id=f"{n}-{block[1]}") for n, block in enumerate(BLOCKS)],
)
def test_the_block_does_what_the_page_says(shell, heading, language, code):
    code = code.replace(SHOWN_URL, shell.env["SERVICE"])
    if language == "bash" and code not in (STARTS, ENDLESS):
        if "--until clean" in code:
            use_live_source(shell)
        printed = shell.bash(code)
        shell.answers = objects(printed) if "curl" in code else []
        for answer in shell.answers:
            assert "detail" not in answer, answer
        if "promote" in code:
            serves(shell, "v0002")
        if "rollback" in code:
            serves(shell, "v0001")
        if "--until clean" in code:
            check_live_source(shell)
    elif language == "python":
        shell.python(code)
    elif language == "js":
        run_node(shell, code)
    elif language == "html":
        run_page(shell, code)
    elif language == "json":
        is_like(json.loads(code), shell.answers[-1])
    check = CHECKS.get((heading, language))
    if check is not None:
        check(shell)


def is_like(shown, answered):
    """Every field that is shown is answered, with a value of the same kind."""
    assert type(shown) is type(answered), (shown, answered)
    if isinstance(shown, dict):
        for name, value in shown.items():
            assert name in answered, f"{name} is not in {answered}"
            is_like(value, answered[name])
    elif isinstance(shown, list) and shown:
        is_like(shown[0], answered[0])


def use_live_source(shell):
    """The settings of the page's last section instead of those they replace."""
    file = shell.folder / "propense.toml"
    accounts = json.loads((shell.folder / "runs/main/clean/account.json").read_bytes())
    shell.n_clean = next(a["n_out"] for a in accounts if a["table"] == "events")
    text = without(file.read_text("utf-8"), "identities", "users", "impressions")
    (loop,) = blocks("toml", "[sources.live]")
    file.write_text(f"{text}\n{loop}", "utf-8")


def node_package(name):
    """Skips where the package is not installed for node."""
    if shutil.which("node") is None or not (NODE / "node_modules" / name).is_dir():
        pytest.skip(f"{name} is not in {NODE}; see benchmarks/clients")


def run_node(shell, code):
    node_package("@segment/analytics-node")
    script = NODE / f"docs-{os.getpid()}.mjs"
    script.write_text(code, "utf-8")
    try:
        done = subprocess.run(
            ["node", script], env=shell.env, cwd=NODE, capture_output=True, text=True, timeout=120
        )
    finally:
        script.unlink()
    assert done.returncode == 0, done.stderr


def run_page(shell, code):
    """The page in a headless Chromium, until what it sent is there."""
    node_package("@segment/analytics-next")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    site = shell.folder / "site"
    key = shell.env["SITE_KEY"]
    made = shell.bash(f"propense keys secret {key[3:11]} u-1019").strip()
    signed = code.replace("'SITE_KEY'", repr(key)).replace("'SIGNATURE'", repr(made))
    shutil.copytree(NODE / "node_modules/@segment/analytics-next/dist/umd", site)
    (site / "page.html").write_text(signed)

    class Pages(SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    process = subprocess.Popen(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", f"--user-data-dir={site}/profile",
         f"http://127.0.0.1:{server.server_port}/page.html"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wanted = {("page", None, None), ("view", "C0003", None)}
        ends = time.monotonic() + 90
        while time.monotonic() < ends:
            stored = stored_customer(shell, "u-1019")
            if stored.get("traits") and events_of(shell, "u-1019") == wanted:
                return
            time.sleep(0.5)
        pytest.fail(f"the page did not send what it says: {stored}")
    finally:
        process.terminate()
        process.wait(60)
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.slow
def test_the_commands_of_the_other_pages_of_the_service(shell):
    security = (ROOT / "docs/security.md").read_text("utf-8")
    for code in re.findall(r"^```bash\n(.*?)^```", security, re.M | re.S):
        shell.bash(code)
    assert json.loads((shell.folder / "audit.json").read_bytes())["verdict"]["good"]
    assert (shell.folder / "shelf/v0001/manifest.sig").is_file()
    deploying = (ROOT / "docs/deploying.md").read_text("utf-8")
    (code,) = re.findall(r"^```bash\n(propense backup .*?)^```", deploying, re.M | re.S)
    shell.bash(code)
    assert (shell.folder / "backups/monday/history.sqlite.backup").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_readme_asks_and_is_answered(shell, page):
    text = (ROOT / page).read_text("utf-8")
    (code,) = re.findall(r"^```bash\n(curl.*?)^```", text, re.M | re.S)
    code = code.replace(SHOWN_URL, shell.env["SERVICE"])
    documented, answer = objects(shell.bash(f"export KEY=$ADMIN_KEY\n{code}"))
    assert documented["success"] and (documented["kept"] or documented["refused"])
    assert len(answer["items"]) > 0


@pytest.mark.slow
def test_a_wrong_question_is_answered_with_the_right_word(shell):
    question = json.dumps({"user_id": "a", "goals": ["pya"]}).encode()
    request = urllib.request.Request(
        shell.env["SERVICE"] + "/v1/predict", question,
        {"Authorization": f"Bearer {shell.env['READ_KEY']}", "Content-Type": "application/json"},
    )  # fmt: skip
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    problem = json.load(refused.value)
    refused.value.close()
    assert problem["pointer"] == "/goals" and "did you mean 'pay'?" in problem["detail"]
