"""What Bedrock refuses: by botocore's model of the service, by its documentation, and by SigV4."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import functools
import itertools
import json
import re
from typing import Any
from urllib.parse import unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.model import OperationModel, Shape
from botocore.serialize import create_serializer
from botocore.session import Session
from botocore.validate import ParamValidator

Json = dict[str, Any]

_VERBS = {
    "converse": "Converse",
    "converse-stream": "ConverseStream",
    "count-tokens": "CountTokens",
    "invoke": "InvokeModel",
    "invoke-with-response-stream": "InvokeModelWithResponseStream",
}
_PATH = re.compile(r"/model/([^/?]+)/([a-z-]+)\Z")
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})\Z"
)
_LATE_S = 300
_DOCUMENT_NAME = re.compile(r"[A-Za-z0-9\s\-()\[\]]+\Z")


class Refused(Exception):
    """Raised with the status, the exception's name and the message that AWS would answer."""

    def __init__(self, message: str, code: str = "ValidationException", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@functools.cache
def service() -> Any:
    """Return botocore's model of Bedrock's runtime."""
    return Session().get_service_model("bedrock-runtime")


def operation(path: str) -> tuple[OperationModel, str]:
    """Return the operation that a path asks for, and the model."""
    found = _PATH.match(path)
    if found is None or found[2] not in _VERBS:
        raise Refused("no such operation", "UnknownOperationException", 404)
    return service().operation_model(_VERBS[found[2]]), unquote(found[1])


def check_path_and_body(path: str, document: Json) -> Json:
    """Hold a request against the model and return its parameters; its bytes must be botocore's."""
    model, name = operation(path)
    params = check(path, document)
    made = create_serializer("rest-json").serialize_to_request(params, model)
    assert made["url_path"] == path
    assert json.loads(made["body"]) == document
    assert params["modelId"] == name
    return params


def check(path: str, document: Json) -> Json:
    """Return a request's parameters.

    Raises:
        Refused: the service would refuse it.
    """
    model, name = operation(path)
    shape = model.input_shape
    if model.name.startswith("InvokeModel"):
        _check_model_body(name, document)
        return {"modelId": name, "body": json.dumps(document).encode()}
    params = _read(shape, {"modelId": name, **document}, "")
    report = ParamValidator().validate(params, shape)
    if report.has_errors():
        raise Refused(report.generate_report())
    conversation = params["input"].get("converse", {}) if "input" in params else params
    _check_conversation(conversation, name)
    return params


def _read(shape: Shape, value: Any, path: str) -> Any:
    """Turn JSON into botocore's parameters; check what ParamValidator leaves to the service."""
    kind = shape.type_name
    if kind == "structure" and not getattr(shape, "is_document_type", False):
        if not isinstance(value, dict):
            raise Refused(f"{path}: no object")
        if unknown := value.keys() - shape.members.keys():
            raise Refused(f"{path}: unknown {sorted(unknown)}")
        return {k: _read(shape.members[k], v, f"{path}.{k}") for k, v in value.items()}
    if kind == "list":
        _check_length(shape, len(value), path)
        return [_read(shape.member, one, f"{path}[]") for one in value]
    if kind == "map":
        _check_length(shape, len(value), path)
        return {_read(shape.key, k, path): _read(shape.value, v, path) for k, v in value.items()}
    return _read_scalar(shape, value, path)


def _read_scalar(shape: Shape, value: Any, path: str) -> Any:
    if shape.type_name == "blob":
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise Refused(f"{path}: no base64") from None
    if shape.type_name == "string":
        _check_text(shape, value, path)
    elif (most := shape.metadata.get("max")) is not None and value > most:
        raise Refused(f"{path}: more than {most}")
    return value


def _check_text(shape: Shape, value: Any, path: str) -> None:
    if not isinstance(value, str):
        raise Refused(f"{path}: no string")
    if shape.enum and value not in shape.enum:
        raise Refused(f"{path}: not one of {shape.enum}")
    _check_length(shape, len(value), path)
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value):
        raise Refused(f"{path}: does not match {pattern}")


