// SPDX-License-Identifier: GPL-2.0
//
// How an agent gives ranges of disks to the store of a snapshot, and what it remembers of them.
#pragma once

#include <oracle/image_model.hpp>
#include <script/plan.hpp>

namespace sim
{

enum class StoreTime : u8 { BeforeTake, Late };

void append_store(Plan &plan, SnapshotModel &snapshot, StoreTime time);
// After the destroy: the ranges hold what they hold, and nobody writes them any more.
// Ranges that must be refused, whatever the state of the snapshot.
void append_nonsense(Plan &plan, SnapshotModel &snapshot);
// Before the destroy: images that are taken from now on may show what is left there.
void release_store(const SnapshotModel &snapshot);

} // namespace sim
