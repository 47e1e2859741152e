"""The sections of the configuration that invoices need: `[operator]`, `[[fees]]`, `[[customers]]`.

Only the form is checked here. What an invoice lacks (an IBAN's check digits, a missing reference) is said when it is
drafted, since a program that never writes invoices needs none of it.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from billing_aggregator.days import zone_of
from billing_aggregator.invoice.model import VatCategory

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=64)]
Cents = Annotated[int, Field(ge=0, le=100_000_000)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FeeBasis(StrEnum):
    """What a fee is counted by; months are the period's, each that was begun counts."""

    LOCK_MONTH = "lock_month"  # each lock with a chamber in service in that month
    DWELLING_MONTH = "dwelling_month"
    PROPERTY_MONTH = "property_month"
    ONCE = "once"  # one piece, on every invoice


class OperatorSection(_Section):
    """The seller. `electronic_scheme`: EM for an e-mail address. `number_prefix` stands before year and number."""

    name: Text = ""
    street: Text = ""
    postcode: Text = ""
    city: Text = ""
    country: Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")] = "DE"
    vat_id: Text = ""
    tax_number: Text = ""
    register_entry: Text = ""
    contact_name: Text = ""
    contact_phone: Text = ""
    contact_email: Text = ""
    electronic_address: Text = ""
    electronic_scheme: Text = "EM"
    iban: Text = ""
    bic: Text = ""
    account_holder: Text = ""
    number_prefix: Id = "R"
    payment_days: Annotated[int, Field(ge=0, le=365)] = 30
    time_zone: Text = "Europe/Berlin"

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        zone_of(name)
        return name


class FeeSection(_Section):
    """One service and its price, net. `properties`: empty for all. `vat_bp`: hundredths of a percent, 1900 is 19 %."""

    code: Id
    text_de: Text
    text_en: Text = ""
    basis: FeeBasis
    price_cents: Cents
    category: VatCategory = VatCategory.STANDARD
    vat_bp: Annotated[int, Field(ge=0, le=10_000)] = 1900
    exemption: Text = ""
    properties: tuple[Id, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _untaxed_has_no_rate(cls, given: object) -> object:
        # Without this, whoever writes `category = "E"` would have to write `vat_bp = 0` as well.
        if isinstance(given, dict) and given.get("category", "S") != "S":
            return {"vat_bp": 0, **given}
        return given


class CustomerSection(_Section):
    """What the master data don't know of a property's landlord. `reference`: BT-10. `language`: of the PDF."""

    property: Id
    reference: Text
    electronic_address: Text
    electronic_scheme: Text = "EM"
    vat_id: Text = ""
    country: Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")] = "DE"
    order: Text = ""
    contract: Text = ""
    language: Annotated[str, StringConstraints(pattern="^(de|en)$")] = "de"


class InvoiceSettings(_Section):
    """The three together. `config.py` holds them as keys of its own and hands them over as this."""

    operator: OperatorSection = OperatorSection()
    fees: tuple[FeeSection, ...] = ()
    customers: tuple[CustomerSection, ...] = ()
