"""A tokenizer of characters, which llama.cpp reads as a SentencePiece vocabulary.

Three marks, 256 bytes, then the characters of the text it was made from, most frequent first. A character that is not
known is written as its UTF-8 bytes. Two known characters never join to a longer token, so what llama.cpp makes of a
text is what `encode` makes of it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

UNKNOWN, BEGIN, END = 0, 1, 2
FIRST_BYTE, FIRST_CHARACTER = 3, 259
CHARACTERS_MAX = 8_000
SPACE = "\u2581"
"""How SentencePiece writes a space."""


class Characters:
    """Text to token ids and back."""

    def __init__(self, characters: Sequence[str]) -> None:
        self.characters = list(characters)
        self._ids = {character: FIRST_CHARACTER + at for at, character in enumerate(characters)}

    def __len__(self) -> int:
        return FIRST_CHARACTER + len(self.characters)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for character in text:
            known = self._ids.get(character)
            ids += [known] if known is not None else [FIRST_BYTE + byte for byte in character.encode()]
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        data = b""
        for token in ids:
            if token >= FIRST_CHARACTER:
                data += self.characters[token - FIRST_CHARACTER].encode()
            elif token >= FIRST_BYTE:
                data += bytes([token - FIRST_BYTE])
        return data.decode(errors="replace")

    def pieces(self) -> list[str]:
        """The vocabulary as SentencePiece writes it."""
        known = [SPACE if character == " " else character for character in self.characters]
        return ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *known]


def learn(text: str) -> Characters:
    """The tokenizer of a text. SPACE itself is left to its bytes, as llama.cpp would take it for a space."""
    counted = Counter(text)
    del counted[SPACE]
    ranked = sorted(counted, key=lambda character: (-counted[character], character))
    return Characters(ranked[:CHARACTERS_MAX])


def from_pieces(pieces: Sequence[str]) -> Characters:
    """The tokenizer behind a vocabulary that `pieces` made. Raises ValueError for another one."""
    characters = [" " if piece == SPACE else piece for piece in pieces[FIRST_CHARACTER:]]
    made = Characters(characters)
    if made.pieces() != list(pieces) or any(len(character) != 1 for character in characters):
        raise ValueError("the vocabulary is not one of characters and bytes")
    return made
