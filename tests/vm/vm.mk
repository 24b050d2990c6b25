# SPDX-License-Identifier: GPL-2.0
#
# Virtual machine tests. Included by the top Makefile; also works alone, from the project's root:
# make -f tests/vm/vm.mk check-vm
#
#   vm-image   build what the guests boot (root file system, kernels)
#   vm-shell   an interactive guest; `exit` powers it off, Ctrl-A x kills it
#   check-vm   run the suites: KERNELS="6.1 6.12" VM_SUITES="00-harness ..."
#   check-kernels      build for and test on every supported kernel
#   check-vm-harness   test the harness itself: it must notice what goes wrong in a guest

VM := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))

KERNELS ?= 6.1
VM_SUITES ?=

# The kernels somebody asked for; each command has its own idea of what to do without.
given_kernels = $(if $(filter command environment,$(origin KERNELS)),$(KERNELS))

vm_empty :=
vm_comma := ,
vm_kernels = $(subst $(vm_empty) $(vm_empty),$(vm_comma),$(strip $(KERNELS)))

.PHONY: vm-image vm-shell check-vm check-kernels check-vm-harness

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

check-vm-harness:
	$(VM)/selftest
