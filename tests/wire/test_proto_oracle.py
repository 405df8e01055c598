"""Our wire messages against the complete, generated ones of the Envoy API."""

from __future__ import annotations

import math
import warnings

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.wire import ext_proc_pb2 as wire

with warnings.catch_warnings(action="ignore"):  # its validators are of an older pydantic style
    from envoy_data_plane.envoy.service.ext_proc import v3 as oracle

ROOTS = [
    (wire.ProcessingRequest, oracle.ProcessingRequest),
    (wire.ProcessingResponse, oracle.ProcessingResponse),
]
TYPES = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_ENUM: "enum",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_MESSAGE: "message",
    FieldDescriptor.TYPE_STRING: "string",
}
# Where we differ on purpose: (message, field) -> (our type, Envoy's type).
EXCEPTIONS = {
    # The enum lists the registered codes only; varints are the same on the wire.
    ("HttpStatus", "code"): ("int32", "enum"),
}


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def shape(field: FieldDescriptor) -> tuple[object, ...]:
    """How a field is declared, in the oracle's words."""
    kind = "map" if is_map(field) else TYPES[field.type]
    oneof = field.containing_oneof.name if field.containing_oneof else None
    return field.number, kind, oneof, field.is_repeated and not is_map(field)


def enum_values(enum: EnumDescriptor) -> dict[str, int]:
    return {value.name: value.number for value in enum.values}


def declared() -> dict[str, tuple[Descriptor, type]]:
    """Every message of ours that a root reaches, beside its class in the oracle."""
    found = {}
    waiting = [(ours.DESCRIPTOR, theirs) for ours, theirs in ROOTS]
    while waiting:
        descriptor, theirs = waiting.pop()
        if descriptor.file is not wire.DESCRIPTOR or descriptor.name in found:
            continue
        found[descriptor.name] = (descriptor, theirs)
        waiting.extend(
            (field.message_type, theirs._betterproto.cls_by_field[field.name])
            for field in descriptor.fields
            if field.message_type is not None and not is_map(field)
        )
    return found


def test_every_declared_message_is_part_of_a_request_or_a_response():
    assert set(declared()) == set(wire.DESCRIPTOR.message_types_by_name)


@pytest.mark.parametrize("name", sorted(wire.DESCRIPTOR.message_types_by_name))
def test_fields_have_envoys_names_numbers_and_types(name):
    descriptor, theirs = declared()[name]
    metadata = theirs._betterproto.meta_by_field_name

    assert theirs.__name__ == name
    for field in descriptor.fields:
        meta = metadata[field.name]
        number, kind, oneof, repeated = shape(field)
        expected = EXCEPTIONS.get((name, field.name), (meta.proto_type, meta.proto_type))

        assert (kind, meta.proto_type) == expected, field.name
        assert (number, oneof, repeated) == (meta.number, meta.group, meta.repeated), field.name
        if is_map(field):
            key, value = field.message_type.fields
            assert (TYPES[key.type], TYPES[value.type]) == tuple(
                part.proto_type for part in meta.map_meta
            )
            assert value.message_type.name == (
                theirs._betterproto.cls_by_field[f"{field.name}.value"].__name__
            )
        elif field.enum_type is not None:
            known = theirs._betterproto.cls_by_field[field.name]
            assert enum_values(field.enum_type) == {member.name: member.value for member in known}


def test_every_exception_is_a_field_of_ours():
    for name, field in EXCEPTIONS:
        assert field in wire.DESCRIPTOR.message_types_by_name[name].fields_by_name


# --- random messages

JSON_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | JSON_NUMBERS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
JSON_OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=2)
SCALARS = {
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=8),
    FieldDescriptor.TYPE_INT32: st.sampled_from([0, 200, 403, 413, 503]),
    FieldDescriptor.TYPE_STRING: st.text(max_size=8),
}


def scalar(field: FieldDescriptor) -> st.SearchStrategy[object]:
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    return SCALARS[field.type]


def fill(draw: st.DrawFn, message: Message) -> None:
    """Set some of a message's fields, at most one of a oneof, nested to any depth."""
    if message.DESCRIPTOR.full_name == "google.protobuf.Struct":
        message.update(draw(JSON_OBJECTS))
    elif message.DESCRIPTOR.full_name == "google.protobuf.Duration":
        message.FromMilliseconds(draw(st.integers(0, 10_000)))
    else:
        for field in message.DESCRIPTOR.fields:
            if draw(st.booleans()):
                fill_field(draw, message, field)


def fill_field(draw: st.DrawFn, message: Message, field: FieldDescriptor) -> None:
    if is_map(field):
        for key in draw(st.lists(st.text(max_size=3), max_size=2)):
            fill(draw, getattr(message, field.name)[key])
    elif field.message_type is not None and field.is_repeated:
        for _ in range(draw(st.integers(0, 2))):
            fill(draw, getattr(message, field.name).add())
    elif field.message_type is not None:
        getattr(message, field.name).SetInParent()
        fill(draw, getattr(message, field.name))
    elif field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(scalar(field), max_size=2)))
    else:
        setattr(message, field.name, draw(scalar(field)))


@st.composite
def messages(draw: st.DrawFn, message_class: type[Message]) -> Message:
    message = message_class()
    fill(draw, message)
    return message


@pytest.mark.parametrize(("ours", "theirs"), ROOTS, ids=["request", "response"])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_random_messages_survive_the_round_trip_in_both_directions(ours, theirs, data):
    message = data.draw(messages(ours))

    seen_by_envoy = theirs.parse(message.SerializeToString())
    returned = ours.FromString(bytes(seen_by_envoy))

    assert returned == message
    assert theirs.parse(returned.SerializeToString()) == seen_by_envoy


def test_fields_we_do_not_declare_are_skipped():
    theirs = oracle.ProcessingRequest(
        request_body=oracle.HttpBody(body=b"x", end_of_stream=True, grpc_message_compressed=True)
    )

    ours = wire.ProcessingRequest.FromString(bytes(theirs))

    assert ours.request_body.body == b"x"
    assert ours.request_body.end_of_stream


def test_attribute_numbers_are_doubles():
    ours = wire.ProcessingRequest()
    ours.attributes["envoy.filters.http.ext_proc"]["response.code"] = 200

    read = wire.ProcessingRequest.FromString(ours.SerializeToString())

    assert math.isclose(read.attributes["envoy.filters.http.ext_proc"]["response.code"], 200.0)
