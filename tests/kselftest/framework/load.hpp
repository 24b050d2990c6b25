// SPDX-License-Identifier: GPL-2.0
//
// Load: somebody who writes while a test does something else.
#pragma once

#include "disk.hpp"

#include <atomic>
#include <thread>

namespace kselftest
{

// A thread that writes random content to random places of a range of sectors, past the page cache,
// until it is stopped or meets an error.
class Load
{
public:
	Load(const Disk &disk, std::uint64_t first_sector, std::uint64_t sectors,
	     std::uint64_t sectors_per_write = 8);
	~Load() { stop(); }
	Load(const Load &) = delete;
	Load &operator=(const Load &) = delete;

	// Return: the errno of the write that failed, or 0. A load that wrote nothing is EAGAIN.
	int stop();
	std::uint64_t writes() const { return writes_; }
	// Until so many more writes are done, or it met an error.
	void wait_for(std::uint64_t writes) const;

private:
	void run(std::uint64_t first_sector, std::uint64_t sectors,
		 std::uint64_t sectors_per_write);

	const Disk disk_;
	std::atomic<bool> stopping_ = false;
	std::atomic<int> error_ = 0;
	std::atomic<std::uint64_t> writes_ = 0;
	std::thread thread_;
};

} // namespace kselftest
