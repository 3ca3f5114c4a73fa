"""Generates the Python stubs from the .proto files when the program starts.

A real project would generate them once, at build time, with the same command.
"""

import atexit
import importlib
import pathlib
import shutil
import sys
import tempfile
from types import SimpleNamespace

import grpc_tools
from grpc_tools import protoc

SERVICES = ("common", "metadata_service", "produce_service", "fetch_service", "admin_service", "subscription_service")


def load(proto_directory: pathlib.Path) -> SimpleNamespace:
    """Returns the generated modules: `.produce_service_pb2`, `.produce_service_pb2_grpc`, and so on."""
    target = tempfile.mkdtemp(prefix="flotilla-stubs-")
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    bundled = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    files = [f"flotilla/v1/{name}.proto" for name in SERVICES]
    status = protoc.main(
        [
            "protoc",
            f"-I{proto_directory}",
            f"-I{bundled}",
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            *files,
        ]
    )
    if status != 0:
        raise SystemExit(f"protoc failed on {proto_directory}")
    sys.path.insert(0, target)
    modules = SimpleNamespace()
    for name in SERVICES:
        for suffix in ("_pb2", "_pb2_grpc"):
            module = importlib.import_module(f"flotilla.v1.{name}{suffix}")
            setattr(modules, f"{name}{suffix}", module)
    return modules
