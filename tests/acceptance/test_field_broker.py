"""The whole chain over the broker as it stands in the field: mutual TLS, nothing allowed but what the rules list."""

import shutil
from dataclasses import replace
from pathlib import Path

from demo.layout import Settings
from tests.acceptance.conftest import QUICK_SINK, StartChain
from tests.acceptance.estates import small_estate
from tests.acceptance.oracle import assert_ledger_is_truth
from tests.support.certificates import Authority
from tests.support.shipped_broker import ACCESS_RULES, SHIPPED, field_lines


def test_chain_works_with_certificates_and_the_access_rules_that_are_shipped(
    start_chain: StartChain, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    authority.issue("broker")
    shutil.copy(ACCESS_RULES, tmp_path / "wastelock-acl.conf")
    limits = [
        line
        for line in SHIPPED.splitlines()
        if line.startswith(("max_", "set_", "persistence true", "autosave_"))
    ]
    rules = [line for line in field_lines(tmp_path) if not line.startswith("listener")]
    settings = Settings(
        poll_interval_s=0.1,
        agent={"mqtt": _certificate(authority, "gw-0001")},
        sink={**QUICK_SINK, "mqtt": {**_certificate(authority, "sink-1"), "share_group": "sinks"}},
        broker_settings=[*limits, *rules, "log_type all"],
    )
    estate = replace(small_estate(rtu=False), site="lindenhof", gateway="gw-0001")
    chain = start_chain(estate, settings, backlog_days=2)
    assert_ledger_is_truth(chain)
    log = chain.broker.log.read_text()
    assert "as gw-0001 (" in log
    assert "as sink-1 (" in log
    assert "denied" not in log.lower()


def _certificate(authority: Authority, name: str) -> dict[str, str]:
    pair = authority.issue(name)
    return {
        "ca_file": str(authority.certificate),
        "cert_file": str(pair.certificate),
        "key_file": str(pair.key),
    }
