"""What compile writes: plain data, the same bytes each time, and nothing that fits no schema."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import yaml

from readingroom import controls, policy
from readingroom.compile import argument_specs, compile_site, compiled
from readingroom.policy.schema import policy_schema

ROOT = Path(__file__).parents[3]
CATALOGUE = controls.load(ROOT)
MACHINES = {"public-1": "public", "staff-1": "staff"}


def lab() -> policy.Policy:
    return policy.load(ROOT / "policies" / "lab.yml", CATALOGUE, root=ROOT, machines=MACHINES)


def test_the_same_policy_compiles_to_the_same_bytes_in_another_process() -> None:
    script = (
        "from pathlib import Path; from readingroom import controls, policy; from readingroom.compile import compiled\n"
        f"root = Path({str(ROOT)!r}); c = controls.load(root)\n"
        f"p = policy.load(root / 'policies/lab.yml', c, root=root, machines={MACHINES!r})\n"
        "import json; print(json.dumps(compiled('lab', p, c), sort_keys=True))"
    )
    texts = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
        )
        texts.add(done.stdout)
    assert len(texts) == 1
    assert json.loads(texts.pop()) == compiled("lab", lab(), CATALOGUE)


def test_every_variable_of_the_argument_specs_is_compiled_and_no_other() -> None:
    files = compiled("lab", lab(), CATALOGUE)
    wanted = {
        name
        for role in CATALOGUE.roles
        for name in argument_specs(CATALOGUE, role)["argument_specs"]["main"]["options"]
    }
    for name in ("public", "staff"):
        assert set(yaml.safe_load(files[f"inventory/group_vars/{name}.yml"])) == wanted


GATEWAY = """gateway:
  vpn:
    gateway_addresses: [10.89.0.1/24]
    members:
      - {name: oak, public_key: Hkf3l8UdpM8PNQZk9OOLUkhWJP/H6deIGWazzJDl8jM=, addresses: [10.89.0.16/32]}
"""


def test_a_library_without_gateways_sees_nothing_of_them(tmp_path: Path) -> None:
    files = compiled("lab", lab(), CATALOGUE)
    assert "inventory/group_vars/gateway.yml" not in files
    for name in ("policy.json", "notice.json"):
        assert set(json.loads(files[name])["classes"]) == {"public", "staff"}
    assert "readingroom_roles" not in files["inventory/group_vars/public.yml"]


def test_only_roles_with_a_promise_for_it_come_to_a_gateway_and_no_notice_speaks_of_it(tmp_path: Path) -> None:
    written = tmp_path / "valley.yml"
    written.write_text((ROOT / "policies" / "lab.yml").read_text() + GATEWAY)
    found = policy.load(written, CATALOGUE, root=ROOT, machines={**MACHINES, "hub-1": "gateway"})
    files = compiled("valley", found, CATALOGUE)
    values = yaml.safe_load(files["inventory/group_vars/gateway.yml"])
    assert values["readingroom_roles"] == ["vpn_gateway"]
    assert [member["name"] for member in values["vpn_gateway_members"]] == ["oak"]
    promised = json.loads(files["expectations.json"])["machines"]["hub-1"]["controls"]
    assert {name for name, one in promised.items() if one["applies"]} == {
        name for name, control in CATALOGUE.controls.items() if "gateway" in control.applies_to
    }
    assert "gateway" not in json.loads(files["notice.json"])["classes"]


def test_compile_removes_what_an_earlier_policy_left_and_keeps_the_evidence(tmp_path: Path) -> None:
    stale = tmp_path / "inventory" / "host_vars" / "gone.yml"
    stale.parent.mkdir(parents=True)
    stale.write_text("a: 1\n")
    (tmp_path / "evidence.json").write_text("{}")
    compile_site("lab", lab(), CATALOGUE, tmp_path)
    assert not stale.exists()
    assert (tmp_path / "evidence.json").exists()


def test_a_machine_gets_only_the_variables_that_differ(tmp_path: Path) -> None:
    path = tmp_path / "library.yml"
    path.write_text("policy: 1\nextends: standard\nmachines: {public-1: {logs: {keep: 1h}}}\n")
    found = policy.load(path, CATALOGUE, root=ROOT, machines=MACHINES)
    files = compiled("lab", found, CATALOGUE)
    assert yaml.safe_load(files["inventory/host_vars/public-1.yml"]) == {"log_retention_keep_seconds": 3600}
    assert "inventory/host_vars/staff-1.yml" not in files


def test_a_legal_hold_pauses_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "library.yml"
    path.write_text("policy: 1\nextends: standard\nlegal: {hold: [logs]}\n")
    files = compiled("lab", policy.load(path, CATALOGUE, root=ROOT, machines=MACHINES), CATALOGUE)
    values = yaml.safe_load(files["inventory/group_vars/public.yml"])
    assert (values["log_retention_legal_hold"], values["print_queue_purge_legal_hold"]) == (True, False)
    held = {
        name for name, control in json.loads(files["expectations.json"])["machines"]["public-1"]["controls"].items()
        if control["held"]
    }  # fmt: skip
    assert held == {control.id for control in CATALOGUE.controls.values() if control.held_by == "logs"}


def test_where_a_promise_does_not_apply_its_role_is_told_to_do_nothing() -> None:
    files = compiled("lab", lab(), CATALOGUE)
    public, staff = (yaml.safe_load(files[f"inventory/group_vars/{name}.yml"]) for name in ("public", "staff"))
    assert (public["session_reset_home"], staff["session_reset_home"]) == ("memory", "kept")
    assert (public["session_reset_staff_downloads_seconds"], staff["session_reset_idle_seconds"]) == (-1, -1)


def test_what_patrons_read_comes_in_the_librarys_languages_and_a_missing_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "library.yml"
    path.write_text("policy: 1\nlibrary: {name: Elm, languages: [es, tlh, en]}\nextends: standard\n")
    files = compiled("elm", policy.load(path, CATALOGUE, root=ROOT, machines=MACHINES), CATALOGUE)
    wording = yaml.safe_load(files["inventory/group_vars/public.yml"])["session_reset_wording"]
    assert [one["language"] for one in wording] == ["es", "en"]
    assert json.loads(files["notice.json"])["unworded_languages"] == ["tlh"]


def test_the_schema_takes_every_policy_that_the_loader_takes() -> None:
    schema = policy_schema(CATALOGUE)
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    for path in (
        *ROOT.glob("policies/*.yml"),
        *ROOT.glob("policies/baselines/*.yml"),
        *ROOT.glob("policies/examples/*.yml"),
    ):
        written = yaml.load(path.read_text(), Loader=_Editor)  # noqa: S506 (a SafeLoader)
        assert [error.message for error in validator.iter_errors(written)] == [], path.name


def test_the_schema_marks_what_an_editor_should_mark() -> None:
    validator = jsonschema.Draft202012Validator(policy_schema(CATALOGUE))
    for bad in ("public: {printing: {unclaimed_job: 1h}}", "public: {logs: {keep: 24}}", "pubic: {logs: {keep: 24h}}"):
        assert list(validator.iter_errors(yaml.safe_load("policy: 1\n" + bad))), bad


class _Editor(yaml.SafeLoader):
    """Dates stay text, and `on` stays a word, as YAML 1.2 and so an editor reads them."""


_Editor.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if not tag.endswith(("timestamp", "bool"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
