# Everything a user runs. `make` alone lists the targets.
# Each target sets up what it needs; nothing is repeated while nothing changed.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
UV      := $(BIN)/uv
STAMP   := $(VENV)/.ready
MEMBERS := $(wildcard common/*/pyproject.toml services/*/pyproject.toml)

SERVICES := $(notdir $(patsubst %/,%,$(dir $(wildcard services/*/pyproject.toml))))
SERVICE ?= gps_receiver
UV_VERSION := 0.13.9

REGISTRY ?= localhost/iofog
TAG      ?= dev
ARM      := linux/arm64,linux/arm/v7
IMAGES    = --registry $(REGISTRY) --tag $(TAG) $(if $(BASE),--python $(BASE)) $(if $(BUILDER),--builder $(BUILDER))

# $(call need,NAME,example): ends with what to write where a variable is missing.
need = $(if $($(1)),,$(error $(1)= is missing. For example: make $@ $(2)))

.DEFAULT_GOAL := help
.PHONY: help setup demo run test test-image-python hil static check build build-arm push image-test image-test-arm image-report deploy-render deploy-check deploy bench docs format clean

help: ## list the targets
	@echo "Bring a physical device onto an Eclipse ioFog edge node."
	@echo
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 26
	@echo
	@echo "  SERVICE=name     one of: $(SERVICES)"

setup: $(STAMP) ## prepare .venv (needs Python 3.11 or newer, nothing else)

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $$($(PYTHON) --version) found. Try: make $(MAKECMDGOALS) PYTHON=python3.13"; exit 1; }
	@echo "setup: creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python came without its venv module. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): $(UV) pyproject.toml uv.lock $(MEMBERS)
	@echo "setup: installing the locked dependencies"
	@VIRTUAL_ENV=$(VENV) $(UV) sync --quiet --locked --all-packages --all-extras --inexact --python $(BIN)/python
	@touch $@

demo: $(STAMP) ## run a service on a simulated device: [SERVICE=name] [LINK=agent|edgelet|nats|mqtt] [PROFILE=name] [COMMAND=json] [SECONDS=n]
	@$(BIN)/python -m demo $(SERVICE) $(if $(PROFILE),--profile $(PROFILE)) $(if $(COMMAND),--command '$(COMMAND)') \
	  $(if $(LINK),--link $(LINK)) $(if $(SECONDS),--seconds $(SECONDS))

run: $(STAMP) ## run a service on a real device: SERVICE=name [SETTINGS=file]
	@$(BIN)/python -m $(SERVICE) $(if $(SETTINGS),--settings $(SETTINGS))

test: $(STAMP) ## run the tests (no hardware, root, network or Docker needed)
	@$(BIN)/python -m pytest $(ARGS)

test-image-python: $(STAMP) ## run the unit, service and conformance tests under the interpreter that images ship (root, podman)
	@$(BIN)/python -m tests.containers.image_python $(ARGS)

hil: $(STAMP) ## run the tests that need a kernel with GPIO and I2C: builds User Mode Linux once (x86-64, Debian 12)
	@$(BIN)/python -m tests.hil $(ARGS)

static: $(STAMP) ## check format, lint and strict types
	@echo "static: format"; $(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@echo "static: lint";   $(BIN)/ruff check --quiet .
	@echo "static: types";  $(BIN)/mypy

check: static test ## everything that must pass before a commit: static and test

build: $(STAMP) ## build images for this machine: [SERVICE=name|all] [REGISTRY=host/folder] [TAG=tag] [PLATFORMS=a,b] [BASE=image]
	@$(BIN)/python -m deployment build $(SERVICE) $(IMAGES) $(if $(PLATFORMS),--platforms $(PLATFORMS))

build-arm: $(STAMP) ## build images for linux/arm64 and linux/arm/v7: the same options
	@$(BIN)/python -m deployment build $(SERVICE) $(IMAGES) --platforms $(or $(PLATFORMS),$(ARM))

push: $(STAMP) ## build images for all three architectures and publish them to REGISTRY: the same options
	@$(BIN)/python -m deployment push $(SERVICE) $(IMAGES) --platforms $(or $(PLATFORMS),linux/amd64,$(ARM))

image-test: $(STAMP) ## build every image and run it as a node does (root, podman, buildah; no registry needed)
	@$(BIN)/python -m tests.containers $(ARGS)

image-test-arm: $(STAMP) ## the same for one service on both ARM platforms, under emulation (also qemu-user-static)
	@$(BIN)/python -m tests.containers --arm $(ARGS)

image-report: $(STAMP) ## size, layers, user and import time of built images: the same options
	@$(BIN)/python -m deployment image-report $(SERVICE) $(IMAGES) $(if $(PLATFORMS),--platforms $(PLATFORMS))

deploy-render: $(STAMP) ## make the manifests of a fleet: FLEET=file GENERATION=3.0|3.6|3.7|3.8|edgelet
	$(call need,FLEET,FLEET=deploy/fleet.example.yaml GENERATION=3.8)
	$(call need,GENERATION,FLEET=$(FLEET) GENERATION=3.8)
	@$(BIN)/python -m deployment render $(FLEET) --generation $(GENERATION)

deploy-check: $(STAMP) ## check manifests: FILE="a.yaml b.yaml" [GENERATION=3.0|3.6|3.7|3.8|edgelet]
	$(call need,FILE,FILE=deploy/iofog-3.8/gps_receiver.yaml GENERATION=3.8)
	@$(BIN)/python -m deployment check $(FILE) $(if $(GENERATION),--generation $(GENERATION))

deploy: $(STAMP) ## render a fleet and hand it to iofogctl or potctl: FLEET=file GENERATION=… [NODES="a b"] [NAMESPACE=name]
	$(call need,FLEET,FLEET=deploy/fleet.example.yaml GENERATION=3.8)
	$(call need,GENERATION,FLEET=$(FLEET) GENERATION=3.8)
	@$(BIN)/python -m deployment deploy $(FLEET) --generation $(GENERATION) $(if $(NODES),--nodes $(NODES)) \
	  $(if $(NAMESPACE),--namespace $(NAMESPACE))

bench: $(STAMP) ## measure speed and memory against peers: [ARGS=--quick]
	@$(BIN)/python -m tests.benchmarks $(ARGS)

docs: $(STAMP) ## write the tables of the services' READMEs, and the manifests in deploy/
	@for service in $(SERVICES); do $(BIN)/python -m $$service --write-readme services/$$service/README.md; done
	@$(BIN)/python -m deployment samples

format: $(STAMP) ## rewrite the sources in the house format
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

clean: ## remove everything that can be made again
	rm -rf $(VENV) .cache build dist .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
