"""`check`, `explain`, `compile`, `schema` and `generate`: everything that needs no machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import controls, policy, toolkit
from ..errors import ReadingRoomError, did_you_mean
from ..fleet import LAB
from ..policy.explain import explained
from . import generate as generated
from .output import out
from .prepare import SiteArgument, policy_path, prepare, prepare_and_compile


def check(
    policies: Annotated[
        list[Path] | None, typer.Argument(help="Policy files; without any, every policy of this checkout.")
    ] = None,
) -> None:
    """Read policies and say everything that is wrong with them."""
    root = toolkit.root()
    catalogue = controls.load(root)
    paths = policies or [
        *sorted((root / "policies").glob("*.yml")),
        *sorted((root / "policies/examples").glob("*.yml")),
    ]
    faults = 0
    for path in paths:
        try:
            found = policy.check(path, catalogue, root=root)
        except ReadingRoomError as error:
            faults += 1
            out.error(str(error))
        else:
            out.say(f"{path.name}: {found.library.get('name', found.name)} ({found.kind}): no fault")
            for language in catalogue.notices.unworded(found.library.get("languages", ())):
                out.say(
                    f"  {language} has no wording in policies/notices yet: patrons read the other languages, or English"
                )
    if faults:
        raise typer.Exit(2)


def explain(
    key: Annotated[str, typer.Argument(help="A policy key or a control, such as printing.unclaimed_jobs.")],
    site: Annotated[str, typer.Option("--site", help="Whose policy.")] = LAB,
) -> None:
    """Say what a key means, its value for each class and machine, and which layer said what."""
    root = toolkit.root()
    catalogue = controls.load(root)
    control = catalogue.owners.get(key) or catalogue.controls.get(key)
    if control is None:
        hint = did_you_mean(key, [*catalogue.keys, *catalogue.controls])
        raise ReadingRoomError(
            f"{key} is neither a policy key nor a control\n  to mend  {hint or 'see policies/controls/'}"
        )
    out.say(explained(key if key in catalogue.keys else control.key, control, _with_machines(site, root, catalogue)))


def _with_machines(site: str, root: Path, catalogue: controls.Catalogue) -> policy.Policy:
    """The policy of a site, with its machines where it has an inventory."""
    if (root / "inventories" / site / "hosts.yml").is_file():
        return prepare(site).policy
    return policy.load(policy_path(site, root), catalogue, root=root)


def compile_(site: SiteArgument = LAB) -> None:
    """Turn a site's policy into the plain data under build/SITE/ that roles, checks and notices use."""
    prepared = prepare_and_compile(site)
    out.say(f"build/{site}: {len(prepared.catalogue.controls)} promises for {len(prepared.policy.machines)} machines")


def schema(
    to: Annotated[Path | None, typer.Option("--output", "-o", help="Write it to this file.")] = None,
) -> None:
    """Print the JSON Schema of a policy, for editors that complete and check YAML."""
    text = generated.schema_text(controls.load(toolkit.root()))
    if to is None:
        out.raw(text)
    else:
        to.write_text(text, encoding="utf-8")


def generate(
    check_only: Annotated[bool, typer.Option("--check", help="Change nothing; fail if something is stale.")] = False,
) -> None:
    """Write what derives from the controls: the policy schema, the roles' argument specs, the tables in the docs."""
    root = toolkit.root()
    stale = generated.stale_files(root, controls.load(root))
    for path, text in stale.items():
        if not check_only:
            path.write_text(text, encoding="utf-8")
        out.say(f"{'stale' if check_only else 'written'}: {path.relative_to(root)}")
    if stale and check_only:
        raise ReadingRoomError("generated files are stale\n  to mend  readingroom generate")
