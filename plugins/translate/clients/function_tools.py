"""Tools that are functions, of APIs in which a function's fields stand flat in its tool."""

from __future__ import annotations

from plugins.translate.canonical import Fields, Json


def function_tool(fields: Fields, schema: str) -> Json:
    """Return the canonical tool.

    Args:
        fields: the client's tool; what is carried is taken.
        schema: the field that has the schema of its parameters.
    """
    fields.ignore("type")
    function: Json = {"name": fields.take("name", "")}
    if about := fields.take("description"):
        function["description"] = about
    function["parameters"] = fields.take(schema, {"type": "object", "properties": {}})
    if fields.take("strict") is True:
        function["strict"] = True
    return {"type": "function", "function": function}