def _check_length(shape: Shape, length: int, path: str) -> None:
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max")
    if length < least or (most is not None and length > most):
        raise Refused(f"{path}: has a length of {length}")


def _check_conversation(params: Json, model: str) -> None:
    messages = params.get("messages") or []
    if not messages:
        raise Refused("messages: at least one is needed")
    roles = [message["role"] for message in messages]
    if roles[0] != "user":
        raise Refused("a conversation must start with a user message")
    if any(a == b for a, b in itertools.pairwise(roles)):
        raise Refused("roles must alternate between user and assistant")
    names: list[str] = []
    asked: set[str] = set()
    uses_tools = False
    for message in messages:
        content = message["content"]
        if not content:
            raise Refused("the content is empty")
        answered = {one["toolResult"]["toolUseId"] for one in content if "toolResult" in one}
        if asked != answered:
            raise Refused("toolUse and toolResult blocks do not match")
        asked = {one["toolUse"]["toolUseId"] for one in content if "toolUse" in one}
        uses_tools = uses_tools or bool(asked or answered)
        _check_blocks(content, names)
    if len(set(names)) < len(names):
        raise Refused("two documents have one name")
    config = params.get("toolConfig")
    if uses_tools and config is None:
        raise Refused("toolConfig must be defined when using toolUse and toolResult blocks")
    _check_fields(params, model)


def _check_blocks(content: list[Json], names: list[str]) -> None:
    for at, block in enumerate(content):
        if "text" in block and not block["text"].strip():
            raise Refused("the text field is blank")
        if "cachePoint" in block and at == 0:
            raise Refused("a cache point must follow something")
        for document in _documents(block):
            names.append(document["name"])
            if not _DOCUMENT_NAME.match(document["name"]) or "  " in document["name"]:
                raise Refused("a document's name has characters that are not allowed")
    if any("document" in one for one in content) and not any("text" in one for one in content):
        raise Refused("a text block is needed beside a document")


def _documents(block: Json) -> list[Json]:
    inner = block.get("toolResult", {}).get("content", [])
    return [one["document"] for one in (block, *inner) if "document" in one]


def _check_fields(params: Json, model: str) -> None:
    config = params.get("toolConfig") or {}
    declared = {tool["toolSpec"]["name"] for tool in config.get("tools", []) if "toolSpec" in tool}
    choice = config.get("toolChoice", {})
    extra = params.get("additionalModelRequestFields") or {}
    if "tool" in choice and choice["tool"]["name"] not in declared:
        raise Refused("the tool of toolChoice is not declared")
    if choice and "tool_choice" in extra:
        raise Refused("The additional field tool_choice conflicts with an existing field")
    limits = params.get("inferenceConfig") or {}
    thinking = extra.get("thinking") or {}
    if thinking.get("type") in ("enabled", "adaptive"):
        forced = choice.keys() & {"any", "tool"} or extra.get("tool_choice", {}).get("type") in (
            "any",
            "tool",
        )
        if forced:
            raise Refused("Thinking may not be enabled when tool_choice forces tool use.")
        if limits.get("temperature", 1) != 1 or "top_k" in extra:
            raise Refused("temperature may only be set to 1 when thinking is enabled")
        budget = thinking.get("budget_tokens", 1024)
        if not 1024 <= budget < limits.get("maxTokens", 1 << 30):
            raise Refused("max_tokens must be greater than thinking.budget_tokens")
    if "anthropic" in model and {"temperature", "topP"} <= limits.keys():
        raise Refused("temperature and top_p cannot both be specified for this model")
    fields = {
        "openai": {"reasoning_effort", "frequency_penalty", "presence_penalty", "seed"},
        "deepseek": {"reasoning_effort"},
        "meta": set(),
        "qwen": set(),
    }
    for vendor, known in fields.items():
        if f"{vendor}." in model and not extra.keys() <= known:
            raise Refused("extraneous key is not permitted")


