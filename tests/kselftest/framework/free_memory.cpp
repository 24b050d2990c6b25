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

std::uint64_t cached_kib()
{
	std::ifstream file("/proc/meminfo");
	std::string name, unit;
	std::uint64_t value, sum = 0;

	while (file >> name >> value) {
		std::getline(file, unit);
		if (name == "Buffers:" || name == "Cached:" || name == "SReclaimable:")
			sum += value;
	}
	return sum;
}

// With the pages that a CPU freed and keeps for itself, tens of MiB of them. Pages that are taken on one
// CPU and freed on another pile up there, and MemFree goes down though nobody holds any.
std::uint64_t free_pages()
{
	std::ifstream file("/proc/zoneinfo");
	std::string before, word;
	std::uint64_t pages, sum = 0;

	while (file >> word) {
		if ((word == "count:" || (before == "pages" && word == "free")) && file >> pages)
			sum += pages;
		before = word;
	}
	return sum;
}

std::uint64_t read_free_kib()
{
	return cached_kib() +
	       free_pages() * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) / 1024;
}

// Pages that pass from one place to another while they are counted may be missed: not twice in a row.
std::uint64_t free_kib()
{
	return std::max(read_free_kib(), read_free_kib());
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
