"""What must not be shown: the forms in which a secret can stand in a text, and where it is written.

A secret belongs into the environment. Written into the YAML it would be in dbt's manifest, in the
docs and in whatever else reads the project.
"""

import base64
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote as quote_url
from urllib.parse import quote_plus, unquote

ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
URL_PASSWORD = re.compile(r"(?s)[a-zA-Z][\w+.-]*://[^/@]*?:(?P<password>.*)@[^@]*")
SECRET_KEY = re.compile(r"(?i)passw|pwd|token|secret|api_?key|credential|authorization")
_SURELY_SECRET = re.compile(
    r"(?i)(.*[_-])?(password|passwd|pwd|token|secret|api[_-]?key|private[_-]?key|authorization)"
)
_QUERY = re.compile(r"(?i)[?&][^=&]*(password|passwd|token|secret|api_?key)=(?P<value>[^&{]+)")
_SHORTEST_CODE = 8
_LEFT_BY_CLIENTS = "!#$&'()*+,/:;=?@[]~"  # what `requests` does not encode in an address


def forms(secret: str) -> Iterator[str]:
    """The secret as it is, and as addresses, Python, JSON, hexadecimal and base64 write it.

    Base64 writes it differently by what stands before it, as in `user:password`: the part that is
    the same whatever stands around it, for each of the three ways.
    """
    if len(lines := secret.split()) > 1:  # a message may keep its first line, or one blank of many
        yield from (" ".join(lines), *(line for line in lines if len(line) >= _SHORTEST_CODE))
    addresses = [quote_url(secret, safe=safe) for safe in ("", "/", _LEFT_BY_CLIENTS)]
    addresses += [quote_plus(secret), *(quote_url(text, _LEFT_BY_CLIENTS) for text in addresses)]
    for text in addresses:
        yield text
        yield re.sub("%..", lambda sign: sign[0].lower(), text)
    yield from (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1])
    data = secret.encode("utf-8", "surrogateescape")
    codes = [data.hex(), data.hex().upper()]
    for before in range(3):
        code = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        sure = code[(0, 2, 3)[before] : len(code) - ((before + len(data)) % 3 != 0)]
        codes += [sure, sure.translate(str.maketrans("+/", "-_"))]
    yield from (code for code in codes if len(code) >= _SHORTEST_CODE)


def written(value: Any, key: str = "") -> Iterator[str]:
    """The keys under which a declaration has a secret itself, and not the name of a variable."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from written(item, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from written(item, key)
    elif isinstance(value, str) and value and not ENV.fullmatch(value):
        url = URL_PASSWORD.fullmatch(value)
        named = _SURELY_SECRET.fullmatch(key) and "{" not in value
        if named or _QUERY.search(value) or (url and unquote(url["password"])):
            yield key


@contextmanager
def hidden_in_logs(hide: Callable[[str], str]) -> Iterator[None]:
    """What any library logs meanwhile, at whatever level, goes through `hide` first."""
    inner = logging.getLogRecordFactory()

    def made(*args: Any, **options: Any) -> logging.LogRecord:
        record = inner(*args, **options)
        record.msg, record.args = hide(record.getMessage()), None
        if record.exc_info:
            # a handler takes the text of a trace that is there
            record.exc_text = hide(logging.Formatter().formatException(record.exc_info))
        return record

    logging.setLogRecordFactory(made)
    try:
        yield
    finally:
        logging.setLogRecordFactory(inner)
