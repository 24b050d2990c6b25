// SPDX-License-Identifier: GPL-2.0
//
// Reports go to stdout (trace) and stderr (failure). A failure ends the process at once: the other
// fibers are in the middle of something and cannot be unwound.
#include <world/report.hpp>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>
#include <world/scheduler.hpp>

extern "C" void __gcov_dump() __attribute__((weak));

namespace sim
{

namespace
{
bool verbose_;
u64 seed_;
const char *program_ = "sim";
} // namespace

void set_verbose(bool on)
{
	verbose_ = on;
}

bool verbose()
{
	return verbose_;
}

void begin_report(u64 seed, const char *program)
{
	seed_ = seed;
	program_ = program;
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
	std::fprintf(stderr, "\n  replay: %s --seed %llu --verbose\n", program_,
		     static_cast<unsigned long long>(seed_));
	std::fflush(stderr);
	if (__gcov_dump)
		__gcov_dump();
	_exit(1);
}

} // namespace sim
