"""Turns prompts into videos: one job for each (prompt, generator, seed, wording).

  python -m data_prep.videos plan prompts.jsonl --out jobs.jsonl --generators wan2.1,veo
  python -m data_prep.videos work jobs.jsonl --out videos --generator wan2.1 \
      --worker 0 --num_workers 8

`plan` writes the manifest of jobs: prompts go round the generators, each with its own
seed, and each takes one of its captions as its wording. `work` does one worker's share
of one generator's jobs. A video appears under `<clip_id>.mp4` only when it is whole; a
finished one is skipped, a failed one is recorded in `failed/<clip_id>.json` and tried
again by the next run, up to --tries times in all. `made/<clip_id>.json` tells what a
video was made from: another wording, seed or setting makes it anew. `status` counts
both. Where job after job fails alike, it is the generator that fails: the run ends, and
one try of one job is lost.

Generators: wan2.1 and wan2.2 run in this process through diffusers, veo through
google-genai (requirements-videos.txt, `make videos`); opensora and humo through their
own command lines, the templates in `configs/video_generators.json`.
"""

import argparse
import collections
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from data_prep import manifest, videos_api
from tdmm_jax import errors, files
from tdmm_jax.errors import UserError

CONFIG = pathlib.Path(__file__).parents[1] / "configs" / "video_generators.json"
MAX_TRIES = 3
ALIKE = 3  # jobs in a row that fail alike: the generator's fault, not theirs


def plan(rows, generators, seed: int = 0, per_prompt: int = 1) -> list[dict[str, Any]]:
  """The manifest of jobs.

  Args:
    rows: of a prompt manifest.
    generators: their names; prompts are spread over them, so that no bias is learned.
    seed: of the plan; same seed, same jobs.
    per_prompt: videos of each prompt, by different generators if there are enough.

  Returns:
    rows of clip_id, prompt (as in the suite), wording (what the generator reads),
    generator, seed, and the prompt's attributes and captions.
  """
  jobs = []
  for index, row in enumerate(rows):
    wordings = [row["prompt"], *row.get("captions", ())]
    for copy in range(per_prompt):
      clip_id = row["clip_id"] if per_prompt == 1 else f"{row['clip_id']}_{copy}"
      digest = hashlib.sha256(f"{seed}/{clip_id}".encode()).digest()
      jobs.append(
        {
          **row,
          "clip_id": clip_id,
          "wording": wordings[digest[4] % len(wordings)],
          "generator": generators[(index + copy) % len(generators)],
          "seed": int.from_bytes(digest[:4], "big") >> 1,
        }
      )
  return jobs


def share(jobs, generator: str, worker: int, num_workers: int) -> list[dict[str, Any]]:
  """The jobs of one generator that fall to one of its workers, by hash of clip_id."""
  place = lambda job: int(hashlib.sha256(job["clip_id"].encode()).hexdigest()[:8], 16)
  mine = [job for job in jobs if job.get("generator") == generator]
  return [job for job in mine if place(job) % num_workers == worker]


