// SPDX-License-Identifier: GPL-2.0
//
// Random: the only source of chance in the simulator (xoshiro256**, seeded by splitmix64).
//
// Its own generator, because a seed must give the same history on every machine and library.
#pragma once

#include <cstdint>

namespace sim
{

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

class Random
{
public:
	explicit Random(u64 seed)
	{
		for (u64 &word : state_)
			word = splitmix(seed);
	}
	u64 next()
	{
		const u64 result = rotate(state_[1] * 5, 7) * 9;
		const u64 t = state_[1] << 17;
		state_[2] ^= state_[0];
		state_[3] ^= state_[1];
		state_[1] ^= state_[2];
		state_[0] ^= state_[3];
		state_[2] ^= t;
		state_[3] = rotate(state_[3], 45);
		return result;
	}
	// Uniform in [0, bound); 0 for bound 0.
	u64 below(u64 bound)
	{
		return bound ? static_cast<u64>((static_cast<unsigned __int128>(next()) * bound) >>
						64)
			     : 0;
	}
	u64 between(u64 low, u64 high) { return low + below(high - low + 1); }
	bool one_in(u64 n) { return n && below(n) == 0; }
	bool permille(u32 rate) { return rate && below(1000) < rate; }
	template <class T, u64 n> const T &pick(const T (&choices)[n]) { return choices[below(n)]; }

private:
	static u64 rotate(u64 x, int k) { return (x << k) | (x >> (64 - k)); }
	static u64 splitmix(u64 &x)
	{
		u64 z = (x += 0x9e3779b97f4a7c15);
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
		z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
		return z ^ (z >> 31);
	}
	u64 state_[4];
};

} // namespace sim
