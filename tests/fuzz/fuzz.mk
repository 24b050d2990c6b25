# SPDX-License-Identifier: GPL-2.0
#
# Fuzzing of what decodes the input of programs and people. Works on its own from the top level,
# `make -f tests/fuzz/fuzz.mk check-fuzz`, and included by the top Makefile.
#
#   fuzz        libFuzzer on each target for FUZZ_SECONDS; what it finds is in build/fuzz
#   check-fuzz  the inputs that are kept in tests/fuzz/corpus, and FUZZ_MUTATIONS changes of each. Needs no
#               fuzzer, only the compiler of everything else
#
# New inputs go to build/fuzz/corpus; `make fuzz-merge` adds those to the kept ones that reach new code.

FUZZ_OUT := build/fuzz
FUZZ_TARGETS ?= ioctl storage_ranges sector_ranges cbt_map arguments
FUZZ_SECONDS ?= 60
FUZZ_MUTATIONS ?= 50
FUZZ_CXX ?= clang++
FUZZ_REPLAY_CXX ?= g++

fuzz_ioctl := $(wildcard tests/fuzz/ioctl/*.cpp) src/core/ioctl.cpp src/core/event_queue.cpp tests/unit/fake_port.cpp
fuzz_storage_ranges := tests/fuzz/storage_ranges.cpp src/core/storage_ranges.cpp src/core/storage_places.cpp tests/unit/fake_port.cpp
fuzz_sector_ranges := tests/fuzz/sector_ranges.cpp tests/unit/fake_port.cpp
fuzz_cbt_map := tests/fuzz/cbt_map.cpp src/core/cbt_map.cpp tests/unit/fake_port.cpp
fuzz_arguments := tests/fuzz/arguments.cpp tests/tools/fake_module.cpp $(wildcard tools/libblksnap/src/*.cpp) \
	$(filter-out %/main.cpp,$(wildcard tools/blksnap/*.cpp))

FUZZ_FLAGS := -std=gnu++20 -g -O1 -fno-omit-frame-pointer -Wall -Wextra -MMD -MP \
	-fsanitize=address,undefined -fno-sanitize-recover=all
fuzz_core_flags := -Iinclude -Iuapi
fuzz_tools_flags := -Iuapi -Itools/libblksnap/include -Itools -DBLKSNAP_TOOLS_VERSION='"1.0.0"' \
	-DBLKSNAP_BUILD_DIRECTORY='"build"'
fuzz_libs := -lpthread -lblkid

# Objects of the core and of the tools see different headers of the same name.
fuzz_flags_of = $(if $(filter tests/fuzz/arguments.cpp tests/tools/% tools/%,$(1)),$(fuzz_tools_flags),$(fuzz_core_flags))

# Optimised and with sanitizers, the headers of the command take minutes to compile.
fuzz_cheaply = $(if $(filter tests/fuzz/arguments.cpp tests/tools/% tools/%,$(1)),-O0 -g1)

$(FUZZ_OUT)/libfuzzer/%.o: %.cpp
	@mkdir -p $(@D)
	$(FUZZ_CXX) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link $(call fuzz_flags_of,$<) -c $< -o $@

$(FUZZ_OUT)/replay/%.o: %.cpp
	@mkdir -p $(@D)
	$(FUZZ_REPLAY_CXX) $(FUZZ_FLAGS) $(call fuzz_flags_of,$<) $(call fuzz_cheaply,$<) -c $< -o $@

define fuzz_target
$(FUZZ_OUT)/$(1)-fuzz: $$(fuzz_$(1):%.cpp=$(FUZZ_OUT)/libfuzzer/%.o)
	$$(FUZZ_CXX) -fsanitize=fuzzer,address,undefined $$^ $$(fuzz_libs) -o $$@

$(FUZZ_OUT)/$(1)-replay: $$(fuzz_$(1):%.cpp=$(FUZZ_OUT)/replay/%.o) $(FUZZ_OUT)/replay/tests/fuzz/replay.o
	$$(FUZZ_REPLAY_CXX) -fsanitize=address,undefined $$^ $$(fuzz_libs) -o $$@

-include $$(fuzz_$(1):%.cpp=$(FUZZ_OUT)/libfuzzer/%.d) $$(fuzz_$(1):%.cpp=$(FUZZ_OUT)/replay/%.d)
endef
$(foreach target,$(FUZZ_TARGETS),$(eval $(call fuzz_target,$(target))))

# In an empty directory: a word of an input that is taken for the name of a file finds none.
.PHONY: fuzz fuzz-merge fuzz-targets check-fuzz
fuzz:
	tests/setup.sh fuzz
	$(MAKE) --no-print-directory fuzz-targets
	@tests/fuzz/run fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)

fuzz-targets: $(FUZZ_TARGETS:%=$(FUZZ_OUT)/%-fuzz)

fuzz-merge: fuzz-targets
	@tests/fuzz/run merge $(FUZZ_TARGETS)

check-fuzz: $(FUZZ_TARGETS:%=$(FUZZ_OUT)/%-replay)
	@tests/fuzz/run replay $(FUZZ_MUTATIONS) $(FUZZ_TARGETS)