_BODIES: tuple[tuple[str, Json, frozenset[str]], ...] = (
    (
        "amazon.titan-embed-text-v2",
        {"inputText": str, "dimensions": int, "normalize": bool, "embeddingTypes": list},
        frozenset({"inputText"}),
    ),
    ("amazon.titan-embed-text-v1", {"inputText": str}, frozenset({"inputText"})),
    (
        "amazon.titan-embed-image-v1",
        {"inputText": str, "inputImage": str, "embeddingConfig": dict},
        frozenset(),
    ),
    (
        "cohere.embed-v4",
        {
            "input_type": str,
            "texts": list,
            "images": list,
            "inputs": list,
            "embedding_types": list,
            "output_dimension": int,
            "max_tokens": int,
            "truncate": str,
        },
        frozenset({"input_type"}),
    ),
    (
        "cohere.embed-",
        {
            "texts": list,
            "images": list,
            "input_type": str,
            "truncate": str,
            "embedding_types": list,
        },
        frozenset({"input_type"}),
    ),
    (
        "cohere.rerank-",
        {
            "query": str,
            "documents": list,
            "top_n": int,
            "api_version": int,
            "max_tokens_per_doc": int,
        },
        frozenset({"query", "documents", "api_version"}),
    ),
    (
        "amazon.rerank-",
        {"query": str, "documents": list, "top_n": int},
        frozenset({"query", "documents"}),
    ),
)
_PURPOSES = ("search_document", "search_query", "classification", "clustering")


def _check_model_body(model: str, body: Json) -> None:
    """Check what a model takes, by AWS's reference of models' parameters."""
    known = next((one for one in _BODIES if one[0] in model), None)
    if known is None:
        raise Refused("the model is not known", "ResourceNotFoundException", 404)
    _, types, required = known
    if unknown := body.keys() - types.keys():
        raise Refused(f"extraneous key [{min(unknown)}] is not permitted")
    if missing := required - body.keys():
        raise Refused(f"required key [{min(missing)}] not found")
    for name, value in body.items():
        if not isinstance(value, types[name]):
            raise Refused(f"{name}: expected {types[name].__name__}")
    if body.get("input_type", _PURPOSES[0]) not in _PURPOSES:
        raise Refused("input_type: not one of them")
    for name in ("texts", "documents"):
        if not all(isinstance(one, str) for one in body.get(name, [])):
            raise Refused(f"{name}: expected strings")
    if len(body.get("texts", [])) > 96:
        raise Refused("texts: at most 96")


def check_signature(
    keys: ReadOnlyCredentials,
    *,
    region: str,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
) -> None:
    """Recompute a request's SigV4 signature with botocore.

    Args:
        keys: the keys that may sign.
        region: the service's region.
        method: HTTP method.
        path: path and query as received.
        headers: lower-case names to values, as received.
        body: as received.

    Raises:
        Refused: it is not signed, by other keys, for another region, too early, or wrongly.
    """
    found = _AUTHORIZATION.match(headers.get("authorization", ""))
    if found is None:
        raise Refused("Missing Authentication Token", "MissingAuthenticationTokenException", 403)
    key_id, day, signed_region, signed_service, names, signature = found.groups()
    if key_id != keys.access_key or headers.get("x-amz-security-token") != keys.token:
        raise Refused("The security token is invalid", "UnrecognizedClientException", 403)
    date = headers.get("x-amz-date", "")
    now = dt.datetime.now(dt.UTC)
    made = dt.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    if abs((now - made).total_seconds()) > _LATE_S or not date.startswith(day):
        raise Refused("Signature expired", "InvalidSignatureException", 403)
    covered = names.split(";")
    needed = {"host", "x-amz-date"} | ({"x-amz-security-token"} & headers.keys())
    if (signed_region, signed_service) != (region, "bedrock") or not needed <= set(covered):
        raise Refused("Credential should be scoped to a valid region", "SignatureException", 403)
    request = AWSRequest(
        method=method,
        url=f"http://{headers['host']}{path}",
        headers={name: headers[name] for name in covered},
        data=body,
    )
    request.context["timestamp"] = date
    auth = SigV4Auth(keys, "bedrock", region)
    expected = auth.signature(
        auth.string_to_sign(request, auth.canonical_request(request)), request
    )
    if expected != signature:
        raise Refused("The request signature does not match", "InvalidSignatureException", 403)