def request_of(job: dict[str, Any], settings=None) -> str:
  """What a video is made from, as a digest."""
  made_from = [job.get(key) for key in ("wording", "generator", "seed")]
  text = json.dumps([made_from, settings], sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def work(
  jobs,
  out_dir,
  make: Callable[[dict[str, Any], str], None],
  max_tries: int = MAX_TRIES,
  report: Callable[[str], None] = print,
  settings=None,
) -> dict[str, int]:
  """Makes the videos that are not there yet.

  Args:
    jobs: of `share`.
    out_dir: gets <clip_id>.mp4, made/<clip_id>.json and failed/<clip_id>.json. A video
      without the second is somebody's own and stays.
    make: (job, path) writes a video to the path, which ends in .mp4, or raises.
    max_tries: a job that has failed as often is left alone.
    report: told a line for each job done.
    settings: of the generator; JSON-able. Videos of others are made anew.

  Returns:
    counts: done (by this call), there (before), failed, given_up (before).

  Raises:
    UserError: a file cannot be written, or the generator fails whatever the job.
  """
  out_dir = pathlib.Path(out_dir)
  counts = collections.Counter(done=0, there=0, failed=0, given_up=0)
  for folder in ("failed", "made"):
    (out_dir / folder).mkdir(parents=True, exist_ok=True)
  alike: list = []  # (record, what it was before) of the last jobs, which failed alike
  last = None
  for job in jobs:
    final = out_dir / f"{job['clip_id']}.mp4"
    made, record = (out_dir / f"{f}/{job['clip_id']}.json" for f in ("made", "failed"))
    request = request_of(job, settings)
    held = _read(record)
    tries = held.get("tries", 0) if held.get("request", request) == request else 0
    if final.exists() and _read(made).get("request", request) == request:
      outcome = "there"
    elif tries >= max_tries:
      outcome = "given_up"
    else:
      error = _one(job, final, make)
      outcome = "done" if error is None else "failed"
      if error is None:
        files.write_json(made, {"request": request})
        record.unlink(missing_ok=True)
        alike = []
      else:
        text = f"{type(error).__name__}: {error}"
        content = {**job, "request": request, "tries": tries + 1, "error": text}
        files.write_json(record, content)
        kind = re.sub(r"\d+", "0", text)
        if kind != last:
          alike = []
        if not isinstance(error, videos_api.RefusedError):  # of this prompt alone
          alike.append((record, held))
        last = kind
      report(f"{job['clip_id']}: {outcome}")
      if len(alike) >= ALIKE:
        _take_back(alike[1:])
        raise UserError(
          f"{len(alike)} jobs in a row failed alike ({text}): the generator fails, not "
          "the jobs; mend it, and run the same command again"
        )
    counts[outcome] += 1
  return dict(counts)


def _one(job, final, make) -> Exception | None:
  """Makes a video; returns what went wrong."""
  try:
    with files.then_rename(final) as temporary:
      make(job, os.fspath(temporary))
      if not temporary.stat().st_size:
        raise RuntimeError("the generator wrote no video")
  except UserError:  # the disk is full, say: no fault of this job
    raise
  except Exception as error:  # one job's fault must not end the others' work
    return error
  return None


def _take_back(records) -> None:
  """These tries do not count: the records are as they were before."""
  for record, held in records:
    if held:
      files.write_json(record, held)
    else:
      record.unlink(missing_ok=True)


def _read(path) -> dict[str, Any]:
  try:
    held = json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError):
    return {}
  sound = isinstance(held, dict) and isinstance(held.get("tries", 0), int)
  return held if sound else {}


def status(jobs, out_dir) -> dict[str, Any]:
  """Counts by generator: jobs, videos there, failures on record."""
  out_dir = pathlib.Path(out_dir)
  table = collections.defaultdict(collections.Counter)
  for job in jobs:
    row = table[job["generator"]]
    row["jobs"] += 1
    row["videos"] += (out_dir / f"{job['clip_id']}.mp4").exists()
    row["failed"] += (out_dir / "failed" / f"{job['clip_id']}.json").exists()
  return {name: dict(row) for name, row in sorted(table.items())}


def command_maker(settings) -> Callable[[dict[str, Any], str], None]:
  """A generator with a command line of its own.

  Args:
    settings: command, a list of arguments, which no shell reads; cwd, where to run it;
      files, name -> JSON written beside it for generators that read their prompt from
      a file; timeout_s, after which a run is killed and has failed. {prompt}, {seed},
      {clip_id} and {work} (a folder of this run; the newest mp4 in it is the video)
      and environment variables ($NAME) are filled in.
  """

  def make(job, path):
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path), prefix=".work") as work:
      values = {
        "prompt": job["wording"],
        "seed": str(job["seed"]),
        "clip_id": job["clip_id"],
        "work": work,
      }
      for name, content in settings.get("files", {}).items():
        with open(os.path.join(work, name), "w", encoding="utf-8") as file:
          json.dump(_fill(content, values), file)
      run = subprocess.run(
        _fill(settings["command"], values),
        cwd=_fill(settings.get("cwd", "."), values),
        capture_output=True,
        text=True,
        timeout=settings.get("timeout_s", 3600),
      )
      if run.returncode:
        said = (run.stderr.strip() or run.stdout.strip()).splitlines() or ["nothing"]
        raise RuntimeError(f"exit code {run.returncode}: {said[-1]}")
      made = sorted(pathlib.Path(work).rglob("*.mp4"), key=os.path.getmtime)
      if made:
        os.replace(made[-1], path)

  return make


