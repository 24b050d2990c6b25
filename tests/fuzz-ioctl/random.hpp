// SPDX-License-Identifier: GPL-2.0
//
// Random numbers that follow from a seed alone (splitmix64).
#pragma once

#include <cstdint>
#include <iterator>

class Random
{
public:
	explicit Random(std::uint64_t seed) : state_(seed) {}

	std::uint64_t next()
	{
		std::uint64_t x = state_ += 0x9e3779b97f4a7c15u;
		x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
		x = (x ^ x >> 27) * 0x94d049bb133111ebu;
		return x ^ x >> 31;
	}
	std::uint64_t below(std::uint64_t limit) { return next() % limit; }
	bool one_in(unsigned count) { return below(count) == 0; }
	template <class List> const auto &pick(const List &list)
	{
		return *std::next(std::begin(list), static_cast<long>(below(std::size(list))));
	}

private:
	std::uint64_t state_;
};
