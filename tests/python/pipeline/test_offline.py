"""With the loopback alone the run gives the same marts and pages, and asks nobody for anything.

In a network namespace of its own, the only name server is a trap on the loopback, which writes down
what is asked of it.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from homes import BIN, SETTLED_ON, Home

pytestmark = pytest.mark.xdist_group("habits")

TRAP = """
import pathlib, socket, subprocess, sys, threading
asked, *command = sys.argv[1:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
pathlib.Path(asked + ".conf").write_text("nameserver 127.0.0.1\\noptions timeout:1 attempts:1\\n")
subprocess.run(["mount", "--bind", asked + ".conf", "/etc/resolv.conf"], check=True)
trap = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
trap.bind(("127.0.0.1", 53))
def listen():
    with open(asked, "a", buffering=1) as book:
        while True:
            book.write(repr(trap.recvfrom(512)[0][12:]) + "\\n")
threading.Thread(target=listen, daemon=True).start()
sys.exit(subprocess.run(command).returncode)
"""
ALONE = ("unshare", "--net", "--mount", sys.executable, "-c", TRAP)


def alone(asked: Path) -> tuple[str, ...]:
    """What to put before a command; skips where the system does not let us."""
    for program, package in (("unshare", "util-linux"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not here. Install it with: apt-get install {package}")
    tried = subprocess.run([*ALONE, str(asked), "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"a network namespace needs root: {tried.stderr.strip()[-200:]}")
    return (*ALONE, str(asked))


def said(home: Home) -> dict[str, Any]:
    """What the three pages say, without times and ids."""
    site = home.path / "published" / "site"
    start, docs, quality = (
        (site / name).read_text() for name in ("index.html", "docs.html", "quality.html")
    )
    books = re.search('<table class="books">(.*?)</table>', start, re.DOTALL)
    manifest = json.JSONDecoder().raw_decode(docs, docs.index('{"metadata":{"dbt_schema'))[0]
    data = re.search(r"window\.elementaryData = JSON\.parse\(atob\('([^']+)'", quality)
    assert books is not None
    assert data is not None
    report = json.loads(base64.b64decode(data[1]))
    return {
        "books": re.sub(r"<[^>]*>|\d+ \w{3}, \d\d:\d\d|\d+\u202fmin", " ", books[1]).split(),
        "marts": re.findall(r'<th scope="row">(\w+)</th>((?:<td class="n">[^<]+</td>){2})', start),
        "documented": sorted([*manifest["nodes"], *manifest["sources"], *manifest["docs"]]),
        "lineage": manifest["parent_map"],
        "models": sorted(report["models"]),
        "tests": {name: test["latest_run_status"] for name, test in report["tests"].items()},
    }


def test_the_trap_catches(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    look = "import socket; socket.getaddrinfo('example.org', 80)"
    subprocess.run([*alone(asked), sys.executable, "-c", look], capture_output=True)
    assert "example" in asked.read_text()


def test_the_same_marts_and_pages_with_loopback_only(home: Home, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    before = alone(asked)
    cut_off = Home(tmp_path / "home", home.project).start(SETTLED_ON, thin=True)
    done = cut_off.call(*before, str(BIN / "millrace"), "run")
    assert done.code == 0, done.text
    assert cut_off.tables("published") == home.tables("published")
    pages = {page.name for page in (cut_off.path / "published" / "site").iterdir()}
    assert pages == {"index.html", "docs.html", "quality.html"}
    here, there = said(home), said(cut_off)
    assert [len(part) > 10 for part in here.values()] == [True] * 6
    assert here == there
    assert not asked.exists() or asked.read_text() == ""
