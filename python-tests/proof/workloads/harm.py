"""What may befall the bytes of a file; every kind changes them."""

from __future__ import annotations

import random

KINDS = ("flipped", "truncated", "extended", "zeroed")
LONGEST_EXTENSION = 5000


def harmed(content: bytes, kind: str, chance: random.Random) -> tuple[bytes, str]:
    """The content with a random damage of that kind, and where it is."""
    return {"flipped": flipped, "truncated": truncated, "extended": extended, "zeroed": zeroed}[
        kind
    ](content, chance)


def flipped(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """One byte, changed into any other."""
    place, by = chance.randrange(len(content)), chance.randrange(1, 256)
    damaged = bytearray(content)
    damaged[place] ^= by
    return bytes(damaged), f"byte {place} ^ {by:#04x}"


def truncated(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Anything but the end; often only a little is missing."""
    size = len(content)
    end = max(0, size - chance.randint(1, 64)) if chance.random() < 0.3 else chance.randrange(size)
    return content[:end], f"{end} of {size} bytes"


def extended(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """Zeros, random bytes, or a part of itself behind the end."""
    count = chance.choice((1, 2, 512, 4096, chance.randint(1, LONGEST_EXTENSION)))
    more = chance.choice((bytes(count), chance.randbytes(count), content[:count]))
    return content + more, f"{len(more)} bytes more"


def zeroed(content: bytes, chance: random.Random) -> tuple[bytes, str]:
    """A range that is not all zeros before; or what is there instead, if there is no such range."""
    size = len(content)
    places = [place for place, byte in enumerate(content) if byte]
    if not places:
        return flipped(content, chance)
    # Around a byte that is something, so that zeros are damage.
    middle = chance.choice(places)
    length = chance.choice((1, 16, 512, 4096, size))
    begin = max(0, middle - chance.randrange(length))
    end = min(size, max(begin + length, middle + 1))
    return content[:begin] + bytes(end - begin) + content[end:], f"bytes {begin} to {end} zeroed"
