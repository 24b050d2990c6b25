# SPDX-License-Identifier: GPL-2.0
#
# build/bin/fuzz-ioctl, which a suite runs in a guest. Included by the top Makefile; works alone too,
# from the top directory: make -f tests/fuzz-ioctl/fuzz-ioctl.mk fuzz-ioctl
#
#   check-fuzz-ioctl   its judge sees planted mistakes, and knows the errnos of uapi.rst; a part of check-fuzz

FUZZ_IOCTL_CXX ?= g++
FUZZ_IOCTL_OBJ := build/fuzz-ioctl
fuzz_ioctl_flags := -std=c++20 -O2 -g -Wall -Wextra -Werror -pthread -Iuapi -MMD -MP
fuzz_ioctl_objects := $(patsubst tests/fuzz-ioctl/%.cpp,$(FUZZ_IOCTL_OBJ)/%.o, \
	$(sort $(wildcard tests/fuzz-ioctl/*.cpp)))

# Whether the judge sees what is wrong.
fuzz_ioctl_judged := $(FUZZ_IOCTL_OBJ)/judge.o $(FUZZ_IOCTL_OBJ)/request.o $(FUZZ_IOCTL_OBJ)/world.o \
	$(FUZZ_IOCTL_OBJ)/selftest/judge_test.o

.PHONY: fuzz-ioctl check-fuzz-ioctl clean-fuzz-ioctl

check-fuzz: check-fuzz-ioctl

check-fuzz-ioctl: $(FUZZ_IOCTL_OBJ)/judge-test
	$< Documentation/uapi.rst

$(FUZZ_IOCTL_OBJ)/judge-test: $(fuzz_ioctl_judged)
	$(FUZZ_IOCTL_CXX) -pthread $^ -o $@

# One of the programs that suites run.
helpers fuzz-ioctl: build/bin/fuzz-ioctl

build/bin/fuzz-ioctl: $(fuzz_ioctl_objects)
	@mkdir -p $(@D)
	$(FUZZ_IOCTL_CXX) -pthread -static $^ -o $@

$(FUZZ_IOCTL_OBJ)/%.o: tests/fuzz-ioctl/%.cpp tests/fuzz-ioctl/fuzz-ioctl.mk
	@mkdir -p $(@D)
	$(FUZZ_IOCTL_CXX) $(fuzz_ioctl_flags) -c $< -o $@

clean-fuzz-ioctl:
	rm -rf $(FUZZ_IOCTL_OBJ) build/bin/fuzz-ioctl

-include $(wildcard $(FUZZ_IOCTL_OBJ)/*.d $(FUZZ_IOCTL_OBJ)/selftest/*.d)
