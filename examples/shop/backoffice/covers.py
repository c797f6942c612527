"""The covers of the CDs: pictures drawn from the names of the products, for these albums have no others."""

from collections.abc import Callable
from zlib import crc32

PALETTES = [
    ("#f4e9d8", "#d9592b", "#20303f"),
    ("#12263a", "#f2b134", "#ed553b"),
    ("#e8ede6", "#2f6b5e", "#f2a541"),
    ("#2b2140", "#e86a92", "#f7d6bf"),
    ("#f6f1e7", "#3d5a80", "#ee6c4d"),
    ("#1f2a24", "#a3c4a8", "#e8c07d"),
    ("#f3d9c9", "#7a2e3a", "#f0a868"),
    ("#0f3040", "#7fc8d6", "#f4f1de"),
    ("#ece4f0", "#5b4b8a", "#f58549"),
    ("#272727", "#e3d26f", "#ca895f"),
]


def draw(name: str) -> str:
    """Return the cover of a product as the inside of an SVG of 100 by 100."""
    seed = crc32(name.encode())
    ground, first, second = PALETTES[seed % len(PALETTES)]
    design = DESIGNS[seed // 16 % len(DESIGNS)]
    return f'<rect width="100" height="100" fill="{ground}"/>{design(seed // 256, first, second)}'


def _rings(seed: int, first: str, second: str) -> str:
    x, y = 30 + seed % 41, 30 + seed // 41 % 41
    rings = (f'<circle cx="{x}" cy="{y}" r="{radius}"/>' for radius in range(14, 120, 12))
    return f'<g fill="none" stroke="{first}" stroke-width="4">{"".join(rings)}</g>{_disc(x, y, 9, second)}'


def _horizon(seed: int, first: str, second: str) -> str:
    sun = _disc(25 + seed % 51, 46, 14 + seed % 9, second)
    waves = (f'<rect y="{58 + 9 * row}" width="100" height="{2 + row * 1.4:.1f}"/>' for row in range(5))
    return f'{sun}<g fill="{first}">{"".join(waves)}</g>'


def _stripes(seed: int, first: str, second: str) -> str:
    bars = (f'<rect x="{x}" y="-60" width="9" height="220"/>' for x in range(-60, 160, 22))
    turned = f'<g fill="{first}" transform="rotate({20 + seed % 51} 50 50)">{"".join(bars)}</g>'
    return turned + _disc(50, 50, 20, second)


def _dots(seed: int, first: str, second: str) -> str:
    places = [(x, y) for y in range(14, 100, 18) for x in range(14, 100, 18)]
    marked = {seed % 25, seed // 25 % 25, seed // 625 % 25}
    return "".join(_disc(x, y, 6, second if place in marked else first) for place, (x, y) in enumerate(places))


def _quarters(seed: int, first: str, second: str) -> str:
    turns = [(seed >> 2 * place) % 4 * 90 for place in range(4)]
    corners = [(0, 0), (50, 0), (0, 50), (50, 50)]
    shapes = (
        f'<path d="M0 0H50A50 50 0 0 1 0 50Z" fill="{first if place % 3 else second}" '
        f'transform="translate({x} {y}) rotate({turn} 25 25)"/>'
        for place, ((x, y), turn) in enumerate(zip(corners, turns, strict=True))
    )
    return "".join(shapes)


def _waves(seed: int, first: str, second: str) -> str:
    swing = 8 + seed % 9
    paths = (f'<path d="M-10 {y}q15 -{swing} 30 0t30 0t30 0t30 0"/>' for y in range(16, 100, 14))
    return f'{_disc(70, 28, 13, second)}<g fill="none" stroke="{first}" stroke-width="4">{"".join(paths)}</g>'


def _peaks(seed: int, first: str, second: str) -> str:
    left, right = 20 + seed % 21, 60 + seed // 21 % 21
    return (
        f"{_disc(right - 12, 26, 11, second)}"
        f'<path d="M-10 100L{left} 38L{left + 46} 100Z" fill="{first}"/>'
        f'<path d="M{right - 44} 100L{right} 52L114 100Z" fill="{first}" opacity=".6"/>'
    )


def _disc(x: int, y: int, radius: int, fill: str) -> str:
    return f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{fill}"/>'


DESIGNS: list[Callable[[int, str, str], str]] = [_rings, _horizon, _stripes, _dots, _quarters, _waves, _peaks]
