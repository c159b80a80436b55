"""The unified social credit code (统一社会信用代码), GB 32100-2015. Pure.

18 characters out of 31: registrar, type, six digits of region (GB/T 2260), nine of organisation code (GB 11714), one
check character. The weighted sum of all 18, weights 3^i, is 0 modulo the prime 31; so every single wrong character and
every exchange of two neighbours is caught.
"""

import re
import unicodedata

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
LENGTH = 18
WEIGHTS = tuple(pow(3, position, 31) for position in range(LENGTH - 1))
ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
INVENTED_REGION = "990000"
"""No division has this code: a USCC with it is visibly invented."""
INVENTED_MAX = 99_999
_SHAPE = re.compile(f"[{ALPHABET}]{{2}}[0-9]{{6}}[{ALPHABET}]{{10}}")


def normal(text: str) -> str:
    """The code as it is stored: half-width capitals without spaces."""
    return "".join(unicodedata.normalize("NFKC", text).split()).upper()


def check_character(first17: str) -> str:
    """The 18th character. Raises ValueError when a character is outside the alphabet."""
    total = sum(ALPHABET.index(character) * weight for character, weight in zip(first17, WEIGHTS, strict=True))
    return ALPHABET[-total % 31]


def fault(code: str) -> str:
    """'' for a good code, else the rule it breaks: `uscc_length`, `uscc_characters` or `uscc_check`."""
    if len(code) != LENGTH:
        return "uscc_length"
    if not _SHAPE.fullmatch(code):
        return "uscc_characters"
    return "" if check_character(code[:17]) == code[17] else "uscc_check"


def organisation_code(first8: str) -> str:
    """The nine-character organisation code of GB 11714: eight characters and their check modulo 11."""
    total = sum(int(character, 36) * weight for character, weight in zip(first8, ORGANISATION_WEIGHTS, strict=True))
    check = 11 - total % 11
    return first8 + {10: "X", 11: "0"}.get(check, str(check))


def invented(serial: int) -> str:
    """A code for demonstrations: passes the check, region 990000 that no division has, and DEM in the middle."""
    if not 0 <= serial <= INVENTED_MAX:
        raise ValueError(f"serial {serial} is outside 0..{INVENTED_MAX}")
    first17 = "91" + INVENTED_REGION + organisation_code(f"DEM{serial:05d}")
    return first17 + check_character(first17)
