"""Datagrams that are sent now or not at all."""

import logging
import socket

from tdmm_jax.errors import UserError

_LOG = logging.getLogger(__name__)


class Socket:
  """Sends to one address; whether anybody listens there is not known."""

  def __init__(self, host: str, port: int):
    """Raises UserError: there is no such host."""
    try:
      found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
      raise UserError(f"to: no host {host!r} ({error.strerror}); check it") from error
    family, kind, protocol, _, self._address = found[0]
    self._socket = socket.socket(family, kind, protocol)
    self._socket.setblocking(False)
    self._told = False

  def send(self, datagram: bytes) -> None:
    """A network that is down or full costs the datagram, not the stream."""
    try:
      self._socket.sendto(datagram, self._address)
    except BlockingIOError:
      return
    except OSError as error:
      if not self._told:
        where = "{}:{}".format(*self._address[:2])
        _LOG.warning("%s: cannot be reached (%s); trying on", where, error.strerror)
      self._told = True
    else:
      self._told = False

  def close(self) -> None:
    self._socket.close()
