"""Which values are secret, by name and by shape; what is shown instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MASK = "********"

_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|DSN|AUTHORIZATION|COOKIE", re.IGNORECASE)
_NO_SECRET = re.compile(r"^KEY(BOARD|MAP|WORD)", re.IGNORECASE)
# The user's part of a URL's authority, RFC 3986 section 3.2.1, when it holds a password.
_URL = re.compile(r"(://[^\s/@:?#]*):([^\s/@?#]+)@")
_OPTION = re.compile(r"(-{1,2}[A-Za-z0-9_-]+|[A-Za-z_][A-Za-z0-9_]*)([=:])(.+)", re.DOTALL)


def is_secret_name(name: str) -> bool:
    """Whether a variable, header or option of this name holds a secret."""
    return bool(_NAME.search(name)) and not _NO_SECRET.match(name)


def mask_text(text: str) -> str:
    """`text` with the passwords in its URLs masked."""
    return _URL.sub(rf"\1:{MASK}@", text) if "://" in text else text


def mask_value(name: str, value: str) -> str:
    """The value of `name` as it may be shown; an empty one is no secret."""
    return MASK if value and is_secret_name(name) else mask_text(value)


def mask_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment as it may be shown."""
    return {name: mask_value(name, value) for name, value in environment.items()}


def mask_argv(argv: Iterable[str]) -> list[str]:
    """A command as it may be shown: `--token=x`, `--token x`, `TOKEN=x` and passwords in URLs are masked."""
    masked: list[str] = []
    after_secret = False
    for word in argv:
        if after_secret and not word.startswith("-"):
            masked.append(MASK)
            after_secret = False
            continue
        option = _OPTION.fullmatch(word)
        if option and "://" not in option[1] and is_secret_name(option[1]) and not option[3].startswith("//"):
            masked.append(f"{option[1]}{option[2]}{MASK}")
        else:
            masked.append(_mask_script(word) if " " in word else mask_text(word))
        after_secret = word.startswith("-") and not option and is_secret_name(word)
    return masked


def _mask_script(script: str) -> str:
    """A shell script, or a command as text: its words are masked one by one, its spacing kept."""
    parts = re.split(r"(\s+)", script)
    words = mask_argv(parts[::2])
    return "".join(word + space for word, space in zip(words, [*parts[1::2], ""], strict=True))
