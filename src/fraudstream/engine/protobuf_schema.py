"""A Protobuf schema as descriptors: from the text of a .proto file, or from a descriptor as some registries keep it."""

from __future__ import annotations

import base64
import binascii
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fraudstream.engine.schemas import SchemaUnusable

_OWN = "schema.proto"
_TIMEOUT_S = 30


class ProtobufSchema:
    """The message types of a schema.

    Args:
        text: The schema: a .proto file's text, or a serialised FileDescriptorProto in base64.
        references: Files it imports, by the name it imports them by. What Google ships need not be among them.

    Attributes:
        is_proto3: Whether all of it is, so that every string is checked to be UTF-8 and no enum is closed.

    Raises:
        SchemaUnusable: It is no Protobuf schema.
    """

    def __init__(self, text: str, references: Sequence[tuple[str, str]] = ()) -> None:
        from google.protobuf import descriptor_pool

        self._pool = descriptor_pool.DescriptorPool()
        files = compiled(text, references)
        try:
            for file in files:
                self._pool.Add(file)
        except (TypeError, ValueError) as refused:
            raise SchemaUnusable(f"its descriptors do not fit: {str(refused)[:200]}") from None
        self._own = files[-1]
        self.is_proto3 = all(file.syntax == "proto3" for file in files)

    def message(self, indexes: Sequence[int]) -> Any:
        """The class of a message type, by its place in the file and in the types around it; None if there is none."""
        from google.protobuf import message_factory

        types, names = self._own.message_type, [self._own.package] if self._own.package else []
        for index in indexes:
            if not 0 <= index < len(types):
                return None
            names.append(types[index].name)
            types = types[index].nested_type
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(".".join(names)))


def compiled(text: str, references: Sequence[tuple[str, str]]) -> list[Any]:
    """FileDescriptorProtos, each behind those it imports; the schema's own is the last."""
    files = {name: _serialised(each, name) for name, each in (*references, (_OWN, text))}
    texts = {name: each for name, each in (*references, (_OWN, text)) if files[name] is None}
    if files[_OWN] is None:
        return _by_protoc(texts, [_OWN])
    ready = [each for each in files.values() if each is not None]
    imported = dict.fromkeys(name for each in ready for name in each.dependency if files.get(name) is None)
    return [*(_by_protoc(texts, [*imported]) if imported else []), *ready]


def _by_protoc(texts: dict[str, str], names: list[str]) -> list[Any]:
    """The descriptors of files and of all they import; those that Google ships are there already."""
    import grpc_tools
    from google.protobuf import descriptor_pb2

    shipped = Path(grpc_tools.__file__).with_name("_proto")
    with tempfile.TemporaryDirectory(prefix="fraudstream-proto-") as folder:
        root, out = Path(folder) / "files", Path(folder) / "set"
        root.mkdir()
        for name, text in texts.items():
            path = (root / name).resolve()
            if not path.is_relative_to(root.resolve()):
                raise SchemaUnusable(f"it imports {name!r}, which leads out of the schema")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", f"-I{shipped}", "--include_imports"]
        try:
            done = subprocess.run(
                [*command, f"--descriptor_set_out={out}", *names],
                cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise SchemaUnusable(f"protoc did not read it in {_TIMEOUT_S} s") from None
        if done.returncode != 0:
            raise SchemaUnusable(f"it is no Protobuf schema: {' '.join(done.stderr.split())[:200]}")
        return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


def _serialised(schema: str, name: str) -> Any:
    """The FileDescriptorProto that a schema in base64 is; None where it is a text."""
    from google.protobuf import descriptor_pb2
    from google.protobuf.message import DecodeError

    try:
        file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode("".join(schema.split()), validate=True))
    except (binascii.Error, ValueError, DecodeError):
        return None
    file.name = name
    return file
