// SPDX-License-Identifier: GPL-2.0
//
// What an agent asks besides its work, with all kinds of room for the answer, and the blocks that it
// calls changed.
#pragma once

#include <script/history.hpp>

namespace sim
{

// Asks for everything that can be listed and compares the answers with what must be true.
void inquire(const Plan &plan, const SnapshotModel &snapshot);

// MARK_DIRTY on one of the snapshot's origins, by its own number or by that of its image.
void mark_some_dirty(const Plan &plan, const SnapshotModel &snapshot);

} // namespace sim
