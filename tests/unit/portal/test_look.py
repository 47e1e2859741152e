"""The colours: every text can be read on its ground, in light and dark (WCAG 2.2, level AA)."""

import re
from pathlib import Path

import pytest

CSS = Path("portal/static/tokens.css").read_text(encoding="utf-8")
# Text on ground. What carries meaning without text (lines, marks of charts) needs 3 : 1.
TEXTS = [
    *(
        (text, ground)
        for text in ("text", "text-soft", "accent")
        for ground in ("ground", "surface", "sunken")
    ),
    *((tone, f"{tone}-soft") for tone in ("good", "warning", "critical", "info", "off", "accent")),
    *((tone, "surface") for tone in ("good", "warning", "critical", "info")),
    ("accent-text", "accent"),
]
MARKS = [
    *((f"series-{number}", "surface") for number in range(1, 5)),
    ("line-strong", "surface"),
    ("focus", "ground"),
    ("focus", "surface"),
]


def colours(dark: bool) -> dict[str, str]:
    light_part, _, dark_part = CSS.partition("@media (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", light_part))
    return {**found, **dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", dark_part))} if dark else found


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_reckoned_as_the_standard_has_it() -> None:
    assert contrast("#000000", "#ffffff") == 21
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48


@pytest.mark.parametrize("dark", [False, True])
def test_texts_can_be_read(dark: bool) -> None:
    palette = colours(dark)
    faint = [(text, ground) for text, ground in TEXTS if contrast(palette[text], palette[ground]) < 4.5]
    assert faint == []


@pytest.mark.parametrize("dark", [False, True])
def test_marks_can_be_told_from_their_ground(dark: bool) -> None:
    palette = colours(dark)
    faint = [(mark, ground) for mark, ground in MARKS if contrast(palette[mark], palette[ground]) < 3]
    assert faint == []


def test_styles_name_only_colours_that_there_are() -> None:
    known = set(re.findall(r"--([a-z0-9-]+):", CSS))
    for path in Path("portal/static").glob("*.css"):
        text = path.read_text(encoding="utf-8")
        used = set(re.findall(r"var\(--([a-z0-9-]+)\)", text))
        assert used - known - set(re.findall(r"--([a-z0-9-]+):", text)) == set(), path
        assert not re.search(r"url\(|@import", text), f"{path} fetches something"
