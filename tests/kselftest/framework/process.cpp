// SPDX-License-Identifier: GPL-2.0
#include "process.hpp"

#include "kselftest.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace kselftest
{

namespace
{

constexpr int kNoProgram = 127;
constexpr int kChildThrew = 255;

int status_of(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, 0) != child)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

// Nothing may leave a child by an exception: the objects above are its parent's to take away.
int run_job(const std::function<int()> &job)
{
	try {
		return job();
	} catch (const std::exception &error) {
		note("in a child: %s", error.what());
	} catch (const Failed &) {
	}
	return kChildThrew;
}

[[noreturn]] void execute(const std::vector<std::string> &words, int output)
{
	std::vector<char *> arguments;

	for (const std::string &word : words)
		arguments.push_back(const_cast<char *>(word.c_str()));
	arguments.push_back(nullptr);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	execvp(arguments[0], arguments.data());
	_exit(kNoProgram);
}

} // namespace

Run run(const std::vector<std::string> &words)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC))
		throw std::system_error(errno, std::generic_category(), "pipe");
	const pid_t child = fork();
	if (child == 0)
		execute(words, ends[1]);
	close(ends[1]);
	Run result{};
	char buffer[4096];
	for (;;) {
		const ssize_t got = read(ends[0], buffer, sizeof(buffer));
		if (got > 0)
			result.output.append(buffer, static_cast<std::size_t>(got));
		else if (got == 0 || errno != EINTR)
			break;
	}
	close(ends[0]);
	result.status = status_of(child);
	return result;
}

void settle_udev()
{
	(void)run({"udevadm", "settle", "--timeout=30"});
}

void run_or_throw(const std::vector<std::string> &words)
{
	const Run result = run(words);

	if (result.status == kNoProgram)
		skip("no " + words[0] + " here");
	if (result.status == 0)
		return;
	std::string command;
	for (const std::string &word : words)
		command += word + " ";
	throw std::runtime_error(command + "ended with " + std::to_string(result.status) + ": " +
				 result.output);
}

Child::Child(const std::function<int()> &job) : pid_(fork())
{
	if (pid_ < 0)
		throw std::system_error(errno, std::generic_category(), "fork");
	if (pid_ == 0)
		_exit(run_job(job));
}

Child::~Child()
{
	if (pid_ < 0)
		return;
	kill(SIGKILL);
	wait();
}

void Child::kill(int signal) const
{
	::kill(pid_, signal);
}

int Child::wait()
{
	const pid_t pid = pid_;

	pid_ = -1;
	return pid < 0 ? -1 : status_of(pid);
}

void Child::wait_until_asleep() const
{
	// Twice in a row: once it may have slept on its way.
	unsigned asleep = 0;
	const bool in_time = wait_until([&] {
		std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
		std::string text;
		std::getline(file, text);
		const auto end = text.rfind(')');
		const bool sleeps =
			end != std::string::npos &&
			(text.compare(end + 2, 1, "S") == 0 || text.compare(end + 2, 1, "D") == 0);
		asleep = sleeps ? asleep + 1 : 0;
		return asleep >= 5;
	});
	if (!in_time)
		throw std::runtime_error("a child does not come to wait");
}

double now()
{
	timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

unsigned slowdown()
{
	const char *value = getenv("KSELFTEST_SLOWDOWN");
	return value ? std::max(static_cast<unsigned>(strtoul(value, nullptr, 10)), 1u) : 1;
}

bool wait_until(const std::function<bool()> &condition, double seconds)
{
	const double end = now() + seconds * slowdown();

	while (!condition()) {
		if (now() > end)
			return false;
		usleep(20000);
	}
	return true;
}

} // namespace kselftest
