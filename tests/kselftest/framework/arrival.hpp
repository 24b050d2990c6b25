// SPDX-License-Identifier: GPL-2.0
//
// Arrival: memory of a test and its children, that tells whether a child is where it was sent to.
#pragma once

#include "kselftest.hpp"
#include "process.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

namespace kselftest
{

class Arrival
{
public:
	Arrival()
		: flag_(static_cast<std::atomic<bool> *>(mmap(nullptr, sizeof(bool),
							      PROT_READ | PROT_WRITE,
							      MAP_SHARED | MAP_ANONYMOUS, -1, 0)))
	{
		REQUIRE(flag_ != MAP_FAILED);
	}
	~Arrival() { munmap(flag_, sizeof(bool)); }
	Arrival(const Arrival &) = delete;
	Arrival &operator=(const Arrival &) = delete;

	void tell() const { *flag_ = true; }
	bool is_told() const { return flag_->load(); }
	[[noreturn]] void tell_and_stay() const
	{
		tell();
		for (;;)
			pause();
	}
	void wait_for() const
	{
		REQUIRE(wait_until([this] { return is_told(); }, 30));
	}

private:
	std::atomic<bool> *flag_;
};

} // namespace kselftest
