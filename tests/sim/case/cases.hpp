// SPDX-License-Identifier: GPL-2.0
//
// Cases: scripts for one situation each, mostly one in which a bug was found. The devices, calls and
// expectations are fixed; the seed only decides who runs when.
#pragma once

#include <script/history.hpp>
#include <span>

namespace sim
{

struct Case {
	const char *name;
	void (*run)(History &history); // in the first task, the module loaded
};

std::span<const Case> all_cases();
// Null: there is none of that name.
const Case *find_case(const char *name);

} // namespace sim
