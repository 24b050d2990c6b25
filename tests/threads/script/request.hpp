// SPDX-License-Identifier: GPL-2.0
//
// Request: I/O of a program, as one bio or a chain of them.
#pragma once

#include <condition_variable>
#include <functional>
#include <machine/machine.hpp>
#include <mutex>

namespace threads
{

class Request
{
public:
	Request(Device &device, Op op, u64 sector, u32 sectors);
	Request(const Request &) = delete;
	~Request() { wait(); }

	// Before it is submitted: what is to be done when it ends, in whatever thread.
	std::function<void()> on_end;
	std::vector<u64> data;
	const u64 sector;
	const Op op;

	void submit(u32 parts);
	// Return: 0 or a positive errno.
	int wait();

private:
	static void end_io(bio *bio);

	Device &device_;
	std::unique_ptr<bio[]> bios_;
	std::mutex mutex_;
	std::condition_variable ended_;
	bool in_flight_ = false;
	int error_ = 0;
};

} // namespace threads
