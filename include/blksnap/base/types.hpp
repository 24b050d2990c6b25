// SPDX-License-Identifier: GPL-2.0
//
// Integer names and the assertion of the core.
//
// The core is compiled once for the kernel and once for userspace, so it takes its types from
// the freestanding headers only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include <blksnap/port/log.h>

namespace blksnap
{

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

constexpr u64 kSectorBytes = 512;
constexpr u32 kSectorShift = 9;
constexpr u32 kPageBytes = 4096;

template <class T> constexpr T min(T a, T b)
{
	return b < a ? b : a;
}

template <class T> constexpr T max(T a, T b)
{
	return a < b ? b : a;
}

} // namespace blksnap

// States what the code relies on. A violated assertion is a bug of this module: it stops the
// thread (BUG() in the kernel, abort() in userspace) before memory or data are damaged.
#define ASSERT(condition)                                                                          \
	do {                                                                                       \
		if (__builtin_expect(!(condition), 0)) {                                           \
			shim_log_panic(#condition, __FILE__, __LINE__);                            \
			__builtin_trap();                                                          \
		}                                                                                  \
	} while (0)
