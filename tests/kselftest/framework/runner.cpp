// SPDX-License-Identifier: GPL-2.0
//
// The main() of every area: runs its tests one after the other, each in a child, and prints TAP.
//
//     AREA [--list] [TEST...]
//
// A child that crashes or hangs costs one test; what it left is removed, and counts as its failure.
#include "kselftest.hpp"

#include "leftovers.hpp"
#include "module.hpp"
#include "process.hpp"
#include "scratch.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>
#include <vector>

namespace kselftest
{

namespace
{

struct Test {
	std::string name;
	void (*body)();
	Options options;
};

enum class Outcome { Passed, Failed, Skipped };

constexpr int kExitPassed = 0, kExitFailed = 1, kExitUsage = 2, kExitSkipped = 4;
constexpr int kKillMs = 30000; // what a killed test may take to go

std::vector<Test> &tests()
{
	static std::vector<Test> all;
	return all;
}

// Written by the child, read by its parent.
struct Shared {
	std::atomic<unsigned> failures;
	char skip_reason[256];
};
Shared *shared;

int run_body(const Test &test)
{
	try {
		test.body();
	} catch (const Skipped &skipped) {
		std::snprintf(shared->skip_reason, sizeof(shared->skip_reason), "%s",
			      skipped.reason.c_str());
		return shared->failures ? kExitFailed : kExitSkipped;
	} catch (const Failed &) {
		return kExitFailed;
	} catch (const std::exception &error) {
		note("%s", error.what());
		return kExitFailed;
	}
	return shared->failures ? kExitFailed : kExitPassed;
}

// Return: false if the process still runs after that time.
bool wait_for_end(pid_t child, int milliseconds)
{
	const int handle = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
	if (handle < 0)
		return true; // an old kernel: no limit
	pollfd event{handle, POLLIN, 0};
	const int ready = poll(&event, 1, milliseconds);
	close(handle);
	return ready > 0;
}

Outcome outcome_of(pid_t child, const Test &test)
{
	int status = 0;

	const unsigned limit_seconds = test.options.timeout_seconds * slowdown();
	if (!wait_for_end(child, static_cast<int>(limit_seconds * 1000))) {
		note("took longer than %u s: killed", limit_seconds);
		kill(-child, SIGKILL);
		if (!wait_for_end(child, kKillMs * static_cast<int>(slowdown()))) {
			std::printf("Bail out! %s cannot be killed\n", test.name.c_str());
			_exit(kExitFailed);
		}
	}
	waitpid(child, &status, 0);
	kill(-child, SIGKILL); // what it started and did not wait for
	if (WIFSIGNALED(status))
		note("ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	if (WIFEXITED(status) && WEXITSTATUS(status) == kExitPassed)
		return Outcome::Passed;
	if (WIFEXITED(status) && WEXITSTATUS(status) == kExitSkipped)
		return Outcome::Skipped;
	return Outcome::Failed;
}

Outcome run(const Test &test)
{
	shared->failures = 0;
	shared->skip_reason[0] = 0;
	std::fflush(stdout);
	const pid_t child = fork();
	if (child < 0) {
		note("fork: %s", strerror(errno));
		return Outcome::Failed;
	}
	if (child == 0) {
		setpgid(0, 0);
		const int status = run_body(test);
		std::fflush(stdout);
		_exit(status);
	}
	setpgid(child, child);
	const Outcome outcome = outcome_of(child, test);
	const std::vector<std::string> left = remove_leftovers();
	for (const std::string &thing : left)
		note("left behind: %s", thing.c_str());
	return left.empty() ? outcome : Outcome::Failed;
}

void print_result(Outcome outcome, unsigned number, const std::string &name)
{
	std::printf("%s %u - %s", outcome == Outcome::Failed ? "not ok" : "ok", number,
		    name.c_str());
	if (outcome == Outcome::Skipped)
		std::printf(" # SKIP %s", shared->skip_reason);
	std::printf("\n");
	std::fflush(stdout);
}

int run_all(const std::vector<Test> &chosen)
{
	unsigned counts[3] = {}, number = 0;

	std::printf("TAP version 13\n1..%zu\n", chosen.size());
	for (const Test &test : chosen) {
		const Outcome outcome = run(test);
		counts[static_cast<int>(outcome)]++;
		print_result(outcome, ++number, test.name);
	}
	std::printf("# Totals: pass:%u fail:%u skip:%u\n", counts[0], counts[1], counts[2]);
	if (counts[static_cast<int>(Outcome::Failed)])
		return kExitFailed;
	return counts[static_cast<int>(Outcome::Passed)] ? kExitPassed : kExitSkipped;
}

int skip_all(const std::string &reason)
{
	std::printf("TAP version 13\n1..0 # SKIP %s\n", reason.c_str());
	return kExitSkipped;
}

bool is_wanted(const Test &test, int count, char **words)
{
	for (int i = 1; i < count; i++)
		if (test.name == words[i])
			return true;
	return count <= 1;
}

} // namespace

Registration::Registration(const char *name, void (*body)(), Options options)
{
	tests().push_back({name, body, options});
}

void note(const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	std::vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	// In one go: threads and children write here, too.
	std::string lines = "# ";
	for (const char *c = text; *c; c++)
		lines += *c == '\n' ? "\n# " : std::string(1, *c);
	std::printf("%s\n", lines.c_str());
	std::fflush(stdout);
}

void report_failure(const char *file, int line, const std::string &text)
{
	shared->failures++;
	note("%s:%d: %s", file, line, text.c_str());
}

std::string errno_text(int error)
{
	if (error == 0)
		return "success";
	const char *name = strerrorname_np(error);
	return (name ? name : "errno") + (" (" + std::to_string(error) + ")");
}

} // namespace kselftest

int main(int count, char **words)
{
	using namespace kselftest;

	if (count == 2 && !strcmp(words[1], "--list")) {
		for (const Test &test : tests())
			std::printf("%s\n", test.name.c_str());
		return kExitPassed;
	}
	std::vector<Test> chosen;
	for (const Test &test : tests())
		if (is_wanted(test, count, words))
			chosen.push_back(test);
	if (chosen.empty()) {
		std::fprintf(stderr, "usage: %s [--list] [TEST...]\n", words[0]);
		return kExitUsage;
	}
	// Whoever runs us may close the pipe: the tests must still be cleaned up after.
	std::signal(SIGPIPE, SIG_IGN);
	void *memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return kExitFailed;
	shared = new (memory) Shared{};

	const std::string reason = module::make_ready();
	if (!reason.empty())
		return skip_all(reason);
	const Scratch scratch;
	(void)remove_leftovers(); // of a run that was killed
	return run_all(chosen);
}
