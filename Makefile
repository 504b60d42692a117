# Needs python3 (3.11 or newer) and GNU make, and nothing else.

PYTHON ?= python3
UV := uv==0.13.9
GLTF_VALIDATOR := gltf-validator@2.0.0-dev.3.10
BIN := .venv/bin
PEERS := .venv-peers/bin
TRACK := .venv-track/bin
REQUIREMENTS := requirements.txt requirements-data.txt requirements-export.txt \
  requirements-live.txt requirements-studio.txt requirements-test.txt
TORCH := $(shell sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements-peers.txt)

# Real clips to show and to test with, where there are any.
ifneq ($(wildcard ../shared/data),)
export TDMM_REAL_DATA ?= $(abspath ../shared/data)
endif

.DEFAULT_GOAL := help
.PHONY: help first_use compiler install peers track videos beam blender xpk demo train test bench \
  lint clean

help:
	@echo 'make demo      install; the released checkpoint acts prompts out, describes'
	@echo '               motions and is scored: runs/demo/report.html, in minutes'
	@echo 'make train     install; build the default corpus, train both models, score them'
	@echo '               beside the release: runs/train/report.html (both go on where an'
	@echo '               interrupted one stopped)'
	@echo 'make test      install, with the peers that parity tests need; run every test'
	@echo '               (ARGS="-k video" is handed to pytest)'
	@echo 'make bench     install, with the peers; measure this project beside them, write'
	@echo '               benchmarks/results.json (about five minutes)'
	@echo 'make install   .venv/ with the project (.venv/bin/tdmm) and what its tests need'
	@echo 'make track     .venv-track/ with mediapipe, for python -m data_prep.track'
	@echo 'make beam      .venv-beam/, for records on Dataflow, Flink or Spark'
	@echo 'make videos    .venv-videos/ with diffusers and google-genai, for data_prep.videos'
	@echo 'make compiler  .libtpu/, the TPU compiler, for launch.compile_check (203 MB)'
	@echo 'make xpk       .venv-xpk/ with xpk, for launch.xpk: TPU slices on GKE'
	@echo 'make lint      ruff check and ruff format --check'
	@echo 'make blender   .venv-blender/ with Blender as a module: its test then runs too'
	@echo 'make clean     remove .venv*/ and caches; runs/ stays'

install: .venv/.installed

peers: .venv-peers/.installed

track: .venv-track/.installed

videos: .venv-videos/.installed

