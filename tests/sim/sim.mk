# SPDX-License-Identifier: GPL-2.0
#
# The simulator: the real core against a simulated machine. Works on its own from the top level,
# `make -f tests/sim/sim.mk check-sim`, and included by the top Makefile.
#
#   sim         build/sim/sim; with HISTORIES=N on the command line N histories are run, from SEED
#   check-sim   its self-test, every seed that ever found a bug, single faults one by one, then fixed
#               scripts and HISTORIES histories from SEED, which together reach every rare branch
#   sim-asan    the same with AddressSanitizer and UBSan, fewer histories
#
# SEED is another one each time, unless it is given; what is run, and what fails, tells its own.

SIM_CXX ?= g++
SIM_OUT := build/sim
HISTORIES ?= 100000
SIM_ASAN_HISTORIES ?= 500
# Of each fixed script, and how many seeds with each single fault.
SIM_CASE_HISTORIES ?= 100
SIM_SWEPT_SEEDS ?= 3
ifeq ($(origin SEED),undefined)
SEED := $(shell date +%s)000000
endif
# A sweep that once had no end.
SIM_SWEPT_SEED := 13
SIM_JOBS ?= 2

SIM_CORE := $(wildcard src/core/*.cpp)
SIM_HOST := $(wildcard tests/sim/world/*.cpp tests/sim/port/*.cpp tests/sim/oracle/*.cpp \
	tests/sim/script/*.cpp tests/sim/case/*.cpp tests/sim/*.cpp)
SIM_FAKE := $(wildcard tests/sim/selftest/*.cpp)

SIM_COMMON := -std=gnu++20 -O2 -g -Wall -Wextra -MMD -MP -Iinclude -Iuapi
SIM_CORE_FLAGS := $(SIM_COMMON) -ffreestanding -fno-exceptions -fno-rtti -fno-threadsafe-statics \
	-include tests/sim/port/atomic_points.h -DBLKSNAP_COVERAGE_MARKS
SIM_HOST_FLAGS := $(SIM_COMMON) -Itests/sim -DBLKSNAP_COVERAGE_MARKS
SIM_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SIM_LIBS := -lboost_context

SIM_CORE_OBJ := $(SIM_CORE:%.cpp=$(SIM_OUT)/%.o)
SIM_HOST_OBJ := $(SIM_HOST:%.cpp=$(SIM_OUT)/%.o)
SIM_FAKE_OBJ := $(SIM_FAKE:%.cpp=$(SIM_OUT)/%.o)
SIM_ASAN_OBJ := $(SIM_CORE:%.cpp=$(SIM_OUT)/asan/%.o) $(SIM_HOST:%.cpp=$(SIM_OUT)/asan/%.o)

.PHONY: sim check-sim sim-asan check-sim-selftest
sim: $(SIM_OUT)/sim
ifeq ($(origin HISTORIES),command line)
	$(SIM_OUT)/sim --histories $(HISTORIES) --first-seed $(SEED) --jobs $(SIM_JOBS)
endif

$(SIM_OUT)/sim: $(SIM_CORE_OBJ) $(SIM_HOST_OBJ)
	$(SIM_CXX) -g $(SIM_LINK_FLAGS) -o $@ $^ $(SIM_LIBS)

$(SIM_OUT)/selftest: $(SIM_FAKE_OBJ) $(SIM_HOST_OBJ)
	$(SIM_CXX) -g -o $@ $^ $(SIM_LIBS)

$(SIM_OUT)/sim-asan: $(SIM_ASAN_OBJ)
	$(SIM_CXX) -g $(SIM_SANITIZE) -o $@ $^ $(SIM_LIBS)

$(SIM_OUT)/src/core/%.o: src/core/%.cpp
	@mkdir -p $(@D)
	$(SIM_CXX) $(SIM_CORE_FLAGS) $(SIM_EXTRA_FLAGS) -c -o $@ $<

$(SIM_OUT)/tests/sim/%.o: tests/sim/%.cpp
	@mkdir -p $(@D)
	$(SIM_CXX) $(SIM_HOST_FLAGS) -c -o $@ $<

$(SIM_OUT)/asan/src/core/%.o: src/core/%.cpp
	@mkdir -p $(@D)
	$(SIM_CXX) $(SIM_CORE_FLAGS) $(SIM_SANITIZE) -c -o $@ $<

$(SIM_OUT)/asan/tests/sim/%.o: tests/sim/%.cpp
	@mkdir -p $(@D)
	$(SIM_CXX) $(SIM_HOST_FLAGS) $(SIM_SANITIZE) -c -o $@ $<

check-sim-selftest: $(SIM_OUT)/selftest
	tests/sim/selftest/run $(SIM_OUT)/selftest

check-sim: $(SIM_OUT)/sim check-sim-selftest
	$(SIM_OUT)/sim --seeds tests/sim/seeds --jobs $(SIM_JOBS)
	$(SIM_OUT)/sim --sweep allocations --histories $(SIM_SWEPT_SEEDS) --first-seed $(SEED) \
		--jobs $(SIM_JOBS)
	$(SIM_OUT)/sim --sweep allocations --histories 1 --first-seed $(SIM_SWEPT_SEED) --jobs 1
	$(SIM_OUT)/sim --sweep user-accesses --histories $(SIM_SWEPT_SEEDS) --first-seed $(SEED) \
		--jobs $(SIM_JOBS)
	$(SIM_OUT)/sim --histories $(HISTORIES) --with-cases $(SIM_CASE_HISTORIES) \
		--first-seed $(SEED) --jobs $(SIM_JOBS) \
		$(if $(shell test $(HISTORIES) -ge 10000 && echo many),--require-marks)

sim-asan: $(SIM_OUT)/sim-asan
	ASAN_OPTIONS=detect_leaks=0 $(SIM_OUT)/sim-asan --histories $(SIM_ASAN_HISTORIES) \
		--first-seed $(SEED) --jobs $(SIM_JOBS)

-include $(SIM_CORE_OBJ:.o=.d) $(SIM_HOST_OBJ:.o=.d) $(SIM_FAKE_OBJ:.o=.d) $(SIM_ASAN_OBJ:.o=.d)
