"""What GitHub reads in `.github/`: as its published schemas want it, and as this project is."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.conftest import DEADLINE, ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").iterdir())
CONFIG = GITHUB / "ISSUE_TEMPLATE" / "config.yml"
FORMS = sorted(set((GITHUB / "ISSUE_TEMPLATE").iterdir()) - {CONFIG})
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    # No job may hang for the six hours that GitHub allows.
    "custom.github-workflows-require-timeout": WORKFLOWS,
    "vendor.github-issue-forms": FORMS,
    "vendor.github-issue-config": [CONFIG],
}


def read(name: str) -> Any:
    """Return what a file of `.github/` says. YAML takes the key `on` for True."""
    return yaml.safe_load((GITHUB / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_are_as_the_schema_says(schema: str) -> None:
    """check-jsonschema, which has GitHub's schemas with it, finds nothing wrong."""
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *SCHEMAS[schema]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=3 * DEADLINE,
    )
    assert checked.returncode == 0, checked.stdout


def test_ci_has_every_python_that_is_promised() -> None:
    """Those of the classifiers, on three systems; the oldest runs with the oldest packages too."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    promised = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)
    jobs = read("workflows/ci.yml")["jobs"]
    matrix = jobs["test"]["strategy"]["matrix"]
    assert matrix["python"] == promised
    assert f'requires-python = ">={promised[0]}"' in text
    assert {system.partition("-")[0] for system in matrix["system"]} == {
        "macos",
        "ubuntu",
        "windows",
    }
    setups = [step["with"] for step in jobs["oldest"]["steps"] if "setup-python" in str(step)]
    assert setups == [{"python-version": promised[0]}]


@pytest.mark.parametrize("workflow", [path.name for path in WORKFLOWS])
def test_only_who_publishes_may_do_more_than_read(workflow: str) -> None:
    """No job has more rights than reading, but the one that publishes what others have built."""
    told = read(f"workflows/{workflow}")
    assert told["permissions"] == {"contents": "read"}
    for job in told["jobs"].values():
        if "permissions" in job:
            assert job["environment"]["name"] in ("pypi", "github-pages")
            assert all("run" not in step for step in job["steps"])


def skeleton(form: str) -> list[Any]:
    """Return what of a form is the same in every language."""
    told = read(f"ISSUE_TEMPLATE/{form}.yml")
    fields = [
        (
            field["type"],
            field["id"],
            field.get("validations"),
            *(field["attributes"].get(key) for key in ("render", "value")),
            [option.get("required") for option in field["attributes"].get("options", ())],
        )
        for field in told["body"]
    ]
    return [told["labels"], fields]


def test_forms_are_there_in_both_languages() -> None:
    """Field by field they are alike."""
    kinds = {path.name.partition(".")[0] for path in FORMS}
    names = {f"{kind}.{language}.yml" for kind in kinds for language in ("en", "zh-CN")}
    assert {path.name for path in FORMS} == names
    for kind in kinds:
        assert skeleton(f"{kind}.en") == skeleton(f"{kind}.zh-CN")
