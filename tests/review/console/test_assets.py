from __future__ import annotations

import re
from pathlib import Path

import pytest

from review.console import assets
from tests.review.console.builders import House


def test_our_files_are_served_for_ever_under_a_name_that_changes_with_them(house: House) -> None:
    for asset in assets.load().values():
        response = house.browser().get(asset.address)
        assert (response.status_code, response.content) == (200, asset.body)
        assert response.headers["cache-control"] == assets.FOREVER
        assert response.headers["content-type"].startswith(asset.media_type)


def test_nothing_else_is_served(house: House) -> None:
    for name in ("base.css", "..%2fapp.py", "%2e%2e%2fguard.py", "000000000000/base.css"):
        assert house.browser().get(f"/static/{name}").status_code == 404


def test_a_changed_file_has_another_address(tmp_path: Path) -> None:
    """One digest stands in every address: a script never meets another of an older kind."""
    for name, asset in assets.load().items():
        (tmp_path / name).write_bytes(asset.body + b" " * (name == "say.js"))
    assert assets.load()["main.js"].address != assets.load(tmp_path)["main.js"].address


def test_text_is_packed_for_whoever_takes_it(house: House) -> None:
    asset = assets.load()["base.css"]
    packed = house.browser().get(asset.address, **{"accept-encoding": "gzip"})
    assert (packed.headers["content-encoding"], packed.content) == ("gzip", asset.body)
    assert "content-encoding" not in house.browser().get(asset.address, **{"accept-encoding": "identity"}).headers


def test_scripts_import_only_one_another() -> None:
    for name, asset in assets.load().items():
        if name.endswith(".js"):
            imported = re.findall(r'from "([^"]+)"', asset.body.decode())
            assert {one.removeprefix("./") for one in imported} <= set(assets.load()), name


def test_the_script_makes_no_markup_from_text() -> None:
    script = "".join(file.read_text() for file in assets.STATIC.glob("*.js"))
    assert not re.search(r"innerHTML\s*=|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)


# --- contrast: every pair of colours that text is set in, in both schemes (WCAG 2.2, 1.4.3) ---

PAIRS = [
    ("ink", "paper"),
    ("ink", "surface"),
    ("ink", "sunken"),
    ("muted", "paper"),
    ("muted", "surface"),
    ("muted", "sunken"),
    ("accent", "paper"),
    ("accent", "surface"),
    ("accent-ink", "accent"),
    ("high", "surface"),
    ("high", "paper"),
    ("high", "high-soft"),
    ("medium", "surface"),
    ("medium", "medium-soft"),
    ("low", "surface"),
    ("low", "low-soft"),
    ("held", "surface"),
    ("ink", "held-soft"),
    ("muted", "held-soft"),
    ("high", "held-soft"),
    ("ink", "accent-soft"),
    ("ink", "low-soft"),
    ("ink", "high-soft"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS, ids=lambda name: name)
def test_text_has_contrast_enough(text: str, ground: str, scheme: str) -> None:
    colours = _colours()[scheme]
    assert _contrast(colours[text], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_edges_of_fields_have_contrast_enough(scheme: str) -> None:
    colours = _colours()[scheme]
    assert _contrast(colours["edge"], colours["surface"]) >= 3


def _colours() -> dict[str, dict[str, str]]:
    css = (assets.STATIC / "base.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    found = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in (light, dark)]
    return {"light": found[0], "dark": {**found[0], **found[1]}}


def _contrast(one: str, two: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
