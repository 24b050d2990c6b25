# SPDX-License-Identifier: GPL-2.0
#
# kselftest: test programs that drive the module through its interface, on any machine that has it.
# Included by the top Makefile; works alone too, from the top directory:
#   make -f tests/kselftest/kselftest.mk kselftest
#   sudo tests/kselftest/run_kselftest.sh
#
# One AREA.cpp, one program build/kselftest/AREA, linked statically: it can be carried to any machine.
# Areas whose name ends in 32 are 32-bit programs.

KSELFTEST_OUT ?= build/kselftest
KSELFTEST_OBJ := $(KSELFTEST_OUT)/obj
KSELFTEST_CXX ?= g++
kselftest_flags := -std=c++20 -O1 -g -Wall -Wextra -Werror -pthread -D_FILE_OFFSET_BITS=64 \
	-Iuapi -Itests/helpers -Itests/kselftest/framework

kselftest_areas := $(patsubst tests/kselftest/%.cpp,%,$(sort $(wildcard tests/kselftest/*.cpp)))
kselftest_areas_32 := $(filter %32,$(kselftest_areas))
kselftest_programs := $(kselftest_areas:%=$(KSELFTEST_OUT)/%)
kselftest_framework := $(patsubst tests/kselftest/%.cpp,%.o, \
	$(sort $(wildcard tests/kselftest/framework/*.cpp)))

.PHONY: kselftest check-kselftest-framework clean-kselftest

kselftest: $(kselftest_programs)

$(KSELFTEST_OBJ)/64/%.o: tests/kselftest/%.cpp
	@mkdir -p $(@D)
	$(KSELFTEST_CXX) $(kselftest_flags) -MMD -MP -c $< -o $@

# The headers of the kernel's interface are found below the name of the 64-bit machine only.
$(KSELFTEST_OBJ)/32/%.o: tests/kselftest/%.cpp
	@mkdir -p $(@D)
	$(KSELFTEST_CXX) $(kselftest_flags) -m32 \
		-idirafter /usr/include/$(shell $(KSELFTEST_CXX) -print-multiarch) -MMD -MP -c $< -o $@

$(KSELFTEST_OUT)/%32: $(KSELFTEST_OBJ)/32/%32.o $(kselftest_framework:%=$(KSELFTEST_OBJ)/32/%)
	$(KSELFTEST_CXX) -m32 -static -pthread $^ -o $@

$(KSELFTEST_OUT)/%: $(KSELFTEST_OBJ)/64/%.o $(kselftest_framework:%=$(KSELFTEST_OBJ)/64/%)
	$(KSELFTEST_CXX) -static -pthread $^ -o $@

# The framework's own test: no module, no devices.
kselftest_selftest := build/kselftest-selftest/cases

$(kselftest_selftest): tests/kselftest/selftest/cases.cpp $(KSELFTEST_OBJ)/64/framework/runner.o \
		$(KSELFTEST_OBJ)/64/framework/process.o
	@mkdir -p $(@D)
	$(KSELFTEST_CXX) $(kselftest_flags) $^ -o $@

check-kselftest-framework: $(kselftest_selftest)
	tests/kselftest/selftest/run

.PRECIOUS: $(KSELFTEST_OBJ)/64/%.o $(KSELFTEST_OBJ)/32/%.o

clean-kselftest:
	rm -rf $(KSELFTEST_OUT) build/kselftest-selftest

-include $(wildcard $(KSELFTEST_OBJ)/*/*.d $(KSELFTEST_OBJ)/*/framework/*.d)
