# SPDX-License-Identifier: GPL-2.0
#
# The userspace half: libblksnap, the blksnap command and their tests.
#
# Included by the top Makefile; works alone too, from the top directory:
#   make -f tools/tools.mk tools
#   make -f tools/tools.mk check-tools
# Results: build/bin/blksnap, build/lib/libblksnap.a and .so, build/examples. Objects lie below
# build/tools/.

TOOLS_BUILD ?= build
TOOLS_OBJ := $(TOOLS_BUILD)/tools
TOOLS_CXX ?= g++
TOOLS_CC ?= gcc
TOOLS_CXXFLAGS ?= -O2 -g
TOOLS_LDFLAGS ?=
TOOLS_VERSION := 1.0.0
TOOLS_SONAME := libblksnap.so.1

tools_cppflags := -Iuapi -Itools/libblksnap/include -DBLKSNAP_TOOLS_VERSION='"$(TOOLS_VERSION)"' \
	-DBLKSNAP_BUILD_DIRECTORY='"$(TOOLS_BUILD)"'
tools_warnings := -Wall -Wextra -Werror
tools_flags := -std=c++20 $(tools_warnings) -fPIC -pthread -MMD -MP

tools_lib_sources := $(sort $(wildcard tools/libblksnap/src/*.cpp))
tools_command_sources := $(sort $(wildcard tools/blksnap/*.cpp))
tools_test_sources := $(filter-out %/fake_node.cpp,$(sort $(wildcard tests/tools/*.cpp)))

tools_lib_objects := $(tools_lib_sources:%.cpp=$(TOOLS_OBJ)/%.o)
tools_command_objects := $(tools_command_sources:%.cpp=$(TOOLS_OBJ)/%.o)
tools_test_objects := $(tools_test_sources:%.cpp=$(TOOLS_OBJ)/%.o)
# The tests link the command without its main().
tools_tested_objects := $(filter-out %/blksnap/main.o,$(tools_command_objects))

tools_static := $(TOOLS_BUILD)/lib/libblksnap.a
tools_shared := $(TOOLS_BUILD)/lib/libblksnap.so
tools_command := $(TOOLS_BUILD)/bin/blksnap
tools_tests := $(TOOLS_OBJ)/run-tests
tools_fake_node := $(TOOLS_OBJ)/fake-node.so
tools_headers := $(wildcard tools/libblksnap/include/blksnap/*)
tools_examples := $(patsubst tools/libblksnap/examples/%,$(TOOLS_BUILD)/examples/%, \
	$(basename $(wildcard tools/libblksnap/examples/*)))

.PHONY: tools check-tools check-tools-abi install-tools clean-tools

tools: $(tools_command) $(tools_static) $(tools_shared) $(tools_examples)

$(TOOLS_OBJ)/%.o: %.cpp
	@mkdir -p $(@D)
	$(TOOLS_CXX) $(TOOLS_CXXFLAGS) $(tools_flags) $(tools_cppflags) -Itools -c $< -o $@

$(tools_static): $(tools_lib_objects)
	@mkdir -p $(@D)
	@rm -f $@
	ar rcs $@ $^

$(TOOLS_BUILD)/lib/$(TOOLS_SONAME): $(tools_lib_objects)
	@mkdir -p $(@D)
	$(TOOLS_CXX) $(TOOLS_CXXFLAGS) $(TOOLS_LDFLAGS) -shared -Wl,-soname,$(TOOLS_SONAME) -Wl,-z,defs -pthread \
		$^ -lblkid -o $@

$(tools_shared): $(TOOLS_BUILD)/lib/$(TOOLS_SONAME)
	ln -sf $(TOOLS_SONAME) $@

# Linked with the static library: the command is one file that can be carried elsewhere.
$(tools_command): $(tools_command_objects) $(tools_static)
	@mkdir -p $(@D)
	$(TOOLS_CXX) $(TOOLS_CXXFLAGS) $(TOOLS_LDFLAGS) -pthread $^ -lblkid -o $@

$(tools_tests): $(tools_test_objects) $(tools_tested_objects) $(tools_static)
	$(TOOLS_CXX) $(TOOLS_CXXFLAGS) -pthread $^ -lblkid -lgtest -lgtest_main -o $@

check-tools: tools check-tools-abi $(tools_fake_node) $(tools_tests)
	$(tools_tests) --gtest_brief=1

# The headers assert themselves: compiling them is the test. A 32-bit build needs no 32-bit C
# library, only the headers of the kernel's interface.
tools_abi := -Iuapi -Wall -Wextra -Werror -Wpedantic -fsyntax-only tests/tools/abi.c
tools_abi_32 := -m32 -isystem /usr/include/$(shell $(TOOLS_CC) -print-multiarch)

check-tools-abi:
	$(TOOLS_CC) -x c -std=gnu11 $(tools_abi)
	$(TOOLS_CC) -x c++ -std=c++20 $(tools_abi)
	$(TOOLS_CC) -x c++ -std=c++20 -ffreestanding -nostdinc -DBLKSNAP_FREESTANDING $(tools_abi)
	$(TOOLS_CC) -x c -std=gnu11 $(tools_abi_32) $(tools_abi)
	$(TOOLS_CC) -x c++ -std=c++20 $(tools_abi_32) $(tools_abi)
	$(TOOLS_CC) -x c++ -std=c++20 -m32 -ffreestanding -nostdinc -DBLKSNAP_FREESTANDING $(tools_abi)

# The examples link the shared library, as programs of others do. The tests run them here against the
# fake module, which is preloaded in front of the node's path, and in guests against the real one.
$(TOOLS_BUILD)/examples/%: tools/libblksnap/examples/%.cpp $(tools_shared) $(tools_headers)
	@mkdir -p $(@D)
	$(TOOLS_CXX) -std=c++20 $(TOOLS_CXXFLAGS) $(tools_warnings) -pthread $(tools_cppflags) $< \
		-L$(TOOLS_BUILD)/lib -lblksnap -o $@

$(TOOLS_BUILD)/examples/%: tools/libblksnap/examples/%.c $(tools_shared) $(tools_headers)
	@mkdir -p $(@D)
	$(TOOLS_CC) -std=c11 $(TOOLS_CXXFLAGS) $(tools_warnings) $(tools_cppflags) $< \
		-L$(TOOLS_BUILD)/lib -lblksnap -o $@

$(tools_fake_node): tests/tools/fake_node.cpp tests/tools/fake_module.cpp $(tools_static)
	@mkdir -p $(@D)
	$(TOOLS_CXX) $(TOOLS_CXXFLAGS) $(filter-out -MMD -MP,$(tools_flags)) $(tools_cppflags) -shared \
		$^ -lblkid -ldl -o $@

# Where a distribution puts things may differ: LIBDIR=/usr/lib/x86_64-linux-gnu and the like.
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
SBINDIR ?= $(PREFIX)/sbin
DATADIR ?= $(PREFIX)/share
UDEVRULESDIR ?= $(PREFIX)/lib/udev/rules.d
MODPROBEDIR ?= $(PREFIX)/lib/modprobe.d

tools_fill := sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
	-e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@SONAME@|$(TOOLS_SONAME)|' \
	-e 's|@VERSION@|$(TOOLS_VERSION)|' -e 's|@MAJOR@|$(firstword $(subst ., ,$(TOOLS_VERSION)))|'

.PHONY: install-tools install-command install-library uninstall-tools check-install

install-tools: install-command install-library

install-command: tools
	install -d $(addprefix $(DESTDIR),$(SBINDIR) $(DATADIR)/man/man8 \
		$(DATADIR)/bash-completion/completions $(UDEVRULESDIR) $(MODPROBEDIR))
	install -m 755 $(tools_command) $(DESTDIR)$(SBINDIR)/
	install -m 644 tools/man/blksnap.8 $(DESTDIR)$(DATADIR)/man/man8/
	install -m 644 tools/completions/blksnap $(DESTDIR)$(DATADIR)/bash-completion/completions/
	install -m 644 tools/udev/60-blksnap.rules $(DESTDIR)$(UDEVRULESDIR)/
	install -m 644 tools/modprobe.d/blksnap.conf $(DESTDIR)$(MODPROBEDIR)/

install-library: tools
	install -d $(addprefix $(DESTDIR),$(LIBDIR)/pkgconfig $(LIBDIR)/cmake/blksnap \
		$(INCLUDEDIR)/blksnap $(INCLUDEDIR)/linux)
	install -m 644 $(tools_static) $(TOOLS_BUILD)/lib/$(TOOLS_SONAME) $(DESTDIR)$(LIBDIR)/
	ln -sf $(TOOLS_SONAME) $(DESTDIR)$(LIBDIR)/libblksnap.so
	install -m 644 $(tools_headers) $(DESTDIR)$(INCLUDEDIR)/blksnap/
	install -m 644 uapi/blksnap.h $(DESTDIR)$(INCLUDEDIR)/linux/
	$(tools_fill) tools/libblksnap/blksnap.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/blksnap.pc
	for file in blksnap-config blksnap-config-version; do \
		$(tools_fill) tools/libblksnap/cmake/$$file.cmake.in \
			>$(DESTDIR)$(LIBDIR)/cmake/blksnap/$$file.cmake || exit 1; done

# Directories that others may use stay.
uninstall-tools:
	rm -f $(addprefix $(DESTDIR),$(SBINDIR)/blksnap $(DATADIR)/man/man8/blksnap.8 \
		$(DATADIR)/bash-completion/completions/blksnap $(UDEVRULESDIR)/60-blksnap.rules \
		$(MODPROBEDIR)/blksnap.conf $(LIBDIR)/libblksnap.a $(LIBDIR)/libblksnap.so \
		$(LIBDIR)/$(TOOLS_SONAME) $(LIBDIR)/pkgconfig/blksnap.pc $(INCLUDEDIR)/linux/blksnap.h)
	rm -rf $(addprefix $(DESTDIR),$(LIBDIR)/cmake/blksnap $(INCLUDEDIR)/blksnap)

# Installs below build/, and builds and runs programs with nothing but what was installed.
check-install: tools $(tools_fake_node)
	tests/tools/install $(abspath $(TOOLS_BUILD))

clean-tools:
	rm -rf $(TOOLS_OBJ) $(TOOLS_BUILD)/examples $(tools_command) $(tools_static) $(tools_shared) \
		$(TOOLS_BUILD)/lib/$(TOOLS_SONAME)

-include $(tools_lib_objects:.o=.d) $(tools_command_objects:.o=.d) $(tools_test_objects:.o=.d)
