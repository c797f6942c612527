"""The wholesaler of the shop, who is hard to reach."""


class LineBusyError(Exception):
    """The wholesaler is on the phone with somebody else."""


def call(attempt: int) -> None:
    """Call the wholesaler, whose line is always busy at the first attempt; LineBusyError says so."""
    if attempt == 1:
        raise LineBusyError("The wholesaler's line is busy")
