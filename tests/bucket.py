"""A bucket on this machine: an emulator that both clients of gs:// talk to.

gcsfs (behind etils.epath) reads and writes everything but arrays; those are
tensorstore's, which orbax calls and which has a client of its own. The third one,
TensorFlow's, cannot be pointed at an emulator.

It is for processes of their own: a client keeps the address it started with.
"""

import contextlib
import functools
import http
import http.server
import threading
from unittest import mock

from gcp_storage_emulator import server
from gcp_storage_emulator.handlers import buckets
from gcp_storage_emulator.storage import Storage

ENV = {
  "EPATH_USE_TF": "false",
  "FSSPEC_GCS_TOKEN": "anon",
  "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # what asks the bucket's kind by gRPC
}
CLOSED = "closed"  # a bucket that answers nobody


@contextlib.contextmanager
def serve(name: str):
  """Serves gs://NAME, and gs://closed; yields what the environment needs."""
  storage = Storage(use_memory_fs=True)
  storage._write_config_to_file = lambda: None  # of all objects, at each write
  buckets.create_bucket(name, storage)
  handlers = functools.partial(_Handler, storage)
  lock, handled = threading.Lock(), _with_rules_of_gcs(server.HANDLERS)
  with (
    mock.patch.object(server, "HANDLERS", handled),
    mock.patch.object(storage, "lock", lock, create=True),
    _Server(("127.0.0.1", 0), handlers) as httpd,
  ):
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{httpd.server_port}"
    try:
      yield ENV | {
        "STORAGE_EMULATOR_HOST": address,
        "TENSORSTORE_GCS_HTTP_URL": address,
      }
    finally:
      httpd.shutdown()
      thread.join()


class _Server(http.server.ThreadingHTTPServer):
  daemon_threads = True
  request_queue_size = 128  # tensorstore opens many connections at once

  def handle_error(self, request, client_address):
    """A client that is killed, or has read enough, closes its connection."""


class _Handler(server.RequestHandler):
  """As the emulator's, with a message where it answers with an error's number alone."""

  def log_message(self, *args):
    """Not to stderr."""


def _with_rules_of_gcs(table):
  """The emulator's table of (path, {method: function}), each function with `_rules`."""
  return tuple(
    (
      path,
      {method: functools.partial(_rules, each) for method, each in methods.items()},
    )
    for path, methods in table
  )


def _rules(handle, request, response, storage) -> None:
  """What GCS does and the emulator does not: permissions, and generations.

  Those say which writing of an object is meant: tensorstore writes an object only if it
  still is as it was read, and reads it only if it has changed.
  """
  with storage.lock:
    query, params = request.query, request.params or {}
    bucket = params.get("bucket_name")
    if bucket == CLOSED:
      response.status = http.HTTPStatus.FORBIDDEN
      response.json({"error": {"code": 403, "message": "anonymous has no access"}})
      return
    name = params.get("object_id") or query.get("name", [""])[0]

    def generation():
      return storage.objects.get(bucket, {}).get(name, {}).get("generation", "0")

    if query.get("ifGenerationMatch", [generation()])[0] != generation():
      response.status = http.HTTPStatus.PRECONDITION_FAILED
      return
    if query.get("ifGenerationNotMatch", [""])[0] == generation():
      response.status = http.HTTPStatus.NOT_MODIFIED
      return
    handle(request, response, storage)
    if name:
      response["x-goog-generation"] = generation()
