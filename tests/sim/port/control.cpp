// SPDX-License-Identifier: GPL-2.0
//
// Port: callers, parameters, time, log.
#include <blksnap/port/control.h>

#include <blksnap/port/log.h>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <world/report.hpp>
#include <world/world.hpp>

using namespace sim;

namespace
{

bool user_access_fails(u64 address, size_t bytes)
{
	World &w = world();
	scheduler().might_sleep("user memory");
	scheduler().point();
	if (scheduler().current().noio_depth)
		fail("context", "user memory is touched while file systems are frozen");
	const u64 start = reinterpret_cast<u64>(w.user);
	if (address < start || bytes > w.user_bytes || address - start > w.user_bytes - bytes)
		return true;
	if (!bytes || !w.memory.enabled)
		return false;
	const bool fails = ++w.user_accesses == w.efault_at || w.random.permille(w.efault_permille);
	w.efault_fired |= fails;
	return fails;
}

} // namespace

void shim_params_get(shim_params *params) noexcept
{
	*params = world().params;
}

int shim_user_read(void *to, shim_u64 user_address, size_t bytes) noexcept
{
	if (user_access_fails(user_address, bytes))
		return -14;
	if (bytes)
		std::memcpy(to, reinterpret_cast<const void *>(user_address), bytes);
	return 0;
}

int shim_user_write(shim_u64 user_address, const void *from, size_t bytes) noexcept
{
	if (user_access_fails(user_address, bytes))
		return -14;
	if (bytes)
		std::memcpy(reinterpret_cast<void *>(user_address), from, bytes);
	return 0;
}

int shim_user_is_admin() noexcept
{
	return scheduler().current().admin;
}

shim_u64 shim_clock_ns() noexcept
{
	return scheduler().now() * 1000;
}

void shim_random_fill(void *to, size_t bytes) noexcept
{
	auto *out = static_cast<u8 *>(to);
	for (size_t i = 0; i < bytes; i++)
		out[i] = static_cast<u8>(world().random.next());
}

void shim_log(enum shim_log_level level, const char *format, ...) noexcept
{
	if (!verbose())
		return;
	char line[512];
	va_list arguments;
	va_start(arguments, format);
	std::vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	trace("log %c: %s", "dIWE"[level], line);
}

void shim_log_panic(const char *what, const char *file, int line) noexcept
{
	fail("assertion", "%s at %s:%d", what, file, line);
}
