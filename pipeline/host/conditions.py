"""`when:` conditions: CEL expressions, type-checked when the config is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.api.exchange import Exchange


class Condition:
    """A compiled `when:` expression.

    Args:
        text: CEL over `route`, `method`, `path`, `tenant`, `model` (strings; empty where
            unknown), `headers` (map of strings, first value each) and `stream` (bool).

    Raises:
        ValueError: it does not parse, names an unknown variable, or gives no bool.
    """

    def __init__(self, text: str) -> None:
        # Late: only configs that use `when:` pay for CEL.
        from cel_expr_python import cel  # noqa: PLC0415

        text.encode()  # lone surrogates are no text
        string = cel.Type.STRING
        before_body = dict.fromkeys(("route", "method", "path", "tenant"), string)
        before_body["headers"] = cel.Type.Map(string, string)
        in_body = {"model": string, "stream": cel.Type.BOOL}
        try:
            self._program = cel.NewEnv(variables=before_body | in_body).compile(text)
        except RuntimeError as error:
            raise ValueError(_first_line(str(error))) from None
        if self._program.return_type() != cel.Type.BOOL:
            raise ValueError(f"it must give true or false, not {self._program.return_type()}")
        self.text = text
        try:
            cel.NewEnv(variables=before_body).compile(text)
            self.needs_body = False
        except RuntimeError:
            self.needs_body = True

    def holds(self, exchange: Exchange) -> bool:
        """Evaluate for an exchange.

        Raises:
            LookupError: evaluation failed, for instance because a header is absent.
        """
        try:
            result = self._program.eval(data=_activation(exchange)).value()
        except RuntimeError:  # more rounds of its loops than CEL allows
            result = None
        if result is True or result is False:
            return bool(result)
        raise LookupError("the condition could not be evaluated")


def _activation(exchange: Exchange) -> Mapping[str, Any]:
    call = exchange.call
    headers: dict[str, str] = {}
    for name, value in exchange.request.headers.pairs:
        # Not surrogates: CEL strings are valid Unicode.
        headers.setdefault(name, value.decode("utf-8", "replace"))
    return {
        "route": exchange.route,
        "method": exchange.request.method,
        "path": exchange.request.path,
        "tenant": exchange.tenant or "",
        "model": call.model if call is not None else "",
        "stream": call.stream if call is not None else False,
        "headers": headers,
    }


def _first_line(message: str) -> str:
    line = message.splitlines()[0] if message else "not a CEL expression"
    return line.removeprefix("INVALID_ARGUMENT: ERROR: <input>:").strip()
