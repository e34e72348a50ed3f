"""The page docs/benchmarks.md, from what the benchmarks wrote to build/bench: `make bench-page`.

Nothing is computed anew; a benchmark that was not run is left out.
"""

from __future__ import annotations

import shutil

from benchmarks.proof import ROOT

OUT, DOCS = ROOT / "build" / "bench", ROOT / "docs"
PICTURE = "growth.svg"
INTRODUCTION = """\
# Benchmarks

The customer network with one set of defaults beside traditional models, other libraries and the
literature, wins and losses alike. Every table is printed by a script of `benchmarks/`; the machine,
the versions and the protocol stand above it. Repeat them with `make bench-quality`,
`make bench-speed`, `make bench-growth` and `make bench-page`. [Results](results.md) has the
examples with every rival.
"""


def main() -> None:
    """Join the tables that are there."""
    pages = [INTRODUCTION]
    for name in ("quality", "speed", "growth"):
        file = OUT / f"{name}.md"
        if file.exists():
            lines = file.read_text(encoding="utf-8").strip().splitlines()
            # Each file begins with a title of its own.
            pages.append("\n".join("#" + line if line.startswith("#") else line for line in lines))
    if (OUT / PICTURE).exists():
        (DOCS / "images").mkdir(exist_ok=True)
        shutil.copyfile(OUT / PICTURE, DOCS / "images" / PICTURE)
        pages.append(f"![Seconds against events](images/{PICTURE})")
    (DOCS / "benchmarks.md").write_text("\n\n".join(pages) + "\n", encoding="utf-8")
    print(f"wrote {DOCS / 'benchmarks.md'}")


if __name__ == "__main__":
    main()
