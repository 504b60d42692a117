"""One TPU slice as gcloud command lines, and how to run them. No flags here."""

import dataclasses
import json
import pathlib
import shlex
import shutil
import subprocess
import tarfile
import tempfile

from tdmm_jax.errors import UserError

REPO = pathlib.Path(__file__).parents[1]
CODE = "tdmm-code.tar.gz"
RUNNERS = ("systemd", "tmux", "setsid")

# Software versions of TPU VMs, by the accelerator type's first part.
# Source: cloud.google.com/tpu/docs/runtimes ("PyTorch and JAX").
_RUNTIMES = {
  "v2": "tpu-ubuntu2204-base",
  "v3": "tpu-ubuntu2204-base",
  "v4": "tpu-ubuntu2204-base",
  "v5litepod": "v2-alpha-tpuv5-lite",
  "v5p": "v2-alpha-tpuv5",
  "v6e": "v2-alpha-tpuv6e",
}


@dataclasses.dataclass(frozen=True)
class Slice:
  """Where a slice is, or will be."""

  name: str
  zone: str
  project: str
  accelerator_type: str = ""
  provisioning: str = "on_demand"  # or "spot"
  queued: bool = False  # asked for as a queued resource
  runtime: str = ""  # default: by the accelerator type

  def _where(self) -> list[str]:
    return [f"--zone={self.zone}", f"--project={self.project}"]

  def _tpu_vm(self, verb: str, *words: str) -> list[str]:
    return ["gcloud", "compute", "tpus", "tpu-vm", verb, *words, *self._where()]

  def _queued(self, verb: str, *words: str) -> list[str]:
    group = ["gcloud", "compute", "tpus", "queued-resources"]
    return [*group, verb, *words, *self._where()]

  def create(self) -> list[str]:
    """Raises UserError for an accelerator type of unknown runtime."""
    generation = self.accelerator_type.split("-")[0]
    runtime = self.runtime or _RUNTIMES.get(generation, "")
    if not runtime:
      raise UserError(
        f"--accelerator_type {self.accelerator_type!r}: its runtime is not known; name "
        f"one of {', '.join(f'{g}-N' for g in _RUNTIMES)}, or give --runtime too"
      )
    spot = ["--spot"] if self.provisioning == "spot" else []
    kind = f"--accelerator-type={self.accelerator_type}"
    if self.queued:
      node = [f"--node-id={self.name}", f"--runtime-version={runtime}"]
      return self._queued("create", self.name, *node, kind, *spot)
    return self._tpu_vm("create", self.name, kind, f"--version={runtime}", *spot)

  def describe(self) -> list[str]:
    return self._tpu_vm("describe", self.name, "--format=json")

  def describe_queued(self) -> list[str]:
    return self._queued("describe", self.name, "--format=json")

  def delete(self) -> list[list[str]]:
    """A queued resource outlives its slice, and goes with it."""
    if self.queued:
      return [self._queued("delete", self.name, "--force", "--quiet")]
    return [self._tpu_vm("delete", self.name, "--quiet")]

  def ssh(self, command: str, worker: str = "all") -> list[str]:
    return self._tpu_vm("ssh", self.name, f"--worker={worker}", f"--command={command}")

  def sync(self, archive) -> list[list[str]]:
    """Copies the code to all workers; files that are gone here stay there."""
    to = f"{self.name}:{CODE}"
    return [
      self._tpu_vm("scp", str(archive), to, "--worker=all"),
      self.ssh(f"mkdir -p tdmm && tar xzf {CODE} -C tdmm"),
    ]

  def setup(self) -> list[str]:
    return self.ssh("bash tdmm/launch/worker.sh setup")

  def start(self, runner: str, environment: list[str], flags: list[str]) -> list[str]:
    words = ["bash", "tdmm/launch/worker.sh", "start", runner, *environment, "--"]
    return self.ssh(shlex.join([*words, "--cluster=auto", *flags]))

  def status(self) -> list[str]:
    script = "tdmm/launch/worker.sh"
    fresh = 'echo "tdmm-worker $(hostname) idle - |"'  # nothing was copied yet
    return self.ssh(f"if [ -f {script} ]; then bash {script} status; else {fresh}; fi")

  def stop(self) -> list[str]:
    return self.ssh("bash tdmm/launch/worker.sh stop")

  def logs(self, worker: str, lines: int, follow: bool) -> list[str]:
    tail = f"tail -n {lines} {'-f ' if follow else ''}tdmm-run/train.log"
    return self.ssh(tail, worker)


