"""A merged policy turned into plain data under `build/<site>/`, byte for byte the same for the same input.

Written: role variables per class and machine as Ansible `group_vars` and `host_vars`, the roles' argument specs,
what each machine promises (`expectations.json`), what a notice may say (`notice.json`) and the effective policy with
its provenance (`policy.json`). This module must not know how roles work or how machines are reached.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ..controls import Catalogue, Control
from ..controls.durations import Duration
from ..controls.values import data
from ..policy import Holder, Policy, Resolved
from ..policy.layer import EVERYWHERE
from .argument_specs import argument_specs

Json = dict[str, Any]
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False)
_HEAD = "# Compiled by `readingroom compile`; change the policy, not this file.\n"


def compile_site(site: str, policy: Policy, catalogue: Catalogue, out: Path) -> str:
    """Write everything under `out` and return the policy's digest.

    Files are replaced one by one, each whole; what an earlier compile wrote and this one does not is removed.
    Evidence and logs that lie beside it stay.
    """
    written = compiled(site, policy, catalogue)
    digest: str = json.loads(written["policy.json"])["digest"]
    inventory = out / "inventory"
    for stale in [path for path in inventory.rglob("*") if path.is_file()]:
        if str(stale.relative_to(out)) not in written:
            stale.unlink()
    for name, text in written.items():
        _replace(out / name, text)
    for empty in ("group_vars", "host_vars"):
        if (inventory / empty).is_dir() and not any((inventory / empty).iterdir()):
            shutil.rmtree(inventory / empty)
    return digest


def compiled(site: str, policy: Policy, catalogue: Catalogue) -> dict[str, str]:
    """Every compiled file by its path below `build/<site>/`."""
    effective = _effective(policy)
    digest = "sha256:" + hashlib.sha256(_json(effective).encode()).hexdigest()
    files = {
        "policy.json": _json({"site": site, "digest": digest, **effective}),
        "expectations.json": _json(_expectations(site, digest, policy, catalogue)),
        "notice.json": _json(_notice(site, digest, policy, catalogue)),
        "argument_specs.json": _json({role: argument_specs(catalogue, role) for role in catalogue.roles}),
        "inventory/hosts.yml": _yaml({"all": {"children": {name: {} for name in policy.classes}}}),
    }
    spoken = _languages(policy)
    per_class = {name: variables(holder, catalogue, spoken) for name, holder in policy.classes.items()}
    for name, values in per_class.items():
        files[f"inventory/group_vars/{name}.yml"] = _yaml(values)
    for name, holder in policy.machines.items():
        base = per_class[holder.machine_class]
        own = {key: value for key, value in variables(holder, catalogue, spoken).items() if base[key] != value}
        if own:
            files[f"inventory/host_vars/{name}.yml"] = _yaml(own)
    return files


def variables(holder: Holder, catalogue: Catalogue, languages: Iterable[str] = ()) -> Json:
    """The role variables of a class or machine, by name; what patrons read comes in `languages`, first ones first.

    Where a promise does not apply, its role is told to leave the machine as Debian has it. To a gateway, only roles come that
    have a promise for it.
    """
    found: Json = {}
    for control in catalogue.controls.values():
        for key in control.keys:
            value = holder.values[key.key].value
            if key is control and holder.kind not in control.applies_to:
                value = key.type.weakest(value)
            found |= key.variables(value)
        if control.worded:
            worded = catalogue.notices.worded(control.id, languages)
            found[control.worded] = [{"language": name, "texts": dict(texts)} for name, texts in worded.items()]
    if holder.kind not in EVERYWHERE:
        promising = (control for control in catalogue.controls.values() if holder.kind in control.applies_to)
        found["readingroom_roles"] = sorted({control.role for control in promising})
    return dict(sorted(found.items()))


def _languages(policy: Policy) -> tuple[str, ...]:
    return tuple(policy.own.library.get("languages", ()))


def _effective(policy: Policy) -> Json:
    def holder(one: Holder) -> Json:
        return {name: _resolved(value) for name, value in sorted(one.values.items())}

    return {
        "library": dict(policy.own.library),
        "approved": {name: str(value) for name, value in policy.own.approved.items()},
        "classes": {name: {"like": one.kind, "keys": holder(one)} for name, one in policy.classes.items()},
        "machines": {name: {"class": one.machine_class, "keys": holder(one)} for name, one in policy.machines.items()},
    }


def _resolved(resolved: Resolved) -> Json:
    says = [
        {
            "layer": say.layer,
            "place": str(say.place) if say.place else None,
            "value": data(say.value),
            "outcome": say.outcome,
        }
        for say in resolved.says
    ]
    return {"value": data(resolved.value), "provenance": says}


def _expectations(site: str, digest: str, policy: Policy, catalogue: Catalogue) -> Json:
    machines = {}
    for name, holder in policy.machines.items():
        controls = {control.id: _expected(control, holder) for control in catalogue.controls.values()}
        keys = {key: _valued(resolved) for key, resolved in sorted(holder.values.items())}
        machines[name] = {"class": holder.machine_class, "kind": holder.kind, "controls": controls, "keys": keys}
    return {"site": site, "policy_digest": digest, "machines": machines}


def _expected(control: Control, holder: Holder) -> Json:
    resolved = holder.values[control.key]
    held = control.held_by is not None and control.held_by in holder.values["legal.hold"].value
    waiver = resolved.waiver
    return {
        "applies": holder.kind in control.applies_to,
        "role": control.role,
        "statement": control.sentence(resolved.value),
        "key": control.key,
        **_valued(resolved),
        "inputs": {key.key: data(holder.values[key.key].value) for key in control.inputs},
        "held": held,
        "waiver": {"id": waiver.id, "until": str(waiver.until), "value": data(waiver.value)} if waiver else None,
    }


def _valued(resolved: Resolved) -> Json:
    value = resolved.value
    span = {"seconds": value.seconds} if isinstance(value, Duration) else {}
    return {"value": data(value), **span}


def _notice(site: str, digest: str, policy: Policy, catalogue: Catalogue) -> Json:
    """The facts a patron notice is written from, per class; whether they hold is for the evidence to say.

    Nobody sits at a gateway, so a notice says nothing of it.
    """
    classes = {}
    for name, holder in policy.classes.items():
        if holder.kind == "gateway":
            continue
        facts = {
            control.id: {
                "statement": control.sentence(holder.values[control.key].value),
                **_valued(holder.values[control.key]),
            }
            for control in catalogue.controls.values()
            if holder.kind in control.applies_to
        }
        classes[name] = {"like": holder.kind, "facts": facts}
    waived = [
        {"id": waiver.id, "control": waiver.control, "machines": len(waiver.machines), "until": str(waiver.until)}
        for waiver in policy.waivers
    ]
    return {
        "site": site,
        "policy_digest": digest,
        "library": dict(policy.own.library),
        "approved": {name: str(value) for name, value in policy.own.approved.items()},
        "classes": classes,
        "unworded_languages": list(catalogue.notices.unworded(_languages(policy))),
        "waivers": waived,
    }


try:
    _BaseDumper: Any = yaml.CSafeDumper
except AttributeError:  # PyYAML built without libyaml: slower, same text
    _BaseDumper = yaml.SafeDumper


class _Dumper(_BaseDumper):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(value: Mapping[str, Any]) -> str:
    return _HEAD + "---\n" + yaml.dump(value, Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=1000)


def _json(value: Any, open_levels: int = 4) -> str:
    return _opened(value, open_levels, "") + "\n"


def _opened(value: Any, levels: int, indent: str) -> str:
    """JSON with its outer objects opened, a line for each member, and the rest on one line: readable, and three times
    as fast as an indenting encoder, which Python does not have in C."""
    if not levels or not isinstance(value, Mapping) or not value:
        return _ENCODER.encode(value)
    inner = indent + " "
    lines = [f"{inner}{_ENCODER.encode(key)}: {_opened(value[key], levels - 1, inner)}" for key in sorted(value)]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _replace(path: Path, text: str) -> None:
    """Write `path` whole or not at all, and not when it already says so."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        fresh.chmod(0o644)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
