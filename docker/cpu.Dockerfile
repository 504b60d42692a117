# The studio and the command line on a CPU.
#
#   docker build -f docker/cpu.Dockerfile -t tdmm .
#   docker run --rm -p 127.0.0.1:7860:7860 -v "$PWD/runs:/app/runs:ro" tdmm
#   docker run --rm -v "$PWD:/work" -w /work tdmm generate "She smiles." --out out/
#
# The released checkpoint is inside; runs of your own are mounted (--run runs/train).
FROM python:3.11.13-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 \
    JAX_PLATFORMS=cpu JAX_COMPILATION_CACHE_DIR=/home/tdmm/.cache/jax

WORKDIR /app
# The requirements come first: they change less often than the code.
COPY requirements.txt requirements-studio.txt ./
RUN pip install -r requirements.txt -r requirements-studio.txt
COPY LICENSE README.md pyproject.toml ./
COPY tdmm_jax tdmm_jax
COPY data_prep data_prep
COPY configs configs
RUN pip install --no-deps . && useradd --create-home --uid 1000 tdmm

USER 1000
EXPOSE 7860
ENTRYPOINT ["tdmm"]
# 0.0.0.0 is the container's own; which of the host's addresses it has, -p says.
CMD ["studio", "--host", "0.0.0.0"]
