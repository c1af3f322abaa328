# Each target sets up .venv by itself; all it needs is make and Python 3.11 or newer (PYTHON=... to choose one).

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2
OPERATORS := tests/ops tests/kernels tests/acceleration tests/inference/test_predictor.py tests/inference/test_prepared.py \
  tests/inference/test_external_proposals.py tests/inference/test_merging.py

.PHONY: demo test check docs soak clean

# Train, evaluate and predict on built-in pictures.
demo: $(READY)
	$(BIN)/faster-rcnn demo

# One process per processor: each test computes on one thread. Tests that share a folder run in one process (loadgroup).
# What depends on the instruction set most is run again as on a processor that has no more than AVX2, where this one has.
test: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadgroup --durations 20
	@widest=$$($(BIN)/python -c 'from faster_rcnn.system.devices import instruction_sets; print(instruction_sets()[0])') && \
	case "$$widest" in \
	AVX512*) echo "make test: again with AVX2 alone:" $(OPERATORS) && $(AVX2) $(BIN)/python -m pytest -n auto --dist loadgroup $(OPERATORS) ;; \
	*) echo "make test: nothing is run again, the widest vectors here are $$widest" ;; \
	esac

# Format, lint, types, and every link of the documentation.
check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python tools/make_docs.py

# The documentation site, with search, for reading offline: build/site/index.html.
docs: $(READY)
	$(BIN)/python tools/make_docs.py

# The slow proofs that `make test` leaves out.
soak: $(READY)
	$(BIN)/python -m pytest -m soak

clean:
	rm -rf .venv build .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The stamp is touched last, so an installation that was interrupted is done again.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "faster-rcnn needs Python 3.11 or newer as '$(PYTHON)': make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,demo]'
	@touch $@
