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
TOOLS   := deploy/images/tools.txt

# Modules are compiled once and not by each of the many processes of a test run, whatever the caller's shell says.
unexport PYTHONDONTWRITEBYTECODE

REGISTRY ?= localhost/iofog
TAG      ?= dev
ARM      := linux/arm64,linux/arm/v7
IMAGES    = --registry $(REGISTRY) --tag $(TAG) $(if $(BASE),--python $(BASE)) $(if $(BUILDER),--builder $(BUILDER))

# $(call need,NAME,example): ends with what to write where a variable is missing.
need = $(if $($(1)),,$(error $(1)= is missing. For example: make $@ $(2)))

.DEFAULT_GOAL := help
.PHONY: help setup lock list demo run test test-image-python fuzz soak new-service update-service new-project lint-services hil static check build build-arm push browser-test home-assistant test-guides image-test image-test-arm image-report new-fleet deploy-render deploy-diff deploy-check deploy audit renew-base bench docs format clean

help: ## list the targets
	@echo "Bring a physical device onto an Eclipse ioFog edge node."
	@echo
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p; s/^#: (.*)/\t  \1/p' $(MAKEFILE_LIST) | expand -t 25
	@echo
	@echo "SERVICE=name is one of: $(SERVICES)" | fold -s -w 78

setup: $(STAMP) ## prepare .venv (needs only Python 3.11 or newer)

lock: $(UV) ## after changing a pyproject.toml: uv.lock and make docs
	@$(BIN)/python common/workspace/members.py --before-lock
	@$(UV) lock --quiet
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  $(TOOLS:.txt=.in) --output-file $(TOOLS)
	@$(MAKE) --no-print-directory docs

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, $$($(PYTHON) --version) found. Try: make $(MAKECMDGOALS) PYTHON=python3.13"; exit 1; }
	@echo "setup: creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python came without its venv module. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(TOOLS)

$(STAMP): $(UV) pyproject.toml uv.lock $(MEMBERS)
	@$(BIN)/python common/workspace/members.py
	@$(UV) lock --quiet --check --python $(BIN)/python 2>$(VENV)/lock.log || \
	  { if grep -q "needs to be updated" $(VENV)/lock.log; then echo "uv.lock is older than a pyproject.toml. Run: make lock"; \
	    else cat $(VENV)/lock.log; fi; exit 1; }
	@echo "setup: installing the locked dependencies"
	@VIRTUAL_ENV=$(VENV) $(UV) sync --quiet --locked --all-packages --all-extras --inexact --python $(BIN)/python
	@touch $@

list: $(STAMP) ## list services, profiles and commands
	@$(BIN)/python -m deployment list

demo: $(STAMP) ## a whole site of emulated devices, with a live page
#: [SERVICE=name] one of them alone, and what arrives
#: [LINK=agent|edgelet|nats|mqtt]
#: [PROFILE=name] [COMMAND=json] [SECONDS=n]
	@$(BIN)/python -m demo $(if $(or $(PROFILE),$(COMMAND),$(filter-out file,$(origin SERVICE))),$(SERVICE)) $(if $(PROFILE),--profile $(PROFILE)) $(if $(COMMAND),--command '$(COMMAND)') \
	  $(if $(LINK),--link $(LINK)) $(if $(SECONDS),--seconds $(SECONDS))

run: $(STAMP) ## run a service on a real device
#: SERVICE=name [SETTINGS=file]
	@$(if $(filter-out $(SERVICES),$(SERVICE)),$(BIN)/python -m deployment unknown $(SERVICE) &&) $(BIN)/python -m $(SERVICE) $(if $(SETTINGS),--settings $(SETTINGS))

test: $(STAMP) ## run the tests (no hardware, root or network needed)
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-image-python: $(STAMP) ## the fast tests, on the Python that images ship
#: root and podman; no registry needed
	@$(BIN)/python -m tests.containers.image_python -n auto --dist worksteal $(ARGS)

fuzz: $(STAMP) ## search for faults with random examples
#: [MINUTES=n]
	@$(BIN)/python -m tests.fuzz $(or $(MINUTES),10) $(ARGS)

lint-services: $(STAMP) ## hold services against the quality scale
#: [SERVICE=name]
	@$(BIN)/python -m scaffold lint-services --service '$(if $(filter command line,$(origin SERVICE)),$(SERVICE))'

new-service: $(STAMP) ## make a service from a template
#: NAME=name BUS=serial|i2c|gpio
#: [SHAPE=stream|poll|count|command]
#: [DEVICE="what it is"]
	@$(BIN)/python -m scaffold new-service --name '$(NAME)' --bus '$(BUS)' --shape '$(SHAPE)' --device '$(DEVICE)'

update-service: $(STAMP) ## merge what is new in its template: NAME=name
	$(call need,NAME,NAME=tide_gauge)
	@$(BIN)/python -m scaffold update-service --name '$(NAME)'

new-project: $(STAMP) ## make a repository of your own with one service
#: DIR=folder NAME=name BUS=serial|i2c|gpio
#: [SHAPE=…] [DEVICE="what it is"] [INDEX=url]
	$(call need,DIR,DIR=../my-devices NAME=tide_gauge BUS=serial)
	@$(BIN)/python -m scaffold new-project --dir '$(DIR)' --index '$(INDEX)' \
	  --name '$(NAME)' --bus '$(BUS)' --shape '$(SHAPE)' --device '$(DEVICE)'

soak: $(STAMP) ## services while node, devices and disk fail again
#: [MINUTES=n]
	@$(BIN)/python -m tests.soak $(or $(MINUTES),60)

