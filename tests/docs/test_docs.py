"""The docs say what is so: examples, commands, links and generated pages."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import typer
from pip._internal.models.index import PyPI

from readingroom import controls
from readingroom.cli import app
from readingroom.cli.generate import stale_files

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("roles/*/*.md"), *ROOT.glob("tests/**/*.md")]
)
COMMANDS = typer.main.get_command(app)


def test_nothing_generated_is_stale() -> None:
    assert list(stale_files(ROOT, controls.load(ROOT))) == []


def test_the_readme_shows_the_example_policy_as_it_is() -> None:
    shown = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert shown is not None
    example = (ROOT / "policies" / "examples" / "springfield.yml").read_text()
    assert shown[1] == re.sub(r"^#.*\n", "", example, flags=re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_docs_exist(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.M)) <= targets
    for name in re.findall(r"(?:`|^)readingroom ([a-z]+)", text, re.M):
        assert name in COMMANDS.commands, name  # type: ignore[attr-defined]


def test_paths_in_the_architecture_exist() -> None:
    for path in re.findall(
        r"`((?:src|tests|policies|playbooks|inventories|roles)/[^`]*)`", (ROOT / "ARCHITECTURE.md").read_text()
    ):
        pattern = re.sub(r"<[^>]+>", "*", path)
        assert list(ROOT.glob(pattern)), path


def test_every_command_and_option_explains_itself() -> None:
    def walk(command: object, trail: str) -> None:
        assert getattr(command, "help", None), trail
        for parameter in getattr(command, "params", []):
            if parameter.param_type_name == "option":
                assert parameter.help, f"{trail} {parameter.name}"
        for name, child in getattr(command, "commands", {}).items():
            walk(child, f"{trail} {name}")

    walk(COMMANDS, "readingroom")


def test_every_make_target_explains_itself() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.M)
    assert phony is not None
    explained = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M))
    assert set(phony[1].split()) <= explained


def test_no_package_mirror_is_named() -> None:
    """Mirrors come from the machine's own configuration, so none is written down here."""
    sources = [*Path("/etc/apt").glob("sources.list"), *Path("/etc/apt/sources.list.d").glob("*.*")]
    hosts = {host for path in sources for host in re.findall(r"//([^/\s]+)/", path.read_text(errors="ignore"))}
    hosts |= {PyPI.netloc, PyPI.file_storage_domain}
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in files:
        text = (ROOT / name).read_text(encoding="utf-8", errors="ignore") if (ROOT / name).is_file() else ""
        assert not [host for host in hosts if host in text], name
