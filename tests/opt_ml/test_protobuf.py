"""Messages are read as protobuf's own library writes them."""

import math

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq.data.record_pb2 import Record
from groundfog.opt_ml import protobuf
from groundfog.opt_ml.records import RecordError

FLOATS = st.floats(width=32, allow_nan=False)
INTS = st.integers(-(2**31), 2**31 - 1)
NUMBERS = st.one_of(
    st.tuples(st.just("float32_tensor"), st.lists(FLOATS)),
    st.tuples(st.just("float64_tensor"), st.lists(st.floats(allow_nan=False))),
    st.tuples(st.just("int32_tensor"), st.lists(INTS)),
)
SIZES = st.lists(st.integers(0, 2**64 - 1), max_size=3)


@given(st.dictionaries(st.text(max_size=3), st.tuples(NUMBERS, SIZES, SIZES), max_size=3), st.lists(st.binary()))
def test_a_record_is_what_protobuf_wrote(tensors, label):
    written = Record(uid="u", metadata="m")
    for name, ((kind, values), keys, shape) in tensors.items():
        tensor = getattr(written.features[name], kind)
        tensor.SetInParent()
        tensor.values.extend(values)
        tensor.keys.extend(keys)
        tensor.shape.extend(shape)
    written.label["values"].bytes.value.extend(label)
    written.label["values"].bytes.content_type = "image/jpeg"
    read = protobuf.record(written.SerializeToString())
    assert read.label == {"values": label}
    assert {name: list(tensor.values) for name, tensor in read.features.items()} == {
        name: values for name, ((_, values), _, _) in tensors.items()
    }
    assert all(
        (list(read.features[name].keys), list(read.features[name].shape)) == (keys, shape)
        for name, (_, keys, shape) in tensors.items()
    )


def test_values_one_by_one_are_read_as_well_as_in_a_row():
    # features["v"] = float32_tensor {values: 1.5, values: -2, shape: 2}, as a writer that does not pack has it.
    tensor = b"\x0d\x00\x00\xc0\x3f" + b"\x0d\x00\x00\x00\xc0" + b"\x18\x02"
    value = b"\x12" + bytes([len(tensor)]) + tensor
    entry = b"\x0a\x01v\x12" + bytes([len(value)]) + value
    read = protobuf.record(b"\x0a" + bytes([len(entry)]) + entry).features["v"]
    assert isinstance(read, protobuf.Tensor)
    assert (list(read.values), read.shape) == ([1.5, -2.0], (2,))


def examples():
    """tf.train.Example, told to protobuf here, since TensorFlow is not at hand."""
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="told", syntax="proto3")
    kinds = {"BytesList": "TYPE_BYTES", "FloatList": "TYPE_FLOAT", "Int64List": "TYPE_INT64"}
    for name, kind in kinds.items():
        file.message_type.add(name=name).field.add(name="value", number=1, type=kind, label="LABEL_REPEATED")
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(kinds, start=1):
        feature.field.add(
            name=name.lower(), number=number, type="TYPE_MESSAGE", type_name=f".told.{name}", oneof_index=0,
            label="LABEL_OPTIONAL",
        )  # fmt: skip
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL")
    entry.field.add(
        name="value", number=2, type="TYPE_MESSAGE", type_name=".told.Feature", label="LABEL_OPTIONAL"
    )  # fmt: skip
    features.field.add(
        name="feature", number=1, type="TYPE_MESSAGE", type_name=".told.Features.FeatureEntry", label="LABEL_REPEATED"
    )
    file.message_type.add(name="Example").field.add(
        name="features", number=1, type="TYPE_MESSAGE", type_name=".told.Features", label="LABEL_OPTIONAL"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("told.Example"))


EXAMPLE = examples()


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.one_of(
            st.tuples(st.just("byteslist"), st.lists(st.binary())),
            st.tuples(st.just("floatlist"), st.lists(FLOATS)),
            st.tuples(st.just("int64list"), st.lists(st.integers(-(2**63), 2**63 - 1))),
        ),
        max_size=4,
    )
)
def test_an_example_is_what_protobuf_wrote(features):
    written = EXAMPLE()
    for name, (kind, values) in features.items():
        getattr(written.features.feature[name], kind).SetInParent()
        getattr(written.features.feature[name], kind).value.extend(values)
    assert protobuf.example(written.SerializeToString()) == {name: values for name, (_, values) in features.items()}


def test_a_picture_and_its_label():
    written = EXAMPLE()
    written.features.feature["image"].byteslist.value.append(bytes(3 * 32 * 32))
    written.features.feature["label"].int64list.value.append(7)
    assert protobuf.example(written.SerializeToString()) == {"image": [bytes(3072)], "label": [7]}


@given(st.binary(max_size=40))
def test_nonsense_is_refused_or_read_but_breaks_nothing(nonsense):
    for read in (protobuf.record, protobuf.example):
        try:
            read(nonsense)
        except RecordError:
            pass


def test_nan_and_infinity_are_numbers_too():
    written = Record()
    written.features["v"].float32_tensor.values.extend([math.inf, -math.inf, math.nan])
    read = protobuf.record(written.SerializeToString()).features["v"]
    assert list(read.values)[:2] == [math.inf, -math.inf] and math.isnan(read.values[2])


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"\xff" * 12, "a number in a message does not end"),
        (b"\x0a\x05ab", "goes beyond the end of its message"),
        (b"\x0b", "is no field of a message"),
        (b"\x08\x01", "a number stands where a message belongs"),
        (b"\x0a\x03\x0a\x01v", "a feature has no value"),
        (b"\x0a\x05\x0a\x01\xff\x12\x00", "no UTF-8"),
    ],
)
def test_what_is_wrong_is_said(message, text):
    with pytest.raises(RecordError, match=text):
        protobuf.record(message)
