# SPDX-License-Identifier: GPL-2.0
#
# Virtual machine tests. Included by the top Makefile; also works alone, from the project's root:
# make -f tests/vm/vm.mk check-vm
#
#   vm-image   build what the guests boot (root file system, kernels)
#   vm-shell   an interactive guest; `exit` powers it off, Ctrl-A x kills it
#   check-vm   run the suites: KERNELS="6.1 6.12" VM_SUITES="00-harness ..."
#   check-kernels      build for and test on every supported kernel
#   check-debug   suites on a kernel that checks itself, which is built first: DEBUG_KERNEL=6.1-kasan
#              DEBUG_SUITES="..."; tests/vm/debug/suites/many-calls.sh for ten million calls
#   check-fs   ext4, xfs and btrfs under loads that others wrote, with one snapshot after the other:
#              TEST_FS_MINUTES=10 for each, FS="ext4 xfs btrfs"
#   check-apps PostgreSQL likewise: TEST_APPS_MINUTES=10
#   check-vm-harness   test the harness itself: it must notice what goes wrong in a guest

VM := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))

KERNELS ?= 6.1
VM_SUITES ?=

# The kernels somebody asked for; each command has its own idea of what to do without.
given_kernels = $(if $(filter command environment,$(origin KERNELS)),$(KERNELS))

vm_empty :=
vm_comma := ,
vm_kernels = $(subst $(vm_empty) $(vm_empty),$(vm_comma),$(strip $(KERNELS)))

# A kernel of tests/vm/debug: 6.1-kasan, 6.1-kcsan
DEBUG_KERNEL ?= 6.1-kasan
DEBUG_SUITES ?= 10-basic 20-constancy 30-order 70-hazards 75-faults 60-cycles 80-fuzz-ioctl \
	$(VM)/debug/suites/fail-nth.sh $(VM)/debug/suites/faults.sh $(VM)/debug/suites/faults-kselftest.sh 90-kselftest

# File systems of check-fs.
FS ?= ext4 xfs btrfs

.PHONY: vm-image vm-shell check-vm check-kernels check-debug check-fs check-apps check-vm-harness

vm-image:
	$(VM)/make-rootfs build/vm/root
	$(foreach kernel,$(KERNELS),$(VM)/make-kernel $(kernel) build/vm/kernels/$(kernel) &&) true

vm-shell:
	$(VM)/run-vm --kernel $(firstword $(KERNELS)) --disk 1G --disk 1G --disk 1G --disk 1G --shell

check-vm:
	$(VM)/run-suite $(vm_kernels) $(VM_SUITES)

# Everything these need but the kernels; see tests/vm/check-kernels for the list of those.
check-kernels: tools helpers kselftest
	$(VM)/make-rootfs build/vm/root
	$(VM)/check-kernels $(given_kernels)

check-debug:
	tests/setup.sh vm
	tests/setup.sh debug $(firstword $(subst -, ,$(DEBUG_KERNEL)))
	$(VM)/make-rootfs build/vm/root
	$(VM)/make-kernel $(DEBUG_KERNEL) build/vm/kernels/$(DEBUG_KERNEL)
	$(MAKE) --no-print-directory tools helpers kselftest
	$(VM)/make-module $(DEBUG_KERNEL)
	$(VM)/debug/check-module $(DEBUG_KERNEL)
	$(VM)/run-suite $(DEBUG_KERNEL) $(DEBUG_SUITES)

# Outside `make check`: they take half an hour, and packages that nothing else wants.
check-fs check-apps: tools
	tests/setup.sh vm
	$(VM)/make-rootfs build/vm/root-applications applications
	$(MAKE) --no-print-directory vm-modules KERNELS="$(KERNELS)"
	$(VM)/run-suite $(vm_kernels) $(suites)

check-fs: suites = $(FS:%=$(VM)/applications/suites/fs-%.sh)
check-apps: suites = $(VM)/applications/suites/postgresql.sh

check-vm-harness:
	$(VM)/selftest
