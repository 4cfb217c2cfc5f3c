# SPDX-License-Identifier: Apache-2.0
"""The files that a project has beside its code: tools can read them. ``test_release.py`` compares their versions."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_both_the_paper_and_the_software_are_cited() -> None:
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["title"] == "closeint"
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Huang", "Li", "Xu", "Pan", "Wang", "Lee"]
    assert paper["identifiers"][0]["value"] == "arXiv:2404.11291"


def test_hooks_before_a_commit_download_nothing() -> None:
    for repository in yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]:
        assert repository["repo"] == "local"
        assert all(hook["language"] == "system" for hook in repository["hooks"])


def test_the_changelog_has_versions_of_added_changed_and_fixed() -> None:
    headings = re.findall(r"^(##+) (.+)$", text("CHANGELOG.md"), re.M)
    versions = [title for level, title in headings if level == "##"]
    assert versions[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions[1:])
    assert {title for level, title in headings if level == "###"} == {"Added", "Changed", "Fixed"}


def test_every_template_asks_for_something() -> None:
    templates = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
    assert len(templates) == 3
    for path in templates:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert form["name"]
        assert form["description"]
        assert any(item.get("validations", {}).get("required") for item in form["body"])
