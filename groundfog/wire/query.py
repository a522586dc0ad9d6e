"""The query protocol of STS, IAM, CloudFormation and CloudWatch: a form in, XML out."""

from typing import Any
from xml.etree import ElementTree

from botocore.model import Shape
from botocore.serialize import RestXMLSerializer

from groundfog.wire import readers
from groundfog.wire.model import Operation
from groundfog.wire.refusal import Refusal

_DEEPEST = 64


class Node(dict[str, "Node"]):
    """What stands below a prefix: `Tags.member.1.Key=a` is four nodes deep."""

    text: str | None = None


def tree(form: dict[str, str]) -> Node:
    root = Node()
    for name, value in form.items():
        steps = name.split(".")
        if len(steps) > _DEEPEST:
            raise Refusal("MalformedQueryString", f"{name[:80]} is too deep", 400)
        node = root
        for step in steps:
            node = node.setdefault(step, Node())
        node.text = value
    return root


def read(shape: Shape, node: Node) -> Any:
    """Parameters out of a form, as the shape says."""
    if shape.type_name == "structure":
        return _structure(shape, node)
    if shape.type_name == "list":
        return _list(shape, node)
    if shape.type_name == "map":
        return _map(shape, node)
    return readers.value("query", shape, node.text or "")


def _structure(shape: Shape, node: Node) -> dict[str, Any]:
    found = {}
    for name, member in shape.members.items():
        below = node.get(_key(member, name))
        if below is not None:
            found[name] = read(member, below)
    return found


def _list(shape: Shape, node: Node) -> list[Any]:
    if not shape.serialization.get("flattened"):
        node = node.get(shape.member.serialization.get("name", "member"), Node())
    return [read(shape.member, below) for below in _in_order(node)]


def _map(shape: Shape, node: Node) -> dict[str, Any]:
    if not shape.serialization.get("flattened"):
        node = node.get("entry", Node())
    key, value = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
    return {
        read(shape.key, below.get(key, Node())): read(shape.value, below.get(value, Node()))
        for below in _in_order(node)
    }


def _key(member: Shape, name: str) -> str:
    """A flattened list goes by the name of its members."""
    if member.type_name == "list" and member.serialization.get("flattened"):
        name = member.serialization.get("name", name)
        return str(member.member.serialization.get("name", name))
    return str(member.serialization.get("name", name))


def _in_order(node: Node) -> list[Node]:
    if not all(step.isascii() and step.isdigit() and len(step) < 8 for step in node):
        raise Refusal("MalformedQueryString", "The members of a list are numbered", 400)
    return [node[step] for step in sorted(node, key=int)]


def render(operation: Operation, result: dict[str, Any], request_id: str) -> bytes:
    namespace = operation.model.metadata.get("xmlNamespace")
    root = ElementTree.Element(f"{operation.name}Response", {"xmlns": namespace} if namespace else {})
    if operation.output is not None:
        wrapper = operation.output.serialization.get("resultWrapper", f"{operation.name}Result")
        _XML._serialize(operation.output, result, root, wrapper)
    metadata = ElementTree.SubElement(root, "ResponseMetadata")
    ElementTree.SubElement(metadata, "RequestId").text = request_id
    return bytes(ElementTree.tostring(root, encoding="utf-8"))


_XML = RestXMLSerializer(timestamp_precision="millisecond")
