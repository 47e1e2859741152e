"""The official rules judge what we write: schema, EN 16931 (CEN), XRechnung (KoSIT), ZUGFeRD (FeRD)."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings

from billing_aggregator.errors import InputRejected
from billing_aggregator.invoice import rules as rules_module
from billing_aggregator.invoice.cii import Specification, write_cii
from billing_aggregator.invoice.model import Invoice
from billing_aggregator.invoice.rules import Rulebook
from tests.unit.billing_aggregator.invoice_samples import (
    BUYER,
    ISSUED,
    REVERSAL,
    SELLER,
    issued_invoices,
    reverse_invoice,
)

X, Z = Specification.XRECHNUNG, Specification.EN_16931


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    """The rules, compiled once for all tests here."""
    return Rulebook()


def judge(rulebook: Rulebook, invoice: Invoice) -> list[str]:
    """Return the ids of all rules that an invoice breaks, as XRechnung and as ZUGFeRD."""
    return [finding.rule for it in Specification for finding in rulebook.judge(write_cii(invoice, it), it)]


def test_an_invoice_and_its_reversal_break_no_rule_not_even_one_that_only_warns(rulebook: Rulebook) -> None:
    assert judge(rulebook, ISSUED) == []
    assert judge(rulebook, REVERSAL) == []


@settings(max_examples=15)
@given(invoice=issued_invoices())
def test_whatever_is_invoiced_keeps_all_rules(rulebook: Rulebook, invoice: Invoice) -> None:
    assert judge(rulebook, invoice) == []
    assert judge(rulebook, reverse_invoice(invoice)) == []


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        (
            lambda xml: xml.replace(b"<ram:DuePayableAmount>1856.96", b"<ram:DuePayableAmount>1856.97"),
            "BR-CO-16",
        ),
        (
            lambda xml: xml.replace(b"<ram:LineTotalAmount>1576.40", b"<ram:LineTotalAmount>1576.41"),
            "BR-CO-10",
        ),
        (
            lambda xml: xml.replace(b"<ram:CalculatedAmount>269.50", b"<ram:CalculatedAmount>279.50"),
            "BR-CO-17",
        ),
        (lambda xml: xml.replace(b">19.00</ram:RateApplicable", b">18.00</ram:RateApplicable", 1), "BR-S-08"),
        (lambda xml: xml.replace(b"<ram:ChargeAmount>14.90", b"<ram:ChargeAmount>-14.90"), "BR-27"),
        (
            lambda xml: xml.replace(b">EUR</ram:InvoiceCurrencyCode", b">EUX</ram:InvoiceCurrencyCode"),
            "BR-CL-04",
        ),
        (lambda xml: xml.replace(b"<ram:IBANID>DE02", b"<ram:IBANID>DE03"), "BR-DE-19"),
        (lambda xml: xml.replace(b"<ram:TypeCode>380", b"<ram:TypeCode>325"), "BR-DE-17"),
        (lambda xml: xml.replace(b"<ram:LineID>1</ram:LineID>", b"<ram:LineNo>1</ram:LineNo>"), "schema"),
    ],
)
def test_a_wrong_figure_or_code_is_found_by_its_rule(
    rulebook: Rulebook, wrong: Callable[[bytes], bytes], rule: str
) -> None:
    xml = write_cii(ISSUED, X)
    assert wrong(xml) != xml
    assert rule in [finding.rule for finding in rulebook.judge(wrong(xml), X)]


@pytest.mark.parametrize(
    ("faulty", "rule"),
    [
        (replace(ISSUED, buyer=replace(BUYER, reference="")), "BR-DE-15"),
        (replace(ISSUED, seller=replace(SELLER, contact=replace(SELLER.contact, phone=""))), "BR-DE-6"),
        (replace(ISSUED, seller=replace(SELLER, contact=replace(SELLER.contact, phone="n/a"))), "BR-DE-27"),
        (replace(ISSUED, seller=replace(SELLER, vat_id="")), "BR-S-02"),
        (
            replace(ISSUED, buyer=replace(BUYER, electronic=replace(BUYER.electronic, scheme="ZZ"))),
            "BR-CL-25",
        ),
        (replace(REVERSAL, reverses=None), "BR-DE-26"),
    ],
)
def test_what_is_missing_is_found_by_its_rule(rulebook: Rulebook, faulty: Invoice, rule: str) -> None:
    findings = rulebook.judge(write_cii(faulty, X), X)
    assert rule in [finding.rule for finding in findings], findings


def test_the_zugferd_twin_is_judged_by_zugferds_rules(rulebook: Rulebook) -> None:
    """FeRD's rules know their own code lists: an XRechnung's name for itself isn't in them."""
    assert rulebook.judge(write_cii(ISSUED, X), Z) != []


def test_a_refusal_names_each_broken_rule(rulebook: Rulebook) -> None:
    faulty = replace(
        ISSUED, buyer=replace(BUYER, reference="", electronic=replace(BUYER.electronic, value=""))
    )
    with pytest.raises(InputRejected) as caught:
        rulebook.refuse_faulty(write_cii(faulty, X), X)
    assert {"BR-DE-15", "PEPPOL-EN16931-R010"} <= {problem.column for problem in caught.value.problems}


def test_xrechnung_and_zugferd_differ_only_in_what_they_call_themselves() -> None:
    ours, twin = write_cii(ISSUED, X), write_cii(ISSUED, Z)
    assert ours != twin
    assert ours.replace(f">{X}<".encode(), f">{Z}<".encode()) == twin


def test_the_rules_are_those_that_their_publishers_made() -> None:
    folder = Path(rules_module.__file__).parent / "schematron"
    readme = (folder / "README.md").read_text()
    stylesheets = [path for path in folder.iterdir() if path.suffix in (".xsl", ".xslt")]
    assert len(stylesheets) == 2
    for path in stylesheets:
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{path.name}`"))
        assert sha256(path.read_bytes()).hexdigest() in row


def test_a_program_that_used_the_rules_ends_quietly_and_in_any_locale() -> None:
    """Saxon is native code with a runtime of its own: it must neither hold up the exit nor depend on LANG."""
    program = (
        "from billing_aggregator.invoice.rules import Rulebook\n"
        "from billing_aggregator.invoice.cii import Specification, write_cii\n"
        "from tests.unit.billing_aggregator.invoice_samples import ISSUED\n"
        "from dataclasses import replace\n"
        "faulty = replace(ISSUED, buyer=replace(ISSUED.buyer, reference=''))\n"
        "found = Rulebook().judge(write_cii(faulty, Specification.XRECHNUNG), Specification.XRECHNUNG)\n"
        "assert '\\u00fcbermittelt' in found[0].text, ascii(found)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "utf8=0", "-c", program],
        env={"LC_ALL": "C", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
