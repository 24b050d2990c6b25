# SPDX-License-Identifier: GPL-2.0
#
# Programs that the suites run inside a guest. Included by the top Makefile; works alone too, from
# the top directory: make -f tests/helpers/helpers.mk helpers
#
# One .cpp file, one program in build/bin. They are linked statically: a guest needs no library.

HELPERS_CXX ?= g++
HELPERS_OBJ := build/helpers
helpers_flags := -std=c++20 -O2 -g -Wall -Wextra -Werror -pthread -Iuapi -MMD -MP

helpers_sources := $(sort $(wildcard tests/helpers/*.cpp))
helpers_programs := $(helpers_sources:tests/helpers/%.cpp=build/bin/%)

.PHONY: helpers clean-helpers

helpers: $(helpers_programs)

build/bin/bpf-hold: helpers_libraries := -lbpf -lelf -lz

$(helpers_programs): build/bin/%: tests/helpers/%.cpp tests/helpers/helpers.mk
	@mkdir -p $(@D) $(HELPERS_OBJ)
	$(HELPERS_CXX) $(helpers_flags) -MF $(HELPERS_OBJ)/$*.d $< -static -o $@ $(helpers_libraries)

clean-helpers:
	rm -rf $(HELPERS_OBJ) $(helpers_programs)

-include $(wildcard $(HELPERS_OBJ)/*.d)