hil: $(STAMP) ## run the tests that need a kernel with GPIO and I2C
#: builds User Mode Linux once (x86-64, Debian 12)
#: [HIL_MAY_SKIP=1] passes where that cannot run
	@$(BIN)/python -m tests.hil $(ARGS)

static: $(STAMP) ## check services, format, lint and strict types
	@echo "static: services"; $(BIN)/python -m deployment services
	@echo "static: format"; $(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@echo "static: lint";   $(BIN)/ruff check --quiet .
	@echo "static: types";  $(BIN)/mypy

check: static test ## what must pass before a commit: static and test

build: $(STAMP) ## build images for this machine
#: [SERVICE=name|all] [REGISTRY=host/folder] [TAG=tag]
#: [PLATFORMS=a,b] [BASE=image]
	@$(BIN)/python -m deployment build $(SERVICE) $(IMAGES) $(if $(PLATFORMS),--platforms $(PLATFORMS))

build-arm: $(STAMP) ## the same for linux/arm64 and linux/arm/v7
	@$(BIN)/python -m deployment build $(SERVICE) $(IMAGES) --platforms $(or $(PLATFORMS),$(ARM))

push: $(STAMP) ## the same for all three, and publish to REGISTRY
	@$(BIN)/python -m deployment push $(SERVICE) $(IMAGES) --platforms $(or $(PLATFORMS),linux/amd64,$(ARM))

test-guides: $(STAMP) ## do what the guides say, in a clean clone
#: [GUIDE=name]
	@$(BIN)/python -m tests.guides $(GUIDE)

browser-test: $(STAMP) ## open the live page in headless Chromium and use it
#: Debian's chromium, or CHROMIUM=path
	@VIRTUAL_ENV=$(VENV) $(UV) sync --quiet --locked --all-packages --all-extras --inexact --group browser --python $(BIN)/python
	@$(BIN)/python -m tests.browser $(ARGS)

home-assistant: $(STAMP) ## what Home Assistant's own package says
#: of mqtt_bridge's discovery; installs it once
	@$(BIN)/python -m tests.home_assistant $(ARGS)

image-test: $(STAMP) ## build every image and run it as a node does
#: root, podman and buildah; no registry needed
	@$(BIN)/python -m tests.containers $(ARGS)

image-test-arm: $(STAMP) ## the same for one service on emulated ARM
#: [SERVICE=name]; qemu-user-static as well
	@$(BIN)/python -m tests.containers --arm=$(or $(SERVICE),gps_receiver) $(ARGS)

image-report: $(STAMP) ## size, layers, user and import time of images
	@$(BIN)/python -m deployment image-report $(SERVICE) $(IMAGES) $(if $(PLATFORMS),--platforms $(PLATFORMS))

new-fleet: $(STAMP) ## write a fleet file to start from
#: FLEET=file SERVICE="name name" [GENERATION=…]
	$(call need,FLEET,FLEET=my-fleet.yaml SERVICE=gps_receiver)
	@$(BIN)/python -m deployment new-fleet $(FLEET) $(SERVICE) $(if $(GENERATION),--generation $(GENERATION))

deploy-render: $(STAMP) ## make the manifests of a fleet: FLEET=file
#: [GENERATION=…]; by default the one in the file
	$(call need,FLEET,FLEET=deploy/fleet.example.yaml)
	@$(BIN)/python -m deployment render $(FLEET) $(if $(GENERATION),--generation $(GENERATION))

deploy-diff: $(STAMP) ## what rendering it again would change: FLEET=file
	$(call need,FLEET,FLEET=deploy/fleet.example.yaml)
	@$(BIN)/python -m deployment diff $(FLEET) $(if $(GENERATION),--generation $(GENERATION))

deploy-check: $(STAMP) ## check manifests: FILE="a.yaml b.yaml" [GENERATION=…]
	$(call need,FILE,FILE=deploy/iofog-3.9/gps_receiver.yaml GENERATION=3.9)
	@$(BIN)/python -m deployment check $(FILE) $(if $(GENERATION),--generation $(GENERATION))

deploy: $(STAMP) ## render a fleet, hand it to iofogctl or potctl
#: FLEET=file [NODES="a b"] [RING=name]
#: [GENERATION=…] [NAMESPACE=…]
	$(call need,FLEET,FLEET=deploy/fleet.example.yaml)
	@$(BIN)/python -m deployment deploy $(FLEET) $(if $(GENERATION),--generation $(GENERATION)) \
	  $(if $(NODES),--nodes $(NODES)) $(if $(RING),--ring $(RING)) $(if $(NAMESPACE),--namespace $(NAMESPACE))

audit: $(STAMP) ## look for published advisories on everything in uv.lock
#: fails too where its source, osv.dev, is not reached
	@$(UV) audit --locked || { status=$$?; [ $$status -ne 2 ] || \
	  echo "audit: NOT DONE: advisories were not reached, or not understood; the dependencies are not known to be good." >&2; \
	  exit $$status; }

renew-base: $(STAMP) ## name the newest base image by its digest
	@$(BIN)/python -m deployment renew-base

bench: $(STAMP) ## measure speed and memory against peers: [ARGS=--quick]
	@$(BIN)/python -m tests.benchmarks $(ARGS)

docs: $(STAMP) ## write tables of READMEs and manifests in deploy/
	@$(BIN)/python -m deployment generate
	@$(BIN)/python -m scaffold quality

format: $(STAMP) ## rewrite the sources in the house format
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

clean: ## remove everything that can be made again
	rm -rf $(VENV) .cache build dist .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
