"""An invoice's sums, by the rules of EN 16931: computed, to the cent."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from billing_aggregator.invoice.cii import format_cents, format_quantity
from billing_aggregator.invoice.model import Invoice, Totals, VatCategory, VatSum, round_half_up
from tests.unit.billing_aggregator.invoice_samples import ISSUED, LINES, issued_invoices, reverse_invoice


def test_lines_are_summed_and_vat_is_computed_once_for_each_rate() -> None:
    """BR-CO-10, BR-CO-14, BR-CO-15, BR-CO-17: 536.40 + 882.00 at 19 %, 158.00 at 7 %."""
    assert [line.net_cents for line in LINES] == [53_640, 88_200, 15_800]
    assert ISSUED.vat_sums == (
        VatSum(VatCategory.STANDARD, 700, 15_800, 1_106, ""),
        VatSum(VatCategory.STANDARD, 1900, 141_840, 26_950, ""),
    )
    assert ISSUED.totals == Totals(157_640, 28_056, 185_696)


def test_vat_is_rounded_on_the_sum_and_not_line_by_line() -> None:
    """BR-CO-17: three lines of 0.03 € have 0.02 € VAT at 19 % (0.0171), line by line it would be 0.03 €."""
    line = replace(LINES[0], quantity=Fraction(1), price_cents=3)
    assert replace(ISSUED, lines=(line, line, line)).totals == Totals(9, 2, 11)


def test_half_a_cent_is_rounded_away_from_zero_on_both_sides() -> None:
    assert [round_half_up(Fraction(n, 2)) for n in (1, 3, -1, -3, 2)] == [1, 2, -1, -2, 1]
    assert round_half_up(Fraction(49, 100)) == 0


@given(issued_invoices())
def test_totals_are_the_sums_of_what_is_shown(invoice: Invoice) -> None:
    """BR-CO-10, BR-CO-14, BR-CO-15."""
    totals = invoice.totals
    assert totals.net_cents == sum(line.net_cents for line in invoice.lines)
    assert totals.net_cents == sum(part.basis_cents for part in invoice.vat_sums)
    assert totals.vat_cents == sum(part.vat_cents for part in invoice.vat_sums)
    assert totals.gross_cents == totals.net_cents + totals.vat_cents
    for part in invoice.vat_sums:
        assert abs(Fraction(part.basis_cents * part.rate_bp, 10_000) - part.vat_cents) <= Fraction(1, 2)


@given(issued_invoices())
def test_a_reversal_mirrors_its_invoice_to_the_cent(invoice: Invoice) -> None:
    reversal = reverse_invoice(invoice)
    there, back = invoice.totals, reversal.totals
    assert (there.net_cents, there.vat_cents, there.gross_cents) == (
        -back.net_cents, -back.vat_cents, -back.gross_cents,
    )  # fmt: skip
    assert [line.net_cents for line in invoice.lines] == [-line.net_cents for line in reversal.lines]
    assert all(line.price_cents >= 0 for line in reversal.lines)  # BR-27


@given(st.integers(-(10**12), 10**12))
@example(-5)
@example(100)
def test_cents_as_text_are_the_same_number(hundredths: int) -> None:
    assert Fraction(format_cents(hundredths)) == Fraction(hundredths, 100)


@given(st.integers(-(10**12), 10**12))
@example(-15_000)
@example(625)
def test_a_quantity_as_text_is_the_same_number(scaled: int) -> None:
    text = format_quantity(Fraction(scaled, 10_000))
    assert Fraction(text) == Fraction(scaled, 10_000)
    assert not text.endswith(".") and (not text.endswith("0") or "." not in text)
