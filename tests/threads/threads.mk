# SPDX-License-Identifier: GPL-2.0
#
# The whole core under real threads, with sanitizers. `make -f tests/threads/threads.mk check-threads` from the
# project root, or included by the main Makefile.
#
#   threads        build/threads/threads-tsan and build/threads/threads-asan
#   check-threads  run each for THREADS_SECONDS, from THREADS_SEED

THREADS_OUT := build/threads
THREADS_CXX ?= $(CXX)
THREADS_SECONDS ?= 30
ifeq ($(origin THREADS_SEED),undefined)
THREADS_SEED := $(shell date +%s)
endif

THREADS_CORE := $(wildcard src/core/*.cpp)
THREADS_HOST := $(wildcard tests/threads/machine/*.cpp tests/threads/port/*.cpp tests/threads/script/*.cpp)

THREADS_FLAGS := -std=gnu++20 -g -O1 -Wall -Wextra -Werror -fno-omit-frame-pointer -MMD -MP -Iinclude -Iuapi
THREADS_CORE_FLAGS := -ffreestanding -fno-exceptions -fno-rtti -fno-threadsafe-statics \
	-include tests/threads/port/atomic_points.h

threads_flags_asan := -fsanitize=address,undefined -fno-sanitize-recover=all
threads_flags_tsan := -fsanitize=thread

threads_objects = $(patsubst %.cpp,$(THREADS_OUT)/$(1)/%.o,$(THREADS_CORE) $(THREADS_HOST))

define threads_flavour
$(THREADS_OUT)/$(1)/src/core/%.o: src/core/%.cpp
	@mkdir -p $$(@D)
	$$(THREADS_CXX) $$(THREADS_FLAGS) $$(THREADS_CORE_FLAGS) $$(threads_flags_$(1)) -c $$< -o $$@

$(THREADS_OUT)/$(1)/tests/threads/%.o: tests/threads/%.cpp
	@mkdir -p $$(@D)
	$$(THREADS_CXX) $$(THREADS_FLAGS) -Itests/threads $$(threads_flags_$(1)) -c $$< -o $$@

$(THREADS_OUT)/threads-$(1): $(call threads_objects,$(1))
	$$(THREADS_CXX) $$(threads_flags_$(1)) $$^ -lpthread -o $$@

-include $(patsubst %.o,%.d,$(call threads_objects,$(1)))
endef

$(eval $(call threads_flavour,asan))
$(eval $(call threads_flavour,tsan))

.PHONY: threads check-threads
threads: $(THREADS_OUT)/threads-tsan $(THREADS_OUT)/threads-asan

# Without randomised addresses: TSan does not like those of every kernel. One run after the other: they need
# the processors, and a thread that is kept from running for long could look like one that hangs.
check-threads: threads
	TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
		setarch -R $(THREADS_OUT)/threads-tsan --seconds $(THREADS_SECONDS) --seed $(THREADS_SEED)
	$(THREADS_OUT)/threads-asan --seconds $(THREADS_SECONDS) --seed $(THREADS_SEED)
