"""The templates of contrib/ make files that pimpyd takes without an error or note, with and without their variables."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace as Attributes
from typing import Any

import jinja2
import pytest

from pimpy.config.native import parse

CONTRIB = Path(__file__).resolve().parents[2] / "contrib"
ANSIBLE = "ansible/roles/pimpy/templates/pimpyd.conf.j2"
NETLAB = "netlab/templates/pimpy/pimpy.j2"
RP, RANGE = "10.0.0.2", "239.0.0.0/8"

EMPTY_ROLE: dict[str, Any] = {
    "ansible_managed": "Ansible managed",
    "pimpy_interfaces": {},
    "pimpy_rps": [],
    "pimpy_lines": [],
}
ROLE = EMPTY_ROLE | {
    "pimpy_interfaces": {"eth0": "dr-priority 10", "eth7": "passive"},
    "pimpy_rps": [f"{RP} {RANGE}"],
    "pimpy_lines": ["hello-interval 10"],
}
EMPTY_NODE: dict[str, Any] = {"inventory_hostname": "r1"}
NODE = EMPTY_NODE | {
    "interfaces": [
        Attributes(ifname="eth0", pim=Attributes(phyint="dr-priority 10")),
        Attributes(ifname="eth1", pim=Attributes()),
        Attributes(ifname="eth7", pim=Attributes(phyint="passive")),
    ],
    "pim": {"rp": [f"{RP} {RANGE}"], "lines": ["hello-interval 10"]},
}
WANTED = f"phyint eth0 dr-priority 10\nphyint eth7 passive\nrp-address {RP} {RANGE}\nhello-interval 10\n"


def made(template: str, variables: dict[str, Any]) -> str:
    """As Ansible and netlab set Jinja2 up; netlab lets what is not there pass where a default is named."""
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.ChainableUndefined, keep_trailing_newline=True)
    return environment.from_string((CONTRIB / template).read_text()).render(variables)


@pytest.mark.parametrize(("template", "variables"), [(ANSIBLE, ROLE), (NETLAB, NODE)])
def test_each_variable_has_its_line(template: str, variables: dict[str, Any]) -> None:
    result = parse(made(template, variables))
    assert not result.diagnostics
    assert result.model == parse(WANTED).model != parse("").model


@pytest.mark.parametrize(("template", "variables"), [(ANSIBLE, EMPTY_ROLE), (NETLAB, EMPTY_NODE)])
def test_without_variables_the_file_sets_nothing(template: str, variables: dict[str, Any]) -> None:
    result = parse(made(template, variables))
    assert not result.diagnostics and result.model == parse("").model
