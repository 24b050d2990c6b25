// SPDX-License-Identifier: GPL-2.0
//
// Counts: how often the core did what takes long. Over all histories: only differences mean something.
#pragma once

#include <blksnap/base/types.hpp>

namespace sim
{

struct Counts {
	blksnap::u64 grace_periods = 0;
};

inline Counts counts;

} // namespace sim
