"""Bank accounts: IBAN (ISO 13616) and BIC (ISO 9362), checked, and masked where they are only to be recognised. Pure.

What is refused is never repeated in the reason.
"""

from __future__ import annotations

import re
import warnings

from schwifty import BIC, IBAN, exceptions

_WHY_NOT: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.InvalidCountryCode, "does not begin with the code of a country that has IBANs."),
    (exceptions.InvalidLength, "does not have the length of its country's: digits are missing, or too many."),
    (exceptions.InvalidChecksumDigits, "has check digits that do not fit the rest: mistyped?"),
    (exceptions.InvalidBBANChecksum, "has an account number whose check digit does not fit: mistyped?"),
    (exceptions.InvalidStructure, "does not have the form of its country's: a letter for a digit, or the reverse?"),
)


def checked_iban(text: str) -> str:
    """The IBAN without spaces, in capitals. Raises ``ValueError`` with what is wrong with it."""
    try:
        with warnings.catch_warnings():  # of countries whose own check digits nobody here can verify
            warnings.simplefilter("ignore", exceptions.NationalChecksumNotVerified)
            return str(IBAN(text, validate_bban=True))
    except exceptions.SchwiftyException as error:
        why = next((said for kind, said in _WHY_NOT if isinstance(error, kind)), "is none that a bank would take.")
        raise ValueError(f"The IBAN {why}") from None


def checked_bic(text: str) -> str:
    """The BIC in capitals. Raises ``ValueError`` with what is wrong with it."""
    try:
        return str(BIC(text))
    except exceptions.InvalidCountryCode:
        raise ValueError("The BIC names no country in its fifth and sixth letters.") from None
    except exceptions.SchwiftyException:
        raise ValueError(
            "A BIC has 8 or 11 characters: bank (4), country (2), place (2), branch (3 or none)."
        ) from None


def mask_iban(iban: str) -> str:
    """Country and last four characters of an IBAN, or of what was meant for one."""
    kept = re.sub(r"\s", "", iban)
    return f"{kept[:2]}{'*' * max(0, len(kept) - 6)}{kept[-4:]}" if len(kept) > 8 else "*" * len(kept)
