"""A protocol in words, German or English: what stands on the paper. Text and PDF are made from the same document."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from edge_agent.technician.protocol_findings import Language, say
from wastelock.protocol import Protocol, ProtocolKind, Reading


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the paper: a table, or without `head` names and values."""

    heading: str
    rows: Sequence[Sequence[str]]
    head: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """The paper. `signatures`: who signs it by hand; `footer` stands on each page."""

    title: str
    verdict: str
    passed: bool
    sections: Sequence[Section]
    signatures: Sequence[str]
    footer: str
    findings: Sequence[str] = field(default_factory=tuple)


_TITLES = {
    ProtocolKind.COMMISSIONING: ("Commissioning of a waste lock", "Inbetriebnahme einer Müllschleuse"),
    ProtocolKind.DECOMMISSIONING: ("Decommissioning of a waste lock", "Außerbetriebnahme einer Müllschleuse"),
    ProtocolKind.CONTROLLER_REPLACEMENT: ("Replacement of a controller", "Tausch eines Steuergeräts"),
    ProtocolKind.GATEWAY_REPLACEMENT: ("Replacement of a gateway", "Tausch eines Gateways"),
}
_REPLACEMENTS = (ProtocolKind.CONTROLLER_REPLACEMENT, ProtocolKind.GATEWAY_REPLACEMENT)
_WORDS: dict[str, tuple[str, str]] = {
    "passed": ("PASSED", "BESTANDEN"),
    "failed": ("NOT PASSED", "NICHT BESTANDEN"),
    "about": ("About", "Angaben"),
    "reference": ("Reference", "Aktenzeichen"),
    "site": ("Site", "Standort"),
    "gateway": ("Gateway", "Gateway"),
    "old_gateway": ("Old gateway", "Altes Gateway"),
    "lock": ("Lock", "Schleuse"),
    "technician": ("Technician", "Techniker"),
    "began": ("Began", "Beginn"),
    "ended": ("Ended", "Ende"),
    "software": ("Software", "Software"),
    "remark": ("Remark", "Bemerkung"),
    "opening": ("Opening reading", "Anfangsstand"),
    "closing": ("Closing reading", "Endstand"),
    "at": ("Read", "Abgelesen"),
    "source": ("Source", "Quelle"),
    "firmware": ("Firmware", "Firmware"),
    "records": ("Epoch/record", "Epoche/Datensatz"),
    "clock": ("Clock", "Uhr"),
    "access_list": ("Access list", "Zugangsliste"),
    "entries": ("entries", "Einträge"),
    "chamber": ("Chamber", "Kammer"),
    "volume": ("Volume (ml)", "Volumen (ml)"),
    "register": ("Register", "Zählerstand"),
    "proven_by": ("Shown by record", "Belegt durch Datensatz"),
    "registers": ("Registers", "Zählerstände"),
    "moved": ("Difference", "Differenz"),
    "pours_count": ("Complete pours", "Vollst. Einwürfe"),
    "agrees": ("Agrees", "Stimmt"),
    "yes": ("yes", "ja"),
    "no": ("NO", "NEIN"),
    "volumes": ("Volume check (ml)", "Volumenprüfung (ml)"),
    "planned": ("Planned", "Geplant"),
    "set": ("Set", "Eingestellt"),
    "recorded": ("Recorded", "Aufgezeichnet"),
    "measured": ("Measured", "Gemessen"),
    "deviation": ("Deviation", "Abweichung"),
    "pours": ("Test pours", "Probeeinwürfe"),
    "record": ("Record", "Datensatz"),
    "time": ("Time", "Zeit"),
    "result": ("Result", "Ergebnis"),
    "credential": ("Transponder", "Chip"),
    "service": ("service", "Service"),
    "other": ("other", "anderer"),
    "findings": ("To be put right", "Zu beheben"),
    "notes": ("Notes", "Hinweise"),
    "signed": ("Signed by key", "Signiert mit Schlüssel"),
    "hand": ("Place, date, technician", "Ort, Datum, Techniker"),
    "hand_operator": ("Place, date, operator", "Ort, Datum, Betreiber"),
    "controller": ("controller", "Steuergerät"),
    "confirmed": ("last confirmed record", "letzter bestätigter Datensatz"),
    "spool": ("last record on disk", "letzter gespeicherter Datensatz"),
    "pour": ("complete", "vollständig"),
    "pour given up": ("given up", "abgebrochen"),
    "pour jammed": ("jammed", "blockiert"),
    "unset": ("not set", "nicht gestellt"),
    "off_by": ("off by", "Abweichung"),
}


def describe(protocol: Protocol, kid: str | None, language: Language) -> Document:
    """Return the paper of a protocol. `kid`: which key its file is signed with."""
    return _Writer(language).document(protocol, kid)


