"""The contrast of two colors, and the variables of a style sheet."""

import re

READABLE = 4.5  # WCAG 2.2, success criterion 1.4.3


def variables(text, selector):
    """Return the variables that the first rule of this selector sets."""
    rule = re.search(rf"{selector}\s*{{(.*?)}}", text, re.DOTALL)[1]
    return dict(re.findall(r"(--[\w-]+):\s*(#\w+)", rule))


def luminance(color):
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)
