"""`enabled` as dbt reads it: a source that dbt does not have is not loaded either."""

from collections.abc import Mapping

_WORDS = {"True": True, "False": False}


def is_on(value: object, env: Mapping[str, str]) -> bool:
    """What `enabled` comes to.

    Args:
        value: true, false, or Jinja that asks `env_var` and nothing else.
        env: where `env_var` looks.

    Raises:
        ValueError: it comes to no boolean, or asks for what is not there.
    """
    if isinstance(value, str):
        value = _rendered(value, env)
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _rendered(text: str, env: Mapping[str, str]) -> object:
    # a source switched by Jinja is rare, and Jinja takes time to import
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.nativetypes import NativeEnvironment

    def env_var(name: str, default: str | None = None) -> str:
        found = env.get(name, default)
        if found is None:
            raise ValueError(f"the variable {name} is not set and has no default")
        return found

    def as_bool(given: object) -> object:
        return _WORDS.get(given, given) if isinstance(given, str) else given

    jinja = NativeEnvironment(undefined=StrictUndefined)
    jinja.filters["as_bool"] = as_bool
    try:
        return jinja.from_string(text).render(env_var=env_var)
    except (TemplateError, TypeError) as error:
        raise ValueError(str(error)) from None
