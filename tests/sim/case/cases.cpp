// SPDX-License-Identifier: GPL-2.0
#include <case/cases.hpp>

#include <cstring>

namespace sim
{

// device_life.cpp
void medium_is_exchanged(History &history);
void sweep_meets_destroy(History &history);

namespace
{

constexpr Case kCases[] = {
	{"medium-is-exchanged", medium_is_exchanged},
	{"sweep-meets-destroy", sweep_meets_destroy},
};

} // namespace

std::span<const Case> all_cases()
{
	return kCases;
}

const Case *find_case(const char *name)
{
	for (const Case &test : kCases)
		if (!std::strcmp(test.name, name))
			return &test;
	return nullptr;
}

} // namespace sim
