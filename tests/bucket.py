"""A bucket on this machine: gcsfs, the client of gs:// paths, talks to an emulator.

It is for processes of their own: a client keeps the address it started with.
"""

import contextlib
import socket

from gcp_storage_emulator.server import create_server

ENV = {
  "EPATH_USE_TF": "false",
  "FSSPEC_GCS_TOKEN": "anon",
  "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # what asks the bucket's kind by gRPC
}


@contextlib.contextmanager
def serve(name: str, folder=None):
  """Serves gs://NAME, with the files of `folder`; yields what the environment needs."""
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
  server = create_server("127.0.0.1", port, in_memory=True, default_bucket=name)
  server.start()
  try:
    yield ENV | {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}
  finally:
    server.stop()
