# Training on TPU VMs: build it once, run it on every host of the slice.
#
#   docker build -f docker/tpu.Dockerfile -t REGISTRY/tdmm-tpu .
#   docker run --rm --privileged --net=host REGISTRY/tdmm-tpu \
#     --config configs/lm_base.py --workdir gs://BUCKET/lm
#
# --privileged gives the container the TPU; --net=host lets the hosts find each other.
FROM python:3.11.13-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1

WORKDIR /app
# requirements-tpu.txt: libtpu, and the client of gs://.
COPY requirements.txt requirements-tpu.txt ./
RUN pip install -r requirements.txt -r requirements-tpu.txt
COPY LICENSE README.md pyproject.toml ./
COPY tdmm_jax tdmm_jax
COPY data_prep data_prep
COPY configs configs
RUN pip install --no-deps .

ENTRYPOINT ["python", "-m", "tdmm_jax.train"]
CMD ["--help"]
