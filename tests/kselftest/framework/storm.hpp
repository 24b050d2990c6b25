// SPDX-License-Identifier: GPL-2.0
//
// Storm: programs that make all of the requests, in no order, about the same two devices.
#pragma once

#include "disk.hpp"
#include "requests.hpp"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace kselftest
{

// Threads that open the node, make some requests, and close it, until they are stopped. Each request gives what is
// documented, or the test fails; there may be no node.
class Storm
{
public:
	static constexpr unsigned kTake = 8; // numbers of requests

	Storm(const Disk &first, const Disk &second, const Disk &store)
		: devices_{first.number(), second.number()}, store_(store.number()),
		  store_places_(store.sectors() / 8)
	{
		for (unsigned seed = 1; seed <= 3; seed++)
			threads_.emplace_back([this, seed] { blow(seed); });
	}
	~Storm() { stop(); }
	Storm(const Storm &) = delete;
	Storm &operator=(const Storm &) = delete;

	void stop()
	{
		stopping_ = true;
		for (std::thread &thread : threads_)
			thread.join();
		threads_.clear();
	}
	// How often a request succeeded, and how often there was no node.
	unsigned done(unsigned request) const { return done_[request]; }
	unsigned least_done() const
	{
		return *std::min_element(std::begin(done_), std::end(done_));
	}
	unsigned absent() const { return absent_; }

private:
	void blow(unsigned seed);
	void make(const Control &control, unsigned request, std::minstd_rand &random);
	int try_to_make(const Control &control, unsigned request, unsigned which);

	blk_snap_uuid id_of(unsigned which)
	{
		const std::lock_guard guard(lock_);
		return ids_[which];
	}

	const blk_snap_dev devices_[2], store_;
	const std::uint64_t store_places_;
	std::mutex lock_;
	blk_snap_uuid ids_[2]{};
	std::atomic<std::uint64_t> place_ = 0;
	std::atomic<unsigned> done_[std::size(kRequests)]{}, absent_ = 0;
	std::atomic<bool> stopping_ = false;
	std::vector<std::thread> threads_;
};

} // namespace kselftest
