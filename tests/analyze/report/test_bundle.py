"""The page's script is that of its sources: its first line has their hash, recomputed here as build.mjs does it."""

import hashlib
from pathlib import Path

REPORT = Path(__file__).parents[3] / "analyze" / "report"
APP = REPORT / "app"


def test_the_script_is_made_of_these_sources():
    names = ["build.mjs", "package-lock.json", "package.json", "tsconfig.json"]
    names += [path.relative_to(APP).as_posix() for path in (APP / "src").rglob("*.ts*")]
    made = hashlib.sha256()
    for name in sorted(names):
        content = (APP / name).read_bytes()
        made.update(f"{name} {len(content)}\n".encode() + content)
    first = (REPORT / "templates" / "page.js").read_text(encoding="utf-8").partition("\n")[0]
    assert first.endswith(f": {made.hexdigest()}"), "page.js is not current: make page"