@dataclasses.dataclass(frozen=True)
class Worker:
  """What one worker reports about itself."""

  host: str
  state: str  # "running", "ended" or "idle"
  code: int | None  # exit code, if ended
  last_line: str


def parse_status(text: str) -> list[Worker]:
  """The workers' lines out of what `status` printed; other lines are ssh's own."""
  workers = []
  for line in text.splitlines():
    head, _, last = line.partition(" | ")
    words = head.rstrip("| ").split()
    if len(words) == 4 and words[0] == "tdmm-worker":
      code = None if words[3] == "-" else int(words[3])
      workers.append(Worker(words[1], words[2], code, last.strip()))
  return workers


def run_command(command: list[str], dry_run: bool, program: str = "") -> None:
  """Runs a command line, whose output is the user's, or prints it.

  Args:
    program: the file to run as the command's first word; default: that of PATH.

  Raises:
    UserError: it failed; names the command.
  """
  print("+ " * (not dry_run) + shlex.join(command), flush=True)
  if not dry_run:
    code = subprocess.run([program or command[0], *command[1:]]).returncode
    if code:
      raise UserError(f"{shlex.join(command)}: failed with exit code {code}; see above")


class Gcloud:
  """Runs command lines, or prints them."""

  def __init__(self, dry_run: bool = False):
    self._dry_run = dry_run
    if not dry_run and shutil.which("gcloud") is None:
      raise UserError(
        "gcloud: not on PATH; install the Google Cloud CLI, or see the commands with "
        "--dry_run"
      )

  def run(self, command: list[str]) -> None:
    """Raises UserError with the command if it fails; its output is the user's."""
    run_command(command, self._dry_run)

  def ask(self, command: list[str]) -> str | None:
    """What the command prints; None if it fails. A dry run prints the command."""
    if self._dry_run:
      print(shlex.join(command), flush=True)
      return None
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None

  def state(self, tpu: Slice) -> str:
    """The slice's state in Google's words; "GONE" if there is none of that name.

    Raises:
      UserError: gcloud could not say, for another reason.
    """
    command = tpu.describe()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
      return json.loads(done.stdout)["state"]
    if "NOT_FOUND" in done.stderr or "not found" in done.stderr:
      request = self.ask(tpu.describe_queued()) if tpu.queued else None
      return json.loads(request)["state"]["state"] if request else "GONE"
    raise UserError(f"{shlex.join(command)}: {' '.join(done.stderr.split())[-300:]}")

  def workers(self, tpu: Slice) -> list[Worker]:
    """Empty while the slice cannot be reached."""
    return parse_status(self.ask(tpu.status()) or "")

  def push(self, tpu: Slice) -> None:
    """Copies the code to all workers."""
    with tempfile.TemporaryDirectory() as folder:
      archive = pathlib.Path(tempfile.gettempdir() if self._dry_run else folder) / CODE
      if not self._dry_run:
        pack_code(archive)
      for command in tpu.sync(archive):
        self.run(command)


def pack_code(archive: pathlib.Path) -> None:
  """Everything that git tracks or would track here; without git, the code folders."""
  listed = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=REPO,
    capture_output=True,
    text=True,
  )
  code = ("tdmm_jax", "configs", "launch", "data_prep")
  names = listed.stdout.split("\n") if listed.returncode == 0 else []
  files = [name for name in names if name and (REPO / name).is_file()] or [
    str(path.relative_to(REPO))
    for folder in code
    for path in (REPO / folder).rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
  ] + ["requirements.txt", "requirements-tpu.txt"]
  with tarfile.open(archive, "w:gz") as tar:
    for name in files:
      tar.add(REPO / name, arcname=name)
