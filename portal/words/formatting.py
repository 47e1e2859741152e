"""Numbers, days, instants, volumes and money as people of a language write them. Litres and euros are exact."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_skeleton, format_time, format_timedelta
from babel.numbers import format_currency, format_decimal, format_percent

_ABSENT = "–"
_LONG_MS = 100_000
_A_SECOND = timedelta(seconds=1)
_LOCALES = {
    "de": "de_DE",
    "en": "en_GB",
}  # in English, too, days come before months and weeks begin on Mondays


class Formatting:
    """What is None is shown as a dash."""

    def __init__(self, language: str, zone: ZoneInfo) -> None:
        self.language = language
        self.zone = zone
        self._locale = _LOCALES[language]

    def number(self, value: int | Decimal | None) -> str:
        """Return 1234 as 1.234."""
        return _ABSENT if value is None else format_decimal(value, locale=self._locale)

    def volume(self, volume_ml: int | None) -> str:
        """Return millilitres as litres: 12,5 l."""
        if volume_ml is None:
            return _ABSENT
        return f"{format_decimal(Decimal(volume_ml) / 1000, format='#,##0.###', locale=self._locale)}\u00a0l"

    def money(self, amount_cents: int | None) -> str:
        """Return cents as euros: 12,34 €."""
        if amount_cents is None:
            return _ABSENT
        return format_currency(Decimal(amount_cents) / 100, "EUR", locale=self._locale)

    def exact_money(self, exact_cents: Fraction) -> str:
        """Return an exact share in euros to four places, cut off; an ellipsis says that it goes on."""
        scaled = exact_cents * 100
        whole = scaled.numerator // scaled.denominator
        shown = format_decimal(Decimal(whole) / 10_000, format="#,##0.0000", locale=self._locale)
        return f"{shown}{'' if whole == scaled else '…'}\u00a0€"

    def area(self, area_dm2: int | None) -> str:
        """Return square decimetres as square metres: 62,40 m²."""
        if area_dm2 is None:
            return _ABSENT
        return f"{format_decimal(Decimal(area_dm2) / 100, format='#,##0.00', locale=self._locale)}\u00a0m²"

    def weight_of(self, key: str, weight: int) -> str:
        """Return a weight of a pool in the unit that people know: areas in m², volumes in litres, days as they are."""
        match key:
            case "area_dm2_days":
                return format_decimal(Decimal(weight) / 100, format="#,##0.00", locale=self._locale)
            case "billed_ml":
                return format_decimal(Decimal(weight) / 1000, format="#,##0.###", locale=self._locale)
        return self.number(weight)

    def permille(self, permille: int | None, digits: int = 0) -> str:
        """Return thousandths as per cent: 985 is 98,5 %. Never rounded up to 100 %: what is missing is shown."""
        if permille is None:
            return _ABSENT
        pattern = "0." + "0" * digits if digits else "0"
        shown = Decimal(permille) / 1000
        if permille < 1000:
            shown = shown.quantize(Decimal(1).scaleb(-2 - digits), rounding="ROUND_DOWN")
        return format_percent(shown, format=f"{pattern}\u00a0%", locale=self._locale)

    def weight(self, weight_g: int | None) -> str:
        """Return grams as kilograms: 1,25 kg."""
        if weight_g is None:
            return _ABSENT
        return f"{format_decimal(Decimal(weight_g) / 1000, format='#,##0.##', locale=self._locale)}\u00a0kg"

    def measure(self, value: int | None, per: int, digits: int, unit: str) -> str:
        """Return a whole number of small units in the one that people use: 3650 mV, 1000 a volt, as 3,65 V."""
        if value is None:
            return _ABSENT
        pattern = "#,##0." + "0" * digits
        return f"{format_decimal(Decimal(value) / per, format=pattern, locale=self._locale)}\u00a0{unit}"

    def latency(self, latency_ms: int | None) -> str:
        """Return milliseconds as seconds, from some minutes on as a length of time."""
        if latency_ms is None or latency_ms < _LONG_MS:
            return self.measure(latency_ms, 1000, 1, "s")
        return self.duration(timedelta(milliseconds=latency_ms))

    def day(self, day: date | datetime | None) -> str:
        """Return 25.11.2026; of an instant the day that it belongs to in the property's zone."""
        if isinstance(day, datetime):
            day = day.astimezone(self.zone).date()
        return _ABSENT if day is None else format_date(day, format="medium", locale=self._locale)

    def last_day(self, end: date | None) -> str:
        """Return the last day before an end; nothing where it still goes on."""
        return "" if end is None else self.day(end - timedelta(days=1))

    def month(self, day: date | None) -> str:
        """Return the month of a day: November 2026."""
        return _ABSENT if day is None else str(format_skeleton("yMMMM", day, locale=self._locale))

    def short_month(self, month: str) -> str:
        """Return the month of `2026-11`: Nov."""
        day = date.fromisoformat(f"{month}-01")
        return str(format_date(day, format="LLL", locale=self._locale)).rstrip(".")

    def weekday(self, at: datetime | None) -> str:
        """Return weekday, day and time to the minute: Mi. 25.11., 18:06."""
        if at is None:
            return _ABSENT
        pattern = "EEE dd.MM., HH:mm" if self.language == "de" else "EEE d MMM, HH:mm"
        return format_datetime(at, format=pattern, tzinfo=self.zone, locale=self._locale)

    def instant(self, at: datetime | None) -> str:
        """Return day and time to the second, in the zone of the property."""
        if at is None:
            return _ABSENT
        return format_datetime(at, format="medium", tzinfo=self.zone, locale=self._locale)

    def minute(self, at: datetime | None) -> str:
        """Return day and time to the minute."""
        if at is None:
            return _ABSENT
        return format_datetime(at, format="short", tzinfo=self.zone, locale=self._locale)

    def time(self, at: datetime | None) -> str:
        """Return the time of day to the second."""
        return (
            _ABSENT if at is None else format_time(at, format="medium", tzinfo=self.zone, locale=self._locale)
        )

    def duration(self, duration: timedelta | None) -> str:
        """Return a length of time in its greatest unit: 3 Stunden."""
        if duration is None:
            return _ABSENT
        return format_timedelta(duration, threshold=1.2, locale=self._locale)

    def ago(self, at: datetime | None, now: datetime) -> str:
        """Return how long ago an instant was: vor 3 Stunden."""
        if at is None:
            return _ABSENT
        since = at - now
        if abs(since) < _A_SECOND:
            since = -_A_SECOND  # not "in 0 seconds"
        return format_timedelta(since, add_direction=True, threshold=1.2, locale=self._locale)
