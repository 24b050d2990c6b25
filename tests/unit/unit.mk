# SPDX-License-Identifier: GPL-2.0
#
# Unit tests of the core's types. `make -f tests/unit/unit.mk check-unit` from the project root, or
# included by the main Makefile.
#
#   unit        build them, once with ASan+UBSan and once with TSan
#   check-unit  run them all under ASan+UBSan
#   check-tsan  run those that use threads under TSan
#   bench-unit  costs of the types, optimised, without sanitizers

UNIT_OUT := build/unit
UNIT_CXX ?= $(CXX)
UNIT_CORE := $(filter $(basename $(notdir $(wildcard src/core/*.cpp))),chunk_map cbt_map storage_ranges storage_places event_queue)
UNIT_TESTS := $(filter-out bench_%,$(basename $(notdir $(wildcard tests/unit/*.cpp))))
UNIT_THREADED := fake_port storage_places_test in_flight_test lock_test cbt_map_threads_test event_queue_test
UNIT_BENCHES := $(filter bench_%,$(basename $(notdir $(wildcard tests/unit/*.cpp))))

UNIT_FLAGS := -std=gnu++20 -g -O1 -Wall -Wextra -Werror -fno-omit-frame-pointer -MMD -MP -Iinclude -Iuapi
UNIT_CORE_FLAGS := -ffreestanding -fno-exceptions -fno-rtti
UNIT_POINTS := -include tests/unit/atomic_points.h
UNIT_LIBS := -lgtest_main -lgtest -lpthread

unit_flags_asan := -fsanitize=address,undefined -fno-sanitize-recover=all
unit_flags_tsan := -fsanitize=thread
unit_flags_plain := -O2
unit_flags_cov := -O0 --coverage -fprofile-update=atomic
unit_core_flags_asan := $(UNIT_POINTS)
unit_core_flags_cov := $(UNIT_POINTS)

unit_objects = $(patsubst %,$(UNIT_OUT)/$(1)/core/%.o,$(UNIT_CORE)) $(patsubst %,$(UNIT_OUT)/$(1)/%.o,$(2))

define unit_flavour
$(UNIT_OUT)/$(1)/core/%.o: src/core/%.cpp
	@mkdir -p $$(@D)
	$$(UNIT_CXX) $$(UNIT_FLAGS) $$(UNIT_CORE_FLAGS) $$(unit_flags_$(1)) $$(unit_core_flags_$(1)) -c $$< -o $$@

$(UNIT_OUT)/$(1)/%.o: tests/unit/%.cpp
	@mkdir -p $$(@D)
	$$(UNIT_CXX) $$(UNIT_FLAGS) $$(unit_flags_$(1)) -c $$< -o $$@

$(UNIT_OUT)/$(1)/$(2): $(call unit_objects,$(1),$(3))
	$$(UNIT_CXX) $$(unit_flags_$(1)) $$^ $(4) -o $$@

-include $(patsubst %.o,%.d,$(call unit_objects,$(1),$(3)))
endef

$(eval $(call unit_flavour,asan,unit,$(UNIT_TESTS),$(UNIT_LIBS)))
$(eval $(call unit_flavour,tsan,unit,$(UNIT_THREADED),$(UNIT_LIBS)))
$(eval $(call unit_flavour,cov,unit,$(UNIT_TESTS),$(UNIT_LIBS)))
$(eval $(call unit_flavour,plain,bench,fake_port $(UNIT_BENCHES),-lpthread))

.PHONY: unit check-unit check-tsan bench-unit
unit: $(UNIT_OUT)/asan/unit $(UNIT_OUT)/tsan/unit

check-unit: $(UNIT_OUT)/asan/unit
	$< --gtest_brief=1

# Without death tests: they fork, which TSan does not like in a threaded program. Without randomised
# addresses: it does not like those of every kernel.
check-tsan: $(UNIT_OUT)/tsan/unit
	setarch -R $< --gtest_brief=1 --gtest_filter=-*_death.*

bench-unit: $(UNIT_OUT)/plain/bench
	$<
