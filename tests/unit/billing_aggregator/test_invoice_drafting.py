"""Drafts: the operator's fees, counted by the master data of a property."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from billing_aggregator.errors import ConfigError, NotFound
from billing_aggregator.invoice.checking import refuse_faulty
from billing_aggregator.invoice.drafting import draft_invoice
from billing_aggregator.invoice.model import Address, Invoice, VatCategory
from billing_aggregator.invoice.settings import (
    CustomerSection,
    FeeBasis,
    FeeSection,
    InvoiceSettings,
    OperatorSection,
)
from billing_aggregator.masterdata.facts import Chamber, Dwelling, Party, Property
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.model import DayRange
from tests.unit.billing_aggregator.invoice_samples import YEAR_2025

NEW_YEAR = datetime(2024, 12, 31, 23, tzinfo=UTC)  # local midnight in Berlin
OPERATOR = OperatorSection(
    name="Müllschleusen Betrieb GmbH", street="Hafenstraße 12", postcode="20457", city="Hamburg", vat_id="DE136695976",
    contact_name="Ines Petersen", contact_phone="+49 40 123456", contact_email="rechnung@betrieb.example",
    electronic_address="rechnung@betrieb.example", iban="DE02120300000000202051",
)  # fmt: skip
CUSTOMER = CustomerSection(
    property="elbhof", reference="991-03730-19", electronic_address="eingang@wohnbau.example"
)


def fee(code: str, basis: FeeBasis, **more: object) -> FeeSection:
    given = {
        "code": code,
        "text_de": code.title(),
        "text_en": f"{code} fee",
        "basis": basis,
        "price_cents": 1490,
    }
    return FeeSection.model_validate({**given, **more})


def chamber(lock: str, begins_at: datetime, ends_at: datetime | None = None, number: int = 1) -> Chamber:
    return Chamber("elbhof", lock, number, 20_000, "residual", begins_at, ends_at)


def snapshot(*chambers: Chamber, dwellings: int = 3) -> Snapshot:
    """Return a property with these chambers, its landlord and dwellings, and nothing else."""
    return Snapshot(
        property=Property("elbhof", "Elbhof 1–7", "Elbhof 1", "21073", "Hamburg", "Europe/Berlin", "wohnbau"),
        periods=(), areas=(), occupancies=(), persons=(), credentials=(), lock_access=(), costs=(), advances=(),
        agreements=(), opening_registers=(), old_readings=(),
        dwellings=tuple(Dwelling("elbhof", f"WE{number}", f"WE {number}") for number in range(dwellings)),
        parties=(Party("elbhof", "wohnbau", "Wohnbau Elbe eG", "Am Markt 3", "21073", "Hamburg", "de"),),
        chambers=chambers,
        known_at=datetime(2026, 11, 3, tzinfo=UTC),
        hash="0" * 64,
    )  # fmt: skip


def draft(
    fees: list[FeeSection], of: Snapshot, days: DayRange = YEAR_2025, customer: CustomerSection = CUSTOMER
) -> Invoice:
    settings = InvoiceSettings(operator=OPERATOR, fees=tuple(fees), customers=(customer,))
    return draft_invoice(of, days, settings)


def quantities(invoice: Invoice) -> dict[str, int]:
    return {line.fee: int(line.quantity) for line in invoice.lines}


def test_each_fee_is_counted_by_its_basis() -> None:
    fees = [fee(basis.value, basis) for basis in FeeBasis]
    two_locks = snapshot(
        chamber("1f00a3", NEW_YEAR), chamber("1f00a3", NEW_YEAR, number=2), chamber("1f00a4", NEW_YEAR)
    )
    drafted = draft(fees, two_locks)
    assert quantities(drafted) == {"lock_month": 24, "dwelling_month": 36, "property_month": 12, "once": 1}
    assert [line.unit for line in drafted.lines] == ["MON", "MON", "MON", "C62"]
    refuse_faulty(drafted)


def test_a_lock_counts_in_each_month_that_it_began_by_local_days() -> None:
    """In service from 31 March 23:59 to 1 June 00:00 local time: three months, not June."""
    begins_at, ends_at = datetime(2025, 3, 31, 21, 59, tzinfo=UTC), datetime(2025, 5, 31, 22, 0, tzinfo=UTC)
    fees = [fee("service", FeeBasis.LOCK_MONTH)]
    assert quantities(draft(fees, snapshot(chamber("1f00a3", begins_at, ends_at)))) == {"service": 3}
    later = chamber("1f00a3", begins_at, ends_at + timedelta(milliseconds=1))
    assert quantities(draft(fees, snapshot(later))) == {"service": 4}


def test_a_chamber_that_was_exchanged_is_still_one_lock() -> None:
    exchanged = datetime(2025, 6, 10, tzinfo=UTC)
    of = snapshot(chamber("1f00a3", NEW_YEAR, exchanged), chamber("1f00a3", exchanged))
    assert quantities(draft([fee("service", FeeBasis.LOCK_MONTH)], of)) == {"service": 12}


@pytest.mark.parametrize(
    ("first", "end", "months"),
    [
        (date(2025, 1, 31), date(2025, 2, 1), 1),
        (date(2025, 1, 31), date(2025, 2, 2), 2),
        (date(2025, 12, 15), date(2026, 1, 15), 2),
        (date(2024, 2, 29), date(2025, 3, 1), 13),
    ],
)
def test_each_month_that_was_begun_counts(first: date, end: date, months: int) -> None:
    fees = [fee("flat", FeeBasis.PROPERTY_MONTH)]
    assert quantities(draft(fees, snapshot(), DayRange(first, end))) == {"flat": months}


def test_a_fee_that_counts_nothing_is_no_line_and_one_for_other_properties_neither() -> None:
    fees = [
        fee("service", FeeBasis.LOCK_MONTH),
        fee("elsewhere", FeeBasis.ONCE, properties=["other"]),
        fee("here", FeeBasis.ONCE, properties=["elbhof"]),
    ]
    assert quantities(draft(fees, snapshot())) == {"here": 1}


def test_only_the_fees_that_were_asked_for_are_on_it() -> None:
    settings = InvoiceSettings(
        operator=OPERATOR, fees=(fee("a", FeeBasis.ONCE), fee("b", FeeBasis.ONCE)), customers=(CUSTOMER,)
    )
    assert quantities(draft_invoice(snapshot(), YEAR_2025, settings, ["b"])) == {"b": 1}
    with pytest.raises(NotFound, match=r"no fee c: \[\[fees\]\] has a, b"):
        draft_invoice(snapshot(), YEAR_2025, settings, ["b", "c"])


def test_who_buys_comes_from_the_master_data_and_who_sells_from_the_configuration() -> None:
    drafted = draft([fee("flat", FeeBasis.ONCE)], snapshot())
    assert (drafted.buyer.name, drafted.buyer.address) == (
        "Wohnbau Elbe eG",
        Address("Am Markt 3", "21073", "Hamburg"),
    )
    assert (drafted.buyer.reference, drafted.buyer.electronic.scheme) == ("991-03730-19", "EM")
    assert (drafted.site.property, drafted.site.name) == ("elbhof", "Elbhof 1–7")
    assert drafted.seller.account.holder == drafted.seller.name == "Müllschleusen Betrieb GmbH"
    assert drafted.payment_days == 30 and drafted.number == "" and drafted.issued_on is None


def test_a_property_without_customer_is_said_to_lack_one() -> None:
    with pytest.raises(ConfigError, match=r"\[\[customers\]\] has none for property elbhof"):
        draft(
            [fee("flat", FeeBasis.ONCE)],
            snapshot(),
            customer=CUSTOMER.model_copy(update={"property": "other"}),
        )


def test_an_english_customer_gets_english_texts() -> None:
    drafted = draft(
        [fee("flat", FeeBasis.DWELLING_MONTH)],
        snapshot(),
        customer=CUSTOMER.model_copy(update={"language": "en"}),
    )
    assert (drafted.lines[0].name, drafted.language) == ("flat fee", "en")
    assert drafted.lines[0].detail == "per dwelling and month begun (3 dwellings × 12 months)"


def test_untaxed_fees_have_no_rate_and_reverse_charge_says_so_by_itself() -> None:
    """§ 14a (5) UStG: the words "Steuerschuldnerschaft des Leistungsempfängers"."""
    fees = [
        fee("exempt", FeeBasis.ONCE, category="E", exemption="§ 19 UStG"),
        fee("reverse", FeeBasis.ONCE, category="AE"),
        fee("taxed", FeeBasis.ONCE, exemption="not used"),
    ]
    drafted = draft(fees, snapshot(), customer=CUSTOMER.model_copy(update={"vat_id": "DE136695976"}))
    assert [(line.category, line.rate_bp, line.exemption) for line in drafted.lines] == [
        (VatCategory.EXEMPT, 0, "§ 19 UStG"),
        (VatCategory.REVERSE_CHARGE, 0, "Steuerschuldnerschaft des Leistungsempfängers"),
        (VatCategory.STANDARD, 1900, ""),
    ]
    refuse_faulty(drafted)
    assert drafted.totals.vat_cents == 283


def test_the_order_of_the_master_data_does_not_matter() -> None:
    locks = [chamber(name, NEW_YEAR + timedelta(days=31 * place)) for place, name in enumerate("abc")]
    fees = [fee("service", FeeBasis.LOCK_MONTH)]
    of = snapshot(*locks)
    assert draft(fees, of) == draft(fees, replace(of, chambers=of.chambers[::-1]))


def test_numbers_that_people_write_in_groups_are_packed() -> None:
    operator = OPERATOR.model_copy(update={"iban": "de02 1203 0000 0000 2020 51", "vat_id": "DE 136 695 976"})
    settings = InvoiceSettings(operator=operator, fees=(fee("a", FeeBasis.ONCE),), customers=(CUSTOMER,))
    drafted = draft_invoice(snapshot(), YEAR_2025, settings)
    assert (drafted.seller.account.iban, drafted.seller.vat_id) == ("DE02120300000000202051", "DE136695976")
    refuse_faulty(drafted)
