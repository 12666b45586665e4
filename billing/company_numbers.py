"""Organisation and VAT numbers: written alike, and refused where a country's rule says they cannot be. Pure.

Only well-known rules are held to: Norway's and Sweden's check digits, and how the members of the European Union write
their VAT numbers. Whether a company of that number exists is nobody's to say here.
"""

from __future__ import annotations

import re

#: VAT numbers by country (ISO 3166-1), as the EU's VIES has them. Greece writes EL, Northern Ireland (in GB) XI.
_VAT: dict[str, str] = {
    "AT": r"ATU[0-9]{8}",
    "BE": r"BE[01][0-9]{9}",
    "BG": r"BG[0-9]{9,10}",
    "CY": r"CY[0-9]{8}[A-Z]",
    "CZ": r"CZ[0-9]{8,10}",
    "DE": r"DE[0-9]{9}",
    "DK": r"DK[0-9]{8}",
    "EE": r"EE[0-9]{9}",
    "ES": r"ES[A-Z0-9][0-9]{7}[A-Z0-9]",
    "FI": r"FI[0-9]{8}",
    "FR": r"FR[A-Z0-9]{2}[0-9]{9}",
    "GR": r"EL[0-9]{9}",
    "HR": r"HR[0-9]{11}",
    "HU": r"HU[0-9]{8}",
    "IE": r"IE[0-9][A-Z0-9+*][0-9]{5}[A-Z]{1,2}",
    "IT": r"IT[0-9]{11}",
    "LT": r"LT([0-9]{9}|[0-9]{12})",
    "LU": r"LU[0-9]{8}",
    "LV": r"LV[0-9]{11}",
    "MT": r"MT[0-9]{8}",
    "NL": r"NL[A-Z0-9+*]{10}[0-9]{2}",
    "PL": r"PL[0-9]{10}",
    "PT": r"PT[0-9]{9}",
    "RO": r"RO[0-9]{2,10}",
    "SE": r"SE[0-9]{12}",
    "SI": r"SI[0-9]{8}",
    "SK": r"SK[0-9]{10}",
}
_SANE = re.compile(r"[0-9A-Za-z][0-9A-Za-z .:/+*&-]{0,38}")
_BETWEEN = re.compile(r"[ .\-]")
_NORWEGIAN_WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2)


def organisation_number(country: str, text: str) -> str:
    """An organisation number as it is kept: Norway's and Sweden's in digits alone, others as they were written.

    Raises ``ValueError`` with what is wrong with it. ``country``: ISO 3166-1 alpha-2.
    """
    if country == "NO":
        return _norwegian(_BETWEEN.sub("", text))
    if country == "SE":
        return _swedish(_BETWEEN.sub("", text))
    if not _SANE.fullmatch(text):
        raise ValueError("An organisation number has 1 to 39 letters, digits and . - / between them.")
    return text


def vat_number(country: str, text: str) -> str:
    """A VAT number as it is kept, without spaces; "" for who has none. Raises ``ValueError`` as above."""
    if not text:
        return ""
    number = _BETWEEN.sub("", text).upper()
    if country == "NO":
        return _norwegian(number.removeprefix("NO").removesuffix("MVA")) + "MVA"
    pattern = _VAT.get(country)
    if pattern is None:
        if not _SANE.fullmatch(text):
            raise ValueError("A VAT number has 1 to 39 letters, digits and . - / between them.")
        return text
    if not re.fullmatch(pattern, number, re.ASCII):
        prefix = "EL" if country == "GR" else country
        raise ValueError(
            f"A VAT number of {country} begins with {prefix} and has the form that the EU's VIES gives for it; "
            "copy it from the VAT registration, prefix included."
        )
    return number


def _norwegian(digits: str) -> str:
    if not re.fullmatch(r"[0-9]{9}", digits, re.ASCII):
        raise ValueError("A Norwegian organisation number has nine digits (a VAT number: and MVA after them).")
    rest = sum(int(digit) * weight for digit, weight in zip(digits, _NORWEGIAN_WEIGHTS, strict=False)) % 11
    if (11 - rest) % 11 != int(digits[8]):
        raise ValueError("The last digit of this Norwegian organisation number does not fit the others: mistyped?")
    return digits


def _swedish(digits: str) -> str:
    if not re.fullmatch(r"[0-9]{10}", digits, re.ASCII):
        raise ValueError("A Swedish organisation number has ten digits.")
    doubled = (int(digit) * (2 - n % 2) for n, digit in enumerate(digits))
    if sum(part // 10 + part % 10 for part in doubled) % 10:
        raise ValueError("The last digit of this Swedish organisation number does not fit the others: mistyped?")
    return digits
