"""What an invoice lacks is said before it is sent, each with its remedy."""

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest

from billing_aggregator.errors import InputRejected
from billing_aggregator.invoice.checking import refuse_faulty
from billing_aggregator.invoice.model import (
    Address,
    BankAccount,
    Contact,
    ElectronicAddress,
    Invoice,
    Preceding,
    VatCategory,
)
from billing_aggregator.model import DayRange
from tests.unit.billing_aggregator.invoice_samples import BUYER, DRAFT, ISSUED, LINES, REVERSAL, SELLER, SITE


def with_line(**changes: object) -> Invoice:
    return replace(DRAFT, lines=(replace(LINES[0], **changes),))  # type: ignore[arg-type]


def with_seller(**changes: object) -> Invoice:
    return replace(DRAFT, seller=replace(SELLER, **changes))  # type: ignore[arg-type]


def with_buyer(**changes: object) -> Invoice:
    return replace(DRAFT, buyer=replace(BUYER, **changes))  # type: ignore[arg-type]


def test_invoices_in_order_are_let_pass() -> None:
    for invoice in (DRAFT, ISSUED, REVERSAL):
        refuse_faulty(invoice)


@pytest.mark.parametrize(
    ("faulty", "term", "said"),
    [
        (with_buyer(reference=" "), "BT-10", "[[customers]]"),
        (with_seller(address=Address("", "20457", "Hamburg")), "BT-35", "[operator]"),
        (with_seller(contact=Contact("I. P.", "12", "a@b.example")), "BT-42", "phone"),
        (with_seller(contact=Contact("I. P.", "+49 40 1", "a.example")), "BT-43", "e-mail"),
        (with_seller(account=BankAccount("DE02120300000000202052", "X")), "BT-84", "check digits"),
        (with_seller(vat_id="", tax_number=""), "BT-31", "§ 14 (4) UStG"),
        (with_seller(vat_id="DE136695975"), "BT-31", "check digit"),
        (with_buyer(vat_id="DE1"), "BT-48", "check digit"),
        (with_buyer(electronic=ElectronicAddress("0204", "991-03730-18")), "BT-49", "Leitweg-ID"),
        (with_buyer(electronic=ElectronicAddress("EM", "nobody")), "BT-49", "e-mail"),
        (with_buyer(name=""), "BT-44", "master data"),
        (replace(DRAFT, site=replace(SITE, name="")), "BT-70", "property"),
        (replace(DRAFT, site=replace(SITE, address=Address("Elbhof 1", "", "Hamburg"))), "BT-78", "property"),
        (with_buyer(name="Wohnbau\x00"), "name", "take it out"),
        (with_seller(address=Address("Hafen\x0bstraße", "1", "H")), "street", "take it out"),
        (with_line(name=""), "BT-153", "[[fees]]"),
        (with_line(price_cents=-1), "BT-146", "BR-27"),
        (with_line(quantity=Fraction(-1)), "BT-129", "above zero"),
        (with_line(quantity=Fraction(1, 3)), "BT-129", "4 decimals"),
        (with_line(rate_bp=0), "BT-152", "category S"),
        (with_line(category=VatCategory.EXEMPT, rate_bp=0), "BT-120", "reason"),
        (with_line(category=VatCategory.EXEMPT, rate_bp=700, exemption="§ 19 UStG"), "BT-152", "category S"),
        (replace(DRAFT, lines=()), "BG-25", "nothing to invoice"),
        (replace(DRAFT, days=DayRange(date(2025, 1, 1), None)), "BT-74", "no end"),
        (replace(DRAFT, reverses=Preceding("R-1", date(2026, 1, 1))), "BG-3", "reversal"),
        (replace(REVERSAL, reverses=None), "BG-3", "reversal"),
        (replace(REVERSAL, lines=LINES), "BT-129", "above zero"),
    ],
)
def test_what_is_missing_or_wrong_is_named_by_its_term_with_a_remedy(
    faulty: Invoice, term: str, said: str
) -> None:
    with pytest.raises(InputRejected) as caught:
        refuse_faulty(faulty)
    assert {problem.column for problem in caught.value.problems} == {term}
    assert said in caught.value.problems[0].message


def test_reverse_charge_needs_the_vat_ids_of_both() -> None:
    """§ 13b UStG; BR-AE-02."""
    lines = (replace(LINES[0], category=VatCategory.REVERSE_CHARGE, rate_bp=0, exemption="Reverse charge"),)
    refuse_faulty(replace(DRAFT, lines=lines))
    without = replace(
        DRAFT,
        lines=lines,
        buyer=replace(BUYER, vat_id=""),
        seller=replace(SELLER, vat_id="", tax_number="27/1/2"),
    )
    with pytest.raises(InputRejected) as caught:
        refuse_faulty(without)
    assert {problem.column for problem in caught.value.problems} == {"BT-31", "BT-48"}


def test_all_that_is_missing_is_said_at_once() -> None:
    with pytest.raises(InputRejected) as caught:
        refuse_faulty(replace(DRAFT, buyer=replace(BUYER, reference="", name=""), lines=()))
    assert {problem.column for problem in caught.value.problems} == {"BT-10", "BT-44", "BG-25"}
