"""Card numbers (PANs): recognised so that they can be refused at the border and kept out of logs. PCI DSS 3.4, 3.5.

A PAN here is a run of 13 to 19 ASCII digits that passes the Luhn check and begins as a payment card does: 3 to 6, or
2221 to 2720 (ISO/IEC 7812; the latter Mastercard's second range). It stands alone: not inside a longer run of digits
or letters (a hash, an identifier), not as part of a decimal number, not within a UUID. It may be grouped as printed on
cards, 4-4-4-… or 4-6-4/5, by single spaces or dashes; and it may be followed by ``D`` or ``=`` and digits, as in track
2 data. Timestamps, meter registers and counters are therefore left alone, unless they happen to be all of this.
"""

from __future__ import annotations

import re
from bisect import bisect_right

_PLAIN = r"[2-6][0-9]{12,18}"
_GROUPED = r"[2-6][0-9]{3}([ -])(?:[0-9]{4}\1[0-9]{4}\1(?:[0-9]{4}\1[0-9]{1,3}|[0-9]{1,7})|[0-9]{6}\1[0-9]{4,5})"
_CANDIDATE = re.compile(
    rf"(?<![0-9A-Za-z])(?<![0-9]\.)(?:{_GROUPED}|{_PLAIN})(?=[D=][0-9]{{4}}|(?!\.?[0-9A-Za-z])(?![ -][0-9]))"
)
_UUID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}(?![0-9A-Za-z])")
_DIGITS = "0123456789"
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # twice the digit, its own digits added


def _passes_luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B: every second digit from the right doubled, the sum a multiple of ten."""
    numbers = [int(digit) for digit in reversed(digits)]
    return (sum(numbers[::2]) + sum(_DOUBLED[number] for number in numbers[1::2])) % 10 == 0


def _is_pan(candidate: str) -> bool:
    digits = "".join(character for character in candidate if character in _DIGITS)
    begins = digits[0] in "3456" or 2221 <= int(digits[:4]) <= 2720
    return 13 <= len(digits) <= 19 and begins and _passes_luhn(digits)


def _pans(text: str) -> list[tuple[int, int]]:
    """Where card numbers stand in the text."""
    if _CANDIDATE.search(text) is None:  # nearly always
        return []
    uuids = [match.span() for match in _UUID.finditer(text)]
    begins = [start for start, _ in uuids]

    def within_uuid(at: int) -> bool:
        before = bisect_right(begins, at) - 1  # hostile texts are full of both: no search through all of them
        return before >= 0 and at < uuids[before][1]

    return [m.span() for m in _CANDIDATE.finditer(text) if _is_pan(m[0]) and not within_uuid(m.start())]


def contains_pan(text: str) -> bool:
    """Whether a card number stands anywhere in the text."""
    return bool(_pans(text))


def mask(pan_like: str) -> str:
    """Everything but the last four digits (or fewer, if it is short) as ``*``: also of what is masked already.

    Spaces and dashes are dropped: ``"512345******1234"`` and ``"5123 45** **** 1234"`` give ``"************1234"``.
    """
    symbols = [character for character in pan_like if character not in " -"]
    kept = 4 if len(symbols) > 4 else 0
    return "*" * (len(symbols) - kept) + "".join(symbols[len(symbols) - kept :])


def redact_pans(text: str) -> str:
    """The text with every card number masked but for its last four digits."""
    kept = 0
    pieces = []
    for start, end in _pans(text):
        pieces += [text[kept:start], mask(text[start:end])]
        kept = end
    return "".join([*pieces, text[kept:]])
