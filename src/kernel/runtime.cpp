// SPDX-License-Identifier: GPL-2.0
//
// Runtime: the few functions that the C++ compiler calls by itself.
//
// operator new is not here on purpose: objects are made by try_new() only, and a plain `new`
// must not link. operator delete exists because virtual destructors refer to it.
#include <cstddef>
#include <new>

#include <blksnap/port/log.h>
#include <blksnap/port/memory.h>

void operator delete(void *memory) noexcept
{
	shim_memory_free(memory);
}

void operator delete(void *memory, std::size_t) noexcept
{
	shim_memory_free(memory);
}

extern "C" void __cxa_pure_virtual();
extern "C" void __cxa_pure_virtual()
{
	shim_log_panic("pure virtual call", __FILE__, __LINE__);
	__builtin_trap();
}

namespace std
{
__attribute__((noreturn)) void __glibcxx_assert_fail(const char *file, int line,
						     const char *function,
						     const char *condition) noexcept;
void __glibcxx_assert_fail(const char *file, int line, const char *, const char *condition) noexcept
{
	shim_log_panic(condition ? condition : "libstdc++", file, line);
	__builtin_trap();
}
} // namespace std