def _fill(template, values: dict[str, str]):
  """Fills a template's strings, in one pass: braces in a prompt stay as they are."""
  if isinstance(template, dict):
    return {key: _fill(value, values) for key, value in template.items()}
  if isinstance(template, list):
    return [_fill(value, values) for value in template]
  if not isinstance(template, str):
    return template
  pattern = "|".join("{" + name + "}" for name in values)
  expanded = os.path.expandvars(template)
  return re.sub(pattern, lambda found: values[found.group()[1:-1]], expanded)


def read_config(path, generator: str) -> dict[str, Any]:
  """The generator's settings.

  Raises:
    UserError: unreadable, or it does not name the generator.
  """
  try:
    config = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
  except (OSError, ValueError) as error:
    raise UserError(f"{path}: cannot be read ({error}); fix it") from error
  if generator not in config:
    known = ", ".join(sorted(config))
    raise UserError(f"--generator {generator}: not in {path}; it has {known}")
  return config[generator]


def maker(settings) -> Callable[[dict[str, Any], str], None]:
  """What makes a generator's videos, by the `kind` of its settings."""
  if settings["kind"] == "command":
    return command_maker(settings)
  if settings["kind"] == "diffusers":
    return videos_api.wan_maker(settings)
  if settings["kind"] == "veo":
    return videos_api.veo_maker(settings, time.sleep)
  raise UserError(f"kind {settings['kind']!r}: choose command, diffusers or veo")


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.videos", description="Turn prompts into videos."
  )
  commands = parser.add_subparsers(dest="command", required=True)
  planner = commands.add_parser("plan", help="write the manifest of jobs")
  planner.add_argument("prompts", help="prompt manifest (JSON lines)")
  planner.add_argument("--out", required=True, metavar="FILE")
  planner.add_argument("--generators", default="wan2.1,wan2.2,opensora,humo,veo")
  planner.add_argument("--seed", type=int, default=0)
  planner.add_argument("--per_prompt", type=int, default=1)
  worker = commands.add_parser("work", help="do one worker's share")
  worker.add_argument("jobs", help="of plan")
  worker.add_argument("--out", required=True, metavar="DIR")
  worker.add_argument("--generator", required=True)
  worker.add_argument("--worker", type=int, default=0)
  worker.add_argument("--num_workers", type=int, default=1)
  worker.add_argument("--tries", type=int, default=MAX_TRIES)
  worker.add_argument("--config", default=os.fspath(CONFIG))
  counter = commands.add_parser("status", help="count jobs, videos and failures")
  counter.add_argument("jobs")
  counter.add_argument("--out", required=True, metavar="DIR")
  return parser


def _run(args) -> int:
  if args.command == "plan":
    names = [name for name in args.generators.split(",") if name]
    if not names or args.per_prompt < 1:
      raise UserError("plan: give at least one of --generators, and --per_prompt >= 1")
    jobs = plan(manifest.read(args.prompts), names, args.seed, args.per_prompt)
    manifest.write(args.out, jobs)
    print(json.dumps({"jobs": len(jobs)}))
    return 0
  jobs = manifest.read(args.jobs)
  for job in jobs:
    if not {"wording", "generator", "seed"} <= set(job):
      raise UserError(f"{args.jobs}: '{job['clip_id']}' is no job; make it with plan")
    if os.path.basename(job["clip_id"]) != job["clip_id"]:
      raise UserError(f"{args.jobs}: clip_id {job['clip_id']!r} is no file name")
  if args.command == "status":
    print(json.dumps(status(jobs, args.out), indent=2))
    return 0
  if not 0 <= args.worker < args.num_workers:
    raise UserError(f"--worker {args.worker}: not one of {args.num_workers}")
  settings = read_config(args.config, args.generator)
  make = maker(settings)
  mine = share(jobs, args.generator, args.worker, args.num_workers)
  say = lambda line: print(line, file=sys.stderr)
  counts = work(mine, args.out, make, args.tries, say, settings)
  print(json.dumps(counts))
  return 1 if counts["failed"] or counts["given_up"] else 0


@errors.entry_point("data_prep.videos", "the same command resumes")
def main(argv: list[str] | None = None) -> int:
  """Runs one command; 1 if jobs have failed, which the same command tries again."""
  return _run(_parser().parse_args(argv))


if __name__ == "__main__":
  sys.exit(main())
