"""The messages: generated from the committed proto, and the protocol's own on the wire."""

import ast
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

import pipeline.inference.remote
from pipeline.inference.remote import oip_pb2 as pb

HERE = Path(pipeline.inference.remote.__file__).parent
# Ours alone: how MLServer has the parameters of a tensor in the metadata.
EXTENSIONS = {("ModelMetadataResponse.TensorMetadata", "parameters")}


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory):
    from grpc_tools import protoc

    out = tmp_path_factory.mktemp("oip")
    arguments = [
        f"-I{HERE}",
        f"-I{files('grpc_tools') / '_proto'}",
        f"--python_out={out}",
        f"--pyi_out={out}",
        str(HERE / "oip.proto"),
    ]
    assert protoc.main(["protoc", *arguments]) == 0
    return out


@pytest.mark.parametrize("name", ["oip_pb2.py", "oip_pb2.pyi"])
def test_regenerating_gives_no_diff(regenerated, name):
    assert (regenerated / name).read_text() == (HERE / name).read_text()


def fields_of(messages, prefix=""):
    """Return number, type and label of every field by message and name."""
    found = {}
    for message in messages:
        name = f"{prefix}{message.name}"
        for field in message.field:
            kind = field.type_name.rpartition(".")[2] or field.type
            found[name, field.name] = (field.number, kind, field.label)
        found |= fields_of(message.nested_type, f"{name}.")
    return found


def ours():
    document = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(document)
    return fields_of(document.message_type)


def theirs(package, module):
    """Return another package's descriptor from its source: importing it would need its protobuf."""
    try:
        path = distribution(package).locate_file(module)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    calls = (node for node in ast.walk(ast.parse(Path(path).read_text())) if _adds(node))
    document = ast.literal_eval(next(calls).args[0])
    return fields_of(descriptor_pb2.FileDescriptorProto.FromString(document).message_type)


def _adds(node):
    return isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "AddSerializedFile"


def test_every_field_is_the_one_that_nvidias_client_knows():
    known = theirs("tritonclient", "tritonclient/grpc/service_pb2.py")
    mine = ours()
    assert len(mine) > 60
    extensions = {key for key in mine if key in EXTENSIONS or _is_entry_of_extension(key)}
    assert {key: mine[key] for key in mine.keys() - extensions} == {
        key: known.get(key) for key in mine.keys() - extensions
    }


def _is_entry_of_extension(key):
    return key[0] == "ModelMetadataResponse.TensorMetadata.ParametersEntry"
