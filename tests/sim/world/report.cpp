// SPDX-License-Identifier: GPL-2.0
//
// Reports go to stdout (trace) and stderr (failure). A failure ends the process at once: the other
// fibers are in the middle of something and cannot be unwound.
#include <world/report.hpp>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>
#include <utility>
#include <world/scheduler.hpp>

extern "C" void __gcov_dump() __attribute__((weak));

namespace sim
{

namespace
{
bool verbose_;
u64 seed_;
std::string replay_;
} // namespace

void set_verbose(bool on)
{
	verbose_ = on;
}

bool verbose()
{
	return verbose_;
}

void begin_report(u64 seed, std::string replay)
{
	seed_ = seed;
	replay_ = std::move(replay);
}

const std::string &replay_command()
{
	return replay_;
}

void trace(const char *format, ...)
{
	va_list arguments;
	std::printf("%10llu %-12s ", static_cast<unsigned long long>(scheduler().now()),
		    scheduler().current_name());
	va_start(arguments, format);
	std::vprintf(format, arguments);
	va_end(arguments);
	std::putchar('\n');
}

void fail(const char *oracle, const char *format, ...)
{
	va_list arguments;
	std::fflush(stdout);
	std::fprintf(stderr, "FAILED seed %llu [%s] at %llu us in %s: ",
		     static_cast<unsigned long long>(seed_), oracle,
		     static_cast<unsigned long long>(scheduler().now()),
		     scheduler().current_name());
	va_start(arguments, format);
	std::vfprintf(stderr, format, arguments);
	va_end(arguments);
	std::fprintf(stderr, "\n  replay: %s\n", replay_.c_str());
	std::fflush(stderr);
	if (__gcov_dump)
		__gcov_dump();
	_exit(1);
}

} // namespace sim
