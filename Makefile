# SPDX-License-Identifier: GPL-2.0
#
# blksnap: snapshots of live block devices for backup.
#
#   make demo          the main job, shown in a virtual machine
#   make check         all tests; the last line says how many passed and failed
#
#   make module [KDIR=<kernel build directory>]      blksnap.ko for the running kernel
#   make tools                                       build/bin/blksnap
#   make install | uninstall                         both, for the kernel of KDIR, below /usr/local
#   make check-unit | check-sim | check-tools | check-install   the rings on this machine
#   make check-vm [KERNELS="6.1"] [VM_SUITES=...]    the ring in virtual machines
#   make check-kernels [KERNELS="..."]               main suites and all kselftests on each kernel, in a table
#   make check-debug                                 the same on a kernel with KASAN, lockdep, kmemleak
#   make docs                                        build/docs/index.html
#   make lint                                        static checks of sources, scripts and documents
#   make deb                                         Debian packages in build/deb
#   make deb-check                                   and the module by DKMS; installed in a clean system
#   make coverage                                    what unit tests and histories execute of src/core
#   make mutants                                     whether unit tests and histories see planted bugs
#   make fuzz [FUZZ_SECONDS=60]                      libFuzzer on all that decodes input
#   make bench | bench-quick [ROWS="..."]            what a snapshot costs; bench-compare BASE=<json>
#   make vm-shell                                    a guest to work in by hand
#   make clean                                       forgets objects; `make distclean` caches too
#
# (When the kernel's build system reads a directory it takes Kbuild, not this file.)

.PHONY: all help demo check coverage setup setup-vm module vm-modules clean distclean
all: module tools

include tools/tools.mk
include tests/unit/unit.mk
include tests/sim/sim.mk
include tests/threads/threads.mk
include tests/fuzz/fuzz.mk
include tests/mutants/mutants.mk
include tests/helpers/helpers.mk
include tests/fuzz-ioctl/fuzz-ioctl.mk
include tests/kselftest/kselftest.mk
include tests/vm/vm.mk
include tests/bench/bench.mk

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed -n '2,24p'

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

# The kernel's own build system puts the module in place, but leaves the list of modules alone where it
# has only headers. INSTALL_MOD_PATH is its prefix if that is another one than DESTDIR.
INSTALL_MOD_PATH ?= $(DESTDIR)
.PHONY: install uninstall install-module uninstall-module
# As modinfo calls it; Debian's include/config/kernel.release is another one.
module_release = $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h)
module_place = $(INSTALL_MOD_PATH)/lib/modules/$(module_release)
depmod = depmod $(if $(INSTALL_MOD_PATH),--basedir $(INSTALL_MOD_PATH)) $(module_release)

install: install-module install-tools
	$(if $(DESTDIR),,ldconfig && udevadm control --reload)

uninstall: uninstall-module uninstall-tools
	$(if $(DESTDIR),,ldconfig && udevadm control --reload)

install-module: module
	$(MAKE) -C $(KDIR) M=$(CURDIR) INSTALL_MOD_PATH=$(INSTALL_MOD_PATH) INSTALL_MOD_DIR=updates modules_install
	$(depmod)

uninstall-module:
	rm -f $(module_place)/updates/blksnap.ko*
	$(depmod)

# For the guests: one build per kernel, from a copy of the sources.
vm-modules: vm-image
	$(foreach kernel,$(KERNELS),tests/vm/make-module $(kernel) &&) true

# --- the two commands --------------------------------------------------------------------------

demo:
	@tests/demo/run

check:
	@tests/check $(given_kernels)

# Branches of the assertions that cannot be taken, and of compiler-made code, are left out.
COVERAGE_HISTORIES ?= 3000
coverage:
	tests/setup.sh coverage
	rm -rf build/coverage && mkdir -p build/coverage
	$(MAKE) --no-print-directory UNIT_OUT=build/coverage/unit build/coverage/unit/cov/unit
	$(MAKE) --no-print-directory SIM_OUT=build/coverage/sim SIM_EXTRA_FLAGS="-O0 --coverage" \
		SIM_LINK_FLAGS=--coverage build/coverage/sim/sim
	build/coverage/unit/cov/unit --gtest_brief=1
	build/coverage/sim/sim --cases --histories 20 --jobs 1
	build/coverage/sim/sim --sweep allocations --histories 1 --jobs 1
	build/coverage/sim/sim --sweep user-accesses --histories 3 --jobs 1
	build/coverage/sim/sim --histories $(COVERAGE_HISTORIES) --first-seed 1 --jobs 1
	gcovr --root . --object-directory build/coverage --filter src/core/ \
		--exclude-throw-branches --exclude-unreachable-branches \
		--exclude-lines-by-pattern '\s*ASSERT\(.*' \
		--print-summary --txt build/coverage/report.txt --html-details build/coverage/report.html
	@cat build/coverage/report.txt

# --- documentation -----------------------------------------------------------------------------

.PHONY: docs lint
docs:
	tests/setup.sh docs
	sphinx-build -W --keep-going -q -b html Documentation build/docs
	@echo "docs: build/docs/index.html"

# --- static checks -----------------------------------------------------------------------------

lint: docs
	tests/setup.sh lint
	tests/lint/run

# --- packages ----------------------------------------------------------------------------------

# From a copy of what git knows, so that nothing else gets in: build/deb/*.deb. The tests are not
# run once more; a build of the source package by itself runs them.
.PHONY: deb
deb:
	tests/setup.sh deb
	rm -rf build/deb && mkdir -p build/deb/source
	git ls-files -z | rsync -a --from0 --files-from=- . build/deb/source/
	cd build/deb/source && DEB_BUILD_OPTIONS="parallel=$$(nproc) nocheck" dpkg-buildpackage --unsigned-source --unsigned-changes --build=binary
	cd build/deb && lintian --fail-on error --info --tag-display-limit 0 ./*.changes

# What DKMS makes of its package, and the others in a clean system.
.PHONY: deb-check
deb-check: deb
	tests/deb/dkms build/deb
	tests/deb/install build/deb
	tests/deb/boot build/deb

# Not by the kernel's own `clean`: that looks into build/ too, and empties the caches in there.
clean: clean-tools clean-helpers clean-fuzz-ioctl clean-kselftest
	rm -rf build/module build/unit build/sim build/threads build/check
	rm -f *.ko *.o .*.o *.mod *.mod.c .*.cmd modules.order Module.symvers .Module.symvers.cmd blksnap-features.h
	find src \( -name '*.o' -o -name '*.s' -o -name '.*.cmd' -o -name '*.mod' \) -delete

distclean: clean
	rm -rf build
