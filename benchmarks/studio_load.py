"""Many people at the studio at once: are all answered, and does memory stay flat?

  python -m benchmarks.studio_load [--run DIR] [--clients 8] [--requests 50]

Serves the studio in a process of its own, warms it with a round of requests, then asks
through as many clients at once; prints JSON.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

PROMPTS = ("She smiles broadly.", "He frowns angrily.", "A man nods slowly, surprised.")


def resident_mb(pid: int) -> float:
  """What a process holds in memory, MB."""
  pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
  return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def free_port() -> int:
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


def wait_for(address: str, served: subprocess.Popen) -> None:
  while served.poll() is None:
    try:
      urllib.request.urlopen(address, timeout=5).close()
      return
    except OSError:
      time.sleep(0.5)
  raise SystemExit("the studio did not start")


def ask(address: str, numbers) -> list[float]:
  """Seconds that each request of one client took."""
  import gradio_client

  client, seconds = gradio_client.Client(address, verbose=False), []
  for number in numbers:
    start = time.perf_counter()
    prompt = PROMPTS[number % len(PROMPTS)]
    answer = client.predict(
      *(prompt, 2.0, "Natural", "Default", number, 1), api_name="/generate"
    )
    assert "clips=" in answer[0] and answer[1], answer
    seconds.append(time.perf_counter() - start)
  return seconds


def measure(address: str, pid: int, clients: int, requests: int) -> dict:
  ask(address, range(6))  # compiled, and every prompt's width seen
  before = resident_mb(pid)
  shares = [range(client, requests, clients) for client in range(clients)]
  start = time.perf_counter()
  with concurrent.futures.ThreadPoolExecutor(clients) as pool:
    answers = pool.map(lambda share: ask(address, share), shares)
    waits = sorted(wait for answer in answers for wait in answer)
  return {
    "requests": requests,
    "clients": clients,
    "answered": len(waits),
    "seconds": round(time.perf_counter() - start, 1),
    "median_wait_s": round(waits[len(waits) // 2], 2),
    "longest_wait_s": round(waits[-1], 2),
    "memory_before_mb": round(before),
    "memory_after_mb": round(resident_mb(pid)),
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--run", default="runs/train")
  parser.add_argument("--clients", type=int, default=8)
  parser.add_argument("--requests", type=int, default=50)
  args = parser.parse_args()
  port = free_port()
  command = [sys.executable, "-m", "tdmm_jax.cli", "studio", "--run", args.run]
  served = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL)
  try:
    address = f"http://127.0.0.1:{port}"
    wait_for(address, served)
    print(json.dumps(measure(address, served.pid, args.clients, args.requests)))
  finally:
    served.terminate()
    served.wait(timeout=30)


if __name__ == "__main__":
  main()
