"""The tables of invoices. The law of this file: all four are only ever added to; the database itself refuses the rest.

    invoices (one row a draft, or a reversal) ──▶ invoice_events (what happened, who, when, why)
                                              ├──▶ invoice_numbers (a year's numbers, from 1, without a gap)
                                              └──▶ invoice_documents (what was sent: its bytes, for good)

An invoice's state is that of its last event. Instants are UTC in milliseconds since 1970, days ISO dates.
"""

import sqlalchemy as sa

BIG: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData()


def _table(name: str, *columns: "sa.schema.SchemaItem") -> sa.Table:
    return sa.Table(name, metadata, *columns, sqlite_strict=True)


# `reverses_no`: the invoice that this one reverses; unique, so that none is reversed twice.
invoices = _table(
    "invoices",
    sa.Column("invoice_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("property", sa.Text, nullable=False),
    sa.Column("first_day", sa.Text, nullable=False),
    sa.Column("end_day", sa.Text, nullable=False),
    sa.Column("reverses_no", BIG, unique=True),
    sa.Column("draft", sa.Text, nullable=False),
)

# `on_day`: the local day that the event counts for: date of the invoice, day of payment.
invoice_events = _table(
    "invoice_events",
    sa.Column("invoice_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("step", BIG, primary_key=True, autoincrement=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("at_ms", BIG, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("on_day", sa.Text, nullable=False),
)

invoice_numbers = _table(
    "invoice_numbers",
    sa.Column("year", BIG, primary_key=True, autoincrement=False),
    sa.Column("sequence", BIG, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Text, nullable=False, unique=True),
    sa.Column("invoice_no", BIG, nullable=False, unique=True),
)

# `document`: the invoice as JSON, with number and dates. The XML is the XRechnung; the PDF holds its ZUGFeRD twin.
invoice_documents = _table(
    "invoice_documents",
    sa.Column("invoice_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("xml", sa.LargeBinary, nullable=False),
    sa.Column("xml_sha256", sa.Text, nullable=False),
    sa.Column("pdf", sa.LargeBinary, nullable=False),
    sa.Column("pdf_sha256", sa.Text, nullable=False),
)
