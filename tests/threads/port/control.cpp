// SPDX-License-Identifier: GPL-2.0
//
// Port: callers, parameters, time, log.
#include <blksnap/port/control.h>

#include <blksnap/port/log.h>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <machine/machine.hpp>

using namespace threads;

namespace
{

// The program is this one: an address that it cannot have is one that is not its own.
bool access_fails(u64 address)
{
	check_may_sleep("access to memory of the program");
	return address < 4096;
}

} // namespace

// Other ones each time: small, so that limits are met.
void shim_params_get(shim_params *params) noexcept
{
	*params = {
		.tracking_block_minimum_shift = 12,
		.tracking_block_maximum_count = 2097152,
		.chunk_minimum_shift = 12,
		.chunk_maximum_count = 2097152,
		.chunk_maximum_in_cache = 32,
		.free_diff_buffer_pool_size = static_cast<u32>(1 + below(64)),
		.diff_storage_minimum = 8 + 8 * below(64),
		.storage_on_origin_after_take = one_in(2),
		.cow_memory_limit_kib = static_cast<u32>(64 + below(1024)),
		.cow_timeout_ms = 50'000,
		.parked_limit = static_cast<u32>(1 + below(32)),
		.freeze_timeout_ms = 10'000,
		.drain_timeout_ms = 10'000,
	};
}

int shim_user_read(void *to, shim_u64 user_address, size_t bytes) noexcept
{
	if (access_fails(user_address))
		return -14;
	if (bytes)
		std::memcpy(to, reinterpret_cast<const void *>(user_address), bytes);
	return 0;
}

int shim_user_write(shim_u64 user_address, const void *from, size_t bytes) noexcept
{
	if (access_fails(user_address))
		return -14;
	if (bytes)
		std::memcpy(reinterpret_cast<void *>(user_address), from, bytes);
	return 0;
}

int shim_user_is_admin() noexcept
{
	return 1;
}

shim_u64 shim_clock_ns() noexcept
{
	return now_ns();
}

void shim_random_fill(void *to, size_t bytes) noexcept
{
	auto *out = static_cast<u8 *>(to);
	for (size_t i = 0; i < bytes; i++)
		out[i] = static_cast<u8>(random_next() >> 24);
}

void shim_log(enum shim_log_level level, const char *format, ...) noexcept
{
	if (!verbose.load(std::memory_order_relaxed))
		return;
	char line[512];
	std::va_list arguments;
	va_start(arguments, format);
	std::vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	std::fprintf(stderr, "%c: %s\n", "dIWE"[level], line);
}

void shim_log_panic(const char *what, const char *file, int line) noexcept
{
	fail("assertion %s at %s:%d", what, file, line);
}
