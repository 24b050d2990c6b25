// SPDX-License-Identifier: GPL-2.0
//
// Events of a snapshot, by what they tell.
#pragma once

#include "snapshot.hpp"

#include <optional>

namespace kselftest
{

// The next event that tells of a lost image; requests for space before it are passed over.
// Return: nothing if there is none in time.
std::optional<blk_snap_event_corrupted> lost_image(const Snapshot &snapshot, unsigned timeout_ms);
// The next request for space; events of lost images before it are passed over.
std::optional<std::uint64_t> request_for_space(const Snapshot &snapshot, unsigned timeout_ms);

} // namespace kselftest
