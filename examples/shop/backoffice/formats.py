"""How numbers are written on the pages."""


def money(cents: float) -> str:
    """Write cents as dollars: `$1,234.50`, and `-$0.50` below zero."""
    return f"{'-' if cents < 0 else ''}${abs(cents) / 100:,.2f}"


def over(number: float, count: float) -> float:
    """Divide; nothing over nothing is nothing."""
    return number / count if count else 0


def percent(number: float, whole: float) -> str:
    """Write a share as CSS understands it: `12.5%`."""
    return f"{100 * over(number, whole):.1f}%"


def milliseconds(seconds: float, digits: int = 1) -> str:
    """Write seconds as milliseconds."""
    return f"{seconds * 1000:,.{digits}f}"
