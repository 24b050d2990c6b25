// SPDX-License-Identifier: GPL-2.0
//
// Chance: one generator for each thread, seeded by the run and by how many threads came before.
#pragma once

#include <machine/report.hpp>
#include <unistd.h>

namespace threads
{

extern std::atomic<u64> random_seed;

inline u64 random_next()
{
	thread_local u64 state =
		random_seed.fetch_add(0x9e3779b97f4a7c15, std::memory_order_relaxed) | 1;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1d;
}

inline u64 below(u64 limit)
{
	return (random_next() >> 20) % limit;
}

inline bool one_in(u64 chances)
{
	return below(chances) == 0;
}

inline void pause_us(u64 limit)
{
	usleep(static_cast<useconds_t>(below(limit)));
}

} // namespace threads