# The stamp holds how many seconds the installation took. uv installs in a tenth of
# pip's time; where it cannot (a mirror that only pip knows of), pip does it. uv leaves
# it to the first import to compile Python's files; that is done here, once.
.venv/.installed: $(REQUIREMENTS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "python3 is older than 3.11: make PYTHON=/path/to/python3.11 ...")'
	@echo 'Installing into .venv/ ...'
	@start=$$(date +%s) && \
	$(PYTHON) -m venv .venv && \
	if $(BIN)/python -m pip install -q --disable-pip-version-check $(UV) && \
	   $(BIN)/uv pip install -q --python $(BIN)/python $(addprefix -r ,$(REQUIREMENTS)) && \
	   $(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .; \
	then :; else \
	  echo 'uv could not install; pip takes over (minutes).' && \
	  $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -q \
	    $(addprefix -r ,$(REQUIREMENTS)) && \
	  $(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -e .; \
	fi && \
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -c \
	  'import tdmm_jax.generate.face, tdmm_jax.cli.main' && \
	$(MAKE) -s first_use && \
	echo $$(( $$(date +%s) - start )) > $@ && \
	echo "Installed in $$(cat $@) s."

# What the first commands would compile is compiled here (12 s of processor time), and
# kept where `tdmm` looks for it. That it works is a test of the installation, too.
first_use:
	@made=$$(mktemp -d) && \
	PYTHONDONTWRITEBYTECODE= $(BIN)/tdmm generate 'She smiles.' --out $$made >$$made/said \
	  2>&1 && PYTHONDONTWRITEBYTECODE= $(BIN)/tdmm describe $$made/motion.npz >/dev/null || \
	cat $$made/said; rm -r $$made

# torch comes first and alone, from the index of its CPU builds where that can be
# reached: other ways may bring gigabytes of CUDA.
.venv-peers/.installed: requirements-peers.txt | install
	@echo 'Installing the peers (torch, transformers, smplx) into .venv-peers/ ...'
	@$(PYTHON) -m venv .venv-peers
	@$(PEERS)/python -m pip install -q --disable-pip-version-check --progress-bar off \
	    --index-url https://download.pytorch.org/whl/cpu --retries 0 --timeout 5 \
	    $(TORCH) 2>/dev/null || \
	  $(PEERS)/python -m pip install -q --disable-pip-version-check --progress-bar off \
	    $(TORCH)
	@$(BIN)/uv pip install -q --python $(PEERS)/python -r requirements-peers.txt || \
	  $(PEERS)/python -m pip install -q --disable-pip-version-check \
	    --progress-bar off -r requirements-peers.txt
	@touch $@

# mediapipe's numpy is not the project's; --no-deps, see the file.
.venv-track/.installed: requirements-track.txt | install
	@echo 'Installing mediapipe into .venv-track/ ...'
	@$(PYTHON) -m venv .venv-track
	@$(BIN)/uv pip install -q --python $(TRACK)/python --no-deps \
	    -r requirements-track.txt || \
	  $(TRACK)/python -m pip install -q --disable-pip-version-check \
	    --progress-bar off --no-deps -r requirements-track.txt
	@touch $@

# Khronos' validator of exported glTF; without npm its test is skipped and says so.
.node/.installed:
	@mkdir -p .node
	@if command -v npm >/dev/null; then \
	  npm install --silent --no-audit --no-fund --prefix .node $(GLTF_VALIDATOR) || \
	  echo 'npm could not install $(GLTF_VALIDATOR): its test will be skipped.'; fi
	@touch $@

# Blender as a Python module (360 MB), for the test that imports the GLB with it.
blender: .venv-blender/.installed

.venv-blender/.installed: requirements-blender.txt
	@$(PYTHON) -m venv .venv-blender
	@.venv-blender/bin/python -m pip install -q --disable-pip-version-check \
	  -r requirements-blender.txt
	@touch $@

# Beam's pins contradict requirements.txt (protobuf), so it lives apart.
beam: .venv-beam/.installed

.venv-beam/.installed: requirements-beam.txt | install
	@echo 'Installing Apache Beam into .venv-beam/ ...'
	@$(PYTHON) -m venv .venv-beam
	@$(BIN)/uv pip install -q --python .venv-beam/bin/python -r requirements-beam.txt || \
	  .venv-beam/bin/python -m pip install -q --disable-pip-version-check \
	    --progress-bar off -r requirements-beam.txt
	@touch $@

.venv-videos/.installed: requirements-videos.txt | install
	@echo 'Installing torch, diffusers and google-genai into .venv-videos/ ...'
	@$(PYTHON) -m venv .venv-videos
	@.venv-videos/bin/python -m pip install -q --disable-pip-version-check \
	    --progress-bar off -r requirements-videos.txt
	@touch $@

# xpk's pins contradict requirements.txt (urllib3), so it lives apart.
xpk: .venv-xpk/.installed

.venv-xpk/.installed: requirements-xpk.txt | install
	@echo 'Installing xpk into .venv-xpk/ ...'
	@$(PYTHON) -m venv .venv-xpk
	@$(BIN)/uv pip install -q --python .venv-xpk/bin/python -r requirements-xpk.txt || \
	  .venv-xpk/bin/python -m pip install -q --disable-pip-version-check \
	    --progress-bar off -r requirements-xpk.txt
	@touch $@

# Beside .venv/, not in it: see requirements-launch.txt.
compiler: .libtpu/.installed

.libtpu/.installed: requirements-launch.txt | install
	@echo 'Installing the TPU compiler into .libtpu/ ...'
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --target .libtpu \
	    -r requirements-launch.txt || \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps \
	    --target .libtpu -r requirements-launch.txt
	@touch $@

demo: install
	@TDMM_INSTALL_SECONDS=$$(cat .venv/.installed) $(BIN)/python -m demo.run $(ARGS)

train: install
	@TDMM_INSTALL_SECONDS=$$(cat .venv/.installed) $(BIN)/python -m demo.train $(ARGS)

# One thread for each of the two workers, or they fight over two cores. What one process
# has compiled of Python's files the next hundred read, whatever the environment says.
test: install peers compiler .node/.installed
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 JAX_PLATFORMS=cpu \
	PYTHONDONTWRITEBYTECODE= \
	XLA_FLAGS="$$XLA_FLAGS --xla_cpu_multi_thread_eigen=false" \
	  $(BIN)/python -m pytest -n 2 --dist loadfile --durations=15 $(ARGS)

bench: install peers
	JAX_PLATFORMS=cpu $(BIN)/python -m benchmarks.run $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv .venv-* .node .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
