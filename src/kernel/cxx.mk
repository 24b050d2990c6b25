# SPDX-License-Identifier: GPL-2.0
#
# C++ objects of an out-of-tree kernel module, x86-64, gcc 12 to 14 and clang 19.
#
# The recipe is Kbuild's own for C with three differences: the compiler is the C++ front end of
# the kernel's compiler; options that are C only are dropped; no kernel include path is given,
# only the freestanding headers of libstdc++. Every option that concerns ABI, mitigations and
# sanitizers stays, because the flags come from Kbuild's own deferred variables (_c_flags,
# modkern_cflags), as do objtool and the fentry records.

# clang-19 is called clang++-19, and x86_64-linux-gnu-gcc-12 x86_64-linux-gnu-g++-12.
kcxx := $(shell echo '$(CC)' | sed -E 's/clang(-[0-9]+)?$$/clang++\1/; s/gcc(-[0-9]+)?$$/g++\1/')

# Headers of libstdc++ and of the compiler itself; -nostdinc keeps those of libc out.
kcxx-sysdirs := $(shell $(kcxx) -E -v -x c++ /dev/null 2>&1 | \
		  sed -n '/^.include </,/^End/{/\/c++\//p}' | grep -v /backward) \
		$(shell $(kcxx) -print-file-name=include 2>/dev/null)
ifeq ($(strip $(kcxx-sysdirs)),)
$(error no C++ compiler "$(kcxx)": install the g++ that matches the kernel's compiler $(CC))
endif

# Dropped by name: the C dialect, diagnostics of C, plugins made for the C front end. -g goes, as
# pahole cannot turn C++ DWARF into BTF and then fails the whole module.
kcxx-drop := -std=% -fms-extensions -fplugin=% -fplugin-arg-% -g -gdwarf% \
	-Wmissing-prototypes -Werror=strict-prototypes -Wstrict-prototypes \
	-Werror=implicit-function-declaration -Werror=implicit-int \
	-Werror=incompatible-pointer-types -Werror=designated-init \
	-Wno-pointer-sign -Wno-override-init -Wenum-conversion
# Dropped by asking the compiler: what a future kernel adds that is C only.
kcxx-bad := $(shell LC_ALL=C $(kcxx) -x c++ -fsyntax-only \
	$(filter -W% -f% -m%,$(filter-out $(kcxx-drop) -Wp$(comma)%,$(KBUILD_CFLAGS))) \
	/dev/null 2>&1 | \
	sed -n "s/.*command-line option '\(-[^']*\)' is valid for.*/\1/p")

kcxx-own := -std=gnu++20 -ffreestanding -fno-exceptions -fno-rtti \
	-fno-threadsafe-statics -fno-use-cxa-atexit $(if $(CONFIG_CC_IS_CLANG),,-fno-gnu-unique) \
	-nostdinc $(addprefix -isystem ,$(kcxx-sysdirs)) \
	-include $(src)/src/kernel/prelude.hpp -D_GLIBCXX_ASSERTIONS -g0 \
	-Wno-unused-const-variable $(cxxflags-y)

cxx_flags = -Wp,-MMD,$(depfile) \
	$(filter-out $(kcxx-drop) $(kcxx-bad) $(ccflags-y),$(_c_flags) $(modkern_cflags)) \
	$(kcxx-own) $(CXXFLAGS_$(target-stem).o) $(basename_flags) $(modname_flags)

# The fentry records of inline functions lie outside of their COMDAT group; without the group
# the weak symbol still keeps one definition, and no record refers to a discarded one.
quiet_cmd_cxx_o_cpp = CXX $(quiet_modtag)  $@
      cmd_cxx_o_cpp = $(kcxx) $(cxx_flags) -c -o $@ $< ; \
		      $(OBJCOPY) --remove-section=.group $@ $(cmd_objtool)

# Constructors of globals never run in the kernel (CONFIG_CONSTRUCTORS is off); those that
# KASAN generates (_sub_I_NNNNN_N) are no concern of ours.
cmd_cxx_check = if $(NM) $@ | grep -E ' [tT] _GLOBAL__(sub_)?[ID]' >&2; then \
	echo >&2 "$@: a global has a constructor or destructor; make it constinit"; \
	rm -f $@; false; fi

define rule_cxx_o_cpp
	$(call cmd_and_fixdep,cxx_o_cpp)
	$(call cmd,cxx_check)
	$(call cmd,gen_objtooldep)
	$(call cmd,record_mcount)
endef

$(obj)/%.o: $(obj)/%.cpp $(src)/src/kernel/prelude.hpp FORCE
	$(call if_changed_rule,cxx_o_cpp)
