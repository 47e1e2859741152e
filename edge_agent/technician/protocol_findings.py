"""What a protocol can find, in words: what is wrong, and what to do about it."""

from typing import Literal

from wastelock.protocol import Finding

Language = Literal["de", "en"]

# (English, German). What people have to do about a finding stands in it.
FINDINGS: dict[str, tuple[str, str]] = {
    "volume_not_planned": (
        "Chamber {chamber} is set to {ml} ml, planned are {planned_ml} ml. Set it at the controller, or correct the "
        "plan, and begin again.",
        "Kammer {chamber} ist auf {ml} ml eingestellt, geplant sind {planned_ml} ml. Am Steuergerät einstellen oder "
        "den Plan berichtigen, dann neu beginnen.",
    ),
    "register_unproven": (
        "No record shows the register of chamber {chamber} ({register}). Switch the controller off and on: then it "
        "reports its registers. If that doesn't help, have its memory checked.",
        "Kein Datensatz belegt den Zählerstand von Kammer {chamber} ({register}). Steuergerät aus- und einschalten: "
        "dann meldet es seine Zählerstände. Hilft das nicht, den Speicher prüfen lassen.",
    ),
    "pours_missing": (
        "Chamber {chamber}: {missing} of {wanted} test pours weren't made. Check the transponder's rights, the flap "
        "and the container, then begin again.",
        "Kammer {chamber}: {missing} von {wanted} Probeeinwürfen fehlen. Rechte des Chips, Klappe und Behälter "
        "prüfen, dann neu beginnen.",
    ),
    "register_sum": (
        "Chamber {chamber}: the register moved by {moved}, but {pours} complete pours are recorded. Don't put it in "
        "service; have the controller checked.",
        "Kammer {chamber}: der Zähler stieg um {moved}, aufgezeichnet sind {pours} vollständige Einwürfe. Nicht in "
        "Betrieb nehmen; Steuergerät prüfen lassen.",
    ),
    "volume_recorded": (
        "Chamber {chamber}: records tell {recorded_ml} ml, the controller is set to {ml} ml. Have the controller "
        "checked.",
        "Kammer {chamber}: die Datensätze nennen {recorded_ml} ml, eingestellt sind {ml} ml. Steuergerät prüfen "
        "lassen.",
    ),
    "volume_measured": (
        "Chamber {chamber}: measured {measured_ml} ml, charged are {ml} ml: more than {percent} % apart. Measure "
        "again, or set the volume at the controller to what the chamber holds.",
        "Kammer {chamber}: gemessen {measured_ml} ml, berechnet werden {ml} ml: mehr als {percent} % Abweichung. "
        "Noch einmal messen oder das Volumen am Steuergerät richtig einstellen.",
    ),
    "fault": (
        "Fault {fault} is raised. See to it at the lock, then begin again.",
        "Störung {fault} steht an. An der Schleuse beheben, dann neu beginnen.",
    ),
    "state": (
        "The lock's state is {state}. See to it at the lock, then begin again.",
        "Die Schleuse ist im Zustand {state}. An der Schleuse beheben, dann neu beginnen.",
    ),
    "clock_unset": (
        "The controller's clock isn't set. The agent sets it within a minute if it runs and the gateway's own clock "
        "can be trusted (edge-agent doctor); then begin again.",
        "Die Uhr des Steuergeräts ist nicht gestellt. Der Agent stellt sie binnen einer Minute, wenn er läuft und die "
        "Uhr des Gateways stimmt (edge-agent doctor); dann neu beginnen.",
    ),
    "clock_off": (
        "The controller's clock is off by {offset_s} s. See to the gateway's clock (edge-agent doctor); the agent "
        "sets the controller's; then begin again.",
        "Die Uhr des Steuergeräts weicht um {offset_s} s ab. Uhr des Gateways prüfen (edge-agent doctor); der Agent "
        "stellt dann die des Steuergeräts; neu beginnen.",
    ),
    "no_journal": (
        "This controller keeps no journal: pours are derived from its registers.",
        "Dieses Steuergerät hat keinen Ereignisspeicher: Einwürfe sind aus Zählerständen abgeleitet.",
    ),
    "no_access_list": (
        "No access list is in force yet: residents' transponders are refused until there is one.",
        "Es gilt noch keine Zugangsliste: Chips der Bewohner werden abgewiesen, bis es eine gibt.",
    ),
    "chambers_off": (
        "Chambers {chambers} are switched off.",
        "Kammern {chambers} sind abgeschaltet.",
    ),
    "gone_on": (
        "The test was interrupted, and gone on with from the opening reading of {at}.",
        "Die Prüfung wurde unterbrochen und ab dem Anfangsstand vom {at} fortgesetzt.",
    ),
    "not_locked": (
        "Lock {lock} can't be locked from afar: {why}. Take it off power or close it by hand.",
        "Schleuse {lock} lässt sich nicht aus der Ferne sperren: {why}. Stromlos machen oder von Hand verschließen.",
    ),
    "locked": (
        "All chambers of lock {lock} were switched off before the closing reading.",
        "Alle Kammern der Schleuse {lock} wurden vor dem Endstand abgeschaltet.",
    ),
    "received": (
        "All records of lock {lock} up to {seq} are in the ledger.",
        "Alle Datensätze der Schleuse {lock} bis {seq} sind im Hauptbuch.",
    ),
    "exported": (
        "Records of lock {lock} that the ledger hasn't confirmed are in {file}: import it there.",
        "Noch nicht bestätigte Datensätze der Schleuse {lock} sind in {file}: dort einlesen.",
    ),
    "dead_controller": (
        "Controller {lock} didn't answer any more: its closing registers are those of the last record on disk. What "
        "it recorded after record {seq} is lost with it, unless its memory can be read.",
        "Steuergerät {lock} antwortete nicht mehr: sein Endstand ist der des letzten gespeicherten Datensatzes. Was "
        "es nach Datensatz {seq} aufzeichnete, ist verloren, wenn sein Speicher nicht gelesen werden kann.",
    ),
    "unknown_before": (
        "Nothing is known of lock {lock} before the swap: no record of it is on the old disk.",
        "Über Schleuse {lock} ist von vor dem Tausch nichts bekannt: auf dem alten Datenträger ist kein Datensatz.",
    ),
    "another_epoch": (
        "Lock {lock} began a new journal (epoch {epoch}) since: its registers can't be compared.",
        "Schleuse {lock} hat seither einen neuen Ereignisspeicher begonnen (Epoche {epoch}): die Zählerstände sind "
        "nicht vergleichbar.",
    ),
    "overwritten": (
        "Lock {lock}: records between the readings aren't in its ring any more ({why}); they must be in the ledger.",
        "Schleuse {lock}: Datensätze zwischen den Ständen sind nicht mehr im Ringspeicher ({why}); sie müssen im "
        "Hauptbuch sein.",
    ),
    "silent": (
        "Lock {lock} doesn't answer ({why}). See to its wiring and address, then begin again.",
        "Schleuse {lock} antwortet nicht ({why}). Verkabelung und Adresse prüfen, dann neu beginnen.",
    ),
}


def say(finding: Finding, language: Language) -> str:
    """Return a finding in words; of one that isn't known here, its code and values."""
    words = FINDINGS.get(finding.code)
    if words is None:
        return f"{finding.code}: {', '.join(f'{name} {value}' for name, value in finding.values.items())}"
    return words[language == "de"].format_map(finding.values)
