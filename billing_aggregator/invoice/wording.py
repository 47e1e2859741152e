"""What an invoice says in words, in German and English: the same words in the XML and on paper."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from billing_aggregator.invoice.model import Invoice, InvoiceKind, VatSum

_MINUS = "\u2212"


@dataclass(frozen=True, slots=True)
class Wording:
    """One language's words. Templates in braces are filled in by the methods."""

    language: str
    invoice: str
    reversal: str
    labels: dict[str, str]
    units: dict[str, str]
    transfer: str
    _due: str
    _clearing: str
    _property: str
    _reverses: str
    _counted_locks: str
    _counted_dwellings: str
    reverse_charge: str
    decimal_comma: bool

    def title(self, invoice: Invoice) -> str:
        return self.reversal if invoice.kind is InvoiceKind.REVERSAL else self.invoice

    def payment_terms(self, invoice: Invoice) -> str:
        """BT-20."""
        if invoice.kind is InvoiceKind.REVERSAL:
            return self.clearing(invoice)
        return self._due.format(due=self.day(invoice.due_on or date.min), number=invoice.number)

    def clearing(self, invoice: Invoice) -> str:
        return self._clearing.format(number=invoice.reverses.number if invoice.reverses else "")

    def notes(self, invoice: Invoice) -> Iterator[str]:
        """BG-1: which property it is about, and what a reversal reverses."""
        if invoice.reverses is not None:
            day = self.day(invoice.reverses.issued_on)
            yield self._reverses.format(number=invoice.reverses.number, day=day)
        yield self._property.format(name=invoice.site.name, property=invoice.site.property)

    def day(self, day: date) -> str:
        return f"{day:%d.%m.%Y}" if self.decimal_comma else f"{day.day} {day:%B %Y}"

    def days(self, invoice: Invoice) -> str:
        last = (invoice.days.end or invoice.days.first) - timedelta(days=1)
        return f"{self.day(invoice.days.first)} – {self.day(last)}"

    def money(self, cents: int) -> str:
        """`1.234,50 €` or `€1,234.50`; minus is the true minus sign."""
        sign = _MINUS if cents < 0 else ""
        if self.decimal_comma:
            return f"{sign}{abs(cents) // 100:,}".replace(",", ".") + f",{abs(cents) % 100:02} €"
        return f"{sign}€{abs(cents) // 100:,}.{abs(cents) % 100:02}"

    def number(self, exact: Fraction, scale: int) -> str:
        """A decimal as short as it gets; `scale`: its power of ten."""
        whole, rest = divmod(abs(int(exact * scale)), scale)
        decimals = f"{rest:0{len(str(scale)) - 1}}".rstrip("0")
        point = "," if self.decimal_comma else "."
        sign = _MINUS if exact < 0 else ""
        return f"{sign}{whole}{point + decimals if decimals else ''}"

    def rate(self, rate_bp: int) -> str:
        return self.number(Fraction(rate_bp, 100), 100) + (" %" if self.decimal_comma else "%")

    def counted_locks(self, locks: int, months: int) -> str:
        return self._counted_locks.format(locks=locks, months=months)

    def counted_dwellings(self, dwellings: int, months: int) -> str:
        return self._counted_dwellings.format(dwellings=dwellings, months=months)

    def vat(self, part: VatSum) -> str:
        """`Umsatzsteuer 19 % auf 1.000,00 €`"""
        return f"{self.labels['vat']} {self.rate(part.rate_bp)} {self.labels['on']} {self.money(part.basis_cents)}"


_GERMAN = Wording(
    language="de",
    invoice="Rechnung",
    reversal="Stornorechnung",
    labels={
        "number": "Rechnungsnummer", "issued": "Rechnungsdatum", "days": "Leistungszeitraum",
        "reference": "Ihre Referenz", "order": "Bestellung", "contract": "Vertrag", "due": "Fällig am",
        "buyer_vat_id": "Ihre USt-IdNr.", "service": "Leistung", "quantity": "Menge", "price": "Einzelpreis",
        "rate": "USt.", "net": "Netto", "net_sum": "Summe netto", "vat": "Umsatzsteuer", "on": "auf",
        "gross_sum": "Rechnungsbetrag", "vat_id": "USt-IdNr.", "tax_number": "Steuernummer", "iban": "IBAN",
        "bic": "BIC", "holder": "Kontoinhaber", "phone": "Telefon", "email": "E-Mail", "page": "Seite",
        "of": "von", "contact": "Ansprechpartner", "property": "Liegenschaft",
        "embedded": "Diese PDF-Datei enthält die Rechnung auch maschinenlesbar (ZUGFeRD, EN 16931: factur-x.xml).",
    },
    units={"MON": "Monate", "C62": "Stück"},
    transfer="SEPA-Überweisung",
    _due="Zahlbar ohne Abzug bis {due} unter Angabe der Rechnungsnummer {number}.",
    _clearing="Wird mit der Rechnung {number} verrechnet; es ist nichts zu zahlen.",
    _property="Liegenschaft: {name} ({property})",
    _reverses="Storno der Rechnung {number} vom {day}. Die Rechnung ist damit in voller Höhe aufgehoben.",
    _counted_locks="je Schleuse und angefangenem Monat in Betrieb ({locks} Schleusen in {months} Monaten)",
    _counted_dwellings="je Wohnung und angefangenem Monat ({dwellings} Wohnungen × {months} Monate)",
    reverse_charge="Steuerschuldnerschaft des Leistungsempfängers",
    decimal_comma=True,
)  # fmt: skip

_ENGLISH = Wording(
    language="en",
    invoice="Invoice",
    reversal="Reversal invoice",
    labels={
        "number": "Invoice number", "issued": "Date", "days": "Service period", "reference": "Your reference",
        "order": "Order", "contract": "Contract", "due": "Due on", "buyer_vat_id": "Your VAT id",
        "service": "Service", "quantity": "Quantity", "price": "Unit price", "rate": "VAT", "net": "Net",
        "net_sum": "Total net", "vat": "VAT", "on": "on", "gross_sum": "Invoice total", "vat_id": "VAT id",
        "tax_number": "Tax number", "iban": "IBAN", "bic": "BIC", "holder": "Account holder", "phone": "Phone",
        "email": "E-mail", "page": "Page", "of": "of", "contact": "Contact", "property": "Property",
        "embedded": "This PDF file also holds the invoice for machines (ZUGFeRD, EN 16931: factur-x.xml).",
    },
    units={"MON": "months", "C62": "pcs"},
    transfer="SEPA credit transfer",
    _due="Payable in full by {due}; please state the invoice number {number}.",
    _clearing="Cleared against invoice {number}; nothing is to be paid.",
    _property="Property: {name} ({property})",
    _reverses="Reverses invoice {number} of {day} in full.",
    _counted_locks="per lock and month begun in service ({locks} locks within {months} months)",
    _counted_dwellings="per dwelling and month begun ({dwellings} dwellings × {months} months)",
    reverse_charge="Reverse charge",
    decimal_comma=False,
)  # fmt: skip

_WORDINGS = {"de": _GERMAN, "en": _ENGLISH}


def wording_of(language: str) -> Wording:
    """Return the words of `de` or `en`."""
    return _WORDINGS[language]
