"""Serves the studio: the page, the viewer's files, live faces, and nothing else."""

import os
import pathlib
import socket
import tempfile

from tdmm_jax.errors import UserError

WEB = pathlib.Path(__file__).with_name("web")
MAX_UPLOAD = "20mb"
# The browser is told to load nothing from anywhere else, so the page cannot need it.
_POLICY = (
  "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
  "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
  "media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
  "frame-ancestors 'self'"
)


class _Headers:
  """ASGI middleware that adds the security headers to every answer."""

  def __init__(self, app):
    self.app = app

  async def __call__(self, scope, receive, send):
    async def send_with(message):
      if message["type"] == "http.response.start":
        message["headers"] = [
          *message["headers"],
          (b"content-security-policy", _POLICY.encode()),
          (b"x-content-type-options", b"nosniff"),
          (b"referrer-policy", b"no-referrer"),
        ]
      await send(message)

    await self.app(scope, receive, send_with if scope["type"] == "http" else send)


def make_app(face, folder, host: str = "127.0.0.1", warm: bool = False):
  """The studio as an ASGI application.

  Args:
    face: inference.Face.
    folder: an empty folder; uploads, motions and downloads lie in it, and no other file
      of the machine can be read through the application.
    host: the address it will be reached at.
    warm: make a first motion now, for it takes seconds to compile; the page opens with
      it.
  """
  folder = pathlib.Path(folder)
  os.environ["GRADIO_TEMP_DIR"] = str(folder / "gradio")
  os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
  os.environ["HF_HUB_OFFLINE"] = "1"
  try:
    import fastapi
    import gradio as gr
  except ImportError as error:
    raise UserError(
      f"studio: {error.name} is not installed; pip install 'tdmm-jax[studio]'"
    ) from error
  from fastapi.middleware import trustedhost
  from fastapi.responses import FileResponse
  from fastapi.staticfiles import StaticFiles

  from tdmm_jax.face.fit import sources
  from tdmm_jax.studio import actions, live, page, shelf

  clips = shelf.Shelf(folder / "clips", face.codec.face, face.codec.num_codes)
  app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

  @app.get("/studio/head.bin")
  def head():
    return FileResponse(clips.folder / "head.bin")

  @app.get("/studio/clips/{clip_id}/{name}")
  def clip(clip_id: str, name: str):
    found = clips.get(clip_id)
    if found is None or name not in ("clip.json", "clip.bin"):
      raise fastapi.HTTPException(404, "This motion is gone; make it again.")
    return FileResponse(found.folder / name)

  faces = live.Faces(face)

  @app.websocket("/studio/live")
  async def live_face(socket: fastapi.WebSocket):
    await faces.serve(socket)

  app.mount("/studio", StaticFiles(directory=WEB))
  # Another site's page, which a browser shows, must not reach this one by a DNS trick.
  names = ["127.0.0.1", "localhost", "[::1]", "testserver", host]
  app.add_middleware(
    trustedhost.TrustedHostMiddleware,
    allowed_hosts=["*"] if host == "0.0.0.0" else names,
  )
  app.add_middleware(_Headers)
  buttons, first = actions.Actions(face, clips), []
  if warm:
    seconds = min(page.SECONDS, face.max_seconds)
    request = (seconds, 0, page.VARIETY, page.GUIDANCE)
    first = buttons.generate([page.EXAMPLES[0]], *request, lambda share, text: None)
    clips.kept = [clip.id for clip in first]  # every page opens with it
  blocks, look = page.build(buttons, first, sources.no_tracker())
  return gr.mount_gradio_app(
    app,
    blocks,
    path="/",
    server_name=host,
    max_file_size=MAX_UPLOAD,
    ssr_mode=False,
    footer_links=[],
    show_error=True,
    **look,
  )


def serve(face, host: str = "127.0.0.1", port: int = 7860) -> None:
  """Serves until interrupted; everything it wrote is deleted then.

  Raises:
    UserError: the port is taken, or Gradio is not installed.
  """
  if not 1 <= port <= 65535:
    raise UserError(f"port {port}: out of range; give 1 to 65535")
  with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
      probe.bind((host, port))
    except OSError as error:
      raise UserError(
        f"port {port}: cannot be used on {host} ({error.strerror}); choose another"
      ) from error
  with tempfile.TemporaryDirectory(prefix="tdmm-studio-") as folder:
    print("Getting ready: the first motion is made, which compiles ...", flush=True)
    app = make_app(face, folder, host, warm=True)
    import uvicorn

    print(f"The studio is at http://{host}:{port} (Ctrl-C ends it)")
    uvicorn.run(app, host=host, port=port, log_level="warning")
