# SPDX-License-Identifier: GPL-2.0
#
# What a snapshot costs, measured in a guest. Included by the top Makefile.
#
#   bench-quick    the core rows, in instructions; ROWS="randwrite-4k-qd1-first ..." for some of them
#   bench-profile  in which functions one row spends them; ROWS="randwrite-4k-qd1-first"
#
# See Documentation/performance.rst.

ROWS ?=
BENCH_KERNEL ?= 6.1

.PHONY: bench-quick bench-guest

bench-quick: bench-guest
	tests/bench/bench --quick --kernel $(BENCH_KERNEL) --rows "$(ROWS)"

bench-guest: tools
	tests/vm/make-rootfs build/vm/root
	tests/vm/make-kernel $(BENCH_KERNEL) build/vm/kernels/$(BENCH_KERNEL)
	tests/vm/make-module $(BENCH_KERNEL)

# The plugin that counts instructions for tests/bench/profile, and its marker in the guest.

BENCH_PLUGIN := tests/bench/plugin
bench_flags := -std=c11 -O2 -g -Wall -Wextra -Werror

.PHONY: bench-plugin
bench-plugin: build/bench/count.so build/bin/bench-mark

build/bench/count.so: $(BENCH_PLUGIN)/count.c $(BENCH_PLUGIN)/qemu_plugin.h $(BENCH_PLUGIN)/mark.h
	@mkdir -p $(@D)
	$(CC) $(bench_flags) -shared -fPIC -fvisibility=hidden $< -o $@

build/bin/bench-mark: $(BENCH_PLUGIN)/mark.c $(BENCH_PLUGIN)/mark.h
	@mkdir -p $(@D)
	$(CC) $(bench_flags) $< -static -o $@

.PHONY: bench-profile
bench-profile: bench-guest bench-plugin
	tests/bench/profile --kernel $(BENCH_KERNEL) $(ROWS)
