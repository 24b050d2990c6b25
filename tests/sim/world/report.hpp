// SPDX-License-Identifier: GPL-2.0
//
// What the simulator says: the trace of a history, and its failure.
#pragma once

#include <string>
#include <world/random.hpp>

namespace sim
{

void set_verbose(bool verbose);
bool verbose();
// Names the history that failure messages speak of, and the command that runs it again.
void begin_report(u64 seed, std::string replay);
const std::string &replay_command();

// One line of the trace, with simulated time and the name of the fiber.
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
// A property does not hold: says which and how to replay the history, and ends the process.
[[noreturn]] void fail(const char *oracle, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

} // namespace sim

// The arguments of a trace line are not even computed when nobody looks.
#define TRACE(...)                                                                                 \
	do {                                                                                       \
		if (__builtin_expect(sim::verbose(), 0))                                           \
			sim::trace(__VA_ARGS__);                                                   \
	} while (0)
