// SPDX-License-Identifier: GPL-2.0
#include "free_memory.hpp"

#include "file.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <string>
#include <thread>

namespace kselftest
{

namespace
{

std::uint64_t free_or_cached_kib()
{
	std::ifstream file("/proc/meminfo");
	std::string name, unit;
	std::uint64_t value, sum = 0;

	while (file >> name >> value) {
		std::getline(file, unit);
		if (name == "MemFree:" || name == "Buffers:" || name == "Cached:" ||
		    name == "SReclaimable:")
			sum += value;
	}
	return sum;
}

// Pages that a CPU freed and keeps for itself, tens of MiB of them. Pages that are taken on one CPU and
// freed on another pile up there: MemFree goes down though nobody holds any.
std::uint64_t free_on_cpus_kib()
{
	const auto page_kib = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) / 1024;
	std::ifstream file("/proc/zoneinfo");
	std::string word;
	std::uint64_t pages, sum = 0;

	while (file >> word)
		if (word == "count:" && file >> pages)
			sum += pages * page_kib;
	return sum;
}

std::uint64_t free_kib()
{
	return free_or_cached_kib() + free_on_cpus_kib();
}

} // namespace

std::uint64_t memory_taken_by(const std::function<void()> &job)
{
	std::atomic<bool> done = false;

	(void)write_file("/proc/sys/vm/drop_caches", "3");
	const std::uint64_t before = free_kib();
	std::uint64_t lowest = before;
	std::thread sampler([&] {
		while (!done) {
			lowest = std::min(lowest, free_kib());
			std::this_thread::sleep_for(std::chrono::milliseconds(10));
		}
	});
	try {
		job();
	} catch (...) {
		done = true;
		sampler.join();
		throw;
	}
	done = true;
	sampler.join();
	return before - std::min(lowest, before);
}

} // namespace kselftest
