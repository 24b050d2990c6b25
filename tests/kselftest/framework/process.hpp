// SPDX-License-Identifier: GPL-2.0
//
// Processes: programs that tests run, and children that do something and may be killed.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace kselftest
{

struct Run {
	int status; // of the program: 127 if there is none
	std::string output;
};

// Runs a program (looked for in PATH) to its end; its output, both streams, is kept.
Run run(const std::vector<std::string> &words);
// The same; throws what it printed unless it ended with 0, skips the test if there is no such program.
void run_or_throw(const std::vector<std::string> &words);

// Until udev, if it runs here, has dealt with what has happened to devices.
void settle_udev();

// A child process that runs `job` and ends with its result (0 .. 254), or 255 if it throws.
class Child
{
public:
	explicit Child(const std::function<int()> &job);
	~Child();
	Child(const Child &) = delete;
	Child &operator=(const Child &) = delete;

	void kill(int signal) const;
	// Return: the result of the job, or 256 + the signal that ended it.
	int wait();
	// Until the child sleeps in the kernel: then it waits for what it was sent to.
	void wait_until_asleep() const;

private:
	pid_t pid_;
};

// Seconds of a clock that never jumps.
double now();
// How many times longer than on a kernel as it is shipped things take: $KSELFTEST_SLOWDOWN, or 1. Limits of time
// are multiplied by it.
unsigned slowdown();
// Polls until `condition` holds. Return: whether it did in time.
bool wait_until(const std::function<bool()> &condition, double seconds = 10);

} // namespace kselftest
