# SPDX-License-Identifier: GPL-2.0
#
# What a snapshot costs, measured in a guest. Included by the top Makefile.
#
#   bench-quick    the core rows, in instructions; ROWS="randwrite-4k-qd1-first ..." for some of them
#
# See Documentation/performance.rst.

ROWS ?=
BENCH_KERNEL ?= 6.1

.PHONY: bench-quick

bench-quick: tools
	tests/vm/make-rootfs build/vm/root
	tests/vm/make-kernel $(BENCH_KERNEL) build/vm/kernels/$(BENCH_KERNEL)
	tests/vm/make-module $(BENCH_KERNEL)
	tests/bench/bench --quick --kernel $(BENCH_KERNEL) --rows "$(ROWS)"
