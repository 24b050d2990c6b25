# SPDX-License-Identifier: GPL-2.0
#
# What a snapshot costs, measured in guests. Included by the top Makefile.
#
#   bench          everything: all rows, variants, peers and figures; an hour or two
#   bench-quick    the core rows, in instructions; ROWS="randwrite-4k-qd1-first ..." for some of them
#   bench-compare  what got better or worse since BASE=<an older results.json>
#   bench-targets  whether the results are what was promised
#   bench-profile  in which functions one row spends its instructions; ROWS="randwrite-4k-qd1-first"
#   check-bench    test what computes
#
# Results are in build/bench/results.json. See Documentation/performance.rst.

ROWS ?=
BASE ?=
BENCH_KERNEL ?= 6.1

.PHONY: bench bench-quick bench-compare bench-targets bench-profile bench-guest bench-plugin check-bench

bench: bench-guest
	tests/bench/bench --kernel $(BENCH_KERNEL) --rows "$(ROWS)"

bench-quick: bench-guest
	tests/bench/bench --quick --kernel $(BENCH_KERNEL) --rows "$(ROWS)"

bench-compare:
	@test -n "$(BASE)" || { echo "BASE=<an older results.json> is missing" >&2; exit 2; }
	tests/bench/compare "$(BASE)"

bench-targets:
	tests/bench/targets

bench-profile: bench-guest bench-plugin
	tests/bench/profile --kernel $(BENCH_KERNEL) $(ROWS)

bench-guest: setup-vm tools
	tests/vm/make-rootfs build/vm/root
	tests/vm/make-kernel $(BENCH_KERNEL) build/vm/kernels/$(BENCH_KERNEL)
	tests/vm/make-module $(BENCH_KERNEL)

check-bench:
	tests/bench/selftest

# The plugin of the emulator that counts instructions, and its marker in the guest.

bench_plugin := tests/bench/plugin
bench_flags := -std=c11 -O2 -g -Wall -Wextra -Werror

bench-plugin: build/bench/count.so build/bin/bench-mark

build/bench/count.so: $(bench_plugin)/count.c $(bench_plugin)/qemu_plugin.h $(bench_plugin)/mark.h
	@mkdir -p $(@D)
	$(CC) $(bench_flags) -shared -fPIC -fvisibility=hidden $< -o $@

build/bin/bench-mark: $(bench_plugin)/mark.c $(bench_plugin)/mark.h
	@mkdir -p $(@D)
	$(CC) $(bench_flags) $< -static -o $@
