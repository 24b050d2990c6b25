// SPDX-License-Identifier: GPL-2.0
//
// Memory: where the core's objects and pages live, and how allocation fails.
//
// Objects come from an arena at a fixed address that starts anew with each history, so addresses
// are the same in each replay. Fresh and freed memory is filled with patterns. With
// AddressSanitizer the allocator of the C library is used instead, which finds late accesses.
#pragma once

#include <cstddef>
#include <world/random.hpp>

namespace sim
{

struct MemoryFaults {
	u32 nowait_permille = 0; // allocations that must not sleep
	u32 any_permille = 0;	 // all
	u64 fail_at = 0;	 // the Nth allocation while the script runs, 0: none
};

class Memory
{
public:
	Memory();
	MemoryFaults faults;
	bool enabled = false; // faults happen only while the script runs

	void *alloc(std::size_t bytes, bool zero);
	void free(void *memory);
	bool refuses(Random &random, bool nowait);
	// For a case: the Nth allocation from now on fails, no other does; 0: none.
	void fail_nth(u64 nth) { faults.fail_at = nth ? calls_ + nth : 0; }
	// Calls are counted, and failures known, from here on.
	void begin_faults(const MemoryFaults &from_now_on)
	{
		faults = from_now_on;
		calls_ = 0;
		failed_ = false;
	}
	// True if a fault has been injected in this history.
	bool has_failed() const { return failed_; }
	u64 live() const { return live_; }
	// Fails the history if something that was freed was written to later.
	void check_all_freed() const;

private:
	struct Free {
		Free *next;
	};
	static constexpr unsigned kClasses = 20; // 32 bytes .. 16 MiB
	Free *free_[kClasses] = {};
	std::size_t used_ = 0;
	u64 live_ = 0;
	u64 calls_ = 0;
	bool failed_ = false;
};

} // namespace sim

constexpr unsigned kSectorsPerPage = 8;

// What a fresh page holds: of something else, and nobody's business.
constexpr sim::u64 kGarbageStamp = 0xdeadbeefdeadbeef;

// A page: eight sector stamps instead of 4096 bytes.
struct page {
	sim::u64 stamp[kSectorsPerPage];
	sim::u64 canary;
};
