import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.inference.remote import oip_pb2 as pb
from pipeline.inference.remote.tensors import (
    BadTensor,
    raw_of,
    read_numbers,
    read_texts,
    write_numbers,
    write_texts,
)

TYPED = {
    "FP32": ("<f4", "fp32_contents"),
    "FP64": ("<f8", "fp64_contents"),
    "INT8": ("i1", "int_contents"),
    "INT32": ("<i4", "int_contents"),
    "INT64": ("<i8", "int64_contents"),
    "UINT16": ("<u2", "uint_contents"),
    "UINT64": ("<u8", "uint64_contents"),
    "BOOL": ("?", "bool_contents"),
}
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


def tensor(datatype, shape, **contents):
    made = pb.ModelInferResponse.InferOutputTensor(name="t", datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(made.contents, field).extend(values)
    return made


@given(st.data())
def test_numbers_come_back_as_they_were_written(data):
    datatype = data.draw(st.sampled_from([*TYPED, "FP16"]))
    kind = TYPED[datatype][0] if datatype in TYPED else "<f2"
    values = data.draw(arrays.arrays(kind, data.draw(SHAPES)))
    response = pb.ModelInferResponse()
    write_numbers(response, "t", datatype, values)
    read = read_numbers(response.outputs[0], raw_of(response.raw_output_contents, 0, 1))
    np.testing.assert_array_equal(read, values)
    assert read.dtype == values.dtype


@given(st.data())
def test_numbers_are_read_from_typed_contents_too(data):
    datatype = data.draw(st.sampled_from(sorted(TYPED)))
    kind, field = TYPED[datatype]
    values = data.draw(arrays.arrays(kind, data.draw(SHAPES)))
    made = tensor(datatype, values.shape, **{field: values.ravel().tolist()})
    np.testing.assert_array_equal(read_numbers(made, None), values)


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_texts_come_back_as_they_were_written(texts):
    response = pb.ModelInferResponse()
    write_texts(response, "t", texts)
    assert read_texts(response.outputs[0], response.raw_output_contents[0]) == texts
    assert read_texts(tensor("BYTES", [len(texts)], bytes_contents=texts), None) == texts


@given(
    st.sampled_from([*TYPED, "FP16", "BYTES", "BF16", ""]),
    st.lists(st.integers(-2, 2**40), max_size=4),
    st.none() | st.binary(max_size=64),
)
def test_any_contents_are_read_or_refused(datatype, shape, raw):
    made = tensor(datatype, shape, bytes_contents=[b"x"], fp32_contents=[1.0])
    for read in (read_numbers, read_texts):
        try:
            read(made, raw)
        except BadTensor as error:
            assert "'t'" in str(error)


@pytest.mark.parametrize(
    ("raw", "shape"),
    [(b"\x01\0\0\0", [1]), (b"\x01\0\0", [1]), (b"\0\0\0\0", [2]), (b"\xff\xff\xff\xffab", [1])],
)
def test_texts_that_end_early_are_refused(raw, shape):
    with pytest.raises(BadTensor):
        read_texts(tensor("BYTES", shape), raw)


def test_raw_contents_are_there_for_all_tensors_or_for_none():
    assert raw_of([], 0, 2) is None
    assert raw_of([b"a", b"b"], 1, 2) == b"b"
    with pytest.raises(BadTensor):
        raw_of([b"a"], 0, 2)
