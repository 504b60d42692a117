"""`tdmm live`: a face that never stops, for engines, avatars and browsers."""

import sys
from collections.abc import Iterator

from tdmm_jax.cli import options


def add_command(add) -> None:
  """Adds `live`; add: see `main`."""
  live = add("live", _live, "Act out sentences, one a line, as a stream without end.")
  live.add_argument(
    "--to",
    action="append",
    required=True,
    metavar="ADDRESS",
    help="live-link://HOST:PORT (Unreal), vmc://HOST:PORT (VRM avatars) or "
    "ws://HOST:PORT (a WebSocket, served there); repeat for several",
  )
  live.add_argument(
    "--seconds", type=float, default=4.0, help="length of a sentence (default: 4)"
  )
  options.add_sampling(live)
  options.add_run(live)


def _live(args) -> None:
  from tdmm_jax.live import session as live

  for to in args.to:
    live.address(to)  # before anything is loaded

  def tell(line: str) -> None:
    print(f"tdmm: {line}", file=sys.stderr, flush=True)

  session = live.Session(options.load(args), args.seconds, **options.sampling(args))
  senders = [live.connect(to, session.hear) for to in args.to]
  if not args.quiet:
    tell(f"live on {', '.join(args.to)}; a sentence a line, Ctrl-C ends")
  loop = live.run(session, senders, _lines(), tell)
  if not args.quiet:
    tell(f"{loop.sent} frames sent, {loop.dropped} that were late dropped")


def _lines() -> Iterator[bytes]:
  """Of standard input, unbuffered: a thread that waits for one must hold no lock."""
  with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as stream:
    yield from stream
