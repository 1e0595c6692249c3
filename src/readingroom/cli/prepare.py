"""From the name of a site to its machines and its compiled policy: what every command needs first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from .. import controls, policy, toolkit
from ..compile import compile_site
from ..controls import Catalogue
from ..errors import ReadingRoomError, Refused
from ..fleet import Site, load_site
from ..policy import Policy
from ..policy.load import unreadable

SiteArgument = Annotated[str, typer.Argument(help="A site: policies/SITE.yml with inventories/SITE/hosts.yml.")]


@dataclass(frozen=True)
class Prepared:
    """A site with its policy, merged for its machines, and the controls it is made of."""

    site: Site
    policy: Policy
    catalogue: Catalogue


def policy_path(site: str, root: Path) -> Path:
    """The policy file of a site; `Refused` when there is none."""
    path = root / "policies" / f"{site}.yml"
    if not path.is_file():
        raise Refused([unreadable(Path("policies", f"{site}.yml"))])
    return path


def prepare(name: str) -> Prepared:
    """Read the policy and the inventory of the site `name`; raises `ReadingRoomError`."""
    root = toolkit.root()
    catalogue = controls.load(root)
    path = policy_path(name, root)
    classes = policy.load(path, catalogue, root=root).classes
    site = load_site(name, root, {holder.name: holder.kind for holder in classes.values()})
    machines = {machine.name: machine.machine_class for machine in site.machines}
    return Prepared(site, policy.load(path, catalogue, root=root, machines=machines), catalogue)


def prepare_and_compile(name: str) -> Prepared:
    """`prepare`, then write `build/<site>/`."""
    prepared = prepare(name)
    try:
        compile_site(name, prepared.policy, prepared.catalogue, prepared.site.build)
    except OSError as error:
        raise ReadingRoomError(
            f"build/{name} cannot be written: {(error.strerror or 'unknown reason').lower()}\n"
            "  to mend  make room on the disk, or give this account the right to write there"
        ) from None
    return prepared
