"""The addresses of databases: URLs as SQLAlchemy writes them, as DuckDB's scanners take them."""

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from ingest.errors import DeclarationError, SourceError
from ingest.readers import quoted

SCANNERS = {
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "postgres": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
}
_WORDS = {"postgres": ("dbname", "user", "password"), "mysql": ("database", "user", "passwd")}


def attach_address(url: str, engine: str, where: str) -> str:
    """What `attach` takes for the URL of a SQLite file, of PostgreSQL or of MySQL.

    Args:
        url: `scheme://user:password@host:port/database?option=value`.
        engine: the scanner.
        where: the place of the declaration, for errors.

    Raises:
        SourceError: there is no such SQLite file.
        DeclarationError: it is not written as a URL.
    """
    if engine == "sqlite":
        path = Path(unquote(url.partition("://")[2].removeprefix("/")))
        if not path.is_file():
            raise SourceError(f"there is no SQLite file {path}", where=where)
        return str(path)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise DeclarationError(
            "the url cannot be read; write it as scheme://user:password@host:port/database, "
            "with other signs in the password as %XX",
            where=where,
        ) from None
    database, user, password = _WORDS[engine]
    values: dict[str, object] = {
        "host": parts.hostname,
        "port": port,
        database: unquote(parts.path.lstrip("/")),
        user: parts.username and unquote(parts.username),
        password: parts.password and unquote(parts.password),
    }
    if engine == "postgres":
        values["connect_timeout"] = 10
    values |= parse_qsl(parts.query)
    mark = '"' if engine == "mysql" else "'"
    return " ".join(f"{key}={quoted(str(value), mark)}" for key, value in values.items() if value)
