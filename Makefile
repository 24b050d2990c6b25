# SPDX-License-Identifier: GPL-2.0
#
# blksnap: snapshots of live block devices for backup.
#
#   make demo          the main job, shown in a virtual machine
#   make check         all tests; the last line says how many passed and failed
#
#   make module [KDIR=<kernel build directory>]      blksnap.ko for the running kernel
#   make tools                                       build/bin/blksnap
#   make check-unit | check-sim | check-tools        the rings on this machine
#   make check-vm [KERNELS="6.1"] [VM_SUITES=...]    the ring in virtual machines
#   make vm-shell                                    a guest to work in by hand
#   make clean                                       forgets objects; `make distclean` caches too
#
# (When the kernel's build system reads a directory it takes Kbuild, not this file.)

.PHONY: all help demo check setup setup-vm module vm-modules clean distclean
all: module tools

include tools/tools.mk
include tests/unit/unit.mk
include tests/sim/sim.mk
include tests/vm/vm.mk

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed -n '2,14p'

# --- set-up: Debian packages that are missing --------------------------------------------------

setup:
	tests/setup.sh build

setup-vm: setup
	tests/setup.sh vm

# --- the module --------------------------------------------------------------------------------

# The running kernel, or the newest headers if those of the running one are not installed.
KDIR ?= $(firstword $(wildcard /lib/modules/$(shell uname -r)/build) \
	$(lastword $(sort $(wildcard /usr/src/linux-headers-*-amd64))))

module:
	@test -n "$(KDIR)" || { echo "no kernel headers: run tests/setup.sh build, or give KDIR" >&2; exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

# For the guests: one build per kernel, from a copy of the sources.
vm-modules: vm-image
	$(foreach kernel,$(KERNELS),tests/vm/make-module $(kernel) &&) true

# --- the two commands --------------------------------------------------------------------------

demo:
	@tests/demo/run

check:
	@tests/check $(KERNELS)

clean: clean-tools
	rm -rf build/module build/unit build/sim build/check
	@if [ -n "$(KDIR)" ]; then $(MAKE) -C $(KDIR) M=$(CURDIR) clean; fi

distclean: clean
	rm -rf build
