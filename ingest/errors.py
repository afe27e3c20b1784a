"""The errors of ingestion: each says what is wrong, where, and what mends it, and no secret."""

import re
from collections.abc import Iterable


class IngestError(Exception):
    """Something in ingestion that a person must know of.

    Args:
        message: what is wrong, in one sentence.
        where: file and line, source and table, or file and row.
        mend: the command or the change that mends it.
    """

    def __init__(self, message: str, *, where: str = "", mend: str = "") -> None:
        self.message, self.where, self.mend = message, where, mend
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message}" + (f"\n  To mend it: {self.mend}" if self.mend else "")


class DeclarationError(IngestError):
    """The source YAML says something that cannot be meant."""


class UnsetError(DeclarationError):
    """The source YAML names an environment variable, `variable`, that is not set."""

    def __init__(self, variable: str, *, where: str) -> None:
        self.variable = variable
        super().__init__(
            f"the environment variable {variable} is not set",
            where=where,
            mend=f"export {variable}=…, or write the value in its place",
        )


class SourceError(IngestError):
    """The source refused or gave what cannot be read; trying again would not help."""


class SourceDownError(IngestError):
    """The source did not answer, also after several tries; the next run reads from where it was."""


class ContractError(IngestError):
    """Too much of a table breaks its contract, or its columns changed though they are frozen."""


class LoadError(IngestError):
    """The destination could not take the rows; nothing of the load counts."""


def too_large(what: str, limit: str, most: int) -> SourceError:
    """The refusal of what goes beyond a limit.

    Args:
        what: what is too large.
        limit: the limit's word in the declaration.
        most: bytes.
    """
    return SourceError(
        f"{what} is longer than {limit} ({most:,} bytes)",
        mend=f"look at it; where it is right, set a higher {limit} at the table",
    )


_URL_PASSWORD = re.compile(r"(?P<head>[a-zA-Z][\w+.-]*://[^\s:/@]*):[^\s@]*@")
_KEY_PASSWORD = re.compile(r"(?i)\b(password|passwd|pwd|token|secret|api_key)\s*=\s*('[^']*'|\S+)")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without the given secrets, passwords in URLs and `password=…` pairs."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _URL_PASSWORD.sub(r"\g<head>:***@", text)
    return _KEY_PASSWORD.sub(r"\1=***", text)