class _Writer:
    def __init__(self, language: Language) -> None:
        self._language = language

    def document(self, protocol: Protocol, kid: str | None) -> Document:
        opening = [self._reading("opening", reading) for reading in protocol.opening]
        closing = [self._reading("closing", reading) for reading in protocol.closing]
        # In the order of time: what was replaced was read last before what replaces it was read first.
        first, last = (closing, opening) if protocol.kind in _REPLACEMENTS else (opening, closing)
        sections = [self._about(protocol), *first]
        if protocol.volumes:
            sections.append(self._volumes(protocol))
        if protocol.pours:
            sections.append(self._pours(protocol))
        sections += last
        if protocol.registers:
            sections.append(self._registers(protocol))
        if protocol.notes:
            notes = [
                (str(number), say(note, self._language)) for number, note in enumerate(protocol.notes, 1)
            ]
            sections.append(Section(self._word("notes"), notes))
        return Document(
            title=_TITLES[protocol.kind][self._language == "de"],
            verdict=self._word("passed" if protocol.passed else "failed"),
            passed=protocol.passed,
            sections=sections,
            signatures=(self._word("hand"), self._word("hand_operator")),
            footer=f"{protocol.reference}   {self._word('signed')} {kid or '-'}",
            findings=[say(finding, self._language) for finding in protocol.findings],
        )

    def _word(self, name: str) -> str:
        words = _WORDS.get(name)
        return name if words is None else words[self._language == "de"]

    def _about(self, p: Protocol) -> Section:
        locks = sorted({reading.lock for reading in (*p.opening, *p.closing)})
        rows = [
            ("reference", p.reference),
            ("site", p.site),
            ("gateway", p.gateway),
            ("old_gateway", p.old_gateway or ""),
            ("lock", ", ".join(locks)),
            ("technician", p.technician),
            ("began", _instant(p.began_at)),
            ("ended", _instant(p.ended_at)),
            ("software", p.software),
            ("remark", p.remark),
        ]
        return Section(self._word("about"), [(self._word(name), value) for name, value in rows if value])

    def _reading(self, which: str, reading: Reading) -> Section:
        source = self._word(reading.source.value)
        head = f"{self._word(which)}: {self._word('lock')} {reading.lock}, {_instant(reading.at)} ({source})"
        said = [f"{self._word('records')}: {reading.epoch}/{reading.newest_seq}"]
        if reading.firmware is not None:
            said.append(f"{self._word('firmware')}: {reading.firmware}")
        if reading.clock_status is not None:
            off = reading.clock_offset_s
            told = self._word("unset") if off is None else f"{self._word('off_by')} {off} s"
            said.append(f"{self._word('clock')}: {told}")
        if reading.access_list_version is not None:
            entries = f"{reading.access_list_entries} {self._word('entries')}"
            said.append(f"{self._word('access_list')}: {reading.access_list_version} ({entries})")
        rows = [
            (
                str(c.number),
                str(c.volume_ml),
                str(c.register_count),
                "-" if c.proven_by is None else str(c.proven_by),
            )
            for c in reading.chambers
        ]
        names = [self._word(name) for name in ("chamber", "volume", "register", "proven_by")]
        return Section(f"{head}\n{'; '.join(said)}", rows, names)

    def _registers(self, p: Protocol) -> Section:
        names = ["lock", "chamber", "opening", "closing", "moved", "pours_count", "agrees"]
        rows = [
            (
                c.lock,
                str(c.chamber),
                str(c.opening),
                str(c.closing),
                str(c.moved),
                str(c.pours),
                self._yes(c.holds),
            )
            for c in p.registers
        ]
        return Section(self._word("registers"), rows, [self._word(name) for name in names])

    def _volumes(self, p: Protocol) -> Section:
        names = ["chamber", "planned", "set", "recorded", "measured", "deviation", "agrees"]
        rows = [
            (
                str(v.chamber),
                "-" if v.planned_ml is None else str(v.planned_ml),
                str(v.controller_ml),
                ", ".join(map(str, v.recorded_ml)) or "-",
                "-" if v.measured_ml is None else str(v.measured_ml),
                "-" if v.deviation_permille is None else self._percent(v.deviation_permille),
                self._yes(v.holds),
            )
            for v in p.volumes
        ]
        return Section(self._word("volumes"), rows, [self._word(name) for name in names])

    def _pours(self, p: Protocol) -> Section:
        names = ["record", "time", "chamber", "result", "volume", "register", "credential"]
        rows = [
            (
                str(pour.seq),
                "-" if pour.began_at is None else _instant(pour.began_at),
                str(pour.chamber),
                self._word(pour.result),
                str(pour.volume_ml),
                str(pour.register_count),
                self._word("service" if pour.service else "other"),
            )
            for pour in p.pours
        ]
        return Section(self._word("pours"), rows, [self._word(name) for name in names])

    def _percent(self, permille: int) -> str:
        told = f"{permille / 10:+.1f} %"
        return told.replace(".", ",") if self._language == "de" else told

    def _yes(self, holds: bool) -> str:
        return self._word("yes" if holds else "no")


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
