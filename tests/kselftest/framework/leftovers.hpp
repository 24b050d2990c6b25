// SPDX-License-Identifier: GPL-2.0
//
// Leftovers: what tests made and did not take away, found by its name.
#pragma once

#include <string>
#include <vector>

namespace kselftest
{

// Names of devices of the tests begin with it: nothing else is touched.
inline constexpr const char *kDevicePrefix = "kst-";

// Loads the module if it is not there, ends snapshots and trackers, and removes the devices of the
// tests: md, dm, loop, null_blk, scsi_debug, with what is mounted or swapped there.
// Return: what there was.
std::vector<std::string> remove_leftovers();

} // namespace kselftest
