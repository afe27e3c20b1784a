"""A schema registry, asked as Confluent's are: the schema of an id, and what it refers to."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import requests

from ingest.errors import SourceError

_ANSWER = 5.0  # seconds that an answer may take; the load is tried again
_PASSING = (408, 425, 429)


@dataclass(frozen=True)
class Schema:
    """A schema as the registry has it.

    Attributes:
        kind: AVRO, PROTOBUF or JSON.
        text: its source.
        references: name to source of the schemas that it refers to, in turn; a schema comes after
            those that it needs.
    """

    kind: str
    text: str
    references: dict[str, str] = field(default_factory=dict)


class Registry:
    """Asks one registry. What it has said of an id holds: an id is never given to another schema.

    Args:
        address: its URL, which may have a user and a password.
        where: file and line of the declaration, for errors.
    """

    def __init__(self, address: str, where: str) -> None:
        self._where, self._known = where, dict[int, Schema]()
        self._session = requests.Session()
        try:
            parts = urlsplit(address)
            user, password = parts.username, parts.password
        except ValueError:
            raise self._no_address() from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise self._no_address()
        if user is not None:
            # in a header, so that no message of an error has it
            self._session.auth = (unquote(user), unquote(password or ""))
        host = parts.netloc.rpartition("@")[2]
        self._address = f"{parts.scheme}://{host}{parts.path.rstrip('/')}"

    def schema(self, number: int) -> Schema | None:
        """The schema of an id; None where the registry knows none.

        Raises:
            requests.ConnectionError, requests.Timeout: the registry is away.
            requests.HTTPError: it has a fault that passes.
            SourceError: it refuses, or is no registry.
        """
        if number not in self._known:
            said = self._ask(f"schemas/ids/{number}")
            if said is None:
                return None
            found = dict[str, str]()
            self._follow(said, found)
            kind = str(said.get("schemaType") or "AVRO").upper()
            self._known[number] = Schema(kind, str(said.get("schema", "")), found)
        return self._known[number]

    def _follow(self, said: dict[str, Any], found: dict[str, str], depth: int = 0) -> None:
        for reference in said.get("references") or ():
            name, subject = str(reference["name"]), quote(str(reference["subject"]), safe="")
            if name in found or depth > 50:
                continue
            there = self._ask(f"subjects/{subject}/versions/{reference['version']}") or {}
            self._follow(there, found, depth + 1)
            found[name] = str(there.get("schema", ""))

    def _ask(self, path: str) -> dict[str, Any] | None:
        answer = self._session.get(f"{self._address}/{path}", timeout=_ANSWER)
        status = answer.status_code
        if status in (401, 403):
            raise SourceError(
                f"the schema registry refuses the credentials (HTTP {status})",
                where=self._where,
                mend="look at the user and the password in `registry`, and at their rights",
            )
        if status in _PASSING or status >= 500:
            answer.raise_for_status()
        try:
            said = answer.json()
        except requests.JSONDecodeError:
            said = None
        # an id that is unknown has a code of the registry's own; any web server answers 404
        if status == 404 and isinstance(said, dict) and str(said.get("error_code"))[:3] == "404":
            return None
        if status != 200 or not isinstance(said, dict):
            raise SourceError(
                f"what answers at `registry` is no schema registry (HTTP {status})",
                where=self._where,
                mend="write the address up to its path of Confluent's API",
            )
        return said

    def _no_address(self) -> SourceError:
        return SourceError(
            "`registry` is not the address of a schema registry",
            where=self._where,
            mend="write it as https://user:password@host:port",
        )
