# `make run` records; `make test` is what .ci/run calls; `make help` lists the rest.
# Every target does its own set-up: a virtual environment in .venv with what the lock files say,
# and Debian packages through apt-get when this is root and something is missing.
# WORKERS: tests that run beside each other, one more than cores as they wait for the disk; WAITERS: those of the whole
# program, which wait for real time more than they compute, each in network namespaces of its own.

PYTHON ?= python3
DATA ?= ./var
WORKERS ?= 3
WAITERS ?= 3

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
RUN_READY := $(VENV)/.ready-to-run
DEV_READY := $(VENV)/.ready-to-develop
CHECKED := capture codecs appliance benchmarks systemd tests

export PYTHON
unexport PYTHONDONTWRITEBYTECODE # a test starts hundreds of programs: compiled once, not each time
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin:$(CURDIR)/$(VENV)/chrony/usr/sbin:$(CURDIR)/$(VENV)/chrony/usr/bin:$(CURDIR)/$(VENV)/prometheus/usr/bin
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

.PHONY: help run test test-system package setup tools system-tools pictures lint format types bench lock wheels ansible clean distclean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUN_READY) ## record: IFACE="eth1 eth2" names interfaces; without it, a test call over loopback. DATA=./var
	@exec .ci/with-capture $(BIN)/vittne record --data $(DATA) \
		$(if $(IFACE),$(foreach interface,$(IFACE),--interface $(interface)),--interface lo --test-call)

test: setup tools lint types ## lint, types and all tests but those of test-system
	$(BIN)/pytest -m "not system and not machine and not faults and not sweep" -n $(WORKERS) --dist worksteal
	$(BIN)/pytest -m system -n $(WAITERS) --dist loadfile tests/system tests/ring

test-system: setup tools system-tools ## what takes long: kills at every step, machines with systemd, the package, faults (root)
	$(BIN)/pytest -m sweep -n $(WORKERS) --dist worksteal
	$(BIN)/pytest -m "machine or faults" tests/machines tests/faults

package: ## the Debian package for the release of this machine, in dist; REVISION=1
	@.ci/need /usr/bin/python3=python3 dpkg-deb=dpkg python:ensurepip=python3-venv
	@/usr/bin/python3 systemd/package/build.py --revision $(REVISION)
REVISION ?= 1
package: PYTHON := /usr/bin/python3

pictures: setup tools ## the console's pictures in docs/pictures, taken of a real recorder; all of them lie in var/pictures
	VITTNE_PICTURES=$(CURDIR)/var/pictures $(BIN)/pytest -m system tests/system/test_console_live.py
	@for name in $(PICTURES); do \
		ffmpeg -v error -y -i var/pictures/$$name.png -quality 80 docs/pictures/$$name.webp; done
PICTURES := invitation setup users now recording paused evidence compliance-compliance-report compliance-recordings

setup: $(DEV_READY) ## the virtual environment for developing, in .venv

tools: ## the programs that tests compare with or talk to; installed when this is root on Debian
	@.ci/need tshark=tshark editcap=wireshark-common ffmpeg=ffmpeg sox=sox espeak-ng=espeak-ng openssl=openssl \
		ip=iproute2 tc=iproute2 tcpdump=tcpdump ethtool=ethtool unshare=util-linux nsenter=util-linux \
		faketime=faketime pdftotext=poppler-utils chromium=chromium \
		sipp=sip-tester baresip=baresip-core kamailio=kamailio rtpengine=rtpengine-daemon \
		snmptrapd=snmptrapd slapd=slapd ldapmodify=ldap-utils systemd-analyze=systemd pg_ctlcluster=postgresql \
		softhsm2-util=softhsm2 swtpm=swtpm tpm2_unseal=tpm2-tools lib:libbcg729.so.0=libbcg729-0
	@command -v chronyd >/dev/null || .ci/unpack chrony $(VENV)/chrony
	@command -v promtool >/dev/null || .ci/unpack prometheus $(VENV)/prometheus

system-tools: ## the programs that machines and the package need besides
	@.ci/need debootstrap=debootstrap systemd-nspawn=systemd-container setpriv=util-linux \
		lintian=lintian dpkg-deb=dpkg man=man-db curl=curl
	@PYTHON=/usr/bin/python3 .ci/need python:ensurepip=python3-venv

lint: $(DEV_READY) ## ruff: rules and format
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)

types: $(DEV_READY) ## mypy, strict, program and tests
	$(BIN)/mypy
	$(BIN)/mypy tests

format: $(DEV_READY) ## put the code into its form
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

bench: $(DEV_READY) ## generate load and run every benchmark, small; results are printed
	@$(BIN)/python benchmarks/report.py

lock: ## write the lock files anew from pyproject.toml
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip --quiet --disable-pip-version-check install uv
	$(VENV)/lock/bin/uv pip compile $(LOCK) --group build -o requirements.lock pyproject.toml
	$(VENV)/lock/bin/uv pip compile $(LOCK) --group dev -c requirements.lock -o requirements-dev.lock pyproject.toml
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
	--custom-compile-command "make lock" --upgrade

wheels: $(DEV_READY) ## for Ansible: the wheel, and a tar of what it needs, in dist/
	rm -rf build dist/wheels
	$(PIP) wheel --no-deps --no-build-isolation --no-index --wheel-dir dist .
	$(PIP) download --require-hashes --only-binary :all: --requirement requirements.lock --dest dist/wheels
	tar -C dist/wheels -cf dist/wheelhouse.tar .

ansible: $(VENV)/ansible/.ready ## ansible-core and ansible-lint, in an environment of their own, and what lint says
	cd ansible && PATH="$(CURDIR)/$(VENV)/ansible/bin:$$PATH" ansible-lint --nocolor

# Programs that tests start, licensed otherwise than we are: nothing of theirs is imported or shipped.
$(VENV)/ansible/.ready: | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/ansible
	$(VENV)/ansible/bin/python -m pip --disable-pip-version-check --quiet install "ansible-core>=2.19,<2.20" "ansible-lint>=26,<27"
	@touch $@

clean: ## remove what tools leave; recordings (var) and .venv stay
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find $(CHECKED) -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv too
	rm -rf $(VENV)

$(BIN)/python:
	@.ci/need $(PYTHON)=python3 python:ensurepip=python3-venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$$($(PYTHON) --version) is too old: 3.11 or later is needed; say which with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The project itself goes in last, editable and with nothing resolved anew. The lock brings the build back end.
define install
	@echo "Installing what $(1) says into $(VENV)"
	@$(PIP) install --require-hashes --requirement $(1)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
endef

$(RUN_READY): requirements.lock pyproject.toml | $(BIN)/python
	$(call install,requirements.lock)

$(DEV_READY): requirements-dev.lock pyproject.toml | $(BIN)/python
	$(call install,requirements-dev.lock)
	@touch $(RUN_READY)
