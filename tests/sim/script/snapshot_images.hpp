// SPDX-License-Identifier: GPL-2.0
//
// The images of a snapshot that has just been taken.
#pragma once

#include <script/history.hpp>

namespace sim
{

// Asks the module for them and gives each its model. False: it could not be asked, or somebody
// destroyed the snapshot meanwhile.
bool find_images(const Plan &plan, SnapshotModel &snapshot);

} // namespace sim
