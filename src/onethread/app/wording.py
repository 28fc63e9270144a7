"""The framework's findings about a value, in our words."""

from collections.abc import Callable, Mapping
from typing import Final

Context = Mapping[str, object]


def sentence(error: Mapping[str, object]) -> str:
    """Return what is wrong with a value, as a person says it."""
    context = error.get("ctx")
    words = _WORDS.get(str(error.get("type")))
    if words is None:
        text = str(error.get("msg") or "This is not right").removeprefix("Value error, ")
    else:
        text = words(context if isinstance(context, Mapping) else {})
    return text if text.endswith(".") else f"{text}."


def _plain(text: str) -> Callable[[Context], str]:
    return lambda _: text


def _length(context: Context, name: str, bound: str, unit: str) -> str:
    number = context.get(name)
    return f"This needs {bound} {number} {unit}{'' if number == 1 else 's'}"


_NUMBER: Final = _plain("This must be a whole number")
_MOMENT: Final = _plain("This must be a moment with its offset, such as 2026-11-16T12:00:00Z")
_OBJECT: Final = _plain("This must be a JSON object")
_YES_OR_NO: Final = _plain("This must be true or false")

_WORDS: Final[Mapping[str, Callable[[Context], str]]] = {
    "missing": _plain("This is missing"),
    "extra_forbidden": _plain("There is no such field here"),
    "string_type": _plain("This must be a text"),
    "string_too_short": lambda context: _length(context, "min_length", "at least", "character"),
    "string_too_long": lambda context: _length(context, "max_length", "at most", "character"),
    "string_pattern_mismatch": lambda context: f"This must match {context.get('pattern')}",
    "uuid_parsing": _plain("This is not an id"),
    "uuid_type": _plain("This is not an id"),
    "int_type": _NUMBER,
    "int_parsing": _NUMBER,
    "int_from_float": _NUMBER,
    "float_type": _plain("This must be a number"),
    "float_parsing": _plain("This must be a number"),
    "bool_type": _YES_OR_NO,
    "bool_parsing": _YES_OR_NO,
    "greater_than": lambda context: f"This must be more than {context.get('gt')}",
    "greater_than_equal": lambda context: f"This must be {context.get('ge')} or more",
    "less_than": lambda context: f"This must be less than {context.get('lt')}",
    "less_than_equal": lambda context: f"This must be {context.get('le')} or less",
    "literal_error": lambda context: f"This must be {context.get('expected')}",
    "enum": lambda context: f"This must be {context.get('expected')}",
    "list_type": _plain("This must be a list"),
    "too_long": lambda context: _length(context, "max_length", "at most", "entry").replace("entrys", "entries"),
    "too_short": lambda context: _length(context, "min_length", "at least", "entry").replace("entrys", "entries"),
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "datetime_type": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "timezone_aware": _MOMENT,
}
