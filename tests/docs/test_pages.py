"""What examples can't check of themselves: tests that pages show, and the build."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.examples import FENCE, REAL
from tests.docs.generated import DOCS


@pytest.mark.parametrize(
    ("page", "passing"), [("how-to/test-your-automation.md", 8), ("how-to/write-a-backend.md", 20)]
)
def test_tests_that_a_page_shows_pass_under_pytest(page: str, passing: int, tmp_path: Path) -> None:
    text = (DOCS / page).read_text()
    blocks = [match["body"] for match in FENCE.finditer(text) if match["language"] == "python"]
    (tmp_path / "test_page.py").write_text("\n".join(block for block in blocks if not block.startswith(REAL)))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_page.py"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout
    assert int(ran.stdout.rsplit(" passed", 1)[0].split()[-1]) >= passing


def test_the_documentation_builds_without_a_warning_and_without_a_network(tmp_path: Path) -> None:
    offline = {**os.environ, "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", "-b", "html"]
    command += ["-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "html")]
    built = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, env=offline)
    assert built.returncode == 0, built.stderr
    assert "https://cdn" not in (tmp_path / "html" / "index.html").read_text()
